/** Checks the runtime, and the copies of `effect` in a project. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { readFileSync, realpathSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { version } from "../../../internal/http/fields.ts"
import { fail, type Finding, ok, skipped, warn } from "./finding.ts"

/** The versions of a runtime, as `process.versions` has them. */
export interface RuntimeVersions {
  readonly node?: string | undefined
  readonly bun?: string | undefined
  readonly deno?: string | undefined
}

/** The lowest version of Node, which is that of `engines` in package.json. */
export const lowestNode = "22.19.0"

/** The lowest version of `effect`, which is that of `peerDependencies` in package.json. */
export const lowestEffect = "4.1.0"

/** Returns the finding of a runtime. */
export const runtimeFinding = ({ bun, deno, node }: RuntimeVersions): Finding => {
  if (bun !== undefined) return ok("runtime", `Bun ${bun}`)
  if (deno !== undefined) return ok("runtime", `Deno ${deno}`)
  return node !== undefined && isAtLeast(node, lowestNode) ? ok("runtime", `Node ${node}`) : fail(
    "runtime",
    `Node ${node ?? "of an unknown version"} is not supported`,
    `Install Node ${lowestNode} or later.`
  )
}

/** Compares the three numbers of versions. Pre-releases count as their release. */
export const isAtLeast = (version: string, lowest: string): boolean => {
  const [own, other] = [numbersOf(version), numbersOf(lowest)]
  const index = own.findIndex((number, at) => number !== other[at])
  return index < 0 || (own[index] ?? 0) > (other[index] ?? 0)
}

const numbersOf = (version: string): ReadonlyArray<number> =>
  (/^v?(\d+)\.(\d+)\.(\d+)/.exec(version)?.slice(1) ?? ["0", "0", "0"]).map(Number)

// -----------------------------------------------------------------------------
// packages
// -----------------------------------------------------------------------------

/** A copy of `effect`, and the packages of the project that load it. */
interface Copy {
  readonly folder: string
  readonly version: string
  readonly users: ReadonlyArray<string>
}

/** Returns the finding of the copies of `effect` in a project. */
export const packagesFinding = (project: string): Effect.Effect<Finding> =>
  Effect.sync(() => {
    const copies = copiesIn(project)
    return copies === undefined
      ? skipped("packages", `${project} has no package.json that can be read`)
      : copiesFinding(copies)
  })

const copiesFinding = (copies: ReadonlyArray<Copy>): Finding => {
  const [only] = copies
  if (only === undefined) return ok("packages", `effect-entra ${version}. The project has no effect of its own`)
  const unsupported = copies.find((copy) => !isSupported(copy.version))
  if (unsupported !== undefined) {
    return fail(
      "packages",
      `effect ${unsupported.version} (${unsupported.folder}), loaded by ${
        unsupported.users.join(" and ")
      }, is not supported`,
      `Install effect ${lowestEffect} or a later 4.x: npm i effect@^${lowestEffect}.`
    )
  }
  if (copies.length === 1) return ok("packages", `effect-entra ${version}, one copy of effect: ${only.version}`)
  const listed = copies.map((copy) => `${copy.version} for ${copy.users.join(", ")} (${copy.folder})`).join("; ")
  const remedy = "Run npm dedupe, or add \"overrides\": { \"effect\": \"$effect\" } to package.json and install again. "
    + "npm ls effect lists the copies."
  return new Set(copies.map((copy) => copy.version)).size > 1
    ? fail("packages", `${copies.length} copies of effect with different versions: ${listed}`, remedy)
    : warn("packages", `${copies.length} copies of effect: ${listed}`, remedy)
}

const isSupported = (version: string): boolean =>
  isAtLeast(version, lowestEffect) && numbersOf(version)[0] === numbersOf(lowestEffect)[0]

const Names = Schema.optionalKey(Schema.Record(Schema.String, Schema.Unknown))

const Manifest = Schema.Struct({
  version: Schema.optionalKey(Schema.String),
  dependencies: Names,
  devDependencies: Names,
  peerDependencies: Names
})

type Manifest = typeof Manifest.Type

/** Finds the copies of `effect` that a project and its direct dependencies load. */
const copiesIn = (project: string): ReadonlyArray<Copy> | undefined => {
  const own = manifestIn(project)
  if (own === undefined) return undefined
  const users = [
    { name: "the project", folder: project },
    ...Object.keys({ ...own.dependencies, ...own.devDependencies }).flatMap((name) => {
      const folder = folderOf(name, project)
      return folder !== undefined && usesEffect(manifestIn(folder)) ? [{ name, folder }] : []
    })
  ]
  const copies = new Map<string, Copy>()
  for (const { folder, name } of users) {
    const copy = folderOf("effect", folder)
    const version = copy === undefined ? undefined : manifestIn(copy)?.version
    if (copy === undefined || version === undefined) continue
    copies.set(copy, { folder: copy, version, users: [...(copies.get(copy)?.users ?? []), name] })
  }
  return [...copies.values()]
}

const usesEffect = (manifest: Manifest | undefined): boolean =>
  manifest?.dependencies?.["effect"] !== undefined || manifest?.peerDependencies?.["effect"] !== undefined

/** Returns the real folder of a package as Node finds it from another folder. `exports` may hide its package.json. */
const folderOf = (name: string, from: string): string | undefined => {
  const places = createRequire(join(from, "package.json")).resolve.paths(name) ?? []
  for (const place of places) {
    try {
      return dirname(realpathSync(join(place, name, "package.json")))
    } catch {
      // The next folder may have the package.
    }
  }
  return undefined
}

const manifestIn = (folder: string): Manifest | undefined => {
  try {
    return Option.getOrUndefined(decodeManifest(readFileSync(join(folder, "package.json"), "utf8")))
  } catch {
    return undefined
  }
}

const decodeManifest = Schema.decodeUnknownOption(Schema.fromJsonString(Manifest))
