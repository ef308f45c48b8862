/** Combines several problems of one configuration into one error, without secrets. */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { ConfigurationError, InvalidRequestError } from "../../EntraError.ts"
import { invalidRequest } from "../shared/errors.ts"

/** The context in which problems are reported. */
export interface ReportContext {
  /** Variables that could not be read. Problems about their missing values are not reported. */
  readonly unreadable: ReadonlyArray<string>
  readonly secrets: ReadonlyArray<Redacted.Redacted<string> | undefined>
  /** The values that messages may quote, by variable or option. */
  readonly shown: Readonly<Record<string, unknown>>
}

/** Returns `parts`, or the error of the problems. A single problem is returned unchanged, several become one error. */
export const combinedProblems = <A, E extends ConfigurationError>(
  problems: ReadonlyArray<E>,
  parts: Result.Result<A, E>,
  context: ReportContext
): Result.Result<A, E | InvalidRequestError> => {
  const all = reportedProblems(problems, context)
  const [problem, another] = all
  return problem === undefined ? parts : Result.fail(another === undefined ? problem : combinedError(all))
}

/** Returns the problems to report, without secrets. Problems of unreadable variables are replaced by one problem. */
export const reportedProblems = <E extends ConfigurationError>(
  problems: ReadonlyArray<E>,
  context: ReportContext
): ReadonlyArray<E | InvalidRequestError> => {
  const { unreadable } = context
  return [
    ...problems.filter(({ field }) => !fieldsOf(field).some((name) => unreadable.includes(name))).map(
      redactorOf(context)
    ),
    ...(unreadable.length === 0 ? [] : [unreadableVariables(unreadable)])
  ]
}

const fieldsOf = (field: string): ReadonlyArray<string> => field.split(", ")

/**
 * Returns a function that hides the message of a problem that would reveal a secret, such as a secret in the wrong variable.
 * The complete message is replaced, because a part of the secret would reveal something too.
 */
const redactorOf = ({ secrets, shown }: ReportContext) => {
  const needles = secrets.flatMap((secret) => {
    const text = secret === undefined ? "" : withoutQuotes(Redacted.value(secret)).toLowerCase()
    return text === "" ? [] : [text]
  })
  /**
   * Returns whether a text contains a secret. A short secret may be part of any text, so it counts only as the whole
   * text.
   */
  const containsSecret = (text: string): boolean =>
    needles.some((needle) => {
      const folded = text.toLowerCase()
      return folded.length < needle.length || (needle.length < 6 && withoutQuotes(folded) !== needle)
        ? false
        : folded.includes(needle)
    })
  const exposed = Object.keys(shown).filter((field) => containsSecret(`${shown[field] ?? ""}`))
  return <E extends ConfigurationError>(problem: E): E | InvalidRequestError =>
    exposed.length > 0 &&
      (fieldsOf(problem.field).some((field) => exposed.includes(field)) || containsSecret(problem.message))
      ? misplacedSecret(problem)
      : problem
}

/** Returns a secret without the white space and the quotes that copying may add. */
const withoutQuotes = (secret: string): string => secret.trim().replace(/^(["'])(.*)\1$/s, "$2")

const misplacedSecret = ({ code, field, remedy }: ConfigurationError): InvalidRequestError =>
  invalidRequest(
    "field_malformed",
    field,
    `${field} is invalid (${code}), and its value is not shown because it contains the secret or the password`,
    `Check that each variable has its own value. ${remedy}`
  )

const unreadableVariables = (names: ReadonlyArray<string>): InvalidRequestError =>
  invalidRequest(
    "configuration_invalid",
    names.join(", "),
    `The ConfigProvider could not read ${names.join(", ")}`,
    "Check the ConfigProvider that the program installs."
  )

const combinedError = (problems: ReadonlyArray<ConfigurationError>): InvalidRequestError =>
  invalidRequest(
    "configuration_invalid",
    [...new Set(problems.flatMap(({ field }) => fieldsOf(field)))].join(", "),
    problems.map(({ message }) => message).join(" "),
    problems.map(({ field, remedy }) => `${field}: ${remedy}`).join(" ")
  )
