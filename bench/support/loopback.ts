/** A token endpoint over https on this machine, in a process of its own: told its certificate, it tells its port. */
import { createServer } from "node:https"
import type { AddressInfo } from "node:net"

const send = (message: { readonly port: number }): void => {
  process.send?.(message)
}

process.once("message", (options: { readonly key: string; readonly cert: string; readonly answer: string }) => {
  const server = createServer({ key: options.key, cert: options.cert, keepAlive: true }, (request, response) => {
    const url = new URL(request.url ?? "/", `https://${request.headers.host}`)
    const tenant = `${url.origin}/${url.pathname.split("/")[1]}`
    const answer = url.pathname.endsWith("/openid-configuration")
      ? JSON.stringify({
        issuer: `${tenant}/v2.0`,
        authorization_endpoint: `${tenant}/oauth2/v2.0/authorize`,
        token_endpoint: `${tenant}/oauth2/v2.0/token`,
        jwks_uri: `${tenant}/discovery/v2.0/keys`
      })
      : options.answer
    request.resume()
    request.once("end", () => {
      response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(answer) })
      response.end(answer)
    })
  })
  server.listen(0, "127.0.0.1", () => {
    const address: AddressInfo | string | null = server.address()
    if (address !== null && typeof address === "object") send({ port: address.port })
  })
})
process.once("disconnect", () => process.exit())
