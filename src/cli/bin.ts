#!/usr/bin/env node
/**
 * The executable `effect-entra`. An old version of Node, and the absence of the platform package, which is optional for the
 * library, are reported here, before a module that needs them is loaded.
 */
import * as Effect from "effect/Effect"
import { runtimeFinding } from "./internal/doctor/runtime.ts"

const end = (message: string, remedy: string): undefined => {
  process.stderr.write(`effect-entra: ${message}\n${remedy}\n`)
  process.exitCode = 1
}

const runtime = runtimeFinding(process.versions)

const platform = runtime.status === "fail"
  ? end(runtime.detail, runtime.remedy)
  : await Promise.all([
    import("@effect/platform-node/NodeRuntime"),
    import("@effect/platform-node/NodeServices")
  ]).catch((cause: unknown) => {
    const [line = ""] = (cause instanceof Error ? cause.message : "").split("\n")
    return end(
      `The package @effect/platform-node, which this command needs, cannot be loaded: ${line}`,
      "Install it: npm i @effect/platform-node"
    )
  })

if (platform !== undefined) {
  const [NodeRuntime, NodeServices] = platform
  const { run } = await import("./main.ts")
  NodeRuntime.runMain(Effect.provide(run(process.argv.slice(2)), NodeServices.layer))
}
