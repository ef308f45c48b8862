/** Two copies of the package, as a bundler takes it and as Node does, whose services serve each other. */
import { Effect, Layer } from "effect"

const load = async (folder) => ({
  ...await import(new URL(`node_modules/effect-entra/dist/${folder}index.js`, import.meta.url)),
  ...await import(new URL(`node_modules/effect-entra/dist/${folder}testing/index.js`, import.meta.url))
})
const copies = [await load(""), await load("merged/")]
const scopes = "api://orders/.default"

const results = []
for (const [client, services] of [[0, 1], [1, 0]]) {
  for (const cache of [0, 1]) {
    const { ConfidentialClient, EntraError } = copies[client]
    const { AuthorityResolver, ClientCredential, EntraSimulator, TokenEndpoint } = copies[services]
    const { ConfidentialClient: Other, EntraError: OtherError } = copies[services]
    const Client = ConfidentialClient.layer({
      clientId: EntraSimulator.daemonClientId,
      tenantId: EntraSimulator.contosoTenantId
    }).pipe(
      Layer.provide([
        ClientCredential.layerSecret(EntraSimulator.daemonSecret),
        AuthorityResolver.layer,
        TokenEndpoint.layer,
        copies[cache].TokenCache.layerMemory()
      ]),
      Layer.provideMerge(EntraSimulator.layerMemory())
    )
    const program = Effect.gen(function*() {
      const levels = []
      for (const acquire of [ConfidentialClient, Other, ConfidentialClient, Other]) {
        levels.push((yield* acquire.acquireToken({ scopes })).metadata.cacheLevel)
      }
      const error = yield* Effect.flip(Other.acquireToken({ scopes: "two resources/.default" }))
      return { levels, isErrorKnown: EntraError.isEntraError(error) && OtherError.isEntraError(error) }
    })
    results.push(await Effect.runPromise(Effect.provide(program, Client)))
  }
}
console.log(JSON.stringify({
  areTwo: copies[0].TokenCache.TokenCache !== copies[1].TokenCache.TokenCache,
  levels: results.map(({ levels }) => levels),
  areErrorsKnown: results.every(({ isErrorKnown }) => isErrorKnown)
}))
