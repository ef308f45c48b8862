/** The arrows of the layout and the limits of a module. The rules are in `architecture/rules.ts` and in `.oxlintrc.json`. */
import { spawnSync } from "node:child_process"
import { copyFileSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join, posix, sep } from "node:path"
import { assert, describe, it } from "vitest"
import { namedPaths, ranks, violations } from "./architecture/rules.ts"

const root = join(import.meta.dirname, "..")

const repository: ReadonlyMap<string, string> = new Map(
  ["package.json", ...globSync("src/**/*.ts", { cwd: root })].map((path) => [
    path.split(sep).join(posix.sep),
    readFileSync(join(root, path), "utf8")
  ])
)

describe("the repository", () => {
  it("keeps every rule", () => {
    assert.deepStrictEqual(violations(repository), [])
  })

  it("has the files that the rules name", () => {
    assert.isAtLeast(repository.size, 40)
    assert.deepStrictEqual(namedPaths.filter((path) => !repository.has(path)), [])
  })
})

describe("the rules", () => {
  const index = [
    "Authority",
    "AzureCredential",
    "BearerHttpClient",
    "ClientCredential",
    "ConfidentialClient",
    "EntraError",
    "RetryPolicy",
    "TokenCache",
    "TokenEndpoint",
    "TokenScope"
  ]
    .map((name) => `export * as ${name} from "./${name}.ts"`)
    .join("\n")

  /** A small tree that keeps every rule. */
  const tidy: Readonly<Record<string, string>> = {
    "package.json": JSON.stringify({
      exports: {
        "./internal/*": null,
        "./cli/*": null,
        "./node/internal/*": null,
        "./promise/internal/*": null,
        "./testing/internal/*": null
      },
      dependencies: { jose: "^6.0.0" },
      peerDependencies: {
        effect: "^4.1.0",
        "@effect/platform-node": "^4.1.0",
        "@peculiar/x509": "^2.0.0",
        "node-forge": "^1.4.0"
      }
    }),
    "src/index.ts": index,
    "src/Authority.ts": `import type { Bad } from "./EntraError.ts"\nimport { quote } from "./internal/shared/text.ts"`,
    "src/AzureCredential.ts": "",
    "src/BearerHttpClient.ts": `import * as HttpClient from "effect/http/HttpClient"`,
    "src/ClientCredential.ts": "",
    "src/EntraError.ts": `import * as Data from "effect/Data"`,
    "src/TokenScope.ts": `import type { Bad } from "./EntraError.ts"`,
    "src/RetryPolicy.ts": `import * as Effect from "effect/Effect"`,
    "src/TokenCache.ts": `import type { Key } from "./internal/cache/cacheKey.ts"`,
    "src/TokenEndpoint.ts": `import { send } from "./internal/http/identityHttp.ts"`,
    "src/ConfidentialClient.ts": `import * as Acquisition from "./internal/client/acquisition.ts"`,
    "src/internal/shared/text.ts": "",
    "src/internal/http/fields.ts": `import * as Redacted from "effect/Redacted"`,
    "src/internal/http/identityHttp.ts": `import * as HttpClient from "effect/http/HttpClient"`,
    "src/internal/cache/cacheKey.ts":
      `import * as Result from "effect/Result"\nimport { parse } from "../../TokenScope.ts"`,
    "src/internal/cache/freshness.ts": `import type { Key } from "./cacheKey.ts"`,
    "src/internal/client/acquisition.ts":
      `import type { TokenCache } from "../../TokenCache.ts"\nimport * as Effect from "effect/Effect"`,
    "src/testing/index.ts": `export * as Simulator from "./Simulator.ts"`,
    "src/testing/Simulator.ts": `import * as x509 from "@peculiar/x509"\nimport * as World from "./internal/world.ts"`,
    "src/testing/internal/world.ts":
      `import * as HttpRouter from "effect/http/HttpRouter"\nimport * as jose from "jose"`,
    "src/node/index.ts": `export * as Server from "./Server.ts"`,
    "src/node/Server.ts": [
      `import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"`,
      `import * as Http from "node:http"`,
      `import * as Simulator from "../testing/Simulator.ts"`
    ].join("\n")
  }

  const after = (change: Readonly<Record<string, string>>) =>
    violations(new Map(Object.entries({ ...tidy, ...change })))

  it("have nothing against a tidy tree", () => {
    assert.deepStrictEqual(after({}), [])
  })

  const cases: ReadonlyArray<readonly [string, Readonly<Record<string, string>>, ReadonlyArray<string>]> = [
    ["a reversed arrow", { "src/TokenScope.ts": `import { Key } from "./internal/cache/freshness.ts"` }, [
      "src/TokenScope.ts:1: models must not import internal/cache (src/internal/cache/freshness.ts)"
    ]],
    ["a reversed arrow of types", {
      "src/TokenCache.ts":
        `import * as Effect from "effect/Effect"\nimport type { Order } from "./ConfidentialClient.ts"`
    }, [
      "src/TokenCache.ts:2: services must not import ConfidentialClient (src/ConfidentialClient.ts)"
    ]],
    ["a reversed arrow in a type position", {
      "src/Authority.ts": `export type T = import("./TokenEndpoint.ts").TokenEndpoint`
    }, ["src/Authority.ts:1: models must not import services (src/TokenEndpoint.ts)"]],
    ["a reversed arrow at run time", { "src/Authority.ts": `export const load = () => import("./TokenEndpoint.ts")` }, [
      "src/Authority.ts:1: models must not import services (src/TokenEndpoint.ts)"
    ]],
    ["a reversed arrow by re-export", { "src/Authority.ts": `export { send } from "./TokenEndpoint.ts"` }, [
      "src/Authority.ts:1: models must not import services (src/TokenEndpoint.ts)"
    ]],
    ["an import that nobody can follow", { "src/Authority.ts": `export const load = (name: string) => import(name)` }, [
      "src/Authority.ts:1: imports a computed name"
    ]],
    ["a service that imports another", { "src/TokenEndpoint.ts": `import type { Entry } from "./TokenCache.ts"` }, [
      "src/TokenEndpoint.ts:1: services must not import each other (src/TokenCache.ts)"
    ]],
    [
      "effect/http in the core",
      { "src/TokenEndpoint.ts": `import type * as HttpClient from "effect/http/HttpClient"` },
      [
        "src/TokenEndpoint.ts:1: effect/http/HttpClient is for src/internal/http/identityHttp.ts, src/internal/http/redactedResponse.ts, src/internal/http/redirects.ts, src/BearerHttpClient.ts, src/promise/, src/testing/, src/node/, src/cli/ alone"
      ]
    ],
    ["effect/persistence elsewhere", { "src/TokenEndpoint.ts": `import * as Redis from "effect/persistence/Redis"` }, [
      "src/TokenEndpoint.ts:1: effect/persistence/Redis is for src/TokenCache.ts, src/cli/ alone"
    ]],
    ["effect/cli elsewhere", { "src/node/Server.ts": `import * as Command from "effect/cli/Command"` }, [
      "src/node/Server.ts:1: effect/cli/Command is for src/cli/ alone"
    ]],
    ["effect/FileSystem elsewhere", { "src/node/Server.ts": `import * as FileSystem from "effect/FileSystem"` }, [
      "src/node/Server.ts:1: effect/FileSystem is for src/node/internal/files/files.ts, src/cli/ alone"
    ]],
    ["node-forge elsewhere", { "src/node/Server.ts": `export const load = () => import("node-forge")` }, [
      "src/node/Server.ts:1: node-forge is for src/node/internal/certificates/pkcs12.ts alone"
    ]],
    ["node: in the core", { "src/Authority.ts": `import { createHash } from "node:crypto"` }, [
      "src/Authority.ts:1: node:crypto outside src/node and src/cli"
    ]],
    ["a built-in module without its prefix", { "src/testing/Simulator.ts": `import { readFileSync } from "fs"` }, [
      "src/testing/Simulator.ts:1: fs outside src/node and src/cli"
    ]],
    ["a Node platform in the core", {
      "src/ConfidentialClient.ts": `import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"`
    }, [
      "src/ConfidentialClient.ts:1: @effect/platform-node/NodeHttpClient is for src/node/, src/testing/, src/cli/ alone"
    ]],
    ["an X.509 library in the core", { "src/Authority.ts": `import type { X509Certificate } from "@peculiar/x509"` }, [
      "src/Authority.ts:1: @peculiar/x509 is for src/node/, src/testing/, src/cli/ alone"
    ]],
    ["a package that is no dependency", { "src/Authority.ts": `import ms from "ms"` }, [
      "src/Authority.ts:1: ms is no dependency of this package"
    ]],
    ["this package by its name", { "src/node/Server.ts": `import { TokenScope } from "effect-entra"` }, [
      "src/node/Server.ts:1: imports this package by its name (effect-entra)"
    ]],
    ["Effect's barrel", { "src/RetryPolicy.ts": `import { Schedule } from "effect"` }, [
      "src/RetryPolicy.ts:1: imports the barrel effect"
    ]],
    ["a smaller barrel of Effect's", { "src/testing/Simulator.ts": `import { HttpRouter } from "effect/http"` }, [
      "src/testing/Simulator.ts:1: imports the barrel effect/http"
    ]],
    ["our own barrel", { "src/node/Server.ts": `import { Simulator } from "../testing/index.ts"` }, [
      "src/node/Server.ts:1: imports the barrel src/testing/index.ts"
    ]],
    ["node that imports testing's internals", {
      "src/node/Server.ts": `import { World } from "../testing/internal/world.ts"`
    }, ["src/node/Server.ts:1: imports src/testing/internal/world.ts, internal to src/testing/"]],
    ["cli that imports node's internals", {
      "src/cli/main.ts": `import { read } from "../node/internal/files.ts"`,
      "src/node/internal/files.ts": ""
    }, ["src/cli/main.ts:1: imports src/node/internal/files.ts, internal to src/node/"]],
    [
      "a pure module with Effect",
      { "src/internal/cache/freshness.ts": `import type * as Effect from "effect/Effect"` },
      [
        "src/internal/cache/freshness.ts:1: pure, and imports effect/Effect"
      ]
    ],
    [
      "a pure module with a clock",
      { "src/internal/cache/freshness.ts": `import type * as Clock from "effect/Clock"` },
      [
        "src/internal/cache/freshness.ts:1: pure, and imports effect/Clock"
      ]
    ],
    ["a pure module that imports an effectful one", {
      "src/internal/cache/freshness.ts": `import type { Transport } from "../http/identityHttp.ts"`
    }, [
      "src/internal/cache/freshness.ts:1: pure, and imports src/internal/http/identityHttp.ts, which has effect/http/HttpClient"
    ]],
    ["a pure module that imports one through another", {
      "src/TokenScope.ts": `import { standard } from "./RetryPolicy.ts"`
    }, ["src/internal/cache/cacheKey.ts:2: pure, and imports src/TokenScope.ts, which has effect/Effect"]],
    ["a module that is forgotten in the index", {
      "src/index.ts": index.replace(`\nexport * as TokenScope from "./TokenScope.ts"`, "")
    }, ["src/TokenScope.ts: src/index.ts does not export it"]],
    ["a module under another name in the index", { "src/index.ts": index.replace("as TokenScope", "as Scopes") }, [
      `src/index.ts:10: an index holds \`export * as X from "./X.ts"\` and nothing else`
    ]],
    ["a layer without its namespace", {
      "src/node/index.ts": [
        `export { layerFromEnv } from "./NodeConfidentialClient.ts"`,
        `export { layer } from "./Server.ts"`
      ].join("\n"),
      "src/node/NodeConfidentialClient.ts": ""
    }, [`src/node/index.ts:2: an index holds \`export * as X from "./X.ts"\` and nothing else`]],
    ["an index with code", { "src/index.ts": `${index}\nexport const version = "1"` }, [
      `src/index.ts:11: an index holds \`export * as X from "./X.ts"\` and nothing else`
    ]],
    ["a module without a place", { "src/helpers/Strings.ts": "" }, [
      "src/helpers/Strings.ts: has no place in the order; give it one in test/architecture/rules.ts"
    ]],
    ["a wing that the order does not know", { "src/internal/helpers/strings.ts": "" }, [
      "src/internal/helpers/strings.ts: has no place in the order; give it one in test/architecture/rules.ts"
    ]],
    ["a file outside of the wings", { "src/internal/strings.ts": "" }, [
      "src/internal/strings.ts: has no place in the order; give it one in test/architecture/rules.ts"
    ]],
    ["a file that is gone", { "src/TokenScope.ts": `import { Gone } from "./Gone.ts"` }, [
      "src/TokenScope.ts:1: imports src/Gone.ts, which does not exist"
    ]],
    ["an open package", { "package.json": `${tidy["package.json"]}`.replaceAll("null", `"./src/internal/*.ts"`) }, [
      `package.json: "exports" does not close ./cli/* with null`,
      `package.json: "exports" does not close ./internal/* with null`,
      `package.json: "exports" does not close ./node/internal/* with null`,
      `package.json: "exports" does not close ./promise/internal/* with null`,
      `package.json: "exports" does not close ./testing/internal/* with null`
    ]]
  ]

  it.each(cases)("find %s", (_name, change, expected) => {
    assert.deepStrictEqual(after(change), expected)
  })

  /** One path for each rank, from the bottom up. */
  const samples = ranks.map(({ modules: [module = ""], name }) => ({
    name,
    path: `src/${module.endsWith("/") ? `${module}sample` : module}.ts`
  }))

  const pairs = samples.flatMap((lower, rank) => samples.slice(rank + 1).map((upper) => ({ lower, upper })))

  /** The complaints when `from` imports a type of `to`. */
  const afterImport = (from: string, to: string) => {
    const specifier = posix.relative(posix.dirname(from), to).replace(/^(?!\.)/, "./")
    return after({ [to]: "", [from]: `import type { A } from "${specifier}"` })
  }

  it.each(pairs)("find $lower.name that imports $upper.name, and allow the reverse", ({ lower, upper }) => {
    assert.deepStrictEqual(afterImport(lower.path, upper.path), [
      `${lower.path}:1: ${lower.name} must not import ${upper.name} (${upper.path})`
    ])
    assert.deepStrictEqual(afterImport(upper.path, lower.path), [])
  })
})

describe("oxlint with the repository's configuration", () => {
  const cycle = "import(no-cycle)"
  const global = "eslint(no-restricted-globals)"
  const property = "eslint(no-restricted-properties)"

  const ambient = ["console", "performance", "process", "queueMicrotask", "setImmediate", "setInterval", "setTimeout"]
  const array = (lines: number) => `/** A comment. */\n\nexport const all = [\n${"  1,\n".repeat(lines - 2)}]`

  /** Each file with its text and the rules that it breaks. */
  const fixtures: ReadonlyArray<readonly [path: string, text: string, rules: ReadonlyArray<string>]> = [
    // Import cycles.
    ["src/One.ts", `import type { Two } from "./Two.ts"\nexport type One = Two | 1`, [cycle]],
    ["src/Two.ts", `export type { Three as Two } from "./Three.ts"`, [cycle]],
    ["src/Three.ts", `import { type One } from "./One.ts"\nexport type Three = One | 3`, [cycle]],
    ["src/Self.ts", `import * as Self from "./Self.ts"\nexport const self = () => Self`, [
      cycle,
      "import(no-self-import)"
    ]],
    // `import/no-cycle` does not see a cycle through such a type, so no module may have one.
    ["src/Inline.ts", `export type One = import("./One.ts").One`, ["typescript(consistent-type-imports)"]],
    // The global fetch.
    ["src/TokenEndpoint.ts", `export const ask = () => fetch("https://a")`, [global]],
    ["src/internal/shared/randomId.ts", `export const ask = () => self.fetch("https://a")`, [global]],
    ["src/testing/Other.ts", `export const ask = () => global.fetch("https://a")`, [global]],
    ["src/node/Dotted.ts", `export const ask = () => globalThis.fetch("https://a")`, [global]],
    ["src/cli/Quoted.ts", `export const ask = () => globalThis["fetch"]("https://a")`, [global]],
    ["src/Own.ts", `export const own = (fetch: () => void) => fetch()`, []],
    // The ambient globals.
    ["src/internal/cache/cacheKey.ts", `export const all = [${ambient.join(", ")}]`, ambient.map(() => global)],
    ["src/internal/cache/freshness.ts", `export const all = [Date.now, Math.random]`, [property, property]],
    ["src/internal/cache/s3fifo.ts", `export const hash = () => crypto.subtle`, [global]],
    ["src/internal/shared/sha256.ts", `export const hash = () => crypto.subtle`, []],
    ["src/internal/credential/certificate.ts", `export const all = [Date.now, ${ambient[0]}]`, [global, property]],
    ["src/node/Server.ts", `export const all = [Date.now, process.platform]`, []],
    // The length, without comments and blank lines.
    ["src/Long.ts", array(400), []],
    ["src/Longer.ts", array(401), ["eslint(max-lines)"]]
  ]

  it.each(fixtures)("judges %s", (path, _text, rules) => {
    assert.deepStrictEqual(complaints.filter(({ filename }) => filename === path).map(({ code }) => code).sort(), rules)
  })

  /** oxlint runs once, on all fixtures. */
  const complaints = ((): ReadonlyArray<{ readonly code: string; readonly filename: string }> => {
    const folder = mkdtempSync(join(tmpdir(), "oxlint-"))
    try {
      // The globs of a configuration start at its own folder.
      copyFileSync(join(root, ".oxlintrc.json"), join(folder, ".oxlintrc.json"))
      for (const [path, text] of fixtures) {
        mkdirSync(join(folder, dirname(path)), { recursive: true })
        writeFileSync(join(folder, path), `${text}\n`)
      }
      return JSON.parse(
        spawnSync(process.execPath, [join(root, "node_modules/oxlint/bin/oxlint"), "--format=json"], {
          cwd: folder,
          encoding: "utf8"
        }).stdout
      ).diagnostics
    } finally {
      rmSync(folder, { recursive: true })
    }
  })()
})
