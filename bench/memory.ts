/**
 * The memory that a cache takes in addition to its tokens, and the growth of a process.
 *
 * node --conditions=@effect-entra/source bench/memory.ts [--quick]
 */
import { Schema } from "effect"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import type { Goal, Table } from "./support/result.ts"
import { finish, machineWith } from "./support/tell.ts"

const quick = process.argv.includes("--quick")

/** A process of its own for each figure, so that no heap has another's holes. */
const child = async <A>(schema: Schema.Decoder<A>, script: string, ...args: ReadonlyArray<string>): Promise<A> => {
  const { stdout } = await promisify(execFile)(process.execPath, [
    "--conditions=@effect-entra/source",
    "--expose-gc",
    "--max-old-space-size=8000",
    fileURLToPath(new URL(`./support/${script}`, import.meta.url)),
    ...args
  ])
  return Schema.decodeUnknownSync(Schema.fromJsonString(schema))(stdout.trim())
}

const Bytes = Schema.Struct({
  token: Schema.Number,
  neverHit: Schema.Number,
  onceHit: Schema.optionalKey(Schema.Number)
})

const Churn = Schema.Struct({
  weights: Schema.Array(Schema.Number),
  hits: Schema.Number,
  misses: Schema.Number,
  evictions: Schema.Number
})

// -----------------------------------------------------------------------------
// measuring
// -----------------------------------------------------------------------------

const ours = "effect-entra"
const oursDirect = "effect-entra, filled past the client"
const scripts = { [ours]: "ours", [oursDirect]: "direct", "@azure/msal-node": "msal-node", "a Map of strings": "map" }

const shapes = [
  { tenants: 1_000, scopes: 1, who: [ours, oursDirect, "@azure/msal-node", "a Map of strings"], inQuick: true },
  { tenants: 100_000, scopes: 1, who: [oursDirect, "@azure/msal-node", "a Map of strings"], inQuick: false },
  { tenants: 10_000, scopes: 1, who: [ours, oursDirect, "@azure/msal-node", "a Map of strings"], inQuick: true },
  { tenants: 100, scopes: 100, who: [oursDirect], inQuick: true },
  { tenants: 1_000_000, scopes: 1, who: [oursDirect, "a Map of strings"], inQuick: false },
  { tenants: 10_000, scopes: 100, who: [oursDirect], inQuick: false }
] as const

const begun = performance.now()
const measured: Array<{ who: string; tenants: number; scopes: number; neverHit: number; onceHit?: number }> = []
for (const { inQuick, scopes, tenants, who } of shapes) {
  if (quick && !inQuick) continue
  for (const name of who) {
    const { neverHit, onceHit } = await child(Bytes, "memory-child.ts", scripts[name], String(tenants), String(scopes))
    measured.push({ who: name, tenants, scopes, neverHit, ...(onceHit === undefined ? {} : { onceHit }) })
  }
}
const operations = quick ? 300_000 : 10_000_000
const churn = await child(Churn, "churn-child.ts", String(operations))

// -----------------------------------------------------------------------------
// judging
// -----------------------------------------------------------------------------

const shapeOf = ({ scopes, tenants }: { readonly tenants: number; readonly scopes: number }) =>
  `${tenants.toLocaleString("en")} tenants x ${scopes.toLocaleString("en")} ${scopes === 1 ? "scope" : "scopes"}`

const whole = Math.round
/** The goals are about a million tokens; with few, tables that are half empty weigh more, so a quick run only tells. */
const largest = quick ? 10_000 : 1_000_000

const goals: Array<Goal> = []
for (const row of measured) {
  if (row.who !== oursDirect || row.tenants * row.scopes !== largest) continue
  goals.push(
    {
      goal: `at most 350 bytes beyond the token for one never hit, ${shapeOf(row)}`,
      measured: `${whole(row.neverHit)} bytes`,
      ...(quick ? {} : { passed: row.neverHit <= 350 })
    },
    {
      goal: `at most 700 bytes beyond the token for one that was hit, ${shapeOf(row)}`,
      measured: `${whole(row.onceHit ?? Number.NaN)} bytes`,
      ...(quick ? {} : { passed: (row.onceHit ?? Infinity) <= 700 })
    }
  )
}

/** The first quarter is warm-up: code is compiled, tables find their size. */
const settled = churn.weights.slice(Math.floor(churn.weights.length / 4))
const half = Math.floor(settled.length / 2)
const least = (weights: ReadonlyArray<number>) => Math.min(...weights)
const growth = least(settled.slice(half)) - least(settled.slice(0, half))
goals.push({
  goal: `${operations.toLocaleString("en")} operations leave the heap within 256 KiB of what it was`,
  measured: `${whole(growth / 1024)} KiB, after ${churn.misses.toLocaleString("en")} requests and ${
    churn.evictions.toLocaleString("en")
  } evictions`,
  passed: growth <= 256 * 1024
})

const table: Table = {
  title: "Bytes beyond the token itself",
  columns: ["tokens, cache", "never hit", "hit once"],
  rows: measured.map((row) => [
    `${shapeOf(row)}, ${row.who}`,
    whole(row.neverHit),
    row.onceHit === undefined ? "" : whole(row.onceHit)
  ]),
  note: "A `Map` from one string per key to the token is what one would write by hand: no expiry, no bound, no result."
}

await finish({
  name: "memory",
  question: "What do tokens take in memory, and does a process grow?",
  method: [
    "Each figure from a process of its own: `heapUsed` after full collections, with the cache filled and without, divided",
    "by the number of tokens; less what tokens of that length take as an array of strings. Tokens have 1,500 characters,",
    "each a string of its own, as are tenants and scopes. *Filled past the client*: entries are stored as a flight of the",
    "client stores them, without the request, because a million requests take minutes; a real client then hits each once.",
    "msal-node is loaded through its own `deserialize`. The figures of a real client at few tokens include tables of the",
    "runtime that the requests leave behind half empty.",
    "",
    `Growth: ${
      operations.toLocaleString("en")
    } acquisitions by one client over a bounded cache with more tenants than room;`,
    "the heap is weighed twenty times, and the least weight of the last half is compared with that of the half before,",
    "the first quarter left out."
  ].join("\n"),
  quick,
  rounds: 1,
  seconds: whole((performance.now() - begun) / 1000),
  machine: machineWith(["effect", "@azure/msal-node"]),
  tables: [table],
  goals,
  plots: [{
    file: "memory",
    title: "Bytes beyond the token itself",
    kind: "bar",
    x: { label: "tokens" },
    y: { label: "bytes per token" },
    series: [
      ...[oursDirect, "@azure/msal-node", "a Map of strings"].map((who) => ({
        name: who === oursDirect ? `${ours}, never hit` : who,
        points: measured.filter((row) => row.who === who && row.scopes === 1).map((row) =>
          [row.tenants.toLocaleString("en"), whole(row.neverHit)] as const
        )
      })),
      {
        name: `${ours}, hit once`,
        points: measured.filter((row) => row.who === oursDirect && row.scopes === 1).map((row) =>
          [row.tenants.toLocaleString("en"), whole(row.onceHit ?? 0)] as const
        )
      }
    ]
  }],
  watched: measured.flatMap((row) =>
    row.who === oursDirect && row.tenants * row.scopes === 10_000
      ? [
        {
          name: `memory: bytes per token never hit, ${shapeOf(row)}`,
          kind: "count" as const,
          value: whole(row.neverHit)
        },
        {
          name: `memory: bytes per token hit once, ${shapeOf(row)}`,
          kind: "count" as const,
          value: whole(row.onceHit ?? 0)
        }
      ]
      : []
  )
})
