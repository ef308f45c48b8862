import { assert, describe, it } from "@effect/vitest"
import { Authority } from "effect-entra"
import fc from "fast-check"
import { discoveryRequest, readVerdict, unknownVerdict } from "../../../src/internal/authority/instanceDiscovery.ts"
import { anyString, success } from "../support.ts"

const authority = success(Authority.parse("https://login.sovereign.example/a.com"))
const answer = (body: unknown, status = 200) => ({
  status,
  headers: {},
  body: typeof body === "string" ? body : JSON.stringify(body),
  cut: false
})

describe("question", () => {
  it("asks the one host for the other", () => {
    const asked = discoveryRequest(authority, "login.microsoftonline.com", "c-1")
    const url = new URL(asked.url)
    assert.strictEqual(asked.method, "GET")
    assert.strictEqual(url.origin + url.pathname, "https://login.microsoftonline.com/common/discovery/instance")
    assert.deepStrictEqual([...url.searchParams], [
      ["api-version", "1.1"],
      ["authorization_endpoint", "https://login.sovereign.example/a.com/oauth2/v2.0/authorize"]
    ])
    assert.isUndefined(asked.form)
  })

  it("names common for no tenant, and the port", () => {
    const bare = success(Authority.parse("https://login.sovereign.example:8443"))
    assert.strictEqual(
      new URL(discoveryRequest(bare, "h", "c-1").url).searchParams.get("authorization_endpoint"),
      "https://login.sovereign.example:8443/common/oauth2/v2.0/authorize"
    )
  })

  it("the correlation id that is sent is the one that errors name", () => {
    const asked = discoveryRequest(authority, "h", "c-1")
    assert.strictEqual(asked.headers["client-request-id"], "c-1")
    assert.strictEqual(asked.correlationId, "c-1")
  })
})

describe("readVerdict", () => {
  const host = "login.sovereign.example"
  const entry = {
    preferred_network: "login.preferred.example",
    preferred_cache: "x",
    aliases: ["login.preferred.example", host]
  }

  it.each([
    { name: "an alias", body: { metadata: [entry] }, verdict: { _tag: "Valid", host: "login.preferred.example" } },
    {
      name: "the host itself",
      body: { metadata: [{ preferred_network: host, aliases: [host] }] },
      verdict: { _tag: "Valid", host }
    },
    {
      name: "the second entry",
      body: { "api-version": "1.1", metadata: [{ preferred_network: "a", aliases: ["a"] }, entry] },
      verdict: { _tag: "Valid", host: "login.preferred.example" }
    },
    {
      name: "invalid_instance",
      body: { error: "invalid_instance", error_codes: [50049] },
      verdict: { _tag: "Invalid" }
    },
    { name: "another error", body: { error: "invalid_request" }, verdict: unknownVerdict },
    {
      name: "other hosts only",
      body: { metadata: [{ preferred_network: "a", aliases: ["a"] }] },
      verdict: unknownVerdict
    },
    { name: "no entries", body: { metadata: [] }, verdict: unknownVerdict },
    { name: "no metadata", body: { tenant_discovery_endpoint: "https://x" }, verdict: unknownVerdict },
    {
      name: "a preferred host that is no alias",
      body: { metadata: [{ preferred_network: "evil.example", aliases: [host] }] },
      verdict: unknownVerdict
    },
    { name: "an entry without a preferred host", body: { metadata: [{ aliases: [host] }] }, verdict: unknownVerdict },
    { name: "aliases that are no list", body: { metadata: [{ ...entry, aliases: host }] }, verdict: unknownVerdict },
    { name: "entries that are no list", body: { metadata: { ...entry } }, verdict: unknownVerdict },
    {
      name: "a preferred cache that is no text",
      body: { metadata: [{ ...entry, preferred_cache: 5 }] },
      verdict: unknownVerdict
    },
    { name: "an error that is no text", body: { error: 5, metadata: [entry] }, verdict: unknownVerdict },
    { name: "entries without aliases", body: { metadata: [{ preferred_network: host }] }, verdict: unknownVerdict },
    { name: "HTML", body: "<html>", verdict: unknownVerdict },
    { name: "nothing", body: "", verdict: unknownVerdict },
    { name: "null", body: null, verdict: unknownVerdict }
  ])("$name", ({ body, verdict }) => {
    assert.deepStrictEqual({ ...readVerdict(authority, answer(body)) }, { ...verdict })
  })

  it.each([408, 429, 500, 503])("a service that is out of order has no say: %d", (status) => {
    assert.deepStrictEqual({ ...readVerdict(authority, answer({ error: "invalid_instance" }, status)) }, {
      ...unknownVerdict
    })
  })

  it.each([
    { name: "a path", preferred: "login.preferred.example/evil" },
    { name: "a query", preferred: "login.preferred.example?x=" },
    { name: "a user", preferred: "login.preferred.example@evil.example" },
    { name: "nothing", preferred: "" }
  ])("a preferred host with $name is none", ({ preferred }) => {
    const verdict = readVerdict(
      authority,
      answer({ metadata: [{ preferred_network: preferred, aliases: [host, preferred] }] })
    )
    assert.deepStrictEqual({ ...verdict }, { ...unknownVerdict })
  })

  it("never throws, and never sends requests to a host that the answer does not list", () => {
    const text = fc.oneof(fc.constantFrom(host, "login.preferred.example"), anyString)
    const shaped = fc.record({
      metadata: fc.array(fc.record({ preferred_network: text, aliases: fc.array(text) }))
    }, { requiredKeys: [] }).map((body) => JSON.stringify(body))
    fc.assert(
      fc.property(fc.oneof(shaped, fc.json(), anyString), fc.integer(), (body, status) => {
        const verdict = readVerdict(authority, answer(body, status))
        if (verdict._tag === "Valid") assert.include(body, JSON.stringify(verdict.host))
        assert.include(["Valid", "Invalid", "Unknown"], verdict._tag)
      }),
      { numRuns: 500 }
    )
  })
})
