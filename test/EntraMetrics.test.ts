/** The metrics as an exporter sees them: what they count, how they sum over clients, and that nothing leaks. */
import { assert, describe, it } from "@effect/vitest"
import { Context, DateTime, Effect, Exit, Fiber, Layer, Metric, Scope } from "effect"
import {
  AuthorityResolver,
  ClientCredential,
  ConfidentialClient,
  EntraMetrics,
  RetryPolicy,
  TokenCache,
  TokenEndpoint
} from "effect-entra"
import { EntraSimulator } from "effect-entra/testing"
import { TestClock } from "effect/testing"
import { collector } from "./support/garbage.ts"
import { assertShown } from "./support/shown.ts"
import { contoso, fabrikam, graph, orders, Simulator, World } from "./support/world.ts"

const { Fault } = EntraSimulator
const clientId = EntraSimulator.daemonClientId
const acquire = ConfidentialClient.acquireToken({ scopes: graph })

const name = (metric: { readonly id: string }, labels: Readonly<Record<string, string>> = {}) =>
  [metric.id, ...Object.entries(labels).map(([key, value]) => `${key}=${value}`).sort()].join(" ")

/** The series of a registry by name and attributes, units left out: counts, gauges, and counts of histograms. */
const exported = Effect.map(Metric.snapshot, (series) =>
  Object.fromEntries(
    series.map(({ attributes, id, ...metric }) => {
      const { unit: _unit, ...labels } = attributes ?? {}
      const value = metric.type === "Counter" || metric.type === "Histogram"
        ? Number(metric.state.count)
        : metric.type === "Gauge"
        ? Number(metric.state.value)
        : Number.NaN
      return [name({ id }, labels), value]
    })
  ))

const of = (
  series: Readonly<Record<string, number>>,
  metric: { readonly id: string },
  labels?: Record<string, string>
) => series[name(metric, labels)]

/** A registry of its own, for the test and for the layers that are built in it. */
const isolated = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => Effect.provideService(effect, Metric.MetricRegistry, new Map()))

const mine = { client_id: clientId }

describe("the catalogue", () => {
  it("has these names, descriptions, units and boundaries", () => {
    const metrics = Object.entries(EntraMetrics).sort(([a], [b]) => a < b ? -1 : 1).flatMap(([name, metric]) =>
      Metric.isMetric(metric)
        ? [
          [name, metric.type, metric.id, metric.description ?? "", JSON.stringify(metric.attributes ?? {})].join(" | ")
        ]
        : []
    )
    assertShown([...metrics, EntraMetrics.boundaries.join(" ")].join("\n"))
  })

  it.effect("a client begins with these series at 0", () =>
    isolated(
      Effect.gen(function*() {
        yield* Layer.build(World())
        assertShown(Object.entries(yield* exported).map(([series, value]) => `${series}: ${value}`).sort().join("\n"))
      }).pipe(Effect.scoped)
    ))

  it.effect("the numbers of a store exist only with a store, and count on over clients", () =>
    isolated(
      Effect.gen(function*() {
        const counts = {
          hits: 1,
          misses: 2,
          unreadable: 3,
          refusals: 8,
          invalidations: 4,
          outages: 5,
          waits: 6,
          followed: 7
        }
        const cache = TokenCache.TokenCache.of({
          ...(yield* TokenCache.TokenCache),
          stats: Effect.sync(() => ({ entries: 0, bytes: 0, evictions: 0, store: { ...counts, isDown: true } }))
        })
        const Cache = Layer.succeed(TokenCache.TokenCache, cache)
        yield* Effect.scoped(Layer.build(Layer.fresh(World({ cache: Cache }))))
        counts.hits = 11
        yield* Layer.build(Layer.fresh(World({ cache: Cache })))
        counts.hits = 12
        assert.deepInclude(yield* exported, {
          entra_store_hits_total: 12,
          entra_store_misses_total: 2,
          entra_store_unreadable_total: 3,
          entra_store_refusals_total: 8,
          entra_store_invalidations_total: 4,
          entra_store_outages_total: 5,
          entra_lease_waits_total: 6,
          entra_lease_followed_total: 7,
          entra_store_down: 1
        })
      }).pipe(Effect.scoped, Effect.provide(TokenCache.layerMemory()))
    ))

  it.effect("counters only grow", () =>
    isolated(
      Effect.gen(function*() {
        yield* acquire
        for (const series of yield* Metric.snapshot) {
          if (series.type === "Counter") assert.isTrue(series.state.incremental, series.id)
        }
      }).pipe(Effect.provide(World()))
    ))
})

describe("what is counted", () => {
  it.effect("hits and flights by source and reason, waits by caller, attempts, durations", () =>
    isolated(
      Effect.gen(function*() {
        const simulator = yield* EntraSimulator.EntraSimulator
        yield* simulator.fail(Fault.unavailable())
        yield* simulator.fail(Fault.delay("2 seconds"))
        const callers = yield* Effect.forkChild(
          Effect.all(Array.from({ length: 10 }, () => acquire), { concurrency: "unbounded" }),
          { startImmediately: true }
        )
        yield* TestClock.adjust("10 seconds")
        yield* Fiber.join(callers)
        for (let hit = 0; hit < 100; hit++) yield* acquire
        yield* TestClock.adjust("1800 seconds")
        yield* acquire
        yield* TestClock.adjust(0)
        const series = yield* exported
        assert.deepInclude(series, {
          [name(EntraMetrics.acquisitions, { client_id: clientId, source: "Cache", reason: "NotApplicable" })]: 101,
          [
            name(EntraMetrics.acquisitions, {
              client_id: clientId,
              source: "IdentityProvider",
              reason: "NoCachedAccessToken"
            })
          ]: 1,
          [
            name(EntraMetrics.acquisitions, {
              client_id: clientId,
              source: "IdentityProvider",
              reason: "ProactivelyRefreshed"
            })
          ]: 1,
          [name(EntraMetrics.waits, mine)]: 10,
          [name(EntraMetrics.httpAttempts, mine)]: 3,
          [name(EntraMetrics.duration, mine)]: 2,
          [name(EntraMetrics.httpDuration, mine)]: 2,
          [name(EntraMetrics.credentialDuration, mine)]: 2,
          [EntraMetrics.cacheEntries.id]: 1,
          [EntraMetrics.evictions.id]: 0,
          [EntraMetrics.throttledKeys.id]: 0
        })
        assert.isAbove(of(series, EntraMetrics.cacheBytes) ?? 0, 100)
        const { max, sum } = yield* Metric.value(Metric.withAttributes(EntraMetrics.duration, mine))
        assert.isAtLeast(max, 2)
        assert.isAtMost(sum, 10)
      }).pipe(Effect.provide(World()))
    ))

  it.effect("failures by the error's tag; closed gates and refusals as gauges", () =>
    isolated(
      Effect.gen(function*() {
        const simulator = yield* EntraSimulator.EntraSimulator
        yield* simulator.fail(Fault.throttled({ retryAfter: "30 seconds" }), { tenant: contoso })
        yield* Effect.flip(acquire)
        yield* Effect.flip(acquire)
        yield* Effect.flip(ConfidentialClient.acquireToken({ scopes: "api://nobody/.default", tenantId: fabrikam }))
        // Wrong by itself: no flight.
        yield* Effect.flip(ConfidentialClient.acquireToken({ scopes: "User.Read" }))
        const series = yield* exported
        const failures = Object.entries(series).filter(([key, count]) =>
          key.startsWith(EntraMetrics.failures.id) && count > 0
        )
        assert.deepStrictEqual(Object.fromEntries(failures), {
          [
            name(EntraMetrics.failures, {
              client_id: clientId,
              error: "EntraThrottledError",
              reason: "NoCachedAccessToken"
            })
          ]: 2,
          [
            name(EntraMetrics.failures, {
              client_id: clientId,
              error: "EntraTokenRequestError",
              reason: "NoCachedAccessToken"
            })
          ]: 1
        })
        assert.strictEqual(of(series, EntraMetrics.httpAttempts, mine), 2)
        assert.strictEqual(of(series, EntraMetrics.throttledKeys), 1)
        assert.strictEqual(of(series, EntraMetrics.refusedKeys), 1)
        // Local refusals have no duration worth recording.
        assert.strictEqual(of(series, EntraMetrics.duration, mine), 2)
        yield* TestClock.adjust("2 minutes")
        const later = yield* exported
        assert.strictEqual(of(later, EntraMetrics.throttledKeys), 0)
        assert.strictEqual(of(later, EntraMetrics.refusedKeys), 0)
      }).pipe(Effect.provide(World({ retry: RetryPolicy.none })))
    ))

  it.effect("each caller who waits once, however often the service has it wait, and whoever gives up too", () =>
    isolated(
      Effect.gen(function*() {
        yield* EntraSimulator.EntraSimulator.use((simulator) =>
          simulator.fail(Fault.throttled({ retryAfter: "30 seconds" }), { times: 2 })
        )
        const waits = Effect.map(exported, (series) => of(series, EntraMetrics.waits, mine) ?? 0)
        const patient = ConfidentialClient.acquireToken({ scopes: graph, onThrottled: "wait" })
        const leaver = yield* Effect.forkChild(Effect.timeoutOption(patient, "10 seconds"), { startImmediately: true })
        const callers = yield* Effect.forkChild(
          Effect.all(Array.from({ length: 50 }, () => patient), { concurrency: "unbounded" }),
          { startImmediately: true }
        )
        const seen = [yield* waits]
        for (let second = 0; second < 62; second++) {
          yield* TestClock.adjust("1 second")
          seen.push(yield* waits)
        }
        yield* Fiber.join(callers)
        yield* Fiber.join(leaver)
        assert.deepStrictEqual(seen, seen.toSorted((one, other) => one - other))
        assert.strictEqual(seen.at(-1), 51)
        const { hits, misses } = yield* ConfidentialClient.stats
        assert.deepStrictEqual({ hits, misses }, { hits: 0, misses: 51 })
      }).pipe(Effect.provide(World({ retry: RetryPolicy.none })))
    ))

  it.effect("the usual series are there from the start, so that a first failure is an increase", () =>
    isolated(
      Effect.gen(function*() {
        const series = yield* exported
        assert.strictEqual(of(series, EntraMetrics.httpAttempts, mine), 0)
        for (const reason of ["NoCachedAccessToken", "Expired", "ProactivelyRefreshed"]) {
          const source = "IdentityProvider"
          assert.strictEqual(of(series, EntraMetrics.acquisitions, { client_id: clientId, source, reason }), 0)
          for (const error of ["EntraInvalidClientError", "EntraServiceUnavailableError", "EntraNetworkError"]) {
            assert.strictEqual(of(series, EntraMetrics.failures, { client_id: clientId, error, reason }), 0)
          }
        }
        yield* EntraSimulator.EntraSimulator.use((simulator) => simulator.fail(Fault.unavailable()))
        yield* Effect.flip(acquire)
        yield* acquire
        const failed = { client_id: clientId, error: "EntraServiceUnavailableError", reason: "NoCachedAccessToken" }
        const acquired = { client_id: clientId, source: "IdentityProvider", reason: "NoCachedAccessToken" }
        const later = yield* exported
        assert.strictEqual(of(later, EntraMetrics.failures, failed), 1)
        assert.strictEqual(of(later, EntraMetrics.acquisitions, acquired), 1)
        assert.strictEqual((yield* Metric.snapshot).length, Object.keys(later).length, "no series twice")
      }).pipe(Effect.provide(World({ retry: RetryPolicy.none })))
    ))

  it.effect.each([
    { name: "an outage leaves the token in use", fault: Fault.unavailable(), reason: "ProactivelyRefreshed" },
    {
      name: "so does a refusal",
      fault: Fault.refused({ code: 65001, error: "invalid_grant" }),
      reason: "ProactivelyRefreshed"
    },
    {
      name: "without serveStaleOnRefusal a refusal is the caller's",
      fault: Fault.refused({ code: 65001, error: "invalid_grant" }),
      reason: "Expired",
      renewal: { serveStaleOnRefusal: false }
    },
    {
      name: "without serveStaleOnOutage so is an outage",
      fault: Fault.unavailable(),
      reason: "Expired",
      renewal: { serveStaleOnOutage: false }
    }
  ])("failures in a token's last minutes: $name", ({ fault, reason, renewal }) =>
    isolated(
      Effect.gen(function*() {
        yield* acquire
        yield* TestClock.adjust("3400 seconds")
        yield* EntraSimulator.EntraSimulator.use((simulator) => simulator.fail(fault))
        const exit = yield* Effect.exit(acquire)
        assert.strictEqual(Exit.isSuccess(exit), reason === "ProactivelyRefreshed")
        const series = yield* exported
        const failures = Object.entries(series).filter(([key, count]) =>
          key.startsWith(EntraMetrics.failures.id) && count > 0
        )
        assert.strictEqual(failures.length, 1)
        assert.include(failures[0]?.[0], `reason=${reason}`)
      }).pipe(
        Effect.provide(World({ retry: RetryPolicy.none, client: { renewal } }))
      )
    ))

  it.effect("what keepFresh asks for without a token in hand counts as a caller's, and its renewals as renewals", () =>
    isolated(
      Effect.gen(function*() {
        const failed = Effect.map(
          exported,
          (series) =>
            ["NoCachedAccessToken", "ProactivelyRefreshed", "Expired"].map((reason) =>
              of(series, EntraMetrics.failures, { ...mine, error: "EntraServiceUnavailableError", reason })
            )
        )
        const simulator = yield* EntraSimulator.EntraSimulator
        yield* simulator.fail(Fault.unavailable())
        yield* ConfidentialClient.keepFresh({ scopes: graph })
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(yield* failed, [1, 0, 0])
        yield* TestClock.adjust("1 minute")
        yield* simulator.fail(Fault.unavailable())
        yield* TestClock.adjust("1800 seconds")
        assert.deepStrictEqual(yield* failed, [1, 1, 0])
      }).pipe(Effect.scoped, Effect.provide(World({ retry: RetryPolicy.none })))
    ))

  it.effect("evictions", () =>
    isolated(
      Effect.gen(function*() {
        for (const tenantId of [contoso, fabrikam]) {
          for (const scopes of [graph, orders]) yield* ConfidentialClient.acquireToken({ scopes, tenantId })
        }
        const series = yield* exported
        assert.strictEqual(of(series, EntraMetrics.evictions), 1)
        assert.strictEqual(of(series, EntraMetrics.cacheEntries), 3)
      }).pipe(Effect.provide(World({ cache: TokenCache.layerMemory({ maxEntries: 3 }) })))
    ))

  it.effect("never a tenant, a scope, a correlation id or what the caller's own metrics carry", () =>
    isolated(
      Effect.gen(function*() {
        const request = { scopes: orders, tenantId: fabrikam, correlationId: "call-1" }
        yield* ConfidentialClient.acquireToken(request)
        yield* EntraSimulator.EntraSimulator.use((simulator) => simulator.fail(Fault.throttled()))
        yield* Effect.flip(ConfidentialClient.acquireToken({ ...request, forceRefresh: true }))
        const said = JSON.stringify(yield* exported)
        assert.include(said, "EntraThrottledError")
        for (const text of [fabrikam, contoso, "orders", "call-1"]) assert.notInclude(said, text)
      }).pipe(
        Effect.provideService(Metric.CurrentMetricAttributes, { tenant: fabrikam }),
        Effect.provide(World())
      )
    ))

  it.effect("the attributes that the program gives to all metrics of a layer are kept", () =>
    isolated(
      Effect.gen(function*() {
        yield* acquire
        yield* acquire
        const series = yield* exported
        const given = { service: "billing" }
        assert.strictEqual(
          of(series, EntraMetrics.acquisitions, {
            ...given,
            client_id: clientId,
            source: "Cache",
            reason: "NotApplicable"
          }),
          1
        )
        assert.strictEqual(of(series, EntraMetrics.httpAttempts, { ...given, ...mine }), 1)
        assert.strictEqual(of(series, EntraMetrics.cacheEntries, given), 1)
      }).pipe(
        Effect.provide(
          World().pipe(
            Layer.provide(Layer.succeed(Metric.CurrentMetricAttributes, { service: "billing" }))
          )
        )
      )
    ))
})

describe("credential expiry", () => {
  const expiring = (expiresOn: () => DateTime.Utc | undefined) =>
    Effect.map(ClientCredential.secret(EntraSimulator.daemonSecret), (base) => ({ ...base, expiresOn }))
  const Services = Layer.mergeAll(AuthorityResolver.layer, TokenEndpoint.layer, TokenCache.layerMemory()).pipe(
    Layer.provideMerge(Simulator())
  )
  const expiry = Effect.map(exported, (series) => of(series, EntraMetrics.credentialExpiry, mine))
  const make = (credential: ClientCredential.ClientCredential["Service"]) =>
    ConfidentialClient.make({ clientId, tenantId: contoso, credential })

  it.effect("the earliest of the open clients, in seconds; none where none is known", () =>
    isolated(
      Effect.gen(function*() {
        yield* make(yield* ClientCredential.secret(EntraSimulator.daemonSecret))
        assert.isUndefined(yield* expiry)
        yield* make(yield* expiring(() => DateTime.makeUnsafe("2030-01-01T00:00:00Z")))
        assert.strictEqual(yield* expiry, Date.UTC(2030, 0) / 1000)
        const scope = yield* Scope.make()
        yield* Scope.provide(make(yield* expiring(() => DateTime.makeUnsafe("2028-01-01T00:00:00Z"))), scope)
        assert.strictEqual(yield* expiry, Date.UTC(2028, 0) / 1000)
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual(yield* expiry, Date.UTC(2030, 0) / 1000)
      }).pipe(Effect.scoped, Effect.provide(Services))
    ))

  it.effect("that cannot be told, and a cache without numbers, fail no acquisition and no export", () =>
    isolated(
      Effect.gen(function*() {
        const broken = yield* expiring(() => {
          throw new Error("not today")
        })
        const cache = yield* TokenCache.TokenCache
        const numberless = TokenCache.TokenCache.of({ ...cache, stats: Effect.die("no numbers") })
        const client = yield* Effect.provideService(make(broken), TokenCache.TokenCache, numberless)
        yield* client.acquireToken({ scopes: graph })
        assert.strictEqual((yield* client.acquireToken({ scopes: graph })).metadata.tokenSource, "Cache")
        assert.isUndefined(yield* expiry)
        assert.strictEqual(of(yield* exported, EntraMetrics.cacheEntries), 0)
      }).pipe(Effect.scoped, Effect.provide(Services))
    ))

  it.effect.each([NaN, Infinity, -Infinity, 1e300])("of %s is not known", (epochMilliseconds) =>
    isolated(
      Effect.gen(function*() {
        const known = DateTime.makeUnsafe(0)
        const strange = yield* expiring(() => Object.create(known, { epochMilliseconds: { value: epochMilliseconds } }))
        const client = yield* make(strange)
        yield* client.acquireToken({ scopes: graph })
        assert.isUndefined(yield* expiry)
      }).pipe(Effect.scoped, Effect.provide(Services))
    ))

  it.effect("appears when it becomes known, and goes with the last client", () =>
    isolated(
      Effect.gen(function*() {
        let expiresOn: DateTime.Utc | undefined
        yield* Effect.scoped(Effect.gen(function*() {
          const client = yield* make(yield* expiring(() => expiresOn))
          yield* client.acquireToken({ scopes: graph })
          assert.isUndefined(yield* expiry)
          expiresOn = DateTime.makeUnsafe("2030-01-01T00:00:00Z")
          yield* client.acquireToken({ scopes: orders })
          assert.strictEqual(yield* expiry, Date.UTC(2030, 0) / 1000)
        }))
        assert.isUndefined(yield* expiry)
      }).pipe(Effect.provide(Services))
    ))
})

describe("several clients", () => {
  const hits = Effect.map(
    exported,
    (series) => of(series, EntraMetrics.acquisitions, { client_id: clientId, source: "Cache", reason: "NotApplicable" })
  )
  const Services = (maxEntries: number) =>
    Layer.mergeAll(AuthorityResolver.layer, TokenEndpoint.layer, TokenCache.layerMemory({ maxEntries })).pipe(
      Layer.provideMerge(Simulator())
    )
  const client = Effect.flatMap(
    ClientCredential.secret(EntraSimulator.daemonSecret),
    (credential) => ConfidentialClient.make({ clientId, tenantId: contoso, credential })
  )
  const ask = (client: ConfidentialClient.ConfidentialClient["Service"], times: number) =>
    Effect.repeat(client.acquireToken({ scopes: graph }), { times: times - 1 })

  it.effect("sum, stay when clients close, and never fall", () =>
    isolated(
      Effect.gen(function*() {
        const one = yield* client
        yield* ask(one, 11)
        assert.strictEqual(yield* hits, 10)
        const scope = yield* Scope.make()
        const two = yield* Scope.provide(client, scope)
        yield* ask(two, 5)
        assert.strictEqual(yield* hits, 15)
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual(yield* hits, 15)
        yield* ask(one, 5)
        assert.strictEqual(yield* hits, 20)
      }).pipe(Effect.scoped, Effect.provide(Services(100)))
    ))

  it.effect("read a cache that they share once, also when its clients change", () =>
    isolated(
      Effect.gen(function*() {
        const evict = Effect.scoped(Effect.gen(function*() {
          const both = [yield* client, yield* client]
          for (const one of both) {
            yield* one.acquireToken({ scopes: graph, forceRefresh: true })
            yield* one.acquireToken({ scopes: orders, forceRefresh: true })
          }
          const series = yield* exported
          assert.strictEqual(of(series, EntraMetrics.cacheEntries), 1)
          // One of them leaves, and the cache is still in use.
          yield* Effect.scoped(client)
          assert.strictEqual(of(yield* exported, EntraMetrics.cacheEntries), 1)
        }))
        const cache = yield* TokenCache.TokenCache
        for (let round = 0; round < 3; round++) {
          yield* evict
          const { evictions } = yield* cache.stats
          const series = yield* exported
          assert.strictEqual(of(series, EntraMetrics.evictions), evictions)
          assert.isAtLeast(evictions, round + 1)
          // Nobody uses it now.
          assert.strictEqual(of(series, EntraMetrics.cacheEntries), 0)
        }
      }).pipe(Effect.provide(Services(1)))
    ))

  it.effect("of a cache whose numbers fail keep what it has evicted", () =>
    isolated(
      Effect.gen(function*() {
        const cache = yield* TokenCache.TokenCache
        let isBroken = false
        const stats = Effect.suspend(() => isBroken ? Effect.die("down") : cache.stats)
        const evictions = Effect.map(exported, (series) => of(series, EntraMetrics.evictions))
        yield* Effect.gen(function*() {
          const one = yield* client
          yield* one.acquireToken({ scopes: graph })
          yield* one.acquireToken({ scopes: orders })
          assert.strictEqual(yield* evictions, 1)
          isBroken = true
          assert.strictEqual(yield* evictions, 1)
        }).pipe(Effect.scoped, Effect.provideService(TokenCache.TokenCache, { ...cache, stats }))
        assert.strictEqual(yield* evictions, 1)
      }).pipe(Effect.provide(Services(1)))
    ))

  it.effect("leave nothing behind but the series of their client id", () =>
    isolated(
      Effect.gen(function*() {
        const registry = yield* Metric.MetricRegistry
        const cached = new WeakRef(
          yield* Effect.scoped(Effect.gen(function*() {
            const context = yield* Layer.build(World())
            yield* Effect.provide(acquire, context)
            return Context.get(context, ConfidentialClient.ConfidentialClient)
          }))
        )
        const size = registry.size
        for (let build = 0; build < 300; build++) {
          yield* Effect.scoped(Effect.flatMap(Layer.build(World()), (context) => Effect.provide(acquire, context)))
        }
        assert.strictEqual(registry.size, size)
        const waits = of(yield* exported, EntraMetrics.waits, mine)
        assert.strictEqual(waits, 301)
        const collect = collector()
        yield* Effect.promise(async () => {
          for (let round = 0; round < 20 && cached.deref() !== undefined; round++) {
            await new Promise((resolve) => setImmediate(resolve))
            collect()
          }
        })
        assert.isUndefined(cached.deref())
      })
    ))
})
