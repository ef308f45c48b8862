/** Checks of values that TypeScript cannot check: from JavaScript callers, from JSON, and from unset variables. */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { InvalidRequestError } from "../../EntraError.ts"
import { invalidRequest, notA } from "./errors.ts"
import { quote } from "./text.ts"

/** Returns whether a value is an AbortSignal, also one of another realm or of a polyfill. */
export const isSignal = (value: unknown): boolean =>
  Predicate.hasProperty(value, "addEventListener") && typeof value.addEventListener === "function" &&
  Predicate.hasProperty(value, "removeEventListener") && typeof value.removeEventListener === "function"

export const isText = (value: unknown): value is string => typeof value === "string"

/** Returns whether a value is a redacted string that has not been wiped. */
export const isRedactedText = (value: unknown): value is Redacted.Redacted<string> => {
  try {
    return Redacted.isRedacted(value) && typeof Redacted.value(value) === "string"
  } catch {
    return false
  }
}

/**
 * Returns a duration in milliseconds, possibly `Infinity`, or undefined when the input is not a duration of 0 or more.
 * `Duration` itself reads a value that is not a number as zero.
 */
export const millisOf = (input: Duration.Input): number | undefined => {
  const millis = Option.getOrUndefined(Option.map(Duration.fromInput(input), Duration.toMillis))
  if (millis === undefined || millis < 0) return undefined
  if (Duration.isDuration(input) || typeof input === "string") return millis
  const parts: ReadonlyArray<unknown> = typeof input === "object" ? Object.values(input) : [input]
  const isValid = !parts.some(Number.isNaN) &&
    (millis > 0 || parts.every((part) => part === undefined || Number(part) === 0))
  return isValid ? millis : undefined
}

/** The longest lifetime of a token in milliseconds: ten years. */
export const longestLifetime = 10 * 365 * 86_400_000

type ParsedNumber = Result.Result<number, InvalidRequestError>

export const durationWords = "a duration of 0 or more"

/** Returns a duration of 0 or more in milliseconds, possibly `Infinity`. */
export const durationOf = (field: string, input: Duration.Input): ParsedNumber => {
  const millis = millisOf(input)
  return millis === undefined ? Result.fail(notA(durationWords, field)) : Result.succeed(millis)
}

/** Returns a timeout in milliseconds. A timeout of 0 is invalid. */
export const timeoutOf = (field: string, input: Duration.Input): ParsedNumber => {
  const millis = millisOf(input)
  return millis === undefined || millis === 0
    ? Result.fail(notA("a duration of more than 0", field))
    : Result.succeed(millis)
}

/** Returns a positive integer. */
export const countOf = (field: string, value: number): ParsedNumber =>
  Number.isSafeInteger(value) && value > 0 ? Result.succeed(value) : Result.fail(notA("a whole number above 0", field))

/** Returns an upper bound of 0 or more, possibly `Infinity`. */
export const boundOf = (field: string, value: number): ParsedNumber =>
  typeof value === "number" && value >= 0 ? Result.succeed(value) : Result.fail(notA("a number from 0 on", field))

/**
 * Returns whether a text is a JSON object of at most 64 levels. The limit keeps code that walks the object from exhausting
 * the stack.
 */
export const isJsonObject = (text: string): boolean => {
  const members = membersOf(text)
  return members !== undefined && isWithin(maxDepth, members)
}

const maxDepth = 64

const isWithin = (depth: number, value: unknown): boolean =>
  typeof value !== "object" || value === null ||
  (depth > 0 && Object.values(value).every((member) => isWithin(depth - 1, member)))

/**
 * Returns the problem of a member that does not exist in the object `what`, which is a `field` of the options if that is
 * given. In JavaScript a misspelled member, such as `tenantID`, would be ignored, and the token of another tenant returned.
 */
export const unknownMember = (
  what: string,
  input: unknown,
  known: Readonly<Record<string, true>>,
  field?: string
): InvalidRequestError | undefined => {
  const name = typeof input !== "object" || input === null
    ? undefined
    : Object.entries(input).find(([name, value]) => value !== undefined && !Object.hasOwn(known, name))?.[0]
  return name === undefined
    ? undefined
    : invalidRequest(
      "field_unsupported",
      field === undefined ? name : `${field}.${name}`,
      `${what} has the member ${quote(name)}, which does not exist`,
      `Leave that member out, or write one of ${Object.keys(known).join(", ")}.`
    )
}

/** Returns whether a value is an object of options, also one of another realm: no array, no Map and no AbortSignal. */
export const isOptions = (value: unknown): boolean => Object.prototype.toString.call(value) === "[object Object]"

/** Returns an object whose members all exist, or its first problem. */
export const membersWithin = <A extends object>(
  field: string,
  input: A,
  known: Readonly<Record<string, true>>
): Result.Result<A, InvalidRequestError> => {
  if (!isOptions(input)) return Result.fail(notA("an object", field))
  const unknown = unknownMember(field, input, known, field)
  return unknown === undefined ? Result.succeed(input) : Result.fail(unknown)
}

/** Returns the texts of an array that has nothing else, or undefined for any other value. */
export const textsOf = (value: unknown): ReadonlyArray<string> | undefined =>
  Array.isArray(value) && value.every(isText) ? value : undefined

/** The members of a JSON object, before validation. */
export type Members = Readonly<Record<string, unknown>>

/** Returns the members of the JSON object in `json`, or undefined for any other text. */
export const membersOf = (json: string): Members | undefined => {
  try {
    const value: unknown = JSON.parse(json)
    return Predicate.isReadonlyObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** Returns whether a text is the beginning of a JSON object: a string or an object in it has no end. */
export const isCutJson = (text: string): boolean => {
  if (!/^\s*\{/.test(text)) return false
  const structure = text.replace(/"(?:[^"\\]|\\.)*"/gs, "")
  return structure.includes("\"") || structure.split("{").length > structure.split("}").length
}
