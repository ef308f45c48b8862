/** `doctor` reports each broken setup with a remedy, and reports no problem after the remedy is applied. */
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Fiber, Schema } from "effect"
import { SimulatorServer } from "effect-entra/node"
import { type Finding, Report, steps } from "../../src/cli/internal/doctor/finding.ts"
import { redisFinding } from "../../src/cli/internal/doctor/redis.ts"
import { runChild, temporaryFile } from "../support/child.ts"
import { standalone } from "../support/redis.ts"
import { runCommand } from "./command.ts"
import { greeter, secrets, setUps } from "./doctorSetups.ts"
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

describe("a setup where no server responds", () => {
  it.live("has a finding of each step within the time limit", () =>
    Effect.gen(function*() {
      const here = yield* place()
      const silent = yield* greeter()
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
      const silent = yield* greeter()
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

describe("a valid setup", () => {
  it.live("reports no problem in any step", () =>
    Effect.gen(function*() {
      const here = yield* place()
      const { url } = yield* standalone()
      const { report } = yield* here.run({ env: { REDIS_URL: url } })
      assert.deepStrictEqual(report.findings.map(({ step }) => step), [...steps])
      assert.deepStrictEqual(stepsWith(report.findings, "ok"), [...steps])
    }).pipe(Effect.scoped, Effect.provide(SimulatorServer.layerHttps())))

  it.live("also while other doctors examine the same Redis", () =>
    Effect.gen(function*() {
      const { url } = yield* standalone()
      const findings = yield* Effect.forEach(Array.from({ length: 100 }), () => redisFinding, {
        concurrency: "unbounded"
      }).pipe(
        Effect.provideService(
          ConfigProvider.ConfigProvider,
          ConfigProvider.fromEnv({ env: { REDIS_URL: url } })
        )
      )
      assert.deepStrictEqual(findings.filter(({ status }) => status !== "ok"), [])
    }).pipe(Effect.scoped))

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

describe("the command", () => {
  const doctor = Effect.fnUntraced(function*(
    args: ReadonlyArray<string>,
    { env, terminal = false }: {
      readonly env?: Readonly<Record<string, string>>
      readonly terminal?: boolean
    } = {}
  ) {
    const here = yield* place()
    const { code, errors, output } = yield* runCommand(
      ["doctor", "--project", here.folder, ...args],
      { ...here.env, ...env },
      terminal
    )
    return { exitCode: code, stdout: output, stderr: errors }
  })
  const inWorld = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    effect.pipe(Effect.scoped, Effect.provide(SimulatorServer.layerHttps()))
  const certificate = { AZURE_CLIENT_CERTIFICATE_PATH: "/ignored.pem" }

  it.live("prints a line of each step, and ends with 0", () =>
    inWorld(Effect.gen(function*() {
      const { exitCode, stderr, stdout } = yield* doctor([])
      assert.strictEqual(exitCode, 0)
      const lines = stdout.split("\n")
      assert.deepStrictEqual(lines.slice(0, -1).map((line) => line.slice(6).split(" ")[0]), [...steps])
      assert.strictEqual(lines.at(-1), "No check failed.")
      assert.strictEqual(stderr, "")
      assert.notInclude(stdout, "\u001b")
    })))

  it.live("prints the remedy below a failure, and ends with 1", () =>
    inWorld(Effect.gen(function*() {
      const { exitCode, stderr, stdout } = yield* doctor([], {
        env: { AZURE_CLIENT_SECRET: "wrong~secret.of-the_daemon" }
      })
      assert.strictEqual(exitCode, 1)
      assert.match(stdout, /^FAIL {2}acquisition .*AADSTS7000215.*\n {20}Fix: Pass the secret's value/m)
      assert.match(stdout, /^ {20}secret_wrong, AADSTS7000215, correlation id [0-9a-f-]{36}$/m)
      assert.match(stdout, /^skip {2}token {9}Not checked, because acquisition has to succeed first\.$/m)
      assert.match(stderr, /Failed: acquisition\./)
    })))

  it.live("ends with 0 for warnings, and with 1 if it is strict", () =>
    inWorld(Effect.gen(function*() {
      assert.strictEqual((yield* doctor([], { env: certificate })).exitCode, 0)
      const { exitCode, stderr } = yield* doctor(["--strict"], { env: certificate })
      assert.strictEqual(exitCode, 1)
      assert.match(stderr, /No check failed; warnings: configuration\./)
    })))

  it.live("has colors on a terminal, unless NO_COLOR is set", () =>
    inWorld(Effect.gen(function*() {
      assert.include((yield* doctor([], { terminal: true })).stdout, "\u001b[32mok")
      assert.notInclude((yield* doctor([], { terminal: true, env: { NO_COLOR: "1" } })).stdout, "\u001b")
    })))

  it.live.each<readonly [args: ReadonlyArray<string>, message: RegExp]>([
    [["--secret", "x"], /--secret is refused/],
    [["--secret-file", "a", "--certificate", "b"], /are several credentials/],
    [["--ask-secret"], /Standard input is not a terminal/],
    [["--bogus"], /Unrecognized flag: --bogus/]
  ])("with flags that cannot be used has no JSON: %j", ([args, message]) =>
    inWorld(Effect.gen(function*() {
      const { exitCode, stderr, stdout } = yield* doctor(["--json", ...args])
      assert.deepStrictEqual([exitCode, stdout], [1, ""])
      assert.match(stderr, message)
    })))

  it.live("as a process prints nothing but JSON to standard output, and passes with NODE_EXTRA_CA_CERTS", () =>
    inWorld(Effect.gen(function*() {
      const here = yield* place({ untrusted: true })
      const parameters = [
        "--conditions=@effect-entra/source",
        "src/cli/bin.ts",
        "doctor",
        "--json",
        "--project",
        here.folder
      ]
      const decode = Schema.decodeEffect(Schema.fromJsonString(Report))
      const broken = yield* runChild(parameters, { ...here.env, ...certificate })
      assert.strictEqual(broken.status, 1)
      assert.deepStrictEqual(stepsWith((yield* decode(broken.stdout)).findings, "fail"), ["tls"])
      assert.match(broken.stderr, /Failed: tls; warnings: configuration\./)
      const file = yield* temporaryFile(here.certificate)
      const mended = yield* runChild(parameters, { ...here.env, NODE_EXTRA_CA_CERTS: file })
      assert.strictEqual((yield* decode(mended.stdout)).status, "ok")
      assert.strictEqual(mended.status, 0)
      assert.strictEqual(mended.stderr, "")
    })))
})

describe("without the check of certificates", () => {
  it.live("a process sends no secret", () =>
    Effect.gen(function*() {
      const here = yield* place({ untrusted: true })
      const { status, stdout } = yield* runChild(
        ["--conditions=@effect-entra/source", "src/cli/bin.ts", "doctor", "--json", "--project", here.folder],
        { ...here.env, NODE_TLS_REJECT_UNAUTHORIZED: "0" }
      )
      const { findings } = yield* Schema.decodeEffect(Schema.fromJsonString(Report))(stdout)
      assert.strictEqual(status, 1)
      assert.deepStrictEqual(stepsWith(findings, "fail"), ["tls"])
      assert.include(stepsWith(findings, "skipped"), "acquisition")
      assert.deepStrictEqual((yield* here.simulator.requests).map(({ url }) => url), [])
    }).pipe(Effect.scoped, Effect.provide(SimulatorServer.layerHttps())))
})

describe("the executable", () => {
  /** The modules of the command do not load on old versions of Node, so this process only reports an old version. */
  const old = "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.11.1' } })"

  it.live("names an old version of Node before it loads the rest", () =>
    Effect.gen(function*() {
      const { status, stderr, stdout } = yield* runChild([
        "--conditions=@effect-entra/source",
        `--import=data:text/javascript,${old}`,
        "src/cli/bin.ts",
        "doctor"
      ])
      assert.deepStrictEqual({ status, stderr, stdout }, {
        status: 1,
        stderr: "effect-entra: Node 20.11.1 is not supported.\nInstall Node 22.19.0 or later.\n",
        stdout: ""
      })
    }))
})

describe("a broken setup", () => {
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
