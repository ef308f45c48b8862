/** The types of a fetch, and of an invalidation, that a client and its cache share. */
import type { AccessToken, CacheLevel } from "../../AccessToken.ts"
import type { AcquireTokenError } from "../../EntraError.ts"
import type { CachedToken } from "./cachedToken.ts"
import type { CacheKey } from "./cacheKey.ts"

/** The result of the replacement of a token that an API refused; see `replacementCooldown`. */
export type Replacement = "replaced" | "unchanged"

/** Returns the entry of a token, with times of this process. */
export type ReadToken = (token: AccessToken) => CachedToken

/**
 * The result of a look-up outside this process.
 */
export interface FoundToken {
  readonly token: CachedToken | undefined
  readonly replacement: Replacement | undefined
  readonly isDown: boolean
}

/**
 * The result of `lead`.
 */
export interface LedToken {
  readonly token: CachedToken
  readonly level: CacheLevel
  readonly replacement?: Replacement | undefined
}

/**
 * How a fetch is shared with other processes.
 *
 * - `token`: false when the token must stay in this process.
 * - `isRefused`: whether the API has refused the token that is to be replaced.
 * - `hasToken`: whether the callers have a valid token.
 * - `rest`: for how long, in milliseconds, processes with a valid token send no request after an error.
 * - `isDown`: whether the store has just not answered.
 */
export interface Sharing {
  readonly token: boolean
  readonly isRefused: boolean
  readonly hasToken: boolean
  readonly rest: (error: AcquireTokenError) => number
  readonly isDown: boolean
}

/**
 * The options of `lead`.
 */
export interface LeadOptions {
  readonly fresh: boolean
  readonly seen: CachedToken | undefined
  readonly read: ReadToken
  readonly accepts?: ((token: CachedToken) => boolean) | undefined
  readonly since?: number
  readonly limit?: number
  readonly sharing?: Sharing | undefined
}

/**
 * A function that runs after an invalidation. `isConcerned` returns whether the invalidation concerns a token. If `only`
 * is given, the invalidation concerns no tokens of another tenant or of other scopes.
 */
export type Reaction = (
  isConcerned: (key: CacheKey) => boolean,
  only?: Pick<CacheKey, "tenant" | "scopes"> | undefined
) => void
