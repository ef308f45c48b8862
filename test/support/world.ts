/** A client against the in-memory simulator: no sockets and no WebCrypto, so that `TestClock` drives everything. */
import { type Duration, Effect, Layer } from "effect"
import {
  AuthorityResolver,
  ClientCredential,
  ConfidentialClient,
  type EntraError,
  type RetryPolicy,
  TokenCache,
  TokenEndpoint
} from "effect-entra"
import { EntraSimulator } from "effect-entra/testing"

export const contoso = EntraSimulator.contosoTenantId
export const fabrikam = EntraSimulator.fabrikamTenantId
export const graph = "https://graph.microsoft.com/.default"
export const orders = "api://orders/.default"

export const Simulator = (options: Partial<Parameters<typeof EntraSimulator.layerMemory>[0]> = {}) =>
  EntraSimulator.layerMemory({ signer: EntraSimulator.signerFake, ...options })

/** The layer that most tests need: a client over a simulator, and the simulator itself. */
export const World = (options: {
  readonly client?: Partial<ConfidentialClient.Options> | undefined
  readonly endpoint?: TokenEndpoint.Options | undefined
  readonly retry?: RetryPolicy.RetryPolicy | undefined
  readonly credential?: Layer.Layer<ClientCredential.ClientCredential, EntraError.CredentialError> | undefined
  readonly cache?: Layer.Layer<TokenCache.TokenCache, EntraError.InvalidRequestError> | undefined
  readonly tokenLifetime?: Duration.Input | undefined
  readonly refreshIn?: Duration.Input | undefined
} = {}) =>
  ConfidentialClient.layer({ clientId: EntraSimulator.daemonClientId, tenantId: contoso, ...options.client }).pipe(
    Layer.provide([
      options.credential ?? ClientCredential.layerSecret(EntraSimulator.daemonSecret),
      AuthorityResolver.layer,
      TokenEndpoint.layerWith({ ...options.endpoint, retry: options.retry ?? options.endpoint?.retry }),
      options.cache ?? TokenCache.layerMemory()
    ]),
    Layer.provideMerge(
      Simulator({ tokenLifetime: options.tokenLifetime ?? "3599 seconds", refreshIn: options.refreshIn })
    )
  )

export const tokenRequests = EntraSimulator.EntraSimulator.use((simulator) =>
  Effect.map(simulator.counters, (counters) => counters.tokenRequests)
)
