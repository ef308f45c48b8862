/** Time limits of requests. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Function from "effect/Function"

/** A time limit. After `millis` milliseconds the effect is interrupted, and `orElse` runs in its place. */
export interface TimeLimit<A, E> {
  readonly millis: number
  readonly orElse: () => Effect.Effect<A, E>
}

/** The longest time of a timer of the platform in milliseconds, about 24 days. */
const longestTimer = 2 ** 31 - 1

const platformClock = Context.get(Context.empty(), Clock.Clock)

/**
 * Runs an effect with a time limit, in the context that `ownContext` returns. With the clock of the platform this takes
 * one fiber and one timer, which cost less than `Effect.timeoutOrElse` with its race of two fibers.
 */
export const within = <A, E, E2>(
  effect: Effect.Effect<A, E>,
  { millis, orElse }: TimeLimit<A, E2>,
  ownContext: (context: Context.Context<never>) => Context.Context<never> = Function.identity
): Effect.Effect<A, E | E2> =>
  Effect.withFiber((caller) =>
    caller.getRef(Clock.Clock) !== platformClock || !(millis > 0 && millis <= longestTimer)
      ? Effect.timeoutOrElse(Effect.updateContext(effect, ownContext), { duration: millis, orElse })
      : Effect.callback<A, E | E2>((resume) => {
        const fiber = Effect.runForkWith(ownContext(caller.context))(effect)
        const timer = setTimeout(() => resume(Effect.andThen(Fiber.interrupt(fiber), Effect.suspend(orElse))), millis)
        fiber.addObserver((exit) => {
          clearTimeout(timer)
          resume(exit)
        })
        return Effect.suspend(() => {
          clearTimeout(timer)
          return Fiber.interrupt(fiber)
        })
      })
  )
