/** How requests leave a company's network: through a real CONNECT proxy, over TLS of a private authority. */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { EnvHttpProxyAgent } from "@effect/platform-node/Undici"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Deferred, Duration, Effect, Exit, Layer, Redacted, Schema } from "effect"
import {
  Authority,
  AuthorityResolver,
  ClientCredential,
  ConfidentialClient,
  RetryPolicy,
  TokenCache,
  TokenEndpoint
} from "effect-entra"
import { NodeTransport, SimulatorServer } from "effect-entra/node"
import { EntraSimulator, TestCertificate } from "effect-entra/testing"
import { HttpClient, HttpClientRequest } from "effect/http"
import { readdirSync, readFileSync } from "node:fs"
import { createServer, type Socket } from "node:net"
import { fileURLToPath } from "node:url"
import { inspect } from "node:util"
import { runChild, temporaryFile } from "../support/child.ts"
import { silent } from "../support/log.ts"
import { proxyTo } from "../support/proxy.ts"
import { serve } from "../support/server.ts"
import { assertToldInFull } from "../support/shown.ts"
import { contoso, fabrikam, graph } from "../support/world.ts"

const login = "login.microsoftonline.com"
const nowhere = "login.contoso.invalid"
const user = "app"
/** Needs percent-encoding in a URL, and none in an option. */
const password = "p@ss/w%rd"
const encoded = encodeURIComponent(password)
const traces = [password, encoded, Buffer.from(`${user}:${password}`).toString("base64")]

const withoutPassword = (text: string) => {
  for (const trace of traces) assert.notInclude(text, trace)
}

const Simulator = SimulatorServer.layerHttps({ hosts: [login, nowhere] })

const target = Effect.map(SimulatorServer.SimulatorServer, ({ certificate, origin }) => ({
  certificate: certificate ?? "",
  origin,
  port: Number(new URL(origin).port)
}))

const credentials = { username: user, password }

// -----------------------------------------------------------------------------
// the ready layer
// -----------------------------------------------------------------------------

const Client = (options: { readonly authority?: string; readonly endpoint?: TokenEndpoint.Options } = {}) =>
  ConfidentialClient.layer({
    clientId: EntraSimulator.daemonClientId,
    authority: `https://${options.authority ?? login}/${contoso}`
  }).pipe(
    Layer.provide([
      ClientCredential.layerSecret(EntraSimulator.daemonSecret),
      AuthorityResolver.layer,
      TokenEndpoint.layerWith({ retry: RetryPolicy.none, ...options.endpoint }),
      TokenCache.layerMemory()
    ]),
    Layer.provideMerge(silent)
  )

const acquire = (tenantId = contoso) => ConfidentialClient.acquireToken({ scopes: graph, tenantId })

/** A token, or why there is none, over a transport with these options. */
const attempt = (options: NodeTransport.Options, authority: string = login) =>
  acquire().pipe(Effect.provide(Client({ authority }).pipe(Layer.provide(NodeTransport.layerWith(options)))))

const variables = (env: Record<string, string>) => ConfigProvider.layer(ConfigProvider.fromEnv({ env }))

/** A server that speaks no HTTP; its port. */
const tcp = (greet: (socket: Socket) => void) =>
  Effect.gen(function*() {
    const sockets = new Set<Socket>()
    const server = createServer((socket) => {
      sockets.add(socket)
      socket.on("error", () => socket.destroy())
      socket.resume()
      greet(socket)
    })
    const address = yield* Effect.acquireRelease(
      Effect.callback<ReturnType<typeof server.address>>((resume) => {
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server.address())))
      }),
      () =>
        Effect.sync(() => {
          for (const socket of sockets) socket.destroy()
          server.close()
        })
    )
    return typeof address === "object" ? address?.port : undefined
  })

describe("NodeTransport", () => {
  it.live("keeps tunnels for further requests, and closes them with its scope", () =>
    Effect.gen(function*() {
      const { certificate, port } = yield* target
      const proxy = yield* proxyTo(port)
      yield* Effect.forEach([contoso, fabrikam, contoso, fabrikam, contoso, fabrikam], (tenantId) =>
        ConfidentialClient.acquireToken({ scopes: graph, tenantId, forceRefresh: true })).pipe(
          Effect.tap(() =>
            Effect.sync(() => assert.isAtLeast(proxy.open.size, 1))
          ),
          Effect.provide(
            Client().pipe(
              Layer.provide(NodeTransport.layerWith({ proxy: { url: proxy.url }, certificateAuthorities: certificate }))
            )
          )
        )
      yield* proxy.closed
      // A second one, because undici is not done with the first when the answer is already here.
      assert.isAtMost(proxy.asked.length, 2)
      const { tokenRequests } = yield* (yield* EntraSimulator.EntraSimulator).counters
      assert.strictEqual(tokenRequests, 6)
    }).pipe(Effect.provide(Simulator)))

  it.live("shows the proxy's credentials to the proxy alone", () =>
    Effect.gen(function*() {
      const { certificate, port } = yield* target
      const proxy = yield* proxyTo(port, { credentials })
      yield* attempt({
        proxy: { url: proxy.url, username: user, password: Redacted.make(password) },
        certificateAuthorities: certificate
      })
      const seen = yield* (yield* EntraSimulator.EntraSimulator).requests
      assert.strictEqual(seen.length, 1)
      withoutPassword(inspect(seen, { depth: 20 }))
    }).pipe(Effect.provide(Simulator)))

  it.live.each([
    { why: "a wrong password", given: { username: user, password: Redacted.make(`${password}!`) } },
    { why: "no password", given: { username: user } },
    { why: "no credentials", given: {} }
  ])("says that the proxy refused $why", ({ given }) =>
    Effect.gen(function*() {
      const { certificate, port } = yield* target
      const proxy = yield* proxyTo(port, { credentials })
      const error = yield* Effect.flip(
        attempt({ proxy: { url: proxy.url, ...given }, certificateAuthorities: certificate })
      )
      assert.strictEqual(error._tag, "EntraNetworkError")
      assert.strictEqual(
        error.message,
        `POST https://${login} got no response (PROXY_RESPONSE_407).`
      )
      assert.include(error.remedy, "user name and password")
      withoutPassword(inspect(error, { depth: 20 }) + JSON.stringify(error))
    }).pipe(Effect.provide(Simulator)))

  it.live("its own errors, for those who use the HttpClient, hold no password either", () =>
    Effect.gen(function*() {
      const { port } = yield* target
      const proxy = yield* proxyTo(port, { refusal: 502 })
      const proxies = [proxy.url, "http://127.0.0.1:1"]
      for (const url of proxies) {
        const error = yield* HttpClient.get(`https://${nowhere}/`).pipe(
          Effect.provide(
            NodeTransport.layerWith({ proxy: { url, username: user, password: Redacted.make(password) } })
          ),
          Effect.flip
        )
        assert.strictEqual(error._tag, "HttpClientError")
        withoutPassword(inspect(error, { depth: 20 }) + JSON.stringify(error))
      }
    }).pipe(Effect.provide(Simulator)))

  it.live("says that the proxy does not open the way to a host", () =>
    Effect.gen(function*() {
      const { port } = yield* target
      const proxy = yield* proxyTo(port, { refusal: 403 })
      const error = yield* Effect.flip(attempt({ proxy: { url: proxy.url } }))
      assert.include(error.message, "(PROXY_RESPONSE_403)")
      assert.include(error.remedy, "NO_PROXY")
    }).pipe(Effect.provide(Simulator)))

  it.live("says that the proxy, and not the service, is down", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(attempt({
        // Port 1 is reserved, and nobody listens there.
        proxy: { url: "http://127.0.0.1:1", username: user, password: Redacted.make(password) }
      }))
      assert.strictEqual(error._tag, "EntraNetworkError")
      assert.strictEqual(error.message, `POST https://${login} got no response (PROXY_ECONNREFUSED).`)
      assert.include(error.remedy, "HTTPS_PROXY")
      withoutPassword(inspect(error, { depth: 20 }))
    }))

  it.live.each<
    {
      readonly name: string
      readonly scheme: string
      readonly greet: (socket: Socket) => void
      readonly reason: string
    }
  >([
    {
      name: "says nothing in the TLS handshake",
      scheme: "https",
      greet: () => {},
      reason: "PROXY_UND_ERR_CONNECT_TIMEOUT"
    },
    { name: "does not answer CONNECT", scheme: "http", greet: () => {}, reason: "UND_ERR_HEADERS_TIMEOUT" },
    { name: "hangs up", scheme: "http", greet: (socket) => socket.end(), reason: "UND_ERR_PRX_CONN" },
    {
      name: "is none",
      scheme: "http",
      greet: (socket) => socket.end("220 mail.example ESMTP\r\n"),
      reason: "Response does not match the HTTP 1.1 protocol (Expected HTTP, RTSP or ICE )"
    }
  ])("does not wait long for a proxy that $name", ({ greet, reason, scheme }) =>
    Effect.gen(function*() {
      const port = yield* tcp(greet)
      const error = yield* Effect.flip(
        attempt({ proxy: { url: `${scheme}://localhost:${port}` }, connectTimeout: "100 millis" })
      )
      assert.strictEqual(error.message, `POST https://${login} got no response (${reason}).`)
    }))

  it.live.each([
    { name: "the host says nothing", greet: () => {}, direct: true },
    { name: "the proxy says nothing", greet: () => {}, direct: false },
    {
      name: "the host behind the proxy says nothing",
      greet: (socket: Socket) => socket.write("HTTP/1.1 200 OK\r\n\r\n"),
      direct: false
    }
  ])("what is not connected yet is closed with the scope: $name", ({ direct, greet }) =>
    Effect.gen(function*() {
      const reached = yield* Deferred.make<void>()
      const gone = yield* Deferred.make<void>()
      const port = yield* tcp((socket) => {
        socket.once("close", () => Deferred.doneUnsafe(gone, Exit.void))
        socket.once("data", () => Deferred.doneUnsafe(reached, Exit.void))
        greet(socket)
      })
      const proxy = direct ? false : { url: `http://127.0.0.1:${port}` }
      yield* Effect.race(HttpClient.get(`https://${direct ? `127.0.0.1:${port}` : login}/`), Deferred.await(reached))
        .pipe(
          Effect.provide(NodeTransport.layerWith({ proxy, connectTimeout: "1 minute" }))
        )
      yield* Effect.timeout(Deferred.await(gone), "10 seconds")
    }))

  it.live("the header of a managed identity is for no proxy's eyes, wherever on this machine or its link the endpoint is", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const proxy = yield* serve((request, response) => {
        seen.push(`proxy ${request.url}`)
        response.writeHead(502).end()
      })
      const port = yield* serve((request, response) => {
        seen.push(`endpoint ${request.headers["x-identity-header"]}`)
        response.writeHead(500).end()
      })
      yield* Effect.flip(
        HttpClient.execute(
          HttpClientRequest.get(`http://[::ffff:127.0.0.1]:${port}/msi/token`).pipe(
            HttpClientRequest.setHeader("x-identity-header", "hush")
          )
        ).pipe(
          Effect.flatMap(({ status }) => status === 500 ? Effect.fail("the endpoint's own") : Effect.void),
          Effect.provide(NodeTransport.layerWith({ proxy: { url: `http://127.0.0.1:${proxy}` } }))
        )
      )
      assert.deepStrictEqual(seen, ["endpoint hush"])
    }))

  it.live("trusts the authority it is given, for the host and for an https proxy, and what Node trusts besides", () =>
    Effect.gen(function*() {
      const { certificate, port } = yield* target
      const own = yield* TestCertificate.make({
        commonName: "proxy",
        algorithm: "EC",
        subjectAltNames: ["localhost"],
        notBefore: new Date(Date.now() - 3_600_000),
        notAfter: new Date(Date.now() + 3_600_000)
      })
      const proxy = yield* proxyTo(port, { tls: { key: Redacted.value(own.privateKey), cert: own.certificate } })
      yield* attempt({
        proxy: { url: proxy.url },
        certificateAuthorities: [`a remark\n${certificate}`, own.certificate]
      })
      assert.deepStrictEqual(proxy.asked, [`${login}:443`])

      const unknownProxy = yield* Effect.flip(
        attempt({ proxy: { url: proxy.url }, certificateAuthorities: certificate })
      )
      assert.match(unknownProxy.message, /\(PROXY_DEPTH_ZERO_SELF_SIGNED_CERT\)/)
      const plain = yield* proxyTo(port)
      const unknownHost = yield* Effect.flip(
        attempt({ proxy: { url: plain.url }, certificateAuthorities: own.certificate })
      )
      assert.match(unknownHost.message, /\(SELF_SIGNED_CERT_IN_CHAIN\)/)
      for (const { remedy } of [unknownProxy, unknownHost]) {
        assert.include(remedy, "NODE_EXTRA_CA_CERTS")
        assert.include(remedy, "certificateAuthorities")
      }
    }).pipe(Effect.provide(Simulator)))

  it.live.each<
    { readonly name: string; readonly env: (good: string) => Record<string, string>; readonly used: boolean }
  >([
    { name: "upper case", env: (good) => ({ HTTPS_PROXY: good }), used: true },
    { name: "lower case", env: (good) => ({ https_proxy: good }), used: true },
    { name: "lower case first", env: (good) => ({ https_proxy: good, HTTPS_PROXY: "http://127.0.0.1:1" }), used: true },
    { name: "without a scheme", env: (good) => ({ HTTPS_PROXY: good.replace("http://", "") }), used: true },
    { name: "HTTP_PROXY when there is no other", env: (good) => ({ HTTP_PROXY: good }), used: true },
    {
      name: "HTTPS_PROXY before HTTP_PROXY",
      env: (good) => ({ HTTP_PROXY: "http://127.0.0.1:1", HTTPS_PROXY: good }),
      used: true
    },
    {
      name: "NO_PROXY of another host",
      env: (good) => ({ HTTPS_PROXY: good, NO_PROXY: "example.invalid" }),
      used: true
    },
    { name: "NO_PROXY", env: (good) => ({ HTTPS_PROXY: good, NO_PROXY: nowhere }), used: false },
    {
      name: "no_proxy of a domain",
      env: (good) => ({ HTTPS_PROXY: good, no_proxy: "a.b, .contoso.invalid" }),
      used: false
    },
    { name: "no_proxy of everything", env: (good) => ({ HTTPS_PROXY: good, no_proxy: "*" }), used: false },
    { name: "none", env: () => ({}), used: false },
    {
      name: "set to nothing in lower case",
      env: (good) => ({ https_proxy: "", HTTPS_PROXY: good }),
      used: true
    },
    { name: "set to nothing", env: () => ({ HTTPS_PROXY: "" }), used: false }
  ])("reads the variables: $name", ({ env, used }) =>
    Effect.gen(function*() {
      const { certificate, port } = yield* target
      const proxy = yield* proxyTo(port)
      const result = yield* HttpClient.get(`https://${nowhere}/v1.0/users`).pipe(
        Effect.map(({ status }) => status),
        Effect.option,
        Effect.provide(NodeTransport.layerWith({ certificateAuthorities: certificate })),
        Effect.provide(variables(env(proxy.url)))
      )
      // The name does not exist: without the proxy nobody gets there.
      assert.deepStrictEqual([result._tag, proxy.asked], used ? ["Some", [`${nowhere}:443`]] : ["None", []])
    }).pipe(Effect.provide(Simulator)))

  it.live("reaches this machine directly, and whatever options except", () =>
    Effect.gen(function*() {
      const { certificate, origin, port } = yield* target
      const proxy = yield* proxyTo(port)
      const statusOf = (url: string, options: NodeTransport.Options) =>
        HttpClient.get(url).pipe(
          Effect.map(({ status }) => status),
          Effect.provide(NodeTransport.layerWith({ certificateAuthorities: certificate, ...options })),
          Effect.provide(variables({ HTTPS_PROXY: proxy.url, NO_PROXY: "" }))
        )
      assert.strictEqual(yield* statusOf(`${origin}/v1.0/users`, {}), 401)
      assert.strictEqual(yield* statusOf(`https://127.0.0.1:${port}/v1.0/users`, { proxy: { url: proxy.url } }), 401)
      for (
        const options of [{ noProxy: ["*.contoso.invalid"] }, { proxy: false }, {
          proxy: { url: proxy.url },
          noProxy: ["*"]
        }] as const
      ) {
        yield* Effect.flip(statusOf(`https://${nowhere}/`, options))
      }
      assert.deepStrictEqual(proxy.asked, [])
      yield* statusOf(`https://${nowhere}/`, { noProxy: ["other.invalid"] })
      assert.deepStrictEqual(proxy.asked, [`${nowhere}:443`])
    }).pipe(Effect.provide(Simulator)))

  it.live("plain http goes to the proxy of plain http, with its credentials", () =>
    Effect.gen(function*() {
      const seen: Array<readonly [string | undefined, string | undefined]> = []
      const port = yield* serve((request, response) => {
        seen.push([request.url, request.headers["proxy-authorization"]])
        response.writeHead(204).end()
      })
      const { status } = yield* HttpClient.get(`http://${nowhere}/path`).pipe(
        Effect.provide(NodeTransport.layer),
        Effect.provide(variables({
          HTTP_PROXY: `http://${user}:${encoded}@127.0.0.1:${port}`,
          HTTPS_PROXY: "http://127.0.0.1:1"
        }))
      )
      assert.strictEqual(status, 204)
      assert.deepStrictEqual(seen, [[
        `http://${nowhere}/path`,
        `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`
      ]])
    }))

  it.live("a layer that cannot be built says which variable is wrong, and builds nothing", () =>
    Effect.gen(function*() {
      const error = yield* Layer.build(NodeTransport.layer).pipe(
        Effect.provide(variables({ https_proxy: `http://${user}:${password}@proxy.example:8080` })),
        Effect.flip
      )
      assert.strictEqual(error._tag, "EntraInvalidRequestError")
      assert.strictEqual(error.field, "https_proxy")
      withoutPassword(inspect(error, { depth: 20 }))
      const unreadable = yield* Layer.build(NodeTransport.layer).pipe(
        Effect.provide(
          ConfigProvider.layer(
            ConfigProvider.make(() =>
              Effect.fail(new ConfigProvider.SourceError({ message: `${password} is not readable` }))
            )
          )
        ),
        Effect.flip
      )
      assert.deepStrictEqual([unreadable.code, unreadable.field], ["configuration_invalid", "https_proxy"])
      assertToldInFull(unreadable)
      withoutPassword(inspect(unreadable, { depth: 20 }))
    }))

  it.live.each([
    { given: "", field: "certificateAuthorities" },
    { given: JSON.parse("7"), field: "certificateAuthorities" },
    { given: "/etc/ssl/company.pem", field: "certificateAuthorities" },
    { given: ["-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"], field: "certificateAuthorities[0]" }
  ])("an authority that is none: $given", ({ field, given }) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Layer.build(NodeTransport.layerWith({ certificateAuthorities: given })))
      assert.deepStrictEqual([error.code, error.field], ["field_malformed", field])
      assertToldInFull(error)
      assert.include(error.remedy, "-----BEGIN CERTIFICATE-----")
    }))

  it.live.each([
    { options: { noProxy: JSON.parse(`"intranet.example"`) }, field: "noProxy", remedy: "an array of strings" },
    {
      options: {
        proxy: { url: "http://proxy.example:8080", username: user, password: JSON.parse(JSON.stringify(password)) }
      },
      field: "proxy.password",
      remedy: "Redacted.make"
    }
  ])("what TypeScript does not see: $field", ({ field, options, remedy }) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Layer.build(NodeTransport.layerWith(options)))
      assert.deepStrictEqual([error.code, error.field], ["field_malformed", field])
      assertToldInFull(error)
      assert.include(error.remedy, remedy)
      withoutPassword(inspect(error, { depth: 20 }))
    }))

  it.effect.each([0, -1, NaN])("no time to connect: %d", (connectTimeout) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Layer.build(NodeTransport.layerWith({ connectTimeout })))
      assert.deepStrictEqual([error.code, error.field], ["field_malformed", "connectTimeout"])
      assertToldInFull(error)
    }))

  it.live("and all the time there is", () =>
    Effect.gen(function*() {
      const { origin } = yield* SimulatorServer.SimulatorServer
      const { status } = yield* HttpClient.get(`${origin}/v1.0/users`)
      assert.strictEqual(status, 401)
    }).pipe(
      Effect.provide(
        Layer.unwrap(
          Effect.map(SimulatorServer.SimulatorServer, ({ certificate = "" }) =>
            NodeTransport.layerWith({ connectTimeout: Duration.infinity, certificateAuthorities: certificate }))
        ).pipe(Layer.provideMerge(SimulatorServer.layerHttps()))
      )
    ))
})

// -----------------------------------------------------------------------------
// transformClient
// -----------------------------------------------------------------------------

describe("other ways", () => {
  it.live("another transport for the token endpoint only", () =>
    Effect.gen(function*() {
      const { certificate, port } = yield* target
      const proxy = yield* proxyTo(port)
      const Proxied = NodeTransport.layerWith({ proxy: { url: proxy.url }, certificateAuthorities: certificate })
      const asked: Array<string> = []
      const other = HttpClient.make((request) =>
        Effect.suspend(() => {
          asked.push(new URL(request.url).hostname)
          return Effect.die("no answer")
        })
      )
      yield* acquire().pipe(Effect.provide(
        ConfidentialClient.layer({
          clientId: EntraSimulator.daemonClientId,
          authority: `https://${nowhere}/${contoso}`
        }).pipe(
          Layer.provide([
            ClientCredential.layerSecret(EntraSimulator.daemonSecret),
            AuthorityResolver.layer.pipe(Layer.provide(Layer.succeed(HttpClient.HttpClient, other))),
            TokenEndpoint.layer.pipe(Layer.provide(Proxied)),
            TokenCache.layerMemory()
          ]),
          Layer.provideMerge(silent)
        )
      ))
      assert.deepStrictEqual([asked, proxy.asked], [[nowhere], [`${nowhere}:443`]])
    }).pipe(Effect.provide(Simulator)))

  it.live("undici's agent through NodeHttpClient, with a header for the gateway", () =>
    Effect.gen(function*() {
      const { certificate, port } = yield* target
      const proxy = yield* proxyTo(port, { credentials })
      const agent = Effect.acquireRelease(
        Effect.sync(() =>
          new EnvHttpProxyAgent({
            httpsProxy: proxy.url.replace("//", `//${user}:${encoded}@`),
            noProxy: "",
            requestTls: { ca: certificate }
          })
        ),
        (agent) => Effect.promise(() => agent.destroy())
      )
      yield* acquire().pipe(Effect.provide(
        Client({
          endpoint: { transformClient: HttpClient.mapRequest(HttpClientRequest.setHeader("x-gateway", "let me")) }
        })
          .pipe(
            Layer.provide(NodeHttpClient.layerUndiciNoDispatcher),
            Layer.provide(Layer.effect(NodeHttpClient.Dispatcher, agent))
          )
      ))
      assert.deepStrictEqual(proxy.asked, [`${login}:443`])
      const [request] = yield* (yield* EntraSimulator.EntraSimulator).requests
      assert.strictEqual(request?.headers["x-gateway"], "let me")
    }).pipe(Effect.provide(Simulator)))
})

// -----------------------------------------------------------------------------
// the recipes of docs/networks.md, as a user runs them
// -----------------------------------------------------------------------------

const Line = Schema.fromJsonString(Schema.Struct({
  recipe: Schema.String,
  source: Schema.optionalKey(Schema.String),
  error: Schema.optionalKey(Schema.Struct({
    _tag: Schema.String,
    reason: Schema.optionalKey(Schema.String),
    remedy: Schema.optionalKey(Schema.String)
  }))
}))

const recipes = ["environment", "private-authority", "fetch", "undici", "node-http", "gateway", "two-transports"]
/** Those over our own layer, which tells the way to the proxy from the way to the service. */
const ready = new Set(["environment", "private-authority", "gateway", "two-transports"])

/** All of them in one process that trusts a certificate and knows a proxy. */
const run = Effect.fnUntraced(function*(options: {
  readonly proxy: string
  readonly certificate: string
  readonly trusted?: boolean
  readonly environment?: Record<string, string>
}) {
  const file = yield* temporaryFile(options.certificate)
  const proxy = new URL(options.proxy)
  const { status, stderr, stdout } = yield* runChild(
    ["--conditions=@effect-entra/source", fileURLToPath(new URL("./networks.ts", import.meta.url))],
    {
      AZURE_CLIENT_ID: EntraSimulator.daemonClientId,
      AZURE_CLIENT_SECRET: Redacted.value(EntraSimulator.daemonSecret),
      AZURE_TENANT_ID: contoso,
      HTTPS_PROXY: options.proxy,
      NODE_USE_ENV_PROXY: "1",
      COMPANY_PROXY: proxy.origin,
      COMPANY_PROXY_USER: decodeURIComponent(proxy.username) || user,
      COMPANY_PROXY_PASSWORD: decodeURIComponent(proxy.password) || password,
      COMPANY_CA_FILE: file,
      GATEWAY_KEY: "key of the gateway",
      ...(options.trusted === false ? {} : { NODE_EXTRA_CA_CERTS: file }),
      ...options.environment
    }
  )
  assert.strictEqual(status, 0, stderr)
  withoutPassword(stdout + stderr)
  // Effect logs to the standard output, too.
  const lines = stdout.split("\n").filter((line) => line.startsWith("{"))
  const results = yield* Effect.forEach(lines, (line) => Schema.decodeEffect(Line)(line))
  assert.deepStrictEqual(results.map(({ recipe }) => recipe), recipes)
  return results
}, Effect.scoped)

const allAcquired = recipes.map((recipe) => ({ recipe, source: "IdentityProvider" }))
const asFor = (url: string, secret = encoded) => url.replace("//", `//${user}:${secret}@`)

describe("the recipes", () => {
  it.live("through a proxy", () =>
    Effect.gen(function*() {
      const { certificate, port } = yield* target
      const proxy = yield* proxyTo(port)
      assert.deepStrictEqual(yield* run({ proxy: proxy.url, certificate }), allAcquired)
      assert.deepStrictEqual(proxy.asked, recipes.map(() => `${login}:443`))
      const seen = yield* (yield* EntraSimulator.EntraSimulator).requests
      assert.deepStrictEqual(
        seen.map(({ headers }) => headers["x-gateway-key"]),
        recipes.map((recipe) => recipe === "gateway" ? "key of the gateway" : undefined)
      )
    }).pipe(Effect.provide(Simulator)))

  it.live("through a proxy that wants a password", () =>
    Effect.gen(function*() {
      const { certificate, port } = yield* target
      const proxy = yield* proxyTo(port, { credentials })
      assert.deepStrictEqual(yield* run({ proxy: asFor(proxy.url), certificate }), allAcquired)
      // node:http keeps no tunnel that the proxy has closed, and asks anew; nobody is refused.
      assert.deepStrictEqual(proxy.asked, recipes.map(() => `${login}:443`))
      withoutPassword(inspect(yield* (yield* EntraSimulator.EntraSimulator).requests, { depth: 20 }))
    }).pipe(Effect.provide(Simulator)))

  it.live("with the wrong password", () =>
    Effect.gen(function*() {
      const { certificate, port } = yield* target
      const proxy = yield* proxyTo(port, { credentials: { username: user, password: "another" } })
      const results = yield* run({ proxy: asFor(proxy.url), certificate })
      assert.deepStrictEqual(
        results.map(({ error }) => [error?._tag, error?.reason]),
        recipes.map(() => ["EntraNetworkError", "PROXY_RESPONSE_407"])
      )
    }).pipe(Effect.provide(Simulator)))

  it.live("without the private authority", () =>
    Effect.gen(function*() {
      const { certificate, port } = yield* target
      const proxy = yield* proxyTo(port)
      for (const { error, recipe } of yield* run({ proxy: proxy.url, certificate, trusted: false })) {
        if (recipe === "private-authority") assert.isUndefined(error)
        else {
          assert.strictEqual(error?.reason, "SELF_SIGNED_CERT_IN_CHAIN", recipe)
          assert.include(error?.remedy, "NODE_EXTRA_CA_CERTS")
        }
      }
    }).pipe(Effect.provide(Simulator)))

  it.live("while the proxy is down", () =>
    Effect.gen(function*() {
      const { certificate } = yield* target
      const results = yield* run({ proxy: asFor("http://127.0.0.1:1"), certificate })
      assert.deepStrictEqual(
        results.map(({ error, recipe }) => [recipe, error?.reason]),
        recipes.map((recipe) => [recipe, ready.has(recipe) ? "PROXY_ECONNREFUSED" : "ECONNREFUSED"])
      )
    }).pipe(Effect.provide(Simulator)))

  it.live("around the proxy to hosts that NO_PROXY names", () =>
    Effect.gen(function*() {
      const { certificate, origin, port } = yield* target
      const proxy = yield* proxyTo(port, { refusal: 403 })
      const results = yield* run({
        proxy: proxy.url,
        certificate,
        environment: { AZURE_AUTHORITY_HOST: origin, NO_PROXY: "localhost" }
      })
      // `gateway` goes to Microsoft whatever the variable says.
      assert.deepStrictEqual(
        results.map(({ error, source }) => source ?? error?.reason),
        recipes.map((recipe) => recipe === "gateway" ? "PROXY_RESPONSE_403" : "IdentityProvider")
      )
      assert.deepStrictEqual(proxy.asked, [`${login}:443`])
    }).pipe(Effect.provide(Simulator)))
})

describe("docs/networks.md", () => {
  const page = readFileSync(new URL("../../docs/networks.md", import.meta.url), "utf8")

  it("has the host of every cloud that can be used", () => {
    const retired = new Set(["usLegacy", "ppe"])
    for (const { name, network } of Object.values(Authority.clouds)) {
      if (retired.has(name)) continue
      // The last ones share a row: all but the first by their ending.
      assert.isTrue(page.includes(network) || page.includes(`\`${network.slice(network.lastIndexOf("."))}\``), network)
    }
  })

  it("shows every recipe", () => {
    for (const recipe of recipes) assert.include(page, `<!-- include examples/networks/${recipe}.ts -->`)
    const files = readdirSync(new URL("../../examples/networks", import.meta.url))
    assert.deepStrictEqual(files.map((name) => name.replace(/\.ts$/, "")).sort(), recipes.toSorted())
  })
})
