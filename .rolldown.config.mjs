/**
 * Merges the compiled modules for programs that are not bundled: Node reads three files instead of a hundred, which takes a
 * third of the time. Bundlers take the modules one by one, by the condition "module", so that they can leave out what a
 * program does not use.
 */
import { globSync } from "node:fs"
import { basename } from "node:path"

const entries = (folder, prefix) =>
  globSync(`dist/${folder}*.js`).map((file) => [`${prefix}${basename(file, ".js")}`, file])

export default {
  input: Object.fromEntries([...entries("", ""), ...entries("node/", "node/"), ...entries("testing/", "testing/")]),
  external: (id) => !/^[./]/.test(id),
  platform: "neutral",
  output: {
    dir: "dist/merged",
    format: "esm",
    entryFileNames: "[name].js",
    chunkFileNames: "internal/[name].js",
    // Comments and white space are read too. Names stay, for stack traces.
    minify: { compress: false, mangle: false, codegen: true },
    advancedChunks: {
      includeDependenciesRecursively: false,
      groups: [
        { name: "node-parts", test: /[/\\]dist[/\\]node[/\\]/ },
        { name: "testing-parts", test: /[/\\]dist[/\\]testing[/\\]/ },
        { name: "core", test: /[/\\]dist[/\\]/ }
      ]
    }
  }
}
