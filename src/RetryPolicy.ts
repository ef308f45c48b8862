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
 * Three more attempts. The delays are random (full jitter): up to 250, 500 and 1,000 ms.
 *
 * @category schedules
 * @since 0.1.0
 */
export const standard: RetryPolicy = Schedule.min([Schedule.exponential("250 millis"), Schedule.spaced("4 seconds")])
  .pipe(
    Schedule.modifyDelay(({ duration }) =>
      Effect.map(Random.next, (random) => Duration.millis(Duration.toMillis(duration) * random))
    ),
    Schedule.upTo({ times: 3 })
  )

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
