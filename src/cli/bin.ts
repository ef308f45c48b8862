#!/usr/bin/env node
/**
 * The executable `effect-entra`. An old version of Node, and the absence of `effect` or of the platform package, which is
 * optional for the library, are reported here, before a module that needs them is loaded.
 */
const end = (message: string, remedy: string): undefined => {
  process.stderr.write(`effect-entra: ${message}\n${remedy}\n`)
  process.exitCode = 1
}

/** Returns what ends the command because a package cannot be loaded. */
const without = (name: string) => (cause: unknown): undefined => {
  const [line = ""] = (cause instanceof Error ? cause.message : "").split("\n")
  return end(
    `The package ${name}, which this command needs, cannot be loaded: ${line}`,
    `Install it: npm i ${name}`
  )
}

/** The exit code of a program that the system ends at a closed pipe (SIGPIPE), such as that of `| head -1`. */
const closedPipe = 128 + 13
/** The exit code after output that could not be written. */
let failedOutput: number | undefined
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", ({ code = "an error" }: NodeJS.ErrnoException) => {
    if (failedOutput !== undefined) return
    failedOutput = code === "EPIPE" ? closedPipe : 1
    process.exitCode = failedOutput
    if (code !== "EPIPE" && stream === process.stdout) {
      process.stderr.write(
        `effect-entra: Standard output cannot be written (${code}). Write it to another file or disk.\n`
      )
    }
    // Interrupts a subcommand that runs, so that it removes its files.
    process.emit("SIGTERM")
  })
}

const effect = await Promise.all([
  import("effect/Effect"),
  import("effect/Runtime"),
  import("./internal/doctor/runtime.ts")
]).catch(without("effect"))

if (effect !== undefined) {
  const [Effect, Runtime, { runtimeFinding }] = effect
  const runtime = runtimeFinding(process.versions)
  const platform = runtime.status === "fail"
    ? end(runtime.detail, runtime.remedy)
    : await Promise.all([
      import("@effect/platform-node/NodeRuntime"),
      import("@effect/platform-node/NodeServices")
    ]).catch(without("@effect/platform-node"))

  if (platform !== undefined) {
    const [NodeRuntime, NodeServices] = platform
    const { run } = await import("./main.ts")
    // A terminal that closes interrupts a subcommand too, so that it removes its files.
    process.once("SIGHUP", () => process.emit("SIGTERM"))
    NodeRuntime.runMain(Effect.provide(run(process.argv.slice(2)), NodeServices.layer), {
      teardown: (exit, onExit) => Runtime.defaultTeardown(exit, (code) => onExit(failedOutput ?? code))
    })
  }
}
