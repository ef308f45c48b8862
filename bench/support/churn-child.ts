/**
 * Measures the growth of a process: a client over a small cache runs many operations, and now and then the heap is
 * measured after a full collection. Prints the sizes as JSON.
 *
 * node --expose-gc bench/support/churn-child.ts <operations>
 */
import { Effect, Layer, Logger, ManagedRuntime, Redacted } from "effect"
import { AuthorityResolver, ClientCredential, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
import { HttpClient, HttpClientResponse } from "effect/http"
import { uniform } from "./random.ts"

const operations = Number(process.argv[2])
const bound = 2_000
const tenants = 2_040
const weighings = 20

let issued = 0
const Transport = Layer.succeed(
  HttpClient.HttpClient,
  HttpClient.make((request) =>
    Effect.sync(() => {
      const access_token = `token-${issued++}-`.padEnd(1_500, "x")
      const body = JSON.stringify({ token_type: "Bearer", expires_in: 86_399, access_token })
      const headers = { "content-type": "application/json", "content-length": String(body.length) }
      return HttpClientResponse.fromWeb(request, new Response(body, { headers }))
    })
  )
)
const runtime = ManagedRuntime.make(
  ConfidentialClient.layer({ clientId: "11111111-1111-4111-8111-111111111111" }).pipe(
    Layer.provide([
      ClientCredential.layerSecret(Redacted.make("a-secret")),
      AuthorityResolver.layer,
      TokenEndpoint.layer,
      TokenCache.layerMemory({ maxEntries: bound })
    ]),
    Layer.provide(Transport),
    // Evictions are warned of, and this cache is meant to be too small.
    Layer.provideMerge(Logger.layer([]))
  )
)
const client = await runtime.runPromise(ConfidentialClient.ConfidentialClient)
const stats = () => Effect.runSync(client.stats)

const random = uniform(7)
const scopes = "https://graph.microsoft.com/.default"
const chunk = Effect.fnUntraced(function*(operations: number) {
  for (let i = 0; i < operations; i++) {
    const tenantId = `7d1f0c2a-5b3e-4f6a-8c9d-${Math.floor(random() ** 2 * tenants).toString(16).padStart(12, "0")}`
    yield* client.acquireToken({ scopes, tenantId })
  }
})

const weigh = (): number => {
  for (let i = 0; i < 3; i++) globalThis.gc?.()
  return process.memoryUsage().heapUsed
}

const weights: Array<number> = []
for (let weighing = 0; weighing < weighings; weighing++) {
  for (let done = 0; done < operations / weighings; done += 1_000) await runtime.runPromise(chunk(1_000))
  const { entries } = stats()
  if (entries > bound) throw new Error(`${entries} entries, more than ${bound}`)
  weights.push(weigh())
}
const { evictions, hits, misses } = stats()
console.log(JSON.stringify({ weights, hits, misses, evictions }))
