/**
 * What a cache hit costs: effect-entra, `@azure/msal-node`, and the floor under both. See README.md.
 *
 * node --conditions=@effect-entra/source --expose-gc bench/hit.ts [--quick]
 */
import { mkdir, writeFile } from "node:fs/promises"
import { type Contender, measure } from "./support/contender.ts"
import { goalsOf } from "./support/goals.ts"
import { type Scenario, scenario } from "./support/keys.ts"
import * as Msal from "./support/msal.ts"
import * as Native from "./support/native.ts"
import * as Ours from "./support/ours.ts"
import { machine, printGoals, printMachine, printTable, tableOf } from "./support/report.ts"

const quick = process.argv.includes("--quick")
const rounds = quick ? 5 : 12

const scenarios: ReadonlyArray<Scenario> = [
  scenario(1, "tenants"),
  scenario(1_000, "tenants"),
  scenario(10_000, "tenants"),
  scenario(1_000, "scopes"),
  scenario(10_000, "scopes")
]

const begun = performance.now()
const contenders: Array<Contender> = []
const clients: Array<Ours.Ours> = []
for (const scenario of scenarios) {
  const client = await Ours.make(scenario)
  clients.push(client)
  contenders.push(Native.make(scenario), ...client.contenders, await Msal.make(scenario))
}

const measurements = await measure(contenders, { rounds, budget: quick ? 30 : 80 }, (round) => {
  if (process.stderr.isTTY) process.stderr.write(`round ${round + 1} of ${rounds}\r`)
})
await Promise.all(clients.map(({ close }) => close()))

const table = tableOf(measurements)
const goals = goalsOf(table)
const seconds = Math.round((performance.now() - begun) / 1000)

printMachine({ rounds, seconds, quick })
printTable(table)
printGoals(goals)

const results = new URL("./results/", import.meta.url)
await mkdir(results, { recursive: true })
await writeFile(
  new URL("hit.json", results),
  `${JSON.stringify({ machine: machine(), quick, rounds, seconds, table, goals }, undefined, 2)}\n`
)

if (goals.some(({ passed }) => passed === false)) process.exitCode = 1
