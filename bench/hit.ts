/**
 * The cost of a cache hit: effect-entra, the peers, and the floor under all of them. See README.md.
 *
 * node --conditions=@effect-entra/source --expose-gc --max-old-space-size=8192 bench/hit.ts [--quick]
 */
import { Schema } from "effect"
import * as Certificate from "./support/certificate.ts"
import * as Heap from "./support/heap.ts"
import * as Identity from "./support/identity.ts"
import { type Scenario, scenario } from "./support/keys.ts"
import { type Contender, measure, type Measured } from "./support/measure.ts"
import * as Msal from "./support/msal.ts"
import * as Native from "./support/native.ts"
import * as Ours from "./support/ours.ts"
import type { Goal, Table, Watched } from "./support/result.ts"
import { finish, machineWith, shown } from "./support/tell.ts"

const quick = process.argv.includes("--quick")
const rounds = quick ? 5 : 12
const budget = quick ? 8 : 60
const begun = performance.now()

/** Above it a peer's hit takes seconds. */
const peersUpTo = 100_000

// -----------------------------------------------------------------------------
// time
// -----------------------------------------------------------------------------

const withSecret = quick
  ? [scenario(1, 1), scenario(1, 1_000), scenario(10_000, 1), scenario(100, 100)]
  : [
    scenario(1, 1),
    scenario(1, 10),
    scenario(1, 1_000),
    scenario(1, 10_000),
    scenario(10_000, 1),
    scenario(100, 100),
    scenario(10_000, 10),
    scenario(100_000, 1),
    scenario(1_000, 1_000)
  ]
const withCertificate = (quick ? [1, 100] : [1, 2, 100]).map((tenants) =>
  scenario(tenants, 1, { credential: "certificate", inTurn: true })
)

interface Row extends Measured {
  readonly scenario: Scenario
}

/** The large ones by themselves, so that what they keep in memory does not weigh on the small ones' collections. */
const timed = async (scenarios: ReadonlyArray<Scenario>, certificate?: Certificate.Certificate) => {
  const contenders: Array<Contender> = []
  const clients: Array<Ours.Ours> = []
  for (const scenario of scenarios) {
    const client = await Ours.make(scenario, certificate)
    clients.push(client)
    contenders.push(Native.make(scenario), ...client.contenders)
    if (scenario.tokens <= peersUpTo) contenders.push(await Msal.make(scenario, certificate))
    if (certificate === undefined && scenario.tokens <= (quick ? 1 : Identity.most)) {
      contenders.push(await Identity.make(scenario))
    }
  }
  const large = scenarios.some(({ tokens }) => tokens > 10_000)
  const measured = await measure(contenders, {
    rounds: large ? 5 : rounds,
    budget,
    atLeast: large ? 3 : quick ? 3 : 5,
    laps: true
  })
  await Promise.all(clients.map(({ close }) => close()))
  return measured.flatMap((measured): ReadonlyArray<Row> => {
    const scenario = scenarios.find(({ label }) => label === measured.group)
    return scenario === undefined ? [] : [{ ...measured, scenario }]
  })
}

const secretRows = [...await timed(withSecret.filter(({ tokens }) => tokens <= 10_000))]
for (const large of withSecret.filter(({ tokens }) => tokens > 10_000)) secretRows.push(...await timed([large]))
const certificateRows = await timed(withCertificate, await Certificate.make("RSA"))

const find = (rows: ReadonlyArray<Row>, label: string, name: string): Row => {
  const row = rows.find((row) => row.scenario.label === label && row.name === name)
  if (row === undefined) throw new Error(`not measured: ${name}, ${label}`)
  return row
}

const timesFloor = (rows: ReadonlyArray<Row>, row: Row): number =>
  row.best / find(rows, row.scenario.label, Native.name).best

const timesFaster = (rows: ReadonlyArray<Row>, row: Row): number | undefined => {
  const msal = rows.find(({ name, scenario }) => name === Msal.name && scenario === row.scenario)
  return msal === undefined ? undefined : msal.best / row.best
}

const tableOf = (title: string, rows: ReadonlyArray<Row>, note: string): Table => ({
  title,
  columns: ["tenants x scopes", "variant", "p50, ns", "p99, ns", "of the floor", "msal-node / this"],
  rows: rows.map((row) => {
    const faster = timesFaster(rows, row)
    return [
      row.scenario.label,
      row.name,
      Math.round(row.best),
      Math.round(row.p99),
      `${timesFloor(rows, row).toFixed(2)}x`,
      row.name === Msal.name || faster === undefined ? "" : `${shown(faster)}x`
    ]
  }),
  note
})

// -----------------------------------------------------------------------------
// memory
// -----------------------------------------------------------------------------

const Counted = Schema.Struct({ allocated: Schema.Finite, retained: Schema.Finite })
const Allocations = Schema.fromJsonString(Schema.Struct({
  exit: Counted,
  literal: Counted,
  kept: Counted,
  service: Counted,
  fiber: Counted,
  serviceWithLiteral: Counted,
  fiberWithLiteral: Counted
}))

const counted = Schema.decodeUnknownSync(Allocations)(Heap.runCounting("allocations.ts"))

const { exit, literal } = counted
const memory = [
  { name: "a kept effect", which: counted.kept, beyond: exit, goal: 16, key: "kept" },
  {
    name: "client.acquireToken, the request made beforehand",
    which: counted.service,
    beyond: exit,
    goal: 64,
    key: "client.acquireToken"
  },
  {
    name: "ConfidentialClient.acquireToken, the request made beforehand (Effect's look-up of the client included)",
    which: counted.fiber,
    beyond: exit,
    goal: undefined,
    key: "ConfidentialClient.acquireToken"
  },
  {
    name: "client.acquireToken, the request made per call (beyond the request)",
    which: counted.serviceWithLiteral,
    beyond: literal,
    goal: 64,
    key: "client.acquireToken and its request"
  },
  {
    name: "ConfidentialClient.acquireToken, the request made per call (beyond the request, look-up included)",
    which: counted.fiberWithLiteral,
    beyond: literal,
    goal: undefined,
    key: "ConfidentialClient.acquireToken and its request"
  }
].map(({ beyond, goal, key, name, which }) => ({
  name,
  which,
  goal,
  key,
  bytes: Math.round(which.allocated - beyond.allocated)
}))

// -----------------------------------------------------------------------------
// goals
// -----------------------------------------------------------------------------

const perCall = [Ours.names.service, Ours.names.fiber]

const floorGoals = ["1 x 1", "10,000 x 1", ...(quick ? [] : ["1,000 x 1,000"])].flatMap((label): ReadonlyArray<Goal> =>
  [{ name: Ours.names.kept, most: 1.75 }, ...perCall.map((name) => ({ name, most: 2.25 }))].map(({ most, name }) => {
    const times = timesFloor(secretRows, find(secretRows, label, name))
    return {
      goal: `at most ${most} times the floor, ${label}, ${name}`,
      measured: `${times.toFixed(2)} times`,
      passed: times <= most,
      timed: true
    }
  })
)

/** A kept effect and one that is built per call; at many tokens the floor itself may be slower than the goal asks. */
const fasterGoals = (
  rows: ReadonlyArray<Row>,
  label: string,
  least: number,
  credential: string
): ReadonlyArray<Goal> =>
  [Ours.names.kept, Ours.names.service].flatMap((name): ReadonlyArray<Goal> => {
    const row = rows.find((row) => row.scenario.label === label && row.name === name)
    if (row === undefined) return []
    const times = timesFaster(rows, row) ?? Number.NaN
    return [{
      goal: `at least ${shown(least)} times faster than msal-node, ${label}, ${credential}, ${name}`,
      measured: `${shown(times)} times`,
      passed: times >= least,
      timed: true
    }]
  })

const goals: ReadonlyArray<Goal> = [
  ...floorGoals,
  ...fasterGoals(secretRows, "1 x 1", 100, "secret"),
  ...fasterGoals(secretRows, "10,000 x 1", 40_000, "secret"),
  ...(quick ? [] : fasterGoals(secretRows, "100,000 x 1", 200_000, "secret")),
  ...fasterGoals(certificateRows, "100 x 1", 2_000, "certificate"),
  ...memory.map(({ bytes, goal, name }): Goal => ({
    goal: `${goal === undefined ? "" : `at most ${goal} `}bytes per hit beyond \`yield*\` of a prebuilt Exit, ${name}`,
    measured: `${bytes} bytes`,
    ...(goal === undefined ? {} : { passed: bytes <= goal })
  })),
  ...memory.slice(0, 3).map(({ name, which }) => ({
    goal: `nothing retained by 1,400,000 hits, ${name}`,
    measured: `${which.retained.toFixed(3)} bytes per hit`,
    // The compiler's own code and feedback come and go; one byte a hit would be 1.4 MB.
    passed: which.retained < 0.5
  }))
]

const watched: ReadonlyArray<Watched> = [
  ...["1 x 1", "10,000 x 1"].flatMap((label) =>
    [Ours.names.kept, ...perCall].map((name): Watched => ({
      name: `hit of the floor, ${label}, ${name}`,
      kind: "ratio",
      value: timesFloor(secretRows, find(secretRows, label, name))
    }))
  ),
  // With those of the `yield*` itself, beside which a byte that noise adds or takes is no twentieth.
  ...memory.map(({ key, which }): Watched => ({
    name: `bytes per hit, ${key}`,
    kind: "count",
    value: Math.round(which.allocated)
  }))
]

// -----------------------------------------------------------------------------
// result
// -----------------------------------------------------------------------------

const plotted = [Native.name, Ours.names.kept, Ours.names.service, Msal.name, Identity.name]
const byTokens = secretRows.filter(({ scenario }) => scenario.scopes === 1 || scenario.label === "1,000 x 1,000")

await finish({
  name: "hit",
  question: "What does a cache hit cost?",
  method: [
    "All variants in one process, in interleaved rounds; each round times every variant in every scenario once, after a",
    "young collection and a warm-up of its own. p50 is the least of the rounds' medians of batches (2,500 hits of ours, 1 to",
    "50 of a peer), per hit; p99 is of hits timed one by one, all rounds together, the timer's own time taken off. The floor",
    "is two nested native `Map`s on the same keys, `Date.now()` and `yield*` of a stored `Exit`, in a fiber. Every timed",
    "call was a hit, or the script throws. Above 1,000 tokens our cache is filled by its own `lead`; above 100,000 tokens",
    "they are 100 characters long and the peers are left out: a hit of msal-node takes a fifth of a second at 100,000.",
    `@azure/identity can be filled by requests only, and stands beside up to ${Identity.most} tokens.`,
    ...(quick ? ["A quick run has fewer scenarios, none above 10,000 tokens."] : [])
  ].join(" "),
  quick,
  rounds,
  seconds: Math.round((performance.now() - begun) / 1000),
  machine: machineWith(["effect", "@azure/msal-node", "@azure/identity"]),
  tables: [
    tableOf("With a secret", secretRows, "Peers are promises only; a kept effect has no counterpart there."),
    tableOf(
      "With a certificate, the tenants in turn",
      certificateRows,
      "msal-node keeps one assertion per app, so it signs at every change of tenant, hits included; with one tenant it signs none."
    ),
    {
      title: "Bytes per hit",
      columns: ["variant", "allocated", "beyond `yield*` of an Exit", "retained"],
      rows: [
        ["`yield*` of a prebuilt Exit", Math.round(exit.allocated), "", exit.retained.toFixed(3)],
        [
          "the same, and a request literal that nobody reads",
          Math.round(literal.allocated),
          "",
          literal.retained.toFixed(3)
        ],
        ...memory.map(({ bytes, name, which }) => [
          name,
          Math.round(which.allocated),
          bytes,
          which.retained.toFixed(3)
        ])
      ],
      note: "Heap growth over 200,000 hits in a process that collects nothing meanwhile, the median of seven times."
    }
  ],
  goals,
  plots: [
    {
      file: "hit-tokens",
      title: "A cache hit by the number of tokens",
      kind: "line",
      x: { label: "tokens in the cache", logarithmic: true },
      y: { label: "ns per hit (p50)", logarithmic: true },
      series: plotted.flatMap((name) => {
        const points = byTokens.filter((row) => row.name === name && Number.isFinite(row.best))
          .toSorted((a, b) => a.scenario.tokens - b.scenario.tokens)
          .map((row) => [row.scenario.tokens, row.best] as const)
        return points.length > 0 ? [{ name, points }] : []
      })
    },
    {
      file: "hit-certificate",
      title: "A cache hit with a certificate, the tenants in turn",
      kind: "bar",
      x: { label: "tenants" },
      y: { label: "ns per hit (p50)", logarithmic: true },
      series: [Native.name, Ours.names.service, Msal.name].map((name) => ({
        name,
        points: certificateRows.filter((row) => row.name === name).map((row) =>
          [
            String(row.scenario.tenants),
            row.best
          ] as const
        )
      }))
    }
  ],
  watched
})
