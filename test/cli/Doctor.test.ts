/** `doctor` names the fault of each broken set-up with a remedy, and has no complaint when the remedy was applied. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { SimulatorServer } from "effect-entra/node"
import { createServer, type Socket } from "node:net"
import { type Finding, steps } from "../../src/cli/internal/doctor/finding.ts"
import { standalone } from "../support/redis.ts"
import { secrets, setUps } from "./doctorSetups.ts"
import { place } from "./doctorWorld.ts"

const problemsOf = (findings: ReadonlyArray<Finding>) =>
  findings.filter(({ status }) => status === "warn" || status === "fail")

const withoutSecrets = (output: string) => {
  for (const secret of secrets) assert.notInclude(output, secret)
  assert.notMatch(output, /eyJ[\w-]+\.[\w-]+/, "a token or an assertion")
  assert.notMatch(output, /PRIVATE KEY/)
}

const stepsWith = (findings: ReadonlyArray<Finding>, status: Finding["status"]) =>
  findings.filter((finding) => finding.status === status).map(({ step }) => step)

describe("a set-up where nothing responds", () => {
  it.live("has a finding of each step within the time limit", () =>
    Effect.gen(function*() {
      const here = yield* place()
      const silent = yield* silentServer
      const started = performance.now()
      const { report } = yield* here.run({
        env: { AZURE_AUTHORITY_HOST: `https://127.0.0.1:${silent}`, REDIS_URL: `redis://127.0.0.1:${silent}` }
      })
      assert.isBelow(performance.now() - started, 12_000)
      assert.deepStrictEqual(stepsWith(report.findings, "fail"), ["connect", "redis"])
      assert.deepStrictEqual(stepsWith(report.findings, "skipped"), [
        "tls",
        "clock",
        "discovery",
        "acquisition",
        "token"
      ])
      assert.deepStrictEqual(new Set(report.findings.map(({ step }) => step)), new Set(steps))
    }).pipe(Effect.scoped, Effect.provide(SimulatorServer.layerHttps())))

  it.live("ends at once when it is interrupted", () =>
    Effect.gen(function*() {
      const here = yield* place()
      const silent = yield* silentServer
      const fiber = yield* Effect.forkChild(
        here.run({ env: { AZURE_AUTHORITY_HOST: `https://127.0.0.1:${silent}` } }),
        {
          startImmediately: true
        }
      )
      yield* Effect.yieldNow
      yield* Effect.timeout(Fiber.interrupt(fiber), "2 seconds")
    }).pipe(Effect.scoped, Effect.provide(SimulatorServer.layerHttps())))
})

describe("a right set-up", () => {
  it.live("has no complaint about any step", () =>
    Effect.gen(function*() {
      const here = yield* place()
      const { url } = yield* standalone()
      const { report } = yield* here.run({ env: { REDIS_URL: url } })
      assert.deepStrictEqual(report.findings.map(({ step }) => step), [...steps])
      assert.deepStrictEqual(stepsWith(report.findings, "ok"), [...steps])
    }).pipe(Effect.scoped, Effect.provide(SimulatorServer.layerHttps())))

  it.live("also while other requests of this process fail", () =>
    Effect.gen(function*() {
      const here = yield* place()
      const reports = yield* Effect.all(
        [here.run({}), here.run({ env: { AZURE_CLIENT_ID: undefined } }), here.run({})],
        {
          concurrency: "unbounded"
        }
      )
      assert.deepStrictEqual(reports.map(({ report }) => report.status), ["ok", "fail", "ok"])
    }).pipe(Effect.scoped, Effect.provide(SimulatorServer.layerHttps())))
})

/** The port of a server that accepts connections, and then says nothing. */
const silentServer = Effect.map(
  Effect.acquireRelease(
    Effect.callback<{ readonly port: number; readonly close: () => void }>((resume) => {
      const open = new Set<Socket>()
      const server = createServer((socket) => open.add(socket.on("error", () => {})))
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        resume(Effect.succeed({
          port: typeof address === "object" && address !== null ? address.port : 0,
          close: () => {
            for (const socket of open) socket.destroy()
            server.close()
          }
        }))
      })
    }),
    ({ close }) => Effect.sync(close)
  ),
  ({ port }) => port
)

describe("a broken set-up", () => {
  it.live.each(setUps)("$name", ({ finding, make, untrusted = false, world }) =>
    Effect.gen(function*() {
      const here = yield* place({ untrusted })
      const { broken, mend } = yield* make(here)
      const before = yield* here.run(broken)
      const [first] = problemsOf(before.report.findings)
      assert.strictEqual(first?.step, finding.step, before.output)
      assert.strictEqual(first?.status, finding.status)
      assert.match(first?.detail ?? "", finding.detail)
      assert.ok(first !== undefined && "remedy" in first)
      assert.match(first.remedy, finding.remedy)
      if (finding.aadsts !== undefined) assert.deepStrictEqual(first.aadsts, [finding.aadsts])
      const after = yield* here.run(yield* mend)
      assert.deepStrictEqual(problemsOf(after.report.findings), [])
      assert.strictEqual(after.report.status, "ok")
      withoutSecrets(before.output + after.output)
    }).pipe(Effect.scoped, Effect.provide(SimulatorServer.layerHttps(world))))
})
