/** Several apps in one process, over one cache and one transport. Each app is a value. */
import { Console, Effect, Layer, Redacted } from "effect"
import { AuthorityResolver, ClientCredential, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
import { EntraSimulator } from "effect-entra/testing"

const orders = { clientId: "0a000000-0000-4000-8000-000000000001", secret: Redacted.make("the secret of orders") }
const billing = { clientId: "0a000000-0000-4000-8000-000000000002", secret: Redacted.make("the secret of billing") }

const program = Effect.gen(function*() {
  for (const { clientId, secret } of [orders, billing]) {
    const client = yield* ConfidentialClient.make({ clientId, credential: yield* ClientCredential.secret(secret) })
    const token = yield* client.acquireToken({
      scopes: "https://graph.microsoft.com/.default",
      tenantId: EntraSimulator.contosoTenantId
    })
    yield* Console.log(`${clientId} has a token from ${token.metadata.tokenSource}`)
  }
  const cache = yield* TokenCache.TokenCache
  yield* Console.log(`${(yield* cache.stats).entries} tokens in the cache`)
})

// A simulator in memory, so that this example runs anywhere. A program provides FetchHttpClient.layer instead.
const Http = EntraSimulator.layerMemory({
  apps: [orders, billing].map(({ clientId, secret }) => ({ clientId, secrets: [secret], roles: {} }))
})

const services = Layer.mergeAll(AuthorityResolver.layer, TokenEndpoint.layer, TokenCache.layerMemory())

await Effect.runPromise(Effect.scoped(program).pipe(Effect.provide(Layer.provide(services, Http))))
