/**
 * A ready `HttpClient` for Node in a company's network: undici with keep-alive, which goes through the proxy that the
 * environment names and trusts the authorities that it is given.
 *
 * @since 0.1.0
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import type * as Undici from "@effect/platform-node/Undici"
import * as Arr from "effect/Array"
import * as Config from "effect/Config"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { X509Certificate } from "node:crypto"
import { Socket } from "node:net"
import { createSecureContext, getCACertificates, type SecureContext } from "node:tls"
import type { InvalidRequestError } from "../EntraError.ts"
import { invalidRequest, notA } from "../internal/shared/errors.ts"
import { isText, timeoutOf } from "../internal/shared/validate.ts"
import { blocksOf } from "./internal/certificates/pem.ts"
import * as Proxies from "./internal/proxies.ts"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * Options of the transport.
 *
 * **Details**
 *
 * - `proxy`: one proxy for everything, instead of the variables; `false`: none. Credentials stand beside the URL, as they are
 *   (nothing needs to be percent-encoded), or in it.
 * - `noProxy`: hosts that are reached directly, instead of `NO_PROXY`: `"example.com"` with everything below it,
 *   `"*.example.com"` for what is below it alone, `"example.com:8080"`, `"10.0.0.7"`, `"*"`.
 * - `certificateAuthorities`: certificates (PEM, several in one text or in a list) that are trusted besides those that Node
 *   trusts, among which are those of `NODE_EXTRA_CA_CERTS`; for the hosts and for an https proxy alike.
 * - `connectTimeout`: for TCP and TLS of one connection, and for the proxy's answer to `CONNECT`; default 5 seconds, half of
 *   what an attempt has.
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
 * What holds unless an option says otherwise.
 *
 * @category models
 * @since 0.1.0
 */
export const defaults = { connectTimeout: "5 seconds" } as const

// -----------------------------------------------------------------------------
// layers
// -----------------------------------------------------------------------------

/**
 * An `HttpClient` over undici that honours `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, read through `Config` when the layer
 * is built.
 *
 * **When to use**
 *
 * Use on Node when there is a proxy, or may be one: without the variables it is `NodeHttpClient.layerUndici` with a shorter
 * connect timeout.
 *
 * **Details**
 *
 * - Lower case goes first (`https_proxy` before `HTTPS_PROXY`), `HTTP_PROXY` serves https too when `HTTPS_PROXY` is not set,
 *   as undici and Node do it; an address without a scheme is taken as http, and a variable that is set to nothing counts as
 *   not set. `ALL_PROXY` is not read.
 * - `http://user:password@proxy.example:8080` sends Basic credentials, for https in `CONNECT` only, so the host behind it never
 *   sees them. Requests to http hosts are handed to the proxy, credentials included, and its errors are taken for the host's.
 * - This machine (`localhost`, `127.0.0.0/8`, `::1`) and its own link (`169.254.0.0/16`, `fe80::/10`), where managed identity
 *   is, are always reached directly.
 * - A proxy that refuses the tunnel is the reason `PROXY_RESPONSE_<status>` of a `NetworkError` (407: its credentials); one
 *   that cannot be reached is `PROXY_ECONNREFUSED`, `PROXY_ENOTFOUND` and so on, so that it is not taken for the service.
 * - Connections are closed with the layer's scope.
 *
 * **Gotchas**
 *
 * A variable that is no URL of a proxy fails the layer with an `InvalidRequestError` that names the variable and shows nothing
 * of its value.
 *
 * **Example** (A client behind a company's proxy)
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
 * The same with options; an option that is given goes before its variable.
 *
 * **Example** (A proxy with a password, and an authority of the company's own)
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
 * // The simulator is on this machine, which no proxy leads to.
 * await Effect.runPromise(program.pipe(
 *   Effect.provide(Transport.pipe(Layer.provideMerge(SimulatorServer.layerHttps())))
 * ))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerWith = (options: Options): Layer.Layer<HttpClient.HttpClient, InvalidRequestError> =>
  NodeHttpClient.layerUndiciNoDispatcher.pipe(
    Layer.provide(Layer.effect(NodeHttpClient.Dispatcher, makeDispatcher(options)))
  )

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const makeDispatcher = Effect.fnUntraced(function*(
  options: Options
): Effect.fn.Return<Undici.Dispatcher, InvalidRequestError, Scope.Scope> {
  const proxies = yield* proxiesOf(options)
  const secureContext = yield* Effect.fromResult(trusting(options.certificateAuthorities))
  // undici costs a tenth of a second to load.
  const undici = yield* Effect.promise(() => import("@effect/platform-node/Undici"))
  const timeout = yield* Effect.fromResult(
    timeoutOf("connectTimeout", options.connectTimeout ?? defaults.connectTimeout)
  )
  const tls = secureContext === undefined ? {} : { secureContext }
  const sockets = holding()
  const connect = sockets.hold(undici.buildConnector({ timeout, ...tls }))
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
            (...[error, socket]) => error === null ? done(null, socket) : done(ofTheProxy(error), null)
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

/** Sockets from the moment they exist: an agent that is destroyed waits for those that are not connected yet. */
const holding = () => {
  const open = new Set<Socket>()
  const add = (socket: unknown): void => {
    if (!(socket instanceof Socket) || open.has(socket)) return
    open.add(socket)
    socket.once("close", () => open.delete(socket))
  }
  return {
    hold: (connect: Connect): Connect => (target, done) => {
      add(connect(target, (...result) => {
        add(result[1])
        done(...result)
      }))
    },
    destroy: () => {
      for (const socket of open) socket.on("error", () => {}).destroy(new Error("the transport is closed"))
    }
  }
}

/** It is the proxy that cannot be reached: with the bare code one would look for the fault at the service. */
const ofTheProxy = (cause: Error): Error => {
  const code = "code" in cause && typeof cause.code === "string" ? cause.code : "UNREACHABLE"
  return Object.assign(new Error("the proxy cannot be reached", { cause }), { code: `PROXY_${code}` })
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

/** A variable under its lower case name, else under its own. */
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
    "Look at the ConfigProvider that the program installs."
  )

// -----------------------------------------------------------------------------
// authorities
// -----------------------------------------------------------------------------

/** One context for all connections: to read some 150 certificates for each takes its time. Undefined: what Node trusts. */
const trusting = (
  authorities: Options["certificateAuthorities"]
): Result.Result<SecureContext | undefined, InvalidRequestError> => {
  if (authorities === undefined) return Result.succeed(undefined)
  const texts = Arr.ensure(authorities)
  if (!texts.every(isText)) return Result.fail(noAuthority(""))
  const certificates = texts.map((text) => blocksOf(text).filter(({ label }) => label === "CERTIFICATE"))
  const wrong = certificates.findIndex((blocks) =>
    blocks.length === 0 || !blocks.every(({ pem }) => isCertificate(pem))
  )
  return wrong === -1
    ? Result.succeed(createSecureContext({
      ca: [...getCACertificates("default"), ...certificates.flat().map(({ pem }) => pem)]
    }))
    : Result.fail(noAuthority(typeof authorities === "string" ? "" : `[${wrong}]`))
}

const isCertificate = (pem: string): boolean => {
  try {
    return new X509Certificate(pem).raw.length > 0
  } catch {
    return false
  }
}

const noAuthority = (index: string): InvalidRequestError =>
  invalidRequest(
    "field_malformed",
    `certificateAuthorities${index}`,
    `certificateAuthorities${index} holds no certificate, or one that cannot be read`,
    "Pass the text of a PEM file, from -----BEGIN CERTIFICATE----- on, and not its path."
  )
