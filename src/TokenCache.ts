/**
 * Where tokens are kept.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { CacheLevel } from "./AccessToken.ts"
import type { AcquireTokenError, InvalidRequestError } from "./EntraError.ts"
import type { CachedToken } from "./internal/cache/cachedToken.ts"
import { type CacheKey, type Selector, selects } from "./internal/cache/cacheKey.ts"
import * as Memory from "./internal/cache/memoryStore.ts"
import { isOutage } from "./internal/shared/errors.ts"
import { boundOf } from "./internal/shared/validate.ts"

export {
  /**
   * Where a token is filed: by client and kind of token (`space`), tenant, and canonical scopes.
   *
   * @category models
   * @since 0.1.0
   */
  type CacheKey,
  /**
   * Which tokens to drop.
   *
   * @category models
   * @since 0.1.0
   */
  type Selector
}

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * What a cache holds: tokens, their estimated bytes, and how many live tokens had to leave for others.
 *
 * @category models
 * @since 0.1.0
 */
export interface CacheStats {
  readonly entries: number
  readonly bytes: number
  readonly evictions: number
}

// -----------------------------------------------------------------------------
// services
// -----------------------------------------------------------------------------

/**
 * A token cache.
 *
 * **Details**
 *
 * - `peek`: what this process's memory holds, at once, expired or not; undefined when there is nothing.
 * - `lead`: have a token fetched and keep it; of all who share the cache one fetches at a time, and the others get what it
 *   stored, or its error when the service is out of order, unless they insist on a `fresh` one; `seen` is the entry that was found wanting. Not kept is what was
 *   invalidated meanwhile, and what was asked for before a `fresh` one that has come back.
 * - `invalidate`: drop tokens; `invalidations` counts how often this was done for an owner, by whichever client: who asks
 *   after one wants nothing from before it.
 * - `disabled`: true when nothing is ever kept.
 *
 * @category services
 * @since 0.1.0
 */
export class TokenCache extends Context.Service<TokenCache, {
  readonly peek: (space: string, tenant: string, scopes: string) => CachedToken | undefined
  readonly lead: (
    key: CacheKey,
    fetch: Effect.Effect<CachedToken, AcquireTokenError>,
    options: {
      readonly fresh: boolean
      readonly seen: CachedToken | undefined
      readonly accepts?: ((token: CachedToken) => boolean) | undefined
    }
  ) => Effect.Effect<{ readonly token: CachedToken; readonly level: CacheLevel }, AcquireTokenError>
  readonly invalidate: (selector: Selector) => Effect.Effect<void>
  readonly invalidations: (owner: string) => number
  readonly stats: Effect.Effect<CacheStats>
  readonly disabled: boolean
}>()("effect-entra/TokenCache") {}

// -----------------------------------------------------------------------------
// layers
// -----------------------------------------------------------------------------

/**
 * The bounds of {@link layerMemory} unless options say otherwise: 50,000 tokens or 128 MiB, whichever comes first.
 *
 * @category models
 * @since 0.1.0
 */
export const defaults = { maxEntries: 50_000, maxBytes: 134_217_728 } as const

/**
 * The bounds of {@link layerMemory}: tokens, and their bytes as stored.
 *
 * @category models
 * @since 0.1.0
 */
export interface MemoryOptions {
  readonly maxEntries?: number | undefined
  readonly maxBytes?: number | undefined
}

/**
 * Tokens in the memory of this process.
 *
 * **Details**
 *
 * Two nested native maps, so a hit costs the same with one token and with fifty thousand. At a bound expired tokens leave
 * first, then those that were not used again (S3-FIFO).
 *
 * **Example** (A larger cache)
 *
 * ```ts
 * import { TokenCache } from "effect-entra"
 *
 * export const Cache = TokenCache.layerMemory({ maxEntries: 500_000, maxBytes: 2_000_000_000 })
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export function layerMemory(): Layer.Layer<TokenCache>
export function layerMemory(options: MemoryOptions): Layer.Layer<TokenCache, InvalidRequestError>
export function layerMemory(options: MemoryOptions = {}): Layer.Layer<TokenCache, InvalidRequestError> {
  const bounds = Result.all({
    maxEntries: boundOf("maxEntries", options.maxEntries ?? defaults.maxEntries),
    maxBytes: boundOf("maxBytes", options.maxBytes ?? defaults.maxBytes)
  })
  return Layer.effect(
    TokenCache,
    Effect.flatMap(Effect.fromResult(bounds), (bounds) => Effect.map(Clock.Clock, (clock) => makeMemory(clock, bounds)))
  )
}

/**
 * No cache: every acquisition is a request, apart from those that join one that is under way.
 *
 * **Example** (A client that keeps nothing)
 *
 * ```ts
 * import { Layer } from "effect"
 * import { ConfidentialClient, TokenCache } from "effect-entra"
 *
 * export const Client = ConfidentialClient.layer({ clientId: "11111111-1111-1111-1111-111111111111" }).pipe(
 *   Layer.provide(TokenCache.layerNoop)
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerNoop: Layer.Layer<TokenCache> = Layer.sync(TokenCache, () => {
  const invalidations = counter()
  return {
    peek: () => undefined,
    lead: (_key, fetch) => Effect.map(fetch, (token) => ({ token, level: "None" })),
    invalidate: ({ owner }) => Effect.sync(() => invalidations.add(owner)),
    invalidations: invalidations.of,
    stats: Effect.succeed({ entries: 0, bytes: 0, evictions: 0 }),
    disabled: true
  }
})

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const counter = () => {
  const counts = new Map<string, number>()
  return {
    of: (name: string): number => counts.get(name) ?? 0,
    add: (name: string): void => void counts.set(name, (counts.get(name) ?? 0) + 1)
  }
}

const always = (): boolean => true

interface Lead {
  readonly key: CacheKey
  readonly name: string
  /** A service that is out of order for one is so for all who wait; of anything else each gets his own. */
  readonly done: Deferred.Deferred<void, AcquireTokenError>
  invalidated: boolean
}

const makeMemory = (
  clock: Clock.Clock,
  bounds: { readonly maxEntries: number; readonly maxBytes: number }
): TokenCache["Service"] => {
  const memory = Memory.make(bounds)
  // Everyone who is fetching, for `invalidate`; and of those the one per key whom the others wait for.
  const leads = new Set<Lead>()
  const leases = new Map<string, Lead>()
  const invalidations = counter()

  const fetchAndStore = (key: CacheKey, fetch: Effect.Effect<CachedToken, AcquireTokenError>, fresh: boolean) => {
    const name = key.text
    const lead: Lead = { key, name, done: Deferred.makeUnsafe(), invalidated: false }
    leads.add(lead)
    if (!leases.has(name)) leases.set(name, lead)
    return fetch.pipe(
      Effect.map((token) => {
        if (!lead.invalidated) memory.store(token, clock.currentTimeMillisUnsafe())
        if (fresh) outdate(lead)
        return { token, level: "None" as const }
      }),
      Effect.onExit((exit) => {
        leads.delete(lead)
        const error = Exit.isSuccess(exit) ? undefined : Option.getOrUndefined(Cause.findErrorOption(exit.cause))
        release(
          lead,
          error !== undefined && isOutage(error) && error.origin === "service" ? Exit.fail(error) : Exit.void
        )
        return Effect.void
      })
    )
  }

  /** Whatever was asked for before this request must not replace its token. */
  const outdate = (lead: Lead): void => {
    for (const older of leads) {
      if (older === lead) return
      if (older.name === lead.name) older.invalidated = true
    }
  }

  const release = (lead: Lead, outcome: Exit.Exit<void, AcquireTokenError>): void => {
    if (leases.get(lead.name) === lead) leases.delete(lead.name)
    Deferred.doneUnsafe(lead.done, outcome)
  }

  const lead = (
    key: CacheKey,
    fetch: Effect.Effect<CachedToken, AcquireTokenError>,
    seen: CachedToken | undefined,
    accepts: (token: CachedToken) => boolean
  ): Effect.Effect<{ readonly token: CachedToken; readonly level: CacheLevel }, AcquireTokenError> => {
    // Another client may have stored a token since the caller looked.
    const token = memory.peek(key.space, key.tenant, key.scopes)
    if (
      token !== undefined && token !== seen && clock.currentTimeMillisUnsafe() < token.usableUntil && accepts(token)
    ) {
      return Effect.succeed({ token, level: "L1" as const })
    }
    const other = leases.get(key.text)
    return other === undefined
      ? fetchAndStore(key, fetch, false)
      : Effect.flatMap(Deferred.await(other.done), () => lead(key, fetch, seen, accepts))
  }

  return TokenCache.of({
    peek: memory.peek,
    lead: (key, fetch, { accepts = always, fresh, seen }) =>
      Effect.suspend(() => fresh ? fetchAndStore(key, fetch, true) : lead(key, fetch, seen, accepts)),
    invalidate: (selector) =>
      Effect.sync(() => {
        invalidations.add(selector.owner)
        const doomed = [...leads].filter(({ key }) => selects(selector, key))
        for (const lead of doomed) lead.invalidated = true
        memory.invalidate(selector)
        // Who is woken asks anew at once, and that is no request from before.
        for (const lead of doomed) release(lead, Exit.void)
      }),
    invalidations: invalidations.of,
    stats: Effect.sync(() => ({ ...memory.usage })),
    disabled: false
  })
}
