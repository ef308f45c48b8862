/** A program may load two copies of the package, such as one per dependency. Their errors are each other's. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import {
  AuthorityResolver,
  BearerHttpClient,
  ClientCredential,
  ConfidentialClient,
  EntraError,
  RetryPolicy,
  TokenCache,
  TokenEndpoint,
  TokenStore
} from "effect-entra"
import { SimulatorServer } from "effect-entra/node"
import { EntraSimulator, MetadataService } from "effect-entra/testing"

const copyOf = async (): Promise<typeof EntraError> => import(`../src/EntraError.ts${"?copy"}`)

const problem = { code: "scope_missing", field: "scopes", message: "m.", remedy: "r.", origin: "local" } as const

describe("two copies", () => {
  it("are two", async () => {
    const copy = await copyOf()
    assert.notStrictEqual(copy.InvalidScopeError, EntraError.InvalidScopeError)
  })

  it("recognize the errors of each other, and nothing that only looks like one", async () => {
    const copy = await copyOf()
    const theirs = new copy.InvalidScopeError(problem)
    const ours = new EntraError.InvalidScopeError(problem)
    assert.isFalse(theirs instanceof EntraError.InvalidScopeError)
    assert.isTrue(EntraError.isEntraError(theirs))
    assert.isTrue(copy.isEntraError(ours))
    const unavailable = { ...problem, code: "timeout", origin: "service" } as const
    assert.isTrue(EntraError.isRetryable(new copy.ServiceUnavailableError(unavailable)))
    assert.isFalse(EntraError.isEntraError({ ...theirs, _tag: theirs._tag }))
  })

  it.effect("a credential's own error of the other copy stays as it is", () =>
    Effect.gen(function*() {
      const copy = yield* Effect.promise(copyOf)
      const theirs = new copy.CredentialError({ ...problem, code: "file_missing", field: "path" })
      const client = yield* ConfidentialClient.make({
        clientId: EntraSimulator.daemonClientId,
        tenantId: EntraSimulator.contosoTenantId,
        credential: yield* ClientCredential.assertion(() => Effect.fail(theirs))
      })
      const error = yield* Effect.flip(client.acquireToken({ scopes: "api://orders/.default" }))
      assert.strictEqual(error.code, "file_missing")
    }).pipe(
      Effect.provide([AuthorityResolver.layer, TokenEndpoint.layer, TokenCache.layerMemory()]),
      Effect.provide(EntraSimulator.layerMemory())
    ))
})

describe("the services", () => {
  // A service that one copy provides is found by the other, because both know it by this key.
  it.each([
    ["effect-entra/AuthorityResolver", AuthorityResolver.AuthorityResolver],
    ["effect-entra/BearerHttpClient/CurrentTenantId", BearerHttpClient.CurrentTenantId],
    ["effect-entra/ClientCredential", ClientCredential.ClientCredential],
    ["effect-entra/ConfidentialClient", ConfidentialClient.ConfidentialClient],
    ["effect-entra/ConfidentialClient/TestCalls", ConfidentialClient.TestCalls],
    ["effect-entra/RetryPolicy", RetryPolicy.Current],
    ["effect-entra/TokenCache", TokenCache.TokenCache],
    ["effect-entra/TokenEndpoint", TokenEndpoint.TokenEndpoint],
    ["effect-entra/TokenStore", TokenStore.TokenStore],
    ["effect-entra/node/SimulatorServer", SimulatorServer.SimulatorServer],
    ["effect-entra/testing/EntraSimulator", EntraSimulator.EntraSimulator],
    ["effect-entra/testing/EntraSimulator/DropConnection", EntraSimulator.DropConnection],
    ["effect-entra/testing/MetadataService", MetadataService.MetadataService]
  ])("%s", (key, service) => assert.strictEqual(service.key, key))
})

describe("an error of a custom endpoint", () => {
  it.effect("is not changed: a frozen one that all callers share stays a typed failure", () => {
    const frozen = Object.freeze(
      new EntraError.ServiceUnavailableError({
        code: "service_unavailable",
        message: "The gateway is down.",
        remedy: "Wait.",
        origin: "service"
      })
    )
    const custom = Layer.succeed(TokenEndpoint.TokenEndpoint, {
      request: (request) =>
        Effect.suspend(() => {
          request.timing.attempts++
          return Effect.fail(frozen)
        }),
      forget: () => Effect.void,
      stats: Effect.succeed({ throttled: 0, refused: 0 })
    })
    return Effect.gen(function*() {
      for (const scopes of ["api://one/.default", "api://two/.default"]) {
        const error = yield* Effect.flip(ConfidentialClient.acquireToken({ scopes }))
        assert.strictEqual(error._tag, "EntraServiceUnavailableError")
        assert.strictEqual(error.message, "The gateway is down.")
        assert.propertyVal(error, "attempts", 1)
      }
      assert.notProperty(frozen, "attempts")
      assert.notProperty(frozen, "durations")
    }).pipe(
      Effect.provide(
        ConfidentialClient.layer({ clientId: "c", tenantId: "contoso.com" }).pipe(
          Layer.provide([
            ClientCredential.layerSecret(EntraSimulator.daemonSecret),
            AuthorityResolver.layerKnownClouds,
            custom,
            TokenCache.layerMemory()
          ])
        )
      )
    )
  })
})
