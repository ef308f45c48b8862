/** Periods in which nothing is asked: how long they last, and whether one is still going on. Times are milliseconds. */

/** Nobody is locked out for longer than this, whatever the header says. */
export const longest = 3_600_000

/** Whether a rest is still going on; one that ends later than it can was set before the clock was put back. */
export const isAhead = (until: number, now: number, atMost: number): boolean => now < until && until - now <= atMost

/** How long to leave the service alone after the n-th (1, 2, ...) failed renewal in a row. */
export const coolDown = (failures: number, options: { readonly base: number; readonly cap: number }): number =>
  Math.min(options.cap, options.base * 2 ** Math.min(failures - 1, 30))
