import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { encode, keyOf, ownerOf, selects, spaceOf, textOf } from "../../../src/internal/cache/cacheKey.ts"
import { anyString } from "../support.ts"

/** Parts made of what an encoding is made of, so that collisions would be found if there were any. */
const tricky = fc.oneof(
  anyString,
  fc.string({ unit: fc.constantFrom("0", "1", "2", ":", "a", ",", "\0"), maxLength: 6 })
)
const parts = fc.array(tricky, { maxLength: 5 })

describe("encode", () => {
  it.each([
    { name: "nothing", parts: [], text: "" },
    { name: "an empty part", parts: [""], text: "0:" },
    { name: "two parts", parts: ["a", "bc"], text: "1:a2:bc" },
    { name: "a part that looks like an encoding", parts: ["1:a"], text: "3:1:a" }
  ])("$name", ({ parts, text }) => {
    assert.strictEqual(encode(parts), text)
  })

  it.each([
    { one: ["a", "bc"], other: ["ab", "c"] },
    { one: ["a", ""], other: ["", "a"] },
    { one: [""], other: [] },
    { one: ["1:a"], other: ["a"] },
    { one: ["a", "b"], other: ["a1:b"] }
  ])("$one is not $other", ({ one, other }) => {
    assert.notStrictEqual(encode(one), encode(other))
  })

  it("different lists give different strings", () => {
    fc.assert(
      fc.property(parts, parts, (one, other) => {
        const same = one.length === other.length && one.every((part, i) => part === other[i])
        assert.strictEqual(encode(one) === encode(other), same)
      }),
      { numRuns: 2000 }
    )
  })

  it("the same characters cut elsewhere give another string", () => {
    fc.assert(fc.property(fc.string({ minLength: 1, maxLength: 12 }), fc.nat(), fc.nat(), (text, i, j) => {
      const [a, b] = [i % (text.length + 1), j % (text.length + 1)]
      fc.pre(a !== b)
      assert.notStrictEqual(encode([text.slice(0, a), text.slice(a)]), encode([text.slice(0, b), text.slice(b)]))
    }))
  })

  it("reads back", () => {
    const decode = (text: string): ReadonlyArray<string> => {
      const found: Array<string> = []
      for (let i = 0; i < text.length;) {
        const colon = text.indexOf(":", i)
        const end = colon + 1 + Number(text.slice(i, colon))
        found.push(text.slice(colon + 1, end))
        i = end
      }
      return found
    }
    fc.assert(fc.property(parts, (list) => assert.deepStrictEqual(decode(encode(list)), list)))
  })
})

describe("owners and spaces", () => {
  const binding = fc.option(fc.record({ tokenType: tricky, keyId: tricky }), { nil: undefined })

  it("no owner's spaces start with another owner", () => {
    fc.assert(
      fc.property(tricky, tricky, tricky, tricky, binding, (clientA, envA, clientB, envB, bound) => {
        const [a, b] = [ownerOf(clientA, envA), ownerOf(clientB, envB)]
        assert.isTrue(spaceOf(a, bound).startsWith(a))
        assert.strictEqual(spaceOf(b, bound).startsWith(a), clientA === clientB && envA === envB)
      }),
      { numRuns: 2000 }
    )
  })

  it("bound tokens have spaces of their own", () => {
    const owner = ownerOf("client", "environment")
    const spaces = [
      spaceOf(owner, undefined),
      spaceOf(owner, { tokenType: "mtls_pop", keyId: "" }),
      spaceOf(owner, { tokenType: "mtls_pop", keyId: "a" }),
      spaceOf(owner, { tokenType: "pop", keyId: "a" }),
      spaceOf(owner, { tokenType: "Bearer", keyId: "a" })
    ]
    assert.strictEqual(new Set(spaces).size, spaces.length)
    assert.strictEqual(spaceOf(owner, { tokenType: "Bearer", keyId: "" }), spaceOf(owner, undefined))
  })
})

describe("selects", () => {
  const owner = ownerOf("client", "environment")
  const key = { space: spaceOf(owner, undefined), tenant: "t", scopes: "s" }

  it.each([
    { name: "the owner", selector: { owner }, selected: true },
    { name: "the tenant", selector: { owner, tenant: "t" }, selected: true },
    { name: "the scopes", selector: { owner, tenant: "t", scopes: "s" }, selected: true },
    { name: "the scopes in every tenant", selector: { owner, scopes: "s" }, selected: true },
    { name: "another owner", selector: { owner: ownerOf("client", "elsewhere") }, selected: false },
    { name: "an owner whose name goes on", selector: { owner: ownerOf("clien", "tenvironment") }, selected: false },
    { name: "another tenant", selector: { owner, tenant: "t2" }, selected: false },
    { name: "the tenant with no name", selector: { owner, tenant: "" }, selected: false },
    { name: "other scopes", selector: { owner, tenant: "t", scopes: "s2" }, selected: false },
    { name: "the scopes of another tenant", selector: { owner, tenant: "t2", scopes: "s" }, selected: false }
  ])("$name: $selected", ({ selected, selector }) => {
    assert.strictEqual(selects(selector, key), selected)
  })

  it("takes every kind of token of an owner", () => {
    const bound = { ...key, space: spaceOf(owner, { tokenType: "mtls_pop", keyId: "k" }) }
    assert.isTrue(selects({ owner }, bound))
    assert.isTrue(selects({ owner, tenant: "t", scopes: "s" }, bound))
  })
})

describe("keyOf", () => {
  it("different places and additions have different texts", () => {
    const place = fc.record({ space: tricky, tenant: tricky, scopes: tricky })
    fc.assert(fc.property(place, place, parts, parts, (one, other, more, less) => {
      const text = (place: typeof one, more: ReadonlyArray<string>) =>
        keyOf(place.space, place.tenant, place.scopes).text + encode(more)
      const same = encode([one.space, one.tenant, one.scopes, ...more]) ===
        encode([other.space, other.tenant, other.scopes, ...less])
      assert.strictEqual(text(one, more) === text(other, less), same)
      assert.notStrictEqual(text(one, more), text(one, [...more, ""]))
      assert.notStrictEqual(text(one, []), text({ ...one, tenant: `${one.tenant}x` }, []))
      assert.strictEqual(text(one, []), textOf(one))
    }))
  })
})
