/**
 * What `ConfidentialClient.events` says: plain data about flights, for a program that wants to react. Never a hit, never a
 * token or a secret.
 *
 * @since 0.1.0
 */
import type * as DateTime from "effect/DateTime"
import type { CacheLevel, CacheRefreshReason } from "./AccessToken.ts"
import type { AcquireTokenError, Durations } from "./EntraError.ts"

/**
 * One flight: what was asked, why, and what it took.
 *
 * **Details**
 *
 * `time` is when it ended. `scopes` are those that were asked for, `tenantId` is the empty string at AD FS. `attempts`
 * counts the requests that were sent; callers who joined the flight share its event.
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
 * A flight that brought a token. `cacheLevel` says whether it came from the service (`None`), from another client that
 * had just stored it (`L1`), or from an outer store.
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
 * Somebody waited for a token and got it.
 *
 * @category models
 * @since 0.1.0
 */
export interface TokenAcquired extends Acquired {
  readonly _tag: "TokenAcquired"
}

/**
 * A token was renewed in the background, while the one before it was still served.
 *
 * @category models
 * @since 0.1.0
 */
export interface TokenRefreshed extends Acquired {
  readonly _tag: "TokenRefreshed"
}

/**
 * No token came. With the reason `ProactivelyRefreshed` nobody has noticed yet: the token in hand stays in use, in its last
 * minutes too. What `keepFresh` asks for while it has no token in hand counts as what a caller waits for.
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
