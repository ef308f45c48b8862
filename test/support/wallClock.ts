/** A wall clock that jumps, as a correction of the time makes it, while timers and the monotonic clock go on. */
import { Clock, Effect } from "effect"

/** Runs a program with a clock whose wall time `jump` changes by milliseconds. Time passes by the clock around it. */
export const withWallClock = <A, E, R>(
  program: (jump: (millis: number) => void) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.flatMap(Clock.Clock, (clock) => {
    let ahead = 0
    const millis = () => clock.currentTimeMillisUnsafe() + ahead
    const nanos = () => clock.currentTimeNanosUnsafe() + BigInt(ahead) * 1_000_000n
    const jumping: Clock.Clock = {
      // Methods of `TestClock` are own properties, those of the live clock are not.
      ...clock,
      monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
      monotonicTimeNanos: clock.monotonicTimeNanos,
      sleep: (duration) => clock.sleep(duration),
      currentTimeMillisUnsafe: millis,
      currentTimeMillis: Effect.sync(millis),
      currentTimeNanosUnsafe: nanos,
      currentTimeNanos: Effect.sync(nanos)
    }
    return Effect.provideService(
      program((by) => {
        ahead += by
      }),
      Clock.Clock,
      jumping
    )
  })
