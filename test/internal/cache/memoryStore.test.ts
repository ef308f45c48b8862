import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import { CachedToken } from "../../../src/internal/cache/cachedToken.ts"
import { ownerOf, selects, spaceOf } from "../../../src/internal/cache/cacheKey.ts"
import * as MemoryStore from "../../../src/internal/cache/memoryStore.ts"
import { collector } from "../../support/garbage.ts"
import { entryOf, tokenOf } from "../support.ts"

const boundless = { maxEntries: Infinity, maxBytes: Infinity }
const owner = ownerOf("client", "environment")
const space = spaceOf(owner, undefined)

const at = (memory: MemoryStore.MemoryStore, { scopes, space, tenant }: CachedToken) =>
  memory.peek(space, tenant, scopes)

const filled = (bounds: { readonly maxEntries: number; readonly maxBytes: number }, count: number) => {
  const memory = MemoryStore.make(bounds)
  const entries = Array.from({ length: count }, (_, i) => entryOf({ tenant: `t${i}` }))
  for (const entry of entries) memory.store(entry, 0)
  return { memory, entries }
}

describe("peek", () => {
  it("finds what was stored, by all three parts of the key", () => {
    const memory = MemoryStore.make(boundless)
    const entry = entryOf({ space, tenant: "t", scopes: "s" })
    memory.store(entry, 0)
    assert.strictEqual(memory.peek(space, "t", "s"), entry)
    for (const [a, b, c] of [["x", "t", "s"], [space, "x", "s"], [space, "t", "x"], ["", "", ""]] as const) {
      assert.isUndefined(memory.peek(a, b, c))
    }
  })

  it.each(["__proto__", "constructor", "", "\0"])("a part named %j is a part like any other", (name) => {
    const memory = MemoryStore.make(boundless)
    assert.isUndefined(memory.peek(name, name, name))
    const entry = entryOf({ space: name, tenant: name, scopes: name })
    memory.store(entry, 0)
    assert.strictEqual(memory.peek(name, name, name), entry)
    assert.isUndefined(memory.peek(name, name, "x"))
  })

  it("looking changes nothing", () => {
    const { memory } = filled(boundless, 3)
    for (let i = 0; i < 100; i++) memory.peek(`s${i}`, `t${i}`, `x${i}`)
    assert.strictEqual(memory.usage.entries, 3)
  })
})

describe("partitions", () => {
  it("grow from one entry to a map and shrink back, and all is found on the way", () => {
    const memory = MemoryStore.make(boundless)
    const [a, b, c] = [entryOf({ scopes: "a" }), entryOf({ scopes: "b" }), entryOf({ scopes: "c" })]
    const found = () => [a, b, c].map((entry) => at(memory, entry) === entry ? entry.scopes : "-").join("")
    const drop = (entry: CachedToken) =>
      memory.invalidate({ owner: entry.space, tenant: entry.tenant, scopes: entry.scopes })
    const steps = [
      [() => memory.store(a, 0), "a--"],
      [() => memory.store(b, 0), "ab-"],
      [() => drop(a), "-b-"],
      [() => memory.store(c, 0), "-bc"],
      [() => memory.store(a, 0), "abc"],
      [() => drop(b), "a-c"],
      [() => drop(c), "a--"],
      [() => drop(a), "---"],
      [() => memory.store(b, 0), "-b-"]
    ] as const
    for (const [step, expected] of steps) {
      step()
      assert.strictEqual(found(), expected)
      assert.strictEqual(memory.usage.entries, expected.replaceAll("-", "").length)
    }
  })

  it("an entry takes the place of the one with its key, alone and among others", () => {
    const memory = MemoryStore.make(boundless)
    const [first, second, other, third] = [entryOf({}), entryOf({}), entryOf({ scopes: "other" }), entryOf({})]
    for (const entry of [first, second]) memory.store(entry, 0)
    assert.strictEqual(at(memory, first), second)
    assert.strictEqual(memory.usage.entries, 1)
    for (const entry of [other, third]) memory.store(entry, 0)
    assert.strictEqual(at(memory, first), third)
    assert.strictEqual(at(memory, other), other)
    assert.strictEqual(memory.usage.entries, 2)
    assert.strictEqual(memory.usage.evictions, 0)
  })
})

describe("invalidate", () => {
  it("looks at the tokens that a selector can select only, however many the tenant has", () => {
    const memory = MemoryStore.make(boundless)
    const looked: Array<string> = []
    const entries = ["a", "b"].flatMap((tenant) => ["x", "y", "z"].map((scopes) => entryOf({ tenant, scopes })))
    for (const entry of entries) {
      const { space } = entry
      Object.defineProperty(entry, "space", { get: () => (looked.push(`${entry.tenant} ${entry.scopes}`), space) })
      memory.store(entry, 0)
    }
    const lookedFor = (selector: { readonly tenant?: string; readonly scopes?: string }) => {
      looked.length = 0
      memory.invalidate({ owner: "space", ...selector })
      return [...new Set(looked)]
    }
    assert.deepStrictEqual(lookedFor({ tenant: "a", scopes: "y" }), ["a y"])
    assert.deepStrictEqual(lookedFor({ tenant: "a", scopes: "y" }), [])
    assert.deepStrictEqual(lookedFor({ tenant: "a" }), ["a x", "a z"])
    assert.deepStrictEqual(lookedFor({ scopes: "z" }), ["b z"])
    assert.deepStrictEqual(lookedFor({}), ["b x", "b y"])
    assert.strictEqual(memory.usage.entries, 0)
  })
})

describe("a replaced entry", () => {
  const order = (memory: MemoryStore.MemoryStore) =>
    Array.from(memory.entries(), ({ scopes, tenant }) => `${tenant} ${scopes}`)

  it.each([
    { name: "of a tenant", first: { tenant: "a" }, second: { tenant: "b" } },
    { name: "of several scopes", first: { scopes: "x" }, second: { scopes: "y" } }
  ])("$name keeps its place in the index, because a key that is set again leaves a hole", ({ first, second }) => {
    const memory = MemoryStore.make(boundless)
    for (const key of [first, second]) memory.store(entryOf(key), 0)
    const before = order(memory)
    const next = entryOf(first)
    const { shared } = at(memory, next) ?? next
    memory.store(next, 0)
    assert.deepStrictEqual(order(memory), before)
    assert.strictEqual(at(memory, next), next)
    assert.strictEqual(next.shared, shared)
    assert.strictEqual(next.shared.members, before.filter((name) => name.endsWith(next.scopes)).length)
  })

  it("leaves the index when the next one has no room", () => {
    const small = entryOf({ tenant: "a" })
    const memory = MemoryStore.make({ maxEntries: 10, maxBytes: small.size })
    memory.store(small, 0)
    const large = entryOf({ tenant: "a" }, { text: "t".repeat(1000) })
    memory.store(large, 0)
    assert.isUndefined(at(memory, small))
    assert.isFalse(small.isCached)
    assert.isFalse(large.isCached)
    assert.deepStrictEqual({ ...memory.usage }, { entries: 0, bytes: 0, evictions: 0 })
    assert.strictEqual(small.shared.members, 0)
  })

  it("whose fields change shares the new fields with its successors", () => {
    const memory = MemoryStore.make(boundless)
    const key = { space: "space", tenant: "tenant", scopes: "scopes" }
    const times = { issuedAt: 0, refreshOn: 1, usableUntil: 1, expiresOn: 3_600_000 }
    const [old, changed, next] = ["one", "two", "two"].map((scope) =>
      new CachedToken(key, tokenOf({ scopes: [scope] }), times)
    )
    for (const entry of [old, changed, next]) if (entry !== undefined) memory.store(entry, 0)
    assert.strictEqual(next?.shared, changed?.shared)
    assert.deepStrictEqual(next?.shared.grantedScopes, ["two"])
  })
})

describe("what entries have in common is kept once", () => {
  const text = (i: number) => ["", "t", String(i)].join("")

  it("scopes and authority of a family, and a tenant's name, whoever spelled them anew", () => {
    const memory = MemoryStore.make(boundless)
    const entries = [0, 1, 2].flatMap(() => ["a", "b"].map((scopes) => entryOf({ tenant: text(1), scopes })))
    const others = [entryOf({ tenant: text(2), scopes: "a" })]
    for (const entry of [...entries, ...others]) memory.store(entry, 0)
    const [a, b] = ["a", "b"].map((scopes) => memory.peek("space", "t1", scopes))
    assert.strictEqual(a?.shared, others[0]?.shared)
    assert.notStrictEqual(a?.shared, b?.shared)
    assert.strictEqual(a?.shared.members, 2)
  })

  it("and goes with the last of them", () => {
    const memory = MemoryStore.make(boundless)
    const entries = [1, 2].map((i) => entryOf({ tenant: text(i) }))
    for (const entry of entries) memory.store(entry, 0)
    memory.invalidate({ owner: "space" })
    const [first] = entries
    assert.strictEqual(first?.shared.members, 0)
    const next = entryOf({ tenant: text(3) })
    memory.store(next, 0)
    assert.notStrictEqual(next.shared, first?.shared)
  })

  it.each([
    ["another authority", { authority: "https://login.microsoftonline.us/tenant" }],
    ["another token type", { tokenType: "mtls_pop" }],
    ["other granted scopes", { scopes: ["one", "two"] }]
  ])("but not with %s", (_, different) => {
    const memory = MemoryStore.make(boundless)
    const key = { space: "space", tenant: "tenant", scopes: "scopes" }
    const times = { issuedAt: 0, refreshOn: 1, usableUntil: 1, expiresOn: 3_600_000 }
    const one = new CachedToken(key, tokenOf({}), times)
    const other = new CachedToken({ ...key, tenant: "t2" }, tokenOf(different), times)
    for (const entry of [one, other]) memory.store(entry, 0)
    const metadata = {
      tokenSource: "Cache",
      cacheLevel: "L1",
      cacheRefreshReason: "NotApplicable",
      outage: false
    } as const
    const result = other.result(metadata)
    assert.deepInclude(result, different)
    assert.strictEqual(one.result(metadata).authority, tokenOf({}).authority)
  })
})

describe("names that were cut out of something long", () => {
  it("keep nothing of it in memory", () => {
    const collect = collector()
    const memory = MemoryStore.make(boundless)
    const heap = () => {
      collect()
      return process.memoryUsage().heapUsed
    }
    const before = heap()
    for (let i = 0; i < 20; i++) {
      const long = `${
        String.fromCharCode(97 + i).repeat(1_000_000)
      }|tenant-number-${i}.example.com|api://orders-${i}/.default`
      const [, tenant = "", scopes = ""] = long.split("|")
      memory.store(entryOf({ tenant, scopes }), 0)
      assert.isDefined(memory.peek("space", `tenant-number-${i}.example.com`, `api://orders-${i}/.default`))
    }
    // The last of them is still a local variable's.
    assert.isBelow(heap() - before, 3_000_000)
  })
})

describe("spaces", () => {
  it("leave nothing in memory when their last entry is gone", () => {
    const collect = collector()
    const memory = MemoryStore.make(boundless)
    const heap = () => {
      collect()
      return process.memoryUsage().heapUsed
    }
    const fillAndEmpty = (from: number) => {
      for (let i = from; i < from + 20_000; i++) {
        const name = `space-${i}`
        memory.store(entryOf({ space: name }), 0)
        memory.invalidate({ owner: name })
      }
      assert.strictEqual(memory.usage.entries, 0)
    }
    fillAndEmpty(0)
    const before = heap()
    fillAndEmpty(20_000)
    // A map for each space takes more than 100 bytes.
    assert.isBelow(heap() - before, 1_000_000)
    assert.isUndefined(memory.peek("space-1", "tenant", "scopes"))
  })
})

describe("bounds", () => {
  it("by entries", () => {
    const { entries, memory } = filled({ maxEntries: 3, maxBytes: Infinity }, 5)
    assert.deepStrictEqual(entries.map((entry) => at(memory, entry) === entry), [false, false, true, true, true])
    assert.deepStrictEqual({ ...memory.usage, bytes: 0 }, { entries: 3, bytes: 0, evictions: 2 })
  })

  it("by bytes", () => {
    const { size } = entryOf({ tenant: "t0" })
    const { entries, memory } = filled({ maxEntries: Infinity, maxBytes: 3 * size }, 5)
    assert.deepStrictEqual(entries.map((entry) => at(memory, entry) === entry), [false, false, true, true, true])
    assert.deepStrictEqual({ ...memory.usage }, { entries: 3, bytes: 3 * size, evictions: 2 })
  })

  it.each([
    { name: "entries", bounds: { maxEntries: 500, maxBytes: Infinity } },
    { name: "bytes", bounds: { maxEntries: Infinity, maxBytes: 500 * entryOf({ tenant: "t0" }).size } }
  ])("ten times as many as there is room for never exceed it: $name", ({ bounds }) => {
    const memory = MemoryStore.make(bounds)
    for (let i = 0; i < 5_000; i++) {
      memory.store(entryOf({ tenant: `t${i}` }, { text: "x".repeat(i % 90) }), 0)
      memory.peek("space", `t${i % 300}`, "scopes")?.touch()
      assert.isAtMost(memory.usage.entries, bounds.maxEntries)
      assert.isAtMost(memory.usage.bytes, bounds.maxBytes)
    }
    assert.isAbove(memory.usage.entries, 400)
    assert.strictEqual(memory.usage.entries + memory.usage.evictions, 5_000)
  })

  it("a longer token takes more room", () => {
    const memory = MemoryStore.make(boundless)
    memory.store(entryOf({ tenant: "a" }, { text: "x" }), 0)
    const before = memory.usage.bytes
    memory.store(entryOf({ tenant: "b" }, { text: "x".repeat(1001) }), 0)
    assert.strictEqual(memory.usage.bytes - before, before + 1000)
  })

  it.each([
    { name: "no entries", bounds: { maxEntries: 0, maxBytes: Infinity } },
    { name: "no bytes", bounds: { maxEntries: Infinity, maxBytes: 0 } }
  ])("room for $name: nothing is kept", ({ bounds }) => {
    const { memory } = filled(bounds, 3)
    assert.strictEqual(memory.usage.entries, 0)
    assert.strictEqual(memory.usage.bytes, 0)
  })

  it("what is used stays, what is not leaves", () => {
    const { entries, memory } = filled({ maxEntries: 3, maxBytes: Infinity }, 3)
    const [first, second] = entries
    if (first === undefined || second === undefined) return assert.fail("no entries")
    first.touch()
    memory.store(entryOf({ tenant: "new" }), 0)
    assert.strictEqual(at(memory, first), first)
    assert.isUndefined(at(memory, second))
  })

  it("tenants that are used once do not push out one that is used again", () => {
    const memory = MemoryStore.make({ maxEntries: 10, maxBytes: Infinity })
    const hot = entryOf({ tenant: "hot" })
    memory.store(hot, 0)
    for (let i = 0; i < 1000; i++) {
      hot.touch()
      memory.store(entryOf({ tenant: `once-${i}` }), 0)
      assert.strictEqual(at(memory, hot), hot)
    }
  })

  it("an entry that was just stored is there, even if all others are in use", () => {
    const { entries, memory } = filled({ maxEntries: 3, maxBytes: Infinity }, 3)
    for (let round = 0; round < 3; round++) {
      for (const entry of entries) entry.touch()
      const added = entryOf({ tenant: `new-${round}` })
      memory.store(added, 0)
      assert.strictEqual(at(memory, added), added)
      assert.strictEqual(memory.usage.entries, 3)
    }
  })

  it("an entry larger than all the room leaves the others alone", () => {
    const { size } = entryOf({})
    const { entries, memory } = filled({ maxEntries: Infinity, maxBytes: 3 * size }, 3)
    memory.store(entryOf({ tenant: "large" }, { text: "x".repeat(4 * size) }), 0)
    assert.isTrue(entries.every((entry) => at(memory, entry) === entry))
  })
})

describe("expiry", () => {
  it("expired entries leave before live ones, and are no evictions", () => {
    const memory = MemoryStore.make({ maxEntries: 4, maxBytes: Infinity })
    const live = entryOf({ tenant: "live" }, { expiresOn: 1_000_000 })
    const old = [1, 2, 3].map((i) => entryOf({ tenant: `old-${i}` }, { expiresOn: 100_000 }))
    for (const entry of [live, ...old]) memory.store(entry, 0)
    for (const entry of old) entry.touch()
    const added = entryOf({ tenant: "new" }, { expiresOn: 1_000_000 })
    memory.store(added, 100_000)
    assert.strictEqual(at(memory, live), live)
    assert.strictEqual(at(memory, added), added)
    assert.deepStrictEqual(old.map((entry) => at(memory, entry)), [undefined, undefined, undefined])
    assert.strictEqual(memory.usage.entries, 2)
    assert.strictEqual(memory.usage.evictions, 0)
  })

  it("an entry stays to the last millisecond", () => {
    const memory = MemoryStore.make(boundless)
    const entry = entryOf({ tenant: "a" }, { expiresOn: 100_000 })
    memory.store(entry, 0)
    memory.store(entryOf({ tenant: "b" }), 99_999)
    assert.strictEqual(at(memory, entry), entry)
    memory.store(entryOf({ tenant: "c" }), 100_000)
    assert.isUndefined(at(memory, entry))
  })

  it("each store clears at most 256 of what has expired, so a few clear all of it, however much it is", () => {
    const memory = MemoryStore.make(boundless)
    for (let i = 0; i < 1000; i++) memory.store(entryOf({ tenant: `old-${i}` }, { expiresOn: 100_000 }), 0)
    assert.strictEqual(memory.usage.entries, 1000)
    const left = Array.from({ length: 5 }, (_, stores) => {
      memory.store(entryOf({ tenant: `new-${stores}` }, { expiresOn: 1_000_000 }), 200_000)
      return memory.usage.entries - stores - 1
    })
    assert.deepStrictEqual(left, [744, 488, 232, 0, 0])
  })
})

describe("invalidate", () => {
  const clients = ["a", "b"].map((client) => ownerOf(client, "environment"))
  const everything = () => {
    const memory = MemoryStore.make(boundless)
    const entries = clients.flatMap((owner) =>
      [spaceOf(owner, undefined), spaceOf(owner, { tokenType: "mtls_pop", keyId: "k" })].flatMap((space) =>
        ["t1", "t2"].flatMap((tenant) => ["s1", "s2"].map((scopes) => entryOf({ space, tenant, scopes })))
      )
    )
    for (const entry of entries) memory.store(entry, 0)
    return { memory, entries }
  }

  it.each([
    { name: "an owner", selector: { owner: clients[0] ?? "" }, left: 8 },
    { name: "a tenant", selector: { owner: clients[0] ?? "", tenant: "t1" }, left: 12 },
    { name: "scopes of a tenant", selector: { owner: clients[0] ?? "", tenant: "t1", scopes: "s1" }, left: 14 },
    { name: "scopes in all tenants", selector: { owner: clients[0] ?? "", scopes: "s1" }, left: 12 },
    { name: "an unknown owner", selector: { owner: ownerOf("c", "environment") }, left: 16 },
    { name: "an unknown tenant", selector: { owner: clients[0] ?? "", tenant: "t3" }, left: 16 }
  ])("$name: leaves $left of 16", ({ left, selector }) => {
    const { entries, memory } = everything()
    memory.invalidate(selector)
    assert.strictEqual(memory.usage.entries, left)
    for (const entry of entries) {
      assert.strictEqual(at(memory, entry), selects(selector, entry) ? undefined : entry)
    }
    memory.invalidate(selector)
    assert.strictEqual(memory.usage.entries, left)
  })

  it("is no eviction, and gives back the room", () => {
    const { memory } = everything()
    for (const owner of clients) memory.invalidate({ owner })
    assert.deepStrictEqual({ ...memory.usage }, { entries: 0, bytes: 0, evictions: 0 })
  })
})

describe("removeWhere", () => {
  it("removes the entries of the owner that are concerned, and no others", () => {
    const memory = MemoryStore.make(boundless)
    const entries = ["a", "b"].flatMap((client) =>
      ["t1", "t2"].map((tenant) => entryOf({ space: spaceOf(ownerOf(client, "environment"), undefined), tenant }))
    )
    for (const entry of entries) memory.store(entry, 0)
    memory.removeWhere(ownerOf("a", "environment"), ({ tenant }) => tenant === "t1")
    assert.deepStrictEqual(entries.map((entry) => at(memory, entry)), [undefined, ...entries.slice(1)])
  })
})

describe("against the plainest version of itself", () => {
  const names = ["a", "b", "c"]
  const key = fc.record({ space: fc.nat(1), tenant: fc.nat(2), scopes: fc.nat(2) }).map((key) => ({
    space: spaceOf(ownerOf(`client-${key.space}`, "e"), undefined),
    tenant: names[key.tenant] ?? "",
    scopes: names[key.scopes] ?? ""
  }))
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant("store"), key, life: fc.nat(50), text: fc.nat(400) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("use"), key, life: fc.constant(0), text: fc.constant(0) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("wait"), key, life: fc.nat(20), text: fc.constant(0) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("invalidate"), key, life: fc.nat(3), text: fc.constant(0) }) }
  )
  const bounds = fc.record({
    maxEntries: fc.oneof(fc.nat(8), fc.constant(Infinity)),
    maxBytes: fc.oneof(fc.nat(3000), fc.constant(Infinity))
  })
  const allKeys = [0, 1].flatMap((client) =>
    names.flatMap((tenant) =>
      names.map((scopes) => ({ space: spaceOf(ownerOf(`client-${client}`, "e"), undefined), tenant, scopes }))
    )
  )

  it("holds what was stored last and not dropped, within its bounds, and counts it right", () => {
    fc.assert(
      fc.property(bounds, fc.array(step, { maxLength: 60 }), (bounds, steps) => {
        const memory = MemoryStore.make(bounds)
        const model = new Map<string, CachedToken>()
        const nameOf = (key: { space: string; tenant: string; scopes: string }) =>
          JSON.stringify([key.space, key.tenant, key.scopes])
        let now = 0
        for (const { key, kind, life, text } of steps) {
          if (kind === "store") {
            const entry = entryOf(key, { expiresOn: now + life * 1000, text: "x".repeat(text) })
            memory.store(entry, now)
            model.set(nameOf(key), entry)
          } else if (kind === "use") {
            const entry = memory.peek(key.space, key.tenant, key.scopes)
            entry?.touch()
          } else if (kind === "wait") {
            now += life
          } else {
            const owner = key.space.slice(0, key.space.length - spaceOf("", undefined).length)
            const tenant = life > 0 ? key.tenant : undefined
            const selector = { owner, tenant, scopes: life > 1 ? key.scopes : undefined }
            memory.invalidate(selector)
            for (const [name, entry] of model) if (selects(selector, entry)) model.delete(name)
          }
          const present = allKeys.flatMap((key) => {
            const entry = memory.peek(key.space, key.tenant, key.scopes)
            if (entry !== undefined) assert.strictEqual(entry, model.get(nameOf(key)))
            return entry === undefined ? [] : [entry]
          })
          assert.strictEqual(memory.usage.entries, present.length)
          assert.strictEqual(memory.usage.bytes, present.reduce((sum, entry) => sum + entry.size, 0))
          assert.isAtMost(memory.usage.entries, bounds.maxEntries)
          assert.isAtMost(memory.usage.bytes, bounds.maxBytes)
          const live = [...model.values()].filter((entry) => entry.expiresOn > now)
          if (bounds.maxEntries === Infinity && bounds.maxBytes === Infinity) {
            assert.strictEqual(memory.usage.evictions, 0)
            for (const entry of live) assert.strictEqual(at(memory, entry), entry)
          }
        }
      }),
      { numRuns: 1000 }
    )
  })

  it("nobody live is evicted while an expired one stays", () => {
    const store = fc.record({ key, life: fc.nat(30), wait: fc.nat(10), used: fc.boolean() })
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 15 }), fc.array(store, { maxLength: 60 }), (maxEntries, stores) => {
        const memory = MemoryStore.make({ maxEntries, maxBytes: Infinity })
        let now = 0
        for (const { key, life, used, wait } of stores) {
          now += wait * 1000
          const entry = entryOf(key, { expiresOn: now + (1 + life) * 1000 })
          if (used) entry.touch()
          const evictions = memory.usage.evictions
          memory.store(entry, now)
          if (memory.usage.evictions === evictions) continue
          for (const key of allKeys) {
            const left = memory.peek(key.space, key.tenant, key.scopes)
            assert.isTrue(left === undefined || left.expiresOn > now)
          }
        }
      }),
      { numRuns: 500 }
    )
  })
})
