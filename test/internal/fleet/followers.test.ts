import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Followers from "../../../src/internal/fleet/followers.ts"
import * as StoreGuard from "../../../src/internal/fleet/storeGuard.ts"
import * as FakeFleetStore from "../../support/fakeFleetStore.ts"

const setUp = Effect.gen(function*() {
  const fake = yield* FakeFleetStore.make
  const { fleet } = fake.store
  if (fleet === undefined) return yield* Effect.die("it has no leases")
  const guard = yield* StoreGuard.make({ onChange: () => Effect.void, onRefused: () => {}, probe: () => Effect.void })
  const followers = yield* Followers.make(guard, fleet)
  const take = (name: string, ttl: Duration.Input = "1 hour") =>
    fleet.take(name, {
      owner: "other",
      ttl: Duration.fromInputUnsafe(ttl),
      seen: undefined,
      hasToken: false
    })
  /** Waits, and notes the time. */
  const wait = (name: string, limit = 60_000) =>
    Effect.forkChild(
      Effect.flatMap(followers.wait(name, limit), (end) => Effect.map(Clock.currentTimeMillis, (at) => ({ end, at }))),
      { startImmediately: true }
    )
  return { fake, fleet, take, wait }
})

const release = { _tag: "Released" } as const

describe("a wait for a lease", () => {
  it.effect("ends soon after the lease, whenever that ends", () =>
    Effect.gen(function*() {
      const { fleet, take, wait } = yield* setUp
      for (const held of [0, 30, 200, 1000, 10_000]) {
        yield* take("a")
        const since = yield* Clock.currentTimeMillis
        const fiber = yield* wait("a")
        yield* TestClock.adjust(held)
        yield* fleet.settle({ name: "a", owner: "other" }, release)
        yield* TestClock.adjust("1 second")
        const { at, end } = yield* Fiber.join(fiber)
        assert.strictEqual(end, "free")
        assert.isAtMost(at - since - held, Math.max(100, Math.min(450, held)))
      }
    }))

  it.effect("ends at its limit while the lease is held", () =>
    Effect.gen(function*() {
      const { take, wait } = yield* setUp
      yield* take("a")
      const fiber = yield* wait("a", 2000)
      yield* TestClock.adjust("3 seconds")
      const { at, end } = yield* Fiber.join(fiber)
      assert.strictEqual(end, "late")
      assert.isAtLeast(at, 2000)
      assert.isAtMost(at, 2050)
    }))

  it.effect("ends when the store is silent", () =>
    Effect.gen(function*() {
      const { fake, take, wait } = yield* setUp
      yield* take("a")
      const fiber = yield* wait("a")
      yield* TestClock.adjust("1 second")
      fake.isSilent = true
      yield* TestClock.adjust("700 millis")
      assert.strictEqual((yield* Fiber.join(fiber)).end, "down")
    }))

  it.effect("of 1,000 callers for one lease is one look at a time, and one for 500 leases", () =>
    Effect.gen(function*() {
      const { fake, fleet, take, wait } = yield* setUp
      const names = Array.from({ length: 1000 }, (_, at) => `name${at}`)
      for (const name of names) yield* take(name)
      const fibers = yield* Effect.forEach([...names, ...names], (name) => wait(name))
      yield* TestClock.adjust("10 seconds")
      // 50 ms, then growing to 400 ms: at most 35 looks in 10 s.
      assert.isAtMost(fake.counts.held, 2 * 35)
      assert.isAtLeast(fake.counts.held, 2 * 20)
      for (const name of names) yield* fleet.settle({ name, owner: "other" }, release)
      yield* TestClock.adjust("500 millis")
      for (const fiber of fibers) assert.strictEqual((yield* Fiber.join(fiber)).end, "free")
      const before = fake.counts.held
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(fake.counts.held, before)
    }))

  it.effect("that was interrupted ends no other", () =>
    Effect.gen(function*() {
      const { fleet, take, wait } = yield* setUp
      yield* take("a")
      const [one, other] = [yield* wait("a"), yield* wait("a")]
      yield* Fiber.interrupt(one)
      yield* TestClock.adjust("1 second")
      assert.isUndefined(other.pollUnsafe())
      yield* fleet.settle({ name: "a", owner: "other" }, release)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(other)).end, "free")
    }))
})
