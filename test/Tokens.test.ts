import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Duration, Effect, Exit, Fiber, Layer, Random, Redacted, Scope, Stream, Tracer } from "effect"
import {
  AuthorityResolver,
  ClientCredential,
  ConfidentialClient,
  EntraError,
  TokenCache,
  TokenEndpoint
} from "effect-entra"
import { EntraSimulator } from "effect-entra/testing"
import { TestClock } from "effect/testing"
import { pauseAfterFailure } from "../src/internal/client/keepFresh.ts"
import { contoso, fabrikam, graph, orders, Simulator, tokenRequests, World } from "./support/world.ts"

const { Fault } = EntraSimulator
const request = { scopes: graph }
const tokens = ConfidentialClient.tokens(request)
const acquire = ConfidentialClient.acquireToken(request)
const refused = Fault.refused({ code: 7000215, error: "invalid_client", status: 401 })

const fail = (...parameters: Parameters<EntraSimulator.EntraSimulator["Service"]["fail"]>) =>
  EntraSimulator.EntraSimulator.use((simulator) => simulator.fail(...parameters))

const clearFaults = EntraSimulator.EntraSimulator.use((simulator) => simulator.clearFaults)

/** The tokens of a stream in a fiber of the scope, each with the second in which it came. */
const follow = (stream: typeof tokens = tokens) =>
  Effect.gen(function*() {
    const seen: Array<{ readonly at: number; readonly token: string; readonly expiresOn: number }> = []
    const fiber = yield* stream.pipe(
      Stream.runForEach(({ accessToken, expiresOn }) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          seen.push({
            // Without the last digits of a sum of fractions.
            at: Math.round(now * 1000) / 1_000_000,
            token: Redacted.value(accessToken),
            expiresOn: expiresOn.epochMilliseconds
          })
        })
      ),
      Effect.forkScoped({ startImmediately: true })
    )
    yield* TestClock.adjust(0)
    return { seen, fiber }
  })

const times = ({ seen }: { readonly seen: ReadonlyArray<{ readonly at: number }> }) => seen.map(({ at }) => at)

/** Lets time pass in steps, so that each timer is due at its own time. */
const pass = (seconds: number, step = 10) =>
  Effect.gen(function*() {
    for (let second = 0; second < seconds; second += step) {
      yield* TestClock.adjust(Math.min(step, seconds - second) * 1000)
    }
  })

const current = Effect.map(acquire, ({ accessToken }) => Redacted.value(accessToken))

describe("tokens", () => {
  it.effect("without a cache, an invalidation replaces the token at once", () =>
    Effect.gen(function*() {
      const followed = yield* follow()
      yield* pass(10)
      yield* ConfidentialClient.invalidate("all")
      yield* pass(10)
      assert.deepStrictEqual(times(followed), [0, 10])
    }).pipe(Effect.scoped, Effect.provide(World({ cache: TokenCache.layerNoop }))))

  it.effect("over a day, the last token is always valid, and each token costs one request", () =>
    Effect.gen(function*() {
      const followed = yield* follow()
      for (let minute = 0; minute < 24 * 60; minute++) {
        const last = followed.seen.at(-1)
        assert.strictEqual(last?.token, yield* current)
        assert.isAbove(last?.expiresOn ?? 0, yield* Clock.currentTimeMillis)
        yield* TestClock.adjust("1 minute")
      }
      const { seen } = followed
      assert.strictEqual(new Set(seen.map(({ token }) => token)).size, seen.length)
      assert.strictEqual(yield* tokenRequests, seen.length)
      assert.isAtLeast(seen.length, 48)
      assert.isAtMost(seen.length, 54)
    }).pipe(Effect.scoped, Effect.provide(World())))

  it.effect("emits the cached token at once, without a request, and the next one when it is due", () =>
    Effect.gen(function*() {
      const cached = yield* current
      const followed = yield* follow()
      assert.deepStrictEqual(followed.seen.map(({ at, token }) => [at, token]), [[0, cached]])
      assert.strictEqual(yield* tokenRequests, 1)
      yield* pass(1500)
      assert.strictEqual(followed.seen.length, 2)
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(Effect.scoped, Effect.provide(World({ refreshIn: "1500 seconds" }))))

  it.effect("a token near expiry is emitted at once, and its replacement as soon as it comes", () =>
    Effect.gen(function*() {
      yield* acquire
      yield* TestClock.adjust("3500 seconds")
      yield* fail(Fault.delay("3 seconds"))
      const followed = yield* follow()
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(times(followed), [3500, 3503])
    }).pipe(Effect.scoped, Effect.provide(World())))

  it.effect("an expired token is not emitted", () =>
    Effect.gen(function*() {
      yield* acquire
      yield* TestClock.adjust("3599 seconds")
      const followed = yield* follow()
      assert.deepStrictEqual(times(followed), [3599])
      assert.isAbove(followed.seen[0]?.expiresOn ?? 0, 7_000_000)
    }).pipe(Effect.scoped, Effect.provide(World())))

  it.effect("a token that is too short is not emitted", () =>
    Effect.gen(function*() {
      yield* acquire
      yield* TestClock.adjust("20 minutes")
      yield* fail(Fault.delay("3 seconds"))
      const followed = yield* follow(ConfidentialClient.tokens({ ...request, minimumValidity: "50 minutes" }))
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(times(followed), [1203])
    }).pipe(Effect.scoped, Effect.provide(World())))

  it.effect("fails if the first token cannot be acquired", () =>
    Effect.gen(function*() {
      yield* fail(refused)
      const { fiber, seen } = yield* follow()
      const error = yield* Effect.flip(Fiber.join(fiber))
      assert.strictEqual(error.code, "secret_wrong")
      assert.deepStrictEqual(seen, [])
      yield* TestClock.adjust("1 day")
      assert.strictEqual(yield* tokenRequests, 1, "a stream that has failed sends no requests")
    }).pipe(Effect.scoped, Effect.provide(World())))

  it.effect.each([
    { name: "no scope", bad: { scopes: "" }, field: "scopes" },
    { name: "forceRefresh", bad: { ...request, forceRefresh: true }, field: "forceRefresh" },
    { name: "claims", bad: { ...request, claims: "{}" }, field: "claims" }
  ])("fails with an invalid request: $name", ({ bad, field }) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Stream.runDrain(ConfidentialClient.tokens(bad)))
      assert.strictEqual("field" in error ? error.field : undefined, field)
      assert.strictEqual(yield* tokenRequests, 0)
    }).pipe(Effect.provide(World())))

  it.effect("a refresh that fails is tried again with the backoff while the token is valid, and costs nothing else", () =>
    Effect.gen(function*() {
      const followed = yield* follow()
      yield* fail(refused, { times: 3 })
      yield* pass(3000)
      assert.strictEqual(followed.seen.length, 2)
      assert.strictEqual(followed.fiber.pollUnsafe(), undefined)
      // Due at 1,619 s at the earliest, as the lifetime is 3,599 s; then 30, 60 and 120 seconds of backoff.
      assert.isAtLeast(followed.seen[1]?.at ?? 0, 1619 + 210)
      assert.strictEqual(yield* tokenRequests, 5)
    }).pipe(Effect.scoped, Effect.provide(World())))

  it.effect("fails when its token expires without a replacement, after a last request", () =>
    Effect.gen(function*() {
      const { fiber, seen } = yield* follow()
      yield* fail(refused, { times: Infinity })
      yield* pass(3598, 1)
      assert.strictEqual(fiber.pollUnsafe(), undefined)
      yield* pass(2, 1)
      const error = yield* Effect.flip(Fiber.join(fiber))
      assert.strictEqual(error.code, "secret_wrong")
      assert.strictEqual(seen.length, 1)
    }).pipe(Effect.scoped, Effect.provide(World())))

  // The seeds decide the pauses between attempts, so the refresh fails at a fraction of a millisecond.
  it.effect.each([0, 1, 3, 6, 9])(
    "works again at the expiry if the service does, whatever the backoff (seed %i)",
    (seed) =>
      Effect.gen(function*() {
        const followed = yield* follow()
        yield* fail(Fault.unavailable(), { times: Infinity })
        yield* pass(3590, 1)
        yield* clearFaults
        yield* pass(10, 1)
        assert.deepStrictEqual(times(followed), [0, 3599])
      }).pipe(
        Random.withSeed(`seed ${seed}`),
        Effect.scoped,
        Effect.provide(World({ client: { renewal: { backoff: { base: "1 hour", cap: "1 hour" } } } }))
      )
  )

  it.effect("an invalidated token is replaced at once, and other invalidations change nothing", () =>
    Effect.gen(function*() {
      const followed = yield* follow()
      yield* TestClock.adjust("1 second")
      yield* ConfidentialClient.invalidate({ tenantId: fabrikam })
      yield* ConfidentialClient.invalidate({ scopes: orders })
      yield* TestClock.adjust("1 second")
      yield* ConfidentialClient.invalidate("all")
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(times(followed), [0, 2])
      assert.strictEqual(followed.seen[1]?.token, yield* current)
    }).pipe(Effect.scoped, Effect.provide(World())))

  it.effect("a request that began before an invalidation does not win over its replacement", () =>
    Effect.gen(function*() {
      const followed = yield* follow()
      yield* fail(Fault.delay("5 seconds"))
      yield* Effect.forkScoped(ConfidentialClient.acquireToken({ ...request, forceRefresh: true }), {
        startImmediately: true
      })
      yield* TestClock.adjust("1 second")
      yield* ConfidentialClient.invalidate("all")
      yield* TestClock.adjust("9 seconds")
      assert.deepStrictEqual(times(followed), [0, 1])
      assert.strictEqual(followed.seen[1]?.token, yield* current)
    }).pipe(Effect.scoped, Effect.provide(World())))

  it.effect("a token that a caller replaces is emitted at once; a token for claims is not", () =>
    Effect.gen(function*() {
      const followed = yield* follow()
      yield* TestClock.adjust("1 second")
      yield* ConfidentialClient.acquireToken({ ...request, forceRefresh: true })
      yield* TestClock.adjust("1 second")
      yield* ConfidentialClient.acquireToken({ ...request, claims: `{"access_token":{"nbf":{"essential":true}}}` })
      yield* ConfidentialClient.acquireToken({ scopes: orders, forceRefresh: true })
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(times(followed), [0, 1])
      assert.strictEqual(followed.seen[1]?.token, yield* current)
      // Its own timer follows the new token.
      yield* pass(1620 - 2)
      assert.strictEqual(followed.seen.length, 2)
    }).pipe(Effect.scoped, Effect.provide(World())))

  it.effect("an evicted token is not emitted again; the next one comes when it is due", () =>
    Effect.gen(function*() {
      const followed = yield* follow()
      yield* ConfidentialClient.acquireToken({ scopes: orders })
      assert.isUndefined(yield* ConfidentialClient.peek(request))
      yield* pass(1600)
      assert.strictEqual(followed.seen.length, 1)
      yield* pass(200)
      assert.strictEqual(followed.seen.length, 2)
      assert.strictEqual(yield* tokenRequests, 3)
    }).pipe(Effect.scoped, Effect.provide(World({ cache: TokenCache.layerMemory({ maxEntries: 1 }) }))))

  it.effect.each([
    { name: "keeps nothing", cache: TokenCache.layerNoop },
    { name: "has no room", cache: TokenCache.layerMemory({ maxEntries: 0 }) }
  ])("a cache that $name is no reason to storm", ({ cache }) =>
    Effect.gen(function*() {
      const followed = yield* follow()
      yield* pass(3500)
      assert.strictEqual(yield* tokenRequests, 2)
      assert.strictEqual(followed.seen.length, 2)
    }).pipe(Effect.scoped, Effect.provide(World({ cache, refreshIn: "2000 seconds" }))))

  it.effect("tokens of a second are not requested more than once in a second", () =>
    Effect.gen(function*() {
      yield* follow()
      yield* pass(60, 1)
      assert.isAtMost(yield* tokenRequests, 61)
    }).pipe(Effect.scoped, Effect.provide(World({ tokenLifetime: "1 second" }))))

  it.effect("a service that returns the same token again: it is not emitted again", () =>
    Effect.gen(function*() {
      const followed = yield* follow()
      yield* pass(7000)
      assert.strictEqual(yield* tokenRequests, 4)
      assert.deepStrictEqual(times(followed), [0])
    }).pipe(
      Effect.scoped,
      Effect.provide(
        ConfidentialClient.layer({ clientId: EntraSimulator.daemonClientId, tenantId: contoso }).pipe(
          Layer.provide([
            ClientCredential.layerSecret(EntraSimulator.daemonSecret),
            AuthorityResolver.layer,
            TokenEndpoint.layer,
            TokenCache.layerMemory()
          ]),
          Layer.provideMerge(Simulator({
            tokenLifetime: "1 hour",
            refreshIn: "2000 seconds",
            signer: { ...EntraSimulator.signerFake, sign: () => Effect.succeed("a-token") }
          }))
        )
      )
    ))

  it.effect("ten streams cost as much as one, and each gets every token", () =>
    Effect.gen(function*() {
      const all = yield* Effect.replicateEffect(follow(), 10)
      yield* pass(4000)
      assert.strictEqual(yield* tokenRequests, 3)
      assert.deepStrictEqual(all.map(({ seen }) => seen.length), Array.from({ length: 10 }, () => 3))
    }).pipe(Effect.scoped, Effect.provide(World())))

  it.effect("a slow subscriber gets the newest token only", () =>
    Effect.gen(function*() {
      const slow: Array<string> = []
      yield* tokens.pipe(
        Stream.runForEach(({ accessToken }) =>
          Effect.andThen(Effect.sync(() => slow.push(Redacted.value(accessToken))), Effect.sleep("3 hours"))
        ),
        Effect.forkScoped({ startImmediately: true })
      )
      yield* pass(3 * 3600 + 10)
      assert.strictEqual(slow.length, 2)
      assert.strictEqual(slow[1], yield* current)
    }).pipe(Effect.scoped, Effect.provide(World())))

  it.effect("waits for the first token while the service throttles, if the request says so", () =>
    Effect.gen(function*() {
      yield* fail(Fault.throttled({ retryAfter: "12 seconds" }))
      const waiting = yield* follow(ConfidentialClient.tokens({ ...request, onThrottled: "wait" }))
      const failing = yield* follow()
      assert.strictEqual((yield* Effect.flip(Fiber.join(failing.fiber)))._tag, "EntraThrottledError")
      yield* pass(20, 1)
      assert.deepStrictEqual(times(waiting), [12])
    }).pipe(Effect.scoped, Effect.provide(World())))

  it.effect("a client over the same cache: its newer token is emitted when ours is due", () =>
    Effect.gen(function*() {
      const client = { clientId: EntraSimulator.daemonClientId, tenantId: contoso }
      const credential = yield* ClientCredential.secret(EntraSimulator.daemonSecret)
      const one = yield* ConfidentialClient.make({ ...client, credential })
      const other = yield* ConfidentialClient.make({ ...client, credential })
      const followed = yield* Effect.provideService(follow(), ConfidentialClient.ConfidentialClient, one)
      yield* TestClock.adjust("1000 seconds")
      const { accessToken } = yield* other.acquireToken({ ...request, forceRefresh: true })
      yield* pass(800)
      assert.strictEqual(followed.seen.length, 2)
      assert.strictEqual(followed.seen[1]?.token, Redacted.value(accessToken))
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(
      Effect.scoped,
      Effect.provide([AuthorityResolver.layer, TokenEndpoint.layer, TokenCache.layerMemory()]),
      Effect.provide(Simulator({ tokenLifetime: "3599 seconds" }))
    ))

  it.effect("ends with the client, and does not start after it", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(World(), scope)
      const client = Context.get(context, ConfidentialClient.ConfidentialClient)
      const simulator = Context.get(context, EntraSimulator.EntraSimulator)
      const { fiber, seen } = yield* Effect.provide(follow(), context)
      yield* simulator.fail(Fault.delay("1 hour"))
      const cold = yield* Effect.provide(follow(ConfidentialClient.tokens({ scopes: orders })), context)
      yield* Scope.close(scope, Exit.void)
      yield* Fiber.join(fiber)
      assert.strictEqual(seen.length, 1)
      assert.strictEqual((yield* Effect.flip(Fiber.join(cold.fiber))).code, "client_closed")
      const late = yield* Effect.flip(Stream.runDrain(client.tokens(request)))
      assert.strictEqual(late.code, "client_closed")
      yield* TestClock.adjust("1 day")
      assert.strictEqual((yield* simulator.counters).tokenRequests, 2)
    }).pipe(Effect.scoped))

  it.effect("a stream that is interrupted sends no more requests", () =>
    Effect.gen(function*() {
      const { fiber } = yield* follow()
      yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("1 day")
      assert.strictEqual(yield* tokenRequests, 1)
    }).pipe(Effect.scoped, Effect.provide(World())))

  it.effect("its requests do not belong to the trace of the subscriber", () => {
    const parents: Array<unknown> = []
    const tracer = Tracer.make({
      span: (options) => {
        if (options.name === "effect-entra.acquireToken") parents.push(options.parent._tag)
        return new Tracer.NativeSpan(options)
      }
    })
    return Effect.gen(function*() {
      yield* Effect.withSpan(Effect.asVoid(follow()), "startup")
      yield* pass(2000)
      assert.deepStrictEqual(parents, ["None", "None"])
    }).pipe(Effect.scoped, Effect.provide(World()), Effect.provideService(Tracer.Tracer, tracer))
  })

  it.effect("the fake client: its token, and no end", () =>
    Effect.gen(function*() {
      const { fiber, seen } = yield* follow()
      yield* TestClock.adjust("1 day")
      assert.deepStrictEqual(seen.map(({ token }) => token), ["a-token"])
      assert.strictEqual(fiber.pollUnsafe(), undefined)
      assert.deepStrictEqual(yield* ConfidentialClient.TestCalls, [request])
    }).pipe(Effect.scoped, Effect.provide(ConfidentialClient.layerTest("a-token"))))
})

describe("the pause after a failure", () => {
  const backoff = { base: 30_000, cap: 300_000 }
  const problem = { message: "No.", remedy: "Wait." }
  const throttled = (source: "server" | "local", seconds: number) =>
    new EntraError.ThrottledError({
      ...problem,
      code: "throttled",
      origin: source === "server" ? "service" : "local",
      source,
      loopDetected: false,
      retryAfter: Duration.seconds(seconds)
    })
  const closed = new EntraError.ServiceUnavailableError({ ...problem, code: "client_closed", origin: "local" })

  it.each([
    { name: "the first failure", error: closed, failures: 1, left: Infinity, waits: false, pause: 30_000 },
    { name: "a defect", error: undefined, failures: 2, left: Infinity, waits: false, pause: 60_000 },
    { name: "the cap", error: closed, failures: 9, left: Infinity, waits: false, pause: 300_000 },
    {
      name: "a longer Retry-After",
      error: throttled("server", 700),
      failures: 1,
      left: Infinity,
      waits: false,
      pause: 700_000
    },
    {
      name: "a shorter Retry-After",
      error: throttled("server", 5),
      failures: 1,
      left: Infinity,
      waits: false,
      pause: 30_000
    },
    { name: "a closed gate", error: throttled("local", 5), failures: 3, left: Infinity, waits: false, pause: 5000 },
    {
      name: "a gate that opens now",
      error: throttled("local", 0),
      failures: 3,
      left: Infinity,
      waits: false,
      pause: 1000
    },
    { name: "a token that expires before", error: closed, failures: 3, left: 7000, waits: false, pause: 7000 },
    { name: "no valid token", error: closed, failures: 1, left: 0, waits: false, pause: undefined },
    { name: "no token", error: throttled("server", 5), failures: 1, left: -Infinity, waits: false, pause: undefined },
    {
      name: "no token, and a throttle",
      error: throttled("server", 5),
      failures: 1,
      left: -Infinity,
      waits: true,
      pause: 5000
    },
    { name: "no token, and another error", error: closed, failures: 1, left: -Infinity, waits: true, pause: undefined },
    { name: "no token, and a defect", error: undefined, failures: 1, left: -Infinity, waits: true, pause: undefined }
  ])("$name: $pause", ({ pause, ...failure }) => {
    assert.strictEqual(pauseAfterFailure(failure, backoff), pause)
  })

  it("without a backoff is a second", () => {
    const failure = { error: closed, failures: 3, left: Infinity, waits: false }
    assert.strictEqual(pauseAfterFailure(failure, { base: 0, cap: 0 }), 1000)
  })
})
