import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Context, Deferred, Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import { WaitUntil } from "../../../src/internal/shared/requestContext.ts"
import * as SingleFlight from "../../../src/internal/shared/singleFlight.ts"
import { survivors } from "../../support/garbage.ts"

const make = SingleFlight.make<number, string>({ closed: () => "closed" })

/** A flight that counts its runs, says when it was interrupted, and lands when it is told to. */
const flightOf = Effect.gen(function*() {
  const landing = yield* Deferred.make<number, string>()
  const seen = { runs: 0, interrupted: 0 }
  const flight = Effect.suspend(() => {
    seen.runs++
    return Effect.onInterrupt(Deferred.await(landing), () =>
      Effect.sync(() => {
        seen.interrupted++
      }))
  })
  return { flight, landing, seen }
})

const now = { startImmediately: true }

describe("join", () => {
  it.effect("10,000 who ask are served by one run", () =>
    Effect.gen(function*() {
      const flights = yield* make
      const { flight, landing, seen } = yield* flightOf
      const joiners = yield* Effect.forEach(
        Array.from({ length: 10_000 }, (_, i) => i),
        () => Effect.forkChild(flights.join("k", flight), now)
      )
      assert.strictEqual(seen.runs, 1)
      assert.isTrue(flights.isInFlight("k"))
      yield* Deferred.succeed(landing, 7)
      const results = yield* Effect.forEach(joiners, Fiber.join)
      assert.strictEqual(results.length, 10_000)
      assert.deepStrictEqual([...new Set(results)], [7])
      assert.strictEqual(seen.runs, 1)
      assert.isFalse(flights.isInFlight("k"))
    }))

  it.effect("other keys have other flights", () =>
    Effect.gen(function*() {
      const flights = yield* make
      const { flight, landing, seen } = yield* flightOf
      const joiners = yield* Effect.forEach(["a", "b", "a", "", "__proto__"], (key) =>
        Effect.forkChild(flights.join(key, flight), now))
      assert.strictEqual(seen.runs, 4)
      yield* Deferred.succeed(landing, 1)
      assert.deepStrictEqual(yield* Effect.forEach(joiners, Fiber.join), [1, 1, 1, 1, 1])
    }))

  it.effect("who asks after the landing starts anew", () =>
    Effect.gen(function*() {
      const flights = yield* make
      let runs = 0
      const flight = Effect.sync(() => ++runs)
      assert.deepStrictEqual([yield* flights.join("k", flight), yield* flights.join("k", flight)], [1, 2])
    }))

  it.effect("building it starts nothing; each run joins", () =>
    Effect.gen(function*() {
      const flights = yield* make
      let runs = 0
      const join = flights.join("k", Effect.sync(() => ++runs))
      assert.strictEqual(runs, 0)
      assert.isFalse(flights.isInFlight("k"))
      yield* Effect.repeat(join, { times: 2 })
      assert.strictEqual(runs, 3)
    }))

  it.effect.each([
    { name: "failure", flight: Effect.fail("no"), cause: Cause.fail("no") },
    { name: "defect", flight: Effect.die("boom"), cause: Cause.die("boom") }
  ])("all get the flight's $name, and the next starts anew", ({ cause, flight }) =>
    Effect.gen(function*() {
      const flights = yield* make
      const failing = Effect.andThen(Effect.yieldNow, flight)
      const exits = yield* Effect.all([1, 2, 3].map(() => Effect.exit(flights.join("k", failing))), {
        concurrency: "unbounded"
      })
      for (const exit of exits) assert.deepStrictEqual(exit, Exit.failCause(cause))
      assert.isFalse(flights.isInFlight("k"))
      assert.strictEqual(yield* flights.join("k", Effect.succeed(1)), 1)
    }))

  it.effect("interrupting the one who started it harms nobody else", () =>
    Effect.gen(function*() {
      const flights = yield* make
      const { flight, landing, seen } = yield* flightOf
      const starter = yield* Effect.forkChild(flights.join("k", flight), now)
      const other = yield* Effect.forkChild(flights.join("k", flight), now)
      yield* Fiber.interrupt(starter)
      assert.isTrue(flights.isInFlight("k"))
      assert.strictEqual(seen.interrupted, 0)
      yield* Deferred.succeed(landing, 7)
      assert.strictEqual(yield* Fiber.join(other), 7)
      assert.deepStrictEqual(seen, { runs: 1, interrupted: 0 })
    }))

  it.effect("interrupting all of them does not harm the flight", () =>
    Effect.gen(function*() {
      const flights = yield* make
      const { flight, landing, seen } = yield* flightOf
      let landed: number | undefined
      const noted = Effect.tap(flight, (value) => Effect.sync(() => landed = value))
      const joiners = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(flights.join("k", noted), now))
      yield* Fiber.interruptAll(joiners)
      assert.isTrue(flights.isInFlight("k"))
      const late = yield* Effect.forkChild(flights.join("k", noted), now)
      yield* Deferred.succeed(landing, 7)
      assert.strictEqual(yield* Fiber.join(late), 7)
      assert.strictEqual(landed, 7)
      assert.deepStrictEqual(seen, { runs: 1, interrupted: 0 })
    }))

  it.effect("who leaves hears of its own interrupt, not of the flight", () =>
    Effect.gen(function*() {
      const flights = yield* make
      const { flight } = yield* flightOf
      const starter = yield* Effect.forkChild(flights.join("k", flight), now)
      yield* Fiber.interrupt(starter)
      const exit = yield* Fiber.await(starter)
      assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
    }))

  it.effect("its context is that of the first who asked, its clock that of the layer", () =>
    Effect.gen(function*() {
      const Name = Context.Reference<number>("test/Name", { defaultValue: () => 0 })
      const flights = yield* make
      yield* TestClock.setTime(5000)
      const { landing } = yield* flightOf
      const flight = Effect.gen(function*() {
        yield* Deferred.await(landing)
        return (yield* Name) + (yield* Clock.currentTimeMillis)
      })
      const join = (name: number) => Effect.provideService(flights.join("k", flight), Name, name)
      const first = yield* Effect.forkChild(TestClock.withLive(join(1)), now)
      const second = yield* Effect.forkChild(join(2), now)
      yield* Deferred.succeed(landing, 0)
      assert.strictEqual(yield* Fiber.join(first), 5001)
      assert.strictEqual(yield* Fiber.join(second), 5001)
    }))

  it.effect("a flight that interrupts itself is no interrupt of those who wait", () =>
    Effect.gen(function*() {
      const flights = yield* make
      assert.deepStrictEqual(yield* Effect.exit(flights.join("k", Effect.interrupt)), Exit.fail("closed"))
    }))
})

describe("launch", () => {
  it.effect("starts a flight and does not wait; who joins gets its result", () =>
    Effect.gen(function*() {
      const flights = yield* make
      const { flight, landing, seen } = yield* flightOf
      yield* flights.launch("k", flight)
      yield* flights.launch("k", flight)
      assert.strictEqual(seen.runs, 0)
      yield* Effect.yieldNow
      assert.strictEqual(seen.runs, 1)
      const joiner = yield* Effect.forkChild(flights.join("k", flight), now)
      yield* Deferred.succeed(landing, 7)
      assert.strictEqual(yield* Fiber.join(joiner), 7)
      assert.strictEqual(seen.runs, 1)
    }))

  it.effect("a failure that nobody waits for is nobody's", () =>
    Effect.gen(function*() {
      const flights = yield* make
      yield* flights.launch("k", Effect.fail("no"))
      yield* Effect.yieldNow
      assert.isFalse(flights.isInFlight("k"))
      assert.strictEqual(yield* flights.join("k", Effect.succeed(1)), 1)
    }))
})

describe("detach", () => {
  it.effect("the next who ask start anew, those who wait keep their flight", () =>
    Effect.gen(function*() {
      const flights = yield* make
      const [old, young] = [yield* flightOf, yield* flightOf]
      const first = yield* Effect.forkChild(flights.join("k", old.flight), now)
      flights.detach("k")
      assert.isFalse(flights.isInFlight("k"))
      const second = yield* Effect.forkChild(flights.join("k", young.flight), now)
      const third = yield* Effect.forkChild(flights.join("k", old.flight), now)
      yield* Deferred.succeed(old.landing, 1)
      assert.strictEqual(yield* Fiber.join(first), 1)
      assert.isTrue(flights.isInFlight("k"), "the landing of the old flight leaves the new one where it is")
      yield* Deferred.succeed(young.landing, 2)
      assert.deepStrictEqual([yield* Fiber.join(second), yield* Fiber.join(third)], [2, 2])
      assert.deepStrictEqual([old.seen.runs, young.seen.runs], [1, 1])
    }))

  it.effect("of an unknown key does nothing", () =>
    Effect.gen(function*() {
      const flights = yield* make
      flights.detach("k")
      assert.strictEqual(yield* flights.join("k", Effect.succeed(1)), 1)
    }))
})

describe("closing the scope", () => {
  const closable = Effect.gen(function*() {
    const scope = yield* Scope.make()
    const flights = yield* Scope.provide(make, scope)
    return { flights, close: Scope.close(scope, Exit.void) }
  })

  it.effect("those who wait fail with closed, never with an interrupt", () =>
    Effect.gen(function*() {
      const { close, flights } = yield* closable
      const { flight, seen } = yield* flightOf
      const joiners = yield* Effect.forEach(["a", "a", "a", "b"], (key) =>
        Effect.forkChild(flights.join(key, flight), now))
      yield* close
      for (const joiner of joiners) {
        assert.deepStrictEqual(yield* Fiber.await(joiner), Exit.fail("closed"))
      }
      assert.deepStrictEqual(seen, { runs: 2, interrupted: 2 })
      assert.isFalse(flights.isInFlight("a"))
    }))

  it.effect("so do those of a flight that was detached", () =>
    Effect.gen(function*() {
      const { close, flights } = yield* closable
      const { flight, seen } = yield* flightOf
      const joiner = yield* Effect.forkChild(flights.join("k", flight), now)
      flights.detach("k")
      yield* close
      assert.deepStrictEqual(yield* Fiber.await(joiner), Exit.fail("closed"))
      assert.strictEqual(seen.interrupted, 1)
    }))

  it.effect("who asks afterwards fails with closed, and nothing runs", () =>
    Effect.gen(function*() {
      const { close, flights } = yield* closable
      const { flight, seen } = yield* flightOf
      yield* close
      assert.deepStrictEqual(yield* Effect.exit(flights.join("k", flight)), Exit.fail("closed"))
      assert.deepStrictEqual(yield* Effect.exit(flights.launch("k", flight)), Exit.void)
      assert.strictEqual(seen.runs, 0)
      assert.isFalse(flights.isInFlight("k"))
    }))

  it.effect("who asks while it closes fails with closed, and nothing runs", () =>
    Effect.gen(function*() {
      const { close, flights } = yield* closable
      const { flight, seen } = yield* flightOf
      const cleanup = yield* Deferred.make<void>()
      const slow = Effect.onInterrupt(Effect.never, () => Deferred.await(cleanup))
      const early = yield* Effect.forkChild(flights.join("slow", slow), now)
      const closing = yield* Effect.forkChild(close, now)
      const late = yield* Effect.forkChild(flights.join("slow", flight), now)
      assert.deepStrictEqual(yield* Effect.exit(flights.join("other", flight)), Exit.fail("closed"))
      assert.isUndefined(closing.pollUnsafe())
      yield* Deferred.succeed(cleanup, undefined)
      yield* Fiber.join(closing)
      assert.deepStrictEqual(yield* Fiber.await(early), Exit.fail("closed"))
      assert.deepStrictEqual(yield* Fiber.await(late), Exit.fail("closed"))
      assert.strictEqual(seen.runs, 0)
    }))

  it.effect("a flight that lands in spite of it lands", () =>
    Effect.gen(function*() {
      const { close, flights } = yield* closable
      const { flight, landing } = yield* flightOf
      const joiner = yield* Effect.forkChild(flights.join("k", Effect.uninterruptible(flight)), now)
      const closing = yield* Effect.forkChild(close, now)
      yield* Deferred.succeed(landing, 7)
      yield* Fiber.join(closing)
      const exit = yield* Fiber.await(joiner)
      assert.isFalse(Exit.hasInterrupts(exit))
    }))

  it.effect("a flight whose clean-up dies tells of no interrupt", () =>
    Effect.gen(function*() {
      const { close, flights } = yield* closable
      const dying = Effect.onInterrupt(Effect.never, () => Effect.die("boom"))
      const joiner = yield* Effect.forkChild(flights.join("k", dying), now)
      yield* close
      assert.isFalse(Exit.hasInterrupts(yield* Fiber.await(joiner)))
    }))

  it.effect("flights that have landed keep their results", () =>
    Effect.gen(function*() {
      const { close, flights } = yield* closable
      const joiner = yield* Effect.forkChild(flights.join("k", Effect.succeed(7)), now)
      yield* close
      assert.strictEqual(yield* Fiber.join(joiner), 7)
    }))
})

/** As on a platform whose requests lose their I/O, where a caller that waits has a timer. */
const ofARequest = Effect.provideService(WaitUntil, () => {})

describe("a flight beyond its limit", () => {
  const limited = SingleFlight.make<number, string>({ closed: () => "closed", limit: 4000 })
  const lost = Effect.never

  it.effect("the next caller starts another, and neither counts any longer than it runs", () =>
    Effect.gen(function*() {
      const flights = yield* limited
      yield* flights.launch("k", lost)
      yield* TestClock.adjust(3999)
      assert.isTrue(flights.isInFlight("k"))
      assert.strictEqual(flights.size(), 1)
      yield* flights.launch("k", Effect.die("a second flight"))
      yield* TestClock.adjust(1)
      assert.isFalse(flights.isInFlight("k"))
      assert.strictEqual(flights.size(), 0)
      assert.strictEqual(yield* flights.join("k", Effect.succeed(7)), 7)
      yield* flights.launch("k", lost)
      yield* TestClock.adjust(4000)
      const { flight, landing, seen } = yield* flightOf
      yield* flights.launch("k", flight)
      yield* Effect.yieldNow
      assert.strictEqual(seen.runs, 1)
      yield* Deferred.succeed(landing, 1)
      assert.strictEqual(flights.size(), 0)
    }))

  it.effect("callers that wait start one other flight together", () =>
    Effect.gen(function*() {
      const flights = yield* limited
      yield* flights.launch("k", lost)
      yield* TestClock.adjust(1000)
      const { flight, landing, seen } = yield* flightOf
      const waiting = yield* Effect.forEach(
        [1, 2, 3],
        () => Effect.forkChild(ofARequest(flights.join("k", flight)), now)
      )
      yield* TestClock.adjust(2999)
      assert.strictEqual(seen.runs, 0)
      yield* TestClock.adjust(1)
      assert.strictEqual(seen.runs, 1)
      yield* Deferred.succeed(landing, 7)
      assert.deepStrictEqual(yield* Effect.forEach(waiting, Fiber.join), [7, 7, 7])
      assert.strictEqual(flights.size(), 0)
    }))

  it.effect("the caller that started it still gets its result, and the others that of the other flight", () =>
    Effect.gen(function*() {
      const flights = yield* limited
      const slow = yield* flightOf
      const other = yield* flightOf
      const starter = yield* Effect.forkChild(ofARequest(flights.join("k", slow.flight)), now)
      const waiting = yield* Effect.forkChild(ofARequest(flights.join("k", other.flight)), now)
      yield* TestClock.adjust(4000)
      yield* Deferred.succeed(slow.landing, 1)
      assert.strictEqual(yield* Fiber.join(starter), 1)
      assert.strictEqual(slow.seen.interrupted, 0)
      assert.isTrue(flights.isInFlight("k"))
      yield* Deferred.succeed(other.landing, 2)
      assert.strictEqual(yield* Fiber.join(waiting), 2)
    }))

  it.effect("ends with the scope, and its callers fail with closed", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const flights = yield* Scope.provide(limited, scope)
      const { flight, seen } = yield* flightOf
      const joiner = yield* Effect.forkChild(flights.join("k", flight), now)
      yield* TestClock.adjust(4000)
      yield* flights.launch("other", flight)
      yield* Effect.yieldNow
      assert.strictEqual(flights.size(), 1)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(seen.interrupted, 2)
      assert.deepStrictEqual(yield* Fiber.await(joiner), Exit.fail("closed"))
    }))

  it.effect("of a request that has ended is not kept in memory, though nobody asks for its key again", () =>
    Effect.gen(function*() {
      const flights = yield* limited
      const kept: Array<WeakRef<object>> = []
      for (let n = 0; n < 100; n++) {
        const payload = { n }
        kept.push(new WeakRef(payload))
        // The fiber that waits refers to the payload.
        const waiter = Effect.map(flights.join(`k${n}`, Effect.callback<number>(() => {})), (value) => [value, payload])
        yield* ofARequest(Effect.forkDetach(waiter, now))
      }
      yield* TestClock.adjust(4000)
      yield* flights.launch("other", Effect.succeed(1))
      assert.isAtMost(yield* survivors(kept), 1)
    }))

  it.effect("has its own limit if it names one, and a caller that leaves stops waiting", () =>
    Effect.gen(function*() {
      const flights = yield* limited
      const starter = yield* Effect.forkChild(ofARequest(flights.join("k", lost, 10_000)), now)
      const { flight, seen } = yield* flightOf
      const waiting = yield* Effect.forkChild(ofARequest(flights.join("k", flight)), now)
      const leaver = yield* Effect.forkChild(ofARequest(flights.join("k", Effect.die("left"))), now)
      yield* Fiber.interrupt(leaver)
      yield* TestClock.adjust(9999)
      assert.strictEqual(seen.runs, 0)
      yield* TestClock.adjust(1)
      assert.strictEqual(seen.runs, 1)
      yield* Fiber.interruptAll([starter, waiting])
    }))
})

describe("the function that keeps a request alive", () => {
  it.effect("gets a promise for each flight that its request starts, which settles with the flight", () =>
    Effect.gen(function*() {
      const flights = yield* make
      const promises: Array<Promise<unknown>> = []
      const kept = Effect.provideService(WaitUntil, (promise) => void promises.push(promise))
      const { flight, landing } = yield* flightOf
      yield* kept(flights.launch("k", flight))
      yield* kept(flights.launch("k", flight))
      const joiner = yield* Effect.forkChild(kept(flights.join("k", flight)), now)
      assert.strictEqual(promises.length, 1)
      let settled = 0
      for (const promise of promises) void promise.then(() => settled++)
      yield* Effect.promise(() => Promise.resolve())
      assert.strictEqual(settled, 0)
      yield* Deferred.fail(landing, "no")
      assert.deepStrictEqual(yield* Fiber.await(joiner), Exit.fail("no"))
      yield* Effect.promise(() => Promise.all(promises))
      assert.strictEqual(settled, 1)
    }))

  const ended = new Error("the request has ended")
  it.effect.each<{ readonly how: string; readonly waitUntil: (promise: Promise<unknown>) => void }>([
    {
      how: "at once",
      waitUntil: () => {
        throw ended
      }
    },
    { how: "by a promise", waitUntil: () => Promise.reject(ended) }
  ])("does no harm if it dies $how", ({ waitUntil }) =>
    Effect.gen(function*() {
      const unhandled: Array<unknown> = []
      const listen = (reason: unknown) => void unhandled.push(reason)
      yield* Effect.acquireRelease(
        Effect.sync(() => process.on("unhandledRejection", listen)),
        () => Effect.sync(() => process.off("unhandledRejection", listen))
      )
      const flights = yield* make
      const dying = Effect.provideService(WaitUntil, waitUntil)
      assert.strictEqual(yield* dying(flights.join("k", Effect.andThen(Effect.yieldNow, Effect.succeed(7)))), 7)
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      assert.deepStrictEqual(unhandled, [])
    }))
})
