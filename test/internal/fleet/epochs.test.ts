import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { type CachePlace, selects } from "../../../src/internal/cache/cacheKey.ts"
import {
  changedFields,
  concerns,
  epochOf,
  type Epochs,
  fieldOfSelector,
  merged,
  nextStamp,
  type OwnerRecords,
  stamped
} from "../../../src/internal/fleet/epochs.ts"

const owner = "5:owner"
const tenants = ["contoso", "fabrikam", ""]
const scopes = ["api://orders/.default", "api://graph/.default"]
const places: ReadonlyArray<CachePlace> = tenants.flatMap((tenant) =>
  scopes.map((scopes) => ({ space: `${owner}space`, tenant, scopes }))
)
const selector = fc.record({
  tenant: fc.constantFrom(undefined, ...tenants),
  scopes: fc.constantFrom(undefined, ...scopes)
}).map(({ scopes, tenant }) => ({ owner, tenant, scopes: tenant === undefined ? undefined : scopes }))
const seed = fc.integer({ min: 0, max: 0xffffffff })

const record = (stamps: Readonly<Record<string, number>> = {}, base = "base"): Epochs => ({
  base,
  version: "version",
  stamps: new Map(Object.entries(stamps))
})

describe("an invalidation", () => {
  it("renames exactly the places that its selector concerns", () =>
    fc.assert(fc.property(selector, seed, fc.array(selector), (last, seed, before) => {
      let at = 1
      const all: OwnerRecords = {
        seeds: [seed],
        records: [before.reduce((all, selector) => stamped(all, fieldOfSelector(selector, seed), at++), record())]
      }
      const field = fieldOfSelector(last, seed)
      const after = { ...all, records: all.records.map((record) => stamped(record, field, at)) }
      for (const place of places) {
        const isConcerned = selects(last, place)
        assert.strictEqual(epochOf(place, all, 0) !== epochOf(place, after, 0), isConcerned)
        assert.strictEqual(concerns(new Set([field]), place, seed), isConcerned)
      }
    })))

  it("of any selectors in any order never gives a place an earlier name again", () =>
    fc.assert(fc.property(fc.array(selector, { maxLength: 12 }), seed, (selectors, seed) => {
      let now = record()
      const names = new Map(places.map((place) => [place, [epochOf(place, { records: [now], seeds: [seed] }, 0)]]))
      selectors.forEach((selector, at) => {
        now = stamped(now, fieldOfSelector(selector, seed), at + 1)
        for (const [place, known] of names) {
          const name = epochOf(place, { records: [now], seeds: [seed] }, 0)
          if (name !== known.at(-1)) {
            assert.notInclude(known, name)
            known.push(name)
          }
        }
      })
    })))
})

describe("a field", () => {
  it("differs by tenant, by scopes and by seed, and shows neither", () => {
    const fields = [1, 2].flatMap((seed) =>
      places.flatMap(({ scopes, tenant }) => [{ owner, tenant }, { owner, tenant, scopes }]).map((selector) =>
        fieldOfSelector(selector, seed)
      )
    )
    // A tenant's field comes once for each of its scopes.
    assert.strictEqual(new Set(fields).size, 2 * (tenants.length + places.length))
    for (const field of fields) assert.match(field, /^[0-9a-z]{2,14}$/)
  })

  it("of all tokens is the same under every root key", () => {
    assert.strictEqual(fieldOfSelector({ owner }, 1), fieldOfSelector({ owner }, 2))
  })
})

describe("a name", () => {
  const place = { space: `${owner}space`, tenant: "contoso", scopes: "s" }
  it("has the base of its own root key and the latest stamps of all", () => {
    const records = [record({ all: 5 }, "a"), record({ all: 7 }, "b")]
    const all = { records, seeds: [1, 2] }
    assert.strictEqual(epochOf(place, all, 0), `a-${(7).toString(36)}--`)
    assert.strictEqual(epochOf(place, all, 1), `b-${(7).toString(36)}--`)
  })

  it("consists of what a store takes", () =>
    fc.assert(fc.property(fc.nat(), fc.nat(), seed, (one, other, seed) => {
      const tenant = fieldOfSelector({ owner, tenant: "contoso" }, seed)
      const name = epochOf(place, { records: [record({ all: one, [tenant]: other })], seeds: [seed] }, 0)
      assert.match(name, /^[\w.-]+$/)
    })))
})

describe("two readings of a record", () => {
  it("differ in the fields with later stamps", () => {
    assert.deepStrictEqual([...changedFields(record({ a: 1, b: 2 }), record({ a: 1, b: 3, c: 1 }))], ["b", "c"])
    assert.deepStrictEqual([...changedFields(record({ a: 2 }), record({ a: 1 }))], [])
  })

  it("merge to the later stamps of both, unless one of them is of a lost record", () => {
    assert.deepStrictEqual(
      merged(record({ a: 1, b: 2 }), record({ a: 3, b: 1, c: 4 })).stamps,
      record({ a: 3, b: 2, c: 4 }).stamps
    )
    assert.deepStrictEqual(merged(record({ a: 1 }, "new"), record({ a: 3 })), record({ a: 1 }, "new"))
  })
})

describe("a stamp", () => {
  it.each([
    { before: undefined, now: 10, wanted: 0, next: 10 },
    { before: 10, now: 10, wanted: 0, next: 11 },
    { before: 20, now: 10, wanted: 0, next: 21 },
    { before: 5, now: 10, wanted: 12, next: 12 },
    { before: 5, now: 10, wanted: 8, next: 8 },
    { before: 12, now: 10, wanted: 12, next: 13 }
  ])("after $before at $now, wanted $wanted: $next", ({ before, next, now, wanted }) => {
    assert.strictEqual(nextStamp(before, now, wanted), next)
  })

  it("that is older than that of the record changes nothing", () => {
    const known = record({ a: 5 })
    assert.strictEqual(stamped(known, "a", 5), known)
    assert.strictEqual(stamped(known, "a", 4), known)
    assert.deepStrictEqual(stamped(known, "a", 6).stamps, record({ a: 6 }).stamps)
  })
})
