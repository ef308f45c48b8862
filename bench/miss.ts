/**
 * The cost of a token request without the network: effect-entra and the peers. See README.md.
 *
 * node --conditions=@effect-entra/source --expose-gc bench/miss.ts [--quick]
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { Effect, Redacted, Schema } from "effect"
import { TestCertificate } from "effect-entra/testing"
import { FetchHttpClient } from "effect/http"
import { fork } from "node:child_process"
import { once } from "node:events"
import * as tls from "node:tls"
import { fileURLToPath } from "node:url"
import * as Certificate from "./support/certificate.ts"
import * as Heap from "./support/heap.ts"
import { type Contender, measure, type Measured, percentile } from "./support/measure.ts"
import * as Misses from "./support/misses.ts"
import { transport } from "./support/ours.ts"
import type { Goal, Table, Watched } from "./support/result.ts"
import { finish, machineWith } from "./support/tell.ts"

const quick = process.argv.includes("--quick")
const rounds = quick ? 5 : 12
const budget = quick ? 10 : 60
const begun = performance.now()
const { names, publicOrigin } = Misses

// -----------------------------------------------------------------------------
// without network
// -----------------------------------------------------------------------------

const secret: Misses.Proof = { name: "secret", certificate: undefined }
const rsa: Misses.Proof = { name: "RSA", certificate: await Certificate.make("RSA") }
const ec: Misses.Proof = { name: "EC", certificate: await Certificate.make("EC") }

const groupOf = ({ name }: Misses.Proof, cached: number): string => `${name}, ${cached.toLocaleString("en")} cached`
const alone = "transport alone"

const sizesOf = (proof: Misses.Proof): ReadonlyArray<number> =>
  quick ? (proof === secret ? [0, 10_000] : [0]) : [0, 1_000, 10_000]

/** Filling it takes a request for each, and those take the longer the more there are. */
const identityUpTo = quick ? 0 : 1_000

const subjects: Array<Misses.Subject> = [...Misses.transportsAlone(alone)]
for (const proof of [rsa, ec]) subjects.push(await Misses.signature(groupOf(proof, 0), proof))
for (const proof of [secret, rsa, ec]) {
  for (const cached of sizesOf(proof)) {
    const group = groupOf(proof, cached)
    const options = { cached, origin: publicOrigin }
    subjects.push(await Misses.ours(group, proof, transport(Misses.answerLong), options))
    // Both sign with RSA alone.
    if (proof !== ec) {
      subjects.push(await Misses.msal(group, proof, options))
      if (cached <= identityUpTo) subjects.push(await Misses.identity(group, proof, options))
    }
    if (cached === 0) subjects.push(await Misses.openid(group, proof, options))
  }
}

/** About a millisecond; a miss of msal-node takes the longer the more tokens there are. */
const operationsOf = ({ group, name }: Misses.Subject): number =>
  group === alone ? 100 : !group.includes(" 0 cached") && name !== names.ours ? 1 : group.startsWith("secret") ? 25 : 5

const contenders: ReadonlyArray<Contender> = subjects.map((subject) =>
  Misses.contenderOf(subject, operationsOf(subject))
)
const inProcess = await measure(contenders, { rounds, budget, atLeast: 3, laps: true })
await Promise.all(subjects.map(({ close }) => close()))

const find = (group: string, name: string): Measured | undefined =>
  inProcess.find((measured) => measured.group === group && measured.name === name)

const bestOf = (group: string, name: string): number => {
  const found = find(group, name)
  if (found === undefined) throw new Error(`not measured: ${name}, ${group}`)
  return found.best
}

/** Returns the time of one signature if the library signs for every request, otherwise 0. */
const signingOf = (proof: Misses.Proof, name: string): number =>
  proof === secret || name === names.msal || name === names.identity
    ? 0
    : bestOf(groupOf(proof, 0), "signing alone, WebCrypto")

const overhead = (proof: Misses.Proof, cached: number, name: string): number =>
  bestOf(groupOf(proof, cached), name) - bestOf(alone, name) - signingOf(proof, name)

/** Returns the time of a miss without its transport, right after a full collection. */
const overheadAfter = (when: Misses.Collection, name: string): number =>
  bestAfter("miss", when, name) - bestAfter("alone", when, name)

const Collected = Schema.fromJsonString(
  Schema.Array(Schema.Struct({ name: Schema.String, group: Schema.String, best: Schema.Finite }))
)
// What a collection clears depends on what else a process has run, so each of these has processes of its own.
const collected = Misses.collections.flatMap((when) =>
  Array.from(
    { length: quick ? 1 : 5 },
    () => Schema.decodeUnknownSync(Collected)(Heap.run("missCollected.ts", [when, quick ? "2" : "12"]))
  ).flat()
)

/** Returns the best time of all processes. */
const bestAfter = (group: string, when: Misses.Collection, name: string): number =>
  Math.min(
    ...collected.filter((one) => one.group === `${group}, ${when}` && one.name === name).map(({ best }) => best)
  )

const microseconds = (nanoseconds: number): number => Math.round(nanoseconds / 100) / 10

const tables: Array<Table> = []
for (const proof of [secret, rsa, ec]) {
  tables.push({
    title: `Without network, ${proof.name}`,
    columns: ["cached", "library", "p50, us", "p99, us", "its transport alone, us", "signing, us", "overhead, us"],
    rows: [0, 1_000, 10_000].flatMap((cached) =>
      Object.values(names).flatMap((name) => {
        const measured = find(groupOf(proof, cached), name)
        return measured === undefined ? [] : [[
          cached.toLocaleString("en"),
          name,
          microseconds(measured.best),
          microseconds(measured.p99),
          microseconds(bestOf(alone, name)),
          microseconds(signingOf(proof, name)),
          microseconds(overhead(proof, cached, name))
        ]]
      })
    ),
    note: proof === ec
      ? "msal-node and @azure/identity sign with RSA alone."
      : proof === rsa
      ? "msal-node and @azure/identity sign once in ten minutes as long as the tenant stays the same, and send that assertion again; ours and openid-client sign for each request. So with one tenant and nothing cached their p50 is the smaller one."
      : "openid-client has no cache, so it has no lookup, no flight, no gate and nothing to store: where it is below ours, that is what those cost."
  })
}

tables.push({
  title: "Right after a full collection, secret, nothing cached",
  columns: ["collection", "library", "125 misses, us each", "its transport alone, us", "overhead, us"],
  rows: Misses.collections.flatMap((when) =>
    [names.ours, names.msal].map((name) => [
      when,
      name,
      microseconds(bestAfter("miss", when, name)),
      microseconds(bestAfter("alone", when, name)),
      microseconds(overheadAfter(when, name))
    ])
  ),
  note: [
    "The first misses after a full collection cost more, because the collection clears the compiled code that was made for",
    "objects of which none is alive. The engine itself starts a collection during an allocation, so while something runs.",
    "A thousand misses before each collection make the program warm; each time is the best of five processes."
  ].join(" ")
})

// -----------------------------------------------------------------------------
// bytes
// -----------------------------------------------------------------------------

const Allocated = Schema.fromJsonString(
  Schema.Array(Schema.Struct({ name: Schema.String, group: Schema.String, bytes: Schema.Finite }))
)
const allocated = Schema.decodeUnknownSync(Allocated)(Heap.runCounting("missAllocations.ts"))
const bytesOf = (group: string, name: string): number => {
  const found = allocated.find((one) => one.group === group && one.name === name)
  if (found === undefined) throw new Error(`not counted: ${name}, ${group}`)
  return found.bytes
}
const kilobytes = (bytes: number): number => Math.round(bytes / 100) / 10

tables.push({
  title: "Bytes that a miss allocates, secret, nothing cached",
  columns: ["library", "kB", "its transport alone, kB"],
  rows: [names.ours, names.msal].map((name) => [
    name,
    kilobytes(bytesOf("miss", name)),
    kilobytes(bytesOf("alone", name))
  ])
})

// -----------------------------------------------------------------------------
// a call whose token is due
// -----------------------------------------------------------------------------

const { due, fresh } = await Misses.dueCalls(quick ? 500 : 5_000)

tables.push({
  title: "A call whose token is due, in a fiber",
  columns: ["call", "p50, us", "p99, us"],
  rows: [["due: it starts a refresh", due] as const, ["fresh", fresh] as const].map(([name, times]) => [
    name,
    microseconds(percentile(times, 0.5)),
    microseconds(percentile(times, 0.99))
  ]),
  note: "Each call is timed by itself, so reading the timer is in it. Its refresh runs after it, on the same thread."
})

// -----------------------------------------------------------------------------
// over loopback https
// -----------------------------------------------------------------------------

const Listening = Schema.Struct({ port: Schema.Finite })

const authority = await Effect.runPromise(TestCertificate.makeChain({ subjectAltNames: ["localhost", "127.0.0.1"] }))
tls.setDefaultCACertificates([...tls.getCACertificates("default"), authority.authority])
const server = fork(fileURLToPath(new URL("support/loopback.ts", import.meta.url)), { execArgv: [] })
server.send({ key: Redacted.value(authority.privateKey), cert: authority.certificate, answer: Misses.short })
const [told]: ReadonlyArray<unknown> = await once(server, "message")
const origin = `https://localhost:${Schema.decodeUnknownSync(Listening)(told).port}`

const loopback = "loopback https"
const over = { cached: 0, origin }
const overHttps = [
  await Misses.ours(loopback, secret, FetchHttpClient.layer, { ...over, name: "effect-entra, fetch" }),
  await Misses.ours(loopback, secret, NodeHttpClient.layerUndici, { ...over, name: "effect-entra, undici" }),
  await Misses.ours(loopback, secret, NodeHttpClient.layerNodeHttpOptions({ keepAlive: true }), {
    ...over,
    name: "effect-entra, node:http with keep-alive"
  }),
  await Misses.msal(loopback, secret, over),
  await Misses.identity(loopback, secret, over),
  await Misses.openid(loopback, secret, over)
]
const httpsMeasured = await measure(overHttps.map((subject) => Misses.contenderOf(subject, 10)), {
  rounds,
  budget: budget * 3,
  atLeast: 3,
  laps: true
})
await Promise.all(overHttps.map(({ close }) => close()))
server.disconnect()

tables.push({
  title: "Over loopback https with keep-alive, secret",
  columns: ["library and transport", "p50, us", "p99, us"],
  rows: httpsMeasured.map(({ best, name, p99 }) => [
    name === names.identity ? `${name}, node:https` : name.startsWith(names.ours) ? name : `${name}, fetch`,
    microseconds(best),
    microseconds(p99)
  ]),
  note: "Each peer on the transport that it has by itself. The server is another process of this machine."
})

// -----------------------------------------------------------------------------
// result
// -----------------------------------------------------------------------------

const [empty, full] = [0, 10_000].map((cached) => ({
  ours: overhead(secret, cached, names.ours),
  msal: overhead(secret, cached, names.msal)
}))
if (empty === undefined || full === undefined) throw new Error("not measured")

const goals: ReadonlyArray<Goal> = [
  {
    goal: "overhead of a miss beyond transport, empty cache, below msal-node's",
    measured: `${microseconds(empty.ours)} us, msal-node ${microseconds(empty.msal)} us`,
    passed: empty.ours < empty.msal,
    timed: true
  },
  {
    goal: "overhead of a miss beyond transport, empty cache, at most 40 us on a quiet machine",
    measured: `${microseconds(empty.ours)} us`
  },
  {
    goal: "overhead of a miss beyond transport, empty cache, at most 0.8 times msal-node's",
    measured: `${(empty.ours / empty.msal).toFixed(2)} times`,
    passed: empty.ours <= 0.8 * empty.msal,
    timed: true
  },
  ...Misses.collections.map((when) => {
    const [own, theirs] = [overheadAfter(when, names.ours), overheadAfter(when, names.msal)]
    return {
      goal: `the same right after a full collection ${when}, at most 1.25 times msal-node's`,
      measured: `${(own / theirs).toFixed(2)} times (${microseconds(own)} us, ${microseconds(theirs)} us)`,
      passed: own <= 1.25 * theirs,
      timed: true
    }
  }),
  {
    goal: "a miss allocates at most 62 kB, the transport included",
    measured: `${kilobytes(bytesOf("miss", names.ours))} kB, msal-node ${kilobytes(bytesOf("miss", names.msal))} kB`,
    passed: bytesOf("miss", names.ours) <= 62_000
  },
  {
    goal: "a call whose token is due returns within 10 us (p50)",
    measured: `${microseconds(percentile(due, 0.5))} us`,
    passed: percentile(due, 0.5) <= 10_000,
    timed: true
  },
  {
    goal: "overhead of a miss beyond transport, 10,000 tokens cached, below msal-node's",
    measured: `${microseconds(full.ours)} us, msal-node ${microseconds(full.msal)} us`,
    passed: full.ours < full.msal
  },
  {
    goal: "overhead of a miss with 10,000 tokens cached the same as with none (25 % tolerated as noise)",
    measured: `${microseconds(full.ours)} us, with none ${microseconds(empty.ours)} us`,
    passed: full.ours <= empty.ours * 1.25,
    timed: true
  }
]

const watched: ReadonlyArray<Watched> = [
  { name: "miss overhead of msal-node's, empty cache", kind: "ratio", value: empty.ours / empty.msal },
  { name: "miss overhead of msal-node's, 10,000 cached", kind: "ratio", value: full.ours / full.msal },
  { name: "miss: kB allocated", kind: "count", value: kilobytes(bytesOf("miss", names.ours)) }
]

await finish({
  name: "miss",
  question: "What does a token request cost beside the network?",
  method: [
    "One request after the other, each awaited as a promise, in interleaved rounds; p50 is the least of the rounds' medians,",
    "p99 of single requests of all rounds. In the first tables the transport is in the process and answers at once:",
    "effect-entra over an `HttpClient` of ours, msal-node by `system.networkClient`, @azure/identity by `httpClient` (its",
    "whole pipeline still runs), openid-client by `customFetch`. Each of those is also timed by itself, up to the parsed",
    "answer, and taken off, and so is one WebCrypto signature where the library signs for each request: what is left is the",
    "library's own. Ours misses by `forceRefresh`; msal-node and @azure/identity because the answer's `expires_in` of 100 is",
    "below their 300 seconds. Msal-node's cache is loaded with `deserialize`; @azure/identity's has to be filled by requests,",
    `so it stands beside up to ${identityUpTo.toLocaleString("en")} tokens only.`
  ].join(" "),
  quick,
  rounds,
  seconds: Math.round((performance.now() - begun) / 1000),
  machine: machineWith(["effect", "@azure/msal-node", "@azure/identity", "openid-client"]),
  tables,
  goals,
  plots: [
    {
      file: "miss-cached",
      title: "A miss without network by the number of tokens cached, secret",
      kind: "bar",
      x: { label: "tokens cached" },
      y: { label: "us per miss (p50)", logarithmic: true },
      series: Object.values(names).map((name) => ({
        name,
        points: [0, 1_000, 10_000].flatMap((cached) => {
          const measured = find(groupOf(secret, cached), name)
          return measured === undefined ? [] : [[cached.toLocaleString("en"), microseconds(measured.best)] as const]
        })
      }))
    },
    {
      file: "miss-https",
      title: "A miss over loopback https with keep-alive, secret",
      kind: "bar",
      x: { label: "" },
      y: { label: "us per miss" },
      series: [
        { name: "p50", points: httpsMeasured.map(({ best, name }) => [name, microseconds(best)] as const) },
        { name: "p99", points: httpsMeasured.map(({ name, p99 }) => [name, microseconds(p99)] as const) }
      ]
    }
  ],
  watched
})
