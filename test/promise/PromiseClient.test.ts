/** The client without Effect, over the simulator. */
import type { TokenCredential } from "@azure/core-auth"
import { Effect, ManagedRuntime, Redacted } from "effect"
import type { EntraError } from "effect-entra"
import * as Entra from "effect-entra/promise"
import { EntraSimulator, TestCertificate } from "effect-entra/testing"
import { HttpClient, HttpClientRequest } from "effect/http"
import * as fc from "fast-check"
import { inspect } from "node:util"
import { afterEach, assert, beforeEach, describe, expectTypeOf, it } from "vitest"
import { contoso, fabrikam, graph, orders, Simulator } from "../support/world.ts"

const { Fault } = EntraSimulator
const secret = Redacted.value(EntraSimulator.daemonSecret)
const users = "https://graph.microsoft.com/v1.0/users"

/** `fetch` to the simulator; `other` answers requests to other hosts. */
const networkOf = (other: (request: Request) => Response | undefined = () => undefined) => {
  const runtime = ManagedRuntime.make(Simulator())
  const sent: Array<{ readonly url: string; readonly authorization: string | null }> = []
  const fetch: typeof globalThis.fetch = async (input, init) => {
    const request = new Request(input, init)
    sent.push({ url: request.url, authorization: request.headers.get("authorization") })
    const answer = other(request.clone())
    if (answer !== undefined) return answer
    const body = await request.text()
    return await runtime.runPromise(
      Effect.gen(function*() {
        const client = yield* HttpClient.HttpClient
        const asked = HttpClientRequest.fromWeb(request).pipe(
          body === ""
            ? (same) => same
            : HttpClientRequest.bodyText(body, request.headers.get("content-type") ?? undefined)
        )
        const response = yield* client.execute(asked)
        return new Response(yield* response.text, {
          status: response.status,
          headers: Object.entries(response.headers).flatMap(([name, value]) =>
            value === undefined ? [] : [[name, value]]
          )
        })
      }).pipe(Effect.catch((error) => Effect.die(new TypeError("fetch failed", { cause: error })))),
      { signal: request.signal }
    ).catch((cause: unknown) => Promise.reject(cause instanceof Error ? cause : new TypeError("fetch failed")))
  }
  const simulator = <A>(use: (service: EntraSimulator.EntraSimulator["Service"]) => Effect.Effect<A>) =>
    runtime.runPromise(EntraSimulator.EntraSimulator.use(use))
  return { sent, fetch, simulator, dispose: () => runtime.dispose() }
}

let network = networkOf()
let clients: Array<Entra.Client> = []
beforeEach(() => {
  network = networkOf()
  clients = []
})
afterEach(async () => {
  await Promise.all(clients.map((client) => client.close()))
  await network.dispose()
})

const options = (changes: Partial<Entra.ClientOptions> = {}): Entra.ClientOptions => ({
  clientId: EntraSimulator.daemonClientId,
  tenantId: contoso,
  secret,
  fetch: network.fetch,
  log: () => {},
  ...changes
})

const open = (changes: Partial<Entra.ClientOptions> = {}) => {
  const client = Entra.createClient(options(changes))
  clients.push(client)
  return client
}

const tokenRequests = () =>
  network.simulator(({ counters }) => Effect.map(counters, ({ tokenRequests }) => tokenRequests))

const failure = async (promise: Promise<unknown>): Promise<unknown> => {
  try {
    await promise
  } catch (error) {
    return error
  }
  throw new Error("it succeeded")
}

const exception = async (promise: Promise<unknown>): Promise<Entra.EntraError> => {
  const error = await failure(promise)
  assert.instanceOf(error, Entra.EntraError)
  return error
}

describe("getToken", () => {
  it("returns a plain token, from the service and then from the cache", async () => {
    const client = open()
    const first = await client.getToken(graph)
    assert.include(first, { tokenType: "Bearer", tenantId: contoso, fromCache: false })
    assert.isString(first.token)
    assert.isAbove(first.expiresOn.getTime(), Date.now())
    assert.isBelow(first.refreshOn.getTime(), first.expiresOn.getTime())
    assert.deepStrictEqual(first.scopes, [graph])
    assert.deepStrictEqual(await client.getToken([graph]), { ...first, fromCache: true })
    assert.deepStrictEqual(await client.getToken({ scopes: graph, tenantId: contoso }), { ...first, fromCache: true })
    assert.notStrictEqual((await client.getToken({ scopes: graph, tenantId: fabrikam })).token, first.token)
    assert.notStrictEqual((await client.getToken({ scopes: graph, forceRefresh: true })).token, first.token)
    assert.strictEqual(await tokenRequests(), 3)
  })

  it("takes the fields of a request as options too, which override those of the request", async () => {
    const client = open()
    const ofFabrikam = await client.getToken({ scopes: graph, tenantId: fabrikam })
    assert.notStrictEqual((await client.getToken(graph)).token, ofFabrikam.token)
    assert.strictEqual((await client.getToken(graph, { tenantId: fabrikam })).token, ofFabrikam.token)
    assert.strictEqual(
      (await client.getToken({ scopes: graph, tenantId: contoso }, { tenantId: fabrikam })).token,
      ofFabrikam.token
    )
    const { signal } = new AbortController()
    const header = await client.headers(graph, { tenantId: fabrikam, signal })
    assert.strictEqual(header.authorization, `Bearer ${ofFabrikam.token}`)
    assert.include(await exception(client.getToken(graph, { tenantId: "!!!" })), { field: "tenantId" })
    // An option without a value overrides nothing: the token of another tenant would be returned.
    assert.strictEqual(
      (await client.getToken({ scopes: graph, tenantId: fabrikam }, { tenantId: undefined })).token,
      ofFabrikam.token
    )
    assert.deepStrictEqual(
      await client.headers({ scopes: graph, tenantId: fabrikam }, { tenantId: undefined, signal: undefined }),
      { authorization: `Bearer ${ofFabrikam.token}` }
    )
  })

  it.each([
    [graph, { tenantID: fabrikam }, "tenantID"],
    [{ scopes: graph, tenantID: fabrikam }, undefined, "tenantID"],
    [{ scopes: graph, signal: undefined, tenant: fabrikam }, {}, "tenant"],
    [graph, { scopes: graph }, "scopes"]
  ])("refuses a member that does not exist: %j, %j", async (request, callOptions, field) => {
    const client = open()
    for (const method of [client.getToken, client.headers]) {
      // @ts-expect-error: callers in JavaScript pass anything
      const error = await exception(method(request, callOptions))
      assert.include(error, { _tag: "EntraInvalidRequestError", code: "field_unsupported", field })
    }
    assert.strictEqual(await tokenRequests(), 0)
  })

  const noOptions = ["x", 7, false, () => {}, new Map(), [], AbortSignal.abort()]
  it.each(noOptions.map((given) => [Object.prototype.toString.call(given), given]))(
    "refuses options that are no object of options: %s",
    async (_name, given) => {
      const client = open()
      for (const method of [client.getToken, client.headers, client.asTokenCredential().getToken]) {
        // @ts-expect-error: callers in JavaScript pass anything
        const error = await exception(method(graph, given))
        assert.include(error, { _tag: "EntraInvalidRequestError", code: "field_malformed", field: "options" })
        assert.include(error.message, "options is not an object")
      }
      assert.strictEqual(await tokenRequests(), 0)
    }
  )

  it("shares one request among a thousand callers, and a changed date of one harms no other", async () => {
    const client = open()
    const all = await Promise.all(Array.from({ length: 1000 }, () => client.getToken(orders)))
    assert.strictEqual(new Set(all.map(({ token }) => token)).size, 1)
    assert.strictEqual(await tokenRequests(), 1)
    all[0]?.expiresOn.setTime(0)
    assert.isAbove((await client.getToken(orders)).expiresOn.getTime(), Date.now())
  })

  it("refreshes a token that is due, in the background", async () => {
    const due = (request: Request) =>
      request.url.endsWith("/oauth2/v2.0/token")
        ? Response.json({
          access_token: `token-${issued.push("")}`,
          token_type: "Bearer",
          expires_in: 3600,
          refresh_in: 0.001
        })
        : undefined
    const issued: Array<string> = []
    const other = networkOf(due)
    const refreshing = open({ fetch: other.fetch })
    const first = await refreshing.getToken(graph)
    await new Promise((resolve) => setTimeout(resolve, 10))
    assert.strictEqual((await refreshing.getToken(graph)).token, first.token)
    while (issued.length < 2) await new Promise((resolve) => setTimeout(resolve, 1))
    await other.dispose()
  })

  it("loads a secret when it is needed, and again after a refusal", async () => {
    const values = ["wr0ng~secret-of-the-past", secret]
    let loads = 0
    const client = open({ secret: async () => values[loads++] ?? secret })
    assert.strictEqual(loads, 0)
    await client.getToken(graph)
    assert.strictEqual(loads, 2)
  })

  it("authenticates with a certificate, and with a function that returns one", async () => {
    const { certificate, privateKey } = await Effect.runPromise(TestCertificate.make())
    await network.simulator(({ addCertificate }) => addCertificate(EntraSimulator.daemonClientId, certificate))
    const given = { certificate, privateKey: Redacted.value(privateKey), sendCertificateChain: true }
    assert.isFalse((await open({ secret: undefined, certificate: given }).getToken(graph)).fromCache)
    assert.isFalse((await open({ secret: undefined, certificate: async () => given }).getToken(graph)).fromCache)
  })

  it("calls the function of an assertion for each attempt, with the context of the attempt", async () => {
    const seen: Array<Entra.AssertionContext> = []
    const client = open({
      secret: undefined,
      assertion: (context) => {
        seen.push(context)
        return "no.signed.jwt"
      }
    })
    const error = await exception(client.getToken(graph))
    assert.strictEqual(error.code, "assertion_refused")
    assert.deepStrictEqual(seen.map(({ clientId, scope, tenantId }) => [clientId, tenantId, scope])[0], [
      EntraSimulator.daemonClientId,
      contoso,
      graph
    ])
  })
})

describe("headers and asTokenCredential", () => {
  it("are for an API, and for the Azure SDKs", async () => {
    const client = open()
    const { token } = await client.getToken(graph)
    assert.deepStrictEqual(await client.headers(graph), { authorization: `Bearer ${token}` })
    expectTypeOf<Entra.TokenCredential>().toExtend<TokenCredential>()
    const credential: TokenCredential = client.asTokenCredential()
    assert.include(await credential.getToken(graph), { token, tokenType: "Bearer" })
    assert.strictEqual(
      (await failure(credential.getToken(graph, { abortSignal: AbortSignal.abort(), claims: "{}" })) as Error).name,
      "AbortError"
    )
  })

  it("are there before any token", async () => {
    const client = open()
    assert.match((await client.headers(graph)).authorization, /^Bearer ./)
    const another = open()
    assert.isString((await another.asTokenCredential().getToken([graph]))?.token)
  })
})

describe("exceptions", () => {
  it("have the classes, codes and members of EntraError, with plain numbers", async () => {
    await network.simulator(({ fail }) => fail(Fault.throttled({ retryAfter: "7 seconds" })))
    const client = open()
    const error = await failure(client.getToken({ scopes: graph, correlationId: "an-id" }))
    assert.instanceOf(error, Entra.ThrottledError)
    assert.instanceOf(error, Error)
    if (!(error instanceof Entra.ThrottledError)) return
    assert.include(error, {
      _tag: "EntraThrottledError",
      name: "EntraThrottledError",
      code: "throttled",
      isRetryable: true
    })
    assert.include(error, { origin: "service", source: "server", retryAfter: 7000, status: 429, attempts: 1 })
    assert.isNumber(error.durations?.total)
    assert.isString(error.remedy)
    assert.match(String(error.stack), /EntraThrottledError|Error/)
    const local = await failure(client.getToken(graph))
    assert.instanceOf(local, Entra.ThrottledError)
    assert.include(local, { source: "local", origin: "local" })
    const shown = inspect(error, { depth: 10 }) + JSON.stringify(error)
    assert.notInclude(shown, secret)
  })

  const wrong: ReadonlyArray<
    readonly [string, Partial<Entra.ClientOptions>, unknown, typeof Entra.EntraError<string, string>, string]
  > = [
    ["a scope", {}, "User.Read", Entra.InvalidScopeError, "scope_not_default"],
    ["no scope", {}, "", Entra.InvalidScopeError, "scope_missing"],
    ["a missing request", {}, undefined, Entra.InvalidRequestError, "field_malformed"],
    ["a tenant", {}, { scopes: graph, tenantId: "no tenant" }, Entra.InvalidAuthorityError, "tenant_malformed"],
    [
      "a forbidden tenant",
      { allowedTenants: [contoso] },
      { scopes: graph, tenantId: fabrikam },
      Entra.InvalidAuthorityError,
      "tenant_not_allowed"
    ],
    ["a wrong secret", { secret: "wr0ng~secret" }, graph, Entra.InvalidClientError, "secret_wrong"],
    ["an empty loaded secret", { secret: () => "" }, graph, Entra.CredentialError, "secret_empty"],
    [
      "a loaded secret that is a placeholder",
      { secret: () => "<your-secret>" },
      graph,
      Entra.CredentialError,
      "secret_malformed"
    ],
    [
      "a secret that cannot be loaded",
      { secret: () => Promise.reject(new RangeError(secret)) },
      graph,
      Entra.CredentialError,
      "source_failed"
    ],
    [
      "a loaded secret that is no text",
      { secret: () => JSON.parse("1") },
      graph,
      Entra.CredentialError,
      "secret_empty"
    ],
    [
      "an unreadable certificate",
      { secret: undefined, certificate: { certificate: "a", privateKey: "b" } },
      graph,
      Entra.CredentialError,
      "certificate_unreadable"
    ],
    ...[undefined, null, "PEM", {}, { certificate: "a" }].map((loaded) =>
      [
        `a loaded certificate that is ${JSON.stringify(loaded)}`,
        { secret: undefined, certificate: () => JSON.parse(JSON.stringify(loaded) ?? "null") },
        graph,
        Entra.CredentialError,
        "certificate_unreadable"
      ] as const
    ),
    [
      "an assertion that is no text",
      { secret: undefined, assertion: () => JSON.parse("7") },
      graph,
      Entra.CredentialError,
      "assertion_malformed"
    ],
    [
      "an assertion that throws",
      {
        secret: undefined,
        assertion: () => {
          throw new RangeError(secret)
        }
      },
      graph,
      Entra.CredentialError,
      "assertion_failed"
    ],
    ["another scope's resource", {}, "api://nobody/.default", Entra.TokenRequestError, "resource_unknown"]
  ]

  it.each(wrong)("%s", async (_name, changes, request, type, code) => {
    const client = open(changes)
    // Callers in JavaScript pass anything.
    const error = await exception(client.getToken(request as string))
    assert.instanceOf(error, type)
    assert.strictEqual(error.code, code)
    const shown = inspect(error, { depth: 10 }) + JSON.stringify(error) + error.message
    assert.notInclude(shown, secret)
    assert.notInclude(shown, "wr0ng~secret")
  })

  it("a token response whose body consists of strings is a network error at once", async () => {
    const body = () => new ReadableStream({ start: (body) => [body.enqueue("{}"), body.close()] })
    const client = open({ fetch: () => Promise.resolve(new Response(body())), retry: { times: 0 } })
    const error = await failure(client.getToken(graph))
    assert.instanceOf(error, Entra.NetworkError)
    // Each runtime has another text for it.
    assert.notStrictEqual(error.reason, "timeout")
  })

  it("no network", async () => {
    const refusing = () => Promise.reject(new TypeError("fetch failed", { cause: { code: "ECONNREFUSED" } }))
    const client = open({ fetch: refusing, retry: { times: 0 } })
    const error = await failure(client.getToken(graph))
    assert.instanceOf(error, Entra.NetworkError)
    assert.include(error, { reason: "ECONNREFUSED", isRetryable: true })
  })

  it("types: the codes are those of EntraError", () => {
    expectTypeOf<Entra.CredentialError["code"]>().toEqualTypeOf<EntraError.CredentialError["code"]>()
    expectTypeOf<Entra.ClientError["_tag"]>().toEqualTypeOf<EntraError.AcquireTokenError["_tag"]>()
  })
})

describe("options", () => {
  type Wrong = readonly [name: string, changes: object, tag: string, field: string]
  const wrong: ReadonlyArray<Wrong> = [
    ["a member that does not exist", { orgins: {} }, "EntraInvalidRequestError", "orgins"],
    ["no client id", { clientId: "" }, "EntraInvalidRequestError", "clientId"],
    ["a client id of another type", { clientId: 7 }, "EntraInvalidRequestError", "clientId"],
    ["a tenant", { tenantId: "a/b" }, "EntraInvalidAuthorityError", "tenantId"],
    ["an authority", { authority: "http://login.example" }, "EntraInvalidAuthorityError", "authority"],
    ["no credential", { secret: undefined }, "EntraCredentialError", "secret, certificate, assertion"],
    ["two credentials", { assertion: () => "a" }, "EntraInvalidRequestError", "secret, assertion"],
    ["a secret of another type", { secret: 7 }, "EntraInvalidRequestError", "secret"],
    [
      "a certificate of another type",
      { secret: undefined, certificate: "PEM" },
      "EntraInvalidRequestError",
      "certificate"
    ],
    [
      "an assertion of another type",
      { secret: undefined, assertion: "a.b.c" },
      "EntraInvalidRequestError",
      "assertion"
    ],
    ["origins", { origins: { "https://*.net": graph } }, "EntraInvalidRequestError", "origins"],
    ["no origins", { origins: {} }, "EntraInvalidRequestError", "origins"],
    ["retries", { retry: { times: -1 } }, "EntraInvalidRequestError", "retry.times"],
    ["half a retry", { retry: { times: 1.5 } }, "EntraInvalidRequestError", "retry.times"],
    ["a delay", { retry: { base: "soon" } }, "EntraInvalidRequestError", "retry.base"],
    ["a timeout", { attemptTimeout: 0 }, "EntraInvalidRequestError", "attemptTimeout"],
    ["a budget", { budget: NaN }, "EntraInvalidRequestError", "budget"],
    ["a fetch", { fetch: "fetch" }, "EntraInvalidRequestError", "fetch"],
    ["a log", { log: {} }, "EntraInvalidRequestError", "log"],
    ["a cache", { cache: { maxEntries: -1 } }, "EntraInvalidRequestError", "cache.maxEntries"],
    ["a map for a cache", { cache: new Map() }, "EntraInvalidRequestError", "cache"],
    ["a cache of another type", { cache: "big" }, "EntraInvalidRequestError", "cache"],
    ["retries of another type", { retry: "often" }, "EntraInvalidRequestError", "retry"],
    ["a region", { region: "West US 2" }, "EntraInvalidAuthorityError", "region"],
    ["a region of another type", { region: 7 }, "EntraInvalidAuthorityError", "region"],
    ["tenants of another type", { allowedTenants: 7 }, "EntraInvalidRequestError", "allowedTenants"],
    ["capabilities of another type", { clientCapabilities: "cp1" }, "EntraInvalidRequestError", "clientCapabilities"],
    ["a rule for throttling", { onThrottled: "hope" }, "EntraInvalidRequestError", "onThrottled"],
    [
      "a member of an origin that does not exist",
      { origins: { "https://a.example": { scopes: graph, tenantID: fabrikam } } },
      "EntraInvalidRequestError",
      "origins.tenantID"
    ],
    ["a member of retry that does not exist", { retry: { attempts: 1 } }, "EntraInvalidRequestError", "retry.attempts"],
    [
      "a member of cache that does not exist",
      { cache: { maxEntrys: 1 } },
      "EntraInvalidRequestError",
      "cache.maxEntrys"
    ],
    [
      "a member of certificate that does not exist",
      { secret: undefined, certificate: { certificate: "PEM", privateKey: "PEM", sendCertChain: true } },
      "EntraInvalidRequestError",
      "certificate.sendCertChain"
    ],
    ...[{ scopes: graph, tenantId: 5 }, { scopes: graph, tenantId: "bad tenant" }, [""], ["User.Read"]].map(
      (entry): Wrong => [
        `the request of an origin: ${JSON.stringify(entry)}`,
        { origins: { "https://*.vault.azure.net": entry } },
        "EntraInvalidRequestError",
        "origins"
      ]
    ),
    ["an empty secret", { secret: "" }, "EntraCredentialError", "secret"],
    ["a secret that is a placeholder", { secret: "<your-secret>" }, "EntraCredentialError", "secret"],
    ["null for origins", { origins: null }, "EntraInvalidRequestError", "origins"],
    ["null for a cache", { cache: null }, "EntraInvalidRequestError", "cache"],
    ["null for a client id", { clientId: null }, "EntraInvalidRequestError", "clientId"],
    ["null for a tenant", { tenantId: null }, "EntraInvalidRequestError", "tenantId"],
    ["null for an authority", { authority: null }, "EntraInvalidRequestError", "authority"],
    ["null for a secret", { secret: null }, "EntraInvalidRequestError", "secret"],
    ["null for a timeout", { attemptTimeout: null }, "EntraInvalidRequestError", "attemptTimeout"],
    ["null for a budget", { budget: null }, "EntraInvalidRequestError", "budget"],
    ["null for a delay", { retry: { cap: null } }, "EntraInvalidRequestError", "retry.cap"],
    ["null for a region", { region: null }, "EntraInvalidAuthorityError", "region"]
  ]

  it.each(wrong)("%s: thrown at once", (_name, changes, tag, field) => {
    try {
      Entra.createClient(Object.assign({}, options(), changes))
    } catch (error) {
      assert.instanceOf(error, Entra.EntraError)
      assert.deepStrictEqual([error._tag, error.field], [tag, field])
      assert.notInclude(inspect(error), secret)
      return
    }
    assert.fail("it was accepted")
  })

  it.each([undefined, null, "options"])("%s", (given) => {
    // @ts-expect-error: callers in JavaScript pass anything
    assert.throws(() => Entra.createClient(given), Entra.InvalidRequestError)
  })

  it("log: the function gets the lines, without the secret", async () => {
    const lines: Array<Entra.LogEntry> = []
    await failure(open({ secret: "wr0ng~secret", log: (entry) => lines.push(entry) }).getToken(graph))
    assert.isAbove(lines.length, 0)
    assert.notInclude(JSON.stringify(lines), "wr0ng~secret")
    assert.include(lines.map(({ level }) => level), "Error")
  })
})

describe("a call whose code throws", () => {
  const broken = () => {
    throw new RangeError("broken")
  }
  const withGetter = (name: string): Entra.TokenRequest & Entra.CallOptions & RequestInit =>
    Object.defineProperty({ scopes: graph }, name, { get: broken, enumerable: true })

  it.each(["the first", "a later"])("is rejected and does not throw: %s", async (when) => {
    const client = open({ origins: { "https://graph.microsoft.com": graph } })
    if (when === "a later") await client.getToken(graph)
    const calls: ReadonlyArray<() => Promise<unknown>> = [
      () => client.getToken(graph, withGetter("signal")),
      () => client.getToken(withGetter("scopes")),
      () => client.getToken(withGetter("tenantId")),
      () => client.headers(graph, withGetter("signal")),
      () => client.headers(withGetter("tenantId")),
      () => client.asTokenCredential().getToken(graph, withGetter("abortSignal")),
      () => client.fetch(users, withGetter("headers"))
    ]
    for (const [index, call] of calls.entries()) {
      const promise = call()
      assert.include(String(await failure(promise)), "broken", String(index))
    }
  })

  it("such as the predicate of the tenants", async () => {
    let allowed: () => boolean = () => true
    const client = open({ allowedTenants: () => allowed() })
    await client.getToken(graph)
    allowed = broken
    const promise = client.getToken(graph)
    assert.include(String(await failure(promise)), "broken")
  })

  it("such as the function of the log, has its token", async () => {
    const client = open({ log: broken })
    await network.simulator(({ fail }) => fail(Fault.unavailable()))
    assert.isString((await client.getToken(graph)).token)
  })

  it.each([7, "now", {}, null, { aborted: false, addEventListener() {} }])("has %j for a signal", async (signal) => {
    const client = open()
    const options = { signal } as unknown as Entra.CallOptions
    if (signal === null) assert.isString((await client.getToken(graph, options)).token)
    else assert.include(await exception(client.getToken(graph, options)), { code: "field_malformed", field: "signal" })
  })
})

describe("an AbortSignal", () => {
  it("that is aborted before the call: its reason, and no request", async () => {
    const client = open()
    const reason = new Error("no more")
    assert.strictEqual(await failure(client.getToken(graph, { signal: AbortSignal.abort(reason) })), reason)
    assert.deepStrictEqual(network.sent, [])
  })

  it.each(["the first call", "a later call"])(
    "that is aborted during %s rejects at once, and harms no other caller",
    async (when) => {
      const client = open()
      if (when === "a later call") await client.getToken(orders)
      await network.simulator(({ fail }) => fail(Fault.delay("300 millis")))
      const controller = new AbortController()
      const aborted = failure(client.getToken(graph, { signal: controller.signal }))
      const patient = client.getToken(graph)
      while (network.sent.every(({ url }) => !url.endsWith("/token"))) {
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
      controller.abort()
      const error = await aborted
      assert.instanceOf(error, DOMException)
      assert.strictEqual((error as DOMException).name, "AbortError")
      assert.isString((await patient).token)
      assert.strictEqual(await tokenRequests(), when === "a later call" ? 2 : 1)
    }
  )

  it("that is aborted afterwards has no effect, and no listener stays", async () => {
    const client = open()
    const controller = new AbortController()
    const { signal } = controller
    let listeners = 0
    const { addEventListener, removeEventListener } = signal
    signal.addEventListener = (...parameters: Parameters<typeof addEventListener>) => {
      listeners++
      addEventListener.apply(signal, parameters)
    }
    signal.removeEventListener = (...parameters: Parameters<typeof removeEventListener>) => {
      listeners--
      removeEventListener.apply(signal, parameters)
    }
    await client.getToken(graph, { signal })
    await client.getToken(graph, { signal })
    await failure(client.getToken("bad scope", { signal }))
    assert.strictEqual(listeners, 0)
    controller.abort()
    assert.isString((await client.getToken(graph)).token)
  })
})

describe("close", () => {
  const closedEverywhere = async (client: Entra.Client) => {
    for (
      const call of [
        () => client.getToken(graph),
        () => client.headers(graph),
        () => client.fetch(users),
        () => client.asTokenCredential().getToken(graph)
      ]
    ) {
      const error = await exception(call())
      assert.instanceOf(error, Entra.ServiceUnavailableError)
      assert.strictEqual(error.code, "client_closed")
    }
  }

  it("ends the client, even with a cached token; twice is once", async () => {
    const client = open({ origins: { "https://graph.microsoft.com": graph } })
    await client.getToken(graph)
    await Promise.all([client.close(), client.close()])
    await client.close()
    await closedEverywhere(client)
  })

  it("before the first call", async () => {
    const client = open()
    await client.close()
    await closedEverywhere(client)
    assert.deepStrictEqual(network.sent, [])
  })

  it.each([false, true])("ends callers that wait, after an earlier call: %s", async (warm) => {
    const client = open()
    if (warm) await client.getToken(orders)
    await network.simulator(({ fail }) => fail(Fault.delay("1 minute")))
    const waiting = [exception(client.getToken(graph)), exception(client.asTokenCredential().getToken(graph))]
    while (network.sent.filter(({ url }) => url.endsWith("/token")).length < (warm ? 2 : 1)) {
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    await client.close()
    for (const { code, remedy } of await Promise.all(waiting)) {
      assert.deepStrictEqual([code, remedy], ["client_closed", "Close the client only when the program ends."])
    }
  })

  it("from the function that loads the secret, does not wait for itself", async () => {
    const client: Entra.Client = open({
      secret: async () => {
        await client.close()
        return secret
      }
    })
    assert.strictEqual((await exception(client.getToken(graph))).code, "client_closed")
  })

  it("at the end of a scope: await using and using", async () => {
    const inner = async () => {
      await using client = open()
      return [client, await client.getToken(graph)] as const
    }
    const [client] = await inner()
    await closedEverywhere(client)
    const held = () => {
      using another = open()
      return another
    }
    await closedEverywhere(held())
  })
})

describe("fetch", () => {
  const origins = {
    "https://graph.microsoft.com": graph,
    "https://*.vault.azure.net": { scopes: graph, tenantId: fabrikam }
  }
  const api = (answer: (request: Request, count: number) => Response = () => new Response("{}")) => {
    let count = 0
    network = networkOf((request) => /login\.microsoftonline/.test(request.url) ? undefined : answer(request, ++count))
    return open({ origins })
  }
  const carried = () =>
    network.sent.flatMap(({ authorization, url }) => /login\.microsoftonline/.test(url) ? [] : [authorization])

  it("adds a token for the origins of the table, and for no others", async () => {
    const client = api()
    const requests = [
      users,
      new URL(users),
      new Request(users, { method: "POST", body: "a" }),
      "https://GRAPH.microsoft.com:443/v1.0/users",
      "https://a.vault.azure.net/secrets/x"
    ]
    for (const request of requests) assert.strictEqual((await client.fetch(request)).status, 200)
    assert.strictEqual(carried().length, requests.length)
    for (const authorization of carried()) assert.match(authorization ?? "", /^Bearer ./)
    assert.notStrictEqual(carried()[4], carried()[0])
    const before = network.sent.length
    const others = [
      "https://graph.microsoft.com.evil.example/",
      "http://graph.microsoft.com/",
      "https://graph.microsoft.com@evil.example/",
      "https://a.b.vault.azure.net/",
      "https://evil.example/https://graph.microsoft.com"
    ]
    for (const request of others) await client.fetch(request).catch(() => undefined)
    assert.deepStrictEqual(network.sent.slice(before).filter(({ authorization }) => authorization !== null), [])
  })

  it("never adds one for another origin, whatever the URL and however it is passed", async () => {
    const client = api()
    const allowed = ({ hostname, port, protocol }: URL) =>
      protocol === "https:" && port === "" &&
      (hostname === "graph.microsoft.com" || /^[^.]+$/.test(hostname.replace(/\.vault\.azure\.net$/, "")) &&
          hostname.endsWith(".vault.azure.net"))
    const label = fc.constantFrom("a.", "A.", "a.b.", "", ".", "ä.", "%61.", "a。", "a@", "user:pw@a.", "x/", "x\\")
    const domain = fc.constantFrom(
      "vault.azure.net",
      "VAULT.azure.net",
      "vault.azure.net.",
      "vault.azure.net.evil.example",
      "graph.microsoft.com",
      "graph.microsoft.com@evil.example",
      "ｇｒａｐｈ.microsoft.com",
      "evil.example"
    )
    const url = fc.tuple(
      fc.constantFrom("https://", "https://", "http://", "HTTPS:\\\\", "https:/", "wss://"),
      label,
      domain,
      fc.constantFrom("", ":443", ":8443", ":80"),
      fc.constantFrom("", "/", "/v1", "?@graph.microsoft.com", "#graph.microsoft.com", "\\evil.example")
    ).map((parts) => parts.join(""))
    const counts = { carried: 0, bare: 0 }
    await fc.assert(
      fc.asyncProperty(url, fc.constantFrom("text", "URL", "Request"), async (text, as) => {
        const before = network.sent.length
        const input = as === "text" || !URL.canParse(text) ? text : as === "URL" ? new URL(text) : undefined
        try {
          await client.fetch(input ?? new Request(text))
        } catch (error) {
          assert.instanceOf(error, TypeError)
        }
        for (const { authorization, url } of network.sent.slice(before)) {
          if (/login\.microsoftonline/.test(url)) continue
          assert.strictEqual(authorization !== null, allowed(new URL(url)), `${text}: ${url}`)
          if (authorization === null) counts.bare++
          else counts.carried++
        }
      }),
      { numRuns: 1000 }
    )
    assert.isAbove(counts.carried, 10)
    assert.isAbove(counts.bare, 10)
  })

  it("never adds one for another origin, although the input names different origins each time", async () => {
    const client = api()
    let reads = 0
    const fickle = { toString: () => reads++ % 2 === 0 ? users : "https://evil.example/" } as unknown as string
    await client.fetch(fickle)
    await client.fetch(fickle)
    class Disguised extends Request {
      override get url() {
        return users
      }
    }
    await client.fetch(new Disguised("https://evil.example/"))
    const evil = network.sent.filter(({ url }) => url.includes("evil"))
    assert.isAbove(evil.length, 0)
    assert.deepStrictEqual(evil.filter(({ authorization }) => authorization !== null), [])
  })

  it("passes on headers that can be read only once", async () => {
    const seen: Array<string | null> = []
    const client = api((request) => {
      seen.push(request.headers.get("x-a"))
      return new Response("{}")
    })
    const single = function*() {
      yield ["x-a", "1"]
    }
    await client.fetch(users, { headers: single() as unknown as Array<[string, string]> })
    assert.deepStrictEqual(seen, ["1"])
  })

  it("keeps an authorization header of the request, and asks for no token then", async () => {
    const client = api()
    await client.fetch(users, { headers: { Authorization: "Basic abc" } })
    await client.fetch(new Request(users, { headers: { Authorization: "Basic def" } }))
    assert.deepStrictEqual(carried(), ["Basic abc", "Basic def"])
    assert.strictEqual(await tokenRequests(), 0)
  })

  it("passes on method, headers and body", async () => {
    const seen: Array<Promise<ReadonlyArray<string | null>>> = []
    const client = api((request) => {
      seen.push(request.text().then((text) => [request.method, text, request.headers.get("x-a")]))
      return new Response("{}")
    })
    await client.fetch(users, { method: "PUT", body: "text", headers: { "x-a": "1" } })
    await client.fetch(new Request(users, { method: "PATCH", body: "more" }), { headers: [["x-a", "2"]] })
    assert.deepStrictEqual(await Promise.all(seen), [["PUT", "text", "1"], ["PATCH", "more", "2"]])
  })

  it("replaces a refused token once, with the claims of the challenge, and repeats the body", async () => {
    const claims = JSON.stringify({ access_token: { nbf: { essential: true } } })
    const bodies: Array<Promise<string>> = []
    const client = api((request, count) => {
      bodies.push(request.text())
      return count === 1
        ? new Response("no", {
          status: 401,
          headers: { "www-authenticate": `Bearer error="insufficient_claims", claims="${btoa(claims)}"` }
        })
        : new Response("{}")
    })
    assert.strictEqual((await client.fetch(users, { method: "POST", body: "a" })).status, 200)
    assert.deepStrictEqual(await Promise.all(bodies), ["a", "a"])
    assert.notStrictEqual(carried()[0], carried()[1])
    const seen = await network.simulator(({ requests }) => requests)
    assert.deepStrictEqual(seen.map(({ form }) => form["claims"]), [undefined, claims])
  })

  it("gives up on an API that refuses every token, and then does not ask again for a while", async () => {
    const client = api(() => new Response("no", { status: 401 }))
    assert.strictEqual((await client.fetch(users)).status, 401)
    const { length } = carried()
    assert.isAtMost(length, 4)
    const requests = await tokenRequests()
    assert.strictEqual((await client.fetch(users)).status, 401)
    assert.strictEqual(carried().length, length + 1)
    assert.strictEqual(await tokenRequests(), requests)
  })

  it("does not repeat a body that is a stream, but replaces its token", async () => {
    const client = api((_, count) => new Response("no", { status: count === 1 ? 401 : 200 }))
    const stream = () => new Response("streamed").body
    const refused = await client.fetch(users, { method: "POST", body: stream(), duplex: "half" } as RequestInit)
    assert.strictEqual(refused.status, 401)
    assert.strictEqual(await refused.text(), "no")
    assert.strictEqual(carried().length, 1)
    assert.strictEqual((await client.fetch(users)).status, 200)
    assert.notStrictEqual(carried()[1], carried()[0])
  })

  it.each([
    ["whose connection broke", () => new ReadableStream({ start: (body) => body.error(new TypeError("terminated")) })],
    ["that is never done with its cancelation", () => new ReadableStream({ cancel: () => new Promise(() => {}) })]
  ])("replaces a refused token also after a response %s", async (_, body) => {
    const client = api((_, count) => count === 1 ? new Response(body(), { status: 401 }) : new Response("{}"))
    assert.strictEqual((await client.fetch(users)).status, 200)
    assert.strictEqual(await tokenRequests(), 2)
  })

  const redirecting = () => {
    const modes: Array<string> = []
    const client = api((request) => {
      modes.push(request.redirect)
      return new Response(null, { status: 302, headers: { location: "https://evil.example/" } })
    })
    return { client, modes }
  }

  it("gives a redirect to the caller", async () => {
    const { client, modes } = redirecting()
    assert.strictEqual((await client.fetch(users)).status, 302)
    assert.strictEqual(network.sent.filter(({ url }) => url.includes("evil")).length, 0)
    assert.deepStrictEqual(modes, ["manual"])
  })

  it("keeps the redirect mode error", async () => {
    const { client, modes } = redirecting()
    await client.fetch(users, { redirect: "error" })
    assert.deepStrictEqual(modes, ["error"])
  })

  it("replaces no token for a response to which the fetch of the option has followed a redirect", async () => {
    const client = api(() =>
      Object.defineProperty(new Response("elsewhere", { status: 401 }), "redirected", { value: true })
    )
    assert.strictEqual(await (await client.fetch(users)).text(), "elsewhere")
    assert.strictEqual(carried().length, 1)
    assert.strictEqual(await tokenRequests(), 1)
  })

  it("adds none to what is no request to a network", async () => {
    const client = api()
    await client.fetch("blob:https://graph.microsoft.com/5b1f2a3c-0000-4000-8000-000000000000").catch(() => undefined)
    assert.strictEqual(await tokenRequests(), 0)
    assert.deepStrictEqual(carried().filter((authorization) => authorization !== null), [])
  })

  it("rejects with the exceptions of the client, and with the reason of the signal", async () => {
    const client = api()
    await network.simulator(({ fail }) => fail(Fault.throttled({ retryAfter: "7 seconds" })))
    assert.instanceOf(await failure(client.fetch(users)), Entra.ThrottledError)
    const reason = new Error("stop")
    assert.strictEqual(await failure(client.fetch(users, { signal: AbortSignal.abort(reason) })), reason)
    assert.instanceOf(await failure(client.fetch("no url")), TypeError)
  })

  it("is the global function of the moment, without the option", async () => {
    const { fetch } = globalThis
    const client = open({ fetch: undefined, origins })
    try {
      globalThis.fetch = network.fetch
      assert.strictEqual((await client.fetch(users)).status, 200)
      assert.match(carried()[0] ?? "", /^Bearer ./)
    } finally {
      globalThis.fetch = fetch
    }
  })

  it("without origins is the fetch of the option", async () => {
    network = networkOf(() => new Response("plain"))
    assert.strictEqual(await (await open().fetch(users)).text(), "plain")
    assert.deepStrictEqual(carried(), [null])
  })
})
