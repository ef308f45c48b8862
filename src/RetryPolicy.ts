/**
 * The schedule by which a token request is repeated after an outage: no response, a timeout, or the status 408 or 5xx.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import type { NetworkError, ServiceUnavailableError } from "./EntraError.ts"

/**
 * A schedule that decides about the next attempt. Its input is the error of the last attempt.
 *
 * **Details**
 *
 * The schedule gets only `ServiceUnavailableError` and `NetworkError`, and only when the error is retryable. A
 * `Retry-After` of the response extends the delay. When the delay would end after the budget of the `TokenEndpoint`
 * layer, the last error is final.
 *
 * @category models
 * @since 0.1.0
 */
export type RetryPolicy = Schedule.Schedule<unknown, ServiceUnavailableError | NetworkError>

/**
 * Creates a policy of up to `times` further attempts. The delays are random (full jitter): the first is up to `base`,
 * and the bound doubles with each attempt, up to `cap`.
 *
 * **Example** (More attempts)
 *
 * ```ts
 * import { RetryPolicy, TokenEndpoint } from "effect-entra"
 *
 * export const Patient = TokenEndpoint.layerWith({
 *   retry: RetryPolicy.exponential({ times: 5, base: "500 millis", cap: "8 seconds" }),
 *   budget: "1 minute"
 * })
 * ```
 *
 * @category schedules
 * @since 0.1.0
 */
export const exponential = ({ base, cap, times }: {
  readonly times: number
  readonly base: Duration.Input
  readonly cap: Duration.Input
}): RetryPolicy =>
  Schedule.min([Schedule.exponential(base), Schedule.spaced(cap)]).pipe(
    Schedule.modifyDelay(({ duration }) => Effect.map(Random.next, (random) => Duration.times(duration, random))),
    Schedule.upTo({ times })
  )

/**
 * Three further attempts. The delays are random (full jitter): up to 250, 500 and 1,000 ms.
 *
 * @category schedules
 * @since 0.1.0
 */
export const standard: RetryPolicy = exponential({ times: 3, base: "250 millis", cap: "4 seconds" })

/**
 * No further attempt.
 *
 * **Example** (Failing at once)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { ConfidentialClient, RetryPolicy } from "effect-entra"
 *
 * const impatient = ConfidentialClient.acquireToken({ scopes: "api://orders/.default" }).pipe(
 *   Effect.provideService(RetryPolicy.Current, RetryPolicy.none)
 * )
 *
 * await Effect.runPromise(Effect.provide(impatient, ConfidentialClient.layerTest("a-token")))
 * ```
 *
 * @category schedules
 * @since 0.1.0
 */
export const none: RetryPolicy = /*#__PURE__*/ Schedule.recurs(0)

/**
 * The policy of one call. It overrides the policy of the `TokenEndpoint` layer; default: undefined, which leaves that
 * policy in place.
 *
 * **Details**
 *
 * If several callers share a request, the first caller's policy applies.
 *
 * @category references
 * @since 0.1.0
 */
export const Current: Context.Reference<RetryPolicy | undefined> = Context.Reference<RetryPolicy | undefined>(
  "effect-entra/RetryPolicy",
  { defaultValue: () => undefined }
)
