/**
 * Mutation testing: changes one expression at a time and runs the tests of the fast suite that reach it.
 * `npm run mutants -- --seed 7 --sample 80 src/internal/cache` tries about 80 random mutants of a folder. Without
 * paths, all of `src`. Prints a table and the mutants that no test noticed; `--at-least 90` fails below that share.
 * Stryker is installed into a temporary folder, which also holds the copy of the repository that is changed.
 */
import { execFileSync, spawnSync } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { pathToFileURL } from "node:url"
import { parseArgs } from "node:util"
import { excerpt, type Fate, keyOf, type Mutant, oneLine, pick, type Position, shareDead, table } from "./sample.ts"

const version = "10.1.1"

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: "string", default: process.env["MUTANTS_SEED"] ?? String(Math.floor(Math.random() * 2 ** 31)) },
    sample: { type: "string", default: process.env["MUTANTS_SAMPLE"] ?? "80" },
    concurrency: { type: "string", default: "2" },
    "at-least": { type: "string" },
    keep: { type: "boolean", default: false }
  }
})
const numberOf = (name: string, text: string): number => {
  const number = Number(text)
  if (text.trim() === "" || !Number.isFinite(number)) throw new Error(`${name} is not a number: ${text}.`)
  return number
}
const seed = numberOf("seed", values.seed)
const sample = numberOf("sample", values.sample)
const concurrency = numberOf("concurrency", values.concurrency)
const atLeast = values["at-least"] === undefined ? undefined : numberOf("at-least", values["at-least"])

/** Tests of the sources as text, as types or as a bundle, of other runtimes, and of programs in other processes. */
const notReached = [
  "test/{Architecture,Bundle,Declarations,docs,examples}.test.ts",
  "test/Ports.types.test.ts",
  "test/bench/*.test.ts",
  "test/runtimes/*.test.ts"
]

const repository = join(import.meta.dirname, "../..")
const folder = realpathSync(mkdtempSync(join(tmpdir(), "effect-entra-mutants-")))
const copy = join(folder, "copy")
const tool = join(folder, "tool")
const stryker = join(tool, "node_modules/@stryker-mutator")

const filesOf = (paths: ReadonlyArray<string>): Array<string> =>
  execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", ...paths], {
    cwd: repository,
    encoding: "utf8"
  }).split("\0").filter((path) => path !== "")

/** Copies the repository. The modules are also linked next to the tool, which imports vitest from there. */
const copyRepository = (): void => {
  for (const path of filesOf(["."])) {
    const target = join(copy, path)
    mkdirSync(dirname(target), { recursive: true })
    cpSync(join(repository, path), target, { dereference: true })
  }
  // Tests that compare a page with the sources read the sources that were not changed.
  const reader = join(copy, "test/docs/repository.ts")
  const root = "join(import.meta.dirname, \"../..\")"
  const text = readFileSync(reader, "utf8")
  if (!text.includes(root)) throw new Error(`test/docs/repository.ts does not contain ${root}.`)
  writeFileSync(reader, text.replace(root, () => JSON.stringify(repository)))
  const modules = realpathSync(join(repository, "node_modules"))
  symlinkSync(modules, join(folder, "node_modules"))
  rmSync(join(copy, "node_modules"), { recursive: true, force: true })
  symlinkSync(modules, join(copy, "node_modules"))
}

/**
 * Installs the tool. A runner that filters tests by names that vitest 5 does not know runs no test at all, and every
 * mutant seems to survive.
 */
const installTool = (): void => {
  mkdirSync(tool)
  writeFileSync(join(tool, "package.json"), JSON.stringify({ private: true }))
  const packages = ["core", "vitest-runner"].map((name) => `@stryker-mutator/${name}@${version}`)
  // The peer vitest is the repository's.
  const options = ["--no-save", "--no-audit", "--no-fund", "--legacy-peer-deps", "--loglevel=error"]
  execFileSync("npm", ["install", "--prefix", tool, ...options, ...packages], {
    cwd: tool,
    stdio: ["ignore", "ignore", "inherit"]
  })
  const helpers = readFileSync(join(stryker, "vitest-runner/dist/src/test-helpers.js"), "utf8")
  if (!helpers.includes("VITEST_MODERN_TEST_NAME_SEPARATOR = ' > '")) {
    throw new Error(`@stryker-mutator/vitest-runner ${version} does not join the names of tests as vitest 5 does.`)
  }
}

interface Located {
  readonly mutatorName: string
  readonly replacement: string
  readonly location: { readonly start: Position; readonly end: Position }
}

const mutantOf = (file: string, located: Located, from: { readonly line: number; readonly column: number }): Mutant => {
  const position = ({ line, column }: Position): Position => ({ line: line + from.line, column: column + from.column })
  return {
    file,
    mutator: located.mutatorName,
    replacement: located.replacement,
    start: position(located.location.start),
    end: position(located.location.end)
  }
}

/** Lists every mutant of the files. */
const listMutants = async (files: ReadonlyArray<string>): Promise<Array<Mutant>> => {
  const { Instrumenter } = await import(pathToFileURL(join(stryker, "instrumenter/dist/src/index.js")).href)
  const silent = Object.fromEntries(
    ["trace", "debug", "info", "warn", "error", "fatal"].map((level) => [level, () => {}])
  )
  const instrumenter = new Instrumenter({ ...silent, isDebugEnabled: () => false })
  const { mutants } = await instrumenter.instrument(
    files.map((name) => ({ name, mutate: true, content: readFileSync(join(copy, name), "utf8") })),
    { plugins: null, ignorers: [], excludedMutations: [], noHeader: true }
  )
  return mutants.map((mutant: Located & { fileName: string }) =>
    mutantOf(mutant.fileName, mutant, { line: 1, column: 0 })
  )
}

/** A range of code also holds the mutants inside it: the checker passes only the chosen ones. */
const checker = (chosen: string): string =>
  `import { readFileSync } from "node:fs"
const chosen = new Set(JSON.parse(readFileSync(${JSON.stringify(chosen)}, "utf8")))
const keyOf = ({ fileName, mutatorName, replacement, location: { start, end } }) =>
  [fileName.slice(${
    copy.length + 1
  }), start.line + 1, start.column, end.line + 1, end.column, mutatorName, replacement].join(":")
const resultOf = (mutant) => chosen.has(keyOf(mutant)) ? { status: "passed" } : { status: "compileError", reason: "not chosen" }
const sample = {
  init: async () => {},
  group: async (mutants) => [mutants.map(({ id }) => id)],
  check: async (mutants) => Object.fromEntries(mutants.map((mutant) => [mutant.id, resultOf(mutant)]))
}
export const strykerPlugins = [{ kind: "Checker", name: "sample", value: sample }]
`

const vitestConfig = (isolate: boolean): string =>
  `import base from "./vitest.config.ts"
export default {
  ...base,
  test: { ...base.test, isolate: ${isolate}, exclude: [...base.test.exclude, ...${JSON.stringify(notReached)}] }
}
`

/** Status names of the report; a mutant with which the tests cannot even be loaded counts as killed. */
const fates: Record<string, Fate> = {
  Killed: "killed",
  RuntimeError: "killed",
  Timeout: "timedOut",
  Survived: "survived",
  NoCoverage: "notCovered"
}

/** Runs the tests against each mutant. With `isolate`, each file of tests loads the library anew. */
const runTool = (mutants: ReadonlyArray<Mutant>, isolate: boolean): Map<string, Fate> => {
  const at = (name: string): string => join(folder, `${isolate ? "isolated" : "shared"}-${name}`)
  writeFileSync(at("chosen.json"), JSON.stringify(mutants.map(keyOf)))
  writeFileSync(at("checker.mjs"), checker(at("chosen.json")))
  writeFileSync(join(copy, "vitest.mutants.config.ts"), vitestConfig(isolate))
  const ranges = mutants.map(({ file, start, end }) =>
    `${file}:${start.line}:${start.column}-${end.line}:${end.column}`
  )
  writeFileSync(
    at("stryker.json"),
    JSON.stringify({
      packageManager: "npm",
      inPlace: true,
      mutate: [...new Set(ranges)],
      plugins: [join(stryker, "vitest-runner/dist/src/index.js"), at("checker.mjs")],
      checkers: ["sample"],
      testRunner: "vitest",
      testRunnerNodeArgs: ["--conditions=@effect-entra/source"],
      vitest: { configFile: "vitest.mutants.config.ts", related: false },
      coverageAnalysis: "perTest",
      // TypeScript 7 has none of the functions with which the tool reads this file.
      tsconfigFile: "absent.json",
      disableTypeChecks: false,
      concurrency,
      timeoutMS: 10_000,
      dryRunTimeoutMinutes: 60,
      reporters: ["json", "progress-append-only"],
      jsonReporter: { fileName: at("report.json") },
      tempDirName: at("backup"),
      cleanTempDir: "always",
      allowConsoleColors: false,
      logLevel: "warn",
      warnings: { slow: false }
    })
  )
  const { status } = spawnSync(process.execPath, [join(stryker, "core/bin/stryker.js"), "run", at("stryker.json")], {
    cwd: copy,
    stdio: "inherit"
  })
  if (status !== 0) throw new Error(`Stryker ended with ${status}.`)
  const report: { files: Record<string, { mutants: Array<Located & { status: string }> }> } = JSON.parse(
    readFileSync(at("report.json"), "utf8")
  )
  const found = new Map<string, Fate>()
  for (const [file, { mutants: reported }] of Object.entries(report.files)) {
    for (const mutant of reported) {
      const fate = fates[mutant.status]
      if (fate !== undefined) found.set(keyOf(mutantOf(file, mutant, { line: 0, column: -1 })), fate)
    }
  }
  return found
}

try {
  console.log(`again: ${["npm run mutants --", "--seed", seed, "--sample", sample, ...positionals].join(" ")}`)
  copyRepository()
  installTool()
  const sources = filesOf(positionals.length === 0 ? ["src"] : positionals)
  const all = await listMutants(sources.filter((file) => file.endsWith(".ts") && !file.endsWith(".d.ts")))
  const chosen = pick(all, sample, seed)
  console.log(`${chosen.length} of ${all.length} mutants`)
  const shared = runTool(chosen, false)
  const survivors = chosen.filter((mutant) => shared.get(keyOf(mutant)) === "survived")
  // If another file had loaded a module before, its top-level code ran without the mutant.
  if (survivors.length > 0) console.log(`${survivors.length} survived; each again with the library loaded anew`)
  const isolated = survivors.length === 0 ? new Map<string, Fate>() : runTool(survivors, true)

  const results = chosen.flatMap((mutant) => {
    const fate = isolated.get(keyOf(mutant)) ?? shared.get(keyOf(mutant))
    return fate === undefined ? [] : [{ mutant, fate }]
  })
  console.log(table(results).join("\n"))
  for (const [fate, title] of [["survived", "Survived"], ["notCovered", "Reached by no test"]] as const) {
    console.log(`\n${title}:`)
    for (const { mutant } of results.filter((result) => result.fate === fate)) {
      const original = excerpt(readFileSync(join(repository, mutant.file), "utf8"), mutant)
      console.log(`${mutant.file}:${mutant.start.line}:${mutant.start.column + 1} (${mutant.mutator})`)
      console.log(`  - ${original}\n  + ${oneLine(mutant.replacement)}`)
    }
  }
  if (results.length < chosen.length) console.log(`\n${chosen.length - results.length} of the sample were not run.`)
  const share = shareDead(results.map(({ fate }) => fate))
  console.log(`\n${share.toFixed(1)} % of ${results.length} dead (killed or timed out), seed ${seed}`)
  if (results.length === 0 || share < (atLeast ?? 0)) process.exitCode = 1
} finally {
  if (values.keep) console.log(`kept: ${folder}`)
  else rmSync(folder, { recursive: true, force: true })
}
