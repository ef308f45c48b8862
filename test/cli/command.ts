/** Runs the command in this process, and returns its output. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Cause, ConfigProvider, Console, Effect, Exit, Layer, Runtime, Stdio } from "effect"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { run } from "../../src/cli/main.ts"
import { until } from "../support/until.ts"

/** A console that keeps the lines. */
const recorder = () => {
  const output: Array<string> = []
  const errors: Array<string> = []
  const console: Console.Console = Object.assign(Object.create(globalThis.console), {
    log: (...parts: ReadonlyArray<unknown>) => void output.push(parts.join(" ")),
    error: (...parts: ReadonlyArray<unknown>) => void errors.push(parts.join(" "))
  })
  return { console, output, errors }
}

/** Standard output as a terminal or a pipe, and no terminal for questions; undefined: that of this process. */
const stdio = (terminal: boolean | undefined) =>
  terminal === undefined ? Layer.empty : Stdio.layerTest({
    stdoutIsTerminal: Effect.succeed(terminal),
    stdinIsTerminal: Effect.succeed(false)
  })

const started = (
  args: ReadonlyArray<string>,
  environment: Readonly<Record<string, string>>,
  terminal?: boolean
) => {
  const { console, errors, output } = recorder()
  const effect = run(args).pipe(
    Effect.provide(stdio(terminal)),
    Effect.provide(NodeServices.layer),
    Effect.provideService(Console.Console, console),
    Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env: environment }))
  )
  return { effect, output: () => output.join("\n"), errors: () => errors.join("\n") }
}

/** Runs the command to its end. */
export const runCommand = (
  args: ReadonlyArray<string>,
  environment: Readonly<Record<string, string>> = {},
  terminal?: boolean
) =>
  Effect.gen(function*() {
    const { effect, errors, output } = started(args, environment, terminal)
    const exit = yield* Effect.exit(effect)
    const code = Exit.isSuccess(exit) ? 0 : Runtime.getErrorExitCode(Cause.squash(exit.cause))
    return { code, output: output(), errors: errors() }
  })

/** Runs `simulate` on a free port, until the scope is closed. */
export const simulate = (...args: ReadonlyArray<string>) => simulateIn({}, ...args)

/** Runs `simulate` as {@link simulate} does, with variables. */
export const simulateIn = (variables: Readonly<Record<string, string>>, ...args: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const { effect, errors, output } = started(["simulate", "--port", "0", ...args], variables)
    const fiber = yield* Effect.forkScoped(effect)
    yield* until(
      "the simulator serves",
      Effect.sync(() => {
        if (fiber.pollUnsafe() !== undefined) throw new Error(errors())
        return output() === "" ? undefined : true
      })
    )
    const environment = Object.fromEntries(
      [...output().matchAll(/^export (\w+)='(.*)'$/gm)].map(([, name = "", value = ""]) => [name, value])
    )
    const page = /http:\/\/localhost:\d+/.exec(output())?.[0] ?? ""
    return { output: output(), environment, origin: page, port: Number(new URL(page).port) }
  })

/** A folder for as long as the scope is open. */
export const temporaryFolder = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "effect-entra-"))),
  (folder) => Effect.promise(() => rm(folder, { recursive: true, force: true }))
)
