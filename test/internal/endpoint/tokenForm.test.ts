import { assert, describe, it } from "@effect/vitest"
import { Redacted } from "effect"
import { readFileSync } from "node:fs"
import { assertionForm, clientCredentialsForm, secretForm } from "../../../src/internal/endpoint/tokenForm.ts"
import { standardHeaders, version, withQuery } from "../../../src/internal/http/fields.ts"
import { printed } from "../support.ts"

describe("clientCredentialsForm", () => {
  it.each([
    { name: "no claims, no claims member", claims: "", form: {} },
    { name: "claims as they are", claims: "{\"a\":1}", form: { claims: "{\"a\":1}" } }
  ])("$name", ({ claims, form }) => {
    assert.deepStrictEqual(clientCredentialsForm({ clientId: "id", scopes: "s/.default", claims }), {
      client_id: "id",
      scope: "s/.default",
      grant_type: "client_credentials",
      ...form
    })
  })
})

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

describe("proofs", () => {
  it("a secret is client_secret, and stays redacted", () => {
    const form = secretForm(Redacted.make("pa55word"))
    assert.deepStrictEqual(Object.keys(form), ["client_secret"])
    const value = form["client_secret"]
    assert.strictEqual(Redacted.isRedacted(value) ? Redacted.value(value) : value, "pa55word")
    assert.notInclude(printed(form), "pa55word")
  })

  it("an assertion is client_assertion with its type, and stays redacted", () => {
    const form = assertionForm(Redacted.make("a.b.c"))
    const value = form["client_assertion"]
    assert.strictEqual(form["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
    assert.strictEqual(Redacted.isRedacted(value) ? Redacted.value(value) : value, "a.b.c")
    assert.deepStrictEqual(Object.keys(form).sort(), ["client_assertion", "client_assertion_type"])
    assert.notInclude(printed(form), "a.b.c")
  })

  it("a proof changes nothing of the request it is added to", () => {
    const request = clientCredentialsForm({ clientId: "id", scopes: "s", claims: "{}" })
    for (const proof of [secretForm(Redacted.make("x")), assertionForm(Redacted.make("x"))]) {
      assert.deepStrictEqual({ ...request, ...proof, ...request }, { ...request, ...proof })
    }
  })
})

describe("standardHeaders", () => {
  it("correlate, count, and say what this client understands", () => {
    assert.deepStrictEqual<object>(standardHeaders, {
      accept: "application/json",
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
