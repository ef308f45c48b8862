/**
 * The token endpoint as a service: one POST, repeated by a schedule when the service fails to answer, behind a throttle
 * gate and a circuit breaker; a regional endpoint that gives no answer, or is out of order, is replaced by the global one.
 * The only module that talks to the token URL.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { AccessToken } from "./AccessToken.ts"
import type {
  AcquireTokenError,
  CredentialError,
  InvalidRequestError,
  NetworkError,
  ServiceUnavailableError,
  ThrottledError
} from "./EntraError.ts"
import type { Endpoints } from "./internal/authority/endpointLayout.ts"
import type { Selector } from "./internal/cache/cacheKey.ts"
import * as Breaker from "./internal/endpoint/circuitBreaker.ts"
import * as StandIns from "./internal/endpoint/regionalFallback.ts"
import * as Gates from "./internal/endpoint/throttleGate.ts"
import { type Asked, readAnswer } from "./internal/endpoint/tokenResponse.ts"
import { type Fields, requestHeaders, revealed, withQuery } from "./internal/http/fields.ts"
import * as IdentityHttp from "./internal/http/identityHttp.ts"
import { scrubberOf } from "./internal/http/redaction.ts"
import { credentialDefect, credentialTimeout, isOutage, type Refused, tooSlow } from "./internal/shared/errors.ts"
import { countOf, durationOf, timeoutOf } from "./internal/shared/validate.ts"
import { type Meter, timed } from "./internal/telemetry/timing.ts"
import * as RetryPolicy from "./RetryPolicy.ts"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * What the throttle gate tells requests apart by, and whether this one may pass a remembered refusal.
 *
 * @category models
 * @since 0.1.0
 */
export type Gate = Gates.Gate

/**
 * One acquisition: where it goes, what it says, and how each attempt proves who the client is.
 *
 * @category models
 * @since 0.1.0
 */
export interface EndpointRequest {
  readonly gate: Gate
  readonly endpoints: Endpoints
  /** What goes into the URL besides; it is in no error and in no log. */
  readonly query: Fields
  readonly form: Fields
  readonly asked: Omit<Asked, "now" | "scrub" | "tokenEndpoint">
  readonly authenticate: (endpoints: Endpoints) => Effect.Effect<IdentityHttp.Authentication, CredentialError>
  readonly meter: Meter
}

/**
 * Options of the endpoint.
 *
 * **Details**
 *
 * - `transformClient`: wraps the HTTP client (a proxy, a log, a header).
 * - `retry`: default {@link RetryPolicy.standard}.
 * - `attemptTimeout`: for one attempt; default 10 seconds.
 * - `budget`: for all attempts together, and for the credential's part in them; default 30 seconds. A regional endpoint
 *   gets half of it, so that the global one has time left: it is asked when the regional one cannot be reached or has
 *   answered 5xx to its last attempt, and by itself while a `Retry-After` of the regional one holds.
 * - `refusalTtl`: how long a refusal that asking again will not change is repeated locally; default 5 seconds, doubling to
 *   60.
 * - `breaker`: `failures` failed acquisitions in a row (default 5) close the way to an origin for `openDuration` (default
 *   30 seconds).
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly transformClient?: ((client: IdentityHttp.Transport) => IdentityHttp.Transport) | undefined
  readonly retry?: RetryPolicy.RetryPolicy | undefined
  readonly attemptTimeout?: Duration.Input | undefined
  readonly budget?: Duration.Input | undefined
  readonly refusalTtl?:
    | { readonly base?: Duration.Input | undefined; readonly cap?: Duration.Input | undefined }
    | undefined
  readonly breaker?:
    | { readonly failures?: number | undefined; readonly openDuration?: Duration.Input | undefined }
    | undefined
}

/**
 * How many keys (client, tenant, scopes, claims, credential) are not asked for now: `throttled` because the service asked to
 * be left alone, `refused` because it has just refused them.
 *
 * @category models
 * @since 0.1.0
 */
export type EndpointStats = Gates.GateCounts

/**
 * What holds unless an option says otherwise.
 *
 * @category models
 * @since 0.1.0
 */
export const defaults = {
  attemptTimeout: "10 seconds",
  budget: "30 seconds",
  refusalTtl: { base: "5 seconds", cap: "60 seconds" },
  breaker: { failures: 5, openDuration: "30 seconds" }
} as const

// -----------------------------------------------------------------------------
// services
// -----------------------------------------------------------------------------

/**
 * The HTTP transport of token requests.
 *
 * **Details**
 *
 * `admit` fails when the gate is closed; it stands before the credential, so that a throttled call signs nothing.
 * `request` sends, and closes or opens the gate by what comes of it. `forget` drops remembered refusals. `stats` is the
 * gate's state now.
 *
 * @category services
 * @since 0.1.0
 */
export class TokenEndpoint extends Context.Service<TokenEndpoint, {
  readonly admit: (gate: Gate) => Effect.Effect<void, ThrottledError | Refused>
  readonly request: (request: EndpointRequest) => Effect.Effect<AccessToken, AcquireTokenError>
  readonly forget: (selector: Selector) => Effect.Effect<void>
  readonly stats: Effect.Effect<EndpointStats>
}>()("effect-entra/TokenEndpoint") {}

// -----------------------------------------------------------------------------
// layers
// -----------------------------------------------------------------------------

/**
 * The endpoint with its defaults, over the `HttpClient` of the context.
 *
 * **Example** (The usual endpoint over fetch)
 *
 * ```ts
 * import { Layer } from "effect"
 * import { TokenEndpoint } from "effect-entra"
 * import { FetchHttpClient } from "effect/http"
 *
 * export const Endpoint = TokenEndpoint.layer.pipe(Layer.provide(FetchHttpClient.layer))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<TokenEndpoint, never, IdentityHttp.Transport> = Layer.suspend(() =>
  Layer.orDie(layerWith({}))
)

/**
 * The endpoint with options.
 *
 * **Details**
 *
 * What is no such duration or number fails the layer with an `InvalidRequestError` `field_malformed` that names the option.
 *
 * **Example** (A shorter patience)
 *
 * ```ts
 * import { RetryPolicy, TokenEndpoint } from "effect-entra"
 *
 * export const Impatient = TokenEndpoint.layerWith({ retry: RetryPolicy.none, attemptTimeout: "2 seconds" })
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerWith = (
  options: Options
): Layer.Layer<TokenEndpoint, InvalidRequestError, IdentityHttp.Transport> => Layer.effect(TokenEndpoint, make(options))

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

type Outage = ServiceUnavailableError | NetworkError

const settingsOf = ({ attemptTimeout, breaker, budget, refusalTtl }: Options) =>
  Result.all({
    attemptTimeout: timeoutOf("attemptTimeout", attemptTimeout ?? defaults.attemptTimeout),
    budget: timeoutOf("budget", budget ?? defaults.budget),
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
    const { attemptTimeout, base, budget, cap, failures, openDuration } = yield* Effect.fromResult(settingsOf(options))
    const gates = Gates.make(clock, { base, cap })
    const breaker = yield* Breaker.make({ failures, openDuration })

    const standIns = StandIns.make(clock)

    /** While this flight slept or signed, another may have been told to leave the service alone. */
    const leftAlone = (gate: Gate): ThrottledError | Refused | undefined => gates.judge({ ...gate, forced: true })

    /** The credential is somebody else's code: it may hang, die or interrupt itself, and none of that is the service's doing. */
    const prove = (request: EndpointRequest, endpoints: Endpoints, left: number, limit: number) =>
      Effect.suspend(() => request.authenticate(endpoints)).pipe(
        Effect.timeoutOrElse({
          duration: Math.min(attemptTimeout, left),
          orElse: () => Effect.fail(credentialTimeout(attemptTimeout <= left ? attemptTimeout : limit))
        }),
        Effect.catchCause((cause) => Effect.fail(Option.getOrElse(Cause.findErrorOption(cause), credentialDefect)))
      )

    /** One exchange, within what an attempt may take, and before the deadline, by which `limit` milliseconds are used up. */
    const attempt = (
      request: EndpointRequest,
      endpoints: Endpoints,
      limit: number,
      deadline: number
    ): Effect.Effect<AccessToken, AcquireTokenError> =>
      Effect.suspend(() => {
        const { asked, meter } = request
        const left = () => deadline - clock.currentTimeMillisUnsafe()
        const verdict = leftAlone(request.gate)
        if (verdict !== undefined) return Effect.fail(verdict)
        return Effect.flatMap(timed(meter, "credential")(prove(request, endpoints, left(), limit)), (proof) => {
          const verdict = leftAlone(request.gate)
          if (verdict !== undefined) return Effect.fail(verdict)
          const form = { ...request.form, ...proof.form }
          meter.attempts++
          const remaining = left()
          const answer = http.send({
            method: "POST",
            url: withQuery(endpoints.token, request.query),
            headers: { ...requestHeaders(asked.correlationId), ...proof.headers },
            form,
            correlationId: asked.correlationId
          }, proof.client).pipe(
            Effect.timeoutOrElse({
              duration: Math.min(attemptTimeout, remaining),
              orElse: () =>
                Effect.fail(
                  attemptTimeout <= remaining
                    ? tooSlow("timeout", endpoints.token, asked.correlationId, attemptTimeout)
                    : tooSlow("budget_exceeded", endpoints.token, asked.correlationId, limit)
                )
            }),
            timed(meter, "http")
          )
          return Effect.flatMap(answer, (answer) =>
            Effect.fromResult(readAnswer(answer, {
              ...asked,
              tokenEndpoint: endpoints.token,
              now: clock.currentTimeMillisUnsafe(),
              scrub: scrubberOf([request.query, form], Object.values(proof.headers ?? {}).map(revealed))
            })))
        })
      })

    /** Most acquisitions need one attempt: the schedule and its budget are for those that need more. */
    const attempts = (
      request: EndpointRequest,
      endpoints: Endpoints,
      limit: number
    ): Effect.Effect<AccessToken, AcquireTokenError> =>
      Effect.suspend(() => {
        const deadline = clock.currentTimeMillisUnsafe() + limit
        const { meter } = request
        const sent = meter.attempts
        return Effect.catchIf(attempt(request, endpoints, limit, deadline), isOutage, (first) => {
          const left = deadline - clock.currentTimeMillisUnsafe()
          if (left <= 0 || !first.isRetryable) return Effect.fail(first)
          return Effect.timeoutOrElse(retries(first, attempt(request, endpoints, limit, Infinity), deadline), {
            duration: left,
            // Where nothing was sent, the credential has used the time up, and not the service.
            orElse: (): Effect.Effect<never, AcquireTokenError> =>
              Effect.fail(
                meter.attempts === sent
                  ? credentialTimeout(limit)
                  : tooSlow("budget_exceeded", endpoints.token, request.asked.correlationId, limit)
              )
          })
        })
      })

    const retries = (
      first: Outage,
      attempt: Effect.Effect<AccessToken, AcquireTokenError>,
      deadline: number
    ): Effect.Effect<AccessToken, AcquireTokenError> =>
      Effect.withFiber((fiber) => {
        const policy = fiber.getRef(RetryPolicy.Current) ?? options.retry ?? RetryPolicy.standard
        const schedule = policy.pipe(
          Schedule.modifyDelay(({ duration, input }) =>
            Effect.succeed(Duration.max(duration, input.retryAfter ?? Duration.zero))
          ),
          Schedule.while(({ duration }) => clock.currentTimeMillisUnsafe() + Duration.toMillis(duration) < deadline)
        )
        // What is retried has been tried once, and failed.
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

    /** Whoever has a stand-in gets half of the time that is left, so that the stand-in has as much. */
    const reach = (
      request: EndpointRequest,
      endpoints: Endpoints,
      deadline: number
    ): Effect.Effect<AccessToken, AcquireTokenError> =>
      Effect.suspend(() => {
        const { fallback } = endpoints
        const left = deadline - clock.currentTimeMillisUnsafe()
        const key = () => originOf(endpoints)
        if (fallback === undefined) return breaker.protect(key, attempts(request, endpoints, left))
        const origin = key()
        if (standIns.isResting(origin)) return reach(request, fallback, deadline)
        const answered = standIns.answered(origin)
        return breaker.protect(key, attempts(request, endpoints, left / 2)).pipe(
          Effect.tap(answered),
          // A refusal is an answer, wherever else one could ask.
          Effect.tapError((error) => error.origin === "service" && !isOutage(error) ? answered : Effect.void),
          Effect.catchIf(
            isOutage,
            (error) =>
              Effect.andThen(standIns.replace(origin, originOf(fallback), error), reach(request, fallback, deadline))
          )
        )
      })

    const guarded = Gates.guarding(
      gates,
      (request: EndpointRequest) =>
        Effect.suspend(() => reach(request, request.endpoints, clock.currentTimeMillisUnsafe() + budget))
    )

    return TokenEndpoint.of({
      ...guarded,
      request: (request) => Effect.suspend(() => guarded.request(following(request)))
    })
  })

/** Its gate is that of the material which each attempt is made with: that may be loaded, or replaced, as it is needed. */
const following = (request: EndpointRequest): EndpointRequest => {
  let gate = request.gate
  return {
    ...request,
    get gate() {
      return gate
    },
    authenticate: (endpoints) =>
      Effect.tap(request.authenticate(endpoints), ({ revision = gate.revision }) =>
        Effect.sync(() => {
          gate = { ...gate, revision }
        }))
  }
}

const originOf = (endpoints: Endpoints): string => new URL(endpoints.token).origin
