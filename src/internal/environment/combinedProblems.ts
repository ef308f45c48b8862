/** Several problems of one configuration as one error, without what must not be seen. */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { ConfigurationError, InvalidRequestError } from "../../EntraError.ts"
import { invalidRequest } from "../shared/errors.ts"

export interface Known {
  /** Variables that could not be read: that they are missing is no problem of theirs. */
  readonly unreadable: ReadonlyArray<string>
  readonly secrets: ReadonlyArray<Redacted.Redacted<string> | undefined>
  /** What messages may quote, by the name of its variable or option. */
  readonly shown: Readonly<Record<string, unknown>>
}

/** One problem keeps its own tag; several become one error that names them all. */
export const reported = <A, E extends ConfigurationError>(
  problems: ReadonlyArray<E>,
  parts: Result.Result<A, E>,
  known: Known
): Result.Result<A, E | InvalidRequestError> => {
  const { unreadable } = known
  const veil = veilOf(known)
  const all = [
    ...problems.filter(({ field }) => !fieldsOf(field).some((name) => unreadable.includes(name))).map(veil),
    ...(unreadable.length === 0 ? [] : [notRead(unreadable)])
  ]
  const [problem, another] = all
  return problem === undefined ? parts : Result.fail(another === undefined ? problem : together(all))
}

const fieldsOf = (field: string): ReadonlyArray<string> => field.split(", ")

/** A secret that stands in the wrong place is neither quoted nor cut: where it is found, nothing is shown. */
const veilOf = ({ secrets, shown }: Known) => {
  const needles = secrets.flatMap((secret) => {
    const bare = secret === undefined ? "" : bareOf(Redacted.value(secret)).toLowerCase()
    return bare === "" ? [] : [bare]
  })
  /** Short ones are found as a part of anything, and nobody can tell which part. */
  const holds = (text: string): boolean =>
    needles.some((needle) => {
      const folded = text.toLowerCase()
      return folded.length < needle.length || (needle.length < 6 && bareOf(folded) !== needle)
        ? false
        : folded.includes(needle)
    })
  const leaky = Object.keys(shown).filter((field) => holds(`${shown[field] ?? ""}`))
  return <E extends ConfigurationError>(problem: E): E | InvalidRequestError =>
    leaky.length > 0 && (fieldsOf(problem.field).some((field) => leaky.includes(field)) || holds(problem.message))
      ? misplaced(problem)
      : problem
}

/** Without the white space and the quotes that come with copying. */
const bareOf = (secret: string): string => secret.trim().replace(/^(["'])(.*)\1$/s, "$2")

const misplaced = ({ code, field, remedy }: ConfigurationError): InvalidRequestError =>
  invalidRequest(
    "field_malformed",
    field,
    `${field} cannot be used (${code}), and is not shown because the secret or the password is in it`,
    `Look whether each variable has its own value. ${remedy}`
  )

const notRead = (names: ReadonlyArray<string>): InvalidRequestError =>
  invalidRequest(
    "configuration_invalid",
    names.join(", "),
    `the ConfigProvider could not read ${names.join(", ")}`,
    "Look at the ConfigProvider that the program installs."
  )

const together = (problems: ReadonlyArray<ConfigurationError>): InvalidRequestError =>
  invalidRequest(
    "configuration_invalid",
    [...new Set(problems.flatMap(({ field }) => fieldsOf(field)))].join(", "),
    problems.map(({ message }) => message).join("; "),
    problems.map(({ field, remedy }) => `${field}: ${remedy}`).join(" ")
  )
