/**
 * A CONNECT proxy that leads every host to one port of this machine: a program that is written for Microsoft's addresses
 * runs unchanged, and talks to the simulator.
 */
import { Effect } from "effect"
import { createServer } from "node:http"
import { connect } from "node:net"
import { listening } from "./server.ts"

export const proxyTo = (port: number) =>
  Effect.gen(function*() {
    const asked: Array<string> = []
    const server = createServer((_request, response) => response.writeHead(405).end())
    server.on("connect", (request, client) => {
      asked.push(request.url ?? "")
      const target = connect(port, "127.0.0.1", () => {
        client.write("HTTP/1.1 200 Connection established\r\n\r\n")
        client.pipe(target).pipe(client)
      })
      for (const [one, other] of [[client, target], [target, client]] as const) {
        one.on("error", () => other.destroy())
        one.on("close", () => other.destroy())
      }
    })
    return { asked, url: `http://127.0.0.1:${yield* listening(server)}` }
  })
