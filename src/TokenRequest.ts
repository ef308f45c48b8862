/**
 * What a caller asks for.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Redacted from "effect/Redacted"

/**
 * What a caller does who finds the service throttled: hear of it, or wait for its turn.
 *
 * @category models
 * @since 0.1.0
 */
export type OnThrottled = "fail" | "wait"

/**
 * Parameters that the service, or a gateway before it, understands beyond the standard ones.
 *
 * **Details**
 *
 * A plain value is part of the cache key: tokens for other values are other tokens. With `inCacheKey: false` it is sent,
 * and the token is kept and found as if it had not been.
 *
 * @category models
 * @since 0.1.0
 */
export type ExtraParameters = Readonly<
  Record<
    string,
    | string
    | Redacted.Redacted<string>
    | { readonly value: string | Redacted.Redacted<string>; readonly inCacheKey: boolean }
    | undefined
  >
>

/**
 * A request for a token.
 *
 * **Details**
 *
 * - `scopes`: a string (split at spaces) or an array; one resource followed by `/.default`. A client with an `issuer` takes
 *   any scopes, exactly as they are written, or none.
 * - `tenantId`: the tenant, by id or domain name; default: the client's.
 * - `authority`: an authority whose tenant is taken; its host must belong to the client's cloud.
 * - `forceRefresh`: do not read the cache; the new token is stored. Default false.
 * - `claims`: the JSON of a claims challenge; the cache is neither read nor written.
 * - `accessTokenSha256ToRefresh`: the hash (`ConfidentialClient.accessTokenSha256`) of a token that an API refused. If that is the
 *   cached one it is replaced, with the token for `claims` if there are any; otherwise the cache answers, because somebody
 *   else has replaced it already.
 * - `minimumValidity`: a cached token that is valid for less than this is replaced first; default: none. One that was issued
 *   less than a tenth of its lifetime ago is the best there is and is served as it is, so that a service which issues
 *   shorter ones is not asked on every call; `expiresOn` of the result tells the truth. The result's reason is `Expired`,
 *   and when no other token can be had the call fails: `outageTolerance` does not serve what is shorter than this.
 * - `onThrottled`: what a caller does while the service has asked to be left alone: `"fail"` at once with a
 *   `ThrottledError`, or `"wait"` until it may be asked again, however long that is; default: the client's.
 * - `sendCertificateChain`: whether the assertion carries the certificate's chain (`x5c`); default: as the credential says.
 *   The cache does not tell such tokens apart.
 * - `extraQueryParameters`, `extraBodyParameters`: sent besides the standard ones, percent-encoded; each says whether it is
 *   part of the cache key. A redacted value is in no log and no error, and in keys another name stands for it.
 * - `cachePartition`: a name that tokens are kept apart by; nothing of it is sent. Requests with a partition, or with extra
 *   parameters, find only tokens that were asked for with the same ones.
 * - `correlationId`: sent to the service and found in logs and errors; default: a new GUID.
 *
 * @category models
 * @since 0.1.0
 */
export interface TokenRequest {
  readonly scopes: string | ReadonlyArray<string>
  readonly tenantId?: string | undefined
  readonly authority?: string | undefined
  readonly forceRefresh?: boolean | undefined
  readonly claims?: string | undefined
  readonly accessTokenSha256ToRefresh?: string | undefined
  readonly minimumValidity?: Duration.Input | undefined
  readonly onThrottled?: OnThrottled | undefined
  readonly sendCertificateChain?: boolean | undefined
  readonly extraQueryParameters?: ExtraParameters | undefined
  readonly extraBodyParameters?: ExtraParameters | undefined
  readonly cachePartition?: string | undefined
  readonly correlationId?: string | undefined
}
