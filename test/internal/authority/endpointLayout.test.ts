import { assert, describe, it } from "@effect/vitest"
import { Authority } from "effect-entra"
import fc from "fast-check"
import { endpointsOf, parseRegion } from "../../../src/internal/authority/endpointLayout.ts"
import { assertToldInFull } from "../../support/shown.ts"
import { failure, guid, success } from "../support.ts"

const standardOf = (text: string) => {
  const authority = success(Authority.parse(text))
  return success(endpointsOf(authority, Authority.networkHost(authority), "standard"))
}

const mtlsOf = (text: string) => {
  const authority = success(Authority.parse(text))
  return endpointsOf(authority, Authority.networkHost(authority), "mtls")
}

const modern = { thumbprint: "x5t#S256", rsa: "PS256" } as const

describe("endpointsOf", () => {
  it.each([
    {
      authority: `https://login.microsoftonline.com/${guid}`,
      token: `https://login.microsoftonline.com/${guid}/oauth2/v2.0/token`
    },
    {
      authority: "https://login.windows.net/a.com",
      token: "https://login.microsoftonline.com/a.com/oauth2/v2.0/token"
    },
    { authority: "https://sts.contoso.com:8443/a.com", token: "https://sts.contoso.com:8443/a.com/oauth2/v2.0/token" },
    { authority: "https://a.ciamlogin.com", token: "https://a.ciamlogin.com/a.onmicrosoft.com/oauth2/v2.0/token" }
  ])("$authority", ({ authority, token }) => {
    assert.deepStrictEqual(standardOf(authority), { token, audience: token, assertion: modern })
  })

  it("AD FS has its own path and wants the older assertion", () => {
    const token = "https://sts.contoso.com/adfs/oauth2/token"
    assert.deepStrictEqual(standardOf("https://sts.contoso.com/adfs"), {
      token,
      audience: token,
      assertion: { thumbprint: "x5t", rsa: "RS256" }
    })
  })

  it.each([
    { authority: "https://login.microsoftonline.com/a.com", host: "mtlsauth.microsoft.com" },
    { authority: "https://sts.windows.net/a.com", host: "mtlsauth.microsoft.com" },
    { authority: "https://login.microsoftonline.us/a.com", host: "mtlsauth.microsoftonline.us" },
    { authority: "https://login.chinacloudapi.cn/a.com", host: "mtlsauth.partner.microsoftonline.cn" }
  ])("certificates in the handshake: $authority goes to $host", ({ authority, host }) => {
    const token = `https://${host}/a.com/oauth2/v2.0/token`
    assert.deepStrictEqual(success(mtlsOf(authority)), { token, audience: token, assertion: modern })
  })

  it.each([
    { name: "AD FS", authority: "https://login.contoso.com/adfs" },
    { name: "an external tenant", authority: "https://a.ciamlogin.com" },
    { name: "a host that follows no rule", authority: "https://sts.contoso.com/a.com" },
    { name: "the older cloud of the US", authority: "https://login-us.microsoftonline.com/a.com" }
  ])("certificates in the handshake: none for $name", ({ authority }) => {
    const error = failure(mtlsOf(authority))
    assert.strictEqual(error.code, "authority_unsupported")
    assertToldInFull(error)
    assert.strictEqual(error.origin, "local")
  })

  it("the tenant is in the path, whatever the host, and nothing else is", () => {
    const host = fc.constantFrom(...Object.values(Authority.clouds).map(({ network }) => network), "h.example:8443")
    fc.assert(fc.property(host, fc.uuid(), fc.domain(), (host, id, domain) => {
      for (const tenant of [id, domain]) {
        const url = new URL(standardOf(`https://${host}/${tenant}`).token)
        assert.strictEqual(url.host, host)
        assert.strictEqual(url.pathname, `/${tenant}/oauth2/v2.0/token`)
        assert.strictEqual(url.search + url.hash + url.username, "")
      }
    }))
  })
})

describe("regions", () => {
  const regional = (text: string, channel: "standard" | "mtls" = "standard") => {
    const authority = success(Authority.parse(text))
    return endpointsOf(authority, Authority.networkHost(authority), channel, "westus2")
  }

  it.each([
    { authority: "https://login.microsoftonline.com/a.com", host: "westus2.login.microsoft.com" },
    { authority: "https://login.windows.net/a.com", host: "westus2.login.microsoft.com" },
    { authority: "https://login.microsoft.com/a.com", host: "westus2.login.microsoft.com" },
    { authority: "https://sts.windows.net/a.com", host: "westus2.login.microsoft.com" },
    { authority: "https://login.microsoftonline.us/a.com", host: "westus2.login.microsoftonline.us" },
    { authority: "https://login.usgovcloudapi.net/a.com", host: "westus2.login.microsoftonline.us" },
    { authority: "https://login.chinacloudapi.cn/a.com", host: "westus2.login.partner.microsoftonline.cn" },
    { authority: "https://login.windows-ppe.net/a.com", host: "westus2.login.windows-ppe.net" },
    { authority: "https://login.sovcloud-identity.fr/a.com", host: "westus2.login.sovcloud-identity.fr" }
  ])("$authority goes to $host, and to the cloud's own host in its place", ({ authority, host }) => {
    const token = `https://${host}/a.com/oauth2/v2.0/token`
    assert.deepStrictEqual(success(regional(authority)), {
      token,
      audience: token,
      assertion: modern,
      fallback: standardOf(authority)
    })
  })

  it.each([
    { authority: "https://login.microsoftonline.com/a.com", host: "westus2.mtlsauth.microsoft.com" },
    { authority: "https://login.microsoftonline.us/a.com", host: "westus2.mtlsauth.microsoftonline.us" }
  ])("certificates in the handshake: $authority goes to $host", ({ authority, host }) => {
    const endpoints = success(regional(authority, "mtls"))
    assert.strictEqual(endpoints.token, `https://${host}/a.com/oauth2/v2.0/token`)
    assert.deepStrictEqual(endpoints.fallback, success(mtlsOf(authority)))
  })

  it.each([
    { name: "AD FS", authority: "https://login.contoso.com/adfs" },
    { name: "an external tenant", authority: "https://a.ciamlogin.com" },
    { name: "a host that no table knows", authority: "https://sts.contoso.com/a.com" }
  ])("none for $name", ({ authority }) => {
    const error = failure(regional(authority))
    assert.strictEqual(error.code, "authority_unsupported")
    assertToldInFull(error)
    assert.strictEqual(error.field, "region")
  })

  it.each([
    ["westus2", "westus2"],
    ["CentralUS", "centralus"],
    ["", "region_malformed"],
    ["west us", "region_malformed"],
    ["west-us", "region_malformed"],
    ["westus2.evil.example/", "region_malformed"],
    ["w\u00e9stus", "region_malformed"],
    ["w".repeat(63), "w".repeat(63)],
    ["w".repeat(64), "region_malformed"],
    ["DisableMsalForceRegion", "region_malformed"],
    ["AutoDiscoverRegion", "region_detection"],
    ["tryautodetect", "region_detection"]
  ])("%j: %s", (input, expected) => {
    const region = parseRegion(input, "AZURE_REGIONAL_AUTHORITY_NAME")
    if (region._tag === "Success") return assert.strictEqual(region.success, expected)
    assert.strictEqual(region.failure.code, expected)
    assert.strictEqual(region.failure.field, "AZURE_REGIONAL_AUTHORITY_NAME")
    assert.match(region.failure.message, /^AZURE_REGIONAL_AUTHORITY_NAME /)
  })

  it.each(["5", "null", "{}"])("%s, which is no string: region_malformed", (json) => {
    assert.strictEqual(failure(parseRegion(JSON.parse(json))).code, "region_malformed")
  })

  it.each([
    ["w".repeat(64), /longer/],
    ["west us", /characters other than letters and digits/],
    ["DisableMsalForceRegion", /MSAL's value for no region/]
  ])("%j: says what is wrong", (input, what) => {
    assert.match(failure(parseRegion(input)).message, what)
  })
})
