/**
 * The `EntraSimulator` on real sockets, for clients with an HTTP stack of their own: other libraries, other processes, other
 * languages. The server listens on 127.0.0.1 only, on a port that the operating system chooses.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
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
 * A simulator that listens on a socket.
 *
 * **Details**
 *
 * `origin` is the scheme, host and port of the server. `certificate` is the PEM certificate that a client has to trust;
 * undefined for a server without TLS.
 *
 * @category services
 * @since 0.1.0
 */
export class SimulatorServer extends Context.Service<SimulatorServer, {
  readonly origin: string
  readonly certificate: string | undefined
}>()("effect-entra/node/SimulatorServer") {}

/**
 * Options of the simulator behind the server. The origin of the simulator is that of the server.
 *
 * @category options
 * @since 0.1.0
 */
export type Options = Omit<EntraSimulator.Options, "origin">

// -----------------------------------------------------------------------------
// Servers
// -----------------------------------------------------------------------------

/**
 * Starts a simulator at `http://localhost:<port>`.
 *
 * **When to use**
 *
 * Use for tests of transports and for demos. A `ConfidentialClient` requires https: use {@link layerHttps} for it.
 *
 * **Example** (Sending a request with any HTTP client)
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
  Layer.unwrap(Effect.suspend(() => serve(Http.createServer(), "http", undefined, options)))

/**
 * Starts a simulator at `https://localhost:<port>`, with a new certificate for `localhost` and 127.0.0.1.
 *
 * **Details**
 *
 * `hosts` are further host names for the certificate, for requests that reach the server in another way, such as through a
 * proxy. Default: no further hosts.
 *
 * **Gotchas**
 *
 * Node reads `NODE_EXTRA_CA_CERTS` once, at its start. A process that trusts the server by that variable must be started
 * after the file with `certificate` has been written.
 *
 * **Example** (Requesting a token over TLS)
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
    // TLS uses the system time, even in a test with a `TestClock`.
    const now = Date.now()
    const { authority, certificate, privateKey } = yield* TestCertificate.makeChain({
      commonName: "localhost",
      algorithm: "EC",
      subjectAltNames: ["localhost", "127.0.0.1", ...options?.hosts ?? []],
      notBefore: new Date(now - 3_600_000),
      notAfter: new Date(now + 86_400_000)
    })
    const server = Https.createServer({ key: Redacted.value(privateKey), cert: certificate })
    return yield* serve(server, "https", authority, options)
  }))

// -----------------------------------------------------------------------------
// Clients
// -----------------------------------------------------------------------------

/**
 * Provides an `HttpClient` over undici that trusts the server's certificate and no other.
 *
 * **Gotchas**
 *
 * It does not work on Bun, which replaces undici by a module of its own. Use {@link layerHttpClientNodeHttp} there.
 *
 * **Example** (Sending requests with undici)
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
  Effect.gen(function*() {
    const { certificate } = yield* SimulatorServer
    const { client } = yield* platform
    return client.layerUndiciOptions(certificate === undefined ? {} : { connect: { ca: certificate } })
  })
)

/**
 * Provides an `HttpClient` over `node:http` and `node:https` with keep-alive, which trusts the server's certificate.
 *
 * **Example** (Sending requests with node:http)
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
  Effect.gen(function*() {
    const { certificate } = yield* SimulatorServer
    const { client } = yield* platform
    return client.layerNodeHttpOptions({
      keepAlive: true,
      ...(certificate === undefined ? {} : { ca: certificate })
    })
  })
)

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

/** Loads the platform package, which is optional. Its absence is a defect, because it is an error of the test. */
const platform = Effect.promise(async () => {
  // esbuild bundles without a missing package only if each `import` is awaited inside `try`.
  try {
    const client = await import("@effect/platform-node/NodeHttpClient")
    const server = await import("@effect/platform-node/NodeHttpServer")
    return { client, server, request: await import("@effect/platform-node/NodeHttpServerRequest") }
  } catch (cause) {
    throw new Error("SimulatorServer needs a package: npm i -D @effect/platform-node", { cause })
  }
})

const serve = Effect.fnUntraced(function*(
  server: Http.Server,
  scheme: "http" | "https",
  certificate: string | undefined,
  options: Options | undefined
) {
  const { request, server: nodeServer } = yield* platform
  const simulator = Layer.unwrap(Effect.gen(function*() {
    const { address } = yield* HttpServer.HttpServer
    if (address._tag === "UnixPathAddress") {
      return yield* Effect.die(new Error("The server of the simulator has no TCP address."))
    }
    // Requests without a response yet, such as delayed ones, would keep the server from closing.
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
    middleware: (handler) =>
      Effect.provideService(handler, EntraSimulator.DropConnection, (dropped) =>
        // The closed connection interrupts the fiber, which ends it.
        Effect.andThen(Effect.sync(() => request.toIncomingMessage(dropped).socket.destroy()), Effect.never))
  }).pipe(
    Layer.provideMerge(simulator),
    Layer.provide(nodeServer.layer(() => server, {
      port: 0,
      host: "127.0.0.1",
      disablePreemptiveShutdown: true
    })),
    Layer.orDie
  )
})
