/**
 * Asks a platform's service for the tokens of identities with `@azure/msal-node` or `@azure/identity`, in a process whose environment is the
 * platform's. Takes JSON from the variable PARAMETERS; prints one line of JSON.
 */
import { ManagedIdentityCredential } from "@azure/identity"
import { ManagedIdentityApplication } from "@azure/msal-node"
import { Schema } from "effect"

const Parameters = Schema.fromJsonString(Schema.Struct({
  library: Schema.Literals(["msal", "identity"]),
  resource: Schema.String,
  identities: Schema.Array(Schema.Struct({
    clientId: Schema.optionalKey(Schema.String),
    objectId: Schema.optionalKey(Schema.String),
    resourceId: Schema.optionalKey(Schema.String)
  }))
}))

const { identities, library, resource } = Schema.decodeUnknownSync(Parameters)(process.env["PARAMETERS"])

type Identity = typeof identities[number]

const credential = ({ clientId, objectId, resourceId }: Identity) =>
  clientId !== undefined
    ? new ManagedIdentityCredential({ clientId })
    : objectId !== undefined
    ? new ManagedIdentityCredential({ objectId })
    : resourceId !== undefined
    ? new ManagedIdentityCredential({ resourceId })
    : new ManagedIdentityCredential()

const application = ({ clientId, objectId, resourceId }: Identity) =>
  new ManagedIdentityApplication({
    managedIdentityIdParams: {
      ...(clientId === undefined ? {} : { userAssignedClientId: clientId }),
      ...(objectId === undefined ? {} : { userAssignedObjectId: objectId }),
      ...(resourceId === undefined ? {} : { userAssignedResourceId: resourceId })
    }
  })

const tokens: Array<string> = []
for (const identity of identities) {
  tokens.push(
    library === "identity"
      ? (await credential(identity).getToken(`${resource}/.default`)).token
      : (await application(identity).acquireToken({ resource })).accessToken
  )
}
console.log(JSON.stringify({ tokens }))
