/** An HTTP server on a free port of this machine, for as long as the scope is open. */
import { Effect } from "effect"
import { createServer, type RequestListener, type Server } from "node:http"
import type { AddressInfo } from "node:net"

/** The port that `server` listens on; default: a free one. */
export const listening = (server: Server, port = 0) =>
  Effect.acquireRelease(
    Effect.promise(() =>
      new Promise<number>((resolve, reject) => {
        server.listen(port, "127.0.0.1", () => {
          const address: AddressInfo | string | null = server.address()
          if (address === null || typeof address === "string") reject(new Error("no port"))
          else resolve(address.port)
        })
      })
    ),
    () =>
      Effect.promise(() => {
        server.closeAllConnections()
        return new Promise((resolve) => server.close(resolve))
      })
  )

export const serve = (listener: RequestListener) => listening(createServer(listener))
