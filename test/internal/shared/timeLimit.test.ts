import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { within } from "../../../src/internal/shared/timeLimit.ts"

const late = Effect.fail("late")
const Mark = Context.Service<string>("test/Mark")

describe.each(["the platform's clock", "another clock"])("a time limit with %s", (clock) => {
  const live = clock === "the platform's clock"
  const test = live ? it.live : it.effect
  const pass = (millis: number) => live ? Effect.void : Effect.asVoid(TestClock.adjust(millis))

  test("gives the result", () =>
    Effect.gen(function*() {
      const limit = { millis: 60_000, orElse: () => late }
      assert.strictEqual(yield* within(Effect.succeed(1), limit), 1)
      assert.strictEqual(yield* Effect.flip(within(Effect.fail("no"), limit)), "no")
      const defect = yield* Effect.exit(within(Effect.die("defect"), limit))
      assert.isTrue(Exit.isFailure(defect) && Cause.hasDies(defect.cause))
    }))

  test("ends an effect that takes longer, and waits for its end", () =>
    Effect.gen(function*() {
      let ended = 0
      const slow = Effect.onInterrupt(Effect.never, () => Effect.sync(() => ended++))
      const limited = within(slow, { millis: 10, orElse: () => Effect.suspend(() => Effect.fail(`after ${ended}`)) })
      const fiber = yield* Effect.forkChild(Effect.flip(limited), { startImmediately: true })
      yield* pass(10)
      assert.strictEqual(yield* Fiber.join(fiber), "after 1")
    }))

  test("interrupts the effect with its caller", () =>
    Effect.gen(function*() {
      let ended = 0
      const slow = Effect.onInterrupt(Effect.never, () => Effect.sync(() => ended++))
      const limited = within(slow, { millis: 60_000, orElse: () => late })
      const fiber = yield* Effect.forkChild(limited, { startImmediately: true })
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(ended, 1)
    }))

  test("has no timer for a time that no timer has", () =>
    Effect.gen(function*() {
      for (const millis of [Infinity, 2 ** 40]) {
        assert.strictEqual(yield* within(Effect.succeed(1), { millis, orElse: () => late }), 1)
      }
    }))

  test("runs the effect in a context of its own", () =>
    Effect.gen(function*() {
      const read = Effect.context<never>().pipe(Effect.map((context) => Context.getOrUndefined(context, Mark)))
      const limit = { millis: 60_000, orElse: () => late }
      assert.strictEqual(yield* within(read, limit, (context) => Context.add(context, Mark, "own")), "own")
      assert.isUndefined(yield* read)
    }))
})
