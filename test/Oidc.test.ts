/** A client with an `issuer`: any provider that follows the standards, by its discovery document. */
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Duration, Effect, Fiber, Layer, Redacted, References, Result } from "effect"
import {
  Authority,
  AuthorityResolver,
  ClientCredential,
  ConfidentialClient,
  type EntraError,
  RetryPolicy,
  TokenCache,
  TokenEndpoint
} from "effect-entra"
import { EntraSimulator, TestCertificate } from "effect-entra/testing"
import { TestClock } from "effect/testing"
import * as jose from "jose"
import { answering, type Asked, documentOf, dropped, isDiscovery, type Reply } from "./support/answering.ts"
import { type Line, record, silent } from "./support/log.ts"
import { assertToldInFull } from "./support/shown.ts"
import { contoso, graph, Simulator } from "./support/world.ts"

const issuer = "https://idp.example/realms/One"
const clientId = "daemon"
const secret = Redacted.make("s3cr3t")

/** A provider of many issuers on every host; each token names its issuer and what was asked. */
const provider = (
  discovery: (asked: Asked, count: number) => Reply | Effect.Effect<Reply> = (asked) => ({
    body: documentOf(asked)
  }),
  token: (asked: Asked) => Readonly<Record<string, unknown>> = ({ form, url }) => ({
    access_token: `${url.href} ${form.get("scope") ?? "-"}`,
    token_type: "Bearer",
    expires_in: 3600
  })
) => {
  let count = 0
  return answering((asked) => isDiscovery(asked) ? discovery(asked, ++count) : { body: token(asked) })
}

const clientOf = (
  transport: ReturnType<typeof provider>,
  options: Partial<ConfidentialClient.Options> = {},
  resolver: Layer.Layer<AuthorityResolver.AuthorityResolver, EntraError.InvalidAuthorityError> = AuthorityResolver.layer
    .pipe(Layer.provide(transport.layer))
) =>
  ConfidentialClient.layer({ clientId, issuer, ...options }).pipe(
    Layer.provide([
      ClientCredential.layerSecret(secret),
      resolver,
      TokenEndpoint.layer.pipe(Layer.provide(transport.layer)),
      TokenCache.layerMemory()
    ])
  )

/** For tables, whose tests have no clock and no quiet log of their own. */
const run = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.runPromise(Effect.provideService(effect, References.MinimumLogLevel, "None"))

const acquire = (scopes: string | ReadonlyArray<string> = "read") => ConfidentialClient.acquireToken({ scopes })

const asked = ({ seen }: ReturnType<typeof provider>) => seen.map(({ method, url }) => `${method} ${url.href}`)

describe("a token", () => {
  it.effect("comes from the endpoint that the document names, on whichever host, and then from the cache", () => {
    const transport = provider((asked) => ({
      body: documentOf(asked, { token_endpoint: "https://tokens.example:8443/t?realm=One" })
    }))
    return Effect.gen(function*() {
      const { accessToken, authority, metadata, scopes, tenantId } = yield* acquire("b a b")
      assert.strictEqual(Redacted.value(accessToken), "https://tokens.example:8443/t?realm=One b a")
      assert.strictEqual(metadata.tokenEndpoint, "https://tokens.example:8443/t?realm=One")
      assert.strictEqual(authority, issuer)
      assert.strictEqual(tenantId, "")
      assert.deepStrictEqual([...scopes], ["b", "a"])
      // The same set in another order is the same token.
      assert.strictEqual((yield* acquire(["a", "b"])).metadata.tokenSource, "Cache")
      assert.strictEqual((yield* acquire(["A", "b"])).metadata.tokenSource, "IdentityProvider")
      assert.deepStrictEqual(asked(transport), [
        `GET ${issuer}/.well-known/openid-configuration`,
        "POST https://tokens.example:8443/t?realm=One",
        "POST https://tokens.example:8443/t?realm=One"
      ])
    }).pipe(Effect.provide(clientOf(transport)))
  })

  it.effect("without scopes: none is sent, and the hit is one", () => {
    const transport = provider()
    return Effect.gen(function*() {
      for (const scopes of ["", [], [" "]]) {
        const { scopes: granted } = yield* acquire(scopes)
        assert.deepStrictEqual([...granted], [])
      }
      const posts = transport.seen.filter(({ method }) => method === "POST")
      assert.strictEqual(posts.length, 1)
      assert.isFalse(posts[0]?.form.has("scope"))
    }).pipe(Effect.provide(clientOf(transport)))
  })

  it.each([
    { name: "the type in capitals", body: { token_type: "BEARER" }, expiresIn: 3600 },
    { name: "the lifetime as a string", body: { expires_in: "600" }, expiresIn: 600 },
    { name: "other members", body: { scope: "read write", id_token: "x", foo: { bar: 1 } }, expiresIn: 3600 }
  ])("an answer with $name is one", ({ body, expiresIn }) => {
    const transport = provider(undefined, () => ({
      access_token: "t",
      token_type: "bearer",
      expires_in: 3600,
      ...body
    }))
    return run(
      Effect.gen(function*() {
        const { expiresOn } = yield* acquire()
        assert.strictEqual(expiresOn.epochMilliseconds, expiresIn * 1000)
      }).pipe(Effect.provide(clientOf(transport)), Effect.provide(TestClock.layer()))
    )
  })
})

describe("Microsoft's own as an issuer", () => {
  const origin = "https://login.private.example"

  it.effect("gives tokens like any other", () =>
    Effect.gen(function*() {
      const { authority, metadata } = yield* acquire(graph)
      assert.strictEqual(authority, `${origin}/${contoso}/v2.0`)
      assert.strictEqual(metadata.tokenEndpoint, `${origin}/${contoso}/oauth2/v2.0/token`)
      assert.strictEqual((yield* acquire(graph)).metadata.tokenSource, "Cache")
    }).pipe(
      Effect.provide(
        ConfidentialClient.layer({
          clientId: EntraSimulator.daemonClientId,
          issuer: new URL(`${origin}/${contoso}/v2.0`)
        }).pipe(
          Layer.provide([
            ClientCredential.layerSecret(EntraSimulator.daemonSecret),
            AuthorityResolver.layer,
            TokenEndpoint.layer,
            TokenCache.layerMemory()
          ]),
          Layer.provide(Simulator({ origin }))
        )
      )
    ))
})

describe("the simulator's realms", () => {
  const at = (realm: string) => `https://id.example/realms/${realm}`
  const ways = [
    { realm: "alpha", by: "secret", alg: undefined },
    { realm: "beta", by: "secret", alg: undefined },
    { realm: "alpha", by: "RSA", alg: "RS256" },
    { realm: "alpha", by: "EC", alg: "ES256" }
  ] as const

  it.live.each(ways)("$realm, by $by", ({ alg, by, realm }) =>
    Effect.gen(function*() {
      const keys = yield* TestCertificate.make({ algorithm: by === "EC" ? "EC" : "RSA" })
      const services = Layer.mergeAll(AuthorityResolver.layer, TokenEndpoint.layer, TokenCache.layerMemory()).pipe(
        Layer.provideMerge(Simulator({
          apps: [{ clientId, secrets: [secret], certificates: [keys.certificate] }],
          realms: [
            { name: "alpha", authMethods: ["client_secret_post", "private_key_jwt"] },
            { name: "beta", authMethods: ["client_secret_basic"] }
          ]
        }))
      )
      const credential = yield* (by === "secret" ? ClientCredential.secret(secret) : ClientCredential.certificate(keys))
      yield* Effect.gen(function*() {
        const client = yield* ConfidentialClient.make({ clientId, issuer: at(realm), credential })
        const { authority, metadata } = yield* client.acquireToken({ scopes: "" })
        assert.strictEqual(authority, at(realm))
        assert.strictEqual(metadata.tokenEndpoint, `${at(realm)}/protocol/openid-connect/token`)
        const [sent] = yield* EntraSimulator.EntraSimulator.use(({ requests }) => requests)
        assert.strictEqual(sent?.headers["authorization"]?.startsWith("Basic ") ?? false, realm === "beta")
        const assertion = sent?.form["client_assertion"]
        assert.strictEqual(assertion && jose.decodeProtectedHeader(assertion).alg, alg)
      }).pipe(Effect.scoped, Effect.provide([services, silent]))
    }))
})

describe("the document", () => {
  it.effect("is asked for once, whatever the number of callers and scopes, and a day later behind their backs", () => {
    let moved = false
    const transport = provider((asked) => ({
      body: documentOf(asked, { token_endpoint: `https://idp.example/${moved ? "new" : "old"}` })
    }))
    return Effect.gen(function*() {
      yield* Effect.all(Array.from({ length: 50 }, (_, n) => acquire(`s${n}`)), { concurrency: "unbounded" })
      const discoveries = () => transport.seen.filter(isDiscovery).length
      assert.strictEqual(discoveries(), 1)
      moved = true
      yield* TestClock.adjust("23 hours")
      assert.strictEqual((yield* acquire("a")).metadata.tokenEndpoint, "https://idp.example/old")
      assert.strictEqual(discoveries(), 1)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual((yield* acquire("b")).metadata.tokenEndpoint, "https://idp.example/old")
      yield* TestClock.adjust(0)
      assert.strictEqual(discoveries(), 2)
      assert.strictEqual((yield* acquire("c")).metadata.tokenEndpoint, "https://idp.example/new")
    }).pipe(Effect.provide(clientOf(transport)))
  })

  it.effect("that cannot be renewed stays in use, is tried again after five minutes, and a warning says so", () => {
    const log = record()
    const transport = provider((asked, count) => count === 1 ? { body: documentOf(asked) } : { status: 404 })
    return Effect.gen(function*() {
      yield* acquire("a")
      yield* TestClock.adjust("1 day")
      for (const scope of ["b", "c", "d"]) {
        assert.strictEqual((yield* acquire(scope)).metadata.tokenEndpoint, `${issuer}/token`)
        yield* TestClock.adjust("1 second")
      }
      assert.strictEqual(transport.seen.filter(isDiscovery).length, 2)
      yield* TestClock.adjust("5 minutes")
      yield* acquire("e")
      yield* TestClock.adjust(0)
      assert.strictEqual(transport.seen.filter(isDiscovery).length, 3)
      const lines = log.entries.filter(({ text }: Line) => text.startsWith("the discovery document"))
      assert.deepStrictEqual(lines.map(({ level, text }) => `${level} ${text}`), [
        `Warn the discovery document of ${issuer} could not be refreshed (issuer_unknown); the old one stays in use`,
        `Warn the discovery document of ${issuer} could not be refreshed (issuer_unknown); the old one stays in use`
      ])
      assert.deepInclude(lines[0]?.annotations, { clientId, tenantId: "", scope: "b" })
    }).pipe(Effect.provide(clientOf(transport)), Effect.provide(log.layer))
  })

  it.effect("that is late or lost is asked for again within ten seconds", () => {
    const transport = provider((asked, count) =>
      count === 1 ? dropped : count === 2 ? { status: 503 } : { body: documentOf(asked) }
    )
    return Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(acquire())
      yield* TestClock.adjust("9 seconds")
      yield* Fiber.join(fiber)
      assert.strictEqual(transport.seen.filter(isDiscovery).length, 3)
    }).pipe(Effect.provide(clientOf(transport)))
  })

  it.effect.each([
    { name: "a certificate that is not trusted", reply: { broken: "CERT_HAS_EXPIRED" }, code: "network" },
    {
      name: "a time that is named",
      reply: { status: 503, headers: { "retry-after": "1" } },
      code: "service_unavailable"
    },
    { name: "a refusal", reply: { status: 404 }, code: "issuer_unknown" }
  ])("is not asked for again after $name", ({ code, reply }) => {
    const transport = provider(() => reply)
    return Effect.gen(function*() {
      assert.strictEqual((yield* Effect.flip(acquire())).code, code)
      assert.strictEqual(transport.seen.filter(isDiscovery).length, 1)
    }).pipe(Effect.provide(clientOf(transport)))
  })

  it.effect("a failure stands for three seconds, for all who ask", () => {
    let isBroken = true
    const transport = provider((asked) => isBroken ? { status: 404 } : { body: documentOf(asked) })
    return Effect.gen(function*() {
      const failures = yield* Effect.all(Array.from({ length: 5 }, (_, n) => Effect.flip(acquire(`s${n}`))), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(failures.map(({ code }) => code), failures.map(() => "issuer_unknown"))
      isBroken = false
      assert.strictEqual((yield* Effect.flip(acquire())).code, "issuer_unknown")
      assert.strictEqual(transport.seen.filter(isDiscovery).length, 1)
      yield* TestClock.adjust("3 seconds")
      yield* acquire()
      assert.strictEqual(transport.seen.filter(isDiscovery).length, 2)
    }).pipe(Effect.provide(clientOf(transport)))
  })

  it.effect("a failure stands for as long as the provider asks, at most an hour", () => {
    const transport = provider(() => ({ status: 429, headers: { "retry-after": "7200" } }))
    return Effect.gen(function*() {
      yield* Effect.flip(acquire())
      yield* TestClock.adjust("59 minutes")
      const { origin, retryAfter } = yield* Effect.flip(acquire())
      assert.deepStrictEqual([origin, retryAfter && Duration.toSeconds(retryAfter)], ["local", 60])
      assert.strictEqual(transport.seen.length, 1)
      yield* TestClock.adjust("1 minute")
      yield* Effect.flip(acquire())
      assert.strictEqual(transport.seen.length, 2)
    }).pipe(Effect.provide(clientOf(transport)))
  })

  it.effect.each<{ readonly reply: Reply; readonly code: string }>([
    { reply: { status: 404 }, code: "issuer_unknown" },
    { reply: { status: 503 }, code: "service_unavailable" },
    { reply: { broken: "CERT_HAS_EXPIRED" }, code: "network" }
  ])("while it stands it is told as decided here, with no time to wait: $code", ({ code, reply }) => {
    const transport = provider(() => reply)
    return Effect.gen(function*() {
      const told = Effect.flip(
        Effect.provideService(acquire(), RetryPolicy.Current, RetryPolicy.none)
      )
      const [first, second] = [yield* told, yield* told]
      assert.deepStrictEqual([first.code, second.code], [code, code])
      assert.deepStrictEqual([first.origin, second.origin], ["service", "local"])
      assert.isUndefined(second.retryAfter)
      assert.strictEqual(transport.seen.filter(isDiscovery).length, 1)
    }).pipe(Effect.provide(clientOf(transport)))
  })

  it.effect("who waits waits once, and one line tells of it", () => {
    const recorded = record()
    const transport = provider((asked, count) =>
      count === 1 ? { status: 503, headers: { "retry-after": "600" } } : { body: documentOf(asked) }
    )
    return Effect.gen(function*() {
      yield* Effect.flip(acquire())
      yield* TestClock.adjust("590 seconds")
      yield* Effect.flip(acquire())
      const waiting = yield* Effect.forkChild(ConfidentialClient.acquireToken({ scopes: "read", onThrottled: "wait" }))
      yield* TestClock.adjust("11 seconds")
      yield* Fiber.join(waiting)
      assert.strictEqual(transport.seen.filter(isDiscovery).length, 2)
      assert.strictEqual(recorded.entries.filter(({ level }) => level === "Warn").length, 1)
    }).pipe(Effect.provide(clientOf(transport, { clientId: "who-waits" })), Effect.provide(recorded.layer))
  })

  it.effect("a renewal that is put off by the provider is put off", () => {
    const transport = provider((asked, count) =>
      count === 1 ? { body: documentOf(asked) } : { status: 503, headers: { "retry-after": "1800" } }
    )
    const discoveries = () => transport.seen.filter(isDiscovery).length
    return Effect.gen(function*() {
      yield* acquire("a")
      yield* TestClock.adjust("1 day")
      yield* acquire("b")
      yield* TestClock.adjust("29 minutes")
      yield* acquire("c")
      yield* TestClock.adjust(0)
      assert.strictEqual(discoveries(), 2)
      yield* TestClock.adjust("1 minute")
      yield* acquire("d")
      yield* TestClock.adjust(0)
      assert.strictEqual(discoveries(), 3)
    }).pipe(Effect.provide(clientOf(transport)))
  })

  it.effect("a clock that is put back freezes neither a failure nor a document", () => {
    let isBroken = true
    const transport = provider((asked) => isBroken ? { status: 404 } : { body: documentOf(asked) })
    const hours = (n: number) => TestClock.setTime(n * 3_600_000)
    const discoveries = () => transport.seen.filter(isDiscovery).length
    return Effect.gen(function*() {
      yield* hours(10)
      yield* Effect.flip(acquire())
      yield* hours(9)
      isBroken = false
      yield* TestClock.adjust("3 seconds")
      yield* acquire("a")
      assert.strictEqual(discoveries(), 2)
      yield* hours(8)
      yield* TestClock.adjust("1 day")
      yield* acquire("b")
      yield* TestClock.adjust(0)
      assert.strictEqual(discoveries(), 3)
    }).pipe(Effect.provide(clientOf(transport)))
  })

  it.effect("those of 1,000 issuers are kept, and the oldest goes first", () => {
    const transport = provider()
    return Effect.gen(function*() {
      const resolver = yield* AuthorityResolver.AuthorityResolver
      const resolve = (n: number) =>
        resolver.resolve(Result.getOrThrow(Authority.parseIssuer(`https://idp.example/${n}`)), { channel: "standard" })
      for (let n = 0; n <= 1000; n++) yield* resolve(n)
      assert.strictEqual(transport.seen.length, 1001)
      yield* resolve(1)
      yield* resolve(1000)
      assert.strictEqual(transport.seen.length, 1001)
      yield* resolve(0)
      assert.strictEqual(transport.seen.length, 1002)
    }).pipe(Effect.provide(AuthorityResolver.layer.pipe(Layer.provide(transport.layer))))
  })

  it.effect("closing the resolver ends those who wait", () => {
    const transport = provider(() => Effect.never)
    return Effect.gen(function*() {
      const fiber = yield* Effect.scoped(Effect.gen(function*() {
        const context = yield* Layer.build(AuthorityResolver.layer.pipe(Layer.provide(transport.layer)))
        const fiber = yield* AuthorityResolver.AuthorityResolver.use((resolver) =>
          resolver.resolve(Result.getOrThrow(Authority.parseIssuer(issuer)), { channel: "standard" })
        ).pipe(Effect.provideContext(context), Effect.flip, Effect.forkDetach({ startImmediately: true }))
        yield* Effect.yieldNow
        return fiber
      }))
      assert.strictEqual((yield* Fiber.join(fiber)).code, "client_closed")
    })
  })
})

describe("what can be wrong with the document", () => {
  const good = { issuer, token_endpoint: `${issuer}/token` }
  const rows: ReadonlyArray<{
    readonly name: string
    readonly reply: Reply
    readonly tag?: EntraError.AcquireTokenError["_tag"]
    readonly code: string
    readonly says: RegExp
  }> = [
    { name: "404", reply: { status: 404 }, code: "issuer_unknown", says: /does not exist \(status 404\)/ },
    { name: "400", reply: { status: 400 }, code: "issuer_unknown", says: /does not exist \(status 400\)/ },
    { name: "403", reply: { status: 403 }, code: "discovery_malformed", says: /status 403/ },
    {
      name: "a redirect, which is not followed",
      reply: { status: 302, headers: { location: "https://evil.example" } },
      code: "discovery_malformed",
      says: /status 302/
    },
    { name: "HTML", reply: { body: "<html>" }, code: "discovery_malformed", says: /not JSON/ },
    { name: "nothing", reply: { body: "" }, code: "discovery_malformed", says: /not JSON/ },
    { name: "null", reply: { body: "null" }, code: "discovery_malformed", says: /not JSON/ },
    {
      name: "no issuer",
      reply: { body: { token_endpoint: good.token_endpoint } },
      code: "discovery_malformed",
      says: /not JSON/
    },
    { name: "no token endpoint", reply: { body: { issuer } }, code: "discovery_malformed", says: /token_endpoint/ },
    {
      name: "methods that are no list",
      reply: { body: { ...good, token_endpoint_auth_methods_supported: "client_secret_post" } },
      code: "discovery_malformed",
      says: /not JSON/
    },
    {
      name: "more than a mebibyte",
      reply: { body: { ...good, more: "x".repeat(1_048_577) } },
      code: "discovery_malformed",
      says: /too long/
    },
    ...[
      "http://idp.example/token",
      "/token",
      "https://user@idp.example/token",
      "https://idp.example/token#x",
      " https://idp.example/token",
      ""
    ].map((token_endpoint) => ({
      name: `the token endpoint ${JSON.stringify(token_endpoint)}`,
      reply: { body: { ...good, token_endpoint } },
      code: "discovery_malformed",
      says: /has the token_endpoint/
    })),
    ...[
      "https://idp.example/realms/one",
      "https://idp.example/realms/One/x",
      "https://idp.example/realms/One//",
      "https://idp.example/realms",
      "http://idp.example/realms/One",
      "https://idp.example:8443/realms/One",
      "https://evil.example/realms/One",
      "https://login.microsoftonline.com/realms/One",
      "https://realms.ciamlogin.com.evil.example/realms/v2.0",
      ""
    ].map((other) => ({
      name: `the issuer ${JSON.stringify(other)}`,
      reply: { body: { ...good, issuer: other } },
      code: "issuer_mismatch",
      says: /is the document of another issuer/
    })),
    {
      name: "503",
      reply: { status: 503 },
      tag: "EntraServiceUnavailableError",
      code: "service_unavailable",
      says: /status 503/
    },
    {
      name: "408",
      reply: { status: 408 },
      tag: "EntraServiceUnavailableError",
      code: "service_unavailable",
      says: /status 408/
    },
    {
      name: "429 with a time",
      reply: { status: 429, headers: { "retry-after": "7" } },
      tag: "EntraServiceUnavailableError",
      code: "service_unavailable",
      says: /status 429/
    },
    { name: "no answer", reply: dropped, tag: "EntraNetworkError", code: "network", says: /ECONNRESET/ }
  ]

  for (const { code, name, reply, says, tag = "EntraInvalidAuthorityError" } of rows) {
    it.effect(`${name}: ${code}`, () => {
      const transport = provider(() => reply)
      return Effect.gen(function*() {
        const error = yield* Effect.flip(acquire()).pipe(Effect.provideService(RetryPolicy.Current, RetryPolicy.none))
        assert.strictEqual(error._tag, tag)
        assert.strictEqual(error.code, code)
        assertToldInFull(error)
        assert.match(error.message, says)
        assert.strictEqual(error.origin, "service")
        assert.isNotEmpty(error.remedy)
        assert.strictEqual(error.correlationId, transport.seen[0]?.headers["client-request-id"])
        if (error._tag === "EntraInvalidAuthorityError") assert.strictEqual(error.field, "issuer")
        const { retryAfter } = error
        assert.strictEqual(retryAfter && Duration.toMillis(retryAfter), name === "429 with a time" ? 7000 : undefined)
        // Nobody is told the secret.
        assert.isTrue(transport.seen.every(({ method }) => method === "GET"))
        assert.isAtMost(transport.seen.length, 2)
      }).pipe(Effect.provide(clientOf(transport)))
    })
  }

  it.effect("one that does not come is not waited for longer than ten seconds", () => {
    const transport = provider(() => Effect.never)
    return Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(Effect.flip(acquire()))
      yield* TestClock.adjust("10 seconds")
      const error = yield* Fiber.join(fiber)
      assert.strictEqual(error._tag, "EntraServiceUnavailableError")
      assert.strictEqual(error.code, "timeout")
      assertToldInFull(error)
    }).pipe(Effect.provide(clientOf(transport)))
  })
})

describe("issuers that their documents may name", () => {
  const tenant = "aaaaaaaa-1111-2222-3333-bbbbbbbbbbbb"
  const other = "cccccccc-1111-2222-3333-dddddddddddd"
  it.each([
    ["https://tenant.auth0.example/", "https://tenant.auth0.example/"],
    ["https://tenant.auth0.example", "https://tenant.auth0.example/"],
    ["https://idp.example/one/", "https://idp.example/one"],
    ["https://login.microsoftonline.com/contoso.com/v2.0", `https://login.microsoftonline.com/${tenant}/v2.0`],
    [`https://login.microsoftonline.com/${tenant}`, `https://sts.windows.net/${tenant}/`],
    ["https://login.microsoftonline.us/contoso.us/v2.0", `https://login.microsoftonline.us/${tenant}/v2.0`],
    ["https://contoso.ciamlogin.com/contoso.onmicrosoft.com/v2.0", `https://${tenant}.ciamlogin.com/${tenant}/v2.0`],
    [`https://contoso.ciamlogin.com/${tenant}/v2.0`, `https://contoso.ciamlogin.com/${tenant}/v2.0`],
    [`https://login.contoso.com/${tenant}/v2.0`, `https://${tenant}.ciamlogin.com/${tenant}/v2.0`],
    [`https://login.contoso.com/${tenant}/v2.0`, `https://${tenant}.ciamlogin.com/`],
    [`https://login.contoso.com/${tenant}/v2.0`, `https://login.contoso.com/${tenant}/v2.0`],
    ["https://contoso.b2clogin.com/contoso.onmicrosoft.com/p/v2.0", `https://contoso.b2clogin.com/${tenant}/v2.0/`]
  ])("%s: %s", (configured, named) => {
    const transport = provider(() => ({ body: { issuer: named, token_endpoint: "https://t.example/" } }))
    return run(
      Effect.gen(function*() {
        const { authority } = yield* acquire()
        assert.strictEqual(authority, configured)
        assert.strictEqual(
          transport.seen[0]?.url.href,
          `${configured.replace(/\/$/, "")}/.well-known/openid-configuration`
        )
      }).pipe(Effect.provide(clientOf(transport, { issuer: configured })))
    )
  })

  it.each([
    [`https://login.contoso.com/contoso/v2.0`, `https://${tenant}.ciamlogin.com/${tenant}/v2.0`],
    [`https://login.contoso.com/${tenant}/v2.0`, `https://${tenant}.ciamlogin.com/other/v2.0`],
    [`https://login.contoso.com/${tenant}/v2.0`, `https://login.microsoftonline.com/${tenant}/v2.0`],
    ["https://contoso.ciamlogin.com/c/v2.0", "https://fabrikam.ciamlogin.com/fabrikam/v2.0"],
    ["https://contoso.b2clogin.com/c/p/v2.0", `https://fabrikam.b2clogin.com/${tenant}/v2.0/`],
    ["https://login.microsoftonline.com/c/v2.0", `https://login.microsoftonline.us/${tenant}/v2.0`],
    [`https://login.microsoftonline.com/${other}/v2.0`, `https://login.microsoftonline.com/${tenant}/v2.0`],
    [`https://login.microsoftonline.com/${other}/v2.0`, `https://sts.windows.net/${tenant}/`],
    [`https://contoso.ciamlogin.com/${other}/v2.0`, `https://contoso.ciamlogin.com/${tenant}/v2.0`],
    [`https://contoso.ciamlogin.com/${other}/v2.0`, `https://${tenant}.ciamlogin.com/${tenant}/v2.0`],
    ["https://login.microsoftonline.com:8443/c/v2.0", `https://login.microsoftonline.com/${tenant}/v2.0`]
  ])("%s: never %s", (configured, named) => {
    const transport = provider(() => ({ body: { issuer: named, token_endpoint: "https://t.example/" } }))
    return run(
      Effect.gen(function*() {
        assert.strictEqual((yield* Effect.flip(acquire())).code, "issuer_mismatch")
      }).pipe(Effect.provide(clientOf(transport, { issuer: configured })))
    )
  })
})

describe("how the document wants the client to prove itself", () => {
  const resolved = (more: Readonly<Record<string, unknown>>) =>
    run(
      AuthorityResolver.AuthorityResolver.use((resolver) =>
        resolver.resolve(Result.getOrThrow(Authority.parseIssuer(issuer)), { channel: "standard" })
      ).pipe(Effect.provide(
        AuthorityResolver.layer.pipe(Layer.provide(provider((asked) => ({ body: documentOf(asked, more) })).layer))
      ))
    )

  it.each([
    { methods: undefined, secretMethod: "client_secret_basic" },
    { methods: null, secretMethod: "client_secret_basic" },
    { methods: ["client_secret_basic"], secretMethod: "client_secret_basic" },
    { methods: ["private_key_jwt", "client_secret_basic"], secretMethod: "client_secret_basic" },
    { methods: ["client_secret_basic", "client_secret_post"], secretMethod: "client_secret_post" },
    { methods: ["client_secret_post"], secretMethod: "client_secret_post" },
    { methods: ["private_key_jwt"], secretMethod: "client_secret_post" }
  ])("methods $methods: $secretMethod", async ({ methods, secretMethod }) => {
    const endpoints = await resolved(methods === undefined ? {} : { token_endpoint_auth_methods_supported: methods })
    assert.strictEqual(endpoints.secretMethod, secretMethod)
  })

  it.each([
    { algorithms: undefined, rsa: "RS256" },
    { algorithms: null, rsa: "RS256" },
    { algorithms: [], rsa: "RS256" },
    { algorithms: ["PS256", "RS256"], rsa: "RS256" },
    { algorithms: ["PS256", "ES256"], rsa: "PS256" },
    { algorithms: ["ES256"], rsa: "RS256" }
  ])("algorithms $algorithms: $rsa", async ({ algorithms, rsa }) => {
    const endpoints = await resolved(
      algorithms === undefined ? {} : { token_endpoint_auth_signing_alg_values_supported: algorithms }
    )
    assert.deepStrictEqual({ ...endpoints.assertion }, { thumbprint: "x5t", also: "x5t#S256", rsa })
    assert.strictEqual(endpoints.audience, issuer)
  })
})

describe("what does not go with an issuer", () => {
  it.each([
    { field: "authority", options: { authority: "public" } },
    { field: "tenantId", options: { tenantId: "contoso.com" } },
    { field: "allowedTenants", options: { allowedTenants: [] } },
    { field: "allowedTenants", options: { allowedTenants: () => true } }
  ])("$field, when the client is built", ({ field, options }) => {
    const transport = provider()
    return run(
      Effect.gen(function*() {
        const error = yield* Effect.flip(Layer.build(clientOf(transport, options)))
        assert.strictEqual(error._tag, "EntraInvalidAuthorityError")
        assert.strictEqual(error.code, "authority_unsupported")
        assertToldInFull(error)
        assert.strictEqual("field" in error ? error.field : undefined, field)
        assert.match(error.message, /together with issuer/)
        assert.deepStrictEqual(transport.seen, [])
      }).pipe(Effect.scoped)
    )
  })

  it.each([
    { field: "tenantId", request: { tenantId: "contoso.com" } },
    { field: "authority", request: { authority: "https://idp.example/realms/two" } },
    { field: "authority", request: { authority: issuer, tenantId: "contoso.com" } }
  ])("$field, in a request: $request", ({ field, request }) => {
    const transport = provider()
    return run(
      Effect.gen(function*() {
        const error = yield* Effect.flip(ConfidentialClient.acquireToken({ scopes: "read", ...request }))
        assert.strictEqual(error.code, "authority_unsupported")
        assertToldInFull(error)
        assert.strictEqual("field" in error ? error.field : undefined, field)
        assert.strictEqual(error.origin, "local")
        assert.deepStrictEqual(transport.seen, [])
      }).pipe(Effect.provide(clientOf(transport)))
    )
  })

  it.effect("a resolver that asks nobody", () => {
    const transport = provider()
    return Effect.gen(function*() {
      const error = yield* Effect.flip(acquire())
      assert.strictEqual(error.code, "authority_unsupported")
      assertToldInFull(error)
      assert.strictEqual("field" in error ? error.field : undefined, "issuer")
      assert.include(error.remedy, "AuthorityResolver.layer")
      assert.deepStrictEqual(transport.seen, [])
    }).pipe(Effect.provide(clientOf(transport, {}, AuthorityResolver.layerKnownClouds)))
  })

  it.effect("a region, and a client certificate in the TLS handshake", () => {
    const transport = provider()
    return Effect.gen(function*() {
      const authority = Result.getOrThrow(Authority.parseIssuer(issuer))
      for (
        const { channel, field, region } of [
          { channel: "standard", region: "westus2", field: "region" },
          { channel: "mtls", region: undefined, field: "authority" }
        ] as const
      ) {
        const error = yield* Effect.flip(
          AuthorityResolver.AuthorityResolver.use((resolver) => resolver.resolve(authority, { channel })).pipe(
            Effect.provide(AuthorityResolver.layerWith({ region }).pipe(Layer.provide(transport.layer)))
          )
        )
        assert.strictEqual(error.code, "authority_unsupported")
        assertToldInFull(error)
        assert.strictEqual("field" in error ? error.field : undefined, field)
      }
      assert.deepStrictEqual(transport.seen, [])
    })
  })
})

describe("the environment beside an issuer", () => {
  const variables = { AZURE_CLIENT_ID: clientId, AZURE_CLIENT_SECRET: "s3cr3t" }
  const configured = (
    environment: Readonly<Record<string, string>>,
    options: Parameters<typeof ConfidentialClient.layerFromEnv>[0],
    transport = provider()
  ) =>
    ConfidentialClient.layerFromEnv({ issuer, ...options }).pipe(
      Layer.provide(transport.layer),
      Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord({ ...variables, ...environment })))
    )

  it.effect("the option stands for tenant and authority, whatever their variables say", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* acquire()).authority, issuer)
    }).pipe(Effect.provide(configured({ AZURE_TENANT_ID: "a/b", AZURE_AUTHORITY_HOST: "nonsense" }, {}))))

  it.each([
    { name: "a tenant", environment: {}, options: { tenantId: "contoso.com" }, field: "tenantId" },
    { name: "a broken issuer", environment: {}, options: { issuer: "http://idp.example" }, field: "issuer" },
    {
      name: "a region",
      environment: { AZURE_REGIONAL_AUTHORITY_NAME: "westus2" },
      options: {},
      field: "AZURE_REGIONAL_AUTHORITY_NAME"
    }
  ])("$name is refused once, by its name", ({ environment, field, options }) =>
    run(
      Effect.gen(function*() {
        const error = yield* Effect.flip(Layer.build(configured(environment, options)))
        assert.strictEqual(error._tag, "EntraInvalidAuthorityError")
        assert.strictEqual("field" in error ? error.field : undefined, field)
      }).pipe(Effect.scoped)
    ))
})

describe("a provider that names no lifetime of its tokens", () => {
  /** A provider whose tokens are counted, with or without `expires_in`. */
  const counting = (lifetime: (count: number) => unknown = () => undefined) => {
    let count = 0
    const transport = answering((asked) =>
      isDiscovery(asked) ? { body: documentOf(asked) } : Effect.as(Effect.yieldNow, {
        body: { access_token: `token-${++count}`, token_type: "Bearer", expires_in: lifetime(count) }
      })
    )
    return { transport, count: () => count }
  }
  const tokenOf = Effect.map(acquire(), ({ accessToken }) => Redacted.value(accessToken))

  it.effect.each([undefined, null])("%s: each acquisition uses a new token, and the cache stays empty", (lifetime) => {
    const { count, transport } = counting(() => lifetime)
    return Effect.gen(function*() {
      const result = yield* acquire()
      assert.strictEqual(result.expiresOn.epochMilliseconds, 0)
      assert.strictEqual(result.metadata.tokenSource, "IdentityProvider")
      assert.deepStrictEqual([yield* tokenOf, yield* tokenOf], ["token-2", "token-3"])
      const together = yield* Effect.all([tokenOf, tokenOf, tokenOf], { concurrency: "unbounded" })
      assert.deepStrictEqual(together, ["token-4", "token-4", "token-4"])
      assert.strictEqual((yield* ConfidentialClient.stats).entries, 0)
      const client = yield* ConfidentialClient.ConfidentialClient
      assert.isUndefined(client.peek({ scopes: "read" }))
      assert.strictEqual(count(), 4)
    }).pipe(Effect.provide(clientOf(transport)))
  })

  it.effect("defaultLifetime is its lifetime, and a lifetime of the provider goes before", () => {
    const { count, transport } = counting((count) => count === 2 ? 60 : undefined)
    return Effect.gen(function*() {
      const first = yield* acquire()
      assert.strictEqual(first.expiresOn.epochMilliseconds, 600_000)
      assert.strictEqual(yield* tokenOf, "token-1")
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual((yield* acquire()).expiresOn.epochMilliseconds, 660_000)
      assert.strictEqual(count(), 2)
    }).pipe(Effect.provide(clientOf(transport, { defaultLifetime: "10 minutes" })))
  })

  it.effect("keepFresh asks every five minutes, not every second", () => {
    const { count, transport } = counting()
    return Effect.gen(function*() {
      const client = yield* ConfidentialClient.ConfidentialClient
      yield* client.keepFresh({ scopes: "read" })
      yield* TestClock.adjust("14 minutes")
      assert.strictEqual(count(), 3)
    }).pipe(Effect.scoped, Effect.provide(clientOf(transport)))
  })

  it.effect("a refresh that brings none rests for five minutes, and the cached token stays in use", () => {
    const { count, transport } = counting((count) => count === 1 ? 3600 : undefined)
    return Effect.gen(function*() {
      yield* acquire()
      yield* TestClock.adjust("40 minutes")
      for (let call = 0; call < 10; call++) {
        assert.strictEqual(yield* tokenOf, "token-1")
        yield* TestClock.adjust("10 seconds")
      }
      assert.strictEqual(count(), 2)
    }).pipe(Effect.provide(clientOf(transport)))
  })

  it("an invalid option is refused, and so is the option without an issuer", async () => {
    const built = (options: ConfidentialClient.Options) =>
      run(Effect.flip(Effect.scoped(Layer.build(
        ConfidentialClient.layerDefault(options).pipe(
          Layer.provide([ClientCredential.layerSecret(secret), counting().transport.layer])
        )
      ))))
    for (const defaultLifetime of [-1, Number.NaN, "soon", Infinity, "4000 days"]) {
      const wrong: Duration.Input = JSON.parse(JSON.stringify(defaultLifetime))
      const given = typeof defaultLifetime === "number" ? defaultLifetime : wrong
      const error = await built({ clientId, issuer, defaultLifetime: given })
      assert.deepInclude<object>(error, { field: "defaultLifetime", code: "field_malformed" })
    }
    const error = await built({ clientId, tenantId: contoso, defaultLifetime: "1 hour" })
    assert.deepInclude<object>(error, { field: "defaultLifetime", code: "field_malformed" })
    assert.include(error.message, "without issuer")
  })
})

describe("the audience of an assertion", () => {
  const audienceAt = (issuer: string, document: Readonly<Record<string, unknown>>) =>
    run(
      AuthorityResolver.AuthorityResolver.use((resolver) =>
        resolver.resolve(Result.getOrThrow(Authority.parseIssuer(issuer)), { channel: "standard" })
      ).pipe(Effect.provide(AuthorityResolver.layer.pipe(Layer.provide(provider(() => ({ body: document })).layer))))
    )

  const tenant = "11111111-2222-4333-8444-555555555555"

  it.each([
    { name: "the issuer", issuer: "https://idp.example/one", document: "https://idp.example/one" },
    { name: "as its document spells it", issuer: "https://idp.example/one", document: "https://idp.example/one/" },
    { name: "at the root", issuer: "https://idp.example", document: "https://idp.example/" }
  ])("is $name", async ({ document, issuer }) => {
    const endpoints = await audienceAt(issuer, { issuer: document, token_endpoint: "https://t.example/token" })
    assert.strictEqual(endpoints.audience, document)
    assert.strictEqual(endpoints.token, "https://t.example/token")
  })

  it.each([
    {
      name: "Entra",
      issuer: `https://login.microsoftonline.com/${tenant}/v2.0`,
      document: `https://login.microsoftonline.com/${tenant}/v2.0`
    },
    {
      name: "Entra in China",
      issuer: `https://login.partner.microsoftonline.cn/${tenant}/v2.0`,
      document: `https://login.partner.microsoftonline.cn/${tenant}/v2.0`
    },
    {
      name: "an external tenant",
      issuer: `https://contoso.ciamlogin.com/${tenant}/v2.0`,
      document: `https://${tenant}.ciamlogin.com/${tenant}/v2.0`
    },
    {
      name: "an external tenant at its own domain",
      issuer: `https://login.contoso.example/${tenant}/v2.0`,
      document: `https://${tenant}.ciamlogin.com/${tenant}/v2.0`
    }
  ])("is the token endpoint of $name", async ({ document, issuer }) => {
    const token = `${issuer.replace(/\/v2.0$/, "")}/oauth2/v2.0/token`
    assert.strictEqual((await audienceAt(issuer, { issuer: document, token_endpoint: token })).audience, token)
  })

  it("is the token endpoint of Azure AD B2C at its own domain", async () => {
    const issuer = `https://login.contoso.example/${tenant}/v2.0`
    const token = "https://login.contoso.example/contoso.onmicrosoft.com/oauth2/v2.0/token?p=b2c_1_daemon"
    assert.strictEqual((await audienceAt(issuer, { issuer, token_endpoint: token })).audience, token)
  })

  it("is the token endpoint of AD FS", async () => {
    const token = "https://sts.contoso.example/adfs/oauth2/token/"
    const issuer = "https://sts.contoso.example/adfs"
    assert.strictEqual((await audienceAt(issuer, { issuer, token_endpoint: token })).audience, token)
  })

  const [rsa, ec] = [TestCertificate.make(), TestCertificate.make({ algorithm: "EC" })]
  const credentials = [
    {
      name: "privateKeyJwt",
      make: (audience: string | undefined) =>
        Effect.flatMap(ec, ({ privateKey }) => ClientCredential.privateKeyJwt({ privateKey, audience }))
    },
    {
      name: "certificate",
      make: (audience: string | undefined) =>
        Effect.flatMap(rsa, (made) => ClientCredential.certificate({ ...made, audience }))
    }
  ]

  it.live.each(credentials.flatMap(({ make, name }) => [
    { name, make, audience: undefined, aud: issuer },
    { name, make, audience: "tokenEndpoint", aud: `${issuer}/token` },
    { name, make, audience: "https://as.example/other", aud: "https://as.example/other" },
    { name, make, audience: "urn:example:as", aud: "urn:example:as" }
  ]))("of $name with $audience is $aud", ({ aud, audience, make }) => {
    const transport = provider()
    return Effect.gen(function*() {
      const credential = yield* make(audience)
      yield* acquire().pipe(Effect.provide(
        ConfidentialClient.layerDefault({ clientId, issuer }).pipe(
          Layer.provide([Layer.succeed(ClientCredential.ClientCredential, credential), transport.layer])
        )
      ))
      const assertion = transport.seen.at(-1)?.form.get("client_assertion") ?? ""
      assert.strictEqual(jose.decodeJwt(assertion).aud, aud)
    }).pipe(Effect.provideService(References.MinimumLogLevel, "None"))
  })

  it.live.each(credentials)("of $name that is not a string is refused", ({ make }) =>
    Effect.gen(function*() {
      const audience: string = JSON.parse("[1]")
      const error = yield* Effect.flip(make(audience))
      assert.deepInclude<object>(error, { code: "field_malformed", field: "audience" })
    }))
})

describe("the method of a secret", () => {
  it.each(
    [undefined, ["client_secret_basic"], ["client_secret_post"], ["client_secret_basic", "client_secret_post"]].flatMap(
      (methods) => (["client_secret_basic", "client_secret_post"] as const).map((method) => ({ methods, method }))
    )
  )("$method goes before a document with $methods", ({ method, methods }) => {
    const transport = provider((asked) => ({
      body: documentOf(asked, methods === undefined ? {} : { token_endpoint_auth_methods_supported: methods })
    }))
    return run(
      Effect.gen(function*() {
        yield* acquire()
        const sent = transport.seen.at(-1)
        const isBasic = method === "client_secret_basic"
        assert.strictEqual(sent?.headers["authorization"] !== undefined, isBasic)
        assert.strictEqual(sent?.form.has("client_secret"), !isBasic)
      }).pipe(Effect.provide(
        ConfidentialClient.layerDefault({ clientId, issuer }).pipe(
          Layer.provide([ClientCredential.layerSecret(secret, { method }), transport.layer])
        )
      ))
    )
  })

  it.effect("that is not one is refused", () =>
    Effect.gen(function*() {
      const method: ClientCredential.SecretMethod = JSON.parse(`"client_secret_jwt"`)
      const error = yield* Effect.flip(ClientCredential.secret(secret, { method }))
      assert.deepInclude<object>(error, { code: "field_malformed", field: "method" })
      assert.include(error.message, "client_secret_basic, client_secret_post")
    }))
})

describe("metadata of RFC 8414", () => {
  const oauth = "/.well-known/oauth-authorization-server"

  /** A provider without OpenID Connect: what it answers at the address of the OpenID document, and its own document. */
  const without = (openId: Reply, path: string, own: (url: URL) => Reply) =>
    answering((asked) =>
      isDiscovery(asked)
        ? openId
        : asked.url.pathname.startsWith(oauth)
        ? asked.url.pathname === `${oauth}${path}` ? own(asked.url) : { status: 404 }
        : { body: { access_token: "a-token", token_type: "Bearer", expires_in: 3600 } }
    )

  const absent: ReadonlyArray<readonly [name: string, reply: Reply]> = [
    ["404", { status: 404 }],
    ["404 with HTML", { status: 404, body: "<html></html>" }],
    ["400", { status: 400 }],
    ["403", { status: 403 }],
    ["405", { status: 405 }],
    ["410", { status: 410 }],
    ["a redirect to a page", { status: 302, headers: { location: "https://as.example/login" } }],
    ["a page of another kind", { status: 200, body: "<!DOCTYPE html><html></html>" }],
    ["JSON of another kind", { status: 200, body: { error: "not found" } }]
  ]

  const issuers = [
    { issuer: "https://as.example", path: "" },
    { issuer: "https://as.example/", path: "" },
    { issuer: "https://as.example/one", path: "/one" },
    { issuer: "https://as.example/one/", path: "/one" },
    { issuer: "https://as.example:8443/a/B%20c", path: "/a/B%20c" }
  ]

  it.each(absent.flatMap(([name, reply]) => issuers.map(({ issuer, path }) => ({ issuer, path, name, reply }))))(
    "is used after $name at $issuer",
    ({ issuer, path, reply }) => {
      const transport = without(reply, path, () => ({
        body: {
          issuer,
          token_endpoint: "https://as.example/token",
          token_endpoint_auth_methods_supported: ["client_secret_basic"]
        }
      }))
      return run(
        Effect.gen(function*() {
          yield* acquire()
          yield* acquire("write")
          assert.deepStrictEqual(transport.seen.map(({ url }) => url.pathname).slice(1), [
            `${oauth}${path}`,
            "/token",
            "/token"
          ])
          assert.isDefined(transport.seen.at(-1)?.headers["authorization"])
        }).pipe(Effect.provide(clientOf(transport, { issuer })))
      )
    }
  )

  it.effect("is not asked for when there is an OpenID document", () => {
    const transport = provider()
    return Effect.gen(function*() {
      yield* acquire()
      assert.strictEqual(transport.seen.length, 2)
    }).pipe(Effect.provide(clientOf(transport)))
  })

  const named = "https://as.example/one"
  it.each<{ name: string; openId: Reply; own: Reply; code: string; includes: ReadonlyArray<string> }>([
    {
      name: "neither document",
      openId: { status: 404 },
      own: { status: 404 },
      code: "issuer_unknown",
      includes: [`${named}/.well-known/openid-configuration`, `https://as.example${oauth}/one`]
    },
    {
      name: "a page and no document",
      openId: { status: 200, body: "<html></html>" },
      own: { status: 404 },
      code: "discovery_malformed",
      includes: [`${named}/.well-known/openid-configuration`]
    },
    {
      name: "a page in the place of the second",
      openId: { status: 404 },
      own: { status: 200, body: "<html></html>" },
      code: "issuer_unknown",
      includes: [`https://as.example${oauth}/one`]
    },
    {
      name: "the document of another issuer",
      openId: { status: 404 },
      own: { body: { issuer: "https://evil.example", token_endpoint: "https://evil.example/token" } },
      code: "issuer_mismatch",
      includes: ["https://evil.example"]
    },
    {
      name: "a token endpoint without TLS",
      openId: { status: 404 },
      own: { body: { issuer: named, token_endpoint: "http://as.example/token" } },
      code: "discovery_malformed",
      includes: ["http://as.example/token"]
    },
    {
      name: "an outage of the second",
      openId: { status: 404 },
      own: { status: 503, headers: { "retry-after": "90" } },
      code: "service_unavailable",
      includes: [`https://as.example${oauth}/one`]
    },
    {
      name: "an outage of the first, which says nothing about the second",
      openId: { status: 503, headers: { "retry-after": "90" } },
      own: { body: { issuer: named, token_endpoint: "https://as.example/token" } },
      code: "service_unavailable",
      includes: ["openid-configuration"]
    },
    {
      name: "another issuer's OpenID document",
      openId: { body: { issuer: "https://evil.example", token_endpoint: "https://evil.example/token" } },
      own: { body: { issuer: named, token_endpoint: "https://as.example/token" } },
      code: "issuer_mismatch",
      includes: ["https://evil.example"]
    }
  ])("$name: $code", ({ code, includes, openId, own }) =>
    run(
      Effect.gen(function*() {
        const error = yield* Effect.flip(acquire())
        assert.strictEqual(error.code, code)
        for (const part of includes) assert.include(error.message, part)
      }).pipe(Effect.provide(clientOf(without(openId, "/one", () => own), { issuer: named })))
    ))
})
