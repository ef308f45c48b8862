/**
 * The arrows of the layout as a pure function from files to complaints. Type-only imports count like any others.
 *
 * `.oxlintrc.json` holds the rest: import cycles, `fetch`, the ambient globals (clock, random, console, process, timers,
 * WebCrypto) and the length of a module. oxlint follows no `import()`. Between two ranks the arrows refuse such a cycle.
 */
import { isBuiltin } from "node:module"
import { posix } from "node:path"
import { computed, read, type Source } from "./source.ts"

interface Rank {
  readonly name: string
  /** Paths below `src/`; one that ends in a slash is a folder. */
  readonly modules: ReadonlyArray<string>
  /** In a rank of decisions: the modules that have an Effect in their types. All its other modules are pure. */
  readonly effectful?: ReadonlyArray<string>
}

const wing = (name: string, ...effectful: ReadonlyArray<string>): Rank => ({
  name: `internal/${name}`,
  modules: [`internal/${name}/`],
  effectful: effectful.map((module) => `internal/${name}/${module}`)
})

const file = (name: string): Rank => ({ name, modules: [name] })

const folder = (name: string): Rank => ({ name, modules: [`${name}/`] })

/** From the bottom up. A module imports from its own rank and the ranks below. */
export const ranks: ReadonlyArray<Rank> = [
  // The leaves that models may import; the rest of `internal/shared` is above them.
  {
    name: "internal/shared/text",
    modules: ["internal/shared/text", "internal/shared/nonValue", "internal/shared/errorCodes"],
    effectful: []
  },
  {
    name: "models",
    modules: [
      "EntraError",
      "Authority",
      "TokenScope",
      "AccessToken",
      "TokenRequest",
      "RetryPolicy",
      "EntraMetrics",
      "ClientEvent",
      "TokenStore"
    ]
  },
  wing(
    "shared",
    "monotonic",
    "randomId",
    "requestContext",
    "safeLog",
    "sha256",
    "singleFlight",
    "timeLimit",
    "tracing"
  ),
  wing("http", "identityHttp", "redactedResponse", "redirects"),
  wing("cache"),
  wing("authority", "openIdConfigurationCache"),
  wing("endpoint", "circuitBreaker", "regionalFallback", "requestSlots", "throttleGate"),
  wing(
    "fleet",
    "aead",
    "checkedStore",
    "followers",
    "leases",
    "outerCache",
    "ownerEpochs",
    "redisStore",
    "sealing",
    "sharedValues",
    "storeGuard"
  ),
  wing(
    "credential",
    "certificate",
    "credential",
    "credentialSource",
    "firstOf",
    "privateKey",
    "rotation",
    "secret",
    "signedAssertion"
  ),
  wing("telemetry", "exportedMetrics", "flightLog", "telemetry"),
  wing("request"),
  wing("environment", "environment"),
  { name: "services", modules: ["ClientCredential", "AuthorityResolver", "TokenEndpoint", "TokenCache"] },
  folder("internal/client"),
  file("ConfidentialClient"),
  { name: "adapters", modules: ["BearerHttpClient", "AzureCredential"] },
  folder("promise"),
  folder("testing"),
  folder("node"),
  folder("cli")
]

/** Effect's modules of plain data. Every other module (`Effect`, `Layer`, `Clock`, `Stream`, ...) makes its importer effectful. */
const plainEffect = new RegExp(
  "^effect/(?:(?:Array|BigDecimal|Boolean|Chunk|Data|DateTime|Duration|Equal|Equivalence|Exit|Function|Hash|HashMap|HashSet|Iterable"
    + "|MutableHashMap|Number|Option|Order|Predicate|Record|Redacted|RegExp|Result|Schema|SchemaIssue|String|Struct|Tuple|Types)"
    + "|encoding/\\w+)$"
)

/** The files that may import a package or a part of it; `only` lists files, and folders that end in a slash. */
const confined: ReadonlyArray<{ readonly imports: RegExp; readonly only: ReadonlyArray<string> }> = [
  {
    imports: /^effect\/http(?:\/|$)/,
    only: [
      "src/internal/http/identityHttp.ts",
      "src/internal/http/redactedResponse.ts",
      "src/internal/http/redirects.ts",
      "src/BearerHttpClient.ts",
      "src/promise/",
      "src/testing/",
      "src/node/",
      "src/cli/"
    ]
  },
  { imports: /^effect\/cli(?:\/|$)/, only: ["src/cli/"] },
  { imports: /^effect\/persistence(?:\/|$)/, only: ["src/TokenCache.ts", "src/cli/"] },
  { imports: /^effect\/(?:FileSystem|PlatformError)$/, only: ["src/node/internal/files/files.ts", "src/cli/"] },
  { imports: /^(?:@effect\/platform-node|@peculiar\/x509)(?:\/|$)/, only: ["src/node/", "src/testing/", "src/cli/"] },
  { imports: /^node-forge(?:\/|$)/, only: ["src/node/internal/certificates/pkcs12.ts"] }
]

/** Returns the sorted complaints about `files`: every `src/**\/*.ts` and `package.json`, by path from the root. */
export const violations = (files: ReadonlyMap<string, string>): ReadonlyArray<string> => {
  const modules: Modules = new Map(
    [...files].filter(([path]) => path.endsWith(".ts")).map(([path, text]) => [path, moduleOf(path, text)])
  )
  const manifest = packageOf(files.get("package.json") ?? "{}")
  return [
    ...[...modules.values()].flatMap((module) =>
      [
        places(module),
        arrows(module, modules),
        borders(module, manifest),
        purity(module, modules),
        index(module)
      ].flat()
    ),
    ...unexported(modules),
    ...openExports(manifest)
  ].sort()
}

/** Paths that the rules name one by one; a file that was moved must not lose its rule. */
export const namedPaths: ReadonlyArray<string> = [
  ...ranks.flatMap(({ effectful = [] }) => effectful.map((name) => `src/${name}.ts`)),
  ...confined.flatMap(({ only }) => only.filter((path) => path.endsWith(".ts")))
]

// -----------------------------------------------------------------------------
// modules
// -----------------------------------------------------------------------------

interface Module extends Source {
  readonly path: string
  /** The place in `ranks`, or -1. */
  readonly rank: number
  readonly isPure: boolean
  /** Imports of our own files, by path. */
  readonly own: ReadonlyArray<{ readonly to: string; readonly line: number }>
}

type Modules = ReadonlyMap<string, Module>

const moduleOf = (path: string, text: string): Module => {
  const source = read(path, text)
  const name = path.slice("src/".length).replace(/\.ts$/, "")
  const rank = ranks.findIndex(({ modules }) => within(name, modules))
  const effectful = ranks[rank]?.effectful
  return {
    ...source,
    path,
    rank,
    isPure: effectful !== undefined && !effectful.includes(name),
    own: source.imports.flatMap(({ line, specifier }) =>
      specifier.startsWith(".") ? [{ to: posix.join(posix.dirname(path), specifier), line }] : []
    )
  }
}

interface Package {
  readonly exports: ReadonlyMap<string, unknown>
  /** Dependencies and peers: the packages that users have. */
  readonly dependencies: ReadonlyMap<string, unknown>
}

const packageOf = (json: string): Package => {
  const parsed = fieldsOf(JSON.parse(json))
  const fields = (name: string) => fieldsOf(parsed.get(name))
  return {
    exports: fields("exports"),
    dependencies: new Map([...fields("dependencies"), ...fields("peerDependencies")])
  }
}

const fieldsOf = (value: unknown): ReadonlyMap<string, unknown> =>
  new Map(typeof value === "object" && value !== null ? Object.entries(value) : [])

const isIndex = (path: string): boolean => posix.basename(path) === "index.ts"

const within = (path: string, places: ReadonlyArray<string>): boolean =>
  places.some((place) => place.endsWith("/") ? path.startsWith(place) : path === place)

const nameOfRank = (rank: number): string => ranks[rank]?.name ?? "nowhere"

// -----------------------------------------------------------------------------
// rules
// -----------------------------------------------------------------------------

const places = ({ path, rank }: Module): ReadonlyArray<string> =>
  rank === -1 && path !== "src/index.ts"
    ? [`${path}: has no place in the order; give it one in test/architecture/rules.ts`]
    : []

const arrows = (module: Module, modules: Modules): ReadonlyArray<string> =>
  isIndex(module.path) ? [] : module.own.flatMap(({ line, to }) => {
    const at = `${module.path}:${line}`
    const target = modules.get(to)
    if (target === undefined) return [`${at}: imports ${to}, which does not exist`]
    if (isIndex(to)) return [`${at}: imports the barrel ${to}`]
    if (module.rank === -1 || target.rank === -1) return []
    const owner = /^(src\/\w+\/)internal\//.exec(to)?.[1]
    if (owner !== undefined && !module.path.startsWith(owner)) return [`${at}: imports ${to}, internal to ${owner}`]
    if (target.rank > module.rank) {
      return [`${at}: ${nameOfRank(module.rank)} must not import ${nameOfRank(target.rank)} (${to})`]
    }
    return nameOfRank(module.rank) === "services" && target.rank === module.rank
      ? [`${at}: services must not import each other (${to})`]
      : []
  })

const borders = ({ imports, path }: Module, { dependencies }: Package): ReadonlyArray<string> =>
  imports.flatMap(({ line, specifier }) => {
    const at = `${path}:${line}`
    if (specifier === computed) return [`${at}: imports a computed name`]
    if (specifier.startsWith(".")) return []
    if (isBuiltin(specifier)) {
      return within(path, ["src/node/", "src/cli/"]) ? [] : [`${at}: ${specifier} outside src/node and src/cli`]
    }
    if (/^effect-entra(?:\/|$)/.test(specifier)) return [`${at}: imports this package by its name (${specifier})`]
    if (!dependencies.has(/^(?:@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? "")) {
      return [`${at}: ${specifier} is no dependency of this package`]
    }
    const border = confined.find(({ imports }) => imports.test(specifier))
    if (border !== undefined && !within(path, border.only)) {
      return [`${at}: ${specifier} is for ${border.only.join(", ")} alone`]
    }
    // A module of Effect's is PascalCase; any other path is a barrel.
    return /^(?:effect|@effect\/platform-node)(?:\/|$)/.test(specifier) && !/\/[A-Z]\w*$/.test(specifier)
      ? [`${at}: imports the barrel ${specifier}`]
      : []
  })

/** A pure module imports nothing of an effectful one, not even a type. */
const purity = (module: Module, modules: Modules): ReadonlyArray<string> =>
  !module.isPure ? [] : [
    ...module.imports.filter(isEffectful).map(({ line, specifier }) =>
      `${module.path}:${line}: pure, and imports ${specifier}`
    ),
    ...module.own.flatMap(({ line, to }) => {
      const effects = effectsOf(to, modules)
      return effects === undefined ? [] : [`${module.path}:${line}: pure, and imports ${to}, which has ${effects}`]
    })
  ]

const isEffectful = ({ specifier }: { readonly specifier: string }): boolean =>
  !specifier.startsWith(".") && !plainEffect.test(specifier)

/** Returns the first effectful import of a module, or of the modules that it imports. A pure one is judged by itself. */
const effectsOf = (path: string, modules: Modules, seen = new Set<string>()): string | undefined => {
  const module = modules.get(path)
  if (module === undefined || module.isPure || seen.has(path)) return undefined
  seen.add(path)
  return module.imports.find(isEffectful)?.specifier ??
    module.own.map(({ to }) => effectsOf(to, modules, seen)).find((found) => found !== undefined)
}

/**
 * The modules whose exports an index exports without a namespace: the layers of `effect-entra/node` for programs that import
 * nothing else, and all of `effect-entra/promise`, whose users expect plain functions and classes.
 */
const named: ReadonlyMap<string, ReadonlyArray<string>> = new Map([
  ["src/node/index.ts", ["./NodeConfidentialClient.ts"]],
  ["src/promise/index.ts", ["./ClientOptions.ts", "./PromiseClient.ts", "./PromiseError.ts"]]
])

const index = ({ imports, path, statements }: Module): ReadonlyArray<string> =>
  !isIndex(path) ?
    [] :
    statements.flatMap(({ line, namespace }) =>
      (namespace !== undefined && namespace.specifier === `./${namespace.name}.ts`) ||
        (namespace === undefined &&
          imports.some((from) => from.line === line && named.get(path)?.includes(from.specifier)))
        ? []
        : [`${path}:${line}: an index holds \`export * as X from "./X.ts"\` and nothing else`]
    )

const unexported = (modules: Modules): ReadonlyArray<string> => {
  const exported = new Set(modules.get("src/index.ts")?.statements.map(({ namespace }) => namespace?.specifier))
  return [...modules.keys()].flatMap((path) => {
    const name = /^src\/(\w+)\.ts$/.exec(path)?.[1]
    return name === undefined || name === "index" || exported.has(`./${name}.ts`)
      ? []
      : [`${path}: src/index.ts does not export it`]
  })
}

const openExports = ({ exports }: Package): ReadonlyArray<string> =>
  ["./internal/*", "./cli/*", "./node/internal/*", "./promise/internal/*", "./testing/internal/*"].flatMap((path) =>
    exports.get(path) === null ? [] : [`package.json: "exports" does not close ${path} with null`]
  )
