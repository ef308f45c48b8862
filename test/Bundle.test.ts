/** A bundle contains only the parts of the package that its program uses. A top-level call needs `#__PURE__` for that. */
import { join, relative, sep } from "node:path"
import { rolldown } from "rolldown"
import { assert, describe, it } from "vitest"

const root = join(import.meta.dirname, "..")

/** With Effect left out. */
const bundled = async (...program: ReadonlyArray<string>) => {
  const build = await rolldown({
    input: "program",
    cwd: root,
    platform: "node",
    resolve: { conditionNames: ["@effect-entra/source", "import", "node"] },
    external: (id) => /^effect(?:\/|$)/.test(id),
    plugins: [{
      name: "program",
      resolveId: (id) => id === "program" ? join(root, "program.ts") : null,
      load: (id) => id === join(root, "program.ts") ? program.join("\n") : null
    }]
  })
  const { output } = await build.generate({ format: "esm", comments: false })
  await build.close()
  const chunks = output.flatMap((file) => file.type === "chunk" ? [file] : [])
  const modulesOf = (those: typeof chunks) =>
    those.flatMap(({ modules }) => Object.entries(modules))
      .flatMap(([id, { code }]) => code === null || code === "" ? [] : [relative(root, id).split(sep).join("/")])
  return {
    chunks,
    code: chunks.find(({ isEntry }) => isEntry)?.code,
    atStart: modulesOf(chunks.filter(({ isDynamicEntry, isEntry }) => isEntry || !isDynamicEntry)),
    later: modulesOf(chunks.filter(({ isDynamicEntry }) => isDynamicEntry))
  }
}

const clientWith = (credential: string) =>
  bundled(
    `import { Layer } from "effect"`,
    `import { AuthorityResolver, ClientCredential, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"`,
    `export const Client = ConfidentialClient.layer({ clientId: "a" }).pipe(Layer.provide([`,
    `  ${credential}, AuthorityResolver.layer, TokenEndpoint.layer, TokenCache.layerMemory()`,
    `]))`
  )

/** Modules that only clients with a certificate or with the environment's credential need. */
const special = [
  "src/internal/environment/environmentCredential.ts",
  "src/internal/environment/combinedProblems.ts",
  "src/internal/environment/environment.ts",
  "src/internal/environment/environmentOptions.ts",
  "src/internal/credential/certificate.ts"
]

const foundIn = (modules: ReadonlyArray<string>) => special.filter((name) => modules.includes(name))

/** The modules that load with the entry: its own, and those of chunks that it imports statically. */
const loadedAtStart = async (line: string) => {
  const { chunks } = await bundled(line, "console.log(All)")
  const names = new Set(chunks.filter(({ isEntry }) => isEntry).map(({ fileName }) => fileName))
  for (const name of names) {
    for (const next of chunks.find((chunk) => chunk.fileName === name)?.imports ?? []) names.add(next)
  }
  return chunks.filter(({ fileName }) => names.has(fileName)).flatMap(({ moduleIds }) => moduleIds)
}

describe("a bundle", () => {
  it.each(["effect-entra", "effect-entra/node", "effect-entra/promise", "effect-entra/testing"])(
    "of %s loads no optional package at start",
    async (name) => {
      const modules = await loadedAtStart(`import * as All from "${name}"`)
      assert.isAbove(modules.length, 10)
      assert.deepStrictEqual(
        modules.filter((id) => /node_modules\/(?:@effect|undici|node-forge|@peculiar|reflect-metadata)\//.test(id)),
        []
      )
    }
  )

  it.each([[`import "effect-entra"`], [`import * as EffectEntra from "effect-entra"`]])(
    "has nothing of a package that is imported and not used: %s",
    async (line) => {
      assert.strictEqual((await bundled(line, `export const a = 1`)).atStart.join(), "program.ts")
    }
  )

  it("with a secret has neither certificates nor the environment", async () => {
    const { atStart, later } = await clientWith(`ClientCredential.layerSecret("a")`)
    assert.include(atStart, "src/ConfidentialClient.ts")
    assert.deepStrictEqual(foundIn(atStart), [])
    assert.deepStrictEqual([...atStart, ...later].filter((name) => name.includes("node_modules")), [])
  })

  it("with the environment's credential has what reads it", async () => {
    const { atStart } = await clientWith("ClientCredential.layerFromEnv")
    assert.includeMembers(foundIn(atStart), [
      "src/internal/environment/environmentCredential.ts",
      "src/internal/environment/environment.ts"
    ])
    assert.notInclude(atStart, "src/internal/credential/certificate.ts")
  })

  it("with a certificate loads of jose what it uses, when the certificate is read", async () => {
    const { atStart, later } = await clientWith(`ClientCredential.layerCertificate({})`)
    assert.include(atStart, "src/internal/credential/certificate.ts")
    assert.deepStrictEqual(
      [...atStart, ...later].flatMap((name) => /jose\/dist\/.*\/(?:jwe|jwks|jwt)\/[^/]+$/.exec(name) ?? []),
      []
    )
    assert.isAbove(later.filter((name) => name.includes("/jose/")).length, 0)
  })

  it("with a certificate in a file has the reader of PKCS#12 aside, and without one not at all", async () => {
    const ofFile = (credential: string) =>
      bundled(`import { NodeClientCredential } from "effect-entra/node"`, `export const Credential = ${credential}`)
    const { atStart, later } = await ofFile(`NodeClientCredential.layerCertificateFile({ path: "a" })`)
    const isForge = (name: string) => name.includes("/node-forge/")
    assert.include(atStart, "src/node/internal/certificates/pkcs12.ts")
    assert.deepStrictEqual(atStart.filter(isForge), [])
    assert.isAbove(later.filter(isForge).length, 0)
    const token = await ofFile(`NodeClientCredential.layerFederatedTokenFile({ path: "a" })`)
    assert.include(token.atStart, "src/node/internal/files/tokenFile.ts")
    assert.deepStrictEqual(
      [...token.atStart, ...token.later].filter((name) => isForge(name) || /certificate|pkcs12|github/i.test(name)),
      []
    )
  })
})
