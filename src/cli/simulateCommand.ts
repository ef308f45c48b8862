/**
 * `effect-entra simulate`: serves a simulated Entra ID until it is interrupted.
 */
import * as Command from "effect/cli/Command"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as SimulatorServer from "../node/SimulatorServer.ts"
import { style } from "./internal/style.ts"

export const simulateCommand = Command.make(
  "simulate",
  {},
  Effect.fn(function*() {
    const { origin } = yield* SimulatorServer.SimulatorServer
    const { bold } = yield* style
    yield* Console.log(`The simulator serves ${bold(origin)}.`)
    return yield* Effect.never
  }, Effect.provide(SimulatorServer.layerHttp()))
).pipe(
  Command.withDescription("Serve a simulated Entra ID and Microsoft Graph until it is interrupted"),
  Command.withExamples([{ command: "effect-entra simulate", description: "Serve on a free port" }])
)
