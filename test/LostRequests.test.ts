/**
 * A platform may end the I/O of a request without a word, as Cloudflare Workers does. Here the endpoint never responds, and
 * has no timer either. `test/Workers.test.ts` does so in the platform itself.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Redacted } from "effect"
import { AuthorityResolver, ClientCredential, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
import { TestClock } from "effect/testing"
import { keyOf } from "../src/internal/cache/cacheKey.ts"
import { tokenOf } from "./internal/support.ts"
import { survivors } from "./support/garbage.ts"

/** An endpoint whose requests with these numbers are lost. */
const losing = (...lost: ReadonlyArray<number>) => endpoint({ lost })

/** An endpoint whose requests take this long, and those with these numbers are lost. */
const endpoint = ({ lost = [], takes = 0 }: { readonly lost?: ReadonlyArray<number>; readonly takes?: number }) => {
  const seen = { requests: 0 }
  const Endpoint = Layer.succeed(TokenEndpoint.TokenEndpoint, {
    request: () =>
      Effect.suspend(() => {
        const number = ++seen.requests
        return lost.includes(number)
          ? Effect.never
          : Effect.clockWith((clock) => {
            const issuedAt = clock.currentTimeMillisUnsafe()
            return Effect.as(
              takes === 0 ? Effect.void : Effect.sleep(takes),
              tokenOf({ text: `token-${number}`, issuedAt, expiresOn: issuedAt + 3_600_000 })
            )
          })
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
        yield* TestClock.adjust(0)
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

describe("other requests that are lost", () => {
  it.effect("the replacement of a refused token", () => {
    const { seen, Services } = losing(2)
    return Effect.gen(function*() {
      const client = yield* clientOf
      const { accessToken } = yield* client.acquireToken(request)
      const accessTokenSha256ToRefresh = yield* ConfidentialClient.accessTokenSha256(accessToken)
      const replaced = Effect.map(
        client.acquireToken({ ...request, accessTokenSha256ToRefresh }),
        ({ accessToken }) => Redacted.value(accessToken)
      )
      yield* Effect.forkChild(replaced, now)
      while (seen.requests < 2) yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      const waiting = yield* Effect.forkChild(ofARequest(replaced), now)
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      yield* TestClock.adjust("40 seconds")
      assert.strictEqual(yield* Fiber.join(waiting), "token-3")
      assert.strictEqual(yield* tokenFrom(client), "token-3")
      assert.strictEqual(seen.requests, 3)
    }).pipe(Effect.provide(Services))
  })

  it.effect("one of a prefetch, and one before an invalidation", () => {
    const { seen, Services } = losing(1)
    return Effect.gen(function*() {
      const client = yield* clientOf
      yield* Effect.forkChild(tokenFrom(client), now)
      const prefetched = yield* Effect.forkChild(
        ofARequest(client.prefetch([request, { scopes: "api://b/.default" }])),
        now
      )
      yield* TestClock.adjust("40 seconds")
      const exits = yield* Fiber.join(prefetched)
      assert.isTrue(exits.every((exit) => exit._tag === "Success"))
      assert.strictEqual(seen.requests, 3)
    }).pipe(Effect.provide(Services))
  })

  it.effect("an invalidation frees those who wait for it", () => {
    const { seen, Services } = losing(1)
    return Effect.gen(function*() {
      const client = yield* clientOf
      yield* Effect.forkChild(tokenFrom(client), now)
      const waiting = yield* Effect.forkChild(ofARequest(tokenFrom(client)), now)
      yield* client.invalidate("all")
      assert.strictEqual(yield* tokenFrom(client), "token-2")
      yield* TestClock.adjust("40 seconds")
      assert.strictEqual(yield* Fiber.join(waiting), "token-2")
      assert.strictEqual(seen.requests, 2)
    }).pipe(Effect.provide(Services))
  })
})

describe("a fetch that led other clients", () => {
  it.effect("is not kept in memory once it is lost, though nobody asks for its key again", () =>
    Effect.gen(function*() {
      const cache = yield* TokenCache.TokenCache
      const lost = Effect.callback<never>(() => {})
      const kept: Array<WeakRef<object>> = []
      const read = () => assert.fail("nothing was fetched")
      const options = { fresh: false, seen: undefined, read, since: 0, limit: 40_000 }
      for (let n = 0; n < 100; n++) {
        const key = keyOf("space", `tenant-${n}`, "scopes")
        kept.push(new WeakRef(key))
        yield* ofARequest(Effect.forkDetach(cache.lead(key, lost, options), now))
      }
      yield* TestClock.adjust("40 seconds")
      yield* ofARequest(Effect.forkDetach(cache.lead(keyOf("space", "another", "scopes"), lost, options), now))
      assert.isAtMost(yield* survivors(kept), 1)
    }).pipe(Effect.provide(TokenCache.layerMemory())))
})

describe("requests that are only slow", () => {
  it.effect("35 seconds: one request", () => {
    const { seen, Services } = endpoint({ takes: 35_000 })
    return Effect.gen(function*() {
      const client = yield* clientOf
      const callers: Array<Fiber.Fiber<string, unknown>> = []
      for (let second = 0; second < 60; second++) {
        callers.push(yield* Effect.forkChild(tokenFrom(client), now))
        yield* TestClock.adjust("1 second")
      }
      assert.deepStrictEqual(new Set(yield* Effect.forEach(callers, Fiber.join)), new Set(["token-1"]))
      assert.strictEqual(seen.requests, 1)
    }).pipe(Effect.provide(Services))
  })

  it.effect.each([{ kind: "plain", as: tokenFrom }, {
    kind: "of requests",
    as: (client: ConfidentialClient.ConfidentialClient["Service"]) => ofARequest(tokenFrom(client))
  }])(
    "beyond the limit, $kind: the token is stored, unless it was invalidated or a younger one is there",
    ({ as }) => {
      const { seen, Services } = endpoint({ takes: 45_000 })
      return Effect.gen(function*() {
        const client = yield* clientOf
        const callers: Array<Fiber.Fiber<string, unknown>> = []
        for (let second = 0; second < 300; second++) {
          callers.push(yield* Effect.forkChild(as(client), now))
          yield* TestClock.adjust("1 second")
        }
        assert.strictEqual(seen.requests, 2)
        assert.strictEqual(yield* tokenFrom(client), "token-2")
        assert.deepStrictEqual(new Set(yield* Effect.forEach(callers, Fiber.join)), new Set(["token-1", "token-2"]))
        yield* client.invalidate("all")
        yield* Effect.forkChild(tokenFrom(client), now)
        yield* TestClock.adjust("41 seconds")
        yield* Effect.forkChild(tokenFrom(client), now)
        yield* client.invalidate("all")
        yield* TestClock.adjust("1 minute")
        assert.isUndefined(client.peek(request))
      }).pipe(Effect.provide(Services))
    }
  )
})
