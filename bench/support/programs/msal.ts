/** One token with a secret: `@azure/msal-node` over its own `fetch`. */
import { ConfidentialClientApplication } from "@azure/msal-node"
import { answer, authority, check, clientId, scope } from "./answer.ts"

globalThis.fetch = answer

const app = new ConfidentialClientApplication({ auth: { clientId, clientSecret: "a-secret", authority } })
const result = await app.acquireTokenByClientCredential({ scopes: [scope] })
check(result?.accessToken)
