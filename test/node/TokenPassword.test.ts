/** Tokens as passwords against a real Redis and a real PostgreSQL, whose password this test changes to each new token. */
import { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, Fiber, Layer, Redacted, Scope, Stream } from "effect"
import { AuthorityResolver, ClientCredential, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
import { RedisStore, TokenPassword } from "effect-entra/node"
import { EntraSimulator } from "effect-entra/testing"
import { TestClock } from "effect/testing"
import { Cluster, Redis } from "ioredis"
import { inspect } from "node:util"
import { createClient } from "redis"
import { record, silent } from "../support/log.ts"
import { contoso } from "../support/world.ts"
import { postgresServer, redisServer, until } from "./passwords/servers.ts"

type Result = Stream.Success<ReturnType<typeof ConfidentialClient.tokens>>

const request = { scopes: TokenPassword.redisScope }
const postgresRequest = { scopes: TokenPassword.postgresScope }

/**
 * A client over the simulator that tells `issued` each token before anybody else gets it, as a server of Azure knows a token
 * by its signature.
 */
const World = (
  issued: (token: string) => Effect.Effect<unknown>,
  options: { readonly refreshIn?: "1 second" } = {}
) =>
  Layer.effect(
    ConfidentialClient.ConfidentialClient,
    Effect.map(ConfidentialClient.ConfidentialClient, (client) => {
      const tell = ({ accessToken }: Result) => issued(Redacted.value(accessToken))
      return ConfidentialClient.ConfidentialClient.of({
        acquireToken: (request) => Effect.tap(client.acquireToken(request), tell),
        tokens: (request) => Stream.tap(client.tokens(request), tell),
        peek: client.peek,
        invalidate: client.invalidate,
        keepFresh: client.keepFresh,
        prefetch: client.prefetch,
        stats: client.stats,
        events: client.events
      })
    })
  ).pipe(
    Layer.provide(ConfidentialClient.layer({ clientId: EntraSimulator.daemonClientId, tenantId: contoso })),
    Layer.provide([
      ClientCredential.layerSecret(EntraSimulator.daemonSecret),
      AuthorityResolver.layer,
      TokenEndpoint.layer,
      TokenCache.layerMemory()
    ]),
    Layer.provideMerge(EntraSimulator.layerMemory({
      signer: EntraSimulator.signerFake,
      tokenLifetime: "1 hour",
      refreshIn: options.refreshIn,
      resources: [{
        appId: "123cd850-d9df-40bd-94d5-c9f07b7fa203",
        identifierUris: ["https://ossrdbms-aad.database.windows.net"]
      }]
    }))
  )

/** A client that waits while the service throttles. */
const waiting = ConfidentialClient.layerDefault({
  clientId: EntraSimulator.daemonClientId,
  tenantId: contoso,
  onThrottled: "wait"
}).pipe(Layer.provide(ClientCredential.layerSecret(EntraSimulator.daemonSecret)))

const subscribed = (subscribe: TokenPassword.NodeRedisCredentialsProvider["subscribe"]) =>
  Effect.tryPromise({
    try: () => subscribe({ onNext: () => {}, onError: () => {} }),
    catch: (error) => error
  })

const oidOf = (token: string): string => {
  const claims: unknown = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString())
  return typeof claims === "object" && claims !== null && "oid" in claims ? String(claims.oid) : ""
}

/** A Redis whose only password of the identity is the newest token. */
const redis = Effect.gen(function*() {
  const port = yield* redisServer()
  const admin = yield* adminOf(port)
  const issued: Array<string> = []
  return {
    port,
    admin,
    issued,
    World: (options?: Parameters<typeof World>[1]) =>
      World((token) => {
        if (issued.at(-1) !== token) issued.push(token)
        return allow(admin, token)
      }, options)
  }
})

/** The only connection that needs no token. */
const adminOf = (port: number) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const admin = new Redis({ port, host: "127.0.0.1" })
      await admin.acl("SETUSER", "default", "resetpass", ">the password of the administrator")
      return admin
    }),
    (admin) => Effect.sync(() => admin.disconnect())
  )

const allow = (admin: Redis, token: string) =>
  Effect.promise(() => admin.acl("SETUSER", oidOf(token), "reset", "on", `>${token}`, "~*", "&*", "+@all"))

/** How often a command ran, and how often it failed. */
const statsOf = (admin: Redis, command: string) =>
  Effect.map(Effect.promise(() => admin.info("commandstats")), (info) => {
    const line = new RegExp(`cmdstat_${command}:(.*)`).exec(info)?.[1] ?? ""
    const of = (name: string) => Number(new RegExp(`\\b${name}=(\\d+)`).exec(line)?.[1] ?? 0)
    return { calls: of("calls"), failed: of("failed_calls") }
  })

const authenticated = (admin: Redis, calls: number) =>
  until(`${calls} AUTH`, Effect.map(statsOf(admin, "auth"), (stats) => stats.calls >= calls))

const invalidate = ConfidentialClient.invalidate("all")

describe("node-redis", () => {
  const connected = (port: number, RESP: 2 | 3 = 3) =>
    Effect.gen(function*() {
      const credentialsProvider = yield* TokenPassword.nodeRedis(request)
      const client = createClient({ socket: { port, host: "127.0.0.1" }, credentialsProvider, RESP })
      client.on("error", () => {})
      yield* Effect.addFinalizer(() => Effect.sync(() => client.destroy()))
      yield* Effect.promise(() => client.connect())
      return client
    })

  it.live.each([{ RESP: 2 as const }, { RESP: 3 as const }])(
    "RESP $RESP: an open connection is authenticated with each newer token, and is not opened again",
    ({ RESP }) =>
      Effect.gen(function*() {
        const { World, admin, issued, port } = yield* redis
        yield* Effect.gen(function*() {
          const client = yield* connected(port, RESP)
          const before = yield* statsOf(admin, "auth")
          const id = yield* Effect.promise(() => client.clientId())
          assert.strictEqual(yield* Effect.promise(() => client.aclWhoAmI()), oidOf(issued[0] ?? ""))
          yield* authenticated(admin, before.calls + 2)
          assert.strictEqual(yield* Effect.promise(() => client.clientId()), id)
          assert.strictEqual((yield* statsOf(admin, "auth")).failed, 0)
          assert.isAtLeast(issued.length, 3)
          const other = yield* connected(port, RESP)
          assert.strictEqual(yield* Effect.promise(() => other.ping()), "PONG")
        }).pipe(Effect.provide(World({ refreshIn: "1 second" })))
      }).pipe(Effect.scoped)
  )

  it.live("the store of a shared cache signs in with tokens of a client over a cache of its own", () =>
    Effect.gen(function*() {
      const { World, admin, issued, port } = yield* redis
      yield* Effect.gen(function*() {
        const store = yield* Effect.flatMap(
          TokenPassword.nodeRedis(request),
          (credentialsProvider) => RedisStore.make({ url: `redis://127.0.0.1:${port}`, credentialsProvider })
        )
        const bytes = new Uint8Array([1, 2, 3])
        yield* until(
          "a connection",
          Effect.map(Effect.exit(store.set("name.epoch", bytes, Duration.minutes(5))), Exit.isSuccess)
        )
        const users = () =>
          Effect.map(
            Effect.promise(() => admin.client("LIST")),
            (list) =>
              String(list).split("\n").filter((line) => line.includes(`user=${oidOf(issued[0] ?? "")}`)).map((line) =>
                /\bid=(\d+)/.exec(line)?.[1]
              )
          )
        const before = yield* users()
        assert.lengthOf(before, 1)
        const { calls } = yield* statsOf(admin, "auth")
        yield* authenticated(admin, calls + 2)
        assert.deepStrictEqual((yield* store.get("name.epoch"))?.bytes, bytes)
        assert.deepStrictEqual(yield* users(), before, "the same connection")
        assert.isAtLeast(issued.length, 3)
      }).pipe(Effect.provide(World({ refreshIn: "1 second" })))
    }).pipe(Effect.scoped))

  it.live("connect rejects with the error of the token, and works later", () =>
    Effect.gen(function*() {
      const { World, port } = yield* redis
      yield* Effect.gen(function*() {
        const simulator = yield* EntraSimulator.EntraSimulator
        const credentialsProvider = yield* TokenPassword.nodeRedis(request)
        yield* simulator.fail(EntraSimulator.Fault.refused({ code: 7000215, error: "invalid_client", status: 401 }))
        const failure: unknown = yield* Effect.promise(() =>
          credentialsProvider.subscribe({ onNext: () => {}, onError: () => {} }).then(() => undefined, (error) => error)
        )
        assert.strictEqual(codeOf(failure), "secret_wrong")
        yield* invalidate
        const client = yield* connected(port)
        assert.strictEqual(yield* Effect.promise(() => client.ping()), "PONG")
      }).pipe(Effect.provide(World()))
    }).pipe(Effect.scoped, Effect.provide(silent)))

  it.live("a connection that is opened again uses the newest token", () =>
    Effect.gen(function*() {
      const { World, admin, port } = yield* redis
      yield* Effect.gen(function*() {
        const client = yield* connected(port)
        const id = yield* Effect.promise(() => client.clientId())
        yield* invalidate
        yield* authenticated(admin, 1)
        yield* Effect.promise(() => admin.client("KILL", "ID", id))
        const next = yield* Effect.promise(() => client.clientId())
        assert.notStrictEqual(next, id)
        assert.deepStrictEqual(yield* statsOf(admin, "hello"), { calls: 3, failed: 0 })
        yield* invalidate
        yield* authenticated(admin, 2)
      }).pipe(Effect.provide(World()))
    }).pipe(Effect.scoped))

  it.live("when its scope has closed, nothing is sent, and there are no credentials", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const provider = yield* Scope.provide(TokenPassword.nodeRedis(request), scope)
      const seen: Array<unknown> = []
      const listener = { onNext: (newer: unknown) => seen.push(newer), onError: (error: Error) => seen.push(error) }
      yield* Effect.promise(() => provider.subscribe(listener))
      yield* invalidate
      yield* until("the second token", Effect.sync(() => seen.length === 1))
      const [, disposable] = yield* Effect.promise(() => provider.subscribe(listener))
      disposable.dispose()
      yield* Scope.close(scope, Exit.void)
      const { refreshes } = yield* ConfidentialClient.stats
      yield* invalidate
      const late: unknown = yield* Effect.promise(() =>
        provider.subscribe(listener).then(() => undefined, (error) => error)
      )
      assert.strictEqual(codeOf(late), "client_closed")
      assert.strictEqual((yield* ConfidentialClient.stats).refreshes, refreshes)
      assert.strictEqual(seen.length, 1)
    }).pipe(Effect.scoped, Effect.provide(World(() => Effect.void))))

  it.effect("a subscription that fails leaves nothing in the scope", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      const scope = yield* Scope.make()
      const { subscribe } = yield* Scope.provide(TokenPassword.nodeRedis(request), scope)
      yield* simulator.fail(EntraSimulator.Fault.refused({ code: 7000215, error: "invalid_client" }), {
        times: Infinity
      })
      for (let tries = 0; tries < 3; tries++) yield* Effect.flip(subscribed(subscribe))
      assert.strictEqual(scope.state._tag, "Empty")
    }).pipe(Effect.provide(World(() => Effect.void)), Effect.provide(silent)))

  it.effect("a subscription that waits while the service throttles fails when the client closes", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* simulator.fail(EntraSimulator.Fault.throttled({ retryAfter: "1 minute" }), { times: Infinity })
      const open = yield* Scope.make()
      const world = yield* Layer.buildWithScope(waiting, open)
      const { subscribe } = yield* Effect.provide(TokenPassword.nodeRedis(request), world)
      const fiber = yield* Effect.forkChild(Effect.flip(subscribed(subscribe)), { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      yield* Scope.close(open, Exit.void)
      assert.strictEqual(codeOf(yield* Fiber.join(fiber)), "client_closed")
    }).pipe(Effect.scoped, Effect.provide(EntraSimulator.layerMemory()), Effect.provide(silent)))

  it.effect("a subscription whose scope closes before the first token fails as one of a closed client", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* simulator.fail(EntraSimulator.Fault.delay("1 minute"))
      const scope = yield* Scope.make()
      const { subscribe } = yield* Scope.provide(TokenPassword.nodeRedis(request), scope)
      const fiber = yield* Effect.forkChild(Effect.flip(subscribed(subscribe)), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(codeOf(yield* Fiber.join(fiber)), "client_closed")
    }).pipe(Effect.provide(World(() => Effect.void)), Effect.provide(silent)))

  it.effect("a listener that throws gets later tokens and errors nevertheless", () =>
    Effect.gen(function*() {
      const received: Array<string> = []
      yield* Effect.gen(function*() {
        const { subscribe } = yield* TokenPassword.nodeRedis(request)
        yield* Effect.promise(() =>
          subscribe({
            onNext: () => {
              received.push("token")
              throw new Error("a listener that throws")
            },
            onError: () => {
              received.push("error")
              throw new Error("a listener that throws")
            }
          })
        )
        yield* invalidate
        yield* TestClock.adjust("1 second")
        yield* invalidate
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(received, ["token", "token"])
        const simulator = yield* EntraSimulator.EntraSimulator
        yield* simulator.fail(EntraSimulator.Fault.unavailable(), { times: Infinity })
        for (let minute = 0; minute < 65; minute++) yield* TestClock.adjust("1 minute")
        assert.include(received, "error")
        yield* simulator.clearFaults
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(received.at(-1), "token")
      }).pipe(Effect.scoped, Effect.provide(World(() => Effect.void)))
    }).pipe(Effect.provide(silent)))

  it.effect("a token that expires without a replacement is an error of the listener, and the next one comes after 30 s", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      const provider = yield* TokenPassword.nodeRedis(request)
      const seen: Array<string> = []
      const [{ password }] = yield* Effect.promise(() =>
        provider.subscribe({
          onNext: (newer) => seen.push(newer.password === password ? "the same" : "newer"),
          onError: (error) => seen.push(String(codeOf(error)))
        })
      )
      yield* simulator.fail(EntraSimulator.Fault.unavailable(), { times: Infinity })
      for (let minute = 0; minute < 65; minute++) yield* TestClock.adjust("1 minute")
      assert.include(seen, "service_unavailable")
      yield* simulator.clearFaults
      seen.length = 0
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(seen, ["newer"])
    }).pipe(Effect.scoped, Effect.provide(World(() => Effect.void)), Effect.provide(silent)))

  it.live("a server that refuses the new token: one warning with the code of the reply, and without the token", () => {
    const log = record()
    return Effect.gen(function*() {
      const { admin, port } = yield* redis
      const issued: Array<string> = []
      yield* Effect.gen(function*() {
        const client = yield* connected(port)
        yield* invalidate
        const warnings = () => log.entries.filter(({ level }) => level === "Warn").map(({ text }) => text)
        yield* until("a warning", Effect.sync(() => warnings().length > 0))
        assert.deepStrictEqual(warnings(), [
          "a Redis connection was not authenticated with the new token (WRONGPASS)"
        ])
        assert.lengthOf(issued, 2)
        for (const token of issued) assert.notInclude(log.lines.join("\n"), token)
        assert.strictEqual(yield* Effect.promise(() => client.ping()), "PONG")
      }).pipe(Effect.provide(World((token) => {
        issued.push(token)
        return issued.length === 1 ? allow(admin, token) : Effect.void
      })))
    }).pipe(Effect.scoped, Effect.provide(log.layer))
  })
})

describe("ioredis", () => {
  const connected = (port: number, protocol: 2 | 3 = 3) =>
    Effect.gen(function*() {
      const client = new Redis({ port, host: "127.0.0.1", lazyConnect: true, protocol })
      yield* Effect.addFinalizer(() => Effect.sync(() => client.disconnect()))
      yield* TokenPassword.ioredis(client, request)
      yield* Effect.promise(() => client.connect())
      return client
    })

  it.live.each([{ protocol: 2 as const }, { protocol: 3 as const }])(
    "RESP $protocol: an open connection is authenticated with each newer token, and is not opened again",
    ({ protocol }) =>
      Effect.gen(function*() {
        const { World, admin, issued, port } = yield* redis
        yield* Effect.gen(function*() {
          const client = yield* connected(port, protocol)
          const before = yield* statsOf(admin, "auth")
          const id = yield* Effect.promise(() => client.client("ID"))
          assert.strictEqual(yield* Effect.promise(() => client.acl("WHOAMI")), oidOf(issued[0] ?? ""))
          yield* authenticated(admin, before.calls + 2)
          assert.strictEqual(yield* Effect.promise(() => client.client("ID")), id)
          assert.strictEqual((yield* statsOf(admin, "auth")).failed, 0)
          assert.isAtLeast(issued.length, 3)
          const other = yield* connected(port, protocol)
          assert.strictEqual(yield* Effect.promise(() => other.ping()), "PONG")
        }).pipe(Effect.provide(World({ refreshIn: "1 second" })))
      }).pipe(Effect.scoped)
  )

  it.live("a connection that is opened again uses the newest token; after the scope nothing is sent", () =>
    Effect.gen(function*() {
      const { World, admin, port } = yield* redis
      yield* Effect.gen(function*() {
        const scope = yield* Scope.make()
        const client = yield* Scope.provide(connected(port), scope)
        const id = yield* Effect.promise(() => client.client("ID"))
        yield* invalidate
        yield* authenticated(admin, 1)
        yield* Effect.promise(() => admin.client("KILL", "ID", id))
        assert.notStrictEqual(yield* Effect.promise(() => client.client("ID")), id)
        assert.strictEqual((yield* statsOf(admin, "hello")).failed, 0)
        yield* Scope.close(scope, Exit.void)
        const { flights, refreshes } = yield* ConfidentialClient.stats
        yield* invalidate
        yield* Effect.yieldNow
        assert.deepStrictEqual(
          yield* ConfidentialClient.stats.pipe(
            Effect.map((stats) => ({ flights: stats.flights, refreshes: stats.refreshes }))
          ),
          { flights, refreshes }
        )
      }).pipe(Effect.provide(World()))
    }).pipe(Effect.scoped))

  it.live.each([
    { status: "wait", sent: [] },
    { status: "connecting", sent: ["after the handshake"] },
    { status: "connect", sent: ["after the handshake"] },
    { status: "ready", sent: ["at once"] },
    { status: "reconnecting", sent: [] },
    { status: "close", sent: [] },
    { status: "end", sent: [] }
  ])("a newer token on a connection whose status is $status: $sent", ({ sent, status }) => {
    const issued: Array<string> = []
    const seen: Array<string> = []
    let handshake = false
    const waiting: Array<() => void> = []
    const connection: TokenPassword.IoredisConnection & { status: string } = {
      options: {},
      status: "wait",
      auth: (username, password) => {
        assert.deepStrictEqual({ username, password }, connection.options)
        assert.strictEqual(password, issued[1])
        seen.push(handshake ? "after the handshake" : "at once")
        return Promise.resolve("OK")
      },
      once: (_event, listener) => waiting.push(listener)
    }
    return Effect.gen(function*() {
      yield* TokenPassword.ioredis(connection, request)
      assert.strictEqual(connection.options.password, issued[0])
      connection.status = status
      yield* invalidate
      yield* until("the second token", Effect.sync(() => connection.options.password === issued[1]))
      handshake = true
      for (const listener of waiting) listener()
      assert.deepStrictEqual(seen, sent)
    }).pipe(Effect.scoped, Effect.provide(World((token) => Effect.sync(() => issued.push(token)))))
  })

  it.live("the nodes of a cluster: those that are there, and those that are added", () =>
    Effect.gen(function*() {
      const ports = [yield* redisServer(true), yield* redisServer(true)] as const
      const admins = [yield* adminOf(ports[0]), yield* adminOf(ports[1])] as const
      const [one, other] = admins
      yield* Effect.promise(() => one.call("CLUSTER", "ADDSLOTSRANGE", "0", "8191"))
      yield* Effect.promise(() => other.call("CLUSTER", "ADDSLOTSRANGE", "8192", "16383"))
      const [, bus] = /@(\d+)/.exec(String(yield* Effect.promise(() => other.call("CLUSTER", "NODES")))) ?? []
      yield* Effect.promise(() => one.call("CLUSTER", "MEET", "127.0.0.1", String(ports[1]), bus ?? ""))
      yield* Effect.forEach(admins, (admin) =>
        until(
          "a cluster of two",
          Effect.map(
            Effect.promise(() => admin.call("CLUSTER", "INFO")),
            (info) => /cluster_state:ok[\s\S]*cluster_known_nodes:2/.test(String(info))
          )
        ))
      yield* Effect.gen(function*() {
        const client = new Cluster([{ port: ports[0], host: "127.0.0.1" }], { lazyConnect: true })
        yield* Effect.addFinalizer(() => Effect.sync(() => client.disconnect()))
        yield* TokenPassword.ioredis(client, request)
        yield* Effect.promise(() => client.connect())
        // One key for each half of the slots.
        yield* Effect.promise(() => client.set("{a}", "1"))
        yield* Effect.promise(() => client.set("{b}", "1"))
        assert.strictEqual(client.nodes().length, 2)
        yield* invalidate
        yield* Effect.forEach(admins, (admin) => authenticated(admin, 1))
        for (const admin of admins) assert.strictEqual((yield* statsOf(admin, "auth")).failed, 0)
        assert.strictEqual(yield* Effect.promise(() => client.get("{a}")), "1")
        assert.strictEqual(yield* Effect.promise(() => client.get("{b}")), "1")
      }).pipe(Effect.provide(World((token) => Effect.forEach(admins, (admin) => allow(admin, token)))))
    }).pipe(Effect.scoped))

  it.live("fails with the error of the token; a token without an object id is named", () =>
    Effect.gen(function*() {
      const client = new Redis({ lazyConnect: true })
      const error = yield* Effect.flip(Effect.scoped(TokenPassword.ioredis(client, request)))
      assert.strictEqual(error.code, "response_without_oid")
      assert.notInclude(inspect(error), "a-token")
      assert.strictEqual(client.options.password, null)
    }).pipe(Effect.provide(ConfidentialClient.layerTest("a-token"))))
})

describe("@effect/sql-pg", () => {
  it.live("each new connection uses the current token, and an open one outlives its token", () =>
    Effect.gen(function*() {
      const { port, sql } = yield* postgresServer
      yield* sql("CREATE ROLE daemon LOGIN")
      const issued: Array<string> = []
      yield* Effect.gen(function*() {
        const password = yield* TokenPassword.postgres(postgresRequest)
        const connect = PgClient.layer({ host: "127.0.0.1", port, username: "daemon", database: "postgres", password })
        const whoAmI = Effect.flatMap(PgClient.PgClient, (pg) => pg`SELECT current_user AS name`)
        yield* Effect.gen(function*() {
          assert.deepStrictEqual(yield* whoAmI, [{ name: "daemon" }])
          yield* invalidate
          assert.deepStrictEqual(yield* Effect.provide(whoAmI, connect, { local: true }), [{ name: "daemon" }])
          assert.strictEqual(issued.length, 2)
          assert.deepStrictEqual(yield* whoAmI, [{ name: "daemon" }])
          const simulator = yield* EntraSimulator.EntraSimulator
          yield* simulator.fail(EntraSimulator.Fault.refused({ code: 7000215, error: "invalid_client", status: 401 }))
          yield* invalidate
          const exit = yield* Effect.exit(Effect.provide(whoAmI, connect, { local: true }))
          const died: unknown = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
          assert.strictEqual(codeOf(died), "secret_wrong")
          yield* invalidate
          assert.deepStrictEqual(yield* Effect.provide(whoAmI, connect, { local: true }), [{ name: "daemon" }])
        }).pipe(Effect.provide(connect))
      }).pipe(Effect.provide(World((token) => {
        if (issued.at(-1) === token) return Effect.void
        issued.push(token)
        return sql(`ALTER ROLE daemon PASSWORD '${token}'`)
      })))
    }).pipe(Effect.scoped, Effect.provide(silent)))
})

const codeOf = (error: unknown): unknown => error instanceof Error && "code" in error ? error.code : undefined
