/** Processes of a fleet in one process: clients with memories of their own, over one store and one simulator. */
import { Effect, Exit, Layer, Redacted, Scope } from "effect"
import {
  AuthorityResolver,
  ClientCredential,
  ConfidentialClient,
  type EntraError,
  TokenCache,
  TokenEndpoint,
  type TokenStore
} from "effect-entra"
import { EntraSimulator } from "effect-entra/testing"
import { contoso } from "./world.ts"

/** Root keys for tests. */
export const rootKey = (text: string) =>
  Redacted.make(Buffer.from(text.padEnd(40, "0123456789abcdefghij")).toString("base64"))

export interface ProcessOptions {
  readonly store: TokenStore.TokenStore["Service"]
  readonly keys?: TokenCache.TieredOptions["keys"]
  readonly client?: Partial<ConfidentialClient.Options>
  readonly cache?: Partial<TokenCache.TieredOptions>
  readonly endpoint?: TokenEndpoint.Options
  readonly credential?: Layer.Layer<ClientCredential.ClientCredential, EntraError.CredentialError>
}

/** Starts a process: its client, and its cache. It ends with the scope. */
export const startProcess = (
  { cache, client, credential, endpoint, keys = [rootKey("root")], store }: ProcessOptions
) =>
  Effect.gen(function*() {
    const Cache = TokenCache.layerTiered({ store, keys, ...cache })
    const context = yield* Layer.build(
      ConfidentialClient.layer({ clientId: EntraSimulator.daemonClientId, tenantId: contoso, ...client }).pipe(
        Layer.provide([
          credential ?? ClientCredential.layerSecret(EntraSimulator.daemonSecret),
          AuthorityResolver.layer,
          TokenEndpoint.layerWith(endpoint ?? {})
        ]),
        Layer.provideMerge(Cache),
        Layer.fresh
      )
    )
    return yield* Effect.provide(
      Effect.gen(function*() {
        return {
          client: yield* ConfidentialClient.ConfidentialClient,
          cache: yield* TokenCache.TokenCache
        }
      }),
      context
    )
  })

/** Starts a process that `close` ends before the scope does. */
export const startClosable = (options: ProcessOptions) =>
  Effect.gen(function*() {
    const scope = yield* Scope.fork(yield* Effect.scope)
    const process = yield* Effect.provideService(startProcess(options), Scope.Scope, scope)
    return { ...process, close: Scope.close(scope, Exit.void) }
  })
