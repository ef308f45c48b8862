/** The whole response of each of the simulator's endpoints: status, headers and body, compared with a snapshot. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { EntraSimulator } from "effect-entra/testing"
import { HttpClient, HttpClientRequest, type HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import * as jose from "jose"
import { assertShown } from "../support/shown.ts"
import { type Fields, goodForm, post, readToken, tenant, tokenUrl } from "./wire.ts"

const { Fault } = EntraSimulator
const login = "https://login.microsoftonline.com"
const graph = "https://graph.microsoft.com/v1.0"
const adfs = "https://fs.contoso.com/adfs"
const realm = "https://id.example/realms/orders"
const visitor = "0d4b6f88-1f2a-4c3d-8e5f-7a6b5c4d3e2f"

const world = EntraSimulator.layerMemory({
  signer: EntraSimulator.signerFake,
  adfs: true,
  aliases: ["login.windows.net"],
  realms: [{ name: "orders", scopes: ["read"] }],
  apps: [
    ...EntraSimulator.defaultOptions.apps,
    { clientId: visitor, secrets: [EntraSimulator.daemonSecret] }
  ]
})

const known = new Set([
  tenant,
  EntraSimulator.fabrikamTenantId,
  EntraSimulator.daemonClientId,
  EntraSimulator.ordersAppId,
  visitor
])

/** Replaces ids that are drawn for each response. */
const withoutIds = (text: string): string =>
  text
    .replace(/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, (id) =>
      known.has(id) || id.startsWith("c0150") ? id : "<id>")
    .replace(/"(jti|uti|rh|aio|xms_ftd)": "[^"]*"/g, `"$1": "<random>"`)

/** Tokens are shown as their header and claims. */
const readable = (_name: string, value: unknown): unknown =>
  typeof value === "string" && value.startsWith("eyJ")
    ? { header: jose.decodeProtectedHeader(value), claims: jose.decodeJwt(value) }
    : value

const isJson = (text: string): boolean => text.startsWith("{") && text.endsWith("}")

const assertResponse = (response: HttpClientResponse.HttpClientResponse) =>
  Effect.map(response.text, (body) => {
    const headers = Object.entries(response.headers).filter(([name]) => name !== "content-length").sort().map((
      [name, value]
    ) => `${name}: ${value}`)
    const shown = isJson(body) ? JSON.stringify(JSON.parse(body), readable, 2) : body.slice(0, 200)
    assertShown(withoutIds([String(response.status), ...headers, shown].join("\n")))
  })

const get = (url: string, token?: string) =>
  HttpClient.execute(
    HttpClientRequest.get(url, token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } })
  )

const token = (form: Fields = {}) =>
  Effect.map(Effect.flatMap(post({ ...goodForm, ...form }), readToken), ({ access_token }) => access_token)

/** Sets a time that is not the start of the epoch. */
const atNoon = TestClock.setTime(Date.UTC(2026, 4, 1, 12))

describe("documents", () => {
  it.effect.each<readonly [name: string, url: string]>([
    ["the document of a tenant", `${login}/${tenant}/v2.0/.well-known/openid-configuration`],
    [
      "the document of a tenant by its domain",
      `${login}/contoso.onmicrosoft.com/v2.0/.well-known/openid-configuration`
    ],
    ["the document of common", `${login}/COMMON/v2.0/.well-known/openid-configuration`],
    ["the document of no tenant", `${login}/nobody.example/v2.0/.well-known/openid-configuration`],
    ["the keys of a tenant", `${login}/${tenant}/discovery/v2.0/keys`],
    ["the keys of organizations", `${login}/organizations/discovery/v2.0/keys`],
    ["the keys of no tenant", `${login}/nobody.example/discovery/v2.0/keys`],
    ["the document of AD FS", `${adfs}/.well-known/openid-configuration`],
    ["the keys of AD FS", `${adfs}/discovery/keys`],
    ["the document of a realm", `${realm}/.well-known/openid-configuration`],
    ["the document of no realm", "https://id.example/realms/nobody/.well-known/openid-configuration"],
    ["the keys of a realm", `${realm}/protocol/openid-connect/certs`],
    ["the keys of no realm", "https://id.example/realms/nobody/protocol/openid-connect/certs"],
    [
      "the hosts of the cloud",
      `${login}/common/discovery/instance?api-version=1.1&authorization_endpoint=https://login.windows.net/contoso.com/oauth2`
    ],
    [
      "the hosts of the cloud without a tenant",
      `${login}/common/discovery/instance?api-version=1.1&authorization_endpoint=${login}`
    ],
    [
      "the hosts of another cloud",
      `${login}/common/discovery/instance?api-version=1.1&authorization_endpoint=https://evil.example/common`
    ],
    [
      "the hosts for another version",
      `${login}/common/discovery/instance?api-version=1.0&authorization_endpoint=${login}/common`
    ],
    ["a path that is not served", `${login}/${tenant}/oauth2/v2.0/devicecode`]
  ])("%s", ([, url]) => Effect.flatMap(get(url), assertResponse).pipe(Effect.provide(world)))

  it.effect.each<readonly [name: string, url: string]>([
    ["the document of AD FS", `${adfs}/.well-known/openid-configuration`],
    ["the keys of AD FS", `${adfs}/discovery/keys`]
  ])("%s without AD FS", ([, url]) =>
    Effect.flatMap(get(url), assertResponse).pipe(
      Effect.provide(EntraSimulator.layerMemory({ signer: EntraSimulator.signerFake }))
    ))
})

describe("tokens", () => {
  const scope = "api://orders/.default"
  it.effect.each<readonly [name: string, url: string, form: Fields]>([
    ["of Entra for Graph", tokenUrl(), goodForm],
    ["of Entra for another API", tokenUrl("CONTOSO.onmicrosoft.com"), { ...goodForm, scope }],
    ["of Entra with capabilities", tokenUrl(), {
      ...goodForm,
      claims: JSON.stringify({ access_token: { xms_cc: { values: ["cp1", "cp2"] } } })
    }],
    ["of Entra for an app without roles", tokenUrl(), { ...goodForm, client_id: visitor }],
    ["of AD FS", `${adfs}/oauth2/token`, { ...goodForm, scope }],
    ["of AD FS by resource", `${adfs}/oauth2/token`, { ...goodForm, scope: "openid", resource: "api://orders" }],
    ["of a realm", `${realm}/protocol/openid-connect/token`, { ...goodForm, scope: "read" }],
    ["of a realm without a scope", `${realm}/protocol/openid-connect/token`, { ...goodForm, scope: undefined }]
  ])("%s", ([, url, form]) =>
    atNoon.pipe(
      Effect.andThen(post(form, url)),
      Effect.flatMap(assertResponse),
      Effect.provide(world)
    ))

  it.effect("of Entra with a time to refresh, in a world with other lifetimes", () =>
    Effect.flatMap(post(goodForm), assertResponse).pipe(Effect.provide(
      EntraSimulator.layerMemory({
        signer: EntraSimulator.signerFake,
        tokenLifetime: "2 hours",
        refreshIn: "1 hour"
      })
    )))
})

describe("Graph", () => {
  it.effect.each([
    ["the organization", "/organization"],
    ["the first users", "/users?$top=2"],
    ["the users after the first", "/users?$top=2&$skiptoken=2"],
    ["the last users", "/users?$skiptoken=118"],
    ["the last page of that size", "/users?$top=2&$skiptoken=118"],
    ["no users", "/users?$top=0"],
    ["as many users as a page may have", "/users?$top=999&$skiptoken=119"],
    ["more users than a page may have", "/users?$top=1000"],
    ["users after a word", "/users?$skiptoken=x"],
    ["users after half a number", "/users?$skiptoken=1x"]
  ])("%s", ([, path]) =>
    Effect.gen(function*() {
      yield* assertResponse(yield* get(`${graph}${path}`, yield* token()))
    }).pipe(Effect.provide(world)))

  it.effect.each<readonly [name: string, headers: Readonly<Record<string, string>>]>([
    ["no token", {}],
    ["a token of another scheme", { authorization: "Basic abc" }],
    ["a token that is none", { authorization: "Bearer nonsense" }],
    ["a token of no tenant", { authorization: `Bearer e30.${jose.base64url.encode("{\"tid\":\"nobody\"}")}.x` }]
  ])(
    "%s",
    ([, headers]) =>
      Effect.flatMap(HttpClient.get(`${graph}/users`, { headers }), assertResponse).pipe(Effect.provide(world))
  )

  it.effect.each<readonly [status: number, header: string]>([
    [200, "Bearer $token"],
    [200, "bearer  $token"],
    [401, "Bearer$token"],
    [401, "Bearer $token more"],
    [401, "Basic Bearer $token"],
    [401, "Bearer token=$token"]
  ])("%d for %s", ([status, header]) =>
    Effect.gen(function*() {
      const authorization = header.replace("$token", yield* token())
      assert.strictEqual((yield* HttpClient.get(`${graph}/users`, { headers: { authorization } })).status, status)
    }).pipe(Effect.provide(world)))

  it.effect("a token without a role", () =>
    Effect.gen(function*() {
      yield* assertResponse(yield* get(`${graph}/organization`, yield* token({ client_id: visitor })))
    }).pipe(Effect.provide(world)))

  it.effect("roles for everything in the directory are enough for each of its parts", () =>
    Effect.gen(function*() {
      for (const path of ["/users", "/organization"]) {
        assert.strictEqual((yield* get(`${graph}${path}`, yield* token())).status, 200)
      }
    }).pipe(Effect.provide(EntraSimulator.layerMemory({
      signer: EntraSimulator.signerFake,
      apps: [{
        clientId: EntraSimulator.daemonClientId,
        secrets: [EntraSimulator.daemonSecret],
        roles: { [EntraSimulator.graphResource]: ["Directory.Read.All"] }
      }]
    }))))

  it.effect("an organization without a name or a domain has its id as name", () =>
    Effect.gen(function*() {
      yield* assertResponse(yield* get(`${graph}/organization`, yield* token()))
    }).pipe(Effect.provide(EntraSimulator.layerMemory({
      signer: EntraSimulator.signerFake,
      tenants: [{ id: tenant }]
    }))))
})

describe("faults", () => {
  it.effect.each<readonly [name: string, fault: EntraSimulator.Fault.Fault]>([
    ["throttled", Fault.throttled()],
    ["throttled for a time", Fault.throttled({ retryAfter: "1500 millis" })],
    ["throttled until a date", Fault.throttled({ retryAfter: "1 minute", format: "date" })],
    ["unavailable", Fault.unavailable()],
    ["unavailable with another status, for a time", Fault.unavailable({ status: 500, retryAfter: "1 second" })],
    ["unavailable with a page", Fault.unavailable({ body: "html" })],
    ["a loop", Fault.loopDetected],
    ["refused", Fault.refused({ code: 53003, error: "access_denied" })],
    ["refused with a challenge", Fault.refused({ code: 50076, error: "interaction_required", claims: "{}" })],
    ["not JSON", Fault.malformed()],
    ["no token", Fault.malformed("noAccessToken")],
    ["a redirect", Fault.redirect("https://evil.example/")],
    ["another redirect", Fault.redirect("https://evil.example/", 302)],
    ["the credential repeated", Fault.echo],
    ["a large body", Fault.hugeBody(200)],
    ["any response", Fault.custom({ status: 418, headers: { "x-a": "b" }, body: "short and stout" })],
    ["any response without a body", Fault.custom({ status: 204 })],
    [
      "any response of its own type",
      Fault.custom({ status: 200, headers: { "content-type": "text/csv" }, body: "a,b" })
    ]
  ])("%s", ([, fault]) =>
    Effect.gen(function*() {
      yield* atNoon
      const { fail } = yield* EntraSimulator.EntraSimulator
      yield* fail(fault)
      yield* assertResponse(yield* post(goodForm))
      yield* readToken(yield* post(goodForm))
    }).pipe(Effect.provide(world)))

  it.effect("a large body has exactly the size that was asked for", () =>
    Effect.gen(function*() {
      const { fail } = yield* EntraSimulator.EntraSimulator
      for (const size of [150_000, 2 * 65_536]) {
        yield* fail(Fault.hugeBody(size))
        assert.lengthOf(yield* (yield* post(goodForm)).text, size)
      }
    }).pipe(Effect.provide(world)))
})

describe("no response", () => {
  it.effect.each<readonly [name: string, url: string, fault: EntraSimulator.Fault.Fault | undefined]>([
    ["a dropped connection", tokenUrl(), Fault.dropped],
    ["an origin without https", "http://login.microsoftonline.com/common/discovery/instance", undefined]
  ])("%s", ([, url, fault]) =>
    Effect.gen(function*() {
      const { fail } = yield* EntraSimulator.EntraSimulator
      if (fault !== undefined) yield* fail(fault)
      const error = yield* Effect.flip(post(goodForm, url))
      assertShown(`${error.reason._tag}: ${error.message}`)
    }).pipe(Effect.provide(world)))
})

describe("forms", () => {
  it.effect.each([
    ["JSON", "application/json"],
    ["no type", ""],
    ["text", "text/plain;charset=utf-8"]
  ])("a body of another type has no fields: %s", ([, type]) =>
    Effect.gen(function*() {
      const body = "grant_type=client_credentials&client_id=a&client_secret=b"
      const request = HttpClientRequest.post(tokenUrl()).pipe(HttpClientRequest.bodyText(body, type))
      yield* assertResponse(yield* HttpClient.execute(request))
    }).pipe(Effect.provide(world)))

  it.effect("a type with parameters, in capitals, is a form", () =>
    Effect.gen(function*() {
      const body = new URLSearchParams(Object.entries(goodForm).map(([name, value]) => [name, String(value)]))
        .toString()
      const type = "Application/X-WWW-Form-URLEncoded ; charset=UTF-8"
      yield* readToken(
        yield* HttpClient.execute(HttpClientRequest.post(tokenUrl()).pipe(HttpClientRequest.bodyText(body, type)))
      )
    }).pipe(Effect.provide(world)))
})

describe("the fake signer", () => {
  const now = new Date(1_000_000)
  const claims = { iss: "https://issuer.example", aud: "api://a", nbf: 1000, exp: 1001 }
  const expected = {
    issuers: ["https://other.example", "https://issuer.example"],
    audiences: ["api://b", "api://a"],
    now
  }

  it.effect("verifies the tokens that it signs", () =>
    Effect.gen(function*() {
      const signed = yield* EntraSimulator.signerFake.sign(claims)
      assert.deepStrictEqual(yield* EntraSimulator.signerFake.verify(signed, expected), claims)
      assertShown(`${signed}\n${JSON.stringify(jose.decodeProtectedHeader(signed))}`)
    }))

  it.effect.each<readonly [name: string, change: Readonly<Record<string, unknown>>]>([
    ["a token of another issuer", { iss: "https://issuer.example/" }],
    ["a token for another audience", { aud: "api://A" }],
    ["a token that ends now", { exp: 1000 }],
    ["a token without an end", { exp: undefined }],
    ["a token that begins later", { nbf: 1001 }],
    ["a token without a beginning", { nbf: undefined }]
  ])("refuses %s", ([, change]) =>
    Effect.gen(function*() {
      const signed = yield* EntraSimulator.signerFake.sign({ ...claims, ...change })
      const error = yield* Effect.flip(EntraSimulator.signerFake.verify(signed, expected))
      assertShown(`${error._tag}: ${error.message}`)
    }))

  it.effect.each<readonly [name: string, change: (signed: string) => string]>([
    ["a token with a fourth part", (signed) => `${signed}.e30`],
    ["a token without its last part", (signed) => signed.slice(0, signed.lastIndexOf("."))],
    ["a token with another header", (signed) => `e30${signed.slice(signed.indexOf("."))}`],
    ["a token with other claims", (signed) => signed.replace(/\.[^.]+\./, ".e30.")],
    ["text", () => "text"],
    [
      "claims that are no JSON",
      () => "eyJ0eXAiOiJKV1QiLCJhbGciOiJGQUtFIiwia2lkIjoiZWZmZWN0LWVudHJhLXNpbXVsYXRvciJ9.bm8.x"
    ]
  ])("refuses %s", ([, change]) =>
    Effect.gen(function*() {
      const signed = change(yield* EntraSimulator.signerFake.sign(claims))
      const error = yield* Effect.flip(EntraSimulator.signerFake.verify(signed, expected))
      assertShown(`${error._tag}: ${error.message}`)
    }))
})

describe("the default world", () => {
  it("is what the documentation promises", () => {
    const { apps, origin, resources, tenants, tokenLifetime } = EntraSimulator.defaultOptions
    const secrets = apps.flatMap(({ secrets = [] }) => secrets.map(Redacted.value))
    const some = tenants.map(({ displayName, domain, id, users = [] }) => ({
      id,
      domain,
      displayName,
      users: users.length,
      firstUsers: users.slice(0, 13).map(({ displayName, id }) => `${id} ${displayName}`)
    }))
    assertShown(JSON.stringify({ origin, tokenLifetime, tenants: some, apps, secrets, resources }, null, 2))
  })

  it.effect("a secret for an app that does not exist is a defect of the test", () =>
    Effect.gen(function*() {
      const { addSecret } = yield* EntraSimulator.EntraSimulator
      const defect = yield* Effect.catchDefect(addSecret("nobody", Redacted.make("a")), Effect.succeed)
      assert.strictEqual(String(defect), "Error: EntraSimulator: there is no app nobody.")
    }).pipe(Effect.provide(world)))
})
