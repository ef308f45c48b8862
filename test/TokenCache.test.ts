import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { AuthorityResolver, ClientCredential, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
import { EntraSimulator } from "effect-entra/testing"
import { TestClock } from "effect/testing"
import { contoso, graph, Simulator, tokenRequests } from "./support/world.ts"

describe("layerMemory", () => {
  it.effect.each([
    { field: "maxEntries", options: { maxEntries: Number.NaN } },
    { field: "maxEntries", options: { maxEntries: -1 } },
    { field: "maxBytes", options: { maxBytes: Number.NaN } }
  ])("refuses a bound that is none: $options", ({ field, options }) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Layer.build(TokenCache.layerMemory(options)))
      assert.deepInclude(error, { _tag: "EntraInvalidRequestError", code: "field_malformed", field })
    }))
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
