/** Runs the command `effect-entra` in this process, with an environment and a terminal of its own. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { ConfigProvider, Effect, Runtime, Stdio } from "effect"
import { TestConsole } from "effect/testing"
import { run } from "../../src/cli/main.ts"

export interface CommandOptions {
  /** The environment; an undefined variable is unset. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** Whether standard output is a terminal. */
  readonly terminal?: boolean
}

export const runCommand = Effect.fnUntraced(
  function*(args: ReadonlyArray<string>, { env, terminal = true }: CommandOptions) {
    const variables = Object.entries(env).flatMap(([name, value]) => value === undefined ? [] : [[name, value]])
    return yield* Effect.gen(function*() {
      const exitCode = yield* run(args).pipe(
        Effect.as(0),
        Effect.catch((error) => Effect.succeed(Runtime.getErrorExitCode(error)))
      )
      return {
        exitCode,
        stdout: (yield* TestConsole.logLines).join("\n"),
        stderr: (yield* TestConsole.errorLines).join("\n")
      }
    }).pipe(
      Effect.provideService(
        ConfigProvider.ConfigProvider,
        ConfigProvider.fromEnv({ env: Object.fromEntries(variables) })
      ),
      Effect.provide([
        TestConsole.layer,
        Stdio.layerTest({ stdoutIsTerminal: Effect.succeed(terminal), stdinIsTerminal: Effect.succeed(false) })
      ]),
      Effect.provide(NodeServices.layer)
    )
  }
)
