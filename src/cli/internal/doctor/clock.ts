/** Compares this machine's clock with that of the service. */
import { fail, type Finding, ok, warn } from "./finding.ts"

/** The milliseconds of difference that Entra accepts for the times of an assertion. */
const toleratedSkew = 300_000
const noticedSkew = 60_000

/** Compares this machine's clock with the `Date` of a response, which has whole seconds. Times are in milliseconds. */
export const clockFinding = ({ date, receivedAt, sentAt, signsAssertions }: {
  readonly date: string | undefined
  readonly sentAt: number
  readonly receivedAt: number
  /** Whether the credential makes assertions, which the service compares with its own clock. */
  readonly signsAssertions: boolean
}): Finding => {
  const server = date === undefined ? NaN : Date.parse(date)
  if (Number.isNaN(server)) {
    return warn(
      "clock",
      "The clock was not compared, because the response has no Date",
      "Compare the clock of this machine with another one: date -u."
    )
  }
  // `Date` lacks up to 999 ms, and it was read at some time between the request and the response.
  if (sentAt - server <= 999 && receivedAt - server >= 0) {
    return ok("clock", "This machine's clock agrees with the service's")
  }
  const skew = (sentAt + receivedAt) / 2 - server
  const size = Math.abs(skew)
  const detail = `This machine's clock is ${Math.round(size / 1000)} s ${
    skew < 0 ? "behind" : "ahead of"
  } the service's`
  const remedy = "Set the clock of this machine, and keep it right with NTP (timedatectl set-ntp true, w32tm /resync)."
  if (size >= toleratedSkew && signsAssertions) {
    return fail("clock", `${detail}, so the service refuses assertions`, remedy)
  }
  return size >= noticedSkew ? warn("clock", detail, remedy) : ok("clock", detail)
}
