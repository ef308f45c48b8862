/**
 * Asks the simulator for tokens with `@azure/identity`, in a process of its own that trusts the simulator's certificate: by
 * itself, and as the source of a client of ours.
 * Takes JSON from the variable PARAMETERS; prints one line of JSON.
 */
import { AuthenticationRequiredError, ClientSecretCredential } from "@azure/identity"
import { Effect, Redacted, Schema } from "effect"
import { AzureCredential, ConfidentialClient } from "effect-entra"
import { silent } from "../support/log.ts"

const Parameters = Schema.fromJsonString(Schema.Struct({
  origin: Schema.String,
  tenant: Schema.String,
  clientId: Schema.String,
  scopes: Schema.Array(Schema.String),
  secret: Schema.String
}))

// The MSAL error it wraps.
const decodeCause = Schema.decodeUnknownSync(Schema.Struct({
  errorCode: Schema.String,
  errorMessage: Schema.String,
  errorNo: Schema.Finite
}))

const { clientId, origin, scopes, secret, tenant } = Schema.decodeUnknownSync(Parameters)(process.env["PARAMETERS"])

const credential = new ClientSecretCredential(tenant, clientId, secret, {
  authorityHost: origin,
  disableInstanceDiscovery: true
})

const ours = await ConfidentialClient.acquireToken({ scopes }).pipe(
  Effect.match({ onSuccess: ({ accessToken }) => Redacted.value(accessToken), onFailure: ({ code }) => code }),
  Effect.provide(AzureCredential.layer(credential)),
  Effect.provide(silent),
  Effect.runPromise
)

try {
  const token = await credential.getToken([...scopes])
  console.log(
    JSON.stringify({ token: token.token, expiresOn: token.expiresOnTimestamp, tokenType: token.tokenType, ours })
  )
} catch (error) {
  if (!(error instanceof AuthenticationRequiredError)) throw error
  const { errorCode, errorMessage, errorNo } = decodeCause(error.cause)
  console.log(JSON.stringify({ error: errorCode, errorNo, message: errorMessage, ours }))
}
