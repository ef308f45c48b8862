/**
 * `effect-entra doctor`: examines a setup step by step, and says how to fix each problem.
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import { filled } from "./internal/checkedFlag.ts"
import { clientFlags, clientSetup } from "./internal/clientFlags.ts"
import { CommandError } from "./internal/commandError.ts"
import { diagnose } from "./internal/doctor/doctor.ts"
import { summaryOf, textOf } from "./internal/doctor/render.ts"
import { withoutLogs } from "./internal/logs.ts"
import { style } from "./internal/style.ts"

export const doctorCommand = Command.make(
  "doctor",
  {
    ...clientFlags,
    scope: Flag.String("scope").pipe(
      Flag.withAlias("s"),
      Flag.withMetavar("scope"),
      Flag.withDescription("A scope of the token to request; default: Microsoft Graph. Can be repeated"),
      filled,
      Flag.atLeast(0)
    ),
    project: Flag.String("project").pipe(
      Flag.withMetavar("folder"),
      Flag.withDescription("The folder whose packages are examined; default: the current folder"),
      filled,
      Flag.withDefault(".")
    ),
    json: Flag.Boolean("json").pipe(Flag.withDescription("Print the report as JSON"), Flag.withDefault(false)),
    strict: Flag.Boolean("strict").pipe(Flag.withDescription("Fail on warnings too"), Flag.withDefault(false))
  },
  Effect.fn(function*({ json, project, scope, strict, ...flags }) {
    const setup = yield* clientSetup(flags)
    const styled = yield* style
    const report = yield* diagnose({
      setup,
      scopes: scope,
      project,
      runtime: process.versions,
      onFinding: (finding) => json ? Effect.void : Console.log(textOf(finding, styled))
    }).pipe(withoutLogs)
    if (json) yield* Console.log(JSON.stringify(report, undefined, 2))
    if (report.status === "fail" || (strict && report.status === "warn")) {
      return yield* new CommandError({
        message: summaryOf(report),
        remedy: "Follow the remedies of the report from the first one on, because later steps need earlier ones."
      })
    }
    if (!json) yield* Console.log(summaryOf(report))
  }, Effect.provideService(Logger.LogToStderr, true))
).pipe(
  Command.withShortDescription("Examine a setup and say how to fix it"),
  Command.withDescription(
    "Examine a setup step by step: variables, credential, proxy, name, TLS, clock, discovery, token, roles, Redis. "
      + "Each problem has a remedy. The exit code is 0 if no step failed, otherwise 1."
  ),
  Command.withExamples([
    { command: "npx effect-entra doctor", description: "Examine the environment: AZURE_*, HTTPS_PROXY, REDIS_URL" },
    {
      command: "npx effect-entra doctor --scope api://orders/.default --strict --json",
      description: "Examine it in CI for one API; warnings fail too"
    },
    {
      command: "npx effect-entra doctor --tenant contoso.onmicrosoft.com --certificate daemon.pem",
      description: "Examine other values than those of the environment"
    }
  ])
)
