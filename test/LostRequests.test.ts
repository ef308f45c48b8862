/**
 * A platform may end the I/O of a request without a word, as Cloudflare Workers does. Here the endpoint never responds, and
 * has no timer either. `test/Workers.test.ts` does so in the platform itself.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Redacted } from "effect"
import { AuthorityResolver, ClientCredential, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
import { TestClock } from "effect/testing"
import { tokenOf } from "./internal/support.ts"

/** An endpoint whose requests with these numbers are lost. */
const losing = (...lost: ReadonlyArray<number>) => {
  const seen = { requests: 0 }
  const Endpoint = Layer.succeed(TokenEndpoint.TokenEndpoint, {
    request: () =>
      Effect.suspend(() => {
        const number = ++seen.requests
        return lost.includes(number)
          ? Effect.never
          : Effect.clockWith((clock) =>
            Effect.sync(() => {
              const issuedAt = clock.currentTimeMillisUnsafe()
              return tokenOf({ text: `token-${number}`, issuedAt, expiresOn: issuedAt + 3_600_000 })
            })
          )
      }),
    forget: () => Effect.void,
    stats: Effect.succeed({ throttled: 0, refused: 0 })
  })
  const Services = Layer.mergeAll(AuthorityResolver.layerKnownClouds, Endpoint, TokenCache.layerMemory())
  return { seen, Services }
}

const clientOf = Effect.flatMap(
  ClientCredential.secret(Redacted.make("the secret's value")),
  (credential) =>
    ConfidentialClient.make({
      clientId: "11111111-1111-1111-1111-111111111111",
      tenantId: "22222222-2222-2222-2222-222222222222",
      credential
    })
)

const now = { startImmediately: true }
const request = { scopes: "api://orders/.default" }
const ofARequest = Effect.provideService(ConfidentialClient.WaitUntil, () => {})

const tokenFrom = (client: ConfidentialClient.ConfidentialClient["Service"]) =>
  Effect.map(client.acquireToken(request), ({ accessToken }) => Redacted.value(accessToken))

describe("a request of the client is lost", () => {
  it.effect("the first one of a key: callers that wait, and later ones, share another", () => {
    const { seen, Services } = losing(1)
    return Effect.gen(function*() {
      const client = yield* clientOf
      yield* Effect.forkChild(tokenFrom(client), now)
      const waiting = yield* Effect.forEach([1, 2], () => Effect.forkChild(ofARequest(tokenFrom(client)), now))
      yield* TestClock.adjust("39 seconds")
      assert.strictEqual(seen.requests, 1)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Effect.forEach(waiting, Fiber.join), ["token-2", "token-2"])
      assert.strictEqual(yield* tokenFrom(client), "token-2")
      assert.strictEqual((yield* client.stats).flights, 0)
      assert.strictEqual(seen.requests, 2)
    }).pipe(Effect.provide(Services))
  })

  it.effect("the refresh of a due token: a later hit sends another, and the token is served meanwhile", () => {
    const { seen, Services } = losing(2)
    return Effect.gen(function*() {
      const client = yield* clientOf
      yield* tokenFrom(client)
      yield* TestClock.adjust("31 minutes")
      for (let second = 0; second < 40; second++) {
        assert.strictEqual(yield* tokenFrom(client), "token-1")
        assert.strictEqual(seen.requests, 2)
        yield* TestClock.adjust("1 second")
      }
      assert.strictEqual((yield* client.stats).flights, 0)
      assert.strictEqual(yield* tokenFrom(client), "token-1")
      yield* TestClock.adjust(0)
      assert.strictEqual(seen.requests, 3)
      assert.strictEqual(yield* tokenFrom(client), "token-3")
    }).pipe(Effect.provide(Services))
  })

  it.effect("every refresh, until the token has expired: nobody fails", () => {
    const { seen, Services } = losing(2, 3, 4)
    return Effect.gen(function*() {
      const client = yield* clientOf
      yield* tokenFrom(client)
      yield* TestClock.adjust("58 minutes")
      const early = yield* Effect.forkChild(ofARequest(tokenFrom(client)), now)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* Fiber.join(early), "token-1")
      yield* TestClock.adjust("3 minutes")
      yield* Effect.forkChild(tokenFrom(client), now)
      const waiting = yield* Effect.forkChild(ofARequest(tokenFrom(client)), now)
      yield* TestClock.adjust("40 seconds")
      const later = yield* Effect.forkChild(ofARequest(tokenFrom(client)), now)
      yield* TestClock.adjust("40 seconds")
      assert.strictEqual(yield* Fiber.join(later), "token-5")
      assert.strictEqual(seen.requests, 5)
      // Its own request is lost, and it is of no use to wait for another.
      assert.isUndefined(waiting.pollUnsafe())
    }).pipe(Effect.provide(Services))
  })

  it.effect("that of another client over the same cache: those who wait for it give it up", () => {
    const { seen, Services } = losing(1)
    return Effect.gen(function*() {
      const one = yield* clientOf
      const other = yield* clientOf
      const third = yield* clientOf
      yield* Effect.forkChild(tokenFrom(one), now)
      yield* TestClock.adjust("30 seconds")
      const waiting = yield* Effect.forkChild(ofARequest(tokenFrom(other)), now)
      yield* TestClock.adjust("9 seconds")
      assert.strictEqual(seen.requests, 1)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(waiting), "token-2")
      assert.strictEqual(yield* tokenFrom(third), "token-2")
      assert.strictEqual(seen.requests, 2)
    }).pipe(Effect.provide(Services))
  })

  it.effect("that of another client, and nobody waited: a later client does not wait either", () => {
    const { seen, Services } = losing(1)
    return Effect.gen(function*() {
      const one = yield* clientOf
      const other = yield* clientOf
      yield* Effect.forkChild(tokenFrom(one), now)
      yield* TestClock.adjust("40 seconds")
      assert.strictEqual(yield* tokenFrom(other), "token-2")
      assert.strictEqual(seen.requests, 2)
    }).pipe(Effect.provide(Services))
  })
})
