/**
 * The cache outside this process. It looks up tokens in a store, lets one process of a fleet request a token while the
 * others wait, and shares invalidations, throttles and outages between processes. If the store does not answer, this
 * process sends the token request itself, so no acquisition fails because of the store.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { AccessToken } from "../../AccessToken.ts"
import type { AcquireTokenError } from "../../EntraError.ts"
import type { Fleet, TokenStore } from "../../TokenStore.ts"
import type { CachedToken } from "../cache/cachedToken.ts"
import { type CacheKey, type CachePlace, keyOf, type Selector } from "../cache/cacheKey.ts"
import { isUsable } from "../cache/freshness.ts"
import type { Replacement } from "../cache/lead.ts"
import { monotonicMillis } from "../shared/monotonic.ts"
import { randomId } from "../shared/randomId.ts"
import { logSafely } from "../shared/safeLog.ts"
import { checked } from "./checkedStore.ts"
import * as Followers from "./followers.ts"
import * as Leases from "./leases.ts"
import * as OwnerEpochs from "./ownerEpochs.ts"
import { type Sealer, tagLength } from "./sealing.ts"
import * as SharedValues from "./sharedValues.ts"
import { type Counts, noCounts } from "./storeCounts.ts"
import * as StoreGuard from "./storeGuard.ts"

/** The result of a look-up. `isDown`: the store did not answer, so this acquisition does not use it again. */
export interface Found {
  readonly shared: SharedValues.SharedToken | undefined
  readonly isDown: boolean
}

/** A fetch that processes share. */
export interface SharedFetch {
  readonly key: CacheKey
  readonly fetch: Effect.Effect<AccessToken, AcquireTokenError>
  /** The token that the caller does not want again. */
  readonly seen: CachedToken | undefined
  /** True when the API has refused `seen`. */
  readonly isRefused: boolean
  /** True when the caller wants the token of its own request. */
  readonly isForced: boolean
  /** True when the caller has a valid token. */
  readonly hasToken: boolean
  /** Returns whether a token of another process is good enough. */
  readonly accepts: (token: AccessToken) => boolean
  /** Returns for how long, in milliseconds, processes with a valid token send no request after an error. */
  readonly rest: (error: AcquireTokenError) => number
  readonly isDown: boolean
  /** The longest wait for other processes, in milliseconds. */
  readonly limit: number
}

/** The result of a shared fetch. `isFetched` is false when the token came from the store. */
export interface SharedResult extends SharedValues.SharedToken {
  readonly isFetched: boolean
}

type Sharing = Effect.Effect<SharedResult, AcquireTokenError>

export interface OuterCache {
  readonly find: (key: CacheKey) => Effect.Effect<Found>
  /** Runs `fetch`, or returns the token that another process has fetched. */
  readonly share: (request: SharedFetch) => Sharing
  /** Runs `fetch` for a token that is not shared, unless the service throttles another process. */
  readonly unshared: <A>(
    key: CacheKey,
    fetch: Effect.Effect<A, AcquireTokenError>
  ) => Effect.Effect<A, AcquireTokenError>
  readonly invalidate: (selector: Selector) => Effect.Effect<void>
  readonly counts: () => Counts & { readonly isDown: boolean }
}

/** The memory of this process. */
export interface Memory {
  readonly invalidate: (owner: string, concerns: (place: CachePlace, issuedAt: number) => boolean) => void
  /** Returns the tokens that may be shared. */
  readonly tokens: () => ReadonlyArray<CachedToken>
  readonly isUsed: (owner: string) => boolean
}

/** The milliseconds over which this process offers its tokens to a store that may have lost them. */
const offerWindow = 10_000

/** The milliseconds between two warnings that the store refuses commands. */
const refusalPause = 600_000

/** The milliseconds that the last commands may take when the cache closes. */
const closingTime = 500

/** A stored token that is older than the one in memory by more than this, in milliseconds, is not taken. */
const ageTolerance = 60_000

/** The turns that a look-up must leave of its budget, so that its acquisition uses the store again. */
const leastLeft = 5

/** The number of stored tokens that one fetch finds unsuitable before it sends a request. */
const mostUnsuitable = 3

/**
 * The number of leases that one fetch waits for. This limits the wait when the service refuses all processes, which
 * then send their requests one after the other.
 */
const mostWaits = 3

/**
 * Creates the outer cache of a process. `interval` is the time between two checks for invalidations, in milliseconds.
 */
export const make = (options: {
  readonly store: TokenStore["Service"]
  readonly sealer: Sealer
  readonly memory: Memory
  readonly interval: number
}): Effect.Effect<OuterCache, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { interval, memory, sealer } = options
    const store = checked(options.store)
    const clock = yield* Clock.Clock
    const random = yield* Random.Random
    const newId = yield* randomId
    const scope = yield* Effect.scope
    // Not in the scope, because the last commands run when it closes.
    const fork = Effect.runForkWith(yield* Effect.context<never>())
    const me = newId()
    const counts: Counts = { ...noCounts }
    // The monotonic time of the next warning of refusals.
    let quietUntil = -Infinity
    let fetches = 0
    // By this process and by others.
    let invalidations = 0

    const running = new Set<Fiber.Fiber<unknown, unknown>>()
    /** Starts work that no caller waits for. */
    const inBackground = (work: Effect.Effect<unknown>): Effect.Effect<void> =>
      Effect.sync(() => {
        const fiber = fork(work)
        running.add(fiber)
        fiber.addObserver(() => void running.delete(fiber))
      })
    const guard = yield* StoreGuard.make({
      onChange: (isDown, reason) =>
        Effect.suspend(() => {
          if (!isDown) {
            return logSafely(Effect.logInfo("the token store answers again")).pipe(
              Effect.andThen(epochs.refresh),
              Effect.andThen(offerAll)
            )
          }
          counts.outages++
          const line = Effect.logWarning("the token store does not answer: tokens come from memory and the service")
          return logSafely(line, { reason })
        }),
      onRefused: (reason) => {
        counts.refusals++
        const now = monotonicMillis(clock)
        if (now < quietUntil) return
        quietUntil = now + refusalPause
        fork(logSafely(Effect.logWarning("the token store refuses commands"), { reason }))
      },
      probe: store.get,
      nodeOf: store.nodeOf
    })
    // Runs before the guard closes, because interrupted fetches are still releasing their leases.
    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => Effect.forEach([...running], (fiber) => Fiber.await(fiber), { discard: true })).pipe(
        Effect.timeoutOption(closingTime),
        Effect.andThen(Effect.suspend(() => Fiber.interruptAll([...running]))),
        Effect.provideService(Clock.Clock, clock)
      )
    )
    const epochs: OwnerEpochs.OwnerEpochs = yield* OwnerEpochs.make({
      store,
      guard,
      sealer,
      newId,
      interval,
      reactions: {
        invalidated: (owner, concerns) => {
          counts.invalidations++
          invalidations++
          memory.invalidate(owner, concerns)
        },
        // In the scope, because a process that closes does not wait for it.
        lost: () => Effect.sync(() => void fork(Effect.forkIn(offerAll, scope))),
        isUsed: memory.isUsed
      }
    })
    const unreadable = () => void counts.unreadable++
    const values = SharedValues.make({ store, guard, sealer, epochs, clock, inBackground, unreadable })
    const { isCurrent, namesOf } = values
    const leasing = store.fleet === undefined ? undefined : {
      fleet: store.fleet,
      leases: Leases.make({ fleet: store.fleet, guard, clock, scope }),
      followers: yield* Followers.make(guard, store.fleet)
    }

    /** A slow store would cost the acquisition another budget, so it counts as a store that does not answer. */
    const missing = ({ left }: StoreGuard.Budget): Effect.Effect<Found> =>
      Effect.sync(() => {
        counts.misses++
        return { shared: undefined, isDown: left < leastLeft }
      })

    /** Looks under the name of each root key, the newest first. */
    const lookUnder = (
      names: ReadonlyArray<SharedValues.Name>,
      index: number,
      budget: StoreGuard.Budget
    ): Effect.Effect<Found> => {
      const at = names[index]
      if (at === undefined) return missing(budget)
      const sentAt = clock.currentTimeMillisUnsafe()
      return Effect.flatMap(guard.run("read", at.name, store.get(at.name), budget), (answer) => {
        if (answer._tag !== "Answered") return Effect.succeed(down)
        if (answer.value === undefined) return lookUnder(names, index + 1, budget)
        return Effect.flatMap(values.token(at, answer.value, sentAt), (shared) => {
          if (shared === undefined) return lookUnder(names, index + 1, budget)
          // An invalidation came while the value was on its way.
          if (!isCurrent(at)) return missing(budget)
          counts.hits++
          return Effect.succeed({ shared, isDown: false })
        })
      })
    }

    const find = (key: CacheKey): Effect.Effect<Found> =>
      Effect.suspend(() => {
        const budget = StoreGuard.newBudget()
        return Effect.flatMap(
          namesOf(key, budget),
          (names) => names === undefined ? Effect.succeed(down) : lookUnder(names, 0, budget)
        )
      })

    /** Fetches, and then shares the outcome with the other processes. `owner` is empty without a lease. */
    const fetchAndTell = (
      { fetch, isRefused, rest, seen: known }: SharedFetch,
      at: SharedValues.Name,
      owner: string,
      seen: Uint8Array | undefined
    ): Sharing =>
      Effect.onExit(
        Effect.map(fetch, (token) => ({
          token,
          replacement: replacementOf(token, isRefused ? known : undefined),
          isFetched: true
        })),
        (exit) => {
          if (Exit.isSuccess(exit)) return inBackground(values.store(at, owner, exit.value, seen))
          const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
          return inBackground(values.tell(at, owner, error, error === undefined ? 0 : rest(error)))
        }
      )

    /** Fetches without the store, and offers the token to it afterwards, unless tokens were invalidated meanwhile. */
    const fetchAlone = ({ fetch, isRefused, key, seen }: SharedFetch): Sharing =>
      Effect.suspend(() => {
        const before = invalidations
        return Effect.flatMap(fetch, (token) => {
          const shared = { token, replacement: replacementOf(token, isRefused ? seen : undefined) }
          const offered = before === invalidations ? inBackground(offer(key, shared)) : Effect.void
          return Effect.as(offered, { ...shared, isFetched: true })
        })
      })

    const offer = (key: CacheKey, shared: SharedValues.SharedToken): Effect.Effect<unknown> =>
      Effect.flatMap(
        namesOf(key, StoreGuard.newBudget()),
        (names) => names === undefined ? Effect.void : values.store(names[0], "", shared, undefined)
      )

    /** Returns whether a stored token replaces the token that the caller has. */
    const isSuitable = ({ accepts, seen }: SharedFetch, { token }: SharedValues.SharedToken): boolean =>
      token.expiresOn > clock.currentTimeMillisUnsafe() && accepts(token) &&
      (seen === undefined || token.issuedAt >= seen.issuedAt - ageTolerance)

    const share = (request: SharedFetch): Sharing =>
      Effect.gen(function*() {
        const budget = StoreGuard.newBudget()
        const names = request.isDown ? undefined : yield* namesOf(request.key, budget)
        if (names === undefined) return yield* fetchAlone(request)
        const seen = request.seen === undefined ? undefined : yield* sealer.tagOf(request.seen.accessToken)
        if (request.isForced) return yield* unshared(request.key, fetchAndTell(request, names[0], "", seen))
        return leasing === undefined
          ? yield* lookAndFetch(request, names[0], seen, budget)
          : yield* ask(
            { request, leasing, since: monotonicMillis(clock), waits: 0, budget },
            names[0],
            seen,
            mostUnsuitable
          )
      })

    /** Looks the token up once more and then fetches, for a store that has no leases or refuses them. */
    const lookAndFetch = (
      request: SharedFetch,
      at: SharedValues.Name,
      seen: Uint8Array | undefined,
      budget: StoreGuard.Budget
    ): Sharing =>
      Effect.gen(function*() {
        // Tokens are due at whole seconds, so without a random delay these processes would send their requests at once.
        if (isBackground(request)) yield* clock.sleep(Duration.millis(random.nextDoubleUnsafe() * 1000))
        const sentAt = clock.currentTimeMillisUnsafe()
        const answer = yield* guard.run("read", at.name, store.get(at.name), budget)
        if (answer._tag === "Silent") return yield* fetchAlone(request)
        const value = answer._tag === "Answered" ? answer.value : undefined
        if (value !== undefined && !startsWith(value.bytes, seen)) {
          const shared = yield* values.token(at, value, sentAt)
          if (shared !== undefined && isSuitable(request, shared) && isCurrent(at)) {
            counts.hits++
            return { ...shared, isFetched: false }
          }
        }
        return yield* fetchAndTell(request, at, "", seen)
      })

    /** Returns whether no caller waits for a fetch, because the token that it replaces is served. */
    const isBackground = ({ hasToken, seen }: SharedFetch): boolean =>
      hasToken && seen !== undefined && isUsable(seen, clock.currentTimeMillisUnsafe())

    /** Requests the lease until this process holds it, or until another process has shared an outcome. */
    const ask = (
      call: {
        readonly request: SharedFetch
        readonly leasing: Leasing
        readonly since: number
        readonly waits: number
        readonly budget: StoreGuard.Budget
      },
      at: SharedValues.Name,
      seen: Uint8Array | undefined,
      tries: number
    ): Sharing =>
      Effect.gen(function*() {
        const { budget, leasing: { fleet, followers, leases }, request, since } = call
        const lease = { name: at.name, owner: `${me}.${++fetches}` }
        const sentAt = clock.currentTimeMillisUnsafe()
        const { hasToken } = request
        const answer = yield* guard.run(
          "read",
          at.name,
          fleet.take(at.name, { owner: lease.owner, ttl: Leases.leaseTtl, seen, hasToken }),
          budget
        )
        if (answer._tag === "Silent") return yield* fetchAlone(request)
        if (answer._tag === "Refused") return yield* lookAndFetch(request, at, seen, budget)
        switch (answer.value._tag) {
          case "Taken":
            return yield* leases.hold(lease, fetchAndTell(request, at, lease.owner, seen))
          case "Unwritable":
            return yield* fetchAndTell(request, at, "", seen)
          case "Stored": {
            const { value } = answer.value
            const shared = yield* values.token(at, value, sentAt)
            if (shared !== undefined && isSuitable(request, shared) && isCurrent(at)) {
              counts.hits++
              return { ...shared, isFetched: false }
            }
            return tries > 0
              ? yield* ask(call, at, value.bytes.subarray(0, tagLength), tries - 1)
              : yield* fetchAndTell(request, at, "", seen)
          }
          case "Throttled": {
            const error = yield* values.throttle(at, answer.value.value)
            return error === undefined ? yield* fetchAndTell(request, at, "", seen) : yield* Effect.fail(error)
          }
          case "Failed": {
            const error = yield* values.outage(at, answer.value.value)
            if (error === undefined) return yield* fetchAndTell(request, at, "", seen)
            counts.followed++
            return yield* Effect.fail(error)
          }
          case "Held": {
            const left = request.limit - (monotonicMillis(clock) - since)
            if (left <= 0 || call.waits >= mostWaits) return yield* fetchAndTell(request, at, "", seen)
            counts.waits++
            const end = yield* followers.wait(at.name, left)
            // An invalidation meanwhile has changed the name.
            const names = end === "down" ? undefined : yield* namesOf(request.key, budget)
            if (names === undefined) return yield* fetchAlone(request)
            // The wait was for the service and not for the store, so the budget is new.
            const again = { ...call, waits: call.waits + 1, budget: StoreGuard.newBudget() }
            const result = yield* ask(again, names[0], seen, tries)
            if (!result.isFetched) counts.followed++
            return result
          }
        }
      })

    const unshared = <A>(
      key: CacheKey,
      fetch: Effect.Effect<A, AcquireTokenError>
    ): Effect.Effect<A, AcquireTokenError> =>
      Effect.gen(function*() {
        const budget = StoreGuard.newBudget()
        const at = leasing === undefined ? undefined : (yield* namesOf(key, budget))?.[0]
        if (leasing === undefined || at === undefined) return yield* fetch
        const { fleet } = leasing
        const answer = yield* guard.run("read", at.name, fleet.take(at.name, justLooking), budget)
        const error = answer._tag === "Answered" && answer.value._tag === "Throttled"
          ? yield* values.throttle(at, answer.value.value)
          : undefined
        if (error !== undefined) return yield* Effect.fail(error)
        return yield* Effect.tapError(
          fetch,
          (error) => error._tag === "EntraThrottledError" ? inBackground(values.tell(at, "", error, 0)) : Effect.void
        )
      })

    let round = 0
    /** Offers the tokens in memory, each at a random time, so that processes do not offer all tokens at once. */
    const offerAll: Effect.Effect<void> = Effect.suspend(() => {
      // This round replaces an earlier one, and includes the tokens that it has not offered yet.
      const mine = ++round
      const start = monotonicMillis(clock)
      const offers = memory.tokens()
        .map((token) => ({ token, at: start + random.nextDoubleUnsafe() * offerWindow }))
        .sort((one, other) => one.at - other.at)
      const offerAt = ({ at, token }: (typeof offers)[number]) =>
        Effect.andThen(
          Effect.suspend(() => clock.sleep(Duration.millis(Math.max(0, at - monotonicMillis(clock))))),
          Effect.suspend(() => {
            if (!token.isCached || mine !== round) return Effect.void
            const { scopes, space, tenant } = token
            return offer(keyOf(space, tenant, scopes), { token: token.issued, replacement: undefined })
          })
        )
      return Effect.forEach(offers, offerAt, { discard: true })
    })

    return {
      find,
      share,
      unshared,
      invalidate: (selector) =>
        Effect.suspend(() => {
          invalidations++
          return epochs.invalidate(selector)
        }),
      counts: () => ({ ...counts, isDown: guard.isDown() })
    }
  })

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

interface Leasing {
  readonly fleet: Fleet
  readonly leases: Leases.Leases
  readonly followers: Followers.Followers
}

const down: Found = { shared: undefined, isDown: true }

const justLooking = { owner: "", ttl: Duration.zero, seen: undefined, hasToken: false }

const startsWith = (bytes: Uint8Array, tag: Uint8Array | undefined): boolean =>
  tag !== undefined && tag.every((byte, at) => bytes[at] === byte)

const replacementOf = (token: AccessToken, refused: CachedToken | undefined): Replacement | undefined =>
  refused === undefined
    ? undefined
    : Redacted.value(refused.accessToken) === Redacted.value(token.secret)
    ? "unchanged"
    : "replaced"
