/**
 * Which entries have expired: they hang on spokes, one for each quarter of a minute of expiry, so that finding those whose
 * time has come visits next to no others.
 */
import type { CachedToken } from "./cachedToken.ts"

export interface ExpiryWheel {
  readonly add: (entry: CachedToken) => void
  readonly remove: (entry: CachedToken) => void
  /** Entries that have expired by `now`, found in at most `steps` steps; what is left is found by the next call. */
  readonly expired: (now: number, steps: number) => ReadonlyArray<CachedToken>
}

/** Milliseconds. */
const spokeWidth = 15_000

/** A gap that is longer, in spokes, is jumped over rather than walked through. */
const longGap = 4096

export const make = (): ExpiryWheel => {
  const spokes = new Map<number, CachedToken>()
  /** No spoke before this one has an entry. */
  let first = 0
  const spokeOf = (time: number): number => Math.floor(time / spokeWidth)

  return {
    add: (entry) => {
      const spoke = spokeOf(entry.expiresOn)
      const head = spokes.get(spoke)
      entry.before = undefined
      entry.after = head
      if (head !== undefined) head.before = entry
      if (spokes.size === 0 || spoke < first) first = spoke
      spokes.set(spoke, entry)
    },
    remove: (entry) => {
      if (entry.before !== undefined) entry.before.after = entry.after
      else {
        const spoke = spokeOf(entry.expiresOn)
        if (spokes.get(spoke) !== entry) return
        if (entry.after === undefined) spokes.delete(spoke)
        else spokes.set(spoke, entry.after)
      }
      if (entry.after !== undefined) entry.after.before = entry.before
      entry.before = undefined
      entry.after = undefined
    },
    expired: (now, steps) => {
      const found: Array<CachedToken> = []
      const last = spokeOf(now)
      if (last - first > longGap && !spokes.has(first)) first = least(spokes.keys(), last)
      for (let spoke = first, left = steps; spoke <= last && left > 0; spoke++, left--) {
        const head = spokes.get(spoke)
        if (head === undefined && spoke === first) first++
        for (let entry = head; entry !== undefined && left > 0; entry = entry.after, left--) {
          if (entry.expiresOn <= now) found.push(entry)
        }
      }
      return found
    }
  }
}

const least = (numbers: Iterable<number>, atMost: number): number => {
  let found = atMost
  for (const number of numbers) if (number < found) found = number
  return found
}
