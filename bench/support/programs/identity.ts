/** One token with a secret: `@azure/identity`, whose transport is replaced because it is `node:https`. */
import { createHttpHeaders } from "@azure/core-rest-pipeline"
import { ClientSecretCredential } from "@azure/identity"
import { body, check, clientId, scope, tenantId } from "./answer.ts"

const credential = new ClientSecretCredential(tenantId, clientId, "a-secret", {
  httpClient: {
    sendRequest: async (request) => ({ request, status: 200, headers: createHttpHeaders(), bodyAsText: body })
  }
})
const result = await credential.getToken(scope)
check(result.token)
