/** The log of the library in a subcommand, which is written to standard error. */
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"

/** Runs an effect without log lines, unless `--log-level` is set. Its result has the same information. */
export const withoutLogs = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(
    GlobalFlag.LogLevel,
    (level) => Option.isSome(level) ? effect : Effect.provideService(effect, Logger.CurrentLoggers, new Set())
  )
