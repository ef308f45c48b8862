/**
 * The lifecycle of a request. A fresh token is served. A due token is served and refreshed in the background. A token
 * near expiry is refreshed first, and a missing token is fetched. Each key has at most one flight: an acquisition that
 * several callers may share.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { AuthenticationResult, CacheRefreshReason } from "../../AccessToken.ts"
import * as Authority from "../../Authority.ts"
import type { ClientCredential } from "../../ClientCredential.ts"
import type { AcquireTokenError, ConfigurationError } from "../../EntraError.ts"
import type { TokenCache } from "../../TokenCache.ts"
import type { OnThrottled, TokenRequest } from "../../TokenRequest.ts"
import type { CachedToken, Hit, Times } from "../cache/cachedToken.ts"
import {
  type Binding,
  type CacheKey,
  encode,
  keyOf as makeKey,
  ownerOf,
  type Selector,
  spaceOf
} from "../cache/cacheKey.ts"
import { freshness, isTooShort, isUsable, refreshFrom } from "../cache/freshness.ts"
import type { FoundToken } from "../cache/lead.ts"
import { retryWait } from "../endpoint/throttleGate.ts"
import {
  type ClientSettings,
  keepablePlanOf,
  planOf,
  type RequestPlan,
  selectorOf,
  withoutReplacement
} from "../request/requestPlan.ts"
import { coolDown } from "../shared/cooldown.ts"
import { closedError, isRefused } from "../shared/errors.ts"
import { monotonicMillis } from "../shared/monotonic.ts"
import { accessTokenSha256 } from "../shared/sha256.ts"
import * as SingleFlight from "../shared/singleFlight.ts"
import { refreshFailed, requestFailed } from "../telemetry/flightLog.ts"
import type { Acquisitions, Flight } from "./acquisition.ts"
import { warnIfBuiltTooOften } from "./buildWarning.ts"
import * as HitPath from "./hitPath.ts"
import * as KeepFresh from "./keepFresh.ts"
import * as ReplacementCooldown from "./replacementCooldown.ts"

/** The decisions of one client about its requests. */
export interface Lifecycle {
  readonly run: (call: HitPath.TokenCall) => Effect.Effect<AuthenticationResult, AcquireTokenError>
  readonly peek: (request: TokenRequest) => AuthenticationResult | undefined
  readonly invalidate: (
    selection: "all" | { readonly tenantId: string } | TokenRequest
  ) => Effect.Effect<void, ConfigurationError>
  readonly keepFresh: (request: TokenRequest) => Effect.Effect<void, ConfigurationError, Scope.Scope>
  readonly tokens: (request: TokenRequest) => Stream.Stream<AuthenticationResult, AcquireTokenError>
  readonly counts: () => {
    readonly hits: number
    readonly misses: number
    readonly refreshes: number
    readonly flights: number
  }
}

/** The options of refreshes. Times are in milliseconds. */
export interface Renewal {
  readonly maxWait: number
  readonly serveStaleOnOutage: boolean
  readonly serveStaleOnRefusal: boolean
  readonly backoff: { readonly base: number; readonly cap: number }
}

/** A look-up in the store behind the cache that has just found no usable token, and the monotonic time at which it began. */
type LookUp = Pick<Flight, "isDown" | "since">

/** A running plan. It is counted once, even if it waits and runs again. */
interface Run extends RequestPlan {
  readonly isCounted?: boolean
}

type Acquired = Effect.Effect<AuthenticationResult, AcquireTokenError>

/** Creates the lifecycle of one client; closing the scope ends its flights. */
export const make = (options: {
  readonly settings: ClientSettings
  readonly cache: TokenCache["Service"]
  readonly binding: ClientCredential["Service"]["binding"]
  readonly forget: (selector: Selector) => Effect.Effect<void>
  readonly acquisitions: Acquisitions
  readonly renewal: Renewal
  /** The time limit of a flight in milliseconds. */
  readonly limit: number
  readonly onThrottled: OnThrottled
}): Effect.Effect<Lifecycle, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { acquisitions, binding, cache, limit, renewal: { backoff, maxWait, ...stale }, settings } = options
    const clock = yield* Clock.Clock
    const flights = yield* SingleFlight.make<AuthenticationResult, AcquireTokenError>({
      closed: () => closedError("The client"),
      limit
    })
    // Callers that wait for a gate share one timer per key, so that they share the next request too.
    const waits = yield* SingleFlight.make<void, AcquireTokenError>({ closed: () => closedError("The client") })
    const owner = ownerOf(settings.clientId, settings.authority.environment)
    const { partition: own } = settings.extras.own
    const bearer = spaceOf(owner, undefined, own)

    /** The space of requests without parameters or a partition of their own. */
    const space = (bound: Binding | undefined): string => bound === undefined ? bearer : spaceOf(owner, bound, own)

    const keyOf = ({ extras: { partition }, scopes, tenant }: RequestPlan): CacheKey =>
      makeKey(partition === own ? space(binding()) : spaceOf(owner, binding(), partition), tenant, scopes.canonical)

    /** Returns whether tokens are bound to a key of this process, so that other processes cannot use them. */
    const isBound = (): boolean => binding() !== undefined

    const homeTenant = Result.getOrUndefined(Authority.requireTenant(settings.authority))
    let refreshes = 0
    let misses = 0
    yield* warnIfBuiltTooOften(settings.clientId, clock.currentTimeMillisUnsafe())

    const { hit, isRefreshing, isResting, hits, serve } = HitPath.make({
      clock,
      peek: cache.peek,
      binding,
      space,
      homeTenant,
      allows: settings.allows,
      limit
    })
    const counted = (run: Run, exit: Hit): Hit => run.isCounted === true ? exit : hit(exit)
    const missed = (run: Run): void => {
      if (run.isCounted !== true) misses++
    }

    const keepers = yield* KeepFresh.make({ clock, backoff, isResting })
    const acquire = (flight: Flight): Acquired =>
      Effect.map(acquisitions.acquire(flight), (result) => {
        keepers.show(flight.key)
        return result
      })

    const unsubscribe = cache.onInvalidated(keepers.wake)
    yield* Effect.addFinalizer(() => Effect.sync(unsubscribe))

    const cached = (key: CacheKey): CachedToken | undefined => cache.peek(key.space, key.tenant, key.scopes)

    const peek = (request: TokenRequest): AuthenticationResult | undefined => {
      const plan = planOf(request, settings)
      if (Result.isFailure(plan)) return undefined
      const { claims, forced, minimumValidity, refused } = plan.success
      if (forced || claims !== "" || refused !== "") return undefined
      const token = cached(keyOf(plan.success))
      if (token === undefined) return undefined
      const now = clock.currentTimeMillisUnsafe()
      if (isTooShort(token, now, minimumValidity)) return undefined
      const state = freshness(token, now)
      const exit = state === "fresh" ? token.freshHit : state === "staleWhileRevalidate" ? token.staleHit : undefined
      return exit !== undefined && Exit.isSuccess(exit) ? exit.value : undefined
    }

    /**
     * Returns the key of a flight. Callers share a flight if their requests differ only in the correlation id. The number of
     * invalidations is part of the key, so that no caller joins a flight from before an invalidation.
     */
    const flightOf = (plan: RequestPlan, key: CacheKey): string =>
      key.text + encode([plan.sent, plan.forced ? "forced" : "", plan.refused, String(cache.invalidations(owner))])

    const run = (call: HitPath.TokenCall): Acquired => {
      const found = serve(call)
      if (found !== undefined) return found
      const plan = planOf(call.request, settings)
      if (Result.isFailure(plan)) return Exit.fail(plan.failure)
      const answer = runPlan(plan.success)
      return waitsIfThrottled(plan.success) ? waitWhileThrottled(plan.success, answer) : answer
    }

    const waitsIfThrottled = ({ onThrottled }: RequestPlan): boolean => (onThrottled ?? options.onThrottled) === "wait"

    /** Waits for the service's Retry-After, and runs the plan again. */
    const waitWhileThrottled = (plan: Run, answer: Acquired): Acquired =>
      Effect.catch(answer, (error) => {
        const left = retryWait(error)
        if (left === undefined) return Effect.fail(error)
        const again = { ...plan, isCounted: true }
        const until = monotonicMillis(clock) + left
        const wait = Effect.suspend(() => Effect.sleep(Math.max(0, until - monotonicMillis(clock))))
        return Effect.andThen(
          waits.join(flightOf(plan, keyOf(plan)), wait, left),
          Effect.suspend(() => waitWhileThrottled(again, runPlan(again)))
        )
      })

    const runPlan = (plan: Run): Acquired => {
      const key = keyOf(plan)
      if (plan.forced || (plan.claims !== "" && plan.refused === "")) {
        return fetch(plan, key, "ForceRefreshOrClaims", plan.refused === "" ? cached(key) : undefined)
      }
      if (cache.disabled) return fetch(plan, key, "CacheDisabled")
      if (plan.refused !== "") return replace(plan, key)
      const token = cached(key)
      if (token !== undefined) return decide(token, plan, key)
      if (cache.find === undefined || isBound()) return fetch(plan, key, "NoCachedAccessToken")
      const since = monotonicMillis(clock)
      return Effect.flatMap(find(key), ({ isDown, token }) =>
        token === undefined
          ? fetch(plan, key, "NoCachedAccessToken", undefined, { isDown, since })
          : decide(token, plan, key, since))
    }

    /** Looks up a token outside this process. */
    const find = (key: CacheKey): Effect.Effect<FoundToken> => {
      if (cache.find === undefined || isBound()) return Effect.succeed(nothing)
      return Effect.map(cache.find(key, acquisitions.read(key)), (found) => {
        const { replacement, token } = found
        if (token !== undefined && replacement !== undefined) ReplacementCooldown.adopt(token, replacement, clock)
        return found
      })
    }

    /**
     * Serves a token, or refreshes it first. A token that has just come from the store behind the cache was looked up at
     * `since`.
     */
    const decide = (token: CachedToken, plan: Run, key: CacheKey, since?: number): Acquired => {
      token.touch()
      const now = clock.currentTimeMillisUnsafe()
      if (isTooShort(token, now, plan.minimumValidity)) return fetch(plan, key, "Expired", token)
      switch (freshness(token, now)) {
        case "fresh":
          return counted(plan, since === undefined ? token.freshHit : fromStore(token, "NotApplicable", since))
        case "staleWhileRevalidate":
          return Effect.flatMap(
            refreshInBackground(token, plan, key),
            () => counted(plan, since === undefined ? token.staleHit : fromStore(token, "ProactivelyRefreshed", since))
          )
        case "staleIfError":
          return stale.serveStaleOnOutage ? refreshFirst(token, plan, key) : fetch(plan, key, "Expired", token)
        case "expired":
          return fetch(plan, key, "Expired", token)
      }
    }

    /** Returns the result of a token that has just come from the store behind the cache. */
    const fromStore = (token: CachedToken, cacheRefreshReason: CacheRefreshReason, since: number): Hit => {
      const total = Duration.millis(monotonicMillis(clock) - since)
      const durations = { total, cache: total, credential: Duration.zero, http: Duration.zero }
      return Exit.succeed(
        token.result({ tokenSource: "Cache", cacheLevel: "L2", cacheRefreshReason, outage: false, durations }, true)
      )
    }

    const fetch = (
      plan: Run,
      key: CacheKey,
      reason: CacheRefreshReason,
      seen?: CachedToken,
      lookUp?: LookUp
    ): Acquired =>
      Effect.suspend(() => {
        if (plan.isCounted !== true) misses++
        const flight = flightOf(plan, key)
        // Where no cache answers callers that come a moment later, callers of the same moment still join the flight. A forced
        // flight is closed to new callers once its request is sent.
        const beforeSending = plan.forced
          ? Effect.andThen(Effect.yieldNow, Effect.sync(() => flights.detach(flight)))
          : cache.disabled || (plan.claims !== "" && plan.refused === "")
          ? Effect.yieldNow
          : undefined
        const acquired = reported(
          plan,
          acquire({ ...lookUp, plan, key, reason, beforeSending, seen, isSpared: notSpared })
        )
        const joined = flights.join(
          flight,
          plan.refused === "" || seen === undefined
            ? acquired
            : ReplacementCooldown.noted(acquired, seen.accessToken, plan.claims, clock)
        )
        return longEnough(plan, key, joined)
      })

    /**
     * Runs the plan again if a shared flight brought a token of another request that may be too short for this caller. The
     * result does not have the time of issue, so it is judged by the cached token, if that is the same one.
     */
    const longEnough = (plan: Run, key: CacheKey, joined: Acquired): Acquired =>
      plan.minimumValidity === 0 ? joined : Effect.flatMap(joined, (result) => {
        if (result.metadata.tokenSource === "IdentityProvider") return Effect.succeed(result)
        const token = cached(key)
        return token !== undefined && token.expiresOn === result.expiresOn.epochMilliseconds &&
            !isTooShort(token, clock.currentTimeMillisUnsafe(), plan.minimumValidity)
          ? Effect.succeed(result)
          : runPlan({ ...plan, isCounted: true })
      })

    /**
     * Replaces the refused token if it is still the cached token. Otherwise another caller has replaced it already, or
     * has received the same token again. `found` is the token from the store behind the cache, because the memory may
     * have no room for it.
     */
    const replace = (plan: Run, key: CacheKey, found?: CachedToken): Acquired =>
      Effect.suspend(() => {
        const kept = cached(key)
        const token = kept ?? found
        if (token === undefined) {
          const since = monotonicMillis(clock)
          return Effect.flatMap(find(key), ({ isDown, token }) =>
            token === undefined
              ? fetch({ ...plan, refused: "" }, key, "NoCachedAccessToken", undefined, { isDown, since })
              : replace(plan, key, token))
        }
        return Effect.flatMap(accessTokenSha256(token.accessToken), (hash) =>
          cached(key) !== kept
            ? replace(plan, key, found)
            : hash === plan.refused && !ReplacementCooldown.isUnchanged(token.accessToken, clock)
            ? fetch(plan, key, "ForceRefreshOrClaims", token)
            : runPlan({ ...plan, ...withoutReplacement(plan) }))
      })

    const reported = (plan: RequestPlan, flight: Acquired): Acquired =>
      Effect.tapError(flight, (error) => requestFailed(error, about(plan, settings)))

    const refreshInBackground = (token: CachedToken, plan: RequestPlan, key: CacheKey): Effect.Effect<void> =>
      Effect.suspend(() =>
        isRefreshing(token, clock.currentTimeMillisUnsafe()) || isResting(token)
          ? Effect.void
          : flights.launch(flightOf(plan, key), refresh(token, plan, key, "ProactivelyRefreshed"))
      )

    /** Refreshes a token for the cache, on behalf of no single caller. Without a token it acquires a token. */
    const refresh = (
      token: CachedToken | undefined,
      plan: RequestPlan,
      key: CacheKey,
      reason: CacheRefreshReason,
      lookUp?: LookUp
    ): Acquired =>
      Effect.suspend(() => {
        refreshes++
        const anonymous = { ...plan, correlationId: undefined }
        const isSpared = (error: AcquireTokenError) =>
          token !== undefined && staysInUse(token, error, clock.currentTimeMillisUnsafe(), stale)
        const rest = token === undefined ? undefined : () => coolDown(token.failures + 1, backoff)
        const flight = acquire({ ...lookUp, plan: anonymous, key, reason, seen: token, isSpared, rest })
        if (token === undefined) return reported(plan, flight)
        const since = clock.currentTimeMillisUnsafe()
        token.refreshingSince = since
        return flight.pipe(
          Effect.tap((result) =>
            Effect.sync(() => {
              // A token without a lifetime does not replace the cached token, which would be refreshed again at once.
              if (!KeepFresh.hasLifetime(result)) token.retryOn = monotonicMillis(clock) + backoff.cap
            })
          ),
          Effect.tapError((error) =>
            Effect.suspend(() => {
              token.failures++
              token.outageReason = error.code
              const pause = coolDown(token.failures, backoff)
              token.retryOn = monotonicMillis(clock) + pause
              return isSpared(error)
                ? refreshFailed(error, nextTry(token, pause), about(plan, settings))
                : requestFailed(error, about(plan, settings))
            })
          ),
          Effect.onExit(() => {
            // Another refresh may have begun, because this one took too long.
            if (token.refreshingSince === since) token.refreshingSince = -Infinity
            return Effect.void
          })
        )
      })

    /** Returns the time until a call may send a request. The pause ends when the token becomes near expiry. */
    const nextTry = (token: CachedToken, pause: number): number =>
      Math.min(pause, Math.max(maxWait, token.usableUntil - clock.currentTimeMillisUnsafe()))

    /** Refreshes a token near expiry, and serves it if the refresh is slow or fails. */
    const refreshFirst = (token: CachedToken, plan: Run, key: CacheKey): Acquired =>
      Effect.suspend(() => {
        const now = clock.currentTimeMillisUnsafe()
        if (monotonicMillis(clock) < token.stretchedUntil) return counted(plan, token.outageHit)
        const flight = longEnough(plan, key, flights.join(flightOf(plan, key), refresh(token, plan, key, "Expired")))
        const serveOr = (otherwise: Acquired): Acquired =>
          Effect.suspend(() => {
            const later = clock.currentTimeMillisUnsafe()
            if (freshness(token, later) === "expired" || isTooShort(token, later, plan.minimumValidity)) {
              missed(plan)
              return otherwise
            }
            token.stretchedUntil = monotonicMillis(clock) + maxWait
            return counted(plan, token.outageHit)
          })
        return flight.pipe(
          Effect.tap(() => Effect.sync(() => missed(plan))),
          Effect.catch((error) => {
            if (isServable(error, stale)) return serveOr(Effect.fail(error))
            missed(plan)
            return Effect.fail(error)
          }),
          Effect.timeoutOrElse({
            duration: Math.min(maxWait, token.expiresOn - now),
            orElse: () => serveOr(flight)
          }),
          Effect.provideService(Clock.Clock, clock)
        )
      })

    const keepable = (request: TokenRequest) => Effect.fromResult(keepablePlanOf(request, settings))

    /** Returns the task of a fiber that keeps the token of a plan fresh. */
    const taskOf = (plan: RequestPlan): KeepFresh.Task => ({
      key: () => keyOf(plan),
      minimumValidity: plan.minimumValidity,
      find: () => cached(keyOf(plan)),
      refresh: (entry) => {
        const key = keyOf(plan)
        if (entry !== undefined) return joinRefresh(entry, plan, key)
        // The memory may have no room for the token in the store, which may be due.
        const since = monotonicMillis(clock)
        return Effect.flatMap(find(key), ({ isDown, token }) =>
          token === undefined || clock.currentTimeMillisUnsafe() >= refreshFrom(token, plan.minimumValidity)
            ? joinRefresh(token, plan, key, { isDown, since })
            : fromStore(token, "NotApplicable", since))
      }
    })

    const joinRefresh = (
      token: CachedToken | undefined,
      plan: RequestPlan,
      key: CacheKey,
      lookUp?: LookUp
    ): Acquired => {
      const reason = cache.disabled
        ? "CacheDisabled"
        : token === undefined
        ? "NoCachedAccessToken"
        : isUsable(token, clock.currentTimeMillisUnsafe())
        ? "ProactivelyRefreshed"
        : "Expired"
      return flights.join(flightOf(plan, key), refresh(token, plan, key, reason, lookUp))
    }

    return {
      run,
      counts: () => ({ hits: hits(), misses, refreshes, flights: flights.size() }),
      peek,
      // A disabled cache has no tokens to keep fresh.
      keepFresh: (request) =>
        Effect.flatMap(keepable(request), (plan) =>
          cache.disabled ? Effect.void : keepers.keep(taskOf(plan))),
      tokens: (request) =>
        Stream.unwrap(Effect.map(keepable(request), (plan) =>
          keepers.tokens(taskOf(plan), waitsIfThrottled(plan)))),
      invalidate: (selection) =>
        Effect.flatMap(Effect.fromResult(selectorOf(selection, owner, settings)), (selector) =>
          // Refusals are forgotten first, because callers that the cache wakes may be refused again.
          Effect.andThen(options.forget(selector), cache.invalidate(selector)))
    }
  })

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

type Stale = Pick<Renewal, "serveStaleOnOutage" | "serveStaleOnRefusal">

/** Returns whether callers are served a token near expiry although its refresh failed. */
const isServable = (error: AcquireTokenError, { serveStaleOnOutage, serveStaleOnRefusal }: Stale): boolean =>
  serveStaleOnOutage && (serveStaleOnRefusal || !isRefused(error))

/** Returns whether callers are served the current token after its refresh failed. */
const staysInUse = (times: Times, error: AcquireTokenError, now: number, stale: Stale): boolean =>
  isUsable(times, now) || (freshness(times, now) !== "expired" && isServable(error, stale))

const nothing: FoundToken = { token: undefined, replacement: undefined, isDown: false }

/** The `isSpared` of a flight whose callers need its result. */
const notSpared = (): boolean => false

const about = (plan: RequestPlan, settings: ClientSettings) => ({
  clientId: settings.clientId,
  tenantId: plan.tenant,
  scope: plan.scopes.wire
})
