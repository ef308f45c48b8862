import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import fc from "fast-check"
import {
  type Kind,
  make,
  makePlaintext,
  noTag,
  type Sealed,
  type Sealer,
  tagLength
} from "../../../src/internal/fleet/sealing.ts"
import { anyString } from "../support.ts"

const root = (byte: number) => new Uint8Array(32).map((_, at) => byte + at * 7)
const run = Effect.runPromise
const sealerOf = (...roots: ReadonlyArray<number>) => run(make(roots.map(root)))
const sealedOf = async (sealer: Sealer, text: string): Promise<Sealed> => {
  const [sealed] = await run(sealer.of(text))
  if (sealed === undefined) throw new Error("a sealer has a root key")
  return sealed
}
const kinds: ReadonlyArray<Kind> = ["token", "outage", "throttle"]
const kind = fc.constantFrom(...kinds)
const tag = fc.uint8Array({ minLength: tagLength, maxLength: tagLength })
/** UTF-8 has no halves of surrogate pairs; JSON, which is what is sealed, escapes them. */
const text = fc.string({ unit: "binary" })

describe("a value", () => {
  for (const [title, sealer] of [["sealed", sealerOf(1)], ["in plain text", run(makePlaintext)]] as const) {
    it(`${title} is opened under its kind and name`, async () => {
      const sealed = await sealedOf(await sealer, "key")
      await fc.assert(fc.asyncProperty(kind, anyString, tag, text, async (kind, name, tag, text) => {
        const bytes = await run(sealed.seal({ kind, name, tag, text }))
        assert.deepStrictEqual(bytes.subarray(0, tagLength), tag)
        assert.strictEqual(await run(sealed.open(kind, name, bytes)), text)
      }))
    })
  }

  it("that anything happened to is no value, and never an error", async () => {
    const [one, other, strange] = await Promise.all([
      sealedOf(await sealerOf(1), "key"),
      sealedOf(await sealerOf(1), "another key"),
      sealedOf(await sealerOf(2), "key")
    ])
    await fc.assert(fc.asyncProperty(
      kind,
      fc.string(),
      tag,
      text,
      fc.nat(),
      fc.integer({ min: 0, max: 7 }),
      fc.uint8Array({ minLength: 1 }),
      async (kind, name, tag, text, place, bit, more) => {
        const bytes = await run(one.seal({ kind, name, tag, text }))
        const at = place % bytes.length
        const flipped = bytes.slice()
        flipped[at] = (flipped[at] ?? 0) ^ (1 << bit)
        const longer = new Uint8Array([...bytes, ...more])
        const otherBytes = await run(one.seal({ kind, name, tag: tag.map((byte) => byte ^ 1), text: `${text}!` }))
        const tagSwapped = new Uint8Array([...otherBytes.subarray(0, tagLength), ...bytes.subarray(tagLength)])
        const opened = await Promise.all([
          run(one.open(kind, name, flipped)),
          run(one.open(kind, name, bytes.subarray(0, at))),
          run(one.open(kind, name, bytes.subarray(at + 1))),
          run(one.open(kind, name, longer)),
          run(one.open(kind, name, tagSwapped)),
          run(one.open(kind, `${name}.`, bytes)),
          ...kinds.filter((other) => other !== kind).map((other) => run(one.open(other, name, bytes))),
          run(other.open(kind, name, bytes)),
          run(strange.open(kind, name, bytes))
        ])
        for (const text of opened) assert.isUndefined(text)
      }
    ))
  })

  it("of any bytes is no value", async () => {
    const sealed = await sealedOf(await sealerOf(1), "key")
    await fc.assert(fc.asyncProperty(kind, fc.uint8Array({ maxLength: 80 }), async (kind, bytes) => {
      assert.isUndefined(await run(sealed.open(kind, "name", bytes)))
      const versioned = bytes.slice()
      if (versioned.length > tagLength) versioned[tagLength] = 1
      assert.isUndefined(await run(sealed.open(kind, "name", versioned)))
    }))
  })

  it("in plain text is no value of a sealed cache, and the other way round", async () => {
    const sealed = await sealedOf(await sealerOf(1), "key")
    const plain = await sealedOf(await run(makePlaintext), "key")
    await fc.assert(fc.asyncProperty(kind, text, async (kind, text) => {
      const value = { kind, name: "name", tag: noTag, text }
      assert.isUndefined(await run(sealed.open(kind, "name", await run(plain.seal(value)))))
      assert.isUndefined(await run(plain.open(kind, "name", await run(sealed.seal(value)))))
    }))
  })

  it("in plain text that is not UTF-8 is no value", async () => {
    const plain = await sealedOf(await run(makePlaintext), "key")
    assert.isUndefined(await run(plain.open("token", "name", new Uint8Array([...noTag, 0, 0xff, 0xfe]))))
    assert.isUndefined(await run(plain.open("token", "name", new Uint8Array())))
  })

  it("is another one each time it is sealed, and contains nothing of its text", async () => {
    const sealed = await sealedOf(await sealerOf(1), "key")
    const value = { kind: "token" as const, name: "name", tag: noTag, text: "the token itself" }
    const [one, other] = await Promise.all([run(sealed.seal(value)), run(sealed.seal(value))])
    assert.notDeepEqual(one, other)
    assert.notInclude(Buffer.from(one).toString("latin1"), "token")
    assert.strictEqual(one.length, tagLength + 1 + 12 + value.text.length + 16)
  })
})

describe("names", () => {
  it("are 24 characters that a store takes, one for each root key, the newest first", async () => {
    const [both, newest, oldest] = await Promise.all([sealerOf(2, 1), sealerOf(2), sealerOf(1)])
    await fc.assert(fc.asyncProperty(text, async (text) => {
      const ids = (await run(both.of(text))).map(({ id }) => id)
      for (const id of ids) assert.match(id, /^[\w-]{24}$/)
      assert.deepStrictEqual(ids, [(await sealedOf(newest, text)).id, (await sealedOf(oldest, text)).id])
      assert.notStrictEqual(ids[0], ids[1])
    }))
    assert.deepStrictEqual(both.seeds, [...newest.seeds, ...oldest.seeds])
    assert.strictEqual(new Set(both.seeds).size, 2)
  })

  it("differ by text", async () => {
    const sealer = await sealerOf(1)
    await fc.assert(fc.asyncProperty(text, text, async (one, other) => {
      const ids = [(await sealedOf(sealer, one)).id, (await sealedOf(sealer, other)).id]
      assert.strictEqual(ids[0] === ids[1], one === other)
    }))
  })

  it("are the same in each process, and after the names of 10,000 others", async () => {
    const [one, other] = [await sealerOf(1), await sealerOf(1)]
    const { id } = await sealedOf(one, "key")
    const bytes = await run((await sealedOf(one, "key")).seal({ kind: "token", name: "n", tag: noTag, text: "t" }))
    for (let at = 0; at < 10_001; at++) await run(one.of(String(at)))
    for (const sealer of [one, other]) {
      const sealed = await sealedOf(sealer, "key")
      assert.strictEqual(sealed.id, id)
      assert.strictEqual(await run(sealed.open("token", "n", bytes)), "t")
    }
  })
})

describe("tags", () => {
  it("are the same in each process with the same newest root key, and differ by token", async () => {
    const [one, same, other] = await Promise.all([sealerOf(1), sealerOf(1, 2), sealerOf(2, 1)])
    const tagOf = (sealer: Sealer, token: string) => run(sealer.tagOf(Redacted.make(token)))
    assert.strictEqual((await tagOf(one, "a")).length, tagLength)
    assert.deepStrictEqual(await tagOf(one, "a"), await tagOf(same, "a"))
    assert.notDeepEqual(await tagOf(one, "a"), await tagOf(one, "b"))
    assert.notDeepEqual(await tagOf(one, "a"), await tagOf(other, "a"))
    assert.notDeepEqual(await tagOf(one, "a"), noTag)
  })
})
