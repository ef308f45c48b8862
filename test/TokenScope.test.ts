import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { TokenScope } from "effect-entra"
import fc from "fast-check"
import { nonValueOf } from "../src/internal/shared/nonValue.ts"
import { anyString, failure, mixedCase, success } from "./internal/support.ts"
import { assertToldInFull } from "./support/shown.ts"

const graph = "https://graph.microsoft.com/.default"

/** RFC 6749 section 3.3: printable ASCII but the quote and the backslash. */
const scopeToken = fc.stringMatching(/^[\x21\x23-\x5b\x5d-\x7e]{1,20}$/)
const exact = fc.constantFrom("Adfs", "Oidc")
/** Some random texts are placeholders, which are refused. */
const resourceScope = scopeToken
  .filter((text) => [text, text.toUpperCase()].every((text) => nonValueOf(text) === undefined))
  .map(TokenScope.fromResource)

describe("fromResource", () => {
  it.each([
    { resource: "https://graph.microsoft.com", scope: graph },
    { resource: "https://vault.azure.net/", scope: "https://vault.azure.net//.default" },
    { resource: "api://orders", scope: "api://orders/.default" },
    { resource: "11111111-2222-3333-4444-555555555555", scope: "11111111-2222-3333-4444-555555555555/.default" }
  ])("$resource", ({ resource, scope }) => {
    assert.strictEqual(TokenScope.fromResource(resource), scope)
    assert.strictEqual(success(TokenScope.parse(scope)).wire, scope)
  })
})

describe("parse", () => {
  it.each([
    { name: "a string", input: graph, canonical: graph, wire: graph },
    { name: "an array", input: [graph], canonical: graph, wire: graph },
    { name: "a string with more spaces", input: `  ${graph}  `, canonical: graph, wire: graph },
    { name: "an array with empty entries", input: ["", graph, " "], canonical: graph, wire: graph },
    { name: "the same twice", input: [graph, graph], canonical: graph, wire: graph },
    { name: "the same twice in one entry", input: [`${graph} ${graph}`], canonical: graph, wire: graph },
    {
      name: "the same in other cases: the first spelling is sent",
      input: ["API://Orders/.default", "api://orders/.DEFAULT"],
      canonical: "api://orders/.default",
      wire: "API://Orders/.default"
    },
    { name: "a resource that ends in a slash", input: "https://vault.azure.net//.default" },
    { name: "another resource that ends in a slash", input: "https://management.core.windows.net//.default" },
    { name: "a resource with a space's escape", input: "api://a%20b/.default" },
    { name: "characters at the edges of the alphabet", input: "!#[]~/.default" }
  ])("accepts $name", ({ canonical, input, wire }) => {
    const scopes = success(TokenScope.parse(input))
    assert.strictEqual(scopes.canonical, canonical ?? input)
    assert.strictEqual(scopes.wire, wire ?? input)
  })

  it.each([
    { name: "the empty string", input: "", code: "scope_missing" },
    { name: "spaces", input: "   ", code: "scope_missing" },
    { name: "an empty array", input: [], code: "scope_missing" },
    { name: "an array of empty strings", input: ["", " "], code: "scope_missing" },
    { name: "a permission", input: "User.Read", code: "scope_not_default" },
    { name: "a permission of a resource", input: "https://graph.microsoft.com/User.Read", code: "scope_not_default" },
    { name: "the suffix alone", input: "/.default", code: "scope_not_default" },
    { name: "the suffix without its slash", input: ".default", code: "scope_not_default" },
    { name: "something after the suffix", input: `${graph}/x`, code: "scope_not_default" },
    { name: "one of two is no default", input: `${graph} User.Read`, code: "scope_not_default" },
    { name: "two resources", input: [graph, "api://orders/.default"], code: "scope_several_resources" },
    { name: "a quote", input: "api://\"/.default", code: "scope_malformed" },
    { name: "a backslash", input: "api://\\/.default", code: "scope_malformed" },
    { name: "a tab", input: `api://a\t/.default`, code: "scope_malformed" },
    { name: "a new line between two", input: `${graph}\n${graph}`, code: "scope_malformed" },
    { name: "a null", input: "api://\0/.default", code: "scope_malformed" },
    { name: "a no-break space", input: "api://\u00a0/.default", code: "scope_malformed" },
    { name: "letters beyond ASCII", input: "api://\u00e9/.default", code: "scope_malformed" },
    { name: "a letter that folds into ASCII", input: "api://\u212a/.default", code: "scope_malformed" },
    { name: "a delete", input: "api://\u007f/.default", code: "scope_malformed" },
    { name: "half a surrogate pair", input: "api://\ud800/.default", code: "scope_malformed" }
  ])("refuses $name", ({ code, input }) => {
    const error = failure(TokenScope.parse(input))
    assert.strictEqual(error._tag, "EntraInvalidScopeError")
    assert.strictEqual(error.code, code)
    assertToldInFull(error)
    assert.strictEqual(error.field, "scopes")
    assert.strictEqual(error.origin, "local")
    assert.isTrue(error.message.startsWith("scopes "))
  })

  it("refuses a malformed scope even when a good one folds to the same name", () => {
    assert.strictEqual(failure(TokenScope.parse(["api://k/.default", "api://\u212a/.default"])).code, "scope_malformed")
  })

  it("external tenants fold and need the suffix as Entra does", () => {
    assert.strictEqual(success(TokenScope.parse("API://A/.default", "Ciam")).canonical, "api://a/.default")
    assert.strictEqual(failure(TokenScope.parse("openid", "Ciam")).code, "scope_not_default")
  })

  it("AD FS scopes are exact strings, several at a time", () => {
    const scopes = success(TokenScope.parse("openid api://B api://b openid", "Adfs"))
    assert.strictEqual(scopes.wire, "openid api://B api://b")
    assert.strictEqual(scopes.canonical, "api://B api://b openid")
    assert.strictEqual(failure(TokenScope.parse("a\"b", "Adfs")).code, "scope_malformed")
    assert.strictEqual(failure(TokenScope.parse("", "Adfs")).code, "scope_missing")
  })

  it.each([
    ["https://graph.microsoft.com", "\"https://graph.microsoft.com/.default\""],
    ["api://orders", "\"api://orders/.default\""],
    ["https://graph.microsoft.com.default", "\"https://graph.microsoft.com/.default\""],
    ["https://graph.microsoft.com/", "\"https://graph.microsoft.com/.default\""],
    ["api://orders/", "\"api://orders/.default\""],
    ["api://orders.DEFAULT", "\"api://orders/.default\""],
    ["api://orders.default.default", "\"api://orders.default/.default\""],
    ["https://management.core.windows.net", "\"https://management.core.windows.net/.default\""],
    ["https://management.core.windows.net/", "the identifier of the resource followed by /.default"],
    ["https://graph.microsoft.com/User.Read", "the identifier of the resource followed by /.default"],
    ["User.Read", "the identifier of the resource followed by /.default"]
  ])("names the scope of a resource without its suffix: %s", (scope, wanted) => {
    assert.include(failure(TokenScope.parse(scope)).remedy, `Pass ${wanted}. An app`)
  })

  it("an issuer's scopes are exact strings, several at a time, or none", () => {
    const scopes = success(TokenScope.parse(["write:Orders", "read", "write:Orders write:orders"], "Oidc"))
    assert.strictEqual(scopes.wire, "write:Orders read write:orders")
    assert.strictEqual(scopes.canonical, "read write:Orders write:orders")
    for (const none of ["", "  ", [], [""]]) {
      assert.deepStrictEqual({ ...success(TokenScope.parse(none, "Oidc")) }, { canonical: "", wire: "" })
    }
    assert.strictEqual(failure(TokenScope.parse("a\\b", "Oidc")).code, "scope_malformed")
    assert.strictEqual(failure(TokenScope.parse("x".repeat(2049), "Oidc")).code, "scope_malformed")
  })

  it("what is accepted parses to itself", () => {
    fc.assert(fc.property(resourceScope, fc.nat(), (scope, bits) => {
      const once = success(TokenScope.parse(mixedCase(scope, bits)))
      assert.deepStrictEqual(success(TokenScope.parse(once.wire)), once)
      assert.deepStrictEqual(success(TokenScope.parse(once.canonical)).canonical, once.canonical)
      assert.strictEqual(once.canonical, scope.toLowerCase())
    }))
  })

  it("exact strings: order and repeats change what is sent but not where it is filed", () => {
    fc.assert(fc.property(fc.array(scopeToken, { minLength: 1, maxLength: 6 }), fc.nat(), exact, (list, n, kind) => {
      const turned = [...list.slice(n % list.length), ...list, ...list.slice(0, n % list.length)]
      const [one, other] = [success(TokenScope.parse(list, kind)), success(TokenScope.parse(turned.join(" "), kind))]
      assert.strictEqual(one.canonical, other.canonical)
      assert.deepStrictEqual(one.wire.split(" ").sort(), other.wire.split(" ").sort())
      assert.strictEqual(one.wire, [...new Set(list)].join(" "))
    }))
  })

  it("exact strings: different sets are filed apart", () => {
    const list = fc.array(fc.constantFrom("a", "b", "ab", "A"), { minLength: 1, maxLength: 4 })
    fc.assert(fc.property(list, list, exact, (one, other, kind) => {
      const same = one.every((scope) => other.includes(scope)) && other.every((scope) => one.includes(scope))
      const [a, b] = [success(TokenScope.parse(one, kind)), success(TokenScope.parse(other, kind))]
      assert.strictEqual(a.canonical === b.canonical, same)
    }))
  })

  it("never throws, and never lets through what RFC 6749 does not", () => {
    const kind = fc.constantFrom("Entra", "Ciam", "Adfs", "Oidc")
    const input = fc.oneof(anyString, fc.array(anyString), anyString.map(TokenScope.fromResource))
    fc.assert(
      fc.property(input, kind, (input, kind) => {
        const scopes = TokenScope.parse(input, kind)
        if (Result.isFailure(scopes)) return assert.strictEqual(scopes.failure._tag, "EntraInvalidScopeError")
        if (scopes.success.wire === "") return assert.strictEqual(kind, "Oidc")
        assert.match(scopes.success.wire, /^[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*$/)
      }),
      { numRuns: 1000 }
    )
  })

  it("a hostile list makes a short message", () => {
    const many = Array.from({ length: 10_000 }, (_, i) => `api://${i}/.default`)
    assert.isBelow(failure(TokenScope.parse(many)).message.length, 1000)
    assert.isBelow(failure(TokenScope.parse("x".repeat(100_000))).message.length, 300)
  })
})
