/** One token with a secret: effect-entra by its modules, for a bundler that keeps all of a barrel. */
import * as AuthorityResolver from "effect-entra/AuthorityResolver"
import * as ClientCredential from "effect-entra/ClientCredential"
import * as ConfidentialClient from "effect-entra/ConfidentialClient"
import * as TokenCache from "effect-entra/TokenCache"
import * as TokenEndpoint from "effect-entra/TokenEndpoint"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { answer, check, clientId, scope, tenantId } from "./answer.ts"

globalThis.fetch = answer

const EntraLive = ConfidentialClient.layer({ clientId, tenantId }).pipe(
  Layer.provide([
    ClientCredential.layerSecret(Redacted.make("a-secret")),
    AuthorityResolver.layer,
    TokenEndpoint.layer,
    TokenCache.layerMemory()
  ]),
  Layer.provide(FetchHttpClient.layer)
)

const { accessToken } = await Effect.runPromise(
  Effect.provide(ConfidentialClient.acquireToken({ scopes: scope }), EntraLive)
)
check(Redacted.value(accessToken))
