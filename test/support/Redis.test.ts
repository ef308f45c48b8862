/** The Redis servers and the faulty proxy of the test support do what they promise, with both clients. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import { existsSync } from "node:fs"
import { createServer } from "node:http"
import { connect, type Socket } from "node:net"
import { faultyProxy, garbage } from "./faultyProxy.ts"
import { cluster, type RedisServer, secured, sentinel, standalone } from "./redis.ts"
import { type Client, clientNames, clients } from "./redisClients.ts"
import { sendCommand } from "./redisCommand.ts"
import { listening } from "./server.ts"
import { until } from "./until.ts"

const key = "effect-entra:key"

const assertAnswers = (client: Client, value: string, name = key) =>
  Effect.promise(async () => {
    await client.set(name, value)
    assert.strictEqual(await client.get(name), value)
  })

/** Repeats `promised` until it is fulfilled with a value that is not undefined. */
const eventually = <A>(condition: string, promised: () => Promise<A | undefined>) =>
  until(condition, Effect.tryPromise(promised))

const exists = (pid: number) => existsSync(`/proc/${pid}`)

const reasonOf = (server: RedisServer) => Effect.map(Effect.flip(server.command("PING")), ({ reason }) => reason)

describe.concurrent("topologies", () => {
  for (const name of clientNames) {
    it.live(`${name}: a server with a password`, () =>
      Effect.gen(function*() {
        const server = yield* standalone({ password: "p@ss word/" })
        yield* assertAnswers(yield* clients[name].standalone(server), "value")
        const error = yield* Effect.flip(sendCommand({ port: server.port }, ["GET", key]))
        assert.include(error.message, "NOAUTH")
      }))

    it.live(`${name}: TLS, and a user for one prefix`, () =>
      Effect.gen(function*() {
        const server = yield* secured()
        const client = yield* clients[name].standalone(server)
        yield* assertAnswers(client, "value", `${server.prefix}key`)
        const refused = yield* Effect.flip(Effect.tryPromise(() => client.get("other")))
        assert.include(String(refused.cause), "NOPERM")
        const { authority, port } = server
        assert.include((yield* Effect.flip(sendCommand({ port, authority }, ["GET", key]))).message, "NOAUTH")
      }))

    it.live(`${name}: a server that is killed and starts again`, () =>
      Effect.gen(function*() {
        const server = yield* standalone()
        const client = yield* clients[name].standalone(server)
        yield* assertAnswers(client, "value")
        const before = yield* server.pid
        yield* server.kill()
        assert.isFalse(exists(before))
        assert.isFalse(yield* server.isRunning)
        assert.strictEqual(yield* reasonOf(server), "connection")
        yield* server.restart
        assert.notStrictEqual(yield* server.pid, before)
        assert.strictEqual(
          yield* eventually("the client is back", async () => (await client.get(key)) ?? "nothing"),
          "nothing"
        )
      }))
  }

  it.live("a cluster", () =>
    Effect.gen(function*() {
      const nodes = yield* cluster()
      for (const name of clientNames) {
        const client = yield* clients[name].cluster(nodes)
        for (const key of ["a", "b", "c"]) yield* assertAnswers(client, name, key)
      }
      const owners = yield* Effect.forEach(["a", "b", "c"], nodes.owner)
      assert.strictEqual(new Set(owners).size, 3)
      for (const [index, key] of ["a", "b", "c"].entries()) {
        assert.strictEqual(yield* owners[index]?.command("GET", key) ?? Effect.undefined, "ioredis")
      }
    }))

  it.live("sentinels", () =>
    Effect.gen(function*() {
      const group = yield* sentinel()
      for (const name of clientNames) yield* assertAnswers(yield* clients[name].sentinel(group), name)
      assert.strictEqual(yield* group.master, group.servers[0])
    }))

  it.live("a server that is stopped does not answer, and then it does", () =>
    Effect.gen(function*() {
      const server = yield* standalone()
      const client = yield* clients.ioredis.standalone(server)
      yield* server.stop
      assert.isFalse(yield* server.isRunning)
      const pending = client.get(key)
      assert.strictEqual(yield* reasonOf(server), "timeout")
      yield* server.resume
      assert.isTrue(yield* server.isRunning)
      assert.isNull(yield* Effect.promise(() => pending))
      yield* server.waitReady
    }))

  it.live("a stopped server starts again", () =>
    Effect.gen(function*() {
      const server = yield* standalone()
      yield* server.stop
      yield* server.restart
      assert.strictEqual(yield* server.command("PING"), "PONG")
    }))

  it.live("a server waits for its port when it starts again", () =>
    Effect.gen(function*() {
      const server = yield* standalone()
      yield* server.kill()
      const restarting = yield* Effect.scoped(Effect.gen(function*() {
        yield* listening(createServer(), server.port)
        const restarting = yield* Effect.forkDetach(server.restart)
        yield* until(
          "the port is in use",
          Effect.map(server.log, (log) => log.includes("Address already in use") ? true : undefined)
        )
        return restarting
      }))
      yield* Fiber.join(restarting)
      assert.strictEqual(yield* server.command("PING"), "PONG")
    }))

  it.live("SIGTERM ends a server without a dump", () =>
    Effect.gen(function*() {
      const server = yield* standalone()
      yield* server.command("SET", key, "value")
      yield* server.kill("SIGTERM")
      yield* server.restart
      assert.isNull(yield* server.command("GET", key))
    }))

  it.live("a server without memory refuses writes and still reads", () =>
    Effect.gen(function*() {
      const server = yield* standalone({ maxmemory: "3mb" })
      yield* server.command("SET", key, "value")
      const error = yield* Effect.flip(
        Effect.forever(Effect.suspend(() => server.command("SET", crypto.randomUUID(), "x".repeat(200_000))))
      )
      assert.include(error.message, "OOM")
      assert.strictEqual(yield* server.command("GET", key), "value")
    }))

  it.live("users and lines of the configuration", () =>
    Effect.gen(function*() {
      const server = yield* standalone({
        aclUsers: ["default off", "reader on >secret ~* -@all +get"],
        config: ["databases 3"]
      })
      assert.deepStrictEqual(yield* server.command("CONFIG", "GET", "databases"), ["databases", "3"])
      const reader = { port: server.port, credentials: { user: "reader", password: "secret" } }
      assert.isNull(yield* sendCommand(reader, ["GET", key]))
      assert.include((yield* Effect.flip(sendCommand(reader, ["SET", key, "value"]))).message, "NOPERM")
    }))

  it.live("a configuration that Redis rejects fails with its log", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(standalone({ config: ["no-such-line yes"] }))
      assert.isTrue(Exit.isFailure(exit))
      assert.include(String(exit), "no-such-line")
    }))

  it.live("no process is left when the scope is closed, stopped or not", () =>
    Effect.gen(function*() {
      const pids = yield* Effect.scoped(Effect.gen(function*() {
        const group = yield* sentinel()
        const stopped = yield* standalone()
        yield* stopped.stop
        const servers = [...group.servers, ...group.sentinels, stopped]
        const pids = yield* Effect.forEach(servers, ({ pid }) => pid)
        assert.deepStrictEqual(pids.filter(exists), pids)
        return pids
      }))
      assert.lengthOf(pids, 7)
      assert.deepStrictEqual(pids.filter(exists), [])
    }))
})

describe.concurrent("the faulty proxy", () => {
  const behindProxy = Effect.gen(function*() {
    const server = yield* standalone()
    return { server, proxy: yield* faultyProxy(server.port) }
  })

  /** A connection without a client library, and what it received. */
  const rawConnection = (port: number) =>
    Effect.map(
      Effect.acquireRelease(
        Effect.callback<Socket, Error>((resume) => {
          const socket = connect(port, "127.0.0.1", () => resume(Effect.succeed(socket)))
          socket.once("error", (error) => resume(Effect.fail(error)))
        }),
        (socket) => Effect.sync(() => socket.destroy())
      ),
      (socket) => {
        let received = Buffer.alloc(0)
        let end: string | undefined
        socket.on("data", (chunk) => received = Buffer.concat([received, chunk]))
        socket.on("error", (error) => end = "code" in error ? String(error.code) : error.message)
        socket.on("close", () => end ??= "closed")
        return {
          ping: Effect.sync(() => socket.write("PING\r\n")),
          received: (expected: string | Buffer) =>
            until(
              `received ${JSON.stringify(expected)}`,
              Effect.sync(() => received.equals(Buffer.from(expected)) ? true : undefined)
            ),
          isOpen: () => end === undefined,
          ended: until("the connection has ended", Effect.sync(() => end))
        }
      }
    )

  const pong = "+PONG\r\n"

  /** The number of pings that reached the server. */
  const forwardedPings = (server: RedisServer) =>
    Effect.map(
      server.command("INFO", "commandstats"),
      (stats) => Number(/cmdstat_ping:calls=(\d+)/.exec(String(stats))?.[1] ?? 0)
    )

  for (const name of clientNames) {
    it.live(`${name} works through it, and after it has reset all connections`, () =>
      Effect.gen(function*() {
        const { proxy } = yield* behindProxy
        const client = yield* clients[name].standalone({ url: `redis://127.0.0.1:${proxy.port}` })
        yield* assertAnswers(client, "value")
        const accepted = yield* proxy.accepted
        yield* proxy.resetAll
        assert.strictEqual(
          yield* eventually("the client is back", async () => (await client.get(key)) ?? undefined),
          "value"
        )
        assert.isAbove(yield* proxy.accepted, accepted)
      }))
  }

  it.live("blackhole: open and new connections are silent, for good", () =>
    Effect.gen(function*() {
      const { proxy, server } = yield* behindProxy
      const open = yield* rawConnection(proxy.port)
      yield* open.ping
      yield* open.received(pong)
      yield* proxy.set("blackhole")
      const idle = yield* rawConnection(proxy.port)
      for (const connection of [open, idle]) yield* connection.ping
      const error = yield* Effect.flip(sendCommand({ port: proxy.port }, ["PING"]))
      assert.strictEqual(error.reason, "timeout")
      yield* proxy.set("pass")
      for (const connection of [open, idle]) yield* connection.ping
      const fresh = yield* rawConnection(proxy.port)
      yield* fresh.ping
      yield* fresh.received(pong)
      yield* open.received(pong)
      yield* idle.received("")
      assert.isTrue(open.isOpen() && idle.isOpen())
      assert.strictEqual(yield* forwardedPings(server), 2)
    }))

  it.live("blackhole hides the end of the server, and pass shows it", () =>
    Effect.gen(function*() {
      const { proxy, server } = yield* behindProxy
      const [hidden, shown] = [yield* rawConnection(proxy.port), yield* rawConnection(proxy.port)]
      for (const connection of [hidden, shown]) {
        yield* connection.ping
        yield* connection.received(pong)
      }
      yield* proxy.set("blackhole")
      yield* server.kill()
      assert.strictEqual((yield* Effect.flip(sendCommand({ port: proxy.port }, ["PING"]))).reason, "timeout")
      assert.isTrue(hidden.isOpen() && shown.isOpen())
      yield* server.restart
      yield* proxy.set("pass")
      const fresh = yield* rawConnection(proxy.port)
      yield* fresh.ping
      yield* fresh.received(pong)
      yield* server.kill()
      yield* fresh.ended
    }))

  it.live("refuse: new connections are refused, open ones go on", () =>
    Effect.gen(function*() {
      const { proxy } = yield* behindProxy
      const open = yield* rawConnection(proxy.port)
      yield* proxy.set("refuse")
      const error = yield* Effect.flip(rawConnection(proxy.port))
      assert.include(error.message, "ECONNREFUSED")
      yield* open.ping
      yield* open.received(pong)
      yield* proxy.set("pass")
      const fresh = yield* rawConnection(proxy.port)
      yield* fresh.ping
      yield* fresh.received(pong)
    }))

  it.live("garbage: replies are no replies", () =>
    Effect.gen(function*() {
      const { proxy, server } = yield* behindProxy
      const open = yield* rawConnection(proxy.port)
      yield* proxy.set("garbage")
      yield* open.ping
      yield* open.received(garbage)
      assert.strictEqual(yield* forwardedPings(server), 1)
      const client = yield* clients.ioredis.standalone(server)
      yield* assertAnswers(client, "not through the proxy")
      const error = yield* Effect.flip(sendCommand({ port: proxy.port }, ["PING"]))
      assert.strictEqual(error.reason, "reply")
    }))

  it.live("half: a reply is cut, then nothing comes", () =>
    Effect.gen(function*() {
      const { proxy, server } = yield* behindProxy
      const open = yield* rawConnection(proxy.port)
      yield* proxy.set("half")
      yield* open.ping
      yield* open.received("+PO")
      yield* open.ping
      yield* proxy.set("pass")
      yield* open.ping
      const fresh = yield* rawConnection(proxy.port)
      yield* fresh.ping
      yield* fresh.received(pong)
      yield* open.received("+PO")
      assert.isTrue(open.isOpen())
      assert.strictEqual(yield* forwardedPings(server), 2)
    }))

  it.live("delay: replies wait, and keep their order when it ends", () =>
    Effect.gen(function*() {
      const { proxy } = yield* behindProxy
      const open = yield* rawConnection(proxy.port)
      yield* proxy.set({ delay: "150 millis" })
      const start = performance.now()
      yield* open.ping
      yield* open.received(pong)
      assert.isAtLeast(performance.now() - start, 149)
      yield* open.ping
      yield* proxy.set("pass")
      yield* open.ping
      yield* open.received(pong.repeat(3))
    }))

  it.live("reset: connections end with ECONNRESET", () =>
    Effect.gen(function*() {
      const { proxy } = yield* behindProxy
      const connections = [yield* rawConnection(proxy.port), yield* rawConnection(proxy.port)]
      for (const connection of connections) {
        yield* connection.ping
        yield* connection.received(pong)
      }
      assert.strictEqual(yield* proxy.open, 2)
      yield* proxy.resetAll
      for (const { ended } of connections) assert.strictEqual(yield* ended, "ECONNRESET")
      yield* until("no connection is open", Effect.map(proxy.open, (open) => open === 0 ? true : undefined))
    }))

  it.live("a server that does not run is a reset, and the port is free when the scope is closed", () =>
    Effect.gen(function*() {
      const port = yield* Effect.scoped(Effect.gen(function*() {
        const { proxy, server } = yield* behindProxy
        yield* server.kill()
        const connection = yield* rawConnection(proxy.port)
        assert.strictEqual(yield* connection.ended, "ECONNRESET")
        return proxy.port
      }))
      assert.include((yield* Effect.flip(rawConnection(port))).message, "ECONNREFUSED")
    }))
})
