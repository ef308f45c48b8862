import { assert, describe, it } from "@effect/vitest"
import { day, evictionWarning, expiryWarning, minute, noWarning } from "../../../src/internal/telemetry/warnings.ts"

describe("expiryNotice", () => {
  const now = Date.UTC(2026, 10, 22, 12)
  const table: ReadonlyArray<readonly [left: number, notice: string | undefined]> = [
    [365 * day, undefined],
    [30 * day, undefined],
    [30 * day - 1, "the credential expires in 29 days, on 2026-12-22"],
    [2 * day, "the credential expires in 2 days, on 2026-11-24"],
    [2 * day - 1, "the credential expires in 1 day, on 2026-11-24"],
    [day - 1, "the credential expires in less than a day, on 2026-11-23"],
    [1, "the credential expires in less than a day, on 2026-11-22"],
    [0, "the credential expired on 2026-11-22"],
    [-40 * day, "the credential expired on 2026-10-13"]
  ]
  it.each(table)("%d ms before: %s", (left, notice) => {
    assert.strictEqual(expiryWarning(now + left, now), notice)
  })
})

describe("evictionNotice", () => {
  it("says how many have left since it last said so, once a minute", () => {
    assert.isUndefined(evictionWarning(noWarning, 0, 0))
    const first = evictionWarning(noWarning, 3, 1000)
    assert.deepStrictEqual(first, { evicted: 3, last: { until: 1000 + minute, seen: 3 } })
    const last = first?.last ?? noWarning
    assert.isUndefined(evictionWarning(last, 3, 10 * minute))
    assert.isUndefined(evictionWarning(last, 10, 1000 + minute - 1))
    assert.deepStrictEqual(evictionWarning(last, 10, 1000 + minute), {
      evicted: 7,
      last: { until: 1000 + 2 * minute, seen: 10 }
    })
  })
})
