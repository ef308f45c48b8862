/** Cooldowns: periods in which no request is sent. Times are in milliseconds. */

/** The longest wait that a `Retry-After` can cause. */
export const longestRetryAfter = 3_600_000

/**
 * Returns whether a cooldown of at most `atMost` still lasts. An end further ahead than that was computed before the clock
 * was set back, and does not count.
 */
export const isAhead = (until: number, now: number, atMost: number): boolean => now < until && until - now <= atMost

/** Returns the time until the next refresh after `failures` (1, 2, ...) failed refreshes in a row. */
export const coolDown = (failures: number, options: { readonly base: number; readonly cap: number }): number =>
  Math.min(options.cap, options.base * 2 ** Math.min(failures - 1, 30))
