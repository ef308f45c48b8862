/**
 * Microsoft's hosts on a port of this machine: writes down each request as it came, and answers each with a token of its
 * own. What is sent is judged by the test, not here.
 */
import { Effect, Redacted } from "effect"
import { TestCertificate } from "effect-entra/testing"
import { createServer } from "node:https"
import { text } from "node:stream/consumers"
import { proxyTo } from "../../support/proxy.ts"
import { listening } from "../../support/server.ts"

export interface Recorded {
  readonly method: string
  readonly httpVersion: string
  /** Path and query. */
  readonly url: string
  /** Names in lower case; a name that came twice is there twice. */
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>
  readonly body: string
  /** Milliseconds. */
  readonly receivedAt: number
  /** The access token of the response. */
  readonly token: string
}

export const recorder = (hosts: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const tls = yield* TestCertificate.makeChain({ algorithm: "EC", subjectAltNames: hosts })
    const recorded: Array<Recorded> = []
    const server = createServer({ key: Redacted.value(tls.privateKey), cert: tls.certificate })
    server.on("request", async (request, response) => {
      const { httpVersion, method = "", rawHeaders, url = "" } = request
      const receivedAt = Date.now()
      const body = await text(request)
      const token = crypto.randomUUID()
      const headers = rawHeaders.flatMap((name, n) =>
        n % 2 === 0 ? [[name.toLowerCase(), rawHeaders[n + 1] ?? ""] as const] : []
      )
      recorded.push({ method, httpVersion, url, headers, body, receivedAt, token })
      response.writeHead(200, { "content-type": "application/json" })
      response.end(JSON.stringify({
        token_type: "Bearer",
        expires_in: 3599,
        ext_expires_in: 3599,
        access_token: token
      }))
    })
    const { asked, url } = yield* proxyTo(yield* listening(server))
    return {
      /** PEM: what a client has to trust. */
      certificate: tls.authority,
      proxy: url,
      /** The requests and connections since the last run of this effect. */
      take: Effect.sync(() => ({ requests: recorded.splice(0), connections: asked.splice(0) }))
    }
  })
