/** Testing code that needs tokens: all faked, or all real but for the service. */
import { Console, Effect, Layer, Redacted } from "effect"
import { AuthorityResolver, ClientCredential, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
import { EntraSimulator } from "effect-entra/testing"
import assert from "node:assert"

const codeUnderTest = Effect.map(
  ConfidentialClient.acquireToken({ scopes: "api://orders/.default", tenantId: EntraSimulator.contosoTenantId }),
  ({ accessToken }) => `authorization: Bearer ${Redacted.value(accessToken)}`
)

// #region fake
const faked = Effect.gen(function*() {
  assert.strictEqual(yield* codeUnderTest, "authorization: Bearer a-token")
  assert.strictEqual((yield* ConfidentialClient.TestCalls)[0]?.scopes, "api://orders/.default")
}).pipe(Effect.provide(ConfidentialClient.layerTest("a-token")))
// #endregion

// #region simulated
const Simulated = ConfidentialClient.layer({ clientId: EntraSimulator.daemonClientId }).pipe(
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
// #endregion

await Effect.runPromise(Effect.andThen(faked, throttled))
await Effect.runPromise(Console.log("both tests passed"))
