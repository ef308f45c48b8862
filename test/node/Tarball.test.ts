/**
 * The packed tarball on Node 22 and 24, Bun and Deno: as it is, and in bundles of esbuild and rolldown, with and without the optional
 * packages. A client acquires tokens over TLS through a proxy, with `fetch` and with `NodeTransport`.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted, Schema } from "effect"
import { SimulatorServer } from "effect-entra/node"
import { EntraSimulator, TestCertificate } from "effect-entra/testing"
import { build } from "esbuild"
import { execFile } from "node:child_process"
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { rolldown } from "rolldown"
import { afterAll, beforeAll } from "vitest"
import { runChild, temporaryFile } from "../support/child.ts"
import { ensureOpenssl } from "../support/openssl.ts"
import { proxyTo } from "../support/proxy.ts"
import { type App, refusalOf } from "./tarball/expected.ts"

const root = join(import.meta.dirname, "../..")
const run = promisify(execFile)

// -----------------------------------------------------------------------------
// the tarball
// -----------------------------------------------------------------------------

const optional = ["@effect/platform-node", "node-forge"]

const folder = await mkdtemp(join(tmpdir(), "effect-entra-tarball-"))
afterAll(() => rm(folder, { recursive: true, force: true }))

/** Packs a copy of the repository, because a build in place would replace the `dist` that other tests may be reading. */
const pack = async () => {
  const copy = join(folder, "repository")
  await cp(root, copy, {
    recursive: true,
    filter: (path) => !/[/\\](?:node_modules|\.git|dist|coverage|site)$/.test(path)
  })
  await symlink(join(root, "node_modules"), join(copy, "node_modules"))
  await run("npm", ["pack", "--pack-destination", folder], { cwd: copy })
  return join(folder, (await readdir(folder)).find((name) => name.endsWith(".tgz")) ?? "")
}

/** Installs the tarball beside packages of the repository. */
const install = async (tarball: string, name: App, packages: ReadonlyArray<string>) => {
  const app = join(folder, name)
  const installed = join(app, "node_modules/effect-entra")
  await mkdir(installed, { recursive: true })
  await run("tar", ["xzf", tarball, "-C", installed, "--strip-components=1"])
  for (const dependency of ["effect", "jose", ...packages]) {
    const link = join(app, "node_modules", dependency)
    await mkdir(join(link, ".."), { recursive: true })
    await symlink(join(root, "node_modules", dependency), link)
  }
  const dependencies = Object.fromEntries(["effect", "effect-entra", ...packages].map((name) => [name, "*"]))
  await writeFile(join(app, "package.json"), JSON.stringify({ type: "module", dependencies }))
  await cp(join(import.meta.dirname, "tarball/program.mjs"), join(app, "program.mjs"))
}

beforeAll(async () => {
  ensureOpenssl()
  const tarball = await pack()
  await install(tarball, "whole", optional)
  await install(tarball, "bare", [])
}, 180_000)

// -----------------------------------------------------------------------------
// bundlers and runtimes
// -----------------------------------------------------------------------------

const esbuild = (format: "esm" | "cjs", banner = "") => async (app: string, out: string) => {
  const outfile = join(out, format === "cjs" ? "program.cjs" : "program.mjs")
  const { warnings } = await build({
    absWorkingDir: app,
    entryPoints: ["program.mjs"],
    outfile,
    bundle: true,
    platform: "node",
    format,
    banner: { js: banner },
    logLevel: "silent"
  })
  assert.deepStrictEqual(warnings.map(({ text }) => text), [])
  return outfile
}

const requires =
  "import { createRequire as requireOf } from \"node:module\"; const require = requireOf(import.meta.url);"

/** Each returns the file to run. */
const bundlers: Readonly<Record<string, (app: string, out: string) => Promise<string>>> = {
  "no bundler": (app) => Promise.resolve(join(app, "program.mjs")),
  "esbuild, CommonJS": esbuild("cjs"),
  "esbuild, ES module": esbuild("esm"),
  "esbuild, ES module with require": esbuild("esm", requires),
  rolldown: async (app, out) => {
    const build = await rolldown({ input: "program.mjs", cwd: app, platform: "node", logLevel: "silent" })
    await build.write({ dir: out, format: "esm", entryFileNames: "program.mjs" })
    await build.close()
    return join(out, "program.mjs")
  }
}

const bin = (name: string) => join(root, "node_modules/.bin", name)
const runtimes: Readonly<Record<string, ReadonlyArray<string>>> = {
  "Node 22": [join(root, "test/runtimes/node22/node_modules/node/bin/node")],
  "Node 24": [process.execPath],
  Bun: [bin("bun")],
  Deno: [bin("deno"), "run", "--allow-all", "--quiet"]
}

// -----------------------------------------------------------------------------
// the results
// -----------------------------------------------------------------------------

const Result = Schema.Union([
  Schema.Literal("IdentityProvider"),
  Schema.Struct({ code: Schema.String, message: Schema.String, remedy: Schema.String })
])
const Results = Schema.Struct({ memory: Result, file: Result, fetch: Result, transport: Result, pfx: Result })
const decodeResults = Schema.decodeUnknownEffect(Schema.fromJsonString(Results))

const runProgram = (file: string, app: string, [command = "", ...options]: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const server = yield* SimulatorServer.SimulatorServer
    const { addCertificate } = yield* EntraSimulator.EntraSimulator
    const { certificate, privateKey } = yield* TestCertificate.make()
    yield* addCertificate(EntraSimulator.daemonClientId, certificate)
    const pem = yield* temporaryFile(certificate + Redacted.value(privateKey))
    const pfx = `${pem}.pfx`
    yield* Effect.promise(() => run("openssl", ["pkcs12", "-export", "-in", pem, "-out", pfx, "-passout", "pass:"]))
    const proxy = yield* proxyTo(Number(new URL(server.origin).port))
    const authority = yield* temporaryFile(server.certificate ?? "")
    const { stdout } = yield* Effect.promise(() =>
      readFile(pfx, "base64").then((PFX) =>
        run(command, [...options, file], {
          cwd: app,
          timeout: 60_000,
          env: {
            PATH: process.env["PATH"],
            HOME: folder,
            DENO_NO_UPDATE_CHECK: "1",
            DENO_CERT: authority,
            NODE_EXTRA_CA_CERTS: authority,
            NODE_USE_ENV_PROXY: "1",
            HTTPS_PROXY: proxy.url,
            CERTIFICATE: server.certificate,
            PFX
          }
        })
      )
    )
    return { ...(yield* decodeResults(stdout)), tunnels: proxy.asked.length }
  }).pipe(Effect.provide(SimulatorServer.layerHttps({ hosts: ["login.microsoftonline.com"] })), Effect.scoped)

const codes = { transport: "transport_unsupported", pfx: "pkcs12_library_missing" } as const

for (const app of ["whole", "bare"] as const) {
  describe(app === "whole" ? "with the optional packages" : "without the optional packages", () => {
    for (const [bundler, bundle] of Object.entries(bundlers)) {
      describe(bundler, () => {
        let file = ""
        beforeAll(async () => {
          file = await bundle(join(folder, app), join(folder, app, bundler))
        }, 60_000)

        it.live.each(Object.entries(runtimes))("%s", ([runtime, command]) =>
          Effect.gen(function*() {
            const { tunnels, ...results } = yield* runProgram(file, join(folder, app), command)
            assert.deepStrictEqual(
              [results.memory, results.file, results.fetch],
              ["IdentityProvider", "IdentityProvider", "IdentityProvider"]
            )
            for (const part of ["transport", "pfx"] as const) {
              const refusal = refusalOf(part, app, bundler, runtime)
              const result = results[part]
              if (refusal === undefined) assert.strictEqual(result, "IdentityProvider")
              else if (typeof result === "string") assert.fail(`${part}: ${result}`)
              else {
                assert.strictEqual(result.code, codes[part])
                assert.match(result.message, refusal)
                assert.notInclude(result.message, folder)
                assert.match(result.remedy, /docs\/networks\.md#runtimes-and-bundlers of effect-entra\.$/)
              }
            }
            // `fetch` may reuse its tunnel; `NodeTransport` has its own.
            assert.isAtLeast(tunnels, results.transport === "IdentityProvider" ? 2 : 1)
          }), 60_000)
      })
    }
  })
}

describe("the command", () => {
  const command = (app: App, ...args: ReadonlyArray<string>) =>
    runChild([join(folder, app, "node_modules/effect-entra/dist/cli/bin.js"), ...args], {}, 50)

  it.live("prints its version and its help", () =>
    Effect.gen(function*() {
      const [version, help] = [yield* command("whole", "--version"), yield* command("whole", "--help")]
      assert.match(version.stdout, /^effect-entra v\d+\.\d+\.\d+\n$/)
      assert.include(help.stdout, "simulate")
      assert.deepStrictEqual([version.status, version.stderr, help.status, help.stderr], [0, "", 0, ""])
    }), 60_000)

  it.live.each(
    [
      { name: "the platform package", app: "bare", args: ["--version"], remedy: "npm i @effect/platform-node\n" },
      {
        name: "the packages for certificates",
        app: "whole",
        args: ["cert", "new"],
        remedy: "npm i -D @peculiar/x509 reflect-metadata\n"
      },
      {
        name: "the packages for https",
        app: "whole",
        args: ["simulate"],
        remedy: "npm i -D @peculiar/x509 reflect-metadata\n"
      }
    ] as const
  )("names what to install: $name", ({ app, args, remedy }) =>
    Effect.gen(function*() {
      const { status, stderr, stdout } = yield* command(app, ...args)
      assert.deepStrictEqual([status, stdout], [1, ""])
      assert.include(stderr, remedy)
      assert.notMatch(stderr, /\n +at /)
    }), 60_000)
})

describe("an error that a program does not catch", () => {
  it.live.each(
    [
      {
        name: "effect-entra",
        program: `import { Effect } from "effect"
          import { ConfidentialClient } from "effect-entra"
          await Effect.runPromise(ConfidentialClient.acquireToken({ scopes: "x" }).pipe(
            Effect.provide(ConfidentialClient.layerTest(() => Effect.fail("unused"))),
            Effect.provide(ConfidentialClient.layerFromEnv())
          ))`
      },
      {
        name: "effect-entra/promise",
        program: `import { createClient } from "effect-entra/promise"
          createClient({ clientId: "" })`
      }
    ] as const
  )("is printed on one screen, for $name", ({ name, program }) =>
    Effect.gen(function*() {
      const file = join(folder, "bare", `uncaught-${name.replace("/", "-")}.mjs`)
      yield* Effect.promise(() => writeFile(file, program))
      const { status, stderr } = yield* runChild([file], {}, 50)
      assert.strictEqual(status, 1)
      assert.match(stderr, /EntraInvalidRequestError.*: .*remedy/s)
      // Node prints the line of the code that created the error, so lines must be short.
      assert.isBelow(stderr.length, 5_000)
    }), 60_000)
})

describe("two copies in one process", () => {
  it.live("use the services and know the errors of each other", () =>
    Effect.gen(function*() {
      const file = join(folder, "whole/copies.mjs")
      yield* Effect.promise(() => cp(join(import.meta.dirname, "tarball/copies.mjs"), file))
      const { stdout } = yield* Effect.promise(() => run(process.execPath, [file], { cwd: join(folder, "whole") }))
      assert.deepStrictEqual(JSON.parse(stdout), {
        areTwo: true,
        levels: Array.from({ length: 4 }, () => ["None", "L1", "L1", "L1"]),
        areErrorsKnown: true
      })
    }), 60_000)
})
