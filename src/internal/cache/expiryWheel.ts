/**
 * An index of entries by expiry. Each spoke has the entries of 15 seconds, so that a search for expired entries visits
 * hardly any others.
 */
import type { CachedToken } from "./cachedToken.ts"

export interface ExpiryWheel {
  readonly add: (entry: CachedToken) => void
  readonly remove: (entry: CachedToken) => void
  /** Returns entries that have expired by `now`, after at most `steps` steps. The next call returns further entries. */
  readonly expired: (now: number, steps: number) => ReadonlyArray<CachedToken>
}

/** Milliseconds. */
const spokeWidth = 15_000

/** In spokes. A search skips a longer gap without visiting its spokes. */
const longGap = 4096

/** Creates an empty wheel. */
export const make = (): ExpiryWheel => {
  const spokes = new Map<number, CachedToken>()
  /** The spokes before this spoke have no entries. */
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
