/**
 * A token as the service issued it, and the result that callers get.
 *
 * @since 0.1.0
 */
import type * as DateTime from "effect/DateTime"
import * as Redacted from "effect/Redacted"
import type { Durations } from "./EntraError.ts"

/**
 * A token as it came from the service, with all times absolute.
 *
 * **Details**
 *
 * `issuedAt`, `expiresOn` and `refreshOn` are milliseconds since the epoch by this machine's clock; `refreshOn` is
 * undefined when the service named no time. `scopes` are those of the answer, or the requested ones when it named none
 * (RFC 6749 section 5.1).
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
 * Why the cache was not, or not only, used.
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
 * Which cache answered: none, the process's own memory, or an outer store.
 *
 * @category models
 * @since 0.1.0
 */
export type CacheLevel = "None" | "L1" | "L2"

/**
 * How this result came about.
 *
 * **Details**
 *
 * `outage` is true when a token in its last minutes was served because the service could not renew it. `tokenEndpoint`
 * and `durations` are there when a request was made for this result; the callers of one flight share them.
 *
 * @category models
 * @since 0.1.0
 */
export interface ResultMetadata {
  readonly tokenSource: "IdentityProvider" | "Cache"
  readonly cacheLevel: CacheLevel
  readonly cacheRefreshReason: CacheRefreshReason
  readonly outage: boolean
  readonly tokenEndpoint?: string | undefined
  readonly durations?: Durations | undefined
}

/**
 * What `ConfidentialClient.acquireToken` succeeds with.
 *
 * **Details**
 *
 * `refreshOn` is when this client will renew the token in the background. `correlationId` is that of the request that
 * fetched the token: the one to give to support.
 *
 * **Gotchas**
 *
 * All who ask for the same token share one result, so it is frozen; do not wipe its `Redacted`.
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
 * The value of the `Authorization` header for a request to the resource.
 *
 * **Details**
 *
 * `request` is what the header will be for. Bearer tokens (RFC 6750 section 2.1) do not depend on it; types that sign the
 * request do.
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
