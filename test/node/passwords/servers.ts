/** A Redis and a PostgreSQL on free ports of this machine, for as long as the scope is open. */
import { Effect, Schedule } from "effect"
import { type ChildProcess, execFile, spawn, spawnSync } from "node:child_process"
import { chmodSync, chownSync, globSync, mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** Installs Debian's package unless `find` finds its program, so that no test is skipped for want of it. */
const ensure = (name: string, find: () => string | undefined): string => {
  const found = find()
  if (found !== undefined) return found
  spawnSync("sh", ["-c", `apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq ${name}`])
  const installed = find()
  if (installed === undefined) throw new Error(`these tests run ${name}, and it could be neither found nor installed`)
  return installed
}

/** Waits until `check` succeeds with true, for ten seconds at most. */
export const until = <E, R>(what: string, check: Effect.Effect<boolean, E, R>): Effect.Effect<void, E, R> =>
  check.pipe(
    Effect.repeat({ until: (is) => is, schedule: pause }),
    Effect.timeoutOrElse({ duration: "10 seconds", orElse: () => Effect.die(new Error(`${what}: not within 10 s`)) }),
    Effect.asVoid
  )

const pause = Schedule.spaced("20 millis")

const freePort = Effect.promise(() =>
  new Promise<number>((resolve, reject) => {
    const server = createServer()
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      server.close(() => {
        if (typeof address === "object" && address !== null) resolve(address.port)
        else reject(new Error("no port"))
      })
    })
  })
)

const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "effect-entra-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** Runs a server until the scope closes, and waits until it prints `ready`. */
const running = (start: () => ChildProcess, ready: RegExp) =>
  Effect.acquireRelease(
    Effect.callback<ChildProcess>((resume) => {
      const child = start()
      let printed = ""
      const read = (chunk: Buffer) => {
        printed += chunk.toString()
        if (ready.test(printed)) resume(Effect.succeed(child))
      }
      child.stdout?.on("data", read)
      child.stderr?.on("data", read)
      child.once("error", (error) => resume(Effect.die(error)))
      child.once("exit", (code) => resume(Effect.die(new Error(`the server ended with ${code}: ${printed}`))))
    }).pipe(
      Effect.timeoutOrElse({
        duration: "20 seconds",
        orElse: () => Effect.die(new Error("the server did not start within 20 s"))
      })
    ),
    (child) =>
      Effect.promise(() =>
        new Promise((resolve) => {
          child.removeAllListeners("exit")
          if (child.exitCode !== null) return resolve(undefined)
          child.once("exit", resolve)
          child.kill("SIGINT")
        })
      )
  )

/** A Redis. With `cluster` it is a node without slots. */
export const redisServer = (cluster = false) =>
  Effect.gen(function*() {
    const program = ensure("redis-server", () => globSync("/usr/bin/redis-server")[0])
    const directory = yield* folder
    const port = yield* freePort
    const options = { port, bind: "127.0.0.1", dir: directory, save: "", "cluster-enabled": cluster ? "yes" : "no" }
    const bus = cluster ? { "cluster-port": yield* freePort } : {}
    const parameters = Object.entries({ ...options, ...bus }).flatMap(([name, value]) => [`--${name}`, String(value)])
    yield* running(() => spawn(program, parameters), /Ready to accept connections/)
    return port
  })

/** A PostgreSQL that asks for passwords in clear text, as Azure does; `sql` runs statements as its superuser. */
export const postgresServer = Effect.gen(function*() {
  const programs = ensure("postgresql", () => globSync("/usr/lib/postgresql/*/bin").at(-1))
  const directory = yield* folder
  // PostgreSQL refuses to run as root.
  const isRoot = process.getuid?.() === 0
  if (isRoot) {
    chownSync(directory, Number(spawnSync("id", ["-u", "postgres"]).stdout), -1)
    chmodSync(directory, 0o700)
  }
  const command = (name: string, ...parameters: ReadonlyArray<string>): readonly [string, ReadonlyArray<string>] =>
    isRoot
      ? ["setpriv", ["--reuid=postgres", "--regid=postgres", "--clear-groups", join(programs, name), ...parameters]]
      : [join(programs, name), parameters]
  const run = (name: string, ...parameters: ReadonlyArray<string>) =>
    Effect.callback<string>((resume) => {
      const [file, all] = command(name, ...parameters)
      execFile(file, all, { cwd: directory }, (error, stdout, stderr) => {
        resume(error === null ? Effect.succeed(stdout) : Effect.die(new Error(stderr)))
      })
    })
  const data = join(directory, "data")
  yield* run("initdb", "-D", data, "-U", "postgres", "--auth-local=trust", "--auth-host=password", "--no-sync")
  const port = yield* freePort
  const [file, parameters] = command(
    "postgres",
    "-D",
    data,
    "-k",
    directory,
    "-p",
    String(port),
    "-c",
    "listen_addresses=127.0.0.1",
    "-c",
    "fsync=off"
  )
  yield* running(() => spawn(file, parameters, { cwd: directory }), /ready to accept connections/)
  return {
    port,
    sql: (statement: string) => run("psql", "-h", directory, "-p", String(port), "-U", "postgres", "-c", statement)
  }
})
