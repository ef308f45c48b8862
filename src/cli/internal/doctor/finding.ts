/** The findings of `doctor` and their JSON, which is a stable format: docs/command.md describes it. */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import type { AcquireTokenError } from "../../../EntraError.ts"
import { sentence } from "../../../internal/shared/text.ts"
import { printable } from "../terminalText.ts"

/** The steps in the order of their findings. */
export const steps = [
  "runtime",
  "packages",
  "configuration",
  "credential",
  "proxy",
  "dns",
  "connect",
  "tls",
  "clock",
  "discovery",
  "acquisition",
  "token",
  "redis"
] as const

export type Step = typeof steps[number]

const Common = {
  step: Schema.Literals(steps),
  detail: Schema.String
}

const Problem = {
  ...Common,
  remedy: Schema.String,
  code: Schema.optionalKey(Schema.String),
  aadsts: Schema.optionalKey(Schema.Array(Schema.Int)),
  correlationId: Schema.optionalKey(Schema.String)
}

export const Finding = Schema.Union([
  Schema.Struct({ ...Common, status: Schema.Literal("ok") }),
  Schema.Struct({ ...Common, status: Schema.Literal("skipped") }),
  Schema.Struct({ ...Problem, status: Schema.Literal("warn") }),
  Schema.Struct({ ...Problem, status: Schema.Literal("fail") })
])

export type Finding = typeof Finding.Type

export const Report = Schema.Struct({
  format: Schema.Literal("effect-entra/doctor/1"),
  status: Schema.Literals(["ok", "warn", "fail"]),
  findings: Schema.Array(Finding)
})

export type Report = typeof Report.Type

// -----------------------------------------------------------------------------
// constructors
// -----------------------------------------------------------------------------

/** The identifiers of a problem. */
export interface Reference {
  readonly code?: string
  readonly aadsts?: ReadonlyArray<number>
  readonly correlationId?: string
}

/** The characters of the longest text. Parts of a text come from servers. */
const longestText = 2000

/** Returns a sentence in one line. It has no stop after a link, which is copied with the stop. */
const shown = (text: string): string => {
  const line = printable(text.slice(0, longestText)).replaceAll(/\s*\n\s*/g, " ")
  return /:\/\/[^\s"'()]+$/.test(line) ? line : sentence(line)
}

export const ok = (step: Step, detail: string): Finding => ({ step, status: "ok", detail: shown(detail) })

export const skipped = (step: Step, detail: string): Finding => ({ step, status: "skipped", detail: shown(detail) })

export const warn = (step: Step, detail: string, remedy: string, reference: Reference = {}): Finding => ({
  step,
  status: "warn",
  detail: shown(detail),
  remedy: shown(remedy),
  ...reference
})

export const fail = (step: Step, detail: string, remedy: string, reference: Reference = {}): Finding => ({
  step,
  status: "fail",
  detail: shown(detail),
  remedy: shown(remedy),
  ...reference
})

/** Returns the finding of an error of the library, which has no secret in its message. */
export const failure = (step: Step, error: AcquireTokenError, remedy: string = error.remedy): Finding =>
  fail(
    step,
    withoutIds(error.message),
    `${remedy}${waitOf(error.retryAfter === undefined ? undefined : Duration.toMillis(error.retryAfter))}`,
    {
      code: error.code,
      ...("errorCodes" in error && error.errorCodes !== undefined && error.errorCodes.length > 0
        ? { aadsts: error.errorCodes }
        : {}),
      ...(error.correlationId === undefined ? {} : { correlationId: error.correlationId })
    }
  )

/** Returns a description of the service without the ids and the time at its end. */
export const withoutIds = (description: string): string => description.replace(/[\s.]*Trace ID:.*$/s, ".")

/** Returns a sentence about the milliseconds of `Retry-After`, or nothing. */
export const waitOf = (millis: number | undefined): string =>
  millis === undefined ? "" : ` Wait ${Math.ceil(millis / 1000)} s before the next request.`

/** Returns the findings as one report, in the order of {@link steps}. */
export const reportOf = (findings: ReadonlyArray<Finding>): Report => {
  const has = (status: Finding["status"]) => findings.some((finding) => finding.status === status)
  return {
    format: "effect-entra/doctor/1",
    status: has("fail") ? "fail" : has("warn") ? "warn" : "ok",
    findings: findings.toSorted((one, other) => steps.indexOf(one.step) - steps.indexOf(other.step))
  }
}
