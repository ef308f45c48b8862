/** Which warnings are due, and not too often: plain decisions over numbers; times are milliseconds. */
import { isAhead } from "../shared/cooldown.ts"

export const day = 86_400_000
export const minute = 60_000

/** From when on an expiry is worth a warning. */
const soon = 30 * day

/** What is to be said about a credential's expiry; undefined while it is far away. */
export const expiryNotice = (expiresOn: number, now: number): string | undefined => {
  const left = expiresOn - now
  if (left >= soon) return undefined
  const date = new Date(expiresOn).toISOString().slice(0, 10)
  if (left <= 0) return `the credential has expired, on ${date}`
  const days = Math.floor(left / day)
  return `the credential expires in ${
    days === 0 ? "less than a day" : days === 1 ? "1 day" : `${days} days`
  }, on ${date}`
}

/** When something was last said, and how much of it had been seen by then. */
export interface Said {
  readonly until: number
  readonly seen: number
}

export const nothingSaid: Said = { until: 0, seen: 0 }

/** How many live tokens have left since it was last said, and what is to be remembered; undefined: say nothing now. */
export const evictionNotice = (
  said: Said,
  evictions: number,
  now: number
): { readonly evicted: number; readonly said: Said } | undefined =>
  evictions <= said.seen || isAhead(said.until, now, minute)
    ? undefined
    : { evicted: evictions - said.seen, said: { until: now + minute, seen: evictions } }
