/**
 * A token that another process has stored in Redis, fetched anew for each call. See README.md.
 *
 * node --conditions=@effect-entra/source --expose-gc bench/shared.ts [--quick]
 */
import { DistributedCachePlugin, type ICacheClient, type IPartitionManager } from "@azure/msal-node"
import { Effect, Layer, ManagedRuntime, Redacted } from "effect"
import { AuthorityResolver, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
import { RedisStore } from "effect-entra/node"
import { createDecipheriv, createSecretKey, randomBytes } from "node:crypto"
import { createClient } from "redis"
import { tokenOf } from "./support/keys.ts"
import { application, clientId, load, network } from "./support/msal.ts"
import { credentialOf, transport } from "./support/ours.ts"
import { startRedis } from "./support/redis.ts"
import type { Goal, Table } from "./support/result.ts"
import { finish, machineWith } from "./support/tell.ts"

const quick = process.argv.includes("--quick")
const rounds = quick ? 2 : 8
const calls = quick ? 300 : 2000
const tokenLength = 1500
const tenantId = "22222222-2222-4222-8222-222222222222"
const scopeOf = (index: number) => `api://resource-${index}/.default`
const begun = performance.now()
const redis = await startRedis()

/** Milliseconds of processor time, and the milliseconds of each call. */
interface Measured {
  readonly cpu: number
  readonly p50: number
  readonly p99: number
}

const measure = async (call: (index: number) => Promise<unknown>, times: number): Promise<Measured> => {
  for (let index = 0; index < times / 4; index++) await call(index)
  const laps: Array<number> = []
  globalThis.gc?.()
  const before = process.cpuUsage()
  for (let index = 0; index < times; index++) {
    const from = performance.now()
    await call(index)
    laps.push(performance.now() - from)
  }
  const { system, user } = process.cpuUsage(before)
  laps.sort((one, other) => one - other)
  const at = (share: number) => laps[Math.floor(laps.length * share)] ?? Number.NaN
  return { cpu: (system + user) / 1000 / times, p50: at(0.5), p99: at(0.99) }
}

/** Noise only ever adds. */
const best = (all: ReadonlyArray<Measured>): Measured => ({
  cpu: Math.min(...all.map(({ cpu }) => cpu)),
  p50: Math.min(...all.map(({ p50 }) => p50)),
  p99: Math.min(...all.map(({ p99 }) => p99))
})

// -----------------------------------------------------------------------------
// the floor: GET and opening
// -----------------------------------------------------------------------------

const client = createClient({ url: redis.url })
await client.connect()
const key = await crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, true, ["encrypt", "decrypt"])
const iv = new Uint8Array(randomBytes(12))
const sealed = await crypto.subtle.encrypt({ name: "AES-GCM", iv }, key, new TextEncoder().encode("x".repeat(1900)))
await client.set("floor", Buffer.from(sealed).toString("base64"))
const floor = async () => {
  const text = await client.get("floor")
  if (text === null) throw new Error("not stored")
  return await crypto.subtle.decrypt({ name: "AES-GCM", iv }, key, Buffer.from(text, "base64"))
}

/** The same, decrypted without another thread. */
const rawKey = createSecretKey(new Uint8Array(await crypto.subtle.exportKey("raw", key)))
const floorOfNode = async () => {
  const text = await client.get("floor")
  if (text === null) throw new Error("not stored")
  const bytes = Buffer.from(text, "base64")
  const cipher = createDecipheriv("aes-256-gcm", rawKey, iv)
  cipher.setAuthTag(bytes.subarray(-16))
  return Buffer.concat([cipher.update(bytes.subarray(0, -16)), cipher.final()])
}

// -----------------------------------------------------------------------------
// effect-entra
// -----------------------------------------------------------------------------

/** A client without a memory, so that each call asks Redis. */
const ours = async (tokens: number) => {
  const prefix = `ours-${tokens}:`
  const make = (cache: Partial<TokenCache.TieredOptions>) =>
    ManagedRuntime.make(
      ConfidentialClient.layer({ clientId, tenantId }).pipe(
        Layer.provide([
          credentialOf(undefined),
          AuthorityResolver.layer,
          TokenEndpoint.layerWith({ maxConcurrentRequests: 1000 }),
          TokenCache.layerTiered({
            store: RedisStore.make({ url: redis.url, prefix }),
            keys: [Redacted.make(randomKey)],
            ...cache
          })
        ]),
        Layer.provide(transport((_url, form) => {
          const access_token = tokenOf(tenantId, form().get("scope") ?? "", tokenLength)
          return JSON.stringify({ token_type: "Bearer", expires_in: 86_399, access_token })
        }))
      )
    )
  const requests = Array.from({ length: tokens }, (_, index) => ({ scopes: scopeOf(index) }))
  const writer = make({ maxEntries: tokens + 1, maxBytes: Infinity })
  await writer.runPromise(ConfidentialClient.prefetch(requests))
  for (let stored = 0; stored < tokens;) {
    await new Promise((resolve) => setTimeout(resolve, 20))
    stored = (await client.dbSize()) - sizeBefore
  }
  await writer.dispose()
  const reader = make({ maxEntries: 0 })
  const service = await reader.runPromise(ConfidentialClient.ConfidentialClient.useSync((client) => client))
  return {
    call: async (index: number) => {
      const result = await Effect.runPromise(service.acquireToken({ scopes: scopeOf((index * 7919) % tokens) }))
      if (result.metadata.cacheLevel !== "L2") throw new Error(`not from Redis: ${result.metadata.cacheLevel}`)
    },
    close: () => reader.dispose()
  }
}

const randomKey = randomBytes(32).toString("base64")
let sizeBefore = 0

// -----------------------------------------------------------------------------
// msal-node
// -----------------------------------------------------------------------------

const cacheClient: ICacheClient = {
  get: async (key) => (await client.get(key)) ?? "",
  set: async (key, value) => (await client.set(key, value)) ?? ""
}

const msal = async (tokens: number) => {
  const authority = `https://login.microsoftonline.com/${tenantId}`
  const first = { authority, tenantId, scope: scopeOf(0) }
  const access_token = tokenOf(tenantId, first.scope, tokenLength)
  const answer = () => JSON.stringify({ token_type: "Bearer", expires_in: 86_399, access_token })
  const filled = application(authority, undefined, network(answer))
  await filled.acquireTokenByClientCredential({ authority, scopes: [first.scope] })
  const keys = Array.from({ length: tokens }, (_, index) => ({ ...first, scope: scopeOf(index) }))
  load(filled, first, keys, tokenLength)
  const partition = `msal-${tokens}`
  await client.set(partition, filled.getTokenCache().serialize())
  const manager: IPartitionManager = { getKey: async () => partition, extractKey: async () => partition }
  const app = application(authority, undefined, network(answer), new DistributedCachePlugin(cacheClient, manager))
  return async (index: number) => {
    const scopes = [scopeOf((index * 7919) % tokens)]
    const result = await app.acquireTokenByClientCredential({ authority, scopes })
    if (result?.fromCache !== true) throw new Error("not from the cache")
  }
}

// -----------------------------------------------------------------------------
// result
// -----------------------------------------------------------------------------

const sizes = quick ? [1, 10, 1000] : [1, 10, 1000, 10_000, 100_000]
const peerSizes = [10, 1000]
const own = new Map<number, Awaited<ReturnType<typeof ours>>>()
for (const tokens of sizes) {
  sizeBefore = await client.dbSize()
  own.set(tokens, await ours(tokens))
}
const peers = new Map<number, Awaited<ReturnType<typeof msal>>>()
for (const tokens of peerSizes) peers.set(tokens, await msal(tokens))

const measured = new Map<string, Array<Measured>>()
const note = async (name: string, call: (index: number) => Promise<unknown>, times: number) => {
  measured.set(name, [...(measured.get(name) ?? []), await measure(call, times)])
}
for (let round = 0; round < rounds; round++) {
  await note("GET and opening", floor, calls)
  await note("GET and opening, node:crypto", floorOfNode, calls)
  for (const [tokens, { call }] of own) await note(`effect-entra, ${tokens}`, call, calls)
  for (const [tokens, call] of peers) {
    await note(`@azure/msal-node, ${tokens}`, call, tokens === 10 ? calls : calls / 20)
  }
}
for (const { close } of own.values()) await close()
client.destroy()
redis.stop()

const of = (name: string): Measured => best(measured.get(name) ?? [])
const base = of("GET and opening")
const baseOfNode = of("GET and opening, node:crypto")
const one = of("effect-entra, 1")
const ourThousand = of("effect-entra, 1000")
const peerThousand = of("@azure/msal-node, 1000")
const ourTen = of("effect-entra, 10")
const peerTen = of("@azure/msal-node, 10")
const all = sizes.map((tokens) => of(`effect-entra, ${tokens}`).cpu)
const spread = Math.max(...all) / Math.min(...all)
const twice = (value: number) => Math.round(value * 100) / 100

const goals: ReadonlyArray<Goal> = [
  {
    goal: "a token from Redis takes at most 1.6 times a GET and opening, median",
    measured: `${twice(one.p50 / base.p50)}`,
    passed: one.p50 <= 1.6 * base.p50,
    timed: true
  },
  {
    goal: "and at most 3 times, 99th percentile",
    measured: `${twice(one.p99 / base.p99)}`,
    passed: one.p99 <= 3 * base.p99,
    timed: true
  },
  {
    goal: "the same with the cryptography of Node in the floor too",
    measured: `${twice(one.p50 / baseOfNode.p50)} and ${twice(one.p99 / baseOfNode.p99)}`
  },
  {
    goal: "processor time at most a fiftieth of msal-node's, 1,000 tokens in a tenant",
    measured: `1 / ${Math.round(peerThousand.cpu / ourThousand.cpu)}`,
    passed: ourThousand.cpu * 50 <= peerThousand.cpu,
    timed: true
  },
  {
    goal: "and less than msal-node's, 10 tokens",
    measured: `${twice(ourTen.cpu / peerTen.cpu)} times`,
    passed: ourTen.cpu < peerTen.cpu,
    timed: true
  },
  {
    goal: `processor time the same from 1 to ${sizes.at(-1)?.toLocaleString("en")} tokens, within 20 %`,
    measured: `${twice(spread)}`,
    passed: spread <= 1.2,
    timed: true
  }
]

const table: Table = {
  title: "One token from Redis",
  columns: ["contender, tokens in the tenant", "median, ms", "99 %, ms", "processor time, ms"],
  rows: [...measured.keys()].map((name) => {
    const { cpu, p50, p99 } = of(name)
    return [name, Math.round(p50 * 1000) / 1000, Math.round(p99 * 1000) / 1000, Math.round(cpu * 1000) / 1000]
  })
}

await finish({
  name: "shared",
  question: "What does a token from Redis cost?",
  method: [
    "One call after the other over loopback, by node-redis. Ours has no memory (`maxEntries: 0`), so that each call looks",
    "into Redis: value and remaining time in one round trip, AES-GCM, JSON. The floor is a `GET` of a value of the same size",
    "and its decryption by WebCrypto; ours uses Node's cryptography, so that floor is told too. msal-node has its `DistributedCachePlugin` with one partition for the tenant, unencrypted. Processor",
    `time is that of the whole process per call. Best of ${rounds} interleaved rounds.`
  ].join("\n"),
  quick,
  rounds,
  seconds: Math.round((performance.now() - begun) / 1000),
  machine: machineWith(["effect", "@azure/msal-node", "redis"]),
  tables: [table],
  goals,
  plots: [{
    file: "shared-cpu",
    title: "Processor time of a token from Redis",
    kind: "line",
    x: { label: "tokens in the tenant", logarithmic: true },
    y: { label: "milliseconds", logarithmic: true },
    series: [
      { name: "effect-entra", points: sizes.map((tokens) => [tokens, of(`effect-entra, ${tokens}`).cpu] as const) },
      {
        name: "@azure/msal-node",
        points: peerSizes.map((tokens) => [tokens, of(`@azure/msal-node, ${tokens}`).cpu] as const)
      }
    ]
  }],
  watched: [
    { name: "shared: median of a token from Redis to GET and opening", kind: "ratio", value: one.p50 / base.p50 }
  ]
})
