/** A program that has nothing but `effect-entra-standalone`: it is compiled, and runs on each runtime. */
import {
  type Client,
  createClient,
  CredentialError,
  EntraError,
  InvalidClientError,
  type Token
} from "effect-entra-standalone"

declare const process: { readonly env: Readonly<Record<string, string | undefined>> }

const { CERTIFICATE = "", CLIENT_ID = "", ORIGIN = "", PRIVATE_KEY = "", SECRET = "" } = process.env
const scopes = "https://graph.microsoft.com/.default"
const options = {
  clientId: CLIENT_ID,
  tenantId: "contoso.onmicrosoft.com",
  authority: ORIGIN,
  log: () => {}
}

const codeOf = (error: unknown): string => {
  if (error instanceof InvalidClientError) return error.code satisfies "secret_wrong" | InvalidClientError["code"]
  return error instanceof EntraError ? error.code : String(error)
}

const attempt = async (client: Client): Promise<Token | string> => {
  try {
    return await client.getToken(scopes)
  } catch (error) {
    return codeOf(error)
  } finally {
    await client.close()
  }
}

const kind = (result: Token | string): string => typeof result === "string" ? result : result.tokenType

const open = createClient({ ...options, secret: SECRET, origins: { [ORIGIN]: scopes } })
const users = await open.fetch(`${ORIGIN}/v1.0/users`)
const cached = (await open.getToken(scopes)).fromCache
const aborted = await open.getToken(scopes, { signal: AbortSignal.abort("stopped") }).catch(String)
await open.close()
const missing = (() => {
  try {
    createClient(options)
    return "created"
  } catch (error) {
    return error instanceof CredentialError ? error.code : "another error"
  }
})()

// oxlint-disable-next-line no-console -- the output is the result
console.log(JSON.stringify({
  secret: kind(await attempt(createClient({ ...options, secret: async () => SECRET }))),
  wrong: kind(await attempt(createClient({ ...options, secret: "wr0ng~secret-value" }))),
  certificate: kind(
    await attempt(
      createClient({ ...options, certificate: { certificate: CERTIFICATE, privateKey: PRIVATE_KEY } })
    )
  ),
  closed: kind(await attempt(open)),
  users: users.status,
  cached,
  aborted,
  missing
}))
