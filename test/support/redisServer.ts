/** A `redis-server` process that ends when the scope closes. For live tests only. */
import { Effect, type Scope } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { closeSync, openSync } from "node:fs"
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { ensureRedis } from "../../examples/support/redis.ts"
import { freePort } from "./ports.ts"
import { type RedisCommandError, type Reply, sendCommand } from "./redisCommand.ts"
import { until } from "./until.ts"

export interface RedisServer {
  readonly port: number
  /** With the password of the default user, if it has one. */
  readonly url: string
  /** The process id, which changes with `restart`. */
  readonly pid: Effect.Effect<number>
  /** Whether the process exists and is not stopped. */
  readonly isRunning: Effect.Effect<boolean>
  /** Sends a command as a user who may do everything. */
  readonly command: (...command: ReadonlyArray<string>) => Effect.Effect<Reply, RedisCommandError>
  /** Waits until the server answers. */
  readonly waitReady: Effect.Effect<void>
  /** Ends the process, and waits for its end. Default: SIGKILL. */
  readonly kill: (signal?: "SIGKILL" | "SIGTERM" | "SIGINT") => Effect.Effect<void>
  /** Starts the process again on the same port, with the same configuration, and waits until it answers. */
  readonly restart: Effect.Effect<void>
  /** Stops the process with SIGSTOP: the kernel still accepts connections, nothing answers. */
  readonly stop: Effect.Effect<void>
  /** Lets a stopped process go on, with SIGCONT. */
  readonly resume: Effect.Effect<void>
  readonly log: Effect.Effect<string>
}

export interface ServerOptions {
  /** Default: a server. A sentinel has no users, no database and no TLS here. */
  readonly kind?: "server" | "sentinel" | undefined
  /** The password of the default user. */
  readonly password?: string | undefined
  /** Rules of further users, such as `alice on >secret ~orders:* +@all`. */
  readonly aclUsers?: ReadonlyArray<string> | undefined
  /** TLS, and no plain port. PEM. */
  readonly tls?: { readonly certificate: string; readonly privateKey: string; readonly authority: string } | undefined
  /** Such as `3mb`, with the policy `noeviction`: writes beyond it fail with OOM. */
  readonly maxmemory?: string | undefined
  /** Further lines of the configuration file. */
  readonly config?: ReadonlyArray<string> | undefined
}

/** Starts a server, and waits until it answers. */
export const startServer = Effect.fnUntraced(
  function*(options: ServerOptions = {}): Effect.fn.Return<RedisServer, never, Scope.Scope> {
    ensureRedis()
    const folder = yield* Effect.acquireRelease(
      Effect.promise(() => mkdtemp(join(tmpdir(), "effect-entra-redis-"))),
      (folder) => Effect.promise(() => rm(folder, { recursive: true, force: true }))
    )
    const isSentinel = options.kind === "sentinel"
    const configFile = join(folder, "redis.conf")
    const logFile = join(folder, "redis.log")
    const log = Effect.promise(() => readFile(logFile, "utf8"))
    const credentials = isSentinel ? undefined : { user: "test-support", password: crypto.randomUUID() }

    let process: Process | undefined
    const current = Effect.suspend(() =>
      process === undefined ? Effect.die(new Error("the server was never started")) : Effect.succeed(process)
    )
    yield* Effect.addFinalizer(() => Effect.promise(async () => process?.end("SIGKILL")))

    const configure = (port: number) =>
      Effect.promise(async () => {
        const lines = [...(isSentinel ? sentinelLines(port, folder) : serverLines(port, folder, options))]
        if (credentials !== undefined) {
          lines.push(`user ${credentials.user} on >${credentials.password} ~* &* +@all`)
        }
        await writeFile(configFile, [...lines, ...(options.config ?? []), ""].join("\n"))
        if (options.tls !== undefined) {
          await writeFile(join(folder, "certificate.pem"), options.tls.certificate)
          await writeFile(join(folder, "key.pem"), options.tls.privateKey, { mode: 0o600 })
          await writeFile(join(folder, "authority.pem"), options.tls.authority)
        }
      })

    const commandOn = (port: number, command: ReadonlyArray<string>) =>
      sendCommand({ port, credentials, authority: options.tls?.authority }, command)

    /** Another server can have taken the port in the meantime, hence the process id. */
    const answered = (port: number, { pid }: Process) =>
      commandOn(port, ["INFO"]).pipe(
        Effect.map((info) => {
          const text = String(info)
          return text.includes(`\nprocess_id:${pid}\r`) && !text.includes("\nloading:1") ? true : undefined
        })
      )

    /** Starts the process. Returns false if it ended before it answered because its port was taken. */
    const launch = (port: number): Effect.Effect<boolean> =>
      Effect.gen(function*() {
        const started = spawnServer(folder, configFile, logFile, isSentinel)
        process = started
        return yield* until(
          "the server answers",
          Effect.suspend(() => started.hasEnded() ? Effect.succeed(false) : answered(port, started))
        )
      }).pipe(
        Effect.filterOrElse((isReady) => isReady, () =>
          Effect.flatMap(log, (text) =>
            /Address already in use|Failed listening/.test(text.slice(text.lastIndexOf("Redis is starting")))
              ? Effect.succeed(false)
              : Effect.die(new Error(`redis-server ended:\n${text}`))))
      )

    const startOnFreePort: Effect.Effect<number> = Effect.gen(function*() {
      const port = yield* freePort
      yield* configure(port)
      if (yield* launch(port)) return port
      yield* Effect.promise(() => rm(logFile))
      return yield* startOnFreePort
    })
    const port = yield* startOnFreePort

    const signal = (name: "SIGSTOP" | "SIGCONT") =>
      Effect.flatMap(current, (process) => {
        process.send(name)
        return until(
          `the process is ${name === "SIGSTOP" ? "stopped" : "running"}`,
          Effect.map(isStopped(process.pid), (stopped) => stopped === (name === "SIGSTOP") ? true : undefined)
        )
      })

    const password = options.password === undefined ? "" : `:${encodeURIComponent(options.password)}@`
    return {
      port,
      url: `${options.tls === undefined ? "redis" : "rediss"}://${password}127.0.0.1:${port}`,
      pid: Effect.map(current, ({ pid }) => pid),
      isRunning: Effect.flatMap(
        current,
        (process) =>
          process.hasEnded() ? Effect.succeed(false) : Effect.map(isStopped(process.pid), (stopped) => !stopped)
      ),
      command: (...command) => commandOn(port, command),
      waitReady: Effect.flatMap(
        current,
        (process) => Effect.asVoid(until("the server answers", answered(port, process)))
      ),
      kill: (name = "SIGKILL") =>
        Effect.flatMap(current, (process) => Effect.promise(() => process.end(name))).pipe(
          Effect.timeoutOrElse({
            duration: "10 seconds",
            orElse: () => Effect.die(new Error(`${name} did not end the server`))
          })
        ),
      restart: Effect.gen(function*() {
        const before = yield* current
        yield* Effect.promise(() => before.end("SIGKILL"))
        yield* until("the server starts again", Effect.map(launch(port), (isReady) => isReady ? true : undefined))
      }),
      stop: Effect.asVoid(signal("SIGSTOP")),
      resume: Effect.asVoid(signal("SIGCONT")),
      log
    }
  }
)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

interface Process {
  readonly pid: number
  readonly hasEnded: () => boolean
  readonly send: (signal: NodeJS.Signals) => void
  readonly end: (signal: NodeJS.Signals) => Promise<void>
}

/** The kernel kills the server when the process of the tests is killed, so that none is left behind. */
const spawnServer = (folder: string, configFile: string, logFile: string, isSentinel: boolean): Process => {
  const output = openSync(logFile, "a")
  const parameters = ["--pdeathsig", "KILL", "redis-server", configFile, ...(isSentinel ? ["--sentinel"] : [])]
  const child: ChildProcess = spawn("setpriv", parameters, { cwd: folder, stdio: ["ignore", output, output] })
  closeSync(output)
  const ended = new Promise<void>((resolve) => {
    child.once("exit", () => resolve())
    child.once("error", () => resolve())
  })
  if (child.pid === undefined) throw new Error("setpriv and redis-server could not be run")
  return {
    pid: child.pid,
    hasEnded: () => child.exitCode !== null || child.signalCode !== null,
    send: (signal) => child.kill(signal),
    end: (signal) => {
      child.kill(signal)
      return ended
    }
  }
}

/** Reads the state of a process from the kernel. A process that is gone is not stopped. */
const isStopped = (pid: number): Effect.Effect<boolean> =>
  Effect.promise(() =>
    readFile(`/proc/${pid}/stat`, "utf8").then(
      (stat) => stat.slice(stat.lastIndexOf(")") + 2).startsWith("T"),
      () => false
    )
  )

const commonLines = (port: number, folder: string, isTls: boolean): ReadonlyArray<string> => [
  ...(isTls ? ["port 0", `tls-port ${port}`] : [`port ${port}`]),
  "bind 127.0.0.1",
  "protected-mode no",
  "daemonize no",
  `dir ${JSON.stringify(folder)}`
]

const sentinelLines = (port: number, folder: string) => commonLines(port, folder, false)

const serverLines = (port: number, folder: string, options: ServerOptions): ReadonlyArray<string> => [
  ...commonLines(port, folder, options.tls !== undefined),
  `save ""`,
  "appendonly no",
  `dbfilename ${port}.rdb`,
  "shutdown-timeout 0",
  // Otherwise a replica waits for 5 seconds until its first synchronization.
  "repl-diskless-sync-delay 0",
  ...(options.tls === undefined ? [] : [
    "tls-cert-file certificate.pem",
    "tls-key-file key.pem",
    "tls-ca-cert-file authority.pem",
    "tls-auth-clients no"
  ]),
  ...(options.password === undefined ? [] : [`requirepass ${JSON.stringify(options.password)}`]),
  ...(options.maxmemory === undefined ? [] : [`maxmemory ${options.maxmemory}`, "maxmemory-policy noeviction"]),
  ...(options.aclUsers ?? []).map((rules) => `user ${rules}`)
]
