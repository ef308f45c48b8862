/**
 * Which entry to give up: SIEVE (Zhang et al., NSDI 2024). Entries stand in a queue by age; a hand walks from the oldest
 * to the youngest, spares those that were used since it last came by, and takes the first that was not. A scan of keys
 * that are used once cannot push out those that are used again.
 */
import type { Entry } from "./entry.ts"

export interface Sieve {
  readonly add: (entry: Entry) => void
  readonly remove: (entry: Entry) => void
  /** The entry to evict, still in the queue; undefined when there is none. */
  readonly victim: () => Entry | undefined
  /** The next few entries in turn, for a sweep that never pauses for long. */
  readonly next: (count: number) => ReadonlyArray<Entry>
}

export const make = (): Sieve => {
  let oldest: Entry | undefined
  let youngest: Entry | undefined
  let hand: Entry | undefined
  let broom: Entry | undefined
  return {
    add: (entry) => {
      entry.older = youngest
      entry.younger = undefined
      if (youngest === undefined) oldest = entry
      else youngest.younger = entry
      youngest = entry
    },
    remove: (entry) => {
      if (entry.older === undefined) oldest = entry.younger
      else entry.older.younger = entry.younger
      if (entry.younger === undefined) youngest = entry.older
      else entry.younger.older = entry.older
      if (hand === entry) hand = entry.younger
      if (broom === entry) broom = entry.younger
      entry.older = undefined
      entry.younger = undefined
    },
    victim: () => {
      let candidate = hand ?? oldest
      while (candidate?.visited) {
        candidate.visited = false
        candidate = candidate.younger ?? oldest
      }
      hand = candidate
      return candidate
    },
    next: (count) => {
      const batch: Array<Entry> = []
      let entry = broom ?? oldest
      for (; entry !== undefined && batch.length < count; entry = entry.younger) batch.push(entry)
      broom = entry
      return batch
    }
  }
}
