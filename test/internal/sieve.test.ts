import { assert, describe, it } from "@effect/vitest"
import fc from "fast-check"
import type { Entry } from "../../src/internal/entry.ts"
import * as Sieve from "../../src/internal/sieve.ts"
import { entryOf } from "./support.ts"

const named = (names: string) => [...names].map((scopes) => entryOf({ scopes }))

const queueOf = (names: string) => {
  const sieve = Sieve.make()
  const entries = named(names)
  for (const entry of entries) sieve.add(entry)
  const visit = (names: string) => {
    for (const entry of entries) if (names.includes(entry.scopes)) entry.visited = true
  }
  const remove = (names: string) => {
    for (const entry of entries) if (names.includes(entry.scopes)) sieve.remove(entry)
  }
  const evict = () => {
    const victim = sieve.victim()
    if (victim !== undefined) sieve.remove(victim)
    return victim?.scopes
  }
  const sweep = (count: number) => sieve.next(count).map(({ scopes }) => scopes).join("")
  return { sieve, visit, remove, evict, sweep }
}

describe("victim", () => {
  it("there is none in an empty queue", () => {
    const { remove, sieve } = queueOf("a")
    remove("a")
    assert.isUndefined(sieve.victim())
    assert.isUndefined(Sieve.make().victim())
  })

  it.each([
    { name: "unused: by age", visited: "", victims: "abcd" },
    { name: "the used ones are spared once", visited: "ac", victims: "bdac" },
    { name: "the oldest is spared", visited: "a", victims: "bcda" },
    { name: "the youngest is spared", visited: "d", victims: "abcd" },
    { name: "all used: by age", visited: "abcd", victims: "abcd" }
  ])("$name", ({ victims, visited }) => {
    const { evict, visit } = queueOf("abcd")
    visit(visited)
    assert.deepStrictEqual([...victims].map(evict), [...victims])
    assert.isUndefined(evict())
  })

  it("stays in the queue until it is removed", () => {
    const { sieve } = queueOf("ab")
    assert.strictEqual(sieve.victim(), sieve.victim())
  })

  it("the hand goes on from where it stands, and takes what it passed only in the next round", () => {
    const { evict, visit } = queueOf("abcd")
    visit("ab")
    assert.strictEqual(evict(), "c")
    assert.strictEqual(evict(), "d")
    assert.strictEqual(evict(), "a")
  })

  it("the hand goes on when another removed what it points at", () => {
    const { evict, remove, sieve } = queueOf("abcd")
    assert.strictEqual(sieve.victim()?.scopes, "a")
    remove("ab")
    assert.strictEqual(evict(), "c")
    assert.strictEqual(evict(), "d")
  })

  it("an entry that was removed can be added again", () => {
    const { evict, remove, sieve } = queueOf("ab")
    const [c] = named("c")
    if (c === undefined) return assert.fail("no entry")
    sieve.add(c)
    remove("a")
    sieve.remove(c)
    sieve.add(c)
    assert.deepStrictEqual([evict(), evict(), evict()], ["b", "c", undefined])
  })
})

describe("next", () => {
  it.each([
    { name: "nothing of nothing", names: "", count: 3, batches: ["", ""] },
    { name: "all in turn", names: "abcde", count: 2, batches: ["ab", "cd", "e", "ab"] },
    { name: "a batch that ends with the queue", names: "abcd", count: 2, batches: ["ab", "cd", "ab"] },
    { name: "fewer than asked for", names: "ab", count: 16, batches: ["ab", "ab"] },
    { name: "none", names: "ab", count: 0, batches: ["", ""] }
  ])("$name", ({ batches, count, names }) => {
    const { sweep } = queueOf(names)
    assert.deepStrictEqual(batches.map(() => sweep(count)), batches)
  })

  it("goes on when what comes next was removed", () => {
    const { remove, sweep } = queueOf("abcde")
    assert.strictEqual(sweep(2), "ab")
    remove("cd")
    assert.strictEqual(sweep(2), "e")
  })

  it("does not move the hand", () => {
    const { evict, sweep } = queueOf("abc")
    sweep(2)
    assert.strictEqual(evict(), "a")
  })
})

describe("scans", () => {
  /** A cache that asks, on a miss, for room before it lets the new one in. */
  const cacheOf = (capacity: number) => {
    const sieve = Sieve.make()
    const kept = new Map<string, Entry>()
    return {
      kept,
      use: (name: string): boolean => {
        const known = kept.get(name)
        if (known !== undefined) {
          known.visited = true
          return true
        }
        const victim = kept.size >= capacity ? sieve.victim() : undefined
        if (victim !== undefined) {
          sieve.remove(victim)
          kept.delete(victim.scopes)
        }
        const entry = entryOf({ scopes: name })
        sieve.add(entry)
        kept.set(name, entry)
        return false
      }
    }
  }

  it("keys that are used once do not push out those that are used again", () => {
    const { kept, use } = cacheOf(10)
    const hot = ["h1", "h2", "h3", "h4", "h5"]
    for (let round = 0; round < 2; round++) for (const key of hot) use(key)
    for (let i = 0; i < 1000; i++) {
      use(`once-${i}`)
      if (i % 4 === 0) { for (const key of hot) assert.isTrue(use(key), `${key} after ${i}`) }
    }
    assert.strictEqual(kept.size, 10)
  })

  it("a key that is no longer used leaves when others are used again", () => {
    const { kept, use } = cacheOf(10)
    use("old")
    use("old")
    for (let i = 0; i < 30; i++) for (let round = 0; round < 2; round++) use(`twice-${i}`)
    assert.isFalse(kept.has("old"))
  })
})

describe("against the plainest version of itself", () => {
  interface Model {
    queue: Array<string>
    visited: Set<string>
    hand: string | undefined
  }

  const victimOf = (model: Model): string | undefined => {
    let at = model.hand === undefined ? 0 : model.queue.indexOf(model.hand)
    if (model.queue.length === 0) return undefined
    while (model.visited.delete(model.queue[at] ?? "")) at = (at + 1) % model.queue.length
    model.hand = model.queue[at]
    return model.hand
  }

  const removeFrom = (model: Model, name: string) => {
    const at = model.queue.indexOf(name)
    if (model.hand === name) model.hand = model.queue[at + 1]
    model.queue.splice(at, 1)
    model.visited.delete(name)
  }

  it("every sequence of steps has the same victims", () => {
    const step = fc.record({ kind: fc.constantFrom("add", "add", "visit", "remove", "evict", "sweep"), pick: fc.nat() })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const sieve = Sieve.make()
        const entries = new Map<string, Entry>()
        const model: Model = { queue: [], visited: new Set(), hand: undefined }
        for (const [i, { kind, pick }] of steps.entries()) {
          const picked = model.queue[pick % Math.max(1, model.queue.length)]
          const entry = entries.get(picked ?? "")
          if (kind === "add") {
            const added = entryOf({ scopes: `e${i}` })
            sieve.add(added)
            entries.set(added.scopes, added)
            model.queue.push(added.scopes)
          } else if (kind === "sweep") {
            const batch = sieve.next(3)
            assert.isAtMost(batch.length, 3)
            for (const seen of batch) assert.include(model.queue, seen.scopes)
          } else if (kind === "evict") {
            const victim = sieve.victim()
            assert.strictEqual(victim?.scopes, victimOf(model))
            if (victim === undefined) continue
            sieve.remove(victim)
            removeFrom(model, victim.scopes)
          } else if (entry !== undefined && picked !== undefined) {
            if (kind === "visit") {
              entry.visited = true
              model.visited.add(picked)
            } else {
              sieve.remove(entry)
              removeFrom(model, picked)
            }
          }
        }
        sieve.next(Infinity)
        assert.deepStrictEqual(sieve.next(Infinity).map(({ scopes }) => scopes), model.queue)
      }),
      { numRuns: 1000 }
    )
  })
})
