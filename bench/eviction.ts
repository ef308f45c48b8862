/**
 * How well the cache chooses what to give up: hit rates on traces, of our cache and of the policies that it could have had.
 *
 * node --conditions=@effect-entra/source bench/eviction.ts [--quick]
 */
import { Redacted } from "effect"
import { CachedToken } from "../src/internal/cache/cachedToken.ts"
import * as Memory from "../src/internal/cache/memoryStore.ts"
import { nanoseconds, percentile } from "./support/measure.ts"
import { lru, optimum, type Policy, sieve, tinyLfu } from "./support/policies.ts"
import { uniform, zipf } from "./support/random.ts"
import type { Goal, Table } from "./support/result.ts"
import { finish, machineWith } from "./support/tell.ts"

const quick = process.argv.includes("--quick")
const accesses = quick ? 60_000 : 400_000
const popular = 50_000
const capacities = [500, 5_000] as const

// -----------------------------------------------------------------------------
// traces
// -----------------------------------------------------------------------------

interface Trace {
  readonly name: string
  readonly what: string
  readonly make: (random: () => number) => (at: number) => number
}

/** Keys that no other part of a trace uses. */
const strangers = 1_000_000

const traces: ReadonlyArray<Trace> = [
  {
    name: "Zipf 0.8",
    what: "50,000 keys, the n-th as popular as 1/n^0.8",
    make: (random) => zipf(popular, 0.8, random)
  },
  { name: "Zipf 1.0", what: "the same with 1/n", make: (random) => zipf(popular, 1, random) },
  {
    name: "Zipf with scans",
    what: "Zipf 0.9; at times every other access goes to the next of 15,000 keys that are never used again",
    make: (random) => {
      const next = zipf(popular, 0.9, random)
      let stranger = strangers
      return (at) => at % 50_000 < 30_000 && at % 2 === 1 ? stranger++ : next()
    }
  },
  {
    name: "loop",
    what: "8,000 keys one after the other, again and again, as a nightly job goes through its tenants",
    make: () => (at) => at % 8_000
  },
  {
    name: "shifting",
    what: "Zipf 1.0, and which keys are popular changes ten times",
    make: (random) => {
      const next = zipf(popular, 1, random)
      return (at) => (next() + Math.floor((at * 10) / accesses) * 7_919) % popular
    }
  },
  {
    name: "mixed",
    what: "60 % shifting Zipf, 20 % a loop over 6,000 keys, 20 % keys that are never used again",
    make: (random) => {
      const next = zipf(popular, 1, random)
      let stranger = strangers
      return (at) => {
        const part = random()
        if (part < 0.6) return (next() + Math.floor((at * 6) / accesses) * 5_003) % popular
        return part < 0.8 ? 200_000 + (at % 6_000) : stranger++
      }
    }
  }
]

// -----------------------------------------------------------------------------
// ours
// -----------------------------------------------------------------------------

const token = {
  secret: Redacted.make("a-token"),
  tokenType: "Bearer",
  issuedAt: 0,
  expiresOn: 1e9,
  refreshOn: undefined,
  scopes: ["s"],
  tenantId: "t",
  authority: "a",
  tokenEndpoint: "e",
  correlationId: "c"
}
const times = { issuedAt: 0, refreshOn: 1e9, usableUntil: 1e9, expiresOn: 1e9 }

/** The cache itself, as a client uses it: a look, and on a miss a store. */
const cacheOf =
  (name: string, placeOf: (key: string) => { readonly tenant: string; readonly scopes: string }) =>
  (capacity: number): Policy => {
    const memory = Memory.make({ maxEntries: capacity, maxBytes: Infinity })
    return {
      name,
      access: (key) => {
        const { scopes, tenant } = placeOf(String(key))
        const entry = memory.peek("space", tenant, scopes)
        if (entry === undefined) memory.store(new CachedToken({ space: "space", tenant, scopes }, token, times), 0)
        else entry.touch()
        if (memory.usage.entries > capacity) throw new Error("the bound was exceeded")
        return entry !== undefined
      }
    }
  }

const ours = cacheOf("effect-entra (S3-FIFO)", (tenant) => ({ tenant, scopes: "s" }))
const oursInOneTenant = cacheOf("effect-entra, all tokens of one tenant", (scopes) => ({ tenant: "t", scopes }))

// -----------------------------------------------------------------------------
// measuring
// -----------------------------------------------------------------------------

const hitRate = (policy: Policy, trace: Int32Array): number => {
  let hits = 0
  for (const key of trace) if (policy.access(key)) hits++
  return hits / trace.length
}

const begun = performance.now()
const rows = traces.flatMap(({ make, name }) => {
  const trace = Int32Array.from({ length: accesses }, (_, at) => at)
  const next = make(uniform(42))
  for (const at of trace.keys()) trace[at] = next(at)
  return capacities.map((capacity) => {
    const rates = [ours, lru, sieve, tinyLfu].map((policy) => {
      const made = policy(capacity)
      return { policy: made.name, rate: hitRate(made, trace) }
    })
    const best = optimum(trace, capacity)
    return { trace: name, capacity, rates: [...rates, { policy: "optimum", rate: best }] }
  })
})

// -----------------------------------------------------------------------------
// time
// -----------------------------------------------------------------------------

const sizes = quick ? [1_000, 10_000] : [1_000, 10_000, 100_000]

/** Nanoseconds that the store of a new key takes in a full cache: the median of eight rounds. */
const timeOf = (policy: Policy, size: number): number => {
  let key = 0
  const store = (times: number): number => {
    const begun = nanoseconds()
    for (let left = times; left > 0; left--) policy.access(key++)
    return (nanoseconds() - begun) / times
  }
  store(2.3 * size)
  return percentile(Array.from({ length: 8 }, () => store(Math.min(size, 20_000))), 0.5)
}

const costs = [ours, oursInOneTenant, lru, sieve, tinyLfu].map((policy) => ({
  policy: policy(1).name,
  times: sizes.map((size) => Math.round(timeOf(policy(size), size)))
}))
const growth = (times: ReadonlyArray<number>): number => (times.at(-1) ?? Number.NaN) / (times[0] ?? Number.NaN)
const ownGrowth = Math.max(...costs.slice(0, 2).map(({ times }) => growth(times)))

const percent = (rate: number): number => Math.round(rate * 1000) / 10

const rateOf = (row: typeof rows[number], name: string): number =>
  row.rates.find(({ policy }) => policy.startsWith(name))?.rate ?? Number.NaN

const worstAgainstLru = Math.min(...rows.map((row) => rateOf(row, "effect-entra") - rateOf(row, "LRU")))
const meanOf = (name: string) =>
  rows.reduce((sum, row) => sum + rateOf(row, name) / rateOf(row, "optimum"), 0) / rows.length

const goals: ReadonlyArray<Goal> = [
  { goal: "hit rate beside LRU's, where it is worst", measured: `${percent(worstAgainstLru)} points` },
  {
    goal: "closer to the optimum than LRU on the average of all traces",
    measured: `${percent(meanOf("effect-entra"))} % of the optimum, LRU ${percent(meanOf("LRU"))} %, SIEVE ${
      percent(meanOf("SIEVE"))
    } %, W-TinyLFU ${percent(meanOf("W-TinyLFU"))} %`,
    passed: meanOf("effect-entra") > meanOf("LRU")
  },
  {
    goal: `a store into a full cache takes no longer with ${
      sizes.at(-1)?.toLocaleString("en")
    } tokens than with 1,000, of many tenants or of one (three times tolerated: the caches of the processor)`,
    measured: `${ownGrowth.toFixed(2)} times`,
    passed: ownGrowth <= 3,
    timed: true
  }
]

const policies = rows[0]?.rates.map(({ policy }) => policy) ?? []
const table: Table = {
  title: "Hit rate, percent",
  columns: ["trace, capacity", ...policies],
  rows: rows.map((row) => [
    `${row.trace}, ${row.capacity.toLocaleString("en")}`,
    ...row.rates.map(({ rate }) => percent(rate))
  ]),
  note:
    "W-TinyLFU is a little better on most traces; it needs a sketch of frequencies and an update of it on each hit. "
    + "SIEVE, the simplest, falls far behind LRU when what is popular shifts. Where it shifts all the time (a change every "
    + `${(accesses / 10).toLocaleString("en")} accesses) and there is room for much of it, LRU is the best of all.`
}

const costTable: Table = {
  title: "A store into a full cache, which evicts another token, in ns",
  columns: ["policy", ...sizes.map((size) => `${size.toLocaleString("en")} tokens`)],
  rows: costs.map(({ policy, times }) => Array.of<string | number>(policy).concat(times)),
  note: "Ours makes the entry of the cache too; the others store a number."
}

await finish({
  name: "eviction",
  question: "How well does the cache choose what to give up?",
  method: [
    `${
      accesses.toLocaleString("en")
    } accesses a trace, the same in every run; on a miss the key is stored. Ours is the`,
    "cache's own code; LRU, SIEVE and W-TinyLFU are plain versions of their papers; the optimum knows the future (Belady).",
    "Nothing expires. The traces:",
    "",
    ...traces.map(({ name, what }) => `- ${name}: ${what}`)
  ].join("\n"),
  quick,
  rounds: 1,
  seconds: Math.round((performance.now() - begun) / 1000),
  machine: machineWith(["effect"]),
  tables: [table, costTable],
  goals,
  plots: capacities.map((capacity) => ({
    file: `eviction-${capacity}`,
    title: `Hit rate with room for ${capacity.toLocaleString("en")} tokens`,
    kind: "bar",
    x: { label: "trace" },
    y: { label: "hit rate, percent" },
    series: policies.map((name) => ({
      name,
      points: rows.filter((row) => row.capacity === capacity).map((row) =>
        [row.trace, percent(rateOf(row, name))] as const
      )
    }))
  })),
  watched: rows.filter(({ capacity }) => capacity === 5_000).map((row) => ({
    name: `eviction: misses in a thousand, ${row.trace}`,
    kind: "count",
    value: Math.round((1 - rateOf(row, "effect-entra")) * 1000)
  }))
})
