/** The parts that all programs share: the client, the tenant, the scope, and the response in place of `fetch`. */
export const clientId = "11111111-1111-4111-8111-111111111111"
export const tenantId = "22222222-2222-4222-8222-222222222222"
export const scope = "https://graph.microsoft.com/.default"
export const authority = `https://login.microsoftonline.com/${tenantId}`

export const body = JSON.stringify({ token_type: "Bearer", expires_in: 3599, access_token: "a-token" })

/** With its length, as an HTTP server sends it that has the whole text at hand. */
export const answer = async (): Promise<Response> =>
  new Response(body, {
    headers: { "content-type": "application/json; charset=utf-8", "content-length": String(body.length) }
  })

export const check = (token: string | undefined): void => {
  if (token !== "a-token") throw new Error(`no token: ${token}`)
}
