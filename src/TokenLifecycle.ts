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
import type { AuthenticationResult, CacheRefreshReason } from "./AccessToken.ts"
import type { Order } from "./Acquisition.ts"
import * as Authority from "./Authority.ts"
import type { ClientCredential } from "./ClientCredential.ts"
import type { AcquireTokenError, ConfigurationError } from "./EntraError.ts"
import { noteBuild } from "./internal/buildCount.ts"
import { type CacheKey, keyText, ownerOf, type Selector, spaceOf } from "./internal/cacheKey.ts"
import { closedError } from "./internal/closed.ts"
import type { Entry } from "./internal/entry.ts"
import { logged } from "./internal/flightLog.ts"
import { coolDown, freshness, isAhead } from "./internal/freshness.ts"
import { isRefused } from "./internal/gate.ts"
import * as HitPath from "./internal/hitPath.ts"
import { type Plan, planOf, type Settings } from "./internal/plan.ts"
import * as Refusals from "./internal/refusals.ts"
import * as SingleFlight from "./internal/singleFlight.ts"
import { accessTokenSha256 } from "./internal/tokenHash.ts"
import type { TokenCache } from "./TokenCache.ts"
import type { TokenRequest } from "./TokenRequest.ts"

/**
 * What a client does with requests; times are in milliseconds.
 *
 * @category models
 * @since 0.1.0
 */
export interface TokenLifecycle {
  readonly run: (request: TokenRequest) => Effect.Effect<AuthenticationResult, AcquireTokenError>
  readonly peek: (request: TokenRequest) => AuthenticationResult | undefined
  readonly invalidate: (
    selection: "all" | { readonly tenantId: string } | TokenRequest
  ) => Effect.Effect<void, ConfigurationError>
  readonly counts: () => { readonly hits: number; readonly misses: number; readonly refreshes: number }
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
}): Effect.Effect<TokenLifecycle, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { acquire, cache, settings } = options
    const clock = yield* Clock.Clock
    const flights = yield* SingleFlight.make<AuthenticationResult, AcquireTokenError>({
      closed: () => closedError("the client")
    })
    const owner = ownerOf(settings.clientId, settings.authority.environment)
    const bearerSpace = spaceOf(owner, undefined)
    const homeTenant = settings.authority.kind === "Adfs" ? "" : settings.authority.tenant
    // Counts invalidations: who asks after one does not join a flight from before it.
    let generation = 0
    const counts = { misses: 0, refreshes: 0 }
    yield* warnIfBuiltTooOften(settings.clientId, clock.currentTimeMillisUnsafe())

    const space = (): string => {
      const binding = options.binding()
      return binding === undefined ? bearerSpace : spaceOf(owner, binding)
    }

    const { hit, isResting, hits, serve } = HitPath.make({
      clock,
      peek: cache.peek,
      space,
      homeTenant,
      allows: settings.allows,
      longestRest: options.coolDown.cap
    })

    const keyOf = (plan: Plan): CacheKey => ({ space: space(), tenant: plan.tenant, scopes: plan.scopes.canonical })

    /** Only callers who send the same share a flight, the correlation id apart. */
    const flightOf = (plan: Plan, key: CacheKey): string =>
      keyText(key, plan.claims, plan.forced ? "forced" : "", plan.refused, String(generation))

    const run = (request: TokenRequest): Effect.Effect<AuthenticationResult, AcquireTokenError> => {
      const found = serve(request)
      if (found !== undefined) return found
      const plan = planOf(request, settings)
      return Result.isFailure(plan) ? Exit.fail(plan.failure) : runPlan(plan.success)
    }

    const runPlan = (plan: Plan): Effect.Effect<AuthenticationResult, AcquireTokenError> => {
      const key = keyOf(plan)
      if (plan.forced || (plan.claims !== "" && plan.refused === "")) return fetch(plan, key, "ForceRefreshOrClaims")
      if (cache.disabled) return fetch(plan, key, "CacheDisabled")
      if (plan.refused !== "") return replace(plan, key)
      const entry = cache.peek(key.space, key.tenant, key.scopes)
      if (entry === undefined) return fetch(plan, key, "NoCachedAccessToken")
      entry.visited = true
      switch (freshness(entry, clock.currentTimeMillisUnsafe())) {
        case "fresh":
          return hit(entry.fresh)
        case "due":
          return Effect.flatMap(renew(entry, plan, key), () => hit(entry.due))
        case "last":
          return options.outageTolerance ? stretch(entry, plan, key) : fetch(plan, key, "Expired", entry)
        case "expired":
          return fetch(plan, key, "Expired", entry)
      }
    }

    const fetch = (plan: Plan, key: CacheKey, reason: CacheRefreshReason, seen?: Entry) =>
      Effect.suspend(() => {
        counts.misses++
        const flight = flightOf(plan, key)
        const beforeSending = plan.forced ? Effect.sync(() => flights.detach(flight)) : Effect.void
        const acquired = Effect.annotateLogs(
          logged(acquire({ plan, key, reason, beforeSending, seen })),
          about(plan, settings)
        )
        return flights.join(
          flight,
          plan.refused === "" || seen === undefined
            ? acquired
            : Refusals.noted(acquired, seen.accessToken, plan.claims, clock)
        )
      })

    /** The refused token is replaced if it is still the cached one; else somebody has replaced it already. */
    const replace = (plan: Plan, key: CacheKey): Effect.Effect<AuthenticationResult, AcquireTokenError> =>
      Effect.suspend(() => {
        const cached = () => cache.peek(key.space, key.tenant, key.scopes)
        const served = { ...plan, refused: "", claims: "" }
        const entry = cached()
        if (entry === undefined) return runPlan({ ...served, claims: plan.claims })
        return Effect.flatMap(accessTokenSha256(entry.accessToken), (hash) =>
          hash === plan.refused && cached() === entry
            ? fetch(plan, key, "ForceRefreshOrClaims", entry)
            : runPlan(served))
      })

    const renew = (entry: Entry, plan: Plan, key: CacheKey): Effect.Effect<void> =>
      Effect.suspend(() => {
        if (entry.renewing || isResting(entry, clock.currentTimeMillisUnsafe())) return Effect.void
        return flights.launch(flightOf(plan, key), renewal(entry, plan, key, "ProactivelyRefreshed"))
      })

    /** A flight that also keeps the entry's account of renewals. */
    const renewal = (entry: Entry, plan: Plan, key: CacheKey, reason: CacheRefreshReason) =>
      Effect.suspend(() => {
        entry.renewing = true
        counts.refreshes++
        return acquire({
          plan: { ...plan, correlationId: undefined },
          key,
          reason,
          beforeSending: Effect.void,
          seen: entry
        })
      }).pipe(
        Effect.tapError((error) =>
          Effect.suspend(() => {
            entry.failures++
            const rest = coolDown(entry.failures, options.coolDown)
            entry.retryOn = clock.currentTimeMillisUnsafe() + rest
            return Effect.logWarning(
              `token renewal failed (${error._tag} ${error.code}); the token in hand stays in use`
            )
              .pipe(Effect.annotateLogs({ nextTryInMillis: rest, ...about(plan, settings) }))
          })
        ),
        Effect.onExit(() =>
          Effect.sync(() => {
            entry.renewing = false
          })
        )
      )

    /** In its last minutes a token is renewed first, and served when that is slow or impossible. */
    const stretch = (entry: Entry, plan: Plan, key: CacheKey): Effect.Effect<AuthenticationResult, AcquireTokenError> =>
      Effect.suspend(() => {
        const now = clock.currentTimeMillisUnsafe()
        if (isAhead(entry.stretchedUntil, now, options.lastWait)) return hit(entry.outage)
        const flight = flights.join(flightOf(plan, key), renewal(entry, plan, key, "Expired"))
        const serveOr = (otherwise: Effect.Effect<AuthenticationResult, AcquireTokenError>) =>
          Effect.suspend(() => {
            const later = clock.currentTimeMillisUnsafe()
            if (later >= entry.expiresOn) return otherwise
            entry.stretchedUntil = later + options.lastWait
            return hit(entry.outage)
          })
        return flight.pipe(
          Effect.tap(() => Effect.sync(() => counts.misses++)),
          Effect.catch((error) => isRefused(error) ? Effect.fail(error) : serveOr(Effect.fail(error))),
          Effect.timeoutOrElse({
            duration: Math.min(options.lastWait, entry.expiresOn - now),
            orElse: () => serveOr(flight)
          }),
          Effect.provideService(Clock.Clock, clock)
        )
      })

    return {
      run,
      counts: () => ({ ...counts, hits: hits() }),
      peek: (request) => {
        const plan = planOf(request, settings)
        if (Result.isFailure(plan)) return undefined
        const { claims, forced, refused } = plan.success
        if (forced || claims !== "" || refused !== "") return undefined
        const key = keyOf(plan.success)
        const entry = cache.peek(key.space, key.tenant, key.scopes)
        if (entry === undefined) return undefined
        const now = freshness(entry, clock.currentTimeMillisUnsafe())
        const exit = now === "fresh" ? entry.fresh : now === "due" ? entry.due : undefined
        return exit !== undefined && Exit.isSuccess(exit) ? exit.value : undefined
      },
      invalidate: (selection) => {
        const drop = (selector: Selector) =>
          Effect.suspend(() => {
            generation++
            return Effect.andThen(cache.invalidate(selector), options.forget(selector))
          })
        if (selection === "all") return drop({ owner })
        if (!("scopes" in selection)) {
          return Effect.flatMap(
            Effect.fromResult(Authority.parseTenant(selection.tenantId)),
            (tenant) => drop({ owner, tenant })
          )
        }
        return Effect.flatMap(
          Effect.fromResult(planOf(selection, settings)),
          ({ scopes, tenant }) => drop({ owner, tenant, scopes: scopes.canonical })
        )
      }
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

const warnIfBuiltTooOften = (clientId: string, now: number): Effect.Effect<void> =>
  noteBuild(clientId, now)
    ? Effect.logWarning(
      "this client was built more than ten times within a minute, each time with an empty cache. "
        + "Effect.provide inside a handler does that: provide the layer once at the edge of the program, or use a ManagedRuntime."
    ).pipe(Effect.annotateLogs({ clientId }))
    : Effect.void
