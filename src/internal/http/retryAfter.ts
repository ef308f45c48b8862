import { longest } from "../shared/cooldown.ts"

/** `Retry-After` (RFC 9110 section 10.2.3) and how long a gate stays closed for it. */

/** Milliseconds from `now`, or undefined when the header is absent, not understood, or not in the future. */
export const parseRetryAfter = (value: string | undefined, now: number): number | undefined => {
  if (value === undefined) return undefined
  const text = value.trim()
  const millis = /^\d+(?:\.\d+)?$/.test(text) ? Number(text) * 1000 : dateOf(text) - now
  return millis > 0 ? Math.min(millis, longest) : undefined
}

/** For a refusal to serve that names no time. */
export const defaultRetryAfter = 60_000

/** The three forms of RFC 9110 section 5.6.7, the last of which (asctime) names no zone. */
const httpDate = /^[A-Z][a-z]{2,8},? \d{1,2}[ -][A-Z][a-z]{2}[ -]\d{2,4} \d{2}:\d{2}:\d{2} GMT$/
const asctime = /^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d{2}:\d{2}:\d{2} \d{4}$/

const dateOf = (text: string): number =>
  httpDate.test(text) ? Date.parse(text) : asctime.test(text) ? Date.parse(`${text} GMT`) : Number.NaN
