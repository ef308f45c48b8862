/**
 * How often and when a token request is sent again after the service failed to answer it.
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
 * A schedule that decides about the next attempt; its input is the error of the last.
 *
 * **Details**
 *
 * Only `ServiceUnavailableError` and `NetworkError` reach it. Whatever delay it names, a `Retry-After` that fits into the
 * budget is waited for, and nothing is sent that the budget leaves no time for.
 *
 * @category models
 * @since 0.1.0
 */
export type RetryPolicy = Schedule.Schedule<unknown, ServiceUnavailableError | NetworkError>

/**
 * Three more attempts, at random moments within 250, 500 and 1,000 ms after a failure (full jitter), never beyond 4 s.
 *
 * @category schedules
 * @since 0.1.0
 */
export const standard: RetryPolicy = Schedule.min([Schedule.exponential("250 millis"), Schedule.spaced("4 seconds")])
  .pipe(
    Schedule.modifyDelay(({ duration }) => Effect.map(Random.next, (random) => Duration.times(duration, random))),
    Schedule.upTo({ times: 3 })
  )

/**
 * One attempt and no more.
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
export const none: RetryPolicy = Schedule.recurs(0)

/**
 * The policy of a call: what the caller who starts a flight provides holds for that flight. By default undefined, which
 * means the policy of the `TokenEndpoint` layer.
 *
 * @category references
 * @since 0.1.0
 */
export const Current: Context.Reference<RetryPolicy | undefined> = Context.Reference<RetryPolicy | undefined>(
  "effect-entra/RetryPolicy",
  { defaultValue: () => undefined }
)
