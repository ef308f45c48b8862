/** The time that an acquisition takes and the requests that it sends. */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Durations } from "../../EntraError.ts"

/** Counters that the parts of an acquisition add to: requests, and milliseconds. */
export interface Timing {
  attempts: number
  credential: number
  http: number
}

/** Adds the time that `effect` takes to a counter, however it ends. */
export const timed = <A, E, R>(
  timing: Timing,
  part: "credential" | "http",
  clock: Clock.Clock,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const begun = clock.currentTimeMillisUnsafe()
    return Effect.onExit(effect, () => {
      timing[part] += clock.currentTimeMillisUnsafe() - begun
      return Effect.void
    })
  })

/** Returns the times as durations. `cache` is the part of `total` in which the cache worked or waited. */
export const durationsOf = ({ credential, http }: Timing, total: number, cache: number): Durations => ({
  total: Duration.millis(total),
  cache: Duration.millis(cache),
  credential: Duration.millis(credential),
  http: Duration.millis(http)
})
