/** Refusals that the delayed replication of a registration may explain are repeated once, after a delay. */
import { assert, describe, it } from "@effect/vitest"
import { type Duration, Effect, Fiber, Layer, Redacted, Schedule } from "effect"
import { ClientCredential, ConfidentialClient, type EntraError, RetryPolicy } from "effect-entra"
import { EntraSimulator, TestCertificate } from "effect-entra/testing"
import { TestClock } from "effect/testing"
import { graph, orders, tokenRequests, World } from "./support/world.ts"

const { Fault } = EntraSimulator
const acquire = ConfidentialClient.acquireToken({ scopes: graph })

const fail = (code: number, times = 1, more: { readonly retryAfter?: Duration.Input } = {}) =>
  EntraSimulator.EntraSimulator.use((simulator) =>
    simulator.fail(Fault.refused({ code, error: "invalid_client", status: 401, ...more }), { times })
  )

/** Runs an effect that needs exactly `millis`. */
const after = <A, E, R>(effect: Effect.Effect<A, E, R>, millis: number) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
    if (millis > 0) {
      yield* TestClock.adjust(millis - 1)
      assert.isUndefined(fiber.pollUnsafe(), `ended before ${millis} ms`)
      yield* TestClock.adjust(1)
    }
    assert.isDefined(fiber.pollUnsafe(), `goes on after ${millis} ms`)
    return yield* fiber.pollUnsafe() ?? Effect.die("it goes on")
  })

const lagging = [70021, 700211, 700212, 700213, 7002137, 7002138, 700027]
const definite = [700016, 7000215, 7000222, 7000112, 700024, 50012, 700021, 7000218]

describe("a refusal that replication lag explains", () => {
  it.effect.each(lagging)("AADSTS%i once: the request is repeated after a second", (code) =>
    Effect.gen(function*() {
      yield* fail(code)
      const { metadata } = yield* after(acquire, 1000)
      assert.strictEqual(metadata.tokenSource, "IdentityProvider")
      assert.strictEqual(yield* tokenRequests, 2)
      assert.strictEqual((yield* ConfidentialClient.stats).refused, 0)
    }).pipe(Effect.provide(World())))

  it.effect.each(lagging)(
    "AADSTS%i for good: it is repeated once, and then remembered for 5 seconds",
    (code) =>
      Effect.gen(function*() {
        yield* fail(code, Infinity)
        const error: EntraError.AcquireTokenError = yield* after(Effect.flip(acquire), 1000)
        assert.deepInclude<object>(error, {
          _tag: "EntraInvalidClientError",
          code: "assertion_refused",
          origin: "service",
          attempts: 2
        })
        assert.include(error.remedy, "minutes")
        assert.strictEqual((yield* after(Effect.flip(acquire), 0)).origin, "local")
        yield* TestClock.adjust("4999 millis")
        assert.strictEqual((yield* after(Effect.flip(acquire), 0)).origin, "local")
        assert.strictEqual(yield* tokenRequests, 2)
        yield* TestClock.adjust(1)
        assert.strictEqual((yield* after(Effect.flip(acquire), 1000)).origin, "service")
        assert.strictEqual(yield* tokenRequests, 4)
      }).pipe(Effect.provide(World()))
  )

  it.effect.each(definite)("is not AADSTS%i", (code) =>
    Effect.gen(function*() {
      yield* fail(code, Infinity)
      yield* after(Effect.flip(acquire), 0)
      assert.strictEqual(yield* tokenRequests, 1)
    }).pipe(Effect.provide(World())))

  it.effect("has a new assertion, because the service accepts none twice", () => {
    const assertions: Array<string> = []
    const Credential = Layer.effect(
      ClientCredential.ClientCredential,
      ClientCredential.assertion(() =>
        Effect.sync(() => {
          const assertion = `a.b.${assertions.length}`
          assertions.push(assertion)
          return assertion
        })
      )
    )
    return Effect.gen(function*() {
      yield* fail(700213, 2)
      yield* after(Effect.flip(acquire), 1000)
      assert.deepStrictEqual(assertions, ["a.b.0", "a.b.1"])
    }).pipe(Effect.provide(World({ credential: Credential })))
  })

  it.effect("is repeated once for all callers who wait", () =>
    Effect.gen(function*() {
      yield* fail(700213)
      yield* after(Effect.all(Array.from({ length: 20 }, () => acquire), { concurrency: "unbounded" }), 1000)
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(Effect.provide(World())))

  it.effect("does not delay other keys", () =>
    Effect.gen(function*() {
      yield* fail(700213)
      yield* Effect.forkChild(acquire, { startImmediately: true })
      yield* after(ConfidentialClient.acquireToken({ scopes: orders }), 0)
    }).pipe(Effect.provide(World())))

  it.effect("is not repeated where a RetryPolicy says so, for a call or for the layer", () =>
    Effect.gen(function*() {
      yield* fail(700213, Infinity)
      yield* after(Effect.flip(acquire).pipe(Effect.provideService(RetryPolicy.Current, RetryPolicy.none)), 0)
      assert.strictEqual(yield* tokenRequests, 1)
      yield* Effect.flip(acquire).pipe(Effect.provide(World({ retry: RetryPolicy.none })))
    }).pipe(Effect.provide(World())))

  it.effect("is not repeated beyond the budget", () =>
    Effect.gen(function*() {
      yield* fail(700213, Infinity)
      yield* after(Effect.flip(acquire), 0)
      assert.strictEqual(yield* tokenRequests, 1)
    }).pipe(Effect.provide(World({ endpoint: { budget: "1 second" } }))))

  it.effect("and its repetition share one budget", () =>
    Effect.gen(function*() {
      yield* fail(700213)
      yield* EntraSimulator.EntraSimulator.use((simulator) => simulator.fail(Fault.delay("1 hour")))
      const error: EntraError.AcquireTokenError = yield* after(Effect.flip(acquire), 3000)
      assert.strictEqual(error.code, "budget_exceeded")
    }).pipe(Effect.provide(World({ endpoint: { budget: "3 seconds" } }))))

  it.effect("with a Retry-After closes the gate", () =>
    Effect.gen(function*() {
      yield* fail(700213, 1, { retryAfter: "20 seconds" })
      yield* after(Effect.flip(acquire), 0)
      assert.strictEqual((yield* Effect.flip(acquire))._tag, "EntraThrottledError")
      assert.strictEqual(yield* tokenRequests, 1)
    }).pipe(Effect.provide(World())))

  it.effect("comes after all material of the credential was tried", () =>
    Effect.gen(function*() {
      yield* fail(700027)
      yield* after(acquire, 0)
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(
      Effect.provide(World({
        credential: ClientCredential.layerSecret([Redacted.make("a-new-secret"), EntraSimulator.daemonSecret])
      }))
    ))

  it.effect("is met by an outage: the outage is retried by its own rules", () =>
    Effect.gen(function*() {
      yield* fail(700213)
      yield* EntraSimulator.EntraSimulator.use((simulator) => simulator.fail(Fault.unavailable(), { times: 3 }))
      const fiber = yield* Effect.forkChild(acquire, { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      yield* fiber.pollUnsafe() ?? Effect.die("it goes on")
      assert.strictEqual(yield* tokenRequests, 5)
    }).pipe(Effect.provide(World())))

  it.live("ends when the certificate is registered meanwhile, although the service accepts no assertion twice", () =>
    Effect.gen(function*() {
      const certificate = yield* TestCertificate.make()
      const world = World({ credential: ClientCredential.layerCertificate(certificate) })
      yield* Effect.gen(function*() {
        const fiber = yield* Effect.forkChild(acquire, { startImmediately: true })
        yield* Effect.repeat(tokenRequests, { until: (requests) => requests === 1, schedule: Schedule.spaced(2) })
        yield* EntraSimulator.EntraSimulator.use((simulator) =>
          simulator.addCertificate(EntraSimulator.daemonClientId, certificate.certificate)
        )
        yield* Fiber.join(fiber)
        assert.strictEqual(yield* tokenRequests, 2)
      }).pipe(Effect.provide(world))
    }))
})
