/** The behavior of the throttle gate after each response without a token, one row per response. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Duration, Effect, Exit, Fiber, Layer, Redacted, Scope } from "effect"
import { ClientCredential, ConfidentialClient, type EntraError, TokenCache, type TokenRequest } from "effect-entra"
import { EntraSimulator } from "effect-entra/testing"
import { TestClock } from "effect/testing"
import { wrapped } from "./support/credentials.ts"
import { assertToldInFull } from "./support/shown.ts"
import { contoso, graph, orders, tokenRequests, World } from "./support/world.ts"

const { Fault } = EntraSimulator
const request = { scopes: graph }
const acquire = ConfidentialClient.acquireToken(request)
const forced = ConfidentialClient.acquireToken({ ...request, forceRefresh: true })

const fail = (...parameters: Parameters<EntraSimulator.EntraSimulator["Service"]["fail"]>) =>
  EntraSimulator.EntraSimulator.use((simulator) => simulator.fail(...parameters))

const state = Effect.map(ConfidentialClient.stats, ({ refused, throttled }) => ({ throttled, refused }))

const secondsOf = (error: EntraError.AcquireTokenError) =>
  error.retryAfter === undefined ? undefined : Duration.toSeconds(error.retryAfter)

/** While the time that the flight needs goes by. */
const after = <A, E, R>(effect: Effect.Effect<A, E, R>, time: Duration.Input) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
    yield* TestClock.adjust(time)
    return yield* Fiber.join(fiber)
  })

const start = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })

/** A credential whose material changes on command. */
const renewable = () => {
  let revision = 0
  let proofs = 0
  return {
    /** How often it had to prove who the client is. */
    proofs: () => proofs,
    renew: Effect.sync(() => {
      revision++
    }),
    layer: Layer.effect(
      ClientCredential.ClientCredential,
      Effect.map(
        ClientCredential.secret(EntraSimulator.daemonSecret),
        (secret) =>
          wrapped(secret, ({ authenticate }) => ({
            revision: () => `revision ${revision}`,
            authenticate: (attempt) => {
              proofs++
              return authenticate(attempt)
            }
          }))
      )
    )
  }
}

interface Row {
  readonly name: string
  readonly fault: ReturnType<typeof Fault.custom>
  /** Of the error that those who wait get. */
  readonly tag: EntraError.AcquireTokenError["_tag"]
  readonly retryAfter?: number
  readonly requests: number
  /** Seconds that the flight takes at most. */
  readonly takes?: number
}

const entra = (
  code: number,
  error: string,
  status = 400,
  more: { readonly claims?: string; readonly retryAfter?: Duration.Input } = {}
) => Fault.refused({ code, error, status, ...more })
const answer = (status: number, retryAfter: string | undefined, body = "") =>
  Fault.custom({ status, body, headers: retryAfter === undefined ? {} : { "retry-after": retryAfter } })
const date = (seconds: number) => new Date(seconds * 1000).toUTCString()
const html = "<!DOCTYPE html><html><body>Too many requests</body></html>"
const json = (error: string, code: number) =>
  JSON.stringify({ error, error_description: `AADSTS${code}: no.`, error_codes: [code] })

/** Closed for `retryAfter` seconds, forced or not, invalidated or not; new material has a gate of its own. */
const throttles: ReadonlyArray<Row & { readonly retryAfter: number }> = [
  ...[
    { name: "an empty body", body: "" },
    { name: "HTML", body: html },
    { name: "Entra's JSON", body: json("temporarily_unavailable", 90055) },
    { name: "JSON that says nothing", body: "{}" },
    { name: "JSON that breaks off", body: `{"error":` }
  ].flatMap(({ body, name }) => [
    { name: `429, seconds, ${name}`, fault: answer(429, "17", body), retryAfter: 17 },
    { name: `429, a date, ${name}`, fault: answer(429, date(17), body), retryAfter: 17 },
    { name: `429, no Retry-After, ${name}`, fault: answer(429, undefined, body), retryAfter: 60 }
  ]).map(({ fault, name, retryAfter }) => ({
    name,
    fault,
    tag: "EntraThrottledError" as const,
    retryAfter,
    requests: 1
  })),
  { name: "429, two hours", fault: answer(429, "7200"), tag: "EntraThrottledError", retryAfter: 3600, requests: 1 },
  {
    name: "429, a date gone by",
    fault: answer(429, date(-17)),
    tag: "EntraThrottledError",
    retryAfter: 60,
    requests: 1
  },
  { name: "429, no time at all", fault: answer(429, "soon"), tag: "EntraThrottledError", retryAfter: 60, requests: 1 },
  { name: "AADSTS50196", fault: Fault.loopDetected, tag: "EntraThrottledError", retryAfter: 60, requests: 1 },
  ...[
    { name: "503, seconds, Entra's JSON", fault: Fault.unavailable({ retryAfter: "90 seconds" }) },
    { name: "503, seconds, empty", fault: answer(503, "90") },
    { name: "503, a date, HTML", fault: answer(503, date(90), html) },
    { name: "500, seconds", fault: answer(500, "90") },
    { name: "408, seconds", fault: answer(408, "90") }
  ].map(({ fault, name }) => ({
    name,
    fault,
    tag: "EntraServiceUnavailableError" as const,
    retryAfter: 90,
    requests: 1
  })),
  {
    name: "503, Retry-After within the budget, again and again",
    fault: answer(503, "6"),
    tag: "EntraServiceUnavailableError",
    retryAfter: 6,
    requests: 4,
    takes: 18
  },
  {
    name: "400 invalid_client, Retry-After",
    fault: entra(7000215, "invalid_client", 400, { retryAfter: "20 seconds" }),
    tag: "EntraInvalidClientError",
    retryAfter: 20,
    requests: 1
  },
  {
    name: "401 invalid_grant, a date",
    fault: answer(401, date(20), json("invalid_grant", 70000)),
    tag: "EntraTokenRequestError",
    retryAfter: 20,
    requests: 1
  },
  {
    name: "400 unknown tenant, Retry-After",
    fault: entra(90002, "invalid_request", 400, { retryAfter: "20 seconds" }),
    tag: "EntraInvalidAuthorityError",
    retryAfter: 20,
    requests: 1
  },
  {
    name: "400 claims, Retry-After",
    fault: entra(50076, "interaction_required", 400, { claims: "{}", retryAfter: "20 seconds" }),
    tag: "EntraClaimsChallengeError",
    retryAfter: 20,
    requests: 1
  },
  {
    name: "403, HTML, Retry-After",
    fault: answer(403, "20", html),
    tag: "EntraInvalidResponseError",
    retryAfter: 20,
    requests: 1
  }
]

/** Nobody is held back by these. */
const outages: ReadonlyArray<Row> = [
  { name: "503", fault: Fault.unavailable(), tag: "EntraServiceUnavailableError", requests: 4 },
  { name: "503, HTML", fault: Fault.unavailable({ body: "html" }), tag: "EntraServiceUnavailableError", requests: 4 },
  { name: "500, empty", fault: answer(500, undefined), tag: "EntraServiceUnavailableError", requests: 4 },
  { name: "408", fault: answer(408, undefined), tag: "EntraServiceUnavailableError", requests: 4 },
  { name: "a connection that breaks", fault: Fault.dropped, tag: "EntraNetworkError", requests: 4 },
  { name: "no answer in time", fault: Fault.delay("1 hour"), tag: "EntraServiceUnavailableError", requests: 3 },
  { name: "200 and no token", fault: Fault.malformed("noAccessToken"), tag: "EntraInvalidResponseError", requests: 1 },
  { name: "404, HTML", fault: answer(404, undefined, html), tag: "EntraInvalidResponseError", requests: 1 }
]

/** Remembered for 5 s, then 10, ...; forceRefresh, invalidate and new material may ask. */
const refusals: ReadonlyArray<Row> = [
  { name: "unknown app", fault: entra(700016, "unauthorized_client"), tag: "EntraInvalidClientError", requests: 1 },
  { name: "wrong secret", fault: entra(7000215, "invalid_client", 401), tag: "EntraInvalidClientError", requests: 1 },
  { name: "expired secret", fault: entra(7000222, "invalid_client", 401), tag: "EntraInvalidClientError", requests: 1 },
  { name: "missing consent", fault: entra(65001, "invalid_grant"), tag: "EntraTokenRequestError", requests: 1 },
  { name: "unknown tenant", fault: entra(90002, "invalid_request"), tag: "EntraInvalidAuthorityError", requests: 1 },
  { name: "unknown resource", fault: entra(500011, "invalid_resource"), tag: "EntraTokenRequestError", requests: 1 },
  {
    name: "a claims challenge",
    fault: entra(50076, "interaction_required", 400, { claims: `{"access_token":{}}` }),
    tag: "EntraClaimsChallengeError",
    requests: 1
  },
  { name: "what nobody knows", fault: entra(999999, "brand_new_error"), tag: "EntraTokenRequestError", requests: 1 }
]

/** The first call, with what it comes to. */
const first = (row: Row) =>
  Effect.gen(function*() {
    yield* fail(row.fault, { times: Infinity })
    const error: EntraError.AcquireTokenError = yield* after(Effect.flip(acquire), `${row.takes ?? 0} seconds`)
    assert.strictEqual(error._tag, row.tag)
    assert.strictEqual(error.origin, "service")
    assert.strictEqual(secondsOf(error), row.retryAfter)
    assert.strictEqual(yield* tokenRequests, row.requests)
  })

describe.each(throttles)("throttled: $name", (row) => {
  it.effect("those who wait are told, and later callers of that key how long it still takes", () =>
    Effect.gen(function*() {
      yield* first(row)
      assert.deepStrictEqual(yield* state, { throttled: 1, refused: 0 })
      yield* TestClock.adjust("1 second")
      const second: EntraError.AcquireTokenError = yield* Effect.flip(acquire)
      assert.strictEqual(second._tag === "EntraThrottledError" ? second.source : second._tag, "local")
      assert.strictEqual(secondsOf(second), row.retryAfter - 1)
      assert.strictEqual(yield* tokenRequests, row.requests)
    }).pipe(Effect.provide(World())))

  it.effect("neither force nor invalidation opens it, time does", () =>
    Effect.gen(function*() {
      yield* first(row)
      yield* EntraSimulator.EntraSimulator.use((simulator) => simulator.clearFaults)
      yield* ConfidentialClient.invalidate("all")
      yield* TestClock.adjust(row.retryAfter * 1000 - 1)
      for (const call of [acquire, forced]) {
        assert.strictEqual((yield* Effect.flip(call))._tag, "EntraThrottledError")
      }
      yield* ConfidentialClient.acquireToken({ scopes: orders })
      assert.strictEqual(yield* tokenRequests, row.requests + 1, "another key is not held back")
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* state, { throttled: 0, refused: 0 })
      yield* acquire
    }).pipe(Effect.provide(World())))

  it.effect("new material has a gate of its own", () => {
    const { layer, renew } = renewable()
    return Effect.gen(function*() {
      yield* first(row)
      yield* EntraSimulator.EntraSimulator.use((simulator) => simulator.clearFaults)
      yield* renew
      yield* acquire
      assert.deepStrictEqual(yield* state, { throttled: 1, refused: 0 })
    }).pipe(Effect.provide(World({ credential: layer })))
  })
})

describe.each(outages)("an outage: $name", (row) => {
  it.effect("is told, closes nothing, and the next caller asks", () =>
    Effect.gen(function*() {
      yield* first({ ...row, takes: 40 })
      assert.deepStrictEqual(yield* state, { throttled: 0, refused: 0 })
      yield* EntraSimulator.EntraSimulator.use((simulator) => simulator.clearFaults)
      yield* acquire
      assert.strictEqual(yield* tokenRequests, row.requests + 1)
    }).pipe(Effect.provide(World())))
})

describe.each(refusals)("refused: $name", (row) => {
  it.effect("the same again, locally, for 5 s, doubling to 60", () =>
    Effect.gen(function*() {
      yield* first(row)
      let requests = row.requests
      for (const hold of [5, 10, 20, 40, 60, 60]) {
        assert.deepStrictEqual(yield* state, { throttled: 0, refused: 1 })
        yield* TestClock.adjust(hold * 1000 - 1)
        const again: EntraError.AcquireTokenError = yield* Effect.flip(acquire)
        assert.strictEqual(again._tag, row.tag)
        assert.strictEqual(again.origin, "local")
        assert.strictEqual(yield* tokenRequests, requests)
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(yield* state, { throttled: 0, refused: 0 })
        assert.strictEqual((yield* Effect.flip(acquire)).origin, "service")
        requests++
        assert.strictEqual(yield* tokenRequests, requests)
      }
    }).pipe(Effect.provide(World())))

  it.effect("force, invalidation of its key, and new material may ask", () => {
    const { layer, renew } = renewable()
    return Effect.gen(function*() {
      const ways: ReadonlyArray<
        Effect.Effect<unknown, EntraError.AcquireTokenError, ConfidentialClient.ConfidentialClient>
      > = [
        forced,
        Effect.andThen(ConfidentialClient.invalidate(request), acquire),
        Effect.andThen(ConfidentialClient.invalidate({ tenantId: contoso }), acquire),
        Effect.andThen(ConfidentialClient.invalidate("all"), acquire),
        Effect.andThen(renew, acquire)
      ]
      yield* first(row)
      for (const [index, way] of ways.entries()) {
        assert.strictEqual((yield* Effect.flip(acquire)).origin, "local")
        yield* ConfidentialClient.invalidate({ scopes: orders })
        assert.strictEqual(
          (yield* Effect.flip(acquire)).origin,
          "local",
          "another key's invalidation is not this one's"
        )
        assert.strictEqual((yield* Effect.flip(way)).origin, "service")
        assert.strictEqual(yield* tokenRequests, row.requests + index + 1)
      }
      yield* EntraSimulator.EntraSimulator.use((simulator) => simulator.clearFaults)
      yield* forced
      assert.strictEqual((yield* acquire).metadata.tokenSource, "Cache")
    }).pipe(Effect.provide(World({ credential: layer })))
  })
})

describe("a Retry-After of zero", () => {
  it.effect.each(["0", "0.0", "00", " 0 "])("%s means now: a 429 closes no gate", (value) =>
    Effect.gen(function*() {
      yield* fail(answer(429, value), { times: 2 })
      for (const requests of [1, 2]) {
        const error = yield* Effect.flip(acquire)
        assert.deepInclude<object>(error, { _tag: "EntraThrottledError", origin: "service", source: "server" })
        assert.strictEqual(secondsOf(error), 0)
        assert.deepStrictEqual(yield* state, { throttled: 0, refused: 0 })
        assert.strictEqual(yield* tokenRequests, requests)
      }
      yield* acquire
      assert.strictEqual(yield* tokenRequests, 3)
    }).pipe(Effect.provide(World())))

  it.effect("a refusal is remembered as without the header, and a 503 is retried", () =>
    Effect.gen(function*() {
      yield* fail(
        Fault.custom({ status: 400, body: json("unauthorized_client", 700016), headers: { "retry-after": "0" } })
      )
      assert.isUndefined((yield* Effect.flip(acquire)).retryAfter)
      assert.deepStrictEqual(yield* state, { throttled: 0, refused: 1 })
      yield* fail(answer(503, "0"))
      yield* after(forced, "5 seconds")
      assert.strictEqual(yield* tokenRequests, 3)
    }).pipe(Effect.provide(World())))

  it.effect("a caller that waits for the service sends a request a second at most", () =>
    Effect.gen(function*() {
      yield* fail(answer(429, "0"), { times: 3 })
      yield* after(ConfidentialClient.acquireToken({ ...request, onThrottled: "wait" }), "3 seconds")
      assert.strictEqual(yield* tokenRequests, 4)
    }).pipe(Effect.provide(World())))
})

describe("a closed gate", () => {
  it.effect.each([
    { name: "a throttle", fault: Fault.throttled({ retryAfter: "60 seconds" }) },
    { name: "a refusal", fault: entra(65001, "invalid_grant") }
  ])("stands before the credential: $name", ({ fault }) => {
    const { layer, proofs } = renewable()
    return Effect.gen(function*() {
      yield* fail(fault)
      for (let call = 0; call < 20; call++) yield* Effect.flip(acquire)
      assert.strictEqual(proofs(), 1)
    }).pipe(Effect.provide(World({ credential: layer })))
  })
})

describe("a token", () => {
  it.effect("comes with a Retry-After that nobody heeds", () =>
    Effect.gen(function*() {
      const body = JSON.stringify({ token_type: "Bearer", expires_in: 3599, access_token: "abc" })
      yield* fail(answer(200, "600", body))
      assert.strictEqual(Redacted.value((yield* acquire).accessToken), "abc")
      assert.deepStrictEqual(yield* state, { throttled: 0, refused: 0 })
      yield* forced
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(Effect.provide(World())))

  it.effect("that is cached is served while its key is throttled, fresh, due and last", () =>
    Effect.gen(function*() {
      yield* acquire
      yield* fail(Fault.throttled({ retryAfter: "1 hour" }), { times: Infinity })
      yield* Effect.flip(forced)
      for (const seconds of [0, 1800, 3300]) {
        yield* TestClock.setTime(seconds * 1000)
        assert.strictEqual((yield* acquire).metadata.tokenSource, "Cache", `at ${seconds} s`)
      }
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(Effect.provide(World())))
})

describe("one broken tenant", () => {
  const broken = { scopes: graph, tenantId: "broken.example" }

  /** Asks for it again and again for a minute, and for another tenant in between. */
  const minute = (fault: Row["fault"], callsASecond: number) =>
    Effect.gen(function*() {
      yield* fail(fault, { tenant: broken.tenantId, times: Infinity })
      const calls = Array.from({ length: callsASecond / 4 }, () => Effect.flip(ConfidentialClient.acquireToken(broken)))
      for (let quarter = 0; quarter < 240; quarter++) {
        const errors = yield* Effect.all(calls, { concurrency: "unbounded" })
        assert.strictEqual(errors.length, calls.length)
        yield* acquire
        yield* TestClock.adjust("250 millis")
      }
      return yield* tokenRequests
    })

  it.effect(
    "under 1,000 calls a second costs four requests in the first minute, and another tenant works",
    () =>
      Effect.gen(function*() {
        // At 0, 5, 15 and 35 s; and one of the other tenant's.
        assert.strictEqual(yield* minute(entra(90002, "invalid_request"), 1000), 4 + 1)
      }).pipe(Effect.provide(World())),
    60_000
  )

  for (const row of refusals) {
    it.effect(`${row.name}: four requests in the first minute`, () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* minute(row.fault, 4), 4 + 1)
      }).pipe(Effect.provide(World())))
  }

  for (const row of throttles.filter(({ retryAfter }) => retryAfter >= 60)) {
    it.effect(`${row.name}: one request in the first minute`, () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* minute(row.fault, 4), 1 + 1)
      }).pipe(Effect.provide(World())))
  }
})

describe("onThrottled: wait", () => {
  const patient = { ...request, onThrottled: "wait" } as const
  const wait = ConfidentialClient.acquireToken(patient)

  it.effect.each(["now", "", 1, null, {}])("%j is refused before any request", (onThrottled) =>
    Effect.gen(function*() {
      const wrong: TokenRequest.TokenRequest = JSON.parse(JSON.stringify({ ...request, onThrottled }))
      const error = yield* Effect.flip(ConfidentialClient.acquireToken(wrong))
      assert.deepStrictEqual([error.code, "field" in error ? error.field : ""], ["field_malformed", "onThrottled"])
      assertToldInFull(error)
      assert.strictEqual(yield* tokenRequests, 0)
    }).pipe(Effect.provide(World())))

  it.effect("as an option that is neither, too", () =>
    Effect.gen(function*() {
      const options: ConfidentialClient.Options = JSON.parse(`{"clientId":"c","onThrottled":"never"}`)
      const error = yield* Effect.flip(Layer.build(World({ client: options })))
      assert.strictEqual("field" in error ? error.field : "", "onThrottled")
    }).pipe(Effect.scoped))

  for (
    const row of throttles.filter(({ tag }) => tag === "EntraThrottledError" || tag === "EntraServiceUnavailableError")
  ) {
    it.effect(`${row.name}: its own flight's, for as long as it was told`, () =>
      Effect.gen(function*() {
        yield* fail(row.fault, { times: row.requests })
        const fiber = yield* start(wait)
        yield* TestClock.adjust(((row.takes ?? 0) + row.retryAfter) * 1000 - 1)
        assert.isUndefined(fiber.pollUnsafe())
        assert.strictEqual(yield* tokenRequests, row.requests)
        yield* TestClock.adjust(1)
        assert.strictEqual((yield* Fiber.join(fiber)).metadata.tokenSource, "IdentityProvider")
        assert.strictEqual(yield* tokenRequests, row.requests + 1)
      }).pipe(Effect.provide(World())))
  }

  it.effect("those who want to fail do so at once, in the flight of those who wait and after it", () =>
    Effect.gen(function*() {
      // The flight backs off before it is throttled, so that both are on board.
      yield* fail(Fault.unavailable({ retryAfter: "5 seconds" }))
      yield* fail(Fault.throttled({ retryAfter: "30 seconds" }))
      const [patientFiber, impatient] = [yield* start(wait), yield* start(Effect.flip(acquire))]
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* tokenRequests, 2)
      assert.strictEqual((yield* Fiber.join(impatient))._tag, "EntraThrottledError")
      assert.strictEqual((yield* Effect.flip(acquire))._tag, "EntraThrottledError")
      assert.isUndefined(patientFiber.pollUnsafe())
      yield* TestClock.adjust("30 seconds")
      yield* Fiber.join(patientFiber)
      assert.strictEqual(yield* tokenRequests, 3)
    }).pipe(Effect.provide(World())))

  for (const [name, call] of [["", patient], [" with force", { ...patient, forceRefresh: true }]] as const) {
    it.effect(`a thousand who wait${name} wake to one request`, () =>
      Effect.gen(function*() {
        yield* fail(Fault.throttled({ retryAfter: "30 seconds" }))
        yield* Effect.flip(acquire)
        const one = ConfidentialClient.acquireToken(call)
        const fibers = yield* Effect.replicateEffect(Effect.andThen(TestClock.adjust(10), start(one)), 1000)
        yield* TestClock.adjust("30 seconds")
        const tokens = yield* Effect.forEach(fibers, Fiber.join)
        assert.strictEqual(new Set(tokens.map(({ accessToken }) => Redacted.value(accessToken))).size, 1)
        assert.strictEqual(yield* tokenRequests, 2)
        const { hits, misses } = yield* ConfidentialClient.stats
        assert.strictEqual(hits + misses, 1001)
      }).pipe(Effect.provide(World())))
  }

  it.effect("throttled again, it waits again, and never asks before its time", () =>
    Effect.gen(function*() {
      yield* fail(Fault.throttled({ retryAfter: "30 seconds" }), { times: 5 })
      const fiber = yield* start(wait)
      for (let round = 1; round <= 5; round++) {
        yield* TestClock.adjust("29 seconds")
        assert.strictEqual(yield* tokenRequests, round)
        yield* TestClock.adjust("1 second")
      }
      yield* Fiber.join(fiber)
      assert.strictEqual(yield* tokenRequests, 6)
    }).pipe(Effect.provide(World())))

  it.effect("is the client's word unless the request has its own", () =>
    Effect.gen(function*() {
      yield* fail(Fault.throttled({ retryAfter: "30 seconds" }))
      assert.strictEqual(
        (yield* Effect.flip(ConfidentialClient.acquireToken({ ...request, onThrottled: "fail" })))._tag,
        "EntraThrottledError"
      )
      yield* after(acquire, "30 seconds")
    }).pipe(Effect.provide(World({ client: { onThrottled: "wait" } }))))

  it.effect("who leaves is gone, and the others go on", () =>
    Effect.gen(function*() {
      yield* fail(Fault.throttled({ retryAfter: "30 seconds" }))
      const [leaver, stayer] = [yield* start(wait), yield* start(wait)]
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(leaver)
      const timed = yield* after(Effect.timeoutOption(wait, "5 seconds"), "5 seconds")
      assert.isTrue(timed._tag === "None")
      yield* TestClock.adjust("24 seconds")
      yield* Fiber.join(stayer)
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(Effect.provide(World())))

  it.effect("what is fresh, due or last is served without waiting", () =>
    Effect.gen(function*() {
      yield* wait
      yield* fail(Fault.throttled({ retryAfter: "1 hour" }), { times: Infinity })
      yield* Effect.flip(forced)
      for (const seconds of [1, 1800, 3300]) {
        yield* TestClock.setTime(seconds * 1000)
        assert.strictEqual((yield* wait).metadata.tokenSource, "Cache", `at ${seconds} s`)
      }
    }).pipe(Effect.provide(World())))

  it.effect("a refusal is told at once, with or without a time", () =>
    Effect.gen(function*() {
      yield* fail(entra(7000215, "invalid_client", 401))
      assert.strictEqual((yield* Effect.flip(wait))._tag, "EntraInvalidClientError")
      assert.strictEqual((yield* Effect.flip(wait)).origin, "local")
      yield* ConfidentialClient.invalidate("all")
      yield* fail(entra(7000215, "invalid_client", 401, { retryAfter: "30 seconds" }))
      assert.strictEqual((yield* Effect.flip(wait))._tag, "EntraInvalidClientError")
    }).pipe(Effect.provide(World())))

  it.effect("an outage without a time is told as ever", () =>
    Effect.gen(function*() {
      yield* fail(Fault.unavailable(), { times: Infinity })
      const error = yield* after(Effect.flip(wait), "30 seconds")
      assert.strictEqual(error._tag, "EntraServiceUnavailableError")
    }).pipe(Effect.provide(World())))

  it.effect("without a cache as well", () =>
    Effect.gen(function*() {
      yield* fail(Fault.throttled({ retryAfter: "30 seconds" }))
      const fibers = yield* Effect.replicateEffect(start(wait), 100)
      yield* TestClock.adjust("30 seconds")
      yield* Effect.forEach(fibers, Fiber.join)
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(Effect.provide(World({ cache: TokenCache.layerNoop }))))

  it.effect("closing the client ends it with an error, and not with an interrupt", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(World(), scope)
      const client = Context.get(context, ConfidentialClient.ConfidentialClient)
      yield* Context.get(context, EntraSimulator.EntraSimulator).fail(Fault.throttled({ retryAfter: "1 hour" }))
      const fiber = yield* start(Effect.flip(client.acquireToken(patient)))
      yield* TestClock.adjust("1 second")
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Fiber.join(fiber)).code, "client_closed")
      assert.strictEqual(yield* Clock.currentTimeMillis, 1000)
    }))
})
