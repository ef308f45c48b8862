/** REPORT.md and the plots, from the results that the scripts left behind. */
import { mkdir, rm, writeFile } from "node:fs/promises"
import { svgOf } from "./plot.ts"
import { load, type Result } from "./result.ts"
import { bench, names } from "./scripts.ts"
import { shown, verdictOf } from "./tell.ts"

export const writeReport = async (): Promise<void> => {
  const loaded = await Promise.all(names.map(async (name) => ({ name, result: await load(name) })))
  const results = loaded.flatMap(({ result }) => result === undefined ? [] : [result])
  const missing = loaded.flatMap(({ name, result }) => result === undefined ? [name] : [])

  const plots = new URL("plots/", bench)
  await rm(plots, { recursive: true, force: true })
  await mkdir(plots, { recursive: true })
  for (const plot of results.flatMap(({ plots }) => plots)) {
    await writeFile(new URL(`${plot.file}.svg`, plots), `${svgOf(plot)}\n`)
  }
  await writeFile(new URL("REPORT.md", bench), markdownOf(results, missing))
}

const markdownOf = (results: ReadonlyArray<Result>, missing: ReadonlyArray<string>): string =>
  [
    "# What was measured",
    "Written by `npm run bench`; [README.md](README.md) says what is measured and what is not. Only ratios within one run mean anything: the nanoseconds are those of this machine in those minutes.",
    ...machinesOf(results),
    ...(missing.length === 0 ? [] : [`Not measured: ${missing.join(", ")}.`]),
    "## Goals",
    tableOf(
      ["", "question", "goal", "measured"],
      results.flatMap(({ goals, name }) =>
        goals.map((goal) => [verdictOf(goal), `[${name}](#${anchorOf(name)})`, goal.goal, goal.measured])
      )
    ),
    ...results.flatMap(sectionOf)
  ].join("\n\n") + "\n"

/** One paragraph where all ran on one machine. */
const machinesOf = (results: ReadonlyArray<Result>): ReadonlyArray<string> => {
  const paragraphs = new Map<string, Array<string>>()
  const versions = new Map<string, string>()
  for (const { machine, name } of results) {
    const key = `${machine.cpu}, ${machine.cores} cores, ${machine.memory}; Node ${machine.node}`
    paragraphs.set(key, [...(paragraphs.get(key) ?? []), name])
    for (const [name, version] of Object.entries(machine.versions)) versions.set(name, version)
  }
  return [
    ...[...paragraphs].map(([machine, names]) =>
      paragraphs.size === 1 ? `${machine}.` : `${machine} (${names.join(", ")}).`
    ),
    `${[...versions].map(([name, version]) => `${name} ${version}`).join(", ")}.`
  ]
}

const anchorOf = (name: string): string => `script-${name}`

const sectionOf = (result: Result): ReadonlyArray<string> => [
  `<a id="${anchorOf(result.name)}"></a>`,
  `## ${result.question}`,
  `\`bench/${result.name}.ts\`, ${result.rounds} ${result.rounds === 1 ? "round" : "rounds"} in ${result.seconds} s${
    result.quick ? ", **a quick run: noisy**" : ""
  }.`,
  result.method,
  ...result.tables.flatMap(({ columns, note, rows, title }) => [
    `### ${title}`,
    tableOf(columns, rows.map((row) => row.map(shown))),
    ...(note === undefined ? [] : [note])
  ]),
  ...result.plots.map(({ file, title }) => `![${title}](plots/${file}.svg)`),
  ...result.goals.length === 0
    ? []
    : [tableOf(["", "goal", "measured"], result.goals.map((goal) => [verdictOf(goal), goal.goal, goal.measured]))]
]

const tableOf = (columns: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string =>
  [columns, columns.map((_, column) => column === 0 ? "---" : "---:"), ...rows.map((row) => row.map(escaped))]
    .map((row) => `| ${row.join(" | ")} |`).join("\n")

const escaped = (cell: string): string => cell.replaceAll("|", "\\|").replaceAll("\n", " ")
