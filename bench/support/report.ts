/** Figures for people and for machines. */
import { readFileSync } from "node:fs"
import { cpus } from "node:os"
import { best, type Measurement } from "./contender.ts"
import type { Goal } from "./goals.ts"
import type { Shape } from "./keys.ts"
import * as Msal from "./msal.ts"
import * as Native from "./native.ts"

export interface Row {
  readonly tokens: number
  readonly shape: Shape
  readonly variant: string
  /** The least of the rounds' medians, in nanoseconds. */
  readonly perHit: number
  readonly timesFloor: number
  /** How many times faster than msal-node at the same number of tokens. */
  readonly timesFasterThanMsal: number
  readonly rounds: ReadonlyArray<number>
}

export const tableOf = (measurements: ReadonlyArray<Measurement>): ReadonlyArray<Row> =>
  measurements.map((measurement) => {
    const { name, rounds, scenario } = measurement
    const against = (other: string): number => {
      const found = measurements.find((candidate) => candidate.scenario === scenario && candidate.name === other)
      return found === undefined ? Number.NaN : best(found)
    }
    const perHit = best(measurement)
    return {
      tokens: scenario.tokens,
      shape: scenario.shape,
      variant: name,
      perHit,
      timesFloor: perHit / against(Native.name),
      timesFasterThanMsal: against(Msal.name) / perHit,
      rounds
    }
  })

const versionOf = (file: URL): string => {
  const found: unknown = JSON.parse(readFileSync(file, "utf8"))
  return typeof found === "object" && found !== null && "version" in found ? String(found.version) : "unknown"
}

const versionOfModule = (name: string): string => versionOf(new URL(import.meta.resolve(`${name}/package.json`)))

export const machine = () => ({
  cpu: cpus()[0]?.model.trim() ?? "unknown",
  cores: cpus().length,
  node: process.version,
  effect: versionOfModule("effect"),
  msalNode: versionOfModule("@azure/msal-node"),
  effectEntra: versionOf(new URL("../../package.json", import.meta.url))
})

export const printMachine = (run: { readonly rounds: number; readonly seconds: number; readonly quick: boolean }) => {
  const { cores, cpu, effect, effectEntra, msalNode, node } = machine()
  console.log(
    `${cpu}, ${cores} cores; Node ${node}; effect ${effect}, effect-entra ${effectEntra}, msal-node ${msalNode}`
  )
  console.log(
    `${run.rounds} interleaved rounds in ${run.seconds} s${run.quick ? " (quick)" : ""}; least of the rounds' medians\n`
  )
}

export const printTable = (table: ReadonlyArray<Row>): void => {
  const lines = table.map((row) => [
    `${row.tokens.toLocaleString("en")} ${row.tokens === 1 ? "token" : row.shape}`,
    row.variant,
    round(row.perHit),
    `${row.timesFloor.toFixed(2)}x`,
    row.variant === Msal.name ? "" : `${round(row.timesFasterThanMsal)}x`
  ])
  const head = ["tokens", "variant", "ns per hit", "of the floor", "msal / this"]
  const widths = head.map((title, column) => Math.max(title.length, ...lines.map((line) => line[column]?.length ?? 0)))
  const print = (line: ReadonlyArray<string>) =>
    console.log(
      line.map((cell, column) => column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))
        .join("  ")
    )
  print(head)
  let last: string | undefined
  for (const line of lines) {
    if (line[0] !== last) console.log("-".repeat(widths.reduce((sum, width) => sum + width + 2, -2)))
    last = line[0]
    print(line)
  }
}

export const printGoals = (goals: ReadonlyArray<Goal>): void => {
  console.log("")
  for (const { goal, measured, passed } of goals) {
    console.log(`${passed === undefined ? "info" : passed ? "PASS" : "FAIL"}  ${goal}: ${measured}`)
  }
}

export const round = (value: number): string =>
  value.toLocaleString("en", value < 100 ? { maximumFractionDigits: 1 } : { maximumFractionDigits: 0 })
