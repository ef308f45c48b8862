/** Testing code that needs tokens: all faked, or all real but for the service. */
import { Console, Effect, Layer } from "effect"
import { AuthorityResolver, ClientCredential, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
import { EntraSimulator } from "effect-entra/testing"
import { HttpClientRequest } from "effect/http"
import assert from "node:assert"

const codeUnderTest = Effect.map(
  ConfidentialClient.acquireToken({ scopes: "api://orders/.default" }),
  ({ accessToken }) =>
    HttpClientRequest.get("https://orders.contoso.com").pipe(HttpClientRequest.bearerToken(accessToken))
)

const faked = Effect.gen(function*() {
  const { headers } = yield* codeUnderTest
  assert.strictEqual(headers["authorization"], "Bearer a-token")
  assert.deepStrictEqual(yield* ConfidentialClient.TestCalls, [{ scopes: "api://orders/.default" }])
}).pipe(Effect.provide(ConfidentialClient.layerTest("a-token")))

// The default world of the simulator: two tenants, one app with a secret, Graph, and an API called api://orders.
const Simulated = ConfidentialClient.layer({
  clientId: EntraSimulator.daemonClientId,
  tenantId: EntraSimulator.contosoTenantId
}).pipe(
  Layer.provide([
    ClientCredential.layerSecret(EntraSimulator.daemonSecret),
    AuthorityResolver.layer,
    TokenEndpoint.layer,
    TokenCache.layerMemory()
  ]),
  Layer.provideMerge(EntraSimulator.layerMemory())
)

const throttled = Effect.gen(function*() {
  const simulator = yield* EntraSimulator.EntraSimulator
  yield* simulator.fail(EntraSimulator.Fault.throttled({ retryAfter: "30 seconds" }))
  const error = yield* Effect.flip(codeUnderTest)
  assert.strictEqual(error._tag, "EntraThrottledError")
}).pipe(Effect.provide(Simulated))

await Effect.runPromise(Effect.andThen(faked, throttled))
await Effect.runPromise(Console.log("both tests passed"))
