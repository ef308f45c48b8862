import { Console, DateTime, Effect, Layer } from "effect"
import { ConfidentialClient } from "effect-entra"
import { FetchHttpClient } from "effect/http"

const EntraLive = ConfidentialClient.layerConfig().pipe(Layer.provide(FetchHttpClient.layer))

const program = Effect.gen(function*() {
  const token = yield* ConfidentialClient.acquireToken({ scopes: "https://graph.microsoft.com/.default" })
  yield* Console.log(`a ${token.tokenType} token for ${token.tenantId} until ${DateTime.formatIso(token.expiresOn)}`)
})

await Effect.runPromise(Effect.provide(program, EntraLive))
