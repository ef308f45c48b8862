/** The bound of concurrent token requests: how many run at a time, who is next, and that every slot comes back. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Duration, Effect, Exit, Fiber, Layer, Redacted, Scope } from "effect"
import {
  AuthorityResolver,
  ClientCredential,
  ConfidentialClient,
  RetryPolicy,
  TokenCache,
  TokenEndpoint
} from "effect-entra"
import { EntraSimulator } from "effect-entra/testing"
import { FetchHttpClient } from "effect/http"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { randomUUID } from "node:crypto"
import { answering, type Asked, dropped, type Reply } from "./support/answering.ts"
import { record, silent, warnings } from "./support/log.ts"
import { manyKeys, tokenServer } from "./support/manyKeys.ts"

const token: Reply = { body: { access_token: "a-token", token_type: "Bearer", expires_in: 3600 } }

const scopeOf = ({ form }: Asked) => /^api:\/\/(.*)\/\.default$/.exec(form.get("scope") ?? "")?.[1] ?? ""

/** A service whose requests begin and end; `running` names those between. */
const service = (reply: (asked: Asked) => Effect.Effect<Reply>) => {
  const running = new Set<string>()
  const begun: Array<string> = []
  let most = 0
  const { layer } = answering((asked) =>
    Effect.suspend(() => {
      const name = scopeOf(asked)
      running.add(name)
      begun.push(name)
      most = Math.max(most, running.size)
      return Effect.ensuring(reply(asked), Effect.sync(() => running.delete(name)))
    })
  )
  return { begun, layer, running, most: () => most }
}

const lasting = (time: Duration.Input) => () => Effect.delay(Effect.succeed(token), time)

/** The services of a client, over a transport. */
const over = (transport: ReturnType<typeof service>["layer"], options: TokenEndpoint.Options) =>
  Layer.mergeAll(
    AuthorityResolver.layerKnownClouds,
    TokenEndpoint.layerWith(options),
    TokenCache.layerMemory()
  ).pipe(Layer.provide(transport))

const client = (options: Partial<ConfidentialClient.Options> = {}) =>
  Effect.flatMap(
    ClientCredential.secret(Redacted.make("the secret's value")),
    (credential) =>
      ConfidentialClient.make({
        clientId: EntraSimulator.daemonClientId,
        tenantId: "a.example",
        credential,
        ...options
      })
  )

/** The request of one key; `b:1` is a key of the tenant `b.example`. */
const requestOf = (name: string) => ({
  scopes: `api://${name}/.default`,
  tenantId: `${name.split(":")[0]}.example`
})

type Client = ConfidentialClient.ConfidentialClient["Service"]

const start = ({ acquireToken }: Client, names: ReadonlyArray<string>) =>
  Effect.forEach(
    names,
    (name) => Effect.forkChild(Effect.exit(acquireToken(requestOf(name))), { startImmediately: true })
  )

const joined = (fibers: ReadonlyArray<Fiber.Fiber<Exit.Exit<unknown, { readonly code: string }>>>) =>
  Effect.map(
    Effect.forEach(fibers, Fiber.join),
    (exits) => exits.map((exit) => Exit.isSuccess(exit) ? "token" : Exit.findErrorOption(exit).pipe(codeOf))
  )

const codeOf = (error: { readonly _tag: string; readonly value?: { readonly code: string } }) =>
  error.value?.code ?? "defect"

const names = (tenant: string, count: number) => Array.from({ length: count }, (_, i) => `${tenant}:${i}`)

describe("the bound", () => {
  it.effect("32 by default; the others in the order of their calls", () => {
    const { begun, layer, most, running } = service(lasting("1 second"))
    return Effect.gen(function*() {
      const fibers = yield* start(yield* client(), names("a", 100))
      yield* TestClock.adjust(0)
      assert.strictEqual(running.size, 32)
      yield* TestClock.adjust("3999 millis")
      assert.deepStrictEqual(begun, names("a", 100))
      assert.deepStrictEqual([...running], names("a", 100).slice(96))
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* joined(fibers), Array.from({ length: 100 }, () => "token"))
      assert.strictEqual(most(), 32)
    }).pipe(Effect.provide(over(layer, {})))
  })

  it.effect("is an option of layerDefault too", () => {
    const { layer, most } = service(lasting("1 second"))
    return Effect.gen(function*() {
      const fibers = yield* start(yield* ConfidentialClient.ConfidentialClient, names("a", 4))
      yield* TestClock.adjust("1 minute")
      yield* joined(fibers)
      assert.strictEqual(most(), 2)
    }).pipe(
      Effect.provide(ConfidentialClient.layerDefault({
        clientId: EntraSimulator.daemonClientId,
        maxConcurrentRequests: 2
      })),
      Effect.provide([layer, ClientCredential.layerSecret(Redacted.make("the secret's value"))])
    )
  })

  it.effect("holds for each origin by itself", () => {
    const { layer, running } = service(() => Effect.never)
    return Effect.gen(function*() {
      yield* start(yield* client(), names("a", 3))
      yield* start(yield* client({ authority: "https://login.microsoftonline.us" }), ["a:us"])
      yield* TestClock.adjust(0)
      assert.deepStrictEqual([...running], ["a:0", "a:us"])
    }).pipe(Effect.provide(over(layer, { maxConcurrentRequests: 1 })))
  })

  it.effect("does not hold a slot between two attempts", () => {
    const asked: Array<string> = []
    const { layer } = service((request) =>
      Effect.sync(() => {
        asked.push(scopeOf(request))
        return asked.length === 1 ? { status: 503 } : token
      })
    )
    return Effect.gen(function*() {
      const fibers = yield* start(yield* client(), ["a:0", "a:1"])
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* joined(fibers), ["token", "token"])
      assert.deepStrictEqual(asked, ["a:0", "a:1", "a:0"])
    }).pipe(Effect.provide(over(layer, { maxConcurrentRequests: 1 })))
  })

  it.effect("wakes a thousand requests one after another, without a deep stack, when the service takes no time", () => {
    const gate = Deferred.makeUnsafe<void>()
    const { begun, layer } = service(() => Effect.as(Deferred.await(gate), token))
    return Effect.gen(function*() {
      const fibers = yield* start(yield* client(), names("a", 1000))
      yield* TestClock.adjust(0)
      assert.lengthOf(begun, 1)
      yield* Deferred.succeed(gate, undefined)
      assert.deepStrictEqual(new Set(yield* joined(fibers)), new Set(["token"]))
      assert.lengthOf(begun, 1000)
    }).pipe(Effect.provide(over(layer, { maxConcurrentRequests: 1, budget: "1 hour" })))
  })
})

describe("tenants take turns", () => {
  it.effect("a tenant with one key is next, however many keys another one has", () => {
    const { begun, layer } = service(lasting("1 second"))
    return Effect.gen(function*() {
      const entra = yield* client()
      yield* start(entra, names("a", 1000))
      const [one] = yield* start(entra, ["b:0"])
      yield* start(entra, ["c:0", "c:1"])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(begun, ["a:0", "a:1", "a:2", "a:3", "a:4", "b:0", "c:0", "a:5"])
      yield* TestClock.adjust("1 second")
      assert.isTrue(one !== undefined && Exit.isSuccess(yield* Fiber.join(one)))
    }).pipe(Effect.provide(over(layer, { maxConcurrentRequests: 4, budget: "3 seconds" })))
  })
})

describe("the time of a wait", () => {
  it.effect("does not count against attemptTimeout, nor as time of the request", () => {
    const { layer } = service(lasting("900 millis"))
    return Effect.gen(function*() {
      const entra = yield* client()
      const before = yield* start(entra, names("a", 4))
      const last = yield* Effect.forkChild(entra.acquireToken(requestOf("a:last")), { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* joined(before), ["token", "token", "token", "token"])
      const { metadata: { durations } } = yield* Fiber.join(last)
      assert.strictEqual(Duration.toMillis(durations?.http ?? Duration.zero), 900)
      assert.strictEqual(Duration.toMillis(durations?.total ?? Duration.zero), 4500)
    }).pipe(Effect.provide(over(layer, { maxConcurrentRequests: 1, attemptTimeout: "1 second" })))
  })

  it.effect("counts against the budget, and says so; neither the circuit nor the gate minds", () => {
    const { begun, layer } = service(lasting("900 millis"))
    return Effect.gen(function*() {
      const entra = yield* client()
      const fibers = yield* start(entra, names("a", 20))
      yield* TestClock.adjust("2 seconds")
      const codes = yield* joined(fibers)
      assert.deepStrictEqual(codes.slice(0, 3), ["token", "token", "concurrency_limit"])
      assert.deepStrictEqual(new Set(codes.slice(2)), new Set(["concurrency_limit"]))
      // The third one was sent with 200 ms left.
      assert.deepStrictEqual(begun, ["a:0", "a:1", "a:2"])
      const again = yield* start(entra, ["a:19"])
      yield* TestClock.adjust("900 millis")
      assert.deepStrictEqual(yield* joined(again), ["token"])
      assert.deepInclude(yield* entra.stats, { throttled: 0, refused: 0 })
    }).pipe(Effect.provide(over(layer, { maxConcurrentRequests: 1, budget: "2 seconds" })))
  })

  it.effect("the error names the endpoint, the bound and a way out, and blames nobody else", () => {
    const { layer } = service(() => Effect.never)
    return Effect.gen(function*() {
      const entra = yield* client()
      yield* start(entra, ["a:0"])
      const second = yield* Effect.forkChild(Effect.flip(entra.acquireToken(requestOf("b:0"))), {
        startImmediately: true
      })
      yield* TestClock.adjust("3 seconds")
      const error = yield* Fiber.join(second)
      assert.deepInclude<object>(error, {
        _tag: "EntraServiceUnavailableError",
        code: "concurrency_limit",
        origin: "local",
        isRetryable: true,
        message: "The budget of 3000 ms was used up by the wait for other requests to "
          + "https://login.microsoftonline.com/b.example/oauth2/v2.0/token, of which 1 run at a time.",
        remedy:
          "Acquire many tokens with prefetch, or raise budget or maxConcurrentRequests of the TokenEndpoint layer."
      })
    }).pipe(Effect.provide(over(layer, { maxConcurrentRequests: 1, budget: "3 seconds" })))
  })

  it.effect("is before the credential, whose assertion is fresh and which the bound protects too", () => {
    const signed: Array<number> = []
    const { layer } = service(lasting("1 second"))
    return Effect.gen(function*() {
      const credential = yield* ClientCredential.assertion(() =>
        Effect.flatMap(Clock.currentTimeMillis, (now) => {
          signed.push(now)
          return Effect.delay(Effect.succeed(Redacted.make("an.assertion.signed")), "500 millis")
        })
      )
      const entra = yield* ConfidentialClient.make({ clientId: EntraSimulator.daemonClientId, credential })
      const fibers = yield* start(entra, names("a", 4))
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(yield* joined(fibers), ["token", "token", "concurrency_limit", "concurrency_limit"])
      assert.deepStrictEqual(signed, [0, 0, 1500, 1500])
    }).pipe(Effect.provide(over(layer, { maxConcurrentRequests: 2, budget: "1800 millis" })))
  })

  it.effect("a service that hangs still opens the circuit", () => {
    const { begun, layer } = service(() => Effect.never)
    return Effect.gen(function*() {
      const entra = yield* client()
      const fibers = yield* start(entra, names("a", 5))
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(new Set(yield* joined(fibers)), new Set(["timeout"]))
      const next = yield* start(entra, ["a:next"])
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* joined(next), ["circuit_open"])
      assert.lengthOf(begun, 5)
    }).pipe(
      Effect.provide(
        over(layer, { maxConcurrentRequests: 5, attemptTimeout: "2 seconds", retry: RetryPolicy.none })
      )
    )
  })

  it.effect("a region is not blamed for requests that wait for each other; the global endpoint helps out", () => {
    const log = record()
    const { begun, layer } = service(({ url }) =>
      Effect.delay(Effect.succeed(token), url.host === "westus2.login.microsoft.com" ? "1400 millis" : 0)
    )
    const Services = Layer.mergeAll(
      Layer.orDie(AuthorityResolver.layerWith({ region: "westus2" })),
      TokenEndpoint.layerWith({ maxConcurrentRequests: 1, budget: "3 seconds" }),
      TokenCache.layerMemory()
    ).pipe(Layer.provide(layer), Layer.provideMerge(log.layer))
    return Effect.gen(function*() {
      const fibers = yield* start(yield* client({ clientId: randomUUID() }), ["a:0", "a:1"])
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(yield* joined(fibers), ["token", "token"])
      // The second one had 100 ms of the region's half of the budget left.
      assert.deepStrictEqual(begun, ["a:0", "a:1", "a:1"])
      assert.deepStrictEqual(warnings(log), [])
    }).pipe(Effect.provide(Services))
  })
})

describe("a request that waits", () => {
  it.effect("leaves the queue with its client, and so does one that runs", () => {
    const { begun, layer, running } = service(() => Effect.never)
    return Effect.gen(function*() {
      const scope = yield* Scope.make()
      const closing = yield* start(yield* Scope.provide(client(), scope), ["a:0", "a:1", "a:2", "b:0"])
      const staying = yield* client()
      yield* start(staying, ["a:3", "b:1"])
      yield* TestClock.adjust(0)
      assert.deepStrictEqual([...running], ["a:0", "a:1"])
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(new Set(yield* joined(closing)), new Set(["client_closed"]))
      yield* TestClock.adjust(0)
      assert.deepStrictEqual([...running], ["a:3", "b:1"])
      assert.lengthOf(begun, 4)
    }).pipe(Effect.provide(over(layer, { maxConcurrentRequests: 2 })))
  })

  it.effect("is not sent when the service throttles its key meanwhile", () => {
    const { begun, layer } = service(() => Effect.delay(Effect.succeed({ status: 429 }), "1 second"))
    return Effect.gen(function*() {
      const entra = yield* client()
      const forced = yield* Effect.replicateEffect(
        Effect.forkChild(Effect.exit(entra.acquireToken({ ...requestOf("a:0"), claims: "{}" })), {
          startImmediately: true
        }),
        2
      )
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(yield* joined(forced), ["throttled", "throttled"])
      assert.lengthOf(begun, 1)
    }).pipe(Effect.provide(over(layer, { maxConcurrentRequests: 1 })))
  })
})

describe("every slot comes back", () => {
  const outcomes: Readonly<Record<string, Effect.Effect<Reply>>> = {
    token: Effect.succeed(token),
    later: Effect.delay(Effect.succeed(token), "700 millis"),
    outage: Effect.succeed({ status: 503 }),
    dropped: Effect.succeed(dropped),
    refused: Effect.succeed({ status: 400, body: { error: "invalid_request", error_codes: [1] } }),
    throttled: Effect.succeed({ status: 429, headers: { "retry-after": "1" } }),
    page: Effect.succeed({ status: 200, body: "<html>" }),
    hangs: Effect.never,
    dies: Effect.die("the transport"),
    interrupted: Effect.interrupt
  }
  const plan = fc.record({
    most: fc.integer({ min: 1, max: 4 }),
    calls: fc.array(
      fc.record({
        tenant: fc.constantFrom("a", "b", "c"),
        outcomes: fc.array(fc.constantFrom(...Object.keys(outcomes)), { minLength: 1, maxLength: 4 }),
        at: fc.integer({ min: 0, max: 3000 }),
        isClosed: fc.boolean()
      }),
      { minLength: 1, maxLength: 16 }
    ),
    closing: fc.integer({ min: 0, max: 8000 })
  })

  it.live("after any outcomes, time-outs and closed clients", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(plan, ({ calls, closing, most: bound }) => {
          const sent = new Map<string, number>()
          let isOver = false
          const { layer, most, running } = service((asked) =>
            Effect.suspend(() => {
              if (isOver) return Effect.never
              const name = scopeOf(asked)
              const { outcomes: mine = [] } = calls[Number(name.split(":")[1])] ?? {}
              const attempt = sent.get(name) ?? 0
              sent.set(name, attempt + 1)
              return outcomes[mine[attempt % mine.length] ?? ""] ?? Effect.never
            })
          )
          const program = Effect.gen(function*() {
            const scope = yield* Scope.make()
            const closed = yield* Scope.provide(client(), scope)
            const kept = yield* client()
            const fibers = yield* Effect.forEach(
              [...calls.entries()],
              ([i, { at, isClosed, tenant }]) =>
                (isClosed ? closed : kept).acquireToken(requestOf(`${tenant}:${i}`)).pipe(
                  Effect.delay(at),
                  Effect.exit,
                  Effect.forkChild({ startImmediately: true })
                )
            )
            yield* TestClock.adjust(closing)
            yield* Scope.close(scope, Exit.void)
            yield* TestClock.adjust("5 minutes")
            yield* joined(fibers)
            assert.isAtMost(most(), bound)
            assert.strictEqual(running.size, 0)
            // A bound that had lost a slot would let fewer run now; one that had gained a slot, more.
            isOver = true
            yield* start(kept, names("d", bound + 3))
            yield* TestClock.adjust(0)
            assert.strictEqual(running.size, bound)
          })
          const options = {
            maxConcurrentRequests: bound,
            attemptTimeout: "2 seconds",
            budget: "6 seconds",
            breaker: { failures: 1000 }
          } as const
          return Effect.runPromise(
            Effect.scoped(program).pipe(
              Effect.provide(over(layer, options)),
              Effect.provide([TestClock.layer(), silent])
            )
          )
        }),
        { numRuns: 100 }
      )
    ))
})

it.live("many cold keys over fetch: no more connections than slots, and no call fails", () =>
  Effect.gen(function*() {
    const server = yield* tokenServer("20 millis")
    const { failed } = yield* manyKeys(server, FetchHttpClient.layer, { keys: 300, tenants: 4 })
    assert.strictEqual(failed, 0)
    assert.isAtMost(server.counts.mostRequests, 32)
    assert.isAtMost(server.counts.mostConnections, 32)
    assert.strictEqual(server.counts.requests, 300)
  }).pipe(Effect.scoped))
