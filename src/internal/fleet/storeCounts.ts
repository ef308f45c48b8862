/** The numbers of the store behind a cache. */

/** The numbers since the start of the process; see `TokenCache.StoreStats`. */
export interface Counts {
  hits: number
  misses: number
  unreadable: number
  refusals: number
  waits: number
  followed: number
  invalidations: number
  outages: number
}

export const noCounts: Counts = {
  hits: 0,
  misses: 0,
  unreadable: 0,
  refusals: 0,
  waits: 0,
  followed: 0,
  invalidations: 0,
  outages: 0
}
