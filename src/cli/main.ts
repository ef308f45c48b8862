/**
 * The command `effect-entra` with its subcommands.
 */
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as TerminalCapabilities from "effect/cli/TerminalCapabilities"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { readFileSync } from "node:fs"
import { certCommand } from "./certCommand.ts"
import { doctorCommand } from "./doctorCommand.ts"
import { presenter } from "./internal/usageErrors.ts"
import { simulateCommand } from "./simulateCommand.ts"
import { tokenCommand } from "./tokenCommand.ts"

const command = Command.make("effect-entra").pipe(
  Command.withDescription("Tools for Microsoft Entra ID app tokens."),
  Command.withExamples([
    { command: "npx effect-entra simulate", description: "Serve a simulated Entra ID and Microsoft Graph" },
    { command: "npx effect-entra cert new", description: "Create a private key and its certificate" },
    { command: "npx effect-entra doctor", description: "Examine the environment and say how to fix it" }
  ]),
  Command.withSubcommands([certCommand, doctorCommand, simulateCommand, tokenCommand])
)

const Manifest = Schema.fromJsonString(Schema.Struct({ version: Schema.String }))

/** The version of this package. The path is the same from `src` and from `dist`. */
const version = Effect.sync(() =>
  Schema.decodeSync(Manifest)(readFileSync(new URL("../../package.json", import.meta.url), "utf8")).version
)

/**
 * Runs the command with the arguments of a command line, without the name of the program.
 *
 * Errors are already printed when this effect fails. The exit code is `Runtime.getErrorExitCode` of the error.
 */
export const run = (args: ReadonlyArray<string>) =>
  Effect.flatMap(version, (version) => Command.runWith(command, { version })(args)).pipe(
    Effect.provideService(CliOutput.Presenter, presenter),
    Effect.provide(TerminalCapabilities.layer)
  )
