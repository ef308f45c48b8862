/**
 * Bytes that a hit allocates, and those that are still there afterwards: a process of its own, whose young generation is so
 * large that nothing is collected while it counts. Prints one line of JSON.
 */
import { Effect, Exit, Layer, ManagedRuntime, Redacted, Scheduler } from "effect"
import { AuthorityResolver, ClientCredential, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
import { PerformanceObserver } from "node:perf_hooks"
import { setImmediate } from "node:timers/promises"
import { collect, percentile } from "./measure.ts"
import { clientId } from "./msal.ts"
import { transport } from "./ours.ts"

const operations = 200_000
const scope = "https://graph.microsoft.com/.default"
const tenantId = "7d1f0c2a-5b3e-4f6a-8c9d-000000000001"
const request = { scopes: [scope], tenantId }

const Client = ConfidentialClient.layer({ clientId }).pipe(
  Layer.provide([
    ClientCredential.layerSecret(Redacted.make("a-secret")),
    AuthorityResolver.layer,
    TokenEndpoint.layer,
    TokenCache.layerMemory()
  ]),
  Layer.provide(transport(() => JSON.stringify({ token_type: "Bearer", expires_in: 86_399, access_token: "a-token" })))
)
// A fiber that runs for long yields to others now and then, which takes what is no part of a hit.
const Unyielding = Layer.succeed(Scheduler.PreventSchedulerYield, true)
const runtime = ManagedRuntime.make(Layer.merge(Client, Unyielding))
const client = await runtime.runPromise(ConfidentialClient.ConfidentialClient)
await runtime.runPromise(client.acquireToken(request))
const keptEffect = client.acquireToken(request)
const exit = Exit.succeed(await runtime.runPromise(keptEffect))

// Somewhere for the request that a caller makes, so that it is made where nobody asks for it.
const sink: { request: unknown } = { request: undefined }

const loops = {
  exit: Effect.fnUntraced(function*(times: number) {
    for (let at = 0; at < times; at++) yield* exit
  }),
  literal: Effect.fnUntraced(function*(times: number) {
    for (let at = 0; at < times; at++) {
      sink.request = { scopes: [scope], tenantId }
      yield* exit
    }
  }),
  kept: Effect.fnUntraced(function*(times: number) {
    for (let at = 0; at < times; at++) yield* keptEffect
  }),
  service: Effect.fnUntraced(function*(times: number) {
    for (let at = 0; at < times; at++) yield* client.acquireToken(request)
  }),
  fiber: Effect.fnUntraced(function*(times: number) {
    for (let at = 0; at < times; at++) yield* ConfidentialClient.acquireToken(request)
  }),
  serviceWithLiteral: Effect.fnUntraced(function*(times: number) {
    for (let at = 0; at < times; at++) yield* client.acquireToken({ scopes: [scope], tenantId })
  }),
  fiberWithLiteral: Effect.fnUntraced(function*(times: number) {
    for (let at = 0; at < times; at++) yield* ConfidentialClient.acquireToken({ scopes: [scope], tenantId })
  })
}

let collections = 0
const observer = new PerformanceObserver((list) => {
  collections += list.getEntries().length
})
observer.observe({ entryTypes: ["gc"] })

/** The observer is told between two turns of the event loop. */
const collected = async (): Promise<number> => {
  await setImmediate()
  await setImmediate()
  return collections
}

const used = (): number => process.memoryUsage().heapUsed

const bytes: Record<string, { allocated: number; retained: number }> = {}
for (const [name, loop] of Object.entries(loops)) {
  // Long enough for the optimizing compiler, twice, for it throws its first guess away.
  for (let warm = 0; warm < 5; warm++) await runtime.runPromise(loop(operations))
  const allocated: Array<number> = []
  collect({ type: "major", execution: "sync" })
  const atRest = used()
  for (let round = 0; round < 7; round++) {
    collect({ type: "major", execution: "sync" })
    const before = await collected()
    const start = used()
    await runtime.runPromise(loop(operations))
    const end = used()
    if (await collected() !== before) throw new Error(`${name}: a collection came between`)
    allocated.push((end - start) / operations)
  }
  collect({ type: "major", execution: "sync" })
  bytes[name] = { allocated: percentile(allocated, 0.5), retained: (used() - atRest) / (7 * operations) }
}
observer.disconnect()
await runtime.dispose()
console.log(JSON.stringify(bytes))
