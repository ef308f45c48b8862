import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as RequestSlots from "../../../src/internal/endpoint/requestSlots.ts"
import { WaitUntil } from "../../../src/internal/shared/requestContext.ts"

const twoSlots = Effect.map(
  Clock.Clock,
  (clock) => RequestSlots.make(2, { clock, longestUse: 1000, longestWait: 3000 })
)

const now = { startImmediately: true }
const ofARequest = Effect.provideService(WaitUntil, () => {})

describe("slots that are never returned", () => {
  it.effect("are free again after the longest use", () =>
    Effect.gen(function*() {
      const slots = yield* twoSlots
      const lost = [slots.slotOf("o", "t"), slots.slotOf("o", "t")]
      for (const slot of lost) assert.isTrue(slot.take())
      yield* TestClock.adjust(999)
      const slot = slots.slotOf("o", "t")
      const early = yield* Effect.forkChild(slot.wait, now)
      assert.isFalse(slot.take())
      assert.isUndefined(early.pollUnsafe())
      yield* Fiber.interrupt(early)
      yield* TestClock.adjust(1)
      yield* slots.slotOf("o", "t").wait
      yield* slots.slotOf("o", "t").wait
      // The old requests have none any more.
      for (const slot of lost) slot.release()
      assert.isFalse(slots.slotOf("o", "t").take())
    }))

  it.effect("wake requests that wait", () =>
    Effect.gen(function*() {
      const slots = yield* twoSlots
      slots.slotOf("o", "t").take()
      yield* TestClock.adjust(600)
      slots.slotOf("o", "t").take()
      const first = yield* Effect.forkChild(ofARequest(slots.slotOf("o", "t").wait), now)
      const second = yield* Effect.forkChild(ofARequest(slots.slotOf("o", "t").wait), now)
      yield* TestClock.adjust(399)
      assert.isUndefined(first.pollUnsafe())
      yield* TestClock.adjust(1)
      yield* Fiber.join(first)
      yield* TestClock.adjust(599)
      assert.isUndefined(second.pollUnsafe())
      yield* TestClock.adjust(1)
      yield* Fiber.join(second)
    }))

  it.effect("do not go to requests whose longest wait is over", () =>
    Effect.gen(function*() {
      const slots = yield* twoSlots
      const holders = [slots.slotOf("o", "t"), slots.slotOf("o", "t")]
      for (const slot of holders) slot.take()
      // A request without a timer stands for one that has lost it.
      const gone = yield* Effect.forkChild(slots.slotOf("o", "t").wait, now)
      yield* TestClock.adjust(3000)
      for (const slot of holders) slot.release()
      assert.isUndefined(gone.pollUnsafe())
      assert.isTrue(slots.slotOf("o", "t").take())
      assert.isTrue(slots.slotOf("o", "t").take())
      yield* Fiber.interrupt(gone)
    }))
})
