import { assert, describe, it } from "@effect/vitest"
import { Redacted, Result } from "effect"
import type { TokenRequest } from "effect-entra"
import fc from "fast-check"
import { clientExtrasOf, type ExtraOptions, extrasOf } from "../../../src/internal/request/extraParameters.ts"
import { assertToldInFull } from "../../support/shown.ts"
import { failure, success } from "../support.ts"

const plain = success(clientExtrasOf({}))
const of = (options: ExtraOptions, client = plain) => success(extrasOf(options, client))

describe("extrasOf", () => {
  it("a request without any has the client's", () => {
    assert.deepStrictEqual(of({}), plain.own)
    assert.deepStrictEqual(plain.own, { query: {}, form: {}, capabilities: [], claims: "", partition: "", sent: "" })
  })

  it("a parameter of the request is taken before the client's of the same name", () => {
    const client = success(clientExtrasOf({ extraQueryParameters: { slice: "1", dc: "x" } }))
    assert.deepStrictEqual(of({ extraQueryParameters: { slice: "2" } }, client).query, { slice: "2", dc: "x" })
    assert.notStrictEqual(client.own.partition, plain.own.partition)
  })

  it("a parameter outside the cache key is sent all the same, and flights know of it", () => {
    const outside = of({ extraQueryParameters: { trace: { value: "1", inCacheKey: false } } })
    assert.deepStrictEqual(outside.query, { trace: "1" })
    assert.strictEqual(outside.partition, "")
    assert.notStrictEqual(outside.sent, "")
  })

  it("a partition is not sent", () => {
    const { form, partition, query, sent } = of({ cachePartition: "blue" })
    assert.deepStrictEqual({ form, query, sent }, { form: {}, query: {}, sent: "" })
    assert.notStrictEqual(partition, "")
  })

  it.each([
    { name: "a plain value", value: "b" },
    { name: "a secret", value: Redacted.make("b") }
  ])("$name in the query and the same in the body have different keys", ({ value }) => {
    const query = of({ extraQueryParameters: { a: value } })
    const body = of({ extraBodyParameters: { a: value } })
    assert.notStrictEqual(query.partition, body.partition)
    assert.notStrictEqual(query.sent, body.sent)
  })

  it("a redacted value stays redacted", () => {
    const value = Redacted.make("hush")
    assert.strictEqual(of({ extraBodyParameters: { ticket: value } }).form["ticket"], value)
    assert.strictEqual(of({ extraQueryParameters: { ticket: value } }).query["ticket"], value)
  })

  it("a secret is told apart from others without being in a key", () => {
    const keyOf = (ticket: string | Redacted.Redacted<string>) => {
      const { partition, sent } = of({ extraBodyParameters: { ticket } })
      return `${partition} ${sent}`
    }
    const keys = ["hush", "hash"].map((text) => keyOf(Redacted.make(text)))
    for (const key of keys) assert.notMatch(key, /hush|hash/)
    assert.strictEqual(keys[0], keyOf(Redacted.make("hush")))
    // A plain value that looks like the name of a secret is none.
    const plainOnes = Array.from({ length: 100 }, (_, n) => keyOf(`${n}`))
    assert.strictEqual(new Set([...keys, ...plainOnes]).size, 102)
  })

  it("two clients never name two secrets alike", () => {
    const of = (text: string) =>
      success(clientExtrasOf({ extraQueryParameters: { ticket: Redacted.make(text) } })).own.partition
    assert.notStrictEqual(of("hush"), of("hash"))
  })

  it("the names of the 10,000 last secrets are kept, and of at most 20,000", () => {
    const keyOf = (n: number) => of({ extraBodyParameters: { ticket: Redacted.make(`secret ${n}`) } }).partition
    const [first, second] = [keyOf(0), keyOf(1)]
    for (let n = 2; n <= 10_000; n++) keyOf(n)
    assert.strictEqual(keyOf(1), second)
    for (let n = 10_001; n <= 20_000; n++) keyOf(n)
    assert.notStrictEqual(keyOf(0), first)
  })

  it("a secret that is used is not forgotten, and what is outside the key pushes none out", () => {
    const stable = { ticket: Redacted.make("stable") }
    const { partition } = of({ extraBodyParameters: stable })
    for (let n = 0; n <= 10_000; n++) {
      const nonce = { value: Redacted.make(`nonce ${n}`), inCacheKey: false }
      of({ extraBodyParameters: { nonce } })
      if (n % 5_000 === 0) of({ extraBodyParameters: stable })
      of({ extraBodyParameters: { other: Redacted.make(`other ${n}`) } })
    }
    assert.strictEqual(of({ extraBodyParameters: stable }).partition, partition)
  })

  it("a secret that has been wiped is no parameter", () => {
    const ticket = Redacted.make("hush")
    Redacted.wipeUnsafe(ticket)
    assert.strictEqual(failure(extrasOf({ extraBodyParameters: { ticket } }, plain)).field, "extraBodyParameters")
  })

  it("the order of writing does not matter", () => {
    const one = of({ extraBodyParameters: { a: "1", b: "2" }, extraQueryParameters: { c: "3" } })
    const another = of({ extraQueryParameters: { c: "3" }, extraBodyParameters: { b: "2", a: "1" } })
    assert.strictEqual(one.partition, another.partition)
    assert.strictEqual(one.sent, another.sent)
  })

  it("different components never share a partition, however they are cut", () => {
    const parameters = fc.dictionary(fc.string({ minLength: 1, maxLength: 3 }).map((name) => `x${name}`), fc.string(), {
      maxKeys: 3
    })
    const options = fc.record({
      extraQueryParameters: parameters,
      extraBodyParameters: parameters,
      cachePartition: fc.option(fc.string({ minLength: 1, maxLength: 3 }), { nil: undefined })
    })
    const sorted = (record: Record<string, string>) => Object.entries(record).sort(([a], [b]) => a < b ? -1 : 1)
    const meaning = (
      of: { extraQueryParameters: Record<string, string>; extraBodyParameters: Record<string, string> }
    ) =>
      JSON.stringify([
        sorted(of.extraQueryParameters),
        sorted(of.extraBodyParameters),
        "cachePartition" in of ? of.cachePartition : null
      ])
    fc.assert(
      fc.property(options, options, (one, another) => {
        assert.strictEqual(of(one).partition === of(another).partition, meaning(one) === meaning(another))
      }),
      { numRuns: 500 }
    )
  })

  it.each<{ name: string; options: ExtraOptions; field: string; says: string }>([
    {
      name: "no object",
      options: { extraQueryParameters: JSON.parse("[]") },
      field: "extraQueryParameters",
      says: "object"
    },
    {
      name: "null",
      options: { extraBodyParameters: JSON.parse("null") },
      field: "extraBodyParameters",
      says: "object"
    },
    {
      name: "capabilities in one string",
      options: { clientCapabilities: JSON.parse(`"cp1"`) },
      field: "clientCapabilities",
      says: "array"
    },
    { name: "no name", options: { extraQueryParameters: { "": "x" } }, field: "extraQueryParameters", says: "name" },
    {
      name: "a number",
      options: { extraBodyParameters: JSON.parse(`{"a":1}`) },
      field: "extraBodyParameters",
      says: `"a"`
    },
    {
      name: "half a parameter",
      options: { extraBodyParameters: JSON.parse(`{"a":{"value":"1"}}`) },
      field: "extraBodyParameters",
      says: `"a"`
    },
    {
      name: "the credential",
      options: { extraBodyParameters: { Client_Secret: "hush" } },
      field: "extraBodyParameters",
      says: "which the library sets"
    },
    {
      name: "the scope",
      options: { extraBodyParameters: { scope: "x" } },
      field: "extraBodyParameters",
      says: "which the library sets"
    },
    {
      name: "the claims",
      options: { extraBodyParameters: { claims: "{}" } },
      field: "extraBodyParameters",
      says: "which the library sets"
    },
    { name: "an empty partition", options: { cachePartition: "" }, field: "cachePartition", says: "empty" },
    {
      name: "a partition that is none",
      options: { cachePartition: JSON.parse("7") },
      field: "cachePartition",
      says: "not a non-empty string"
    }
  ])("refused: $name", ({ field, options, says }) => {
    const error = failure(extrasOf(options, plain))
    assert.strictEqual(error._tag, "EntraInvalidRequestError")
    assert.strictEqual(error.code, "field_malformed")
    assertToldInFull(error)
    assert.strictEqual(error.field, field)
    assert.include(error.message, says)
    assert.notInclude(error.message, "hush")
    assert.notStrictEqual(error.remedy, "")
  })

  it("a parameter that is undefined is none", () => {
    const absent: TokenRequest.ExtraParameters = { a: undefined }
    assert.deepStrictEqual(of({ extraQueryParameters: absent }).query, {})
  })
})

describe("clientExtrasOf", () => {
  it("capabilities keep tokens apart, in whatever order", () => {
    const one = success(clientExtrasOf({ clientCapabilities: ["cp1", "cp2"] }))
    const another = success(clientExtrasOf({ clientCapabilities: ["cp2", "cp1", "cp2"] }))
    assert.strictEqual(one.own.partition, another.own.partition)
    assert.notStrictEqual(one.own.partition, "")
    assert.strictEqual(one.own.sent, "")
  })

  it.each([[""], ["c p"], ["cp1,cp2"]])("refused: the capability %j", (capability) => {
    assert.strictEqual(failure(clientExtrasOf({ clientCapabilities: [capability] })).field, "clientCapabilities")
  })

  it("refused: capabilities that are no array", () => {
    assert.isTrue(Result.isFailure(clientExtrasOf({ clientCapabilities: JSON.parse(`"cp1"`) })))
  })
})
