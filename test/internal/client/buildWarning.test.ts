import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { recordBuild } from "../../../src/internal/client/buildWarning.ts"

/** The counter outlives a test, so each takes a client of its own. */
const newClient = () => crypto.randomUUID()

const warnings = (client: string, times: ReadonlyArray<number>) =>
  times.flatMap((time, i) => recordBuild(client, time) ? [i + 1] : [])

const every = (step: number, count: number, from = 0) => Array.from({ length: count }, (_, i) => from + i * step)

describe("noteBuild", () => {
  it.each([
    { name: "ten builds at once", times: every(0, 10), at: [] },
    { name: "the eleventh", times: every(0, 11), at: [11] },
    { name: "a hundred in a minute, one warning", times: every(500, 100), at: [11] },
    { name: "eleven in a minute", times: every(5999, 11), at: [11] },
    { name: "eleven in more than a minute", times: every(6000, 11), at: [] },
    { name: "eleven in each of two minutes", times: [...every(0, 20), ...every(0, 20, 60_000)], at: [11, 31] },
    { name: "slow builds, for ever", times: every(10_000, 1000), at: [] },
    { name: "a clock that was set back starts anew", times: [...every(0, 10, 1000), ...every(0, 10, 0)], at: [] }
  ])("$name: $at", ({ at, times }) => {
    assert.deepStrictEqual(warnings(newClient(), times), at)
  })

  it("each client is counted by itself", () => {
    const [one, other] = [newClient(), newClient()]
    for (const time of every(1, 10)) {
      assert.isFalse(recordBuild(one, time))
      assert.isFalse(recordBuild(other, time))
    }
    assert.isTrue(recordBuild(one, 10))
    assert.isTrue(recordBuild(other, 10))
  })

  it("a hundred clients are remembered, and not one more", () => {
    const [kept, forgotten] = [newClient(), newClient()]
    assert.deepStrictEqual(warnings(forgotten, every(0, 10)), [])
    assert.deepStrictEqual(warnings(kept, every(0, 10)), [])
    for (let i = 0; i < 99; i++) recordBuild(newClient(), 0)
    assert.deepStrictEqual(warnings(kept, [0]), [1])
    assert.deepStrictEqual(warnings(forgotten, [0]), [])
  })

  it("no warning without more than ten builds in the minute before it, and one for eleven builds at most", () => {
    fc.assert(fc.property(fc.array(fc.nat(20_000), { maxLength: 200 }), (steps) => {
      let now = 0
      const client = newClient()
      const builds: Array<number> = []
      const warned: Array<number> = []
      for (const step of steps) {
        now += step
        builds.push(now)
        if (!recordBuild(client, now)) continue
        const recent = builds.filter((time) => time > now - 60_000)
        assert.isAbove(recent.length, 10)
        warned.push(now)
      }
      assert.isAtMost(warned.length, Math.ceil(builds.length / 11))
    }))
  })
})
