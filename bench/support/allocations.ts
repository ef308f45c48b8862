/** Bytes that a hit allocates, and those that are still there afterwards. Prints one line of JSON. */
import { Effect, Exit, Layer, ManagedRuntime, Redacted, Scheduler } from "effect"
import { AuthorityResolver, ClientCredential, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
import { type Growth, growthOf } from "./heap.ts"
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

const bytes: Record<string, Growth> = {}
for (const [name, loop] of Object.entries(loops)) {
  bytes[name] = await growthOf(name, operations, (times) => runtime.runPromise(loop(times)))
}
await runtime.dispose()
console.log(JSON.stringify(bytes))
