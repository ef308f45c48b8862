/** Ports of this machine that stay free while a server restarts. */
import { Effect } from "effect"
import { createServer } from "node:net"

/** The distance between the port of a Redis server and that of its cluster bus. */
const bus = 10_000

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer()
    server.once("error", () => resolve(false))
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)))
  })

/**
 * Finds a free port whose port for the cluster bus is free too.
 *
 * Both are below the ports that the kernel gives to outgoing connections. Among those, a client that reconnects to a closed
 * port can connect to itself, and a server that restarts can find its port in use.
 */
export const freePort: Effect.Effect<number> = Effect.promise(async () => {
  for (let attempt = 0; attempt < 200; attempt++) {
    const port = 10_000 + Math.floor(Math.random() * 12_000)
    if (await isFree(port) && await isFree(port + bus)) return port
  }
  throw new Error("no free port")
})
