/**
 * A program of Effect 3 that lists the users of Microsoft Graph. Run `npm run build` at the root of the repository, then
 * `npm ci` and `npm start` here, with the variables below.
 */
import { FetchHttpClient, HttpClientResponse } from "@effect/platform"
import { Config, Console, Effect, Layer, Logger, Redacted, Schema } from "effect"
import { EntraTokens, withToken } from "./EntraTokens.ts"

const Settings = Config.all({
  clientId: Schema.Config("AZURE_CLIENT_ID", Schema.UUID),
  tenantId: Schema.Config("AZURE_TENANT_ID", Schema.NonEmptyString),
  secret: Config.redacted("AZURE_CLIENT_SECRET"),
  authority: Config.withDefault(Config.string("AZURE_AUTHORITY_HOST"), "https://login.microsoftonline.com"),
  graph: Config.withDefault(Config.string("GRAPH_ORIGIN"), "https://graph.microsoft.com")
})

const Users = Schema.Struct({ value: Schema.Array(Schema.Struct({ displayName: Schema.String })) })

const program = Effect.gen(function*() {
  const { graph } = yield* Settings
  const tokens = yield* EntraTokens
  const scopes = "https://graph.microsoft.com/.default"

  // Concurrent callers share one request, and later callers are served from the cache.
  const both = yield* Effect.all([tokens.acquire(scopes), tokens.acquire(scopes)], { concurrency: 2 })
  yield* Console.log(
    `one token for both: ${Redacted.value(both[0].accessToken) === Redacted.value(both[1].accessToken)}`
  )
  yield* Console.log(`from the cache: ${(yield* tokens.acquire(scopes)).fromCache}; printed: ${both[0].accessToken}`)

  const client = yield* withToken(scopes)
  const { value } = yield* Effect.flatMap(client.get(`${graph}/v1.0/users`), HttpClientResponse.schemaBodyJson(Users))
  yield* Console.log(`${value.length} users`)

  // The error type is the union of the package's exceptions, so each tag has its own members.
  yield* tokens.acquire("User.Read").pipe(
    Effect.catchTag("EntraInvalidScopeError", ({ code, field }) => Console.log(`${code} at ${field}`))
  )
  yield* tokens.acquire({ scopes, tenantId: "nobody.example" }).pipe(
    Effect.catchTag("EntraInvalidAuthorityError", ({ code, origin }) => Console.log(`${code} from the ${origin}`))
  )
  const ended = yield* tokens.acquire({ scopes, forceRefresh: true }).pipe(Effect.timeoutOption("1 millis"))
  yield* Console.log(
    `an interrupted wait: ${ended._tag}, and the client goes on: ${(yield* tokens.acquire(scopes)).fromCache}`
  )
})

const EntraLive = Layer.unwrapEffect(
  Effect.map(
    Settings,
    ({ authority, clientId, secret, tenantId }) => EntraTokens.layer({ authority, clientId, secret, tenantId })
  )
)

// The lines of the package's log are lines of this program's log.
const Log = Logger.replace(
  Logger.defaultLogger,
  Logger.map(Logger.logfmtLogger, (line) => console.error(line))
)

await Effect.runPromise(Effect.provide(program, Layer.provideMerge(EntraLive, Layer.merge(FetchHttpClient.layer, Log))))
