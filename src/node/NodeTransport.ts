/**
 * An `HttpClient` for Node in a company's network: undici with keep-alive, the proxy of the environment, and additional
 * certificate authorities.
 *
 * @since 0.1.0
 */
import type * as Undici from "@effect/platform-node/Undici"
import * as Config from "effect/Config"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { Socket } from "node:net"
import type { SecureContext } from "node:tls"
import type { InvalidRequestError } from "../EntraError.ts"
import { version } from "../internal/http/fields.ts"
import { invalidRequest, notA } from "../internal/shared/errors.ts"
import { isText, timeoutOf } from "../internal/shared/validate.ts"
import { secureContextOf } from "./internal/certificates/secureContext.ts"
import { loadFailure } from "./internal/packages.ts"
import * as Proxies from "./internal/proxies.ts"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * Options of the transport.
 *
 * **Details**
 *
 * - `proxy`: one proxy for all requests; `false`: no proxy. Default: `HTTPS_PROXY`, `HTTP_PROXY`. Credentials are given in
 *   `username` and `password` without percent-encoding, or percent-encoded in the URL.
 * - `noProxy`: hosts that are reached directly: `"example.com"` with its subdomains, `"*.example.com"` for the subdomains
 *   alone, `"example.com:8080"`, `"10.0.0.7"`, `"*"`. Default: `NO_PROXY`.
 * - `certificateAuthorities`: certificates (PEM, several in one string or in an array) that are trusted in addition to those
 *   that Node trusts, which include `NODE_EXTRA_CA_CERTS`. They apply to the hosts and to an https proxy.
 * - `connectTimeout`: the limit for TCP and TLS of one connection, and for the response of the proxy to `CONNECT`; default: 5
 *   seconds, half of the default `attemptTimeout` of the `TokenEndpoint` layer.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly proxy?:
    | {
      readonly url: string | URL
      readonly username?: string | undefined
      readonly password?: Redacted.Redacted<string> | undefined
    }
    | false
    | undefined
  readonly noProxy?: ReadonlyArray<string> | undefined
  readonly certificateAuthorities?: string | ReadonlyArray<string> | undefined
  readonly connectTimeout?: Duration.Input | undefined
}

/**
 * The default values of the options.
 *
 * @category models
 * @since 0.1.0
 */
export const defaults = { connectTimeout: "5 seconds" } as const

// -----------------------------------------------------------------------------
// layers
// -----------------------------------------------------------------------------

/**
 * Provides an `HttpClient` over undici that uses the proxy of `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`. The variables are
 * read through `Config` when the layer is built.
 *
 * **When to use**
 *
 * Use on Node or Deno when there is a proxy, or may be one. If no variable is set, it works like
 * `NodeHttpClient.layerUndici` with a shorter connect timeout.
 *
 * **Details**
 *
 * - A lower case name overrides the upper case one (`https_proxy` before `HTTPS_PROXY`). If `HTTPS_PROXY` is not set,
 *   `HTTP_PROXY` applies to https too, as in undici and Node. An address without a scheme is an http address. A variable with
 *   an empty value counts as not set. `ALL_PROXY` is not read.
 * - The user name and the password of `http://user:password@proxy.example:8080` are sent to the proxy as Basic credentials. For
 *   https hosts they are sent in `CONNECT` only, so the host never receives them. For http hosts each request goes to the
 *   proxy, including the credentials, and an error of the proxy looks like an error of the host.
 * - This machine (`localhost`, `127.0.0.0/8`, `::1`) and its network link (`169.254.0.0/16`, `fe80::/10`), where the services
 *   of managed identities listen, are always reached directly.
 * - If the proxy refuses the tunnel, the request fails with a `NetworkError` whose reason is `PROXY_RESPONSE_<status>` (407:
 *   the proxy refused the credentials). If the proxy cannot be reached, the reason is `PROXY_ECONNREFUSED`, `PROXY_ENOTFOUND`
 *   and so on.
 * - Requests have the `User-Agent` `effect-entra/<version>`, unless they have their own.
 * - The connections are closed with the scope of the layer.
 *
 * **Gotchas**
 *
 * The layer fails with an `InvalidRequestError` when a variable is not the URL of a proxy. The error names the variable
 * and does not show its value. It also fails with an `InvalidRequestError` (`transport_unsupported`) when
 * `@effect/platform-node` is not installed, and on Bun, which replaces undici by a module that ignores proxies.
 *
 * **Example** (Connecting through a company's proxy)
 *
 * ```ts
 * import { Layer } from "effect"
 * import { ConfidentialClient } from "effect-entra"
 * import { NodeTransport } from "effect-entra/node"
 *
 * export const Entra = ConfidentialClient.layerFromEnv().pipe(Layer.provideMerge(NodeTransport.layer))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<HttpClient.HttpClient, InvalidRequestError> = /*#__PURE__*/ Layer.suspend(() =>
  layerWith({})
)

/**
 * Provides the `HttpClient` of {@link layer} with options. An option overrides its variable.
 *
 * **Example** (Using a proxy with a password and a company's certificate authority)
 *
 * ```ts
 * import assert from "node:assert"
 * import { Effect, Layer, Redacted } from "effect"
 * import { NodeTransport, SimulatorServer } from "effect-entra/node"
 * import { HttpClient } from "effect/http"
 *
 * const Transport = Layer.unwrap(Effect.map(SimulatorServer.SimulatorServer, ({ certificate = "" }) =>
 *   NodeTransport.layerWith({
 *     proxy: { url: "http://proxy.example:8080", username: "app", password: Redacted.make("p@ss/word") },
 *     noProxy: ["intranet.example"],
 *     certificateAuthorities: certificate
 *   })
 * ))
 *
 * const program = Effect.gen(function*() {
 *   const { origin } = yield* SimulatorServer.SimulatorServer
 *   const response = yield* HttpClient.get(`${origin}/v1.0/users`)
 *   assert.strictEqual(response.status, 401)
 * })
 *
 * // The simulator is on this machine, so its requests do not go through the proxy.
 * await Effect.runPromise(program.pipe(
 *   Effect.provide(Transport.pipe(Layer.provideMerge(SimulatorServer.layerHttps())))
 * ))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerWith = (options: Options): Layer.Layer<HttpClient.HttpClient, InvalidRequestError> =>
  Layer.unwrap(Effect.gen(function*() {
    const settings = {
      proxies: yield* proxiesOf(options),
      secureContext: yield* Effect.fromResult(secureContextOf(options.certificateAuthorities)),
      timeout: yield* Effect.fromResult(timeoutOf("connectTimeout", options.connectTimeout ?? defaults.connectTimeout))
    }
    const { client, undici } = yield* loadUndici
    return Layer.effect(
      HttpClient.HttpClient,
      Effect.map(HttpClient.HttpClient, HttpClient.mapRequest(withUserAgent))
    ).pipe(
      Layer.provide(client.layerUndiciNoDispatcher),
      Layer.provide(Layer.effect(client.Dispatcher, makeDispatcher(undici, settings)))
    )
  }))

// -----------------------------------------------------------------------------
// undici
// -----------------------------------------------------------------------------

/** undici sends no `User-Agent` of its own, and firewalls refuse requests without it. */
const withUserAgent = (request: HttpClientRequest.HttpClientRequest): HttpClientRequest.HttpClientRequest =>
  request.headers["user-agent"] === undefined
    ? HttpClientRequest.setHeader(request, "user-agent", `effect-entra/${version}`)
    : request

/** The key under which Node stores the dispatcher of `fetch`. */
const dispatcherOfFetch = Symbol.for("undici.globalDispatcher.1")

/** Loads undici, which takes a tenth of a second, and the platform package, which is optional. */
const loadUndici = Effect.gen(function*() {
  const { client, module } = yield* Effect.tryPromise({
    try: async () => {
      // esbuild bundles without a missing package only if each `import` is awaited inside `try`.
      try {
        // When undici loads, it replaces the dispatcher of `fetch`. The former dispatcher is restored, because it may read
        // `HTTPS_PROXY`.
        const before: unknown = Reflect.get(globalThis, dispatcherOfFetch)
        const client = await import("@effect/platform-node/NodeHttpClient")
        const module = await import("@effect/platform-node/Undici")
        if (before !== undefined) Reflect.set(globalThis, dispatcherOfFetch, before)
        return { client, module }
      } catch (cause) {
        throw loadFailure(cause)
      }
    },
    catch: (reason) =>
      unsupported(`@effect/platform-node with its undici cannot be loaded: ${String(reason)}`, installing)
  })
  // Some bundlers leave only the default export of a CommonJS package.
  const undici = [module, module.default].find(isUndici)
  return undici === undefined
    ? yield* Effect.fail(unsupported("this runtime replaces undici by a module of its own", fetching))
    : { client, undici }
})

/** Returns whether a module is undici itself. Bun replaces the package by a module that lacks most of it. */
const isUndici = (module: unknown): module is typeof Undici =>
  Predicate.hasProperty(module, "EnvHttpProxyAgent") && typeof module.EnvHttpProxyAgent === "function" &&
  Predicate.hasProperty(module.EnvHttpProxyAgent.prototype, "compose")

const unsupported = (message: string, remedy: string): InvalidRequestError =>
  invalidRequest("transport_unsupported", "NodeTransport", `NodeTransport does not work here: ${message}`, remedy)

const page = "docs/networks.md#runtimes-and-bundlers of effect-entra"

const installing = `Install the package: npm i @effect/platform-node. In a bundle, see ${page}.`

const fetching = "Take FetchHttpClient.layer: the fetch of Bun reads HTTPS_PROXY, NO_PROXY and NODE_EXTRA_CA_CERTS. " +
  `See ${page}.`

interface Settings {
  readonly proxies: Proxies.Proxies
  readonly secureContext: SecureContext | undefined
  /** The connect timeout in milliseconds. */
  readonly timeout: number
}

const makeDispatcher = Effect.fnUntraced(function*(
  undici: typeof Undici,
  { proxies, secureContext, timeout }: Settings
): Effect.fn.Return<Undici.Dispatcher, never, Scope.Scope> {
  const tls = secureContext === undefined ? {} : { secureContext }
  const sockets = socketRegistry()
  const connect = sockets.tracking(undici.buildConnector({ timeout, ...tls }))
  const direct = new undici.Agent({ connectTimeout: timeout, connect })
  const agent = new undici.EnvHttpProxyAgent({
    httpsProxy: Redacted.value(proxies.httpsProxy),
    httpProxy: Redacted.value(proxies.httpProxy),
    noProxy: proxies.noProxy,
    connectTimeout: timeout,
    connect,
    requestTls: { timeout, ...tls },
    proxyTls: { timeout, ...tls },
    clientFactory: (origin) =>
      new undici.Pool(origin, {
        headersTimeout: timeout,
        connect: (target, done) =>
          connect(
            target,
            (...[error, socket]) => error === null ? done(null, socket) : done(proxyUnreachable(error), null)
          )
      })
  })
  yield* Effect.addFinalizer(() =>
    Effect.andThen(
      Effect.promise(() => Promise.all([direct.destroy(), agent.destroy()])),
      Effect.sync(sockets.destroy)
    )
  )
  return agent.compose((dispatch) => (options, handler) =>
    options.origin !== undefined && Proxies.isNear(options.origin)
      ? direct.dispatch(options, handler)
      : dispatch(options, handler)
  )
})

type Connect = Undici.buildConnector.connector

/** Tracks sockets from their creation: a destroyed agent would wait for sockets that are not connected yet. */
const socketRegistry = () => {
  const open = new Set<Socket>()
  const add = (socket: unknown): void => {
    if (!(socket instanceof Socket) || open.has(socket)) return
    open.add(socket)
    socket.once("close", () => open.delete(socket))
  }
  return {
    tracking: (connect: Connect): Connect => (target, done) => {
      add(connect(target, (...result) => {
        add(result[1])
        done(...result)
      }))
    },
    destroy: () => {
      for (const socket of open) socket.on("error", () => {}).destroy(new Error("The transport is closed."))
    }
  }
}

/** Returns the error with a code that names the proxy: the bare code would point at the service. */
const proxyUnreachable = (cause: Error): Error => {
  const code = "code" in cause && typeof cause.code === "string" ? cause.code : "UNREACHABLE"
  return Object.assign(new Error("The proxy cannot be reached.", { cause }), { code: `PROXY_${code}` })
}

// -----------------------------------------------------------------------------
// proxies
// -----------------------------------------------------------------------------

const proxiesOf = (options: Options): Effect.Effect<Proxies.Proxies, InvalidRequestError> => {
  const { noProxy, proxy } = options
  if (noProxy !== undefined && !(Array.isArray(noProxy) && noProxy.every(isText))) {
    return Effect.fail(notA("an array of strings", "noProxy"))
  }
  if (proxy !== undefined) return Effect.fromResult(Proxies.fromAddress(proxy, noProxy?.join(",") ?? ""))
  return Effect.gen(function*() {
    return yield* Effect.fromResult(Proxies.fromVariables({
      httpsProxy: yield* variable("HTTPS_PROXY"),
      httpProxy: yield* variable("HTTP_PROXY"),
      noProxy: noProxy?.join(",") ?? Redacted.value((yield* variable("NO_PROXY"))?.value ?? Redacted.make(""))
    }))
  })
}

/** Reads a variable by its lower case name, else by its own name. */
const variable = (name: string): Effect.Effect<Proxies.Variable | undefined, InvalidRequestError> =>
  Effect.gen(function*() {
    for (const spelling of [name.toLowerCase(), name]) {
      const value = yield* Effect.mapError(Config.option(Config.Redacted(spelling)), () => unreadable(spelling))
      if (Option.isSome(value)) return { name: spelling, value: value.value }
    }
    return undefined
  })

const unreadable = (name: string): InvalidRequestError =>
  invalidRequest(
    "configuration_invalid",
    name,
    `the ConfigProvider could not read ${name}`,
    "Check the ConfigProvider that the program installs."
  )
