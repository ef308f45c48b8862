/** `ConfidentialClient.events`: what it says, what it keeps to itself, and what it costs. */
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Duration, Effect, Exit, Fiber, Layer, Redacted, Scope, Stream } from "effect"
import { type ClientEvent, ConfidentialClient, RetryPolicy } from "effect-entra"
import { EntraSimulator } from "effect-entra/testing"
import { TestClock } from "effect/testing"
import { inspect } from "node:util"
import { fabrikam, graph, orders, World } from "./support/world.ts"

const { Fault } = EntraSimulator
const clientId = EntraSimulator.daemonClientId
const acquire = ConfidentialClient.acquireToken({ scopes: graph })

/** Everything that is said from now on; a subscriber of its own that never falls behind. */
const subscribe = Effect.gen(function*() {
  const seen: Array<ClientEvent.ClientEvent> = []
  const fiber = yield* Effect.forkChild(
    Stream.runForEach(ConfidentialClient.events, (event) => Effect.sync(() => seen.push(event))),
    { startImmediately: true }
  )
  return { fiber, seen }
})

const settle = TestClock.adjust(0)

describe("events", () => {
  it.effect("one of a miss, none of hits and joiners, all that was asked and nothing secret", () =>
    Effect.gen(function*() {
      const { seen } = yield* subscribe
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* simulator.fail(Fault.delay("3 seconds"))
      const request = { scopes: [orders], tenantId: fabrikam, claims: `{"a":"a-claim"}`, correlationId: "call-1" }
      const callers = yield* Effect.forkChild(
        Effect.all(Array.from({ length: 20 }, () => ConfidentialClient.acquireToken(request)), {
          concurrency: "unbounded"
        }),
        { startImmediately: true }
      )
      yield* TestClock.adjust("3 seconds")
      const [result] = yield* Fiber.join(callers)
      yield* acquire
      for (let hit = 0; hit < 100; hit++) yield* acquire
      yield* settle
      assert.strictEqual(seen.length, 2)
      assert.deepStrictEqual(seen[0], {
        _tag: "TokenAcquired",
        time: DateTime.makeUnsafe(3000),
        clientId,
        tenantId: fabrikam,
        scopes: [orders],
        correlationId: "call-1",
        cacheRefreshReason: "ForceRefreshOrClaims",
        attempts: 1,
        durations: {
          total: Duration.seconds(3),
          cache: Duration.zero,
          credential: Duration.zero,
          http: Duration.seconds(3)
        },
        tokenSource: "IdentityProvider",
        cacheLevel: "None",
        expiresOn: DateTime.makeUnsafe(3_599_000)
      })
      const said = inspect(seen, { depth: 20, showHidden: true }) + JSON.stringify(seen)
      const token = result === undefined ? "no token" : Redacted.value(result.accessToken)
      for (const secret of [token, Redacted.value(EntraSimulator.daemonSecret), "a-claim"]) {
        assert.notInclude(said, secret)
      }
    }).pipe(Effect.provide(World())))

  it.effect("renewals are told from what somebody waited for, and failures carry the typed error", () =>
    Effect.gen(function*() {
      const { seen } = yield* subscribe
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* acquire
      yield* TestClock.adjust("1800 seconds")
      yield* simulator.fail(Fault.throttled({ retryAfter: "10 seconds" }))
      yield* acquire
      yield* settle
      yield* TestClock.adjust("30 seconds")
      yield* acquire
      yield* settle
      const error = yield* Effect.flip(ConfidentialClient.acquireToken({ scopes: "api://nobody/.default" }))
      // Remembered: a flight that sends nothing.
      yield* Effect.flip(ConfidentialClient.acquireToken({ scopes: "api://nobody/.default" }))
      yield* settle
      assert.deepStrictEqual(
        seen.map((event) => [
          event._tag,
          event.cacheRefreshReason,
          event.attempts,
          event._tag === "AcquisitionFailed" ? event.error._tag : event.cacheLevel
        ]),
        [
          ["TokenAcquired", "NoCachedAccessToken", 1, "None"],
          ["AcquisitionFailed", "ProactivelyRefreshed", 1, "EntraThrottledError"],
          ["TokenRefreshed", "ProactivelyRefreshed", 1, "None"],
          ["AcquisitionFailed", "NoCachedAccessToken", 1, "EntraTokenRequestError"],
          ["AcquisitionFailed", "NoCachedAccessToken", 0, "EntraTokenRequestError"]
        ]
      )
      const failed = seen[3]
      assert.strictEqual(failed?._tag === "AcquisitionFailed" ? failed.error : undefined, error)
    }).pipe(Effect.provide(World({ retry: RetryPolicy.none }))))

  it.effect("a failure in the last minutes is a renewal's only when the token in hand is served", () =>
    Effect.gen(function*() {
      const { seen } = yield* subscribe
      yield* acquire
      yield* ConfidentialClient.acquireToken({ scopes: orders })
      yield* TestClock.adjust("3400 seconds")
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* simulator.fail(Fault.unavailable())
      assert.isTrue((yield* acquire).metadata.outage)
      yield* simulator.fail(Fault.refused({ code: 65001, error: "invalid_grant" }))
      yield* Effect.flip(ConfidentialClient.acquireToken({ scopes: orders }))
      yield* settle
      assert.deepStrictEqual(
        seen.slice(2).map(({ _tag, cacheRefreshReason, scopes }) => [_tag, cacheRefreshReason, scopes.join(" ")]),
        [
          ["AcquisitionFailed", "ProactivelyRefreshed", graph],
          ["AcquisitionFailed", "Expired", orders]
        ]
      )
    }).pipe(
      Effect.provide(World({ retry: RetryPolicy.none, client: { renewal: { serveStaleOnRefusal: false } } }))
    ))

  it.effect("closing the client ends the stream, for those who come later too", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(World(), scope)
      yield* Effect.gen(function*() {
        const { fiber, seen } = yield* subscribe
        yield* acquire
        const simulator = yield* EntraSimulator.EntraSimulator
        yield* simulator.fail(Fault.delay("5 seconds"))
        const flying = yield* Effect.forkChild(Effect.exit(ConfidentialClient.acquireToken({ scopes: orders })), {
          startImmediately: true
        })
        yield* Scope.close(scope, Exit.void)
        yield* Fiber.join(flying)
        yield* Fiber.join(fiber)
        assert.deepStrictEqual(seen.map(({ scopes }) => scopes), [[graph]])
        assert.deepStrictEqual(yield* Stream.runCollect(ConfidentialClient.events), [])
      }).pipe(Effect.provide(context))
    }))

  it.effect("a subscriber who does not read holds nobody up, and finds the newest 256", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(World(), scope)
      yield* Effect.gen(function*() {
        const forced = (call: number) =>
          ConfidentialClient.acquireToken({ scopes: graph, forceRefresh: true, correlationId: `call-${call}` })
        const started = Promise.withResolvers<void>()
        const goOn = Promise.withResolvers<void>()
        const slow = yield* Effect.forkChild(
          ConfidentialClient.events.pipe(
            Stream.rechunk(1),
            Stream.tap((event) =>
              event.correlationId === "call-0"
                ? Effect.andThen(Effect.sync(() => started.resolve()), Effect.promise(() => goOn.promise))
                : Effect.void
            ),
            Stream.runCollect
          ),
          { startImmediately: true }
        )
        yield* forced(0)
        yield* Effect.promise(() => started.promise)
        for (let call = 1; call <= 1000; call++) yield* forced(call)
        goOn.resolve()
        yield* Scope.close(scope, Exit.void)
        const heard = yield* Fiber.join(slow)
        assert.deepStrictEqual(
          heard.map(({ correlationId }) => correlationId),
          ["call-0", ...Array.from({ length: 256 }, (_, index) => `call-${745 + index}`)]
        )
      }).pipe(Effect.provide(context))
    }))

  it.effect("without a subscriber nothing is held", () =>
    Effect.gen(function*() {
      for (let call = 0; call < 10; call++) {
        yield* ConfidentialClient.acquireToken({ scopes: graph, forceRefresh: true })
      }
      const { seen } = yield* subscribe
      yield* settle
      assert.deepStrictEqual(seen, [])
    }).pipe(Effect.provide(World())))

  it.effect("a fake has none", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* Stream.runCollect(ConfidentialClient.events), [])
    }).pipe(Effect.provide(ConfidentialClient.layerTest("a-token"))))
})
