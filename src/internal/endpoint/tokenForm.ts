/** The form of a token request (RFC 6749 section 4.4.2). */
import type * as Redacted from "effect/Redacted"
import type { Fields } from "../http/fields.ts"

/** Returns the parameters of the client credentials grant. */
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

/** Returns the parameter of a client secret (RFC 6749 section 2.3.1). */
export const secretForm = (secret: Redacted.Redacted<string>): Fields => ({ client_secret: secret })

/** Returns the parameters of a client assertion (RFC 7523 section 2.2). */
export const assertionForm = (assertion: Redacted.Redacted<string>): Fields => ({
  client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
  client_assertion: assertion
})
