/**
 * `npm run check:effect`: the types and the core suite with the newest `effect` of the peer range. All other tests run with
 * the lowest, which is the version of development. Other versions follow as arguments: `npm run check:effect -- 4.2.0`.
 */
import { Schema } from "effect"
import { execFileSync, spawnSync } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"
import { readText, root } from "../docs/repository.ts"
import { division } from "../runtimes/core.ts"
import { runCore } from "../runtimes/run.ts"

const Manifest = Schema.fromJsonString(Schema.Struct({
  peerDependencies: Schema.Struct({ effect: Schema.String }),
  devDependencies: Schema.Struct({ effect: Schema.String })
}))

/** Returns the peer range and the version of development. */
export const effectOf = (manifest: string): { readonly range: string; readonly installed: string } => {
  const { devDependencies, peerDependencies } = Schema.decodeUnknownSync(Manifest)(manifest)
  return { range: peerDependencies.effect, installed: devDependencies.effect }
}

const decodeVersions = Schema.decodeUnknownSync(
  Schema.fromJsonString(Schema.Union([Schema.String, Schema.NonEmptyArray(Schema.String)]))
)

/** Returns the newest version in the output of `npm view <range> version --json`. */
export const newestOf = (printed: string): string =>
  [decodeVersions(printed)].flat().sort((a, b) => a.localeCompare(b, "en", { numeric: true })).at(-1) ?? ""

/** Returns whether the types compile and the core suite passes with a version of `effect`. */
const passesWith = async (version: string): Promise<boolean> => {
  const folder = mkdtempSync(join(tmpdir(), "effect-entra-effect-"))
  try {
    const copied = (path: string) => !/^(?:node_modules|dist|\.git)$/.test(basename(path))
    cpSync(root, folder, { recursive: true, filter: (path) => path === root || copied(path) })
    const packages = join(folder, "node_modules")
    mkdirSync(packages)
    for (const name of readdirSync(join(root, "node_modules"))) {
      const from = join(root, "node_modules", name)
      // Packages that import `effect` get the other version too.
      if (name === "@effect") cpSync(from, join(packages, name), { recursive: true })
      else if (name !== "effect") symlinkSync(from, join(packages, name))
    }
    execFileSync("npm", ["pack", `effect@${version}`, "--silent", "--pack-destination", folder])
    mkdirSync(join(packages, "effect"))
    const tarball = join(folder, `effect-${version}.tgz`)
    execFileSync("tar", ["xzf", tarball, "-C", join(packages, "effect"), "--strip-components=1"])
    const types = spawnSync(join(packages, ".bin/tsc"), ["-p", "tsconfig.build.json", "--noEmit"], {
      cwd: folder,
      stdio: ["ignore", "inherit", "inherit"]
    })
    const { core } = await division()
    const { failed, passed } = await runCore("Node 24", core, folder)
    for (const failure of failed) console.error(failure)
    console.log(
      `effect ${version}: types ${types.status === 0 ? "compile" : "do not compile"}, `
        + `${passed} tests passed, ${failed.length} failed`
    )
    return types.status === 0 && failed.length === 0
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const check = async (versions: ReadonlyArray<string>): Promise<void> => {
  const { installed, range } = effectOf(readText("package.json") ?? "")
  const pending = [...versions]
  if (pending.length === 0) {
    const { status, stdout } = spawnSync("npm", ["view", `effect@${range}`, "version", "--json"], { encoding: "utf8" })
    if (status !== 0) {
      console.log("not checked, the registry does not answer")
      return
    }
    const newest = newestOf(stdout)
    if (newest === installed) {
      console.log(`effect ${installed} is the lowest and the newest of ${range}: all tests run with it`)
    } else pending.push(newest)
  }
  for (const version of pending) if (!await passesWith(version)) process.exitCode = 1
}

if (import.meta.main) await check(process.argv.slice(2))
