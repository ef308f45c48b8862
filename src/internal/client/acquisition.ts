/**
 * One flight, from key to result: the only place that sequences the services.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Random from "effect/Random"
import type * as Tracer from "effect/Tracer"
import type { AuthenticationResult, CacheRefreshReason } from "../../AccessToken.ts"
import * as Authority from "../../Authority.ts"
import type { AuthorityResolver } from "../../AuthorityResolver.ts"
import type { ClientCredential } from "../../ClientCredential.ts"
import type { AcquireTokenError, InvalidClientError } from "../../EntraError.ts"
import type { TokenCache } from "../../TokenCache.ts"
import type { TokenEndpoint } from "../../TokenEndpoint.ts"
import { Entry } from "../cache/cachedToken.ts"
import type { CacheKey } from "../cache/cacheKey.ts"
import { timesOf } from "../cache/freshness.ts"
import { claimsWith } from "../endpoint/claimsParameter.ts"
import { clientCredentialsForm } from "../endpoint/tokenForm.ts"
import { type Plan, sentOf } from "../request/requestPlan.ts"
import { randomId } from "../shared/randomId.ts"
import type { Telemetry } from "../telemetry/telemetry.ts"
import * as Meter from "../telemetry/timing.ts"

/**
 * What an acquisition works with.
 *
 * **Details**
 *
 * `expiryMargin` is in milliseconds.
 *
 * @category models
 * @since 0.1.0
 */
export interface Services {
  readonly clientId: string
  readonly capabilities: ReadonlyArray<string>
  readonly expiryMargin: number
  readonly credential: ClientCredential["Service"]
  readonly resolver: AuthorityResolver["Service"]
  readonly endpoint: TokenEndpoint["Service"]
  readonly cache: TokenCache["Service"]
  readonly telemetry: Pick<Telemetry, "ended" | "proved">
}

/**
 * One acquisition: what is asked, where its token is filed, why, and what to do at the moment before the first request.
 *
 * @category models
 * @since 0.1.0
 */
export interface Order {
  readonly plan: Plan
  readonly key: CacheKey
  readonly reason: CacheRefreshReason
  readonly beforeSending: Effect.Effect<void>
  /** The cached token that was found wanting. */
  readonly seen: Entry | undefined
  /** Whether callers are served a token although this failed. */
  readonly isSpared: (error: AcquireTokenError) => boolean
}

/**
 * Acquire a token by its key: cache, gate, authority, then per attempt credential and request; then store it.
 *
 * **Details**
 *
 * Tokens asked for with claims are neither looked up nor stored: they belong to that challenge. The exception is one that
 * replaces a refused token.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  services: Services
): Effect.Effect<(order: Order) => Effect.Effect<AuthenticationResult, AcquireTokenError>> =>
  Effect.gen(function*() {
    const clock = yield* Clock.Clock
    const random = yield* Random.Random
    const newId = yield* randomId
    const { cache, capabilities, clientId, credential, endpoint, resolver, telemetry } = services

    const fetch = Effect.fnUntraced(function*(order: Order, correlationId: string, meter: Meter.Meter) {
      const { plan } = order
      const gate = {
        key: order.key,
        sent: sentOf(plan),
        revision: credential.revision(),
        forced: plan.forced
      }
      yield* endpoint.admit(gate)
      const endpoints = yield* resolver.resolve(plan.authority, { channel: credential.channel })
      yield* order.beforeSending
      // What the credential remembers an acquisition by, for as long as it is under way.
      const acquisition = {}
      const request = (revision: string) =>
        endpoint.request({
          gate: { ...gate, revision },
          endpoints,
          query: plan.extras.query,
          form: {
            ...plan.extras.form,
            ...clientCredentialsForm({
              clientId,
              scopes: plan.scopes.wire,
              claims: claimsWith(capabilities, plan.claims)
            })
          },
          asked: {
            authority: plan.authority,
            clientId,
            tenantId: plan.tenant,
            scopes: plan.scopes.wire,
            tokenType: credential.binding()?.tokenType ?? "Bearer",
            correlationId
          },
          authenticate: (endpoints) =>
            credential.authenticate({
              clientId,
              tenantId: plan.tenant,
              authority: Authority.format(plan.authority),
              tokenEndpoint: endpoints.token,
              audience: endpoints.audience,
              assertion: endpoints.assertion,
              secretMethod: endpoints.secretMethod,
              claims: plan.claims,
              clientCapabilities: capabilities,
              sendCertificateChain: plan.sendCertificateChain,
              correlationId,
              acquisition
            }).pipe(
              // Callers ask the gate by what `revision()` names: what it does not name says nothing to them.
              Effect.map((proof) =>
                proof.revision === credential.revision() ? proof : { ...proof, revision: undefined }
              ),
              Effect.tap(() => telemetry.proved(credential.revision()))
            ),
          meter
        })
      let { revision } = gate
      const token = yield* persistent(
        () => request(revision),
        (error) =>
          Effect.map(renewed(credential, error, acquisition), (isRenewed) => {
            revision = credential.revision()
            return isRenewed
          })
      )
      const times = timesOf(token, { expiryMargin: services.expiryMargin, jitter: random.nextDoubleUnsafe() })
      return { entry: new Entry(order.key, token, times), tokenEndpoint: token.tokenEndpoint }
    })

    /** In a span of its own, whose last attributes are known when the flight ends. */
    const spanned = <A, E>(
      { plan, reason }: Order,
      correlationId: string,
      ended: (exit: Exit.Exit<A, E>, span: Tracer.Span) => Effect.Effect<void>
    ) =>
    (flight: Effect.Effect<A, E>): Effect.Effect<A, E> =>
      Effect.useSpan("effect-entra.acquireToken", {
        attributes: {
          "entra.client_id": clientId,
          "entra.tenant_id": plan.tenant,
          "entra.scope": plan.scopes.wire,
          "entra.refresh_reason": reason,
          "entra.correlation_id": correlationId
        }
      }, (span) =>
        Effect.withParentSpan(Effect.onExit(flight, (exit) => ended(exit, span)), span, { captureStackTrace: false }))

    return (order) =>
      Effect.suspend(() => {
        const { plan } = order
        const meter = Meter.start(clock)
        const correlationId = plan.correlationId ?? newId()
        let fetched = 0
        let tokenEndpoint: string | undefined
        const fetching = Effect.suspend(() => {
          const begun = clock.currentTimeMillisUnsafe()
          return fetch(order, correlationId, meter).pipe(
            Effect.map((token) => {
              tokenEndpoint = token.tokenEndpoint
              return token.entry
            }),
            Effect.ensuring(Effect.sync(() => {
              fetched += clock.currentTimeMillisUnsafe() - begun
            }))
          )
        })
        const durations = () =>
          Meter.read(meter, clock.currentTimeMillisUnsafe() - meter.startedAt - fetched)
        const led = plan.claims === "" || plan.refused !== ""
          ? cache.lead(order.key, fetching, { fresh: plan.forced, seen: order.seen })
          : Effect.map(fetching, (entry) => ({ entry, level: "None" as const }))
        return led.pipe(
          Effect.map(({ entry, level }) =>
            // A replacement is known by its `Redacted`, so what is served later has to carry the same.
            entry.result(
              {
                tokenSource: level === "None" ? "IdentityProvider" : "Cache",
                cacheLevel: level,
                cacheRefreshReason: order.reason,
                outage: false,
                tokenEndpoint,
                durations: durations()
              },
              plan.refused !== ""
            )
          ),
          // The errors of this flight are its own until it ends, so what is known only now can be added.
          Effect.mapError((error) =>
            meter.attempts === 0 ? error : Object.assign(error, { attempts: meter.attempts, durations: durations() })
          ),
          spanned(order, correlationId, (exit, span) =>
            telemetry.ended({ order, correlationId, meter, durations: durations(), span }, exit)),
          Effect.annotateLogs({
            clientId,
            tenantId: plan.tenant,
            scope: plan.scopes.wire,
            correlationId
          })
        )
      })
  })

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** So many requests at most, whatever a credential says of its material; a list is no longer, so that its turn comes. */
const mostRequests = 8

/** Asks again while there is material that the service has not refused. */
const persistent = <A>(
  request: () => Effect.Effect<A, AcquireTokenError>,
  isRenewed: (error: InvalidClientError) => Effect.Effect<boolean>,
  left = mostRequests - 1
): Effect.Effect<A, AcquireTokenError> =>
  Effect.catchTag(
    Effect.suspend(request),
    "EntraInvalidClientError",
    (error) =>
      // Asked to wait, even new material waits.
      error.retryAfter !== undefined || left === 0 ? Effect.fail(error) : Effect.flatMap(
        isRenewed(error),
        (again) => again ? persistent(request, isRenewed, left - 1) : Effect.fail(error)
      )
  )

/** Whether there is new material; a credential that hangs or dies over the question has none. */
const renewed = (
  credential: ClientCredential["Service"],
  error: InvalidClientError,
  acquisition: object
): Effect.Effect<boolean> =>
  Effect.suspend(() => credential.refused(error, acquisition)).pipe(
    Effect.timeoutOrElse({ duration: "10 seconds", orElse: () => Effect.succeed(false) }),
    Effect.catchDefect(() => Effect.succeed(false))
  )
