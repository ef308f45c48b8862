/** Clocks that a layer is built with, so that hours pass in a benchmark. */
import { Clock, Duration, Effect, Layer } from "effect"

export interface Moving {
  readonly layer: Layer.Layer<never>
  readonly clock: Clock.Clock
  /** Milliseconds that the clock jumps ahead. */
  readonly move: (by: number) => void
}

const layerOf = (clock: Clock.Clock): Layer.Layer<never> => Layer.succeed(Clock.Clock, clock)

const clockOf = (
  millis: () => number,
  monotonicMillis: () => number,
  realMillis: (millis: number) => number
): Clock.Clock => {
  const nanos = (millis: number): bigint => BigInt(Math.round(millis * 1e6))
  return {
    currentTimeMillisUnsafe: millis,
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanosUnsafe: () => nanos(millis()),
    currentTimeNanos: Effect.sync(() => nanos(millis())),
    monotonicTimeNanosUnsafe: () => nanos(monotonicMillis()),
    monotonicTimeNanos: Effect.sync(() => nanos(monotonicMillis())),
    sleep: (duration) =>
      Duration.toMillis(duration) === Infinity ? Effect.never : Effect.callback<void>((resume) => {
        const timer = setTimeout(() => resume(Effect.void), Math.max(0, realMillis(Duration.toMillis(duration))))
        return Effect.sync(() => clearTimeout(timer))
      })
  }
}

/** Real time, plus what it was moved by; sleeps are real. */
export const moving = (): Moving => {
  let offset = 0
  const clock = clockOf(() => Date.now() + offset, () => performance.now() + offset, (millis) => millis)
  return {
    clock,
    layer: layerOf(clock),
    move: (by) => {
      offset += by
    }
  }
}

export interface Faster {
  readonly layer: Layer.Layer<never>
  readonly clock: Clock.Clock
  /** Lets time pass faster. Before the first call it passes as it does. */
  readonly hurry: () => void
  /** Lets time pass as it does again. */
  readonly calm: () => void
}

/** So many times faster than real time, sleeps included. */
export const faster = (times: number): Faster => {
  const wall = Date.now()
  let speed = 1
  let changedAt = performance.now()
  let before = 0
  const passed = (): number => before + (performance.now() - changedAt) * speed
  const change = (to: number) => (): void => {
    before = passed()
    changedAt = performance.now()
    speed = to
  }
  const clock = clockOf(
    () => Math.floor(wall + passed()),
    passed,
    (millis) => millis / speed
  )
  return { clock, layer: layerOf(clock), hurry: change(times), calm: change(1) }
}
