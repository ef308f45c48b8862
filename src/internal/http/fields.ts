/** The fields of an HTTP request: its query, its form and its headers, redacted where they are secret. */
import * as Redacted from "effect/Redacted"

/** Of a query, a form or the headers; what is secret is redacted until it is sent. */
export type Fields = Readonly<Record<string, string | Redacted.Redacted<string>>>

export const noFields: Fields = {}

/** What nobody must see. */
export const secretsOf = (fields: Fields): ReadonlyArray<string> =>
  Object.values(fields).flatMap((value) => Redacted.isRedacted(value) ? [Redacted.value(value)] : [])

/** As it is sent. */
export const revealed = (value: string | Redacted.Redacted<string>): string =>
  Redacted.isRedacted(value) ? Redacted.value(value) : value

/** An endpoint with a query, beside that which it may have itself (RFC 6749 section 3.2). */
export const withQuery = (url: string, query: Fields): string => {
  const encoded = Object.entries(query).map(([name, value]) => `${percent(name)}=${percent(revealed(value))}`).join("&")
  return encoded === "" ? url : `${url}${url.includes("?") ? "&" : "?"}${encoded}`
}

/** A lone surrogate has no UTF-8. */
const percent = (value: string): string => encodeURIComponent(value.toWellFormed())

/** As a form has it: one value, encoded. */
export const formEncoded = (value: string): string => new URLSearchParams({ v: value }).toString().slice(2)
