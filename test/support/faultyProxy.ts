/** A TCP proxy to a port of this machine whose faults are switched at run time. */
import { Duration, Effect, type Scope } from "effect"
import { connect, createServer, type Server, type Socket } from "node:net"
import { freePort } from "./ports.ts"

/**
 * What the proxy does to connections, those that are open included.
 *
 * - `pass`: forwards all bytes.
 * - `blackhole`: accepts connections and forwards nothing, not even their end.
 * - `refuse`: refuses new connections. Open connections go on.
 * - `garbage`: forwards requests. Each reply is replaced by bytes that are no reply.
 * - `half`: forwards requests. The next reply of each connection is cut in the middle, then the connection is silent.
 * - `delay`: each reply waits.
 *
 * A connection that lost bytes stays silent in every later mode, because replies would be taken for those of other requests.
 */
export type Mode = "pass" | "blackhole" | "refuse" | "garbage" | "half" | { readonly delay: Duration.Input }

export interface FaultyProxy {
  readonly port: number
  readonly set: (mode: Mode) => Effect.Effect<void>
  /** Resets all open connections (RST), in any mode. */
  readonly resetAll: Effect.Effect<void>
  /** The number of connections that clients opened so far. */
  readonly accepted: Effect.Effect<number>
  /** The number of connections of clients that are open. */
  readonly open: Effect.Effect<number>
}

export const garbage = Buffer.from([0x00, 0xff, 0xfe, 0x13, 0x37, 0x0d, 0x0a, 0x00, 0xff, 0x0d, 0x0a])

export const faultyProxy = Effect.fnUntraced(
  function*(targetPort: number): Effect.fn.Return<FaultyProxy, never, Scope.Scope> {
    const clients = new Set<Socket>()
    let mode: Mode = "pass"
    let accepted = 0

    const onConnection = (client: Socket): void => {
      accepted++
      clients.add(client)
      let isLost = mode === "blackhole"
      const target = isLost ? undefined : connect(targetPort, "127.0.0.1")
      const waiting: Array<() => void> = []
      let lastDelivery = 0

      const deliver = (reply: Buffer): void => {
        if (mode === "blackhole") isLost = true
        if (isLost) return
        if (mode === "half") {
          client.write(reply.subarray(0, Math.floor(reply.length / 2)))
          isLost = true
        } else client.write(mode === "garbage" ? garbage : reply)
      }
      /** Actions run in the order of arrival, whatever the mode is in the meantime. */
      const afterDelay = (action: () => void): void => {
        const now = performance.now()
        const delay = typeof mode === "object" ? Duration.toMillis(mode.delay) : 0
        lastDelivery = Math.max(lastDelivery, now + delay)
        if (waiting.length === 0 && lastDelivery <= now) return action()
        waiting.push(action)
        setTimeout(() => waiting.shift()?.(), lastDelivery - now)
      }

      client.on("data", (request) => {
        if (mode === "blackhole") isLost = true
        if (!isLost) target?.write(request)
      })
      client.on("error", () => client.destroy())
      client.on("close", () => {
        clients.delete(client)
        waiting.length = 0
        target?.destroy()
      })
      target?.on("data", (reply) => afterDelay(() => deliver(reply)))
      target?.on("error", () => {
        if (mode === "blackhole") isLost = true
        if (!isLost) client.resetAndDestroy()
      })
      target?.on("close", () =>
        afterDelay(() => {
          if (mode === "blackhole") isLost = true
          if (!isLost) client.end()
        }))
    }

    const listen = (port: number): Effect.Effect<Server> =>
      Effect.promise(() =>
        new Promise((resolve, reject) => {
          const server = createServer(onConnection)
          server.once("error", reject)
          server.listen(port, "127.0.0.1", () => resolve(server))
        })
      )
    const port = yield* freePort
    // Closed without waiting for connections: the port is free at once.
    let server: Server | undefined
    yield* Effect.acquireRelease(
      Effect.map(listen(port), (listening) => void (server = listening)),
      () =>
        Effect.sync(() => {
          server?.close()
          for (const client of clients) client.destroy()
        })
    )
    return {
      port,
      set: Effect.fnUntraced(function*(next) {
        if (next === "refuse") {
          server?.close()
          server = undefined
        } else server ??= yield* listen(port)
        mode = next
      }),
      resetAll: Effect.sync(() => {
        for (const client of clients) client.resetAndDestroy()
      }),
      accepted: Effect.sync(() => accepted),
      open: Effect.sync(() => clients.size)
    }
  }
)
