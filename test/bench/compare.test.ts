import { assert, describe, it } from "@effect/vitest"
import { compare, fails } from "../../bench/support/compare.ts"
import type { Watched } from "../../bench/support/result.ts"

const count = (value: number, name = "bytes per hit"): Watched => ({ name, kind: "count", value })
const ratio = (value: number, name = "hit of the floor"): Watched => ({ name, kind: "ratio", value })

const verdicts = (before: ReadonlyArray<Watched>, now: ReadonlyArray<Watched>) =>
  compare(before, now).map(({ name, verdict }) => [name, verdict])

describe("compare", () => {
  it.each<[before: Watched, now: Watched, verdict: string, failed: boolean]>([
    [ratio(2), ratio(2), "ok", false],
    [ratio(2), ratio(3), "ok", false],
    [ratio(2), ratio(3.01), "worse", true],
    [ratio(3), ratio(1.9), "better", false],
    [count(100), count(105), "ok", false],
    [count(100), count(106), "worse", true],
    [count(100), count(94), "better", false],
    [count(0), count(0), "ok", false],
    [count(0), count(1), "worse", true],
    [count(1), count(2), "worse", true],
    [ratio(2), ratio(Number.NaN), "worse", true],
    [ratio(2), ratio(Number.POSITIVE_INFINITY), "worse", true]
  ])("%o, then %o: %s", (before, now, verdict, failed) => {
    const [row] = compare([before], [now])
    assert.strictEqual(row?.verdict, verdict)
    assert.strictEqual(row !== undefined && fails(row), failed)
  })

  it("fails when what is in the baseline was not measured, whatever else was", () => {
    const rows = compare([count(1, "one"), count(1, "two")], [count(1, "two")])
    assert.deepStrictEqual(rows.map(({ name, now, verdict }) => [name, now, verdict]), [
      ["one", undefined, "missing"],
      ["two", 1, "ok"]
    ])
    assert.deepStrictEqual(rows.map(fails), [true, false])
  })

  it("tells what is new and does not fail by it", () => {
    const rows = compare([], [count(5, "one")])
    assert.deepStrictEqual(rows.map(({ baseline, now, verdict }) => [baseline, now, verdict]), [[undefined, 5, "new"]])
    assert.isFalse(rows.some(fails))
  })

  it("goes by name and not by place", () => {
    assert.deepStrictEqual(verdicts([count(1, "one"), count(9, "two")], [count(9, "two"), count(1, "one")]), [
      ["one", "ok"],
      ["two", "ok"]
    ])
  })

  it("judges a value by the kind that it has now", () => {
    assert.deepStrictEqual(verdicts([ratio(100, "one")], [count(120, "one")]), [["one", "worse"]])
    assert.deepStrictEqual(verdicts([count(100, "one")], [ratio(120, "one")]), [["one", "ok"]])
  })
})
