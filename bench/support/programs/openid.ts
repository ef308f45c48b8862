/** One token with a secret: `openid-client`, which has neither cache nor endpoints of its own. */
import { clientCredentialsGrant, ClientSecretPost, Configuration } from "openid-client"
import { answer, authority, check, clientId, scope } from "./answer.ts"

globalThis.fetch = answer

const server = { issuer: `${authority}/v2.0`, token_endpoint: `${authority}/oauth2/v2.0/token` }
const config = new Configuration(server, clientId, undefined, ClientSecretPost("a-secret"))
const result = await clientCredentialsGrant(config, { scope })
check(result.access_token)
