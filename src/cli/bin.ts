#!/usr/bin/env node
/**
 * The executable `effect-entra`. The platform package is optional for the library, so its absence is reported here, before
 * a module that needs it is loaded.
 */
import * as Effect from "effect/Effect"

const platform = await Promise.all([
  import("@effect/platform-node/NodeRuntime"),
  import("@effect/platform-node/NodeServices")
]).catch((cause: unknown) => {
  const [line = ""] = (cause instanceof Error ? cause.message : "").split("\n")
  process.stderr.write(
    `effect-entra: The package @effect/platform-node, which this command needs, cannot be loaded: ${line}\n` +
      "Install it: npm i @effect/platform-node\n"
  )
  process.exitCode = 1
})

if (platform !== undefined) {
  const [NodeRuntime, NodeServices] = platform
  const { run } = await import("./main.ts")
  NodeRuntime.runMain(Effect.provide(run(process.argv.slice(2)), NodeServices.layer))
}
