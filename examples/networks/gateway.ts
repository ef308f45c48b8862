/** A gateway that wants a header on every request that leaves: added to the library's own requests by `transformClient`. */
import { Config, Effect, Layer, Redacted } from "effect"
import { AuthorityResolver, ClientCredential, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
import { NodeTransport } from "effect-entra/node"
import { HttpClient, HttpClientRequest } from "effect/http"

export const Entra = Layer.unwrap(Effect.gen(function*() {
  const key = yield* Config.Redacted("GATEWAY_KEY")
  const transformClient = HttpClient.mapRequest(HttpClientRequest.setHeader("x-gateway-key", Redacted.value(key)))
  return ConfidentialClient.layer({
    clientId: yield* Config.String("AZURE_CLIENT_ID"),
    tenantId: yield* Config.String("AZURE_TENANT_ID")
  }).pipe(
    Layer.provide([
      ClientCredential.layerFromEnv,
      AuthorityResolver.layerWith({ transformClient }),
      TokenEndpoint.layerWith({ transformClient }),
      TokenCache.layerMemory()
    ]),
    Layer.provideMerge(NodeTransport.layer)
  )
}))
