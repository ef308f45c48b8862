/** A Redis server of its own for an example: empty, without persistence, on a free port of this machine. */
import { Effect, Schedule, type Scope } from "effect"
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { connect, createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"

export interface RedisServer {
  readonly url: string
  /** Kills the process, and with it all that the server holds. */
  readonly kill: Effect.Effect<void>
  /** Starts the server again, empty, on the same port. */
  readonly restart: Effect.Effect<void>
}

/** Installs Debian's Redis if the machine has none. */
export const ensureRedis = (): void => {
  const isThere = () => spawnSync("redis-server", ["--version"]).status === 0
  if (isThere()) return
  // One process of the machine installs, the others wait. At run level 1 the package starts no service.
  const root = process.getuid?.() === 0 ? [] : ["sudo", "-n"]
  const [command = "", ...parameters] = [
    ...root,
    "flock",
    join(tmpdir(), "effect-entra-redis.lock"),
    "sh",
    "-c",
    "redis-server --version || { apt-get update -qq && RUNLEVEL=1 apt-get install -y -qq redis-server redis-sentinel; }"
  ]
  const { stderr } = spawnSync(command, parameters, { encoding: "utf8" })
  if (!isThere()) throw new Error(`redis-server could be neither found nor installed: ${stderr}`)
}

/** Starts a server that ends with the scope. */
export const startRedis: Effect.Effect<RedisServer, never, Scope.Scope> = Effect.gen(function*() {
  ensureRedis()
  const port = yield* Effect.promise(freePort)
  let server: ChildProcess | undefined
  const start = Effect.sync(() => {
    const parameters = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    // On Linux the kernel kills the server when this process is killed.
    const [command, ...before] = process.platform === "linux"
      ? ["setpriv", "--pdeathsig", "KILL", "redis-server"] as const
      : ["redis-server"] as const
    server = spawn(command, [...before, ...parameters], { cwd: tmpdir(), stdio: "ignore" })
  })
  const kill = Effect.promise(async () => {
    if (server === undefined || server.exitCode !== null || server.signalCode !== null) return
    const ended = once(server, "exit")
    server.kill("SIGKILL")
    await ended
  })
  const restart = Effect.andThen(
    start,
    Effect.orDie(Effect.retry(ping(port), { schedule: Schedule.spaced("50 millis"), times: 200 }))
  )
  yield* Effect.addFinalizer(() => kill)
  yield* restart
  return { url: `redis://127.0.0.1:${port}`, kill, restart }
})

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  server.close()
  return address !== null && typeof address === "object" ? address.port : 0
}

const ping = (port: number): Effect.Effect<void, string> =>
  Effect.callback((resume) => {
    const socket = connect(port, "127.0.0.1", () => socket.write("PING\r\n"))
    socket.once("data", () => {
      resume(Effect.void)
      socket.destroy()
    })
    socket.once("error", ({ message }) => resume(Effect.fail(message)))
    return Effect.sync(() => socket.destroy())
  })
