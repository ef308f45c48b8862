/**
 * The two bundles of `npm run build`, from the modules that tsc has compiled.
 *
 * The first merges the compiled modules for programs that are not bundled: Node reads three files instead of a hundred, which
 * takes a third of the time. Bundlers read the separate modules, through the export condition "module", so that they
 * can remove unused code.
 *
 * The second is the package `effect-entra-standalone`: `effect-entra/promise` with everything that it uses, in
 * `standalone/`.
 */
import { globSync, readFileSync } from "node:fs"
import { basename, join } from "node:path"

const entries = (folder, prefix) =>
  globSync(`dist/${folder}*.js`).map((file) => [`${prefix}${basename(file, ".js")}`, file])

const merged = {
  input: Object.fromEntries(["", "node/", "promise/", "testing/"].flatMap((folder) => entries(folder, folder))),
  external: (id) => !/^[./]/.test(id),
  platform: "neutral",
  output: {
    dir: "dist/merged",
    format: "esm",
    entryFileNames: "[name].js",
    chunkFileNames: "internal/[name].js",
    // Comments take time to read. Lines and names stay, because Node prints the line of an uncaught error.
    comments: false,
    advancedChunks: {
      includeDependenciesRecursively: false,
      groups: [
        { name: "node-parts", test: /[/\\]dist[/\\]node[/\\]/ },
        { name: "promise-parts", test: /[/\\]dist[/\\]promise[/\\]/ },
        { name: "testing-parts", test: /[/\\]dist[/\\]testing[/\\]/ },
        { name: "core", test: /[/\\]dist[/\\]/ }
      ]
    }
  }
}

const { engines, license, version } = JSON.parse(readFileSync("package.json", "utf8"))

/** Adds the manifest, the license and the declarations, which import no package. */
const packaging = {
  name: "packaging",
  generateBundle() {
    const add = (fileName, source) => this.emitFile({ type: "asset", fileName, source })
    add(
      "package.json",
      `${
        JSON.stringify(
          {
            name: "effect-entra-standalone",
            version,
            description:
              "Microsoft Entra ID app tokens with promises: effect-entra/promise in one package without dependencies",
            license,
            type: "module",
            sideEffects: false,
            exports: {
              ".": { types: "./types/promise/index.d.ts", default: "./index.js" },
              "./package.json": "./package.json"
            },
            engines
          },
          undefined,
          2
        )
      }\n`
    )
    add("LICENSE", readFileSync("LICENSE", "utf8"))
    for (const file of [...globSync("dist/promise/*.d.ts"), join("dist", "internal", "shared", "errorCodes.d.ts")]) {
      add(
        file.replaceAll("\\", "/").replace("dist/", "types/"),
        readFileSync(file, "utf8").replace(/^\/\/# source.*/m, "")
      )
    }
  }
}

const standalone = {
  input: "dist/promise/index.js",
  platform: "neutral",
  resolve: { mainFields: ["module", "main"] },
  plugins: [packaging],
  output: {
    dir: "standalone",
    format: "esm",
    entryFileNames: "index.js",
    // The code for certificates is loaded when a certificate is used.
    chunkFileNames: "chunks/[name].js",
    // Lines stay here too.
    comments: false,
    minify: {
      compress: true,
      mangle: { keepNames: { class: true, function: false } },
      codegen: { removeWhitespace: false }
    }
  }
}

export default [merged, standalone]
