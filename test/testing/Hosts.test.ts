/** Hosts of every kind, and what a request may carry besides its credential. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { EntraSimulator } from "effect-entra/testing"
import { HttpClient, HttpClientRequest } from "effect/http"
import * as jose from "jose"
import { assertRefusal, goodForm, post, readToken, tenant, tokenUrl } from "./wire.ts"

const external = EntraSimulator.contosoTenantId
const ciam = "https://contoso.ciamlogin.com"
const custom = "https://login.contoso.com:8443"

const memory = EntraSimulator.layerMemory({
  signer: EntraSimulator.signerFake,
  tenants: EntraSimulator.defaultOptions.tenants.map((known) =>
    known.id === external ? { ...known, hosts: ["contoso.ciamlogin.com", "LOGIN.contoso.com:8443"] } : known
  )
})

const issuer = `https://${external}.ciamlogin.com/${external}/v2.0`

describe("hosts", () => {
  const issuerAt = (url: string) =>
    Effect.map(Effect.flatMap(post(goodForm, url), readToken), ({ access_token }) => jose.decodeJwt(access_token).iss)

  it.effect("an external tenant has its own, and its own issuer there", () =>
    Effect.gen(function*() {
      for (const origin of [ciam, custom]) {
        for (const name of [external, EntraSimulator.contosoDomain]) {
          assert.strictEqual(yield* issuerAt(tokenUrl(name, origin)), issuer)
        }
      }
      assert.strictEqual(yield* issuerAt(tokenUrl(external)), `https://login.microsoftonline.com/${external}/v2.0`)
    }).pipe(Effect.provide(memory)))

  it.effect("and no other tenant is found there", () =>
    Effect.gen(function*() {
      for (const origin of [ciam, custom]) {
        const response = yield* post(goodForm, tokenUrl(EntraSimulator.fabrikamTenantId, origin))
        yield* assertRefusal(response, { status: 400, error: "invalid_request", code: 90002 })
        const path = `${origin}/${EntraSimulator.fabrikamDomain}/v2.0/.well-known/openid-configuration`
        assert.strictEqual((yield* HttpClient.get(path)).status, 400)
      }
    }).pipe(Effect.provide(memory)))

  it.effect("its document names that issuer and the host that was asked", () =>
    Effect.gen(function*() {
      const path = `${EntraSimulator.contosoDomain}/v2.0/.well-known/openid-configuration`
      for (const origin of [ciam, custom]) {
        const document = yield* (yield* HttpClient.get(`${origin}/${path}`)).json
        assert.deepInclude(Object(document), { issuer, token_endpoint: tokenUrl(external, origin) })
      }
    }).pipe(Effect.provide(memory)))

  it.effect("Graph takes what was issued there", () =>
    Effect.gen(function*() {
      const { access_token } = yield* Effect.flatMap(post(goodForm, tokenUrl(external, ciam)), readToken)
      const response = yield* HttpClient.execute(
        HttpClientRequest.bearerToken(
          HttpClientRequest.get("https://graph.microsoft.com/v1.0/organization"),
          access_token
        )
      )
      assert.strictEqual(response.status, 200)
    }).pipe(Effect.provide(memory)))

  it.effect("a fault may be of one host alone, such as a region that cannot be reached", () =>
    Effect.gen(function*() {
      const { counters, fail } = yield* EntraSimulator.EntraSimulator
      const region = "westus2.login.microsoft.com"
      yield* fail(EntraSimulator.Fault.dropped, { host: "WestUS2.login.microsoft.com", times: Infinity })
      for (let round = 0; round < 2; round++) {
        const error = yield* Effect.flip(post(goodForm, tokenUrl(tenant, `https://${region}`)))
        assert.strictEqual(error.reason._tag, "TransportError")
        yield* readToken(yield* post(goodForm))
      }
      assert.strictEqual((yield* counters).faults, 2)
    }).pipe(Effect.provide(memory)))

  it.effect("ports are part of a host", () =>
    Effect.gen(function*() {
      const { requests } = yield* EntraSimulator.EntraSimulator
      const url = tokenUrl(tenant, "https://login.microsoftonline.com:8443")
      yield* readToken(yield* post(goodForm, url))
      yield* readToken(yield* post(goodForm, tokenUrl(EntraSimulator.fabrikamDomain, "https://login.contoso.com")))
      assert.strictEqual((yield* requests)[0]?.url, url)
    }).pipe(Effect.provide(memory)))
})

describe("claims and capabilities", () => {
  const claimsOf = (claims: string) =>
    Effect.map(
      Effect.flatMap(post({ ...goodForm, claims }), readToken),
      ({ access_token }) => jose.decodeJwt(access_token)
    )

  it.effect("xms_cc comes back in the token", () =>
    Effect.gen(function*() {
      const cp1 = { xms_cc: { values: ["cp1"] } }
      assert.deepStrictEqual((yield* claimsOf(JSON.stringify({ access_token: cp1 })))["xms_cc"], ["cp1"])
      const merged = JSON.stringify({
        access_token: { nbf: { essential: true, value: "1604106651" }, xms_cc: { values: ["cp1", "cp2"] } },
        id_token: null
      })
      assert.deepStrictEqual((yield* claimsOf(merged))["xms_cc"], ["cp1", "cp2"])
      const { requests } = yield* EntraSimulator.EntraSimulator
      assert.strictEqual((yield* requests)[1]?.form["claims"], merged)
    }).pipe(Effect.provide(memory)))

  it.effect.each([
    "",
    "{}",
    "{\"access_token\":{}}",
    "{\"access_token\":{\"xms_cc\":null}}",
    "{\"access_token\":{\"nbf\":{\"essential\":true}}}",
    "{\"userinfo\":{\"xms_cc\":{\"values\":[\"cp1\"]}}}"
  ])("nothing of it without: %s", (claims) =>
    Effect.gen(function*() {
      assert.notProperty(yield* claimsOf(claims), "xms_cc")
    }).pipe(Effect.provide(memory)))

  it.effect.each([
    "nonsense",
    "[]",
    "null",
    "\"cp1\"",
    "{\"access_token\":[]}",
    "{\"access_token\":\"cp1\"}",
    "{\"access_token\":{\"nbf\":1}}",
    "{\"access_token\":{\"xms_cc\":{}}}",
    "{\"access_token\":{\"xms_cc\":{\"values\":\"cp1\"}}}",
    "{\"access_token\":{\"xms_cc\":{\"values\":[1]}}}",
    "{\"access_token\":{\"xms_cc\":{\"values\":[\"\"]}}}"
  ])("malformed: %s", (claims) =>
    Effect.gen(function*() {
      const response = yield* post({ ...goodForm, claims })
      yield* assertRefusal(response, { status: 400, error: "invalid_request", code: 9002313 })
    }).pipe(Effect.provide(memory)))
})

describe("further parameters", () => {
  it.effect("of the query and of the body are written down", () =>
    Effect.gen(function*() {
      const value = "a+b c&d=é%"
      const url = `${tokenUrl()}?${new URLSearchParams({ dc: "ESTS-PUB", slice: value }).toString()}`
      yield* readToken(yield* post({ ...goodForm, fmi_path: value }, url))
      const [request] = yield* (yield* EntraSimulator.EntraSimulator).requests
      assert.deepStrictEqual(request?.query, { dc: "ESTS-PUB", slice: value })
      assert.strictEqual(request?.form["fmi_path"], value)
      assert.strictEqual(request?.url, url)
    }).pipe(Effect.provide(memory)))

  it.effect("none is an empty record", () =>
    Effect.gen(function*() {
      yield* post(goodForm)
      const [request] = yield* (yield* EntraSimulator.EntraSimulator).requests
      assert.deepStrictEqual(request?.query, {})
    }).pipe(Effect.provide(memory)))
})
