import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import * as FairQueue from "../../../src/internal/endpoint/fairQueue.ts"

/** One letter per step: a letter joins as the next waiter of its tenant, `.` takes a turn, `-a` takes back a's first. */
const run = (steps: string): string => {
  const queue = FairQueue.make<string>()
  const waiting = new Map<string, Array<string>>()
  let count = 0
  let served = ""
  for (const step of steps.match(/-?\w|\./g) ?? []) {
    const tenant = step.at(-1) ?? ""
    const waiters = waiting.get(tenant) ?? []
    waiting.set(tenant, waiters)
    if (step === ".") {
      const next = queue.next()
      served += ` ${next ?? "-"}`
      if (next !== undefined) waiting.get(next[0] ?? "")?.shift()
    } else if (step.startsWith("-")) queue.remove(tenant, waiters.shift() ?? "nobody")
    else {
      waiters.push(`${tenant}${count++}`)
      queue.add(tenant, waiters.at(-1) ?? "")
    }
  }
  return `${served.trim()}${queue.isEmpty() ? "" : " ..."}`
}

describe("next", () => {
  it.each([
    { name: "nobody when nobody waits", steps: ".", served: "-" },
    { name: "one tenant's waiters in their order", steps: "aaa...", served: "a0 a1 a2" },
    { name: "nobody after the last", steps: "a..", served: "a0 -" },
    { name: "tenants in turn", steps: "aaabbcc.......", served: "a0 b3 c5 a1 b4 c6 a2" },
    { name: "a tenant that comes late after one of the others", steps: "aaaa.b...", served: "a0 a1 b4 a2 ..." },
    { name: "a tenant that comes back behind those that wait", steps: "abc.a.b..c..", served: "a0 b1 c2 a3 b4 c5" },
    {
      name: "two tenants that come back at once leave every other turn to a third",
      steps: "xxxb.c.b.c.b.c.",
      served: "x0 b3 x1 c4 b5 x2 ..."
    },
    { name: "after an empty time", steps: "a..b.", served: "a0 - b1" },
    { name: "not somebody who has left", steps: "aab-a..", served: "a1 b2" },
    { name: "not a tenant whose last waiter has left", steps: "ab-a.", served: "b1" },
    { name: "a tenant that left and came back, at the end", steps: "ab-aa..", served: "b1 a2" },
    { name: "the others when somebody leaves who does not wait", steps: "-ab.", served: "b0" },
    { name: "the rest after a whole tenant left during the round", steps: "aabbcc.-b-b...", served: "a0 c4 a1 c5" }
  ])("$name: $steps", ({ served, steps }) => {
    assert.strictEqual(run(steps), served)
  })
})

it("serves as the plainest version of itself does, whatever joins and leaves", () => {
  const step = fc.record({
    kind: fc.constantFrom("add", "add", "add", "next", "next", "remove"),
    tenant: fc.constantFrom("a", "b", "c", "d"),
    pick: fc.nat()
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const queue = FairQueue.make<number>()
      let plain: Array<{ readonly tenant: string; readonly waiters: Array<number> }> = []
      for (const [id, { kind, pick, tenant }] of steps.entries()) {
        const line = plain.find((line) => line.tenant === tenant)
        if (kind === "add") {
          queue.add(tenant, id)
          if (line === undefined) plain.push({ tenant, waiters: [id] })
          else line.waiters.push(id)
        } else if (kind === "remove") {
          const [waiter = -1] = line?.waiters.splice(pick % Math.max(line.waiters.length, 1), 1) ?? []
          queue.remove(tenant, waiter)
        } else {
          const [first, ...rest] = plain
          assert.strictEqual(queue.next(), first?.waiters.shift())
          if (first !== undefined) plain = [...rest, first]
        }
        plain = plain.filter(({ waiters }) => waiters.length > 0)
        assert.strictEqual(queue.isEmpty(), plain.length === 0)
      }
    }),
    { numRuns: 1000 }
  )
})
