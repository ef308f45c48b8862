import { assert, describe, it } from "@effect/vitest"
import { type Duration, Effect, Layer } from "effect"
import { TokenEndpoint } from "effect-entra"
import { FetchHttpClient } from "effect/http"
import { limitOf } from "../../../src/internal/endpoint/acquisitionLimit.ts"

describe("limitOf", () => {
  it.effect.each<{ readonly budget: Duration.Input; readonly limit: number }>([
    { budget: "2 seconds", limit: 4000 },
    { budget: "30 seconds", limit: 40_000 },
    { budget: "5 minutes", limit: 310_000 },
    { budget: "Infinity", limit: Infinity }
  ])("a budget of $budget, also of an endpoint that is wrapped", ({ budget, limit }) =>
    Effect.gen(function*() {
      const endpoint = yield* TokenEndpoint.TokenEndpoint
      assert.strictEqual(limitOf(endpoint), limit)
      const wrapped = TokenEndpoint.TokenEndpoint.of({ ...endpoint, request: (request) => endpoint.request(request) })
      assert.strictEqual(limitOf(wrapped), limit)
    }).pipe(
      Effect.provide(Layer.provide(TokenEndpoint.layerWith({ budget }), FetchHttpClient.layer))
    ))

  it("an endpoint of the user's own", () => {
    assert.strictEqual(limitOf({}), 40_000)
  })
})
