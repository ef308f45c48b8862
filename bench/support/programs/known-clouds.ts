/** One token with a secret: effect-entra without discovery. */
import { Effect, Layer, Redacted } from "effect"
import { AuthorityResolver, ClientCredential, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
import { FetchHttpClient } from "effect/http"
import { answer, check, clientId, scope, tenantId } from "./answer.ts"

globalThis.fetch = answer

const EntraLive = ConfidentialClient.layer({ clientId, tenantId }).pipe(
  Layer.provide([
    ClientCredential.layerSecret(Redacted.make("a-secret")),
    AuthorityResolver.layerKnownClouds,
    TokenEndpoint.layer,
    TokenCache.layerMemory()
  ]),
  Layer.provide(FetchHttpClient.layer)
)

const { accessToken } = await Effect.runPromise(
  Effect.provide(ConfidentialClient.acquireToken({ scopes: scope }), EntraLive)
)
check(Redacted.value(accessToken))
