import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Fiber, Layer, Redacted, Schedule } from "effect"
import {
  AuthorityResolver,
  ClientCredential,
  ConfidentialClient,
  type EntraError,
  RetryPolicy,
  TokenCache,
  TokenEndpoint
} from "effect-entra"
import { EntraSimulator } from "effect-entra/testing"
import { HttpClient, HttpClientError, type HttpClientRequest, type HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { randomUUID } from "node:crypto"
import { answering } from "./support/answering.ts"
import { record, silent, warnings } from "./support/log.ts"
import { assertToldInFull } from "./support/shown.ts"
import { contoso, fabrikam, graph, orders, Simulator, tokenRequests, World } from "./support/world.ts"

const { Fault } = EntraSimulator
const acquire = ConfidentialClient.acquireToken({ scopes: graph })

/** Run to the end while time passes. */
const inTime = <A, E, R>(effect: Effect.Effect<A, E, R>, time: Duration.Input = "2 minutes") =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
    yield* TestClock.adjust(time)
    return yield* Fiber.join(fiber)
  })

const fail = (...parameters: Parameters<EntraSimulator.EntraSimulator["Service"]["fail"]>) =>
  EntraSimulator.EntraSimulator.use((simulator) => simulator.fail(...parameters))

describe("retry", () => {
  it.effect.each([["ECONNREFUSED", 4], ["SELF_SIGNED_CERT_IN_CHAIN", 1], ["UND_ERR_ABORTED", 1]] as const)(
    "a connection that ends with %s: %i attempts",
    ([code, attempts]) =>
      Effect.gen(function*() {
        // The message of undici when a proxy refuses the password.
        const cause = { code, message: "Proxy response (407) !== 200 when HTTP Tunneling" }
        const transformClient = () =>
          HttpClient.make((request) =>
            Effect.fail(
              new HttpClientError.HttpClientError({ reason: new HttpClientError.TransportError({ request, cause }) })
            )
          )
        const error = yield* inTime(Effect.flip(acquire)).pipe(Effect.provide(World({ endpoint: { transformClient } })))
        assert.strictEqual(error._tag, "EntraNetworkError")
        assert.strictEqual("attempts" in error && error.attempts, attempts)
      })
  )

  for (
    const [name, fault] of [
      ["503", Fault.unavailable()],
      ["500 with HTML", Fault.unavailable({ status: 500, body: "html" })],
      ["408", Fault.custom({ status: 408 })],
      ["a dropped connection", Fault.dropped],
      ["a transient AADSTS90033 with status 400", Fault.refused({ code: 90033, error: "invalid_request" })]
    ] as const
  ) {
    it.effect(`${name}: three more attempts, then the error; two faults are got over`, () =>
      Effect.gen(function*() {
        yield* fail(fault, { times: 2 })
        const result = yield* inTime(acquire)
        assert.strictEqual(result.metadata.tokenSource, "IdentityProvider")
        assert.strictEqual(yield* tokenRequests, 3)
        yield* fail(fault, { times: Infinity })
        const error: EntraError.AcquireTokenError = yield* inTime(
          Effect.flip(ConfidentialClient.acquireToken({ scopes: orders }))
        )
        assert.isTrue(error.isRetryable)
        assert.strictEqual(error._tag === "EntraNetworkError" ? error.attempts : 4, 4)
        assert.strictEqual(yield* tokenRequests, 7)
      }).pipe(Effect.provide(World())))
  }

  for (
    const [name, fault, tag] of [
      [
        "a wrong secret",
        Fault.refused({ code: 7000215, error: "invalid_client", status: 401 }),
        "EntraInvalidClientError"
      ],
      ["429", Fault.throttled(), "EntraThrottledError"],
      ["a body that is no JSON", Fault.malformed(), "EntraInvalidResponseError"],
      ["a token response without a token", Fault.malformed("noAccessToken"), "EntraInvalidResponseError"],
      ["a huge body", Fault.hugeBody(), "EntraInvalidResponseError"],
      ["a redirect", Fault.redirect("https://evil.example/token"), "EntraInvalidResponseError"]
    ] as const
  ) {
    it.effect(`${name}: one attempt`, () =>
      Effect.gen(function*() {
        yield* fail(fault, { times: Infinity })
        const error = yield* inTime(Effect.flip(acquire))
        assert.strictEqual(error._tag, tag)
        assert.strictEqual(yield* tokenRequests, 1)
      }).pipe(Effect.provide(World())))
  }

  it.effect("a retry that cannot succeed either ends the attempts", () => {
    let sent = 0
    const transformClient = () =>
      HttpClient.make((request) =>
        Effect.suspend(() => {
          const cause = { code: sent++ === 0 ? "ECONNREFUSED" : "SELF_SIGNED_CERT_IN_CHAIN" }
          return Effect.fail(
            new HttpClientError.HttpClientError({ reason: new HttpClientError.TransportError({ request, cause }) })
          )
        })
      )
    return Effect.gen(function*() {
      const error = yield* inTime(Effect.flip(acquire))
      assert.deepInclude<object>(error, { _tag: "EntraNetworkError", attempts: 2, isRetryable: false })
      assert.strictEqual(sent, 2)
    }).pipe(Effect.provide(World({ endpoint: { transformClient } })))
  })

  it.effect("a retry that is refused ends the attempts", () =>
    Effect.gen(function*() {
      yield* fail(Fault.unavailable())
      yield* fail(Fault.refused({ code: 7000215, error: "invalid_client", status: 401 }), { times: Infinity })
      assert.strictEqual((yield* inTime(Effect.flip(acquire))).code, "secret_wrong")
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(Effect.provide(World())))

  it.effect("a retry that is throttled ends the attempts, with the error of the service", () =>
    Effect.gen(function*() {
      yield* fail(Fault.unavailable())
      yield* fail(Fault.throttled({ retryAfter: "2 seconds" }), { times: Infinity })
      const error = yield* inTime(Effect.flip(acquire))
      assert.deepInclude<object>(error, { _tag: "EntraThrottledError", source: "server", attempts: 2 })
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(Effect.provide(World())))

  it.effect("RetryPolicy.none per call, your own per layer", () =>
    Effect.gen(function*() {
      yield* fail(Fault.unavailable(), { times: Infinity })
      yield* inTime(Effect.flip(acquire.pipe(Effect.provideService(RetryPolicy.Current, RetryPolicy.none))))
      assert.strictEqual(yield* tokenRequests, 1)
      yield* inTime(Effect.flip(acquire))
      assert.strictEqual(yield* tokenRequests, 3)
    }).pipe(Effect.provide(World({ retry: Schedule.max([Schedule.spaced("1 second"), Schedule.recurs(1)]) }))))

  it.effect("a Retry-After that fits the budget is waited for", () =>
    Effect.gen(function*() {
      yield* fail(Fault.unavailable({ retryAfter: "12 seconds" }))
      const fiber = yield* Effect.forkChild(acquire, { startImmediately: true })
      yield* TestClock.adjust("11900 millis")
      assert.strictEqual(yield* tokenRequests, 1)
      yield* TestClock.adjust("200 millis")
      yield* Fiber.join(fiber)
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(Effect.provide(World())))

  it.effect("a Retry-After beyond the budget is told at once and closes the gate", () =>
    Effect.gen(function*() {
      yield* fail(Fault.unavailable({ retryAfter: "90 seconds" }))
      const error = yield* Effect.flip(acquire)
      assert.strictEqual(error._tag, "EntraServiceUnavailableError")
      assert.strictEqual(Duration.toSeconds(error.retryAfter ?? Duration.zero), 90)
      yield* TestClock.adjust("60 seconds")
      const again = yield* Effect.flip(acquire)
      assert.strictEqual(again._tag, "EntraThrottledError")
      assert.strictEqual(Duration.toSeconds(again.retryAfter ?? Duration.zero), 30)
      assert.strictEqual(yield* tokenRequests, 1)
      yield* TestClock.adjust("30 seconds")
      yield* acquire
    }).pipe(Effect.provide(World())))

  it.effect("an attempt that takes too long is given up after 10 s, all of them after 30 s", () =>
    Effect.gen(function*() {
      yield* fail(Fault.delay("1 hour"), { times: Infinity })
      const fiber = yield* Effect.forkChild(Effect.flip(acquire), { startImmediately: true })
      yield* TestClock.adjust("29 seconds")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 second")
      const error = yield* Fiber.join(fiber)
      assert.strictEqual(error.code, "budget_exceeded")
      assertToldInFull(error)
      assert.strictEqual(yield* tokenRequests, 3)
    }).pipe(Effect.provide(World())))
})

describe("the lifetime of a token", () => {
  it("counts from the time at which the attempt that brought it was sent", () =>
    fc.assert(
      fc.asyncProperty(fc.nat(3), fc.nat(9999), fc.integer({ min: 1, max: 4999 }), (failures, slowness, pause) => {
        const sentAt: Array<number> = []
        const transport = answering(() =>
          Effect.gen(function*() {
            sentAt.push(yield* Clock.currentTimeMillis)
            if (sentAt.length <= failures) return { status: 503 }
            yield* Effect.sleep(slowness)
            return { body: { access_token: "t", token_type: "Bearer", expires_in: 3600, refresh_in: 1800 } }
          })
        )
        const retry = Schedule.spaced(pause)
        const client = ConfidentialClient.layer({ clientId: "daemon", tenantId: contoso }).pipe(
          Layer.provide([ClientCredential.layerSecret(Redacted.make("s")), TokenCache.layerMemory()]),
          Layer.provide([AuthorityResolver.layer, TokenEndpoint.layerWith({ retry })]),
          Layer.provide(transport.layer)
        )
        return Effect.gen(function*() {
          yield* TestClock.setTime(86_400_000)
          const { expiresOn } = yield* inTime(acquire)
          assert.lengthOf(sentAt, failures + 1)
          assert.strictEqual(
            expiresOn.epochMilliseconds,
            Math.floor((sentAt.at(-1) ?? 0) / 1000) * 1000 + 3_600_000
          )
        }).pipe(Effect.provide(client), Effect.provide(TestClock.layer()), Effect.provide(silent), Effect.runPromise)
      }),
      { numRuns: 50 }
    ))
})

describe("the gate", () => {
  for (
    const [name, fault, seconds, loopDetected] of [
      ["429 with Retry-After", Fault.throttled({ retryAfter: "17 seconds" }), 17, false],
      ["429 with a date", Fault.throttled({ retryAfter: "17 seconds", format: "date" }), 17, false],
      ["429 without", Fault.throttled(), 60, false],
      ["429 with two hours", Fault.throttled({ retryAfter: "2 hours" }), 3600, false],
      ["loop detected", Fault.loopDetected, 60, true],
      ["429 with HTML", Fault.custom({ status: 429, headers: { "retry-after": "9" }, body: "<html>" }), 9, false]
    ] as const
  ) {
    it.effect(`${name}: closed for ${seconds} s, for that key only`, () =>
      Effect.gen(function*() {
        yield* fail(fault)
        const error = yield* Effect.flip(acquire)
        assert.strictEqual(error._tag, "EntraThrottledError")
        if (error._tag !== "EntraThrottledError") return
        assert.strictEqual(error.source, "server")
        assert.strictEqual(error.loopDetected, loopDetected)
        assert.strictEqual(Duration.toSeconds(error.retryAfter), seconds)
        yield* ConfidentialClient.acquireToken({ scopes: orders })
        yield* ConfidentialClient.acquireToken({ scopes: graph, tenantId: fabrikam })
        yield* TestClock.adjust((seconds - 1) * 1000)
        const local = yield* Effect.flip(ConfidentialClient.acquireToken({ scopes: graph, forceRefresh: true }))
        assert.strictEqual(local._tag === "EntraThrottledError" ? local.source : local._tag, "local")
        assert.strictEqual(yield* tokenRequests, 3)
        yield* TestClock.adjust("1 second")
        yield* acquire
      }).pipe(Effect.provide(World())))
  }

  it.effect("a refusal is repeated locally for 5 s, then 10 s; a forced request may ask", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* simulator.removeSecret(EntraSimulator.daemonClientId, EntraSimulator.daemonSecret)
      const first = yield* Effect.flip(acquire)
      assert.strictEqual(first.origin, "service")
      const again = yield* Effect.flip(acquire)
      assert.strictEqual(again._tag, "EntraInvalidClientError")
      assert.strictEqual(again.code, "secret_wrong")
      assert.strictEqual(again.origin, "local")
      assert.strictEqual(yield* tokenRequests, 1)
      yield* TestClock.adjust("5 seconds")
      yield* Effect.flip(acquire)
      assert.strictEqual(yield* tokenRequests, 2)
      yield* TestClock.adjust("9 seconds")
      yield* Effect.flip(acquire)
      assert.strictEqual(yield* tokenRequests, 2)
      yield* simulator.addSecret(EntraSimulator.daemonClientId, EntraSimulator.daemonSecret)
      yield* ConfidentialClient.acquireToken({ scopes: graph, forceRefresh: true })
      yield* acquire
      assert.strictEqual(yield* tokenRequests, 3)
    }).pipe(Effect.provide(World())))

  it.effect("one broken tenant under many calls costs few requests, and cached tokens go on", () =>
    Effect.gen(function*() {
      const broken = { scopes: graph, tenantId: "broken.example" }
      for (let second = 0; second < 60; second++) {
        for (let call = 0; call < 20; call++) yield* Effect.flip(ConfidentialClient.acquireToken(broken))
        yield* acquire
        yield* TestClock.adjust("1 second")
      }
      assert.isAtMost(yield* tokenRequests, 1 + 4)
    }).pipe(Effect.provide(World())))
})

describe("the breaker", () => {
  it.effect("after five failed acquisitions in a row nothing is sent for 30 s", () =>
    Effect.gen(function*() {
      yield* fail(Fault.unavailable(), { times: Infinity })
      const once = acquire.pipe(Effect.provideService(RetryPolicy.Current, RetryPolicy.none))
      for (let call = 0; call < 5; call++) yield* Effect.flip(once)
      const error = yield* Effect.flip(once)
      assert.strictEqual(error.code, "circuit_open")
      assertToldInFull(error)
      assert.strictEqual(error.origin, "local")
      assert.strictEqual(yield* tokenRequests, 5)
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* simulator.clearFaults
      yield* TestClock.adjust("30 seconds")
      yield* once
      assert.strictEqual(yield* tokenRequests, 6)
    }).pipe(Effect.provide(World())))

  it.effect("a success between them starts the count anew", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      const once = ConfidentialClient.acquireToken({ scopes: graph, forceRefresh: true }).pipe(
        Effect.provideService(RetryPolicy.Current, RetryPolicy.none)
      )
      const codes: Array<string> = []
      for (let round = 0; round < 3; round++) {
        yield* fail(Fault.unavailable(), { times: Infinity })
        for (let call = 0; call < 4; call++) codes.push((yield* Effect.flip(once)).code)
        yield* simulator.clearFaults
        yield* once
      }
      assert.deepStrictEqual([...new Set(codes)], ["service_unavailable"])
      assert.strictEqual(yield* tokenRequests, 15)
    }).pipe(Effect.provide(World())))

  it.effect("a credential that fails between them does not start the count anew", () => {
    let isBroken = false
    const credential = ClientCredential.layerAssertion(() =>
      isBroken ? Effect.fail("no key") : Effect.succeed(Redacted.make("an.assertion.signed"))
    )
    return Effect.gen(function*() {
      yield* fail(Fault.unavailable(), { times: Infinity })
      const once = Effect.flip(acquire).pipe(Effect.provideService(RetryPolicy.Current, RetryPolicy.none))
      const codes: Array<string> = []
      for (let call = 0; call < 7; call++) {
        isBroken = call === 4
        codes.push((yield* once).code)
      }
      const outage = "service_unavailable"
      assert.deepStrictEqual(codes, [outage, outage, outage, outage, "assertion_failed", outage, "circuit_open"])
    }).pipe(Effect.provide(World({ credential })))
  })
})

describe("a regional endpoint", () => {
  const region = "https://westus2.login.microsoft.com"
  const cloud = "https://login.microsoftonline.com"

  /** A client of a region; `regional` stands for what answers there, the simulator for the rest of the world. */
  const regionalWorld = (
    regional: (through: HttpClient.HttpClient, request: HttpClientRequest.HttpClientRequest) => Answer,
    options: TokenEndpoint.Options = {},
    credential: Layer.Layer<ClientCredential.ClientCredential, EntraError.CredentialError> = ClientCredential
      .layerSecret(EntraSimulator.daemonSecret)
  ) => {
    const asked: Array<string> = []
    const log = record()
    // Its own, because the count of builds is the process's.
    const clientId = randomUUID()
    const transformClient = (client: HttpClient.HttpClient) =>
      HttpClient.make((request, url) => {
        asked.push(url.origin)
        return url.origin === region ? regional(client, request) : client.execute(request)
      })
    const layer = ConfidentialClient.layer({
      clientId,
      tenantId: EntraSimulator.contosoTenantId
    }).pipe(
      Layer.provide([
        credential,
        Layer.orDie(AuthorityResolver.layerWith({ region: "westus2" })),
        TokenEndpoint.layerWith({ transformClient, ...options }),
        TokenCache.layerMemory()
      ]),
      Layer.provideMerge(Simulator({ apps: [{ clientId, secrets: [EntraSimulator.daemonSecret] }] })),
      Layer.provideMerge(log.layer)
    )
    return { asked, layer, log }
  }

  type Answer = Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError>

  const unreachable = (_: HttpClient.HttpClient, request: HttpClientRequest.HttpClientRequest): Answer =>
    Effect.fail(
      new HttpClientError.HttpClientError({
        reason: new HttpClientError.TransportError({ request, cause: { code: "ENOTFOUND" } })
      })
    )
  const forced = ConfidentialClient.acquireToken({ scopes: graph, forceRefresh: true })

  it.effect("is asked first, and alone when it answers", () => {
    const { asked, layer, log } = regionalWorld((through, request) => through.execute(request))
    return Effect.gen(function*() {
      const { metadata } = yield* acquire
      assert.strictEqual(new URL(metadata.tokenEndpoint ?? "").origin, region)
      assert.deepStrictEqual(asked, [region])
      assert.deepStrictEqual(warnings(log), [])
    }).pipe(Effect.provide(layer))
  })

  it.effect("that cannot be reached is replaced by the global one, with one warning until it can again", () => {
    let down = true
    const { asked, layer, log } = regionalWorld(
      (through, request) => down ? unreachable(through, request) : through.execute(request),
      { retry: RetryPolicy.none }
    )
    return Effect.gen(function*() {
      const { metadata } = yield* acquire
      assert.strictEqual(new URL(metadata.tokenEndpoint ?? "").origin, cloud)
      yield* forced
      assert.deepStrictEqual(asked, [region, cloud, region, cloud])
      assert.strictEqual(warnings(log).length, 1)
      assert.include(warnings(log)[0], region)
      assert.include(warnings(log)[0], cloud)
      down = false
      yield* forced
      assert.strictEqual(asked.at(-1), region)
      down = true
      yield* TestClock.adjust("1 minute")
      yield* forced
      assert.strictEqual(asked.at(-1), cloud)
      assert.strictEqual(warnings(log).length, 2)
    }).pipe(Effect.provide(layer))
  })

  it.effect("is left alone while its circuit is open, and the global one is used at once", () => {
    const { asked, layer, log } = regionalWorld(unreachable, { retry: RetryPolicy.none, breaker: { failures: 2 } })
    return Effect.gen(function*() {
      yield* forced
      yield* forced
      asked.length = 0
      yield* forced
      yield* forced
      assert.deepStrictEqual(asked, [cloud, cloud])
      yield* TestClock.adjust("30 seconds")
      yield* forced
      assert.deepStrictEqual(asked.slice(2), [region, cloud])
      assert.strictEqual(warnings(log).length, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("that swallows requests costs half of the budget", () => {
    const { asked, layer, log } = regionalWorld(() => Effect.never)
    return Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(acquire, { startImmediately: true })
      yield* TestClock.adjust("14900 millis")
      assert.notInclude(asked, cloud)
      yield* TestClock.adjust("100 millis")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(asked, [region, region, cloud])
      assert.strictEqual(warnings(log).length, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("and a global one that both swallow requests cost the budget, no more", () => {
    const { layer } = regionalWorld(() => Effect.never)
    return Effect.gen(function*() {
      yield* fail(Fault.delay("1 hour"), { times: Infinity })
      const fiber = yield* Effect.forkChild(Effect.flip(acquire), { startImmediately: true })
      yield* TestClock.adjust("29900 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("100 millis")
      assert.strictEqual((yield* Fiber.join(fiber)).code, "budget_exceeded")
    }).pipe(Effect.provide(layer))
  })

  for (
    const [name, fault, code] of [
      ["a refusal", Fault.refused({ code: 7000215, error: "invalid_client", status: 401 }), "secret_wrong"],
      ["a throttle", Fault.throttled(), "throttled"]
    ] as const
  ) {
    it.effect(`${name} from there is an answer, and nobody else is asked`, () => {
      const { asked, layer, log } = regionalWorld((through, request) => through.execute(request))
      return Effect.gen(function*() {
        yield* fail(fault, { times: Infinity })
        assert.strictEqual((yield* inTime(Effect.flip(acquire))).code, code)
        assert.notInclude(asked, cloud)
        assert.notInclude(warnings(log).join(), cloud)
      }).pipe(Effect.provide(layer))
    })
  }

  /** 503 from the region, once for each request to it. */
  const outOfOrder = (retryAfter?: Duration.Input) => {
    const fault = retryAfter === undefined ? Fault.unavailable() : Fault.unavailable({ retryAfter })
    return (through: HttpClient.HttpClient, request: HttpClientRequest.HttpClientRequest): Answer =>
      Effect.andThen(fail(fault), through.execute(request)).pipe(Effect.provide(Failing))
  }
  let simulator: EntraSimulator.EntraSimulator["Service"]
  const Failing = Layer.suspend(() => Layer.succeed(EntraSimulator.EntraSimulator, simulator))
  const withFaults = Effect.map(EntraSimulator.EntraSimulator, (service) => {
    simulator = service
  })

  it.effect("that answers 503 to every attempt is replaced at once, from the first acquisition on", () => {
    const { asked, layer, log } = regionalWorld(outOfOrder())
    return Effect.gen(function*() {
      yield* withFaults
      for (let minute = 0; minute < 10; minute++) {
        const { metadata } = yield* inTime(forced, "1 minute")
        assert.strictEqual(new URL(metadata.tokenEndpoint ?? "").origin, cloud)
      }
      assert.deepStrictEqual(asked.slice(0, 5), [region, region, region, region, cloud])
      const said = warnings(log).filter((line) => line.includes(region) && line.includes(cloud))
      assert.strictEqual(said.length, 1)
      assert.include(said[0], "issues no token (service_unavailable)")
      assert.notInclude(said[0], "reached")
    }).pipe(Effect.provide(layer))
  })

  it.effect("that asks for patience is left alone that long", () => {
    const { asked, layer } = regionalWorld(outOfOrder("20 seconds"))
    return Effect.gen(function*() {
      yield* withFaults
      yield* forced
      yield* forced
      assert.deepStrictEqual(asked, [region, cloud, cloud])
      yield* TestClock.adjust("20 seconds")
      yield* forced
      assert.deepStrictEqual(asked.slice(3), [region, cloud])
    }).pipe(Effect.provide(layer))
  })

  it.effect("that refuses a request has recovered: the next fallback is worth another warning", () => {
    let down = true
    const { asked, layer, log } = regionalWorld(
      (through, request) => down ? unreachable(through, request) : through.execute(request),
      { retry: RetryPolicy.none }
    )
    return Effect.gen(function*() {
      yield* forced
      assert.strictEqual(warnings(log).length, 1)
      down = false
      yield* fail(Fault.refused({ code: 7000215, error: "invalid_client", status: 401 }))
      assert.strictEqual((yield* Effect.flip(forced)).code, "secret_wrong")
      assert.strictEqual(asked.at(-1), region)
      down = true
      yield* TestClock.adjust("1 minute")
      yield* forced
      assert.strictEqual(warnings(log).length, 2)
    }).pipe(Effect.provide(layer))
  })

  it.effect("has not recovered when nothing was sent there: no second warning", () => {
    let isBroken = false
    const credential = ClientCredential.layerAssertion(() =>
      isBroken ? Effect.fail("broken") : Effect.succeed("e30.e30.c2ln")
    )
    const { layer, log } = regionalWorld(unreachable, { retry: RetryPolicy.none }, credential)
    return Effect.gen(function*() {
      yield* Effect.flip(forced)
      isBroken = true
      assert.strictEqual((yield* Effect.flip(forced)).code, "assertion_failed")
      isBroken = false
      yield* TestClock.adjust("1 minute")
      yield* Effect.flip(forced)
      assert.strictEqual(warnings(log).filter((line) => line.includes("issues no token")).length, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("that comes and goes is told of once a minute", () => {
    let calls = 0
    const { layer, log } = regionalWorld(
      (through, request) => calls++ % 2 === 0 ? unreachable(through, request) : through.execute(request),
      { retry: RetryPolicy.none }
    )
    return Effect.gen(function*() {
      for (let second = 0; second < 120; second++) {
        yield* forced
        yield* TestClock.adjust("1 second")
      }
      assert.strictEqual(warnings(log).length, 2)
    }).pipe(Effect.provide(layer))
  })

  it.effect("is not blamed for a credential that uses up the time", () => {
    const { asked, layer, log } = regionalWorld(
      (through, request) => through.execute(request),
      { budget: "10 seconds" },
      ClientCredential.layerAssertion(() => Effect.never)
    )
    return Effect.gen(function*() {
      const error = yield* inTime(Effect.flip(acquire))
      assert.strictEqual(error.code, "credential_timeout")
      assertToldInFull(error)
      assert.deepStrictEqual(asked, [])
      assert.deepStrictEqual(warnings(log).filter((line) => line.includes("issues no token")), [])
    }).pipe(Effect.provide(layer))
  })
})
