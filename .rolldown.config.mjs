/**
 * Merges the compiled modules for programs that are not bundled: Node reads three files instead of a hundred, which
 * takes a third of the time. Bundlers read the separate modules, through the export condition "module", so that they
 * can remove unused code.
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
    // Removes comments and white space, which take time to read. Names stay, for stack traces.
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
