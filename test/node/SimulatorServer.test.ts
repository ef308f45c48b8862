import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Redacted } from "effect"
import { SimulatorServer } from "effect-entra/node"
import { EntraSimulator, TestIssuer } from "effect-entra/testing"
import { FetchHttpClient, HttpClient, HttpClientRequest } from "effect/http"
import { decodeJwt } from "jose"
import { assertRefusal, goodForm, post, readToken, submit, tokenUrl } from "../testing/wire.ts"

const roundTrip = Effect.gen(function*() {
  const { origin } = yield* SimulatorServer.SimulatorServer
  const url = tokenUrl(EntraSimulator.contosoDomain, origin)
  const { access_token: token } = yield* readToken(yield* post(goodForm, url))
  const users = yield* HttpClient.execute(
    HttpClientRequest.get(`${origin}/v1.0/users`).pipe(
      HttpClientRequest.setUrlParam("$top", "2"),
      HttpClientRequest.bearerToken(Redacted.make(token))
    )
  )
  assert.strictEqual(users.status, 200)
  assert.include(yield* users.text, `"@odata.nextLink":"${origin}/v1.0/users?$top=2&$skiptoken=2"`)
  const refused = { status: 401, error: "invalid_client", code: 7000215, more: ["error_uri"] }
  const body = yield* assertRefusal(yield* post({ ...goodForm, client_secret: "wrong" }, url), refused)
  assert.strictEqual(body.error_uri, `${origin}/error?code=7000215`)
  const simulator = yield* EntraSimulator.EntraSimulator
  assert.strictEqual(simulator.origin, origin)
  assert.deepInclude(yield* simulator.counters, { tokenRequests: 2, tokensIssued: 1, graphRequests: 1 })
  assert.strictEqual((yield* simulator.requests)[0]?.url, url)
})

const faults = Effect.gen(function*() {
  const { origin } = yield* SimulatorServer.SimulatorServer
  const simulator = yield* EntraSimulator.EntraSimulator
  const ask = post(goodForm, tokenUrl(EntraSimulator.contosoDomain, origin))
  yield* simulator.fail(EntraSimulator.Fault.dropped)
  const error = yield* Effect.flip(ask)
  assert.strictEqual(error.reason._tag, "TransportError")
  yield* readToken(yield* ask)
  yield* simulator.fail(EntraSimulator.Fault.delay("1 hour"))
  const delayed = yield* Effect.forkChild(ask)
  // A request that gives up before it arrives would leave the delay to the next one.
  yield* Effect.repeat(Effect.delay(simulator.counters, "1 millis"), { until: ({ faults }) => faults === 2 })
  yield* Fiber.interrupt(delayed)
  yield* simulator.fail(EntraSimulator.Fault.hugeBody())
  assert.strictEqual((yield* (yield* ask).text).length, 2 * 1024 * 1024)
})

describe.each([
  { scheme: "http", server: SimulatorServer.layerHttp },
  { scheme: "https", server: SimulatorServer.layerHttps }
])("over $scheme", ({ server }) => {
  it.live.each([
    { name: "undici", client: SimulatorServer.layerHttpClient },
    { name: "node:http", client: SimulatorServer.layerHttpClientNodeHttp }
  ])(
    "$name",
    ({ client }) => Effect.andThen(roundTrip, faults).pipe(Effect.provide(Layer.provideMerge(client, server())))
  )
})

describe("every side of the simulator", () => {
  const clientId = EntraSimulator.daemonClientId
  const issuer = "https://oidc.cluster.example/1"
  const subject = "system:serviceaccount:orders:my-daemon"

  const rounds = (platform: TestIssuer.TestIssuer) =>
    Effect.gen(function*() {
      const { origin } = yield* SimulatorServer.SimulatorServer
      const simulator = yield* EntraSimulator.EntraSimulator
      const url = `${tokenUrl(EntraSimulator.contosoDomain, origin)}?dc=one%26two`
      const token = Redacted.value(yield* platform.issue({ subject }))
      const claims = JSON.stringify({ access_token: { xms_cc: { values: ["cp1"] } } })
      const { access_token } = yield* readToken(yield* submit(token, url, { claims }))
      assert.deepStrictEqual(decodeJwt(access_token)["xms_cc"], ["cp1"])
      assert.deepStrictEqual((yield* simulator.requests)[0]?.query, { dc: "one&two" })
      yield* simulator.removeFederatedCredential(clientId, { issuer, subject })
      yield* assertRefusal(yield* submit(token, url), { status: 401, error: "invalid_client", code: 700211 })

      const adfs = yield* post(goodForm, `${origin}/adfs/oauth2/token`)
      assert.deepInclude(Object(yield* adfs.json), { token_type: "bearer" })

      const realm = `${origin}/realms/alpha`
      const document = yield* HttpClient.get(`${realm}/.well-known/openid-configuration`)
      assert.deepInclude(Object(yield* document.json), { issuer: realm })
      const ask = (secret: string) =>
        HttpClient.execute(
          HttpClientRequest.post(`${realm}/protocol/openid-connect/token`).pipe(
            HttpClientRequest.bodyUrlParams({ grant_type: "client_credentials" }),
            HttpClientRequest.setHeader("authorization", `Basic ${btoa(`${clientId}:${secret}`)}`)
          )
        )
      const good = yield* ask(encodeURIComponent(Redacted.value(EntraSimulator.daemonSecret)).replaceAll("~", "%7E"))
      assert.deepInclude(Object(yield* good.json), { token_type: "Bearer" })
      const bad = yield* ask("wrong")
      assert.deepStrictEqual([bad.status, bad.headers["www-authenticate"]], [401, "Basic realm=\"alpha\""])
      yield* bad.text
    })

  it.live.each([
    { scheme: "http", server: SimulatorServer.layerHttp },
    { scheme: "https", server: SimulatorServer.layerHttps }
  ])("over $scheme", ({ server }) =>
    Effect.gen(function*() {
      const platform = yield* TestIssuer.make({ issuer, algorithm: "ES256" })
      const options = {
        issuers: [platform],
        adfs: true,
        realms: [{ name: "alpha" }],
        apps: [{
          clientId,
          secrets: [EntraSimulator.daemonSecret],
          federatedCredentials: [{ issuer, subject }]
        }]
      }
      yield* Effect.provide(
        rounds(platform),
        Layer.provideMerge(SimulatorServer.layerHttpClient, server(options))
      )
    }))
})

describe("over http", () => {
  it.live("fetch", () =>
    Effect.andThen(roundTrip, faults).pipe(
      Effect.provide(Layer.provideMerge(FetchHttpClient.layer, SimulatorServer.layerHttp()))
    ))
})

describe("over https", () => {
  it.live("a client that does not know the certificate refuses", () =>
    Effect.gen(function*() {
      const { origin } = yield* SimulatorServer.SimulatorServer
      const error = yield* Effect.flip(post(goodForm, tokenUrl(EntraSimulator.contosoDomain, origin)))
      assert.strictEqual(error.reason._tag, "TransportError")
      const { counters } = yield* EntraSimulator.EntraSimulator
      assert.strictEqual((yield* counters).tokenRequests, 0)
    }).pipe(Effect.provide(Layer.provideMerge(FetchHttpClient.layer, SimulatorServer.layerHttps()))))
})
