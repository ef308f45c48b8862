/** The time of all waits. */
import type * as Clock from "effect/Clock"

const nanosPerMilli = BigInt(1_000_000)
const half = nanosPerMilli / BigInt(2)

/**
 * Returns the time of the clock that is never set back, to the nearest millisecond. Waits, deadlines and durations are
 * measured with it, so that each keeps its own length when the wall clock changes. Only differences of two readings
 * have a meaning.
 */
export const monotonicMillis = (clock: Clock.Clock): number =>
  Number((clock.monotonicTimeNanosUnsafe() + half) / nanosPerMilli)
