/** The token request on the wire (RFC 6749 section 4.4.2): its query, its form and its headers. */
import * as Redacted from "effect/Redacted"

/** Of a query, a form or the headers; what is secret is redacted until it is sent. */
export type Fields = Readonly<Record<string, string | Redacted.Redacted<string>>>

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

export const clientCredentialsForm = (options: {
  readonly clientId: string
  readonly scopes: string
  readonly claims: string
}): Fields => ({
  client_id: options.clientId,
  ...(options.scopes === "" ? {} : { scope: options.scopes }),
  grant_type: "client_credentials",
  ...(options.claims === "" ? {} : { claims: options.claims })
})

/** As a form has it: one value, encoded. */
export const formEncoded = (value: string): string => new URLSearchParams({ v: value }).toString().slice(2)

/** RFC 6749 section 2.3.1. */
export const secretForm = (secret: Redacted.Redacted<string>): Fields => ({ client_secret: secret })

/** RFC 7523 section 2.2. */
export const assertionForm = (assertion: Redacted.Redacted<string>): Fields => ({
  client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
  client_assertion: assertion
})

/** The service uses these to correlate, to count clients, and to learn that this one honours Retry-After. */
export const requestHeaders = (correlationId: string): Readonly<Record<string, string>> => ({
  accept: "application/json",
  "client-request-id": correlationId,
  "return-client-request-id": "true",
  "x-client-sku": "effect-entra",
  "x-client-ver": version,
  "x-ms-lib-capability": "retry-after, h429"
})

export const version = "0.1.0"
