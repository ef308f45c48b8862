/**
 * Many callers acquire one token at once, when no token is cached and when the cached one is due for refresh. See README.md.
 *
 * node --conditions=@effect-entra/source bench/herd.ts [--quick]
 */
import { setTimeout } from "node:timers/promises"
import { type Herd, libraries, type Library, names } from "./support/herds.ts"
import type { Goal, Table } from "./support/result.ts"
import { finish, machineWith } from "./support/tell.ts"

const quick = process.argv.includes("--quick")
const rounds = quick ? 2 : 5
const latency = 50
const sizes = [1, 10, 1_000, 10_000]

interface Outcome {
  readonly requests: number
  readonly tokens: number
  /** Milliseconds to the last answer, and that of the caller who waited longest. */
  readonly took: number
  readonly longest: number
}

interface Row extends Outcome {
  readonly library: string
  readonly key: Key
  readonly callers: number
}

type Key = "cold" | "due"

const begun = performance.now()
const rows: Array<Row> = []

for (const key of ["cold", "due"] as const) {
  const runs = sizes.flatMap((callers) =>
    Array.from(
      { length: rounds },
      (_, round) =>
        libraries.filter((library) => takesPart(library, callers, round)).map((library) => ({ library, callers }))
    ).flat()
  )
  // Made together, because the peers' tokens fall due in real time.
  const herds = await Promise.all(runs.map(async ({ callers, library }) => {
    const herd = await (key === "cold" ? library.cold : library.due)?.(latency)
    return herd === undefined ? [] : [{ library, callers, herd }]
  }))
  const outcomes: Array<Row> = []
  for (const { callers, herd, library } of herds.flat()) {
    outcomes.push({ library: library.name, key, callers, ...await run(herd, callers, key) })
  }
  for (const callers of sizes) {
    for (const { name: library } of libraries) {
      const all = outcomes.filter((outcome) => outcome.library === library && outcome.callers === callers)
      if (all.length > 0) rows.push({ library, key, callers, ...bestOf(all) })
    }
  }
}

/** Ten thousand callers cost a peer seconds each time: once is enough to count their requests, and not in quick mode. */
function takesPart(library: Library, callers: number, round: number): boolean {
  const own = library.name === names.fibers || library.name === names.promises
  return own || (callers < 10_000 ? round < 3 : round === 0 && !quick)
}

async function run(herd: Herd, callers: number, key: Key): Promise<Outcome> {
  const before = herd.provider.requests()
  if (before !== (key === "cold" ? 0 : 1)) throw new Error(`${before} requests were sent before the herd came`)
  const from = performance.now()
  const answers = await herd.call(callers)
  const took = performance.now() - from
  if (answers.length !== callers || answers.some(({ token }) => !token.startsWith("token "))) {
    throw new Error("not everybody got a token")
  }
  // A renewal in the background counts too.
  const until = performance.now() + 5_000
  do await setTimeout(latency / 2)
  while (herd.provider.pending() > 0 && performance.now() < until)
  if (herd.provider.pending() > 0) throw new Error("the provider is still busy")
  const requests = herd.provider.requests() - before
  await herd.close()
  return {
    requests,
    tokens: new Set(answers.map(({ token }) => token)).size,
    took,
    longest: answers.reduce((longest, { waited }) => Math.max(longest, waited), 0)
  }
}

/** Noise only ever adds time; of requests and tokens the most is told. */
function bestOf(outcomes: ReadonlyArray<Outcome>): Outcome {
  const all = (field: keyof Outcome) => outcomes.map((outcome) => outcome[field])
  return {
    requests: Math.max(...all("requests")),
    tokens: Math.max(...all("tokens")),
    took: Math.min(...all("took")),
    longest: Math.min(...all("longest"))
  }
}

// -----------------------------------------------------------------------------
// result
// -----------------------------------------------------------------------------

const find = (library: string, key: Key, callers: number): Row => {
  const row = rows.find((row) => row.library === library && row.key === key && row.callers === callers)
  if (row === undefined) throw new Error(`not measured: ${library}, ${key}, ${callers}`)
  return row
}

const most = 10_000
const cold = find(names.fibers, "cold", most)
const due = find(names.fibers, "due", most)
const msalDue = find("@azure/msal-node", "due", 1_000)
const oneDue = find("@azure/msal-node", "due", 1)

const requestsGoal = (row: Row): Goal => ({
  goal: `10,000 concurrent callers, one request, ${row.key} key (${row.library})`,
  measured: `${row.requests} ${row.requests === 1 ? "request" : "requests"}, ${row.tokens} token`,
  passed: row.requests === 1 && row.tokens === 1
})

const goals: ReadonlyArray<Goal> = [
  ...([names.fibers, names.promises] as const).flatMap((name) => [
    requestsGoal(find(name, "cold", most)),
    requestsGoal(find(name, "due", most))
  ]),
  {
    goal: `no caller waits on a refresh while a token is due: longest wait of 10,000, provider's latency ${latency} ms`,
    measured: `${due.longest.toFixed(3)} ms (the last of all had its answer after ${due.took.toFixed(1)} ms)`,
    passed: due.longest < latency / 2
  },
  {
    goal: "the same of msal-node with 1 and with 1,000 callers",
    measured: `${oneDue.longest.toFixed(1)} ms and ${msalDue.longest.toFixed(1)} ms, ${msalDue.requests} requests`
  },
  {
    goal: `10,000 callers of a cold key beyond the provider's ${latency} ms`,
    measured: `${(cold.took - latency).toFixed(1)} ms`
  }
]

const tableOf = (key: Key): Table => ({
  title: key === "cold" ? "A cold key" : "A key whose token is due",
  columns: ["library, callers", "requests", "different tokens", "last answer, ms", "longest wait, ms"],
  rows: rows.filter((row) => row.key === key).map((row) => [
    `${row.library}, ${row.callers.toLocaleString("en")}`,
    row.requests,
    row.tokens,
    tenths(row.took),
    row.longest < 1 ? Math.round(row.longest * 1000) / 1000 : tenths(row.longest)
  ]),
  ...(key === "due" ? { note: "`openid-client` has no cache: nothing is ever due, each call is a request." } : {})
})

function tenths(value: number): number {
  return Math.round(value * 10) / 10
}

const packages = ["effect", "@azure/msal-node", "@azure/identity", "openid-client"]

await finish({
  name: "herd",
  question: "What do many callers of one key cost?",
  method: [
    `Within the process; the provider answers after ${latency} ms, each request with a token of its own. All callers begin`,
    "at once: as fibers of one program, or as promises. The due token is valid for half an hour more; ours was made due by",
    "a clock that was moved, the peers' by a `refresh_in` of one second that was waited for. Requests are counted until",
    `nothing is under way any more. Times are the best of ${rounds} rounds (peers: three, with 10,000 callers one), requests`,
    "the most of them. As promises, a caller's wait includes what all the others do on the one thread before."
  ].join("\n"),
  quick,
  rounds,
  seconds: Math.round((performance.now() - begun) / 1000),
  machine: machineWith(packages),
  tables: [tableOf("cold"), tableOf("due")],
  goals,
  plots: (["cold", "due"] as const).map((key) => ({
    file: `herd-${key}`,
    title: key === "cold" ? "Requests sent for one cold key" : "Requests sent for one due key",
    kind: "line",
    x: { label: "concurrent callers", logarithmic: true },
    y: { label: "requests", logarithmic: true },
    series: libraries.map(({ name }) => ({
      name,
      points: rows.filter((row) => row.library === name && row.key === key).map((row) =>
        [row.callers, row.requests] as const
      )
    })).filter(({ points }) => points.length > 0)
  })),
  watched: [
    { name: "herd: requests of 10,000 callers, cold", kind: "count", value: cold.requests },
    { name: "herd: requests of 10,000 callers, due", kind: "count", value: due.requests }
  ]
})
