/**
 * The arrows of DESIGN section 3 as a pure function from files to complaints. Type-only imports count like any others.
 */
import { isBuiltin } from "node:module"
import { posix } from "node:path"
import { computed, read, type Source } from "./source.ts"

/** From the bottom up; a module may import from its own rank and those below. A new module gets its place here. */
const ranks: ReadonlyArray<{ readonly name: string; readonly modules: ReadonlyArray<string> }> = [
  {
    name: "models",
    modules: [
      "EntraError",
      "Authority",
      "Scope",
      "AccessToken",
      "TokenRequest",
      "RetryPolicy",
      "EntraMetrics",
      "ClientEvent"
    ]
  },
  { name: "internal", modules: ["internal/"] },
  { name: "services", modules: ["ClientCredential", "AuthorityResolver", "TokenEndpoint", "TokenCache"] },
  { name: "Acquisition", modules: ["Acquisition"] },
  { name: "TokenLifecycle", modules: ["TokenLifecycle"] },
  { name: "ConfidentialClient", modules: ["ConfidentialClient"] },
  { name: "adapters", modules: ["BearerHttpClient", "AzureCredential"] },
  { name: "testing", modules: ["testing/"] },
  { name: "node", modules: ["node/"] },
  { name: "cli", modules: ["cli/"] }
]

/** Decisions without an Effect in their type. */
export const pureInternals: ReadonlyArray<string> = [
  "cacheKey",
  "freshness",
  "form",
  "response",
  "aadsts",
  "retryAfter",
  "scrub",
  "gate",
  "assertion",
  "plan",
  "settings",
  "endpoints",
  "credentialChoice",
  "configurationProblems",
  "environmentSettings",
  "instanceDiscovery",
  "openIdDiscovery",
  "origins",
  "candidates",
  "claimsChallenge",
  "claims",
  "extras",
  "json",
  "s3fifo",
  "expiryWheel",
  "family",
  "memory",
  "buildCount",
  "notAfter",
  "notices",
  "networkProblem",
  "problem",
  "quantities",
  "spellings",
  "given",
  "aliases"
]

/** Effect's modules of plain data. Every other one (`Effect`, `Layer`, `Clock`, `Stream`, ...) makes its importer effectful. */
const plainEffect = new RegExp(
  "^effect/(?:(?:Array|BigDecimal|Boolean|Chunk|Data|DateTime|Duration|Equal|Equivalence|Exit|Function|Hash|HashMap|HashSet|Iterable"
    + "|MutableHashMap|Number|Option|Order|Predicate|Record|Redacted|RegExp|Result|Schema|SchemaIssue|String|Struct|Tuple|Types)"
    + "|encoding/\\w+)$"
)

/** What a pure decision must not reach for. */
const ambient = new Set([
  "Date.now",
  "Math.random",
  "console",
  "crypto",
  "performance",
  "process",
  "queueMicrotask",
  "setImmediate",
  "setInterval",
  "setTimeout"
])

const fetches = new Set(["fetch", "globalThis.fetch", "window.fetch", "self.fetch", "global.fetch"])

/** Which files may import what; `only` is a list of files and of folders that end in a slash. */
const confined: ReadonlyArray<{ readonly what: RegExp; readonly only: ReadonlyArray<string> }> = [
  {
    what: /^effect\/http(?:\/|$)/,
    only: [
      "src/internal/identityHttp.ts",
      "src/internal/veil.ts",
      "src/BearerHttpClient.ts",
      "src/testing/",
      "src/node/"
    ]
  },
  { what: /^effect\/persistence(?:\/|$)/, only: ["src/internal/breaker.ts"] },
  { what: /^effect\/(?:FileSystem|PlatformError)$/, only: ["src/node/internal/files.ts", "src/cli/"] },
  { what: /^(?:@effect\/platform-node|@peculiar\/x509)(?:\/|$)/, only: ["src/node/", "src/testing/", "src/cli/"] },
  { what: /^node-forge(?:\/|$)/, only: ["src/node/internal/pkcs12.ts"] }
]

const mostLines = 250

/** `files` holds every `src/**\/*.ts` and `package.json`, by path from the root; what comes back is sorted. */
export const violations = (files: ReadonlyMap<string, string>): ReadonlyArray<string> => {
  const modules = new Map(
    [...files].filter(([path]) => path.endsWith(".ts")).map(([path, text]) => [path, moduleOf(path, text)])
  )
  const manifest = packageOf(files.get("package.json") ?? "{}")
  return [
    ...[...modules.values()].flatMap((module) => perModule.flatMap((rule) => rule(module, modules, manifest))),
    ...cycles(modules),
    ...unexported(modules),
    ...openExports(manifest)
  ].sort()
}

// -----------------------------------------------------------------------------
// modules
// -----------------------------------------------------------------------------

interface Module extends Source {
  readonly path: string
  /** The place in `ranks`; -1 when there is none. */
  readonly rank: number
  /** Imports of our own files, by path. */
  readonly own: ReadonlyArray<{ readonly to: string; readonly line: number }>
}

const moduleOf = (path: string, text: string): Module => {
  const source = read(path, text)
  return {
    ...source,
    path,
    rank: rankOf(path),
    own: source.imports.flatMap(({ line, specifier }) =>
      specifier.startsWith(".") ? [{ to: posix.join(posix.dirname(path), specifier), line }] : []
    )
  }
}

interface Package {
  readonly exports: ReadonlyMap<string, unknown>
  /** What users of the package have: dependencies and peers, not what only its tests need. */
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

const rankOf = (path: string): number => {
  const name = path.slice("src/".length).replace(/\.ts$/, "")
  return ranks.findIndex(({ modules }) =>
    modules.some((module) => module.endsWith("/") ? name.startsWith(module) : name === module)
  )
}

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

const arrows = (module: Module, modules: ReadonlyMap<string, Module>): ReadonlyArray<string> =>
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

const borders = (
  { imports, path }: Module,
  _modules: ReadonlyMap<string, Module>,
  { dependencies }: Package
): ReadonlyArray<string> =>
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
    const border = confined.find(({ what }) => what.test(specifier))
    if (border !== undefined && !within(path, border.only)) {
      return [`${at}: ${specifier} is for ${border.only.join(", ")} alone`]
    }
    // A module of Effect's is PascalCase; whatever else is a barrel of many.
    return /^(?:effect|@effect\/platform-node)(?:\/|$)/.test(specifier) && !/\/[A-Z]\w*$/.test(specifier)
      ? [`${at}: imports the barrel ${specifier}`]
      : []
  })

const isPure = (path: string): boolean => pureInternals.some((name) => path === `src/internal/${name}.ts`)

const purity = (module: Module, modules: ReadonlyMap<string, Module>): ReadonlyArray<string> => {
  if (!isPure(module.path)) return []
  return [
    ...module.imports.flatMap(({ line, specifier }) =>
      specifier.startsWith(".") || plainEffect.test(specifier)
        ? []
        : [`${module.path}:${line}: pure, and imports ${specifier}`]
    ),
    ...module.own.flatMap(({ line, to }) => {
      const effects = isPure(to) ? undefined : effectsOf(to, modules, new Set())
      return effects === undefined ? [] : [`${module.path}:${line}: pure, and imports ${to}, which has ${effects}`]
    }),
    ...module.globals.flatMap(({ line, name }) =>
      ambient.has(name) ? [`${module.path}:${line}: pure, and uses the global ${name}`] : []
    )
  ]
}

/** The first effectful import of a module or of what it imports in turn. */
const effectsOf = (
  path: string,
  modules: ReadonlyMap<string, Module>,
  seen: Set<string>
): string | undefined => {
  const module = modules.get(path)
  if (module === undefined || seen.has(path)) return undefined
  seen.add(path)
  return module.imports.find(({ specifier }) => !specifier.startsWith(".") && !plainEffect.test(specifier))
    ?.specifier ??
    downward(path, modules).map((to) => effectsOf(to, modules, seen)).find((effects) => effects !== undefined)
}

const globals = ({ globals, path }: Module): ReadonlyArray<string> => [
  ...new Set(
    globals.flatMap(({ line, name }) =>
      fetches.has(name) ? [`${path}:${line}: uses the global fetch; requests go through an HttpClient`] : []
    )
  )
]

/** `effect-entra/node` has one layer that is a whole program's only import, so it is also there without a namespace. */
const named: ReadonlyMap<string, string> = new Map([["src/node/index.ts", "./NodeConfidentialClient.ts"]])

const index = ({ imports, path, statements }: Module): ReadonlyArray<string> =>
  !isIndex(path) ?
    [] :
    statements.flatMap(({ line, namespace }) =>
      (namespace !== undefined && namespace.specifier === `./${namespace.name}.ts`) ||
        (namespace === undefined && imports.some((from) => from.line === line && from.specifier === named.get(path)))
        ? []
        : [`${path}:${line}: an index holds \`export * as X from "./X.ts"\` and nothing else`]
    )

const length = ({ linesOfCode, path }: Module): ReadonlyArray<string> =>
  linesOfCode > mostLines ? [`${path}: ${linesOfCode} lines of code, more than ${mostLines}`] : []

/** The rules that look at one module at a time. */
const perModule = [places, arrows, borders, purity, globals, index, length]

/**
 * What a module imports but for what stands above it: a reversed arrow is found as such, and everything that follows from
 * it would only bury it.
 */
const downward = (path: string, modules: ReadonlyMap<string, Module>): ReadonlyArray<string> => {
  const module = modules.get(path)
  return module === undefined
    ? []
    : [...new Set(module.own.map(({ to }) => to))].filter((to) =>
      module.rank === -1 || (modules.get(to)?.rank ?? -1) <= module.rank
    )
}

/** Depth first; each cycle is named once, from the module where the search came upon it. */
const cycles = (modules: ReadonlyMap<string, Module>): ReadonlyArray<string> => {
  const found: Array<string> = []
  const done = new Set<string>()
  const visit = (path: string, trail: ReadonlyArray<string>): void => {
    const start = trail.indexOf(path)
    if (start !== -1) {
      found.push(`cycle: ${[...trail.slice(start), path].join(" -> ")}`)
      return
    }
    if (done.has(path)) return
    for (const to of downward(path, modules)) visit(to, [...trail, path])
    done.add(path)
  }
  for (const path of [...modules.keys()].sort()) visit(path, [])
  return found
}

const unexported = (modules: ReadonlyMap<string, Module>): ReadonlyArray<string> => {
  const exported = new Set(modules.get("src/index.ts")?.statements.map(({ namespace }) => namespace?.specifier))
  return [...modules.keys()].flatMap((path) => {
    const name = /^src\/(\w+)\.ts$/.exec(path)?.[1]
    return name === undefined || name === "index" || exported.has(`./${name}.ts`)
      ? []
      : [`${path}: src/index.ts does not export it`]
  })
}

const openExports = ({ exports }: Package): ReadonlyArray<string> =>
  ["./internal/*", "./node/internal/*", "./testing/internal/*"].flatMap((path) =>
    exports.get(path) === null ? [] : [`package.json: "exports" does not close ${path} with null`]
  )
