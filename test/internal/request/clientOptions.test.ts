import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { Authority, EntraError } from "effect-entra"
import fc from "fast-check"
import { clientSettingsOf, parseClientId } from "../../../src/internal/request/clientOptions.ts"
import { assertToldInFull } from "../../support/shown.ts"
import { anyString, failure, guid, success } from "../support.ts"

const clientId = "client"

describe("parseClientId", () => {
  it.each([
    { name: "an id", input: guid },
    { name: "a URI", input: "api://orders" },
    { name: "one character", input: "!" },
    { name: "256 characters", input: "~".repeat(256) }
  ])("accepts $name as it is", ({ input }) => {
    assert.strictEqual(success(parseClientId(input)), input)
  })

  it.each([
    { name: "nothing", input: "", code: "field_missing" },
    { name: "257 characters", input: "a".repeat(257), code: "field_malformed" },
    { name: "a space", input: "a b", code: "field_malformed" },
    { name: "a new line at the end", input: `${guid}\n`, code: "field_malformed" },
    { name: "a null", input: "a\0", code: "field_malformed" },
    { name: "a letter beyond ASCII", input: "\u00e9", code: "field_malformed" }
  ])("refuses $name", ({ code, input }) => {
    const error = failure(parseClientId(input, "AZURE_CLIENT_ID"))
    assert.strictEqual(error.code, code)
    assertToldInFull(error)
    assert.strictEqual(error.field, "AZURE_CLIENT_ID")
    assert.isTrue(error.message.startsWith("AZURE_CLIENT_ID "))
  })
})

describe("settingsOf", () => {
  it.each([
    { name: "the public cloud and no tenant", options: {}, host: "login.microsoftonline.com", tenant: undefined },
    { name: "a cloud", options: { authority: "china" }, host: "login.partner.microsoftonline.cn", tenant: undefined },
    {
      name: "a URL",
      options: { authority: new URL("https://sts.contoso.com/A") },
      host: "sts.contoso.com",
      tenant: "a"
    },
    {
      name: "a tenant",
      options: { tenantId: "Contoso.com" },
      host: "login.microsoftonline.com",
      tenant: "contoso.com"
    },
    {
      name: "a cloud and a tenant",
      options: { authority: "usGovernment", tenantId: guid },
      host: "login.microsoftonline.us",
      tenant: guid
    },
    {
      name: "an authority of many tenants, which requests may choose from",
      options: { authority: "https://login.microsoftonline.com/common" },
      host: "login.microsoftonline.com",
      tenant: "common"
    },
    {
      name: "an authority of many tenants and one of them",
      options: { authority: "https://login.microsoftonline.com/common", tenantId: guid },
      host: "login.microsoftonline.com",
      tenant: guid
    }
  ])("$name", ({ host, options, tenant }) => {
    const settings = success(clientSettingsOf({ clientId, ...options }))
    assert.strictEqual(settings.clientId, clientId)
    assert.strictEqual(settings.authority.host, host)
    assert.strictEqual(settings.authority.tenant, tenant)
    assert.isUndefined(settings.allows)
  })

  it.each([
    { name: "no client id", options: { clientId: "" }, tag: "EntraInvalidRequestError", field: "clientId" },
    {
      name: "a broken authority",
      options: { authority: "nonsense" },
      tag: "EntraInvalidAuthorityError",
      field: "authority"
    },
    {
      name: "an insecure authority",
      options: { authority: "http://h/t" },
      tag: "EntraInvalidAuthorityError",
      field: "authority"
    },
    { name: "a broken tenant", options: { tenantId: "a/b" }, tag: "EntraInvalidAuthorityError", field: "tenantId" },
    { name: "an empty tenant", options: { tenantId: "" }, tag: "EntraInvalidAuthorityError", field: "tenantId" },
    {
      name: "a broken tenant among the allowed",
      options: { allowedTenants: ["a.com", "*"] },
      tag: "EntraInvalidAuthorityError",
      field: "allowedTenants"
    }
  ])("refuses $name", ({ field, options, tag }) => {
    const error = failure(clientSettingsOf({ clientId, ...options }))
    assert.strictEqual(error._tag, tag)
    assert.strictEqual(error.field, field)
    assert.strictEqual(error.origin, "local")
  })

  it.each([
    {
      name: "a list folds cases",
      allowedTenants: ["Contoso.com", guid],
      yes: ["contoso.com", guid],
      no: ["b.com", ""]
    },
    { name: "an empty list allows nobody", allowedTenants: [], yes: [], no: ["contoso.com", guid] },
    { name: "a predicate decides", allowedTenants: (t: string) => t.endsWith(".com"), yes: ["a.com"], no: ["a.net"] }
  ])("$name", ({ allowedTenants, no, yes }) => {
    const { allows } = success(clientSettingsOf({ clientId, allowedTenants }))
    for (const tenant of yes) assert.strictEqual(allows?.(tenant), true, tenant)
    for (const tenant of no) assert.strictEqual(allows?.(tenant), false, tenant)
  })

  it("names every wrong tenant among the allowed", () => {
    const { message } = failure(clientSettingsOf({ clientId, allowedTenants: ["a/b", "a.com", "*"] }))
    assert.match(message, /"a\/b", "\*"\.$/)
    const many = failure(clientSettingsOf({ clientId, allowedTenants: Array.from({ length: 12 }, () => "*") }))
    assert.match(many.message, / and 2 more\.$/)
  })

  it.each([null, 5, {}, true])("types that are wrong are errors: %j", (value) => {
    for (const field of ["clientId", "tenantId", "authority", "allowedTenants"]) {
      const error = failure(clientSettingsOf(JSON.parse(JSON.stringify({ clientId, [field]: value }))))
      assert.strictEqual(error.code, "field_malformed")
      assertToldInFull(error)
      assert.strictEqual(error.field, field)
    }
  })

  it.each([
    ["https://sts.example", "adfs", "https://sts.example/adfs"],
    ["https://sts.example/adfs", "adfs", "https://sts.example/adfs"],
    ["https://sts.example/adfs", "contoso.com", "authority_unsupported"],
    ["https://sts.example/contoso.com", "adfs", "authority_unsupported"],
    ["https://a.ciamlogin.com", "adfs", "authority_unsupported"],
    ["public", "adfs", "authority_unsupported"]
  ])("%s and the tenant %s: %s", (authority, tenantId, expected) => {
    const settings = clientSettingsOf({ clientId, authority, tenantId })
    assert.strictEqual(
      Result.isSuccess(settings) ? Authority.format(settings.success.authority) : settings.failure.code,
      expected
    )
  })

  it("never throws", () => {
    const text = fc.option(anyString, { nil: undefined })
    const options = fc.record({
      clientId: anyString,
      authority: text,
      tenantId: text,
      allowedTenants: fc.option(fc.array(anyString), { nil: undefined })
    })
    fc.assert(
      fc.property(options, (options) => {
        const settings = clientSettingsOf(options)
        if (Result.isFailure(settings)) return assert.isTrue(EntraError.isEntraError(settings.failure))
        assert.strictEqual(settings.success.clientId, options.clientId)
      }),
      { numRuns: 500 }
    )
  })
})
