import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Effect, Exit, Fiber, Layer, Option, Redacted, Scope, Tracer } from "effect"
import { AuthorityResolver, ClientCredential, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
import { EntraSimulator } from "effect-entra/testing"
import { TestClock } from "effect/testing"
import { wrapped } from "./support/credentials.ts"
import { contoso, fabrikam, graph, orders, Simulator, tokenRequests, World } from "./support/world.ts"

const { Fault } = EntraSimulator
const request = { scopes: graph }
const acquire = ConfidentialClient.acquireToken(request)
const keep = ConfidentialClient.keepFresh(request)

const fail = (...parameters: Parameters<EntraSimulator.EntraSimulator["Service"]["fail"]>) =>
  EntraSimulator.EntraSimulator.use((simulator) => simulator.fail(...parameters))

/** The seconds at which requests were sent, while time passes second by second. */
const sentWithin = (seconds: number, every = 1, before = 0) =>
  Effect.gen(function*() {
    const times: Array<number> = []
    let known = before
    for (let second = 0; second < seconds; second += every) {
      yield* TestClock.adjust(second === 0 ? 0 : every * 1000)
      const requests = yield* tokenRequests
      for (; known < requests; known++) times.push(second)
    }
    return times
  })

describe("keepFresh", () => {
  it.effect("over a day of one-hour tokens nobody ever waits, and each token costs one request", () =>
    Effect.gen(function*() {
      yield* keep
      yield* TestClock.adjust(0)
      for (let minute = 0; minute < 24 * 60; minute++) {
        const { expiresOn, metadata } = yield* acquire
        assert.strictEqual(metadata.cacheRefreshReason, "NotApplicable", `minute ${minute}`)
        assert.isAbove(expiresOn.epochMilliseconds, yield* Clock.currentTimeMillis)
        yield* TestClock.adjust("1 minute")
      }
      const { hits, misses } = yield* ConfidentialClient.stats
      assert.deepStrictEqual({ hits, misses }, { hits: 24 * 60, misses: 0 })
      // Half an hour each, up to a tenth earlier.
      const requests = yield* tokenRequests
      assert.isAtLeast(requests, 48)
      assert.isAtMost(requests, 54)
    }).pipe(Effect.scoped, Effect.provide(World())))

  it.effect("its flights are nobody's children: they go on long after the trace of whoever started it", () => {
    const flights: Array<Tracer.Span> = []
    const tracer = Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        if (span.name === "effect-entra.acquireToken") flights.push(span)
        return span
      }
    })
    return Effect.gen(function*() {
      yield* Effect.withSpan(keep, "startup")
      yield* TestClock.adjust("2 hours")
      assert.isAtLeast(flights.length, 4)
      assert.isTrue(flights.every(({ parent }) => Option.isNone(parent)))
      assert.strictEqual(new Set(flights.map(({ traceId }) => traceId)).size, flights.length)
      // A caller's flight, and a renewal that a caller sets off, are the caller's.
      yield* Effect.withSpan(ConfidentialClient.acquireToken({ scopes: orders }), "caller")
      yield* TestClock.adjust("1800 seconds")
      yield* Effect.withSpan(ConfidentialClient.acquireToken({ scopes: orders }), "caller")
      yield* TestClock.adjust(0)
      const asked = flights.filter(({ attributes }) => attributes.get("entra.scope") === orders)
      assert.deepStrictEqual(
        asked.map(({ attributes, parent }) => [
          attributes.get("entra.refresh_reason"),
          Option.isSome(parent) && parent.value._tag === "Span" ? parent.value.name : "none"
        ]),
        [["NoCachedAccessToken", "caller"], ["ProactivelyRefreshed", "caller"]]
      )
    }).pipe(Effect.scoped, Effect.provide(World()), Effect.provideService(Tracer.Tracer, tracer))
  })

  it.effect("asks nobody while nothing is due, and renews when the service said", () =>
    Effect.gen(function*() {
      yield* keep
      const times = yield* sentWithin(3000, 10)
      assert.strictEqual(times[0], 0)
      assert.isAtLeast(times[1] ?? 0, 1350)
      assert.isAtMost(times[1] ?? 0, 1500)
      assert.strictEqual(times.length, 3)
      assert.strictEqual((yield* ConfidentialClient.stats).refreshes, 3)
    }).pipe(Effect.scoped, Effect.provide(World({ refreshIn: "1500 seconds" }))))

  it.effect.each([
    { name: "no scope", bad: { scopes: "" }, tag: "EntraInvalidScopeError", field: "scopes" },
    {
      name: "a tenant that is none",
      bad: { ...request, tenantId: "a b" },
      tag: "EntraInvalidAuthorityError",
      field: "tenantId"
    },
    {
      name: "a validity that is none",
      bad: { ...request, minimumValidity: Number.NaN },
      tag: "EntraInvalidRequestError",
      field: "minimumValidity"
    },
    {
      name: "forceRefresh",
      bad: { ...request, forceRefresh: true },
      tag: "EntraInvalidRequestError",
      field: "forceRefresh"
    },
    { name: "claims", bad: { ...request, claims: "{}" }, tag: "EntraInvalidRequestError", field: "claims" },
    {
      name: "a refused token",
      bad: { ...request, accessTokenSha256ToRefresh: "a".repeat(64) },
      tag: "EntraInvalidRequestError",
      field: "accessTokenSha256ToRefresh"
    }
  ])("tells $name at once", ({ bad, field, tag }) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(ConfidentialClient.keepFresh(bad))
      assert.strictEqual(error._tag, tag)
      assert.strictEqual("field" in error ? error.field : undefined, field)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* tokenRequests, 0)
    }).pipe(Effect.scoped, Effect.provide(World())))

  it.effect("takes over a token that is there, and ten for one key cost as much as one", () =>
    Effect.gen(function*() {
      yield* acquire
      yield* Effect.replicateEffect(keep, 10, { discard: true })
      yield* TestClock.adjust("1799 seconds")
      assert.strictEqual(yield* tokenRequests, 2)
      yield* TestClock.adjust("1800 seconds")
      assert.strictEqual(yield* tokenRequests, 3)
    }).pipe(Effect.scoped, Effect.provide(World())))

  it.effect("joins the flight of a caller, and callers join its own", () =>
    Effect.gen(function*() {
      yield* fail(Fault.delay("5 seconds"), { times: Infinity })
      const caller = yield* Effect.forkChild(acquire, { startImmediately: true })
      yield* keep
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(caller)
      assert.strictEqual(yield* tokenRequests, 1)
      yield* ConfidentialClient.invalidate("all")
      const another = yield* Effect.forkChild(acquire, { startImmediately: true })
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(another)
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(Effect.scoped, Effect.provide(World())))

  it.effect("a cold key that is refused: tried again after 30 s, doubling to 5 min, until it works", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* simulator.removeSecret(EntraSimulator.daemonClientId, EntraSimulator.daemonSecret)
      yield* keep
      assert.deepStrictEqual(yield* sentWithin(1200), [0, 30, 90, 210, 450, 750, 1050])
      yield* simulator.addSecret(EntraSimulator.daemonClientId, EntraSimulator.daemonSecret)
      yield* TestClock.adjust("151 seconds")
      assert.strictEqual((yield* acquire).metadata.tokenSource, "Cache")
    }).pipe(Effect.scoped, Effect.provide(World())))

  it.effect("a renewal that fails: the same, and the token in hand is served", () =>
    Effect.gen(function*() {
      yield* keep
      yield* TestClock.adjust(0)
      const { refreshOn } = yield* acquire
      yield* fail(Fault.refused({ code: 7000215, error: "invalid_client", status: 401 }), { times: Infinity })
      yield* TestClock.setTime(refreshOn.epochMilliseconds)
      assert.deepStrictEqual(yield* sentWithin(600, 1, 1), [0, 30, 90, 210, 450])
      assert.strictEqual((yield* acquire).metadata.tokenSource, "Cache")
      assert.strictEqual(yield* tokenRequests, 6)
    }).pipe(Effect.scoped, Effect.provide(World())))

  it.effect("throttled for longer than the cool-down, it waits that long", () =>
    Effect.gen(function*() {
      yield* fail(Fault.throttled({ retryAfter: "700 seconds" }))
      yield* keep
      assert.deepStrictEqual(yield* sentWithin(800), [0, 700])
    }).pipe(Effect.scoped, Effect.provide(World())))

  it.effect("throttled by the service for less than the cool-down, it rests as after any failure", () =>
    Effect.gen(function*() {
      yield* fail(Fault.throttled({ retryAfter: "5 seconds" }), { times: Infinity })
      yield* keep
      assert.deepStrictEqual(yield* sentWithin(500), [0, 30, 90, 210, 450])
    }).pipe(Effect.scoped, Effect.provide(World())))

  it.effect("its flights have the reason: no token, a due token, a token near expiry", () => {
    const reasons: Array<unknown> = []
    const tracer = Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        const { end } = span
        span.end = (time, exit) => {
          end.call(span, time, exit)
          if (span.name === "effect-entra.acquireToken") reasons.push(span.attributes.get("entra.refresh_reason"))
        }
        return span
      }
    })
    return Effect.gen(function*() {
      yield* keep
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(reasons.splice(0), ["NoCachedAccessToken"])
      yield* fail(Fault.refused({ code: 7000215, error: "invalid_client", status: 401 }), { times: Infinity })
      yield* TestClock.adjust("3000 seconds")
      assert.deepStrictEqual([...new Set(reasons.splice(0))], ["ProactivelyRefreshed"])
      yield* TestClock.setTime(3_599_000 - 1000)
      reasons.length = 0
      yield* TestClock.adjust("10 minutes")
      assert.deepStrictEqual([...new Set(reasons)], ["Expired"])
    }).pipe(Effect.scoped, Effect.provide(World()), Effect.provideService(Tracer.Tracer, tracer))
  })

  it.effect("what is invalidated is acquired anew at once, and nothing else is", () =>
    Effect.gen(function*() {
      yield* keep
      yield* TestClock.adjust("1 second")
      yield* ConfidentialClient.invalidate({ tenantId: fabrikam })
      yield* ConfidentialClient.invalidate({ scopes: orders })
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* tokenRequests, 1)
      yield* ConfidentialClient.invalidate("all")
      yield* TestClock.adjust(0)
      assert.strictEqual(yield* tokenRequests, 2)
      assert.strictEqual((yield* acquire).metadata.tokenSource, "Cache")
    }).pipe(Effect.scoped, Effect.provide(World())))

  it.effect("invalidated while it acquires, it acquires once more", () =>
    Effect.gen(function*() {
      yield* fail(Fault.delay("5 seconds"), { times: 2 })
      yield* keep
      yield* TestClock.adjust("1 second")
      yield* ConfidentialClient.invalidate("all")
      yield* TestClock.adjust("9 seconds")
      assert.strictEqual(yield* tokenRequests, 2)
      assert.strictEqual((yield* acquire).metadata.tokenSource, "Cache")
    }).pipe(Effect.scoped, Effect.provide(World())))

  it.effect("what was pushed out is acquired anew when it is due", () =>
    Effect.gen(function*() {
      yield* keep
      yield* TestClock.adjust(0)
      yield* ConfidentialClient.acquireToken({ scopes: orders })
      assert.isUndefined(yield* ConfidentialClient.peek(request))
      yield* TestClock.adjust("1800 seconds")
      assert.isDefined(yield* ConfidentialClient.peek(request))
      assert.strictEqual(yield* tokenRequests, 3)
    }).pipe(Effect.scoped, Effect.provide(World({ cache: TokenCache.layerMemory({ maxEntries: 1 }) }))))

  it.effect.each([
    { name: "keeps nothing", cache: TokenCache.layerNoop, most: 0 },
    { name: "has no room", cache: TokenCache.layerMemory({ maxEntries: 0 }), most: 3 }
  ])("a cache that $name is no reason to storm", ({ cache, most }) =>
    Effect.gen(function*() {
      yield* keep
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* tokenRequests, most)
    }).pipe(Effect.scoped, Effect.provide(World({ cache }))))

  it.effect("tokens of a second are not renewed more than once in a second", () =>
    Effect.gen(function*() {
      yield* keep
      yield* TestClock.adjust("60 seconds")
      assert.isAtMost(yield* tokenRequests, 61)
      assert.isAtLeast(yield* tokenRequests, 30)
    }).pipe(Effect.scoped, Effect.provide(World({ tokenLifetime: "1 second" }))))

  it.effect("with a minimum validity nobody who needs it waits", () =>
    Effect.gen(function*() {
      const needy = { ...request, minimumValidity: "50 minutes" } as const
      yield* ConfidentialClient.keepFresh(needy)
      yield* TestClock.adjust(0)
      for (let minute = 0; minute < 240; minute++) {
        const { expiresOn } = yield* ConfidentialClient.acquireToken(needy)
        assert.isAtLeast(expiresOn.epochMilliseconds - (yield* Clock.currentTimeMillis), 50 * 60_000)
        yield* TestClock.adjust("1 minute")
      }
      assert.strictEqual((yield* ConfidentialClient.stats).misses, 0)
      assert.isAtMost(yield* tokenRequests, 50)
    }).pipe(Effect.scoped, Effect.provide(World())))

  it.effect("a credential that dies does not end it", () => {
    let calls = 0
    const credential = Layer.effect(
      ClientCredential.ClientCredential,
      Effect.map(
        ClientCredential.secret(EntraSimulator.daemonSecret),
        (secret) =>
          wrapped(secret, ({ authenticate }) => ({
            authenticate: (attempt) => ++calls === 1 ? Effect.die(new Error("boom")) : authenticate(attempt)
          }))
      )
    )
    return Effect.gen(function*() {
      yield* keep
      yield* TestClock.adjust("30 seconds")
      assert.isDefined(yield* ConfidentialClient.peek(request))
    }).pipe(Effect.scoped, Effect.provide(World({ credential })))
  })

  it.effect("two clients over one cache ask once between them", () =>
    Effect.gen(function*() {
      const client = { clientId: EntraSimulator.daemonClientId, tenantId: contoso }
      const credential = yield* ClientCredential.secret(EntraSimulator.daemonSecret)
      const one = yield* ConfidentialClient.make({ ...client, credential })
      const other = yield* ConfidentialClient.make({ ...client, credential })
      yield* fail(Fault.delay("3 seconds"), { times: Infinity })
      yield* one.keepFresh(request)
      yield* other.keepFresh(request)
      yield* TestClock.adjust("1500 seconds")
      assert.strictEqual(yield* tokenRequests, 1)
      yield* TestClock.adjust("400 seconds")
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(
      Effect.scoped,
      Effect.provide([AuthorityResolver.layer, TokenEndpoint.layer, TokenCache.layerMemory()]),
      Effect.provide(Simulator({ tokenLifetime: "3599 seconds" }))
    ))

  it.effect("that finds the gate closed by another comes when it opens", () =>
    Effect.gen(function*() {
      yield* fail(Fault.throttled({ retryAfter: "12 seconds" }))
      yield* Effect.flip(acquire)
      yield* keep
      assert.deepStrictEqual(yield* sentWithin(60, 1, 1), [12])
    }).pipe(Effect.scoped, Effect.provide(World())))

  it.effect("ends with its scope", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      yield* Scope.provide(keep, scope)
      yield* TestClock.adjust(0)
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust("1 day")
      assert.strictEqual(yield* tokenRequests, 1)
      yield* ConfidentialClient.invalidate("all")
      yield* TestClock.adjust(0)
      assert.strictEqual(yield* tokenRequests, 1)
    }).pipe(Effect.provide(World())))

  it.effect("ends with the client, asleep or at work, and does not start after it", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(World(), scope)
      const client = Context.get(context, ConfidentialClient.ConfidentialClient)
      const simulator = Context.get(context, EntraSimulator.EntraSimulator)
      const parent = yield* Scope.make()
      /** Returns the number of finalizers that the scope has. */
      const children = () => {
        const { state } = parent
        return state._tag === "Open" ? (state.finalizers?.size ?? 0) + (state.finalizer === undefined ? 0 : 1) : 0
      }
      yield* Scope.provide(client.keepFresh(request), parent)
      yield* TestClock.adjust(0)
      yield* simulator.fail(Fault.delay("1 hour"))
      yield* Scope.provide(client.keepFresh({ scopes: orders }), parent)
      assert.strictEqual(children(), 2)
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust(0)
      assert.strictEqual(children(), 0, "no time has passed")
      yield* Scope.provide(client.keepFresh({ scopes: orders, tenantId: fabrikam }), parent)
      assert.strictEqual(children(), 0)
      yield* TestClock.adjust("1 day")
      assert.strictEqual((yield* simulator.counters).tokenRequests, 2)
      yield* Scope.close(parent, Exit.void)
    }))
})

describe("prefetch", () => {
  const tenants = Array.from({ length: 1000 }, (_, index) => ({ scopes: graph, tenantId: `t${index}.example` }))
  const known = [{ scopes: graph }, { scopes: orders }, { scopes: graph, tenantId: fabrikam }]

  it.effect("yields one Exit a request, in their order, and goes on past what fails", () =>
    Effect.gen(function*() {
      const progress: Array<ConfidentialClient.PrefetchProgress> = []
      const exits = yield* ConfidentialClient.prefetch(
        [{ scopes: graph }, { scopes: "" }, { scopes: orders }, { scopes: graph, tenantId: "broken.example" }],
        { concurrency: 1, onProgress: (event) => Effect.sync(() => void progress.push(event)) }
      )
      assert.deepStrictEqual(exits.map(Exit.isSuccess), [true, false, true, false])
      assert.deepStrictEqual(progress, [
        { done: 1, failed: 0, total: 4 },
        { done: 2, failed: 1, total: 4 },
        { done: 3, failed: 1, total: 4 },
        { done: 4, failed: 2, total: 4 }
      ])
      const [first] = exits
      const warm = yield* acquire
      assert.strictEqual(warm.metadata.tokenSource, "Cache")
      assert.strictEqual(
        first !== undefined && Exit.isSuccess(first) ? Redacted.value(first.value.accessToken) : "none",
        Redacted.value(warm.accessToken)
      )
    }).pipe(Effect.provide(World())))

  it.effect("keeps to its concurrency: 16 unless told, and less than one is one", () =>
    Effect.gen(function*() {
      yield* fail(Fault.delay("1 second"), { times: Infinity })
      for (
        const [options, most] of [
          [{}, 16],
          [{ concurrency: 3 }, 3],
          [{ concurrency: 0 }, 1],
          [{ concurrency: Number.NaN }, 1],
          [{ concurrency: "unbounded" }, 30]
        ] as const
      ) {
        const before = yield* tokenRequests
        const fiber = yield* Effect.forkChild(ConfidentialClient.prefetch(tenants.slice(0, 30), options), {
          startImmediately: true
        })
        yield* TestClock.adjust(0)
        assert.strictEqual((yield* tokenRequests) - before, most)
        assert.strictEqual((yield* ConfidentialClient.stats).flights, most)
        yield* Fiber.interrupt(fiber)
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual((yield* tokenRequests) - before, most, "nothing is sent for who has left")
        yield* ConfidentialClient.invalidate("all")
      }
    }).pipe(Effect.provide(World())))

  it.effect(
    "a thousand broken tenants leave the others warm; one key asked for again and again is one request",
    () =>
      Effect.gen(function*() {
        const repeated = Array.from({ length: 500 }, () => known).flat()
        let last: ConfidentialClient.PrefetchProgress | undefined
        const exits = yield* ConfidentialClient.prefetch([...tenants, ...repeated], {
          concurrency: 100,
          onProgress: (event) =>
            Effect.sync(() => {
              last = event
            })
        })
        assert.deepStrictEqual(last, { done: 2500, failed: 1000, total: 2500 })
        assert.isTrue(exits.slice(0, 1000).every(Exit.isFailure))
        assert.isTrue(exits.slice(1000).every(Exit.isSuccess))
        assert.strictEqual(yield* tokenRequests, 1003)
      }).pipe(Effect.provide(World())),
    30_000
  )

  it.effect.each([
    {
      name: "throws",
      onProgress: () => {
        throw new Error("the bar broke")
      }
    },
    { name: "dies", onProgress: () => Effect.die(new Error("the bar broke")) },
    { name: "returns no effect", onProgress: () => undefined }
  ])("an onProgress that $name costs no token", ({ onProgress }) =>
    Effect.gen(function*() {
      // @ts-expect-error: callers in JavaScript return anything
      const exits = yield* ConfidentialClient.prefetch(known, { onProgress })
      assert.strictEqual(exits.filter(Exit.isSuccess).length, known.length)
    }).pipe(Effect.provide(World())))

  it.effect("what dies is an Exit too", () =>
    Effect.gen(function*() {
      const exits = yield* ConfidentialClient.prefetch(known)
      assert.deepStrictEqual(exits.map(Exit.hasDies), [true, true, true])
    }).pipe(Effect.provide(ConfidentialClient.layerTest(() => Effect.die(new Error("boom"))))))
})
