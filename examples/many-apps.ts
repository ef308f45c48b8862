/** Several apps in one process over one cache and one transport: each app is a value. */
import { Console, Effect, Layer, type Redacted } from "effect"
import { AuthorityResolver, ClientCredential, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
import { EntraSimulator } from "effect-entra/testing"

const services = Layer.mergeAll(AuthorityResolver.layer, TokenEndpoint.layer, TokenCache.layerMemory())

const appOf = Effect.fnUntraced(function*(clientId: string, secret: Redacted.Redacted) {
  return yield* ConfidentialClient.make({ clientId, credential: yield* ClientCredential.secret(secret) })
})

const program = Effect.gen(function*() {
  const app = yield* appOf(EntraSimulator.daemonClientId, EntraSimulator.daemonSecret)
  const another = yield* appOf(EntraSimulator.daemonClientId, EntraSimulator.daemonSecret)
  for (const client of [app, another]) {
    const { metadata } = yield* client.acquireToken({
      scopes: "https://graph.microsoft.com/.default",
      tenantId: EntraSimulator.contosoTenantId
    })
    yield* Console.log(metadata.tokenSource)
  }
})

// In memory, so that this runs anywhere; a program provides FetchHttpClient.layer instead.
await Effect.runPromise(
  Effect.scoped(program).pipe(
    Effect.provide(services.pipe(Layer.provide(EntraSimulator.layerMemory())))
  )
)
