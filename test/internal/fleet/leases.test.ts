import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Duration, Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as Leases from "../../../src/internal/fleet/leases.ts"
import * as StoreGuard from "../../../src/internal/fleet/storeGuard.ts"
import * as FakeFleetStore from "../../support/fakeFleetStore.ts"

const setUp = Effect.gen(function*() {
  const clock = yield* Clock.Clock
  const fake = yield* FakeFleetStore.make
  const { fleet } = fake.store
  if (fleet === undefined) return yield* Effect.die("it has no leases")
  const scope = yield* Effect.scope
  const guard = yield* StoreGuard.make({ onChange: () => Effect.void, onRefused: () => {}, probe: () => Effect.void })
  const leases = Leases.make({ fleet, guard, clock, scope })
  const take = (name: string) =>
    fleet.take(name, { owner: "me", ttl: Leases.leaseTtl, seen: undefined, hasToken: false })
  return { fake, fleet, leases, take }
})

describe("a lease", () => {
  it.effect("lives as long as its fetch, and no longer than its time after that", () =>
    Effect.gen(function*() {
      const { fleet, leases, take } = yield* setUp
      const ended = Deferred.makeUnsafe<string>()
      yield* take("a")
      const fiber = yield* Effect.forkChild(
        leases.hold({ name: "a", owner: "me" }, Deferred.await(ended)),
        { startImmediately: true }
      )
      for (let seconds = 0; seconds < 60; seconds++) {
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(yield* fleet.held(["a"]), [true])
      }
      yield* Deferred.succeed(ended, "token")
      assert.strictEqual(yield* Fiber.join(fiber), "token")
      yield* TestClock.adjust(Duration.sum(Leases.leaseTtl, Duration.seconds(1)))
      assert.deepStrictEqual(yield* fleet.held(["a"]), [false])
    }))

  it.effect("that another process has taken meanwhile is not extended", () =>
    Effect.gen(function*() {
      const { fake, fleet, leases, take } = yield* setUp
      yield* take("a")
      yield* Effect.forkChild(leases.hold({ name: "a", owner: "me" }, Effect.never), { startImmediately: true })
      // This process stops for a while.
      fake.advance(6000)
      const other = { owner: "other", ttl: Duration.seconds(5), seen: undefined, hasToken: false }
      assert.deepStrictEqual(yield* fleet.take("a", other), { _tag: "Taken" })
      yield* TestClock.adjust("4 seconds")
      fake.advance(1500)
      assert.deepStrictEqual(yield* fleet.held(["a"]), [false])
    }))

  it.effect("of many is extended with all others, in one command a second", () =>
    Effect.gen(function*() {
      const { fake, fleet, leases, take } = yield* setUp
      const names = Array.from({ length: 100 }, (_, at) => `name${at}`)
      for (const name of names) yield* take(name)
      for (const name of names) {
        yield* Effect.forkChild(leases.hold({ name, owner: "me" }, Effect.never), { startImmediately: true })
      }
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* fleet.held(names), names.map(() => true))
      assert.strictEqual(fake.counts.extend, 10)
    }))

  it.effect("is extended again when there was none for a while", () =>
    Effect.gen(function*() {
      const { fake, leases } = yield* setUp
      const hold = (seconds: number) => leases.hold({ name: "a", owner: "me" }, Effect.sleep(seconds * 1000))
      yield* Effect.forkChild(hold(3.5), { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(fake.counts.extend, 3)
      fake.resetCounts()
      yield* Effect.forkChild(hold(3.5), { startImmediately: true })
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(fake.counts.extend, 2)
    }))

  it.effect("is no longer extended when its fetch fails or is interrupted", () =>
    Effect.gen(function*() {
      const { fake, leases } = yield* setUp
      assert.isTrue(Exit.isFailure(yield* Effect.exit(leases.hold({ name: "a", owner: "me" }, Effect.fail("no")))))
      const fiber = yield* Effect.forkChild(leases.hold({ name: "b", owner: "me" }, Effect.never), {
        startImmediately: true
      })
      yield* TestClock.adjust("500 millis")
      yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(fake.counts.extend, 0)
    }))

  it.effect("is not extended after the end of its process", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { fake, leases } = yield* Effect.provideService(setUp, Scope.Scope, scope)
      yield* Effect.forkChild(leases.hold({ name: "a", owner: "me" }, Effect.never), { startImmediately: true })
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(fake.counts.extend, 0)
    }))
})
