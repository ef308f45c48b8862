import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { TokenStore } from "effect-entra"
import { TestClock } from "effect/testing"

const bytes = new Uint8Array([1, 2, 3])

describe("the store for tests", () => {
  it.effect("keeps a value for its time and tells the rest of it", () =>
    Effect.gen(function*() {
      const store = yield* TokenStore.TokenStore
      assert.isUndefined(yield* store.get("a"))
      yield* store.set("a", bytes, Duration.seconds(60))
      yield* TestClock.adjust("59 seconds")
      assert.deepStrictEqual(yield* store.get("a"), { bytes, ttl: Duration.seconds(1) })
      yield* TestClock.adjust("1 second")
      assert.isUndefined(yield* store.get("a"))
    }).pipe(Effect.provide(TokenStore.layerTest)))

  it.effect("replaces and removes by name, and keeps bytes of its own", () =>
    Effect.gen(function*() {
      const store = yield* TokenStore.TokenStore
      const mine = bytes.slice()
      yield* store.set("a", mine, Duration.seconds(1))
      yield* store.set("b", mine, Duration.seconds(1))
      mine.fill(0)
      assert.deepStrictEqual((yield* store.get("a"))?.bytes, bytes)
      yield* store.set("a", new Uint8Array([9]), Duration.seconds(2))
      yield* store.remove("b")
      assert.deepStrictEqual(yield* store.get("a"), { bytes: new Uint8Array([9]), ttl: Duration.seconds(2) })
      assert.isUndefined(yield* store.get("b"))
    }).pipe(Effect.provide(TokenStore.layerTest)))
})
