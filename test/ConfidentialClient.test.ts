import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Exit, Fiber, Layer, Redacted, Scope } from "effect"
import {
  ClientCredential,
  ConfidentialClient,
  type EntraError,
  RetryPolicy,
  TokenCache,
  TokenScope
} from "effect-entra"
import { EntraSimulator } from "effect-entra/testing"
import { HttpClient, HttpClientRequest } from "effect/http"
import { TestClock } from "effect/testing"
import { assertToldInFull } from "./support/shown.ts"
import { contoso, fabrikam, graph, orders, Simulator, tokenRequests, World } from "./support/world.ts"

const acquire = ConfidentialClient.acquireToken

describe("acquireToken", () => {
  it.effect("fetches once and then answers from the cache", () =>
    Effect.gen(function*() {
      const first = yield* acquire({ scopes: graph })
      const second = yield* acquire({ scopes: [graph] })
      assert.strictEqual(first.metadata.tokenSource, "IdentityProvider")
      assert.strictEqual(first.metadata.cacheRefreshReason, "NoCachedAccessToken")
      assert.strictEqual(first.metadata.cacheLevel, "None")
      assert.strictEqual(
        first.metadata.tokenEndpoint,
        `https://login.microsoftonline.com/${contoso}/oauth2/v2.0/token`
      )
      assert.isDefined(first.metadata.durations)
      assert.deepStrictEqual({ ...second.metadata }, {
        tokenSource: "Cache",
        cacheLevel: "L1",
        cacheRefreshReason: "NotApplicable",
        outage: false
      })
      assert.strictEqual(Redacted.value(second.accessToken), Redacted.value(first.accessToken))
      assert.strictEqual(second.tenantId, contoso)
      assert.strictEqual(second.tokenType, "Bearer")
      assert.deepStrictEqual(second.scopes, [graph])
      assert.strictEqual(second.correlationId, first.correlationId)
      assert.strictEqual(second.expiresOn.epochMilliseconds, 3_599_000)
      assert.strictEqual(yield* tokenRequests, 1)
    }).pipe(Effect.provide(World())))

  it.effect("the durations are those of the acquisition, at any time of day, of results and of errors", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* TestClock.setTime(Date.UTC(2026, 0, 1))
      const millis = ({ cache, credential, http, total }: EntraError.Durations) =>
        [total, cache, credential, http].map((duration) => Duration.toMillis(duration))
      yield* simulator.fail(EntraSimulator.Fault.delay("5 seconds"))
      const fetched = yield* Effect.forkChild(acquire({ scopes: graph }))
      yield* TestClock.adjust("5 seconds")
      const { durations } = (yield* Fiber.join(fetched)).metadata
      assert.deepStrictEqual(durations === undefined ? [] : millis(durations), [5000, 0, 0, 5000])
      yield* simulator.fail(EntraSimulator.Fault.delay("1 hour"), { times: Infinity })
      const failed = yield* Effect.forkChild(Effect.flip(acquire({ scopes: orders })))
      yield* TestClock.adjust("30 seconds")
      const error = yield* Fiber.join(failed)
      if (error._tag !== "EntraServiceUnavailableError" || error.durations === undefined) return assert.fail(error._tag)
      const [total, cache] = millis(error.durations)
      assert.deepStrictEqual([total, cache], [30_000, 0])
    }).pipe(Effect.provide(World())))

  it.effect("other spellings of the same request find the same entry", () =>
    Effect.gen(function*() {
      yield* acquire({ scopes: graph })
      for (
        const request of [
          { scopes: graph.toUpperCase().replace("/.DEFAULT", "/.default") },
          { scopes: [graph, graph] },
          { scopes: ` ${graph}  ` },
          { scopes: graph, tenantId: contoso.toUpperCase() },
          { scopes: graph, authority: `https://login.windows.net/${contoso}` },
          { scopes: TokenScope.fromResource("https://graph.microsoft.com") }
        ]
      ) {
        const { metadata } = yield* acquire(request)
        assert.strictEqual(metadata.tokenSource, "Cache", JSON.stringify(request))
      }
      assert.strictEqual(yield* tokenRequests, 1)
    }).pipe(Effect.provide(World())))

  it.effect("the tenant is given per request; each tenant and resource has its own token", () =>
    Effect.gen(function*() {
      const results = yield* Effect.forEach(
        [contoso, fabrikam],
        (tenantId) => Effect.forEach([graph, orders], (scopes) => acquire({ scopes, tenantId }))
      )
      assert.strictEqual(new Set(results.flat().map((result) => Redacted.value(result.accessToken))).size, 4)
      assert.strictEqual(yield* tokenRequests, 4)
      yield* Effect.forEach([contoso, fabrikam], (tenantId) => acquire({ scopes: orders, tenantId }))
      assert.strictEqual(yield* tokenRequests, 4)
    }).pipe(Effect.provide(World({ client: { tenantId: undefined } }))))

  it.effect("an application authority that ends in /common serves requests that name their tenant", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(acquire({ scopes: graph }))
      assert.strictEqual(error.code, "tenant_not_tenanted")
      assertToldInFull(error)
      assert.strictEqual((yield* acquire({ scopes: graph, tenantId: contoso })).tenantId, contoso)
      assert.strictEqual(yield* tokenRequests, 1)
    }).pipe(
      Effect.provide(
        World({ client: { tenantId: undefined, authority: "https://login.microsoftonline.com/common" } })
      )
    ))

  it.effect("forceRefresh goes to the service and stores what it gets", () =>
    Effect.gen(function*() {
      const first = yield* acquire({ scopes: graph })
      const forced = yield* acquire({ scopes: graph, forceRefresh: true })
      assert.strictEqual(forced.metadata.cacheRefreshReason, "ForceRefreshOrClaims")
      assert.notStrictEqual(Redacted.value(forced.accessToken), Redacted.value(first.accessToken))
      const next = yield* acquire({ scopes: graph })
      assert.strictEqual(Redacted.value(next.accessToken), Redacted.value(forced.accessToken))
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(Effect.provide(World())))

  it.effect("claims are sent, and their token is for that call alone", () =>
    Effect.gen(function*() {
      const plain = yield* acquire({ scopes: graph })
      const claims = `{"access_token":{"nbf":{"essential":true,"value":"1"}}}`
      const challenged = yield* acquire({ scopes: graph, claims })
      assert.strictEqual(challenged.metadata.cacheRefreshReason, "ForceRefreshOrClaims")
      const again = yield* acquire({ scopes: graph })
      assert.strictEqual(Redacted.value(again.accessToken), Redacted.value(plain.accessToken))
      const { requests } = yield* EntraSimulator.EntraSimulator
      const sent = (yield* requests).map(({ form }) => form["claims"])
      assert.deepStrictEqual(sent, [undefined, claims])
    }).pipe(Effect.provide(World())))

  it.effect("the correlation id is sent and comes back", () =>
    Effect.gen(function*() {
      const correlationId = "0f0f0f0f-1111-2222-3333-444444444444"
      const result = yield* acquire({ scopes: graph, correlationId })
      assert.strictEqual(result.correlationId, correlationId)
      const { requests } = yield* EntraSimulator.EntraSimulator
      assert.strictEqual((yield* requests)[0]?.headers["client-request-id"], correlationId)
    }).pipe(Effect.provide(World())))

  it.effect("allowedTenants guards hits and misses", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* acquire({ scopes: graph, tenantId: contoso })).tenantId, contoso)
      const error = yield* Effect.flip(acquire({ scopes: graph, tenantId: fabrikam }))
      assert.strictEqual(error.code, "tenant_not_allowed")
      assertToldInFull(error)
      assert.strictEqual(yield* tokenRequests, 1)
    }).pipe(Effect.provide(World({ client: { allowedTenants: [contoso.toUpperCase()] } }))))

  it.effect("without a cache every call is a request and says so", () =>
    Effect.gen(function*() {
      const { metadata } = yield* acquire({ scopes: graph })
      assert.strictEqual(metadata.cacheRefreshReason, "CacheDisabled")
      yield* acquire({ scopes: graph })
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(Effect.provide(World({ cache: TokenCache.layerNoop }))))
})

describe("peek, invalidate, stats", () => {
  it.effect("peek never starts a request", () =>
    Effect.gen(function*() {
      assert.isUndefined(yield* ConfidentialClient.peek({ scopes: graph }))
      const { accessToken } = yield* acquire({ scopes: graph })
      const client = yield* ConfidentialClient.ConfidentialClient
      assert.strictEqual(
        Redacted.value(client.peek({ scopes: graph })?.accessToken ?? Redacted.make("")),
        Redacted.value(accessToken)
      )
      assert.isUndefined(client.peek({ scopes: graph, forceRefresh: true }))
      assert.isUndefined(client.peek({ scopes: "not a scope" }))
      assert.strictEqual(yield* tokenRequests, 1)
    }).pipe(Effect.provide(World())))

  it.effect("invalidate by request, by tenant, and all", () =>
    Effect.gen(function*() {
      const fill = Effect.forEach([contoso, fabrikam], (tenantId) =>
        Effect.forEach([graph, orders], (scopes) => acquire({ scopes, tenantId })))
      const entries = Effect.map(ConfidentialClient.stats, (stats) =>
        stats.entries)
      yield* fill
      yield* ConfidentialClient.invalidate({ scopes: graph, tenantId: contoso })
      assert.strictEqual(yield* entries, 3)
      yield* ConfidentialClient.invalidate({ tenantId: fabrikam })
      assert.strictEqual(yield* entries, 1)
      yield* fill
      yield* ConfidentialClient.invalidate("all")
      assert.strictEqual(yield* entries, 0)
    }).pipe(Effect.provide(World())))

  it.effect("a flight that began before an invalidate does not store its token", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* simulator.fail(EntraSimulator.Fault.delay("1 second"))
      const fiber = yield* Effect.forkChild(acquire({ scopes: graph }), { startImmediately: true })
      yield* Effect.yieldNow
      yield* ConfidentialClient.invalidate("all")
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fiber)
      assert.strictEqual((yield* ConfidentialClient.stats).entries, 0)
    }).pipe(Effect.provide(World())))

  it.effect("stats count hits, misses and entries", () =>
    Effect.gen(function*() {
      yield* acquire({ scopes: graph })
      yield* Effect.repeat(acquire({ scopes: graph }), { times: 2 })
      const stats = yield* ConfidentialClient.stats
      assert.strictEqual(stats.hits, 3)
      assert.strictEqual(stats.misses, 1)
      assert.strictEqual(stats.hitRate, 0.75)
      assert.strictEqual(stats.entries, 1)
      assert.isAbove(stats.bytes, 350)
    }).pipe(Effect.provide(World())))
})

describe("flights", () => {
  it.effect("ten thousand fibers and one cold key: one request, whoever leaves", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* simulator.fail(EntraSimulator.Fault.delay("1 second"))
      const fibers = yield* Effect.forEach(
        Array.from({ length: 10_000 }),
        () => Effect.forkChild(acquire({ scopes: graph }), { startImmediately: true })
      )
      yield* Fiber.interruptAll(fibers.slice(0, 9000))
      yield* TestClock.adjust("1 second")
      const tokens = yield* Effect.forEach(fibers.slice(9000), Fiber.join)
      assert.strictEqual(new Set(tokens.map((result) => Redacted.value(result.accessToken))).size, 1)
      assert.strictEqual(yield* tokenRequests, 1)
    }).pipe(Effect.provide(World())))

  it.effect("closing the layer ends everyone who waits, with an error and not with an interrupt", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(World(), scope)
      const simulator = Context.get(context, EntraSimulator.EntraSimulator)
      yield* simulator.fail(EntraSimulator.Fault.delay("1 hour"))
      const client = Context.get(context, ConfidentialClient.ConfidentialClient)
      const fibers = yield* Effect.forEach(
        Array.from({ length: 100 }),
        () => Effect.forkChild(Effect.flip(client.acquireToken({ scopes: graph })), { startImmediately: true })
      )
      yield* Scope.close(scope, Exit.void)
      const errors = yield* Effect.forEach(fibers, Fiber.join)
      assert.deepStrictEqual([...new Set(errors.map((error) => error.code))], ["client_closed"])
      const later = yield* Effect.flip(client.acquireToken({ scopes: graph }))
      assert.strictEqual(later.code, "client_closed")
    }))

  it.effect("a forced caller does not join a flight that nobody forced, nor one with claims another's", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* simulator.fail(EntraSimulator.Fault.delay("1 second"), { times: Infinity })
      const requests = [
        { scopes: graph },
        { scopes: graph },
        { scopes: graph, forceRefresh: true },
        { scopes: graph, claims: `{"a":1}` },
        { scopes: graph, claims: `{"a":2}` }
      ]
      const fibers = yield* Effect.forEach(
        requests,
        (request) => Effect.forkChild(acquire(request), { startImmediately: true })
      )
      yield* TestClock.adjust("1 second")
      const results = yield* Effect.forEach(fibers, Fiber.join)
      assert.strictEqual(new Set(results.map((result) => Redacted.value(result.accessToken))).size, 4)
      assert.strictEqual(yield* tokenRequests, 4)
    }).pipe(Effect.provide(World())))

  it.effect.each([
    { name: "forced", more: { forceRefresh: true } },
    { name: "with the same claims", more: { claims: `{"a":1}` } },
    { name: "forced and with the same claims", more: { forceRefresh: true, claims: `{"a":1}` } }
  ])("a thousand callers at once, $name: one request and one token", ({ more }) =>
    Effect.gen(function*() {
      yield* acquire({ scopes: graph })
      const call = acquire({ scopes: graph, ...more })
      const results = yield* Effect.all(Array.from({ length: 1000 }, () => call), { concurrency: "unbounded" })
      assert.strictEqual(new Set(results.map((result) => Redacted.value(result.accessToken))).size, 1)
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(Effect.provide(World())))

  it.effect("an invalidation of another key leaves a flight its token", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* simulator.fail(EntraSimulator.Fault.delay("1 second"))
      const fiber = yield* Effect.forkChild(acquire({ scopes: graph }), { startImmediately: true })
      yield* ConfidentialClient.invalidate({ tenantId: fabrikam })
      yield* ConfidentialClient.invalidate({ scopes: orders })
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fiber)
      assert.strictEqual((yield* acquire({ scopes: graph })).metadata.tokenSource, "Cache")
      assert.strictEqual(yield* tokenRequests, 1)
    }).pipe(Effect.provide(World())))

  it.effect("stats count the flights that are under way", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      const under = Effect.map(ConfidentialClient.stats, ({ flights }) => flights)
      assert.strictEqual(yield* under, 0)
      yield* simulator.fail(EntraSimulator.Fault.delay("1 second"), { times: Infinity })
      for (const scopes of [graph, graph, orders]) {
        yield* Effect.forkChild(acquire({ scopes }), { startImmediately: true })
      }
      assert.strictEqual(yield* under, 2)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* under, 0)
    }).pipe(Effect.provide(World())))

  it.effect("two forced callers: the one who comes after the request was sent starts another", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* simulator.fail(EntraSimulator.Fault.delay("1 second"), { times: 2 })
      const forced = acquire({ scopes: graph, forceRefresh: true })
      const first = yield* Effect.forkChild(forced, { startImmediately: true })
      yield* Effect.yieldNow
      const second = yield* Effect.forkChild(forced, { startImmediately: true })
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(first)
      yield* Fiber.join(second)
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(Effect.provide(World())))
})

describe("layerTest", () => {
  it.effect("answers without network and records the calls", () =>
    Effect.gen(function*() {
      const result = yield* acquire({ scopes: graph, tenantId: "contoso" })
      assert.strictEqual(Redacted.value(result.accessToken), "fake for contoso")
      assert.deepInclude(result.metadata, { tokenSource: "IdentityProvider", cacheLevel: "None", outage: false })
      assert.deepStrictEqual(yield* ConfidentialClient.TestCalls, [{ scopes: graph, tenantId: "contoso" }])
    }).pipe(
      Effect.provide(ConfidentialClient.layerTest(({ tenantId }) => Effect.succeed(`fake for ${tenantId}`)))
    ))
})

describe("layerDefault", () => {
  it.effect("passes retry and transformClient to the token endpoint", () => {
    const paths: Array<string> = []
    const layer = ConfidentialClient.layerDefault({
      clientId: EntraSimulator.daemonClientId,
      tenantId: contoso,
      retry: RetryPolicy.none,
      transformClient: HttpClient.mapRequest((request) => {
        paths.push(new URL(request.url).pathname)
        return HttpClientRequest.setHeader(request, "x-gateway", "let me")
      })
    }).pipe(
      Layer.provide(ClientCredential.layerSecret(EntraSimulator.daemonSecret)),
      Layer.provideMerge(Simulator())
    )
    return Effect.gen(function*() {
      yield* (yield* EntraSimulator.EntraSimulator).fail(EntraSimulator.Fault.unavailable())
      assert.strictEqual((yield* Effect.flip(acquire({ scopes: graph })))._tag, "EntraServiceUnavailableError")
      assert.deepStrictEqual(paths, [`/${contoso}/oauth2/v2.0/token`])
    }).pipe(Effect.provide(layer))
  })
})
