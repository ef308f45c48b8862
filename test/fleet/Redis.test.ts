import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { startProcess } from "../support/fleet.ts"
import { makeStore } from "../support/fleetStores.ts"
import { standalone } from "../support/redis.ts"
import { until } from "../support/until.ts"
import { orders, Simulator, tokenRequests } from "../support/world.ts"

const request = { scopes: orders }

describe("a fleet over Redis", () => {
  it.live("shares a token, and forgets it together", () =>
    Effect.gen(function*() {
      const server = yield* standalone()
      const store = yield* makeStore(server.url)
      const one = yield* startProcess({ store })
      const other = yield* startProcess({ store })
      const first = yield* one.client.acquireToken(request)
      assert.strictEqual(first.metadata.tokenSource, "IdentityProvider")
      yield* until(
        "the token is stored",
        Effect.map(server.command("KEYS", "*v:*"), (keys) => String(keys) === "" ? undefined : keys)
      )
      const second = yield* other.client.acquireToken(request)
      assert.strictEqual(second.metadata.cacheLevel, "L2")
      assert.strictEqual(Redacted.value(second.accessToken), Redacted.value(first.accessToken))
      assert.strictEqual((yield* other.client.acquireToken(request)).metadata.cacheLevel, "L1")
      assert.strictEqual(yield* tokenRequests, 1)

      yield* one.client.invalidate("all")
      const isForgotten = Effect.sync(() => other.client.peek(request) === undefined ? true : undefined)
      yield* until("the other has forgotten", isForgotten, "1 second")
      const third = yield* other.client.acquireToken(request)
      assert.strictEqual(third.metadata.cacheLevel, "None")
      assert.strictEqual(yield* tokenRequests, 2)
      const { store: counts } = yield* other.cache.stats
      assert.deepInclude(counts, { hits: 1, misses: 1, invalidations: 1, unreadable: 0, outages: 0, isDown: false })
    }).pipe(Effect.provide(Simulator())))

  it.live("a thousand callers in ten processes: one request", () =>
    Effect.gen(function*() {
      const server = yield* standalone()
      const store = yield* makeStore(server.url)
      const processes = yield* Effect.forEach(Array.from({ length: 10 }), () => startProcess({ store }))
      const calls = processes.flatMap(({ client }) => Array.from({ length: 100 }, () => client.acquireToken(request)))
      const results = yield* Effect.all(calls, { concurrency: "unbounded" })
      assert.strictEqual(new Set(results.map(({ accessToken }) => Redacted.value(accessToken))).size, 1)
      assert.strictEqual(yield* tokenRequests, 1)
    }).pipe(Effect.provide(Simulator())))
})
