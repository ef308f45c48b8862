/**
 * The `expires_on` of a platform's token response. App Service has sent seconds since the epoch and several forms of
 * dates.
 */
import { longestLifetime } from "../../../internal/shared/validate.ts"

/**
 * Returns the time in seconds since the epoch, without a fraction, or undefined if it cannot be read. A date without an
 * offset is in UTC. A time that is further ahead of `now` (in seconds) than any lifetime cannot be read either.
 */
export const secondsOf = (value: unknown, now: number): number | undefined => {
  const text = typeof value === "number" ? `${value}` : typeof value === "string" ? value.trim() : ""
  const seconds = /^\d+(?:\.\d+)?$/.test(text) ? Math.floor(Number(text)) : dateOf(text)
  return seconds === undefined || (seconds - now) * 1000 > longestLifetime ? undefined : seconds
}

const zone = String
  .raw`(?:\.\d+)?\s*(?:(?<half>[AP])M)?\s*(?:Z|UTC|GMT|(?<sign>[+-])(?<ahead>\d\d):?(?<minutes>[0-5]\d))?$`

const forms: ReadonlyArray<RegExp> = [
  // 2026-12-01T01:06:18.0000000+00:00
  new RegExp(String.raw`^(?<year>\d{4})-(?<month>\d\d)-(?<day>\d\d)[T\s](?<h>\d\d):(?<m>\d\d):(?<s>\d\d)${zone}`, "i"),
  // 12/01/2026 01:06:18 AM +00:00; the parts may have one digit.
  new RegExp(
    String.raw`^(?<month>\d\d?)/(?<day>\d\d?)/(?<year>\d{4})\s+(?<h>\d\d?):(?<m>\d\d?):(?<s>\d\d?)${zone}`,
    "i"
  )
]

const dateOf = (text: string): number | undefined => {
  for (const form of forms) {
    const parts = form.exec(text)?.groups
    if (parts === undefined) continue
    const part = (name: string) => Number(parts[name] ?? 0)
    const half = parts["half"]?.toUpperCase()
    const written = part("h")
    // Some versions sent the 24 hours of a day with PM.
    const hour = half === "A" && written === 12 ? 0 : half === "P" && written < 12 ? written + 12 : written
    const month = part("month") - 1
    const time = Date.UTC(part("year"), month, part("day"), hour, part("m"), part("s"))
    // Date.UTC carries a part that is too large over to the next one.
    const isDate = new Date(time).getUTCMonth() === month && hour < 24 && part("m") < 60 && part("s") < 60
    if (!isDate || part("ahead") > 14 || (half === "A" && hour > 11)) return undefined
    const offset = (part("ahead") * 60 + part("minutes")) * (parts["sign"] === "-" ? -60 : 60)
    return time / 1000 - offset
  }
  return undefined
}
