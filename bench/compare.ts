/**
 * `npm run bench:compare`: quick runs of the scripts with watched values against `baseline.json`.
 *
 * npm run bench:compare [-- --update | --no-run | --counts]
 *
 * `--update` writes the baseline from a run of all scripts; `--no-run` takes the results that are there; `--counts` judges
 * counts only, for machines that are too busy for times.
 */
import { Schema } from "effect"
import { readFile, writeFile } from "node:fs/promises"
import { compare, type Compared, fails } from "./support/compare.ts"
import { load, Watched } from "./support/result.ts"
import { bench, names, runScript } from "./support/scripts.ts"
import { printTable } from "./support/tell.ts"

const option = (name: string): boolean => process.argv.includes(`--${name}`)

/** By script. */
const Baseline = Schema.Record(Schema.String, Schema.Array(Watched))
const file = new URL("baseline.json", bench)

const measure = async (name: string): Promise<ReadonlyArray<Watched>> => {
  const result = option("no-run") ? await load(name) : (await runScript(name, { quick: true })).result
  return result?.watched ?? []
}

if (option("update")) {
  const measured: Record<string, ReadonlyArray<Watched>> = {}
  for (const name of names) {
    const watched = await measure(name)
    if (watched.length > 0) measured[name] = watched
  }
  await writeFile(file, `${JSON.stringify(measured, undefined, 2)}\n`)
  console.log(`baseline.json: ${Object.entries(measured).map(([name, { length }]) => `${name} ${length}`).join(", ")}`)
} else {
  const baseline = Schema.decodeUnknownSync(Schema.fromJsonString(Baseline))(await readFile(file, "utf8"))
  const rows: Array<readonly [script: string, compared: Compared]> = []
  for (const [script, before] of Object.entries(baseline)) {
    const now = await measure(script)
    for (const compared of compare(before, now)) rows.push([script, compared])
  }
  const judged = rows.filter(([, { kind }]) => kind === "count" || !option("counts"))
  printTable({
    title: `Against baseline.json${option("counts") ? ", counts only" : ""}`,
    columns: ["script", "watched", "kind", "baseline", "now", "now / baseline", ""],
    rows: judged.map(([script, { baseline, kind, name, now, verdict }]) => [
      script,
      name,
      kind,
      baseline ?? "",
      now ?? "",
      baseline === undefined || now === undefined || baseline === 0 ? "" : now / baseline,
      verdict
    ])
  })
  const failed = judged.filter(([, compared]) => fails(compared))
  console.log(failed.length === 0 ? "\nNothing is worse." : `\n${failed.length} worse or missing.`)
  if (failed.length > 0) process.exitCode = 1
}
