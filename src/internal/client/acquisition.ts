/**
 * The acquisition of a token by one flight, which several callers may share. Only this module calls all services.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as References from "effect/References"
import type * as Tracer from "effect/Tracer"
import type { AccessToken, AuthenticationResult, CacheRefreshReason } from "../../AccessToken.ts"
import * as Authority from "../../Authority.ts"
import type { AuthorityResolver } from "../../AuthorityResolver.ts"
import type { ClientCredential } from "../../ClientCredential.ts"
import type { AcquireTokenError, Durations, InvalidClientError } from "../../EntraError.ts"
import type { TokenCache } from "../../TokenCache.ts"
import type { EndpointRequest, TokenEndpoint } from "../../TokenEndpoint.ts"
import { CachedToken, timesOf } from "../cache/cachedToken.ts"
import type { CacheKey } from "../cache/cacheKey.ts"
import { isTooShort } from "../cache/freshness.ts"
import type { LedToken, Sharing } from "../cache/lead.ts"
import type { Acquisition, ClientAuthentication } from "../credential/credential.ts"
import { isReplicationLag } from "../endpoint/aadsts.ts"
import { claimsWith } from "../endpoint/claimsParameter.ts"
import { clientCredentialsForm, type RequestPlan } from "../request/requestPlan.ts"
import { withAttempts } from "../shared/errors.ts"
import { monotonicMillis } from "../shared/monotonic.ts"
import { randomId } from "../shared/randomId.ts"
import { isTraced } from "../shared/tracing.ts"
import type { Telemetry } from "../telemetry/telemetry.ts"
import * as ReplacementCooldown from "./replacementCooldown.ts"

/** The services of an acquisition; `margin` is in milliseconds. */
export interface Services {
  readonly clientId: string
  readonly margin: number
  readonly defaultLifetime: number | undefined
  readonly credential: ClientCredential["Service"]
  readonly resolver: AuthorityResolver["Service"]
  readonly endpoint: TokenEndpoint["Service"]
  readonly cache: TokenCache["Service"]
  readonly telemetry: Pick<Telemetry, "ended" | "used">
  /** The time limit of an acquisition in milliseconds, for other callers that wait for it. */
  readonly limit: number
}

/** One acquisition: the plan of its request, the key of its token, and its reason. */
export interface Flight {
  readonly plan: RequestPlan
  readonly key: CacheKey
  readonly reason: CacheRefreshReason
  /** Runs directly before the first request. */
  readonly beforeSending?: Effect.Effect<void> | undefined
  /** The cached token that this acquisition is to replace. */
  readonly seen: CachedToken | undefined
  /** Whether a look-up in the store behind the cache has just failed, and the monotonic time at which it began. */
  readonly isDown?: boolean | undefined
  readonly since?: number | undefined
  /** Whether callers have a valid token, and for how many milliseconds such callers send no request after an error. */
  readonly rest?: ((error: AcquireTokenError) => number) | undefined
  /** Returns whether callers are served a token although the acquisition failed with `error`. */
  readonly isSpared: (error: AcquireTokenError) => boolean
}

export interface Acquisitions {
  readonly acquire: (flight: Flight) => Effect.Effect<AuthenticationResult, AcquireTokenError>
  /** Returns the entry of a token, which has the times of this client. */
  readonly read: (key: CacheKey) => (token: AccessToken) => CachedToken
}

/**
 * Returns a function that runs one flight: cache, gate, authority, then credential and request for each attempt, then the
 * cache again. Tokens for claims are neither looked up nor stored, because they belong to that challenge; the exception is
 * the replacement of a refused token.
 */
export const make = (
  services: Services
): Effect.Effect<Acquisitions> =>
  Effect.gen(function*() {
    const clock = yield* Clock.Clock
    const random = yield* Random.Random
    const newId = yield* randomId
    const { cache, clientId, credential, defaultLifetime, endpoint, limit, margin, resolver, telemetry } = services

    const fetch = (
      { beforeSending, key, plan }: Flight,
      acquisition: Acquisition,
      begin: () => ClientAuthentication,
      timing: EndpointRequest["timing"],
      since: number
    ) => {
      const resolved = resolver.resolve(plan.authority, { channel: credential.channel })
      const first: EndpointRequest = {
        acquisition,
        authority: plan.authority,
        tokenType: credential.binding()?.tokenType ?? "Bearer",
        defaultLifetime,
        gate: { key, sent: plan.sent, forced: plan.forced },
        endpoints: beforeSending === undefined ? resolved : Effect.tap(resolved, beforeSending),
        query: plan.extras.query,
        form: clientCredentialsForm(
          clientId,
          plan,
          plan.claims === "" ? plan.extras.claims : claimsWith(plan.extras.capabilities, plan.claims)
        ),
        authentication: begin(),
        timing
      }
      /** Repeats the request while there is other material that the service has not refused. */
      const persistent = (request: EndpointRequest, left: number): Effect.Effect<AccessToken, AcquireTokenError> =>
        Effect.catchTag(
          endpoint.request(request),
          "EntraInvalidClientError",
          (error) =>
            // A Retry-After applies to other material too.
            error.retryAfter !== undefined || left === 0 ? Effect.fail(error) : Effect.flatMap(
              Effect.andThen(
                telemetry.used(request.authentication.revision()),
                hasOther(request.authentication, error)
              ),
              (again) => again ? persistent({ ...request, repeats: undefined }, left - 1) : Effect.fail(error)
            )
        )
      return Effect.catchTag(
        persistent(first, mostRequests - 1),
        "EntraInvalidClientError",
        (refusal) =>
          isReplicationLag(refusal)
            ? persistent({ ...first, authentication: begin(), repeats: { refusal, since } }, mostRequests - 1)
            : Effect.fail(refusal)
      )
    }

    const read = (key: CacheKey) => (token: AccessToken): CachedToken =>
      new CachedToken(key, token, timesOf(token, { margin, jitter: random.nextDoubleUnsafe() }))

    const sharingOf = ({ isDown = false, plan, rest }: Flight): Sharing | undefined =>
      cache.find === undefined || credential.binding() !== undefined ? undefined : {
        token: plan.claims === "",
        isRefused: plan.refused !== "",
        hasToken: rest !== undefined,
        rest: rest ?? noRest,
        isDown
      }

    const acquire = (flight: Flight) =>
      Effect.withFiber((fiber) => {
        const { plan, reason } = flight
        const startedAt = flight.since ?? monotonicMillis(clock)
        const timing: EndpointRequest["timing"] = { attempts: 0, credential: 0, http: 0 }
        const acquisition: Acquisition = {
          clientId,
          tenantId: plan.tenant,
          scope: plan.scopes.wire,
          authority: Authority.format(plan.authority),
          claims: plan.claims,
          clientCapabilities: plan.extras.capabilities,
          sendCertificateChain: plan.sendCertificateChain,
          correlationId: plan.correlationId ?? newId()
        }
        let authentication: ClientAuthentication | undefined
        let fetched = 0
        let issued: AccessToken | undefined
        /** The remaining time counts as cache time. */
        const durations = (): Durations => {
          const total = monotonicMillis(clock) - startedAt
          return {
            total: Duration.millis(total),
            cache: Duration.millis(total - fetched),
            credential: Duration.millis(timing.credential),
            http: Duration.millis(timing.http)
          }
        }
        const fetching = Effect.suspend(() => {
          const begun = monotonicMillis(clock)
          return Effect.onExitPrimitive(
            Effect.map(
              fetch(flight, acquisition, () => authentication = credential.begin(acquisition), timing, begun),
              (token) => issued = token
            ),
            () => {
              fetched += monotonicMillis(clock) - begun
              return undefined
            }
          )
        })
        const led = plan.claims === "" || plan.refused !== ""
          ? cache.lead(flight.key, fetching, {
            fresh: plan.forced,
            seen: flight.seen,
            read: read(flight.key),
            since: startedAt,
            limit,
            accepts: plan.minimumValidity === 0
              ? undefined
              : (token) => !isTooShort(token, clock.currentTimeMillisUnsafe(), plan.minimumValidity),
            sharing: sharingOf(flight)
          })
          : Effect.map(
            cache.unshared?.(flight.key, fetching) ?? fetching,
            (token): LedToken => ({ token: read(flight.key)(token), level: "None" })
          )
        let told: Durations | undefined
        const result = Effect.matchEffect(led, {
          // The cooldown identifies a replacement by its `Redacted`, so later cache hits must have the same object.
          onSuccess: ({ level, replacement, token }) => {
            if (replacement !== undefined && level === "L2") ReplacementCooldown.adopt(token, replacement, clock)
            return Effect.succeed(token.result(
              {
                tokenSource: level === "None" ? "IdentityProvider" : "Cache",
                cacheLevel: level,
                cacheRefreshReason: reason,
                outage: false,
                tokenEndpoint: issued?.tokenEndpoint,
                durations: told = durations()
              },
              plan.refused !== "",
              level === "None" ? issued?.secret : undefined
            ))
          },
          onFailure: (error) =>
            Effect.fail(
              timing.attempts === 0
                ? error
                : withAttempts(error, { attempts: timing.attempts, durations: told = durations() })
            )
        })
        const traced = (span: Tracer.Span | undefined) =>
          Effect.onExitPrimitive(result, (exit) =>
            telemetry.ended({
              acquisition,
              reason,
              revision: timing.attempts > 0 ? authentication?.revision() : undefined,
              isSpared: flight.isSpared,
              attempts: timing.attempts,
              durations: told ?? durations(),
              minimumLogLevel: fiber.getRef(References.MinimumLogLevel),
              span
            }, exit))
        return Effect.annotateLogs(
          isTraced(fiber)
            // A span of its own, whose last attributes are known when the flight ends.
            ? Effect.useSpan("effect-entra.acquireToken", {
              attributes: {
                "entra.client_id": clientId,
                "entra.tenant_id": acquisition.tenantId,
                "entra.scope": acquisition.scope,
                "entra.refresh_reason": reason,
                "entra.correlation_id": acquisition.correlationId
              }
            }, (span) => Effect.withParentSpan(traced(span), span, { captureStackTrace: false }))
            : traced(undefined),
          {
            clientId,
            tenantId: acquisition.tenantId,
            scope: acquisition.scope,
            correlationId: acquisition.correlationId
          }
        )
      })

    return { acquire, read }
  })

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** The maximum number of requests of an acquisition. A list of credentials is not longer, so that each of them is tried. */
const mostRequests = 8

/** The rest of a flight whose callers have no token. */
const noRest = (): number => 0

/** Returns whether there is other material. The result is false if the credential hangs or dies. */
const hasOther = (authentication: ClientAuthentication, error: InvalidClientError): Effect.Effect<boolean> =>
  Effect.suspend(() => authentication.refused(error)).pipe(
    Effect.timeoutOrElse({ duration: "10 seconds", orElse: () => Effect.succeed(false) }),
    Effect.catchDefect(() => Effect.succeed(false))
  )
