/**
 * A store in Redis for a token cache that processes share, with its own client for a single server, Redis Cluster or
 * Sentinel.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type { SecureContext } from "node:tls"
import type * as Redis from "redis"
import type { InvalidRequestError } from "../EntraError.ts"
import { type Server, serverOf } from "../internal/fleet/redisServer.ts"
import { make as storeOver, prefixOption } from "../internal/fleet/redisStore.ts"
import { invalidRequest, notA } from "../internal/shared/errors.ts"
import { randomId } from "../internal/shared/randomId.ts"
import { isRedactedText, isText } from "../internal/shared/validate.ts"
import { TokenStore } from "../TokenStore.ts"
import { secureContextOf } from "./internal/certificates/secureContext.ts"
import { loadFailure } from "./internal/packages.ts"
import * as RedisCluster from "./internal/redisCluster.ts"
import * as RedisConnection from "./internal/redisConnection.ts"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * The options of {@link make}.
 *
 * **Details**
 *
 * Exactly one of these options is required:
 * - `url`: a server, `redis://host:port`, or `rediss://host:port` for TLS. Redact a URL that contains a password. Its path
 *   may be the number of a database.
 * - `cluster`: the URLs of some nodes of a Redis Cluster.
 * - `sentinel`: the `name` of the group of servers, and the URLs of some sentinels.
 *
 * The others are optional:
 * - `username`, `password`: those of the ACL user; default: those of the URL.
 * - `credentialsProvider`: the option of node-redis, in place of a user name and a password, for example for Microsoft
 *   Entra sign-in.
 * - `certificateAuthorities`: certificates (PEM) that are trusted in addition to those of Node.
 * - `tls`: whether connections to the nodes of a cluster, or to the servers behind sentinels, use TLS; default: whether
 *   the first URL is `rediss://`.
 * - `prefix`: the beginning of all keys; default: `"effect-entra:"`. It may have a hash tag in braces, and no other `{`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly url?: string | Redacted.Redacted<string> | undefined
  readonly cluster?: ReadonlyArray<string> | undefined
  readonly sentinel?: { readonly name: string; readonly urls: ReadonlyArray<string> } | undefined
  readonly username?: string | undefined
  readonly password?: Redacted.Redacted<string> | undefined
  readonly credentialsProvider?: Redis.RedisClientOptions["credentialsProvider"] | undefined
  readonly certificateAuthorities?: string | ReadonlyArray<string> | undefined
  readonly tls?: boolean | undefined
  readonly prefix?: string | undefined
}

// -----------------------------------------------------------------------------
// constructors
// -----------------------------------------------------------------------------

/**
 * Creates a store with its own Redis client (node-redis). The client closes with the scope.
 *
 * **When to use**
 *
 * With `TokenCache.layerTiered`. `TokenCache.layerRedis` uses a client that the program already has.
 *
 * **Details**
 *
 * - The effect does not wait for a connection, so a program can start while Redis is down.
 * - The client reconnects without a limit. A connection is replaced when a command has been unanswered for 400
 *   milliseconds.
 * - The package `redis` is an optional peer dependency, and is loaded when the store is created.
 *
 * The effect fails with an `InvalidRequestError`: `field_malformed` when an option is invalid, and
 * `transport_unsupported` when the package `redis` cannot be loaded.
 *
 * **Example** (A cache in Redis)
 *
 * ```ts
 * import { Redacted } from "effect"
 * import { TokenCache } from "effect-entra"
 * import { RedisStore } from "effect-entra/node"
 *
 * export const Cache = TokenCache.layerTiered({
 *   store: RedisStore.make({ url: "rediss://cache.contoso.com:6380", username: "orders", password: Redacted.make("a password") }),
 *   keys: [Redacted.make("nGpDsqO8uYy0XoHq0V6lY5rj1W0Yt5qkO3m1bS9e2fM=")]
 * })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options): Effect.Effect<TokenStore["Service"], InvalidRequestError, Scope.Scope> =>
  Effect.gen(function*() {
    const openWith = yield* Effect.fromResult(placeOf(options))
    const prefix = yield* Effect.fromResult(prefixOption(options.prefix))
    const open = openWith(yield* installed)
    const newId = yield* randomId
    const { nodeOf, send, sendBoth } = yield* open
    return storeOver(send, { newId, prefix, nodeOf, sendBoth, base64 })
  })

/**
 * Provides the store of {@link make} as `TokenStore`.
 *
 * **Example** (A store for several caches)
 *
 * ```ts
 * import { Layer, Redacted } from "effect"
 * import { TokenCache, TokenStore } from "effect-entra"
 * import { RedisStore } from "effect-entra/node"
 *
 * export const Cache = TokenCache.layerTiered({
 *   store: TokenStore.TokenStore,
 *   keys: [Redacted.make("nGpDsqO8uYy0XoHq0V6lY5rj1W0Yt5qkO3m1bS9e2fM=")]
 * }).pipe(Layer.provide(RedisStore.layer({ url: "redis://localhost:6379" })))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<TokenStore, InvalidRequestError> =>
  Layer.effect(TokenStore, make(options))

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/**
 * The base64 of Node, which is faster than one in JavaScript. It does not check the text: decryption fails for invalid
 * base64.
 */
const base64 = {
  encode: (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64"),
  decode: (text: string): Uint8Array => Buffer.from(text, "base64")
}

interface Place extends RedisConnection.RedisConnection {
  readonly nodeOf?: ((key: string) => string) | undefined
}

type Open = (redis: Package) => Effect.Effect<Place, never, Scope.Scope>

type Package = Pick<typeof Redis, "createClient">

/** Returns a function from the package `redis` to the effect that opens the connections. */
const placeOf = (options: Options): Result.Result<Open, InvalidRequestError> =>
  Result.gen(function*() {
    const { cluster, sentinel, url } = options
    if ([url, cluster, sentinel].filter(Predicate.isNotUndefined).length !== 1) {
      return yield* Result.fail(notA("given alone: one of url, cluster and sentinel", "url"))
    }
    if (options.password !== undefined && !isRedactedText(options.password)) {
      return yield* Result.fail(notA("a redacted text", "password"))
    }
    if (options.username !== undefined && !isText(options.username)) {
      return yield* Result.fail(notA("a text", "username"))
    }
    const secureContext = yield* secureContextOf(options.certificateAuthorities)
    if (url !== undefined) {
      const server = yield* serverOf("url", url)
      if (server.isTls && options.tls === false) {
        return yield* Result.fail(notA("left out with a rediss:// URL, or true", "tls"))
      }
      const node = nodeOptions(options, server, secureContext)
      return (redis) => RedisConnection.open(() => standalone(redis, node, server))
    }
    const [field, urls] = cluster === undefined
      ? ["sentinel.urls", sentinel?.urls ?? []] as const
      : ["cluster", cluster] as const
    const servers: Array<Server> = []
    for (const [at, url] of (Array.isArray(urls) ? urls : []).entries()) {
      const server = yield* serverOf(`${field}[${at}]`, url)
      // A cluster has only the first database.
      if (cluster !== undefined && (server.database ?? 0) !== 0) {
        return yield* Result.fail(notA("a URL without a database", `${field}[${at}]`))
      }
      servers.push(server)
    }
    const [first] = servers
    if (first === undefined) return yield* Result.fail(notA("a list of URLs", field))
    if (sentinel !== undefined && (!isText(sentinel.name) || sentinel.name === "")) {
      return yield* Result.fail(notA("the name of a group of servers", "sentinel.name"))
    }
    const node = nodeOptions(options, first, secureContext)
    const addresses = servers.map(({ host, port }) => ({ host, port }))
    if (sentinel === undefined) {
      return (redis) =>
        RedisCluster.open((address) => RedisConnection.open(() => standalone(redis, node, address)), addresses)
    }
    const ofSentinels = { socket: socketOptions(first.isTls, secureContext) }
    return (redis) => RedisConnection.open(() => behindSentinels(redis, node, ofSentinels, addresses, sentinel.name))
  })

/**
 * Returns the options of a client. It does not reconnect by itself, because `RedisConnection` replaces clients that do
 * not answer.
 */
const nodeOptions = (options: Options, server: Server, secureContext: SecureContext | undefined) => {
  const { credentialsProvider, tls = server.isTls } = options
  const username = options.username ?? server.username
  const password = options.password === undefined ? server.password : Redacted.value(options.password)
  return {
    socket: socketOptions(tls, secureContext),
    ...(credentialsProvider !== undefined ? { credentialsProvider } : {
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password })
    }),
    ...(server.database === undefined ? {} : { database: server.database })
  } satisfies Redis.RedisClientOptions
}

const socketOptions = (isTls: boolean, secureContext: SecureContext | undefined) =>
  isTls
    ? {
      tls: true as const,
      reconnectStrategy: false as const,
      ...(secureContext === undefined ? {} : { secureContext })
    }
    : { reconnectStrategy: false as const }

type NodeOptions = ReturnType<typeof nodeOptions>

/** No timers of the client, because `RedisConnection` watches all commands. */
const commandOptions = { timeout: 0 }

/** Loads the package, or fails when the program does not have it. */
const installed = Effect.tryPromise({
  try: async () => {
    // esbuild bundles without a missing package only if the `import` is awaited inside `try`.
    try {
      return await import("redis")
    } catch (cause) {
      throw loadFailure(cause)
    }
  },
  catch: (reason) =>
    invalidRequest(
      "transport_unsupported",
      "RedisStore",
      `RedisStore does not work here: redis cannot be loaded: ${String(reason)}`,
      "Install the package: npm i redis. TokenCache.layerRedis takes another client."
    )
})

const standalone = (
  { createClient }: Package,
  node: Pick<NodeOptions, "socket">,
  { host, port }: RedisCluster.Address
): RedisConnection.RedisClient => {
  const client = createClient({ ...node, socket: { ...node.socket, host, port }, commandOptions })
  return {
    connect: () => client.connect(),
    send: (command) => client.sendCommand(command),
    destroy: () => ignoringErrors(() => client.destroy()),
    onFailure: (listener) => {
      client.on("error", listener)
      client.on("end", listener)
    }
  }
}

/** Creates a client of the master. Each new connection asks the sentinels for its address. */
const behindSentinels = (
  redis: Package,
  node: NodeOptions,
  ofSentinels: Pick<NodeOptions, "socket">,
  sentinels: ReadonlyArray<RedisCluster.Address>,
  name: string
): RedisConnection.RedisClient => {
  const opened = new Set<RedisConnection.RedisClient>()
  let onFailure = (): void => {}
  let master: RedisConnection.RedisClient | undefined

  const open = async (options: Pick<NodeOptions, "socket">, address: RedisCluster.Address, listener: () => void) => {
    const client = standalone(redis, options, address)
    opened.add(client)
    client.onFailure(listener)
    await client.connect()
    return client
  }
  const close = (client: RedisConnection.RedisClient): void => {
    opened.delete(client)
    client.destroy()
  }
  const masterOf = async (sentinel: RedisCluster.Address): Promise<RedisCluster.Address> => {
    const client = await open(ofSentinels, sentinel, () => {})
    const reply = await client.send(["SENTINEL", "GET-MASTER-ADDR-BY-NAME", name])
    const [host, port] = Array.isArray(reply) ? reply : []
    if (!Predicate.isString(host)) throw new Error("the sentinel knows no such master")
    return { host, port: Number(port) }
  }

  return {
    connect: async () => {
      const address = await Promise.any(sentinels.map(masterOf)).catch((cause: unknown) => {
        throw cause instanceof AggregateError ? cause.errors[0] : cause
      })
      for (const client of opened) close(client)
      const client = await open(node, address, () => onFailure())
      // Sentinels return a former master for a while. If the user may not call `ROLE`, their answer is trusted.
      const role = await client.send(["ROLE"]).catch(() => undefined)
      if (Array.isArray(role) && role[0] === "slave") throw new Error("the server is not a master")
      master = client
    },
    send: (command) => master === undefined ? Promise.reject(new Error("not connected")) : master.send(command),
    destroy: () => {
      for (const client of opened) close(client)
    },
    onFailure: (listener) => {
      onFailure = listener
    }
  }
}

/** Ignores errors, because `destroy` throws or rejects when the client is already closed. */
const ignoringErrors = (action: () => unknown): void => {
  try {
    Promise.resolve(action()).catch(() => {})
  } catch {
    // The client is closed.
  }
}
