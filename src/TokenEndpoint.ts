/**
 * The service that sends token requests (RFC 6749 section 4.4.2). It repeats a request by a schedule after an outage,
 * and has a throttle gate, a circuit breaker, and a fallback from a regional to the global endpoint.
 *
 * `layer`, `layerWith` and their options are unstable, because their types name the `HttpClient` of `effect/http`,
 * which Effect tags as unstable.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { AccessToken } from "./AccessToken.ts"
import type * as Authority from "./Authority.ts"
import type {
  AcquireTokenError,
  CredentialError,
  InvalidAuthorityError,
  InvalidClientError,
  InvalidRequestError,
  NetworkError,
  ServiceUnavailableError
} from "./EntraError.ts"
import type { Endpoints } from "./internal/authority/endpointLayout.ts"
import type { CacheKey, Selector } from "./internal/cache/cacheKey.ts"
import type { Acquisition, Authentication, ClientAuthentication } from "./internal/credential/credential.ts"
import { withBudget } from "./internal/endpoint/acquisitionLimit.ts"
import * as CircuitBreaker from "./internal/endpoint/circuitBreaker.ts"
import * as RegionalFallback from "./internal/endpoint/regionalFallback.ts"
import * as RequestSlots from "./internal/endpoint/requestSlots.ts"
import * as ThrottleGate from "./internal/endpoint/throttleGate.ts"
import { finalError, readTokenResponse } from "./internal/endpoint/tokenResponse.ts"
import { type Fields, noFields, revealed, standardHeaders, withQuery } from "./internal/http/fields.ts"
import * as IdentityHttp from "./internal/http/identityHttp.ts"
import { type Scrub, scrubberOf } from "./internal/http/redaction.ts"
import {
  credentialDefect,
  credentialTimeout,
  crowded,
  isOutage,
  type Outage,
  serviceUnavailable,
  tooSlow
} from "./internal/shared/errors.ts"
import { monotonicMillis } from "./internal/shared/monotonic.ts"
import { within } from "./internal/shared/timeLimit.ts"
import { countOf, durationOf, timeoutOf } from "./internal/shared/validate.ts"
import * as RetryPolicy from "./RetryPolicy.ts"

export {
  /**
   * The HTTP client that requests use: `HttpClient` of `effect/http`.
   *
   * @stability unstable
   * @category models
   * @since 0.1.0
   */
  type Transport
} from "./internal/http/identityHttp.ts"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * One acquisition for the token endpoint: its destination, its fields, and the client authentication of each attempt.
 *
 * **Details**
 *
 * - `acquisition`: the client, the tenant, the scope and the correlation id; `authority` is its parsed authority.
 * - `tokenType`: the type that the token must have.
 * - `gate`: the key of the throttle gate. `sent` are the fields that the cache key leaves out, `forced` ignores
 *   remembered refusals.
 * - `endpoints`: resolved after the gate has let the request pass.
 * - `defaultLifetime`: the lifetime in milliseconds of a token whose response has no `expires_in`; 0: the token is not
 *   cached; default: such a response is an error.
 * - `query`, `form`: fields of the request. Errors and logs contain neither.
 * - `authentication`: the client authentication of this acquisition.
 * - `timing`: counters that the endpoint adds to, in requests and milliseconds.
 * - `repeats`: the refusal of the first request of this acquisition, which began at `since`, in milliseconds of the
 *   monotonic clock. The endpoint waits before it repeats the request. If the retry policy or the budget does not allow
 *   a further request, it fails with `refusal`.
 *
 * @category models
 * @since 0.1.0
 */
export interface EndpointRequest {
  readonly acquisition: Acquisition
  readonly authority: Authority.Authority
  readonly tokenType: string
  readonly defaultLifetime?: number | undefined
  readonly gate: { readonly key: CacheKey; readonly sent: string; readonly forced: boolean }
  readonly endpoints: Effect.Effect<Endpoints, InvalidAuthorityError | ServiceUnavailableError | NetworkError>
  readonly query: Fields
  readonly form: Fields
  readonly authentication: ClientAuthentication
  readonly timing: { attempts: number; credential: number; http: number }
  readonly repeats?: { readonly refusal: InvalidClientError; readonly since: number } | undefined
}

/**
 * Options of {@link layerWith}.
 *
 * **Details**
 *
 * - `transformClient`: wraps the HTTP client (a proxy, a log, a header).
 * - `retry`: the schedule of further attempts; default: {@link RetryPolicy.standard}. Its first step also decides
 *   whether a refusal that a new registration may explain is repeated once, after a second or more.
 * - `attemptTimeout`: the time limit of each client authentication and of each token request; default: 10 seconds.
 * - `budget`: the longest time of all attempts together, with their client authentication; default: 30 seconds. A
 *   regional endpoint gets half of it. If the regional endpoint has an outage, the global endpoint gets the rest. While
 *   a `Retry-After` of the regional endpoint holds, only the global endpoint is used.
 * - `maxConcurrentRequests`: the number of token requests that run at a time, per origin; default: 32. Further requests
 *   wait, and tenants take turns. The client authentication begins after the wait, which is part of `budget` and not of
 *   `attemptTimeout`. A request whose wait uses up the budget fails with a `ServiceUnavailableError`
 *   `concurrency_limit`.
 * - `refusalTtl`: how long a refusal, or a response that is not a token response, is repeated locally; default: 5
 *   seconds (`base`), doubling with each further refusal up to 60 seconds (`cap`).
 * - `breaker`: the circuit breaker. After `failures` acquisitions in a row that end in an outage, or in a response that
 *   is not a token response (default: 5), nothing is sent to the origin of the endpoint for `openDuration` (default: 30
 *   seconds).
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly transformClient?: ((client: IdentityHttp.Transport) => IdentityHttp.Transport) | undefined
  readonly retry?: RetryPolicy.RetryPolicy | undefined
  readonly attemptTimeout?: Duration.Input | undefined
  readonly budget?: Duration.Input | undefined
  readonly maxConcurrentRequests?: number | undefined
  readonly refusalTtl?:
    | { readonly base?: Duration.Input | undefined; readonly cap?: Duration.Input | undefined }
    | undefined
  readonly breaker?:
    | { readonly failures?: number | undefined; readonly openDuration?: Duration.Input | undefined }
    | undefined
}

/**
 * The number of keys (client, tenant, scopes, claims, credential) for which nothing is sent now: `throttled` by the
 * service's `Retry-After`, `refused` by a recent refusal.
 *
 * @category models
 * @since 0.1.0
 */
export interface EndpointStats {
  readonly throttled: number
  readonly refused: number
}

/**
 * The default values of {@link Options}.
 *
 * @category models
 * @since 0.1.0
 */
export const defaults = {
  attemptTimeout: "10 seconds",
  budget: "30 seconds",
  maxConcurrentRequests: 32,
  refusalTtl: { base: "5 seconds", cap: "60 seconds" },
  breaker: { failures: 5, openDuration: "30 seconds" }
} as const

// -----------------------------------------------------------------------------
// services
// -----------------------------------------------------------------------------

/**
 * The service that sends token requests.
 *
 * **Details**
 *
 * - `request`: checks the throttle gate, resolves the endpoints, authenticates and sends. The result opens or closes
 *   the gate. A throttled call resolves nothing and signs nothing.
 * - `forget`: forgets remembered refusals. A throttle stays.
 * - `stats`: counts the keys that are throttled or refused now.
 *
 * @category services
 * @since 0.1.0
 */
export class TokenEndpoint extends Context.Service<TokenEndpoint, {
  readonly request: (request: EndpointRequest) => Effect.Effect<AccessToken, AcquireTokenError>
  readonly forget: (selector: Selector) => Effect.Effect<void>
  readonly stats: Effect.Effect<EndpointStats>
}>()("effect-entra/TokenEndpoint") {}

// -----------------------------------------------------------------------------
// layers
// -----------------------------------------------------------------------------

/**
 * Creates the endpoint with default options, over the `HttpClient` of the context.
 *
 * **Example** (The endpoint over fetch)
 *
 * ```ts
 * import { Layer } from "effect"
 * import { TokenEndpoint } from "effect-entra"
 * import { FetchHttpClient } from "effect/http"
 *
 * export const Endpoint = TokenEndpoint.layer.pipe(Layer.provide(FetchHttpClient.layer))
 * ```
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<TokenEndpoint, never, IdentityHttp.Transport> = Layer.suspend(() =>
  Layer.orDie(layerWith({}))
)

/**
 * Creates the endpoint with options, over the `HttpClient` of the context.
 *
 * **Details**
 *
 * The layer fails with an `InvalidRequestError` `field_malformed` when an option is invalid, such as a negative
 * duration.
 *
 * **Example** (Shorter timeouts)
 *
 * ```ts
 * import { RetryPolicy, TokenEndpoint } from "effect-entra"
 *
 * export const Impatient = TokenEndpoint.layerWith({ retry: RetryPolicy.none, attemptTimeout: "2 seconds" })
 * ```
 *
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layerWith = (
  options: Options
): Layer.Layer<TokenEndpoint, InvalidRequestError, IdentityHttp.Transport> => Layer.effect(TokenEndpoint, make(options))

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** Returns the error of an acquisition whose budget is used up, from the limit in milliseconds. */
type TooLate = (
  errorOf: (limit: number) => CredentialError | ServiceUnavailableError
) => CredentialError | ServiceUnavailableError

const boundsOf = ({ attemptTimeout, breaker, budget, maxConcurrentRequests, refusalTtl }: Options) =>
  Result.all({
    attemptTimeout: timeoutOf("attemptTimeout", attemptTimeout ?? defaults.attemptTimeout),
    budget: timeoutOf("budget", budget ?? defaults.budget),
    most: countOf("maxConcurrentRequests", maxConcurrentRequests ?? defaults.maxConcurrentRequests),
    base: durationOf("refusalTtl.base", refusalTtl?.base ?? defaults.refusalTtl.base),
    cap: durationOf("refusalTtl.cap", refusalTtl?.cap ?? defaults.refusalTtl.cap),
    failures: countOf("breaker.failures", breaker?.failures ?? defaults.breaker.failures),
    openDuration: durationOf("breaker.openDuration", breaker?.openDuration ?? defaults.breaker.openDuration)
  })

const make = (
  options: Options
): Effect.Effect<TokenEndpoint["Service"], InvalidRequestError, IdentityHttp.Transport | Scope.Scope> =>
  Effect.gen(function*() {
    const http = yield* IdentityHttp.make(options)
    const clock = yield* Clock.Clock
    const { attemptTimeout, base, budget, cap, failures, most, openDuration } = yield* Effect.fromResult(
      boundsOf(options)
    )
    const gates = ThrottleGate.make(clock, { base, cap })
    const breaker = CircuitBreaker.make(clock, { failures, openDuration, probeTimeout: budget })
    const regions = RegionalFallback.make(clock)
    const slots = RequestSlots.make(most, {
      clock,
      longestWait: budget,
      longestUse: Math.min(2 * attemptTimeout, budget) + 1000
    })

    /** A credential is foreign code that may hang, die or interrupt itself; each of these becomes a `CredentialError`. */
    const authenticated = (
      { acquisition, authentication, timing }: EndpointRequest,
      endpoints: Endpoints,
      deadline: number,
      tooLate: TooLate
    ): Effect.Effect<Authentication, CredentialError | ServiceUnavailableError> =>
      Effect.suspend(() => {
        const proof = authentication.authenticate({
          ...acquisition,
          tokenEndpoint: endpoints.token,
          audience: endpoints.audience,
          assertion: endpoints.assertion,
          secretMethod: endpoints.secretMethod
        })
        if (Exit.isExit(proof) && Exit.isSuccess(proof)) return proof
        const begun = monotonicMillis(clock)
        const left = deadline - begun
        const limited = within(proof, {
          millis: Math.min(attemptTimeout, left),
          orElse: () =>
            Effect.fail(attemptTimeout <= left ? credentialTimeout(attemptTimeout) : tooLate(credentialTimeout))
        })
        return Effect.onExitPrimitive(limited, () => {
          timing.credential += monotonicMillis(clock) - begun
          return undefined
        })
      }).pipe(
        Effect.catchCause((cause) => Effect.fail(Option.getOrElse(Cause.findErrorOption(cause), credentialDefect)))
      )

    /** Sends one request and reads its response. */
    const sent = (
      request: EndpointRequest,
      endpoints: Endpoints,
      proof: Authentication,
      left: number,
      tooLate: TooLate
    ): Effect.Effect<AccessToken, AcquireTokenError> => {
      const { acquisition, query, timing } = request
      const form = { ...request.form, ...proof.form }
      const sentAt = clock.currentTimeMillisUnsafe()
      timing.attempts++
      const limit = {
        millis: Math.min(attemptTimeout, left),
        orElse: () =>
          Effect.fail(
            attemptTimeout <= left
              ? tooSlow("timeout", endpoints.token, acquisition.correlationId, attemptTimeout)
              : tooLate((limit) => tooSlow("budget_exceeded", endpoints.token, acquisition.correlationId, limit))
          )
      }
      const response = http.send({
        method: "POST",
        url: query === noFields ? endpoints.token : withQuery(endpoints.token, query),
        headers: { ...standardHeaders, "client-request-id": acquisition.correlationId, ...proof.headers },
        form,
        correlationId: acquisition.correlationId
      }, { client: proof.client, limit })
      return Effect.flatMap(response, (response) => {
        // A response with a token has nothing to scrub.
        let scrubber: Scrub | undefined
        const scrub: Scrub = (text, as) => {
          scrubber ??= scrubberOf([query, form], Object.values(proof.headers ?? {}).map((value) => revealed(value)))
          return scrubber(text, as)
        }
        return Effect.fromResult(readTokenResponse(response, {
          authority: request.authority,
          authorityUrl: acquisition.authority,
          clientId: acquisition.clientId,
          tenantId: acquisition.tenantId,
          scopes: acquisition.scope,
          tokenType: request.tokenType,
          defaultLifetime: request.defaultLifetime,
          tokenEndpoint: endpoints.token,
          correlationId: acquisition.correlationId,
          sentAt,
          now: clock.currentTimeMillisUnsafe(),
          scrub
        }))
      })
    }

    /**
     * Authenticates and sends once, as soon as a slot of the origin is free. At the deadline the budget of `limit`
     * milliseconds is used up.
     */
    const attempt = (
      request: EndpointRequest,
      endpoints: Endpoints,
      limit: number,
      deadline: number
    ): Effect.Effect<AccessToken, AcquireTokenError> =>
      Effect.suspend(() => {
        const { acquisition, timing } = request
        const slot = slots.slotOf(originOf(endpoints), acquisition.tenantId)
        const waitedTooLong = () => crowded(endpoints.token, acquisition.correlationId, most, limit)
        let sentAt: number | undefined
        const send = (tooLate: TooLate): Effect.Effect<AccessToken, AcquireTokenError> =>
          Effect.flatMap(authenticated(request, endpoints, deadline, tooLate), (proof) => {
            const verdict = gates.throttle(request)
            if (verdict !== undefined) return Effect.fail(verdict)
            sentAt = monotonicMillis(clock)
            return sent(request, endpoints, proof, deadline - sentAt, tooLate)
          })
        const attempted = slot.take()
          ? send((errorOf) => errorOf(limit))
          : slot.wait.pipe(
            Effect.timeoutOrElse({
              duration: Math.min(limit, deadline - monotonicMillis(clock)),
              orElse: () => Effect.fail(waitedTooLong())
            }),
            // If too little time is left after the wait, the error names the wait, not the credential or the service.
            Effect.andThen(Effect.suspend(() => send(waitedTooLong)))
          )
        return Effect.onExitPrimitive(attempted, () => {
          if (sentAt !== undefined) timing.http += monotonicMillis(clock) - sentAt
          slot.release()
          return undefined
        })
      })

    const again = (request: EndpointRequest, endpoints: Endpoints, limit: number) =>
      Effect.suspend(() => {
        const verdict = gates.throttle(request)
        return verdict === undefined ? attempt(request, endpoints, limit, Infinity) : Effect.fail(verdict)
      })

    /** Builds the schedule only after the first attempt has failed, because most acquisitions need one attempt. */
    const attempts = (
      request: EndpointRequest,
      endpoints: Endpoints,
      limit: number,
      deadline: number
    ): Effect.Effect<AccessToken, AcquireTokenError> => {
      const { timing } = request
      const before = timing.attempts
      return Effect.catchIf(attempt(request, endpoints, limit, deadline), isOutage, (first) => {
        const left = deadline - monotonicMillis(clock)
        if (left <= 0 || !first.isRetryable) return Effect.fail(first)
        return Effect.timeoutOrElse(retries(first, again(request, endpoints, limit), deadline), {
          duration: left,
          // If nothing was sent, the credential used the time, and not the service.
          orElse: (): Effect.Effect<never, AcquireTokenError> =>
            Effect.fail(
              timing.attempts === before
                ? credentialTimeout(limit)
                : tooSlow("budget_exceeded", endpoints.token, request.acquisition.correlationId, limit)
            )
        }).pipe(Effect.mapError(finalError))
      })
    }

    const retries = <A>(
      first: Outage,
      attempt: Effect.Effect<A, AcquireTokenError>,
      deadline: number
    ): Effect.Effect<A, AcquireTokenError> =>
      Effect.withFiber((fiber) => {
        const policy = fiber.getRef(RetryPolicy.Current) ?? options.retry ?? RetryPolicy.standard
        const schedule = policy.pipe(
          Schedule.modifyDelay(({ duration, input }) =>
            Effect.succeed(Duration.max(duration, input.retryAfter ?? Duration.zero))
          ),
          Schedule.while(({ duration }) => monotonicMillis(clock) + Duration.toMillis(duration) < deadline)
        )
        // The schedule starts with the failure of the first attempt.
        let known: Outage | undefined = first
        const next = Effect.suspend(() => {
          const failed = known
          known = undefined
          return failed === undefined ? attempt : Effect.fail(failed)
        })
        // Only outages are worth a retry, so only they stay in the error channel while the schedule runs.
        return next.pipe(
          Effect.map(Result.succeed),
          Effect.catch((error) =>
            isOutage(error) && error.isRetryable ? Effect.fail(error) : Effect.succeed(Result.fail(error))
          ),
          Effect.retry(schedule),
          Effect.flatMap(Effect.fromResult)
        )
      })

    /** A regional endpoint gets half of the time that is left, so that the global endpoint has the other half. */
    const reach = (
      request: EndpointRequest,
      endpoints: Endpoints,
      deadline: number
    ): Effect.Effect<AccessToken, AcquireTokenError> => {
      const { fallback } = endpoints
      const now = monotonicMillis(clock)
      const key = () => originOf(endpoints)
      if (fallback === undefined) {
        return breaker.protect(key, attempts(request, endpoints, deadline - now, deadline))
      }
      const origin = key()
      if (regions.isUnavailable(origin)) return reach(request, fallback, deadline)
      const answered = regions.recovered(origin)
      const half = (deadline - now) / 2
      return breaker.protect(key, attempts(request, endpoints, half, now + half)).pipe(
        Effect.tap(answered),
        // A refusal is an answer, so the other endpoint is not asked.
        Effect.tapError((error) => error.origin === "service" && !isOutage(error) ? answered : Effect.void),
        Effect.catchIf(
          isOutage,
          (error) =>
            Effect.andThen(
              regions.fallBack(origin, originOf(fallback), error),
              Effect.suspend(() => reach(request, fallback, deadline))
            )
        )
      )
    }

    const guarded = ThrottleGate.guarding(
      gates,
      (request: EndpointRequest, endpoints: Endpoints) =>
        reach(request, endpoints, (request.repeats?.since ?? monotonicMillis(clock)) + budget)
    )

    /** Repeats a refused request after the delay that `retries` computes for an outage. */
    const repeated = (
      request: EndpointRequest,
      { refusal, since }: NonNullable<EndpointRequest["repeats"]>
    ): Effect.Effect<AccessToken, AcquireTokenError> => {
      const lag = replicationLag(request.acquisition.correlationId)
      const { scopes, space, tenant } = request.gate.key
      const again = Effect.suspend(() => {
        gates.forget({ owner: space, tenant, scopes })
        return Effect.result(guarded.request(request))
      })
      return retries(lag, again, since + budget).pipe(
        Effect.mapError((error) => error === lag ? refusal : error),
        Effect.flatMap(Effect.fromResult)
      )
    }

    const endpoint = TokenEndpoint.of({
      ...guarded,
      request: (request) =>
        request.repeats === undefined ? guarded.request(request) : repeated(request, request.repeats)
    })
    return withBudget(endpoint, budget)
  })

/** Returns the outage that stands for a registration which has not reached all servers of the service. */
const replicationLag = (correlationId: string): ServiceUnavailableError =>
  serviceUnavailable("service_unavailable", "the registration may not have reached this server", "Try again later.", {
    origin: "service",
    correlationId,
    retryAfter: Duration.seconds(1)
  })

const originOf = (endpoints: Endpoints): string => new URL(endpoints.token).origin
