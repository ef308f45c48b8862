/** Decides which warnings are due, and limits their frequency. Times are in milliseconds. */

export const day = 86_400_000
export const minute = 60_000

/** The time before the expiry at which warnings begin. */
export const expiryHorizon = 30 * day

/** Returns the warning about a credential's expiry, or undefined if it is far away. */
export const expiryWarning = (expiresOn: number, now: number): string | undefined => {
  const left = expiresOn - now
  if (left >= expiryHorizon) return undefined
  const date = new Date(expiresOn).toISOString().slice(0, 10)
  if (left <= 0) return `the credential expired on ${date}`
  const days = Math.floor(left / day)
  return `the credential expires in ${
    days === 0 ? "less than a day" : days === 1 ? "1 day" : `${days} days`
  }, on ${date}`
}

/**
 * The last warning about evictions: the monotonic time until which no other is due, and the evictions counted by then.
 */
export interface LastWarning {
  readonly until: number
  readonly seen: number
}

export const noWarning: LastWarning = { until: 0, seen: 0 }

/** Returns the evictions of live tokens since the last warning and the new state, or undefined if no warning is due. */
export const evictionWarning = (
  last: LastWarning,
  evictions: number,
  now: number
): { readonly evicted: number; readonly last: LastWarning } | undefined =>
  evictions <= last.seen || now < last.until
    ? undefined
    : { evicted: evictions - last.seen, last: { until: now + minute, seen: evictions } }
