/**
 * The eviction policy S3-FIFO (Yang et al., SOSP 2023). A new entry is in a small queue, which has a tenth of all entries.
 * At the end of that queue an entry is evicted if it was not used again, and otherwise it moves to the main queue. At the
 * end of the main queue an entry is evicted if it was not used since it was last there. Entries evicted from the small queue
 * are remembered by their hash for a while, and enter the main queue when they come back. So keys that are used only once
 * evict only each other. `bench/eviction.ts` compares the policies.
 */
import * as Hash from "effect/Hash"
import type { CachedToken, Place } from "./cachedToken.ts"
import { textOf } from "./cacheKey.ts"

export interface S3Fifo {
  /** Adds an entry. `heirTo` is the entry with the same key that it replaces, which has been removed already. */
  readonly add: (entry: CachedToken, heirTo?: { readonly place: Place; readonly uses: number }) => void
  readonly remove: (entry: CachedToken) => void
  /** Returns the entry to evict, which is still in its queue, or undefined if there are no entries. */
  readonly victim: () => CachedToken | undefined
  /** Remembers that an entry was evicted. */
  readonly bury: (entry: CachedToken) => void
}

/** The share of entries that the small queue has. */
const smallShare = 0.1

/** The number of entries that one search may keep, so that its pause is limited. */
const spared = 256

/** Creates the empty queues. */
export const make = (): S3Fifo => {
  const small = queueOf("small")
  const main = queueOf("main")
  // Ghosts, at most twice as many as entries. They have two generations in place of an order, because to look for the
  // oldest one takes the longer the more have left.
  let young = new Set<number>()
  let old = new Set<number>()
  const forget = (name: number): boolean => young.delete(name) || old.delete(name)

  return {
    add: (entry, heirTo) => {
      entry.uses = heirTo?.uses ?? 0
      const returns = young.size + old.size > 0 && forget(nameOf(entry))
      const queue = heirTo?.place === "main" || (heirTo === undefined && returns) ? main : small
      queue.push(entry)
    },
    remove: (entry) => {
      if (entry.place === "small") small.remove(entry)
      else if (entry.place === "main") main.remove(entry)
      if (small.length() + main.length() > 0) return
      young.clear()
      old.clear()
    },
    victim: () => {
      for (let left = spared;; left--) {
        const isSmallFull = small.length() > smallShare * (small.length() + main.length())
        const fromSmall = isSmallFull || main.oldest() === undefined
        const queue = fromSmall ? small : main
        const candidate = queue.oldest()
        if (candidate === undefined || candidate.uses === 0 || left === 0) return candidate
        queue.remove(candidate)
        candidate.uses = fromSmall ? 0 : candidate.uses - 1
        main.push(candidate)
      }
    },
    bury: (entry) => {
      if (entry.place !== "small") return
      if (young.size >= small.length() + main.length()) {
        old = young
        young = new Set()
      }
      young.add(nameOf(entry))
    }
  }
}

/** Returns the hash of an entry's key. A collision is harmless: it may put one entry into the main queue too early. */
const nameOf = (entry: CachedToken): number => Hash.string(textOf(entry))

/** Creates a queue whose links are in its entries. */
const queueOf = (place: "small" | "main") => {
  let oldest: CachedToken | undefined
  let youngest: CachedToken | undefined
  let length = 0
  return {
    oldest: () => oldest,
    length: () => length,
    push: (entry: CachedToken): void => {
      entry.place = place
      entry.older = youngest
      entry.younger = undefined
      if (youngest === undefined) oldest = entry
      else youngest.younger = entry
      youngest = entry
      length++
    },
    remove: (entry: CachedToken): void => {
      if (entry.older === undefined) oldest = entry.younger
      else entry.older.younger = entry.younger
      if (entry.younger === undefined) youngest = entry.older
      else entry.younger.older = entry.older
      entry.older = undefined
      entry.younger = undefined
      entry.place = "none"
      length--
    }
  }
}
