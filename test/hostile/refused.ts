/**
 * Requests that come to nothing, each with names of its own: unknown tenants, unknown resources, spellings, and what is no
 * request at all. Prints what they left behind, as JSON.
 *
 * node --conditions=@effect-entra/source --expose-gc test/hostile/refused.ts <requests>
 */
import { Effect, Layer, Logger, ManagedRuntime } from "effect"
import {
  AuthorityResolver,
  ClientCredential,
  ConfidentialClient,
  TokenCache,
  TokenEndpoint,
  type TokenRequest
} from "effect-entra"
import { EntraSimulator } from "effect-entra/testing"
import { HttpClient, HttpClientResponse } from "effect/http"

const refusal = JSON.stringify({ error: "invalid_request", error_description: "AADSTS90002: no", error_codes: [90002] })
const length = String(refusal.length)
const answers = { asked: 0 }
const Refusing = Layer.succeed(
  HttpClient.HttpClient,
  HttpClient.make((request) =>
    Effect.sync(() => {
      answers.asked++
      const headers = { "content-type": "application/json", "content-length": length }
      return HttpClientResponse.fromWeb(request, new Response(refusal, { status: 400, headers }))
    })
  )
)
const runtime = ManagedRuntime.make(
  ConfidentialClient.layer({ clientId: EntraSimulator.daemonClientId }).pipe(
    Layer.provide([
      ClientCredential.layerSecret(EntraSimulator.daemonSecret),
      AuthorityResolver.layer,
      TokenEndpoint.layer,
      TokenCache.layerMemory()
    ]),
    Layer.provide(Refusing),
    Layer.provideMerge(Logger.layer([]))
  )
)
const client = await runtime.runPromise(ConfidentialClient.ConfidentialClient)

/** One in five is sent; the others are refused by the rules, or only looked for. */
const requestOf = (index: number): TokenRequest.TokenRequest => {
  const tenantId = `tenant-${index}.example.com`
  const scopes = `api://resource-${index}/.default`
  switch (index % 5) {
    case 0:
      return { scopes, tenantId }
    case 1:
      return { scopes: `${scopes} api://another-${index}/.default`, tenantId }
    case 2:
      return { scopes, tenantId: `${tenantId} ${index}` }
    case 3:
      return { scopes, tenantId, authority: `https://host-${index}.example.com/${tenantId}` }
    default:
      return { scopes, tenantId, claims: `no JSON ${index}` }
  }
}

const refused = Effect.fnUntraced(function*(from: number, to: number) {
  for (let index = from; index < to; index++) {
    const request = requestOf(index)
    if (client.peek(request) !== undefined) return yield* Effect.die("a token from nowhere")
    yield* Effect.flip(client.acquireToken(request))
  }
})

const weigh = async (): Promise<number> => {
  await new Promise((resolve) => setImmediate(resolve))
  for (let i = 0; i < 3; i++) globalThis.gc?.()
  return process.memoryUsage().heapUsed
}

const requests = Number(process.argv[2])
const warmUp = 10_000
await runtime.runPromise(refused(0, warmUp))
const before = await weigh()
for (let from = warmUp; from < warmUp + requests; from += 1_000) await runtime.runPromise(refused(from, from + 1_000))
const grown = await weigh() - before
const { bytes, entries, hits } = await runtime.runPromise(client.stats)
console.log(JSON.stringify({ requests, sent: answers.asked, entries, bytes, hits, grown }))
