/**
 * Which entry to give up: S3-FIFO (Yang et al., SOSP 2023), over queues of entries. A newcomer stands in a small queue, a
 * tenth of all; there it leaves unless it is used again, and then it moves to the main queue, whose entries leave when
 * they have not been used since they last came to its end. What left the small queue is remembered for a while by a
 * number, and stands in the main queue if it comes back. So keys that are used once, however many, push out only each
 * other. `bench/eviction.ts` shows the choice.
 */
import * as Hash from "effect/Hash"
import type { CachedToken, Place } from "./cachedToken.ts"
import { textOf } from "./cacheKey.ts"

export interface S3Fifo {
  /** `heirTo`: the entry with the same key that this one stands in for, already removed. */
  readonly add: (entry: CachedToken, heirTo?: { readonly place: Place; readonly uses: number }) => void
  readonly remove: (entry: CachedToken) => void
  /** The entry to evict, still in its queue; undefined when there is none. */
  readonly victim: () => CachedToken | undefined
  /** Remember that an entry was evicted. */
  readonly bury: (entry: CachedToken) => void
}

/** The share of the small queue. */
const smallShare = 0.1

/** How many entries one search may spare, so that its pause is bounded. */
const spared = 256

export const make = (): S3Fifo => {
  const small = queueOf("small")
  const main = queueOf("main")
  const ghosts = new Set<number>()

  return {
    add: (entry, heirTo) => {
      entry.uses = heirTo?.uses ?? 0
      const returns = ghosts.size > 0 && ghosts.delete(nameOf(entry))
      const queue = heirTo?.place === "main" || (heirTo === undefined && returns) ? main : small
      queue.push(entry)
    },
    remove: (entry) => {
      if (entry.place === "small") small.remove(entry)
      else if (entry.place === "main") main.remove(entry)
      if (small.length() + main.length() === 0) ghosts.clear()
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
      ghosts.add(nameOf(entry))
      for (const oldest of ghosts) {
        if (ghosts.size <= small.length() + main.length()) return
        ghosts.delete(oldest)
      }
    }
  }
}

/** Two keys with one number only make one of them look better known than it is. */
const nameOf = (entry: CachedToken): number => Hash.string(textOf(entry))

/** A queue whose links are in its entries. */
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
