import { assert, describe, it } from "@effect/vitest"
import { keyOf } from "../../../src/internal/cache/cacheKey.ts"
import * as RunningFetches from "../../../src/internal/cache/runningFetches.ts"

const fetchOf = (tenant: string, options: { readonly until?: number; readonly mayBeLost?: boolean } = {}) => ({
  key: keyOf("space", tenant, "scopes"),
  until: options.until ?? 10,
  mayBeLost: options.mayBeLost ?? false,
  invalidated: false
})

const running = (...fetches: ReadonlyArray<RunningFetches.Fetch>) => {
  const all = RunningFetches.make()
  for (const fetch of fetches) all.add(fetch)
  return all
}

describe("running fetches", () => {
  it("that started before another one of their key are outdated by it, and no others", () => {
    const [older, other, newer, newest] = [fetchOf("a"), fetchOf("b"), fetchOf("a"), fetchOf("a")]
    const all = running(older, other, newer, newest)
    all.outdate(newer)
    assert.deepStrictEqual([older, other, newer, newest].map(({ invalidated }) => invalidated), [
      true,
      false,
      false,
      false
    ])
  })

  it("that have ended are neither outdated nor concerned", () => {
    const [ended, last] = [fetchOf("a"), fetchOf("a")]
    const all = running(ended, last)
    all.end(ended)
    all.outdate(last)
    assert.isFalse(ended.invalidated)
    assert.isFalse(all.has(ended))
    assert.deepStrictEqual(all.concerned(() => true), [last])
    all.end(last)
    all.end(last)
    assert.deepStrictEqual(all.concerned(() => true), [])
  })

  it("are concerned by their keys", () => {
    const [a, b] = [fetchOf("a"), fetchOf("b")]
    assert.deepStrictEqual(running(a, b).concerned(({ tenant }) => tenant === "b"), [b])
  })

  it("may be lost beyond their limit, on a platform that ends the I/O of a request", () => {
    const [lost, safe, later] = [
      fetchOf("a", { mayBeLost: true }),
      fetchOf("b"),
      fetchOf("c", { until: 20, mayBeLost: true })
    ]
    const all = running(lost, safe, later)
    assert.deepStrictEqual(all.lost(9), [])
    assert.deepStrictEqual(all.lost(10), [lost])
    assert.deepStrictEqual(all.lost(20), [lost, later])
    assert.deepStrictEqual(running(safe).lost(20), [])
  })
})
