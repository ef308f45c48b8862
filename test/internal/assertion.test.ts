import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { assertionClaims, assertionHeader, assertionLifetime, isCompactJwt } from "../../src/internal/assertion.ts"

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
