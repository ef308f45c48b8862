/** The programs of docs/deploying.md, in the bundles of its commands, without `node_modules`. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { SimulatorServer } from "effect-entra/node"
import { EntraSimulator } from "effect-entra/testing"
import { Miniflare, Response } from "miniflare"
import { execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"
import { createInterface } from "node:readline"
import { promisify } from "node:util"
import { afterAll } from "vitest"
import { root } from "./docs/repository.ts"
import type { Runtime } from "./runtimes/core.ts"
import { commandsOf } from "./runtimes/run.ts"
import { temporaryFile } from "./support/child.ts"
import { proxyTo } from "./support/proxy.ts"
import { until } from "./support/until.ts"

const page = await readFile(join(root, "docs/deploying.md"), "utf8")

/** The commands of the page, for `bundle.mjs` in the folder of this test. */
const commandOf = (bundler: string, entry: string): ReadonlyArray<string> => {
  const command = page.split("\n").find((line) => line.startsWith(`${bundler} ${entry}.ts `))
  assert.isDefined(command, `${bundler} ${entry}.ts`)
  return command.split(" ").slice(2)
}

const folder = await mkdtemp(join(tmpdir(), "effect-entra-deploying-"))
afterAll(() => rm(folder, { recursive: true, force: true }))

/** In this repository the package is its sources. */
const conditions = ["@effect-entra/source", "import"]

const withConditions = {
  esbuild: (entry: string) => Promise.resolve([entry, `--conditions=${conditions.join()}`]),
  // Its command has no such option.
  rolldown: async (input: string) => {
    const path = join(folder, "rolldown.config.mjs")
    await writeFile(path, `export default ${JSON.stringify({ input, resolve: { conditionNames: conditions } })}`)
    return [`--config=${path}`]
  }
}

type Bundler = keyof typeof withConditions

/** Bundles a program by the command of the page for `entry`, and returns the name of the bundle. */
const bundled = async (
  bundler: Bundler,
  entry: string,
  program = `examples/deploying/${entry}.ts`
): Promise<string> => {
  const name = `${bundler}-${basename(program, ".ts")}.mjs`
  const options = commandOf(bundler, entry).map((option) => option.replace(`${entry}.mjs`, join(folder, name)))
  await promisify(execFile)(
    join(root, "node_modules/.bin", bundler),
    [...await withConditions[bundler](program), ...options],
    { cwd: root }
  )
  return name
}

/** The commands of the page, with the programs of this repository. */
const commandOn = (runtime: Exclude<Runtime, "workerd">): ReadonlyArray<string> => {
  const [program = ""] = commandsOf(runtime)
  const command = new RegExp(`^${runtime.split(" ")[0]?.toLowerCase()} (.*)service\\.mjs$`, "m").exec(page)?.[1]
  return [program, ...(command ?? "").split(" ").filter((option) => option !== "")]
}

const variables = {
  AZURE_CLIENT_ID: EntraSimulator.daemonClientId,
  AZURE_CLIENT_SECRET: Redacted.value(EntraSimulator.daemonSecret),
  AZURE_TENANT_ID: EntraSimulator.contosoTenantId
}

const microsoft = SimulatorServer.layerHttps({ hosts: ["login.microsoftonline.com"] })

const environment = Effect.gen(function*() {
  const { certificate, origin } = yield* SimulatorServer.SimulatorServer
  const proxy = yield* proxyTo(Number(new URL(origin).port))
  const authority = yield* temporaryFile(certificate ?? "")
  return {
    PATH: process.env["PATH"],
    ...variables,
    PORT: "0",
    HTTPS_PROXY: proxy.url,
    NODE_EXTRA_CA_CERTS: authority,
    NODE_USE_ENV_PROXY: "1",
    DENO_CERT: authority
  }
})

describe("the service", () => {
  it.live.each(
    [
      { bundler: "esbuild", runtime: "Node 22" },
      { bundler: "esbuild", runtime: "Node 24" },
      { bundler: "esbuild", runtime: "Bun" },
      { bundler: "esbuild", runtime: "Deno" },
      { bundler: "rolldown", runtime: "Node 22" },
      { bundler: "rolldown", runtime: "Node 24" },
      { bundler: "rolldown", runtime: "Bun" },
      { bundler: "rolldown", runtime: "Deno" }
    ] as const
  )(
    "in a bundle of $bundler on $runtime answers the request that it has, and ends",
    ({ bundler, runtime }) =>
      Effect.gen(function*() {
        const simulator = yield* EntraSimulator.EntraSimulator
        yield* simulator.fail(EntraSimulator.Fault.delay("500 millis"))
        const env = yield* environment
        const file = yield* Effect.promise(() => bundled(bundler, "service"))
        const [command = "", ...options] = commandOn(runtime)
        const service = yield* Effect.acquireRelease(
          Effect.sync(() => spawn(command, [...options, file], { cwd: folder, env })),
          (child) => Effect.sync(() => child.kill("SIGKILL"))
        )
        const lines: Array<string> = []
        createInterface(service.stdout).on("line", (line) => lines.push(line))
        const ended = once(service, "exit")
        const port = yield* until("listening", Effect.sync(() => /^listening on (\d+)$/.exec(lines[0] ?? "")?.[1]))
        const answer = fetch(`http://127.0.0.1:${port}/`)
        yield* until(
          "a token request",
          Effect.map(simulator.counters, ({ tokenRequests }) => tokenRequests > 0 ? true : undefined)
        )
        service.kill("SIGTERM")
        const response = yield* Effect.promise(() => answer)
        assert.strictEqual(yield* Effect.promise(() => response.text()), "a token from IdentityProvider")
        assert.deepStrictEqual(yield* Effect.promise(() => ended), [0, null])
        assert.deepStrictEqual(lines.slice(1), ["closed"])
      }).pipe(Effect.scoped, Effect.provide(microsoft)),
    60_000
  )
})

describe("a program that loads code when it uses it", () => {
  it.each(
    (["esbuild", "rolldown"] as const).flatMap((bundler) => [
      { bundler, entry: "service", program: "certificate" },
      { bundler, entry: "service", program: "environment" },
      { bundler, entry: "service", program: "promise" },
      { bundler, entry: "worker", program: "certificate" },
      { bundler, entry: "worker", program: "promise" }
    ])
  )(
    "$program: the command of $bundler for $entry makes one file, which runs alone",
    async ({ bundler, entry, program }) => {
      const file = await bundled(bundler, entry, `test/deploying/${program}.ts`)
      const { stdout } = await promisify(execFile)(process.execPath, [file], { cwd: folder })
      assert.match(stdout, /^(?:function|object)\n$/)
    },
    60_000
  )
})

describe("the Worker", () => {
  it.each(["esbuild", "rolldown"] as const)(
    "in a bundle of %s acquires one token for two requests",
    async (bundler) => {
      const asked: Array<string> = []
      const worker = new Miniflare({
        modules: [{
          type: "ESModule",
          path: "worker.js",
          contents: await readFile(join(folder, await bundled(bundler, "worker")), "utf8")
        }],
        compatibilityDate: "2026-01-01",
        bindings: variables,
        outboundService: ({ url }) => {
          asked.push(new URL(url).pathname)
          return Promise.resolve(Response.json({ access_token: "a-token", token_type: "Bearer", expires_in: 3599 }))
        }
      })
      const answers = []
      for (let n = 0; n < 2; n++) answers.push(await (await worker.dispatchFetch("http://worker/")).text())
      await worker.dispose()
      assert.deepStrictEqual(answers, ["a token from IdentityProvider", "a token from Cache"])
      assert.deepStrictEqual(asked, [`/${variables.AZURE_TENANT_ID}/oauth2/v2.0/token`])
    },
    60_000
  )
})

describe("the function", () => {
  it.live("answers two calls with one token request, and ends", () =>
    Effect.gen(function*() {
      const env = yield* environment
      const program = `import { handler, terminate } from "./examples/deploying/functions.ts"
        console.log(JSON.stringify([await handler(), await handler()])); await terminate()`
      const { stdout } = yield* Effect.promise(() =>
        promisify(execFile)(
          process.execPath,
          ["--conditions=@effect-entra/source", "--input-type=module", "--eval", program],
          { cwd: root, env, timeout: 30_000 }
        )
      )
      assert.deepStrictEqual(JSON.parse(stdout), [
        { status: 200, body: "a token from IdentityProvider" },
        { status: 200, body: "a token from Cache" }
      ])
    }).pipe(Effect.scoped, Effect.provide(microsoft)), 60_000)
})
