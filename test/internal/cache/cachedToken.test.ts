import { assert, describe, it } from "@effect/vitest"
import { Exit } from "effect"
import { CachedToken } from "../../../src/internal/cache/cachedToken.ts"
import { entryOf, tokenOf } from "../support.ts"

const times = { issuedAt: 0, refreshOn: 1000, usableUntil: 2000, expiresOn: 3000 }
const key = { space: "space", tenant: "tenant", scopes: "scopes" }

describe("size", () => {
  const more = "x".repeat(1000)
  it.each([
    { name: "token", entry: () => new CachedToken(key, tokenOf({ text: `a-token${more}` }), times) },
    { name: "space", entry: () => new CachedToken({ ...key, space: key.space + more }, tokenOf(), times) },
    { name: "tenant", entry: () => new CachedToken({ ...key, tenant: key.tenant + more }, tokenOf(), times) },
    { name: "scopes", entry: () => new CachedToken({ ...key, scopes: key.scopes + more }, tokenOf(), times) },
    { name: "correlation id", entry: () => new CachedToken(key, tokenOf({ correlationId: `c-1${more}` }), times) }
  ])("has the length of the $name", ({ entry }) => {
    const { size } = new CachedToken(key, tokenOf(), times)
    assert.strictEqual(entry().size - size, 1000)
  })

  it("is more than the length of the strings, because the objects take room too", () => {
    const strings = ["a-token", "space", "tenant", "scopes", "c-1"].join("").length
    assert.isAtLeast(new CachedToken(key, tokenOf(), times).size, strings + 500)
  })
})

describe("touch", () => {
  it("counts up to three uses", () => {
    const entry = entryOf({})
    const counts = Array.from({ length: 5 }, () => {
      entry.touch()
      return entry.uses
    })
    assert.deepStrictEqual(counts, [1, 2, 3, 3, 3])
  })
})

describe("hits", () => {
  it.each([
    { name: "fresh", hit: (entry: CachedToken) => entry.freshHit, reason: "NotApplicable", outage: false },
    { name: "stale", hit: (entry: CachedToken) => entry.staleHit, reason: "ProactivelyRefreshed", outage: false },
    {
      name: "near expiry in an outage",
      hit: (entry: CachedToken) => entry.outageHit,
      reason: "NotApplicable",
      outage: true
    }
  ])("of a token that is $name say so, and are made once", ({ hit, outage, reason }) => {
    const entry = entryOf({})
    const exit = hit(entry)
    assert.strictEqual(hit(entry), exit)
    if (Exit.isFailure(exit)) return assert.fail("no result")
    assert.deepStrictEqual<unknown>({ ...exit.value.metadata }, {
      tokenSource: "Cache",
      cacheLevel: "L1",
      cacheRefreshReason: reason,
      outage
    })
  })
})
