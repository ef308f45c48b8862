/**
 * A multi-tenant service under load for an hour of its own time. See README.md.
 *
 * node --conditions=@effect-entra/source bench/sustained.ts [--quick]
 */
import { DateTime, Duration, Effect, Layer, ManagedRuntime, Redacted, Schema } from "effect"
import { AuthorityResolver, ClientCredential, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { text } from "node:stream/consumers"
import { fileURLToPath } from "node:url"
import * as Clocks from "./support/clocks.ts"
import { ageing, type Distribution, openLoop, tenantAt, tenantsOf } from "./support/load.ts"
import * as Provider from "./support/provider.ts"
import type { Goal } from "./support/result.ts"
import { finish, machineWith } from "./support/tell.ts"

const quick = process.argv.includes("--quick")
const seconds = quick ? 6 : 75
const times = 60
const tenants = 5_000
const tenantIds = Array.from({ length: tenants }, (_, index) => tenantAt(index))
const perSecond = 10_000
const latency = 20
const lifetime = 3_600_000
const scope = "https://graph.microsoft.com/.default"

const begun = performance.now()

// -----------------------------------------------------------------------------
// effect-entra
// -----------------------------------------------------------------------------

/** The first tokens are of every age, as those of a service that runs for hours. */
const provider = Provider.make({
  latency,
  expiresIn: (request) => request <= tenants ? ageing(request) : lifetime / 1000
})
const { clock, hurry, layer } = Clocks.faster(times)
const runtime = ManagedRuntime.make(
  ConfidentialClient.layer({
    clientId: "11111111-1111-4111-8111-111111111111",
    renewal: { maxWait: Duration.seconds(2 * times) }
  }).pipe(
    Layer.provide([
      ClientCredential.layerSecret(Redacted.make("a-secret")),
      AuthorityResolver.layer,
      // The provider answers in real time, so what waits for it has its usual patience in real time too.
      TokenEndpoint.layerWith({
        attemptTimeout: Duration.seconds(10 * times),
        budget: Duration.seconds(30 * times)
      }),
      TokenCache.layerMemory()
    ]),
    Layer.provide([Provider.layer(provider), layer])
  )
)
const client = await runtime.runPromise(ConfidentialClient.ConfidentialClient)

const order = tenantsOf(tenants, 1 << 20)
/** The requests of a cache that acquires a token again after its expiry, or once when it is used and due for refresh. */
const needed = { atTheEnd: 0, whenDue: 0 }
const ends = new Float64Array(tenants)
const dueOn = new Float64Array(tenants)
/** Of the newest token that was seen of each tenant. */
const endsOn = new Float64Array(tenants)
const usableUntil = new Float64Array(tenants)
const waits = { all: 0, needless: 0, expired: 0 }

const note = (tenant: number, end: number, due: number): void => {
  endsOn[tenant] = end
  dueOn[tenant] = due
  // Five minutes or a tenth of its life before the end, whichever is less; times are whole seconds.
  usableUntil[tenant] = end - 300_000 - 1000
}

const call = async (index: number): Promise<boolean> => {
  const tenant = order[index % order.length] ?? 0
  const now = clock.currentTimeMillisUnsafe()
  if (now >= (ends[tenant] ?? 0)) {
    needed.atTheEnd++
    ends[tenant] = now + lifetime
  }
  if (now >= (dueOn[tenant] ?? 0)) {
    needed.whenDue++
    // Until its successor is seen.
    dueOn[tenant] = Infinity
  }
  const usable = now < (usableUntil[tenant] ?? 0)
  const { expiresOn, metadata, refreshOn } = await Effect.runPromise(
    client.acquireToken({ scopes: scope, tenantId: tenantIds[tenant] })
  )
  const end = DateTime.toEpochMillis(expiresOn)
  if (end <= now) waits.expired++
  if (end > (endsOn[tenant] ?? 0)) note(tenant, end, DateTime.toEpochMillis(refreshOn))
  const hit = metadata.tokenSource === "Cache"
  if (!hit) {
    waits.all++
    if (usable) waits.needless++
  }
  return hit
}

const fillingBegun = performance.now()
await runtime.runPromise(
  Effect.forEach(
    tenantIds,
    (tenantId, tenant) =>
      Effect.map(client.acquireToken({ scopes: scope, tenantId }), ({ expiresOn, refreshOn }) => {
        const end = DateTime.toEpochMillis(expiresOn)
        note(tenant, end, DateTime.toEpochMillis(refreshOn))
        ends[tenant] = end
      }),
    { concurrency: 50, discard: true }
  )
)
const filling = (performance.now() - fillingBegun) / 1000
if (provider.requests() !== tenants) throw new Error(`${provider.requests()} requests filled the cache`)

/** The figures of the generator and the machine alone. */
const idle = await openLoop({ perSecond, seconds: quick ? 2 : 15, call: async () => true })
const before = await runtime.runPromise(client.stats)
hurry()
const load = await openLoop({ perSecond, seconds, call })
const after = await runtime.runPromise(client.stats)
const [hits, misses] = [after.hits - before.hits, after.misses - before.misses]
const requests = provider.requests() - tenants
await runtime.dispose()

// -----------------------------------------------------------------------------
// msal-node
// -----------------------------------------------------------------------------

const Distributed = Schema.Struct({
  calls: Schema.Finite,
  p50: Schema.Finite,
  p90: Schema.Finite,
  p99: Schema.Finite,
  p999: Schema.Finite,
  max: Schema.Finite
})
const Child = Schema.fromJsonString(Schema.Struct({
  all: Distributed,
  hits: Distributed,
  loop: Distributed,
  seconds: Schema.Finite,
  each: Schema.Finite,
  perSecond: Schema.Finite,
  requests: Schema.Finite
}))

const child = spawn(
  process.execPath,
  [
    ...process.execArgv,
    fileURLToPath(new URL("support/sustained-msal.ts", import.meta.url)),
    ...[tenants, quick ? 4 : 30, times, latency].map(String)
  ],
  { stdio: ["ignore", "pipe", "inherit"] }
)
const [printed, [status]] = await Promise.all([text(child.stdout), once(child, "close")])
if (status !== 0) throw new Error(`msal-node's process ended with ${status}`)
const msal = Schema.decodeUnknownSync(Child)(printed)

// -----------------------------------------------------------------------------
// result
// -----------------------------------------------------------------------------

const simulated = Math.round(load.seconds * times / 60)
const calls = load.all.calls.toLocaleString("en")

const goals: ReadonlyArray<Goal> = [
  {
    goal: "no call waits while its tenant has a usable token",
    measured: `${waits.needless} of ${calls}`,
    passed: waits.needless === 0
  },
  { goal: "no expired token is handed out", measured: `${waits.expired} of ${calls}`, passed: waits.expired === 0 },
  {
    goal: "one request for each token that is used when it is due (1 % tolerated: the clock is read twice)",
    measured: `${requests.toLocaleString("en")} requests, ${needed.whenDue.toLocaleString("en")} tokens`,
    passed: requests <= needed.whenDue * 1.01
  },
  {
    goal: "the rate is kept",
    measured: `${Math.round(load.all.calls / load.seconds).toLocaleString("en")} calls a second of ${
      perSecond.toLocaleString("en")
    }`
  },
  { goal: "hit rate", measured: `${(100 * hits / (hits + misses)).toFixed(3)} %` },
  {
    goal: "msal-node at half of what it can do",
    measured: `${Math.round(msal.perSecond)} calls a second, ${msal.each.toFixed(1)} ms each while nothing else runs`
  }
]

const rowOf = (name: string, { calls, max, p50, p90, p99, p999 }: Distribution) => [
  name,
  calls,
  ...[p50, p90, p99, p999, max].map((millis) => Number(millis.toPrecision(3)))
]

await finish({
  name: "sustained",
  question: "How does it behave under sustained load, with thousands of tenants?",
  method: [
    `${
      tenants.toLocaleString("en")
    } tenants, popular by Zipf's law (exponent 1); tokens of one hour; a clock that runs`,
    `${times} times faster (a \`Clock\` given when the layers are built; msal-node's \`Date\`), so that ${simulated} minutes`,
    `pass; the provider answers after ${latency} ms of real time, which are ${
      latency * times / 1000
    } s of that clock. The`,
    `cache holds a token of each tenant, of any age, when the load begins (acquired in ${filling.toFixed(1)} s).`,
    "",
    `Open loop: ${
      perSecond.toLocaleString("en")
    } calls a second at times fixed before, each by \`Effect.runPromise\`, measured`,
    "from the time it was meant to begin, so that a pause counts for every call that it holds up. The generator runs on the",
    "same thread; its own row is what it measures of calls that do nothing. `msal-node` has a process of its own, a cache that was filled by `deserialize`, and half of the rate that",
    "it can do."
  ].join("\n"),
  quick,
  rounds: 1,
  seconds: Math.round((performance.now() - begun) / 1000),
  machine: machineWith(["effect", "@azure/msal-node"]),
  tables: [
    {
      title: "Latency in ms",
      columns: ["calls", "number", "p50", "p90", "p99", "p99.9", "max"],
      rows: [
        rowOf("the generator alone", idle.all),
        rowOf("effect-entra, all", load.all),
        rowOf("effect-entra, from the cache", load.hits),
        rowOf("@azure/msal-node, all", msal.all),
        rowOf("@azure/msal-node, from the cache", msal.hits)
      ]
    },
    {
      title: "Delay of the event loop in ms, asked by a timer of 1 ms",
      columns: ["process", "asked", "p50", "p90", "p99", "p99.9", "max"],
      rows: [
        rowOf("the generator alone", idle.loop),
        rowOf("effect-entra", load.loop),
        rowOf("@azure/msal-node", msal.loop)
      ]
    },
    {
      title: "effect-entra: requests and answers",
      columns: ["what", "number"],
      rows: [
        ["requests to the provider", requests],
        ["  of these in the background", after.refreshes - before.refreshes],
        ["tokens that were used when they were due or ended", needed.whenDue],
        ["requests that are needed when callers wait for each renewal", needed.atTheEnd],
        ["calls that waited for the provider", waits.all],
        ["  of these with a usable token", waits.needless],
        ["entries at the end", after.entries],
        ["hit rate, %", 100 * hits / (hits + misses)],
        ["@azure/msal-node: calls a second", msal.perSecond],
        ["@azure/msal-node: requests to the provider", msal.requests]
      ]
    }
  ],
  goals,
  plots: [
    {
      file: "sustained-latency",
      title: `Latency at ${perSecond.toLocaleString("en")} calls a second (msal-node: ${Math.round(msal.perSecond)})`,
      kind: "bar",
      x: { label: "percentile" },
      y: { label: "ms", logarithmic: true },
      series: [["effect-entra", load.all] as const, ["@azure/msal-node", msal.all] as const].map(([name, of]) => ({
        name,
        points: [["p50", of.p50], ["p90", of.p90], ["p99", of.p99], ["p99.9", of.p999], ["max", of.max]] as const
      }))
    }
  ],
  watched: [
    { name: "sustained: requests per token that was used when due", kind: "count", value: requests / needed.whenDue },
    { name: "sustained: calls that waited needlessly", kind: "count", value: waits.needless }
  ]
})
