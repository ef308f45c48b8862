import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import type { CachedToken } from "../../../src/internal/cache/cachedToken.ts"
import * as ExpiryWheel from "../../../src/internal/cache/expiryWheel.ts"
import { entryOf } from "../support.ts"

const wheelOf = (expiries: ReadonlyArray<number>) => {
  const wheel = ExpiryWheel.make()
  const entries = expiries.map((expiresOn, i) => entryOf({ scopes: `e${i}` }, { expiresOn }))
  for (const entry of entries) wheel.add(entry)
  return { wheel, entries }
}

const expiriesOf = (entries: ReadonlyArray<CachedToken>) =>
  entries.map(({ expiresOn }) => expiresOn).sort((a, b) => a - b)

describe("expired", () => {
  it.each([
    { name: "nobody on an empty wheel", expiries: [], now: 1e12, found: [] },
    { name: "nobody before the time", expiries: [60_000], now: 59_999, found: [] },
    { name: "at the very millisecond", expiries: [60_000], now: 60_000, found: [60_000] },
    { name: "some of one spoke", expiries: [60_000, 61_000, 62_000], now: 61_500, found: [60_000, 61_000] },
    { name: "several spokes", expiries: [90_000, 30_000, 3_000], now: 60_000, found: [3_000, 30_000] },
    { name: "after a gap of years", expiries: [1_000, 1e12, 1e12 + 60_000], now: 1e12, found: [1_000, 1e12] }
  ])("$name", ({ expiries, found, now }) => {
    const { wheel } = wheelOf(expiries)
    const all: Array<CachedToken> = []
    for (let call = 0; call < 3; call++) {
      const batch = wheel.expired(now, 256)
      for (const entry of batch) wheel.remove(entry)
      all.push(...batch)
    }
    assert.deepStrictEqual(expiriesOf(all), found)
  })

  it("at most so many at a time, and the rest later", () => {
    const { wheel } = wheelOf(Array.from({ length: 10 }, () => 1_000))
    const sizes = [0, 1, 2, 3].map(() => {
      const batch = wheel.expired(2_000, 4)
      for (const entry of batch) wheel.remove(entry)
      return batch.length
    })
    assert.deepStrictEqual(sizes, [4, 4, 2, 0])
  })

  it("whoever was added after the hand had passed is found", () => {
    const { wheel } = wheelOf([3_600_000])
    assert.lengthOf(wheel.expired(1_800_000, 256), 0)
    const late = entryOf({ scopes: "late" }, { expiresOn: 60_000 })
    wheel.add(late)
    assert.deepStrictEqual(wheel.expired(1_800_000, 256), [late])
  })
})

describe("against the plainest version of itself", () => {
  const step = fc.record({
    kind: fc.constantFrom("add", "add", "remove", "pass"),
    pick: fc.nat(),
    time: fc.nat(200_000)
  })

  it("finds exactly those whose time has come", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const wheel = ExpiryWheel.make()
        let model: Array<CachedToken> = []
        let now = 0
        for (const { kind, pick, time } of steps) {
          if (kind === "add") {
            const entry = entryOf({}, { expiresOn: now + Math.floor(time / 1000) * 1000 })
            wheel.add(entry)
            model.push(entry)
          } else if (kind === "remove") {
            const [entry] = model.splice(pick % Math.max(1, model.length), 1)
            if (entry !== undefined) wheel.remove(entry)
          } else {
            now += time
            const found = wheel.expired(now, 10_000)
            for (const entry of found) wheel.remove(entry)
            const gone = model.filter(({ expiresOn }) => expiresOn <= now)
            assert.deepStrictEqual(new Set(found), new Set(gone))
            assert.strictEqual(found.length, gone.length)
            model = model.filter((entry) => !gone.includes(entry))
          }
        }
      }),
      { numRuns: 1000 }
    )
  })
})
