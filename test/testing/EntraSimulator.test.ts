import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted, Schema } from "effect"
import { EntraSimulator } from "effect-entra/testing"
import { HttpClient, HttpClientRequest } from "effect/http"
import { TestClock } from "effect/testing"
import * as jose from "jose"
import claimsFixture from "./fixtures/token-claims-client-credentials.json" with { type: "json" }
import tokenFixture from "./fixtures/token-client-credentials.json" with { type: "json" }
import invalidClient from "./fixtures/token-error-invalid-client.json" with { type: "json" }
import invalidScope from "./fixtures/token-error-invalid-scope.json" with { type: "json" }
import unknownClient from "./fixtures/token-error-unknown-client.json" with { type: "json" }
import unsupportedGrant from "./fixtures/token-error-unsupported-grant-type.json" with { type: "json" }
import {
  assertRefusal,
  credential,
  type Fields,
  goodForm,
  guid,
  post,
  readToken,
  tenant,
  timestamp,
  tokenUrl
} from "./wire.ts"

const elsewhereId = "0d4b6f88-1f2a-4c3d-8e5f-7a6b5c4d3e2f"
const disabledId = "5e1c9a77-3b60-4d28-9f14-c2d3e4f5a6b7"
const unknownId = "99999999-9999-4999-8999-999999999999"

const memory = EntraSimulator.layerMemory({
  signer: EntraSimulator.signerFake,
  apps: [
    ...EntraSimulator.defaultOptions.apps,
    { clientId: elsewhereId, secrets: [EntraSimulator.daemonSecret], tenants: [EntraSimulator.fabrikamDomain] },
    { clientId: disabledId, secrets: [EntraSimulator.daemonSecret], disabled: true }
  ],
  resources: [
    ...EntraSimulator.defaultOptions.resources,
    { appId: "11111111-2222-4333-8444-555555555555", identifierUris: ["https://slash.example/"] },
    { appId: unknownId, identifierUris: ["api://fabrikam-only"], tenants: [EntraSimulator.fabrikamTenantId] }
  ]
})

const graphScope = "https://graph.microsoft.com/.default"

describe("refusals", () => {
  const cases: ReadonlyArray<{
    readonly name: string
    readonly form?: Fields
    readonly tenant?: string
    readonly expected: readonly [status: number, error: string, code: number, ...more: ReadonlyArray<string>]
  }> = [
    { name: "wrong secret", form: { client_secret: "x" }, expected: [401, "invalid_client", 7000215, "error_uri"] },
    { name: "unknown client", form: { client_id: unknownId }, expected: [400, "unauthorized_client", 700038] },
    { name: "client not in tenant", form: { client_id: elsewhereId }, expected: [400, "unauthorized_client", 700016] },
    { name: "disabled client", form: { client_id: disabledId }, expected: [400, "unauthorized_client", 7000112] },
    { name: "unknown tenant", tenant: unknownId, expected: [400, "invalid_request", 90002] },
    { name: "common", tenant: "common", expected: [400, "invalid_request", 50059] },
    { name: "organizations", tenant: "organizations", expected: [400, "invalid_request", 50059] },
    { name: "consumers", tenant: "Consumers", expected: [400, "invalid_request", 50059] },
    {
      name: "unknown resource",
      form: { scope: "api://not-a-registered-resource/.default" },
      expected: [400, "invalid_resource", 500011, "error_uri"]
    },
    {
      name: "resource of another tenant",
      form: { scope: "api://fabrikam-only/.default" },
      expected: [400, "invalid_resource", 500011, "error_uri"]
    },
    {
      name: "resource that ends in a slash asked without it",
      form: { scope: "https://slash.example/.default" },
      expected: [400, "invalid_resource", 500011, "error_uri"]
    },
    {
      name: "scope without /.default",
      form: { scope: "https://graph.microsoft.com/User.Read.All" },
      expected: [400, "invalid_scope", 1002012]
    },
    { name: "scope without resource", form: { scope: "/.default" }, expected: [400, "invalid_scope", 1002012] },
    { name: "blank scope", form: { scope: " " }, expected: [400, "invalid_scope", 1002012] },
    {
      name: "two resources",
      form: { scope: `${graphScope} api://orders/.default` },
      expected: [400, "invalid_scope", 28002]
    },
    {
      name: "wrong grant type",
      form: { grant_type: "no_such_grant" },
      expected: [400, "unsupported_grant_type", 70003]
    },
    { name: "no grant_type", form: { grant_type: undefined }, expected: [400, "invalid_request", 900144] },
    { name: "empty grant_type", form: { grant_type: "" }, expected: [400, "invalid_request", 900144] },
    { name: "no client_id", form: { client_id: undefined }, expected: [400, "invalid_request", 900144] },
    { name: "no scope", form: { scope: undefined }, expected: [400, "invalid_request", 900144] },
    { name: "no credential", form: { client_secret: undefined }, expected: [401, "invalid_client", 7000218] },
    { name: "two credentials", form: { client_assertion: "a.b.c" }, expected: [400, "invalid_request", 90023] },
    {
      name: "no assertion type",
      form: { client_secret: undefined, client_assertion: "a.b.c" },
      expected: [400, "invalid_request", 900144]
    },
    {
      name: "unknown assertion type",
      form: { client_secret: undefined, client_assertion: "a.b.c", client_assertion_type: "saml" },
      expected: [400, "invalid_request", 90100]
    },
    {
      name: "duplicated parameter",
      form: { scope: [graphScope, graphScope] },
      expected: [400, "invalid_request", 9000411]
    },
    {
      name: "duplicated unknown parameter",
      form: { extra: ["1", "2"] },
      expected: [400, "invalid_request", 9000411]
    }
  ]

  it.effect.each(cases)(
    "$name",
    ({ expected: [status, error, code, ...more], form, tenant }) =>
      Effect.gen(function*() {
        const response = yield* post({ ...goodForm, ...form }, tokenUrl(tenant))
        yield* assertRefusal(response, { status, error, code, more })
        const simulator = yield* EntraSimulator.EntraSimulator
        const counters = yield* simulator.counters
        assert.deepStrictEqual(counters.refusals, { [String(code)]: 1 })
        assert.strictEqual(counters.tokensIssued, 0)
      }).pipe(Effect.provide(memory))
  )

  it.effect("the order of the checks", () =>
    Effect.gen(function*() {
      const codeOf = (form: Fields, tenant?: string) =>
        Effect.flatMap(post(form, tokenUrl(tenant)), (response) => response.json).pipe(
          Effect.flatMap(Schema.decodeUnknownEffect(Schema.Struct({ error_codes: Schema.Array(Schema.Finite) }))),
          Effect.map(({ error_codes: [code] }) => code)
        )
      assert.strictEqual(yield* codeOf({}, unknownId), 90002)
      const form: Record<string, string> = {}
      const steps: ReadonlyArray<readonly [code: number, name: string, value: string]> = [
        [900144, "grant_type", "password"],
        [70003, "grant_type", "client_credentials"],
        [900144, "client_id", unknownId],
        [700038, "client_id", elsewhereId],
        [700016, "client_id", disabledId],
        [7000112, "client_id", EntraSimulator.daemonClientId],
        [900144, "scope", "nonsense"],
        [7000218, "client_secret", "wrong"],
        [7000215, "client_secret", Redacted.value(EntraSimulator.daemonSecret)],
        [1002012, "scope", "api://a/.default api://b/.default"],
        [28002, "scope", "api://a/.default"]
      ]
      for (const [code, name, value] of steps) {
        assert.strictEqual(yield* codeOf(form), code, `before ${name}=${value}`)
        form[name] = value
      }
      assert.strictEqual(yield* codeOf(form), 500011)
    }).pipe(Effect.provide(memory)))

  it.effect("a body that is no form has no parameters", () =>
    Effect.gen(function*() {
      const json = yield* HttpClient.execute(
        HttpClientRequest.bodyText(HttpClientRequest.post(tokenUrl()), JSON.stringify(goodForm), "application/json")
      )
      yield* assertRefusal(json, { status: 400, error: "invalid_request", code: 900144 })
      const bare = yield* HttpClient.execute(HttpClientRequest.post(tokenUrl()))
      yield* assertRefusal(bare, { status: 400, error: "invalid_request", code: 900144 })
      const get = yield* HttpClient.get(tokenUrl())
      assert.strictEqual(get.status, 404)
    }).pipe(Effect.provide(memory)))

  it.effect("what it does not serve is an empty 404, on whatever host", () =>
    Effect.gen(function*() {
      for (const url of ["https://orders.contoso.com/open", "https://graph.microsoft.com/v1.0/groups"]) {
        const response = yield* HttpClient.get(url)
        assert.strictEqual(response.status, 404)
        assert.strictEqual(yield* response.text, "")
      }
      assert.strictEqual((yield* HttpClient.get("https://orders.contoso.com/v1.0/users")).status, 401)
    }).pipe(Effect.provide(memory)))

  it.effect("the correlation id of the client comes back, and only a GUID", () =>
    Effect.gen(function*() {
      const id = "0f8fad5b-d9cb-469f-a165-70867728950e"
      const wrong = { ...goodForm, client_secret: "x" }
      const request = HttpClientRequest.bodyUrlParams(HttpClientRequest.post(tokenUrl()), wrong)
      const expected = { status: 401, error: "invalid_client", code: 7000215, more: ["error_uri"] }
      const byHeader = yield* assertRefusal(
        yield* HttpClient.execute(HttpClientRequest.setHeader(request, "client-request-id", id)),
        expected
      )
      assert.strictEqual(byHeader.correlation_id, id)
      const byQuery = yield* assertRefusal(yield* post(wrong, `${tokenUrl()}?client-request-id=${id}`), expected)
      assert.strictEqual(byQuery.correlation_id, id)
      const nonsense = yield* assertRefusal(
        yield* HttpClient.execute(HttpClientRequest.setHeader(request, "client-request-id", "<script>")),
        expected
      )
      assert.match(nonsense.correlation_id, guid)
    }).pipe(Effect.provide(memory)))
})

describe("the resources of Azure", () => {
  const audienceOf = (scope: string) =>
    Effect.map(
      Effect.flatMap(post({ ...goodForm, scope }), readToken),
      (token) => jose.decodeJwt(token.access_token).aud
    )

  it.effect.each(
    [
      ["https://graph.microsoft.com", EntraSimulator.azureResources.graph],
      ["https://vault.azure.net", EntraSimulator.azureResources.keyVault],
      ["https://storage.azure.com", EntraSimulator.azureResources.storage],
      ["https://management.azure.com", EntraSimulator.azureResources.resourceManager],
      ["https://management.core.windows.net", EntraSimulator.azureResources.resourceManager],
      ["https://redis.azure.com", EntraSimulator.azureResources.redis],
      ["https://database.windows.net", EntraSimulator.azureResources.sql]
    ] as const
  )("%s is known by its name, with and without a slash", ([uri, resource]) =>
    Effect.gen(function*() {
      for (const name of [uri, `${uri}/`, uri.toUpperCase(), resource.appId]) {
        assert.strictEqual(yield* audienceOf(`${name}/.default`), resource.identifierUris[0])
      }
    }).pipe(Effect.provide(EntraSimulator.layerMemory({ signer: EntraSimulator.signerFake }))))

  const own = { appId: EntraSimulator.ordersAppId, identifierUris: [EntraSimulator.ordersResource] }
  const roles = { "https://vault.azure.net/": ["Vault.Read"], "https://graph.microsoft.com": ["User.Read.All"] }
  const apps = EntraSimulator.defaultOptions.apps.map((app) => ({ ...app, roles }))

  it.effect("are known beside resources of the test, and roles may name them", () =>
    Effect.gen(function*() {
      const scopes = [
        "https://vault.azure.net/.default",
        "https://graph.microsoft.com//.default",
        "api://orders/.default"
      ]
      const found = yield* Effect.forEach(scopes, (scope) =>
        Effect.map(
          Effect.flatMap(post({ ...goodForm, scope }), readToken),
          ({ access_token: token }) => jose.decodeJwt(token)["roles"]
        ))
      assert.deepStrictEqual(found, [["Vault.Read"], ["User.Read.All"], undefined])
      yield* assertRefusal(yield* post({ ...goodForm, scope: "api://others/.default" }), {
        status: 400,
        error: "invalid_resource",
        code: 500011,
        more: ["error_uri"]
      })
    }).pipe(Effect.provide(EntraSimulator.layerMemory({ signer: EntraSimulator.signerFake, apps, resources: [own] }))))

  it.effect.each([
    { name: "app id", appId: EntraSimulator.graphAppId, identifierUris: [] },
    { name: "identifier URI", appId: unknownId, identifierUris: [EntraSimulator.graphResource] }
  ])("are replaced by a resource with the same $name", ({ appId, identifierUris }) =>
    Effect.gen(function*() {
      const refused = { status: 400, error: "invalid_resource", code: 500011, more: ["error_uri"] }
      yield* assertRefusal(yield* post({ ...goodForm, scope: graphScope }), refused)
      yield* assertRefusal(yield* post({ ...goodForm, scope: `${EntraSimulator.graphAppId}/.default` }), refused)
    }).pipe(Effect.provide(
      EntraSimulator.layerMemory({
        signer: EntraSimulator.signerFake,
        resources: [{ appId, identifierUris, tenants: [EntraSimulator.fabrikamTenantId] }]
      })
    )))
})

describe("steps that were left out", () => {
  const { daemonClientId: clientId, daemonSecret, fabrikamDomain, ordersAppId, ordersResource } = EntraSimulator
  const app = { clientId, secrets: [daemonSecret], roles: { [ordersResource]: ["Orders.Read.All"] } }
  const orders = { appId: ordersAppId, identifierUris: [ordersResource] }
  const form = { ...goodForm, scope: `${ordersResource}/.default` }
  const fabrikam = tokenUrl(fabrikamDomain)

  const world = (changes: Partial<EntraSimulator.App>, resource: Partial<EntraSimulator.Resource> = {}) =>
    EntraSimulator.layerMemory({
      signer: EntraSimulator.signerFake,
      apps: [{ ...app, ...changes }],
      resources: [{ ...orders, ...resource }]
    })

  const rolesIn = (url: string) =>
    Effect.map(Effect.flatMap(post(form, url), readToken), (token) => jose.decodeJwt(token.access_token)["roles"])

  it.effect.each([
    { name: "by id", home: tenant },
    { name: "by domain, in any case", home: "Contoso.OnMicrosoft.com" }
  ])("no service principal at home, named $name", ({ home }) =>
    Effect.gen(function*() {
      const expected = { status: 401, error: "invalid_client", code: 7000229, more: ["error_uri"] }
      yield* assertRefusal(yield* post(form), expected)
      yield* assertRefusal(yield* post(form, tokenUrl(EntraSimulator.contosoDomain)), expected)
      yield* assertRefusal(yield* post(form, fabrikam), { status: 400, error: "unauthorized_client", code: 700016 })
    }).pipe(Effect.provide(world({ home, tenants: [] }))))

  it.effect("no home, so not found anywhere", () =>
    Effect.gen(function*() {
      yield* assertRefusal(yield* post(form), { status: 400, error: "unauthorized_client", code: 700016 })
    }).pipe(Effect.provide(world({ tenants: [] }))))

  it.effect("a home in which it is installed is like any tenant", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* rolesIn(tokenUrl()), ["Orders.Read.All"])
      assert.deepStrictEqual(yield* rolesIn(fabrikam), ["Orders.Read.All"])
    }).pipe(Effect.provide(world({ home: tenant }))))

  it.effect("consent counts in the tenant in which it was given", () =>
    Effect.gen(function*() {
      assert.isUndefined(yield* rolesIn(tokenUrl()))
      assert.deepStrictEqual(yield* rolesIn(fabrikam), ["Orders.Read.All"])
    }).pipe(Effect.provide(world({ consents: [fabrikamDomain] }))))

  it.effect.each([
    { name: "no roles", changes: { roles: undefined } },
    { name: "an empty list of roles", changes: { roles: { [ordersResource]: [] } } },
    { name: "roles of another resource", changes: { roles: { "api://other": ["Other.Read"] } } },
    { name: "roles that nobody consented to", changes: { consents: [] } }
  ])("$name: a token without the claim", ({ changes }) =>
    Effect.gen(function*() {
      const { access_token: token } = yield* Effect.flatMap(post(form), readToken)
      assert.notProperty(jose.decodeJwt(token), "roles")
    }).pipe(Effect.provide(world(changes))))

  it.effect.each(
    [
      { withoutRole: "unassigned", code: 501051, more: [] },
      { withoutRole: "unconsented", code: 65001, more: ["suberror"] }
    ] as const
  )("a resource that refuses who is $withoutRole", ({ code, more, withoutRole }) =>
    Effect.gen(function*() {
      const body = yield* assertRefusal(yield* post(form), {
        status: 400,
        error: "invalid_grant",
        code,
        more: [...more]
      })
      assert.strictEqual(body.suberror, code === 65001 ? "consent_required" : undefined)
      assert.deepStrictEqual(yield* rolesIn(fabrikam), ["Orders.Read.All"])
      const simulator = yield* EntraSimulator.EntraSimulator
      assert.deepStrictEqual((yield* simulator.counters).refusals, { [String(code)]: 1 })
      yield* assertRefusal(yield* post({ ...form, client_secret: "x" }), {
        status: 401,
        error: "invalid_client",
        code: 7000215,
        more: ["error_uri"]
      })
    }).pipe(Effect.provide(world({ consents: [fabrikamDomain] }, { withoutRole }))))
})

describe("fixtures of the real service", () => {
  const fill = (template: string) =>
    template.replaceAll("{tenant-id}", tenant).replaceAll("{daemon-app-id}", EntraSimulator.daemonClientId)

  it.effect.each([
    { fixture: invalidClient, form: { client_secret: "wrong" } },
    { fixture: invalidScope, form: { scope: "api://not-a-registered-resource/.default" } },
    { fixture: unknownClient, form: { client_id: unknownId } },
    { fixture: unsupportedGrant, form: { grant_type: "no_such_grant" } }
  ])("$fixture.scenario", ({ fixture: { response: recorded }, form }) =>
    Effect.gen(function*() {
      const response = yield* post({ ...goodForm, ...form })
      assert.strictEqual(response.status, recorded.status)
      const body = yield* Schema.decodeUnknownEffect(Schema.Record(Schema.String, Schema.Unknown))(yield* response.json)
      assert.deepStrictEqual(Object.keys(body), Object.keys(recorded.body))
      for (const [name, value] of Object.entries(recorded.body)) {
        const actual = body[name]
        if (name === "error_description") {
          // The sentence between the code and the ids is ours.
          assert.strictEqual(String(actual).split(":")[0], String(value).split(":")[0])
          assert.match(String(actual), / Trace ID: [\w-]{36} Correlation ID: [\w-]{36} Timestamp: [\d-]{10} [\d:]{8}Z$/)
        } else if (value === "{guid}") assert.match(String(actual), guid)
        else if (value === "{timestamp}") assert.match(String(actual), timestamp)
        else assert.deepStrictEqual(actual, typeof value === "string" ? fill(value) : value)
      }
    }).pipe(Effect.provide(memory)))

  it.live("a token and its claims", () =>
    Effect.gen(function*() {
      const response = yield* post({ ...goodForm, scope: "api://orders/.default" })
      assert.strictEqual(response.status, tokenFixture.response.status)
      assert.deepStrictEqual(
        Object.keys(Object(yield* response.json)),
        Object.keys(tokenFixture.response.body)
      )
      const token = yield* readToken(response)
      assert.deepStrictEqual([token.token_type, token.expires_in, token.ext_expires_in], ["Bearer", 3599, 3599])
      const header = jose.decodeProtectedHeader(token.access_token)
      assert.deepStrictEqual(Object.keys(header).sort(), ["alg", "kid", "typ"])
      assert.deepStrictEqual([header.alg, header.typ], [claimsFixture.header.alg, claimsFixture.header.typ])
      const claims = jose.decodeJwt(token.access_token)
      assert.deepStrictEqual(Object.keys(claims).sort(), [...claimsFixture.claimNames, "roles"].sort())
      assert.strictEqual(claims["ver"], claimsFixture.structural.ver)
      assert.strictEqual(claims.iss, fill(claimsFixture.structural.iss))
      assert.strictEqual(claims["tid"], tenant)
      assert.strictEqual(claims.aud, EntraSimulator.ordersAppId)
      assert.strictEqual(claims["azp"], EntraSimulator.daemonClientId)
      assert.strictEqual(claims["azpacr"], "1")
    }).pipe(Effect.provide(EntraSimulator.layerMemory())))
})

describe("acceptance", () => {
  it("with a secret and the fake signer nothing is asynchronous", () => {
    const program = Effect.flatMap(post(goodForm), readToken).pipe(
      Effect.provide(EntraSimulator.layerMemory({ signer: EntraSimulator.signerFake }))
    )
    assert.strictEqual(Effect.runSync(program).expires_in, 3599)
  })

  it.effect.each([
    { name: "the tenant's domain, in any case", url: tokenUrl("Contoso.OnMicrosoft.COM"), form: {} },
    { name: "a query", url: `${tokenUrl()}?client-request-id=1`, form: {} },
    {
      name: "a regional URL with its slash",
      url: `${tokenUrl(tenant, "https://westus2.login.microsoft.com")}/`,
      form: {}
    },
    { name: "a scope in any case", url: tokenUrl(), form: { scope: "HTTPS://Graph.Microsoft.com/.DEFAULT" } },
    { name: "a scope said twice", url: tokenUrl(), form: { scope: `${graphScope} ${graphScope}` } },
    { name: "a resource that ends in a slash", url: tokenUrl(), form: { scope: "https://slash.example//.default" } },
    { name: "an app id as the resource", url: tokenUrl(), form: { scope: `${EntraSimulator.graphAppId}/.default` } },
    {
      name: "a client id in capitals",
      url: tokenUrl(),
      form: { client_id: EntraSimulator.daemonClientId.toUpperCase() }
    },
    { name: "further parameters", url: tokenUrl(), form: { "x-client-SKU": "msal.js.node", claims: "{}" } }
  ])("$name", ({ form, url }) =>
    Effect.gen(function*() {
      yield* readToken(yield* post({ ...goodForm, ...form }, url))
    }).pipe(Effect.provide(memory)))

  it.effect("secrets come and go", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      const rotated = Redacted.make("rotated")
      yield* simulator.addSecret(EntraSimulator.daemonClientId, rotated)
      yield* readToken(yield* post(goodForm))
      yield* readToken(yield* post({ ...goodForm, client_secret: "rotated" }))
      yield* simulator.removeSecret(EntraSimulator.daemonClientId, EntraSimulator.daemonSecret)
      assert.strictEqual((yield* post(goodForm)).status, 401)
      yield* readToken(yield* post({ ...goodForm, client_secret: "rotated" }))
    }).pipe(Effect.provide(memory)))

  it.effect("lifetimes follow the clock and the options", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* TestClock.setTime(Date.UTC(2026, 0, 1))
      const now = Date.UTC(2026, 0, 1) / 1000
      const first = yield* readToken(yield* post(goodForm))
      assert.isUndefined(first.refresh_in)
      const { exp, iat, nbf } = jose.decodeJwt(first.access_token)
      assert.deepStrictEqual([iat, nbf, exp], [now, now, now + 3599])
      yield* simulator.setTokenLifetime("5 minutes")
      yield* simulator.setRefreshIn("2 minutes")
      yield* TestClock.adjust("10 minutes")
      const second = yield* readToken(yield* post(goodForm))
      assert.deepStrictEqual([second.expires_in, second.ext_expires_in, second.refresh_in], [300, 300, 120])
      assert.strictEqual(jose.decodeJwt(second.access_token).exp, now + 900)
      yield* simulator.setRefreshIn(undefined)
      assert.isUndefined((yield* readToken(yield* post(goodForm))).refresh_in)
    }).pipe(Effect.provide(memory)))

  it.effect("counts and remembers", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* post(goodForm, tokenUrl(EntraSimulator.contosoDomain))
      yield* post(goodForm, tokenUrl(EntraSimulator.fabrikamTenantId))
      yield* post({ ...goodForm, ...credential, client_secret: "wrong" })
      yield* post(goodForm, tokenUrl("nowhere"))
      assert.deepStrictEqual(yield* simulator.counters, {
        tokenRequests: 4,
        tokenRequestsByTenant: { [tenant]: 2, [EntraSimulator.fabrikamTenantId]: 1, unknown: 1 },
        tokensIssued: 2,
        refusals: { "7000215": 1, "90002": 1 },
        faults: 0,
        discoveryRequests: 0,
        graphRequests: 0
      })
      const [first] = yield* simulator.requests
      assert.strictEqual(first?.method, "POST")
      assert.strictEqual(first?.url, tokenUrl(EntraSimulator.contosoDomain))
      assert.strictEqual(first?.headers["content-type"], "application/x-www-form-urlencoded")
      assert.deepStrictEqual({ ...first?.form }, { ...goodForm })
      for (let index = 0; index < 1005; index++) yield* post({ n: String(index) })
      const requests = yield* simulator.requests
      assert.strictEqual(requests.length, 1000)
      assert.strictEqual(requests.at(-1)?.form["n"], "1004")
      yield* simulator.reset
      assert.deepStrictEqual(yield* simulator.requests, [])
      assert.strictEqual((yield* simulator.counters).tokenRequests, 0)
    }).pipe(Effect.provide(memory)))
})
