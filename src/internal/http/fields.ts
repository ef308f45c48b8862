/** The messages of an exchange with an identity provider: the fields of a request, redacted where they are secret, and its response. */
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

// -----------------------------------------------------------------------------
// messages
// -----------------------------------------------------------------------------

export interface IdentityRequest {
  readonly method: "GET" | "POST"
  readonly url: string
  readonly headers: Fields
  readonly form?: Fields | undefined
  readonly correlationId: string
}

export interface IdentityResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: string
  /** Whether the body went on after the limit, where it was cut. */
  readonly cut: boolean
}

export const version = "0.1.0"

/**
 * The headers of every request to Entra beside `client-request-id`: Entra correlates requests, counts clients and learns that
 * this client honours Retry-After.
 */
export const standardHeaders = {
  accept: "application/json",
  "return-client-request-id": "true",
  "x-client-sku": "effect-entra",
  "x-client-ver": version,
  "x-ms-lib-capability": "retry-after, h429"
} as const
