/** The client as the Azure SDKs see it; `examples/graph-client.ts` shows it with Graph's own client. */
import type { GetTokenOptions, TokenCredential } from "@azure/core-auth"
import {
  bearerTokenAuthenticationPolicy,
  createEmptyPipeline,
  createHttpHeaders,
  createPipelineRequest
} from "@azure/core-rest-pipeline"
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Layer, ManagedRuntime, Option, Tracer } from "effect"
import { AzureCredential, ConfidentialClient, EntraError } from "effect-entra"
import { EntraSimulator } from "effect-entra/testing"
import { TestClock } from "effect/testing"
import { silent } from "./support/log.ts"
import { contoso, fabrikam, graph, tokenRequests, World } from "./support/world.ts"

const { Fault } = EntraSimulator
const scopes = [graph]

const getToken = (scopes: string | Array<string>, options?: AzureCredential.GetTokenOptions) =>
  Effect.flatMap(
    AzureCredential.make,
    (credential) => Effect.tryPromise({ try: () => credential.getToken(scopes, options), catch: (error) => error })
  )

it("is a TokenCredential", () => {
  expectTypeOf<AzureCredential.AzureCredential>().toExtend<TokenCredential>()
  expectTypeOf<GetTokenOptions>().toExtend<AzureCredential.GetTokenOptions>()
})

describe("a token", () => {
  it.effect("in the form of core-auth", () =>
    Effect.gen(function*() {
      const now = yield* Clock.currentTimeMillis
      const result = yield* ConfidentialClient.acquireToken({ scopes })
      const token = yield* getToken(graph)
      assert.strictEqual(token.expiresOnTimestamp, now + 3_599_000)
      assert.strictEqual(token.refreshAfterTimestamp, result.refreshOn.epochMilliseconds)
      assert.strictEqual(token.tokenType, "Bearer")
      assert.strictEqual((yield* getToken(scopes)).token, token.token)
      assert.strictEqual(yield* tokenRequests, 1)
    }).pipe(Effect.provide(World())))

  it.effect("of the tenant that the SDK asks for, and with its claims", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* getToken(scopes, { tenantId: fabrikam })
      yield* getToken(scopes, { claims, tenantId: "" })
      const seen = yield* simulator.requests
      assert.deepStrictEqual(seen.map(({ form, tenant }) => [tenant, form["claims"]]), [
        [fabrikam, undefined],
        [contoso, undefined],
        [contoso, claims]
      ])
    }).pipe(Effect.provide(World())))

  it.effect("keeps the request alive that made the credential", () =>
    Effect.gen(function*() {
      const promises: Array<Promise<unknown>> = []
      yield* Effect.provideService(
        getToken(graph),
        ConfidentialClient.WaitUntil,
        (promise) => void promises.push(promise)
      )
      assert.isAbove(promises.length, 0)
      yield* Effect.promise(() => Promise.all(promises))
      assert.strictEqual(yield* tokenRequests, 1)
    }).pipe(Effect.provide(World())))

  it.effect("as the plain text that Azure OpenAI clients want", () =>
    Effect.gen(function*() {
      const { bearerTokenProvider } = yield* AzureCredential.make
      const provide: () => Promise<string> = bearerTokenProvider(graph)
      const first = yield* Effect.promise(provide)
      assert.strictEqual(first, (yield* getToken(graph)).token)
      yield* TestClock.adjust("2 hours")
      assert.notStrictEqual(yield* Effect.promise(provide), first)
    }).pipe(Effect.provide(World())))
})

describe("enableCae", () => {
  const cp1 = JSON.stringify({ access_token: { xms_cc: { values: ["cp1"] } } })

  it.effect("sends the capability cp1, and its tokens are not those of other calls", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      const credential = yield* AzureCredential.make
      const get = (options?: GetTokenOptions) =>
        Effect.map(Effect.promise(() => credential.getToken(graph, options)), ({ token }) => token)
      const plain = yield* get()
      const capable = yield* get({ enableCae: true })
      assert.notStrictEqual(capable, plain)
      for (let call = 0; call < 5; call++) {
        assert.strictEqual(yield* get({ enableCae: true }), capable)
        assert.strictEqual(yield* get({ enableCae: false }), plain)
        assert.strictEqual(yield* get({}), plain)
      }
      assert.deepStrictEqual((yield* simulator.requests).map(({ form }) => form["claims"]), [undefined, cp1])
      // The claims of a challenge replace the token of the calls with the capability alone.
      const replaced = yield* get({ enableCae: true, claims })
      assert.notStrictEqual(replaced, capable)
      assert.strictEqual(yield* get({ enableCae: true }), replaced)
      assert.strictEqual(yield* get(), plain)
      assert.deepStrictEqual(JSON.parse((yield* simulator.requests).at(-1)?.form["claims"] ?? ""), {
        access_token: {
          xms_cc: { values: ["cp1"] },
          nbf: { essential: true, value: "1604106651" }
        }
      })
      assert.strictEqual(yield* tokenRequests, 3)
    }).pipe(Effect.provide(World())))

  it.effect("makes no difference for a client that has the capability", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      const capable = yield* getToken(graph)
      assert.strictEqual((yield* getToken(graph, { enableCae: true })).token, capable.token)
      const [request, ...more] = yield* simulator.requests
      assert.deepStrictEqual(more, [])
      assert.deepStrictEqual(JSON.parse(request?.form["claims"] ?? ""), {
        access_token: { xms_cc: { values: ["llt", "cp1"] } }
      })
    }).pipe(Effect.provide(World({ client: { clientCapabilities: ["llt", "cp1"] } }))))

  it.effect("adds to the capabilities of the client", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* getToken(graph, { enableCae: true })
      const [request] = yield* simulator.requests
      assert.deepStrictEqual(JSON.parse(request?.form["claims"] ?? ""), {
        access_token: { xms_cc: { values: ["llt", "cp1"] } }
      })
    }).pipe(Effect.provide(World({ client: { clientCapabilities: ["llt"] } }))))

  it.effect("is found in the cache by an aborted call, and is invalidated with the tenant", () =>
    Effect.gen(function*() {
      const { token } = yield* getToken(graph, { enableCae: true })
      const aborted = { enableCae: true, abortSignal: AbortSignal.abort() }
      assert.strictEqual((yield* getToken(graph, aborted)).token, token)
      yield* ConfidentialClient.invalidate({ tenantId: contoso })
      assert.notStrictEqual((yield* getToken(graph, { enableCae: true })).token, token)
    }).pipe(Effect.provide(World())))
})

const claims = `{"access_token":{"nbf":{"essential":true,"value":"1604106651"}}}`

describe("claims", () => {
  it.effect("mean that the cached token was refused: it is replaced for everybody", () =>
    Effect.gen(function*() {
      const { getToken } = yield* AzureCredential.make
      const get = (options?: AzureCredential.GetTokenOptions) =>
        Effect.promise(() => getToken([graph] as const, options))
      const refused = yield* get()
      const replaced = yield* get({ claims })
      assert.notStrictEqual(replaced.token, refused.token)
      assert.strictEqual((yield* get()).token, replaced.token)
      // Others who had the refused one come to tell so, a little later.
      for (let i = 0; i < 20; i++) assert.strictEqual((yield* get({ claims })).token, replaced.token)
      assert.strictEqual(yield* tokenRequests, 2)
      yield* TestClock.adjust("31 seconds")
      assert.notStrictEqual((yield* get({ claims })).token, replaced.token)
      assert.strictEqual(yield* tokenRequests, 3)
    }).pipe(Effect.provide(World())))

  it.effect("are asked for even while a renewal without them is under way", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      const { getToken } = yield* AzureCredential.make
      const first = yield* Effect.promise(() => getToken(scopes))
      yield* TestClock.adjust("40 minutes")
      yield* simulator.fail(Fault.delay("1 second"))
      yield* Effect.promise(() => getToken(scopes))
      const fiber = yield* Effect.forkChild(Effect.promise(() => getToken(scopes, { claims })))
      yield* TestClock.adjust("1 second")
      assert.notStrictEqual((yield* Fiber.join(fiber)).token, first.token)
      assert.deepStrictEqual((yield* simulator.requests).map(({ form }) => form["claims"]), [
        undefined,
        undefined,
        claims
      ])
    }).pipe(Effect.provide(World())))

  it.effect("replace a token that is not cached yet, or in its last minutes, and what replaces it is kept", () =>
    Effect.gen(function*() {
      const { getToken } = yield* AzureCredential.make
      for (let i = 0; i < 20; i++) yield* Effect.promise(() => getToken(scopes, { claims }))
      assert.strictEqual(yield* tokenRequests, 2)
      yield* TestClock.adjust("56 minutes")
      for (let i = 0; i < 20; i++) yield* Effect.promise(() => getToken(scopes, { claims }))
      assert.strictEqual(yield* tokenRequests, 4)
    }).pipe(Effect.provide(World())))

  it.effect("that the service refuses, ever different ones, cost one request in thirty seconds", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      const { getToken } = yield* AzureCredential.make
      yield* Effect.promise(() => getToken(scopes))
      yield* simulator.fail(Fault.refused({ error: "interaction_required", code: 53003 }), { times: Infinity })
      for (let i = 0; i < 50; i++) {
        yield* Effect.exit(
          Effect.tryPromise(() => getToken(scopes, { claims: `{"access_token":{"nbf":{"value":"${i}"}}}` }))
        )
      }
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(Effect.provide(World())))

  it.live("one revocation costs one token request, however many clients of the SDK there are", () =>
    Effect.gen(function*() {
      const credential = yield* AzureCredential.make
      const { token: revoked } = yield* Effect.promise(() => credential.getToken(graph))
      const challenge = `Bearer error="insufficient_claims", claims="${btoa(claims)}"`
      for (let i = 0; i < 20; i++) {
        const pipeline = createEmptyPipeline()
        pipeline.addPolicy(bearerTokenAuthenticationPolicy({ credential, scopes }))
        const { status } = yield* Effect.promise(() =>
          pipeline.sendRequest({
            sendRequest: async (request) =>
              request.headers.get("authorization") === `Bearer ${revoked}`
                ? { request, status: 401, headers: createHttpHeaders({ "WWW-Authenticate": challenge }) }
                : { request, status: 200, headers: createHttpHeaders() }
          }, createPipelineRequest({ url: "https://graph.microsoft.com/v1.0/users" }))
        )
        assert.strictEqual(status, 200)
      }
      assert.strictEqual(yield* tokenRequests, 2)
    }).pipe(Effect.provide(World()), Effect.provide(silent)))
})

it.effect("a span that has ended does not become the parent of what comes later", () =>
  Effect.gen(function*() {
    const ended: Array<{ readonly name: string; readonly parent: string | undefined }> = []
    const tracer = Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        ended.push({
          name: options.name,
          parent: Option.getOrUndefined(
            Option.map(options.parent, (parent) => parent._tag === "Span" ? parent.name : "")
          )
        })
        return span
      }
    })
    const { getToken } = yield* AzureCredential.make.pipe(Effect.withSpan("startup"), Effect.withTracer(tracer))
    yield* Effect.promise(() => getToken(scopes))
    const acquisition = ended.find(({ name }) => name === "effect-entra.acquireToken")
    assert.deepStrictEqual(acquisition, { name: "effect-entra.acquireToken", parent: undefined })
  }).pipe(Effect.provide(World())))

describe("an error", () => {
  it.effect("is ours, whole", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(getToken("User.Read"))
      assert.instanceOf(error, EntraError.InvalidScopeError)
      assert.instanceOf(error, Error)
    }).pipe(Effect.provide(World())))

  it.live("says that the client is closed when its runtime is gone", () =>
    Effect.gen(function*() {
      const runtime = ManagedRuntime.make(Layer.provideMerge(World(), silent))
      const credential = yield* Effect.promise(() => runtime.runPromise(AzureCredential.make))
      yield* runtime.disposeEffect
      const error = yield* Effect.flip(Effect.tryPromise({ try: () => credential.getToken(scopes), catch: (e) => e }))
      assert.isTrue(EntraError.isEntraError(error) && error.code === "client_closed")
    }))
})

describe("abortSignal", () => {
  const isAbort = (error: unknown) => error instanceof Error && error.name === "AbortError"

  it.effect.each([7, "now", {}, { aborted: false, addEventListener() {} }])(
    "that is none is an error that names it: %j",
    (abortSignal) =>
      Effect.gen(function*() {
        // Callers in JavaScript pass anything.
        const options = { abortSignal } as unknown as AzureCredential.GetTokenOptions
        const error = yield* Effect.flip(getToken(scopes, options))
        assert.isTrue(EntraError.isEntraError(error))
        assert.deepInclude(error, { code: "field_malformed", field: "abortSignal" })
        assert.strictEqual(yield* tokenRequests, 0)
      }).pipe(Effect.provide(World()))
  )

  it.effect("may be null, and so may the options", () =>
    Effect.gen(function*() {
      for (const options of [null, { abortSignal: null }]) {
        const { token } = yield* getToken(scopes, options as unknown as AzureCredential.GetTokenOptions)
        assert.isString(token)
      }
    }).pipe(Effect.provide(World())))

  it.effect("that is aborted already: nothing is sent", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(getToken(scopes, { abortSignal: AbortSignal.abort() }))
      assert.isTrue(isAbort(error))
      assert.strictEqual(yield* tokenRequests, 0)
    }).pipe(Effect.provide(World())))

  it.effect("that is aborted already does not keep what is cached: SDKs renew with the signal of an old request", () =>
    Effect.gen(function*() {
      const { token } = yield* getToken(scopes)
      assert.strictEqual((yield* getToken(scopes, { abortSignal: AbortSignal.abort() })).token, token)
      assert.strictEqual(yield* tokenRequests, 1)
    }).pipe(Effect.provide(World())))

  it.effect("takes effect at once, and only for who aborts", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* simulator.fail(Fault.delay("5 seconds"))
      const { getToken } = yield* AzureCredential.make
      const controller = new AbortController()
      const patient = getToken(scopes)
      const impatient = getToken(scopes, { abortSignal: controller.signal })
      // The request is under way, and the clock stands still: whoever waits for an answer would wait for ever.
      while ((yield* tokenRequests) === 0) yield* Effect.yieldNow
      const seen: Array<unknown> = []
      impatient.catch((error: unknown) => seen.push(error))
      controller.abort()
      yield* Effect.promise(() => Promise.resolve())
      assert.isTrue(isAbort(seen[0]))
      yield* TestClock.adjust("5 seconds")
      const { token } = yield* Effect.promise(() => patient)
      assert.isAbove(token.length, 0)
      assert.strictEqual(yield* tokenRequests, 1)
    }).pipe(Effect.provide(World())))

  it.effect("of a hundred of a hundred callers: the request goes on, for the cache", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* simulator.fail(Fault.delay("5 seconds"))
      const { getToken } = yield* AzureCredential.make
      const controller = new AbortController()
      const all = Promise.allSettled(
        Array.from({ length: 100 }, () => getToken(scopes, { abortSignal: controller.signal }))
      )
      while ((yield* tokenRequests) === 0) yield* Effect.yieldNow
      controller.abort()
      const settled = yield* Effect.promise(() => all)
      assert.isTrue(settled.every((one) => one.status === "rejected" && isAbort(one.reason)))
      yield* TestClock.adjust("5 seconds")
      yield* Effect.promise(() => getToken(scopes))
      assert.strictEqual(yield* tokenRequests, 1)
    }).pipe(Effect.provide(World())))

  it.effect("leaves no listener behind, and none is heard afterwards", () =>
    Effect.gen(function*() {
      const listeners = new Set<() => void>()
      const abortSignal = {
        aborted: false,
        addEventListener: (_: "abort", listener: () => void) => listeners.add(listener),
        removeEventListener: (_: "abort", listener: () => void) => listeners.delete(listener)
      }
      yield* getToken(scopes, { abortSignal })
      yield* getToken(scopes, { abortSignal })
      yield* Effect.exit(getToken("User.Read", { abortSignal }))
      assert.strictEqual(listeners.size, 0)
    }).pipe(Effect.provide(World())))
})

describe("in a token's last two minutes", () => {
  const lifetimes = [
    { lifetime: "1 hour", left: "2 minutes", wait: 58 },
    { lifetime: "1 hour", left: "1 second", wait: 60 - 1 / 60 },
    { lifetime: "5 minutes", left: "2 minutes", wait: 3 },
    { lifetime: "5 minutes", left: "10 seconds", wait: 5 - 1 / 6 },
    { lifetime: "90 seconds", left: "30 seconds", wait: 1 }
  ] as const

  it.effect.each(lifetimes)(
    "$left of $lifetime left: a thousand calls at once cause one request",
    ({ lifetime, wait }) =>
      Effect.gen(function*() {
        const { getToken } = yield* AzureCredential.make
        const first = yield* Effect.promise(() => getToken(scopes))
        yield* TestClock.adjust(wait * 60_000)
        const all = yield* Effect.promise(() => Promise.all(Array.from({ length: 1000 }, () => getToken(scopes))))
        yield* TestClock.adjust(0)
        assert.strictEqual(yield* tokenRequests, 2)
        const now = yield* Clock.currentTimeMillis
        for (const { expiresOnTimestamp, refreshAfterTimestamp } of all) {
          assert.isAbove(expiresOnTimestamp, now)
          assert.isAbove(refreshAfterTimestamp, now)
        }
        // One after the other they get the new token.
        for (let i = 0; i < 1000; i++) {
          const { token } = yield* Effect.promise(() => getToken(scopes))
          assert.notStrictEqual(token, first.token)
        }
        assert.strictEqual(yield* tokenRequests, 2)
      }).pipe(Effect.provide(World({ tokenLifetime: lifetime })))
  )

  it.effect("and the service out of order: a thousand calls get the token, and the service is not stormed", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      const { getToken } = yield* AzureCredential.make
      const first = yield* Effect.promise(() => getToken(scopes))
      yield* TestClock.adjust("58 minutes")
      yield* simulator.fail(Fault.unavailable({}), { times: Infinity })
      const all = yield* Effect.forkChild(
        Effect.promise(() => Promise.all(Array.from({ length: 1000 }, () => getToken(scopes))))
      )
      yield* TestClock.adjust("2 seconds")
      const tokens = yield* Fiber.join(all)
      assert.isTrue(tokens.every(({ token }) => token === first.token))
      assert.isAtMost(yield* tokenRequests, 5)
    }).pipe(Effect.provide(World({ tokenLifetime: "1 hour" }))))

  it.live("the Azure SDKs' own pipeline sends a thousand requests for one token request", () =>
    Effect.gen(function*() {
      const { getToken } = yield* AzureCredential.make
      const counted = { getToken: 0, sent: 0 }
      const credential: TokenCredential = {
        getToken: (...parameters) => {
          counted.getToken++
          return getToken(...parameters)
        }
      }
      const pipeline = createEmptyPipeline()
      pipeline.addPolicy(bearerTokenAuthenticationPolicy({ credential, scopes }))
      const send = () =>
        pipeline.sendRequest({
          sendRequest: async (request) => {
            counted.sent++
            assert.match(request.headers.get("authorization") ?? "", /^Bearer .+/)
            return { request, status: 200, headers: createHttpHeaders() }
          }
        }, createPipelineRequest({ url: "https://graph.microsoft.com/v1.0/users" }))
      for (let i = 0; i < 20; i++) yield* Effect.promise(() => Promise.all(Array.from({ length: 50 }, send)))
      assert.strictEqual(counted.sent, 1000)
      // A token of 100 seconds is near its end from the start, so the pipeline asks and asks.
      assert.isAbove(counted.getToken, 10)
      assert.strictEqual(yield* tokenRequests, 1)
    }).pipe(Effect.provide(World({ tokenLifetime: "100 seconds" })), Effect.provide(silent)))

  it.effect("a due token is not asked for again while it is renewed", () =>
    Effect.gen(function*() {
      const { getToken } = yield* AzureCredential.make
      yield* Effect.promise(() => getToken(scopes))
      yield* TestClock.adjust("40 minutes")
      const due = yield* Effect.promise(() => getToken(scopes))
      const now = yield* Clock.currentTimeMillis
      assert.strictEqual(due.refreshAfterTimestamp, now + 5000)
    }).pipe(Effect.provide(World({ tokenLifetime: "1 hour" }))))
})

it.live("closing the runtime ends who waits", () =>
  Effect.gen(function*() {
    const runtime = ManagedRuntime.make(
      Layer.provideMerge(Layer.fresh(World({ endpoint: { budget: "5 seconds" } })), silent)
    )
    const [credential, simulator] = yield* Effect.promise(() =>
      runtime.runPromise(Effect.all([AzureCredential.make, EntraSimulator.EntraSimulator]))
    )
    yield* simulator.fail(Fault.delay("1 minute"))
    const waiting = yield* Effect.forkChild(Effect.exit(Effect.tryPromise(() => credential.getToken(scopes))))
    while ((yield* simulator.counters).tokenRequests === 0) yield* Effect.yieldNow
    yield* runtime.disposeEffect
    assert.isTrue(Exit.isFailure(yield* Fiber.join(waiting)))
  }))
