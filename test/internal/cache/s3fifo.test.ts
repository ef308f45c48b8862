import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import type { CachedToken } from "../../../src/internal/cache/cachedToken.ts"
import * as S3Fifo from "../../../src/internal/cache/s3fifo.ts"
import { entryOf } from "../support.ts"

/** A cache that asks, on a miss, for room before it lets the new one in. */
const cacheOf = (capacity: number) => {
  const queue = S3Fifo.make()
  const kept = new Map<string, CachedToken>()
  const evicted: Array<string> = []
  const add = (name: string): void => {
    const victim = kept.size >= capacity ? queue.victim() : undefined
    if (victim !== undefined) {
      queue.bury(victim)
      queue.remove(victim)
      kept.delete(victim.scopes)
      evicted.push(victim.scopes)
    }
    const entry = entryOf({ scopes: name })
    queue.add(entry)
    kept.set(name, entry)
  }
  return {
    evicted,
    kept,
    queue,
    use: (name: string): boolean => {
      const known = kept.get(name)
      if (known === undefined) add(name)
      else known.touch()
      return known !== undefined
    }
  }
}

const useAll = (use: (name: string) => boolean, names: string) => [...names].map(use)

describe("victim", () => {
  it("there is none in an empty queue", () => {
    assert.isUndefined(S3Fifo.make().victim())
    const { kept, queue, use } = cacheOf(3)
    use("a")
    const entry = kept.get("a")
    if (entry === undefined) return assert.fail("no entry")
    queue.remove(entry)
    assert.isUndefined(queue.victim())
    assert.isFalse(entry.isCached)
  })

  it.each([
    { name: "unused: by age", uses: "abcd", later: "efgh", evicted: "abcd" },
    { name: "the used ones are spared", uses: "abcdac", later: "ef", evicted: "bd" },
    {
      name: "what was used moves on, and leaves when it is not used again",
      uses: "abcdabcd",
      later: "efgh",
      evicted: "aefg"
    },
    { name: "what was used often is spared as often", uses: "abcdaaaabcd", later: "efgh", evicted: "aefg" }
  ])("$name", ({ evicted, later, uses }) => {
    const cache = cacheOf(4)
    useAll(cache.use, uses + later)
    assert.strictEqual(cache.evicted.join(""), evicted)
  })

  it("of the main queue is the one with the fewest uses, and each pass takes one use", () => {
    const queue = S3Fifo.make()
    const uses = { twice: 2, once: 1, never: 0 }
    for (const [scopes, count] of Object.entries(uses)) queue.add(entryOf({ scopes }), { place: "main", uses: count })
    const order: Array<string> = []
    for (let victim = queue.victim(); victim !== undefined; victim = queue.victim()) {
      order.push(victim.scopes)
      queue.remove(victim)
    }
    assert.deepStrictEqual(order, ["never", "once", "twice"])
  })

  it("of the small queue moves to the main queue without its uses", () => {
    const queue = S3Fifo.make()
    const used = entryOf({ scopes: "used" })
    queue.add(used)
    for (let n = 0; n < 3; n++) used.touch()
    const unused = entryOf({ scopes: "unused" })
    queue.add(unused)
    assert.strictEqual(queue.victim(), unused)
    assert.deepStrictEqual([used.place, used.uses], ["main", 0])
  })

  it("stays in the queue until it is removed", () => {
    const { queue, use } = cacheOf(3)
    useAll(use, "abc")
    const victim = queue.victim()
    assert.isTrue(victim?.isCached)
    assert.strictEqual(queue.victim(), victim)
  })

  it("is found after 256 steps, however many were used", () => {
    const { kept, queue, use } = cacheOf(10_000)
    for (let i = 0; i < 5_000; i++) use(`k${i}`)
    for (let i = 0; i < 5_000; i++) use(`k${i}`)
    assert.isDefined(queue.victim())
    const spared = [...kept.values()].filter(({ place }) => place === "main").length
    assert.isAtMost(spared, 256)
    assert.isAtLeast(spared, 1)
  })
})

describe("who comes back", () => {
  it("stands in the main queue, where a stranger does not", () => {
    const { kept, use } = cacheOf(10)
    useAll(use, "abcdefghij")
    useAll(use, "kl")
    assert.isFalse(kept.has("a"))
    useAll(use, "ax")
    assert.strictEqual(kept.get("a")?.place, "main")
    assert.strictEqual(kept.get("x")?.place, "small")
  })

  it("is forgotten after as many others as there are entries", () => {
    const { kept, use } = cacheOf(10)
    useAll(use, "abcdefghij")
    for (let i = 0; i < 25; i++) use(`once-${i}`)
    use("a")
    assert.strictEqual(kept.get("a")?.place, "small")
  })

  it("is forgotten when the queue has become empty", () => {
    const { kept, queue, use } = cacheOf(10)
    useAll(use, "abcdefghijk")
    for (const entry of kept.values()) queue.remove(entry)
    kept.clear()
    use("a")
    assert.strictEqual(kept.get("a")?.place, "small")
  })

  it("from the main queue is a stranger: only the small queue's are remembered", () => {
    const queue = S3Fifo.make()
    const [other, leaves] = [entryOf({ scopes: "other" }), entryOf({ scopes: "leaves" })]
    queue.add(other)
    queue.add(leaves, { place: "main", uses: 0 })
    queue.bury(leaves)
    queue.remove(leaves)
    const back = entryOf({ scopes: "leaves" })
    queue.add(back)
    assert.strictEqual(back.place, "small")
  })

  it("an heir takes the queue and the uses of the one before it", () => {
    const queue = S3Fifo.make()
    const heir = entryOf({})
    queue.add(heir, { place: "main", uses: 2 })
    assert.deepInclude({ place: heir.place, uses: heir.uses }, { place: "main", uses: 2 })
  })
})

describe("scans", () => {
  it("keys that are used once do not push out those that are used again", () => {
    const { kept, use } = cacheOf(20)
    const hot = ["h1", "h2", "h3", "h4", "h5"]
    for (let round = 0; round < 2; round++) for (const key of hot) use(key)
    for (let i = 0; i < 1000; i++) {
      use(`once-${i}`)
      if (i % 4 === 0) { for (const key of hot) assert.isTrue(use(key), `${key} after ${i}`) }
    }
    assert.strictEqual(kept.size, 20)
  })

  it("a key that is no longer used leaves when others are used again", () => {
    const { kept, use } = cacheOf(10)
    useAll(use, "oo")
    for (let i = 0; i < 60; i++) for (let round = 0; round < 3; round++) use(`thrice-${i}`)
    assert.isFalse(kept.has("o"))
  })
})

describe("against the plainest version of itself", () => {
  const step = fc.record({ kind: fc.constantFrom("use", "use", "use", "remove"), key: fc.nat(14) })

  it("every sequence of uses has the same victims", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10 }), fc.array(step, { maxLength: 120 }), (capacity, steps) => {
        const { evicted, kept, queue, use } = cacheOf(capacity)
        const model = modelOf(capacity)
        for (const { key, kind } of steps) {
          const name = `k${key}`
          if (kind === "use") {
            assert.strictEqual(use(name), model.use(name))
          } else {
            const entry = kept.get(name)
            if (entry !== undefined) queue.remove(entry)
            kept.delete(name)
            model.remove(name)
          }
          assert.deepStrictEqual(evicted, model.evicted)
          assert.deepStrictEqual([...kept.keys()].sort(), model.kept().sort())
        }
      }),
      { numRuns: 1000 }
    )
  })
})

/** S3-FIFO over plain arrays, oldest first. */
const modelOf = (capacity: number) => {
  let small: Array<string> = []
  let main: Array<string> = []
  /** The names of the evicted: those that were evicted last, and those before them. */
  let young: Array<string> = []
  let old: Array<string> = []
  const forgetAllIfEmpty = (): void => {
    if (small.length + main.length === 0) young = old = []
  }
  const uses = new Map<string, number>()
  const evicted: Array<string> = []
  const evict = (): void => {
    for (;;) {
      const fromSmall = small.length > 0.1 * (small.length + main.length) || main.length === 0
      const name = (fromSmall ? small : main).shift()
      if (name === undefined) return
      const count = uses.get(name) ?? 0
      if (count > 0) {
        main.push(name)
        uses.set(name, fromSmall ? 0 : count - 1)
        continue
      }
      // The dead still count when a generation of the remembered ends.
      if (fromSmall) {
        if (young.length >= small.length + main.length + 1) {
          old = young
          young = []
        }
        young.push(name)
      }
      uses.delete(name)
      evicted.push(name)
      forgetAllIfEmpty()
      return
    }
  }
  return {
    evicted,
    kept: () => [...uses.keys()],
    remove: (name: string) => {
      small = small.filter((other) => other !== name)
      main = main.filter((other) => other !== name)
      uses.delete(name)
      forgetAllIfEmpty()
    },
    use: (name: string): boolean => {
      const count = uses.get(name)
      if (count !== undefined) {
        uses.set(name, Math.min(3, count + 1))
        return true
      }
      if (uses.size >= capacity) evict()
      uses.set(name, 0)
      if (young.includes(name) || old.includes(name)) {
        young = young.filter((other) => other !== name)
        old = old.filter((other) => other !== name)
        main.push(name)
      } else small.push(name)
      return false
    }
  }
}
