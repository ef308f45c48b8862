/** The fetches of a cache that run, in the order of their start. */
import type { CacheKey } from "./cacheKey.ts"

/** A fetch that runs. */
export interface Fetch {
  readonly key: CacheKey
  /** The monotonic time of its limit. */
  readonly until: number
  /** True if the platform may end the I/O of the fetch, so that it never ends. */
  readonly mayBeLost: boolean
  /** True if its result must not be stored. */
  invalidated: boolean
}

export interface RunningFetches<F extends Fetch> {
  readonly add: (fetch: F) => void
  readonly has: (fetch: F) => boolean
  readonly end: (fetch: F) => void
  /** Marks the fetches of the same key that started before this one, because they must not replace its token. */
  readonly outdate: (fetch: F) => void
  readonly concerned: (isConcerned: (key: CacheKey) => boolean) => ReadonlyArray<F>
  /** Returns the fetches of all keys that may be lost, because such a key may never be requested again. */
  readonly lost: (now: number) => ReadonlyArray<F>
}

/** Creates an empty registry. */
export const make = <F extends Fetch>(): RunningFetches<F> => {
  const all = new Set<F>()
  const byKey = new Map<string, Set<F>>()
  let someMayBeLost = false
  return {
    add: (fetch) => {
      if (fetch.mayBeLost) someMayBeLost = true
      all.add(fetch)
      byKey.set(fetch.key.text, (byKey.get(fetch.key.text) ?? new Set<F>()).add(fetch))
    },
    has: (fetch) => all.has(fetch),
    end: (fetch) => {
      all.delete(fetch)
      const same = byKey.get(fetch.key.text)
      same?.delete(fetch)
      if (same?.size === 0) byKey.delete(fetch.key.text)
    },
    outdate: (fetch) => {
      for (const older of byKey.get(fetch.key.text) ?? []) {
        if (older === fetch) return
        older.invalidated = true
      }
    },
    concerned: (isConcerned) => [...all].filter(({ key }) => isConcerned(key)),
    lost: (now) => {
      // Where no fetch can be lost, the search would step over the places of all fetches that have ended.
      if (!someMayBeLost) return none
      const found: Array<F> = []
      for (const fetch of all) {
        if (now < fetch.until) break
        if (fetch.mayBeLost) found.push(fetch)
      }
      return found
    }
  }
}

const none: ReadonlyArray<never> = []
