import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Fiber, Layer, Redacted, Schedule, Stream } from "effect"
import {
  AuthorityResolver,
  ClientCredential,
  ConfidentialClient,
  RetryPolicy,
  TokenCache,
  TokenEndpoint
} from "effect-entra"
import { EntraSimulator } from "effect-entra/testing"
import { TestClock } from "effect/testing"
import { assertToldInFull } from "./support/shown.ts"
import { contoso, fabrikam, graph, Simulator, tokenRequests, World } from "./support/world.ts"

const acquire = ConfidentialClient.acquireToken({ scopes: graph })
const token = Effect.map(acquire, (result) => Redacted.value(result.accessToken))
const { Fault } = EntraSimulator

/** Let flights in the background come to their end; no time passes. */
const settle = TestClock.adjust(0)

for (const refreshIn of [undefined, Duration.seconds(1500)]) {
  const named = refreshIn === undefined ? "without refresh_in" : "with refresh_in"
  const refreshAfter = refreshIn === undefined ? 1_799_500 : 1_500_000

  describe(`an hour's token, ${named}`, () => {
    it.effect("one effect value, run before and after its token expires, yields two tokens", () =>
      Effect.gen(function*() {
        const kept = token
        const before = yield* kept
        yield* TestClock.adjust("3599 seconds")
        const after = yield* kept
        assert.notStrictEqual(after, before)
        assert.strictEqual(yield* tokenRequests, 2)
      }).pipe(Effect.provide(World({ refreshIn }))))

    it.effect("Effect.repeat over a day never yields an expired token", () =>
      Effect.gen(function*() {
        const seen = new Set<string>()
        const checked = Effect.gen(function*() {
          const result = yield* acquire
          const now = yield* Clock.currentTimeMillis
          assert.isAbove(result.expiresOn.epochMilliseconds, now)
          seen.add(Redacted.value(result.accessToken))
        })
        const fiber = yield* Effect.forkChild(
          Effect.repeat(checked, Schedule.max([Schedule.spaced("7 minutes"), Schedule.recurs(200)]))
        )
        yield* TestClock.adjust("1 day")
        yield* Fiber.join(fiber)
        const requests = yield* tokenRequests
        // The very last call may have started a renewal whose token nobody saw.
        assert.isAtLeast(seen.size, requests - 1)
        assert.isAtLeast(requests, 40)
        assert.isAtMost(requests, 60)
      }).pipe(Effect.provide(World({ refreshIn }))))

    it.effect("a due token is served at once and renewed once in the background", () =>
      Effect.gen(function*() {
        const simulator = yield* EntraSimulator.EntraSimulator
        const first = yield* token
        yield* TestClock.adjust(refreshAfter)
        yield* simulator.fail(Fault.delay("5 seconds"))
        const served = yield* Effect.all(Array.from({ length: 100 }, () => acquire), { concurrency: "unbounded" })
        for (const result of served) {
          assert.strictEqual(Redacted.value(result.accessToken), first)
          assert.strictEqual(result.metadata.tokenSource, "Cache")
          assert.strictEqual(result.metadata.cacheRefreshReason, "ProactivelyRefreshed")
        }
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual(yield* tokenRequests, 2)
        const renewed = yield* acquire
        assert.notStrictEqual(Redacted.value(renewed.accessToken), first)
        assert.strictEqual(renewed.metadata.cacheRefreshReason, "NotApplicable")
        assert.strictEqual((yield* ConfidentialClient.stats).refreshes, 1)
      }).pipe(Effect.provide(World({ refreshIn }))))

    it.effect("the service answers 503: due tokens are served, last ones too and marked, then the error comes", () =>
      Effect.gen(function*() {
        const simulator = yield* EntraSimulator.EntraSimulator
        const first = yield* token
        yield* simulator.fail(Fault.unavailable(), { times: Infinity })

        yield* TestClock.adjust(refreshAfter)
        for (let call = 0; call < 20; call++) {
          const due = yield* acquire
          assert.strictEqual(Redacted.value(due.accessToken), first)
          assert.isFalse(due.metadata.outage)
          yield* TestClock.adjust("10 seconds")
        }

        yield* TestClock.setTime(3_599_000 - 100_000)
        const begun = yield* Clock.currentTimeMillis
        const callers = yield* Effect.forEach(
          Array.from({ length: 50 }),
          () => Effect.forkChild(acquire, { startImmediately: true })
        )
        yield* TestClock.adjust("2 seconds")
        for (const fiber of callers) {
          const last = yield* Fiber.join(fiber)
          assert.strictEqual(Redacted.value(last.accessToken), first)
          assert.deepStrictEqual({ ...last.metadata }, {
            tokenSource: "Cache",
            cacheLevel: "L1",
            cacheRefreshReason: "NotApplicable",
            outage: true,
            outageReason: "service_unavailable"
          })
        }
        assert.isAtMost((yield* Clock.currentTimeMillis) - begun, 2000)

        yield* TestClock.setTime(3_599_000)
        const fiber = yield* Effect.forkChild(Effect.flip(acquire), { startImmediately: true })
        yield* TestClock.adjust("30 seconds")
        const error = yield* Fiber.join(fiber)
        assert.strictEqual(error._tag, "EntraServiceUnavailableError")
      }).pipe(Effect.provide(World({ refreshIn }))))
  })
}

describe("renewal", () => {
  it.effect("rests after a failure: 30 s, doubling to 5 min, one flight each time", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* acquire
      yield* simulator.fail(Fault.refused({ code: 7000215, error: "invalid_client", status: 401 }), { times: Infinity })
      yield* TestClock.adjust("1800 seconds")
      const times: Array<number> = []
      let known = yield* tokenRequests
      for (let second = 0; second < 600; second++) {
        yield* acquire
        yield* settle
        const requests = yield* tokenRequests
        if (requests > known) times.push(second)
        known = requests
        yield* TestClock.adjust("1 second")
      }
      assert.deepStrictEqual(times, [0, 30, 90, 210, 450])
    }).pipe(Effect.provide(World())))

  it.effect("that began before an invalidate does not bring the token back", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* acquire
      yield* TestClock.adjust("1800 seconds")
      yield* simulator.fail(Fault.delay("5 seconds"))
      yield* acquire
      yield* TestClock.adjust(0)
      yield* ConfidentialClient.invalidate("all")
      yield* TestClock.adjust("5 seconds")
      assert.isUndefined(yield* ConfidentialClient.peek({ scopes: graph }))
      assert.strictEqual((yield* acquire).metadata.tokenSource, "IdentityProvider")
      assert.strictEqual(yield* tokenRequests, 3)
    }).pipe(Effect.provide(World())))

  it.effect("a token in its last minutes is renewed first when the service is well", () =>
    Effect.gen(function*() {
      const first = yield* token
      yield* TestClock.setTime(3_599_000 - 60_000)
      const { accessToken, metadata } = yield* acquire
      assert.notStrictEqual(Redacted.value(accessToken), first)
      assert.strictEqual(metadata.tokenSource, "IdentityProvider")
      assert.strictEqual(metadata.cacheRefreshReason, "Expired")
      assert.isFalse(metadata.outage)
    }).pipe(Effect.provide(World())))

  const refusals = [
    { code: 53003, error: "access_denied", reason: "blocked_by_policy" },
    { code: 700016, error: "unauthorized_client", reason: "client_unknown" },
    { code: 7000215, error: "invalid_client", reason: "secret_wrong" },
    { code: 7000112, error: "unauthorized_client", reason: "client_disabled" },
    { code: 90002, error: "invalid_request", reason: "tenant_unknown" },
    { code: 65001, error: "invalid_grant", reason: "consent_missing" },
    { code: 999999, error: "brand_new_error", reason: "request_refused" },
    { code: 50076, error: "interaction_required", claims: "{}", reason: "claims_required" }
  ] as const

  it.effect.each(refusals)(
    "a refusal (AADSTS$code) does not take the valid token from its callers",
    ({ reason, ...refusal }) =>
      Effect.gen(function*() {
        const simulator = yield* EntraSimulator.EntraSimulator
        const first = yield* token
        yield* TestClock.setTime(3_599_000 - 60_000)
        yield* simulator.fail(Fault.refused(refusal), { times: Infinity })
        for (let second = 0; second < 60; second++) {
          for (let call = 0; call < 3; call++) {
            const { accessToken, metadata } = yield* acquire
            assert.strictEqual(Redacted.value(accessToken), first)
            assert.deepStrictEqual({ ...metadata }, {
              tokenSource: "Cache",
              cacheLevel: "L1",
              cacheRefreshReason: "NotApplicable",
              outage: true,
              outageReason: reason
            })
          }
          yield* TestClock.adjust("1 second")
        }
        // After 0, 5, 15 and 35 seconds at the earliest.
        assert.isAtMost(yield* tokenRequests, 5)
        // The token has expired.
        assert.strictEqual((yield* Effect.flip(acquire)).code, reason)
        yield* simulator.clearFaults
        yield* TestClock.adjust("60 seconds")
        assert.isFalse((yield* acquire).metadata.outage)
      }).pipe(Effect.provide(World()))
  )

  it.effect("a refusal reaches a caller who refuses the token at hand", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      const { accessToken } = yield* acquire
      yield* TestClock.setTime(3_599_000 - 60_000)
      yield* simulator.fail(Fault.refused(refusals[0]), { times: Infinity })
      const accessTokenSha256ToRefresh = yield* ConfidentialClient.accessTokenSha256(accessToken)
      for (
        const own of [{ forceRefresh: true }, { claims: "{}" }, { accessTokenSha256ToRefresh }, {
          minimumValidity: "2 minutes"
        }] as const
      ) {
        const error = yield* Effect.flip(ConfidentialClient.acquireToken({ scopes: graph, ...own }))
        assert.strictEqual(error.code, "blocked_by_policy")
      }
      assert.isTrue((yield* acquire).metadata.outage)
    }).pipe(Effect.provide(World())))

  it.effect("a refusal is an event, although its callers do not notice it", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* acquire
      yield* TestClock.setTime(3_599_000 - 60_000)
      yield* simulator.fail(Fault.refused(refusals[0]), { times: Infinity })
      const events = yield* Effect.forkChild(
        Stream.runCollect(Stream.take(ConfidentialClient.events, 1)),
        { startImmediately: true }
      )
      yield* acquire
      const [event] = yield* Fiber.join(events)
      assert.deepInclude<object>({ ...event }, {
        _tag: "AcquisitionFailed",
        cacheRefreshReason: "ProactivelyRefreshed"
      })
      assert.strictEqual(event?._tag === "AcquisitionFailed" ? event.error.code : undefined, "blocked_by_policy")
    }).pipe(Effect.provide(World())))

  it.effect.each([{ serveStaleOnRefusal: false }, { serveStaleOnOutage: false }])(
    "with %o a refusal reaches the callers of a token in its last minutes",
    (renewal) =>
      Effect.gen(function*() {
        const simulator = yield* EntraSimulator.EntraSimulator
        yield* acquire
        yield* simulator.removeSecret(EntraSimulator.daemonClientId, EntraSimulator.daemonSecret)
        yield* TestClock.setTime(3_599_000 - 60_000)
        assert.strictEqual((yield* Effect.flip(acquire)).code, "secret_wrong")
      }).pipe(Effect.provide(World({ client: { renewal } })))
  )

  it.effect("with serveStaleOnRefusal: false an outage still leaves the token in use, with its reason", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* acquire
      yield* TestClock.setTime(3_599_000 - 60_000)
      yield* simulator.fail(Fault.unavailable(), { times: Infinity })
      const { metadata } = yield* acquire
      assert.deepInclude(metadata, { outage: true, outageReason: "service_unavailable" })
    }).pipe(
      Effect.provide(World({ retry: RetryPolicy.none, client: { renewal: { serveStaleOnRefusal: false } } }))
    ))

  it.effect("a slow service costs a caller in the last minutes two seconds at most, and the flight goes on", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      const first = yield* token
      yield* TestClock.setTime(3_599_000 - 60_000)
      yield* simulator.fail(Fault.delay("8 seconds"))
      const fiber = yield* Effect.forkChild(acquire, { startImmediately: true })
      yield* TestClock.adjust("2 seconds")
      const slow = yield* Fiber.join(fiber)
      assert.isTrue(slow.metadata.outage)
      assert.strictEqual(Redacted.value(slow.accessToken), first)
      const next = yield* acquire
      assert.isTrue(next.metadata.outage, "whoever comes next does not wait again")
      yield* TestClock.adjust("6 seconds")
      assert.notStrictEqual(yield* token, first)
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(Effect.provide(World())))

  it.effect("a token that expires while its refresh runs is not served: the caller waits for the new one", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      const first = yield* token
      yield* TestClock.setTime(3_599_000 - 1000)
      yield* simulator.fail(Fault.delay("8 seconds"))
      const fiber = yield* Effect.forkChild(acquire, { startImmediately: true })
      yield* TestClock.adjust("7999 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      const { accessToken, metadata } = yield* Fiber.join(fiber)
      assert.notStrictEqual(Redacted.value(accessToken), first)
      assert.isFalse(metadata.outage)
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(Effect.provide(World())))

  it.effect("serveStaleOnOutage: false asks for the truth", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* acquire
      yield* TestClock.setTime(3_599_000 - 60_000)
      yield* simulator.fail(Fault.unavailable(), { times: Infinity })
      const fiber = yield* Effect.forkChild(Effect.flip(acquire), { startImmediately: true })
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "EntraServiceUnavailableError")
    }).pipe(Effect.provide(World({ client: { renewal: { serveStaleOnOutage: false } } }))))

  it.effect("five-minute tokens are cached too", () =>
    Effect.gen(function*() {
      for (let second = 0; second < 900; second++) {
        yield* acquire
        yield* TestClock.adjust("1 second")
      }
      const stats = yield* ConfidentialClient.stats
      assert.isAbove(stats.hitRate, 0.99)
      assert.isAtMost(yield* tokenRequests, 8)
    }).pipe(Effect.provide(World({ tokenLifetime: "300 seconds" }))))

  for (const lifetime of [300, 299, 60]) {
    it.effect(
      `tokens of ${lifetime} s reach a hit rate above 99 % in three hours of one call a second`,
      () =>
        Effect.gen(function*() {
          for (let second = 0; second < 3 * 3600; second++) {
            const { expiresOn } = yield* acquire
            assert.isAbove(expiresOn.epochMilliseconds, second * 1000)
            yield* TestClock.adjust("1 second")
          }
          const { hitRate, hits, misses } = yield* ConfidentialClient.stats
          assert.isAbove(hitRate, 0.99)
          assert.strictEqual(hits + misses, 3 * 3600)
          assert.strictEqual(misses, 1, "only the first caller waited")
          // Half a life each, up to a tenth of that earlier, and a second for who asks.
          assert.isAtMost(yield* tokenRequests, Math.ceil((3 * 3600) / (0.45 * lifetime - 1)) + 1)
        }).pipe(Effect.provide(World({ tokenLifetime: `${lifetime} seconds` }))),
      30_000
    )
  }

  it.effect("two clients over one cache: the second waits for the first and asks nobody", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      const other = yield* secondClient()
      yield* simulator.fail(Fault.delay("1 second"), { times: 2 })
      const fibers = yield* Effect.forEach(
        [acquire, other.acquireToken({ scopes: graph })],
        (each) => Effect.forkChild(each, { startImmediately: true })
      )
      yield* TestClock.adjust("3 seconds")
      const [mine, theirs] = yield* Effect.forEach(fibers, Fiber.join)
      assert.strictEqual(mine?.metadata.tokenSource, "IdentityProvider")
      assert.strictEqual(theirs?.metadata.tokenSource, "Cache")
      assert.strictEqual(theirs?.metadata.cacheLevel, "L1")
      assert.strictEqual(yield* tokenRequests, 1)
    }).pipe(Effect.provide(SharedWorld)))

  it.effect("two clients over one cache: who waited for a renewal that failed is told the truth about the old token", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      const other = yield* secondClient()
      yield* acquire
      yield* TestClock.setTime(3_599_000 - 60_000)
      yield* simulator.fail(Fault.refused({ code: 90033, error: "temporarily_unavailable", status: 503 }), {
        times: Infinity
      })
      const fibers = yield* Effect.forEach(
        [acquire, other.acquireToken({ scopes: graph })],
        (each) =>
          Effect.forkChild(each.pipe(Effect.provideService(RetryPolicy.Current, RetryPolicy.none)), {
            startImmediately: true
          })
      )
      yield* TestClock.adjust("2 seconds")
      for (const { metadata } of yield* Effect.forEach(fibers, Fiber.join)) assert.isTrue(metadata.outage)
    }).pipe(Effect.provide(SharedWorld)))

  it.effect("two clients over one cache: a renewal that waited for another's request shares its outage, and rests", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      const other = yield* secondClient()
      const first = yield* token
      yield* TestClock.setTime(1_800_000)
      yield* simulator.fail(Fault.delay("1 hour"))
      const forced = yield* Effect.forkChild(
        Effect.flip(other.acquireToken({ scopes: graph, forceRefresh: true })).pipe(
          Effect.provideService(RetryPolicy.Current, RetryPolicy.none)
        ),
        { startImmediately: true }
      )
      assert.strictEqual(yield* token, first)
      yield* settle
      assert.strictEqual(yield* tokenRequests, 2)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* Fiber.join(forced)).code, "timeout")
      assert.strictEqual(yield* token, first)
      assert.strictEqual(yield* tokenRequests, 2)
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(yield* token, first)
      yield* settle
      assert.strictEqual(yield* tokenRequests, 3)
      assert.notStrictEqual(yield* token, first)
    }).pipe(Effect.provide(SharedWorld)))

  it.effect("two clients over one cache: a guard holds for what the other has cached", () =>
    Effect.gen(function*() {
      const guarded = yield* secondClient({ allowedTenants: [fabrikam] })
      yield* acquire
      const error = yield* Effect.flip(guarded.acquireToken({ scopes: graph, tenantId: contoso }))
      assert.strictEqual(error.code, "tenant_not_allowed")
      assertToldInFull(error)
    }).pipe(Effect.provide(SharedWorld)))
})

describe("minimumValidity", () => {
  const needs = (minimumValidity: Duration.Input) => ConfidentialClient.acquireToken({ scopes: graph, minimumValidity })

  it.effect.each([
    Number.NaN,
    -1,
    Infinity,
    "abc",
    "-5 minutes",
    "Infinity",
    "5 parsecs",
    null,
    true,
    [Number.NaN, 1],
    { seconds: Number.NaN, minutes: 5 },
    { mins: 5 }
  ])("%j is refused before any request", (minimumValidity) =>
    Effect.gen(function*() {
      const wrong = { scopes: graph, minimumValidity: minimumValidity as never }
      const error = yield* Effect.flip(ConfidentialClient.acquireToken(wrong))
      assert.strictEqual(error._tag, "EntraInvalidRequestError")
      assert.deepStrictEqual([error.code, "field" in error ? error.field : ""], ["field_malformed", "minimumValidity"])
      assertToldInFull(error)
      assert.strictEqual(yield* tokenRequests, 0)
      yield* acquire
      assert.isUndefined(yield* ConfidentialClient.peek(wrong))
    }).pipe(Effect.provide(World())))

  it.effect("a token that is valid for longer is served, one valid for less is replaced first", () =>
    Effect.gen(function*() {
      const first = yield* token
      yield* TestClock.setTime(3_599_000 - 1_200_000)
      const due = yield* needs("20 minutes")
      assert.strictEqual(Redacted.value(due.accessToken), first)
      assert.strictEqual(due.metadata.cacheRefreshReason, "ProactivelyRefreshed")
      yield* settle
      assert.strictEqual(yield* tokenRequests, 2, "due, so it was renewed too")
      const second = yield* token
      yield* TestClock.adjust(3_599_000 - 1_199_999)
      const replaced = yield* needs("20 minutes")
      assert.notStrictEqual(Redacted.value(replaced.accessToken), second)
      assert.strictEqual(replaced.metadata.cacheRefreshReason, "Expired")
      assert.strictEqual(yield* tokenRequests, 3)
    }).pipe(Effect.provide(World())))

  it.effect("peek goes by it too", () =>
    Effect.gen(function*() {
      yield* acquire
      yield* TestClock.setTime(3_599_000 - 1_200_000)
      const look = (minimumValidity: Duration.Input) => ConfidentialClient.peek({ scopes: graph, minimumValidity })
      assert.isDefined(yield* look("20 minutes"))
      assert.isUndefined(yield* look("1201 seconds"))
      assert.strictEqual(yield* tokenRequests, 1)
    }).pipe(Effect.provide(World())))

  it.effect("joins the flight of those who need less", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* acquire
      yield* TestClock.setTime(2_400_000)
      yield* simulator.fail(Fault.delay("5 seconds"))
      // Served at once, and renewed behind its back.
      yield* acquire
      const fiber = yield* Effect.forkChild(needs("50 minutes"), { startImmediately: true })
      yield* TestClock.adjust("5 seconds")
      assert.isAbove((yield* Fiber.join(fiber)).expiresOn.epochMilliseconds, 2_405_000 + 3_000_000)
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(Effect.provide(World())))

  it.effect("a service that issues shorter ones is asked ten times a lifetime at most, and the result tells the truth", () =>
    Effect.gen(function*() {
      for (let second = 0; second < 3000; second++) {
        const { expiresOn } = yield* needs("1 day")
        assert.isAtMost(expiresOn.epochMilliseconds, second * 1000 + 300_000)
        assert.isAtLeast(expiresOn.epochMilliseconds, second * 1000 + 270_000)
        yield* TestClock.adjust("1 second")
      }
      assert.strictEqual(yield* tokenRequests, 100)
    }).pipe(Effect.provide(World({ tokenLifetime: "300 seconds" }))))

  it.effect("cannot be had: the error, and the token in hand for those who need less", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      const first = yield* token
      yield* TestClock.setTime(1_000_000)
      yield* simulator.fail(Fault.throttled({ retryAfter: "10 minutes" }))
      assert.strictEqual((yield* Effect.flip(needs("50 minutes")))._tag, "EntraThrottledError")
      assert.strictEqual((yield* Effect.flip(needs("50 minutes")))._tag, "EntraThrottledError")
      assert.strictEqual(yield* token, first)
      assert.strictEqual(Redacted.value((yield* needs("40 minutes")).accessToken), first)
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(Effect.provide(World())))

  it.effect("in its last minutes a token is stretched only for those for whom it is long enough", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* acquire
      yield* TestClock.setTime(3_599_000 - 120_000)
      yield* simulator.fail(Fault.delay("1 hour"), { times: Infinity })
      const fibers = yield* Effect.forEach(
        [needs("1 minute"), needs("119 seconds")],
        (each) => Effect.forkChild(each, { startImmediately: true })
      )
      yield* TestClock.adjust("2 seconds")
      const [enough, short] = fibers
      assert.isTrue(enough !== undefined && (yield* Fiber.join(enough)).metadata.outage)
      assert.isUndefined(short?.pollUnsafe())
      yield* TestClock.adjust("30 seconds")
      const error = short === undefined ? undefined : yield* Effect.flip(Fiber.join(short))
      assert.strictEqual(error?._tag, "EntraServiceUnavailableError")
    }).pipe(Effect.provide(World())))

  it.effect("0 is none", () =>
    Effect.gen(function*() {
      yield* acquire
      for (const none of [0, "0 seconds", Duration.zero, 0n, { seconds: 0 }, [0, 0]] as const) {
        assert.strictEqual((yield* needs(none)).metadata.tokenSource, "Cache")
      }
      assert.strictEqual(yield* tokenRequests, 1)
    }).pipe(Effect.provide(World())))
})

const client: ConfidentialClient.Options = { clientId: EntraSimulator.daemonClientId, tenantId: contoso }

/** The services stay in reach, so that a test can make more clients over them. */
const SharedWorld = ConfidentialClient.layer(client).pipe(
  Layer.provideMerge([
    ClientCredential.layerSecret(EntraSimulator.daemonSecret),
    AuthorityResolver.layer,
    TokenEndpoint.layer,
    TokenCache.layerMemory()
  ]),
  Layer.provideMerge(Simulator())
)

const secondClient = (options: Partial<ConfidentialClient.Options> = {}) =>
  Effect.flatMap(
    ClientCredential.ClientCredential,
    (credential) => ConfidentialClient.make({ ...client, ...options, credential })
  )
