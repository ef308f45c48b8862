/**
 * Starts the app: `npm run user-sync`. Without `AZURE_CLIENT_ID` and `AZURE_TENANT_ID` it starts the simulator on this
 * machine too. README.md has the settings.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Layer, Runtime } from "effect"
import { EntraError } from "effect-entra"
import { layerFromEnv, SimulatorServer } from "effect-entra/node"
import { FetchHttpClient } from "effect/http"
import { createServer } from "node:http"
import * as App from "./app.ts"
import * as Demo from "./demo.ts"
import { readSettings, type Settings } from "./settings.ts"
import * as Sqlite from "./sqlite.ts"

/** Creates the web server, which listens on this machine only. A reverse proxy with TLS makes a real app public. */
const server = ({ port }: Settings) =>
  NodeHttpServer.layer(createServer, { port, host: "127.0.0.1", gracefulShutdownTimeout: "5 seconds" })

const simulated = (settings: Settings) =>
  Layer.unwrap(Effect.map(Demo.options, (options) =>
    Layer.effectDiscard(Demo.seed).pipe(
      Layer.provide(App.layer({ ...options, publicUrl: settings.publicUrl }, Demo.ConsentPage, server(settings)))
    ))).pipe(
      Layer.provide(Demo.Client),
      Layer.provide(SimulatorServer.layerHttpClient),
      Layer.provide(Demo.Simulator),
      Layer.provide(Sqlite.layer(settings.database ?? ":memory:"))
    )

const real = (settings: Settings, { accounts, authorityHost, clientId }: NonNullable<Settings["real"]>) =>
  App.layer(
    {
      clientId,
      accounts,
      authorityHost,
      graph: "https://graph.microsoft.com",
      publicUrl: settings.publicUrl
    },
    Layer.empty,
    server(settings)
  ).pipe(
    Layer.provide(layerFromEnv({
      allowedTenants: accounts.flatMap((account) => account.kind === "customer" ? account.tenantId : [])
    })),
    Layer.provide([FetchHttpClient.layer, NodeFileSystem.layer]),
    Layer.provide(Sqlite.layer(settings.database ?? "user-sync.db"))
  )

const messageOf = (cause: unknown): string => cause instanceof Error ? cause.message : String(cause)

const program = Effect.gen(function*() {
  const settings = yield* readSettings
  return yield* Layer.launch(
    settings.real === undefined ? simulated(settings) : real(settings, settings.real)
  )
}).pipe(
  Effect.tapError((error) => {
    const [problem, remedy] = error._tag === "ServeError"
      ? [`The web server cannot listen (${messageOf(error.cause)}).`, "Set USER_SYNC_PORT to a port that is free."]
      : [error.message, EntraError.isEntraError(error) ? error.remedy : ""]
    return Console.error(`User sync cannot start: ${problem} ${remedy}`.trim())
  }),
  Effect.tapDefect((defect) => Console.error("User sync stops because of a defect:", defect)),
  Effect.onInterrupt(() => Console.log("User sync has stopped."))
)

// SIGTERM and SIGINT interrupt the program, which is no failure.
NodeRuntime.runMain(program, {
  disableErrorReporting: true,
  teardown: (exit, onExit) => Runtime.defaultTeardown(exit, (code) => onExit(code === 130 ? 0 : code))
})
