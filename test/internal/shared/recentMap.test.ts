import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import * as RecentMap from "../../../src/internal/shared/recentMap.ts"

describe("a recent map", () => {
  it("keeps the keys that were used last, and at most twice as many", () => {
    const kept = 5
    fc.assert(fc.property(fc.array(fc.nat({ max: 15 }), { maxLength: 100 }), (uses) => {
      const map = RecentMap.make<number>(kept)
      let seen: ReadonlyArray<number> = []
      for (const [at, key] of uses.entries()) {
        const found = map.get(`${key}`)
        const age = seen.indexOf(key)
        if (age >= 0 && age < kept) assert.isDefined(found)
        if (age < 0 || age >= 2 * kept) assert.isUndefined(found)
        if (found === undefined) map.set(`${key}`, at)
        seen = [key, ...seen.filter((other) => other !== key)]
      }
    }))
  })

  it("of one key forgets a key after two others", () => {
    const map = RecentMap.make<number>(1)
    for (const [at, key] of ["a", "b", "c"].entries()) map.set(key, at)
    assert.deepStrictEqual(["a", "b"].map(map.get), [undefined, 1])
  })

  it("has the last value of a key", () => {
    const map = RecentMap.make<string>(1)
    map.set("a", "1")
    map.set("a", "2")
    map.set("b", "1")
    map.set("a", "3")
    assert.strictEqual(map.get("a"), "3")
  })
})
