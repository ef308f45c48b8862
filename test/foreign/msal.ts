/**
 * Asks the simulator for tokens with `@azure/msal-node`, in a process of its own that trusts the simulator's certificate.
 * Takes JSON from the variable PARAMETERS; prints one line of JSON.
 */
import { ConfidentialClientApplication, type NodeAuthOptions, ServerError } from "@azure/msal-node"
import { Schema } from "effect"

const Parameters = Schema.fromJsonString(Schema.Struct({
  origin: Schema.String,
  tenant: Schema.String,
  clientId: Schema.String,
  scopes: Schema.Array(Schema.String),
  secret: Schema.optionalKey(Schema.String),
  certificate: Schema.optionalKey(Schema.Struct({
    thumbprintSha256: Schema.String,
    privateKey: Schema.String,
    x5c: Schema.String
  }))
}))

const { certificate, clientId, origin, scopes, secret, tenant } = Schema.decodeUnknownSync(Parameters)(
  process.env["PARAMETERS"]
)

const auth: NodeAuthOptions = {
  clientId,
  authority: `${origin}/${tenant}`,
  knownAuthorities: [new URL(origin).host],
  ...(secret === undefined ? {} : { clientSecret: secret }),
  ...(certificate === undefined ? {} : { clientCertificate: certificate })
}

try {
  const result = await new ConfidentialClientApplication({ auth }).acquireTokenByClientCredential({
    scopes: [...scopes]
  })
  console.log(JSON.stringify({
    token: result?.accessToken,
    expiresOn: result?.expiresOn?.getTime(),
    tokenType: result?.tokenType
  }))
} catch (error) {
  if (!(error instanceof ServerError)) throw error
  console.log(JSON.stringify({ error: error.errorCode, errorNo: Number(error.errorNo), message: error.errorMessage }))
}
