import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { Authority, EntraError, type TokenRequest } from "effect-entra"
import fc from "fast-check"
import { clientExtrasOf } from "../../../src/internal/request/extraParameters.ts"
import { clientCredentialsForm, type ClientSettings, planOf } from "../../../src/internal/request/requestPlan.ts"
import { assertToldInFull } from "../../support/shown.ts"
import { anyString, failure, guid, success } from "../support.ts"

const settingsFor = (authority: string, allows?: ClientSettings["allows"]): ClientSettings => ({
  clientId: "client",
  authority: success(Authority.parse(authority)),
  allows,
  extras: success(clientExtrasOf({}))
})

const tenanted = settingsFor(`https://login.microsoftonline.com/${guid}`)
const bare = settingsFor("public")
const common = settingsFor("https://login.microsoftonline.com/common")
const adfs = settingsFor("https://sts.contoso.com/adfs")
const scopes = "api://orders/.default"

describe("planOf", () => {
  it("a request for nothing but scopes takes all from the client", () => {
    assert.deepStrictEqual(success(planOf({ scopes }, tenanted)), {
      authority: tenanted.authority,
      tenant: guid,
      scopes: { canonical: scopes, wire: scopes },
      claims: "",
      extras: tenanted.extras.own,
      sent: "0:0:9:undefined",
      sendCertificateChain: undefined,
      forced: false,
      refused: "",
      minimumValidity: 0,
      onThrottled: undefined,
      correlationId: undefined
    })
  })

  it.each<{ name: string; settings: ClientSettings; request: Partial<TokenRequest.TokenRequest>; tenant: string }>([
    { name: "the client's", settings: tenanted, request: {}, tenant: guid },
    { name: "the request's", settings: tenanted, request: { tenantId: "Fabrikam.com" }, tenant: "fabrikam.com" },
    { name: "the request's, of a client without", settings: bare, request: { tenantId: "a.com" }, tenant: "a.com" },
    { name: "the request's, of a client of many", settings: common, request: { tenantId: "a.com" }, tenant: "a.com" },
    {
      name: "that of the request's authority",
      settings: tenanted,
      request: { authority: "https://login.microsoftonline.com/a.com" },
      tenant: "a.com"
    },
    {
      name: "that of an alias",
      settings: tenanted,
      request: { authority: "https://sts.windows.net/a.com/" },
      tenant: "a.com"
    },
    {
      name: "the client's, when the request's authority is the host of the same external tenant",
      settings: settingsFor(`https://contoso.ciamlogin.com/${guid}`),
      request: { authority: "https://contoso.ciamlogin.com" },
      tenant: guid
    },
    {
      name: "the request's, beside that host",
      settings: settingsFor("https://contoso.ciamlogin.com"),
      request: { authority: "https://contoso.ciamlogin.com", tenantId: guid },
      tenant: guid
    },
    {
      name: "the client's, when the request's authority has none",
      settings: tenanted,
      request: { authority: "https://login.microsoftonline.com" },
      tenant: guid
    },
    {
      name: "the client's, when the request names its cloud",
      settings: tenanted,
      request: { authority: "public" },
      tenant: guid
    },
    {
      name: "the same named twice",
      settings: bare,
      request: { tenantId: "A.com", authority: "https://login.windows.net/a.COM" },
      tenant: "a.com"
    },
    { name: "none at AD FS", settings: adfs, request: {}, tenant: "" }
  ])("the tenant is $name", ({ request, settings, tenant }) => {
    const plan = success(planOf({ scopes, ...request }, settings))
    assert.strictEqual(plan.tenant, tenant)
    assert.strictEqual(plan.authority.host, settings.authority.host)
    assert.strictEqual(plan.authority.tenant ?? "", tenant)
  })

  it.each<{
    name: string
    settings?: ClientSettings
    request: Partial<TokenRequest.TokenRequest>
    tag: EntraError.AcquireTokenError["_tag"]
    code: string
    field: string
  }>([
    {
      name: "no scopes",
      request: { scopes: "" },
      tag: "EntraInvalidScopeError",
      code: "scope_missing",
      field: "scopes"
    },
    {
      name: "a permission",
      request: { scopes: "User.Read" },
      tag: "EntraInvalidScopeError",
      code: "scope_not_default",
      field: "scopes"
    },
    {
      name: "no tenant",
      settings: bare,
      request: {},
      tag: "EntraInvalidAuthorityError",
      code: "tenant_missing",
      field: "tenantId"
    },
    {
      name: "many tenants",
      settings: common,
      request: {},
      tag: "EntraInvalidAuthorityError",
      code: "tenant_not_tenanted",
      field: "tenantId"
    },
    {
      name: "many tenants by request",
      request: { tenantId: "Organizations" },
      tag: "EntraInvalidAuthorityError",
      code: "tenant_not_tenanted",
      field: "tenantId"
    },
    {
      name: "many tenants by authority",
      request: { authority: "https://login.microsoftonline.com/consumers" },
      tag: "EntraInvalidAuthorityError",
      code: "tenant_not_tenanted",
      field: "tenantId"
    },
    {
      name: "a hostile tenant",
      request: { tenantId: "a/../b" },
      tag: "EntraInvalidAuthorityError",
      code: "tenant_malformed",
      field: "tenantId"
    },
    {
      name: "an empty tenant",
      request: { tenantId: "" },
      tag: "EntraInvalidAuthorityError",
      code: "tenant_malformed",
      field: "tenantId"
    },
    {
      name: "an authority that is none",
      request: { authority: "nonsense" },
      tag: "EntraInvalidAuthorityError",
      code: "authority_malformed",
      field: "authority"
    },
    {
      name: "an insecure authority",
      request: { authority: "http://login.microsoftonline.com/a" },
      tag: "EntraInvalidAuthorityError",
      code: "authority_insecure",
      field: "authority"
    },
    {
      name: "another cloud",
      request: { authority: "https://login.microsoftonline.us/a.com" },
      tag: "EntraInvalidAuthorityError",
      code: "authority_mismatch",
      field: "authority"
    },
    {
      name: "another cloud's name",
      request: { authority: "china" },
      tag: "EntraInvalidAuthorityError",
      code: "authority_mismatch",
      field: "authority"
    },
    {
      name: "another host",
      request: { authority: "https://evil.example/a.com" },
      tag: "EntraInvalidAuthorityError",
      code: "authority_mismatch",
      field: "authority"
    },
    {
      name: "another port",
      request: { authority: "https://login.microsoftonline.com:8443/a.com" },
      tag: "EntraInvalidAuthorityError",
      code: "authority_mismatch",
      field: "authority"
    },
    {
      name: "two tenants",
      request: { tenantId: "a.com", authority: "https://login.microsoftonline.com/b.com" },
      tag: "EntraInvalidAuthorityError",
      code: "authority_mismatch",
      field: "tenantId"
    },
    {
      name: "claims that are no JSON",
      request: { claims: "{" },
      tag: "EntraInvalidRequestError",
      code: "field_malformed",
      field: "claims"
    },
    {
      name: "claims that are an array",
      request: { claims: "[]" },
      tag: "EntraInvalidRequestError",
      code: "field_malformed",
      field: "claims"
    },
    {
      name: "claims that are null",
      request: { claims: "null" },
      tag: "EntraInvalidRequestError",
      code: "field_malformed",
      field: "claims"
    },
    {
      name: "claims that are a string",
      request: { claims: "\"a\"" },
      tag: "EntraInvalidRequestError",
      code: "field_malformed",
      field: "claims"
    },
    {
      name: "claims in base64url",
      request: { claims: "eyJhIjoxfQ" },
      tag: "EntraInvalidRequestError",
      code: "field_malformed",
      field: "claims"
    },
    {
      name: "an empty correlation id",
      request: { correlationId: "" },
      tag: "EntraInvalidRequestError",
      code: "field_malformed",
      field: "correlationId"
    },
    {
      name: "a correlation id with a new line",
      request: { correlationId: "a\r\nx: y" },
      tag: "EntraInvalidRequestError",
      code: "field_malformed",
      field: "correlationId"
    },
    {
      name: "a correlation id with a new line at its end",
      request: { correlationId: "a\n" },
      tag: "EntraInvalidRequestError",
      code: "field_malformed",
      field: "correlationId"
    },
    {
      name: "a long correlation id",
      request: { correlationId: "a".repeat(65) },
      tag: "EntraInvalidRequestError",
      code: "field_malformed",
      field: "correlationId"
    }
  ])("refuses $name", ({ code, field, request, settings = tenanted, tag }) => {
    const error = failure(planOf({ scopes, ...request }, settings))
    assert.strictEqual(error._tag, tag)
    assert.strictEqual(error.code, code)
    assertToldInFull(error)
    assert.strictEqual(error.field, field)
    assert.strictEqual(error.origin, "local")
  })

  it("the guard is asked for the effective tenant, and its no is final", () => {
    const asked: Array<string> = []
    const guarded = settingsFor(`https://login.microsoftonline.com/${guid}`, (tenant) => {
      asked.push(tenant)
      return tenant === "a.com"
    })
    assert.strictEqual(success(planOf({ scopes, tenantId: "A.COM" }, guarded)).tenant, "a.com")
    for (const request of [{}, { tenantId: "b.com" }, { authority: "https://login.windows.net/b.com" }]) {
      assert.strictEqual(failure(planOf({ scopes, ...request }, guarded)).code, "tenant_not_allowed")
    }
    assert.deepStrictEqual(asked, ["a.com", guid, "b.com", "b.com"])
  })

  it.each([
    { name: "no claims", request: {}, part: { claims: "" } },
    { name: "empty claims", request: { claims: "" }, part: { claims: "" } },
    { name: "claims as they are", request: { claims: " {\"b\":1,\"a\":2} " }, part: { claims: " {\"b\":1,\"a\":2} " } },
    { name: "force", request: { forceRefresh: true }, part: { forced: true } },
    { name: "no force", request: { forceRefresh: false }, part: { forced: false } },
    { name: "a correlation id", request: { correlationId: "A_b-1.2" }, part: { correlationId: "A_b-1.2" } },
    {
      name: "a correlation id of 64 characters",
      request: { correlationId: "a".repeat(64) },
      part: { correlationId: "a".repeat(64) }
    }
  ])("$name", ({ part, request }) => {
    assert.deepInclude(success(planOf({ scopes, ...request }, tenanted)), part)
  })

  it("AD FS: a request that names a tenant is refused", () => {
    assert.isTrue(Result.isFailure(planOf({ scopes, tenantId: "a.com" }, adfs)))
  })

  it("an AD FS authority is no alias of an Entra one on the same host", () => {
    const settings = settingsFor("https://sts.contoso.com/a.com")
    assert.isTrue(Result.isFailure(planOf({ scopes, authority: "https://sts.contoso.com/adfs" }, settings)))
  })

  it("what the client's authority and tenant are worth is the same, whichever way the tenant was named", () => {
    fc.assert(fc.property(fc.constantFrom(tenanted, bare, common), fc.uuid(), (settings, tenantId) => {
      const byTenant = success(planOf({ scopes, tenantId }, settings))
      const byAuthority = success(planOf({ scopes, authority: `https://login.windows.net/${tenantId}` }, settings))
      assert.deepStrictEqual(byAuthority, byTenant)
    }))
  })

  it("never throws, and never plans without one tenant", () => {
    const text = fc.option(anyString, { nil: undefined })
    const request = fc.record({
      scopes: fc.oneof(anyString, fc.constant(scopes)),
      tenantId: text,
      authority: text,
      claims: text,
      correlationId: text
    })
    fc.assert(
      fc.property(request, fc.constantFrom(tenanted, bare, common, adfs), (request, settings) => {
        const plan = planOf(request, settings)
        if (Result.isFailure(plan)) return assert.isTrue(EntraError.isEntraError(plan.failure))
        assert.match(plan.success.tenant, settings === adfs ? /^$/ : /^[a-z0-9.-]+$/)
      }),
      { numRuns: 1000 }
    )
  })
})

describe("clientCredentialsForm", () => {
  const { extras } = success(planOf({ scopes }, tenanted))

  it.each([
    { name: "no claims, no claims member", wire: scopes, claims: "", members: { scope: scopes } },
    { name: "claims as they are", wire: scopes, claims: "{\"a\":1}", members: { scope: scopes, claims: "{\"a\":1}" } },
    { name: "no scopes, no scope member", wire: "", claims: "", members: {} }
  ])("$name", ({ claims, members, wire }) => {
    assert.deepStrictEqual<object>(clientCredentialsForm("id", { extras, scopes: { canonical: wire, wire } }, claims), {
      client_id: "id",
      grant_type: "client_credentials",
      ...members
    })
  })

  it("an extra parameter does not replace one of the grant", () => {
    const form = { grant_type: "password", client_id: "another", dc: "ESTS" }
    assert.deepStrictEqual<object>(
      clientCredentialsForm("id", { extras: { ...extras, form }, scopes: { canonical: scopes, wire: scopes } }, ""),
      { client_id: "id", dc: "ESTS", grant_type: "client_credentials", scope: scopes }
    )
  })
})
