/**
 * An access token as the service issued it, and the result of an acquisition.
 *
 * @since 0.1.0
 */
import type * as DateTime from "effect/DateTime"
import * as Redacted from "effect/Redacted"
import type { AcquireTokenError, Durations } from "./EntraError.ts"

/**
 * An access token as the service issued it (RFC 6749 section 5.1), with absolute times.
 *
 * **Details**
 *
 * - `secret`: the token itself.
 * - `tokenType`: the type that the service named, for example `Bearer`.
 * - `issuedAt`, `expiresOn`, `refreshOn`: milliseconds since the epoch by this machine's clock. `issuedAt` is the time
 *   at which the request was sent. `refreshOn` is undefined when the response has no `refresh_in`.
 * - `scopes`: the scopes of the response, or the requested scopes when the response has none.
 * - `tenantId`: the tenant of the request; the empty string for AD FS and other issuers.
 * - `authority`: the authority of the request as a URL.
 * - `tokenEndpoint`: the URL that issued the token.
 * - `correlationId`: the correlation id of the token request.
 *
 * @category models
 * @since 0.1.0
 */
export interface AccessToken {
  readonly secret: Redacted.Redacted<string>
  readonly tokenType: string
  readonly issuedAt: number
  readonly expiresOn: number
  readonly refreshOn: number | undefined
  readonly scopes: ReadonlyArray<string>
  readonly tenantId: string
  readonly authority: string
  readonly tokenEndpoint: string
  readonly correlationId: string
}

/**
 * The reason why a token was requested, or why it was not.
 *
 * **Details**
 *
 * The names are those of MSAL.NET, apart from `CacheDisabled`.
 *
 * - `NotApplicable`: a cache hit; no token was requested.
 * - `NoCachedAccessToken`: the cache had no token for the request.
 * - `Expired`: the cached token had expired, was near expiry, or was valid for less than `minimumValidity`.
 * - `ForceRefreshOrClaims`: the request had `forceRefresh`, `claims` or `accessTokenSha256ToRefresh`.
 * - `ProactivelyRefreshed`: the cached token was due for a refresh, which runs in the background.
 * - `CacheDisabled`: the cache stores nothing (`TokenCache.layerNoop`).
 *
 * @category models
 * @since 0.1.0
 */
export type CacheRefreshReason =
  | "NotApplicable"
  | "NoCachedAccessToken"
  | "Expired"
  | "ForceRefreshOrClaims"
  | "ProactivelyRefreshed"
  | "CacheDisabled"

/**
 * The cache that a token came from.
 *
 * **Details**
 *
 * - `"None"`: no cache; the service issued the token for this acquisition.
 * - `"L1"`: the memory of this process.
 * - `"L2"`: the store behind the cache (`TokenCache.layerTiered`).
 *
 * @category models
 * @since 0.1.0
 */
export type CacheLevel = "None" | "L1" | "L2"

/**
 * The origin of a result.
 *
 * **Details**
 *
 * - `tokenSource`: whether the token came from the service or from the cache.
 * - `cacheLevel`: which cache it came from.
 * - `cacheRefreshReason`: why a token was requested.
 * - `outage`: true when the token is near expiry and was served because its refresh failed, was refused, or took longer
 *   than `renewal.maxWait`.
 * - `outageReason`: with `outage`, the code of the error of the last refresh, such as `service_unavailable` or
 *   `client_disabled`; undefined when no refresh has failed yet. The error itself is in the event `AcquisitionFailed`.
 * - `tokenEndpoint`: the URL that issued the token; undefined when this acquisition sent no token request.
 * - `durations`: the times of the acquisition; undefined for a cache hit in memory. Callers of a shared request get the
 *   same times. `cache` includes the look-up in the store behind the cache.
 *
 * @category models
 * @since 0.1.0
 */
export interface ResultMetadata {
  readonly tokenSource: "IdentityProvider" | "Cache"
  readonly cacheLevel: CacheLevel
  readonly cacheRefreshReason: CacheRefreshReason
  readonly outage: boolean
  readonly outageReason?: AcquireTokenError["code"] | undefined
  readonly tokenEndpoint?: string | undefined
  readonly durations?: Durations | undefined
}

/**
 * The result of `ConfidentialClient.acquireToken`.
 *
 * **Details**
 *
 * - `accessToken`, `tokenType`: the token and its type; see {@link authorizationHeader}.
 * - `expiresOn`: the time at which the token expires, rounded down to a second.
 * - `refreshOn`: the time from which an acquisition refreshes the token in the background.
 * - `scopes`: the scopes that the service granted.
 * - `tenantId`: the tenant of the request; the empty string for AD FS and other issuers.
 * - `authority`: the authority of the request as a URL.
 * - `correlationId`: the correlation id of the request that fetched the token. Give this id to Microsoft's support.
 * - `metadata`: the origin of this result.
 *
 * **Gotchas**
 *
 * All callers for the same token share one result, so it is frozen. Do not wipe its `Redacted`.
 *
 * @category models
 * @since 0.1.0
 */
export interface AuthenticationResult {
  readonly accessToken: Redacted.Redacted<string>
  readonly tokenType: string
  readonly expiresOn: DateTime.Utc
  readonly refreshOn: DateTime.Utc
  readonly scopes: ReadonlyArray<string>
  readonly tenantId: string
  readonly authority: string
  readonly correlationId: string
  readonly metadata: ResultMetadata
}

/**
 * Returns the value of the `Authorization` header for a request to the resource (RFC 9110 section 11.6.2).
 *
 * **Details**
 *
 * The second argument is the request that carries the header. The header of a bearer token (RFC 6750 section 2.1) does
 * not depend on it.
 *
 * **Example** (Calling an API)
 *
 * ```ts
 * import assert from "node:assert"
 * import { AccessToken, ConfidentialClient } from "effect-entra"
 * import { Effect, Redacted } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const result = yield* ConfidentialClient.acquireToken({ scopes: "api://orders/.default" })
 *   const header = AccessToken.authorizationHeader(result, { method: "GET", url: "https://orders.contoso.com/" })
 *   assert.strictEqual(Redacted.value(header), "Bearer a-token")
 * })
 *
 * await Effect.runPromise(Effect.provide(program, ConfidentialClient.layerTest("a-token")))
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const authorizationHeader = (
  result: AuthenticationResult,
  _request: { readonly method: string; readonly url: string | URL }
): Redacted.Redacted<string> =>
  Redacted.make(`${result.tokenType} ${Redacted.value(result.accessToken)}`, { label: "authorization" })
