/**
 * The core suite: every test of the modules outside `src/node` that needs nothing of Node but assertions, cryptography and
 * `inspect`. It runs on every runtime.
 */
import { Schema } from "effect"
import { build, type Metafile } from "esbuild"
import { globSync } from "node:fs"
import { posix, sep } from "node:path"
import { root } from "../docs/repository.ts"

/** The modules of Node that a test of the core suite may import. */
const portable = new Set(["node:assert", "node:crypto", "node:os", "node:util"])

/** Tests that would fit, and are left out: they are long, and the simulations are about a fleet and not about a platform. */
const long: ReadonlyMap<string, string> = new Map([
  ["test/Model.test.ts", "random sequences, for a minute"],
  ["test/fleet/Simulation.test.ts", "a simulated fleet, for twenty seconds"],
  ["test/fleet/LargeSimulation.test.ts", "a simulated fleet, for half a minute"]
])

export interface Division {
  readonly core: ReadonlyArray<string>
  /** The other files, with the reason: the modules that not every runtime has. */
  readonly outside: ReadonlyMap<string, string>
}

/** Divides the test files by their imports, direct and through helpers. Types do not count. */
export const divide = (files: ReadonlyArray<string>, { inputs }: Pick<Metafile, "inputs">): Division => {
  const reached = (path: string, seen = new Set<string>()): ReadonlySet<string> => {
    if (!seen.has(path)) {
      seen.add(path)
      for (const next of inputs[path]?.imports ?? []) reached(next.path, seen)
    }
    return seen
  }
  const reasons = files.map((file) => {
    const needs = [...reached(file)].filter((path) => inputs[path] === undefined && !isPortable(path)).sort()
    return [file, long.get(file) ?? needs.join(", ")] as const
  })
  return {
    core: reasons.flatMap(([file, reason]) => reason === "" ? [file] : []),
    outside: new Map(reasons.filter(([, reason]) => reason !== ""))
  }
}

const isPortable = (path: string): boolean =>
  path.startsWith("node:")
    ? portable.has(path)
    : !/^(?:@azure\/identity|@effect\/platform-node|effect-entra\/node|esbuild|ioredis|miniflare|redis|rolldown)(?:\/|$)/
      .test(path)

export const testFiles = (): ReadonlyArray<string> =>
  globSync("test/**/*.test.ts", { cwd: root, exclude: ["**/node_modules"] })
    .map((path) => path.split(sep).join(posix.sep))
    .sort()

/** Returns the division of this repository. */
export const division = async (): Promise<Division> => {
  const files = testFiles()
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: [...files],
    outdir: "dist",
    bundle: true,
    write: false,
    metafile: true,
    format: "esm",
    platform: "neutral",
    packages: "external",
    logLevel: "error"
  })
  return divide(files, metafile)
}

// -----------------------------------------------------------------------------
// lacks of a runtime
// -----------------------------------------------------------------------------

export const runtimes = ["Node 22", "Node 24", "Bun", "Deno", "workerd"] as const

export type Runtime = (typeof runtimes)[number]

/** Tests that do not run on some runtimes, because the test itself needs a feature that they do not have. */
export interface Lack {
  readonly on: ReadonlyArray<Runtime>
  readonly why: string
  /** Names of tests, after the names of the suites around them: `suite > test`. */
  readonly tests: ReadonlyArray<string>
}

export const lacks: ReadonlyArray<Lack> = [
  {
    on: ["Bun", "workerd"],
    why: "garbage collection on demand",
    tests: [
      "several clients > leave nothing behind but the series of their client id",
      "a fetch that led other clients > is not kept in memory once it is lost, though nobody asks for its key again",
      "a flight beyond its limit > of a request that has ended is not kept in memory, though nobody asks for its key again",
      "names that were cut out of something long > keep nothing of it in memory",
      "spaces > leave nothing in memory when their last entry is gone"
    ]
  },
  {
    on: ["Bun", "Deno", "workerd"],
    why: "garbage collection of objects that created an error",
    tests: ["what is remembered > holds on to nothing that was called"]
  },
  { on: ["workerd"], why: "the redirect mode `error` of `fetch`", tests: ["fetch > keeps the redirect mode error"] },
  {
    on: ["workerd"],
    why: "waits without a timer (every wait has a timer there)",
    tests: [
      "slots that are never returned > do not go to requests whose longest wait is over",
      "a flight beyond its limit > ends with the scope, and its callers fail with closed"
    ]
  },
  {
    on: ["workerd"],
    why: "`KeyObject.toCryptoKey`, and the dates and keys of `X509Certificate`",
    tests: [
      "loadCertificate > RSA: signs what the certificate verifies",
      "loadCertificate > EC on P-256: signs what the certificate verifies",
      "loadCertificate > a chain: signs what the certificate verifies",
      "notAfter > reads 2026-11-22T19:13:57Z as the generator wrote it and as node reads it",
      "notAfter > reads 2049-12-31T23:59:59Z as the generator wrote it and as node reads it",
      "notAfter > reads 2050-01-01T00:00:00Z as the generator wrote it and as node reads it",
      "notAfter > reads 9999-12-31T23:59:59Z as the generator wrote it and as node reads it",
      "a certificate > has the key that was asked for: {}",
      "a certificate > has the key that was asked for: { modulusLength: 1024 }",
      "a certificate > has the key that was asked for: { modulusLength: 3072 }",
      "a certificate > has the key that was asked for: { algorithm: 'EC' }",
      "a certificate > has the key that was asked for: { algorithm: 'EC', curve: 'P-384' }",
      "a certificate > is valid from an hour ago to a year from now, or as told",
      "a certificate > has the subject that was asked for",
      "an authority > issues, and its intermediates do: leaf first, root last ({})",
      "an authority > issues, and its intermediates do: leaf first, root last ({ algorithm: 'RSA' })",
      "an authority > issues, and its intermediates do: leaf first, root last ({ curve: 'P-384' })",
      "an authority > a chain of two, as TLS servers have one; its authority expires with it"
    ]
  }
]

export const lacksOf = (runtime: Runtime): ReadonlyArray<Lack> => lacks.filter(({ on }) => on.includes(runtime))

export interface Selection {
  readonly files: ReadonlyArray<string>
  /** Matches the names of the tests to run. */
  readonly run: RegExp
}

/** The tests of `files` that run on a runtime. */
export const selectionOf = (runtime: Runtime, files: ReadonlyArray<string>): Selection => {
  const names = lacksOf(runtime).flatMap(({ tests }) => tests).map(escaped)
  return { files, run: new RegExp(names.length === 0 ? "" : `^(?!(?:${names.join("|")})$)`) }
}

const escaped = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&")

const Encoded = Schema.fromJsonString(Schema.Struct({ files: Schema.Array(Schema.String), run: Schema.String }))

export const encodeSelection = ({ files, run }: Selection): string =>
  Schema.encodeSync(Encoded)({ files, run: run.source })

export const decodeSelection = (text: string): Selection => {
  const { files, run } = Schema.decodeUnknownSync(Encoded)(text)
  return { files, run: new RegExp(run) }
}
