/** Waits for a condition, with a bound. For live tests only. */
import { Duration, Effect, Schedule } from "effect"
import { inspect } from "node:util"

/** Repeats `attempt` until it succeeds with a value that is not undefined; dies with its last outcome after `within`. */
export const until = <A, E, R>(
  condition: string,
  attempt: Effect.Effect<A | undefined, E, R>,
  within: Duration.Input = "20 seconds"
): Effect.Effect<A, never, R> =>
  Effect.suspend(() => {
    let last: unknown
    return attempt.pipe(
      Effect.flatMap((value) => value === undefined ? Effect.fail("no value") : Effect.succeed(value)),
      Effect.tapError((error) => Effect.sync(() => last = error)),
      Effect.retry(Schedule.spaced("20 millis")),
      Effect.timeoutOrElse({
        duration: within,
        orElse: () =>
          Effect.die(
            new Error(`${condition}: not after ${Duration.format(Duration.fromInputUnsafe(within))}; ${inspect(last)}`)
          )
      }),
      Effect.orDie
    )
  })
