/** Requests to an identity provider and their responses. Secret fields of a request are redacted. */
import * as Redacted from "effect/Redacted"

/** The fields of a query, a form or headers. Secret values stay redacted until they are sent. */
export type Fields = Readonly<Record<string, string | Redacted.Redacted<string>>>

export const noFields: Fields = {}

/** Returns the secret values of fields. */
export const secretsOf = (fields: Fields): ReadonlyArray<string> =>
  Object.values(fields).flatMap((value) => Redacted.isRedacted(value) ? [Redacted.value(value)] : [])

/** Returns a value as it is sent. */
export const revealed = (value: string | Redacted.Redacted<string>): string =>
  Redacted.isRedacted(value) ? Redacted.value(value) : value

/** Returns an endpoint with query parameters added to its own query (RFC 6749 section 3.2). */
export const withQuery = (url: string, query: Fields): string => {
  const encoded = Object.entries(query).map(([name, value]) => `${percent(name)}=${percent(revealed(value))}`).join("&")
  return encoded === "" ? url : `${url}${url.includes("?") ? "&" : "?"}${encoded}`
}

/** Encodes a value for a URL. A lone surrogate has no UTF-8 encoding, so it is replaced first. */
const percent = (value: string): string => encodeURIComponent(value.toWellFormed())

/** Encodes a value for a form. */
export const formEncoded = (value: string): string => new URLSearchParams({ v: value }).toString().slice(2)

// -----------------------------------------------------------------------------
// messages
// -----------------------------------------------------------------------------

/** A request to an identity provider. */
export interface IdentityRequest {
  readonly method: "GET" | "POST"
  readonly url: string
  readonly headers: Fields
  readonly form?: Fields | undefined
  readonly correlationId: string
}

/** A response of an identity provider. */
export interface IdentityResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: string
  /** True if the body was longer than the limit, and was cut there. */
  readonly cut: boolean
}

export const version = "0.1.0"

/**
 * The headers of every request to Entra beside `client-request-id`: with them Entra correlates requests, counts clients
 * and recognizes a client that honors Retry-After.
 */
export const standardHeaders = {
  accept: "application/json",
  // Without this header any encoding is allowed (RFC 9110 section 12.5.3), and only `fetch` decodes by itself.
  "accept-encoding": "identity",
  "return-client-request-id": "true",
  "x-client-sku": "effect-entra",
  "x-client-ver": version,
  "x-ms-lib-capability": "retry-after, h429"
} as const
