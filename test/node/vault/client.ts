/** Microsoft's client for secrets, led to the vault on this machine; what it checks of the vault's address it still checks. */
import type { TokenCredential } from "@azure/core-auth"
import { SecretClient } from "@azure/keyvault-secrets"
import { Agent } from "node:https"
import { host } from "./server.ts"

export const secretClient = (
  { authority, port }: { readonly authority: string; readonly port: number },
  credential: TokenCredential
): SecretClient => {
  const agent = new Agent({
    ca: authority,
    lookup: (_hostname, { all }, callback) =>
      all === true ? callback(null, [{ address: "127.0.0.1", family: 4 }]) : callback(null, "127.0.0.1", 4)
  })
  return new SecretClient(`https://${host}:${port}`, credential, {
    retryOptions: { maxRetries: 0 },
    additionalPolicies: [{
      position: "perRetry",
      policy: {
        name: "local",
        sendRequest: (request, next) => {
          request.agent = agent
          return next(request)
        }
      }
    }]
  })
}
