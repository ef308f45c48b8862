/** Connects to the Redis of a shared cache, and writes and reads a key of the store's prefix. */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { randomUUID } from "node:crypto"
import * as RedisStore from "../../../node/RedisStore.ts"
import { fail, type Finding, ok, skipped } from "./finding.ts"
import { checksCertificates, unchecked } from "./tls.ts"

/** The milliseconds for all commands. */
const limit = 4000

/** Checks the server of `REDIS_URL`, the variable that docs/fleet.md uses for the shared cache. */
export const redisFinding: Effect.Effect<Finding> = Effect.gen(function*() {
  const url = yield* Config.option(Config.Redacted("REDIS_URL"))
  if (Option.isNone(url) || Redacted.value(url.value) === "") return skipped("redis", "REDIS_URL is not set")
  // The store validates the URL when it is created, before it has a connection.
  yield* Effect.scoped(RedisStore.make({ url: url.value }))
  const { hostname, protocol } = new URL(Redacted.value(url.value))
  if (protocol === "rediss:" && !(yield* checksCertificates)) return unchecked("redis", hostname, "the password")
  return yield* roundTrip(Redacted.value(url.value))
}).pipe(
  Effect.catchTags({
    ConfigError: () => Effect.succeed(fail("redis", "REDIS_URL cannot be read", "Check the environment.")),
    EntraInvalidRequestError: (error) =>
      Effect.succeed(fail("redis", named(error.message), named(error.remedy), { code: error.code }))
  }),
  Effect.timeoutOrElse({ duration: limit, orElse: () => Effect.succeed(problem("TIMEOUT")) })
)

/** Returns a text of the store with the name of the variable instead of its option. */
const named = (text: string): string => text.replaceAll(/\burl\b/g, "REDIS_URL")

/** Sends commands over a connection of its own, because the store hides the reasons of failures from its callers. */
const roundTrip = (url: string): Effect.Effect<Finding> =>
  Effect.scoped(Effect.gen(function*() {
    const client = yield* Effect.acquireRelease(
      Effect.promise(async () => {
        const { createClient } = await import("redis")
        return createClient({ url, socket: { reconnectStrategy: false, connectTimeout: limit } }).on("error", () => {})
      }),
      (client) => Effect.sync(() => client.isOpen && client.destroy())
    )
    return yield* Effect.tryPromise({
      try: async () => {
        // Another doctor at the same time has another key.
        const key = `effect-entra:doctor:${randomUUID()}`
        await client.connect()
        await client.set(key, "1", { expiration: { type: "PX", value: 10_000 } })
        const value = await client.get(key)
        await client.del(key)
        return value === "1"
          ? ok("redis", `Connected to ${new URL(url).host}. A key was written, read and removed`)
          : problem("NOT_STORED")
      },
      catch: reasonOf
    }).pipe(Effect.catch((reason) => Effect.succeed(problem(reason))))
  }))

/** Returns the code of an error of the connection, or the first word of the server's reply. */
const reasonOf = (cause: unknown): string =>
  Option.match(Schema.decodeUnknownOption(Failure)(cause), {
    onNone: () => "UNKNOWN",
    onSome: ({ code, message }) => code ?? /^[A-Z]{3,20}(?= )/.exec(message)?.[0] ?? "UNKNOWN"
  })

const Failure = Schema.Struct({ code: Schema.optionalKey(Schema.String), message: Schema.String })

const problem = (reason: string): Finding =>
  // A node of a cluster names the owner of the key only after it has accepted the user.
  reason === "MOVED" ? ok("redis", "Connected to a node of a Redis Cluster") : fail(
    "redis",
    `The Redis of REDIS_URL does not work (${reason})`,
    remedies.find(([pattern]) => pattern.test(reason))?.[1] ??
      "Check the server of REDIS_URL with redis-cli. Until it works, each process requests its own tokens.",
    { code: reason }
  )

const remedies: ReadonlyArray<readonly [RegExp, string]> = [
  [/^(?:WRONGPASS|NOAUTH)$/, "Set the user name and the password in REDIS_URL, percent-encoded."],
  [/^NOPERM$/, "Allow the user of REDIS_URL the keys effect-entra:*. See docs/fleet.md of effect-entra."],
  [/^READONLY$/, "Set REDIS_URL to the master. This server is a replica."],
  [/^(?:ENOTFOUND|EAI_\w+)$/, "Check the host name in REDIS_URL for typing errors."],
  [
    /CERT|UNABLE_TO|ALTNAME/,
    "Set NODE_EXTRA_CA_CERTS to the certificate (PEM) of the authority that issued the certificate of Redis."
  ],
  [/^(?:E[A-Z]+|TIMEOUT)$/, "Check the host and the port in REDIS_URL, that Redis runs there, and the firewall."]
]
