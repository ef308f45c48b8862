/** Checks of values that TypeScript does not see: callers in JavaScript, JSON, variables that are not set. */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { InvalidRequestError } from "../../EntraError.ts"
import { notA } from "./errors.ts"

export const isText = (value: unknown): value is string => typeof value === "string"

/** One that has been wiped holds nothing any more. */
export const isRedactedText = (value: unknown): value is Redacted.Redacted<string> => {
  try {
    return Redacted.isRedacted(value) && isText(Redacted.value(value))
  } catch {
    return false
  }
}

/** Milliseconds, `Infinity` too; undefined for what is no duration of 0 or more. `Duration` takes what is no number for zero. */
export const millisOf = (input: Duration.Input): number | undefined => {
  const millis = Option.getOrUndefined(Option.map(Duration.fromInput(input), Duration.toMillis))
  if (millis === undefined || millis < 0) return undefined
  if (Duration.isDuration(input) || typeof input === "string") return millis
  const parts: ReadonlyArray<unknown> = typeof input === "object" ? Object.values(input) : [input]
  const isUnderstood = !parts.some(Number.isNaN) &&
    (millis > 0 || parts.every((part) => part === undefined || Number(part) === 0))
  return isUnderstood ? millis : undefined
}

type Read = Result.Result<number, InvalidRequestError>

export const duration = "a duration of 0 or more"

/** Milliseconds, `Infinity` too. */
export const durationOf = (field: string, input: Duration.Input): Read => {
  const millis = millisOf(input)
  return millis === undefined ? Result.fail(notA(duration, field)) : Result.succeed(millis)
}

/** How long something may take: no time at all is of no use. */
export const timeoutOf = (field: string, input: Duration.Input): Read => {
  const millis = millisOf(input)
  return millis === undefined || millis === 0
    ? Result.fail(notA("a duration of more than 0", field))
    : Result.succeed(millis)
}

export const countOf = (field: string, value: number): Read =>
  Number.isSafeInteger(value) && value > 0 ? Result.succeed(value) : Result.fail(notA("a whole number above 0", field))

/** How much there may be of something, `Infinity` too. */
export const boundOf = (field: string, value: number): Read =>
  typeof value === "number" && value >= 0 ? Result.succeed(value) : Result.fail(notA("a number from 0 on", field))

/** Whether a text is the JSON of an object that is not nested out of all measure: what writes it again goes down as deep. */
export const isJsonObject = (text: string): boolean => {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === "object" && value !== null && !Array.isArray(value) && isWithin(levels, value)
  } catch {
    return false
  }
}

const levels = 64

const isWithin = (levels: number, value: unknown): boolean =>
  typeof value !== "object" || value === null ||
  (levels > 0 && Object.values(value).every((member) => isWithin(levels - 1, member)))

/** The members of a JSON object, as they came. */
export type Members = Readonly<Record<string, unknown>>

/** Returns the members of the JSON object that `json` holds; undefined for any other text. */
export const membersOf = (json: string): Members | undefined => {
  try {
    const value: unknown = JSON.parse(json)
    return Predicate.isReadonlyObject(value) ? value : undefined
  } catch {
    return undefined
  }
}
