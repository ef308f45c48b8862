/** Connects to the Redis of a shared cache, and writes and reads a key of the store's prefix. */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { randomUUID } from "node:crypto"
import { type Server, serverOf } from "../../../internal/fleet/redisServer.ts"
import * as RedisStore from "../../../node/RedisStore.ts"
import { addressWords } from "./connection.ts"
import { fail, type Finding, ok, skipped } from "./finding.ts"
import { checksCertificates, unchecked } from "./tls.ts"

/** The milliseconds for all commands. */
const limit = 4000

/** Checks the server of `REDIS_URL`, the variable that docs/fleet.md uses for the shared cache. */
export const redisFinding: Effect.Effect<Finding> = Effect.gen(function*() {
  const url = yield* Config.option(Config.Redacted("REDIS_URL"))
  if (Option.isNone(url) || Redacted.value(url.value) === "") return skipped("redis", "REDIS_URL is not set")
  const server = yield* Effect.fromResult(serverOf("REDIS_URL", url.value))
  if (server.isTls && !(yield* checksCertificates)) return unchecked("redis", server.host, "the password")
  // It fails if the package `redis` is not installed.
  yield* Effect.scoped(RedisStore.make({ url: url.value }))
  return yield* roundTrip(server).pipe(
    Effect.timeoutOrElse({
      duration: limit,
      orElse: () => Effect.fail<Failure>({ _tag: "Connection", code: "TIMEOUT" })
    }),
    Effect.catch((failure) => Effect.succeed(problem(failure, server)))
  )
}).pipe(
  Effect.catchTags({
    ConfigError: () => Effect.succeed(fail("redis", "REDIS_URL cannot be read", "Check the environment.")),
    EntraInvalidRequestError: ({ code, message, remedy }) => Effect.succeed(fail("redis", message, remedy, { code }))
  })
)

/** Sends commands over a connection of its own, because the store hides the reasons of failures from its callers. */
const roundTrip = ({ database = 0, host, isTls, password, port, username }: Server): Effect.Effect<Finding, Failure> =>
  Effect.scoped(Effect.gen(function*() {
    const socket = { host, port, reconnectStrategy: false, connectTimeout: limit } as const
    const client = yield* Effect.acquireRelease(
      Effect.promise(async () => {
        const { createClient } = await import("redis")
        return createClient({
          database,
          socket: isTls ? { ...socket, tls: true } : socket,
          ...(username === undefined ? {} : { username }),
          ...(password === undefined ? {} : { password })
        }).on("error", () => {})
      }),
      (client) => Effect.sync(() => client.isOpen && client.destroy())
    )
    const isKept = yield* Effect.tryPromise({
      try: async () => {
        // Another doctor at the same time has another key.
        const key = `effect-entra:doctor:${randomUUID()}`
        await client.connect()
        await client.set(key, "1", { expiration: { type: "PX", value: 10_000 } })
        const value = await client.get(key)
        await client.del(key)
        return value === "1"
      },
      catch: (cause) => failureOf(cause, [username, password])
    })
    return isKept
      ? ok("redis", `Connected to ${addressWords({ hostname: host, port })}. A key was written, read and removed`)
      : problem({ _tag: "Reply", code: "NOT_STORED", text: "the value of a key that was just written is another" }, {
        isTls
      })
  }))

// -----------------------------------------------------------------------------
// failures
// -----------------------------------------------------------------------------

/** A connection that failed, or an error that the server replied. */
export type Failure =
  | { readonly _tag: "Connection"; readonly code: string; readonly names?: string }
  | { readonly _tag: "Reply"; readonly code: string; readonly text: string }

/** Returns the failure of an error of node-redis. A reply may repeat a command, so `secrets` are removed from its text. */
export const failureOf = (cause: unknown, secrets: ReadonlyArray<string | undefined>): Failure => {
  const error = Option.getOrUndefined(Schema.decodeUnknownOption(RedisError)(cause))
  if (error?.code !== undefined) {
    const names = error.cert?.subjectaltname
    return { _tag: "Connection", code: error.code, ...(names === undefined ? {} : { names }) }
  }
  const [, code, reply] = /^([A-Z]{3,20}) (.*)$/s.exec(error?.message ?? "") ?? []
  if (code !== undefined && reply !== undefined) {
    const text = secrets.reduce<string>(
      (text, secret) => secret === undefined ? text : text.replaceAll(secret, "..."),
      reply.replace(/,? with args.*$/is, "")
    )
    return { _tag: "Reply", code, text }
  }
  // These errors of node-redis have no code.
  return {
    _tag: "Connection",
    code: error?.message === "Connection timeout"
      ? "TIMEOUT"
      : error?.message.startsWith("Socket closed") === true
      ? "SOCKET_CLOSED"
      : "UNKNOWN"
  }
}

const RedisError = Schema.Struct({
  code: Schema.optionalKey(Schema.String),
  message: Schema.String,
  cert: Schema.optionalKey(Schema.Struct({ subjectaltname: Schema.optionalKey(Schema.String) }))
})

/** Returns the finding of a failure. */
export const problem = (failure: Failure, { isTls }: Pick<Server, "isTls">): Finding => {
  const { code } = failure
  // A node of a cluster names the owner of the key only after it has accepted the user.
  if (code === "MOVED") return ok("redis", "Connected to a node of a Redis Cluster")
  if (failure._tag === "Connection") {
    const names = failure.names === undefined ? "" : `. Its certificate is for ${failure.names}`
    return fail("redis", `The Redis of REDIS_URL does not work (${code})${names}`, connectionRemedy(code, isTls), {
      code
    })
  }
  const known = remedyIn(userRemedies, code)
  return known === undefined
    ? fail(
      "redis",
      `The Redis of REDIS_URL responded with an error: ${code} ${failure.text}`,
      remedyIn(replyRemedies, `${code} ${failure.text}`) ??
        "The server was reached, so fix the error there. Until then each process requests its own tokens.",
      { code }
    )
    : fail("redis", `The Redis of REDIS_URL does not work (${code})`, known, { code })
}

type Remedies = ReadonlyArray<readonly [RegExp, string]>

const remedyIn = (remedies: Remedies, text: string): string | undefined =>
  remedies.find(([pattern]) => pattern.test(text))?.[1]

/** The remedies of replies whose first word tells all. */
const userRemedies: Remedies = [
  [/^(?:WRONGPASS|NOAUTH)$/, "Set the user name and the password in REDIS_URL, percent-encoded."],
  [/^NOPERM$/, "Allow the user of REDIS_URL the keys effect-entra:*. See docs/fleet.md of effect-entra."],
  [/^READONLY$/, "Set REDIS_URL to the master. This server is a replica."]
]

/** The remedies of other replies. */
const replyRemedies: Remedies = [
  [
    /^ERR DB index/,
    "Set the path of REDIS_URL to the number of a database that the server has (databases in redis.conf). The first is 0."
  ],
  [/^ERR SELECT /, "Remove the number of the database from REDIS_URL. A Redis Cluster has one database only."],
  [/^ERR max number of clients/, "Close connections of other clients, or raise maxclients of the server."],
  [/^(?:NOPROTO|ERR unknown command)/i, "Use Redis 6 or later. A proxy in front of Redis may also refuse the command."],
  [/^DENIED /, "Set a password in the server's configuration and in REDIS_URL. The server is in protected mode."],
  [/^OOM /, "Raise maxmemory of the server, or set a maxmemory-policy that evicts keys."],
  [/^MISCONF /, "Read the log of the server. It cannot save its data to disk, so it refuses to write."],
  [/^(?:LOADING|BUSY|TRYAGAIN|MASTERDOWN|CLUSTERDOWN) /, "Wait until the server is ready, and try again."]
]

const connectionRemedy = (code: string, isTls: boolean): string => {
  const reach = "Check the host and the port in REDIS_URL, that Redis runs there, and the firewall."
  return remedyIn(isTls ? tlsRemedies : [], code) ??
    (/^(?:ENOTFOUND|EAI_\w+)$/.test(code)
      ? "Check the host name in REDIS_URL for typing errors."
      : isTls && code === "TIMEOUT"
      ? `If this port has no TLS, write redis:// instead of rediss:// in REDIS_URL. Otherwise: ${reach}`
      : !isTls && /^(?:ECONNRESET|EPIPE|SOCKET_CLOSED)$/.test(code)
      ? `If this port requires TLS, write rediss:// instead of redis:// in REDIS_URL. Otherwise: ${reach}`
      : /^(?:E[A-Z]+|TIMEOUT|SOCKET_CLOSED)$/.test(code)
      ? reach
      : "Check the server of REDIS_URL with redis-cli. Until it works, each process requests its own tokens.")
}

const tlsRemedies: Remedies = [
  [
    /CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE/,
    "If the server requires a certificate of its clients (tls-auth-clients), turn that off, because RedisStore has no "
    + "client certificate, or use TokenCache.layerRedis with a client that has one."
  ],
  [/^(?:ERR_SSL_|EPROTO$)/, "Write redis:// instead of rediss:// in REDIS_URL, unless this is not the port of Redis."],
  [/^CERT_HAS_EXPIRED$/, "Renew the certificate of Redis, which has expired. Check the clock of this machine first."],
  [/^CERT_NOT_YET_VALID$/, "Check the clock of this machine. The certificate of Redis is not valid yet."],
  [/ALTNAME/, "Set the host in REDIS_URL to a name in the certificate of Redis."],
  [
    /CERT|UNABLE_TO/,
    "Set NODE_EXTRA_CA_CERTS to the certificate (PEM) of the authority that issued the certificate of Redis."
  ]
]
