/**
 * A CONNECT proxy that leads every host to one port of this machine: a program that is written for Microsoft's addresses
 * runs unchanged, and talks to the simulator.
 */
import { Effect } from "effect"
import { createServer, type RequestListener } from "node:http"
import { createServer as createTlsServer } from "node:https"
import { connect } from "node:net"
import { listening } from "./server.ts"

export interface Options {
  /** Basic credentials that it wants; others, or none, are answered with 407. */
  readonly credentials?: { readonly username: string; readonly password: string } | undefined
  /** The status of its response to `CONNECT`, instead of a tunnel. */
  readonly refusal?: number | undefined
  /** A proxy that is itself reached over TLS. */
  readonly tls?: { readonly key: string; readonly cert: string } | undefined
}

/** `port` may depend on the host and port that are asked for. */
export const proxyTo = (port: number | ((asked: string) => number), options: Options = {}) =>
  Effect.gen(function*() {
    const asked: Array<string> = []
    const open = new Set<object>()
    const whenClosed: Array<() => void> = []
    const { credentials, refusal, tls } = options
    const expected = credentials === undefined
      ? undefined
      : `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString("base64")}`
    const listener: RequestListener = (_request, response) => response.writeHead(405).end()
    const server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener)
    server.on("connect", (request, client) => {
      asked.push(request.url ?? "")
      const status = refusal ??
        (expected !== undefined && request.headers["proxy-authorization"] !== expected ? 407 : undefined)
      if (status !== undefined) {
        client.on("error", () => client.destroy())
        const challenge = status === 407 ? `Proxy-Authenticate: Basic realm="test"\r\n` : ""
        client.end(`HTTP/1.1 ${status} Refused\r\n${challenge}Content-Length: 0\r\nConnection: close\r\n\r\n`)
        return
      }
      open.add(client)
      const target = connect(typeof port === "number" ? port : port(request.url ?? ""), "127.0.0.1", () => {
        client.write("HTTP/1.1 200 Connection established\r\n\r\n")
        client.pipe(target).pipe(client)
      })
      for (const [one, other] of [[client, target], [target, client]] as const) {
        one.on("error", () => other.destroy())
        one.on("close", () => other.destroy())
      }
      client.on("close", () => {
        open.delete(client)
        if (open.size === 0) { for (const done of whenClosed.splice(0)) done() }
      })
    })
    const proxyPort = yield* listening(server)
    return {
      asked,
      open,
      url: tls === undefined ? `http://127.0.0.1:${proxyPort}` : `https://localhost:${proxyPort}`,
      /** When no tunnel is open any more. */
      closed: Effect.callback<void>((resume) => {
        if (open.size === 0) resume(Effect.void)
        else whenClosed.push(() => resume(Effect.void))
      }).pipe(Effect.timeout("5 seconds"))
    }
  })
