/**
 * The package `effect-entra-standalone`, as `npm run build` makes it: it has no dependency, its types need none, it runs on
 * Node, Bun and Deno, and a program of Effect 3 uses it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { SimulatorServer } from "effect-entra/node"
import { EntraSimulator, TestCertificate } from "effect-entra/testing"
import { execFile } from "node:child_process"
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { gzipSync } from "node:zlib"
import { afterAll, beforeAll } from "vitest"
import { temporaryFile } from "../support/child.ts"

const root = join(import.meta.dirname, "../..")
const run = promisify(execFile)
const tsc = join(root, "node_modules/typescript/bin/tsc")

const folder = await mkdtemp(join(tmpdir(), "effect-entra-standalone-"))
afterAll(() => rm(folder, { recursive: true, force: true }))
const copy = join(folder, "repository")
const standalone = join(copy, "standalone")
const app = join(folder, "app")

beforeAll(async () => {
  const left = /[/\\](?:node_modules|\.git|dist|standalone|coverage)$/
  await cp(root, copy, { recursive: true, filter: (path) => !left.test(path) })
  await symlink(join(root, "node_modules"), join(copy, "node_modules"))
  await run("npm", ["run", "build"], { cwd: copy })
  // An empty project with this package alone.
  await mkdir(join(app, "node_modules"), { recursive: true })
  await cp(standalone, join(app, "node_modules/effect-entra-standalone"), { recursive: true })
  await cp(join(import.meta.dirname, "alone/program.ts"), join(app, "program.ts"))
  await writeFile(join(app, "package.json"), JSON.stringify({ type: "module" }))
  await writeFile(
    join(app, "tsconfig.json"),
    JSON.stringify({
      compilerOptions: {
        target: "ES2022",
        lib: ["ES2022", "ESNext.Disposable", "DOM"],
        module: "NodeNext",
        types: [],
        strict: true,
        exactOptionalPropertyTypes: true,
        skipLibCheck: false
      },
      include: ["program.ts"]
    })
  )
}, 180_000)

const scripts = async () =>
  (await readdir(standalone, { recursive: true })).filter((name) => name.endsWith(".js")).map((name) =>
    join(standalone, name)
  )

describe("the package", () => {
  it("has neither dependencies nor peers, and imports only its own files", async () => {
    const manifest: Record<string, unknown> = JSON.parse(await readFile(join(standalone, "package.json"), "utf8"))
    assert.strictEqual(manifest["name"], "effect-entra-standalone")
    const { version } = JSON.parse(await readFile(join(root, "package.json"), "utf8"))
    assert.strictEqual(manifest["version"], version)
    for (const field of ["dependencies", "peerDependencies", "optionalDependencies", "bin", "scripts"]) {
      assert.notProperty(manifest, field)
    }
    const files = await scripts()
    assert.isAtLeast(files.length, 1)
    for (const file of files) {
      const text = await readFile(file, "utf8")
      const specifiers = [...text.matchAll(/(?:\bfrom|\bimport\(|\bimport)\s*["'`]([^"'`]*)["'`]/g)].map(([, name]) =>
        name
      )
      assert.deepStrictEqual(specifiers.filter((name) => !name?.startsWith("./") && !name?.startsWith("../")), [], file)
    }
  })

  it("has the size that its page states, within a tenth", async () => {
    const page = await readFile(join(root, "docs/without-effect.md"), "utf8")
    const [, stated = "", zipped = ""] = /(\d+) kB of JavaScript, (\d+) kB after gzip/.exec(page) ?? []
    const content = await Promise.all((await scripts()).map((file) => readFile(file)))
    const measured = [Buffer.concat(content).length, content.reduce((sum, file) => sum + gzipSync(file).length, 0)]
    for (const [index, claim] of [stated, zipped].entries()) {
      const real = (measured[index] ?? 0) / 1000
      assert.closeTo(
        Number(claim),
        real,
        real / 10,
        `measured: ${measured.map((bytes) => Math.round(bytes / 1000))} kB`
      )
    }
  })
})

it("loads a small part of the code that effect-entra/promise loads, in a few files", async () => {
  // Not the time, which depends on what else the machine does.
  const loaded = async (cwd: string, specifier: string) => {
    const script = `
      import { registerHooks } from "node:module"
      let [files, bytes] = [0, 0]
      registerHooks({
        load: (url, context, next) => {
          const { source, ...rest } = next(url, context)
          files++
          bytes += Buffer.byteLength(source ?? "")
          return { source, ...rest }
        }
      })
      await import("${specifier}")
      console.log(JSON.stringify([files, bytes]))`
    const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", script], { cwd })
    const [files = 0, bytes = 0]: ReadonlyArray<number> = JSON.parse(stdout)
    return { files, bytes }
  }
  const alone = await loaded(app, "effect-entra-standalone")
  const merged = await loaded(copy, "effect-entra/promise")
  assert.isAbove(alone.bytes, 0)
  assert.isBelow(alone.bytes, merged.bytes / 2)
  assert.isBelow(alone.files, merged.files / 10)
}, 60_000)

describe("a program with this package alone", () => {
  it("compiles", async () => {
    await run(process.execPath, [tsc, "-p", app])
    await writeFile(
      join(app, "wrong.ts"),
      `import { createClient, type CredentialError } from "effect-entra-standalone"
createClient({ clientId: 7 })
export const isEmpty = (error: CredentialError) => error.code === "secret_emty"
`
    )
    const options = [
      "--noEmit",
      "--ignoreConfig",
      "--module",
      "nodenext",
      "--strict",
      "--types",
      "",
      join(app, "wrong.ts")
    ]
    const failed: unknown = await run(process.execPath, [tsc, ...options], { cwd: app }).catch((error: unknown) =>
      error
    )
    const said = failed instanceof Error && "stdout" in failed ? String(failed.stdout) : ""
    assert.match(said, /\(2,16\): error TS2322/)
    assert.match(said, /\(3,\d+\): error TS2367/)
  }, 60_000)

  it("prints an error that it does not catch on one screen", async () => {
    const program = `import { createClient } from "effect-entra-standalone"; createClient({ clientId: "" })`
    const failed: unknown = await run(process.execPath, ["--input-type=module", "--eval", program], { cwd: app })
      .catch((error: unknown) => error)
    const said = failed instanceof Error && "stderr" in failed ? String(failed.stderr) : ""
    assert.include(said, "InvalidRequestError [EntraInvalidRequestError]: clientId is empty or not set.")
    // Node prints the line of the code that created the error, so lines must be short.
    assert.isBelow(said.length, 3_000)
  })

  const bin = (name: string) => join(root, "node_modules/.bin", name)
  it.live.each(
    [
      ["Node", [process.execPath]],
      ["Bun", [bin("bun")]],
      ["Deno", [bin("deno"), "run", "--allow-all", "--quiet"]]
    ] as const
  )("runs on %s", ([, [command, ...parameters]]) =>
    Effect.gen(function*() {
      const server = yield* SimulatorServer.SimulatorServer
      const { addCertificate } = yield* EntraSimulator.EntraSimulator
      const { certificate, privateKey } = yield* TestCertificate.make()
      yield* addCertificate(EntraSimulator.daemonClientId, certificate)
      const authority = yield* temporaryFile(server.certificate ?? "")
      const { stdout } = yield* Effect.promise(() =>
        run(command, [...parameters, "program.js"], {
          cwd: app,
          timeout: 60_000,
          env: {
            PATH: process.env["PATH"],
            HOME: folder,
            DENO_NO_UPDATE_CHECK: "1",
            DENO_CERT: authority,
            NODE_EXTRA_CA_CERTS: authority,
            ORIGIN: server.origin,
            CLIENT_ID: EntraSimulator.daemonClientId,
            SECRET: Redacted.value(EntraSimulator.daemonSecret),
            CERTIFICATE: certificate,
            PRIVATE_KEY: Redacted.value(privateKey)
          }
        })
      )
      assert.deepStrictEqual(JSON.parse(stdout), {
        secret: "Bearer",
        wrong: "secret_wrong",
        certificate: "Bearer",
        closed: "client_closed",
        users: 200,
        cached: true,
        aborted: "stopped",
        missing: "credential_missing"
      })
    }).pipe(Effect.provide(SimulatorServer.layerHttps()), Effect.scoped), 60_000)
})

describe("a program of Effect 3", () => {
  const example = join(copy, "examples/effect-3")

  beforeAll(() => run("npm", ["ci", "--ignore-scripts"], { cwd: example }), 180_000)

  it("has its own Effect 3 with a lock file that names no registry, and compiles", async () => {
    const { version } = JSON.parse(await readFile(join(example, "node_modules/effect/package.json"), "utf8"))
    assert.match(version, /^3\./)
    const lock = await readFile(join(example, "package-lock.json"), "utf8")
    assert.deepStrictEqual(lock.match(/"resolved": ".*"/g), [`"resolved": "../../standalone"`])
    await run(process.execPath, [tsc, "-p", example])
  }, 60_000)

  it.live("lists users, with typed errors", () =>
    Effect.gen(function*() {
      const server = yield* SimulatorServer.SimulatorServer
      const authority = yield* temporaryFile(server.certificate ?? "")
      const { stderr, stdout } = yield* Effect.promise(() =>
        run(process.execPath, ["main.ts"], {
          cwd: example,
          timeout: 60_000,
          env: {
            NODE_EXTRA_CA_CERTS: authority,
            AZURE_CLIENT_ID: EntraSimulator.daemonClientId,
            AZURE_TENANT_ID: EntraSimulator.contosoTenantId,
            AZURE_CLIENT_SECRET: Redacted.value(EntraSimulator.daemonSecret),
            AZURE_AUTHORITY_HOST: server.origin,
            GRAPH_ORIGIN: server.origin
          }
        })
      )
      const lines = stdout.trim().split("\n")
      assert.deepStrictEqual(lines.slice(0, 2), [
        "one token for both: true",
        "from the cache: true; printed: <redacted>"
      ])
      assert.match(lines[2] ?? "", /^[1-9]\d* users$/)
      assert.deepStrictEqual(lines.slice(3), [
        "scope_not_default at scopes",
        "tenant_unknown from the service",
        "an interrupted wait: None, and the client goes on: true"
      ])
      assert.match(stderr, /level=WARN .*tenant_unknown.* tenantId=nobody\.example/)
      const { counters } = yield* EntraSimulator.EntraSimulator
      // One for the callers and one for the unknown tenant. The program may end before the interrupted one is sent.
      assert.include([2, 3], (yield* counters).tokenRequests)
    }).pipe(Effect.provide(SimulatorServer.layerHttps()), Effect.scoped), 60_000)
})
