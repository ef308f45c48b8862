/** A gateway that requires a header on every outgoing request: `transformClient` adds it to the library's own requests. */
import { Config, Effect, Layer, Redacted } from "effect"
import { ClientCredential, ConfidentialClient } from "effect-entra"
import { NodeTransport } from "effect-entra/node"
import { HttpClient, HttpClientRequest } from "effect/http"

export const Entra = Layer.unwrap(Effect.gen(function*() {
  const key = yield* Config.Redacted("GATEWAY_KEY")
  return ConfidentialClient.layerDefault({
    clientId: yield* Config.String("AZURE_CLIENT_ID"),
    tenantId: yield* Config.String("AZURE_TENANT_ID"),
    transformClient: HttpClient.mapRequest(HttpClientRequest.setHeader("x-gateway-key", Redacted.value(key)))
  })
})).pipe(
  Layer.provide(ClientCredential.layerFromEnv),
  Layer.provideMerge(NodeTransport.layer)
)
