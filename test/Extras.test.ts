/** Parameters beyond the standard, partitions and capabilities: what is sent, and which tokens are kept apart. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { ClientCredential, ConfidentialClient, type TokenRequest } from "effect-entra"
import { EntraSimulator } from "effect-entra/testing"
import { HttpClient, HttpClientResponse } from "effect/http"
import { graph, tokenRequests, World } from "./support/world.ts"

const acquire = (more: Partial<TokenRequest.TokenRequest> = {}) =>
  ConfidentialClient.acquireToken({ scopes: graph, ...more })

const source = (more: Partial<TokenRequest.TokenRequest>) =>
  Effect.map(acquire(more), ({ metadata }) => metadata.tokenSource)

const lastRequest = EntraSimulator.EntraSimulator.use((simulator) =>
  Effect.map(simulator.requests, (requests) => requests.at(-1))
)

const extraQueryParameters = { slice: "testslice & co" }
const extraBodyParameters = { fmi_path: "a/b", ticket: Redacted.make("hush-hush") }

describe("extra parameters", () => {
  it.effect("are sent, in the query and in the body, beside the standard ones", () =>
    Effect.gen(function*() {
      yield* acquire({ extraQueryParameters, extraBodyParameters })
      const request = yield* lastRequest
      assert.strictEqual(request?.url.split("?")[1], "slice=testslice%20%26%20co")
      assert.strictEqual(request?.form["fmi_path"], "a/b")
      assert.strictEqual(request?.form["grant_type"], "client_credentials")
    }).pipe(Effect.provide(World())))

  it.effect("of any name are sent with any value, also names that objects have already", () =>
    Effect.gen(function*() {
      const bodies: Array<string> = []
      const Transport = Layer.succeed(
        HttpClient.HttpClient,
        HttpClient.make((request) =>
          Effect.sync(() => {
            if (request.body._tag === "Uint8Array") bodies.push(new TextDecoder().decode(request.body.body))
            return HttpClientResponse.fromWeb(
              request,
              Response.json({ access_token: "t", token_type: "Bearer", expires_in: 3599 })
            )
          })
        )
      )
      const names = ["__proto__", "constructor", "toString", "a&b=c", "\u00e4 \u20ac", "0"]
      const extras: Record<string, string> = Object.fromEntries(names.map((name) => [name, `${name} & +%`]))
      const Client = ConfidentialClient.layerDefault({
        clientId: EntraSimulator.daemonClientId,
        tenantId: "contoso.com"
      })
      yield* Effect.provide(
        acquire({ extraBodyParameters: extras }),
        Client.pipe(Layer.provide([ClientCredential.layerSecret(Redacted.make("a-secret")), Transport]))
      )
      const sent = new URLSearchParams(bodies.at(-1))
      for (const name of names) assert.strictEqual(sent.get(name), `${name} & +%`)
    }))

  it.effect("keep tokens apart, in both directions, unless they say otherwise", () =>
    Effect.gen(function*() {
      const traced = { extraQueryParameters: { trace: { value: "1", inCacheKey: false } } }
      assert.strictEqual(yield* source({}), "IdentityProvider")
      assert.strictEqual(yield* source({ extraBodyParameters }), "IdentityProvider")
      assert.strictEqual(yield* source({ extraBodyParameters }), "Cache")
      assert.strictEqual(yield* source({ extraQueryParameters }), "IdentityProvider")
      assert.strictEqual(yield* source({ cachePartition: "blue" }), "IdentityProvider")
      assert.strictEqual(yield* source({ cachePartition: "green" }), "IdentityProvider")
      assert.strictEqual(yield* source({ cachePartition: "blue" }), "Cache")
      assert.strictEqual(yield* source(traced), "Cache")
      assert.strictEqual(yield* source({}), "Cache")
      assert.strictEqual(yield* tokenRequests, 5)
    }).pipe(Effect.provide(World())))

  it.effect("callers who send other parameters do not share a flight, those who send the same do", () =>
    Effect.gen(function*() {
      const traced = (value: string) => acquire({ extraQueryParameters: { trace: { value, inCacheKey: false } } })
      yield* Effect.all([traced("1"), traced("1"), traced("2"), acquire()], { concurrency: "unbounded" })
      // The cache's lease makes them wait for each other, and the first token serves all: no parameter is part of the key.
      assert.strictEqual(yield* tokenRequests, 1)
      yield* Effect.all([acquire({ cachePartition: "a" }), acquire({ cachePartition: "b" })], {
        concurrency: "unbounded"
      })
      assert.strictEqual(yield* tokenRequests, 3)
    }).pipe(Effect.provide(World())))

  it.effect("a refusal of one set of parameters is not held against another", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* simulator.fail(EntraSimulator.Fault.refused({ code: 900144, error: "invalid_request", status: 400 }), {
        times: 1
      })
      const bad = { extraQueryParameters: { dc: { value: "nowhere", inCacheKey: false } } }
      yield* Effect.flip(acquire(bad))
      assert.strictEqual((yield* acquire()).metadata.tokenSource, "IdentityProvider")
    }).pipe(Effect.provide(World())))

  it.effect("an invalidation reaches every partition", () =>
    Effect.gen(function*() {
      yield* acquire()
      yield* acquire({ cachePartition: "blue" })
      yield* ConfidentialClient.invalidate({ scopes: graph })
      assert.strictEqual(yield* source({ cachePartition: "blue" }), "IdentityProvider")
      assert.strictEqual(yield* source({}), "IdentityProvider")
    }).pipe(Effect.provide(World())))

  it.effect("peek and keepFresh know the partition", () =>
    Effect.scoped(Effect.gen(function*() {
      yield* acquire({ cachePartition: "blue" })
      assert.isUndefined(yield* ConfidentialClient.peek({ scopes: graph }))
      assert.isDefined(yield* ConfidentialClient.peek({ scopes: graph, cachePartition: "blue" }))
    })).pipe(Effect.provide(World())))

  it.effect("a secret among them is taken out of what the service repeats", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      const ticket = "hush-hush & more"
      const repeating = EntraSimulator.Fault.custom({
        status: 400,
        body: JSON.stringify({
          error: "invalid_request",
          error_description: `${ticket} or ${encodeURIComponent(ticket)} is no ticket`
        })
      })
      for (const field of ["extraQueryParameters", "extraBodyParameters"]) {
        yield* simulator.fail(repeating)
        const { message } = yield* Effect.flip(acquire({ [field]: { ticket: Redacted.make(ticket) } }))
        assert.include(message, "is no ticket")
        assert.notInclude(message, "hush-hush")
      }
    }).pipe(Effect.provide(World())))

  it.effect("one that cannot be sent is refused before any request", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(acquire({ extraBodyParameters: { client_assertion: "x" } }))
      assert.strictEqual(error._tag, "EntraInvalidRequestError")
      assert.strictEqual(yield* tokenRequests, 0)
    }).pipe(Effect.provide(World())))
})

describe("capabilities", () => {
  it.effect("are sent with every request, together with a challenge's claims, and bypass no cache", () =>
    Effect.gen(function*() {
      yield* acquire()
      assert.strictEqual((yield* lastRequest)?.form["claims"], `{"access_token":{"xms_cc":{"values":["cp1"]}}}`)
      assert.strictEqual(yield* source({}), "Cache")
      yield* acquire({ claims: `{"access_token":{"nbf":{"value":"1"}}}` })
      assert.deepStrictEqual(JSON.parse((yield* lastRequest)?.form["claims"] ?? ""), {
        access_token: { nbf: { value: "1" }, xms_cc: { values: ["cp1"] } }
      })
    }).pipe(Effect.provide(World({ client: { clientCapabilities: ["cp1"] } }))))

  it.effect("the client's own query goes with every request", () =>
    Effect.gen(function*() {
      yield* acquire()
      assert.include((yield* lastRequest)?.url, "?dc=ESTS-PUB")
      yield* acquire({ extraQueryParameters: { dc: "other" } })
      assert.include((yield* lastRequest)?.url, "?dc=other")
      assert.strictEqual(yield* source({}), "Cache")
    }).pipe(Effect.provide(World({ client: { extraQueryParameters: { dc: "ESTS-PUB" } } }))))
})
