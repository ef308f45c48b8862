import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { Authority } from "effect-entra"
import fc from "fast-check"
import { anyString, failure, guid, mixedCase, success } from "./internal/support.ts"
import { assertShown, assertToldInFull } from "./support/shown.ts"

const host = "login.microsoftonline.com"

const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?$/)
const domain = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join("."))
const tenantName = fc.oneof(fc.uuid(), domain).filter((name) => name !== "adfs" && name !== "v2.0")
const hostName = fc.oneof(
  fc.constantFrom(...Object.values(Authority.clouds).flatMap(({ aliases }) => aliases)),
  fc.tuple(label, fc.constantFrom("contoso.example", "ciamlogin.com")).map((labels) => labels.join(".")),
  fc.tuple(label, fc.integer({ min: 1, max: 65_535 })).map(([name, port]) => `${name}.example:${port}`)
)

describe("parse", () => {
  const plain = { kind: "Entra", host, tenant: undefined, environment: "login.windows.net", cloud: "public" }
  const contoso = { ...plain, tenant: "contoso.com" }
  const elsewhere = { kind: "Entra", host: "sts.contoso.com", environment: "sts.contoso.com", cloud: undefined }
  const ciam = { kind: "Ciam", host: "contoso.ciamlogin.com", environment: "contoso.ciamlogin.com", cloud: undefined }

  it.each([
    { name: "a tenant's id", input: `https://${host}/${guid}`, expected: { ...plain, tenant: guid } },
    { name: "a tenant's domain", input: `https://${host}/contoso.com`, expected: contoso },
    { name: "a trailing slash", input: `https://${host}/contoso.com/`, expected: contoso },
    { name: "a trailing /v2.0", input: `https://${host}/contoso.com/v2.0`, expected: contoso },
    { name: "a trailing /V2.0/", input: `https://${host}/contoso.com/V2.0/`, expected: contoso },
    { name: "upper case", input: `HTTPS://LOGIN.MICROSOFTONLINE.COM/CONTOSO.COM`, expected: contoso },
    { name: "the default port", input: `https://${host}:443/contoso.com`, expected: contoso },
    { name: "no tenant", input: `https://${host}`, expected: plain },
    { name: "no tenant, with a slash", input: `https://${host}/`, expected: plain },
    {
      name: "a name that stands for many tenants",
      input: `https://${host}/common`,
      expected: {
        ...plain,
        tenant: "common"
      }
    },
    {
      name: "an alias",
      input: "https://sts.windows.net/contoso.com",
      expected: {
        ...contoso,
        host: "sts.windows.net"
      }
    },
    { name: "another host", input: "https://sts.contoso.com/t", expected: { ...elsewhere, tenant: "t" } },
    {
      name: "another port",
      input: "https://sts.contoso.com:8443/t",
      expected: {
        ...elsewhere,
        tenant: "t",
        host: "sts.contoso.com:8443",
        environment: "sts.contoso.com:8443"
      }
    },
    {
      name: "a known host with another port is no known host",
      input: `https://${host}:8443/t`,
      expected: {
        ...elsewhere,
        tenant: "t",
        host: `${host}:8443`,
        environment: `${host}:8443`
      }
    },
    {
      name: "AD FS",
      input: "https://sts.contoso.com/adfs",
      expected: {
        ...elsewhere,
        kind: "Adfs",
        tenant: undefined
      }
    },
    {
      name: "AD FS in capitals",
      input: "https://sts.contoso.com/ADFS/",
      expected: {
        ...elsewhere,
        kind: "Adfs",
        tenant: undefined
      }
    },
    {
      name: "an external tenant by its host",
      input: "https://contoso.ciamlogin.com",
      expected: {
        ...ciam,
        tenant: "contoso.onmicrosoft.com"
      }
    },
    {
      name: "an external tenant by its path",
      input: `https://contoso.ciamlogin.com/${guid}`,
      expected: {
        ...ciam,
        tenant: guid
      }
    },
    {
      name: "an external tenant by a host with a port",
      input: "https://contoso.ciamlogin.com:8443",
      expected: {
        ...ciam,
        host: "contoso.ciamlogin.com:8443",
        environment: "contoso.ciamlogin.com:8443",
        tenant: "contoso.onmicrosoft.com"
      }
    },
    {
      name: "a host that only ends like a known one",
      input: "https://evil-login.microsoftonline.com/t",
      expected: {
        ...elsewhere,
        tenant: "t",
        host: "evil-login.microsoftonline.com",
        environment: "evil-login.microsoftonline.com"
      }
    }
  ])("accepts $name", ({ expected, input }) => {
    assert.deepStrictEqual({ ...success(Authority.parse(input)) }, expected)
    assert.deepStrictEqual({ ...success(Authority.parse(new URL(input))) }, expected)
  })

  it.each([
    { name: "the empty string", input: "", code: "authority_malformed" },
    { name: "a relative URL", input: "/contoso.com", code: "authority_malformed" },
    { name: "a bare host", input: host, code: "authority_malformed" },
    { name: "a bare host and its port", input: `${host}:443`, code: "authority_malformed" },
    { name: "a bare host, its port and a tenant", input: `${host}:443/contoso.com`, code: "authority_malformed" },
    { name: "a bare name and its port", input: "localhost:18443", code: "authority_malformed" },
    { name: "a bare address and its port", input: "127.0.0.1:18443", code: "authority_malformed" },
    { name: "an unknown cloud's name", input: "Public", code: "authority_malformed" },
    { name: "a name every object has", input: "constructor", code: "authority_malformed" },
    { name: "__proto__", input: "__proto__", code: "authority_malformed" },
    { name: "http", input: `http://${host}/contoso.com`, code: "authority_insecure" },
    { name: "ftp", input: `ftp://${host}/contoso.com`, code: "authority_insecure" },
    { name: "javascript", input: "javascript:alert(1)", code: "authority_insecure" },
    { name: "a file", input: "file:///etc/passwd", code: "authority_insecure" },
    { name: "a user", input: `https://user@${host}/contoso.com`, code: "authority_malformed" },
    { name: "a user and a password", input: `https://user:pass@${host}/contoso.com`, code: "authority_malformed" },
    { name: "a known host as a user", input: `https://${host}@evil.example/t`, code: "authority_malformed" },
    { name: "a query", input: `https://${host}/contoso.com?a=b`, code: "authority_malformed" },
    { name: "an empty query", input: `https://${host}/contoso.com?`, code: "authority_malformed" },
    { name: "a fragment", input: `https://${host}/contoso.com#a`, code: "authority_malformed" },
    { name: "an empty fragment", input: `https://${host}/contoso.com#`, code: "authority_malformed" },
    { name: "two path segments", input: `https://${host}/contoso.com/evil`, code: "authority_malformed" },
    { name: "three path segments", input: `https://${host}/contoso.com/oauth2/v2.0`, code: "authority_malformed" },
    { name: "another version", input: `https://${host}/contoso.com/v1.0`, code: "authority_malformed" },
    { name: "a way up", input: `https://${host}/evil/../contoso.com`, code: "authority_malformed" },
    { name: "a way up at the end", input: `https://${host}/contoso.com/..`, code: "authority_malformed" },
    { name: "a way up and nothing else", input: `https://${host}/..`, code: "authority_malformed" },
    { name: "a way nowhere and nothing else", input: `https://${host}/.`, code: "authority_malformed" },
    { name: "a way nowhere", input: `https://${host}/./contoso.com`, code: "authority_malformed" },
    { name: "a backslash for a slash", input: `https:\\\\${host}\\contoso.com`, code: "authority_malformed" },
    { name: "a backslash before the path", input: `https://evil.example\\@${host}/t`, code: "authority_malformed" },
    { name: "white space in front", input: ` https://${host}/contoso.com`, code: "authority_malformed" },
    { name: "white space at the end", input: `https://${host}/contoso.com `, code: "authority_malformed" },
    { name: "a tab inside", input: `https://login.\tmicrosoftonline.com/contoso.com`, code: "authority_malformed" },
    { name: "a new line inside", input: `https://${host}/conto\nso.com`, code: "authority_malformed" },
    { name: "a null", input: `https://${host}/contoso.com\0`, code: "authority_malformed" },
    { name: "a no-break space", input: `https://${host}/contoso.com\u00a0`, code: "authority_malformed" },
    { name: "a C1 control", input: `https://${host}/contoso.com\u0085`, code: "authority_malformed" },
    { name: "a byte order mark", input: `\ufeffhttps://${host}/contoso.com`, code: "authority_malformed" },
    { name: "a dot after the host", input: `https://${host}./contoso.com`, code: "authority_malformed" },
    { name: "a dot after the tenant", input: `https://${host}/contoso.com.`, code: "tenant_malformed" },
    { name: "a percent escape in the tenant", input: `https://${host}/contoso%2ecom`, code: "tenant_malformed" },
    { name: "an escaped slash in the tenant", input: `https://${host}/a%2fb`, code: "tenant_malformed" },
    { name: "letters beyond ASCII in the tenant", input: `https://${host}/conto\u0455o.com`, code: "tenant_malformed" },
    { name: "a semicolon in the tenant", input: `https://${host}/contoso.com;a=b`, code: "tenant_malformed" },
    { name: "a port that is none", input: `https://${host}:99999/contoso.com`, code: "authority_malformed" },
    { name: "no host", input: "https://", code: "authority_malformed" },
    { name: "half a surrogate pair", input: `https://${host}/\ud800`, code: "tenant_malformed" }
  ])("refuses $name", ({ code, input }) => {
    const error = failure(Authority.parse(input, "here"))
    assert.strictEqual(error._tag, "EntraInvalidAuthorityError")
    assert.strictEqual(error.code, code)
    assertToldInFull(error)
    assert.strictEqual(error.field, "here")
    assert.strictEqual(error.origin, "local")
    assert.isNotEmpty(error.remedy)
    assert.isTrue(error.message.startsWith("here "))
  })

  it.each([
    { name: "an escaped way up", input: `https://${host}/evil/%2e%2e/contoso.com` },
    { name: "a half escaped way up", input: `https://${host}/evil/.%2E/contoso.com` },
    { name: "an escaped way nowhere", input: `https://${host}/%2e/contoso.com` },
    { name: "a percent escape in the host", input: "https://login%2emicrosoftonline.com/contoso.com" },
    { name: "a full stop beyond ASCII in the host", input: "https://login\u3002microsoftonline.com/contoso.com" },
    { name: "full-width letters in the host", input: "https://\uff4cogin.microsoftonline.com/contoso.com" },
    { name: "a soft hyphen in the host", input: "https://login.micro\u00adsoftonline.com/contoso.com" },
    { name: "no slashes before the host", input: `https:${host}/contoso.com` },
    { name: "one slash before the host", input: `https:/${host}/contoso.com` },
    { name: "three slashes before the host", input: `https:///${host}/contoso.com` },
    { name: "an empty user", input: `https://@${host}/contoso.com` },
    { name: "an empty user and password", input: `https://:@${host}/contoso.com` }
  ])("refuses $name", ({ input }) => {
    assert.strictEqual(failure(Authority.parse(input)).code, "authority_malformed")
  })

  it.each([
    [host, "Prepend https:// to here."],
    [`${host}/contoso.com`, "Prepend https:// to here."],
    [`${host}:443`, "Prepend https:// to here."],
    ["localhost:18443", "Prepend https:// to here."],
    ["localhost:18443/contoso.com", "Prepend https:// to here."],
    ["moon", ""],
    ["/contoso.com", ""],
    ["https://", ""],
    [`https://${host}:99999`, ""],
    ["mailto:18", "Prepend https:// to here."],
    ["javascript:alert(1)", "Use https."]
  ])("the remedy for %s begins with %j", (input, special) => {
    const general = special === "Use https." ? "For tests" : "Pass"
    for (const parse of [Authority.parse, Authority.parseIssuer]) {
      const { remedy } = failure(parse(input, "here"))
      assert.isTrue(remedy.startsWith(`${special} ${general}`.trim()), remedy)
    }
  })

  it("takes /v2.0 after a host for the version, never for a tenant", () => {
    const parsed = Authority.parse(`https://${host}/v2.0`)
    assert.notStrictEqual(Result.isSuccess(parsed) ? parsed.success.tenant : undefined, "v2.0")
  })

  it("an external tenant's host implies a tenant that is one", () => {
    const parsed = Authority.parse("https://-a.ciamlogin.com")
    const tenant = Result.isSuccess(parsed) ? parsed.success.tenant : undefined
    assert.isTrue(tenant === undefined || Result.isSuccess(Authority.parseTenant(tenant)), tenant)
  })

  it.each([
    { name: "two slashes", input: `https://user:pa55word@${host}/t` },
    { name: "another scheme", input: `http://user:pa55word@${host}/t` },
    { name: "no slashes", input: `https:user:pa55word@${host}/t` },
    { name: "one slash", input: `https:/user:pa55word@${host}/t` },
    { name: "backslashes", input: `https:\\\\user:pa55word@${host}/t` },
    { name: "an at sign in the password", input: `https://user:a@pa55word@${host}/t` },
    { name: "a slash in the password", input: `https://user:a/pa55word@${host}/t` },
    { name: "a question mark in the password", input: `https://user:a?pa55word@${host}/t` },
    { name: "white space elsewhere", input: `https://user:pa55word@${host}/t t` }
  ])("a password is not repeated in the message: $name", ({ input }) => {
    const error = failure(Authority.parse(input))
    assert.notInclude(error.message, "pa55word")
    assert.notInclude(JSON.stringify(error), "pa55word")
  })

  it("knows these clouds by these hosts", () => {
    assertShown(Object.entries(Authority.clouds).map(([name, cloud]) => `${name}: ${JSON.stringify(cloud)}`).join("\n"))
  })

  it.each(Object.values(Authority.clouds))("knows the cloud $name by name and by every alias", (cloud) => {
    const named = success(Authority.parse(cloud.name))
    assert.strictEqual(named.host, cloud.network)
    assert.strictEqual(named.tenant, undefined)
    for (const alias of cloud.aliases) {
      const authority = success(Authority.parse(`https://${alias}/${guid}`))
      assert.strictEqual(authority.cloud, cloud.name)
      assert.strictEqual(authority.host, alias)
      assert.strictEqual(authority.environment, cloud.cache)
      assert.strictEqual(Authority.networkHost(authority), cloud.network)
      assert.isTrue(Authority.sameCloud(authority, named))
    }
  })

  it("what is accepted parses to itself when it is written out", () => {
    fc.assert(fc.property(hostName, fc.option(tenantName), fc.boolean(), fc.nat(), (host, tenant, slash, bits) => {
      const text = `https://${host}${tenant === null ? "" : `/${tenant}`}${slash ? "/" : ""}`
      const parsed = success(Authority.parse(mixedCase(text, bits)))
      const written = `https://${parsed.host}${parsed.tenant === undefined ? "" : `/${parsed.tenant}`}`
      assert.deepStrictEqual(success(Authority.parse(written)), parsed)
      assert.strictEqual(parsed.tenant ?? "", (tenant ?? parsed.tenant ?? "").toLowerCase())
    }))
  })

  it("a hostile character anywhere after the host is refused", () => {
    const hostile = fc.constantFrom(
      ..."?#\\@%:;,&=+$!*'()[]{}<>|^`\"~_ \t\r\n\0\u007f\u0085\u200b\u202e\u2028\u00e9\u0455"
    )
    fc.assert(fc.property(tenantName, hostile, fc.nat(), (tenant, c, at) => {
      const i = at % (tenant.length + 1)
      const spoiled = `${tenant.slice(0, i)}${c}${tenant.slice(i)}`
      assert.isTrue(Result.isFailure(Authority.parse(`https://${host}/${spoiled}`)), spoiled)
      assert.isTrue(Result.isFailure(Authority.parseTenant(spoiled)), spoiled)
    }))
  })

  it("never throws", () => {
    const pieces = fc.array(
      fc.oneof(
        fc.constantFrom("https:", "//", "/", "\\", "@", "?", "#", ":", "%2e", "..", host, "adfs", "[", "]"),
        anyString
      ),
      { maxLength: 8 }
    )
    fc.assert(
      fc.property(fc.oneof(anyString, pieces.map((parts) => parts.join(""))), (text) => {
        const parsed = Authority.parse(text)
        if (Result.isFailure(parsed)) return assert.strictEqual(parsed.failure._tag, "EntraInvalidAuthorityError")
        assert.match(parsed.success.host, /^\S+$/)
      }),
      { numRuns: 1000 }
    )
  })
})

describe("parseIssuer", () => {
  it.each([
    { name: "a host", input: "https://idp.example", host: "idp.example", issuer: "https://idp.example" },
    { name: "a slash after the host", input: "https://idp.example/", host: "idp.example" },
    { name: "a path", input: "https://idp.example/realms/One", host: "idp.example" },
    { name: "a slash at the end", input: "https://idp.example/realms/One/", host: "idp.example" },
    { name: "a port", input: "https://idp.example:8443/a", host: "idp.example:8443" },
    {
      name: "the default port",
      input: "https://idp.example:443/a",
      host: "idp.example",
      issuer: "https://idp.example/a"
    },
    {
      name: "a host in capitals",
      input: "HTTPS://IdP.Example/A/b",
      host: "idp.example",
      issuer: "https://idp.example/A/b"
    },
    { name: "escapes in the path, as they are", input: "https://idp.example/my%20Realm/%7Ex", host: "idp.example" },
    { name: "an at sign in the path", input: "https://idp.example/@one", host: "idp.example" },
    { name: "an address", input: "https://[::1]:8443/a", host: "[::1]:8443" },
    {
      name: "a tenant of Entra, which is no alias of anything here",
      input: `https://${host}/${guid}/v2.0`,
      host
    }
  ])("accepts $name", ({ host, input, issuer = input }) => {
    assert.deepStrictEqual<Authority.Authority>(success(Authority.parseIssuer(input)), {
      kind: "Oidc",
      host,
      tenant: undefined,
      environment: issuer,
      cloud: undefined
    })
    assert.strictEqual(Authority.format(success(Authority.parseIssuer(input))), issuer)
    assert.deepStrictEqual(success(Authority.parseIssuer(issuer)), success(Authority.parseIssuer(input)))
    assert.strictEqual(success(Authority.requireTenant(success(Authority.parseIssuer(input)))), "")
  })

  it.each([
    { name: "the empty string", input: "", code: "authority_malformed", says: "is empty" },
    { name: "a cloud's name", input: "public", code: "authority_malformed", says: "absolute" },
    { name: "a relative URL", input: "/realms/one", code: "authority_malformed", says: "absolute" },
    { name: "a bare host", input: "idp.example", code: "authority_malformed", says: "absolute" },
    { name: "a bare host and its port", input: "idp.example:8443/one", code: "authority_malformed", says: "absolute" },
    { name: "a bare name and its port", input: "localhost:8443", code: "authority_malformed", says: "absolute" },
    { name: "http", input: "http://idp.example/realms/one", code: "authority_insecure", says: "uses" },
    { name: "a file", input: "file:///realms/one", code: "authority_insecure", says: "uses" },
    { name: "a user", input: "https://user@idp.example/one", code: "authority_malformed", says: "user information" },
    {
      name: "a password",
      input: "https://:pass@idp.example/one",
      code: "authority_malformed",
      says: "user information"
    },
    { name: "an empty user", input: "https://@idp.example/one", code: "authority_malformed", says: "simplest" },
    { name: "a query", input: "https://idp.example/one?a=b", code: "authority_malformed", says: "query" },
    { name: "an empty query", input: "https://idp.example/one?", code: "authority_malformed", says: "query" },
    { name: "a fragment", input: "https://idp.example/one#a", code: "authority_malformed", says: "fragment" },
    { name: "an empty segment", input: "https://idp.example//one", code: "authority_malformed", says: "simplest" },
    {
      name: "two slashes at the end",
      input: "https://idp.example/one//",
      code: "authority_malformed",
      says: "simplest"
    },
    { name: "a way up", input: "https://idp.example/a/../one", code: "authority_malformed", says: "simplest" },
    {
      name: "an escaped way up",
      input: "https://idp.example/a/%2e%2e/one",
      code: "authority_malformed",
      says: "simplest"
    },
    {
      name: "letters beyond ASCII",
      input: "https://idp.example/r\u00e9alm",
      code: "authority_malformed",
      says: "simplest"
    },
    {
      name: "a host beyond ASCII",
      input: "https://idp\u3002example/one",
      code: "authority_malformed",
      says: "simplest"
    },
    { name: "a dot after the host", input: "https://idp.example./one", code: "authority_malformed", says: "simplest" },
    {
      name: "one slash before the host",
      input: "https:/idp.example/one",
      code: "authority_malformed",
      says: "simplest"
    },
    { name: "a backslash", input: "https://idp.example\\one", code: "authority_malformed", says: "backslashes" },
    { name: "white space", input: "https://idp.example/one two", code: "authority_malformed", says: "white space" },
    { name: "a new line", input: "https://idp.example/one\n", code: "authority_malformed", says: "white space" }
  ])("refuses $name", ({ code, input, says }) => {
    const error = failure(Authority.parseIssuer(input, "here"))
    assert.strictEqual(error._tag, "EntraInvalidAuthorityError")
    assert.strictEqual(error.code, code)
    assertToldInFull(error)
    assert.strictEqual(error.field, "here")
    assert.strictEqual(error.origin, "local")
    assert.isTrue(error.message.startsWith("here "))
    assert.include(error.message, says)
    assert.notInclude(error.message, "pass")
  })

  it("two issuers are the same place only when host and path are, in every letter of the path", () => {
    const part = fc.constantFrom("a", "A", "b", "%61", "realms", "v2.0")
    const url = fc.tuple(
      fc.constantFrom("idp.example", "IdP.example", "idp.example:443", "idp.example:8443", host),
      fc.array(part, { maxLength: 3 }),
      fc.boolean()
    ).map(([host, path, slash]) => ({
      text: `https://${host}${path.map((part) => `/${part}`).join("")}${slash ? "/" : ""}`,
      place: `${host.toLowerCase().replace(":443", "")}|${path.join("/")}|${slash}`
    }))
    fc.assert(fc.property(url, url, (one, other) => {
      const [a, b] = [success(Authority.parseIssuer(one.text)), success(Authority.parseIssuer(other.text))]
      assert.strictEqual(Authority.sameCloud(a, b), one.place === other.place)
      // Nor is it the place of any authority that is none.
      const authority = Authority.parse(other.text)
      if (Result.isSuccess(authority)) assert.isFalse(Authority.sameCloud(a, authority.success))
    }))
  })

  it("never throws, and what is accepted parses to itself", () => {
    const pieces = fc.array(
      fc.oneof(
        fc.constantFrom("https:", "//", "/", "\\", "@", "?", "#", ":", "%2e", "..", "idp.example", "[", "]"),
        anyString
      ),
      { maxLength: 8 }
    )
    fc.assert(
      fc.property(fc.oneof(anyString, pieces.map((parts) => parts.join(""))), (text) => {
        const parsed = Authority.parseIssuer(text)
        if (Result.isFailure(parsed)) return assert.strictEqual(parsed.failure._tag, "EntraInvalidAuthorityError")
        const { environment } = parsed.success
        assert.deepStrictEqual(success(Authority.parseIssuer(environment)), parsed.success)
        assert.strictEqual(new URL(environment).href.replace(/\/$/, ""), environment.replace(/\/$/, ""))
      }),
      { numRuns: 1000 }
    )
  })
})

describe("isTenanted", () => {
  it.each([
    { input: "public", expected: true },
    { input: "https://contoso.ciamlogin.com", expected: true },
    { input: "https://sts.contoso.com/t", expected: true },
    { input: "https://sts.contoso.com/adfs", expected: false }
  ])("$input: $expected", ({ expected, input }) => {
    assert.strictEqual(Authority.isTenanted(success(Authority.parse(input))), expected)
  })
})

describe("parseTenant", () => {
  it.each([
    { name: "an id", input: guid, expected: guid },
    {
      name: "an id in capitals",
      input: "ABCDEF01-2222-3333-4444-555555555555",
      expected: "abcdef01-2222-3333-4444-555555555555"
    },
    { name: "a domain", input: "Contoso.OnMicrosoft.com", expected: "contoso.onmicrosoft.com" },
    { name: "one label", input: "contoso", expected: "contoso" },
    { name: "an internationalised domain as ASCII", input: "xn--bcher-kva.example", expected: "xn--bcher-kva.example" },
    { name: "a name of many tenants", input: "Common", expected: "common" },
    { name: "253 characters", input: `${"a.".repeat(126)}a`, expected: `${"a.".repeat(126)}a` }
  ])("accepts $name", ({ expected, input }) => {
    assert.strictEqual(success(Authority.parseTenant(input)), expected)
  })

  it.each([
    { name: "the empty string", input: "" },
    { name: "a slash", input: "contoso/evil" },
    { name: "a way up", input: "contoso/../../evil" },
    { name: "two dots", input: ".." },
    { name: "a dot in front", input: ".contoso.com" },
    { name: "a dot at the end", input: "contoso.com." },
    { name: "two dots in a row", input: "contoso..com" },
    { name: "a hyphen in front", input: "-contoso.com" },
    { name: "a hyphen at the end of a label", input: "contoso-.com" },
    { name: "a question mark", input: "contoso.com?x=1" },
    { name: "a number sign", input: "contoso.com#x" },
    { name: "a backslash", input: "contoso\\evil" },
    { name: "an at sign", input: "contoso@evil" },
    { name: "a colon", input: "contoso:443" },
    { name: "a percent escape", input: "contoso%2fevil" },
    { name: "white space around", input: " contoso.com " },
    { name: "a new line at the end", input: "contoso.com\n" },
    { name: "a null", input: "contoso\0.com" },
    { name: "letters beyond ASCII", input: "b\u00fccher.example" },
    { name: "a letter that folds into ASCII", input: "\u212aelvin.example" },
    { name: "braces around an id", input: `{${guid}}` },
    { name: "an underscore", input: "a_b.example" },
    { name: "254 characters", input: `${"a.".repeat(126)}aa` }
  ])("refuses $name", ({ input }) => {
    const error = failure(Authority.parseTenant(input, "there"))
    assert.strictEqual(error.code, "tenant_malformed")
    assertToldInFull(error)
    assert.strictEqual(error.field, "there")
    assert.isBelow(error.message.length, 200)
  })

  it("what is accepted parses to itself, and changes no address", () => {
    fc.assert(fc.property(tenantName, fc.nat(), (name, bits) => {
      const tenant = success(Authority.parseTenant(mixedCase(name, bits)))
      assert.strictEqual(tenant, name)
      assert.strictEqual(success(Authority.parseTenant(tenant)), tenant)
      assert.strictEqual(new URL(`https://${host}/${tenant}/oauth2`).pathname, `/${tenant}/oauth2`)
    }))
  })

  it("never throws, and never accepts what would change an address", () => {
    fc.assert(
      fc.property(anyString, (text) => {
        const tenant = Authority.parseTenant(text)
        if (Result.isFailure(tenant)) return assert.strictEqual(tenant.failure.code, "tenant_malformed")
        assert.match(tenant.success, /^[a-z0-9.-]+$/)
      }),
      { numRuns: 1000 }
    )
  })

  it("takes linear time for a long hostile name", () => {
    const started = performance.now()
    for (const text of [`${"a-".repeat(126)}!`, `${"a.".repeat(126)}!`, `${"a".repeat(252)}!`, "a".repeat(1_000_000)]) {
      assert.isTrue(Result.isFailure(Authority.parseTenant(text)))
    }
    assert.isBelow(performance.now() - started, 1000)
  })
})

describe("requireTenant", () => {
  const base = success(Authority.parse("public"))

  it.each(["common", "organizations", "consumers"])("refuses %s", (name) => {
    const error = failure(Authority.requireTenant(success(Authority.parse(`https://${host}/${name.toUpperCase()}`))))
    assert.strictEqual(error.code, "tenant_not_tenanted")
    assertToldInFull(error)
    assert.include(error.message, `"${name}"`)
  })

  it("refuses no tenant", () => {
    assert.strictEqual(failure(Authority.requireTenant(base)).code, "tenant_missing")
  })

  it("accepts a tenant, and AD FS without one", () => {
    assert.strictEqual(success(Authority.requireTenant(Authority.withTenant(base, guid))), guid)
    assert.strictEqual(success(Authority.requireTenant(success(Authority.parse("https://sts.contoso.com/adfs")))), "")
  })

  it("the tenant of consumers, named by its id, is a tenant", () => {
    const id = "9188040d-6c67-4c5b-b112-36a304b66dad"
    assert.strictEqual(success(Authority.requireTenant(Authority.withTenant(base, id))), id)
  })
})

describe("withTenant", () => {
  it("changes the tenant and nothing else", () => {
    fc.assert(fc.property(hostName, tenantName, tenantName, (host, one, other) => {
      const authority = success(Authority.parse(`https://${host}/${one}`))
      assert.deepStrictEqual(Authority.withTenant(authority, other), { ...authority, tenant: other })
      assert.strictEqual(authority.tenant, one)
    }))
  })
})

describe("sameCloud", () => {
  it.each([
    { one: "https://login.microsoftonline.com", other: "https://sts.windows.net/t", same: true },
    { one: "public", other: "https://login.microsoft.com", same: true },
    { one: "china", other: "https://login.chinacloudapi.cn", same: true },
    { one: "public", other: "china", same: false },
    { one: "usGovernment", other: "usLegacy", same: false },
    { one: "https://sts.contoso.com/a", other: "https://sts.contoso.com/b", same: true },
    { one: "https://sts.contoso.com", other: "https://sts.contoso.com:8443", same: false },
    { one: "public", other: "https://login.microsoftonline.com:8443", same: false }
  ])("$one and $other: $same", ({ one, other, same }) => {
    const [a, b] = [success(Authority.parse(one)), success(Authority.parse(other))]
    assert.strictEqual(Authority.sameCloud(a, b), same)
    assert.strictEqual(Authority.sameCloud(b, a), same)
  })
})

describe("adminConsentUrl", () => {
  it.each([
    { name: "a tenant", tenant: "contoso.com", path: "/contoso.com/adminconsent" },
    { name: "no tenant", tenant: undefined, path: "/organizations/adminconsent" }
  ])("leads to $name", ({ path, tenant }) => {
    const base = success(Authority.parse("https://login.windows.net"))
    const authority = tenant === undefined ? base : Authority.withTenant(base, tenant)
    const url = new URL(Authority.adminConsentUrl(authority, { clientId: "id" }))
    assert.strictEqual(url.host, host)
    assert.strictEqual(url.pathname, path)
    assert.strictEqual(url.search, "?client_id=id")
  })

  it("what is passed comes back out of the address, whatever it holds", () => {
    fc.assert(fc.property(fc.string(), fc.string(), fc.string(), (clientId, redirectUri, state) => {
      const authority = success(Authority.parse(`https://${host}/contoso.com`))
      const url = new URL(Authority.adminConsentUrl(authority, { clientId, redirectUri, state }))
      assert.deepStrictEqual([...url.searchParams], [
        ["client_id", clientId],
        ["redirect_uri", redirectUri],
        ["state", state]
      ])
      assert.strictEqual(url.hash, "")
    }))
  })
})

describe("parseConsentResponse", () => {
  const tenant = "b81b9a0c-1d2e-4f3a-8b4c-5d6e7f8a9b0c"
  const state = "kept in the browser's session: 100 %+1"
  const granted = { tenant, state, admin_consent: "True" }
  const parse = (query: string | URLSearchParams | URL, expected: string = state) =>
    Authority.parseConsentResponse(query, { state: expected })
  const of = (members: Record<string, string>) => parse(new URLSearchParams(members))

  it("returns the tenant that the browser names, in every form of a query", () => {
    const query = new URLSearchParams({ ...granted, tenant: tenant.toUpperCase(), scope: "x" })
    const url = new URL(`https://orders.contoso.com/installed?${query}#fragment`)
    for (
      const form of [
        query,
        `${query}`,
        `?${query}`,
        `?${query}#fragment`,
        url,
        url.href,
        `${url.pathname}${url.search}`,
        `/a=b/c&d${url.search}`,
        new URLSearchParams([...query].toReversed())
      ]
    ) {
      assert.deepStrictEqual(success(parse(form)), { claimedTenantId: tenant })
    }
  })

  it.each<{ name: string; members: Record<string, string>; says?: string }>([
    { name: "an error", members: { error: "permission_denied", state } },
    { name: "an error beside the consent", members: { ...granted, error: "access_denied" } },
    { name: "an error without the state, as the service sends it", members: { error: "permission_denied" } },
    { name: "an empty error", members: { ...granted, error: "" } },
    { name: "a subcode alone", members: { ...granted, error_subcode: "cancel" } },
    { name: "a description alone", members: { ...granted, error_description: "AADSTS65004: declined" } },
    {
      name: "a description",
      members: { ...granted, error: "access_denied", error_description: "AADSTS65004: The administrator declined." },
      says: "The administrator declined"
    }
  ])("$name is no consent, before anything else", ({ members, says = "" }) => {
    const error = failure(of(members))
    assert.deepInclude<object>(error, {
      _tag: "EntraTokenRequestError",
      code: "consent_missing",
      origin: "service",
      isRetryable: false
    })
    assert.include(error.message, says)
  })

  it("has the numbers of the service, and no text of somebody who does not know the state", () => {
    const members = { error: "access_denied", error_description: "AADSTS65004: Call 555-0100\nnow\u202e!" }
    const known = failure(of({ ...members, state }))
    assert.deepInclude<object>(known, { error: "access_denied", errorCodes: [65004] })
    assert.include(known.message, "Call 555-0100")
    assert.notMatch(known.message, /[\n\u202e]/)
    const forged = failure(of({ ...members, state: "another" }))
    assert.notInclude(JSON.stringify([forged, forged.message]), "555")
  })

  it.each<{ name: string; query: string; field: string; code?: string; expected?: string }>([
    { name: "no state", query: `tenant=${tenant}&admin_consent=True`, field: "state", code: "field_missing" },
    { name: "another state", query: `tenant=${tenant}&admin_consent=True&state=x`, field: "state" },
    {
      name: "a state twice",
      query: `tenant=${tenant}&admin_consent=True&state=s&state=s`,
      field: "state",
      expected: "s"
    },
    {
      name: "no state expected",
      query: `tenant=${tenant}&admin_consent=True&state=`,
      field: "state",
      expected: "",
      code: "field_missing"
    },
    {
      name: "a state in another case",
      query: `tenant=${tenant}&admin_consent=True&state=S`,
      field: "state",
      expected: "s"
    },
    {
      name: "no consent",
      query: `tenant=${tenant}&state=s`,
      field: "admin_consent",
      expected: "s",
      code: "field_missing"
    },
    { name: "False", query: `tenant=${tenant}&state=s&admin_consent=False`, field: "admin_consent", expected: "s" },
    {
      name: "consent twice",
      query: `tenant=${tenant}&state=s&admin_consent=True&admin_consent=False`,
      field: "admin_consent",
      expected: "s"
    },
    { name: "no tenant", query: "state=s&admin_consent=True", field: "tenant", expected: "s", code: "field_missing" },
    { name: "a domain", query: "state=s&admin_consent=True&tenant=contoso.com", field: "tenant", expected: "s" },
    { name: "common", query: "state=s&admin_consent=True&tenant=common", field: "tenant", expected: "s" },
    { name: "a path", query: `state=s&admin_consent=True&tenant=${tenant}/../x`, field: "tenant", expected: "s" },
    {
      name: "two tenants",
      query: `state=s&admin_consent=True&tenant=${tenant}&tenant=00000000-0000-0000-0000-000000000001`,
      field: "tenant",
      expected: "s"
    },
    { name: "nothing", query: "", field: "state", code: "field_missing" }
  ])("$name is refused", ({ code = "field_malformed", expected, field, query }) => {
    const error = failure(parse(query, expected))
    assert.deepInclude<object>(error, { _tag: "EntraInvalidRequestError", field, code, origin: "local" })
    assert.match(error.remedy, /\.$/)
    assert.notInclude(JSON.stringify([error, error.message]), state)
  })

  it("refuses values that JavaScript callers pass", () => {
    for (const query of ["null", "1", "{}", "[]"]) {
      assert.deepInclude<object>(failure(Authority.parseConsentResponse(JSON.parse(query), { state })), {
        field: "query"
      })
    }
    for (const options of ["null", "{}", `{"state":null}`, `{"state":1}`]) {
      assert.deepInclude<object>(
        failure(Authority.parseConsentResponse(new URLSearchParams(granted), JSON.parse(options))),
        { _tag: "EntraInvalidRequestError", field: "state" }
      )
    }
  })

  it("takes no query with an error, and none with another state, whatever else it has", () => {
    const name = fc.constantFrom("tenant", "state", "admin_consent", "error", "error_description", "x")
    const value = fc.oneof(fc.constantFrom(tenant, "s", "True", ""), fc.string())
    fc.assert(
      fc.property(fc.array(fc.tuple(name, value), { maxLength: 8 }), fc.constantFrom("s", ""), (members, expected) => {
        const query = new URLSearchParams(members)
        const isGranted = query.get("state") === expected && expected !== "" && query.get("tenant") === tenant &&
          query.get("admin_consent")?.toLowerCase() === "true" && !query.has("error") &&
          !query.has("error_description") &&
          ["state", "tenant", "admin_consent"].every((name) => query.getAll(name).length === 1)
        for (const form of [query, `?${query}`, new URL(`https://h/p?${query}`)]) {
          assert.strictEqual(Result.isSuccess(parse(form, expected)), isGranted)
        }
      }),
      { numRuns: 2000 }
    )
  })
})
