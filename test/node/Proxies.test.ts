/** Which proxy comes out of which variables and options, and what is refused. */
import { Redacted, Result } from "effect"
import { assert, describe, it } from "vitest"
import { fromAddress, fromVariables, isNear, type Variable } from "../../src/node/internal/proxies.ts"
import { assertToldInFull } from "../support/shown.ts"

const https = (value: string): Variable => ({ name: "HTTPS_PROXY", value: Redacted.make(value) })

const parsed = (value: string) =>
  Result.map(
    fromVariables({ httpsProxy: https(value), httpProxy: undefined, noProxy: "" }),
    ({ httpsProxy }) => Redacted.value(httpsProxy)
  )

describe("a proxy's address", () => {
  it.each([
    ["http://proxy.example:8080", "http://proxy.example:8080/"],
    [" http://proxy.example:8080/ ", "http://proxy.example:8080/"],
    ["https://proxy.example", "https://proxy.example/"],
    ["HTTP://proxy.example:8080", "http://proxy.example:8080/"],
    ["proxy.example:8080", "http://proxy.example:8080/"],
    ["proxy", "http://proxy/"],
    ["10.0.0.1:3128", "http://10.0.0.1:3128/"],
    ["http://[::1]:3128", "http://[::1]:3128/"],
    ["app:secret@proxy.example:8080", "http://app:secret@proxy.example:8080/"],
    ["http://app:p%40ss%2Fw%25rd@proxy.example", "http://app:p%40ss%2Fw%25rd@proxy.example/"],
    ["", ""],
    ["  ", ""]
  ])("%j is %j", (value, expected) => assert.deepStrictEqual(parsed(value), Result.succeed(expected)))

  it.each([
    ["http://", "is not the URL"],
    ["http://app:hunter2@", "is not the URL"],
    ["http://proxy.example:99999", "is not the URL"],
    ["http://proxy example:8080", "is not the URL"],
    // A password that is not encoded: the host would be "app", the port 12.
    ["http://app:12/hunter2@proxy.example:8080", "is not the URL"],
    ["http://app:12#hunter2@proxy.example:8080", "is not the URL"],
    ["http://app:12?hunter2@proxy.example:8080", "is not the URL"],
    ["http://app:hunter2%zz@proxy.example:8080", "is not the URL"],
    ["http://%zz:hunter2@proxy.example:8080", "is not the URL"],
    ["http://proxy.example:8080/proxy.pac", "is not the URL"],
    ["socks5://app:hunter2@proxy.example:1080", "neither http nor https"],
    ["hunter2://proxy.example", "neither http nor https"]
  ])("%j is refused, and not shown", (value, message) => {
    const result = parsed(value)
    if (Result.isSuccess(result)) assert.fail(result.success)
    const { code, field, message: said, remedy } = result.failure
    assert.deepStrictEqual([code, field], ["field_malformed", "HTTPS_PROXY"])
    assert.include(said, message)
    assertToldInFull(result.failure)
    for (const part of ["hunter2", "12/", "proxy example", "zz"]) assert.notInclude(`${said} ${remedy}`, part)
  })

  it("of plain http is read as well, and its own name is told", () => {
    const variables = {
      httpsProxy: undefined,
      httpProxy: { name: "http_proxy", value: Redacted.make("a b") },
      noProxy: ""
    }
    const result = fromVariables(variables)
    assert.strictEqual(Result.isFailure(result) ? result.failure.field : result._tag, "http_proxy")
  })
})

describe("what no proxy leads to", () => {
  it.each([
    "http://localhost:40342/",
    "http://127.0.0.1/",
    "http://127.8.9.10:8081/msi/token",
    "http://0.0.0.0/",
    "http://[::1]:8080/",
    "http://[::ffff:127.0.0.1]/",
    "http://169.254.169.254/metadata",
    "http://169.254.129.4:8081/msi/token",
    "http://127.255.255.255/",
    "http://169.254.0.0/",
    "http://169.254.255.255/",
    "http://0.255.255.255/",
    "http://[::]/",
    "https://[febf:ffff::1]/",
    "https://[fe80::1]/"
  ])("%s", (url) => {
    assert.isTrue(isNear(url))
  })

  it.each([
    "https://login.microsoftonline.com",
    "https://localhost.example",
    "http://10.0.0.1",
    "http://128.0.0.1",
    "http://126.255.255.255",
    "http://1.0.0.0",
    "http://169.253.1.1",
    "http://169.255.0.0",
    "http://[::2]",
    "http://[fec0::1]",
    "http://[2001:db8::1]",
    "http://[::ffff:10.0.0.1]"
  ])("but to %s", (url) => {
    assert.isFalse(isNear(url))
  })
})

describe("a proxy as an option", () => {
  const option = (address: Parameters<typeof fromAddress>[0], noProxy = "") =>
    Result.map(fromAddress(address, noProxy), (proxies) => [
      Redacted.value(proxies.httpsProxy),
      Redacted.value(proxies.httpProxy),
      proxies.noProxy
    ])

  it.each<[string, Parameters<typeof fromAddress>[0], string]>([
    ["a URL object", { url: new URL("http://proxy.example:8080") }, "http://proxy.example:8080/"],
    [
      "credentials as they are",
      { url: "http://proxy.example", username: "CORP\\app", password: Redacted.make("p@ss/w%rd:ü") },
      "http://CORP%5Capp:p%40ss%2Fw%25rd%3A%C3%BC@proxy.example/"
    ],
    [
      "credentials that replace those of the URL",
      { url: "http://old:older@proxy.example", username: "app", password: Redacted.make("new") },
      "http://app:new@proxy.example/"
    ],
    [
      "a password for the user of the URL",
      { url: "http://app@proxy.example", password: Redacted.make("x") },
      "http://app:x@proxy.example/"
    ],
    ["a user without a password", { url: "proxy.example", username: "app" }, "http://app@proxy.example/"]
  ])("%s", (_name, address, url) => {
    assert.deepStrictEqual(option(address), Result.succeed([url, url, ""]))
  })

  it("can be none", () => {
    assert.deepStrictEqual(option(false, "a.example"), Result.succeed(["", "", "a.example"]))
  })

  it.each<[string, Parameters<typeof fromAddress>[0], string]>([
    ["an empty URL", { url: "" }, "proxy.url"],
    ["no URL", { url: "a b" }, "proxy.url"],
    ["a password without a user", { url: "http://proxy.example", password: Redacted.make("hunter2") }, "proxy.username"]
  ])("%s is refused", (_name, address, field) => {
    const result = fromAddress(address, "")
    if (Result.isSuccess(result)) assert.fail("accepted")
    assert.strictEqual(result.failure.field, field)
    assertToldInFull(result.failure)
    assert.notInclude(result.failure.message + result.failure.remedy, "hunter2")
  })
})
