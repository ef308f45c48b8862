/**
 * Access tokens as passwords: Redis with Microsoft Entra sign-in through node-redis and ioredis, and PostgreSQL through
 * `@effect/sql-pg`.
 *
 * Azure Managed Redis and Azure Cache for Redis close a connection when its token expires, so open connections are
 * authenticated again (`AUTH`) with each newer token. Azure Database for PostgreSQL checks the token of a connection only
 * when the connection is opened.
 *
 * The types of the Redis clients are declared here by their members, so this module does not import their packages.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import { ConfidentialClient } from "../ConfidentialClient.ts"
import type { AcquireTokenError } from "../EntraError.ts"
import { closedError } from "../internal/shared/errors.ts"
import { logSafely } from "../internal/shared/safeLog.ts"
import type { TokenRequest } from "../TokenRequest.ts"
import { objectIdOf } from "./internal/passwords/objectId.ts"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * The scope of Azure Managed Redis and Azure Cache for Redis.
 *
 * **Details**
 *
 * Sources: <https://learn.microsoft.com/azure/redis/entra-for-authentication>, and for Azure China, with the same scope,
 * <https://docs.azure.cn/redis/entra-for-authentication>.
 *
 * @category models
 * @since 0.1.0
 */
export const redisScope = "https://redis.azure.com/.default"

/**
 * The scope of Azure Database for PostgreSQL in the public cloud.
 *
 * **Details**
 *
 * Source: <https://learn.microsoft.com/azure/service-connector/how-to-integrate-postgres>. In a national cloud the scope
 * is the value of `az cloud show --query endpoints.ossrdbmsResourceId` with `/.default` at the end.
 *
 * @category models
 * @since 0.1.0
 */
export const postgresScope = "https://ossrdbms-aad.database.windows.net/.default"

/**
 * A user name and a password, as Redis clients need them: the object id of the identity, and its token.
 *
 * @category models
 * @since 0.1.0
 */
export interface Credentials {
  readonly username: string
  readonly password: string
}

/**
 * The streaming `credentialsProvider` of node-redis.
 *
 * **Details**
 *
 * - `subscribe`: returns the current credentials, and calls `onNext` with those of each newer token until `dispose`.
 * - `onReAuthenticationError`: logs a warning. To handle the error, pass a copy of the provider with your own function.
 *
 * @category models
 * @since 0.1.0
 */
export interface NodeRedisCredentialsProvider {
  readonly type: "streaming-credentials-provider"
  readonly subscribe: (listener: {
    readonly onNext: (credentials: Credentials) => void
    readonly onError: (error: Error) => void
  }) => Promise<[Credentials, { dispose(): void }]>
  readonly onReAuthenticationError: (error: Error) => void
}

/**
 * The part of a `Redis` client of ioredis that this module uses.
 *
 * @category models
 * @since 0.1.0
 */
export interface IoredisConnection {
  readonly options: { username?: string | undefined; password?: string | undefined }
  readonly status: string
  auth(username: string, password: string): Promise<unknown>
  once(event: "ready", listener: () => void): unknown
}

/**
 * The part of a `Cluster` client of ioredis that this module uses.
 *
 * @category models
 * @since 0.1.0
 */
export interface IoredisCluster {
  nodes(): ReadonlyArray<IoredisConnection>
  on(event: "+node", listener: (node: IoredisConnection) => void): unknown
  off(event: "+node", listener: (node: IoredisConnection) => void): unknown
}

// -----------------------------------------------------------------------------
// constructors
// -----------------------------------------------------------------------------

/**
 * Creates the `credentialsProvider` of a node-redis client, cluster, sentinel or pool. Its tokens come from the
 * `ConfidentialClient` of the context.
 *
 * **Details**
 *
 * - The user name is the claim `oid` of the token. A token without this claim is an `InvalidResponseError`
 *   `response_without_oid`.
 * - Each connection is authenticated with the current token when it is opened, and again with each newer token.
 * - If no token can be acquired, `connect` rejects with the errors of `ConfidentialClient.acquireToken`.
 * - If the last token expires without a replacement, a token is requested again every 30 seconds.
 * - The provider works until the scope closes.
 *
 * **Gotchas**
 *
 * - Azure accepts tokens over TLS only.
 * - With RESP 2 node-redis does not authenticate a connection with subscriptions again; use its default, RESP 3.
 * - node-redis 6.3 subscribes once more whenever it reconnects, and disposes only the last subscription. Such a connection is
 *   authenticated several times with each newer token, which does no harm. Closing the scope ends all subscriptions.
 *
 * **Example** (Azure Managed Redis with node-redis)
 *
 * ```ts no-run
 * import { Effect } from "effect"
 * import { TokenPassword } from "effect-entra/node"
 * import { createClient } from "redis"
 *
 * export const redis = Effect.gen(function*() {
 *   const credentialsProvider = yield* TokenPassword.nodeRedis({ scopes: TokenPassword.redisScope })
 *   return yield* Effect.acquireRelease(
 *     Effect.promise(() => createClient({ url: "rediss://orders.redis.azure.net:10000", credentialsProvider }).connect()),
 *     (redis) => Effect.promise(() => redis.close())
 *   )
 * })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const nodeRedis = (
  request: TokenRequest
): Effect.Effect<NodeRedisCredentialsProvider, never, ConfidentialClient | Scope.Scope> =>
  Effect.gen(function*() {
    const credentials = yield* credentialsOf(request)
    const context = yield* detached
    const run = Effect.runForkWith(context)
    const parent = yield* Effect.scope
    return {
      type: "streaming-credentials-provider",
      subscribe: (listener) =>
        Effect.runPromiseWith(context)(Effect.gen(function*() {
          if (parent.state._tag === "Closed") return yield* Effect.fail(closedError("The scope of nodeRedis"))
          const scope = yield* Scope.fork(parent)
          const first = yield* follow(
            credentials,
            (newer) => Effect.sync(() => listener.onNext(newer)),
            (error) => Effect.sync(() => listener.onError(error))
          ).pipe(
            Scope.provide(scope),
            // A Redis client subscribes again for each try to connect.
            Effect.onError(() => Scope.close(scope, Exit.void))
          )
          return [first, { dispose: () => void run(Scope.close(scope, Exit.void)) }]
        })),
      onReAuthenticationError: (error) => void run(notAuthenticated(error))
    }
  })

// -----------------------------------------------------------------------------
// combinators
// -----------------------------------------------------------------------------

/**
 * Authenticates an ioredis client (a single server, Sentinel or Cluster) with the tokens of the `ConfidentialClient` of
 * the context, until the scope closes.
 *
 * **Details**
 *
 * - The effect completes when the first token is set. Create the ioredis client with `lazyConnect: true`, and connect
 *   it after that.
 * - The user name is the claim `oid` of the token. A token without this claim is an `InvalidResponseError`
 *   `response_without_oid`.
 * - New connections use the current token. Open connections are authenticated again with each newer token. If that
 *   fails, the connection stays open, and a warning is logged.
 * - If the last token expires without a replacement, a token is requested again every 30 seconds.
 *
 * **Gotchas**
 *
 * - Azure accepts tokens over TLS only.
 * - A client that `duplicate` returns has the current token. For newer tokens, call this function with that client too.
 * - The connections that a cluster opens for subscriptions are not authenticated again. When the server closes them, ioredis
 *   opens new ones with the current token. The same holds for all connections with subscriptions over RESP 2.
 * - `sentinelUsername` and `sentinelPassword` are not changed.
 * - A transaction that is sent command by command, `multi({ pipeline: false })`, may contain an `AUTH`; `exec` then returns
 *   its reply too.
 *
 * **Example** (Azure Managed Redis with ioredis)
 *
 * ```ts no-run
 * import { Effect } from "effect"
 * import { TokenPassword } from "effect-entra/node"
 * import { Redis } from "ioredis"
 *
 * export const redis = Effect.gen(function*() {
 *   const redis = yield* Effect.acquireRelease(
 *     Effect.sync(() => new Redis({ host: "orders.redis.azure.net", port: 10000, tls: {}, lazyConnect: true })),
 *     (redis) => Effect.sync(() => redis.disconnect())
 *   )
 *   yield* TokenPassword.ioredis(redis, { scopes: TokenPassword.redisScope })
 *   yield* Effect.promise(() => redis.connect())
 *   return redis
 * })
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const ioredis = (
  client: IoredisConnection | IoredisCluster,
  request: TokenRequest
): Effect.Effect<void, AcquireTokenError, ConfidentialClient | Scope.Scope> =>
  Effect.gen(function*() {
    const credentials = yield* credentialsOf(request)
    const run = Effect.runForkWith(yield* detached)

    let current: Credentials | undefined

    const authenticate = async (node: IoredisConnection): Promise<void> => {
      if (current === undefined) return
      try {
        await node.auth(current.username, current.password)
      } catch (error) {
        run(notAuthenticated(error))
      }
    }

    const renew = (node: IoredisConnection): void => {
      node.options.username = current?.username
      node.options.password = current?.password
      if (node.status === "ready") void authenticate(node)
      // The handshake may have begun with the previous token.
      else if (node.status === "connecting" || node.status === "connect") {
        node.once("ready", () => void authenticate(node))
      }
    }

    const nodes = "nodes" in client ? () => client.nodes() : () => [client]
    const renewed = (credentials: Credentials) =>
      Effect.sync(() => {
        current = credentials
        for (const node of nodes()) renew(node)
      })
    yield* Effect.flatMap(follow(credentials, renewed, () => Effect.void), renewed)
    if ("nodes" in client) {
      // A cluster copies its options when it is created, so each new node gets the credentials before it connects.
      yield* Effect.acquireRelease(
        Effect.sync(() => client.on("+node", renew)),
        () => Effect.sync(() => client.off("+node", renew))
      )
    }
  })

/**
 * Returns the `password` of an `@effect/sql-pg` client: an effect that returns the current token for each new connection.
 *
 * **Details**
 *
 * - `username` of the client is the name of the role in the database, as it was created for the identity.
 * - An open connection keeps working after its token has expired.
 * - If no token can be acquired, the effect dies with the error of `ConfidentialClient.acquireToken`, because
 *   `PgClient` accepts only a `password` that cannot fail.
 *
 * **Gotchas**
 *
 * The server asks for the token in clear text, so use TLS (`ssl: true`).
 *
 * **Example** (Azure Database for PostgreSQL)
 *
 * ```ts no-run
 * import { PgClient } from "@effect/sql-pg"
 * import { Effect, Layer } from "effect"
 * import { TokenPassword } from "effect-entra/node"
 *
 * export const PgLive = Layer.unwrap(
 *   Effect.map(TokenPassword.postgres({ scopes: TokenPassword.postgresScope }), (password) =>
 *     PgClient.layer({
 *       host: "orders.postgres.database.azure.com",
 *       database: "orders",
 *       username: "orders-daemon",
 *       password,
 *       ssl: true
 *     }))
 * )
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const postgres = (
  request: TokenRequest
): Effect.Effect<Effect.Effect<Redacted.Redacted<string>>, never, ConfidentialClient> =>
  ConfidentialClient.useSync((client) =>
    Effect.orDie(Effect.map(client.acquireToken(request), ({ accessToken }) => accessToken))
  )

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** Returns the credentials for each token of a request. */
const credentialsOf = (
  request: TokenRequest
): Effect.Effect<Stream.Stream<Credentials, AcquireTokenError>, never, ConfidentialClient> =>
  ConfidentialClient.useSync((client) =>
    Stream.mapEffect(
      client.tokens(request),
      ({ accessToken }) =>
        Effect.map(Effect.fromResult(objectIdOf(accessToken)), (username) => ({
          username,
          password: Redacted.value(accessToken)
        }))
    )
  )

/** The context for callbacks of a Redis client, without the span of the caller, which ends before they run. */
const detached = /*#__PURE__*/ Effect.map(/*#__PURE__*/ Effect.context<never>(), Context.omit(Tracer.ParentSpan))

const retry = /*#__PURE__*/ Schedule.spaced("30 seconds")

/**
 * Returns the first credentials, and runs `newer` for all others until the scope closes. If the stream fails after the
 * first credentials, `lost` is called with the error, and the stream runs again.
 */
const follow = (
  credentials: Stream.Stream<Credentials, AcquireTokenError>,
  newer: (credentials: Credentials) => Effect.Effect<void>,
  lost: (error: AcquireTokenError) => Effect.Effect<void>
): Effect.Effect<Credentials, AcquireTokenError, Scope.Scope> =>
  Effect.gen(function*() {
    const first = yield* Deferred.make<Credentials, AcquireTokenError>()
    let isStarted = false
    yield* credentials.pipe(
      Stream.runForEach((credentials) => {
        if (isStarted) return guarded(newer(credentials))
        isStarted = true
        return Deferred.succeed(first, credentials)
      }),
      Effect.tapError((error) => isStarted ? guarded(lost(error)) : Effect.void),
      Effect.retry({ schedule: retry, while: () => isStarted }),
      Effect.onExit((exit) =>
        Exit.isSuccess(exit)
          // The stream ends without a token if the client closes while the service throttles.
          ? Deferred.fail(first, closedError("The client"))
          : Cause.hasInterruptsOnly(exit.cause)
          ? Deferred.fail(first, closedError("The scope of TokenPassword"))
          : Deferred.failCause(first, exit.cause)
      ),
      Effect.forkScoped({ startImmediately: true })
    )
    return yield* Deferred.await(first)
  })

/** A callback of a client that throws must not keep later tokens from it. */
const guarded = (callback: Effect.Effect<void>): Effect.Effect<void> => Effect.catchDefect(callback, notAuthenticated)

/**
 * Logs that a connection was not authenticated. Only the code of the server's reply is logged, because a reply may repeat the
 * arguments of a command.
 */
const notAuthenticated = (error: unknown): Effect.Effect<void> =>
  logSafely(
    Effect.logWarning(`a Redis connection was not authenticated with the new token (${replyCodeOf(error)})`)
  )

const replyCodeOf = (error: unknown): string =>
  (error instanceof Error ? /(?:^|: )([A-Z]{3,}) /.exec(error.message)?.[1] : undefined) ?? "no reply"
