/** The fallback from regional endpoints to global endpoints: which origins are unavailable, and the warnings about them. */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { NetworkError, ServiceUnavailableError } from "../../EntraError.ts"
import { longestRetryAfter } from "../shared/cooldown.ts"
import { monotonicMillis } from "../shared/monotonic.ts"
import { logSafely } from "../shared/safeLog.ts"

export interface RegionalFallback {
  /** Returns whether the `Retry-After` of an origin has not passed yet. */
  readonly isUnavailable: (origin: string) => boolean
  /**
   * Records that requests to an origin go to `fallback`, and logs a warning. There is at most one warning per origin and
   * minute, and no other warning before the origin has recovered.
   */
  readonly fallBack: (
    origin: string,
    fallback: string,
    error: ServiceUnavailableError | NetworkError
  ) => Effect.Effect<void>
  /** Records that an origin has responded again. */
  readonly recovered: (origin: string) => Effect.Effect<void>
}

/** Creates the state of one token endpoint service. */
export const make = (clock: Clock.Clock): RegionalFallback => {
  const fallenBack = new Set<string>()
  const nextWarningAt = new Map<string, number>()
  const unavailableUntil = new Map<string, number>()
  return {
    isUnavailable: (origin) => monotonicMillis(clock) < (unavailableUntil.get(origin) ?? -Infinity),
    recovered: (origin) => Effect.sync(() => fallenBack.delete(origin)),
    fallBack: (origin, fallback, error) =>
      Effect.suspend(() => {
        const now = monotonicMillis(clock)
        if (error.origin === "service" && error.retryAfter !== undefined) {
          unavailableUntil.set(origin, now + Math.min(Duration.toMillis(error.retryAfter), longestRetryAfter))
        }
        // The region is not the cause when this process has too many requests of its own.
        if (error.code === "concurrency_limit") return Effect.void
        if (fallenBack.has(origin) || now < (nextWarningAt.get(origin) ?? -Infinity)) return Effect.void
        fallenBack.add(origin)
        nextWarningAt.set(origin, now + warningInterval)
        return logSafely(
          Effect.logWarning(`${origin} issues no token (${error.code}); ${fallback} is used until it does`)
        )
      })
  }
}

/** Milliseconds. */
const warningInterval = 60_000
