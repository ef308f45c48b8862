import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect } from "effect"
import { EntraError } from "effect-entra"
import { TestClock } from "effect/testing"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import * as Gates from "../../../src/internal/endpoint/throttleGate.ts"
import { problem } from "../support.ts"

const at = (scopes: string) => ({ space: "s", tenant: "t", scopes })

const gate: Gates.Gate = { key: at("k"), sent: "", revision: "r", forced: false }
const refusal = new EntraError.InvalidClientError(problem)
const outage = new EntraError.ServiceUnavailableError(problem)
const throttle = new EntraError.ThrottledError({
  ...problem,
  retryAfter: Duration.seconds(7),
  loopDetected: false,
  source: "server"
})

const make = Effect.map(Clock.Clock, (clock) => Gates.make(clock, { base: 5000, cap: 60_000 }))

describe("gates", () => {
  it.effect("one is closed for its time and then open", () =>
    Effect.gen(function*() {
      const gates = yield* make
      assert.isUndefined(gates.judge(gate))
      gates.close(gate, throttle)
      assert.strictEqual(gates.judge(gate)?._tag, "EntraThrottledError")
      yield* TestClock.adjust("6999 millis")
      assert.strictEqual(gates.judge(gate)?._tag, "EntraThrottledError")
      yield* TestClock.adjust("1 millis")
      assert.isUndefined(gates.judge(gate))
    }))

  it.effect("the others stay open", () =>
    Effect.gen(function*() {
      const gates = yield* make
      gates.close({ key: at("1:a"), sent: "", revision: "b", forced: false }, throttle)
      for (
        const [scopes, claims, revision] of [
          ["1:a", "", "c"],
          ["1:b", "", "b"],
          ["1:", "", "ab"],
          ["", "", "1:ab"],
          ["1:ab", "", ""],
          ["1:a", "b", ""],
          ["1:a", "1", "b"]
        ] as const
      ) {
        assert.isUndefined(
          gates.judge({ key: at(scopes), sent: claims, revision, forced: false }),
          `${scopes} ${revision}`
        )
      }
    }))

  it.effect("those that are closed now are counted by why", () =>
    Effect.gen(function*() {
      const gates = yield* make
      assert.deepStrictEqual(gates.counts(), { throttled: 0, refused: 0 })
      gates.close({ ...gate, key: at("a") }, throttle)
      gates.close({ ...gate, key: at("b") }, refusal)
      gates.close({ ...gate, key: at("c") }, refusal)
      gates.close({ ...gate, key: at("d") }, outage)
      assert.deepStrictEqual(gates.counts(), { throttled: 1, refused: 2 })
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(gates.counts(), { throttled: 1, refused: 0 })
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(gates.counts(), { throttled: 0, refused: 0 })
    }))

  it.effect("new material is not held to the refusal of the old", () =>
    Effect.gen(function*() {
      const gates = yield* make
      gates.close(gate, refusal)
      assert.strictEqual(gates.judge(gate)?._tag, "EntraInvalidClientError")
      assert.isUndefined(gates.judge({ ...gate, revision: "r2" }))
    }))

  it.effect("a forced request passes a refusal, not a throttle", () =>
    Effect.gen(function*() {
      const gates = yield* make
      gates.close(gate, refusal)
      assert.isUndefined(gates.judge({ ...gate, forced: true }))
      assert.isDefined(gates.judge(gate))
      gates.close(gate, throttle)
      assert.strictEqual(gates.judge({ ...gate, forced: true })?._tag, "EntraThrottledError")
    }))

  it.effect("an answer opens it, and the next refusal holds for the base again", () =>
    Effect.gen(function*() {
      const gates = yield* make
      gates.close(gate, refusal)
      gates.open(gate)
      assert.isUndefined(gates.judge(gate))
      gates.close(gate, refusal)
      yield* TestClock.adjust("5 seconds")
      assert.isUndefined(gates.judge(gate))
    }))

  it.effect("refusals in a row hold longer", () =>
    Effect.gen(function*() {
      const gates = yield* make
      for (const seconds of [5, 10, 20, 40, 60, 60]) {
        gates.close(gate, refusal)
        yield* TestClock.adjust(Duration.millis(seconds * 1000 - 1))
        assert.isDefined(gates.judge(gate), `${seconds}`)
        yield* TestClock.adjust("1 millis")
        assert.isUndefined(gates.judge(gate), `${seconds}`)
      }
    }))

  it.effect("an outage closes nothing, and ends a row of refusals", () =>
    Effect.gen(function*() {
      const gates = yield* make
      gates.close(gate, outage)
      assert.isUndefined(gates.judge(gate))
      gates.close(gate, refusal)
      gates.close(gate, outage)
      assert.isUndefined(gates.judge(gate))
    }))

  it.effect.each([
    { name: "an outage", error: outage },
    { name: "a refusal", error: refusal }
  ])("a throttle outlasts $name that ends after it", ({ error }) =>
    Effect.gen(function*() {
      const gates = yield* make
      gates.close(gate, throttle)
      gates.close(gate, error)
      yield* TestClock.adjust("6 seconds")
      assert.strictEqual(gates.judge(gate)?._tag, "EntraThrottledError")
    }))

  it.effect.each([
    { error: new EntraError.CredentialError({ ...problem, origin: "local", field: "f" }) },
    { error: new EntraError.InvalidRequestError({ ...problem, origin: "local", field: "f" }) },
    { error: new EntraError.InvalidScopeError({ ...problem, origin: "local", field: "f" }) },
    { error: new EntraError.InvalidAuthorityError({ ...problem, origin: "local", field: "f" }) },
    { error: new EntraError.InvalidClientError({ ...problem, origin: "local" }) },
    {
      error: new EntraError.ThrottledError({
        ...problem,
        origin: "local",
        retryAfter: Duration.hours(1),
        loopDetected: false,
        source: "local"
      })
    },
    { error: new EntraError.ServiceUnavailableError({ ...problem, origin: "local", retryAfter: Duration.hours(1) }) }
  ])("what this process decided changes nothing: $error._tag", ({ error }) =>
    Effect.gen(function*() {
      const gates = yield* make
      gates.close(gate, error)
      assert.isUndefined(gates.judge(gate))
      gates.close(gate, refusal)
      gates.close(gate, error)
      assert.strictEqual(gates.judge(gate)?._tag, "EntraInvalidClientError")
    }))

  it.effect("hostile input pushes out the oldest and grows nothing", () =>
    Effect.gen(function*() {
      const gates = yield* make
      const nth = (n: number): Gates.Gate => ({ ...gate, key: at(`k${n}`) })
      for (let n = 0; n < Gates.keptGates; n++) gates.close(nth(n), throttle)
      assert.isDefined(gates.judge(nth(0)))
      gates.close(nth(Gates.keptGates), throttle)
      assert.isUndefined(gates.judge(nth(0)))
      let closed = 0
      for (let n = 0; n <= Gates.keptGates; n++) if (gates.judge(nth(n)) !== undefined) closed++
      assert.strictEqual(closed, Gates.keptGates)
    }))

  it.effect("what was closed again is young again", () =>
    Effect.gen(function*() {
      const gates = yield* make
      gates.close(gate, throttle)
      for (let n = 1; n < Gates.keptGates; n++) gates.close({ ...gate, key: at(`k${n}`) }, throttle)
      gates.close(gate, throttle)
      gates.close({ ...gate, key: at("one more") }, throttle)
      assert.isDefined(gates.judge(gate))
      assert.isUndefined(gates.judge({ ...gate, key: at("k1") }))
    }))
})

/** Where an error was made; the stack of an error holds on to it until it is text. */
class Caller {
  readonly much = new Uint8Array(1024)
  refuse() {
    return new EntraError.InvalidClientError(problem)
  }
}

describe("what is remembered", () => {
  it.live("holds on to nothing that was called", () =>
    Effect.gen(function*() {
      const gates = yield* make
      setFlagsFromString("--expose-gc")
      const collect: unknown = runInNewContext("gc")
      if (typeof collect !== "function") return assert.fail("no gc")
      const caller = new WeakRef(new Caller())
      gates.close(gate, caller.deref()?.refuse() ?? refusal)
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      collect()
      assert.isUndefined(caller.deref())
      assert.isDefined(gates.judge(gate))
    }))
})
