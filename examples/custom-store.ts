/** A store of your own behind the token cache. The second client gets the token of the first one from the store. */
import { Console, Duration, Effect, Layer, Redacted } from "effect"
import {
  AuthorityResolver,
  ClientCredential,
  ConfidentialClient,
  TokenCache,
  TokenEndpoint,
  type TokenStore
} from "effect-entra"
import { EntraSimulator } from "effect-entra/testing"
import { randomBytes } from "node:crypto"

// #region store
const values = new Map<string, { readonly bytes: Uint8Array; readonly until: number }>()

const store: TokenStore.TokenStore["Service"] = {
  get: (name) =>
    Effect.sync(() => {
      const value = values.get(name)
      const left = value === undefined ? 0 : value.until - Date.now()
      return value === undefined || left <= 0 ? undefined : { bytes: value.bytes, ttl: Duration.millis(left) }
    }),
  set: (name, bytes, ttl) =>
    Effect.sync(() => void values.set(name, { bytes, until: Date.now() + Duration.toMillis(ttl) })),
  remove: (name) => Effect.sync(() => void values.delete(name))
}
// #endregion

// All processes have the same key. A program reads it with Config.Redacted; this example creates one at each start.
const keys = [Redacted.make(randomBytes(32).toString("base64"))]

/** Acquires a token with a client that has just started: its memory is empty. */
const aClient = (name: string) =>
  ConfidentialClient.acquireToken({ scopes: EntraSimulator.ordersResource + "/.default" }).pipe(
    Effect.flatMap(({ metadata }) =>
      Console.log(`${name}: ${metadata.tokenSource}, cacheLevel ${metadata.cacheLevel}`)
    ),
    Effect.provide(
      ConfidentialClient.layer({
        clientId: EntraSimulator.daemonClientId,
        tenantId: EntraSimulator.contosoTenantId
      }).pipe(
        Layer.provide([
          ClientCredential.layerSecret(EntraSimulator.daemonSecret),
          AuthorityResolver.layer,
          TokenEndpoint.layer,
          TokenCache.layerTiered({ store, keys })
        ])
      )
    )
  )

const program = Effect.gen(function*() {
  yield* aClient("the first client")
  yield* aClient("the second client")
  const { tokenRequests } = yield* (yield* EntraSimulator.EntraSimulator).counters
  yield* Console.log(`${tokenRequests} token request, ${values.size} values in the store`)
})

await Effect.runPromise(Effect.provide(program, EntraSimulator.layerMemory()))
