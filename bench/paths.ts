/**
 * Counts the files and calls that one acquisition passes through: a hit, a miss with a secret, and a call that finds the
 * throttle gate closed. V8 counts (precise coverage), so one run is enough. Effect's own code and the transport do not count.
 * `--detail` lists the files.
 */
import { Effect, Layer, ManagedRuntime, Redacted } from "effect"
import { AuthorityResolver, ClientCredential, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
import { HttpClient, HttpClientResponse } from "effect/http"
import { Session } from "node:inspector/promises"
import { join } from "node:path"
import { pathToFileURL } from "node:url"

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
    Layer.provide(Transport)
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

// Code that runs once in a process is not part of a path.
for (const name of ["one", "two", "three"]) await runtime.runPromise(acquire(name))
const miss = await counted("miss")
const hit = await counted("miss")
isThrottling = true
await runtime.runPromise(Effect.exit(acquire("throttled")))
const closedGate = await counted("throttled")

console.table({ hit: hit.row, miss: miss.row, "closed gate": closedGate.row })
if (process.argv.includes("--detail")) {
  console.log("miss")
  console.table(miss.files)
  console.log("closed gate")
  console.table(closedGate.files)
}
await runtime.dispose()
