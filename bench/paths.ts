/**
 * How much of our code does a call pass? V8 counts, so one run is enough. `--detail` lists the files.
 *
 * node --conditions=@effect-entra/source bench/paths.ts [--quick] [--detail]
 */
import { Effect, Layer, Logger, ManagedRuntime, Redacted, Scheduler } from "effect"
import { AuthorityResolver, ClientCredential, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
import { HttpClient, HttpClientResponse } from "effect/http"
import { Session } from "node:inspector/promises"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { finish, machineWith } from "./support/tell.ts"

const begun = performance.now()

const source = pathToFileURL(join(import.meta.dirname, "../src/")).href
const token = JSON.stringify({ token_type: "Bearer", expires_in: 3599, access_token: "a-token" })

let isThrottling = false
const Transport = Layer.succeed(
  HttpClient.HttpClient,
  HttpClient.make((request) =>
    Effect.sync(() =>
      HttpClientResponse.fromWeb(
        request,
        isThrottling ? new Response("", { status: 429, headers: { "retry-after": "60" } }) : new Response(token)
      )
    )
  )
)

const runtime = ManagedRuntime.make(
  ConfidentialClient.layer({
    clientId: "11111111-1111-1111-1111-111111111111",
    tenantId: "contoso.onmicrosoft.com"
  }).pipe(
    Layer.provide([
      ClientCredential.layerSecret(Redacted.make("the secret's value")),
      AuthorityResolver.layer,
      TokenEndpoint.layer,
      TokenCache.layerMemory()
    ]),
    Layer.provide(Transport),
    Layer.provideMerge(Logger.layer([]))
  )
)

const acquire = (name: string) => ConfidentialClient.acquireToken({ scopes: `api://${name}/.default` })

const session = new Session()
session.connect()
await session.post("Profiler.enable")
await session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: false })

const counted = async (name: string) => {
  await session.post("Profiler.takePreciseCoverage")
  await runtime.runPromise(Effect.exit(acquire(name)))
  const { result } = await session.post("Profiler.takePreciseCoverage")
  const files = result.filter(({ url }) => url.startsWith(source)).map(({ functions, url }) => {
    const calls = functions.map(({ ranges }) => ranges[0]?.count ?? 0).filter((count) => count > 0)
    return { file: url.slice(source.length), functions: calls.length, calls: calls.reduce((sum, one) => sum + one, 0) }
  }).filter(({ calls }) => calls > 0).sort((one, other) => other.calls - one.calls)
  const sum = (of: "functions" | "calls") => files.reduce((total, file) => total + file[of], 0)
  return { files, row: { files: files.length, functions: sum("functions"), calls: sum("calls") } }
}

/** Effects and fibers of one miss. A scheduler is asked before each step of a fiber, so it can count them. */
const effectsOf = async (name: string) => {
  const scheduler = new Scheduler.MixedScheduler()
  const fibers = new Set<unknown>()
  let steps = 0
  const counting: Scheduler.Scheduler = {
    executionMode: scheduler.executionMode,
    makeDispatcher: () => scheduler.makeDispatcher(),
    shouldYield: (fiber) => {
      steps++
      fibers.add(fiber)
      return false
    }
  }
  await runtime.runPromise(Effect.provideService(acquire(name), Scheduler.Scheduler, counting))
  return { steps, fibers: fibers.size }
}

// Code that runs once in a process is not part of a path.
for (const name of ["one", "two", "three"]) await runtime.runPromise(acquire(name))
const miss = await counted("miss")
const hit = await counted("miss")
if (hit.row.calls === 0) throw new Error("No call of src/ was counted: run with --conditions=@effect-entra/source")
await effectsOf("counted")
const effects = await effectsOf("counted-again")
isThrottling = true
await runtime.runPromise(Effect.exit(acquire("throttled")))
const closedGate = await counted("throttled")

const paths = { hit, miss, "closed gate": closedGate }
if (process.argv.includes("--detail")) {
  for (const [name, { files }] of Object.entries(paths)) {
    console.log(name)
    console.table(files)
  }
}
await runtime.dispose()

const most = { files: 25, calls: 150, steps: 95, fibers: 3 }

await finish({
  name: "paths",
  question: "How much code does a call pass?",
  method: [
    "The files, functions and calls of this library that one acquisition passes, counted by V8's precise coverage: a hit, a",
    "miss with a secret, and a call that finds the throttle gate closed. Effect's own code and the transport do not count,",
    "nor does code that runs once in a process. A step is an effect that a fiber runs; of a miss they are counted by a",
    "scheduler, the transport included."
  ].join(" "),
  quick: process.argv.includes("--quick"),
  rounds: 1,
  seconds: Math.round((performance.now() - begun) / 1000),
  machine: machineWith(["effect"]),
  tables: [{
    title: "Files, functions and calls of one acquisition",
    columns: ["path", "files", "functions", "calls"],
    rows: Object.entries(paths).map(([name, { row }]) => [name, row.files, row.functions, row.calls])
  }],
  goals: [{
    goal: `a miss passes at most ${most.files} files and ${most.calls} calls`,
    measured: `${miss.row.files} files, ${miss.row.calls} calls`,
    passed: miss.row.files <= most.files && miss.row.calls <= most.calls
  }, {
    goal: `a miss takes at most ${most.steps} steps of at most ${most.fibers} fibers, the caller's included`,
    measured: `${effects.steps} steps of ${effects.fibers} fibers`,
    passed: effects.steps <= most.steps && effects.fibers <= most.fibers
  }],
  plots: [],
  watched: [
    ...Object.entries(paths).map(([name, { row }]) => ({
      name: `calls of a ${name}`,
      kind: "count" as const,
      value: row.calls
    })),
    { name: "steps of a miss", kind: "count", value: effects.steps },
    { name: "fibers of a miss", kind: "count", value: effects.fibers }
  ]
})
