/**
 * `npm run bench`: every script of this folder, and the report of what they measured.
 *
 * npm run bench [-- --quick] [-- --told] [names of scripts]
 *
 * `--told`: a missed goal is told and does not fail, which is for CI: what it judges there are the watched counts.
 */
import { writeReport } from "./support/report.ts"
import { names, type Ran, runScript } from "./support/scripts.ts"

const quick = process.argv.includes("--quick")
const told = process.argv.includes("--told")
const asked = process.argv.slice(2).filter((argument) => !argument.startsWith("--"))
const unknown = asked.filter((name) => !names.some((known) => known === name))
if (unknown.length > 0) throw new Error(`no such script: ${unknown.join(", ")}; there are ${names.join(", ")}`)

const begun = performance.now()
const ran: Array<Ran> = []
for (const name of asked.length === 0 ? names : asked) {
  console.log(`\n== ${name}${quick ? " (quick)" : ""}\n`)
  ran.push(await runScript(name, { quick }))
}
await writeReport()

console.log(`\n${Math.round((performance.now() - begun) / 1000)} s; bench/REPORT.md has it all`)
for (const { code, name, result } of ran) {
  if (result === undefined) console.log(`FAIL  ${name} did not come to its end`)
  else if (code !== 0) console.log(`${told ? "told" : "FAIL"}  ${name} missed a goal, see above`)
}
if (ran.some(({ code, result }) => result === undefined || (code !== 0 && !told))) process.exitCode = 1
