/**
 * The service that stores tokens.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { CacheLevel } from "./AccessToken.ts"
import type { AcquireTokenError, InvalidRequestError } from "./EntraError.ts"
import type { CachedToken } from "./internal/cache/cachedToken.ts"
import { type CacheKey, type Selector, selects } from "./internal/cache/cacheKey.ts"
import { isUsable } from "./internal/cache/freshness.ts"
import * as Memory from "./internal/cache/memoryStore.ts"
import { isOutage } from "./internal/shared/errors.ts"
import { monotonicMillis } from "./internal/shared/monotonic.ts"
import { isShared, waitForOther } from "./internal/shared/requestContext.ts"
import { boundOf } from "./internal/shared/validate.ts"

export {
  /**
   * The key of a token: `space` (the client, its cloud and the kind of token), `tenant` and canonical `scopes`. `text`
   * is the whole key as one string.
   *
   * @category models
   * @since 0.1.0
   */
  type CacheKey,
  /**
   * The tokens to remove: all tokens of an `owner` (a client in a cloud), those of a `tenant`, or those for `scopes`.
   *
   * @category models
   * @since 0.1.0
   */
  type Selector
}

const TypeId = "~effect-entra/TokenCache"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * The numbers of a cache.
 *
 * **Details**
 *
 * - `entries`: the number of tokens.
 * - `bytes`: their estimated size in bytes.
 * - `evictions`: the number of valid tokens that were evicted since the start, because the cache was full.
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
 * The members of a token cache.
 *
 * **Details**
 *
 * - `invalidate`: removes tokens.
 * - `stats`: the numbers of the cache.
 * - `disabled`: true when the cache stores nothing.
 *
 * The other members serve the client and are not part of the published types. A program chooses a cache by its layer.
 *
 * @category models
 * @since 0.1.0
 */
export interface TokenCacheService {
  readonly [TypeId]: typeof TypeId
  /**
   * Returns the token in the memory of this process, also an expired token; undefined when there is no token.
   *
   * @internal
   */
  readonly peek: (space: string, tenant: string, scopes: string) => CachedToken | undefined
  /**
   * Runs `fetch` and stores the result. Concurrent callers for a key, of all clients of the cache, share one fetch
   * unless `fresh` is set. They get the stored token, or the error of the fetch when it is an outage. `seen` is a token
   * that the caller does not want again, and `accepts` returns whether a stored token is good enough. Callers do not
   * wait longer than `limit` for a fetch that began at `since`, in milliseconds of the monotonic clock; default: no
   * limit. A result is not stored when its key was invalidated meanwhile, or when a `fresh` fetch that started later has
   * ended first. The result of a fetch that a caller gave up is stored only if no tokens were invalidated meanwhile, and
   * only in place of an older token.
   *
   * @internal
   */
  readonly lead: (
    key: CacheKey,
    fetch: Effect.Effect<CachedToken, AcquireTokenError>,
    options: {
      readonly fresh: boolean
      readonly seen: CachedToken | undefined
      readonly accepts?: ((token: CachedToken) => boolean) | undefined
      readonly since?: number
      readonly limit?: number
    }
  ) => Effect.Effect<{ readonly token: CachedToken; readonly level: CacheLevel }, AcquireTokenError>
  readonly invalidate: (selector: Selector) => Effect.Effect<void>
  /**
   * Returns how often tokens of an owner were invalidated, by any client. A client uses it so that a caller never gets the
   * result of a fetch from before an invalidation.
   *
   * @internal
   */
  readonly invalidations: (owner: string) => number
  readonly stats: Effect.Effect<CacheStats>
  readonly disabled: boolean
}

/**
 * A token cache.
 *
 * @category services
 * @since 0.1.0
 */
export class TokenCache extends Context.Service<TokenCache, TokenCacheService>()("effect-entra/TokenCache") {}

// -----------------------------------------------------------------------------
// layers
// -----------------------------------------------------------------------------

/**
 * The default bounds of {@link layerMemory}: 50,000 tokens and 128 MiB. The bound that is reached first applies.
 *
 * @category models
 * @since 0.1.0
 */
export const defaults = { maxEntries: 50_000, maxBytes: 134_217_728 } as const

/**
 * The bounds of {@link layerMemory}.
 *
 * **Details**
 *
 * - `maxEntries`: the number of tokens; default: 50,000.
 * - `maxBytes`: their estimated size in bytes; default: 134,217,728 (128 MiB).
 *
 * @category models
 * @since 0.1.0
 */
export interface MemoryOptions {
  readonly maxEntries?: number | undefined
  readonly maxBytes?: number | undefined
}

/**
 * Creates a cache in the memory of this process.
 *
 * **Details**
 *
 * A cache hit takes the same time for any number of tokens. When a bound is reached, expired tokens are removed first,
 * then tokens that were not used again (S3-FIFO). With options the layer fails with an `InvalidRequestError`
 * `field_malformed` when a bound is not a number of 0 or more.
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
 * Creates a cache that stores nothing. Every acquisition sends a token request, or joins a request for the same token
 * that is under way.
 *
 * **Example** (A client without a cache)
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
  return TokenCache.of({
    [TypeId]: TypeId,
    peek: () => undefined,
    lead: (_key, fetch) => Effect.map(fetch, (token) => ({ token, level: "None" })),
    invalidate: ({ owner }) => Effect.sync(() => invalidations.add(owner)),
    invalidations: invalidations.of,
    stats: Effect.succeed({ entries: 0, bytes: 0, evictions: 0 }),
    disabled: true
  })
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
  /** Fails with an outage, which all waiting callers share. After any other error each of them fetches again. */
  readonly done: Deferred.Deferred<void, AcquireTokenError>
  /** The monotonic time of its limit. */
  readonly until: number
  /** Elsewhere every fetch ends, however late. */
  readonly mayBeLost: boolean
  /** The number of invalidations before it. */
  readonly epoch: number
  invalidated: boolean
}

/** A call of `lead`. */
interface Wanted {
  readonly caller: Fiber.Fiber<unknown, unknown>
  readonly key: CacheKey
  readonly fetch: Effect.Effect<CachedToken, AcquireTokenError>
  readonly seen: CachedToken | undefined
  readonly accepts: (token: CachedToken) => boolean
  readonly limit: number
}

const makeMemory = (
  clock: Clock.Clock,
  bounds: { readonly maxEntries: number; readonly maxBytes: number }
): TokenCache["Service"] => {
  const memory = Memory.make(bounds)
  // All running fetches, for `invalidate`; and for each key the one that other callers wait for.
  const leads = new Set<Lead>()
  const leases = new Map<string, Lead>()
  const invalidations = counter()
  let epoch = 0

  /** Nobody looks for a fetch that was given up, so it has to look itself. */
  const mayStore = (lead: Lead, token: CachedToken): boolean => {
    if (lead.invalidated || leads.has(lead)) return !lead.invalidated
    const stored = memory.peek(lead.key.space, lead.key.tenant, lead.key.scopes)
    return lead.epoch === epoch && (stored === undefined || stored.issuedAt < token.issuedAt)
  }

  const fetchAndStore = ({ caller, fetch, key, limit }: Wanted, since: number, fresh: boolean) => {
    const name = key.text
    if (leads.size > 0) giveUpLost()
    const lead: Lead = {
      key,
      name,
      done: Deferred.makeUnsafe(),
      until: since + limit,
      mayBeLost: isShared(caller),
      epoch,
      invalidated: false
    }
    leads.add(lead)
    if (!leases.has(name)) leases.set(name, lead)
    return fetch.pipe(
      Effect.map((token) => {
        const now = clock.currentTimeMillisUnsafe()
        // A token without a lifetime is not cached.
        if (now < token.expiresOn && mayStore(lead, token)) memory.store(token, now)
        if (fresh && leads.has(lead)) outdate(lead)
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

  /** A fetch that started before this one must not replace its token. */
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

  /** Gives up a fetch that may have lost its I/O: callers no longer wait for it. */
  const giveUp = (lead: Lead): void => {
    leads.delete(lead)
    release(lead, Exit.void)
  }

  /** Gives up the lost fetches of all keys, because nobody may ask for such a key again. */
  const giveUpLost = (): void => {
    const now = monotonicMillis(clock)
    for (const lead of leads) {
      if (now < lead.until) return
      if (lead.mayBeLost) giveUp(lead)
    }
  }

  const lead = (
    wanted: Wanted,
    since: number
  ): Effect.Effect<{ readonly token: CachedToken; readonly level: CacheLevel }, AcquireTokenError> => {
    const { accepts, key, seen } = wanted
    // Another client may have stored a token since the caller looked.
    const token = memory.peek(key.space, key.tenant, key.scopes)
    if (
      token !== undefined && token !== seen && isUsable(token, clock.currentTimeMillisUnsafe()) && accepts(token)
    ) {
      return Effect.succeed({ token, level: "L1" as const })
    }
    const other = leases.get(key.text)
    const left = other === undefined ? 0 : other.until - monotonicMillis(clock)
    if (other !== undefined && left <= 0) giveUp(other)
    return other === undefined || left <= 0
      ? fetchAndStore(wanted, since, false)
      : Effect.flatMap(
        waitForOther(Deferred.await(other.done), {
          clock,
          left,
          orElse: () => Effect.sync(() => giveUp(other))
        }),
        () => lead(wanted, monotonicMillis(clock))
      )
  }

  return TokenCache.of({
    [TypeId]: TypeId,
    peek: memory.peek,
    lead: (key, fetch, { accepts = always, fresh, limit = Infinity, seen, since = 0 }) =>
      Effect.withFiber((caller) => {
        const wanted = { caller, key, fetch, seen, accepts, limit }
        return fresh ? fetchAndStore(wanted, since, true) : lead(wanted, since)
      }),
    invalidate: (selector) =>
      Effect.sync(() => {
        invalidations.add(selector.owner)
        epoch++
        const doomed = [...leads].filter(({ key }) => selects(selector, key))
        for (const lead of doomed) lead.invalidated = true
        memory.invalidate(selector)
        // Waiting callers then start a fetch of their own, which the invalidation does not concern.
        for (const lead of doomed) release(lead, Exit.void)
      }),
    invalidations: invalidations.of,
    stats: Effect.sync(() => ({ ...memory.usage })),
    disabled: false
  })
}
