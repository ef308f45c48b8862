import { assert, describe, it } from "@effect/vitest"
import { Redacted } from "effect"
import { readFileSync } from "node:fs"
import { standardHeaders, version, withQuery } from "../../../src/internal/http/fields.ts"

describe("withQuery", () => {
  it.each([
    { name: "none", query: {}, url: "https://a/token" },
    { name: "percent-encoded", query: { "a b&": "c+d=e#ü%" }, url: "https://a/token?a%20b%26=c%2Bd%3De%23%C3%BC%25" },
    { name: "a secret too", query: { a: "1", b: Redacted.make("2") }, url: "https://a/token?a=1&b=2" },
    { name: "no UTF-8", query: { a: "\ud800" }, url: "https://a/token?a=%EF%BF%BD" },
    {
      name: "beside the endpoint's own",
      endpoint: "https://a/token?p=1",
      query: { a: "b" },
      url: "https://a/token?p=1&a=b"
    }
  ])("$name", ({ endpoint = "https://a/token", query, url }) => {
    assert.strictEqual(withQuery(endpoint, query), url)
  })
})

describe("standardHeaders", () => {
  it("correlate, count, and say what this client understands", () => {
    assert.deepStrictEqual<object>(standardHeaders, {
      accept: "application/json",
      "accept-encoding": "identity",
      "return-client-request-id": "true",
      "x-client-sku": "effect-entra",
      "x-client-ver": version,
      "x-ms-lib-capability": "retry-after, h429"
    })
  })

  it("the version is the package's", () => {
    const manifest: unknown = JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8"))
    assert.propertyVal(manifest, "version", version)
  })
})
