/** The table of docs/deploying.md, between two comments. */
import { parts, refusalOf } from "../node/tarball/expected.ts"
import { lacksOf, type Runtime, runtimes } from "./core.ts"
import { versionOf } from "./run.ts"

const begin = "<!-- runtimes: npm run runtimes -->\n\n"
const end = "\n<!-- /runtimes -->"

/** Returns the output of the program of the tarball, which `test/node/Tarball.test.ts` compares. */
const printed = (bundler: string, runtime: Runtime): string => {
  const refused = parts.filter((part) => refusalOf(part, "whole", bundler, runtime) !== undefined)
  const acquired = parts.filter((part) => !refused.includes(part)).join(", ")
  return refused.length === 0 ? acquired : `${acquired}; refused: ${refused.join(", ")}`
}

/** Returns the cells of a runtime. A Worker is always a bundle: `test/Deploying.test.ts` compares its output. */
const cells = (runtime: Runtime): ReadonlyArray<string> =>
  runtime === "workerd"
    ? ["-", "fetch", "fetch"]
    : ["no bundler", "esbuild, CommonJS", "rolldown"].map((bundler) => printed(bundler, runtime))

const header = ["Runtime", "Core suite", "Tarball", "esbuild", "rolldown", "Not available to tests"]

const rowOf = (runtime: Runtime, passed: string): ReadonlyArray<string> => {
  const lacks = lacksOf(runtime)
  const skipped = lacks.flatMap(({ tests }) => tests).length
  const counts = `${passed} passed, ${skipped} not run`
  return [`${runtime} (${versionOf(runtime)})`, counts].concat(
    cells(runtime),
    lacks.map(({ why }) => why).join("; ") || "nothing"
  )
}

export const tableOf = (passed: (runtime: Runtime) => string): string =>
  [
    header,
    header.map(() => "---"),
    ...runtimes.map((runtime) => rowOf(runtime, passed(runtime)))
  ].map((row) => `| ${row.join(" | ")} |\n`).join("")

/** Returns the table of a page without the spaces that align its columns. */
export const tableIn = (page: string): string =>
  page.slice(page.indexOf(begin) + begin.length, page.indexOf(end))
    .replace(/-+/g, (dashes) => dashes.length > 2 ? "---" : dashes)
    .replace(/ +\|/g, " |")

export const withTable = (page: string, table: string): string => {
  const at = page.indexOf(begin)
  if (at === -1) throw new Error("docs/deploying.md has no place for the table")
  return page.slice(0, at) + begin + table + page.slice(page.indexOf(end, at))
}

/** Returns the stated counts, by the name of the runtime. */
export const countsIn = (page: string): ReadonlyMap<string, number> =>
  new Map(
    [...tableIn(page).matchAll(/^\| (\w+(?: \d+)?) \([\d.]+\) \| ([\d,]+) passed/gm)].map((
      [, runtime = "", count = ""]
    ) => [
      runtime,
      Number(count.replaceAll(",", ""))
    ])
  )
