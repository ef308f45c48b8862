/**
 * Real Redis servers on this machine, in each topology that clients know. Their processes end when the scope closes. For live
 * tests only.
 */
import { Duration, Effect, Redacted, type Scope } from "effect"
import { TestCertificate } from "effect-entra/testing"
import type { Reply } from "./redisCommand.ts"
import { type RedisServer, type ServerOptions, startServer } from "./redisServer.ts"
import { until } from "./until.ts"

export type { RedisServer } from "./redisServer.ts"

// -----------------------------------------------------------------------------
// one server
// -----------------------------------------------------------------------------

export interface StandaloneOptions extends Omit<ServerOptions, "kind" | "tls"> {
  /** Whether connections use TLS, with a certificate of a new test authority. */
  readonly tls?: boolean | undefined
}

export interface Standalone extends RedisServer {
  /** The certificate (PEM) of the authority that clients have to trust, if the server uses TLS. */
  readonly authority: string | undefined
}

export const standalone = Effect.fnUntraced(
  function*({ tls, ...options }: StandaloneOptions = {}): Effect.fn.Return<Standalone, never, Scope.Scope> {
    if (tls !== true) return { ...(yield* startServer(options)), authority: undefined }
    const chain = yield* TestCertificate.makeChain({
      algorithm: "EC",
      subjectAltNames: ["localhost", "127.0.0.1"]
    })
    const server = yield* startServer({ ...options, tls: { ...chain, privateKey: Redacted.value(chain.privateKey) } })
    return { ...server, authority: chain.authority }
  }
)

export interface Secured extends RedisServer {
  /** With user and password. */
  readonly url: string
  /** Without user and password. */
  readonly urlWithoutCredentials: string
  /** The certificate (PEM) of the authority that clients have to trust. */
  readonly authority: string
  readonly user: string
  readonly password: string
  /** The only keys that the user may touch begin with it. */
  readonly prefix: string
}

/** A server as operators run it: TLS, no default user, and a user for the keys with one prefix. */
export const secured = Effect.fnUntraced(
  function*(
    options: Omit<StandaloneOptions, "tls" | "password" | "aclUsers"> = {}
  ): Effect.fn.Return<Secured, never, Scope.Scope> {
    const [user, password, prefix] = ["effect-entra", crypto.randomUUID(), "effect-entra:"]
    const rules = `~${prefix}* &${prefix}* +@all -@admin -@dangerous +info`
    const server = yield* standalone({
      ...options,
      tls: true,
      aclUsers: ["default off", `${user} on >${password} ${rules}`]
    })
    if (server.authority === undefined) return yield* Effect.die(new Error("a server with TLS has an authority"))
    return {
      ...server,
      url: server.url.replace("//", `//${user}:${password}@`),
      urlWithoutCredentials: server.url,
      authority: server.authority,
      user,
      password,
      prefix
    }
  }
)

// -----------------------------------------------------------------------------
// cluster
// -----------------------------------------------------------------------------

export interface Cluster {
  /** Three masters, then their three replicas, as they were at the start. */
  readonly nodes: ReadonlyArray<RedisServer>
  readonly urls: ReadonlyArray<string>
  /** The master that the nodes which run have for the key. */
  readonly owner: (key: string) => Effect.Effect<RedisServer>
  /** Kills the master that owns the key, and returns it. */
  readonly killOwner: (key: string) => Effect.Effect<RedisServer>
  /** Waits until all nodes that run have another owner of the key, and can serve all slots. Returns the new owner. */
  readonly failedOver: (key: string, former: RedisServer) => Effect.Effect<RedisServer>
  /** Waits until all nodes that run can serve all slots. */
  readonly waitReady: Effect.Effect<void>
}

const slots = 16_384
const mastersOfCluster = 3
const firstSlot = (master: number) => Math.floor(slots * master / mastersOfCluster)

export const cluster = Effect.fnUntraced(
  function*(options: {
    /** Default: 2 seconds. */
    readonly nodeTimeout?: Duration.Input | undefined
    readonly config?: ReadonlyArray<string> | undefined
  } = {}): Effect.fn.Return<Cluster, never, Scope.Scope> {
    const nodeTimeout = Duration.toMillis(options.nodeTimeout ?? "2 seconds")
    const config = ["cluster-enabled yes", `cluster-node-timeout ${nodeTimeout}`, ...(options.config ?? [])]
    const nodes = yield* Effect.all(Array.from({ length: 2 * mastersOfCluster }, () => startServer({ config })), {
      concurrency: "unbounded"
    })
    const masters = nodes.slice(0, mastersOfCluster)
    const replicas = nodes.slice(mastersOfCluster)

    // Without `redis-cli --cluster create`, which sleeps for seconds between its steps.
    for (const [index, master] of masters.entries()) {
      yield* run(master, "CLUSTER", "SET-CONFIG-EPOCH", String(index + 1))
      yield* run(master, "CLUSTER", "ADDSLOTSRANGE", String(firstSlot(index)), String(firstSlot(index + 1) - 1))
    }
    for (const [index, node] of nodes.entries()) {
      for (const other of nodes.slice(index + 1)) {
        yield* run(node, "CLUSTER", "MEET", "127.0.0.1", String(other.port))
      }
    }
    for (const [index, replica] of replicas.entries()) {
      const master = masters[index]
      if (master === undefined) continue
      const id = String(yield* run(master, "CLUSTER", "MYID"))
      yield* until("the replica knows its master", replica.command("CLUSTER", "REPLICATE", id))
    }
    const waitReady = Effect.asVoid(until(
      "all nodes serve all slots",
      Effect.map(
        Effect.forEach(nodes, servesAllSlots, { concurrency: "unbounded" }),
        ifAll
      )
    ))
    yield* waitReady
    yield* until(
      "all nodes know all replicas",
      Effect.map(
        Effect.forEach(nodes, (node) => Effect.map(node.command("CLUSTER", "NODES"), knowsReplicas)),
        ifAll
      )
    )
    yield* until("the replicas are connected", Effect.map(Effect.forEach(replicas, isConnectedReplica), ifAll))

    const ownerBy = (node: RedisServer, key: string) =>
      Effect.gen(function*() {
        const slot = Number(yield* node.command("CLUSTER", "KEYSLOT", key))
        const range = list(yield* node.command("CLUSTER", "SLOTS")).map(list).find(([first, last]) =>
          Number(first) <= slot && slot <= Number(last)
        )
        return nodes.find(({ port }) => port === list(range?.[2])[1])
      })
    const running = Effect.filter(nodes, ({ isRunning }) => isRunning)
    const owner = (key: string) =>
      until(
        "a node knows the owner",
        Effect.flatMap(running, ([node]) => node === undefined ? Effect.undefined : ownerBy(node, key))
      )
    return {
      nodes,
      urls: nodes.map(({ url }) => url),
      owner,
      killOwner: (key) => Effect.tap(owner(key), (server) => server.kill()),
      failedOver: (key, former) =>
        until(
          "the cluster fails over",
          Effect.gen(function*() {
            const nodes = yield* running
            const owners = new Set(yield* Effect.forEach(nodes, (node) => ownerBy(node, key)))
            const ready = yield* Effect.forEach(nodes, servesAllSlots)
            const [owner] = owners
            return owners.size === 1 && owner !== former && ready.every(Boolean) ? owner : undefined
          }),
          "30 seconds"
        ),
      waitReady
    }
  }
)

// -----------------------------------------------------------------------------
// sentinel
// -----------------------------------------------------------------------------

export interface Sentinel {
  /** The name of the master for the sentinels. */
  readonly name: string
  /** A master and its two replicas, as they were at the start. */
  readonly servers: ReadonlyArray<RedisServer>
  readonly sentinels: ReadonlyArray<RedisServer>
  /** The addresses of the sentinels, as clients want them. */
  readonly addresses: ReadonlyArray<{ readonly host: string; readonly port: number }>
  /** The master by the sentinels. */
  readonly master: Effect.Effect<RedisServer>
  /** Kills the master, and returns it. */
  readonly killMaster: Effect.Effect<RedisServer>
  /** Makes the master a replica of another server, and returns it. Its clients get READONLY from then on. */
  readonly demoteMaster: Effect.Effect<RedisServer>
  /** Waits until all sentinels name another master. Returns the new master. */
  readonly failedOver: (former: RedisServer) => Effect.Effect<RedisServer>
}

export const sentinel = Effect.fnUntraced(
  function*(options: {
    /** Default: 1 second. */
    readonly downAfter?: Duration.Input | undefined
    readonly config?: ReadonlyArray<string> | undefined
  } = {}): Effect.fn.Return<Sentinel, never, Scope.Scope> {
    const name = "tokens"
    const config = options.config ?? []
    const first = yield* startServer({ config })
    const replicas = yield* Effect.all(
      Array.from({ length: 2 }, () => startServer({ config: [...config, `replicaof 127.0.0.1 ${first.port}`] })),
      { concurrency: "unbounded" }
    )
    const servers = [first, ...replicas]
    // The sentinels ask the master for its replicas at their start, and then every ten seconds.
    yield* until("the replicas are connected", Effect.map(Effect.forEach(replicas, isConnectedReplica), ifAll))
    const sentinels = yield* Effect.all(
      Array.from({ length: 3 }, () =>
        startServer({
          kind: "sentinel",
          config: [
            `sentinel monitor ${name} 127.0.0.1 ${first.port} 2`,
            `sentinel down-after-milliseconds ${name} ${Duration.toMillis(options.downAfter ?? "1 second")}`,
            `sentinel failover-timeout ${name} 5000`,
            `sentinel parallel-syncs ${name} 2`
          ]
        })),
      { concurrency: "unbounded" }
    )
    yield* Effect.forEach(sentinels, (sentinel) => run(sentinel, "SENTINEL", "DEBUG", ...periods))
    yield* until(
      "the sentinels know each other and the replicas",
      Effect.map(
        Effect.forEach(sentinels, (sentinel) =>
          Effect.map(sentinel.command("SENTINEL", "MASTER", name), (reply) => {
            const fields = list(reply)
            const field = (name: string) => fields[fields.indexOf(name) + 1]
            return field("flags") === "master" && field("num-slaves") === "2" && field("num-other-sentinels") === "2"
          })),
        ifAll
      )
    )

    const masterBy = (sentinel: RedisServer) =>
      Effect.map(sentinel.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name), (reply) => {
        const port = Number(list(reply)[1])
        return servers.find((server) => server.port === port)
      })
    const running = Effect.filter(sentinels, ({ isRunning }) => isRunning)
    const master = until(
      "a sentinel knows the master",
      Effect.flatMap(running, ([sentinel]) => sentinel === undefined ? Effect.undefined : masterBy(sentinel))
    )
    const failedOver = (former: RedisServer) =>
      until(
        "the sentinels fail over",
        Effect.gen(function*() {
          const masters = new Set(yield* Effect.forEach(yield* running, masterBy))
          const [master] = masters
          if (masters.size !== 1 || master === undefined || master === former) return undefined
          return list(yield* master.command("ROLE"))[0] === "master" ? master : undefined
        }),
        "30 seconds"
      )
    return {
      name,
      servers,
      sentinels,
      addresses: sentinels.map(({ port }) => ({ host: "127.0.0.1", port })),
      master,
      killMaster: Effect.tap(master, (server) => server.kill()),
      demoteMaster: Effect.gen(function*() {
        const former = yield* master
        const [sentinel] = yield* running
        if (sentinel === undefined) return yield* Effect.die(new Error("no sentinel runs"))
        // It refuses until it has heard of a replica that can become the master.
        yield* until("a sentinel starts a failover", sentinel.command("SENTINEL", "FAILOVER", name))
        yield* failedOver(former)
        yield* until(
          "the former master is a replica",
          Effect.map(isConnectedReplica(former), (is) => is ? true : undefined),
          "30 seconds"
        )
        return former
      }),
      failedOver
    }
  }
)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/**
 * Sentinels get to know each other by what they publish every two seconds, and a former master by what it answers every ten.
 * A pause of two seconds, as on a busy machine, puts them off for thirty. None of it decides about a failover.
 */
const periods = ["PUBLISH-PERIOD", "200", "INFO-PERIOD", "1000", "TILT-PERIOD", "1000"]

const run = (server: RedisServer, ...command: ReadonlyArray<string>) => Effect.orDie(server.command(...command))

const list = (reply: Reply | undefined): ReadonlyArray<Reply> =>
  typeof reply === "object" && reply !== null ? reply : []

const ifAll = (conditions: ReadonlyArray<boolean>) => conditions.every(Boolean) ? true : undefined

const servesAllSlots = (node: RedisServer) =>
  Effect.map(
    node.command("CLUSTER", "INFO"),
    (info) => ["cluster_state:ok", `cluster_slots_ok:${slots}`].every((line) => String(info).includes(line))
  )

const knowsReplicas = (nodes: Reply) => String(nodes).match(/ (?:myself,)?slave /g)?.length === mastersOfCluster

const isConnectedReplica = (server: RedisServer) =>
  Effect.map(server.command("ROLE"), (role) => list(role)[0] === "slave" && list(role)[3] === "connected")
