import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import fc from "fast-check"
import * as Aead from "../../../src/internal/fleet/aead.ts"

const bytesOf = (bytes: ReadonlyArray<number>) => new Uint8Array(bytes)
const raw = bytesOf(Array.from({ length: 32 }, (_, at) => at))
const nonce = bytesOf(Array.from({ length: Aead.nonceLength }, (_, at) => at))
const context = bytesOf([1, 2, 3])

const both = Effect.promise(() => Promise.all([Aead.make(raw), Aead.makeWeb(raw)]))
const byte = fc.integer({ min: 0, max: 255 })

describe("a key", () => {
  it.live("of Node answers at once, and writes what WebCrypto writes", () =>
    Effect.gen(function*() {
      const [node, web] = yield* both
      yield* Effect.promise(() =>
        fc.assert(fc.asyncProperty(fc.array(byte).map(bytesOf), fc.array(byte).map(bytesOf), async (context, plain) => {
          const sealed = Effect.runSync(node.seal(nonce, context, plain))
          assert.deepStrictEqual([...sealed], [...await Effect.runPromise(web.seal(nonce, context, plain))])
          const opened = Effect.runSync(node.open(nonce, context, bytesOf([...sealed])))
          assert.deepStrictEqual([...opened ?? []], [...plain])
          assert.deepStrictEqual([...await Effect.runPromise(web.open(nonce, context, bytesOf([...sealed]))) ?? []], [
            ...plain
          ])
        }))
      )
    }))

  it.live("opens nothing else", () =>
    Effect.gen(function*() {
      for (const { open, seal } of yield* both) {
        const sealed = bytesOf([...yield* seal(nonce, context, bytesOf([5, 6, 7]))])
        for (let at = 0; at < sealed.length; at++) {
          const damaged = sealed.slice()
          damaged[at] = (damaged[at] ?? 0) ^ 1
          assert.isUndefined(yield* open(nonce, context, damaged))
        }
        assert.isUndefined(yield* open(nonce, bytesOf([1, 2]), sealed))
        assert.isUndefined(yield* open(bytesOf(Array.from({ length: 12 }, () => 9)), context, sealed))
        assert.isUndefined(yield* open(nonce, context, sealed.slice(0, -1)))
      }
    }))
})
