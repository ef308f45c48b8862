/**
 * The problems of a value that does not fit its schema, by the path of each part. No problem repeats a value.
 */
import type * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"

/** A problem. `path` is in the notation of JavaScript, such as `apps[0].clientId`; empty: the whole value. */
export interface Problem {
  readonly path: string
  readonly message: string
}

/** Returns a path in the notation of JavaScript. */
export const pathOf = (...keys: ReadonlyArray<unknown>): string =>
  keys.map((key) => {
    if (typeof key === "number") return `[${key}]`
    const name = String(key)
    return /^[\w$]+$/.test(name) ? `.${name}` : `[${JSON.stringify(name)}]`
  }).join("").replace(/^\./, "")

const format = SchemaIssue.makeFormatterStandardSchemaV1()

/** Returns the problems of an error. */
export const problemsOf = ({ issue }: Schema.SchemaError): ReadonlyArray<Problem> =>
  format(issue).issues.map(({ message, path = [] }) => ({
    path: pathOf(...path),
    message: message === "Expected no excess property" ? "There is no such property" : message
  }))

/** Returns a problem as a sentence. */
export const sentenceOf = ({ message, path }: Problem): string => `${path === "" ? "" : `${path}: `}${message}.`
