import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Random } from "effect"
import { EntraError, RetryPolicy } from "effect-entra"
import { TestClock } from "effect/testing"
import { problem } from "./internal/support.ts"

/** When each attempt of an effect that always fails is made, in milliseconds after the one before. */
const delaysOf = (policy: RetryPolicy.RetryPolicy) =>
  Effect.gen(function*() {
    const clock = yield* Clock.Clock
    const times: Array<number> = []
    const attempt = Effect.suspend(() => {
      times.push(clock.currentTimeMillisUnsafe())
      return Effect.fail(new EntraError.ServiceUnavailableError({ ...problem, code: "service_unavailable" }))
    })
    const fiber = yield* Effect.forkChild(Effect.exit(Effect.retry(attempt, policy)), { startImmediately: true })
    yield* TestClock.adjust("1 hour")
    assert.isDefined(fiber.pollUnsafe())
    // Times are sums of fractions, so a delay is exact to a thousandth only.
    return times.slice(1).map((time, i) => Math.round((time - (times[i] ?? 0)) * 1000) / 1000)
  })

/** A generator that always says the same. */
const always = (value: number) =>
  Effect.provideService(Random.Random, { nextIntUnsafe: () => 0, nextDoubleUnsafe: () => value })

describe("standard", () => {
  it.effect("waits three times, within 250, 500 and 1,000 ms", () =>
    Effect.gen(function*() {
      const seen = [0, 1, 2].map(() => Array<number>())
      for (let seed = 0; seed < 200; seed++) {
        const delays = yield* Random.withSeed(delaysOf(RetryPolicy.standard), seed)
        assert.strictEqual(delays.length, 3)
        for (const [i, delay] of delays.entries()) {
          assert.isAtLeast(delay, 0)
          assert.isAtMost(delay, 250 * 2 ** i)
          seen[i]?.push(delay / (250 * 2 ** i))
        }
      }
      // Full jitter reaches into every quarter of its range, and halves it on average.
      for (const shares of seen) {
        assert.strictEqual(new Set(shares.map((share) => Math.min(3, Math.floor(share * 4)))).size, 4)
        assert.closeTo(shares.reduce((sum, share) => sum + share, 0) / shares.length, 0.5, 0.1)
      }
    }))

  it.effect("the same seed gives the same delays, another others", () =>
    Effect.gen(function*() {
      const run = (seed: string) => Random.withSeed(delaysOf(RetryPolicy.standard), seed)
      const first = yield* run("a")
      assert.deepStrictEqual(yield* run("a"), first)
      assert.notDeepEqual(yield* run("b"), first)
    }))

  it.effect("the longest delays are 250, 500 and 1,000 ms", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* always(1)(delaysOf(RetryPolicy.standard)), [250, 500, 1000])
    }))

  it.effect("the shortest are none", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* always(0)(delaysOf(RetryPolicy.standard)), [0, 0, 0])
    }))

  it.effect("one policy serves many calls, each from its first delay", () =>
    Effect.gen(function*() {
      const first = yield* always(1)(delaysOf(RetryPolicy.standard))
      assert.deepStrictEqual(yield* always(1)(delaysOf(RetryPolicy.standard)), first)
    }))
})

describe("none", () => {
  it.effect("makes one attempt", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* delaysOf(RetryPolicy.none), [])
    }))
})

describe("Current", () => {
  it.effect("is undefined until somebody provides a policy", () =>
    Effect.gen(function*() {
      assert.isUndefined(yield* RetryPolicy.Current)
      const provided = Effect.provideService(RetryPolicy.Current, RetryPolicy.Current, RetryPolicy.none)
      assert.strictEqual(yield* provided, RetryPolicy.none)
    }))
})
