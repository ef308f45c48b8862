/** Findings of a hostile review. Each of these tests failed first. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Redacted } from "effect"
import {
  AuthorityResolver,
  ClientCredential,
  ConfidentialClient,
  RetryPolicy,
  TokenCache,
  TokenEndpoint
} from "effect-entra"
import { EntraSimulator } from "effect-entra/testing"
import { HttpClient, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { inspect } from "node:util"
import { type CachedToken } from "../src/internal/cache/cachedToken.ts"
import { keyOf } from "../src/internal/cache/cacheKey.ts"
import { entryOf, tokenOf } from "./internal/support.ts"
import { wrapped } from "./support/credentials.ts"
import { silent } from "./support/log.ts"
import { contoso, graph, Simulator, tokenRequests, World } from "./support/world.ts"

const { Fault } = EntraSimulator
const request = { scopes: graph }
const acquire = ConfidentialClient.acquireToken(request)
const token = Effect.map(acquire, (result) => Redacted.value(result.accessToken))
const start = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })
const impatient = Effect.provideService(RetryPolicy.Current, RetryPolicy.none)

/** A client over a transport of the test's own. */
const over = (client: HttpClient.HttpClient) =>
  ConfidentialClient.layer({ clientId: "an-app", tenantId: contoso }).pipe(
    Layer.provide([
      ClientCredential.layerSecret(Redacted.make("s3cr3t-value")),
      AuthorityResolver.layerKnownClouds,
      TokenEndpoint.layer,
      TokenCache.layerMemory()
    ]),
    Layer.provide(Layer.succeed(HttpClient.HttpClient, client)),
    Layer.provideMerge(silent)
  )

const broken = (init: ResponseInit) =>
  HttpClient.make((request) =>
    Effect.sync(() => {
      const body = new ReadableStream({ start: (controller) => controller.error(new Error("cut")) })
      return HttpClientResponse.fromWeb(request, new Response(body, init))
    })
  )

describe("answers", () => {
  it.live("a 429 whose body breaks off is a 429", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(acquire)
      assert.strictEqual(error._tag, "EntraThrottledError")
      assert.strictEqual(Duration.toSeconds(error.retryAfter ?? 0), 600)
    }).pipe(Effect.provide(over(broken({ status: 429, headers: { "retry-after": "600" } })))))

  it.effect("a megabyte of half JWTs does not freeze the process", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      const error_description = "-eyJaaaaa".repeat(110_000)
      yield* simulator.fail(
        Fault.custom({ status: 400, body: JSON.stringify({ error: "invalid_request", error_description }) })
      )
      // It took minutes, far beyond any test's bound.
      const error = yield* Effect.flip(acquire)
      assert.isBelow(error.message.length, 2100)
    }).pipe(Effect.provide(World())))

  it.effect("what a credential puts into headers is scrubbed from echoes", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      const secret = "c2VjcmV0IGhlYWRlcg"
      yield* simulator.fail(
        Fault.custom({
          status: 400,
          body: JSON.stringify({ error: "invalid_request", error_description: `saw ${secret}` })
        })
      )
      const credential = yield* ClientCredential.secret(EntraSimulator.daemonSecret)
      const client = yield* ConfidentialClient.make({
        clientId: EntraSimulator.daemonClientId,
        tenantId: contoso,
        credential: wrapped(credential, () => ({
          authenticate: () => Effect.succeed({ form: {}, headers: { authorization: `Basic ${secret}` } })
        }))
      })
      const error = yield* Effect.flip(client.acquireToken(request))
      assert.notInclude(error.message, secret)
    }).pipe(Effect.provide(Services)))

  for (
    const [name, client] of [
      ["dies", HttpClient.make((request) => Effect.die(request))],
      [
        "throws",
        HttpClient.make((request) => {
          throw Object.assign(new Error("boom"), { request })
        })
      ],
      [
        "fails untyped",
        HttpClient.make(() => Effect.fail(Object.assign(new Error("boom"), { body: "s3cr3t-value" }) as never))
      ]
    ] as const
  ) {
    it.live(`a transport that ${name} tells nobody the request`, () =>
      Effect.gen(function*() {
        const exit = yield* Effect.exit(impatient(acquire))
        const bytes = new TextEncoder().encode("s3cr3t-value").join(", ")
        const text = inspect(exit, { depth: 30, maxArrayLength: null, showHidden: true })
        assert.notInclude(text, "s3cr3t-value")
        assert.notInclude(text.replaceAll(/\s+/g, " "), bytes)
        assert.include(text, "EntraNetworkError")
      }).pipe(Effect.provide(over(client))))
  }

  it.live("a caller's own fetch does not carry the flight of all", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const { FetchHttpClient } = yield* Effect.promise(() => import("effect/http"))
      const answering = (body: string): typeof fetch => () => Promise.resolve(new Response(body))
      const spy: typeof fetch = (input) => {
        seen.push(String(input))
        return Promise.resolve(new Response("{}"))
      }
      const ours = answering(JSON.stringify({ access_token: "right", token_type: "Bearer", expires_in: 60 }))
      const live = ConfidentialClient.layer({ clientId: "an-app", tenantId: contoso }).pipe(
        Layer.provide([
          ClientCredential.layerSecret(Redacted.make("s3cr3t-value")),
          AuthorityResolver.layerKnownClouds,
          TokenEndpoint.layer,
          TokenCache.layerMemory()
        ]),
        Layer.provide(FetchHttpClient.layer.pipe(Layer.provide(Layer.succeed(FetchHttpClient.Fetch, ours))))
      )
      const got = yield* token.pipe(
        Effect.provideService(FetchHttpClient.Fetch, spy),
        Effect.provide(live),
        Effect.provide(silent)
      )
      assert.strictEqual(got, "right")
      assert.deepStrictEqual(seen, [])
    }))
})

describe("flights", () => {
  it.effect("who asks after an invalidation gets a token that was asked for after it", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* simulator.fail(Fault.delay("1 second"), { times: 2 })
      const before = yield* start(token)
      yield* ConfidentialClient.invalidate("all")
      const after = yield* start(token)
      yield* TestClock.adjust("3 seconds")
      assert.notStrictEqual(yield* Fiber.join(after), yield* Fiber.join(before))
      assert.strictEqual(yield* tokenRequests, 2)
      assert.strictEqual(yield* token, yield* Fiber.join(after))
    }).pipe(Effect.provide(World())))

  it.effect("an older renewal does not replace the token of a later forced request", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* acquire
      yield* TestClock.adjust("1800 seconds")
      yield* simulator.fail(Fault.delay("5 seconds"))
      yield* acquire
      yield* TestClock.adjust(0)
      const forced = yield* ConfidentialClient.acquireToken({ ...request, forceRefresh: true })
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* tokenRequests, 3)
      assert.strictEqual(yield* token, Redacted.value(forced.accessToken))
    }).pipe(Effect.provide(World())))

  it.effect("a flight that backs off hears of the Retry-After that another was told", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* simulator.fail(Fault.unavailable())
      yield* simulator.fail(Fault.throttled({ retryAfter: "600 seconds" }))
      const waiting = yield* start(Effect.flip(acquire))
      yield* Effect.flip(ConfidentialClient.acquireToken({ ...request, forceRefresh: true }))
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual((yield* Fiber.join(waiting))._tag, "EntraThrottledError")
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(Effect.provide(World())))

  it.effect("a flight that starts late takes what has landed since its caller looked", () =>
    Effect.gen(function*() {
      const cache = yield* TokenCache.TokenCache
      const entry = entryOf({ space: "s", tenant: "t", scopes: "x" })
      let fetched = 0
      const fetch = Effect.sync(() => {
        fetched++
        return tokenOf()
      })
      const key = keyOf("s", "t", "x")
      const lead = (seen: CachedToken | undefined) => cache.lead(key, fetch, { fresh: false, seen, read: () => entry })
      assert.strictEqual((yield* lead(undefined)).level, "None")
      assert.strictEqual((yield* lead(undefined)).level, "L1")
      assert.strictEqual(fetched, 1)
      assert.strictEqual((yield* lead(entry)).level, "None")
      assert.strictEqual(fetched, 2)
    }).pipe(Effect.provide(TokenCache.layerMemory())))
})

describe("credentials that misbehave", () => {
  const misbehaving = (prove: Effect.Effect<string>) => {
    let calls = 0
    const layer = ClientCredential.layerAssertion(() =>
      Effect.suspend(() => ++calls === 1 ? Effect.succeed("aaa.bbb.ccc") : prove)
    )
    return { calls: () => calls, layer }
  }
  const answered = Fault.custom({
    status: 200,
    body: JSON.stringify({ access_token: "a-token", token_type: "Bearer", expires_in: 3600 })
  })

  for (
    const [name, prove, code] of [
      ["dies", Effect.die(new Error("PEM-SECRET")), "credential_defect"],
      [
        "throws",
        Effect.sync(() => {
          throw new Error("PEM-SECRET")
        }),
        "credential_defect"
      ],
      ["interrupts itself", Effect.interrupt, "credential_defect"],
      ["hangs", Effect.never, "credential_timeout"]
    ] as const
  ) {
    it.effect(`one that ${name} is told as ours, rests, and withholds no valid token`, () => {
      const { calls, layer } = misbehaving(prove)
      return Effect.gen(function*() {
        const simulator = yield* EntraSimulator.EntraSimulator
        yield* simulator.fail(answered, { times: 1 })
        yield* acquire
        yield* TestClock.setTime(1_900_000)
        for (let hit = 0; hit < 50; hit++) yield* acquire
        yield* TestClock.adjust("10 seconds")
        for (let hit = 0; hit < 50; hit++) yield* acquire
        assert.strictEqual(calls(), 2)
        yield* TestClock.setTime(3_600_000 - 60_000)
        const last = yield* start(acquire)
        yield* TestClock.adjust("2 seconds")
        assert.isTrue((yield* Fiber.join(last)).metadata.outage)
        yield* TestClock.setTime(3_700_000)
        for (let call = 0; call < 8; call++) {
          const fiber = yield* start(Effect.flip(acquire))
          yield* TestClock.adjust("10 seconds")
          const error = yield* Fiber.join(fiber)
          assert.strictEqual(error.code, code)
          assert.notInclude(inspect(error, { depth: 20, showHidden: true }), "PEM-SECRET")
        }
      }).pipe(Effect.provide(World({ credential: layer })))
    })
  }

  it.effect("one that never says whether it has new material holds nobody for long", () =>
    Effect.gen(function*() {
      const credential = yield* ClientCredential.secret(Redacted.make("wrong"))
      const client = yield* ConfidentialClient.make({
        clientId: EntraSimulator.daemonClientId,
        tenantId: contoso,
        credential: wrapped(credential, () => ({ refused: () => Effect.never }))
      })
      const fiber = yield* start(Effect.flip(client.acquireToken(request)))
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* Fiber.join(fiber)).code, "secret_wrong")
    }).pipe(Effect.provide(Services)))

  it.effect("new material waits too when the service asked to wait", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* simulator.fail(
        Fault.refused({ code: 7000222, error: "invalid_client", status: 401, retryAfter: "600 seconds" })
      )
      const credential = yield* ClientCredential.secret(EntraSimulator.daemonSecret)
      const client = yield* ConfidentialClient.make({
        clientId: EntraSimulator.daemonClientId,
        tenantId: contoso,
        credential: wrapped(credential, () => ({ refused: () => Effect.succeed(true) }))
      })
      assert.strictEqual((yield* Effect.flip(client.acquireToken(request))).code, "secret_expired")
      assert.strictEqual(yield* tokenRequests, 1)
    }).pipe(Effect.provide(Services)))
})

describe("bounds", () => {
  it.effect("made-up tenants do not push a Retry-After out of the gates", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* simulator.fail(Fault.throttled({ retryAfter: "600 seconds" }))
      yield* Effect.flip(acquire)
      for (let n = 0; n < 1100; n++) {
        yield* Effect.flip(ConfidentialClient.acquireToken({ ...request, tenantId: `t${n}.example` }))
      }
      assert.strictEqual((yield* Effect.flip(acquire))._tag, "EntraThrottledError")
      assert.strictEqual(yield* tokenRequests, 1101)
    }).pipe(Effect.provide(World())))

  it.effect("very long scopes and claims are refused before they are remembered", () =>
    Effect.gen(function*() {
      const scopes = `api://${"x".repeat(100_000)}/.default`
      assert.strictEqual((yield* Effect.flip(ConfidentialClient.acquireToken({ scopes }))).code, "scope_malformed")
      const claims = JSON.stringify({ x: "y".repeat(100_000) })
      assert.strictEqual(
        (yield* Effect.flip(ConfidentialClient.acquireToken({ ...request, claims }))).code,
        "field_malformed"
      )
      assert.strictEqual(yield* tokenRequests, 0)
    }).pipe(Effect.provide(World())))

  it.effect("a clock that is set back prolongs neither a Retry-After nor an outage", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* TestClock.setTime(Duration.toMillis("365 days"))
      yield* simulator.fail(Fault.throttled({ retryAfter: "60 seconds" }))
      yield* Effect.flip(acquire)
      yield* TestClock.setTime(Duration.toMillis("1 day"))
      assert.strictEqual((yield* Effect.flip(acquire)).code, "throttled")
      yield* TestClock.adjust("60 seconds")
      yield* acquire
    }).pipe(Effect.provide(World())))
})

describe("guards and types", () => {
  for (const [name, answer] of [["a promise", Promise.resolve(true)], ["undefined", undefined], ["1", 1]] as const) {
    it.effect(`a predicate that answers ${name} lets nobody in`, () =>
      Effect.gen(function*() {
        assert.strictEqual((yield* Effect.flip(acquire)).code, "tenant_not_allowed")
      }).pipe(Effect.provide(World({ client: { allowedTenants: () => answer as never } }))))
  }

  it.effect("what has the wrong type is told by field, warm or cold", () =>
    Effect.gen(function*() {
      const client = yield* ConfidentialClient.ConfidentialClient
      const mistyped: ReadonlyArray<readonly [unknown, string]> = [
        [undefined, "request"],
        [null, "request"],
        ["x", "request"],
        [{}, "scopes"],
        [{ scopes: null }, "scopes"],
        [{ scopes: [5] }, "scopes"],
        [{ scopes: { length: 1, 0: graph } }, "scopes"],
        [{ scopes: graph, tenantId: null }, "tenantId"],
        [{ scopes: graph, tenantId: [contoso] }, "tenantId"],
        [{ scopes: graph, authority: 5 }, "authority"],
        [{ scopes: graph, correlationId: 5 }, "correlationId"],
        [{ scopes: graph, claims: {} }, "claims"]
      ]
      for (const warm of [false, true]) {
        if (warm) yield* acquire
        for (const [value, field] of mistyped) {
          // A hit sends nothing, so it does not look at what would be sent along.
          if (warm && field === "correlationId") continue
          const error = yield* Effect.flip(client.acquireToken(value as never))
          assert.strictEqual(error._tag, "EntraInvalidRequestError")
          assert.strictEqual("field" in error ? error.field : "", field)
          assert.isUndefined(client.peek(value as never))
        }
      }
      assert.strictEqual(yield* tokenRequests, 1)
    }).pipe(Effect.provide(World())))

  it.effect("the result that all share cannot be changed", () =>
    Effect.gen(function*() {
      const result = yield* acquire
      assert.isTrue(Object.isFrozen(result))
      assert.isTrue(Object.isFrozen(result.scopes))
      const hit = yield* acquire
      assert.isTrue(Object.isFrozen(hit) && Object.isFrozen(hit.metadata))
    }).pipe(Effect.provide(World())))
})

/** The services alone, for clients made by the tests. */
const Services = Layer.mergeAll(AuthorityResolver.layer, TokenEndpoint.layer, TokenCache.layerMemory()).pipe(
  Layer.provideMerge(Simulator())
)
