/** Tests of code that needs tokens: with a fake client, or with a real client and a simulated service. */
import { Console, Effect, Layer } from "effect"
import { BearerHttpClient, ClientCredential, ConfidentialClient } from "effect-entra"
import { EntraSimulator } from "effect-entra/testing"
import { HttpClient, HttpClientResponse } from "effect/http"
import assert from "node:assert"

const codeUnderTest = HttpClient.get("https://orders.contoso.com/open").pipe(
  Effect.flatMap((response) => response.json)
)
const Orders = BearerHttpClient.layer({ "https://orders.contoso.com": "api://orders/.default" })

// An API that answers with the header that it received.
const FakeApi = Layer.succeed(
  HttpClient.HttpClient,
  HttpClient.make((request) =>
    Effect.succeed(HttpClientResponse.fromWeb(request, Response.json(request.headers["authorization"])))
  )
)

const faked = Effect.gen(function*() {
  assert.strictEqual(yield* codeUnderTest, "Bearer a-token")
  assert.deepStrictEqual(yield* ConfidentialClient.TestCalls, [{ scopes: "api://orders/.default" }])
}).pipe(Effect.provide(Orders), Effect.provide([ConfidentialClient.layerTest("a-token"), FakeApi]))

// The simulator has two tenants, one app with a secret, Graph, and an API called api://orders.
const Simulated = ConfidentialClient.layerDefault({
  clientId: EntraSimulator.daemonClientId,
  tenantId: EntraSimulator.contosoTenantId
}).pipe(
  Layer.provide(ClientCredential.layerSecret(EntraSimulator.daemonSecret)),
  Layer.provideMerge(EntraSimulator.layerMemory())
)

const throttled = Effect.gen(function*() {
  const simulator = yield* EntraSimulator.EntraSimulator
  yield* simulator.fail(EntraSimulator.Fault.throttled({ retryAfter: "30 seconds" }))
  const error = yield* Effect.flip(codeUnderTest)
  assert.strictEqual(BearerHttpClient.tokenErrorOf(error)?._tag, "EntraThrottledError")
}).pipe(Effect.provide(Orders), Effect.provide(Simulated))

await Effect.runPromise(Effect.andThen(faked, throttled))
await Effect.runPromise(Console.log("both tests passed"))
