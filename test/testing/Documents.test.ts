import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { EntraSimulator } from "effect-entra/testing"
import { HttpClient, HttpClientRequest } from "effect/http"
import { TestClock } from "effect/testing"
import * as jose from "jose"
import { assertRefusal, goodForm, post, readToken, tenant, tokenUrl } from "./wire.ts"

const memory = EntraSimulator.layerMemory({ signer: EntraSimulator.signerFake, aliases: ["login.windows.net"] })
const origin = "https://login.microsoftonline.com"

const Configuration = Schema.Struct({ issuer: Schema.String, jwks_uri: Schema.String, token_endpoint: Schema.String })
const Jwks = Schema.Struct({
  keys: Schema.Array(Schema.Struct({
    kty: Schema.Literal("RSA"),
    kid: Schema.String,
    use: Schema.Literal("sig"),
    alg: Schema.Literal("RS256"),
    n: Schema.String,
    e: Schema.String
  }))
})

const get = <A>(url: string, schema: Schema.Codec<A, unknown>) =>
  Effect.flatMap(HttpClient.get(url), (response) => response.json).pipe(
    Effect.flatMap(Schema.decodeUnknownEffect(schema))
  )

describe("documents", () => {
  it.live("a token verifies with the published keys", () =>
    Effect.gen(function*() {
      const configuration = yield* get(
        `${origin}/${EntraSimulator.contosoDomain}/v2.0/.well-known/openid-configuration`,
        Configuration
      )
      assert.strictEqual(configuration.token_endpoint, tokenUrl())
      const jwks = yield* get(configuration.jwks_uri, Jwks)
      const { access_token: token } = yield* readToken(yield* post(goodForm, configuration.token_endpoint))
      const keys = jose.createLocalJWKSet({ keys: [...jwks.keys] })
      const verify = (text: string) =>
        jose.jwtVerify(text, keys, { issuer: configuration.issuer, audience: EntraSimulator.graphResource })
      const { payload } = yield* Effect.promise(() => verify(token))
      assert.deepStrictEqual(payload["roles"], ["Organization.Read.All", "User.Read.All"])
      const tampered = `${token.slice(0, -6)}${token.endsWith("AAAAAA") ? "BBBBBB" : "AAAAAA"}`
      yield* Effect.flip(Effect.tryPromise(() => verify(tampered)))
      const simulator = yield* EntraSimulator.EntraSimulator
      assert.strictEqual((yield* simulator.counters).discoveryRequests, 2)
    }).pipe(Effect.provide(EntraSimulator.layerMemory())))

  it.effect("unknown tenants have none; common has its own", () =>
    Effect.gen(function*() {
      const expected = { status: 400, error: "invalid_tenant", code: 90002 }
      const path = "v2.0/.well-known/openid-configuration"
      yield* assertRefusal(yield* HttpClient.get(`${origin}/nowhere/${path}`), expected)
      yield* assertRefusal(yield* HttpClient.get(`${origin}/nowhere/discovery/v2.0/keys`), expected)
      const common = yield* get(`${origin}/common/${path}`, Configuration)
      assert.strictEqual(common.issuer, `${origin}/{tenantid}/v2.0`)
      assert.strictEqual(common.token_endpoint, tokenUrl("common"))
    }).pipe(Effect.provide(memory)))

  it.effect("instance discovery knows its own hosts", () =>
    Effect.gen(function*() {
      const discover = (endpoint: string) =>
        HttpClient.get(`${origin}/common/discovery/instance`, {
          urlParams: { "api-version": "1.1", authorization_endpoint: endpoint }
        })
      const response = yield* discover(`https://login.windows.net/${tenant}/oauth2/v2.0/authorize`)
      assert.strictEqual(response.status, 200)
      assert.deepStrictEqual(yield* response.json, {
        tenant_discovery_endpoint: `https://login.windows.net/${tenant}/v2.0/.well-known/openid-configuration`,
        "api-version": "1.1",
        metadata: [{
          preferred_network: "login.microsoftonline.com",
          preferred_cache: "login.microsoftonline.com",
          aliases: ["login.microsoftonline.com", "login.windows.net"]
        }]
      })
      const refused = { status: 400, error: "invalid_instance", code: 50049 }
      yield* assertRefusal(yield* discover("https://evil.example/common/oauth2/v2.0/authorize"), refused)
      yield* assertRefusal(yield* discover("nonsense"), refused)
    }).pipe(Effect.provide(memory)))
})

describe("Graph", () => {
  const Users = Schema.Struct({
    "@odata.nextLink": Schema.optionalKey(Schema.String),
    value: Schema.Array(Schema.Struct({ id: Schema.String, userPrincipalName: Schema.String }))
  })
  const usersUrl = "https://graph.microsoft.com/v1.0/users"
  const call = (url: string, token: string) =>
    HttpClient.execute(HttpClientRequest.bearerToken(HttpClientRequest.get(url), token))
  const tokenFor = (name: string, scope = "https://graph.microsoft.com/.default") =>
    post({ ...goodForm, scope }, tokenUrl(name)).pipe(
      Effect.flatMap(readToken),
      Effect.map((token) => token.access_token)
    )

  const pages = Effect.gen(function*() {
    const token = yield* tokenFor(tenant)
    const seen = new Set<string>()
    const sizes: Array<number> = []
    let next: string | undefined = `${usersUrl}?$top=50`
    while (next !== undefined) {
      const response = yield* call(next, token)
      assert.strictEqual(response.status, 200)
      const page: typeof Users.Type = yield* Schema.decodeUnknownEffect(Users)(yield* response.json)
      sizes.push(page.value.length)
      page.value.forEach(({ id }) => seen.add(id))
      next = page["@odata.nextLink"]
      if (next !== undefined) assert.isTrue(next.startsWith(`${usersUrl}?`))
    }
    assert.deepStrictEqual([sizes, seen.size], [[50, 50, 20], 120])
    const organization = yield* call("https://graph.microsoft.com/v1.0/organization", token)
    assert.strictEqual(organization.status, 200)
    assert.include(yield* organization.text, EntraSimulator.contosoDomain)
  })

  it.effect("pages through the tenant of the token", () => pages.pipe(Effect.provide(memory)))
  it.live("the same with real signatures", () => pages.pipe(Effect.provide(EntraSimulator.layerMemory())))

  const assertGraphError = (url: string, token: string, status: number, code: string) =>
    Effect.gen(function*() {
      const response = yield* call(url, token)
      const { error } = yield* Schema.decodeUnknownEffect(Schema.Struct({
        error: Schema.Struct({ code: Schema.String, message: Schema.String, innerError: Schema.Unknown })
      }))(yield* response.json)
      assert.deepStrictEqual([response.status, error.code], [status, code])
    })

  const refusals = Effect.gen(function*() {
    const token = yield* tokenFor(tenant)
    const invalid = "InvalidAuthenticationToken"
    assert.strictEqual((yield* HttpClient.get(usersUrl)).status, 401)
    yield* assertGraphError(usersUrl, "nonsense", 401, invalid)
    const end = token.endsWith("AAAAAA") ? "BBBBBB" : "AAAAAA"
    yield* assertGraphError(usersUrl, `${token.slice(0, -6)}${end}`, 401, invalid)
    yield* assertGraphError(usersUrl, yield* tokenFor(tenant, "api://orders/.default"), 401, invalid)
    yield* assertGraphError(`${usersUrl}?$top=0`, token, 400, "BadRequest")
    yield* assertGraphError(`${usersUrl}?$skiptoken=x`, token, 400, "BadRequest")
  })

  it.effect("refuses what is not a token for it", () => refusals.pipe(Effect.provide(memory)))
  it.live("the same with real signatures", () => refusals.pipe(Effect.provide(EntraSimulator.layerMemory())))

  it.effect("refuses an expired token", () =>
    Effect.gen(function*() {
      const token = yield* tokenFor(tenant)
      yield* TestClock.adjust("3598 seconds")
      assert.strictEqual((yield* call(usersUrl, token)).status, 200)
      yield* TestClock.adjust("1 second")
      yield* assertGraphError(usersUrl, token, 401, "InvalidAuthenticationToken")
    }).pipe(Effect.provide(memory)))

  it.effect("refuses a token without the role", () =>
    Effect.gen(function*() {
      const token = yield* tokenFor(tenant)
      yield* assertGraphError(usersUrl, token, 403, "Authorization_RequestDenied")
    }).pipe(Effect.provide(EntraSimulator.layerMemory({
      signer: EntraSimulator.signerFake,
      apps: [{ clientId: EntraSimulator.daemonClientId, secrets: [EntraSimulator.daemonSecret] }]
    }))))
})
