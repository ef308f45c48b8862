/** The files that documentation is made of. */
import { existsSync, globSync, readFileSync } from "node:fs"
import { join, posix, sep } from "node:path"

export const root = join(import.meta.dirname, "../..")

export const readText = (path: string): string | undefined =>
  existsSync(join(root, path)) ? readFileSync(join(root, path), "utf8") : undefined

export const filesAt = (patterns: ReadonlyArray<string>): ReadonlyMap<string, string> =>
  new Map(
    globSync(patterns, { cwd: root }).map((path) => path.split(sep).join(posix.sep)).sort().map((path) => [
      path,
      readFileSync(join(root, path), "utf8")
    ])
  )

export const sources = (): ReadonlyMap<string, string> => filesAt(["src/**/*.ts"])

/** The pages whose fences are compiled, run and compared with the files that they include. */
export const markdown = (): ReadonlyMap<string, string> => filesAt(["*.md", "docs/*.md"])
