/** The app: the web server over the background job, the database and Microsoft Graph. */
import { Effect, type FileSystem, Layer, type Path } from "effect"
import type { Etag, HttpPlatform, HttpServer } from "effect/http"
import * as Graph from "./graph.ts"
import * as Server from "./server.ts"
import * as Sessions from "./sessions.ts"
import * as Store from "./store.ts"
import * as Sync from "./sync.ts"

export interface Options extends Server.Options {
  /** The origin of Microsoft Graph. */
  readonly graph: string
  readonly sync?: Sync.Settings | undefined
}

/**
 * Creates the app over an `HttpClient`, a `SqlClient` and a `ConfidentialClient`. The web server starts last. It ends
 * first, then the background job, then the database. `more` are further routes.
 */
export const layer = <E, R, ServerError>(
  options: Options,
  more: Layer.Layer<never, E, R>,
  server: Layer.Layer<
    HttpServer.HttpServer | HttpPlatform.HttpPlatform | Etag.Generator | FileSystem.FileSystem | Path.Path,
    ServerError
  >
) =>
  Layer.mergeAll(
    Server.layer(options, more),
    Layer.effectDiscard(
      Effect.flatMap(Server.originOf(options), (origin) => Effect.logInfo(`User sync is ready. Open ${origin}`))
    )
  ).pipe(
    Layer.provideMerge(server),
    Layer.provideMerge(Sync.layer(options.sync ?? Sync.defaults)),
    Layer.provideMerge(Layer.mergeAll(Graph.layer(options.graph), Store.layer, Sessions.layer))
  )
