import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, ManagedRuntime } from "effect"
import { AuthorityResolver, ClientCredential, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
import { EntraSimulator } from "effect-entra/testing"
import type { HttpClient } from "effect/http"
import { record, warnings } from "./support/log.ts"
import { assertShown } from "./support/shown.ts"
import { contoso, graph } from "./support/world.ts"

/** As a program would write it: the live layer over whatever `HttpClient` there is. */
const live = (clientId: string) =>
  ConfidentialClient.layer({ clientId, tenantId: contoso }).pipe(
    Layer.provide([
      ClientCredential.layerSecret(EntraSimulator.daemonSecret),
      AuthorityResolver.layer,
      TokenEndpoint.layer,
      TokenCache.layerMemory()
    ])
  )

/** Each test has a client id of its own, because the count of builds is the process's. */
const worldOf = (clientId: string) =>
  Effect.gen(function*() {
    const context = yield* Layer.build(EntraSimulator.layerMemory({
      signer: EntraSimulator.signerFake,
      apps: [{ clientId, secrets: [EntraSimulator.daemonSecret], roles: {} }]
    }))
    const EntraLive: Layer.Layer<ConfidentialClient.ConfidentialClient, never, HttpClient.HttpClient> = Layer.orDie(
      live(clientId)
    )
    return { context, EntraLive: EntraLive.pipe(Layer.provide(Layer.succeedContext(context))) }
  })

const handler = ConfidentialClient.acquireToken({ scopes: graph })
const sent = EntraSimulator.EntraSimulator.use(({ counters }) => counters)

describe("build once", () => {
  it.effect("a hundred Effect.provide make a hundred requests and exactly one warning", () =>
    Effect.gen(function*() {
      const { context, EntraLive } = yield* worldOf("10000000-0000-0000-0000-000000000001")
      const log = record()
      yield* Effect.repeat(Effect.provide(handler, EntraLive), { times: 99 }).pipe(Effect.provide(log.layer))
      assert.strictEqual((yield* Effect.provideContext(sent, context)).tokenRequests, 100)
      const warned = warnings(log)
      assert.strictEqual(warned.length, 1)
      const warning = log.entries.find(({ level }) => level === "Warn")
      assertShown(warning?.text ?? "")
      assert.strictEqual(warning?.annotations["clientId"], "10000000-0000-0000-0000-000000000001")
    }))

  it.effect("the same hundred through one ManagedRuntime make one request and no warning", () =>
    Effect.gen(function*() {
      const { context, EntraLive } = yield* worldOf("10000000-0000-0000-0000-000000000002")
      const log = record()
      const runtime = ManagedRuntime.make(EntraLive.pipe(Layer.provideMerge(log.layer)))
      yield* Effect.promise(async () => {
        for (let call = 0; call < 100; call++) await runtime.runPromise(handler)
        await runtime.dispose()
      })
      assert.strictEqual((yield* Effect.provideContext(sent, context)).tokenRequests, 1)
      assert.deepStrictEqual(warnings(log), [])
    }))
})
