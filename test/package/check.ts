/** `npm run check:package`, after a build: publint and attw, on the packed tarball and each of its entry points. */
import { execFileSync } from "node:child_process"
import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { root } from "../docs/repository.ts"
import { entries } from "./entries.ts"

const folder = mkdtempSync(join(tmpdir(), "effect-entra-package-"))
const run = (command: string, ...options: ReadonlyArray<string>) =>
  execFileSync(command, options, { cwd: root, stdio: ["ignore", "inherit", "inherit"] })

try {
  run("npm", "pack", "--ignore-scripts", "--silent", "--pack-destination", folder)
  const tarball = join(folder, readdirSync(folder)[0] ?? "")
  run("publint", "run", "--strict", tarball)
  // The package has ES modules only. They need a resolution that supports `exports`.
  const subpaths = entries().map(({ name }) => name.replace("effect-entra", "."))
  run("attw", tarball, "--profile", "esm-only", "--no-emoji", "--entrypoints", ...subpaths)
} finally {
  rmSync(folder, { recursive: true, force: true })
}
