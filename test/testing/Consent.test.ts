/** The consent page, and the changes of tenants and grants while the simulator runs. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import { Authority, ClientCredential, ConfidentialClient } from "effect-entra"
import { EntraSimulator } from "effect-entra/testing"
import { HttpClient } from "effect/http"
import * as jose from "jose"
import { assertRefusal, goodForm, guid, post, readToken, tokenUrl } from "./wire.ts"

const { contosoTenantId, daemonClientId: clientId, daemonSecret, fabrikamDomain, fabrikamTenantId } = EntraSimulator
const redirectUri = "https://orders.contoso.com/installed?from=entra"
const newcomer = "5d3c2b1a-0f9e-4d8c-b7a6-958473625140"

const world = (app: Partial<EntraSimulator.App> = {}) =>
  EntraSimulator.layerMemory({
    signer: EntraSimulator.signerFake,
    apps: EntraSimulator.defaultOptions.apps.map((known) => ({
      ...known,
      tenants: [contosoTenantId],
      consents: [contosoTenantId],
      ...app
    }))
  })

const page = (tenant: string, options: Partial<Parameters<typeof Authority.adminConsentUrl>[1]> = {}, more = "") => {
  const authority = Result.getOrThrow(Authority.parse(`https://login.microsoftonline.com/${tenant}`))
  return HttpClient.get(Authority.adminConsentUrl(authority, { clientId, ...options }) + more)
}

/** The address and the query of the redirect after the page. */
const redirectOf = (tenant: string, options?: Parameters<typeof page>[1], more?: string) =>
  Effect.map(page(tenant, { redirectUri, state: "a b&c", ...options }, more), (response) => {
    assert.strictEqual(response.status, 302)
    const url = new URL(response.headers["location"] ?? "")
    return { address: url.origin + url.pathname, query: Object.fromEntries(url.searchParams) }
  })

const rolesIn = (tenant: string) =>
  Effect.map(
    Effect.flatMap(post(goodForm, tokenUrl(tenant)), readToken),
    ({ access_token: token }) => jose.decodeJwt(token)["roles"]
  )
const granted = ["Organization.Read.All", "User.Read.All"]
const notInstalled = { status: 400, error: "unauthorized_client", code: 700016 }

describe("the consent page", () => {
  it.effect("installs the app, grants its permissions, and redirects with the tenant's id and the state", () =>
    Effect.gen(function*() {
      yield* assertRefusal(yield* post(goodForm, tokenUrl(fabrikamDomain)), notInstalled)
      assert.deepStrictEqual(yield* redirectOf(fabrikamDomain), {
        address: "https://orders.contoso.com/installed",
        query: { from: "entra", admin_consent: "True", tenant: fabrikamTenantId, state: "a b&c" }
      })
      assert.deepStrictEqual(yield* rolesIn(fabrikamTenantId), granted)
    }).pipe(Effect.provide(world())))

  it.effect("of version 2.0 also names the scopes in its redirect", () =>
    Effect.gen(function*() {
      const scope = "https://graph.microsoft.com/.default"
      const query = new URLSearchParams({ client_id: clientId, redirect_uri: redirectUri, state: "a", scope })
      const { headers, status } = yield* HttpClient.get(
        `https://login.microsoftonline.com/${fabrikamDomain}/v2.0/adminconsent?${query}`
      )
      assert.strictEqual(status, 302)
      assert.deepStrictEqual(Object.fromEntries(new URL(headers["location"] ?? "").searchParams), {
        from: "entra",
        admin_consent: "True",
        tenant: fabrikamTenantId,
        state: "a",
        scope
      })
      assert.deepStrictEqual(yield* rolesIn(fabrikamTenantId), granted)
    }).pipe(Effect.provide(world())))

  it.effect("without a state there is none in the redirect", () =>
    Effect.gen(function*() {
      const { query } = yield* redirectOf(fabrikamDomain, { state: undefined })
      assert.deepStrictEqual(Object.keys(query), ["from", "admin_consent", "tenant"])
    }).pipe(Effect.provide(world())))

  it.effect.each(
    [
      ["the first tenant", "organizations", "", contosoTenantId],
      ["the tenant of the administrator", "organizations", `&login_hint=admin%40${fabrikamDomain}`, fabrikamTenantId],
      ["the tenant of the administrator, by its id", "common", `&login_hint=a%40${fabrikamTenantId}`, fabrikamTenantId]
    ] as const
  )("for several tenants: %s", ([, path, more, tenant]) =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* simulator.revoke(clientId, tenant)
      const url = `https://login.microsoftonline.com/${path}/adminconsent?client_id=${clientId}&redirect_uri=${
        encodeURIComponent(redirectUri)
      }${more}`
      const { headers } = yield* HttpClient.get(url)
      assert.strictEqual(new URL(headers["location"] ?? "").searchParams.get("tenant"), tenant)
      assert.deepStrictEqual(yield* rolesIn(tenant), granted)
    }).pipe(Effect.provide(world())))

  it.effect("an administrator who declines: the redirect has an error beside admin_consent, and nothing is granted", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      const declined = EntraSimulator.Fault.refused({ code: 65004, error: "consent_required" })
      yield* simulator.fail(declined, { endpoint: "consent", tenant: fabrikamDomain })
      const { query } = yield* redirectOf(fabrikamDomain)
      const { error_description: description, ...rest } = query
      assert.deepStrictEqual(rest, {
        from: "entra",
        error: "consent_required",
        admin_consent: "True",
        tenant: fabrikamTenantId,
        state: "a b&c"
      })
      const lines = /^AADSTS65004: [^\r\n]+\r\nTrace ID: (.+)\r\nCorrelation ID: (.+)\r\nTimestamp: .+Z$/
      const [, traceId = "", correlationId = ""] = lines.exec(description ?? "") ?? []
      assert.match(traceId, guid)
      assert.match(correlationId, guid)
      assert.strictEqual((yield* simulator.counters).faults, 1)
      yield* assertRefusal(yield* post(goodForm, tokenUrl(fabrikamDomain)), notInstalled)
      // The second time they accept.
      assert.notProperty((yield* redirectOf(fabrikamDomain)).query, "error")
    }).pipe(Effect.provide(world())))

  it.effect("other faults happen before the redirect", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* simulator.fail(EntraSimulator.Fault.unavailable({ body: "html" }), { endpoint: "consent" })
      assert.strictEqual((yield* page(fabrikamDomain, { redirectUri })).status, 503)
    }).pipe(Effect.provide(world())))

  it.effect.each([
    { name: "an unknown tenant", tenant: "nobody.example", code: 90002 },
    { name: "consumers", tenant: "consumers", code: 90002 },
    { name: "an app that is not registered", options: { clientId: newcomer }, code: 700016 },
    { name: "no app", options: { clientId: "" }, code: 900144 },
    { name: "a disabled app", app: { disabled: true }, code: 7000112 },
    { name: "a redirect URI that is not registered", app: { redirectUris: [`${redirectUri}2`] }, code: 50011 },
    { name: "a redirect URI that is no URL", options: { redirectUri: "/installed" }, code: 50011 },
    { name: "a redirect URI that is a script", options: { redirectUri: "javascript:alert(1)" }, code: 50011 }
  ])("never redirects after $name", ({ app, code, options, tenant = fabrikamDomain }) =>
    Effect.gen(function*() {
      const parameters = new URLSearchParams({
        client_id: options?.clientId ?? clientId,
        redirect_uri: options?.redirectUri ?? redirectUri
      })
      const response = yield* HttpClient.get(
        `https://login.microsoftonline.com/${tenant}/adminconsent?${parameters}`
      )
      assert.strictEqual(response.status, 400)
      assert.notProperty(response.headers, "location")
      assert.include(response.headers["content-type"], "text/html")
      assert.include(yield* response.text, `AADSTS${code}: `)
      const { refusals } = yield* (yield* EntraSimulator.EntraSimulator).counters
      assert.deepStrictEqual(refusals, { [code]: 1 })
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* simulator.reset
      const token = yield* post(goodForm, tokenUrl(fabrikamDomain))
      assert.strictEqual(token.status, 400)
    }).pipe(Effect.provide(world(app))))

  it.effect("the page does not run what the query contains", () =>
    Effect.gen(function*() {
      const parameters = new URLSearchParams({ client_id: "<script>alert(1)</script>", redirect_uri: redirectUri })
      const response = yield* HttpClient.get(
        `https://login.microsoftonline.com/${fabrikamDomain}/adminconsent?${parameters}`
      )
      assert.notInclude(yield* response.text, "<script>")
    }).pipe(Effect.provide(world())))

  it.effect("without any redirect URI the consent is there, and the page is an error", () =>
    Effect.gen(function*() {
      const response = yield* page(fabrikamDomain)
      assert.strictEqual(response.status, 400)
      assert.include(yield* response.text, "AADSTS500113: ")
      assert.deepStrictEqual(yield* rolesIn(fabrikamDomain), granted)
    }).pipe(Effect.provide(world())))

  it.effect("redirects to the first registered address unless the link names another", () =>
    Effect.gen(function*() {
      const registered = ["https://a.example/one", "https://a.example/two"]
      const address = (redirectUri: string | undefined) =>
        Effect.map(redirectOf(fabrikamDomain, { redirectUri }), ({ address }) => address)
      const addresses = yield* Effect.all([address(undefined), address(registered[1])])
      assert.deepStrictEqual(addresses, registered)
    }).pipe(Effect.provide(world({ redirectUris: ["https://a.example/one", "https://a.example/two"] }))))
})

describe("changes while it runs", () => {
  it.effect("install, consent and revoke, by id or domain in any case", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* assertRefusal(yield* post(goodForm, tokenUrl(fabrikamDomain)), notInstalled)
      yield* simulator.install(clientId.toUpperCase(), fabrikamDomain.toUpperCase())
      assert.isUndefined(yield* rolesIn(fabrikamDomain))
      yield* simulator.consent(clientId, fabrikamTenantId)
      assert.deepStrictEqual(yield* rolesIn(fabrikamDomain), granted)
      yield* simulator.revoke(clientId, fabrikamDomain)
      assert.isUndefined(yield* rolesIn(fabrikamDomain))
      assert.deepStrictEqual(yield* rolesIn(contosoTenantId), granted)
    }).pipe(Effect.provide(world())))

  it.effect("consent alone installs the app too", () =>
    Effect.gen(function*() {
      yield* (yield* EntraSimulator.EntraSimulator).consent(clientId, fabrikamDomain)
      assert.deepStrictEqual(yield* rolesIn(fabrikamDomain), granted)
    }).pipe(Effect.provide(world())))

  it.effect("revoke in one tenant, where all had consented", () =>
    Effect.gen(function*() {
      yield* (yield* EntraSimulator.EntraSimulator).revoke(clientId, fabrikamDomain)
      assert.isUndefined(yield* rolesIn(fabrikamDomain))
      assert.deepStrictEqual(yield* rolesIn(contosoTenantId), granted)
    }).pipe(Effect.provide(world({ tenants: undefined, consents: undefined }))))

  it.effect("a new tenant has its domain, its hosts and its documents; the same id replaces it", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      const domain = "northwind.onmicrosoft.com"
      const unknown = { status: 400, error: "invalid_request", code: 90002 }
      yield* assertRefusal(yield* post(goodForm, tokenUrl(domain)), unknown)
      yield* simulator.addTenant({ id: newcomer, domain, hosts: ["northwind.ciamlogin.com"] })
      yield* assertRefusal(yield* post(goodForm, tokenUrl(domain)), notInstalled)
      yield* simulator.consent(clientId, domain)
      assert.deepStrictEqual(yield* rolesIn(newcomer), granted)
      assert.deepStrictEqual((yield* simulator.counters).tokenRequestsByTenant, { unknown: 1, [newcomer]: 2 })
      const document = yield* HttpClient.get(
        `https://northwind.ciamlogin.com/${newcomer}/v2.0/.well-known/openid-configuration`
      )
      assert.include(yield* document.text, `https://${newcomer}.ciamlogin.com/${newcomer}/v2.0`)
      yield* simulator.addTenant({ id: newcomer.toUpperCase(), domain: "wind.example" })
      yield* assertRefusal(yield* post(goodForm, tokenUrl(domain)), unknown)
      assert.deepStrictEqual(yield* rolesIn("wind.example"), granted)
    }).pipe(Effect.provide(world())))

  it.effect("unknown apps and tenants are defects", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      for (const change of [simulator.install, simulator.consent, simulator.revoke]) {
        for (
          const [app, tenant, message] of [[newcomer, fabrikamDomain, "app"], [clientId, newcomer, "tenant"]] as const
        ) {
          const exit = yield* Effect.exit(change(app, tenant))
          assert.include(String(exit), `EntraSimulator: there is no ${message} ${newcomer}.`)
        }
      }
    }).pipe(Effect.provide(world())))

  it.effect("a customer is onboarded: refused, consent, a token", () =>
    Effect.gen(function*() {
      const token = ConfidentialClient.acquireToken({
        scopes: `${EntraSimulator.graphResource}/.default`,
        tenantId: fabrikamDomain
      })
      const refused = yield* Effect.flip(token)
      assert.strictEqual(refused.code, "client_unknown")
      yield* redirectOf(fabrikamDomain)
      yield* ConfidentialClient.invalidate("all")
      assert.strictEqual((yield* token).metadata.tokenSource, "IdentityProvider")
    }).pipe(
      Effect.provide(ConfidentialClient.layerDefault({ clientId, tenantId: contosoTenantId })),
      Effect.provide(ClientCredential.layerSecret(daemonSecret)),
      Effect.provide(world())
    ))
})
