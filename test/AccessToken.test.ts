import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { AccessToken, ConfidentialClient } from "effect-entra"
import { printed } from "./internal/support.ts"

describe("authorizationHeader", () => {
  it.effect("is the type and the token, and shows only what it is when it is printed", () =>
    Effect.gen(function*() {
      const result = yield* ConfidentialClient.acquireToken({ scopes: "api://orders/.default" })
      const header = AccessToken.authorizationHeader(result, { method: "GET", url: "https://orders.contoso.com/" })
      assert.strictEqual(Redacted.value(header), "Bearer the-secret-token")
      assert.strictEqual(String(header), "<redacted:authorization>")
      assert.notInclude(printed(header), "the-secret-token")
    }).pipe(Effect.provide(ConfidentialClient.layerTest("the-secret-token"))))
})
