import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { AuthorityResolver, ClientCredential, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
import { EntraSimulator } from "effect-entra/testing"
import { TestClock } from "effect/testing"
import { contoso, graph, Simulator, tokenRequests, World } from "./support/world.ts"

describe("layerMemory", () => {
  it.effect("counts a key's bytes too, such as those of a parameter", () =>
    Effect.gen(function*() {
      for (let n = 0; n < 30; n++) {
        const ticket = `${n}`.padEnd(10_000, "x")
        yield* ConfidentialClient.acquireToken({ scopes: graph, extraBodyParameters: { ticket } })
      }
      const { bytes, evictions } = yield* ConfidentialClient.stats
      assert.isAtMost(bytes, 100_000)
      assert.isAtLeast(evictions, 20)
    }).pipe(Effect.provide(World({ cache: TokenCache.layerMemory({ maxBytes: 100_000 }) }))))
})

describe("layerNoop", () => {
  it.effect("stores nothing: each token comes from the service, and no entry is counted", () =>
    Effect.gen(function*() {
      for (let n = 0; n < 2; n++) {
        const { metadata } = yield* ConfidentialClient.acquireToken({ scopes: graph })
        assert.deepInclude(metadata, {
          tokenSource: "IdentityProvider",
          cacheLevel: "None",
          cacheRefreshReason: "CacheDisabled"
        })
      }
      assert.isUndefined(yield* ConfidentialClient.peek({ scopes: graph }))
      assert.deepInclude(yield* ConfidentialClient.stats, { entries: 0, bytes: 0, evictions: 0, hits: 0, misses: 2 })
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(Effect.provide(World({ cache: TokenCache.layerNoop }))))
})

describe("many clients over one cache", () => {
  const Services = Layer.provideMerge(
    Layer.mergeAll(AuthorityResolver.layer, TokenEndpoint.layer, TokenCache.layerMemory()),
    Simulator()
  )
  const clients = Effect.flatMap(ClientCredential.secret(EntraSimulator.daemonSecret), (credential) =>
    Effect.all(
      Array.from(
        { length: 10 },
        () => ConfidentialClient.make({ clientId: EntraSimulator.daemonClientId, tenantId: contoso, credential })
      )
    ))

  it.effect("one asks, and the others get what it stored", () =>
    Effect.gen(function*() {
      yield* Effect.forEach(yield* clients, (client) => client.acquireToken({ scopes: graph }), {
        concurrency: "unbounded"
      })
      assert.strictEqual(yield* tokenRequests, 1)
    }).pipe(Effect.provide(Services)))

  it.effect("in an outage nobody waits for all the others in turn", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* simulator.fail(EntraSimulator.Fault.delay("1 hour"), { times: Infinity })
      const fibers = yield* Effect.forEach(yield* clients, (client) =>
        Effect.forkChild(Effect.exit(client.acquireToken({ scopes: graph })), { startImmediately: true }))
      // One for the first, and one for those who waited for it; the budget of each is 30 seconds.
      yield* TestClock.adjust("60 seconds")
      for (const fiber of fibers) {
        assert.isDefined(fiber.pollUnsafe())
      }
    }).pipe(Effect.provide(Services)))
})
