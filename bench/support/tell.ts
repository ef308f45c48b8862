/** A result for people on the console, and for machines in `results/`. */
import { existsSync, readFileSync } from "node:fs"
import { cpus, totalmem } from "node:os"
import { type Goal, type Machine, type Result, save, type Table } from "./result.ts"

/** The folder of a package as it is installed here; undefined where it is not. */
export const packageFolder = (name: string): URL | undefined => {
  const folder = new URL(`../../node_modules/${name}/`, import.meta.url)
  return existsSync(folder) ? folder : undefined
}

const versionOf = (folder: URL): string => {
  const found: unknown = JSON.parse(readFileSync(new URL("package.json", folder), "utf8"))
  return typeof found === "object" && found !== null && "version" in found ? String(found.version) : "unknown"
}

export const machineWith = (packages: ReadonlyArray<string>): Machine => ({
  cpu: cpus()[0]?.model.trim() ?? "unknown",
  cores: cpus().length,
  memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
  node: process.version,
  versions: Object.fromEntries([
    ["effect-entra", versionOf(new URL("../../", import.meta.url))] as const,
    ...packages.flatMap((name) => {
      const folder = packageFolder(name)
      return folder === undefined ? [] : [[name, versionOf(folder)] as const]
    })
  ])
})

/** Prints and saves; a goal that was missed is told by the exit code. */
export const finish = async (result: Result): Promise<void> => {
  const { cores, cpu, memory, node, versions } = result.machine
  console.log(`${result.question}\n`)
  console.log(`${cpu}, ${cores} cores, ${memory}; Node ${node}`)
  console.log(Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(", "))
  console.log(`${result.rounds} rounds in ${result.seconds} s${result.quick ? " (quick)" : ""}`)
  for (const table of result.tables) printTable(table)
  console.log("")
  for (const goal of result.goals) console.log(`${verdictOf(goal)}  ${goal.goal}: ${goal.measured}`)
  await save(result)
  if (result.goals.some(({ passed, timed }) => passed === false && !(result.quick && timed === true))) {
    process.exitCode = 1
  }
}

export const verdictOf = ({ passed }: Goal): string => passed === undefined ? "info" : passed ? "PASS" : "FAIL"

export const printTable = ({ columns, note, rows, title }: Table): void => {
  console.log(`\n${title}`)
  const lines = [columns, ...rows.map((row) => row.map(shown))]
  const widths = columns.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
  for (const line of lines) {
    console.log(
      line.map((cell, column) => column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))
        .join("  ")
    )
  }
  if (note !== undefined) console.log(note)
}

export const shown = (cell: string | number): string =>
  typeof cell === "string"
    ? cell
    : cell.toLocaleString("en", { maximumFractionDigits: Math.abs(cell) < 10 ? 2 : Math.abs(cell) < 100 ? 1 : 0 })
