/** Where the time of one acquisition goes, in milliseconds, and how many requests it took. */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Durations } from "../../EntraError.ts"

export interface Meter {
  readonly clock: Clock.Clock
  readonly startedAt: number
  attempts: number
  credential: number
  http: number
}

export const start = (clock: Clock.Clock): Meter => ({
  clock,
  startedAt: clock.currentTimeMillisUnsafe(),
  attempts: 0,
  credential: 0,
  http: 0
})

/** Add the time an effect takes, however it ends. */
export const timed = (meter: Meter, part: "credential" | "http") => <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const begun = meter.clock.currentTimeMillisUnsafe()
    return Effect.ensuring(
      effect,
      Effect.sync(() => {
        meter[part] += meter.clock.currentTimeMillisUnsafe() - begun
      })
    )
  })

/** What is neither credential nor HTTP nor the flight's own arithmetic was spent waiting for caches. */
export const read = (meter: Meter, cache: number): Durations => ({
  total: Duration.millis(meter.clock.currentTimeMillisUnsafe() - meter.startedAt),
  cache: Duration.millis(cache),
  credential: Duration.millis(meter.credential),
  http: Duration.millis(meter.http)
})
