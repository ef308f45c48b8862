/**
 * A fleet: eight processes under load share their tokens through Redis, and each token is requested once for all of them.
 * Meanwhile a process is killed, Redis is killed, and a tenant is invalidated. No call fails.
 *
 * `npm run fleet` starts Redis (and installs Debian's if the machine has none), the simulator and the processes. It
 * ends after about 20 seconds. `FLEET_SECONDS` is the total length of its phases in seconds; default: 10.
 */
import { Config, Console, Effect, Layer, References, Schedule, type Scope, Stream } from "effect"
import {
  AuthorityResolver,
  ClientCredential,
  ConfidentialClient,
  TokenCache,
  TokenEndpoint,
  type TokenRequest,
  TokenScope
} from "effect-entra"
import { NodeTransport, RedisStore, SimulatorServer } from "effect-entra/node"
import { EntraSimulator } from "effect-entra/testing"
import { randomBytes } from "node:crypto"
import { startRedis } from "./support/redis.ts"
import { heading, table, tableLines } from "./support/report.ts"
import { makeScreen, printLine } from "./support/screen.ts"
import { type Order, parent, startWorker, type Worker } from "./support/workers.ts"

const tenants = { contoso: EntraSimulator.contosoTenantId, fabrikam: EntraSimulator.fabrikamTenantId }
const resources = { graph: EntraSimulator.graphResource, orders: EntraSimulator.ordersResource }

/** The tokens that the fleet uses. */
const keys = Object.entries(tenants).flatMap(([tenant, tenantId]) =>
  Object.entries(resources).map(([resource, name]) => ({
    name: `${tenant} ${resource}`,
    request: { tenantId, scopes: TokenScope.fromResource(name) }
  }))
)

const size = 8
const callersPerWorker = 10
const reportInterval = "100 millis"

// -----------------------------------------------------------------------------
// a process of the fleet
// -----------------------------------------------------------------------------

const Client = Layer.unwrap(Effect.gen(function*() {
  const authority = yield* Config.String("FLEET_AUTHORITY")
  const certificate = yield* Config.String("FLEET_CERTIFICATE")
  const url = yield* Config.String("FLEET_REDIS")
  const key = yield* Config.Redacted("FLEET_KEY")
  const Cache = TokenCache.layerTiered({ store: RedisStore.make({ url }), keys: [key] })
  return ConfidentialClient.layer({ clientId: EntraSimulator.daemonClientId, authority }).pipe(
    Layer.provide([
      ClientCredential.layerSecret(EntraSimulator.daemonSecret),
      AuthorityResolver.layer,
      TokenEndpoint.layer
    ]),
    Layer.provide(NodeTransport.layerWith({ certificateAuthorities: certificate })),
    Layer.provideMerge(Cache)
  )
}))

const servedBy = { None: "service", L1: "memory", L2: "store" } as const

const worker = Effect.gen(function*() {
  const cache = yield* TokenCache.TokenCache
  const counts = { memory: 0, store: 0, service: 0, failed: 0, requests: 0 }

  yield* ConfidentialClient.events.pipe(
    Stream.runForEach((event) => Effect.sync(() => void (counts.requests += event.attempts))),
    Effect.forkScoped({ startImmediately: true })
  )
  const call = (request: TokenRequest.TokenRequest) =>
    Effect.matchEffect(ConfidentialClient.acquireToken(request), {
      onFailure: ({ message }) => {
        counts.failed++
        return Console.error(message)
      },
      onSuccess: ({ metadata }) => Effect.sync(() => void counts[servedBy[metadata.cacheLevel]]++)
    })
  const load = Effect.forEach(keys, ({ request }) => Effect.andThen(call(request), Effect.sleep("20 millis")), {
    discard: true
  })
  const report = Effect.gen(function*() {
    const { entries, store } = yield* cache.stats
    const { invalidations = 0, isDown = false } = store ?? {}
    yield* parent.tell({ ...counts, tokens: entries, invalidations, isDown })
  })

  yield* report
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(reportInterval), report)))
  yield* Stream.runForEach(parent.orders, (order) =>
    order._tag === "Invalidate"
      ? ConfidentialClient.invalidate({ tenantId: order.tenantId })
      : Effect.forkScoped(
        Effect.all(Array.from({ length: callersPerWorker }, () => Effect.forever(load)), { concurrency: "unbounded" })
      ))
  yield* report
}).pipe(
  Effect.scoped,
  Effect.provide(Client),
  Effect.provideService(References.MinimumLogLevel, "Error"),
  Effect.ensuring(parent.leave)
)

// -----------------------------------------------------------------------------
// the program that controls the processes
// -----------------------------------------------------------------------------

const fleet = Effect.gen(function*() {
  const seconds = yield* Config.withDefault(Config.Finite("FLEET_SECONDS"), 10)
  const simulator = yield* EntraSimulator.EntraSimulator
  const { certificate = "", origin } = yield* SimulatorServer.SimulatorServer
  yield* simulator.fail(EntraSimulator.Fault.delay("200 millis"), { times: Infinity })
  const redis = yield* startRedis
  const environment = {
    FLEET_AUTHORITY: origin,
    FLEET_CERTIFICATE: certificate,
    FLEET_REDIS: redis.url,
    FLEET_KEY: randomBytes(32).toString("base64")
  }
  const workers: Array<Worker> = []
  const start = Effect.suspend(() =>
    Effect.map(startWorker(`worker ${workers.length + 1}`, environment), (worker) => void workers.push(worker))
  )

  const screen = makeScreen()
  let title = ""
  const requestsOf = Effect.map(simulator.requests, (requests) =>
    keys.map(({ name, request }) => ({
      key: name,
      requests: requests.filter(({ form, tenant }) =>
        tenant === request.tenantId && form["scope"] === request.scopes
      ).length
    })))
  const draw = Effect.gen(function*() {
    const perKey = yield* requestsOf
    yield* screen([title, "", ...tableLines(workers.map(rowOf)), "", ...tableLines(perKey)])
  })
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(draw, Effect.sleep("200 millis"))))

  /** Runs a phase for its share of the time. */
  const phase = Effect.fnUntraced(
    function*(name: string, share: number, work: Effect.Effect<string | void, never, Scope.Scope>) {
      title = name
      const before = sum(workers)
      const remark = yield* work
      yield* Effect.sleep(`${seconds * share} seconds`)
      const after = sum(workers)
      const requests = (yield* requestsOf).map(({ key, requests }) => `${key} ${requests}`).join(", ")
      yield* printLine(
        `${name}: ${after.served - before.served} calls served, ${after.failed - before.failed} failed; ` +
          `requests so far: ${requests}${remark === undefined ? "" : `; ${remark}`}`
      )
    }
  )
  const running = () => workers.filter((worker) => worker.isRunning())
  const tellAll = (order: Order) =>
    Effect.suspend(() => Effect.forEach(running(), ({ send }) => send(order), { discard: true }))

  title = "eight processes start"
  yield* Effect.all(Array.from({ length: size }, () => start))
  yield* until("the processes are ready", () => workers.every(({ report }) => report() !== undefined))

  const haveAll = until(
    "the processes have all tokens",
    () => running().every(({ report }) => report()?.tokens === keys.length)
  )

  yield* phase("cold start", 0.25, Effect.andThen(tellAll(go), haveAll))
  yield* phase(
    "one process is killed, another takes its place",
    0.2,
    Effect.gen(function*() {
      yield* workers[2]?.kill ?? Effect.void
      yield* start
      yield* until("the new process is ready", () => workers.at(-1)?.report() !== undefined)
      yield* workers.at(-1)?.send(go) ?? Effect.void
      yield* haveAll
    })
  )
  yield* phase("Redis is killed", 0.15, redis.kill)
  yield* phase(
    "Redis is back, and empty",
    0.2,
    Effect.gen(function*() {
      yield* redis.restart
      // Each process reconnects at its own time.
      let quietSince = Date.now()
      yield* until("all processes reach Redis", () => {
        if (running().some(({ report }) => report()?.isDown !== false)) quietSince = Date.now()
        return Date.now() - quietSince > 1500
      })
    })
  )
  yield* phase(
    "a tenant is invalidated",
    0.2,
    Effect.gen(function*() {
      const [first, ...others] = running()
      const before = others.map(({ report }) => report()?.invalidations ?? 0)
      const since = Date.now()
      yield* first?.send({ _tag: "Invalidate", tenantId: tenants.contoso }) ?? Effect.void
      yield* until(
        "all processes have forgotten it",
        () => others.every(({ report }, at) => (report()?.invalidations ?? 0) > (before[at] ?? 0))
      )
      return `all other processes had forgotten it after ${Date.now() - since} ms`
    })
  )

  title = "the end"
  yield* tellAll({ _tag: "Stop" })
  yield* Effect.forEach(running(), ({ ended }) => Effect.timeoutOption(ended, "5 seconds"), {
    concurrency: "unbounded"
  })
  yield* draw

  const { failed, served } = sum(workers)
  const counts = (yield* requestsOf).map(({ key, requests }) => ({
    key,
    requests,
    expected: key.startsWith("contoso") ? 2 : 1
  }))
  yield* heading("Token requests")
  yield* table(counts)
  yield* Console.log(`\n${served} calls served, ${failed} failed`)
  if (failed > 0 || counts.some(({ expected, requests }) => requests > expected)) process.exitCode = 1
}).pipe(Effect.scoped, Effect.provide(SimulatorServer.layerHttps()))

// -----------------------------------------------------------------------------
// the numbers on the screen
// -----------------------------------------------------------------------------

const go: Order = { _tag: "Go" }

const rowOf = (worker: Worker) => {
  const report = worker.report()
  return {
    process: worker.name,
    state: worker.isRunning()
      ? report === undefined ? "starting" : report.isDown ? "without Redis" : "running"
      : "ended",
    "token requests": report?.requests ?? 0,
    "by the service": report?.service ?? 0,
    "from the store": report?.store ?? 0,
    "from memory": report?.memory ?? 0,
    failed: report?.failed ?? 0
  }
}

const sum = (workers: ReadonlyArray<Worker>) => {
  let served = 0
  let failed = 0
  for (const { report } of workers) {
    const { memory = 0, service = 0, store = 0, failed: failures = 0 } = report() ?? {}
    served += memory + service + store
    failed += failures
  }
  return { served, failed }
}

const until = (condition: string, isTrue: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() => isTrue() ? Effect.void : Effect.fail(condition)).pipe(
    Effect.retry(Schedule.spaced("50 millis")),
    Effect.timeoutOrElse({
      duration: "60 seconds",
      orElse: () => Effect.die(new Error(`not after 60 seconds: ${condition}`))
    }),
    Effect.orDie
  )

await Effect.runPromise(process.argv[2] === "worker" ? worker : fleet)
