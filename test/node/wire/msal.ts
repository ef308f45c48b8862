/** Does the tasks of the variable PARAMETERS with `@azure/msal-node`, one after the other, each with an app of its own. */
import { ConfidentialClientApplication, type NodeAuthOptions } from "@azure/msal-node"
import { Schema } from "effect"
import { type Outcome, type Task, Tasks } from "./task.ts"

const credentialOf = (
  { credential }: Task,
  told: Array<Outcome["told"][number]>
): Pick<NodeAuthOptions, "clientSecret" | "clientCertificate" | "clientAssertion"> => {
  switch (credential._tag) {
    case "Secret":
      return { clientSecret: credential.secret }
    case "Certificate": {
      const { chain, privateKey, thumbprintSha256 } = credential.certificate
      // It has no switch for one request.
      const isSent = ["app", "request"].includes(credential.sendCertificateChain)
      const x5c = isSent ? { x5c: chain } : {}
      return { clientCertificate: { thumbprintSha256, privateKey, ...x5c } }
    }
    case "Assertion":
      return {
        clientAssertion: async ({ clientId, tokenEndpoint = "" }) => {
          told.push({ clientId, tokenEndpoint })
          return credential.assertion
        }
      }
  }
}

const outcomes: Array<Outcome> = []
for (const task of Schema.decodeUnknownSync(Tasks)(process.env["PARAMETERS"])) {
  const told: Array<Outcome["told"][number]> = []
  const app = new ConfidentialClientApplication({
    auth: {
      clientId: task.clientId,
      authority: task.authority,
      ...credentialOf(task, told),
      ...(task.clientCapabilities === undefined ? {} : { clientCapabilities: [...task.clientCapabilities] })
    }
  })
  const result = await app.acquireTokenByClientCredential({
    scopes: [...task.scopes],
    correlationId: task.correlationId,
    ...(task.claims === undefined ? {} : { claims: task.claims }),
    ...(task.region === undefined ? {} : { azureRegion: task.region }),
    ...(task.extraQueryParameters === undefined ? {} : { extraQueryParameters: task.extraQueryParameters })
  })
  outcomes.push({ token: result?.accessToken ?? "", told })
}
console.log(JSON.stringify(outcomes))
