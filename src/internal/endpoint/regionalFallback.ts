/** Endpoints that others stand in for: which are to be left alone for now, and what is said of it. */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { NetworkError, ServiceUnavailableError } from "../../EntraError.ts"
import { isAhead } from "../shared/cooldown.ts"
import { say } from "../shared/safeLog.ts"

export interface StandIns {
  /** Whether an origin has asked to be left alone. */
  readonly isResting: (origin: string) => boolean
  /** Another origin is asked instead; said of each at most once a minute, and not again before it has answered. */
  readonly replace: (
    origin: string,
    by: string,
    error: ServiceUnavailableError | NetworkError
  ) => Effect.Effect<void>
  readonly answered: (origin: string) => Effect.Effect<void>
}

export const make = (clock: Clock.Clock): StandIns => {
  const replaced = new Set<string>()
  const quietUntil = new Map<string, number>()
  const resting = new Map<string, number>()
  return {
    isResting: (origin) => isAhead(resting.get(origin) ?? 0, clock.currentTimeMillisUnsafe(), longestRest),
    answered: (origin) => Effect.sync(() => replaced.delete(origin)),
    replace: (origin, by, error) =>
      Effect.suspend(() => {
        const now = clock.currentTimeMillisUnsafe()
        if (error.origin === "service" && error.retryAfter !== undefined) {
          resting.set(origin, now + Math.min(Duration.toMillis(error.retryAfter), longestRest))
        }
        if (replaced.has(origin) || isAhead(quietUntil.get(origin) ?? 0, now, quiet)) return Effect.void
        replaced.add(origin)
        quietUntil.set(origin, now + quiet)
        return say(Effect.logWarning(`${origin} gives no token (${error.code}): ${by} is used until it does`))
      })
  }
}

/** Milliseconds. */
const quiet = 60_000
const longestRest = 3_600_000
