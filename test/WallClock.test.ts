/** The wall clock is corrected: no token outlives its lifetime by it, and each wait has its own length. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Fiber, FileSystem, Layer, Redacted, References, Result, Stream } from "effect"
import {
  Authority,
  AuthorityResolver,
  ClientCredential,
  ConfidentialClient,
  RetryPolicy,
  TokenCache,
  TokenEndpoint
} from "effect-entra"
import { ManagedIdentity } from "effect-entra/node"
import { EntraSimulator, MetadataService } from "effect-entra/testing"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import * as Rotation from "../src/internal/credential/rotation.ts"
import { answering, documentOf, isDiscovery } from "./support/answering.ts"
import { attempt, sessions } from "./support/credentials.ts"
import { withWallClock } from "./support/wallClock.ts"
import { contoso, graph, Simulator, tokenRequests, World } from "./support/world.ts"

const { Fault } = EntraSimulator
const second = 1000
const minute = 60 * second
const hour = 60 * minute
const day = 24 * hour
const acquire = ConfidentialClient.acquireToken({ scopes: graph })
const fail = (...parameters: Parameters<EntraSimulator.EntraSimulator["Service"]["fail"]>) =>
  EntraSimulator.EntraSimulator.use((simulator) => simulator.fail(...parameters))
const clearFaults = EntraSimulator.EntraSimulator.use((simulator) => simulator.clearFaults)

/** A call, and the number of requests that were sent since the beginning. */
const requestsAfter = <E, R>(call: Effect.Effect<unknown, E, R>) =>
  Effect.exit(call).pipe(Effect.andThen(TestClock.adjust(0)), Effect.andThen(tokenRequests))

/** A wait of `length` milliseconds, which `begin` starts. `call` calls once and returns the number of requests until then. */
interface Wait {
  readonly name: string
  readonly length: number
  /** The longest jump in both directions, where a longer jump would end the life of the token in use. */
  readonly longest?: number
  readonly run: (
    use: (
      begin: Effect.Effect<unknown, unknown>,
      call: Effect.Effect<number>
    ) => Effect.Effect<void, unknown>
  ) => Effect.Effect<void, unknown>
}

const inWorld = <R>(
  layer: Layer.Layer<R, unknown>,
  begin: Effect.Effect<unknown, unknown, R>,
  call: Effect.Effect<number, never, R>
): Wait["run"] =>
(use) =>
  Effect.gen(function*() {
    const context = yield* Effect.context<R>()
    yield* use(Effect.provideContext(begin, context), Effect.provideContext(call, context))
  }).pipe(Effect.provide(layer))

const broken = ConfidentialClient.acquireToken({ scopes: graph, tenantId: "broken.example" })
const once = Effect.provideService(acquire, RetryPolicy.Current, RetryPolicy.none)

const discovering = (transport: ReturnType<typeof answering>) =>
  ConfidentialClient.layer({ clientId: "daemon", issuer: "https://idp.example" }).pipe(
    Layer.provide([ClientCredential.layerSecret(Redacted.make("s")), TokenCache.layerNoop]),
    Layer.provide([AuthorityResolver.layer, TokenEndpoint.layer]),
    Layer.provide(transport.layer)
  )

const waits: ReadonlyArray<Wait> = [
  {
    name: "the circuit",
    length: 30 * second,
    run: inWorld(
      World(),
      Effect.gen(function*() {
        yield* fail(Fault.unavailable(), { times: Infinity })
        for (let call = 0; call < 5; call++) yield* Effect.flip(once)
        yield* clearFaults
      }),
      requestsAfter(once)
    )
  },
  {
    name: "a Retry-After",
    length: 50 * minute,
    run: inWorld(
      World(),
      Effect.andThen(fail(Fault.throttled({ retryAfter: "50 minutes" })), Effect.flip(acquire)),
      requestsAfter(acquire)
    )
  },
  {
    name: "a remembered refusal",
    length: 5 * second,
    run: inWorld(World(), Effect.flip(broken), requestsAfter(broken))
  },
  {
    name: "the cool-down after a failed refresh",
    length: 30 * second,
    longest: 20 * hour,
    run: inWorld(
      World({ tokenLifetime: "10 days" }),
      Effect.gen(function*() {
        yield* acquire
        yield* TestClock.adjust("6 days")
        yield* fail(Fault.throttled({ retryAfter: "1 second" }))
        yield* acquire
        yield* TestClock.adjust(0)
      }),
      requestsAfter(acquire)
    )
  },
  {
    name: "the failure of a discovery document",
    length: 3 * second,
    run: (use) => {
      const transport = answering(() => ({ status: 404 }))
      return inWorld(
        discovering(transport),
        Effect.flip(ConfidentialClient.acquireToken({ scopes: "a" })),
        Effect.map(
          Effect.exit(ConfidentialClient.acquireToken({ scopes: "a" })),
          () => transport.seen.filter(isDiscovery).length
        )
      )(use)
    }
  },
  {
    name: "a discovery document",
    length: day,
    run: (use) => {
      const transport = answering((asked) =>
        isDiscovery(asked)
          ? { body: documentOf(asked) }
          : { body: { access_token: "t", token_type: "Bearer", expires_in: 3600 } }
      )
      const call = ConfidentialClient.acquireToken({ scopes: "a" })
      return inWorld(
        discovering(transport),
        call,
        Effect.exit(call).pipe(
          Effect.andThen(TestClock.adjust(0)),
          Effect.map(() => transport.seen.filter(isDiscovery).length)
        )
      )(use)
    }
  },
  {
    name: "an invalid verdict of instance discovery",
    length: day,
    run: (use) => {
      const transport = answering(() => ({ status: 400, body: { error: "invalid_instance" } }))
      const authority = Result.getOrThrow(Authority.parse(`https://sts.example/${contoso}`))
      const call = AuthorityResolver.AuthorityResolver.use(({ resolve }) => resolve(authority, { channel: "standard" }))
      return inWorld(
        AuthorityResolver.layer.pipe(Layer.provide(transport.layer)),
        Effect.flip(call),
        Effect.map(Effect.exit(call), () => transport.seen.length)
      )(use)
    }
  },
  {
    name: "reloadEvery of a credential",
    length: minute,
    run: (use) =>
      Effect.gen(function*() {
        let loads = 0
        const credential = sessions(
          yield* Rotation.make({
            load: Effect.sync(() => [String(++loads)]),
            same: (one, other) => one === other,
            reloadEvery: minute,
            prove: (material) => Effect.succeed({ form: { material } })
          })
        )
        const call = Effect.map(Effect.exit(credential.authenticate(attempt)), () => loads)
        yield* use(call, call)
      })
  },
  {
    name: "a throttled managed identity",
    length: 30 * second,
    run: inWorld(
      ManagedIdentity.layer({ source: "imds" }).pipe(
        Layer.provideMerge(
          Layer.merge(MetadataService.layerMemory({ signer: EntraSimulator.signerFake }), FileSystem.layerNoop({}))
        )
      ),
      Effect.andThen(
        MetadataService.MetadataService.use((service) =>
          service.fail({ status: 429, headers: { "retry-after": "30" } }, { times: 1 })
        ),
        Effect.flip(ConfidentialClient.acquireToken({ scopes: "https://vault.azure.net/.default" }))
      ),
      Effect.exit(ConfidentialClient.acquireToken({ scopes: "https://vault.azure.net/.default" })).pipe(
        Effect.andThen(MetadataService.MetadataService.use((service) => service.requests)),
        Effect.map((requests) => requests.length)
      )
    )
  }
]

/** A jump of any order of magnitude, in both directions. */
const jumpUpTo = (longest: number) =>
  fc.tuple(fc.double({ min: 0, max: Math.log10(longest), noNaN: true }), fc.boolean()).map(([magnitude, isBack]) =>
    Math.floor(10 ** magnitude) * (isBack ? -1 : 1)
  )

const quietly = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.runPromise(
    Effect.andThen(TestClock.setTime(10 * 365 * day), effect).pipe(
      Effect.provide(TestClock.layer()),
      Effect.provideService(References.MinimumLogLevel, "None")
    )
  )

describe("each wait has its own length, however the wall clock jumps meanwhile:", () => {
  it.each(waits)("$name", ({ length, longest = 400 * day, run }) =>
    fc.assert(
      fc.asyncProperty(jumpUpTo(longest), fc.integer({ min: 0, max: length - 1 }), (by, moment) =>
        quietly(
          withWallClock((jump) =>
            run((begin, call) =>
              Effect.gen(function*() {
                yield* begin
                const before = yield* call
                yield* TestClock.adjust(moment)
                jump(by)
                yield* TestClock.adjust(length - 1 - moment)
                assert.strictEqual(yield* call, before)
                yield* TestClock.adjust(1)
                assert.strictEqual(yield* call, before + 1)
              })
            )
          )
        )),
      { numRuns: 25 }
    ))

  it("a budget, with a Retry-After beyond it", () =>
    fc.assert(
      fc.asyncProperty(jumpUpTo(400 * day), (by) =>
        quietly(
          withWallClock((jump) =>
            Effect.gen(function*() {
              yield* fail(Fault.unavailable({ retryAfter: "1 second" }))
              yield* fail(Fault.unavailable({ retryAfter: "3000 seconds" }))
              const fiber = yield* Effect.forkChild(Effect.flip(acquire))
              yield* TestClock.adjust(500)
              jump(by)
              yield* TestClock.adjust(1500)
              assert.isDefined(fiber.pollUnsafe())
              assert.deepStrictEqual((yield* Fiber.join(fiber)).retryAfter, Duration.seconds(3000))
            }).pipe(Effect.provide(World({ endpoint: { budget: "2 seconds" } })))
          )
        )),
      { numRuns: 25 }
    ))
})

describe("a token from the future", () => {
  it("is expired, however far the clock went back and however old the token was", () =>
    fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: hour - second }),
        fc.integer({ min: second, max: 400 * day }),
        (age, further) =>
          quietly(
            withWallClock((jump) =>
              Effect.gen(function*() {
                yield* acquire
                yield* TestClock.adjust(age)
                jump(-age - further)
                const client = yield* ConfidentialClient.ConfidentialClient
                assert.isUndefined(client.peek({ scopes: graph }))
                const { expiresOn, metadata } = yield* acquire
                assert.strictEqual(metadata.tokenSource, "IdentityProvider")
                const expected = Math.floor((10 * 365 * day - further) / second) * second + 3_599_000
                assert.strictEqual(expiresOn.epochMilliseconds, expected)
                assert.strictEqual(yield* tokenRequests, 2)
                yield* acquire
                assert.strictEqual(yield* tokenRequests, 2)
              }).pipe(Effect.provide(World()))
            )
          )
      ),
      { numRuns: 50 }
    ))

  it.effect("is not served as a spare when its refresh fails", () =>
    withWallClock((jump) =>
      Effect.gen(function*() {
        yield* acquire
        jump(-2 * hour)
        yield* fail(Fault.unavailable(), { times: Infinity })
        assert.strictEqual((yield* Effect.flip(once)).code, "service_unavailable")
      }).pipe(Effect.provide(World()))
    ))

  it.effect("is replaced by keepFresh within a minute, after a start a year ahead", () =>
    withWallClock((jump) =>
      Effect.gen(function*() {
        jump(365 * day)
        yield* ConfidentialClient.keepFresh({ scopes: graph })
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(yield* tokenRequests, 1)
        jump(-365 * day)
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(yield* tokenRequests, 2)
        yield* TestClock.adjust("1 hour")
        assert.isAtLeast(yield* tokenRequests, 3)
      }).pipe(Effect.scoped, Effect.provide(World()))
    ))

  it.effect("is replaced for a stream within a minute, as is one that expired while the machine slept", () =>
    withWallClock((jump) =>
      Effect.gen(function*() {
        const seen: Array<number> = []
        yield* Effect.forkScoped(
          Stream.runForEach(ConfidentialClient.tokens({ scopes: graph }), ({ expiresOn }) =>
            Effect.map(Clock.currentTimeMillis, (now) => seen.push(expiresOn.epochMilliseconds - now)))
        )
        yield* TestClock.adjust("5 minutes")
        jump(8 * hour)
        yield* TestClock.adjust("1 minute")
        jump(-2 * day)
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(seen, [3_599_000, 3_599_000, 3_599_000])
        assert.strictEqual(yield* tokenRequests, 3)
        jump(30 * second)
        yield* TestClock.adjust("25 minutes")
        assert.strictEqual(yield* tokenRequests, 3)
      }).pipe(Effect.scoped, Effect.provide(World()))
    ))

  it.effect("of one client is not used by another client over the same cache", () => {
    const Shared = Layer.merge(Simulator(), TokenCache.layerMemory())
    const client = ConfidentialClient.layer({ clientId: EntraSimulator.daemonClientId, tenantId: contoso }).pipe(
      Layer.provide([
        ClientCredential.layerSecret(EntraSimulator.daemonSecret),
        AuthorityResolver.layer,
        TokenEndpoint.layer
      ])
    )
    return withWallClock((jump) =>
      Effect.gen(function*() {
        yield* Effect.provide(acquire, client)
        jump(-second)
        const { metadata } = yield* Effect.provide(acquire, client)
        assert.strictEqual(metadata.tokenSource, "IdentityProvider")
      }).pipe(Effect.provide(Shared))
    )
  })
})
