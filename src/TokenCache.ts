/**
 * The service that stores tokens.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redis from "effect/persistence/Redis"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type { AccessToken } from "./AccessToken.ts"
import type { AcquireTokenError, InvalidRequestError } from "./EntraError.ts"
import type { CachedToken } from "./internal/cache/cachedToken.ts"
import { type CacheKey, ownerIn, type Selector, selects } from "./internal/cache/cacheKey.ts"
import { isUsable } from "./internal/cache/freshness.ts"
import type { FoundToken, LeadOptions, LedToken, Reaction, ReadToken } from "./internal/cache/lead.ts"
import * as Memory from "./internal/cache/memoryStore.ts"
import * as RunningFetches from "./internal/cache/runningFetches.ts"
import * as OuterCache from "./internal/fleet/outerCache.ts"
import { make as makeRedisStore, prefixOption } from "./internal/fleet/redisStore.ts"
import { rootsOf } from "./internal/fleet/rootKeys.ts"
import * as Sealing from "./internal/fleet/sealing.ts"
import { isOutage } from "./internal/shared/errors.ts"
import { monotonicMillis } from "./internal/shared/monotonic.ts"
import { randomId } from "./internal/shared/randomId.ts"
import { isShared, waitForOther } from "./internal/shared/requestContext.ts"
import * as SingleFlight from "./internal/shared/singleFlight.ts"
import { boundOf, timeoutOf } from "./internal/shared/validate.ts"
import type { TokenStore } from "./TokenStore.ts"

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
 * - `store`: the numbers of the store behind the cache, if it has one.
 *
 * @category models
 * @since 0.1.0
 */
export interface CacheStats {
  readonly entries: number
  readonly bytes: number
  readonly evictions: number
  readonly store?: StoreStats | undefined
}

/**
 * The numbers of the store behind a cache, since the start of this process.
 *
 * **Details**
 *
 * - `hits`, `misses`: the look-ups that found a token, and those that did not.
 * - `unreadable`: the values that could not be decrypted. Each is a miss, and is removed.
 * - `refusals`: the commands that the store refused, for example because the user may not use them.
 * - `waits`: how often a fetch waited for another process.
 * - `followed`: the fetches that got the token or the error of another process.
 * - `invalidations`: how often other processes invalidated tokens.
 * - `outages`: how often the store stopped answering.
 * - `isDown`: whether the store does not answer at present.
 *
 * @category models
 * @since 0.1.0
 */
export interface StoreStats {
  readonly hits: number
  readonly misses: number
  readonly unreadable: number
  readonly refusals: number
  readonly waits: number
  readonly followed: number
  readonly invalidations: number
  readonly outages: number
  readonly isDown: boolean
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
   * Looks up a token outside this process and stores it in memory. `isDown` is true when the store did not answer.
   * Undefined in a cache without a store.
   *
   * @internal
   */
  readonly find: ((key: CacheKey, read: ReadToken) => Effect.Effect<FoundToken>) | undefined
  /**
   * Runs a fetch whose token is not stored, unless the service throttles another process. Undefined in a cache without a
   * store.
   *
   * @internal
   */
  readonly unshared:
    | ((
      key: CacheKey,
      fetch: Effect.Effect<AccessToken, AcquireTokenError>
    ) => Effect.Effect<AccessToken, AcquireTokenError>)
    | undefined
  /**
   * Runs `fetch` and stores the result. Concurrent callers for a key, of all clients of the cache, share one fetch
   * unless `fresh` is set. They get the stored token, or the error of the fetch when it is an outage. `seen` is a token
   * that the caller does not want again, and `accepts` returns whether a stored token is good enough. Callers do not
   * wait longer than `limit` for a fetch that began at `since`, in milliseconds of the monotonic clock; default: no
   * limit. A result is not stored when its key was invalidated meanwhile, or when a `fresh` fetch that started later has
   * ended first. The result of a fetch that a caller gave up is stored only if no tokens were invalidated meanwhile, and
   * only in place of an older token. With `sharing`, all processes that use the same store share one fetch too.
   *
   * @internal
   */
  readonly lead: (
    key: CacheKey,
    fetch: Effect.Effect<AccessToken, AcquireTokenError>,
    options: LeadOptions
  ) => Effect.Effect<LedToken, AcquireTokenError>
  readonly invalidate: (selector: Selector) => Effect.Effect<void>
  /**
   * Returns how often tokens of an owner were invalidated, by any client. A client uses it so that a caller never gets the
   * result of a fetch from before an invalidation.
   *
   * @internal
   */
  readonly invalidations: (owner: string) => number
  /**
   * Runs `react` after each invalidation, also by another client or process. Returns a function that ends this.
   *
   * @internal
   */
  readonly onInvalidated: (react: Reaction) => () => void
  readonly stats: Effect.Effect<CacheStats>
  /**
   * The number of evictions in `stats`, for a look at each fetch.
   *
   * @internal
   */
  readonly evictions: () => number
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
  return Layer.effect(
    TokenCache,
    Effect.flatMap(
      Effect.fromResult(boundsOf(options)),
      (bounds) => Effect.map(Clock.Clock, (clock) => makeMemory(clock, bounds).cache)
    )
  )
}

/**
 * The options of {@link layerTiered}.
 *
 * **Details**
 *
 * - `store`: the store that processes share, or an effect that creates it.
 * - `keys`: the root keys that encrypt values and hide their names, the newest first: 32 or more random bytes each, in
 *   base64 or hexadecimal (`openssl rand -base64 32`). Values are written with the first key and read with all keys.
 *   `"plaintext"` stores tokens without encryption.
 * - `invalidationInterval`: how often the invalidations of other processes are read; default: 500 milliseconds.
 * - `maxEntries`, `maxBytes`: the bounds of the memory of this process; see {@link MemoryOptions}.
 *
 * @category models
 * @since 0.1.0
 */
export interface TieredOptions<E = never, R = never> extends MemoryOptions {
  readonly store: TokenStore["Service"] | Effect.Effect<TokenStore["Service"], E, R>
  readonly keys: ReadonlyArray<Redacted.Redacted<string>> | "plaintext"
  readonly invalidationInterval?: Duration.Input | undefined
}

/**
 * Creates a cache in the memory of this process, with a store behind it that processes share.
 *
 * **When to use**
 *
 * To request each token once for a whole fleet of processes, and to keep tokens across restarts.
 *
 * **Details**
 *
 * - A token in memory is returned without a look-up in the store.
 * - One process requests a token while the others wait for it, if the store has leases (`TokenStore.Fleet`).
 * - `ConfidentialClient.invalidate` takes effect in all processes within a second.
 * - If the store does not answer, tokens come from memory and from the service. An acquisition never fails because of
 *   the store.
 * - Tokens of managed identities, tokens for a claims challenge, and tokens that are bound to a key stay in memory.
 *
 * The layer fails with an `InvalidRequestError` `field_malformed` when an option is invalid, and with the errors of
 * `store`. See `docs/fleet.md`.
 *
 * **Example** (A cache over a store)
 *
 * ```ts
 * import { Redacted } from "effect"
 * import { TokenCache, TokenStore } from "effect-entra"
 *
 * export const Cache = TokenCache.layerTiered({
 *   store: TokenStore.TokenStore,
 *   keys: [Redacted.make("nGpDsqO8uYy0XoHq0V6lY5rj1W0Yt5qkO3m1bS9e2fM=")]
 * })
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerTiered = <E = never, R = never>(
  options: TieredOptions<E, R>
): Layer.Layer<TokenCache, InvalidRequestError | E, Exclude<R, Scope.Scope>> =>
  Layer.effect(
    TokenCache,
    Effect.gen(function*() {
      const { invalidationInterval = "500 millis", keys, store } = options
      const bounds = yield* Effect.fromResult(boundsOf(options))
      const interval = yield* Effect.fromResult(timeoutOf("invalidationInterval", invalidationInterval))
      const { plaintext, sealed } = yield* Sealing.Sealers
      const sealer = keys === "plaintext" ? yield* plaintext : yield* sealed(yield* Effect.fromResult(rootsOf(keys)))
      return yield* makeTiered(bounds, { store: Effect.isEffect(store) ? yield* store : store, sealer, interval })
    })
  )

/**
 * The options of {@link layerRedis}: those of {@link layerTiered}, and the beginning of all keys in Redis.
 *
 * **Details**
 *
 * - `prefix`: default: `"effect-entra:"`. It may have a hash tag in braces, and no other `{`.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface RedisOptions extends Omit<TieredOptions, "store"> {
  readonly prefix?: string | undefined
}

/**
 * Creates a cache in the memory of this process, with Redis behind it, through the `Redis` service of
 * `effect/persistence`.
 *
 * **When to use**
 *
 * With a Redis client that the program has already. `RedisStore` of `effect-entra/node` has its own client, which
 * connects in the background and replaces connections that hang.
 *
 * **Example** (A cache over a client of the program)
 *
 * ```ts
 * import { NodeRedis } from "@effect/platform-node"
 * import { Layer, Redacted } from "effect"
 * import { TokenCache } from "effect-entra"
 *
 * export const Cache = TokenCache.layerRedis({
 *   keys: [Redacted.make("nGpDsqO8uYy0XoHq0V6lY5rj1W0Yt5qkO3m1bS9e2fM=")]
 * }).pipe(Layer.provide(NodeRedis.layer({ url: "redis://localhost:6379" })))
 * ```
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layerRedis = (
  options: RedisOptions
): Layer.Layer<TokenCache, InvalidRequestError, Redis.Redis> =>
  layerTiered({
    ...options,
    store: Effect.flatMap(Effect.fromResult(prefixOption(options.prefix)), (prefix) =>
      Effect.zipWith(RedisClient, randomId, ({ send }, newId) => makeRedisStore(send, { newId, prefix })))
  })

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
export const layerNoop: Layer.Layer<TokenCache> = /*#__PURE__*/ Layer.sync(TokenCache, () => {
  const invalidations = counter()
  const reactions = new Set<Reaction>()
  return TokenCache.of({
    [TypeId]: TypeId,
    peek: () => undefined,
    find: undefined,
    unshared: undefined,
    lead: (_key, fetch, { read }) => Effect.map(fetch, (token) => ({ token: read(token), level: "None" })),
    invalidate: (selector) =>
      Effect.sync(() => {
        invalidations.add(selector.owner)
        for (const react of reactions) react((key) => selects(selector, key))
      }),
    invalidations: invalidations.of,
    onInvalidated: (react) => {
      reactions.add(react)
      return () => void reactions.delete(react)
    },
    stats: Effect.succeed({ entries: 0, bytes: 0, evictions: 0 }),
    evictions: () => 0,
    disabled: true
  })
})

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const boundsOf = (options: MemoryOptions) =>
  Result.all({
    maxEntries: boundOf("maxEntries", options.maxEntries ?? defaults.maxEntries),
    maxBytes: boundOf("maxBytes", options.maxBytes ?? defaults.maxBytes)
  })

/** The service of `effect/persistence/Redis`, by its key, because its module is large and is not imported. */
const RedisClient = /*#__PURE__*/ Context.Service<Redis.Redis, Redis.Redis["Service"]>("effect/persistence/Redis")

const counter = () => {
  const counts = new Map<string, number>()
  return {
    of: (name: string): number => counts.get(name) ?? 0,
    add: (name: string): void => void counts.set(name, (counts.get(name) ?? 0) + 1)
  }
}

const always = (): boolean => true

interface Lead extends RunningFetches.Fetch {
  /** Fails with an outage, which all waiting callers share. After any other error each of them fetches again. */
  readonly done: Deferred.Deferred<void, AcquireTokenError>
  /** The number of invalidations before it. */
  readonly epoch: number
}

/** A call of `lead`. */
interface Wanted extends LeadOptions {
  readonly caller: Fiber.Fiber<unknown, unknown>
  readonly key: CacheKey
  readonly fetch: Effect.Effect<AccessToken, AcquireTokenError>
  readonly accepts: (token: CachedToken) => boolean
  readonly limit: number
}

/** The longest wait for other processes, in milliseconds, of a fetch without a limit of its own. */
const longestWait = 60_000

interface Bounds {
  readonly maxEntries: number
  readonly maxBytes: number
}

/** Creates a cache in memory. `attach` adds the cache outside this process. */
const makeMemory = (clock: Clock.Clock, bounds: Bounds) => {
  const memory = Memory.make(bounds)
  let outer: OuterCache.OuterCache | undefined
  const leads = RunningFetches.make<Lead>()
  // For each key the fetch that other callers wait for.
  const leases = new Map<string, Lead>()
  const invalidations = counter()
  const reactions = new Set<Reaction>()
  // Tokens that must stay in this process.
  const own = new WeakSet<CachedToken>()
  let epoch = 0

  /**
   * Returns whether the result of a fetch may be stored. Invalidations do not mark a fetch that was given up, so it
   * compares the epochs.
   */
  const mayStore = (lead: Lead, token: CachedToken): boolean => {
    if (lead.invalidated || leads.has(lead)) return !lead.invalidated
    const stored = memory.peek(lead.key.space, lead.key.tenant, lead.key.scopes)
    return lead.epoch === epoch && (stored === undefined || stored.issuedAt < token.issuedAt)
  }

  /** Fetches a token, or gets it from another process. */
  const fetched = (wanted: Wanted, since: number): Effect.Effect<LedToken, AcquireTokenError> => {
    const { accepts, fetch, fresh, key, limit, read, seen, sharing } = wanted
    const alone = (fetch: Effect.Effect<AccessToken, AcquireTokenError>) =>
      Effect.map(fetch, (token): LedToken => ({ token: read(token), level: "None" }))
    if (outer === undefined) return alone(fetch)
    if (sharing?.token !== true) {
      return Effect.map(alone(sharing === undefined ? fetch : outer.unshared(key, fetch)), (led) => {
        own.add(led.token)
        return led
      })
    }
    const { hasToken, isDown, isRefused, rest } = sharing
    return Effect.map(
      outer.share({
        key,
        fetch,
        seen,
        isRefused,
        isForced: fresh,
        hasToken,
        rest,
        isDown,
        limit: Math.min(limit - (monotonicMillis(clock) - since), longestWait),
        accepts: (token) => {
          const entry = read(token)
          return isUsable(entry, clock.currentTimeMillisUnsafe()) && accepts(entry)
        }
      }),
      ({ isFetched, replacement, token }): LedToken => ({
        token: read(token),
        level: isFetched ? "None" : "L2",
        replacement
      })
    )
  }

  const fetchAndStore = (wanted: Wanted, since: number) => {
    const { caller, fresh, key, limit } = wanted
    for (const lost of leads.lost(monotonicMillis(clock))) giveUp(lost)
    const lead: Lead = {
      key,
      done: Deferred.makeUnsafe(),
      until: since + limit,
      mayBeLost: isShared(caller),
      epoch,
      invalidated: false
    }
    leads.add(lead)
    if (!leases.has(key.text)) leases.set(key.text, lead)
    const stored = Effect.map(fetched(wanted, since), (led) => {
      const now = clock.currentTimeMillisUnsafe()
      // A token without a lifetime is not cached.
      if (now < led.token.expiresOn && mayStore(lead, led.token)) memory.store(led.token, now)
      if (fresh && leads.has(lead)) leads.outdate(lead)
      return led
    })
    return Effect.onExitPrimitive(stored, (exit) => {
      leads.end(lead)
      const error = Exit.isSuccess(exit) ? undefined : Option.getOrUndefined(Cause.findErrorOption(exit.cause))
      release(lead, error !== undefined && isOutage(error) && error.origin === "service" ? Exit.fail(error) : Exit.void)
      return undefined
    })
  }

  const release = (lead: Lead, outcome: Exit.Exit<void, AcquireTokenError>): void => {
    if (leases.get(lead.key.text) === lead) leases.delete(lead.key.text)
    Deferred.doneUnsafe(lead.done, outcome)
  }

  /** Gives up a fetch that may have lost its I/O: callers no longer wait for it. */
  const giveUp = (lead: Lead): void => {
    leads.end(lead)
    release(lead, Exit.void)
  }

  const lead = (wanted: Wanted, since: number): Effect.Effect<LedToken, AcquireTokenError> => {
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
      ? fetchAndStore(wanted, since)
      : Effect.flatMap(
        waitForOther(Deferred.await(other.done), {
          clock,
          left,
          orElse: () => Effect.sync(() => giveUp(other))
        }),
        () => lead(wanted, monotonicMillis(clock))
      )
  }

  /** Ends the running fetches of some tokens: their results are not stored, and waiting callers fetch again. */
  const endLeads = (owner: string, isConcerned: (key: CacheKey) => boolean, forget: () => void): void => {
    invalidations.add(owner)
    epoch++
    const doomed = leads.concerned(isConcerned)
    for (const lead of doomed) lead.invalidated = true
    forget()
    for (const lead of doomed) release(lead, Exit.void)
  }

  const forget = (selector: Selector): void =>
    endLeads(selector.owner, (key) => selects(selector, key), () => memory.invalidate(selector))

  const notify: Reaction = (isConcerned, only) => {
    for (const react of reactions) react(isConcerned, only)
  }

  const cache = TokenCache.of({
    [TypeId]: TypeId,
    peek: memory.peek,
    find: undefined,
    unshared: undefined,
    lead: (key, fetch, options) =>
      Effect.withFiber((caller) => {
        const { accepts = always, limit = Infinity, since = 0 } = options
        const wanted = { ...options, caller, key, fetch, accepts, limit }
        return options.fresh ? fetchAndStore(wanted, since) : lead(wanted, since)
      }),
    invalidate: (selector) =>
      Effect.sync(() => {
        forget(selector)
        const { scopes, tenant } = selector
        notify(
          (key) => selects(selector, key),
          tenant === undefined || scopes === undefined ? undefined : { tenant, scopes }
        )
      }),
    invalidations: invalidations.of,
    onInvalidated: (react) => {
      reactions.add(react)
      return () => void reactions.delete(react)
    },
    stats: Effect.sync(() => ({ ...memory.usage })),
    evictions: () => memory.usage.evictions,
    disabled: false
  })
  return {
    cache,
    /** The operations of the outer cache on this memory. */
    inner: {
      invalidate: (owner, concerns) => {
        endLeads(
          owner,
          (key) => concerns(key, Infinity),
          () => memory.removeWhere(owner, (token) => concerns(token, token.issuedAt))
        )
        notify((key) => ownerIn(key.space) === owner && concerns(key, -Infinity))
      },
      tokens: () => [...memory.entries()].filter((token) => !own.has(token)),
      isUsed: (owner) => {
        for (const _ of memory.entries(owner)) return true
        return false
      }
    } satisfies OuterCache.Memory,
    forget,
    notify,
    attach: (outerCache: OuterCache.OuterCache): void => {
      outer = outerCache
    },
    /** Stores a token that was found outside, unless its owner's tokens were invalidated since `before`. */
    keep: (token: CachedToken, owner: string, before: number): CachedToken | undefined => {
      const now = clock.currentTimeMillisUnsafe()
      if (now >= token.expiresOn || invalidations.of(owner) !== before) return undefined
      const known = memory.peek(token.space, token.tenant, token.scopes)
      if (known !== undefined && known.expiresOn >= token.expiresOn) return known
      memory.store(token, now)
      return token
    }
  }
}

/** Creates a cache with a store behind it. */
const makeTiered = (
  bounds: Bounds,
  options: { readonly store: TokenStore["Service"]; readonly sealer: Sealing.Sealer; readonly interval: number }
): Effect.Effect<TokenCache["Service"], never, Scope.Scope> =>
  Effect.gen(function*() {
    const { attach, cache, forget, inner, keep, notify } = makeMemory(yield* Clock.Clock, bounds)
    const outer = yield* OuterCache.make({ ...options, memory: inner })
    attach(outer)
    const lookUps = yield* SingleFlight.make<FoundToken, "closed">({ closed: () => "closed" })
    const find = (key: CacheKey, read: ReadToken): Effect.Effect<FoundToken> => {
      const owner = ownerIn(key.space)
      const before = cache.invalidations(owner)
      const lookUp = Effect.map(outer.find(key), ({ isDown, shared }): FoundToken => {
        const token = shared === undefined ? undefined : keep(read(shared.token), owner, before)
        return { token, replacement: shared?.replacement, isDown }
      })
      return Effect.orElseSucceed(lookUps.join(key.text, lookUp), () => notFound)
    }
    return TokenCache.of({
      ...cache,
      find,
      unshared: outer.unshared,
      // The store is invalidated first, so that tokens that the reactions fetch are shared.
      invalidate: (selector) =>
        Effect.suspend(() => {
          forget(selector)
          // Also after an interruption: the invalidation is stored later.
          return Effect.ensuring(
            outer.invalidate(selector),
            Effect.sync(() => notify((key) => selects(selector, key)))
          )
        }),
      stats: Effect.map(cache.stats, (stats) => ({ ...stats, store: outer.counts() }))
    })
  })

const notFound: FoundToken = { token: undefined, replacement: undefined, isDown: true }
