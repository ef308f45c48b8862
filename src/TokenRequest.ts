/**
 * The request for a token, which callers pass to `ConfidentialClient.acquireToken`.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Redacted from "effect/Redacted"

/**
 * The behavior of a call while the service is throttled.
 *
 * **Details**
 *
 * - `"fail"`: the call fails at once with a `ThrottledError`.
 * - `"wait"`: the call waits for the `Retry-After` of the service, then tries again. Bound the wait with
 *   `Effect.timeout`.
 *
 * @category models
 * @since 0.1.0
 */
export type OnThrottled = "fail" | "wait"

/**
 * Parameters of a token request beyond the standard ones, by name, for the service or for a gateway in front of it.
 *
 * **Details**
 *
 * - A string or a redacted string is sent and is part of the cache key, so other values have other tokens.
 * - `{ value, inCacheKey: false }` is sent and is not part of the cache key.
 * - Undefined is not sent.
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
 * - `scopes`: a string, which is split at spaces, or an array: one resource followed by `/.default`. A client with an
 *   `issuer` accepts any scopes, exactly as they are written, and also an empty list.
 * - `tenantId`: the tenant, by its id or a domain name; default: the client's tenant.
 * - `authority`: an authority of the client's cloud. Only its tenant is used.
 * - `forceRefresh`: true requests a new token without reading the cache, and stores it; default: false.
 * - `claims`: the JSON text of a claims challenge, at most 65,536 characters. The cache is neither read nor written,
 *   unless `accessTokenSha256ToRefresh` is set too.
 * - `accessTokenSha256ToRefresh`: the hash of a token that an API refused; see `ConfidentialClient.accessTokenSha256`.
 *   If the cached token has this hash, it is replaced by a new token, which is requested with `claims`. Otherwise
 *   another caller has replaced it already, and the cached token is served.
 * - `clientCapabilities`: capabilities of the app in addition to those of the client, sent as the claim `xms_cc` and
 *   part of the cache key. `["cp1"]` declares that this caller handles claims challenges; Entra then issues a token
 *   with a longer lifetime. Default: none.
 * - `minimumValidity`: how long the token must still be valid. A cached token that expires earlier is refreshed first,
 *   with the reason `Expired`; if that fails, the call fails. A token that was issued less than a tenth of its lifetime
 *   ago is served in any case, so that short-lived tokens do not cause a token request per call. Check `expiresOn` of
 *   the result. Default: 0.
 * - `onThrottled`: the behavior while the service is throttled; default: the client's.
 * - `sendCertificateChain`: whether the assertion contains the certificate chain (`x5c`, RFC 7515 section 4.1.6);
 *   default: the credential's. It is not part of the cache key.
 * - `extraQueryParameters`, `extraBodyParameters`: further parameters, which the library percent-encodes. A redacted value
 *   appears in no log and no error, and is not part of the cache key as plain text. The body parameters that the
 *   library sends itself (`client_id`, `scope` and others) are refused.
 * - `cachePartition`: a name that is part of the cache key and is not sent. Requests with a partition or with extra
 *   parameters get only tokens that were requested with the same partition and parameters.
 * - `correlationId`: an id for the service, the logs and the errors: letters, digits, `_`, `.` and `-`, at most 64
 *   characters; default: a new GUID.
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
  readonly clientCapabilities?: ReadonlyArray<string> | undefined
  readonly minimumValidity?: Duration.Input | undefined
  readonly onThrottled?: OnThrottled | undefined
  readonly sendCertificateChain?: boolean | undefined
  readonly extraQueryParameters?: ExtraParameters | undefined
  readonly extraBodyParameters?: ExtraParameters | undefined
  readonly cachePartition?: string | undefined
  readonly correlationId?: string | undefined
}
