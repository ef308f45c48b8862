/** The arrows of the layout: which module may know which. The rules themselves are in `architecture/rules.ts`. */
import { globSync, readFileSync } from "node:fs"
import { join, posix, sep } from "node:path"
import { assert, describe, it } from "vitest"
import { pureInternals, violations } from "./architecture/rules.ts"

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

  it("has the modules that the rules name", () => {
    assert.isAtLeast(repository.size, 40)
    assert.deepStrictEqual(pureInternals.filter((name) => !repository.has(`src/internal/${name}.ts`)), [])
  })
})

describe("the rules", () => {
  const index = [
    "Acquisition",
    "Authority",
    "ConfidentialClient",
    "EntraError",
    "RetryPolicy",
    "Scope",
    "TokenCache",
    "TokenEndpoint"
  ]
    .map((name) => `export * as ${name} from "./${name}.ts"`)
    .join("\n")

  /** A small tree without a fault. */
  const tidy: Readonly<Record<string, string>> = {
    "package.json": JSON.stringify({
      exports: { "./internal/*": null, "./node/internal/*": null, "./testing/internal/*": null },
      dependencies: { jose: "^6.0.0" },
      peerDependencies: { effect: "^4.1.0", "@effect/platform-node": "^4.1.0", "@peculiar/x509": "^2.0.0" }
    }),
    "src/index.ts": index,
    "src/Authority.ts": `import type { Bad } from "./EntraError.ts"`,
    "src/EntraError.ts": `import * as Data from "effect/Data"`,
    "src/Scope.ts": `import type { Bad } from "./EntraError.ts"`,
    "src/RetryPolicy.ts": `import * as Effect from "effect/Effect"`,
    "src/TokenCache.ts": `import type { Key } from "./internal/cacheKey.ts"`,
    "src/TokenEndpoint.ts": `import { send } from "./internal/identityHttp.ts"`,
    "src/Acquisition.ts": `import type { TokenCache } from "./TokenCache.ts"\nconst fetch = (n: number) => n\nfetch(1)`,
    "src/ConfidentialClient.ts": `import * as Acquisition from "./Acquisition.ts"`,
    "src/internal/cacheKey.ts": `import * as Result from "effect/Result"\nimport type { ScopeSet } from "../Scope.ts"`,
    "src/internal/freshness.ts": `import type { Key } from "./cacheKey.ts"`,
    "src/internal/identityHttp.ts": `import * as HttpClient from "effect/http/HttpClient"`,
    "src/internal/breaker.ts": `import * as CircuitBreaker from "effect/persistence/CircuitBreaker"`,
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
    ["a reversed arrow", { "src/Scope.ts": `import { Key } from "./internal/freshness.ts"` }, [
      "src/Scope.ts:1: models must not import internal (src/internal/freshness.ts)"
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
    ["a cycle among equals", {
      "src/internal/cacheKey.ts": `import type { Times } from "./freshness.ts"`
    }, ["cycle: src/internal/cacheKey.ts -> src/internal/freshness.ts -> src/internal/cacheKey.ts"]],
    ["a cycle of types around three models", {
      "src/Authority.ts": `import type { ScopeSet } from "./Scope.ts"`,
      "src/Scope.ts": `import type { Bad } from "./EntraError.ts"`,
      "src/EntraError.ts": `import type { Authority } from "./Authority.ts"`
    }, ["cycle: src/Scope.ts -> src/EntraError.ts -> src/Authority.ts -> src/Scope.ts"]],
    ["a module that imports itself", { "src/Scope.ts": `import * as Self from "./Scope.ts"` }, [
      "cycle: src/Scope.ts -> src/Scope.ts"
    ]],
    ["a service that imports another", { "src/TokenEndpoint.ts": `import type { Entry } from "./TokenCache.ts"` }, [
      "src/TokenEndpoint.ts:1: services must not import each other (src/TokenCache.ts)"
    ]],
    [
      "effect/http in the core",
      { "src/TokenEndpoint.ts": `import type * as HttpClient from "effect/http/HttpClient"` },
      [
        "src/TokenEndpoint.ts:1: effect/http/HttpClient is for src/internal/identityHttp.ts, src/internal/veil.ts, src/BearerHttpClient.ts, src/testing/, src/node/ alone"
      ]
    ],
    ["effect/persistence elsewhere", { "src/TokenCache.ts": `import * as Redis from "effect/persistence/Redis"` }, [
      "src/TokenCache.ts:1: effect/persistence/Redis is for src/internal/breaker.ts alone"
    ]],
    ["a call of fetch", { "src/TokenEndpoint.ts": `export const ask = () => fetch("https://example.com")` }, [
      "src/TokenEndpoint.ts:1: uses the global fetch; requests go through an HttpClient"
    ]],
    ["a call of globalThis.fetch", {
      "src/TokenEndpoint.ts": `\nexport const ask = () => globalThis.fetch("https://example.com")`
    }, ["src/TokenEndpoint.ts:2: uses the global fetch; requests go through an HttpClient"]],
    ["fetch by another name", {
      "src/TokenEndpoint.ts": `const { ask = globalThis["fetch"] } = { ask: fetch }\nask("")`
    }, [
      "src/TokenEndpoint.ts:1: uses the global fetch; requests go through an HttpClient"
    ]],
    ["fetch beside a scope that has its own", {
      "src/TokenEndpoint.ts": `const own = (fetch: () => void) => fetch()\nown(() => fetch("https://example.com"))`
    }, ["src/TokenEndpoint.ts:2: uses the global fetch; requests go through an HttpClient"]],
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
    ["this package by its name", { "src/node/Server.ts": `import { Scope } from "effect-entra"` }, [
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
    ["testing that imports node", {
      "src/testing/Simulator.ts": `import * as Other from "../node/Other.ts"`,
      "src/node/Other.ts": ""
    }, ["src/testing/Simulator.ts:1: testing must not import node (src/node/Other.ts)"]],
    ["node that imports testing's internals", {
      "src/node/Server.ts": `import { World } from "../testing/internal/world.ts"`
    }, ["src/node/Server.ts:1: imports src/testing/internal/world.ts, internal to src/testing/"]],
    ["a pure module with Effect", { "src/internal/freshness.ts": `import type * as Effect from "effect/Effect"` }, [
      "src/internal/freshness.ts:1: pure, and imports effect/Effect"
    ]],
    ["a pure module with a clock", { "src/internal/freshness.ts": `import type * as Clock from "effect/Clock"` }, [
      "src/internal/freshness.ts:1: pure, and imports effect/Clock"
    ]],
    ["a pure module that imports an effectful one", {
      "src/internal/freshness.ts": `import { protect } from "./breaker.ts"`
    }, [
      "src/internal/freshness.ts:1: pure, and imports src/internal/breaker.ts, which has effect/persistence/CircuitBreaker"
    ]],
    ["a pure module that imports one through another", {
      "src/Scope.ts": `import { standard } from "./RetryPolicy.ts"`
    }, ["src/internal/cacheKey.ts:2: pure, and imports src/Scope.ts, which has effect/Effect"]],
    ["a pure module that asks the machine", { "src/internal/freshness.ts": `export const now = () => Date.now()` }, [
      "src/internal/freshness.ts:1: pure, and uses the global Date.now"
    ]],
    ["a long module", { "src/Scope.ts": `export const a = [\n${"  1,\n".repeat(249)}]` }, [
      "src/Scope.ts: 251 lines of code, more than 250"
    ]],
    ["a module that is forgotten in the index", {
      "src/index.ts": index.replace(`export * as Scope from "./Scope.ts"\n`, "")
    }, ["src/Scope.ts: src/index.ts does not export it"]],
    ["a module under another name in the index", { "src/index.ts": index.replace("as Scope", "as Scopes") }, [
      `src/index.ts:6: an index holds \`export * as X from "./X.ts"\` and nothing else`
    ]],
    ["a layer without its namespace", {
      "src/node/index.ts": [
        `export { layerFromEnv } from "./NodeConfidentialClient.ts"`,
        `export { layer } from "./Server.ts"`
      ].join("\n"),
      "src/node/NodeConfidentialClient.ts": ""
    }, [`src/node/index.ts:2: an index holds \`export * as X from "./X.ts"\` and nothing else`]],
    ["an index with code", { "src/index.ts": `${index}\nexport const version = "1"` }, [
      `src/index.ts:9: an index holds \`export * as X from "./X.ts"\` and nothing else`
    ]],
    ["a module without a place", { "src/helpers/Strings.ts": "" }, [
      "src/helpers/Strings.ts: has no place in the order; give it one in test/architecture/rules.ts"
    ]],
    ["a file that is gone", { "src/Scope.ts": `import { Gone } from "./Gone.ts"` }, [
      "src/Scope.ts:1: imports src/Gone.ts, which does not exist"
    ]],
    ["an open package", { "package.json": `${tidy["package.json"]}`.replaceAll("null", `"./src/internal/*.ts"`) }, [
      `package.json: "exports" does not close ./internal/* with null`,
      `package.json: "exports" does not close ./node/internal/* with null`,
      `package.json: "exports" does not close ./testing/internal/* with null`
    ]]
  ]

  it.each(cases)("find %s", (_name, change, expected) => {
    assert.deepStrictEqual(after(change), expected)
  })

  it("count neither comments nor blank lines", () => {
    const text = `/**\n${" * long\n".repeat(300)} */\n${"// long\n\n".repeat(300)}export const a = \`// no comment\`\n`
    assert.deepStrictEqual(after({ "src/Scope.ts": text }), [])
  })
})
