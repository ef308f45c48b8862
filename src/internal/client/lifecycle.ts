/**
 * What happens when a request is run: serve what is fresh, renew what is due, stretch what is in its last minutes, fetch
 * what is missing, one flight a key.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type { AuthenticationResult, CacheRefreshReason } from "../../AccessToken.ts"
import * as Authority from "../../Authority.ts"
import type { ClientCredential } from "../../ClientCredential.ts"
import type { AcquireTokenError, ConfigurationError } from "../../EntraError.ts"
import type { TokenCache } from "../../TokenCache.ts"
import type { OnThrottled, TokenRequest } from "../../TokenRequest.ts"
import type { Entry, Hit } from "../cache/cachedToken.ts"
import { type CacheKey, keyText, type Selector } from "../cache/cacheKey.ts"
import { freshness, isTooShort, type Times } from "../cache/freshness.ts"
import { patience } from "../endpoint/throttleGate.ts"
import { keepablePlanOf, type Plan, planOf, selectorOf, sentOf, type Settings } from "../request/requestPlan.ts"
import { coolDown, isAhead } from "../shared/cooldown.ts"
import { closedError, isRefused } from "../shared/errors.ts"
import { accessTokenSha256 } from "../shared/sha256.ts"
import * as SingleFlight from "../shared/singleFlight.ts"
import { renewalFailed, requestFailed } from "../telemetry/flightLog.ts"
import type { Order } from "./acquisition.ts"
import { warnIfBuiltTooOften } from "./buildWarning.ts"
import * as Keys from "./clientKeys.ts"
import * as HitPath from "./hitPath.ts"
import * as Keeper from "./keepFresh.ts"
import * as Refusals from "./replacementCooldown.ts"

/**
 * What a client does with requests; times are in milliseconds.
 *
 * @category models
 * @since 0.1.0
 */
export interface TokenLifecycle {
  readonly run: (asked: HitPath.Asked) => Effect.Effect<AuthenticationResult, AcquireTokenError>
  readonly peek: (request: TokenRequest) => AuthenticationResult | undefined
  readonly invalidate: (
    selection: "all" | { readonly tenantId: string } | TokenRequest
  ) => Effect.Effect<void, ConfigurationError>
  readonly keepFresh: (request: TokenRequest) => Effect.Effect<void, ConfigurationError, Scope.Scope>
  readonly counts: () => {
    readonly hits: number
    readonly misses: number
    readonly refreshes: number
    readonly flights: number
  }
}

/**
 * Make the decisions of one client; closing the scope ends its flights.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: {
  readonly settings: Settings
  readonly cache: TokenCache["Service"]
  readonly binding: ClientCredential["Service"]["binding"]
  readonly forget: (selector: Selector) => Effect.Effect<void>
  readonly acquire: (order: Order) => Effect.Effect<AuthenticationResult, AcquireTokenError>
  readonly outageTolerance: boolean
  readonly lastWait: number
  readonly coolDown: { readonly base: number; readonly cap: number }
  readonly onThrottled: OnThrottled
}): Effect.Effect<TokenLifecycle, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { acquire, cache, coolDown, outageTolerance, settings } = options
    const clock = yield* Clock.Clock
    const flights = yield* SingleFlight.make<AuthenticationResult, AcquireTokenError>({
      closed: () => closedError("the client")
    })
    // Those who wait for a gate to open share one timer for a key, and so come back together.
    const waits = yield* SingleFlight.make<void, AcquireTokenError>({ closed: () => closedError("the client") })
    const { keyOf, owner, space } = Keys.make(settings, options.binding)
    const homeTenant = Result.getOrUndefined(Authority.requireTenant(settings.authority))
    let refreshes = 0
    yield* warnIfBuiltTooOften(settings.clientId, clock.currentTimeMillisUnsafe())

    const { hit, isResting, hits, serve } = HitPath.make({
      clock,
      peek: cache.peek,
      space,
      homeTenant,
      allows: settings.allows,
      longestRest: coolDown.cap
    })

    const tally = makeTally(hit)

    const keepers = yield* Keeper.make({ clock, coolDown, isResting })

    const cached = (key: CacheKey): Entry | undefined => cache.peek(key.space, key.tenant, key.scopes)

    /** Only callers who send the same share a flight, the correlation id apart, and nobody one from before an invalidation. */
    const flightOf = (plan: Plan, key: CacheKey): string =>
      keyText(key, sentOf(plan), plan.forced ? "forced" : "", plan.refused, String(cache.invalidations(owner)))

    const run = (asked: HitPath.Asked): Effect.Effect<AuthenticationResult, AcquireTokenError> => {
      const found = serve(asked)
      if (found !== undefined) return found
      const plan = planOf(asked.request, settings)
      if (Result.isFailure(plan)) return Exit.fail(plan.failure)
      const answer = runPlan(plan.success)
      return (plan.success.onThrottled ?? options.onThrottled) === "wait" ? patiently(plan.success, answer) : answer
    }

    /** Whoever is told to leave the service alone does so, and asks again. */
    const patiently = (
      plan: Run,
      answer: Effect.Effect<AuthenticationResult, AcquireTokenError>
    ): Effect.Effect<AuthenticationResult, AcquireTokenError> =>
      Effect.catch(answer, (error) => {
        const left = patience(error)
        if (left === undefined) return Effect.fail(error)
        // However often it has to wait, it is one acquisition.
        const again = { ...plan, isCounted: true }
        return Effect.andThen(
          waits.join(flightOf(plan, keyOf(plan)), Effect.sleep(left)),
          Effect.suspend(() => patiently(again, runPlan(again)))
        )
      })

    const runPlan = (plan: Run): Effect.Effect<AuthenticationResult, AcquireTokenError> => {
      const key = keyOf(plan)
      if (plan.forced || (plan.claims !== "" && plan.refused === "")) return fetch(plan, key, "ForceRefreshOrClaims")
      if (cache.disabled) return fetch(plan, key, "CacheDisabled")
      if (plan.refused !== "") return replace(plan, key)
      const entry = cached(key)
      if (entry === undefined) return fetch(plan, key, "NoCachedAccessToken")
      entry.touch()
      const now = clock.currentTimeMillisUnsafe()
      if (isTooShort(entry, now, plan.minimumValidity)) return fetch(plan, key, "Expired", entry)
      switch (freshness(entry, now)) {
        case "fresh":
          return tally.hit(plan, entry.fresh)
        case "due":
          return Effect.flatMap(renew(entry, plan, key), () => tally.hit(plan, entry.due))
        case "last":
          return outageTolerance ? stretch(entry, plan, key) : fetch(plan, key, "Expired", entry)
        case "expired":
          return fetch(plan, key, "Expired", entry)
      }
    }

    const fetch = (plan: Run, key: CacheKey, reason: CacheRefreshReason, seen?: Entry) =>
      Effect.suspend(() => {
        tally.miss(plan)
        const flight = flightOf(plan, key)
        // Where no cache answers those who come a moment later, whoever comes at the same moment is let on board.
        const isUncached = plan.forced || cache.disabled || (plan.claims !== "" && plan.refused === "")
        const leave = plan.forced ? Effect.sync(() => flights.detach(flight)) : Effect.void
        const beforeSending = isUncached ? Effect.andThen(Effect.yieldNow, leave) : Effect.void
        const acquired = told(plan, acquire({ plan, key, reason, beforeSending, seen, isSpared: notSpared }))
        return flights.join(
          flight,
          plan.refused === "" || seen === undefined
            ? acquired
            : Refusals.noted(acquired, seen.accessToken, plan.claims, clock)
        )
      })

    /** The refused token is replaced if it is still the cached one; else somebody has replaced it already. */
    const replace = (plan: Run, key: CacheKey): Effect.Effect<AuthenticationResult, AcquireTokenError> =>
      Effect.suspend(() => {
        const served = { ...plan, refused: "", claims: "" }
        const entry = cached(key)
        if (entry === undefined) return runPlan({ ...served, claims: plan.claims })
        return Effect.flatMap(accessTokenSha256(entry.accessToken), (hash) =>
          cached(key) !== entry
            ? replace(plan, key)
            : hash === plan.refused
            ? fetch(plan, key, "ForceRefreshOrClaims", entry)
            : runPlan(served))
      })

    const renew = (entry: Entry, plan: Plan, key: CacheKey): Effect.Effect<void> =>
      Effect.suspend(() => {
        if (entry.renewing || isResting(entry, clock.currentTimeMillisUnsafe())) {
          return Effect.void
        }
        return flights.launch(flightOf(plan, key), renewed(entry, plan, key, "ProactivelyRefreshed"))
      })

    /** A flight for the sake of the cache, not of a caller; without a token in hand it is an acquisition. */
    const renewed = (entry: Entry | undefined, plan: Plan, key: CacheKey, reason: CacheRefreshReason) =>
      Effect.suspend(() => {
        refreshes++
        const anonymous = { ...plan, correlationId: undefined }
        const isSpared = (error: AcquireTokenError) =>
          entry !== undefined && staysInUse(entry, error, clock.currentTimeMillisUnsafe(), outageTolerance)
        const flight = acquire({ plan: anonymous, key, reason, beforeSending: Effect.void, seen: entry, isSpared })
        if (entry === undefined) return told(plan, flight)
        return renewal(entry, flight, { clock, coolDown, isSpared, annotations: about(plan, settings) })
      })

    /** In its last minutes a token is renewed first, and served when that is slow or impossible. */
    const stretch = (
      entry: Entry,
      plan: Run,
      key: CacheKey
    ): Effect.Effect<AuthenticationResult, AcquireTokenError> =>
      Effect.suspend(() => {
        const now = clock.currentTimeMillisUnsafe()
        if (isAhead(entry.stretchedUntil, now, options.lastWait)) {
          return tally.hit(plan, entry.outage)
        }
        const flight = flights.join(flightOf(plan, key), renewed(entry, plan, key, "Expired"))
        const serveOr = (otherwise: Effect.Effect<AuthenticationResult, AcquireTokenError>) =>
          Effect.suspend(() => {
            const later = clock.currentTimeMillisUnsafe()
            if (later >= entry.expiresOn || isTooShort(entry, later, plan.minimumValidity)) {
              return tally.missed(plan, otherwise)
            }
            entry.stretchedUntil = later + options.lastWait
            return tally.hit(plan, entry.outage)
          })
        return flight.pipe(
          Effect.tap(() => tally.missed(plan, Effect.void)),
          Effect.catch((error) =>
            isRefused(error) ? tally.missed(plan, Effect.fail(error)) : serveOr(Effect.fail(error))
          ),
          Effect.timeoutOrElse({
            duration: Math.min(options.lastWait, entry.expiresOn - now),
            orElse: () => serveOr(flight)
          }),
          Effect.provideService(Clock.Clock, clock)
        )
      })

    const told = (plan: Plan, flight: Effect.Effect<AuthenticationResult, AcquireTokenError>) =>
      Effect.tapError(flight, (error) => requestFailed(error, about(plan, settings)))

    return {
      run,
      counts: () => ({ hits: hits(), misses: tally.misses(), refreshes, flights: flights.size() }),
      peek: (request) => {
        const plan = planOf(request, settings)
        if (Result.isFailure(plan)) return undefined
        const { claims, forced, minimumValidity, refused } = plan.success
        if (forced || claims !== "" || refused !== "") return undefined
        const entry = cached(keyOf(plan.success))
        if (entry === undefined) return undefined
        const now = clock.currentTimeMillisUnsafe()
        if (isTooShort(entry, now, minimumValidity)) return undefined
        const state = freshness(entry, now)
        const exit = state === "fresh" ? entry.fresh : state === "due" ? entry.due : undefined
        return exit !== undefined && Exit.isSuccess(exit) ? exit.value : undefined
      },
      keepFresh: (request) =>
        Effect.flatMap(Effect.fromResult(keepablePlanOf(request, settings)), (plan) => {
          // A cache that keeps nothing has nothing to keep fresh.
          if (cache.disabled) return Effect.void
          const find = () => cached(keyOf(plan))
          return keepers.keep({
            key: () => keyOf(plan),
            minimumValidity: plan.minimumValidity,
            find,
            renew: (entry) => {
              const key = keyOf(plan)
              const reason = entry === undefined
                ? "NoCachedAccessToken"
                : clock.currentTimeMillisUnsafe() < entry.usableUntil
                ? "ProactivelyRefreshed"
                : "Expired"
              return flights.join(flightOf(plan, key), renewed(entry, plan, key, reason))
            }
          })
        }),
      invalidate: (selection) =>
        Effect.flatMap(Effect.fromResult(selectorOf(selection, owner, settings)), (selector) =>
          // What is forgotten is from before: whoever the cache wakes may be refused anew.
          options.forget(selector).pipe(
            Effect.andThen(cache.invalidate(selector)),
            Effect.andThen(Effect.sync(() => keepers.wake(selector)))
          ))
    }
  })

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const about = (plan: Plan, settings: Settings) => ({
  clientId: settings.clientId,
  tenantId: plan.tenant,
  scope: plan.scopes.wire
})

/** Whether callers are served the token in hand after its renewal has failed; a refusal in its last minutes they hear. */
export const staysInUse = (times: Times, error: AcquireTokenError, now: number, outageTolerance: boolean): boolean =>
  now < times.usableUntil || (outageTolerance && now < times.expiresOn && !isRefused(error))

/** Of a flight that its callers depend on. */
export const notSpared = (): boolean => false

export const renewal = (
  entry: Entry,
  flight: Effect.Effect<AuthenticationResult, AcquireTokenError>,
  options: {
    readonly clock: Clock.Clock
    readonly coolDown: { readonly base: number; readonly cap: number }
    readonly isSpared: (error: AcquireTokenError) => boolean
    readonly annotations: Readonly<Record<string, string>>
  }
): Effect.Effect<AuthenticationResult, AcquireTokenError> =>
  Effect.suspend(() => {
    entry.renewing = true
    return flight
  }).pipe(
    Effect.tapError((error) =>
      Effect.suspend(() => {
        entry.failures++
        const rest = coolDown(entry.failures, options.coolDown)
        entry.retryOn = options.clock.currentTimeMillisUnsafe() + rest
        return options.isSpared(error)
          ? renewalFailed(error, rest, options.annotations)
          : requestFailed(error, options.annotations)
      })
    ),
    Effect.onExit(() =>
      Effect.sync(() => {
        entry.renewing = false
      })
    )
  )

/** A plan that is being run, and whether that has been counted. */
export interface Run extends Plan {
  readonly isCounted?: boolean
}

export interface Tally {
  readonly misses: () => number
  readonly hit: (run: Run, exit: Hit) => Hit
  readonly miss: (run: Run) => void
  readonly missed: <A, E>(run: Run, effect: Effect.Effect<A, E>) => Effect.Effect<A, E>
}

export const makeTally = (hit: (exit: Hit) => Hit): Tally => {
  let misses = 0
  const miss = (run: Run): void => {
    if (run.isCounted !== true) misses++
  }
  return {
    misses: () => misses,
    hit: (run, exit) => run.isCounted === true ? exit : hit(exit),
    miss,
    missed: (run, effect) =>
      Effect.suspend(() => {
        miss(run)
        return effect
      })
  }
}
