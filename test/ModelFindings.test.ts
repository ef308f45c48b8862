/** Failures that the model (`Model.test.ts`) found, each reduced to a minimal test. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Layer, Redacted } from "effect"
import { AuthorityResolver, ClientCredential, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
import { EntraSimulator } from "effect-entra/testing"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { silent } from "./support/log.ts"
import { contoso, graph, orders, Simulator, tokenRequests, World } from "./support/world.ts"

const { Fault } = EntraSimulator
const acquire = ConfidentialClient.acquireToken({ scopes: graph })
const start = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })

describe("invalidation", () => {
  it.effect("who waited for a request from before it asks after it, and what that brings is kept", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* simulator.fail(Fault.delay("1 second"), { times: 2 })
      yield* start(acquire)
      // Parts the flights of the client, not the lease of the key: the second caller waits for the first.
      yield* ConfidentialClient.invalidate({ scopes: orders })
      const second = yield* start(acquire)
      yield* ConfidentialClient.invalidate("all")
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(second)
      assert.strictEqual(yield* tokenRequests, 2)
      assert.strictEqual((yield* ConfidentialClient.stats).entries, 1)
      assert.strictEqual((yield* acquire).metadata.tokenSource, "Cache")
    }).pipe(Effect.provide(World())))

  it.effect("a refusal of who asks after it is remembered", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* simulator.fail(Fault.delay("1 second"))
      yield* start(acquire)
      yield* ConfidentialClient.invalidate({ scopes: orders })
      const second = yield* start(Effect.flip(acquire))
      yield* simulator.fail(Fault.refused({ code: 65001, error: "invalid_grant" }))
      yield* ConfidentialClient.invalidate("all")
      assert.strictEqual((yield* Fiber.join(second)).origin, "service")
      assert.strictEqual((yield* Effect.flip(acquire)).origin, "local")
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(Effect.provide(World())))

  it.effect("by one client over a shared cache: who asks another client after it gets no token from before it", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      const other = yield* Effect.flatMap(
        ClientCredential.ClientCredential,
        (credential) => ConfidentialClient.make({ ...client, credential })
      )
      yield* simulator.fail(Fault.delay("1 second"), { times: 2 })
      const before = yield* start(acquire)
      yield* other.invalidate("all")
      const after = yield* start(acquire)
      yield* TestClock.adjust("1 second")
      const [old, young] = yield* Effect.forEach([before, after], Fiber.join)
      assert.notStrictEqual(
        young && Redacted.value(young.accessToken),
        old && Redacted.value(old.accessToken)
      )
    }).pipe(Effect.provide(SharedWorld)))
})

describe("minimumValidity", () => {
  it.effect("each of several callers of a shared request gets a token that is valid long enough", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      const forced = ConfidentialClient.acquireToken({ scopes: graph, forceRefresh: true })
      const needy = ConfidentialClient.acquireToken({ scopes: graph, minimumValidity: "50 minutes" })
      // The first request has the lease of the key for eight seconds; the second stores a short token meanwhile.
      yield* simulator.fail(Fault.delay("8 seconds"))
      yield* start(forced)
      yield* TestClock.adjust("1 second")
      yield* simulator.setTokenLifetime("20 seconds")
      yield* start(forced)
      yield* start(acquire)
      const callers = [yield* start(needy), yield* start(needy), yield* start(needy)]
      yield* TestClock.adjust("1 second")
      yield* simulator.setTokenLifetime("1 hour")
      yield* TestClock.adjust("6 seconds")
      for (const { expiresOn } of yield* Effect.forEach(callers, Fiber.join)) {
        assert.strictEqual(expiresOn.epochMilliseconds, 3_608_000)
      }
      assert.strictEqual(yield* tokenRequests, 3)
    }).pipe(Effect.provide(World())))
})

describe("minimumValidity over a shared cache", () => {
  it("is held by a caller that waits for the request of another client", () =>
    fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 10, max: 90 }),
        fc.integer({ min: 2, max: 120 }),
        fc.integer({ min: 1, max: 3 }),
        (lifetime, minutes, callers) =>
          Effect.gen(function*() {
            const simulator = yield* EntraSimulator.EntraSimulator
            const credential = yield* ClientCredential.ClientCredential
            const other = yield* ConfidentialClient.make({ ...client, credential })
            yield* simulator.setTokenLifetime(`${lifetime} seconds`)
            // More than a tenth of the lifetime, so that a longer token may be had.
            yield* simulator.fail(Fault.delay("9500 millis"))
            yield* simulator.fail(Fault.delay("1 second"))
            yield* start(other.acquireToken({ scopes: graph }))
            const needy = ConfidentialClient.acquireToken({ scopes: graph, minimumValidity: `${minutes} minutes` })
            const waiting = yield* Effect.forEach(Array.from({ length: callers }), () => start(needy))
            yield* TestClock.adjust("9 seconds")
            assert.strictEqual(yield* tokenRequests, 1)
            yield* TestClock.adjust("500 millis")
            yield* simulator.setTokenLifetime("3 hours")
            yield* TestClock.adjust("1 second")
            for (const { expiresOn } of yield* Effect.forEach(waiting, Fiber.join)) {
              const left = expiresOn.epochMilliseconds - (yield* Clock.currentTimeMillis)
              assert.isAtLeast(left, minutes * 60_000)
            }
            assert.strictEqual(yield* tokenRequests, 2)
          }).pipe(
            Effect.scoped,
            Effect.provide(SharedWorld),
            Effect.provide([TestClock.layer(), silent]),
            Effect.runPromise
          )
      ),
      { numRuns: 100 }
    ))

  it.effect("is held near expiry by a caller that joins a refresh of the same client, which brings another's token", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      const credential = yield* ClientCredential.ClientCredential
      const other = yield* ConfidentialClient.make({ ...client, credential })
      yield* acquire
      yield* TestClock.adjust("56 minutes")
      // The other client has the lease of the key, and this client's refresh waits for it.
      yield* simulator.setTokenLifetime("10 seconds")
      yield* simulator.fail(Fault.delay("1500 millis"))
      yield* simulator.fail(Fault.delay("1 second"))
      yield* start(other.acquireToken({ scopes: graph }))
      yield* start(acquire)
      const needy = yield* start(ConfidentialClient.acquireToken({ scopes: graph, minimumValidity: "1 minute" }))
      yield* TestClock.adjust("1500 millis")
      yield* simulator.setTokenLifetime("1 hour")
      yield* TestClock.adjust("1 second")
      const { expiresOn } = yield* Fiber.join(needy)
      assert.isAtLeast(expiresOn.epochMilliseconds - (yield* Clock.currentTimeMillis), 60_000)
    }).pipe(Effect.provide(SharedWorld)))
})

const client: ConfidentialClient.Options = { clientId: EntraSimulator.daemonClientId, tenantId: contoso }

const SharedWorld = ConfidentialClient.layer(client).pipe(
  Layer.provideMerge([
    ClientCredential.layerSecret(EntraSimulator.daemonSecret),
    AuthorityResolver.layer,
    TokenEndpoint.layer,
    TokenCache.layerMemory()
  ]),
  Layer.provideMerge(Simulator())
)
