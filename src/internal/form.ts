/** The token request on the wire (RFC 6749 section 4.4.2): its form and its headers. */
import type * as Redacted from "effect/Redacted"

export type Form = Readonly<Record<string, string | Redacted.Redacted<string>>>

export const clientCredentialsForm = (options: {
  readonly clientId: string
  readonly scopes: string
  readonly claims: string
}): Form => ({
  client_id: options.clientId,
  ...(options.scopes === "" ? {} : { scope: options.scopes }),
  grant_type: "client_credentials",
  ...(options.claims === "" ? {} : { claims: options.claims })
})

/** As a form has it: one value, encoded. */
export const formEncoded = (value: string): string => new URLSearchParams({ v: value }).toString().slice(2)

/** RFC 6749 section 2.3.1. */
export const secretForm = (secret: Redacted.Redacted<string>): Form => ({ client_secret: secret })

/** RFC 7523 section 2.2. */
export const assertionForm = (assertion: Redacted.Redacted<string>): Form => ({
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
