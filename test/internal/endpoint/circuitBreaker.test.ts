import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { admit, type Circuit, memory, type Outcome, settle } from "../../../src/internal/endpoint/circuitBreaker.ts"

const options = { failures: 3, openDuration: 30_000, probeTimeout: 10_000 }
const now = 1_000_000
const closed = (failures: number, at = now): Circuit => ({ kind: "closed", failures, at })
const open = (at: number): Circuit => ({ kind: "open", at })
const halfOpen: Circuit = { kind: "halfOpen", at: now + 5000 }

describe("admit", () => {
  it.each<{ name: string; circuit: Circuit; isAdmitted: boolean; after: Circuit }>([
    { name: "no failures", circuit: undefined, isAdmitted: true, after: undefined },
    { name: "some failures", circuit: closed(2), isAdmitted: true, after: closed(2) },
    { name: "open", circuit: open(now + 1), isAdmitted: false, after: open(now + 1) },
    {
      name: "open long enough",
      circuit: open(now),
      isAdmitted: true,
      after: { kind: "halfOpen", at: now + 10_000 }
    },
    { name: "a probe is under way", circuit: halfOpen, isAdmitted: false, after: halfOpen },
    { name: "open an hour ago", circuit: open(now - memory), isAdmitted: true, after: undefined },
    { name: "failures an hour ago", circuit: closed(2, now - memory), isAdmitted: true, after: undefined },
    {
      name: "a probe is lost",
      circuit: { kind: "halfOpen", at: now },
      isAdmitted: true,
      after: { kind: "halfOpen", at: now + 10_000 }
    }
  ])("$name", ({ after, circuit, isAdmitted }) => {
    assert.deepStrictEqual(admit(circuit, now, options), { isAdmitted, circuit: after })
  })
})

describe("settle", () => {
  it.each<{ name: string; circuit: Circuit; admitted?: Circuit; outcome: Outcome; after: Circuit }>([
    { name: "success, no failures", circuit: undefined, outcome: "up", after: undefined },
    { name: "success ends the count", circuit: closed(2), outcome: "up", after: undefined },
    { name: "the first failure", circuit: undefined, outcome: "down", after: closed(1) },
    { name: "the last failure but one", circuit: closed(1), outcome: "down", after: closed(2) },
    { name: "the last failure", circuit: closed(2), outcome: "down", after: open(now + 30_000) },
    { name: "earlier failures an hour ago", circuit: closed(2, now - memory), outcome: "down", after: closed(1) },
    { name: "an interruption proves nothing", circuit: closed(2), outcome: "unknown", after: closed(2) },
    { name: "an interruption, no failures", circuit: undefined, outcome: "unknown", after: undefined },
    { name: "a late success while open", circuit: open(now + 1), outcome: "up", after: open(now + 1) },
    { name: "a late failure while open", circuit: open(now + 1), outcome: "down", after: open(now + 1) },
    { name: "a late success beside a probe", circuit: halfOpen, outcome: "up", after: halfOpen },
    { name: "a late failure beside a probe", circuit: halfOpen, outcome: "down", after: halfOpen },
    { name: "the probe succeeds", circuit: halfOpen, admitted: halfOpen, outcome: "up", after: undefined },
    { name: "the probe fails", circuit: halfOpen, admitted: halfOpen, outcome: "down", after: open(now + 30_000) },
    { name: "the probe is interrupted", circuit: halfOpen, admitted: halfOpen, outcome: "unknown", after: open(now) },
    { name: "a lost probe", circuit: halfOpen, admitted: { ...halfOpen }, outcome: "up", after: halfOpen }
  ])("$name", ({ admitted, after, circuit, outcome }) => {
    assert.deepStrictEqual(settle(circuit, admitted, outcome, now, options), after)
  })
})

it("admits one probe at a time, and is never shut for longer than its longest wait", () => {
  const step = fc.record({ pass: fc.nat(40_000), outcome: fc.constantFrom<Outcome>("up", "down", "unknown") })
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    let circuit: Circuit
    let time = 0
    let shutSince: number | undefined
    for (const { outcome, pass } of steps) {
      time += pass
      const asked = admit(circuit, time, options)
      circuit = asked.circuit
      if (!asked.isAdmitted) {
        shutSince ??= time
        assert.isBelow(time - shutSince, options.openDuration)
        continue
      }
      shutSince = undefined
      if (circuit?.kind === "halfOpen") assert.isFalse(admit(circuit, time, options).isAdmitted)
      circuit = settle(circuit, circuit, outcome, time, options)
    }
  }))
})
