/** The app of examples/user-sync in the process of a test, with the simulator behind it. */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Context, Effect, Latch, Layer, Option, References } from "effect"
import { ConfidentialClient } from "effect-entra"
import { SimulatorServer } from "effect-entra/node"
import { EntraSimulator } from "effect-entra/testing"
import { HttpClient, HttpClientRequest, HttpServer } from "effect/http"
import { createServer } from "node:http"
import * as App from "../../examples/user-sync/app.ts"
import * as Demo from "../../examples/user-sync/demo.ts"
import * as Server from "../../examples/user-sync/server.ts"
import * as Sqlite from "../../examples/user-sync/sqlite.ts"
import { Store } from "../../examples/user-sync/store.ts"
import { Sync } from "../../examples/user-sync/sync.ts"

export const pace = { interval: 60_000, firstDelay: 200, longestDelay: 60_000 }

/** Starts the app on a free port. It ends with the scope. */
export const startApp = Effect.fnUntraced(function*(database = ":memory:") {
  // While it is closed, Graph has no further page for the app.
  const furtherPages = Latch.makeUnsafe(true)
  const isFurtherPage = (request: HttpClientRequest.HttpClientRequest) =>
    Option.exists(HttpClientRequest.toUrl(request), ({ searchParams }) => searchParams.has("$skiptoken"))
  const Http = Layer.effect(
    HttpClient.HttpClient,
    Effect.map(
      HttpClient.HttpClient,
      HttpClient.mapRequestEffect((request) =>
        Effect.as(isFurtherPage(request) ? furtherPages.await : Effect.void, request)
      )
    )
  ).pipe(Layer.provide(SimulatorServer.layerHttpClient))
  const Running = Layer.unwrap(
    Effect.map(
      Demo.options,
      (options) =>
        App.layer(
          { ...options, sync: { pace, concurrency: 2 } },
          Demo.ConsentPage,
          NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" })
        )
    )
  ).pipe(
    Layer.provideMerge(Demo.Client),
    Layer.provideMerge(Http),
    Layer.provideMerge(Demo.Simulator),
    Layer.provideMerge(Sqlite.layer(database))
  )
  // Refusals of the service are the subject of tests, so the library's lines about them are no news.
  const services = yield* Effect.provideService(Layer.build(Running), References.MinimumLogLevel, "None")
  return {
    furtherPages,
    origin: yield* Effect.provide(Server.originOf({}), Context.pick(HttpServer.HttpServer)(services)),
    simulator: Context.get(services, EntraSimulator.EntraSimulator),
    store: Context.get(services, Store),
    sync: Context.get(services, Sync),
    client: Context.get(services, ConfidentialClient.ConfidentialClient)
  }
})
