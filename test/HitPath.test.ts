import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { AuthorityResolver, ClientCredential, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
import { EntraSimulator } from "effect-entra/testing"
import { TestClock } from "effect/testing"
import { contoso, fabrikam, graph, orders, Simulator, tokenRequests, World } from "./support/world.ts"

const tokenOf = (effect: ReturnType<typeof ConfidentialClient.acquireToken>) =>
  Effect.map(effect, (result) => Redacted.value(result.accessToken))

describe("a hit", () => {
  it.effect("of a due token counts as a use: others do not push it out while its renewal rests", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      const hot = ConfidentialClient.acquireToken({ scopes: graph })
      yield* hot
      yield* TestClock.adjust("30 minutes")
      yield* simulator.fail(EntraSimulator.Fault.unavailable(), { tenant: contoso, times: Infinity })
      yield* hot
      yield* TestClock.adjust("25 seconds")
      for (let turn = 0; turn < 20; turn++) {
        assert.strictEqual((yield* hot).metadata.cacheRefreshReason, "ProactivelyRefreshed")
        yield* ConfidentialClient.acquireToken({ scopes: turn % 2 === 0 ? graph : orders, tenantId: fabrikam })
        assert.isDefined(yield* ConfidentialClient.peek({ scopes: graph }))
      }
    }).pipe(Effect.provide(World({ cache: TokenCache.layerMemory({ maxEntries: 2 }) }))))

  it.effect("asks the guard about the name that the token is filed under", () => {
    const asked = new Set<string>()
    const allowedTenants = (tenant: string) => asked.add(tenant).has(tenant)
    return Effect.gen(function*() {
      for (const tenantId of [contoso.toUpperCase(), contoso]) {
        yield* ConfidentialClient.acquireToken({ scopes: graph, tenantId })
      }
      assert.deepStrictEqual([...asked], [contoso])
    }).pipe(Effect.provide(World({ client: { allowedTenants } })))
  })
})

describe("a malformed field fails a hit as it fails a miss", () => {
  const wellFormed = {
    correlationId: "c-1",
    onThrottled: "wait",
    sendCertificateChain: true,
    forceRefresh: false
  } as const

  it.effect.each<readonly [field: string, value: unknown]>([
    ["correlationId", "not a header\n"],
    ["correlationId", 5],
    ["correlationId", null],
    ["onThrottled", "later"],
    ["onThrottled", null],
    ["sendCertificateChain", "yes"],
    ["sendCertificateChain", 1],
    ["forceRefresh", "no"],
    ["forceRefresh", 0],
    ["minimumValidity", "soon"],
    ["claims", "no JSON"],
    ["accessTokenSha256ToRefresh", "no hash"],
    ["cachePartition", ""],
    ["extraQueryParameters", "a=b"]
  ])("%s: %j", ([field, value]) =>
    Effect.gen(function*() {
      const request = Object.assign({ scopes: graph }, { [field]: value })
      const missed = yield* Effect.flip(ConfidentialClient.acquireToken(request))
      yield* ConfidentialClient.acquireToken({ scopes: graph })
      const kept = ConfidentialClient.acquireToken(request)
      const hit = yield* Effect.flip(kept)
      assert.deepInclude({ ...hit }, { _tag: "EntraInvalidRequestError", field })
      assert.strictEqual(hit.code, missed.code)
      assert.strictEqual(hit.message, missed.message)
      assert.deepStrictEqual(yield* Effect.flip(kept), hit)
      assert.isUndefined(yield* ConfidentialClient.peek(request))
      assert.strictEqual(yield* tokenRequests, 1)
    }).pipe(Effect.provide(World())))

  it.effect("well-formed ones are hits", () =>
    Effect.gen(function*() {
      yield* ConfidentialClient.acquireToken({ scopes: graph })
      for (const [field, value] of Object.entries(wellFormed)) {
        const { metadata } = yield* ConfidentialClient.acquireToken({ scopes: graph, [field]: value })
        assert.strictEqual(metadata.tokenSource, "Cache", field)
      }
      const { hits } = yield* ConfidentialClient.stats
      assert.strictEqual(hits, 4)
    }).pipe(Effect.provide(World())))
})

describe("an array of scopes", () => {
  it.effect("with several resources is refused, even if the first one has a cached token", () =>
    Effect.gen(function*() {
      yield* ConfidentialClient.acquireToken({ scopes: graph })
      yield* ConfidentialClient.acquireToken({ scopes: [graph] })
      const error = yield* Effect.flip(ConfidentialClient.acquireToken({ scopes: [graph, orders] }))
      assert.strictEqual(error._tag, "EntraInvalidScopeError")
      assert.strictEqual(yield* tokenRequests, 1)
    }).pipe(Effect.provide(World())))
})

describe("an effect that is kept remembers its token, and only while the cache has it", () => {
  const kept = ConfidentialClient.acquireToken({ scopes: [graph] })
  const other = ConfidentialClient.acquireToken({ scopes: [graph], tenantId: fabrikam })

  it.effect("it hits again and again", () =>
    Effect.gen(function*() {
      const first = yield* tokenOf(kept)
      const second = yield* kept
      const third = yield* kept
      assert.strictEqual(Redacted.value(second.accessToken), first)
      assert.strictEqual(third, second)
      assert.strictEqual((yield* ConfidentialClient.stats).hits, 2)
      assert.strictEqual(yield* tokenRequests, 1)
    }).pipe(Effect.provide(World())))

  for (
    const [how, drop] of [
      ["by its request", ConfidentialClient.invalidate({ scopes: graph })],
      ["with its tenant", ConfidentialClient.invalidate({ tenantId: contoso })],
      ["with all", ConfidentialClient.invalidate("all")]
    ] as const
  ) {
    it.effect(`invalidated ${how}: the next run fetches another`, () =>
      Effect.gen(function*() {
        const before = yield* tokenOf(kept)
        yield* kept
        yield* drop
        assert.notStrictEqual(yield* tokenOf(kept), before)
        assert.strictEqual(yield* tokenRequests, 2)
      }).pipe(Effect.provide(World())))
  }

  it.effect("replaced: the next run yields the new one", () =>
    Effect.gen(function*() {
      const before = yield* tokenOf(kept)
      yield* kept
      const forced = yield* tokenOf(ConfidentialClient.acquireToken({ scopes: graph, forceRefresh: true }))
      assert.notStrictEqual(forced, before)
      assert.strictEqual(yield* tokenOf(kept), forced)
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(Effect.provide(World())))

  it.effect("evicted: the next run fetches another", () =>
    Effect.gen(function*() {
      const before = yield* tokenOf(kept)
      yield* kept
      yield* tokenOf(other)
      assert.notStrictEqual(yield* tokenOf(kept), before)
      assert.strictEqual(yield* tokenRequests, 3)
    }).pipe(Effect.provide(World({ cache: TokenCache.layerMemory({ maxEntries: 1 }) }))))

  it.effect("due: served, and renewed by the run that finds it so", () =>
    Effect.gen(function*() {
      yield* kept
      yield* kept
      yield* TestClock.adjust("30 minutes")
      assert.strictEqual((yield* kept).metadata.cacheRefreshReason, "ProactivelyRefreshed")
      yield* TestClock.adjust(0)
      assert.strictEqual((yield* kept).metadata.cacheRefreshReason, "NotApplicable")
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(Effect.provide(World())))

  it.effect("run with another client, it yields that client's token", () =>
    Effect.gen(function*() {
      const credential = yield* ClientCredential.secret(EntraSimulator.daemonSecret)
      const clientOf = (tenantId: string) =>
        ConfidentialClient.make({ clientId: EntraSimulator.daemonClientId, tenantId, credential })
      const [one, two] = [yield* clientOf(contoso), yield* clientOf(fabrikam)]
      const as = (client: typeof one) => Effect.provideService(kept, ConfidentialClient.ConfidentialClient, client)
      yield* as(one)
      yield* as(two)
      for (let turn = 0; turn < 3; turn++) {
        const ofOne = yield* as(one)
        const ofTwo = yield* as(two)
        assert.deepStrictEqual([ofOne.tenantId, ofTwo.tenantId], [contoso, fabrikam])
        assert.deepStrictEqual([ofOne.metadata.tokenSource, ofTwo.metadata.tokenSource], ["Cache", "Cache"])
      }
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(
      Effect.provide(
        Layer.provideMerge(
          Layer.mergeAll(AuthorityResolver.layer, TokenEndpoint.layer, TokenCache.layerMemory()),
          Simulator()
        )
      )
    ))

  it.effect("run with a client of the same app over another cache, it yields what that one has", () => {
    const client = ConfidentialClient.layer({ clientId: EntraSimulator.daemonClientId, tenantId: contoso }).pipe(
      Layer.provide([
        ClientCredential.layerSecret(EntraSimulator.daemonSecret),
        AuthorityResolver.layer,
        TokenEndpoint.layer
      ])
    )
    const over = Layer.build(Layer.provide(Layer.fresh(client), TokenCache.layerMemory()))
    return Effect.gen(function*() {
      const [one, two] = [yield* over, yield* over]
      const tokens = [one, two].map((context) => Effect.provide(tokenOf(kept), context))
      const [first = "", second = ""] = yield* Effect.all([...tokens, ...tokens])
      assert.notStrictEqual(first, second)
      assert.deepStrictEqual(yield* Effect.all([...tokens, ...tokens]), [first, second, first, second])
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(Effect.provide(Simulator()))
  })

  it.effect("with a guard that changes its mind, every run is judged", () => {
    const admitted = new Set([contoso])
    return Effect.gen(function*() {
      yield* kept
      yield* kept
      admitted.clear()
      assert.strictEqual((yield* Effect.flip(kept)).code, "tenant_not_allowed")
    }).pipe(Effect.provide(World({ client: { allowedTenants: (tenant) => admitted.has(tenant) } })))
  })

  it.effect.each([["key-1", "key-2"], [undefined, "key-1"], ["key-1", undefined]] as const)(
    "under another binding, it yields no token of the former (%s, then %s)",
    ([first, second]) => {
      let keyId: string | undefined = first
      const credential = Layer.effect(
        ClientCredential.ClientCredential,
        Effect.map(ClientCredential.secret(EntraSimulator.daemonSecret), (secret) => ({
          ...secret,
          binding: () => keyId === undefined ? undefined : { tokenType: "Bearer", keyId }
        }))
      )
      return Effect.gen(function*() {
        const kept = ConfidentialClient.acquireToken({ scopes: orders })
        const before = yield* tokenOf(kept)
        yield* kept
        keyId = second
        const after = yield* tokenOf(kept)
        assert.notStrictEqual(after, before)
        assert.strictEqual(yield* tokenOf(kept), after)
        keyId = first
        assert.strictEqual(yield* tokenOf(kept), before)
      }).pipe(Effect.provide(World({ credential })))
    }
  )
})
