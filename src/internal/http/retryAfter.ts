/** The `Retry-After` header (RFC 9110 section 10.2.3), and the time that a gate stays closed because of it. */
import { longestRetryAfter } from "../shared/cooldown.ts"

/**
 * Returns the milliseconds to wait, or undefined if the header is absent or malformed. Zero means now. A date counts from
 * the `Date` of the response, because the clocks may differ. Without `Date` it counts from `now`, and is ignored if it has
 * passed.
 */
export const parseRetryAfter = (value: string | undefined, now: number, date?: string): number | undefined => {
  if (value === undefined) return undefined
  const text = value.trim()
  if (/^\d+(?:\.\d+)?$/.test(text)) return Math.min(Number(text) * 1000, longestRetryAfter)
  const sentAt = dateOf(date?.trim() ?? "")
  const millis = dateOf(text) - (Number.isNaN(sentAt) ? now : sentAt)
  return Number.isNaN(millis) || (millis <= 0 && Number.isNaN(sentAt))
    ? undefined
    : Math.min(Math.max(millis, 0), longestRetryAfter)
}

/** Milliseconds, for a throttled response without `Retry-After`. */
export const defaultRetryAfter = 60_000

/** The date formats of RFC 9110 section 5.6.7. Only asctime has no time zone. */
const httpDate = /^[A-Z][a-z]{2,8},? \d{1,2}[ -][A-Z][a-z]{2}[ -]\d{2,4} \d{2}:\d{2}:\d{2} GMT$/
const asctime = /^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d{2}:\d{2}:\d{2} \d{4}$/

const dateOf = (text: string): number =>
  httpDate.test(text) ? Date.parse(text) : asctime.test(text) ? Date.parse(`${text} GMT`) : Number.NaN
