/** Processes of a fleet that are processes of this machine. For live tests only. */
import { Effect, type Scope } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import type { Answer, Command } from "../fleet/child.ts"

export interface FleetProcess {
  /** Sends a command and waits for its answer. Dies when the process ends before. */
  readonly run: (command: Command) => Effect.Effect<Answer>
  readonly kill: (signal: NodeJS.Signals) => Effect.Effect<void>
  /** Ends it as a deployment does, and waits for the end. */
  readonly end: Effect.Effect<void>
}

const program = fileURLToPath(new URL("../fleet/child.ts", import.meta.url))

/** Starts a process, which knows Redis, the provider and the root keys, and waits until it is ready. */
export const startFleetProcess = (
  origin: string,
  redis: string,
  roots: ReadonlyArray<string>
): Effect.Effect<FleetProcess, never, Scope.Scope> =>
  Effect.gen(function*() {
    const child: ChildProcess = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, ["--conditions=@effect-entra/source", program, origin, redis, ...roots], {
          stdio: ["pipe", "pipe", "inherit"],
          env: { PATH: process.env["PATH"], NO_COLOR: "1" }
        })
      ),
      (child) => Effect.sync(() => child.kill("SIGKILL"))
    )
    const { stdin, stdout } = child
    if (stdin === null || stdout === null) return yield* Effect.die(new Error("no pipes"))
    const waiting: Array<(line: string | undefined) => void> = []
    const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()))
    // Logs are lines too.
    createInterface({ input: stdout }).on("line", (line) => {
      if (line.startsWith("{")) waiting.shift()?.(line)
    })
    void ended.then(() => {
      for (const resume of waiting.splice(0)) resume(undefined)
    })
    const answer = Effect.callback<Answer>((resume) => {
      waiting.push((line) =>
        resume(
          line === undefined ? Effect.die(new Error("the process has ended")) : Effect.sync(() => JSON.parse(line))
        )
      )
    })
    yield* answer
    return {
      run: (command) =>
        Effect.suspend(() => {
          stdin.write(`${JSON.stringify(command)}\n`)
          return answer
        }),
      kill: (signal) => Effect.sync(() => child.kill(signal)),
      end: Effect.suspend(() => {
        stdin.write(`${JSON.stringify({ do: "end" })}\n`)
        return Effect.promise(() => ended)
      })
    }
  })

/** A process that uses a processor, for as long as the scope is open. */
export const burner = Effect.acquireRelease(
  Effect.sync(() => spawn(process.execPath, ["-e", "for (;;);"], { stdio: "ignore" })),
  (child) => Effect.sync(() => child.kill("SIGKILL"))
)
