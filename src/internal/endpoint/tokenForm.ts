/** The token request on the wire (RFC 6749 section 4.4.2): its query, its form and its headers. */
import type * as Redacted from "effect/Redacted"
import type { Fields } from "../http/fields.ts"

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

/** RFC 6749 section 2.3.1. */
export const secretForm = (secret: Redacted.Redacted<string>): Fields => ({ client_secret: secret })

/** RFC 7523 section 2.2. */
export const assertionForm = (assertion: Redacted.Redacted<string>): Fields => ({
  client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
  client_assertion: assertion
})
