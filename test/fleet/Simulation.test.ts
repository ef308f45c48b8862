/** Fleets over one fake store, under `TestClock`: what processes do to each other, and the requests to the token endpoint. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Exit, Fiber, Layer, Redacted, Stream } from "effect"
import { BearerHttpClient, ClientCredential, ConfidentialClient } from "effect-entra"
import { EntraSimulator } from "effect-entra/testing"
import { HttpClient, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { createHash } from "node:crypto"
import { wrapped } from "../support/credentials.ts"
import * as FakeFleetStore from "../support/fakeFleetStore.ts"
import { withFakeSealers } from "../support/fakeSealer.ts"
import { record } from "../support/log.ts"
import {
  callAll,
  delayEndpoint,
  request,
  simulated,
  start,
  startMany,
  together,
  tokensOf
} from "../support/simulatedFleet.ts"
import { withWallClock } from "../support/wallClock.ts"
import { contoso, fabrikam, graph, tokenRequests } from "../support/world.ts"

const { Fault } = EntraSimulator
const sha256 = (token: string) => createHash("sha256").update(token).digest("hex")
const minute = 60_000

/** Simulated hours would be spent on looks for invalidations. */
const rarely = { invalidationInterval: "10 minutes" } as const

const fail = (...parameters: Parameters<EntraSimulator.EntraSimulator["Service"]["fail"]>) =>
  EntraSimulator.EntraSimulator.use((simulator) => Effect.andThen(simulator.clearFaults, simulator.fail(...parameters)))
const clearFaults = EntraSimulator.EntraSimulator.use((simulator) => simulator.clearFaults)

describe("a refused token", () => {
  it.effect("reported by 1,000 callers in 100 processes: 1 request", () =>
    simulated(Effect.gen(function*() {
      const fake = yield* FakeFleetStore.make
      const processes = yield* startMany(100, fake)
      const [token = ""] = tokensOf((yield* callAll(processes)).exits)
      yield* delayEndpoint("200 millis")
      const { exits } = yield* callAll(processes, { perProcess: 10, accessTokenSha256ToRefresh: sha256(token) })
      const tokens = tokensOf(exits)
      assert.strictEqual(tokens.length, 1)
      assert.notInclude(tokens, token)
      assert.strictEqual(yield* tokenRequests, 2)
      const late = yield* callAll(processes, { accessTokenSha256ToRefresh: sha256(token) })
      assert.deepStrictEqual(tokensOf(late.exits), tokens)
      assert.strictEqual(yield* tokenRequests, 2)
    })), 60_000)

  it.effect("is replaced also when the memory has no room for it", () =>
    simulated(Effect.gen(function*() {
      const fake = yield* FakeFleetStore.make
      const processes = yield* startMany(2, fake, { cache: { maxEntries: 0 } })
      const [token = ""] = tokensOf((yield* callAll(processes)).exits)
      const refused = yield* callAll(processes, { accessTokenSha256ToRefresh: sha256(token) })
      assert.notInclude(tokensOf(refused.exits), token)
      assert.strictEqual(yield* tokenRequests, 2)
      const late = yield* callAll(processes, { accessTokenSha256ToRefresh: sha256(token) })
      assert.deepStrictEqual(tokensOf(late.exits), tokensOf(refused.exits))
      assert.strictEqual(yield* tokenRequests, 2)
    })))

  it.effect("whose replacement by another process is 30 s old and refused too is replaced again", () =>
    simulated(Effect.gen(function*() {
      const fake = yield* FakeFleetStore.make
      const [one, other] = yield* Effect.all([start(fake), start(fake)])
      const [first = ""] = tokensOf((yield* callAll([one, other])).exits)
      const [second = ""] = tokensOf(
        (yield* callAll([one], { accessTokenSha256ToRefresh: sha256(first) })).exits
      )
      yield* TestClock.adjust("30 seconds")
      const sent: Array<string> = []
      const api = HttpClient.make((request) => {
        sent.push(request.headers["authorization"]?.replace("Bearer ", "") ?? "")
        return Effect.succeed(HttpClientResponse.fromWeb(request, new Response("no", { status: 401 })))
      })
      const bearer = yield* BearerHttpClient.make({ "https://orders.example": request.scopes }).pipe(
        Effect.provideService(ConfidentialClient.ConfidentialClient, other.client),
        Effect.provideService(HttpClient.HttpClient, api)
      )
      for (let call = 0; call < 3; call++) {
        yield* together([bearer.get("https://orders.example/")], { usesCrypto: true })
      }
      const known = [first, second, sent.at(-1)]
      // The first request replaces both tokens. The third one is new, so its own refusals cause no further requests.
      assert.deepStrictEqual(sent.map((token) => known.indexOf(token)), [0, 1, 2, 2, 2])
      assert.strictEqual(yield* tokenRequests, 3)
    })))

  it.effect(
    "an API refuses every token of 100 processes: one request in 30 s for all of them",
    () =>
      simulated(Effect.gen(function*() {
        const fake = yield* FakeFleetStore.make
        const processes = yield* startMany(100, fake)
        const api = HttpClient.make((request) =>
          Effect.succeed(HttpClientResponse.fromWeb(request, new Response("no", { status: 401 })))
        )
        const bearers = yield* Effect.forEach(processes, ({ client }) =>
          BearerHttpClient.make({ "https://orders.example": request.scopes }).pipe(
            Effect.provideService(ConfidentialClient.ConfidentialClient, client),
            Effect.provideService(HttpClient.HttpClient, api)
          ))
        for (let seconds = 0; seconds < 180; seconds += 5) {
          const { exits } = yield* together(
            bearers.map((bearer) =>
              bearer.get("https://orders.example/")
            ),
            { usesCrypto: true }
          )
          assert.isTrue(exits.every(Exit.isSuccess))
          yield* TestClock.adjust("5 seconds")
        }
        // The first token, and a replacement for each 30 seconds.
        assert.isAtMost(yield* tokenRequests, 1 + 180 / 30 + 1)
      })),
    120_000
  )
})

describe("a store without leases", () => {
  it.effect("a token that is due in two processes at once: the second to look finds the token of the first", () =>
    simulated(Effect.gen(function*() {
      const fake = yield* FakeFleetStore.make
      const options = { hasLeases: false, cache: rarely }
      const processes = yield* Effect.all([start(fake, options), start(fake, options)])
      const [one, other] = processes
      const due = tokensOf([...(yield* callAll([one])).exits, ...(yield* callAll([other])).exits])
      assert.strictEqual(due.length, 1)
      yield* TestClock.adjust("31 minutes")
      assert.deepStrictEqual(tokensOf((yield* callAll(processes)).exits), due)
      yield* TestClock.adjust("1 second")
      const renewed = tokensOf((yield* callAll(processes)).exits)
      assert.strictEqual(renewed.length, 1)
      assert.notDeepEqual(renewed, due)
      assert.strictEqual(yield* tokenRequests, 2)
    })))
})

describe("a store that refuses commands", () => {
  it.effect("is counted with each command, and warned of once in ten minutes", () => {
    const log = record()
    const warnings = () =>
      log.entries.filter(({ text }) => text === "the token store refuses commands").map(({ level, annotations }) =>
        `${level} ${annotations["reason"]}`
      )
    return simulated(Effect.gen(function*() {
      const fake = yield* FakeFleetStore.make
      const process = yield* Effect.provide(start(fake, { cache: rarely }), log.layer)
      const refusals = Effect.map(process.cache.stats, ({ store }) => store?.refusals)
      yield* callAll([process])
      assert.deepStrictEqual([yield* refusals, warnings()], [0, []])
      fake.refusesWrites = true
      for (let minutes = 0; minutes < 10; minutes++) {
        yield* callAll([process], { forceRefresh: true })
        assert.deepStrictEqual([yield* refusals, warnings()], [minutes + 1, ["Warn OOM"]])
        yield* TestClock.adjust("1 minute")
      }
      yield* callAll([process], { forceRefresh: true })
      assert.deepStrictEqual([yield* refusals, warnings()], [11, ["Warn OOM", "Warn OOM"]])
    }))
  })
})

describe("a token that is kept fresh over a store with a memory that holds nothing", () => {
  it.effect.each(["keepFresh", "tokens"] as const)(
    "is renewed when it is due (%s)",
    (method) =>
      simulated(Effect.gen(function*() {
        const fake = yield* FakeFleetStore.make
        const [process] = yield* startMany(1, fake, { cache: { maxEntries: 0, ...rarely } })
        assert.isDefined(process)
        const { client } = process
        yield* Effect.forkScoped(
          method === "keepFresh" ? client.keepFresh(request) : Stream.runDrain(client.tokens(request))
        )
        for (let minutes = 0; minutes < 60; minutes++) {
          yield* TestClock.adjust("1 minute")
        }
        // A token lasts an hour and is due after half of it.
        assert.strictEqual(yield* tokenRequests, 3)
        assert.isAtMost(fake.counts.get, 20)
      }))
  )

  it.effect("is renewed early enough for a minimum validity", () =>
    simulated(Effect.gen(function*() {
      const fake = yield* FakeFleetStore.make
      const [process] = yield* startMany(1, fake, { cache: { maxEntries: 0, ...rarely } })
      assert.isDefined(process)
      let expiresOn = 0
      yield* Effect.forkScoped(
        Stream.runForEach(process.client.tokens({ ...request, minimumValidity: "45 minutes" }), (token) =>
          Effect.sync(() => {
            expiresOn = token.expiresOn.epochMilliseconds
          }))
      )
      for (let minutes = 0; minutes < 120; minutes++) {
        yield* TestClock.adjust("1 minute")
        assert.isAtLeast((expiresOn - (yield* Clock.currentTimeMillis)) / 60_000, 44, `after ${minutes} minutes`)
      }
      // A token lasts an hour.
      assert.isAtMost(yield* tokenRequests, 120 / 15 + 2)
    })))
})

describe("a stream of tokens over a store", () => {
  type Process = Effect.Success<ReturnType<typeof start>>
  const textOf = ({ accessToken }: { readonly accessToken: Redacted.Redacted<string> }) => Redacted.value(accessToken)

  const follow = ({ client }: Process) =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      yield* Effect.forkScoped(
        Stream.runForEach(client.tokens(request), (token) => Effect.sync(() => void seen.push(textOf(token)))),
        { startImmediately: true }
      )
      return seen
    })

  const pass = (seconds: number) =>
    Effect.gen(function*() {
      for (let left = seconds * 10; left > 0; left--) yield* TestClock.adjust("100 millis")
    })

  it.effect.each([true, false])(
    "emits the token of the store at once (leases: %s)",
    (hasLeases) =>
      simulated(Effect.scoped(Effect.gen(function*() {
        const fake = yield* FakeFleetStore.make
        const stored = textOf(yield* (yield* start(fake, { hasLeases })).client.acquireToken(request))
        yield* pass(1)
        const seen = yield* follow(yield* start(fake, { hasLeases }))
        yield* pass(2)
        assert.deepStrictEqual(seen, [stored])
        assert.strictEqual(yield* tokenRequests, 1)
      })))
  )

  it.effect("emits the replacement that another process fetched after its invalidation", () =>
    simulated(Effect.scoped(Effect.gen(function*() {
      const fake = yield* FakeFleetStore.make
      const [one, two] = [yield* start(fake), yield* start(fake)]
      const seen = yield* follow(two)
      yield* pass(5)
      yield* one.client.invalidate("all")
      const replacement = textOf(yield* one.client.acquireToken(request))
      yield* pass(5)
      assert.strictEqual(seen.length, 2)
      assert.strictEqual(seen.at(-1), replacement)
    }))))

  it.effect("replaces its token after an invalidation that was interrupted while the store was slow", () =>
    simulated(Effect.scoped(Effect.gen(function*() {
      const fake = yield* FakeFleetStore.make
      const process = yield* start(fake)
      const seen = yield* follow(process)
      yield* pass(5)
      fake.delay = 150
      yield* Effect.forkChild(Effect.timeoutOption(process.client.invalidate("all"), "100 millis"), {
        startImmediately: true
      })
      yield* pass(2)
      fake.delay = 0
      yield* pass(2)
      assert.strictEqual(new Set(seen).size, 2)
    }))))
})

describe("an invalidation", () => {
  it.effect.each([true, false])(
    "that overtakes the first look at the epochs hides older tokens (leases: %s)",
    (hasLeases) =>
      simulated(Effect.scoped(Effect.gen(function*() {
        const fake = yield* FakeFleetStore.make
        const textOf = Effect.map((token: { readonly accessToken: Redacted.Redacted<string> }) =>
          Redacted.value(token.accessToken)
        )
        const older = yield* textOf((yield* start(fake, { hasLeases })).client.acquireToken(request))
        yield* TestClock.adjust("10 seconds")
        const { client } = yield* start(fake, { hasLeases })
        const held = yield* fake.holdBack(hasLeases ? "epochs" : "get")
        const early = yield* Effect.forkChild(client.acquireToken(request), { startImmediately: true })
        yield* held.reached
        yield* client.invalidate("all")
        const after = yield* Effect.forkChild(client.acquireToken(request), { startImmediately: true })
        yield* held.release
        yield* TestClock.adjust(0)
        yield* Fiber.join(early)
        assert.notStrictEqual(yield* textOf(Fiber.join(after)), older)
        assert.notStrictEqual(yield* textOf(client.acquireToken(request)), older)
      })))
  )
})

describe("the service", () => {
  const counting = () => {
    const counts = { begun: 0, authenticated: 0 }
    const layer = Layer.effect(
      ClientCredential.ClientCredential,
      Effect.map(
        Effect.provide(ClientCredential.ClientCredential, ClientCredential.layerSecret(EntraSimulator.daemonSecret)),
        (credential) => ({
          ...wrapped(credential, ({ authenticate }) => ({
            authenticate: (attempt) => {
              counts.authenticated++
              return authenticate(attempt)
            }
          })),
          begin: (acquisition: ClientCredential.Acquisition) => {
            counts.begun++
            return wrapped(credential, ({ authenticate }) => ({
              authenticate: (attempt) => {
                counts.authenticated++
                return authenticate(attempt)
              }
            })).begin(acquisition)
          }
        })
      )
    )
    return { counts, layer }
  }

  it.effect(
    "answers 429: closed for all until its time, before anything is signed, invalidated or not",
    () =>
      simulated(Effect.gen(function*() {
        const { counts, layer } = counting()
        const fake = yield* FakeFleetStore.make
        const processes = yield* startMany(20, fake, { credential: layer })
        yield* fail(Fault.throttled({ retryAfter: "30 seconds" }))
        const { exits } = yield* callAll(processes, { perProcess: 5 })
        assert.isTrue(exits.every(Exit.isFailure))
        assert.strictEqual(yield* tokenRequests, 1)
        assert.deepStrictEqual(counts, { begun: 1, authenticated: 1 })
        for (const { client } of processes.slice(0, 3)) yield* client.invalidate("all")
        yield* TestClock.adjust("1 second")
        for (let seconds = 1; seconds < 29; seconds += 7) {
          for (const more of [{}, { forceRefresh: true }, { claims: `{"access_token":{"nbf":{"essential":true}}}` }]) {
            const { exits } = yield* callAll(processes, more)
            for (const exit of exits) {
              const error = Exit.isFailure(exit) ? exit.cause.reasons[0] : undefined
              assert.strictEqual(
                error !== undefined && "error" in error && error.error._tag,
                "EntraThrottledError",
                `after ${seconds} s, ${JSON.stringify(more)}`
              )
            }
          }
          yield* TestClock.adjust("7 seconds")
        }
        assert.strictEqual(yield* tokenRequests, 1)
        assert.deepStrictEqual(counts, { begun: 1, authenticated: 1 })
        yield* TestClock.adjust("3 seconds")
        assert.strictEqual(tokensOf((yield* callAll(processes)).exits).length, 1)
        assert.strictEqual(yield* tokenRequests, 2)
      })),
    60_000
  )

  const answers = {
    "429 with Retry-After: 0": Fault.custom({ status: 429, headers: { "retry-after": "0" }, body: "" }),
    "a refusal": Fault.refused({ code: 7000222, error: "invalid_client", status: 401 }),
    "no token response": Fault.custom({ status: 200, headers: {}, body: "<html>" })
  }
  for (const [answer, fault] of Object.entries(answers)) {
    it.effect(`answers all with ${answer}: they do not ask one after the other`, () =>
      simulated(Effect.gen(function*() {
        const fake = yield* FakeFleetStore.make
        const processes = yield* startMany(100, fake)
        yield* fail(fault, { times: Infinity })
        fake.delay = 5
        const { exits, took } = yield* callAll(processes)
        assert.isTrue(exits.every(Exit.isFailure))
        assert.isAtMost(took, 3 * 400)
        yield* clearFaults
        yield* TestClock.adjust("1 second")
        const { exits: later, took: tookLater } = yield* callAll(yield* startMany(2, fake))
        assert.isTrue(later.every(Exit.isSuccess))
        assert.isAtMost(tookLater, 200)
      })))
  }

  for (const processes of [1, 8]) {
    it.effect(
      `answers 503 for a minute while a token is due in ${processes} processes`,
      () =>
        simulated(Effect.gen(function*() {
          const fake = yield* FakeFleetStore.make
          const all = yield* startMany(processes, fake)
          yield* callAll(all)
          yield* TestClock.adjust(31 * minute)
          yield* fail(Fault.unavailable(), { times: Infinity })
          for (let seconds = 0; seconds < 60; seconds++) {
            const { exits, took } = yield* callAll(all, { perProcess: 20 })
            assert.strictEqual(took, 0)
            assert.strictEqual(tokensOf(exits).length, 1)
            yield* TestClock.adjust("1 second")
          }
          const requests = yield* tokenRequests
          outage.set(processes, requests)
          const alone = outage.get(1)
          if (alone !== undefined) assert.isAtMost(requests, alone)
        })),
      60_000
    )
  }
  const outage = new Map<number, number>()

  it.effect("answers 503 with Retry-After: callers of other processes get the time that is left", () =>
    simulated(Effect.gen(function*() {
      const fake = yield* FakeFleetStore.make
      const processes = yield* startMany(4, fake)
      yield* fail(Fault.unavailable({ retryAfter: "60 seconds" }), { times: Infinity })
      for (const [at, process] of processes.entries()) {
        const { exits: [exit] } = yield* callAll([process])
        const [reason] = exit !== undefined && Exit.isFailure(exit) ? exit.cause.reasons : []
        const error = reason?._tag === "Fail" ? reason.error : undefined
        assert.strictEqual(error?._tag, "EntraServiceUnavailableError")
        const left = error?.retryAfter === undefined ? 0 : Duration.toSeconds(error.retryAfter)
        assert.closeTo(left, 60 - 15 * at, 0.1)
        yield* TestClock.adjust("15 seconds")
      }
      assert.strictEqual(yield* tokenRequests, 1)
    })))

  it.effect("fails for all who have no token: one flight's attempts", () =>
    simulated(Effect.gen(function*() {
      const fake = yield* FakeFleetStore.make
      const processes = yield* startMany(8, fake)
      yield* fail(Fault.unavailable(), { times: Infinity })
      const { exits } = yield* callAll(processes, { perProcess: 100 })
      assert.isTrue(exits.every(Exit.isFailure))
      const alone = yield* tokenRequests
      assert.isAtMost(alone, 6)
    })), 60_000)
})

describe("a silent store", () => {
  it.effect.each(["acquireToken", "keepFresh", "tokens"] as const)(
    "is waited for once before the first request (%s)",
    (method) =>
      simulated(Effect.gen(function*() {
        const fake = yield* FakeFleetStore.make
        fake.isSilent = true
        const { client } = yield* start(fake)
        yield* Effect.forkScoped(
          method === "tokens" ? Stream.runDrain(client.tokens(request)) : Effect.asVoid(client[method](request))
        )
        yield* TestClock.adjust("250 millis")
        assert.strictEqual(yield* tokenRequests, 1)
      }))
  )

  it.effect(
    "at the start, later, and back again: no acquisition fails, and tokens are offered to it",
    () =>
      simulated(Effect.gen(function*() {
        const fake = yield* FakeFleetStore.make
        fake.isSilent = true
        const processes = yield* startMany(10, fake)
        const first = yield* callAll(processes)
        assert.isTrue(first.exits.every(Exit.isSuccess))
        assert.isAtMost(first.took, 2 * 250)
        assert.strictEqual(yield* tokenRequests, 10)
        assert.strictEqual((yield* callAll(processes)).took, 0)
        fake.isSilent = false
        yield* TestClock.adjust("15 seconds")
        const [newcomer] = (yield* callAll(yield* startMany(1, fake))).exits
        assert.isTrue(newcomer !== undefined && Exit.isSuccess(newcomer) && newcomer.value.metadata.cacheLevel === "L2")
        assert.strictEqual(yield* tokenRequests, 10)
        assert.strictEqual((yield* processes[0]?.cache.stats ?? Effect.die("no process")).store?.isDown, false)

        fake.isSilent = true
        const again = yield* callAll(processes, { scopes: graph })
        assert.isTrue(again.exits.every(Exit.isSuccess))
        assert.isAtMost(again.took, 2 * 250)
        yield* TestClock.adjust("1 second")
        const others = yield* callAll(processes, { scopes: graph, tenantId: fabrikam })
        assert.isTrue(others.exits.every(Exit.isSuccess))
        assert.strictEqual(others.took, 0)
        fake.isSilent = false
        yield* TestClock.adjust("15 seconds")
        const before = yield* tokenRequests
        for (const more of [{ scopes: graph }, { scopes: graph, tenantId: fabrikam }]) {
          const { exits } = yield* callAll(yield* startMany(1, fake), more)
          assert.isTrue(exits.every(Exit.isSuccess))
        }
        assert.strictEqual(yield* tokenRequests, before)
      })),
    60_000
  )

  it.effect("that comes back twice is offered the tokens from between", () =>
    simulated(Effect.gen(function*() {
      const fake = yield* FakeFleetStore.make
      const processes = yield* startMany(1, fake)
      yield* callAll(processes)
      for (const more of [{ scopes: graph }, { scopes: graph, tenantId: fabrikam }]) {
        fake.isSilent = true
        yield* TestClock.adjust("2 seconds")
        yield* callAll(processes, more)
        fake.isSilent = false
        // Not all tokens have been offered yet.
        yield* TestClock.adjust("1500 millis")
      }
      yield* TestClock.adjust("15 seconds")
      const before = yield* tokenRequests
      for (const more of [{}, { scopes: graph }, { scopes: graph, tenantId: fabrikam }]) {
        yield* callAll(yield* startMany(1, fake), more)
      }
      assert.strictEqual(yield* tokenRequests, before)
    })))

  it.effect("gets invalidations when it is back: old tokens are gone within a second", () =>
    simulated(Effect.gen(function*() {
      const fake = yield* FakeFleetStore.make
      const processes = yield* startMany(10, fake)
      const [one, ...others] = processes
      if (one === undefined) return yield* Effect.die("no process")
      const [old = ""] = tokensOf((yield* callAll(processes)).exits)
      fake.isSilent = true
      yield* TestClock.adjust("2 seconds")
      const { took } = yield* together([one.client.invalidate("all")])
      assert.isAtMost(took, 250)
      const [fresh = ""] = tokensOf((yield* callAll([one])).exits)
      assert.notStrictEqual(fresh, old)
      assert.deepStrictEqual(tokensOf((yield* callAll(others)).exits), [old])
      fake.isSilent = false
      yield* TestClock.adjust("1 second")
      const later = yield* callAll([...processes, ...yield* startMany(3, fake)])
      assert.notInclude(tokensOf(later.exits), old)
      yield* TestClock.adjust("1 minute")
      const last = tokensOf((yield* callAll([...processes, ...yield* startMany(3, fake)])).exits)
      assert.notInclude(last, old)
      assert.isAtMost(yield* tokenRequests, 3)
    })))

  it.effect("that lost its tokens a moment ago does not delay the end of a process", () =>
    simulated(Effect.gen(function*() {
      const fake = yield* FakeFleetStore.make
      const [one] = yield* startMany(1, fake)
      if (one === undefined) return yield* Effect.die("no process")
      yield* callAll([one])
      fake.flush()
      yield* TestClock.adjust("500 millis")
      const { took } = yield* together([one.close], { step: 10 })
      assert.strictEqual(took, 0)
    })))

  it.effect("does not delay the end of a process", () =>
    simulated(Effect.gen(function*() {
      const fake = yield* FakeFleetStore.make
      const [one] = yield* startMany(1, fake)
      if (one === undefined) return yield* Effect.die("no process")
      yield* callAll([one])
      yield* delayEndpoint("1 hour")
      yield* Effect.forkChild(Effect.exit(one.client.acquireToken({ ...request, scopes: graph })), {
        startImmediately: true
      })
      yield* TestClock.adjust("1 second")
      fake.isSilent = true
      const { took } = yield* together([one.close], { step: 50 })
      assert.isAtMost(took, 1000)
    })))
})

describe("an invalidation", () => {
  it.effect("overtakes a reply: the old token is not in memory, then or later", () =>
    simulated(Effect.gen(function*() {
      const fake = yield* FakeFleetStore.make
      const [one, other] = yield* startMany(2, fake)
      if (one === undefined || other === undefined) return yield* Effect.die("no process")
      const [old = ""] = tokensOf((yield* callAll([one])).exits)
      const hold = yield* fake.holdBack("get")
      const early = yield* Effect.forkChild(other.client.acquireToken(request), { startImmediately: true })
      yield* hold.reached
      yield* other.client.invalidate("all")
      yield* hold.release
      yield* TestClock.adjust("100 millis")
      yield* Fiber.join(early)
      for (const seconds of [0, 1, 10]) {
        yield* TestClock.adjust(seconds * 1000)
        assert.notInclude(tokensOf((yield* callAll([one, other])).exits.slice(1)), old)
      }
    })))

  it.effect("that is on its way to the store is waited for: one request for the process that made it and the others", () =>
    simulated(Effect.gen(function*() {
      const fake = yield* FakeFleetStore.make
      const [one, other] = yield* startMany(2, fake)
      if (one === undefined || other === undefined) return yield* Effect.die("no process")
      yield* delayEndpoint("2 seconds")
      yield* callAll([one, other])
      const before = yield* tokenRequests
      const hold = yield* fake.holdBack("invalidate")
      const invalidating = yield* Effect.forkChild(one.client.invalidate("all"), { startImmediately: true })
      yield* hold.reached
      const early = yield* Effect.forkChild(one.client.acquireToken(request), { startImmediately: true })
      yield* TestClock.adjust("20 millis")
      yield* hold.release
      yield* TestClock.adjust("500 millis")
      yield* callAll([other])
      yield* Fiber.join(invalidating)
      yield* Fiber.join(early)
      assert.strictEqual(yield* tokenRequests, before + 1)
    })))

  it.effect("of another process overtakes a reply: the old token is in memory for an interval at most", () =>
    simulated(Effect.gen(function*() {
      const fake = yield* FakeFleetStore.make
      const [one, other] = yield* startMany(2, fake)
      if (one === undefined || other === undefined) return yield* Effect.die("no process")
      const [old = ""] = tokensOf((yield* callAll([one])).exits)
      const hold = yield* fake.holdBack("get")
      const early = yield* Effect.forkChild(other.client.acquireToken(request), { startImmediately: true })
      yield* hold.reached
      yield* one.client.invalidate("all")
      yield* TestClock.adjust("100 millis")
      yield* hold.release
      yield* Fiber.join(early)
      yield* TestClock.adjust("500 millis")
      for (const seconds of [0, 1, 10]) {
        yield* TestClock.adjust(seconds * 1000)
        assert.notInclude(tokensOf((yield* callAll([other])).exits), old)
      }
    })))

  it.effect.each([false, true])(
    "overtakes the look for invalidations (another one came: %s)",
    (isChanged) =>
      simulated(Effect.gen(function*() {
        const fake = yield* FakeFleetStore.make
        const [one] = yield* startMany(1, fake)
        if (one === undefined) return yield* Effect.die("no process")
        const [old = ""] = tokensOf((yield* callAll([one])).exits)
        if (isChanged) yield* one.client.invalidate({ scopes: graph })
        const hold = yield* fake.holdBack("epochs")
        yield* TestClock.adjust("500 millis")
        yield* hold.reached
        yield* one.client.invalidate("all")
        yield* hold.release
        yield* TestClock.adjust(0)
        const [now = ""] = tokensOf((yield* callAll([one])).exits)
        assert.notStrictEqual(now, old)
        for (const seconds of [1, 10]) {
          yield* TestClock.adjust(seconds * 1000)
          assert.deepStrictEqual(tokensOf((yield* callAll([one])).exits), [now])
        }
      }))
  )

  it.effect("of one process costs the fleet one request", () =>
    simulated(Effect.gen(function*() {
      for (const delay of [0, 150]) {
        const fake = yield* FakeFleetStore.make
        const processes = yield* startMany(10, fake)
        const [one] = processes
        yield* callAll(processes)
        const before = yield* tokenRequests
        // Its write is under way while the invalidations of others are read.
        yield* TestClock.adjust(450)
        fake.delay = delay
        yield* together([one?.client.invalidate("all") ?? Effect.void])
        yield* TestClock.adjust(delay === 0 ? 1000 : 2000)
        fake.delay = 0
        for (let at = 0; at < 10; at++) {
          yield* callAll(processes)
          yield* TestClock.adjust("300 millis")
        }
        assert.strictEqual((yield* tokenRequests) - before, 1, `with ${delay} ms`)
      }
    })))

  it.effect("during a fetch without the store: its token is not offered afterwards", () =>
    simulated(Effect.gen(function*() {
      const fake = yield* FakeFleetStore.make
      const [one, other] = yield* startMany(2, fake)
      if (one === undefined || other === undefined) return yield* Effect.die("no process")
      yield* callAll([one, other], { scopes: graph })
      yield* delayEndpoint("5 seconds")
      one.connection.isSilent = true
      yield* TestClock.adjust("2 seconds")
      const early = yield* Effect.forkChild(one.client.acquireToken(request), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      one.connection.isSilent = false
      yield* TestClock.adjust("1 second")
      yield* other.client.invalidate("all")
      yield* TestClock.adjust("10 seconds")
      const old = Redacted.value((yield* Fiber.join(early)).accessToken)
      const [now = ""] = tokensOf((yield* callAll(yield* startMany(1, fake))).exits)
      assert.notStrictEqual(now, old)
    })))
})

describe("what never leaves the process", () => {
  it.effect("tokens for a claims challenge, and bound tokens", () =>
    simulated(Effect.gen(function*() {
      const fake = yield* FakeFleetStore.make
      const claims = `{"access_token":{"nbf":{"essential":true,"value":"1604106651"}}}`
      const bound = Layer.effect(
        ClientCredential.ClientCredential,
        Effect.map(
          Effect.provide(ClientCredential.ClientCredential, ClientCredential.layerSecret(EntraSimulator.daemonSecret)),
          (credential) => ({ ...credential, binding: () => ({ tokenType: "Bearer", keyId: "key-1" }) })
        )
      )
      const [one] = yield* startMany(1, fake)
      const [keyed] = yield* startMany(1, fake, { credential: bound })
      if (one === undefined || keyed === undefined) return yield* Effect.die("no process")
      const [shared = ""] = tokensOf((yield* callAll([one])).exits)
      const secrets = [
        ...tokensOf((yield* callAll([one], { claims })).exits),
        ...tokensOf((yield* callAll([one], { claims, accessTokenSha256ToRefresh: sha256(shared) })).exits),
        ...tokensOf((yield* callAll([keyed])).exits),
        ...tokensOf((yield* callAll([keyed], { scopes: graph })).exits)
      ]
      assert.strictEqual(new Set(secrets).size, 4)
      yield* TestClock.adjust("2 seconds")
      // A store that has lost everything is offered the tokens in memory.
      for (const isLost of [false, true]) {
        if (isLost) fake.flush()
        yield* TestClock.adjust("30 seconds")
        for (const secret of secrets) assert.notInclude(fake.dump(), secret)
      }
      assert.strictEqual(fake.counts.take, 2 + 1)
    })))
})

describe("a wall clock that is 10 minutes off in one process", () => {
  for (const off of [-10 * minute, 10 * minute]) {
    it.effect(`${off / minute} minutes: no token is served past its end, and no request is added`, () =>
      simulated(Effect.gen(function*() {
        const fake = yield* FakeFleetStore.make
        const ends = new Map<string, number>()
        const right = yield* startMany(3, fake, { cache: rarely })
        const clock = yield* Clock.Clock
        const wrong = yield* withWallClock((jump) => {
          jump(off)
          return startMany(1, fake, { cache: rarely })
        })
        for (let at = 0; at < 4 * 60; at++) {
          // The wrong one asks first in one half of the rounds.
          const processes = at % 2 === 0 ? [...wrong, ...right] : [...right, ...wrong]
          const { exits } = yield* callAll(processes)
          const now = clock.currentTimeMillisUnsafe()
          for (const token of tokensOf(exits)) {
            const end = ends.get(token) ?? now + 60 * minute
            ends.set(token, end)
            assert.isBelow(now, end)
          }
          yield* TestClock.adjust("1 minute")
        }
        // One in half an hour at most, up to a tenth earlier.
        assert.isAtMost(yield* tokenRequests, 1 + 240 / 27)
      })))
  }
})

describe("keepFresh", () => {
  it.effect(
    "in 10 processes: one request a refresh, and a new token after another process invalidates",
    () =>
      simulated(Effect.gen(function*() {
        const fake = yield* FakeFleetStore.make
        const processes = yield* startMany(10, fake)
        yield* Effect.forEach(processes, ({ client }) => client.keepFresh(request))
        yield* TestClock.adjust("2 hours")
        const requests = yield* tokenRequests
        assert.isAtLeast(requests, 1 + 4)
        assert.isAtMost(requests, 1 + 4)
        yield* delayEndpoint("200 millis")
        const peeked = () => processes.map(({ client }) => client.peek(request))
        for (const [at, inAnother] of [yield* start(fake), ...processes.slice(0, 1)].entries()) {
          const old = new Set(peeked().map((result) => result && Redacted.value(result.accessToken)))
          yield* inAnother.client.invalidate("all")
          yield* TestClock.adjust("2 seconds")
          for (const result of peeked()) {
            assert.isDefined(result)
            assert.isFalse(result !== undefined && old.has(Redacted.value(result.accessToken)))
          }
          assert.strictEqual(yield* tokenRequests, requests + 1 + at)
        }
      })),
    60_000
  )
})

describe("a process that ends", () => {
  it.effect.each([0, 20])(
    "releases its lease at once, at %i ms a command",
    (delay) =>
      simulated(Effect.gen(function*() {
        const fake = yield* FakeFleetStore.make
        const [one, other] = yield* startMany(2, fake)
        if (one === undefined || other === undefined) return yield* Effect.die("no process")
        yield* callAll([one, other], { scopes: graph })
        fake.delay = delay
        yield* fail(Fault.delay("1 hour"))
        yield* Effect.forkChild(Effect.exit(one.client.acquireToken(request)), { startImmediately: true })
        yield* TestClock.adjust("1 second")
        assert.strictEqual(fake.keys().filter((key) => key.startsWith("l:")).length, 1)
        yield* Effect.forkChild(one.close)
        const { exits, took } = yield* callAll([other])
        assert.isTrue(exits.every(Exit.isSuccess))
        assert.isAtMost(took, 600)
        yield* TestClock.adjust("1 second")
      }))
  )
})

describe("requests that differ", () => {
  it.effect("do not mix in one store", () =>
    simulated(Effect.gen(function*() {
      const fake = yield* FakeFleetStore.make
      const [one, other] = yield* startMany(2, fake)
      if (one === undefined || other === undefined) return yield* Effect.die("no process")
      const cases = [
        {},
        { cachePartition: "a" },
        { cachePartition: "b" },
        { scopes: graph },
        { tenantId: fabrikam },
        { tenantId: fabrikam, cachePartition: "a" }
      ]
      const seen: Array<string> = []
      for (const more of cases) {
        const [token = ""] = tokensOf((yield* callAll([one], more)).exits)
        seen.push(token)
        assert.deepStrictEqual(tokensOf((yield* callAll([other], more)).exits), [token])
      }
      assert.strictEqual(new Set(seen).size, cases.length)
      assert.strictEqual(yield* tokenRequests, cases.length)
    })))

  it.effect("minimumValidity takes a longer token of another process, and forceRefresh a token of its own", () =>
    simulated(Effect.gen(function*() {
      const fake = yield* FakeFleetStore.make
      const processes = yield* startMany(5, fake)
      yield* callAll(processes)
      yield* TestClock.adjust(20 * minute)
      const long = yield* callAll(processes, { minimumValidity: "50 minutes", perProcess: 10 })
      assert.strictEqual(tokensOf(long.exits).length, 1)
      assert.strictEqual(yield* tokenRequests, 2)
      // Lifetimes differ, so the forced token may be the shorter one.
      yield* EntraSimulator.EntraSimulator.use((simulator) => simulator.setTokenLifetime("30 minutes"))
      const forced = yield* callAll(processes, { forceRefresh: true })
      assert.strictEqual(tokensOf(forced.exits).length, 5)
      assert.strictEqual(yield* tokenRequests, 7)
      const newest = yield* callAll(yield* startMany(1, fake))
      assert.include(tokensOf(forced.exits), tokensOf(newest.exits)[0])
    })))

  it.effect("that are served tell that they come from the store, and whether they are being renewed", () =>
    simulated(Effect.gen(function*() {
      const fake = yield* FakeFleetStore.make
      const metadataOf = (exits: Effect.Success<ReturnType<typeof callAll>>["exits"]) =>
        exits.map((exit) => Exit.isSuccess(exit) ? exit.value.metadata : undefined)
      const ofNewProcess = Effect.gen(function*() {
        return metadataOf((yield* callAll(yield* startMany(1, fake))).exits)
      })
      const [fetched] = yield* ofNewProcess
      assert.deepInclude(fetched, { tokenSource: "IdentityProvider", cacheLevel: "None" })
      const served = { tokenSource: "Cache", cacheLevel: "L2", outage: false } as const
      const [fresh] = yield* ofNewProcess
      assert.deepInclude(fresh, { ...served, cacheRefreshReason: "NotApplicable" })
      yield* TestClock.adjust(31 * minute)
      const [due] = yield* ofNewProcess
      assert.deepInclude(due, { ...served, cacheRefreshReason: "ProactivelyRefreshed" })
    })))

  it.effect("of several clients and two clouds", () =>
    withFakeSealers(Effect.gen(function*() {
      let requests = 0
      const endpoint = HttpClient.make((request, url) =>
        Effect.sync(() => {
          requests++
          const form = request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : ""
          const client = new URLSearchParams(form).get("client_id")
          const token = { access_token: `${url.host} ${client} ${requests}`, token_type: "Bearer", expires_in: 3600 }
          return HttpClientResponse.fromWeb(request, new Response(JSON.stringify(token)))
        })
      )
      yield* Effect.gen(function*() {
        const fake = yield* FakeFleetStore.make
        const clients = [
          { clientId: "11111111-1111-1111-1111-111111111111" },
          { clientId: "22222222-2222-2222-2222-222222222222" },
          { clientId: "11111111-1111-1111-1111-111111111111", authority: `https://login.microsoftonline.us/${contoso}` }
        ]
        const tokens: Array<string> = []
        for (const client of clients) {
          const { authority, ...rest } = { authority: undefined, ...client }
          const options = { client: authority === undefined ? rest : { ...rest, authority, tenantId: undefined } }
          const [token = ""] = tokensOf((yield* callAll(yield* startMany(3, fake, options))).exits)
          assert.include(token, client.clientId)
          assert.include(token, authority === undefined ? "login.microsoftonline.com" : "login.microsoftonline.us")
          tokens.push(token)
        }
        assert.strictEqual(requests, 3)
        const [first] = yield* startMany(1, fake, { client: clients[0] ?? {} })
        yield* first?.client.invalidate("all") ?? Effect.void
        for (const [at, client] of clients.entries()) {
          const { authority, ...rest } = { authority: undefined, ...client }
          const options = { client: authority === undefined ? rest : { ...rest, authority, tenantId: undefined } }
          const [token] = tokensOf((yield* callAll(yield* startMany(1, fake, options))).exits)
          assert.strictEqual(token === tokens[at], at !== 0)
        }
      }).pipe(Effect.provideService(HttpClient.HttpClient, endpoint))
    })))
})
