/** Answers of something else than a token endpoint, and answers that only look final. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Redacted, References, Schedule } from "effect"
import {
  AuthorityResolver,
  ClientCredential,
  ConfidentialClient,
  TokenCache,
  TokenEndpoint,
  type TokenRequest
} from "effect-entra"
import { NodeTransport } from "effect-entra/node"
import { EntraSimulator, TestCertificate } from "effect-entra/testing"
import { FetchHttpClient, HttpClient, HttpClientError } from "effect/http"
import fc from "fast-check"
import * as jose from "jose"
import { answering, documentOf, isDiscovery, type Reply } from "./support/answering.ts"
import { serve } from "./support/server.ts"
import { contoso, graph } from "./support/world.ts"

const secret = "the~secret~of~the~app"
const token = JSON.stringify({
  token_type: "Bearer",
  expires_in: 3599,
  access_token: "the-\"\\{token\\}",
  x: { y: {} }
})

const clientOver = (transport: Layer.Layer<HttpClient.HttpClient>, options: Partial<ConfidentialClient.Options> = {}) =>
  ConfidentialClient.layer({ clientId: EntraSimulator.daemonClientId, tenantId: contoso, ...options }).pipe(
    Layer.provide([
      ClientCredential.layerSecret(Redacted.make(secret)),
      AuthorityResolver.layerStatic({ token: "https://login.example/token" }),
      TokenEndpoint.layerWith({ retry: Schedule.recurs(3) }),
      TokenCache.layerMemory()
    ]),
    Layer.provide(transport)
  )

const run = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.runPromise(Effect.provideService(effect, References.MinimumLogLevel, "None"))

const acquire = (request: Partial<TokenRequest.TokenRequest> = {}) =>
  ConfidentialClient.acquireToken({ scopes: graph, ...request })

describe("an answer that is none", () => {
  const body = fc.oneof(
    fc.constantFrom("", "<html>Sign in</html>", "null", "[]", "1", "{}", "{\"ok\":true}", "}{"),
    fc.string({ maxLength: 40 }).map((text) => `<${text}`),
    fc.record({ access_token: fc.integer(), expires_in: fc.integer() }).map((value) => JSON.stringify(value))
  )
  const reply = fc.oneof(
    fc.record({ status: fc.integer({ min: 200, max: 206 }), body }),
    fc.record({
      status: fc.integer({ min: 400, max: 499 }).filter((status) => status !== 408 && status !== 429),
      body
    }),
    fc.record({
      status: fc.constantFrom(301, 302, 303, 307, 308),
      headers: fc.constantFrom({}, { location: "https://evil.example/" })
    })
  )

  it("is remembered: of 50 calls one after another one is sent, and of 50 scopes five", () =>
    fc.assert(
      fc.asyncProperty(reply, async (reply) => {
        const one = answering(() => reply)
        const many = answering(() => reply)
        await run(
          Effect.gen(function*() {
            for (let call = 0; call < 50; call++) {
              const error = yield* Effect.flip(acquire())
              assert.strictEqual(error._tag, "EntraInvalidResponseError")
              assert.strictEqual(error.origin, call === 0 ? "service" : "local")
            }
            // The gate is open for a caller who knows better.
            yield* Effect.flip(acquire({ forceRefresh: true }))
          }).pipe(Effect.provide(clientOver(one.layer)))
        )
        await run(
          Effect.forEach(Array(50).keys(), (n) => Effect.flip(acquire({ scopes: `api://a${n}/.default` }))).pipe(
            Effect.provide(clientOver(many.layer))
          )
        )
        assert.deepStrictEqual([one.seen.length, many.seen.length], [2, 5])
      }),
      { numRuns: 100 }
    ), 60_000)
})

describe("JSON that is cut", () => {
  it("at each of its characters is asked for again", () =>
    run(Effect.forEach(Array(token.length - 1).keys(), (end) => {
      const provider = answering(() => ({ body: provider.seen.length === 1 ? token.slice(0, end + 1) : token }))
      return Effect.map(Effect.provide(acquire(), clientOver(provider.layer)), ({ accessToken }) => {
        assert.strictEqual(Redacted.value(accessToken), "the-\"\\{token\\}")
        assert.strictEqual(provider.seen.length, 2)
      })
    })))
})

describe("a discovery document that is cut", () => {
  it("at each of its characters is asked for again, at the same address", () => {
    const document = JSON.stringify({ issuer: "https://idp.example", token_endpoint: "https://idp.example/token" })
    return run(Effect.forEach(Array(document.length - 1).keys(), (end) => {
      const provider = answering((asked) =>
        asked.method === "POST"
          ? { body: token }
          : isDiscovery(asked)
          ? { body: provider.seen.length === 1 ? document.slice(0, end + 1) : document }
          : { status: 404 }
      )
      const client = ConfidentialClient.layer({ clientId: "daemon", issuer: "https://idp.example" }).pipe(
        Layer.provide([ClientCredential.layerSecret(Redacted.make("s")), TokenCache.layerMemory()]),
        Layer.provide([AuthorityResolver.layer, TokenEndpoint.layer]),
        Layer.provide(provider.layer)
      )
      return Effect.map(
        Effect.provide(ConfidentialClient.acquireToken({ scopes: "a" }), client),
        () =>
          assert.deepStrictEqual(provider.seen.map(({ url }) => url.pathname), [
            "/.well-known/openid-configuration",
            "/.well-known/openid-configuration",
            "/token"
          ])
      )
    }, { concurrency: "unbounded" }))
  })
})

describe("503 with the number of a throttle", () => {
  const busy = { status: 503, body: { error: "server_error", error_codes: [90055] } }
  it("is retried, and then a token comes", () => {
    const provider = answering(() => provider.seen.length < 3 ? busy : { body: token })
    return run(
      Effect.gen(function*() {
        yield* acquire()
        assert.strictEqual(provider.seen.length, 3)
      }).pipe(Effect.provide(clientOver(provider.layer)))
    )
  })

  it.each<[Reply, number]>([
    [busy, 4],
    [{ ...busy, headers: { "retry-after": "40" } }, 1]
  ])("closes the gate when the retries have failed: %j after %i", (reply, sent) => {
    const provider = answering(() => reply)
    return run(
      Effect.gen(function*() {
        const error = yield* Effect.flip(acquire())
        assert.deepInclude({ ...error }, { _tag: "EntraThrottledError", attempts: sent })
        const local = yield* Effect.flip(acquire({ claims: "{\"access_token\":{}}" }))
        assert.strictEqual(local._tag, "EntraThrottledError")
        assert.strictEqual(local.origin, "local")
        assert.isAbove(Duration.toSeconds(local.retryAfter ?? 0), 30)
        assert.strictEqual(provider.seen.length, sent)
      }).pipe(Effect.provide(clientOver(provider.layer)))
    )
  })
})

describe("a reason", () => {
  const failing = (cause: unknown, tag: "TransportError" | "DecodeError" = "TransportError") =>
    Layer.succeed(
      HttpClient.HttpClient,
      HttpClient.make((request) =>
        Effect.fail(
          new HttpClientError.HttpClientError({
            reason: tag === "TransportError"
              ? new HttpClientError.TransportError({ request, cause })
              : new HttpClientError.EncodeError({ request, cause })
          })
        )
      )
    )
  const reasonOf = (transport: Layer.Layer<HttpClient.HttpClient>) =>
    run(
      Effect.flip(acquire()).pipe(
        Effect.map((error) => {
          assert.strictEqual(error._tag, "EntraNetworkError")
          return error._tag === "EntraNetworkError" ? error.reason : ""
        }),
        Effect.provide(clientOver(transport))
      )
    )

  it.each<[string, unknown]>([
    ["bad port", new TypeError("fetch failed", { cause: new Error("bad port") })],
    ["terminated", new TypeError("terminated")],
    ["ConnectionRefused", Object.assign(new Error("Unable to connect."), { code: "ConnectionRefused" })],
    [
      "error sending request for url (... connection closed",
      new Error("error sending request for url (https://a/b?c): connection closed")
    ],
    ["UNKNOWN", new Error("")],
    ["UNKNOWN", "text"]
  ])("is in the transport's words: %s", async (expected, cause) => {
    assert.strictEqual(await reasonOf(failing(cause)), expected)
  })

  it("never shows the secret, whatever the message quotes", () =>
    fc.assert(
      fc.asyncProperty(fc.string({ maxLength: 30 }), fc.string({ maxLength: 30 }), async (before, after) => {
        const reason = await reasonOf(failing(new Error(`${before}${secret}${after}`)))
        assert.notInclude(reason, secret)
        assert.notMatch(reason, /~/)
        assert.isAtMost(reason.length, 120)
      }),
      { numRuns: 200 }
    ))

  it.live("keeps a proxy's 407 over fetch, which is not repeated", () =>
    Effect.gen(function*() {
      let count = 0
      const port = yield* serve((_request, response) => {
        count++
        response.writeHead(407, { "proxy-authenticate": "Basic" }).end("no")
      })
      const live = ConfidentialClient.layer({ clientId: EntraSimulator.daemonClientId, tenantId: contoso }).pipe(
        Layer.provide([
          ClientCredential.layerSecret(Redacted.make(secret)),
          AuthorityResolver.layerStatic({ token: `http://127.0.0.1:${port}/token` }),
          TokenEndpoint.layer,
          TokenCache.layerMemory()
        ]),
        Layer.provide(FetchHttpClient.layer)
      )
      const error = yield* Effect.flip(acquire()).pipe(Effect.provide(live))
      assert.deepInclude({ ...error }, { _tag: "EntraNetworkError", status: 407, reason: "PROXY_RESPONSE_407" })
      assert.include(error.remedy, "proxy")
      assert.strictEqual(count, 1)
    }).pipe(Effect.provideService(References.MinimumLogLevel, "None")))

  it.live("NodeTransport sends a User-Agent, or the caller's", () =>
    Effect.gen(function*() {
      const agents: Array<string | undefined> = []
      const port = yield* serve((request, response) => {
        agents.push(request.headers["user-agent"])
        response.end("{}")
      })
      yield* Effect.gen(function*() {
        yield* HttpClient.get(`http://127.0.0.1:${port}/`)
        yield* HttpClient.get(`http://127.0.0.1:${port}/`, { headers: { "user-agent": "orders/1" } })
      }).pipe(Effect.provide(NodeTransport.layer))
      assert.match(agents[0] ?? "", /^effect-entra\/\d+\.\d+\.\d+$/)
      assert.strictEqual(agents[1], "orders/1")
    }))
})

describe("an issuer", () => {
  const at = (reply: Reply) => answering((asked) => isDiscovery(asked) ? { body: documentOf(asked) } : reply)
  const clientAt = (
    provider: ReturnType<typeof at>,
    credential: Layer.Layer<ClientCredential.ClientCredential, unknown> = ClientCredential.layerSecret(
      Redacted.make(secret)
    )
  ) =>
    ConfidentialClient.layer({ clientId: "daemon", issuer: "https://idp.example/one" }).pipe(
      Layer.provide([credential, AuthorityResolver.layer, TokenEndpoint.layer, TokenCache.layerMemory()]),
      Layer.provide(provider.layer)
    )

  it.each([
    "invalid_client",
    "unauthorized_client",
    "invalid_scope",
    "invalid_request",
    "invalid_grant",
    "unsupported_grant_type",
    "access_denied",
    "invalid_tenant",
    "invalid_target",
    "something_else"
  ])(
    "refuses with %s, and the remedy does not speak of AADSTS, Entra or tenants",
    (error) =>
      run(
        Effect.gen(function*() {
          const { remedy } = yield* Effect.flip(acquire({ scopes: "read" }))
          assert.notMatch(remedy, /AADSTS|microsoft|entra|tenant|registering\.md/i)
        }).pipe(Effect.provide(clientAt(at({ status: 400, body: { error, error_description: "No." } }))))
      )
  )

  it("gets RS256 assertions with both thumbprints of the certificate", () =>
    run(Effect.gen(function*() {
      const pair = yield* TestCertificate.make()
      const provider = at({ body: token })
      yield* acquire({ scopes: "read" }).pipe(
        Effect.provide(clientAt(provider, ClientCredential.layerCertificate(pair)))
      )
      const header = jose.decodeProtectedHeader(provider.seen.at(-1)?.form.get("client_assertion") ?? "")
      assert.strictEqual(header.alg, "RS256")
      assert.match(String(header.x5t), /^[\w-]{27}$/)
      assert.match(String(header["x5t#S256"]), /^[\w-]{43}$/)
    })))
})
