/**
 * The `EntraSimulator` on real sockets, for clients that bring their own HTTP: other libraries, other processes, other
 * languages. It listens on 127.0.0.1 only, on a port of the system's choice.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Http from "node:http"
import * as Https from "node:https"
import * as EntraSimulator from "../testing/EntraSimulator.ts"
import * as TestCertificate from "../testing/TestCertificate.ts"

// -----------------------------------------------------------------------------
// Service
// -----------------------------------------------------------------------------

/**
 * A listening simulator: its origin, and the certificate (PEM) a client has to trust; undefined over plain http.
 *
 * @category services
 * @since 0.1.0
 */
export class SimulatorServer extends Context.Service<SimulatorServer, {
  readonly origin: string
  readonly certificate: string | undefined
}>()("effect-entra/node/SimulatorServer") {}

/**
 * Options of the simulator behind the server; its origin is the server's.
 *
 * @category options
 * @since 0.1.0
 */
export type Options = Omit<EntraSimulator.Options, "origin">

// -----------------------------------------------------------------------------
// Servers
// -----------------------------------------------------------------------------

/**
 * A simulator at `http://localhost:<port>`. Clients of the real service insist on https: this one is for transports
 * and demos.
 *
 * **Example** (Any HTTP client against the simulator)
 *
 * ```ts
 * import assert from "node:assert"
 * import { Effect } from "effect"
 * import { SimulatorServer } from "effect-entra/node"
 *
 * const program = Effect.gen(function*() {
 *   const { origin } = yield* SimulatorServer.SimulatorServer
 *   const response = yield* Effect.promise(() => fetch(`${origin}/v1.0/users`))
 *   assert.strictEqual(response.status, 401)
 * })
 *
 * await Effect.runPromise(Effect.provide(program, SimulatorServer.layerHttp()))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerHttp = (options?: Options): Layer.Layer<EntraSimulator.EntraSimulator | SimulatorServer> =>
  Layer.unwrap(Effect.sync(() => serve(Http.createServer(), "http", undefined, options)))

/**
 * A simulator at `https://localhost:<port>`, with a certificate for `localhost` and 127.0.0.1 made on the spot, and for
 * whatever `hosts` are led to it by other means, a proxy for example.
 *
 * **Gotchas**
 *
 * A process that is to trust it by `NODE_EXTRA_CA_CERTS` must be started with a file that holds `certificate`: Node
 * reads the variable once.
 *
 * **Example** (Asking over TLS)
 *
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { HttpClient, HttpClientRequest } from "effect/http"
 * import { SimulatorServer } from "effect-entra/node"
 * import { EntraSimulator } from "effect-entra/testing"
 * import assert from "node:assert"
 *
 * const program = Effect.gen(function*() {
 *   const { origin } = yield* SimulatorServer.SimulatorServer
 *   const response = yield* HttpClient.execute(
 *     HttpClientRequest.post(`${origin}/${EntraSimulator.contosoTenantId}/oauth2/v2.0/token`).pipe(
 *       HttpClientRequest.bodyUrlParams({
 *         grant_type: "client_credentials",
 *         client_id: EntraSimulator.daemonClientId,
 *         client_secret: EntraSimulator.daemonSecret,
 *         scope: "https://graph.microsoft.com/.default"
 *       })
 *     )
 *   )
 *   assert.equal(response.status, 200)
 *   yield* response.text
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.provide(
 *   SimulatorServer.layerHttpClient.pipe(Layer.provideMerge(SimulatorServer.layerHttps()))
 * )))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerHttps = (
  options?: Options & { readonly hosts?: ReadonlyArray<string> | undefined }
): Layer.Layer<EntraSimulator.EntraSimulator | SimulatorServer> =>
  Layer.unwrap(Effect.gen(function*() {
    // TLS goes by the machine's time, even in a test that has a clock of its own.
    const now = Date.now()
    const { authority, certificate, privateKey } = yield* TestCertificate.makeChain({
      commonName: "localhost",
      algorithm: "EC",
      subjectAltNames: ["localhost", "127.0.0.1", ...options?.hosts ?? []],
      notBefore: new Date(now - 3_600_000),
      notAfter: new Date(now + 86_400_000)
    })
    const server = Https.createServer({ key: Redacted.value(privateKey), cert: certificate })
    return serve(server, "https", authority, options)
  }))

// -----------------------------------------------------------------------------
// Clients
// -----------------------------------------------------------------------------

/**
 * An `HttpClient` over undici that trusts the server's certificate, and no other.
 *
 * **Example** (Over undici)
 *
 * ```ts
 * import { Layer } from "effect"
 * import { SimulatorServer } from "effect-entra/node"
 *
 * export const OverUndici = SimulatorServer.layerHttpClient.pipe(Layer.provideMerge(SimulatorServer.layerHttps()))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerHttpClient: Layer.Layer<HttpClient.HttpClient, never, SimulatorServer> = Layer.unwrap(
  Effect.map(
    SimulatorServer,
    ({ certificate }) =>
      NodeHttpClient.layerUndiciOptions(certificate === undefined ? {} : { connect: { ca: certificate } })
  )
)

/**
 * The same over `node:http` and `node:https`, with keep-alive.
 *
 * **Example** (Over node:http)
 *
 * ```ts
 * import { Layer } from "effect"
 * import { SimulatorServer } from "effect-entra/node"
 *
 * export const OverNodeHttp = SimulatorServer.layerHttpClientNodeHttp.pipe(
 *   Layer.provideMerge(SimulatorServer.layerHttps())
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerHttpClientNodeHttp: Layer.Layer<HttpClient.HttpClient, never, SimulatorServer> = Layer.unwrap(
  Effect.map(
    SimulatorServer,
    ({ certificate }) =>
      NodeHttpClient.layerNodeHttpOptions({
        keepAlive: true,
        ...(certificate === undefined ? {} : { ca: certificate })
      })
  )
)

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

const serve = (
  server: Http.Server,
  scheme: "http" | "https",
  certificate: string | undefined,
  options: Options | undefined
): Layer.Layer<EntraSimulator.EntraSimulator | SimulatorServer> => {
  const simulator = Layer.unwrap(Effect.gen(function*() {
    const { address } = yield* HttpServer.HttpServer
    if (address._tag === "UnixPathAddress") return yield* Effect.die(new Error("The simulator listens on TCP"))
    // Requests that still wait, such as delayed ones, would keep the server from closing.
    yield* Effect.addFinalizer(() => Effect.sync(() => server.closeAllConnections()))
    const origin = `${scheme}://localhost:${address.port}`
    return Layer.merge(
      EntraSimulator.layer({ ...options, origin }),
      Layer.succeed(SimulatorServer, { origin, certificate })
    )
  }))
  return HttpRouter.serve(EntraSimulator.routes, {
    disableLogger: true,
    disableListenLog: true,
    middleware: (handler) => Effect.provideService(handler, EntraSimulator.DropConnection, destroySocket)
  }).pipe(
    Layer.provideMerge(simulator),
    Layer.provide(NodeHttpServer.layer(() => server, {
      port: 0,
      host: "127.0.0.1",
      disablePreemptiveShutdown: true
    })),
    Layer.orDie
  )
}

// The fiber ends when the closed connection interrupts it.
const destroySocket = (request: HttpServerRequest.HttpServerRequest): Effect.Effect<never> =>
  Effect.andThen(
    Effect.sync(() => NodeHttpServerRequest.toIncomingMessage(request).socket.destroy()),
    Effect.never
  )
