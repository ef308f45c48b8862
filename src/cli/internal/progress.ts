/**
 * A progress line for effects that take long. It is written to a terminal only, and removed at the end of the effect.
 */
import * as TerminalCapabilities from "effect/cli/TerminalCapabilities"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"

const frames = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"]

/** Shows `label` on standard error while the effect runs, if the effect takes longer than 200 milliseconds. */
export const withProgress = (label: string) => <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.gen(function*() {
    const { canAnimate } = yield* TerminalCapabilities.TerminalCapabilities
    if (!canAnimate || !process.stderr.isTTY) return yield* effect
    let frame = 0
    const draw = Effect.sync(() => {
      process.stderr.write(`\r${frames[frame++ % frames.length]} ${label}`)
    })
    const spinner = draw.pipe(Effect.repeat(Schedule.spaced("100 millis")), Effect.delay("200 millis"))
    const clear = Effect.sync(() => {
      if (frame > 0) process.stderr.write("\r\u001b[K")
    })
    return yield* Effect.raceFirst(effect, Effect.andThen(spinner, Effect.never)).pipe(Effect.ensuring(clear))
  })
