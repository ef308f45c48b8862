/** Bundles files of the core suite for workerd, with vitest's runner in the place of vitest. */
import { build, type Plugin } from "esbuild"
import { readFileSync } from "node:fs"
import { isBuiltin } from "node:module"
import { basename, dirname, join } from "node:path"
import { runInNewContext } from "node:vm"
import { readText, root } from "../../docs/repository.ts"

const vitest = join(root, "node_modules/vitest/dist")

/** The module of vitest that contains its runner, with the names that its minified exports have had before. */
const runner = (): string => {
  const chunk = /"\.\/chunks\/(run\.[\w-]+\.js)"|'\.\/chunks\/(run\.[\w-]+\.js)'/.exec(
    readFileSync(join(vitest, "index.js"), "utf8")
  )
  const path = join(vitest, "chunks", chunk?.[1] ?? chunk?.[2] ?? "")
  const exported = /export \{([^}]*)\};?\s*$/.exec(readFileSync(path, "utf8"))?.[1]
  if (exported === undefined) throw new Error("vitest has no chunk with its runner")
  const names = exported.split(",").map((one) => {
    const [name, alias = name] = one.trim().split(" as ")
    return `${alias} as ${name}`
  })
  return `export { ${names.join(", ")} } from ${JSON.stringify(path)}`
}

const plugin: Plugin = {
  name: "vitest in a Worker",
  setup: ({ onLoad, onResolve }) => {
    onResolve({ filter: /^vitest$/ }, () => ({ path: join(import.meta.dirname, "vitest.ts") }))
    onResolve({ filter: /^vitest-runner$/ }, ({ path }) => ({ path, namespace: "runner" }))
    onLoad({ filter: /.*/, namespace: "runner" }, () => ({ contents: runner(), resolveDir: root }))
    // Packages that name a module of Node without `node:`, or that call `require` for it.
    onResolve({ filter: /^[a-z_/]+$/ }, ({ path }) => isBuiltin(path) ? { path, namespace: "builtin" } : undefined)
    onLoad({ filter: /.*/, namespace: "builtin" }, ({ path }) => ({
      contents: `export * from "node:${path}"; export { default } from "node:${path}"`,
      resolveDir: root
    }))
  }
}

/** The snapshots of a test file, by the name of the test and the number of the comparison in it. */
const snapshotsOf = (file: string): Readonly<Record<string, string>> => {
  const exports = {}
  const text = readText(join(dirname(file), "__snapshots__", `${basename(file)}.snap`))
  if (text !== undefined) runInNewContext(text, { exports })
  return exports
}

export const bundle = async (files: ReadonlyArray<string>): Promise<string> => {
  const entries = files.map((file) =>
    `[${JSON.stringify(file)}]: { load: () => import("./${file}"), snapshots: ${JSON.stringify(snapshotsOf(file))} }`
  )
  const { outputFiles } = await build({
    absWorkingDir: root,
    stdin: {
      contents: `import { serve } from "./test/runtimes/workerd/worker.ts"
export default serve({ ${entries.join(",\n")} })`,
      resolveDir: root
    },
    bundle: true,
    write: false,
    format: "esm",
    platform: "neutral",
    mainFields: ["browser", "module", "main"],
    conditions: ["@effect-entra/source", "workerd", "module"],
    external: ["node:*"],
    plugins: [plugin],
    logLevel: "error"
  })
  return outputFiles.map(({ text }) => text).join("")
}
