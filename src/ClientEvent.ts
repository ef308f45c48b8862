/**
 * The events of `ConfidentialClient.events`: plain data about token acquisitions. Cache hits have no events. An event
 * never contains a token or a secret.
 *
 * @since 0.1.0
 */
import type * as DateTime from "effect/DateTime"
import type { CacheLevel, CacheRefreshReason } from "./AccessToken.ts"
import type { AcquireTokenError, Durations } from "./EntraError.ts"

/**
 * A flight: one acquisition that several callers may share, from its start to its result.
 *
 * **Details**
 *
 * - `time`: the end of the flight.
 * - `clientId`: the client.
 * - `tenantId`: the tenant of the request; the empty string for AD FS and other issuers.
 * - `scopes`: the requested scopes.
 * - `correlationId`: the correlation id of the token requests of the flight.
 * - `cacheRefreshReason`: the reason for the flight.
 * - `attempts`: the number of token requests that were sent.
 * - `durations`: the times of the flight.
 *
 * @category models
 * @since 0.1.0
 */
export interface Flight {
  readonly time: DateTime.Utc
  readonly clientId: string
  readonly tenantId: string
  readonly scopes: ReadonlyArray<string>
  readonly correlationId: string
  readonly cacheRefreshReason: CacheRefreshReason
  readonly attempts: number
  readonly durations: Durations
}

/**
 * A flight that ended with a token.
 *
 * **Details**
 *
 * - `tokenSource`: whether the token came from the service or from the cache.
 * - `cacheLevel`: `"None"` for a token from the service, `"L1"` for a token that another client had just stored, `"L2"`
 *   for a token from a store outside this process.
 * - `expiresOn`: the time at which the token expires.
 *
 * @category models
 * @since 0.1.0
 */
export interface Acquired extends Flight {
  readonly tokenSource: "IdentityProvider" | "Cache"
  readonly cacheLevel: CacheLevel
  readonly expiresOn: DateTime.Utc
}

/**
 * The event of a token that a caller waited for, or that `keepFresh` acquired.
 *
 * @category models
 * @since 0.1.0
 */
export interface TokenAcquired extends Acquired {
  readonly _tag: "TokenAcquired"
}

/**
 * The event of a token that was refreshed in the background, while the previous token was still served.
 *
 * @category models
 * @since 0.1.0
 */
export interface TokenRefreshed extends Acquired {
  readonly _tag: "TokenRefreshed"
}

/**
 * The event of a flight that failed.
 *
 * **Details**
 *
 * With the reason `ProactivelyRefreshed` callers do not notice the failure: they are still served the cached token,
 * also near expiry and after a refusal. A failure of `keepFresh` without a cached token has the reason that a caller's
 * request would have.
 *
 * @category models
 * @since 0.1.0
 */
export interface AcquisitionFailed extends Flight {
  readonly _tag: "AcquisitionFailed"
  readonly error: AcquireTokenError
}

/**
 * An event of a client.
 *
 * @category models
 * @since 0.1.0
 */
export type ClientEvent = TokenAcquired | TokenRefreshed | AcquisitionFailed
