/**
 * Calls every 20 ms for a token in Redis while its packets are dropped for three seconds, and afterwards. See README.md.
 *
 * node --conditions=@effect-entra/source bench/faults.ts [--quick]
 */
import { Effect, Exit, Layer, ManagedRuntime, Redacted, Scope } from "effect"
import { AuthorityResolver, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
import { RedisStore } from "effect-entra/node"
import { createClient } from "redis"
import { faultyProxy } from "../test/support/faultyProxy.ts"
import { tokenOf } from "./support/keys.ts"
import { clientId } from "./support/msal.ts"
import { credentialOf, transport } from "./support/ours.ts"
import { startRedis } from "./support/redis.ts"
import { finish, machineWith } from "./support/tell.ts"

const quick = process.argv.includes("--quick")
const tenantId = "22222222-2222-4222-8222-222222222222"
const begun = performance.now()
const redis = await startRedis()
const scope = Scope.makeUnsafe()
const proxyTo = () => Effect.runPromise(Scope.provide(faultyProxy(Number(new URL(redis.url).port)), scope))

const seconds = { before: 1, fault: 3, after: 4 }
const end = (seconds.before + seconds.fault + seconds.after) * 1000
const pause = (millis: number) => new Promise((resolve) => setTimeout(resolve, millis))

/** Calls every 20 ms, and returns when each began and how long it took. A call that has not ended by the end took until then. */
const underLoad = async (call: (index: number) => Promise<unknown>, proxy: Awaited<ReturnType<typeof proxyTo>>) => {
  const calls: Array<{ readonly at: number; took: number | undefined; failed: boolean }> = []
  const from = performance.now()
  const faults = (async () => {
    await pause(seconds.before * 1000)
    await Effect.runPromise(proxy.set("blackhole"))
    await pause(seconds.fault * 1000)
    await Effect.runPromise(proxy.set("pass"))
  })()
  while (performance.now() - from < end) {
    const at = performance.now() - from
    const entry: (typeof calls)[number] = { at, took: undefined, failed: false }
    calls.push(entry)
    call(calls.length).then(
      () => {
        entry.took = performance.now() - from - at
      },
      () => {
        entry.took = performance.now() - from - at
        entry.failed = true
      }
    )
    await pause(20)
  }
  await faults
  return calls.map(({ at, failed, took }) => ({
    at: at / 1000,
    took: took ?? end - at,
    isServed: took !== undefined && !failed
  }))
}

// -----------------------------------------------------------------------------
// a client without a guard
// -----------------------------------------------------------------------------

const plainProxy = await proxyTo()
const client = createClient({ url: `redis://127.0.0.1:${plainProxy.port}` }).on("error", () => {})
await client.connect()
await client.set("token", "x".repeat(1500))
const plain = await underLoad(() => client.get("token"), plainProxy)
client.destroy()

// -----------------------------------------------------------------------------
// effect-entra
// -----------------------------------------------------------------------------

const proxy = await proxyTo()
let requests = 0
const runtime = ManagedRuntime.make(
  ConfidentialClient.layer({ clientId, tenantId }).pipe(
    Layer.provide([
      credentialOf(undefined),
      AuthorityResolver.layer,
      TokenEndpoint.layer,
      // No memory, so that each call asks Redis.
      TokenCache.layerTiered({
        store: RedisStore.make({ url: `redis://127.0.0.1:${proxy.port}` }),
        keys: [Redacted.make("Zm9yIGEgYmVuY2htYXJrIG9ubHksIG5vdCBhIHNlY3JldCE=")],
        maxEntries: 0
      })
    ]),
    Layer.provide(transport((_url, form) => {
      requests++
      const access_token = tokenOf(tenantId, form().get("scope") ?? "", 1500)
      return JSON.stringify({ token_type: "Bearer", expires_in: 86_399, access_token })
    }))
  )
)
const service = await runtime.runPromise(ConfidentialClient.ConfidentialClient.useSync((client) => client))
const acquire = (index: number) =>
  runtime.runPromise(service.acquireToken({ scopes: `api://resource-${index % 5}/.default` }))
for (let index = 0; index < 5; index++) await acquire(index)
await pause(200)
const requestsBefore = requests
const ours = await underLoad(acquire, proxy)
const requestsDuring = requests - requestsBefore
await runtime.dispose()
await Effect.runPromise(Scope.close(scope, Exit.void))
redis.stop()

const slowest = (calls: typeof ours) => Math.round(Math.max(...calls.map(({ took }) => took)))
const served = (calls: typeof ours) => calls.filter(({ isServed }) => isServed).length
const row = (name: string, calls: typeof ours) => [name, calls.length, served(calls), slowest(calls)] as const
const points = (calls: typeof ours) => calls.map(({ at, took }) => [at, Math.max(0.05, took)] as const)

await finish({
  name: "faults",
  question: "What does a Redis that is cut off cost?",
  method: [
    `Calls every 20 ms for a token in Redis, through a proxy that drops all packets for ${seconds.fault} seconds and lets new`,
    "connections through afterwards. Ours has no memory (`maxEntries: 0`), so that each call asks Redis; with its memory no call",
    "for a token in it would notice. The token endpoint answers at once. The other is `await client.get(key)` of node-redis with its",
    "defaults. A call without an answer counts until the end of the run."
  ].join("\n"),
  quick,
  rounds: 1,
  seconds: Math.round((performance.now() - begun) / 1000),
  machine: machineWith(["effect", "redis"]),
  tables: [{
    title: "Calls during a black hole",
    columns: ["contender", "calls", "served", "slowest, ms"],
    rows: [
      [...row("effect-entra", ours)],
      [...row("node-redis without a guard", plain)]
    ],
    note: `Ours sent ${requestsDuring} token requests in place of Redis.`
  }],
  goals: [
    {
      goal: "every call gets its token",
      measured: `${served(ours)} of ${ours.length}`,
      passed: served(ours) === ours.length
    },
    {
      goal: "nobody waits longer than 300 ms",
      measured: `${slowest(ours)} ms`,
      passed: slowest(ours) < 300,
      timed: true
    }
  ],
  plots: [{
    file: "faults-blackhole",
    title: `Latency while Redis is cut off from second ${seconds.before} to second ${seconds.before + seconds.fault}`,
    kind: "line",
    x: { label: "seconds" },
    y: { label: "milliseconds", logarithmic: true },
    series: [
      { name: "effect-entra: acquireToken", points: points(ours) },
      { name: "node-redis: await client.get", points: points(plain) }
    ]
  }],
  watched: []
})
process.exit()
