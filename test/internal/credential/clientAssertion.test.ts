import { assert, describe, it } from "@effect/vitest"
import { Redacted } from "effect"
import fc from "fast-check"
import {
  algorithmFor,
  assertionClaims,
  assertionForm,
  assertionHeader,
  assertionLifetime,
  isAlgorithmOfKey,
  isCompactJwt,
  parseAdditionalClaims,
  withAdditionalClaims
} from "../../../src/internal/credential/clientAssertion.ts"
import { failure, printed, success } from "../support.ts"

const thumbprints = { "x5t#S256": "long", x5t: "short" }

describe("assertionHeader", () => {
  it.each(
    [
      {
        name: "Entra",
        options: { algorithm: "PS256", thumbprint: "x5t#S256", thumbprints, chain: undefined },
        header: { alg: "PS256", typ: "JWT", "x5t#S256": "long" }
      },
      {
        name: "AD FS",
        options: { algorithm: "RS256", thumbprint: "x5t", thumbprints, chain: undefined },
        header: { alg: "RS256", typ: "JWT", x5t: "short" }
      },
      {
        name: "with the chain, leaf first",
        options: { algorithm: "ES256", thumbprint: "x5t#S256", thumbprints, chain: ["leaf", "issuer"] },
        header: { alg: "ES256", typ: "JWT", "x5t#S256": "long", x5c: ["leaf", "issuer"] }
      },
      {
        name: "a key without a certificate",
        options: { algorithm: "ES256", keyId: "k" },
        header: { alg: "ES256", typ: "JWT", kid: "k" }
      },
      {
        name: "a certificate with a name of its own",
        options: { algorithm: "PS256", thumbprint: "x5t#S256", thumbprints, keyId: "k" },
        header: { alg: "PS256", typ: "JWT", kid: "k", "x5t#S256": "long" }
      }
    ] as const
  )("$name", ({ header, options }) => {
    assert.deepStrictEqual<unknown>(assertionHeader(options), header)
  })

  it("has a chain of its own", () => {
    const chain = ["leaf"]
    const header = assertionHeader({ algorithm: "PS256", thumbprint: "x5t#S256", thumbprints, chain })
    chain.push("issuer")
    assert.deepStrictEqual(header.x5c, ["leaf"])
  })
})

describe("assertionClaims", () => {
  it("are those of RFC 7523 section 3", () => {
    assert.deepStrictEqual(assertionClaims({ audience: "aud", clientId: "id", now: 1_767_225_600_999, id: "jti" }), {
      aud: "aud",
      iss: "id",
      sub: "id",
      jti: "jti",
      nbf: 1_767_225_600,
      iat: 1_767_225_600,
      exp: 1_767_226_200
    })
  })

  it("times are whole seconds, never in the future, and ten minutes apart", () => {
    fc.assert(fc.property(fc.double({ min: 0, max: 4e12, noNaN: true }), (now) => {
      const { exp, iat, nbf } = assertionClaims({ audience: "a", clientId: "c", now, id: "i" })
      assert.isTrue(Number.isInteger(nbf) && Number.isInteger(exp))
      assert.isAtMost(nbf * 1000, now)
      assert.strictEqual(iat, nbf)
      assert.strictEqual(exp - nbf, assertionLifetime)
    }))
    assert.strictEqual(assertionLifetime, 600)
  })
})

describe("additionalClaims", () => {
  const cyclic: Record<string, unknown> = {}
  cyclic["self"] = { cyclic }

  it.each([
    { name: "nothing", claims: undefined, field: "assertionClaims" },
    { name: "a string", claims: "a", field: "assertionClaims" },
    { name: "an array", claims: [], field: "assertionClaims" },
    { name: "undefined", claims: { a: undefined }, field: "assertionClaims.a" },
    { name: "a function", claims: { a: [0, () => 0] }, field: "assertionClaims.a[1]" },
    { name: "a bigint", claims: { a: { b: 1n } }, field: "assertionClaims.a.b" },
    { name: "no finite number", claims: { a: Number.NaN }, field: "assertionClaims.a" },
    { name: "a date", claims: { a: new Date(0) }, field: "assertionClaims.a" },
    { name: "a secret", claims: { a: Redacted.make("s") }, field: "assertionClaims.a" },
    { name: "a hole", claims: { a: Array.from({ length: 1 }) }, field: "assertionClaims.a[0]" },
    { name: "itself", claims: cyclic, field: "assertionClaims.self.cyclic" },
    { name: "exp in words", claims: { exp: "1" }, field: "assertionClaims.exp" },
    { name: "nbf of nothing", claims: { nbf: null }, field: "assertionClaims.nbf" },
    { name: "iat in a list", claims: { iat: [1] }, field: "assertionClaims.iat" }
  ])("refuses $name by its field", ({ claims, field }) => {
    assert.strictEqual(failure(parseAdditionalClaims(claims)).field, field)
  })

  it("takes any JSON as it is, in a copy", () => {
    fc.assert(fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (claims) => {
      // Now and then a name that was drawn is one of a time, which must be a number.
      const json: unknown = JSON.parse(JSON.stringify({ ...claims, exp: 1, nbf: 1, iat: 1 }))
      assert.deepStrictEqual<unknown>(success(parseAdditionalClaims(json)), json)
    }))
    const original = { list: [1] }
    const copy = success(parseAdditionalClaims(original))
    original.list.push(2)
    assert.deepStrictEqual<unknown>(copy, { list: [1] })
  })

  it("a claim never appears twice, whichever it is", () => {
    const defaults = assertionClaims({ audience: "aud", clientId: "id", now: 0, id: "jti" })
    const names = [...Object.keys(defaults), "other"]
    fc.assert(fc.property(fc.dictionary(fc.constantFrom(...names), fc.integer()), (claims) => {
      const merged = JSON.stringify(withAdditionalClaims(defaults, { claims, merge: true }))
      for (const name of names) assert.isAtMost(merged.split(`"${name}":`).length, 2)
      assert.deepStrictEqual<unknown>(JSON.parse(merged), { ...defaults, ...claims })
      assert.strictEqual(withAdditionalClaims(defaults, { claims, merge: false }), claims)
    }))
    assert.strictEqual(withAdditionalClaims(defaults, undefined), defaults)
  })
})

describe("algorithms", () => {
  it.each(
    [
      { algorithm: "PS256", rsa: true, fit: true },
      { algorithm: "RS256", rsa: true, fit: true },
      { algorithm: "ES256", rsa: true, fit: false },
      { algorithm: "PS256", rsa: false, fit: false },
      { algorithm: "ES256", rsa: false, fit: true }
    ] as const
  )("$algorithm with RSA $rsa: $fit", ({ algorithm, fit, rsa }) => {
    assert.strictEqual(isAlgorithmOfKey(algorithm, rsa), fit)
  })

  it.each(
    [
      { rsa: true, wanted: undefined, authority: "PS256", is: "PS256" },
      { rsa: true, wanted: undefined, authority: "RS256", is: "RS256" },
      { rsa: true, wanted: "PS256", authority: "RS256", is: "PS256" },
      { rsa: false, wanted: undefined, authority: "RS256", is: "ES256" }
    ] as const
  )("RSA $rsa, wanted $wanted, authority $authority: $is", ({ authority, is, rsa, wanted }) => {
    assert.strictEqual(algorithmFor(rsa, wanted, { rsa: authority }), is)
  })
})

describe("isCompactJwt", () => {
  it.each([
    { name: "three parts", text: "aA0-_.b.c", is: true },
    { name: "two parts", text: "a.b", is: false },
    { name: "four parts", text: "a.b.c.d", is: false },
    { name: "five parts, encrypted", text: "a.b.c.d.e", is: false },
    { name: "no signature", text: "a.b.", is: false },
    { name: "no header", text: ".b.c", is: false },
    { name: "nothing", text: "", is: false },
    { name: "padding", text: "a=.b.c", is: false },
    { name: "base64 that is not base64url", text: "a+.b/.c", is: false },
    { name: "white space around", text: " a.b.c", is: false },
    { name: "a new line at the end", text: "a.b.c\n", is: false },
    { name: "a scheme in front", text: "Bearer a.b.c", is: false },
    { name: "letters beyond ASCII", text: "\u00e9.b.c", is: false }
  ])("$name: $is", ({ is, text }) => {
    assert.strictEqual(isCompactJwt(text), is)
  })

  it("whatever base64url writes is one", () => {
    const part = fc.uint8Array({ minLength: 1 }).map((bytes) => Buffer.from(bytes).toString("base64url"))
    fc.assert(fc.property(fc.tuple(part, part, part), (parts) => assert.isTrue(isCompactJwt(parts.join(".")))))
  })
})

describe("assertionForm", () => {
  it("is client_assertion with its type, and stays redacted", () => {
    const form = assertionForm(Redacted.make("a.b.c"))
    const value = form["client_assertion"]
    assert.strictEqual(form["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
    assert.strictEqual(Redacted.isRedacted(value) ? Redacted.value(value) : value, "a.b.c")
    assert.deepStrictEqual(Object.keys(form).sort(), ["client_assertion", "client_assertion_type"])
    assert.notInclude(printed(form), "a.b.c")
  })
})
