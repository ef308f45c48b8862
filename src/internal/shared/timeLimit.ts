/** Time limits of requests. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Function from "effect/Function"

/** After `millis` milliseconds `orElse` runs in the place of an effect. */
export interface TimeLimit<A, E> {
  readonly millis: number
  readonly orElse: () => Effect.Effect<A, E>
}

/** The longest time of a timer of the platform in milliseconds, some 24 days. */
const longestTimer = 2 ** 31 - 1

const platformClock = Context.get(Context.empty(), Clock.Clock)

/**
 * Runs an effect with a time limit, in a context of its own. With the clock of the platform this is one fiber and one timer,
 * which costs less than the race of two fibers of `Effect.timeoutOrElse`.
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
