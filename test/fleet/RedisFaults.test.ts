/**
 * A store never costs an acquisition: every fault of Redis, under calls every 20 ms, against keys in memory, cold keys, and
 * keys that another process has stored. Prints a table.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, type Scope } from "effect"
import { TokenCache } from "effect-entra"
import { RedisStore } from "effect-entra/node"
import { writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { lateness } from "../soak/watch.ts"
import { type FaultyProxy, faultyProxy } from "../support/faultyProxy.ts"
import { rootKey, startProcess } from "../support/fleet.ts"
import { memoryProvider } from "../support/fleetProvider.ts"
import { layerIoRedis, layerNodeRedis } from "../support/fleetStores.ts"
import { cluster, sentinel, standalone, type StandaloneOptions } from "../support/redis.ts"
import type { RedisServer } from "../support/redisServer.ts"
import { until } from "../support/until.ts"

// -----------------------------------------------------------------------------
// what is required
// -----------------------------------------------------------------------------

/** Milliseconds: one budget of 8 turns, and a margin. */
const longestWait = 200 + 100

/** Milliseconds from the first answered PING. Other clients wait up to two seconds before they connect again. */
const longestReturn = 1500
const longestReturnOf = (client: string) => client === "NodeRedis" || client === "ioredis" ? 2500 : longestReturn

// -----------------------------------------------------------------------------
// the table
// -----------------------------------------------------------------------------

interface Row {
  readonly client: string
  readonly fault: string
  readonly keys: string
  calls: number
  failed: number
  slowest: number
  /** The slowest call without the time for which this process was busy. */
  excess: number
  requests: number
  back: number | undefined
}

const rows: Array<Row> = []
const late = lateness()

const format = (row: Row): string =>
  `| ${row.client} | ${row.fault} | ${row.keys} | ${row.calls} | ${row.failed} | ${
    Math.round(row.slowest)
  } | ${row.requests} | ${row.back === undefined ? "" : Math.round(row.back)} |`

const table = (): string =>
  [
    "| client | fault | keys | calls | failed | slowest, ms | token requests | back after, ms |",
    "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ...rows.map(format),
    ""
  ].join("\n")

const tableFile = join(tmpdir(), "effect-entra-redis-faults.md")

// -----------------------------------------------------------------------------
// the load
// -----------------------------------------------------------------------------

type Process = Effect.Success<ReturnType<typeof startProcess>>

interface Keys {
  readonly warm: ReadonlyArray<string>
  readonly held: Array<string>
}

const kinds = ["warm", "cold", "held"] as const
type Kind = typeof kinds[number]

/** Acquires a token, and notes the call in a row. */
const call = ({ client }: Process, key: string, row: Row) =>
  Effect.gen(function*() {
    const begun = performance.now()
    const lateBefore = late.sum()
    const exit = yield* Effect.exit(client.acquireToken({ scopes: `api://${key}/.default` }))
    const took = performance.now() - begun
    row.calls++
    row.slowest = Math.max(row.slowest, took)
    row.excess = Math.max(row.excess, took - (late.sum() - lateBefore))
    if (Exit.isFailure(exit)) {
      row.failed++
      return "failed"
    }
    const level = exit.value.metadata.cacheLevel
    if (level === "None") row.requests++
    return level
  })

let cold = 0
const nextCold = () => `cold${cold++}`

/** Calls every 20 ms for keys of each kind, until `during` ends. Returns after the last call. */
const underLoad = (process: Process, keys: Keys, rowOf: (kind: Kind) => Row, during: Effect.Effect<unknown>) =>
  Effect.gen(function*() {
    const calls: Array<Fiber.Fiber<unknown>> = []
    let tick = 0
    const load = Effect.gen(function*() {
      const warm = keys.warm[tick++ % keys.warm.length]
      const held = keys.held.pop()
      if (warm !== undefined) calls.push(yield* Effect.forkScoped(call(process, warm, rowOf("warm"))))
      calls.push(yield* Effect.forkScoped(call(process, nextCold(), rowOf("cold"))))
      if (held !== undefined) calls.push(yield* Effect.forkScoped(call(process, held, rowOf("held"))))
      yield* Effect.sleep("20 millis")
    })
    const loading = yield* Effect.forkChild(Effect.forever(load))
    yield* during
    yield* Fiber.interrupt(loading)
    yield* Effect.forEach(calls, (fiber) => Fiber.join(fiber), { discard: true })
  })

const storedTokens = (servers: ReadonlyArray<RedisServer>) =>
  Effect.map(
    Effect.forEach(servers, (server) =>
      Effect.orElseSucceed(
        Effect.map(server.command("KEYS", "*v:*"), (keys) => Array.isArray(keys) ? keys.map(String) : []),
        () => []
      )),
    (keys) => new Set(keys.flat())
  )

/** Waits until the store gives tokens again, if it has any, and gets some. Returns the milliseconds. */
const backAfter = (process: Process, keys: Keys, hasData: boolean, servers: ReadonlyArray<RedisServer>) =>
  Effect.gen(function*() {
    const begun = performance.now()
    const row = rowFor("", "", "cold")
    if (hasData) {
      yield* until(
        "a token comes from the store",
        Effect.suspend(() => {
          const key = keys.held.pop()
          if (key === undefined) return Effect.die(new Error("no keys are left"))
          return Effect.map(call(process, key, row), (level) => level === "L2" ? true : undefined)
        })
      )
    }
    const before = yield* storedTokens(servers)
    yield* until(
      "a token is stored",
      Effect.gen(function*() {
        yield* call(process, nextCold(), row)
        const now = yield* storedTokens(servers)
        return [...now].some((key) => !before.has(key)) ? true : undefined
      })
    )
    return performance.now() - begun
  })

// -----------------------------------------------------------------------------
// the faults
// -----------------------------------------------------------------------------

interface Place {
  readonly server: RedisServer
  readonly proxy: FaultyProxy
}

interface Fault {
  readonly name: string
  /** Whether this process connects through the proxy. */
  readonly isProxied?: boolean
  readonly options?: StandaloneOptions
  readonly begin: (place: Place) => Effect.Effect<unknown, unknown, Scope.Scope>
  readonly end: (place: Place) => Effect.Effect<unknown, unknown>
  /** Whether the process of the test starts during the fault. */
  readonly isAtStart?: boolean
  /** Whether tokens can be read meanwhile. */
  readonly canRead?: boolean
  readonly losesData?: boolean
  /** Clients of the program that do not come back from it by themselves. */
  readonly ends?: ReadonlyArray<string>
}

const persistent = { config: ["appendonly yes", "appendfsync always"] }
const app = "app on >password ~* &* +@all"
const setUser = (rules: string) => ({ server }: Place) => server.command("ACL", "SETUSER", "app", ...rules.split(" "))
const through = (mode: Parameters<FaultyProxy["set"]>[0]) => ({ proxy }: Place) => proxy.set(mode)

const faults: ReadonlyArray<Fault> = [
  {
    name: "killed",
    options: persistent,
    begin: ({ server }) => server.kill(),
    end: ({ server }) => server.restart
  },
  { name: "stopped (SIGSTOP)", begin: ({ server }) => server.stop, end: ({ server }) => server.resume },
  {
    name: "black hole",
    isProxied: true,
    begin: through("blackhole"),
    end: through("pass"),
    ends: ["NodeRedis", "ioredis"]
  },
  {
    name: "half a reply",
    isProxied: true,
    begin: through("half"),
    end: through("pass"),
    ends: ["NodeRedis", "ioredis"]
  },
  { name: "garbage", isProxied: true, begin: through("garbage"), end: through("pass"), ends: ["NodeRedis", "ioredis"] },
  {
    name: "connections reset, none accepted",
    isProxied: true,
    begin: ({ proxy }) => Effect.andThen(proxy.set("refuse"), proxy.resetAll),
    end: through("pass")
  },
  {
    name: "slow (150 ms a reply)",
    isProxied: true,
    begin: through({ delay: "150 millis" }),
    end: through("pass")
  },
  { name: "restarted", options: persistent, begin: ({ server }) => server.restart, end: () => Effect.void },
  { name: "restarted without data", begin: ({ server }) => server.restart, end: () => Effect.void, losesData: true },
  { name: "flushed", begin: ({ server }) => server.command("FLUSHALL"), end: () => Effect.void, losesData: true },
  {
    name: "memory full (OOM)",
    begin: ({ server }) => server.command("CONFIG", "SET", "maxmemory", "1"),
    end: ({ server }) => server.command("CONFIG", "SET", "maxmemory", "0"),
    canRead: true
  },
  {
    name: "demoted (READONLY)",
    begin: ({ server }) =>
      Effect.gen(function*() {
        const other = yield* standalone({ config: [`replicaof 127.0.0.1 ${server.port}`] })
        yield* until(
          "the replica is connected",
          Effect.map(other.command("ROLE"), (role) => String(role).includes(",connected,") ? true : undefined)
        )
        yield* other.command("REPLICAOF", "NO", "ONE")
        yield* server.command("REPLICAOF", "127.0.0.1", String(other.port))
      }),
    end: ({ server }) => server.command("REPLICAOF", "NO", "ONE"),
    canRead: true
  },
  {
    name: "ACL: nothing allowed",
    options: { aclUsers: [app] },
    begin: setUser("-@all"),
    end: setUser("+@all")
  },
  {
    name: "ACL: user off",
    options: { aclUsers: [app] },
    begin: (place) => Effect.andThen(setUser("off")(place), place.server.command("CLIENT", "KILL", "USER", "app")),
    end: setUser("on")
  },
  {
    name: "ACL: no writes",
    options: { aclUsers: [app] },
    begin: setUser("-@write"),
    end: setUser("+@write"),
    canRead: true
  },
  {
    name: "ACL: no scripts",
    options: { aclUsers: [app] },
    begin: setUser("-@scripting"),
    end: setUser("+@scripting"),
    canRead: true
  },
  {
    name: "absent at start",
    options: persistent,
    isAtStart: true,
    begin: ({ server }) => server.kill(),
    end: ({ server }) => server.restart
  },
  {
    name: "hung at start",
    isAtStart: true,
    begin: ({ server }) => server.stop,
    end: ({ server }) => server.resume
  }
]

const caches: Record<string, (url: string) => Layer.Layer<TokenCache.TokenCache, unknown>> = {
  RedisStore: (url) => TokenCache.layerTiered({ store: RedisStore.make({ url }), keys: [rootKey("root")] }),
  NodeRedis: (url) => TokenCache.layerRedis({ keys: [rootKey("root")] }).pipe(Layer.provide(layerNodeRedis(url))),
  ioredis: (url) => TokenCache.layerRedis({ keys: [rootKey("root")] }).pipe(Layer.provide(layerIoRedis(url)))
}

const rowFor = (client: string, fault: string, keys: string): Row => ({
  client,
  fault,
  keys,
  calls: 0,
  failed: 0,
  slowest: 0,
  excess: 0,
  requests: 0,
  back: undefined
})

const rowsFor = (client: string, fault: string) => {
  const made = {
    warm: rowFor(client, fault, "in memory"),
    cold: rowFor(client, fault, "cold"),
    held: rowFor(client, fault, "in the store")
  }
  rows.push(made.warm, made.cold, made.held)
  return made
}

/** A process fills the store with the tokens of many keys. */
const fill = (
  layer: Layer.Layer<TokenCache.TokenCache, unknown>,
  servers: ReadonlyArray<RedisServer>,
  afterEach: (key: string) => void = () => {},
  concurrency = 20
) =>
  Effect.gen(function*() {
    const writer = yield* startProcess({ layer })
    const held = Array.from({ length: 300 }, (_, n) => `held${n}`)
    const acquired = (key: string) => writer.client.acquireToken({ scopes: `api://${key}/.default` })
    yield* until(
      "the store is reached",
      Effect.andThen(acquired(nextCold()), Effect.map(storedTokens(servers), ({ size }) => size > 0 ? true : undefined))
    )
    const before = (yield* storedTokens(servers)).size
    yield* Effect.forEach(held, (key) => Effect.map(acquired(key), () => afterEach(key)), { concurrency })
    yield* until(
      "all tokens are stored",
      Effect.map(storedTokens(servers), ({ size }) => size >= before + held.length ? true : undefined)
    )
    return { warm: ["warm0", "warm1", "warm2", "warm3", "warm4"], held }
  })

const warmUp = ({ client }: Process, { warm }: Keys) =>
  Effect.forEach(warm, (key) => client.acquireToken({ scopes: `api://${key}/.default` }), { discard: true })

const check = (made: ReturnType<typeof rowsFor>, options: { readonly canRead?: boolean | undefined }) => {
  for (const kind of kinds) {
    const row = made[kind]
    const what = format(row)
    assert.isAbove(row.calls, 10, what)
    assert.strictEqual(row.failed, 0, what)
    assert.isBelow(row.excess, longestWait, what)
    if (row.back !== undefined) assert.isBelow(row.back, longestReturnOf(row.client), what)
  }
  assert.strictEqual(made.warm.requests, 0, format(made.warm))
  if (options.canRead === true) assert.strictEqual(made.held.requests, 0, format(made.held))
}

beforeAll(() => rows.splice(0))
afterAll(() => {
  late.stop()
  writeFileSync(tableFile, table())
  console.log(`${table()}\n(also in ${tableFile})`)
})

describe("faults of a server", () => {
  const cases = Object.entries(caches).flatMap(([client, cache]) =>
    faults
      // Those layers wait for their first connection.
      .filter(({ isAtStart }) => client === "RedisStore" || isAtStart !== true)
      .map((fault) => ({ client, cache, fault, name: fault.name }))
  )
  it.live.each(cases)("$client: $name", ({ cache, client, fault }) =>
    Effect.gen(function*() {
      const server = yield* standalone(fault.options)
      const proxy = yield* faultyProxy(server.port)
      const place = { server, proxy }
      const user = fault.options?.aclUsers === undefined ? "" : "app:password@"
      const keys = yield* fill(caches["RedisStore"]?.(server.url) ?? cache(server.url), [server])
      const layer = cache(`redis://${user}127.0.0.1:${fault.isProxied === true ? proxy.port : server.port}`)
      const made = rowsFor(client, fault.name)
      const begin = Effect.orDie(fault.begin(place))
      if (fault.isAtStart === true) yield* begin
      const reader = yield* startProcess({ layer })
      yield* warmUp(reader, keys)
      if (fault.isAtStart !== true) yield* begin
      yield* underLoad(reader, keys, (kind) => made[kind], Effect.sleep("1500 millis"))
      yield* Effect.orDie(fault.end(place))
      yield* until("PING is answered", Effect.map(server.command("PING"), () => true))
      if (fault.ends?.includes(client) !== true) {
        made.held.back = yield* backAfter(reader, keys, fault.losesData !== true, [server])
      }
      check(made, fault)
    }).pipe(Effect.provide(memoryProvider().layer)))
})

// -----------------------------------------------------------------------------
// clusters and sentinels
// -----------------------------------------------------------------------------

/** Fills a store, and returns the name of each token too. */
const fillWithNames = (options: RedisStore.Options, servers: ReadonlyArray<RedisServer>) =>
  Effect.gen(function*() {
    const store = yield* RedisStore.make(options)
    const names = new Map<string, string>()
    let last = ""
    const spy = {
      ...store,
      get: (name: string) =>
        Effect.suspend(() => {
          last = name
          return store.get(name)
        })
    }
    const layer = TokenCache.layerTiered({ store: spy, keys: [rootKey("root")] })
    const keys = yield* fill(layer, servers, (key) => names.set(key, last.slice(0, last.indexOf("."))), 1)
    return { keys, names }
  })

describe("failovers", () => {
  const cases = [
    { name: "a master killed", fail: (server: RedisServer) => server.kill() },
    { name: "a master stopped", fail: (server: RedisServer) => server.stop }
  ]
  it.live.each(cases)("cluster: $name", ({ fail, name }) =>
    Effect.gen(function*() {
      // Otherwise Redis refuses the keys of all shards while one has no master.
      const group = yield* cluster({ config: ["cluster-require-full-coverage no"] })
      const masters = group.nodes.slice(0, 3)
      const { keys, names } = yield* fillWithNames({ cluster: group.urls }, masters)
      const reader = yield* startProcess({
        layer: TokenCache.layerTiered({ store: RedisStore.make({ cluster: group.urls }), keys: [rootKey("root")] })
      })
      yield* warmUp(reader, keys)
      const [victim] = masters
      if (victim === undefined) return assert.fail("no master")
      const lost = yield* storedTokens([victim])
      const isLost = (key: string) => [...lost].some((stored) => stored.includes(`{${names.get(key)}}`))
      const here = { warm: keys.warm, held: keys.held.filter((key) => !isLost(key)) }
      const there = { warm: [], held: keys.held.filter(isLost) }
      const made = rowsFor("RedisStore, cluster", name)
      const made2 = rowsFor("RedisStore, cluster", `${name}, keys of its shard`)
      yield* fail(victim)
      const probe = here.held.splice(0, 60)
      const recovered = there.held.splice(0, 60)
      const failover = Effect.gen(function*() {
        while ((yield* storedTokens(group.nodes.slice(3))).size === 0) yield* Effect.sleep("20 millis")
        return yield* group.failedOver([...lost][0] ?? "", victim)
      })
      yield* Effect.all([
        underLoad(reader, here, (kind) => made[kind], Effect.sleep("1500 millis")),
        underLoad(reader, there, (kind) => made2[kind], Effect.sleep("1500 millis"))
      ], { concurrency: "unbounded" })
      // Other keys go on while the cluster fails over, however long that takes.
      yield* underLoad(reader, { warm: keys.warm, held: probe }, (kind) => made[kind], Effect.sleep("1 second"))
      yield* failover
      made2.held.back = yield* backAfter(
        reader,
        { warm: [], held: recovered },
        true,
        group.nodes.filter((node) => node !== victim)
      )
      check(made, { canRead: true })
      for (const kind of ["cold", "held"] as const) {
        assert.strictEqual(made2[kind].failed, 0, format(made2[kind]))
        assert.isBelow(made2[kind].excess, longestWait, format(made2[kind]))
      }
      assert.isBelow(made2.held.back ?? Infinity, longestReturn, format(made2.held))
    }).pipe(Effect.provide(memoryProvider().layer)))

  const sentinelCases = [
    { name: "the master killed", fail: (group: Effect.Success<ReturnType<typeof sentinel>>) => group.killMaster },
    { name: "the master demoted", fail: (group: Effect.Success<ReturnType<typeof sentinel>>) => group.demoteMaster }
  ]
  it.live.each(sentinelCases)("sentinel: $name", ({ fail, name }) =>
    Effect.gen(function*() {
      const group = yield* sentinel()
      const options = {
        sentinel: { name: group.name, urls: group.addresses.map(({ host, port }) => `redis://${host}:${port}`) }
      }
      const { keys } = yield* fillWithNames(options, group.servers)
      const reader = yield* startProcess({
        layer: TokenCache.layerTiered({ store: RedisStore.make(options), keys: [rootKey("root")] })
      })
      yield* warmUp(reader, keys)
      const made = rowsFor("RedisStore, sentinel", name)
      const probe = keys.held.splice(0, 100)
      const former = yield* group.master
      yield* underLoad(
        reader,
        keys,
        (kind) => made[kind],
        Effect.andThen(fail(group), group.failedOver(former))
      )
      made.held.back = yield* backAfter(reader, { warm: [], held: probe }, true, group.servers)
      check(made, {})
    }).pipe(Effect.provide(memoryProvider().layer)))
})
