/** The entry points of the package, which programs can import. */
import manifest from "../../package.json" with { type: "json" }
import { filesAt } from "../docs/repository.ts"

export interface Entry {
  /** `effect-entra`, `effect-entra/node`, `effect-entra/TokenCache`, ... */
  readonly name: string
  /** Below `src`, without its extension. */
  readonly module: string
}

/** The folders that are an entry point of their own, such as `node`, by the manifest. */
const folders: ReadonlyArray<string> = Object.entries(manifest.exports).flatMap(([path, target]) =>
  typeof target === "object" && target !== null && /^\.\/\w+$/.test(path) ? [path.slice(2)] : []
)

export const entries = (): ReadonlyArray<Entry> =>
  [
    "index",
    ...folders.map((folder) => `${folder}/index`),
    ...modulesIn("src/*.ts").filter((module) => module !== "index")
  ].map((module) => ({ module, name: `effect-entra/${module}`.replace(/\/index$/, "") }))

/** Returns every public module, those that only an index exports included. */
export const publicModules = (): ReadonlyArray<string> =>
  modulesIn(`src/{*,${folders.map((folder) => `${folder}/*`).join(",")}}.ts`).filter((module) =>
    !module.endsWith("index")
  )

const modulesIn = (pattern: string): ReadonlyArray<string> =>
  [...filesAt([pattern]).keys()].map((path) => path.replace(/^src\/|\.ts$/g, ""))
