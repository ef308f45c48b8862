import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Layer, Redacted, References } from "effect"
import { AuthorityResolver, ClientCredential, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
import { EntraSimulator } from "effect-entra/testing"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { contoso, fabrikam, graph, orders, Simulator } from "./support/world.ts"

/**
 * Two apps over one cache, tenants, scopes, claims: what the service recorded for the request that made a token must be
 * what the caller asked for, whoever else asked at the same time.
 */
const apps = ["20000000-0000-0000-0000-00000000000a", "20000000-0000-0000-0000-00000000000b"] as const

const call = fc.record({
  app: fc.constantFrom(...apps),
  tenantId: fc.constantFrom(contoso, fabrikam, fabrikam.toUpperCase()),
  scopes: fc.constantFrom<string | ReadonlyArray<string>>(graph, orders, [graph], [
    orders.replace("orders", "Orders"),
    orders
  ]),
  claims: fc.constantFrom(undefined, undefined, `{"a":1}`, `{"a":2}`),
  forceRefresh: fc.constantFrom(undefined, undefined, true),
  pause: fc.constantFrom(0, 0, 0, 1, 1_800_000, 3_400_000, 3_599_000)
})

const Shared = Layer.mergeAll(AuthorityResolver.layer, TokenEndpoint.layer, TokenCache.layerMemory()).pipe(
  Layer.provideMerge(Simulator({
    apps: apps.map((clientId) => ({ clientId, secrets: [EntraSimulator.daemonSecret], roles: {} }))
  }))
)

const canonical = (scopes: string | ReadonlyArray<string>) =>
  (typeof scopes === "string" ? scopes : scopes[0] ?? "").toLowerCase()

const check = (calls: ReadonlyArray<typeof call extends fc.Arbitrary<infer A> ? A : never>) =>
  Effect.gen(function*() {
    const credential = yield* ClientCredential.secret(EntraSimulator.daemonSecret)
    const clients = new Map<string, ConfidentialClient.ConfidentialClient["Service"]>()
    for (const clientId of apps) clients.set(clientId, yield* ConfidentialClient.make({ clientId, credential }))
    const simulator = yield* EntraSimulator.EntraSimulator
    const answers: Array<
      { readonly asked: (typeof calls)[number]; readonly token: string; readonly correlationId: string }
    > = []
    const acquire = (asked: (typeof calls)[number]) =>
      Effect.gen(function*() {
        const { app, pause: _, ...request } = asked
        const client = clients.get(app)
        if (client === undefined) return yield* Effect.die("no such client")
        const result = yield* client.acquireToken(request)
        assert.isAbove(result.expiresOn.epochMilliseconds, yield* Clock.currentTimeMillis)
        answers.push({ asked, token: Redacted.value(result.accessToken), correlationId: result.correlationId })
      })
    // Each answer takes a while, so that those between two pauses are under way together.
    yield* simulator.fail(EntraSimulator.Fault.delay("1 second"), { times: Infinity })
    const acquireAll = (group: typeof calls) =>
      Effect.gen(function*() {
        const fibers = yield* Effect.forEach(group, (asked) =>
          Effect.forkChild(acquire(asked), { startImmediately: true }))
        yield* TestClock.adjust("5 seconds")
        yield* Effect.forEach(fibers, Fiber.join)
      })
    let together: Array<(typeof calls)[number]> = []
    for (const asked of calls) {
      together.push(asked)
      if (asked.pause === 0) {
        continue
      }
      yield* acquireAll(together)
      together = []
      yield* TestClock.adjust(asked.pause)
    }
    yield* acquireAll(together)

    const recorded = new Map((yield* simulator.requests).map((sent) => [sent.headers["client-request-id"], sent]))
    const owners = new Map<string, string>()
    for (const { asked, correlationId, token } of answers) {
      const sent = recorded.get(correlationId)
      const wanted = [asked.app, asked.tenantId.toLowerCase(), canonical(asked.scopes), asked.claims ?? ""].join("|")
      assert.deepStrictEqual(
        [sent?.form["client_id"], sent?.tenant, sent?.form["scope"]?.toLowerCase(), sent?.form["claims"] ?? ""].join(
          "|"
        ),
        wanted
      )
      assert.strictEqual(owners.get(token) ?? wanted, wanted)
      owners.set(token, wanted)
    }
  })

describe("never another's token", () => {
  it.effect("two clients over one cache, tenants, scopes, claims, in any order and at once", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(fc.array(call, { minLength: 1, maxLength: 25 }), (calls) =>
          Effect.runPromise(
            Effect.scoped(check(calls)).pipe(
              Effect.provide(Shared),
              Effect.provide(TestClock.layer()),
              Effect.provideService(References.MinimumLogLevel, "None")
            )
          )),
        { numRuns: 150 }
      )
    ))
})
