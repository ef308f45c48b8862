import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Exit } from "effect"
import { EntraError } from "effect-entra"
import { TestClock } from "effect/testing"
import { keyOf } from "../../../src/internal/cache/cacheKey.ts"
import * as ThrottleGate from "../../../src/internal/endpoint/throttleGate.ts"
import { collector } from "../../support/garbage.ts"
import { problem } from "../support.ts"

const at = (scopes: string) => keyOf("s", "t", scopes)

type Named = ThrottleGate.Gate & { readonly revision: string }

const gated = ({ revision, ...gate }: Named): ThrottleGate.Gated => ({
  gate,
  authentication: { revision: () => revision }
})

const gate: Named = { key: at("k"), sent: "", revision: "r", forced: false }
const refusal = new EntraError.InvalidClientError({ ...problem, code: "client_refused" })
const outage = new EntraError.ServiceUnavailableError({ ...problem, code: "service_unavailable" })
const throttle = new EntraError.ThrottledError({
  ...problem,
  code: "throttled",
  retryAfter: Duration.seconds(7),
  loopDetected: false,
  source: "server"
})

const make = Effect.map(Clock.Clock, (clock) => ThrottleGate.make(clock, { base: 5000, cap: 60_000 }))

describe("gates", () => {
  it.effect("one is closed for its time and then open", () =>
    Effect.gen(function*() {
      const gates = yield* make
      assert.isUndefined(gates.judge(gated(gate)))
      gates.settle(gated(gate), Exit.fail(throttle))
      assert.strictEqual(gates.judge(gated(gate))?._tag, "EntraThrottledError")
      yield* TestClock.adjust("6999 millis")
      assert.strictEqual(gates.judge(gated(gate))?._tag, "EntraThrottledError")
      yield* TestClock.adjust("1 millis")
      assert.isUndefined(gates.judge(gated(gate)))
    }))

  it.effect("the others stay open", () =>
    Effect.gen(function*() {
      const gates = yield* make
      gates.settle(gated({ key: at("1:a"), sent: "", revision: "b", forced: false }), Exit.fail(throttle))
      for (
        const [scopes, claims, revision] of [
          ["1:a", "", "c"],
          ["1:b", "", "b"],
          ["1:", "", "ab"],
          ["", "", "1:ab"],
          ["1:ab", "", ""],
          ["1:a", "b", ""]
        ] as const
      ) {
        assert.isUndefined(
          gates.judge(gated({ key: at(scopes), sent: claims, revision, forced: false })),
          `${scopes} ${revision}`
        )
      }
    }))

  it.effect("a throttle holds for other claims and parameters too, and a refusal does not", () =>
    Effect.gen(function*() {
      for (const [sent, other] of [["", "claims"], ["claims", ""], ["claims", "other"]] as const) {
        const gates = yield* make
        const request = (sent: string) => gated({ key: at("a"), sent, revision: "r", forced: false })
        gates.settle(request(sent), Exit.fail(refusal))
        assert.strictEqual(gates.judge(request(sent))?._tag, "EntraInvalidClientError")
        assert.isUndefined(gates.judge(request(other)))
        gates.settle(request(sent), Exit.fail(throttle))
        assert.strictEqual(gates.judge(request(other))?._tag, "EntraThrottledError")
        // A success elsewhere and a forced request do not end the wait.
        gates.settle(request(other), Exit.succeed(undefined))
        assert.strictEqual(gates.throttle(request(other))?._tag, "EntraThrottledError")
      }
    }))

  it.effect("those that are closed now are counted by why", () =>
    Effect.gen(function*() {
      const gates = yield* make
      assert.deepStrictEqual(gates.counts(), { throttled: 0, refused: 0 })
      gates.settle(gated({ ...gate, key: at("a") }), Exit.fail(throttle))
      gates.settle(gated({ ...gate, key: at("b") }), Exit.fail(refusal))
      gates.settle(gated({ ...gate, key: at("c") }), Exit.fail(refusal))
      gates.settle(gated({ ...gate, key: at("d") }), Exit.fail(outage))
      assert.deepStrictEqual(gates.counts(), { throttled: 1, refused: 2 })
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(gates.counts(), { throttled: 1, refused: 0 })
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(gates.counts(), { throttled: 0, refused: 0 })
    }))

  it.effect("new material is not held to the refusal of the old", () =>
    Effect.gen(function*() {
      const gates = yield* make
      gates.settle(gated(gate), Exit.fail(refusal))
      assert.strictEqual(gates.judge(gated(gate))?._tag, "EntraInvalidClientError")
      assert.isUndefined(gates.judge(gated({ ...gate, revision: "r2" })))
    }))

  it.effect("a forced request passes a refusal, not a throttle", () =>
    Effect.gen(function*() {
      const gates = yield* make
      gates.settle(gated(gate), Exit.fail(refusal))
      assert.isUndefined(gates.judge(gated({ ...gate, forced: true })))
      assert.isDefined(gates.judge(gated(gate)))
      gates.settle(gated(gate), Exit.fail(throttle))
      assert.strictEqual(gates.judge(gated({ ...gate, forced: true }))?._tag, "EntraThrottledError")
    }))

  it.effect("an answer opens it, and the next refusal holds for the base again", () =>
    Effect.gen(function*() {
      const gates = yield* make
      gates.settle(gated(gate), Exit.fail(refusal))
      gates.settle(gated(gate), Exit.void)
      assert.isUndefined(gates.judge(gated(gate)))
      gates.settle(gated(gate), Exit.fail(refusal))
      yield* TestClock.adjust("5 seconds")
      assert.isUndefined(gates.judge(gated(gate)))
    }))

  it.effect("refusals in a row hold longer", () =>
    Effect.gen(function*() {
      const gates = yield* make
      for (const seconds of [5, 10, 20, 40, 60, 60]) {
        gates.settle(gated(gate), Exit.fail(refusal))
        yield* TestClock.adjust(Duration.millis(seconds * 1000 - 1))
        assert.isDefined(gates.judge(gated(gate)), `${seconds}`)
        yield* TestClock.adjust("1 millis")
        assert.isUndefined(gates.judge(gated(gate)), `${seconds}`)
      }
    }))

  it.effect("an outage closes nothing, and ends a row of refusals", () =>
    Effect.gen(function*() {
      const gates = yield* make
      gates.settle(gated(gate), Exit.fail(outage))
      assert.isUndefined(gates.judge(gated(gate)))
      gates.settle(gated(gate), Exit.fail(refusal))
      gates.settle(gated(gate), Exit.fail(outage))
      assert.isUndefined(gates.judge(gated(gate)))
    }))

  it.effect.each([
    { name: "an outage", error: outage },
    { name: "a refusal", error: refusal }
  ])("a throttle outlasts $name that ends after it", ({ error }) =>
    Effect.gen(function*() {
      const gates = yield* make
      gates.settle(gated(gate), Exit.fail(throttle))
      gates.settle(gated(gate), Exit.fail(error))
      yield* TestClock.adjust("6 seconds")
      assert.strictEqual(gates.judge(gated(gate))?._tag, "EntraThrottledError")
    }))

  it.effect.each([
    { error: new EntraError.CredentialError({ ...problem, code: "credential_missing", origin: "local", field: "f" }) },
    { error: new EntraError.InvalidRequestError({ ...problem, code: "field_malformed", origin: "local", field: "f" }) },
    { error: new EntraError.InvalidScopeError({ ...problem, code: "scope_malformed", origin: "local", field: "f" }) },
    {
      error: new EntraError.InvalidAuthorityError({ ...problem, code: "tenant_unknown", origin: "local", field: "f" })
    },
    { error: new EntraError.InvalidClientError({ ...problem, code: "client_refused", origin: "local" }) },
    {
      error: new EntraError.ThrottledError({
        ...problem,
        code: "throttled",
        origin: "local",
        retryAfter: Duration.hours(1),
        loopDetected: false,
        source: "local"
      })
    },
    {
      error: new EntraError.ServiceUnavailableError({
        ...problem,
        code: "service_unavailable",
        origin: "local",
        retryAfter: Duration.hours(1)
      })
    }
  ])("what this process decided changes nothing: $error._tag", ({ error }) =>
    Effect.gen(function*() {
      const gates = yield* make
      gates.settle(gated(gate), Exit.fail(error))
      assert.isUndefined(gates.judge(gated(gate)))
      gates.settle(gated(gate), Exit.fail(refusal))
      gates.settle(gated(gate), Exit.fail(error))
      assert.strictEqual(gates.judge(gated(gate))?._tag, "EntraInvalidClientError")
    }))

  it.effect("hostile input pushes out the oldest and grows nothing", () =>
    Effect.gen(function*() {
      const gates = yield* make
      const nth = (n: number): Named => ({ ...gate, key: at(`k${n}`) })
      for (let n = 0; n < ThrottleGate.keptGates; n++) gates.settle(gated(nth(n)), Exit.fail(throttle))
      assert.isDefined(gates.judge(gated(nth(0))))
      gates.settle(gated(nth(ThrottleGate.keptGates)), Exit.fail(throttle))
      assert.isUndefined(gates.judge(gated(nth(0))))
      let closed = 0
      for (let n = 0; n <= ThrottleGate.keptGates; n++) if (gates.judge(gated(nth(n))) !== undefined) closed++
      assert.strictEqual(closed, ThrottleGate.keptGates)
    }))

  it.effect("no more than 1,024 refusals are kept, and the oldest goes first", () =>
    Effect.gen(function*() {
      const gates = yield* make
      assert.strictEqual(ThrottleGate.keptGates, 1024)
      for (let n = 0; n < 1030; n++) {
        gates.settle(gated({ ...gate, key: at(`k${n}`) }), Exit.fail(refusal))
        assert.strictEqual(gates.counts().refused, Math.min(n + 1, 1024))
      }
      for (let n = 0; n < 1030; n++) {
        assert.strictEqual(gates.judge(gated({ ...gate, key: at(`k${n}`) })) === undefined, n < 6, `k${n}`)
      }
    }))

  it.effect("a refusal goes before every throttle, however old the throttle is", () =>
    Effect.gen(function*() {
      const gates = yield* make
      gates.settle(gated(gate), Exit.fail(throttle))
      for (let n = 1; n <= ThrottleGate.keptGates; n++) {
        gates.settle(gated({ ...gate, key: at(`k${n}`) }), Exit.fail(refusal))
      }
      assert.deepStrictEqual(gates.counts(), { throttled: 1, refused: ThrottleGate.keptGates - 1 })
      assert.strictEqual(gates.judge(gated(gate))?._tag, "EntraThrottledError")
      assert.isUndefined(gates.judge(gated({ ...gate, key: at("k1") })))
      assert.isDefined(gates.judge(gated({ ...gate, key: at("k2") })))
    }))

  it.effect("what was closed again is young again", () =>
    Effect.gen(function*() {
      const gates = yield* make
      gates.settle(gated(gate), Exit.fail(throttle))
      for (let n = 1; n < ThrottleGate.keptGates; n++) {
        gates.settle(gated({ ...gate, key: at(`k${n}`) }), Exit.fail(throttle))
      }
      gates.settle(gated(gate), Exit.fail(throttle))
      gates.settle(gated({ ...gate, key: at("one more") }), Exit.fail(throttle))
      assert.isDefined(gates.judge(gated(gate)))
      assert.isUndefined(gates.judge(gated({ ...gate, key: at("k1") })))
    }))
})

/** Where an error was made; the stack of an error holds on to it until it is text. */
class Caller {
  readonly much = new Uint8Array(1024)
  refuse() {
    return new EntraError.InvalidClientError({ ...problem, code: "client_refused" })
  }
}

describe("what is remembered", () => {
  it.live("holds on to nothing that was called", () =>
    Effect.gen(function*() {
      const gates = yield* make
      const collect = collector()
      const caller = new WeakRef(new Caller())
      gates.settle(gated(gate), Exit.fail(caller.deref()?.refuse() ?? refusal))
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      collect()
      assert.isUndefined(caller.deref())
      assert.isDefined(gates.judge(gated(gate)))
    }))
})
