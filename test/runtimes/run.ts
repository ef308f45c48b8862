/** Runs files of the core suite on a runtime. */
import { Schema } from "effect"
import { Miniflare } from "miniflare"
import { execFile } from "node:child_process"
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join, relative } from "node:path"
import { readText, root } from "../docs/repository.ts"
import { encodeSelection, type Runtime, type Selection, selectionOf } from "./core.ts"
import { bundle } from "./workerd/bundle.ts"

export interface Outcome {
  readonly passed: number
  /** Tests that the runtime lacks something for. */
  readonly skipped: number
  /** Each failed test: its file, its name and the message. */
  readonly failed: ReadonlyArray<string>
}

/** `folder` is a copy of the repository, for vitest. */
export const runCore = (runtime: Runtime, files: ReadonlyArray<string>, folder = root): Promise<Outcome> => {
  const selection = selectionOf(runtime, files)
  return runtime === "workerd" ? inWorkerd(selection) : inVitest(runtime, selection, folder)
}

const Manifest = Schema.fromJsonString(Schema.Struct({ version: Schema.String }))

/** The command that runs a program, before the name of its file. */
export const commandsOf = (runtime: Exclude<Runtime, "workerd">): ReadonlyArray<string> => commands[runtime]

export const versionOf = (runtime: Runtime): string =>
  Schema.decodeUnknownSync(Manifest)(readText(`${packages[runtime]}/package.json`)).version

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const packages: Readonly<Record<Runtime, string>> = {
  "Node 22": "test/runtimes/node22/node_modules/node",
  "Node 24": "node_modules/node",
  Bun: "node_modules/bun",
  Deno: "node_modules/deno",
  workerd: "node_modules/workerd"
}

const bin = (name: string) => join(root, "node_modules/.bin", name)

/** Bun's processes have no channel that vitest could release, so that its tests run on threads. */
const commands: Readonly<Record<Exclude<Runtime, "workerd">, ReadonlyArray<string>>> = {
  "Node 22": [join(root, packages["Node 22"], "bin/node")],
  "Node 24": [bin("node")],
  Bun: [bin("bun")],
  Deno: [bin("deno"), "run", "--allow-all", "--quiet"]
}

interface Test {
  readonly file: string
  readonly name: string
  readonly state: string
  readonly message: string
}

const outcomeOf = (tests: ReadonlyArray<Test>): Outcome => ({
  passed: tests.filter(({ state }) => state.startsWith("pass")).length,
  skipped: tests.filter(({ state }) => state.startsWith("skip")).length,
  failed: tests.flatMap(({ file, message, name, state }) =>
    /^(?:pass|skip)/.test(state) ? [] : [`${file}: ${name}: ${message}`]
  )
})

const Report = Schema.fromJsonString(Schema.Struct({
  testResults: Schema.Array(Schema.Struct({
    name: Schema.String,
    status: Schema.String,
    message: Schema.String,
    assertionResults: Schema.Array(Schema.Struct({
      fullName: Schema.String,
      status: Schema.String,
      failureMessages: Schema.optional(Schema.Array(Schema.String))
    }))
  }))
}))

const inVitest = async (
  runtime: Exclude<Runtime, "workerd">,
  selection: Selection,
  cwd: string
): Promise<Outcome> => {
  const folder = await mkdtemp(join(tmpdir(), "effect-entra-runtime-"))
  const report = join(folder, "report.json")
  const [command = "", ...options] = commands[runtime]
  const said = await new Promise<string>((resolve) =>
    void execFile(
      command,
      [
        ...options,
        // Otherwise Bun would start the Node of the script's first line.
        ...(runtime === "Bun" ? ["--bun"] : []),
        join(cwd, "node_modules/vitest/vitest.mjs"),
        "run",
        "--config=test/runtimes/vitest.config.ts",
        `--pool=${runtime === "Bun" ? "threads" : "forks"}`,
        "--reporter=json",
        `--outputFile=${report}`
      ],
      {
        cwd,
        env: {
          PATH: process.env["PATH"],
          HOME: process.env["HOME"],
          CORE: encodeSelection(selection),
          RUNTIME_VERSION: versionOf(runtime)
        },
        maxBuffer: 1e8
      },
      (error, stdout, stderr) => resolve(error === null ? "" : stdout + stderr)
    )
  )
  const text = await readFile(report, "utf8").catch(() => undefined)
  await rm(folder, { recursive: true, force: true })
  if (text === undefined) throw new Error(`${runtime} wrote no report: ${said}`)
  const { testResults } = Schema.decodeUnknownSync(Report)(text)
  const tests: Array<Test> = []
  for (const { assertionResults, message, name, status } of testResults) {
    const file = relative(cwd, name)
    for (const { failureMessages = [], fullName, status } of assertionResults) {
      tests.push({ file, name: fullName, state: status, message: failureMessages.join("\n") })
    }
    // A file that does not load.
    if (message !== "") tests.push({ file, name: "", state: status, message })
  }
  return outcomeOf(tests.concat(missing(selection.files, tests)))
}

/** A file that does not exist is no failure for vitest. */
const missing = (files: ReadonlyArray<string>, tests: ReadonlyArray<Test>): ReadonlyArray<Test> => {
  const ran = new Set(tests.map(({ file }) => file))
  return files.filter((file) => !ran.has(file)).map((file) => ({
    file,
    name: "",
    state: "missing",
    message: "no test"
  }))
}

const Answer = Schema.fromJsonString(
  Schema.Array(Schema.Struct({ name: Schema.String, state: Schema.String, message: Schema.String }))
)

const inWorkerd = async ({ files, run }: Selection): Promise<Outcome> => {
  const worker = new Miniflare({
    modules: [{ type: "ESModule", path: "worker.js", contents: await bundle(files) }],
    compatibilityDate: "2026-01-01",
    compatibilityFlags: ["nodejs_compat"],
    // The log of the tests is not used.
    handleRuntimeStdio: (stdout, stderr) => {
      stdout.resume()
      stderr.resume()
    }
  })
  const tests: Array<Test> = []
  for (const file of files) {
    const query = new URLSearchParams({ file, run: run.source })
    const answer = await (await worker.dispatchFetch(`http://worker/?${query}`)).text()
    for (const { message, name, state } of Schema.decodeUnknownSync(Answer)(answer)) {
      tests.push({ file, name, state, message })
    }
  }
  await worker.dispose()
  return outcomeOf(tests)
}
