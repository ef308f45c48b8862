/** The published declarations: a consumer's own declarations name no closed path, and a misspelt code does not compile. */
import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import * as Core from "../src/index.ts"
import * as Node from "../src/node/index.ts"
import * as Testing from "../src/testing/index.ts"

const root = join(import.meta.dirname, "..")
const tsc = join(root, "node_modules/typescript/bin/tsc")
let folder = ""

/** Returns what the compiler prints; the empty string when it has nothing against the program. */
const compiled = (directory: string, ...options: ReadonlyArray<string>): string => {
  try {
    execFileSync(process.execPath, [tsc, "--pretty", "false", ...options], { cwd: directory, encoding: "utf8" })
    return ""
  } catch (error) {
    return error instanceof Error && "stdout" in error ? String(error.stdout) : String(error)
  }
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "effect-entra-consumer-"))
  const installed = join(folder, "node_modules/effect-entra")
  mkdirSync(installed, { recursive: true })
  assert.strictEqual(compiled(root, "--project", "tsconfig.build.json", "--outDir", join(installed, "dist")), "")
  writeFileSync(join(installed, "package.json"), readFileSync(join(root, "package.json")))
  for (const name of ["effect", "@effect", "@types", "undici-types", "jose", "@peculiar"]) {
    symlinkSync(join(root, "node_modules", name), join(folder, "node_modules", name))
  }
  writeFileSync(
    join(folder, "tsconfig.json"),
    JSON.stringify({
      compilerOptions: {
        target: "ES2022",
        lib: ["ES2024", "DOM", "DOM.Iterable"],
        module: "NodeNext",
        strict: true,
        exactOptionalPropertyTypes: true,
        skipLibCheck: true,
        declaration: true,
        emitDeclarationOnly: true,
        outDir: "out",
        types: ["node"]
      },
      include: ["*.mts"]
    })
  )
}, 120_000)

afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** One exported constant for each export of each module, so that its whole type is written out. */
const everything = (["effect-entra", "effect-entra/node", "effect-entra/testing"] as const).flatMap(
  (specifier, place) => {
    const modules = [Core, Node, Testing][place] ?? {}
    const constants = Object.entries(modules).flatMap(([module, members]) =>
      typeof members === "object" && members !== null
        ? Object.keys(members).map((name) => `export const v${place}_${module}_${name} = m${place}.${module}.${name}`)
        : []
    )
    return [`import * as m${place} from "${specifier}"`].concat(constants)
  }
).join("\n")

/** Members whose types stand in the ports. */
const members = `
import { ClientCredential, ConfidentialClient, EntraError, TokenCache, TokenEndpoint, AuthorityResolver } from "effect-entra"
export const timing = (r: TokenEndpoint.EndpointRequest) => r.timing
export const gate = (r: TokenEndpoint.EndpointRequest) => r.gate
export const key = (r: TokenEndpoint.EndpointRequest) => r.gate.key
export const endpoints = (r: TokenEndpoint.EndpointRequest) => r.endpoints
export const form = (r: TokenEndpoint.EndpointRequest) => r.form
export const acquisition = (r: TokenEndpoint.EndpointRequest) => r.acquisition
export const authentication = (r: TokenEndpoint.EndpointRequest) => r.authentication
export const request = (s: TokenEndpoint.TokenEndpoint["Service"]) => s.request
export const forget = (s: TokenEndpoint.TokenEndpoint["Service"]) => s.forget
export const stats = (s: TokenEndpoint.TokenEndpoint["Service"]) => s.stats
export const cache = (s: TokenCache.TokenCache["Service"]) => ({ ...s })
export const begin = (s: ClientCredential.ClientCredential["Service"]) => s.begin
export const attempt = (a: ClientCredential.ClientAuthentication) => a.authenticate
export const resolve = (s: AuthorityResolver.AuthorityResolver["Service"]) => s.resolve
export const client = (s: ConfidentialClient.ConfidentialClient["Service"]) => ({ ...s })
export const code = (e: EntraError.CredentialError) => e.code
`

describe("the declarations of a consumer", () => {
  it("name no closed path, for any export and any member of a port", () => {
    writeFileSync(join(folder, "everything.mts"), everything)
    writeFileSync(join(folder, "members.mts"), members)
    assert.strictEqual(compiled(folder), "")
    for (const file of ["everything", "members"]) {
      const declared = readFileSync(join(folder, `out/${file}.d.mts`), "utf8")
      assert.notMatch(declared, /internal\/|: any\b/)
      assert.include(declared, "effect-entra")
    }
    rmSync(join(folder, "everything.mts"))
    rmSync(join(folder, "members.mts"))
  }, 120_000)

  it("of effect-entra/promise name no package, so that programs without Effect can read them", () => {
    const dist = join(folder, "node_modules/effect-entra/dist")
    const seen = new Set([join(dist, "promise/index.d.ts")])
    for (const path of seen) {
      for (const [, specifier = ""] of readFileSync(path, "utf8").matchAll(/^(?:im|ex)port .*from "(.*)"/gm)) {
        assert.match(specifier, /^\.\.?\//, path)
        seen.add(join(path, "..", specifier.replace(/\.js$|\.ts$/, ".d.ts")))
      }
      assert.notMatch(readFileSync(path, "utf8").replace(/\/\*.*?\*\//gs, ""), /import\("/)
    }
    assert.deepStrictEqual([...seen].map((path) => path.slice(dist.length + 1)).toSorted(), [
      "internal/shared/errorCodes.d.ts",
      "promise/ClientOptions.d.ts",
      "promise/PromiseClient.d.ts",
      "promise/PromiseError.d.ts",
      "promise/index.d.ts"
    ])
  })

  it("of published types have no engine", () => {
    const declared = readFileSync(join(folder, "node_modules/effect-entra/dist/TokenCache.d.ts"), "utf8")
    assert.notMatch(declared, /CachedToken|peek|lead/)
    const endpoint = readFileSync(join(folder, "node_modules/effect-entra/dist/TokenEndpoint.d.ts"), "utf8")
    assert.notMatch(endpoint, /Meter|admit/)
  })
})

describe("codes", () => {
  it.each([
    ["EntraCredentialError", "secret_empty", ""],
    ["EntraInvalidClientError", "secret_expired", ""],
    ["EntraInvalidClientError", "secret_expird", "TS2367"],
    ["EntraThrottledError", "secret_expired", "TS2367"]
  ])("of %s: %s", (tag, code, expected) => {
    writeFileSync(
      join(folder, "code.mts"),
      `import type { EntraError } from "effect-entra"
export const is = (e: EntraError.AcquireTokenError) => e._tag === "${tag}" && e.code === "${code}"
`
    )
    const said = compiled(folder, "--noEmit", "--emitDeclarationOnly", "false")
    if (expected === "") assert.strictEqual(said, "")
    else assert.include(said, expected)
    rmSync(join(folder, "code.mts"))
  }, 120_000)
})
