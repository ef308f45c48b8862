/** Cooldowns: periods in which no request is sent. Times are in milliseconds. */

/** The longest wait that a `Retry-After` can cause. */
export const longestRetryAfter = 3_600_000

/** Returns the time until the next refresh after `failures` (1, 2, ...) failed refreshes in a row. */
export const coolDown = (failures: number, options: { readonly base: number; readonly cap: number }): number =>
  Math.min(options.cap, options.base * 2 ** Math.min(failures - 1, 30))
