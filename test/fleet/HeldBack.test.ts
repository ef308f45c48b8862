/** Replies of Redis that invalidations overtake. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Redacted } from "effect"
import { RedisStore } from "effect-entra/node"
import { faultyProxy } from "../support/faultyProxy.ts"
import { startProcess } from "../support/fleet.ts"
import { memoryProvider } from "../support/fleetProvider.ts"
import { standalone } from "../support/redis.ts"
import { until } from "../support/until.ts"

const request = { scopes: "api://orders/.default" }
const other = { scopes: "api://other/.default" }

/** A token of another process is in Redis, and the reply to this process is held back for a while. */
const heldBack = Effect.gen(function*() {
  const server = yield* standalone()
  const proxy = yield* faultyProxy(server.port)
  const writer = yield* startProcess({ store: yield* RedisStore.make({ url: server.url }) })
  const reader = yield* startProcess({ store: yield* RedisStore.make({ url: `redis://127.0.0.1:${proxy.port}` }) })
  yield* reader.client.acquireToken(other)
  const old = Redacted.value((yield* writer.client.acquireToken(request)).accessToken)
  yield* until(
    "both tokens are stored",
    Effect.map(
      server.command("KEYS", "*v:*"),
      (keys) => Array.isArray(keys) && keys.length === 2 ? true : undefined
    )
  )
  yield* proxy.set({ delay: "120 millis" })
  const reading = yield* Effect.forkScoped(reader.client.acquireToken(request))
  // Long enough for the command to reach Redis, whose reply the proxy then has.
  yield* Effect.sleep("40 millis")
  const inMemory = Effect.sync(() => {
    const found = reader.client.peek(request)
    return found === undefined ? undefined : Redacted.value(found.accessToken)
  })
  return { old, reading, reader, writer, inMemory, proxy }
})

describe("a GET that is held back over an invalidation", () => {
  it.live("of this process: the old token is in memory neither then nor later, and no caller gets it", () => {
    const provider = memoryProvider()
    return Effect.gen(function*() {
      const { inMemory, old, reader, reading } = yield* heldBack
      yield* reader.client.invalidate("all")
      const { accessToken } = yield* Fiber.join(reading)
      assert.notStrictEqual(Redacted.value(accessToken), old)
      for (let left = 20; left > 0; left--) {
        assert.notStrictEqual(yield* inMemory, old)
        yield* Effect.sleep("20 millis")
      }
      assert.strictEqual(yield* inMemory, Redacted.value(accessToken))
    }).pipe(Effect.provide(provider.layer))
  })

  it.live("of another process: the old token is gone within a second", () => {
    const provider = memoryProvider()
    return Effect.gen(function*() {
      const { inMemory, old, proxy, reading, writer } = yield* heldBack
      yield* writer.client.invalidate("all")
      yield* Fiber.join(reading)
      yield* proxy.set("pass")
      yield* until(
        "the old token is gone",
        Effect.map(inMemory, (token) => token === old ? undefined : true),
        "1 second"
      )
      for (let left = 20; left > 0; left--) {
        assert.notStrictEqual(yield* inMemory, old)
        yield* Effect.sleep("20 millis")
      }
    }).pipe(Effect.provide(provider.layer))
  })
})
