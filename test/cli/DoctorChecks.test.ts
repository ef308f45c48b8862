/** The decisions of `doctor` as tables. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Result, Schema } from "effect"
import { Authority } from "effect-entra"
import { TestCertificate } from "effect-entra/testing"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { regionFinding, tokenFinding } from "../../src/cli/internal/doctor/acquisition.ts"
import { clockFinding } from "../../src/cli/internal/doctor/clock.ts"
import { bundleOf } from "../../src/cli/internal/doctor/connection.ts"
import { secretFinding } from "../../src/cli/internal/doctor/credential.ts"
import { documentUrl, readDocument } from "../../src/cli/internal/doctor/discovery.ts"
import {
  fail,
  type Finding,
  ok,
  Report,
  reportOf,
  skipped,
  steps,
  warn,
  withoutIds
} from "../../src/cli/internal/doctor/finding.ts"
import { connectRemedy, proxyRemedy, stepOfReason } from "../../src/cli/internal/doctor/network.ts"
import {
  isAtLeast,
  lowestEffect,
  lowestNode,
  packagesFinding,
  runtimeFinding
} from "../../src/cli/internal/doctor/runtime.ts"
import { namesLike, similarRemedy } from "../../src/cli/internal/doctor/similarVariables.ts"
import { extraOf } from "../../src/cli/internal/doctor/tls.ts"
import { runChild, temporaryFile } from "../support/child.ts"

const authorityOf = (text: string) => Result.getOrThrow(Authority.parse(text))

describe("the step that failed", () => {
  it.each([
    ["PROXY_ECONNREFUSED", "proxy"],
    ["PROXY_RESPONSE_407", "proxy"],
    ["PROXY_ENOTFOUND", "proxy"],
    ["PROXY_SELF_SIGNED_CERT_IN_CHAIN", "proxy"],
    ["UND_ERR_PRX_TLS", "proxy"],
    ["ENOTFOUND", "dns"],
    ["EAI_AGAIN", "dns"],
    ["ECONNREFUSED", "connect"],
    ["EHOSTUNREACH", "connect"],
    ["ECONNRESET", "connect"],
    ["UND_ERR_CONNECT_TIMEOUT", "connect"],
    ["DEFECT", "connect"],
    ["DEPTH_ZERO_SELF_SIGNED_CERT", "tls"],
    ["UNABLE_TO_GET_ISSUER_CERT_LOCALLY", "tls"],
    ["CERT_HAS_EXPIRED", "tls"],
    ["ERR_TLS_CERT_ALTNAME_INVALID", "tls"],
    ["ERR_SSL_WRONG_VERSION_NUMBER", "tls"],
    ["EPROTO", "tls"]
  ])("of %s is %s", (reason, step) => assert.strictEqual(stepOfReason(reason, false), step))

  it.each([
    ["TIMEOUT", "proxy"],
    ["HPE_INVALID_CONSTANT", "proxy"],
    ["Response does not match the HTTP 1.1 protocol", "proxy"],
    ["ECONNRESET", "proxy"],
    ["UND_ERR_HEADERS_TIMEOUT", "proxy"],
    ["PROXY_RESPONSE_502", "proxy"],
    ["SELF_SIGNED_CERT_IN_CHAIN", "tls"],
    ["ERR_SSL_WRONG_VERSION_NUMBER", "tls"]
  ])("of %s through a proxy is %s", (reason, step) => assert.strictEqual(stepOfReason(reason, true), step))
})

describe("the remedy", () => {
  const target = { hostname: "login.example", port: 443 }
  const here = { hostname: "::1", port: 8453 }
  const proxy = { hostname: "10.0.0.1", port: 8080 }
  const direct = { proxy: undefined, variables: [], exceptions: "NO_PROXY", isSimulators: false }
  const excepted = { ...direct, variables: ["HTTPS_PROXY"], exceptions: "no_proxy" }

  it.each([
    [
      "without a proxy",
      target,
      "TIMEOUT",
      direct,
      /through the firewall\. If only a proxy can reach the host, set HTTPS_PROXY\.$/
    ],
    [
      "of an exception",
      target,
      "TIMEOUT",
      excepted,
      /If only a proxy can reach the host, remove login\.example from no_proxy\.$/
    ],
    ["of a refusal", target, "ECONNREFUSED", direct, /and that it runs\. If only a proxy .* set HTTPS_PROXY\.$/],
    ["of a refusal here", here, "ECONNREFUSED", excepted, /^Check that \[::1\]:8453 .* simulator that has stopped/],
    ["of another failure here", here, "ECONNRESET", excepted, /through the firewall\.$/]
  ])(
    "%s names the variable that decides",
    (_, to, reason, route, remedy) => assert.match(connectRemedy(to, reason, route), remedy)
  )

  it.each([
    [
      "TIMEOUT",
      ["HTTPS_PROXY"],
      /^Check that HTTPS_PROXY names the HTTP port of a proxy, .* reaches login\.example:443\./
    ],
    ["ECONNRESET", ["https_proxy", "HTTP_PROXY"], /^Check that https_proxy names/],
    ["HPE_INVALID_CONSTANT", ["HTTP_PROXY"], /^Set HTTP_PROXY to .* 10\.0\.0\.1:8080 does not speak HTTP/],
    ["PROXY_ERR_SSL_WRONG_VERSION_NUMBER", ["HTTPS_PROXY"], /^Write http:\/\//],
    ["PROXY_RESPONSE_403", ["HTTPS_PROXY"], /^The library's remedy\.$/]
  ])("of a proxy with %s fits", (reason, variables, remedy) =>
    assert.match(
      proxyRemedy(target, { reason, remedy: "The library's remedy." }, { ...direct, proxy, variables }),
      remedy
    ))
})

describe("the file of NODE_EXTRA_CA_CERTS", () => {
  const words = (names: ReadonlyArray<string>, broken?: number) =>
    extraOf("/ca.pem", Option.some({ names, broken })).detail

  it("names the number of certificates that are not shown", () => {
    assert.match(words(["a", "b", "c", "d", "e"]), /are those of a; b; c; d; e$/)
    assert.match(words(["a", "b", "c", "d", "e", "f", "g"]), /are those of a; b; c; d; e; and 2 more$/)
  })

  it("names a broken certificate, and those before it", () => {
    assert.match(words([], 1), /whose certificate 1 is broken\. Node uses none of the file$/)
    assert.match(
      words(["a"], 2),
      /whose certificate 2 is broken\. Node uses only those before it, which are those of a$/
    )
  })

  it("that cannot be read, or has no certificate, is named", () => {
    assert.match(words([]), /"\/ca\.pem", which has no certificate in PEM$/)
    assert.match(extraOf("/ca.pem", Option.none()).detail, /"\/ca\.pem", which cannot be read$/)
  })

  it.effect("is read as Node reads it", () =>
    Effect.gen(function*() {
      const one = (yield* TestCertificate.makeAuthority({ algorithm: "EC", commonName: "one" })).certificate
      const two = (yield* TestCertificate.makeAuthority({ algorithm: "EC", commonName: "two" })).certificate
      const other = one.replaceAll("CERTIFICATE", "X509 CERTIFICATE")
      const broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
      const key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
      for (
        const pem of [
          one,
          other,
          one + two,
          `text\n${one}${key}${two}`,
          one + broken + two,
          one.slice(0, 200) + two,
          key
        ]
      ) {
        const path = yield* temporaryFile(pem)
        const { stdout } = yield* runChild(
          [
            "-p",
            "require('tls').getCACertificates('extra').map((pem) => new (require('crypto').X509Certificate)(pem).subject.slice(3)).join()"
          ],
          { NODE_EXTRA_CA_CERTS: path, NODE_NO_WARNINGS: "1" }
        )
        assert.strictEqual(bundleOf(pem).names.join(","), stdout.trim())
      }
    }).pipe(Effect.scoped))
})

describe("the clock", () => {
  const at = Date.parse("2026-11-30T12:00:00Z")
  const found = (ahead: number, signsAssertions = true) =>
    clockFinding({
      date: new Date(at).toUTCString(),
      sentAt: at + ahead - 50,
      receivedAt: at + ahead + 50,
      signsAssertions
    })

  it.each([
    [0, "ok"],
    [59_000, "ok"],
    [-59_000, "ok"],
    [60_000, "warn"],
    [-60_000, "warn"],
    [299_000, "warn"],
    [300_000, "fail"],
    [-300_000, "fail"]
  ])("%d ms off is %s for assertions", (ahead, status) => assert.strictEqual(found(ahead).status, status))

  it.each([
    ["the cut of Date", 999, 0, /agrees with the service's/],
    ["a request that takes long", 5000, 9000, /agrees with the service's/],
    ["no difference", 0, 0, /agrees with the service's/],
    ["two seconds", 2000, 100, /is 2 s ahead of the service's/],
    ["two seconds behind", -2000, 100, /is 2 s behind the service's/]
  ])("explains %s", (_, ahead, took, detail) => {
    const date = new Date(at).toUTCString()
    assert.match(
      clockFinding({ date, sentAt: at + ahead - took, receivedAt: at + ahead, signsAssertions: true }).detail,
      detail
    )
  })

  it("is no failure without assertions", () => assert.strictEqual(found(600_000, false).status, "warn"))

  it.each([undefined, "", "yesterday"])("is not compared with the date %s", (date) => {
    const { detail, status } = clockFinding({ date, sentAt: at, receivedAt: at, signsAssertions: true })
    assert.strictEqual(status, "warn")
    assert.match(detail, /has no Date/)
  })
})

describe("versions", () => {
  it.each([
    ["22.19.0", true],
    ["22.18.9", false],
    ["v24.0.0", true],
    ["22.19.0-nightly", true],
    ["9.99.99", false],
    ["", false],
    ["not a version", false]
  ])("%s is enough: %s", (version, is) => assert.strictEqual(isAtLeast(version, lowestNode), is))

  it("are those of package.json", () => {
    const manifest = Schema.decodeUnknownSync(
      Schema.fromJsonString(Schema.Struct({
        engines: Schema.Struct({ node: Schema.String }),
        peerDependencies: Schema.Struct({ effect: Schema.String })
      }))
    )(readFileSync(new URL("../../package.json", import.meta.url), "utf8"))
    assert.strictEqual(`>=${lowestNode.replace(/\.0$/, "")}`, manifest.engines.node)
    assert.strictEqual(`^${lowestEffect}`, manifest.peerDependencies.effect)
  })

  it("of other runtimes are accepted", () => {
    assert.deepStrictEqual(runtimeFinding({ node: "20.0.0", bun: "1.4.5" }), ok("runtime", "Bun 1.4.5"))
    assert.deepStrictEqual(runtimeFinding({ node: "20.0.0", deno: "2.9.6" }), ok("runtime", "Deno 2.9.6"))
    assert.strictEqual(runtimeFinding({}).status, "fail")
  })
})

describe("the packages", () => {
  it.live("of a folder that is no project are not examined", () =>
    Effect.gen(function*() {
      const { detail, status } = yield* packagesFinding("/no/such/folder")
      assert.strictEqual(status, "skipped")
      assert.strictEqual(detail, "/no/such/folder has no package.json that can be read.")
    }))

  it.live("of this repository are one copy", () =>
    Effect.gen(function*() {
      const { detail, status } = yield* packagesFinding(fileURLToPath(new URL("../..", import.meta.url)))
      assert.strictEqual(status, "ok")
      assert.match(detail, /one copy of effect: 4\./)
    }))
})

describe("the endpoint of the region", () => {
  const [publicCloud, china] = ["https://login.microsoftonline.com/t", "https://login.partner.microsoftonline.cn/t"]

  it.each([
    [publicCloud, "westeurope", "https://westeurope.login.microsoft.com/t/oauth2/v2.0/token", undefined],
    [
      publicCloud,
      "westeurope",
      "https://login.microsoftonline.com/t/oauth2/v2.0/token",
      "westeurope.login.microsoft.com"
    ],
    [china, "chinaeast2", "https://login.partner.microsoftonline.cn/t", "chinaeast2.login.partner.microsoftonline.cn"],
    [publicCloud, undefined, "https://login.microsoftonline.com/t/oauth2/v2.0/token", undefined],
    [publicCloud, "westeurope", undefined, undefined],
    ["https://sts.example.com/adfs", "westeurope", "https://sts.example.com/adfs/oauth2/token", undefined]
  ])("of %s, region %s, token endpoint %s: missed is %s", (authority, region, tokenEndpoint, missed) => {
    const finding = regionFinding(authorityOf(authority), region, tokenEndpoint, "A token")
    assert.strictEqual(finding?.status, missed === undefined ? undefined : "warn")
    if (finding !== undefined) assert.include(withRemedy(finding).remedy, `let this machine reach ${missed}:443`)
  })
})

const withRemedy = (finding: Finding) => ({ remedy: "", ...finding })

describe("the discovery document", () => {
  it.each([
    ["https://login.microsoftonline.com/contoso.com", "https://login.microsoftonline.com/contoso.com/v2.0"],
    ["https://sts.windows.net/contoso.com", "https://login.microsoftonline.com/contoso.com/v2.0"],
    ["https://contoso.ciamlogin.com", "https://contoso.ciamlogin.com/contoso.onmicrosoft.com/v2.0"],
    ["https://sts.example.com/adfs", "https://sts.example.com/adfs"]
  ])(
    "of %s is below %s",
    (authority, base) =>
      assert.strictEqual(documentUrl(authorityOf(authority)), `${base}/.well-known/openid-configuration`)
  )

  const document = `{"issuer":"https://a/","token_endpoint":"https://a/token"}`

  it.each([
    [200, document, "ok", /^Issuer https:\/\/a\/ and token endpoint https:\/\/a\/token$/],
    [200, "<html>", "fail", /status 200, but not with a discovery document/],
    [200, "", "fail", /not with a discovery document/],
    [200, `{"issuer":1}`, "fail", /not with a discovery document/],
    [302, "", "fail", /redirects/],
    [404, document, "fail", /status 404/],
    [429, "", "fail", /status 429/],
    [503, document, "fail", /status 503/],
    [
      400,
      `{"error":"invalid_tenant","error_description":"AADSTS90002: Tenant 'x' not found.\\r\\nTrace ID: 1"}`,
      "fail",
      /^AADSTS90002: Tenant 'x' not found\.$/
    ],
    [400, `{"error":"server_error"}`, "fail", /^server_error\.$/]
  ])("with status %d and body %s is %s", (status, body, expected, detail) => {
    const found = readDocument(authorityOf("https://login.microsoftonline.com/contoso.com"), {
      status,
      body,
      headers: {},
      cut: false
    }, 0)
    assert.strictEqual(found.status, expected)
    assert.match(found.detail, detail)
  })
})

describe("variables of other tools", () => {
  it("have names that differ from those of this library, each once", () => {
    for (const variable of ["AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET"] as const) {
      const names = namesLike(variable)
      assert.strictEqual(new Set(names).size, names.length)
      assert.notInclude(names, variable)
      assert.include(names, variable.replace("AZURE", "ARM"))
      assert.include(names, variable.toLowerCase())
    }
    assert.include(namesLike("AZURE_CLIENT_ID"), "AzureAd__ClientId")
  })

  it.each(
    [
      ["field_missing", "AZURE_CLIENT_ID", "ARM_CLIENT_ID is set, but not read. Set AZURE_CLIENT_ID instead."],
      ["field_missing", "state", ""],
      ["field_malformed", "AZURE_CLIENT_ID", ""],
      ["tenant_missing", "tenantId", ""],
      [
        "credential_missing",
        "AZURE_CLIENT_SECRET",
        "A and B are set, but not read. Set AZURE_CLIENT_SECRET instead."
      ]
    ] as const
  )("for %s of %s are %j", (code, field, expected) =>
    assert.strictEqual(
      similarRemedy({ code, field }, { AZURE_CLIENT_ID: ["ARM_CLIENT_ID"], AZURE_CLIENT_SECRET: ["A", "B"] }),
      expected
    ))
})

describe("a secret", () => {
  it.each([
    ["aBc8Q~x1Y2z3", "ok"],
    ["two words", "ok"],
    [" aBc8Q~x1Y2z3", "warn"],
    ["aBc8Q~x1Y2z3\t", "warn"],
    ["aBc8Q~x1Y2z3\ufeff", "warn"]
  ])("%j is %s, and not shown", (secret, status) => {
    const finding = secretFinding(secret)
    assert.strictEqual(finding.status, status)
    assert.notInclude(JSON.stringify(finding), secret.trim())
  })
})

describe("the wait before the next discovery", () => {
  it.each<[name: string, status: number, headers: Record<string, string>, remedy: RegExp]>([
    ["in seconds", 429, { "retry-after": "30" }, /down\. Wait 30 s before the next request\.$/],
    [
      "as a date",
      503,
      { "retry-after": "Mon, 30 Nov 2026 12:01:00 GMT", date: "Mon, 30 Nov 2026 12:00:00 GMT" },
      /Wait 60 s before/
    ],
    ["that is not named", 429, {}, /overloaded or down\.$/]
  ])("%s", (_, status, headers, remedy) => {
    const found = readDocument(authorityOf("https://login.microsoftonline.com/contoso.com"), {
      status,
      body: "",
      headers,
      cut: false
    }, 0)
    assert.match(withRemedy(found).remedy, remedy)
  })
})

describe("the token", () => {
  const consent = "https://login.microsoftonline.com/contoso.com/adminconsent?client_id=1"

  it.each([
    ["is opaque", undefined, consent, "ok"],
    ["has roles", { aud: "api://orders", roles: ["Orders.Read"] }, consent, "ok"],
    ["has no roles", { aud: "api://orders" }, consent, "warn"],
    ["has empty roles", { aud: "api://orders", roles: [] }, consent, "warn"],
    ["is for Azure, which has no roles", { aud: "https://management.azure.com/" }, consent, "ok"],
    ["is for Key Vault by its app id", { aud: "cfa8b339-82a2-471a-a3c9-0fc0be7a4093" }, consent, "ok"],
    ["has one role as a string", { aud: "api://orders", roles: "Orders.Read" }, consent, "ok"],
    ["has several audiences", { aud: ["api://a", "api://b"] }, consent, "warn"],
    ["is of AD FS", { aud: "api://orders" }, undefined, "ok"]
  ])("%s", (_, claims, url, status) => assert.strictEqual(tokenFinding(claims, url).status, status))

  it("with one role as a string is not opaque", () =>
    assert.strictEqual(
      tokenFinding({ aud: "api://orders", roles: "Orders.Read" }, consent).detail,
      "For api://orders with the roles Orders.Read."
    ))

  it.each([
    "https://management.azure.com",
    "https://management.azure.com/",
    "https://Management.Core.Windows.Net//",
    "https://management.usgovcloudapi.net",
    "https://management.core.usgovcloudapi.net/",
    "https://management.chinacloudapi.cn",
    "https://vault.azure.net",
    "https://vault.usgovcloudapi.net",
    "https://vault.azure.cn",
    "https://managedhsm.azure.net",
    "https://storage.azure.com/",
    "https://account.blob.core.windows.net",
    "https://account.queue.core.windows.net/",
    "https://account.table.core.windows.net",
    "https://account.dfs.core.windows.net",
    "https://account.file.core.windows.net",
    "https://account.blob.core.usgovcloudapi.net",
    "https://account.blob.core.chinacloudapi.cn",
    "https://account.z12.blob.storage.azure.net",
    "https://redis.azure.com",
    "https://database.windows.net/",
    "https://database.usgovcloudapi.net/",
    "https://ossrdbms-aad.database.windows.net",
    "https://ossrdbms-aad.database.chinacloudapi.cn",
    "https://servicebus.azure.net",
    "https://servicebus.azure.net/",
    "https://orders.servicebus.windows.net",
    "https://orders.servicebus.usgovcloudapi.net",
    "https://eventhubs.azure.net",
    "https://cognitiveservices.azure.com",
    "https://cognitiveservices.azure.us",
    "https://orders.azconfig.io",
    "https://orders.azconfig.azure.us",
    "https://appconfig.azure.com",
    "https://orders.documents.azure.com",
    "https://orders.documents.azure.com:443/",
    "https://cosmos.azure.com",
    "https://search.azure.com",
    "https://monitor.azure.com",
    "https://monitor.azure.com//",
    "https://orders-abcd.westeurope-1.ingest.monitor.azure.com",
    "https://containerregistry.azure.net",
    "https://orders.azurecr.io",
    "https://iothubs.azure.net",
    "https://digitaltwins.azure.net",
    "https://batch.core.windows.net/",
    "6dae42f8-4368-4678-94ff-3960e28e3630",
    "2FF814A6-3304-4AB8-85CB-CD0E6F879C1D",
    "80a10ef9-8168-493d-abf9-3297c4ef6e3c"
  ])("for %s needs no roles, because its rights are assigned in Azure", (aud) => {
    const { detail, status } = tokenFinding({ aud }, consent)
    assert.strictEqual(status, "ok")
    assert.strictEqual(
      detail,
      `For ${aud} without roles. Rights for this resource are assigned in Azure, not in the token.`
    )
  })

  it.each([
    "https://graph.microsoft.com",
    "00000003-0000-0000-c000-000000000000",
    "api://storage.azure.com",
    "https://storage.azure.com.evil.example",
    "https://mystorage.azure.com",
    "https://orders.azurewebsites.net",
    "https://orders.westeurope.cloudapp.azure.com",
    "https://storage.azure.com/orders",
    ""
  ])("for %j needs roles", (aud) => assert.strictEqual(tokenFinding({ aud }, consent).status, "warn"))
})

describe("the report", () => {
  it("has the worst status, and the order of the steps", () => {
    const findings = [skipped("redis", "a"), fail("tls", "b", "c"), ok("runtime", "d"), warn("dns", "e", "f")]
    const report = reportOf(findings)
    assert.strictEqual(report.status, "fail")
    assert.deepStrictEqual(report.findings.map(({ step }) => step), ["runtime", "dns", "tls", "redis"])
    assert.strictEqual(reportOf(findings.filter(({ status }) => status !== "fail")).status, "warn")
    assert.strictEqual(reportOf([]).status, "ok")
  })

  it("has nothing that a server could write over other lines with, and no endless text", () => {
    const { detail } = ok("tls", `\u001b[2Ka\r\nb\u202ec${"x".repeat(1_000_000)}`)
    assert.match(detail, /^ \[2Ka b c/)
    assert.isBelow(detail.length, 2100)
  })

  it("has no stop after a link, which is copied with it", () => {
    const link = "https://login.microsoftonline.com/t/adminconsent?client_id=1"
    const finding = tokenFinding({ aud: "https://api.example" }, link)
    for (const { detail, remedy } of [finding, warn("token", link, `Consent. Link: ${link}`)].map(withRemedy)) {
      assert.notMatch(`${detail} ${remedy}`, /:\/\/\S+[.,;](\s|$)/)
      assert.match(remedy, /Link: \S+client_id=1$/)
    }
    const { detail } = ok("token", "The name \"https://a\"")
    assert.strictEqual(detail, "The name \"https://a\".")
  })

  it("has a stable JSON", () => {
    const report = reportOf([
      ok("runtime", "Node 24.21.0"),
      fail("acquisition", "AADSTS7000215", "Pass the value", {
        code: "secret_wrong",
        aadsts: [7_000_215],
        correlationId: "an id"
      })
    ])
    const json = {
      format: "effect-entra/doctor/1",
      status: "fail",
      findings: [
        { step: "runtime", status: "ok", detail: "Node 24.21.0." },
        {
          step: "acquisition",
          status: "fail",
          detail: "AADSTS7000215.",
          remedy: "Pass the value.",
          code: "secret_wrong",
          aadsts: [7_000_215],
          correlationId: "an id"
        }
      ]
    }
    assert.deepStrictEqual(JSON.parse(JSON.stringify(report)), json)
    assert.deepStrictEqual(Schema.decodeUnknownSync(Report)(json), report)
  })

  it("is described by docs/command.md", () => {
    const whole = readFileSync(new URL("../../docs/command.md", import.meta.url), "utf8")
    const page = /^## doctor$[^]*?(?=^## |$(?![^]))/m.exec(whole)?.[0] ?? ""
    const example = /```json\n([^]*?)```/.exec(page)?.[1] ?? ""
    const report = Schema.decodeUnknownSync(Schema.fromJsonString(Report))(example)
    assert.deepStrictEqual(reportOf(report.findings), report)
    assert.deepStrictEqual([...page.matchAll(/^\| `(\w+)` +\| /gm)].map(([, step]) => step), [...steps])
  })

  it.each([
    ["AADSTS1: a. Trace ID: 1 Correlation ID: 2 Timestamp: 3", "AADSTS1: a."],
    ["AADSTS1: a.\r\nTrace ID: 1\r\nTimestamp: 3", "AADSTS1: a."],
    ["without ids", "without ids"]
  ])("leaves the ids out of %j", (description, expected) => assert.strictEqual(withoutIds(description), expected))
})
