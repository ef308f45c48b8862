/**
 * A scripted fault as a line of text.
 */
import * as Duration from "effect/Duration"
import type * as EntraSimulator from "../../../testing/EntraSimulator.ts"

/** Returns the effect of a fault, its place, and the number of its uses that are left. */
export const describeFault = ({ endpoint, fault, host, remaining, tenant }: EntraSimulator.ScriptedFault): string =>
  [
    effectOf(fault),
    `at ${endpoint}`,
    ...(tenant === undefined ? [] : [`for tenant ${tenant}`]),
    ...(host === undefined ? [] : [`on host ${host}`]),
    remaining === Infinity ? "until it is switched off" : remaining === 1 ? "once" : `${remaining} times`
  ].join(", ")

const effectOf = (fault: EntraSimulator.Fault.Fault): string => {
  switch (fault._tag) {
    case "Refused": {
      const { refusal, retryAfter } = fault
      return [
        `${refusal.status} ${fault.html ? "as an HTML page" : `AADSTS${refusal.code} ${refusal.error}`}`,
        ...(retryAfter === undefined ? [] : [
          `Retry-After of ${Duration.format(Duration.fromInputUnsafe(retryAfter))}${
            fault.format === "date" ? " as a date" : ""
          }`
        ])
      ].join(" with ")
    }
    case "Delay":
      return `a delay of ${Duration.format(Duration.fromInputUnsafe(fault.duration))}`
    case "Dropped":
      return "a dropped connection"
    case "Malformed":
      return { notJson: "200 without JSON", noAccessToken: "200 without a token", cut: "200 with cut JSON" }[fault.kind]
    case "Redirect":
      return `${fault.status} to ${fault.location}`
    case "Echo":
      return "401 AADSTS7000215 that repeats the credential"
    case "HugeBody":
      return `200 with ${fault.bytes} bytes`
    case "Custom":
      return `${fault.status} with a body of your own`
  }
}
