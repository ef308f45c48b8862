/** `accessTokenSha256ToRefresh`: a token that an API refused is replaced once, by whoever comes first. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Redacted } from "effect"
import { ConfidentialClient } from "effect-entra"
import { EntraSimulator } from "effect-entra/testing"
import { TestClock } from "effect/testing"
import { createHash } from "node:crypto"
import { graph, tokenRequests, World } from "./support/world.ts"

const text = (result: { readonly accessToken: Redacted.Redacted<string> }) => Redacted.value(result.accessToken)
const sha256 = (token: string) => createHash("sha256").update(token).digest("hex")
const acquire = ConfidentialClient.acquireToken({ scopes: graph })
const replace = (accessTokenSha256ToRefresh: string, claims?: string) =>
  ConfidentialClient.acquireToken({ scopes: graph, accessTokenSha256ToRefresh, claims })

const nbf = `{"access_token":{"nbf":{"essential":true,"value":"1604106651"}}}`

describe("the hash", () => {
  it.effect("is SHA-256 in lower-case hexadecimal", () =>
    Effect.gen(function*() {
      assert.strictEqual(
        yield* ConfidentialClient.accessTokenSha256(Redacted.make("test_token")),
        "cc0af97287543b65da2c7e1476426021826cab166f1e063ed012b855ff819656"
      )
    }))

  it.effect.each(["", "x", "a".repeat(63), "g".repeat(64), ` ${"a".repeat(64)}`, `${"a".repeat(64)}\n`])(
    "%j is none",
    (hash) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(replace(hash))
        assert.strictEqual(error._tag, "EntraInvalidRequestError")
        assert.strictEqual("field" in error && error.field, "accessTokenSha256ToRefresh")
        assert.strictEqual(yield* tokenRequests, 0)
      }).pipe(Effect.provide(World()))
  )

  it.effect("a token passed instead of its hash is not shown", () =>
    Effect.gen(function*() {
      const token = text(yield* acquire)
      const error = yield* Effect.flip(replace(token))
      assert.notInclude(JSON.stringify(error) + String(error), token)
    }).pipe(Effect.provide(World())))
})

describe("a refused token", () => {
  it.effect("that is the cached one is replaced, for everybody", () =>
    Effect.gen(function*() {
      const first = text(yield* acquire)
      const second = yield* replace(sha256(first).toUpperCase())
      assert.notStrictEqual(text(second), first)
      assert.strictEqual(second.metadata.tokenSource, "IdentityProvider")
      assert.strictEqual(second.metadata.cacheRefreshReason, "ForceRefreshOrClaims")
      const third = yield* acquire
      assert.strictEqual(text(third), text(second))
      assert.strictEqual(third.metadata.tokenSource, "Cache")
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(Effect.provide(World())))

  it.effect("that somebody has replaced is answered from the cache", () =>
    Effect.gen(function*() {
      const first = text(yield* acquire)
      const second = yield* replace(sha256(first))
      const late = yield* replace(sha256(first))
      assert.strictEqual(text(late), text(second))
      assert.strictEqual(late.metadata.tokenSource, "Cache")
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(Effect.provide(World())))

  it.effect("told by a thousand at once costs one request", () =>
    Effect.gen(function*() {
      const hash = sha256(text(yield* acquire))
      const results = yield* Effect.forEach(Array(1000).keys(), () => replace(hash), { concurrency: "unbounded" })
      assert.strictEqual(new Set(results.map(text)).size, 1)
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(Effect.provide(World())))

  it.effect("that is being renewed anyway waits for that", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      const first = text(yield* acquire)
      yield* TestClock.adjust("40 minutes")
      yield* simulator.fail(EntraSimulator.Fault.delay("1 second"))
      yield* acquire
      const both = yield* Effect.forkChild(replace(sha256(first)))
      yield* TestClock.adjust("1 second")
      assert.notStrictEqual(text(yield* Fiber.join(both)), first)
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(Effect.provide(World())))

  it.effect("of which nothing is cached is an ordinary miss", () =>
    Effect.gen(function*() {
      const result = yield* replace(sha256("gone"))
      assert.strictEqual(result.metadata.cacheRefreshReason, "NoCachedAccessToken")
      assert.strictEqual(text(yield* acquire), text(result))
      assert.strictEqual(yield* tokenRequests, 1)
    }).pipe(Effect.provide(World())))

  it.effect("whose replacement cannot be had leaves the cached one to the others", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      const first = text(yield* acquire)
      yield* simulator.fail(EntraSimulator.Fault.throttled({ retryAfter: "10 seconds" }))
      assert.strictEqual((yield* Effect.flip(replace(sha256(first))))._tag, "EntraThrottledError")
      assert.strictEqual(text(yield* acquire), first)
    }).pipe(Effect.provide(World())))

  it.effect("is not peeked at", () =>
    Effect.gen(function*() {
      const first = text(yield* acquire)
      const request = { scopes: graph, accessTokenSha256ToRefresh: sha256(first) }
      assert.strictEqual(yield* ConfidentialClient.peek(request), undefined)
      assert.strictEqual(yield* tokenRequests, 1)
    }).pipe(Effect.provide(World())))
})

describe("with claims", () => {
  it.effect("the token for them takes the place of the refused one", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      const first = text(yield* acquire)
      const second = yield* replace(sha256(first), nbf)
      assert.strictEqual((yield* simulator.requests).at(-1)?.form["claims"], nbf)
      assert.strictEqual(text(yield* acquire), text(second))
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(Effect.provide(World())))

  it.effect("a token that is another by now is served without asking", () =>
    Effect.gen(function*() {
      const first = text(yield* acquire)
      const second = yield* replace(sha256(first), nbf)
      assert.strictEqual(text(yield* replace(sha256(first), nbf)), text(second))
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(Effect.provide(World())))

  it.effect("alone, it is not stored, as ever", () =>
    Effect.gen(function*() {
      const first = text(yield* acquire)
      const other = yield* ConfidentialClient.acquireToken({ scopes: graph, claims: nbf })
      assert.notStrictEqual(text(other), first)
      assert.strictEqual(text(yield* acquire), first)
    }).pipe(Effect.provide(World())))

  it.effect("told by a hundred at once, each with other claims, one token costs one request", () =>
    Effect.gen(function*() {
      const hash = sha256(text(yield* acquire))
      const results = yield* Effect.forEach(
        Array(100).keys(),
        (n) => replace(hash, `{"access_token":{"nbf":{"essential":true,"value":"${n}"}}}`),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(new Set(results.map(text)).size, 1)
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(Effect.provide(World())))

  it.effect("told by a thousand at once with the same claims, too", () =>
    Effect.gen(function*() {
      const hash = sha256(text(yield* acquire))
      yield* Effect.forEach(Array(1000).keys(), () => replace(hash, nbf), { concurrency: "unbounded" })
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(Effect.provide(World())))

  it.effect("and nothing cached, the token is for this call alone", () =>
    Effect.gen(function*() {
      const other = text(yield* replace(sha256("gone"), nbf))
      assert.notStrictEqual(text(yield* acquire), other)
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(Effect.provide(World())))
})
