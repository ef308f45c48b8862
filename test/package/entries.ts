/** The entry points of the package, which programs can import. */
import { filesAt } from "../docs/repository.ts"

export interface Entry {
  /** `effect-entra`, `effect-entra/node`, `effect-entra/TokenCache`, ... */
  readonly name: string
  /** Below `src`, without its extension. */
  readonly module: string
}

export const entries = (): ReadonlyArray<Entry> =>
  ["index", "node/index", "testing/index", ...modulesIn("src/*.ts").filter((module) => module !== "index")].map(
    (module) => ({ module, name: `effect-entra/${module}`.replace(/\/index$/, "") })
  )

/** Returns every public module, those that only an index exports included. */
export const publicModules = (): ReadonlyArray<string> =>
  modulesIn("src/{*,node/*,testing/*}.ts").filter((module) => !module.endsWith("index"))

const modulesIn = (pattern: string): ReadonlyArray<string> =>
  [...filesAt([pattern]).keys()].map((path) => path.replace(/^src\/|\.ts$/g, ""))
