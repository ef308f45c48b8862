/**
 * `effect-entra token`: acquires a token and prints it.
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Console from "effect/Console"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stdio from "effect/Stdio"
import { type AuthenticationResult, authorizationHeader } from "../AccessToken.ts"
import { ClientCredential } from "../ClientCredential.ts"
import * as ConfidentialClient from "../ConfidentialClient.ts"
import type { AcquireTokenError } from "../EntraError.ts"
import { readClient } from "../internal/environment/environment.ts"
import * as NodeTransport from "../node/NodeTransport.ts"
import { filled } from "./internal/checkedFlag.ts"
import { clientFlags, type ClientSetup, clientSetup } from "./internal/clientFlags.ts"
import { CommandError } from "./internal/commandError.ts"
import { claimsOf } from "./internal/jwt.ts"
import { withoutLogs } from "./internal/logs.ts"
import { withProgress } from "./internal/progress.ts"
import { printable, printableJson } from "./internal/terminalText.ts"

const outputs = ["token", "header", "claims", "json"] as const

export const tokenCommand = Command.make(
  "token",
  {
    ...clientFlags,
    scope: Flag.String("scope").pipe(
      Flag.withAlias("s"),
      Flag.withMetavar("scope"),
      Flag.withDescription("A scope, such as https://graph.microsoft.com/.default. Can be repeated"),
      filled,
      Flag.atLeast(1)
    ),
    output: Flag.Literals("output", outputs).pipe(
      Flag.withAlias("o"),
      Flag.withDescription(
        "The token alone, an Authorization header, the decoded claims, or all as JSON; default: token"
      ),
      Flag.withDefault("token")
    ),
    raw: Flag.Boolean("raw").pipe(
      Flag.withDescription("Print a token also if standard output is a file or a pipe, which may be a log"),
      Flag.withDefault(false)
    )
  },
  Effect.fn(function*({ output, raw, scope, ...flags }) {
    yield* checkOutput(output, raw)
    const setup = yield* clientSetup(flags)
    const environment = yield* ConfigProvider.ConfigProvider
    const result = yield* acquire(setup, scope).pipe(
      withProgress("Requesting a token"),
      Effect.provideService(ConfigProvider.ConfigProvider, setup.provider(environment)),
      Effect.mapError((error) => commandError(setup, error))
    )
    yield* Console.log(yield* textOf(output, result))
  }, Effect.provideService(Logger.LogToStderr, true))
).pipe(
  Command.withShortDescription("Acquire a token and print it"),
  Command.withDescription(
    "Acquire a token as the app and print it. The client is that of the environment (AZURE_CLIENT_ID, AZURE_TENANT_ID, "
      + "AZURE_CLIENT_SECRET and so on), and flags override it."
  ),
  Command.withExamples([
    {
      command: "npx effect-entra token --scope https://graph.microsoft.com/.default --output claims",
      description: "Show the claims: audience, roles, expiry"
    },
    {
      command:
        "npx effect-entra token --scope api://orders/.default --tenant contoso.onmicrosoft.com --certificate daemon.pem",
      description: "Print a token that a certificate authenticates, on a terminal"
    },
    {
      command:
        `curl -H "$(npx effect-entra token -s api://orders/.default -o header --raw)" https://orders.contoso.com`,
      description: "Call an API"
    }
  ])
)

/** Refuses to print a token if a log may store the output. Claims alone do not give access. */
const checkOutput = Effect.fnUntraced(function*(output: typeof outputs[number], raw: boolean) {
  const { stdoutIsTerminal } = yield* Stdio.Stdio
  if (output !== "claims" && !raw && !(yield* stdoutIsTerminal)) {
    return yield* new CommandError({
      message: "Standard output is not a terminal, so a log could store the token.",
      remedy: "Pass --raw to print the token anyway, or --output claims to print its claims."
    })
  }
})

const acquire = Effect.fnUntraced(function*(setup: ClientSetup, scopes: ReadonlyArray<string>) {
  const { credential, ...settings } = yield* readClient({}, setup.loader)
  return yield* ConfidentialClient.acquireToken({ scopes }).pipe(
    Effect.provide(
      ConfidentialClient.layerDefault(settings).pipe(
        Layer.provide([Layer.succeed(ClientCredential, credential), NodeTransport.layer])
      )
    ),
    withoutLogs
  )
})

const commandError = ({ inFlags }: ClientSetup, error: AcquireTokenError): CommandError =>
  new CommandError({
    message: printable(inFlags(error.message)),
    remedy: [
      printable(inFlags(error.remedy)),
      `Code: ${error.code}${error.correlationId === undefined ? "" : `, correlation id: ${error.correlationId}`}`,
      "To examine the setup: npx effect-entra doctor"
    ].join("\n")
  })

// -----------------------------------------------------------------------------
// output
// -----------------------------------------------------------------------------

/** The JSON of `--output json`. Times are in ISO 8601. */
const TokenOutput = Schema.Struct({
  accessToken: Schema.String,
  tokenType: Schema.String,
  expiresOn: Schema.String,
  refreshOn: Schema.String,
  scopes: Schema.Array(Schema.String),
  tenantId: Schema.String,
  authority: Schema.String,
  correlationId: Schema.String
})

const Claims = Schema.Record(Schema.String, Schema.Unknown)

const textOf = (
  output: typeof outputs[number],
  result: AuthenticationResult
): Effect.Effect<string, CommandError> => {
  const token = Redacted.value(result.accessToken)
  switch (output) {
    case "token":
      return Effect.succeed(token)
    case "header":
      return Effect.succeed(`Authorization: ${Redacted.value(authorizationHeader(result, { method: "GET", url: "" }))}`)
    case "claims": {
      const claims = claimsOf(token, Claims)
      return claims !== undefined ? Effect.succeed(printableJson(claims)) : Effect.fail(
        new CommandError({
          message: "The token is not a JWT, so it has no claims to show.",
          remedy: "Only the API of the token can read it."
        })
      )
    }
    case "json":
      return Effect.succeed(printableJson(outputOf(result)))
  }
}

const outputOf = (
  { accessToken, authority, correlationId, expiresOn, refreshOn, scopes, tenantId, tokenType }: AuthenticationResult
): typeof TokenOutput.Type => ({
  accessToken: Redacted.value(accessToken),
  tokenType,
  expiresOn: DateTime.formatIso(expiresOn),
  refreshOn: DateTime.formatIso(refreshOn),
  scopes,
  tenantId,
  authority,
  correlationId
})
