import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, References, Result } from "effect"
import {
  Authority,
  AuthorityResolver,
  ClientCredential,
  ConfidentialClient,
  TokenCache,
  TokenEndpoint
} from "effect-entra"
import { EntraSimulator, TestCertificate } from "effect-entra/testing"
import type { HttpClient } from "effect/http"
import { TestClock } from "effect/testing"
import * as jose from "jose"
import { answering, documentOf, isDiscovery } from "./support/answering.ts"
import { assertToldInFull } from "./support/shown.ts"
import { contoso, Simulator } from "./support/world.ts"

const parse = (text: string) => Result.getOrThrow(Authority.parse(text))

const resolve = (text: string, channel: "standard" | "mtls" = "standard") =>
  AuthorityResolver.AuthorityResolver.use((resolver) => resolver.resolve(parse(text), { channel }))

const discoveries = EntraSimulator.EntraSimulator.use(({ counters }) =>
  Effect.map(counters, ({ discoveryRequests }) => discoveryRequests)
)

const host = "login.private.example"
const Private = <E = never>(
  layer: Layer.Layer<AuthorityResolver.AuthorityResolver, E, HttpClient.HttpClient> = AuthorityResolver.layer
) => layer.pipe(Layer.provideMerge(Simulator({ origin: `https://${host}` })))

describe("known clouds", () => {
  for (
    const [authority, token] of [
      ["https://login.windows.net/contoso.com", "https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token"],
      ["https://login.chinacloudapi.cn/c.cn", "https://login.partner.microsoftonline.cn/c.cn/oauth2/v2.0/token"],
      ["https://login.microsoftonline.us/c.us", "https://login.microsoftonline.us/c.us/oauth2/v2.0/token"],
      ["https://contoso.ciamlogin.com", "https://contoso.ciamlogin.com/contoso.onmicrosoft.com/oauth2/v2.0/token"],
      ["https://fs.contoso.com:8443/adfs", "https://fs.contoso.com:8443/adfs/oauth2/token"]
    ] as const
  ) {
    it.effect(`${authority} is answered without network`, () =>
      Effect.gen(function*() {
        const endpoints = yield* resolve(authority)
        assert.strictEqual(endpoints.token, token)
        assert.strictEqual(endpoints.audience, token)
        assert.strictEqual(endpoints.assertion.rsa, authority.endsWith("adfs") ? "RS256" : "PS256")
        assert.strictEqual(yield* discoveries, 0)
      }).pipe(Effect.provide(Private())))
  }

  for (
    const [authority, expected] of [
      ["https://login.microsoftonline.com/c.com", "https://mtlsauth.microsoft.com/c.com/oauth2/v2.0/token"],
      ["https://login.microsoftonline.us/c.us", "https://mtlsauth.microsoftonline.us/c.us/oauth2/v2.0/token"],
      ["https://fs.contoso.com/adfs", "authority_unsupported"]
    ] as const
  ) {
    it.effect(`mtls: ${authority}`, () =>
      Effect.gen(function*() {
        const result = yield* Effect.result(resolve(authority, "mtls"))
        assert.strictEqual(Result.isSuccess(result) ? result.success.token : result.failure.code, expected)
      }).pipe(Effect.provide(AuthorityResolver.layerKnownClouds)))
  }
})

describe("other hosts", () => {
  it.effect("are asked once, whatever the number of callers and tenants", () =>
    Effect.gen(function*() {
      const all = yield* Effect.all(
        Array.from({ length: 100 }, (_, n) => resolve(`https://${host}/tenant${n}.example`)),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(all[7]?.token, `https://${host}/tenant7.example/oauth2/v2.0/token`)
      yield* resolve(`https://${host}/${contoso}`)
      assert.strictEqual(yield* discoveries, 1)
    }).pipe(Effect.provide(Private())))

  it.effect("that discovery does not know are refused", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(resolve(`https://login.evil.example/${contoso}`))
      assert.strictEqual(error._tag, "EntraInvalidAuthorityError")
      assert.strictEqual(error.code, "instance_invalid")
      assertToldInFull(error)
    }).pipe(Effect.provide(Private(AuthorityResolver.layerWith({ discoveryHost: host })))))

  it.effect("that cannot be asked are used as they are, and asked again after five minutes", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* simulator.fail(EntraSimulator.Fault.unavailable(), { endpoint: "discovery" })
      const authority = `https://${host}/${contoso}`
      assert.strictEqual((yield* resolve(authority)).token, `${authority}/oauth2/v2.0/token`)
      yield* resolve(authority)
      assert.strictEqual((yield* simulator.counters).faults, 1)
      assert.strictEqual(yield* discoveries, 0)
      yield* TestClock.adjust("5 minutes")
      yield* resolve(authority)
      yield* resolve(authority)
      assert.strictEqual(yield* discoveries, 1)
    }).pipe(Effect.provide(Private())))

  it.effect("that are refused are asked about again the next day", () => {
    const { layer, seen } = answering(() => ({
      status: seen.length === 1 ? 400 : 200,
      body: seen.length === 1
        ? { error: "invalid_instance" }
        : { metadata: [{ preferred_network: host, aliases: [host] }] }
    }))
    return Effect.gen(function*() {
      const authority = `https://${host}/${contoso}`
      assert.strictEqual((yield* Effect.flip(resolve(authority))).code, "instance_invalid")
      yield* TestClock.adjust("23 hours")
      assert.strictEqual((yield* Effect.flip(resolve(authority))).code, "instance_invalid")
      assert.strictEqual(seen.length, 1)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual((yield* resolve(authority)).token, `${authority}/oauth2/v2.0/token`)
      yield* TestClock.adjust("100 days")
      yield* resolve(authority)
      assert.strictEqual(seen.length, 2)
    }).pipe(Effect.provide(AuthorityResolver.layer.pipe(Layer.provide(layer))))
  })

  it.effect("are asked about again after a day, also when the clock has been put back", () => {
    const { layer, seen } = answering(() => ({ status: 400, body: { error: "invalid_instance" } }))
    return Effect.gen(function*() {
      yield* TestClock.setTime(90 * 86_400_000)
      yield* Effect.flip(resolve(`https://${host}/${contoso}`))
      yield* TestClock.setTime(0)
      yield* Effect.flip(resolve(`https://${host}/${contoso}`))
      assert.strictEqual(seen.length, 1)
      yield* TestClock.adjust("1 day")
      yield* Effect.flip(resolve(`https://${host}/${contoso}`))
      assert.strictEqual(seen.length, 2)
    }).pipe(Effect.provide(AuthorityResolver.layer.pipe(Layer.provide(layer))))
  })

  it.effect("the answers about 1,000 are kept, and the oldest goes first", () => {
    const { layer, seen } = answering(() => ({ status: 503 }))
    return Effect.gen(function*() {
      const ask = (n: number) => resolve(`https://sts${n}.example/${contoso}`)
      for (let n = 0; n <= 1000; n++) yield* ask(n)
      assert.strictEqual(seen.length, 1001)
      yield* ask(1)
      yield* ask(1000)
      assert.strictEqual(seen.length, 1001)
      yield* ask(0)
      assert.strictEqual(seen.length, 1002)
    }).pipe(Effect.provide(AuthorityResolver.layer.pipe(Layer.provide(layer))))
  })

  it.effect("whoever waits for an answer when the resolver is closed hears of it", () => {
    const { layer } = answering(() => Effect.never)
    return Effect.gen(function*() {
      const waiting = yield* Effect.scoped(Effect.gen(function*() {
        const context = yield* Layer.build(AuthorityResolver.layer.pipe(Layer.provide(layer)))
        return yield* resolve(`https://${host}/${contoso}`).pipe(
          Effect.provideContext(context),
          Effect.flip,
          Effect.forkDetach({ startImmediately: true })
        )
      }))
      assert.strictEqual((yield* Fiber.join(waiting)).code, "client_closed")
    })
  })

  it.effect("layerStatic asks nobody", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* resolve(`https://${host}/${contoso}`)).token, "http://gateway/token")
    }).pipe(Effect.provide(AuthorityResolver.layerStatic({ token: "http://gateway/token" }))))
})

describe("every kind of authority, from the client to the wire", () => {
  interface Kind {
    readonly authority?: string
    readonly tenantId?: string
    readonly issuer?: string
    readonly token: string
    /** Default: `token`. */
    readonly audience?: string
    readonly rsa?: "RS256"
    /** The names of the certificate's digests in the header; default: `x5t#S256`. */
    readonly digests?: ReadonlyArray<string>
  }
  const kinds: ReadonlyArray<Kind> = [
    ...Object.values(Authority.clouds).flatMap(({ aliases, network }) =>
      aliases.map((alias) => ({
        authority: `https://${alias}/contoso.example`,
        token: `https://${network}/contoso.example/oauth2/v2.0/token`
      }))
    ),
    ...Object.values(Authority.clouds).map(({ name, network }) => ({
      authority: name,
      tenantId: contoso,
      token: `https://${network}/${contoso}/oauth2/v2.0/token`
    })),
    {
      authority: "https://login.microsoftonline.com:8443/contoso.example",
      token: "https://login.microsoftonline.com:8443/contoso.example/oauth2/v2.0/token"
    },
    {
      authority: "https://stack.example:44300/contoso.example",
      token: "https://stack.example:44300/contoso.example/oauth2/v2.0/token"
    },
    {
      authority: "https://contoso.ciamlogin.com",
      token: "https://contoso.ciamlogin.com/contoso.onmicrosoft.com/oauth2/v2.0/token"
    },
    {
      authority: `https://contoso.ciamlogin.com/${contoso}/v2.0`,
      token: `https://contoso.ciamlogin.com/${contoso}/oauth2/v2.0/token`
    },
    {
      authority: "https://contoso.ciamlogin.com:8443",
      tenantId: contoso,
      token: `https://contoso.ciamlogin.com:8443/${contoso}/oauth2/v2.0/token`
    },
    {
      authority: `https://login.contoso.example/${contoso}/v2.0`,
      token: `https://login.contoso.example/${contoso}/oauth2/v2.0/token`
    },
    {
      issuer: `https://login.contoso.example/${contoso}/v2.0`,
      token: `https://login.contoso.example/${contoso}/v2.0/token`,
      audience: `https://login.contoso.example/${contoso}/v2.0`,
      rsa: "RS256",
      digests: ["x5t", "x5t#S256"]
    },
    {
      issuer: "https://fs.contoso.example/adfs",
      token: "https://fs.contoso.example/adfs/token",
      rsa: "RS256",
      digests: ["x5t", "x5t#S256"]
    },
    {
      authority: "https://fs.contoso.example/adfs",
      token: "https://fs.contoso.example/adfs/oauth2/token",
      rsa: "RS256",
      digests: ["x5t"]
    },
    {
      authority: "https://fs.contoso.example:8443/ADFS/",
      token: "https://fs.contoso.example:8443/adfs/oauth2/token",
      rsa: "RS256",
      digests: ["x5t"]
    }
  ]

  const material = Effect.runSync(Effect.cached(TestCertificate.make()))

  /** A service that is reached by any name and knows nothing of other hosts: who asks gets no answer of discovery. */
  const service = () =>
    answering((asked) =>
      isDiscovery(asked)
        ? { body: documentOf(asked) }
        : asked.method === "GET"
        ? { status: 404 }
        : { body: { access_token: asked.url.href, token_type: "Bearer", expires_in: 3600 } }
    )

  it.effect.each(kinds)(
    "$authority $issuer",
    ({ audience, digests = ["x5t#S256"], rsa = "PS256", token, ...place }) => {
      const { layer, seen } = service()
      return Effect.gen(function*() {
        const { certificate, privateKey } = yield* material
        const client = yield* ConfidentialClient.make({
          clientId: "daemon",
          ...place,
          credential: yield* ClientCredential.certificate({ certificate, privateKey })
        })
        const { authority, correlationId, metadata } = yield* client.acquireToken({ scopes: "api://orders/.default" })
        assert.strictEqual(metadata.tokenEndpoint, token)
        if (token.endsWith("/adfs/oauth2/token")) assert.strictEqual(`${authority}/oauth2/token`, token)
        const posts = seen.filter(({ method }) => method === "POST")
        assert.deepStrictEqual(posts.map(({ url }) => url.href), [token])
        assert.strictEqual(posts[0]?.headers["client-request-id"], correlationId)
        // Of hosts that the table knows nobody asks anything, so that no failure of discovery can harm them.
        const isKnown = Object.values(Authority.clouds).some(({ network }) => new URL(token).host === network)
        if (isKnown) assert.strictEqual(seen.length, 1)
        const assertion = posts[0]?.form.get("client_assertion") ?? ""
        const header = jose.decodeProtectedHeader(assertion)
        assert.strictEqual(header.alg, rsa)
        assert.sameMembers(Object.keys(header).filter((name) => name.startsWith("x5t")), [...digests])
        assert.strictEqual(jose.decodeJwt(assertion).aud, audience ?? token)
        assert.strictEqual(
          (yield* client.acquireToken({ scopes: "api://orders/.default" })).metadata.tokenSource,
          "Cache"
        )
      }).pipe(
        Effect.scoped,
        Effect.provide([AuthorityResolver.layer, TokenEndpoint.layer, TokenCache.layerMemory()]),
        Effect.provide(layer),
        Effect.provideService(References.MinimumLogLevel, "None")
      )
    }
  )
})

describe("no validation", () => {
  const Off = Private(AuthorityResolver.layerWith({ validateAuthority: false }).pipe(Layer.orDie))

  it.effect("an unknown host is used as it is, and nobody is asked", () =>
    Effect.gen(function*() {
      const authority = `https://login.evil.example/${contoso}`
      assert.strictEqual((yield* resolve(authority)).token, `${authority}/oauth2/v2.0/token`)
      assert.strictEqual(
        (yield* resolve("https://login.windows.net/c.com")).token,
        "https://login.microsoftonline.com/c.com/oauth2/v2.0/token"
      )
      assert.strictEqual(yield* discoveries, 0)
    }).pipe(Effect.provide(Off)))

  it.effect("a region goes with it", () =>
    Effect.gen(function*() {
      assert.strictEqual(
        (yield* resolve("https://login.windows.net/c.com")).token,
        "https://westus2.login.microsoft.com/c.com/oauth2/v2.0/token"
      )
    }).pipe(
      Effect.provide(Private(AuthorityResolver.layerWith({ validateAuthority: false, region: "westus2" })))
    ))

  it.effect("validation is on unless it is off", () =>
    Effect.gen(function*() {
      yield* resolve(`https://${host}/${contoso}`)
      assert.strictEqual(yield* discoveries, 1)
    }).pipe(Effect.provide(Private(AuthorityResolver.layerWith({ validateAuthority: true })))))
})

describe("metadata of one's own", () => {
  const instanceMetadata = {
    metadata: [
      {
        preferred_network: "login.Cloud.example",
        preferred_cache: "sts.cloud.example",
        aliases: ["login.cloud.example", "sts.cloud.example"]
      },
      { preferred_network: "login.other.example:8443", aliases: [] }
    ]
  }

  /** With all else that discovery says. */
  const text = JSON.stringify({ "api-version": "1.1", tenant_discovery_endpoint: "https://x", ...instanceMetadata })

  for (const [form, metadata] of [["parsed", instanceMetadata], ["text", text]] as const) {
    const Own = Private(AuthorityResolver.layerWith({ instanceMetadata: metadata }))

    it.effect(`${form}: says where requests go`, () =>
      Effect.gen(function*() {
        for (
          const [authority, token] of [
            ["https://STS.cloud.example/c", "https://login.cloud.example/c/oauth2/v2.0/token"],
            ["https://login.cloud.example/c", "https://login.cloud.example/c/oauth2/v2.0/token"],
            ["https://login.other.example:8443/c", "https://login.other.example:8443/c/oauth2/v2.0/token"],
            // Instance metadata does not apply to authorities without instance discovery.
            ["https://fs.contoso.com/adfs", "https://fs.contoso.com/adfs/oauth2/token"],
            ["https://a.ciamlogin.com/c", "https://a.ciamlogin.com/c/oauth2/v2.0/token"]
          ] as const
        ) {
          assert.strictEqual((yield* resolve(authority)).token, token)
        }
        assert.strictEqual(yield* discoveries, 0)
      }).pipe(Effect.provide(Own)))

    it.effect(`${form}: a host that it does not name is refused, a known cloud's too`, () =>
      Effect.gen(function*() {
        for (const authority of ["https://login.other.example/c", `https://${host}/c`, "https://sts.windows.net/c"]) {
          const error = yield* Effect.flip(resolve(authority))
          assert.strictEqual(error._tag, "EntraInvalidAuthorityError")
          assert.strictEqual(error.code, "instance_invalid")
          assertToldInFull(error)
          assert.strictEqual(error.origin, "local")
          assert.include(error.message, "instanceMetadata")
        }
        assert.strictEqual(yield* discoveries, 0)
      }).pipe(Effect.provide(Own)))
  }

  const entry = { preferred_network: "a.example", preferred_cache: "a.example", aliases: ["a.example"] }
  for (
    const { metadata, name } of [
      { name: "no JSON", metadata: "{" },
      { name: "nothing", metadata: "" },
      { name: "null", metadata: "null" },
      { name: "a list", metadata: "[]" },
      { name: "no metadata", metadata: "{}" },
      { name: "no entry", metadata: { metadata: [] } },
      { name: "no network", metadata: JSON.stringify({ metadata: [{ aliases: [] }] }) },
      { name: "no aliases", metadata: JSON.stringify({ metadata: [{ preferred_network: "a" }] }) },
      { name: "an alias that is no text", metadata: JSON.stringify({ metadata: [{ ...entry, aliases: [1] }] }) },
      { name: "an alias with a path", metadata: { metadata: [{ ...entry, aliases: ["a.example/b"] }] } },
      {
        name: "a network that is a URL",
        metadata: { metadata: [{ ...entry, preferred_network: "https://a.example" }] }
      },
      { name: "an empty network", metadata: { metadata: [{ ...entry, preferred_network: "" }] } },
      {
        name: "a host in two networks",
        metadata: { metadata: [entry, { ...entry, preferred_network: "b.example" }] }
      }
    ]
  ) {
    it.effect(`${name}: refused when the layer is built`, () =>
      Effect.gen(function*() {
        const layer = AuthorityResolver.layerWith({ instanceMetadata: metadata })
        const error = yield* Effect.flip(Effect.scoped(Layer.build(Private(layer))))
        assert.strictEqual(error._tag, "EntraInvalidAuthorityError")
        assert.strictEqual(error.code, "metadata_malformed")
        assertToldInFull(error)
        assert.strictEqual(error.field, "instanceMetadata")
        assert.strictEqual(error.origin, "local")
      }))
  }

  for (
    const [fields, options] of [
      ["instanceMetadata, validateAuthority", { instanceMetadata, validateAuthority: false }],
      ["instanceMetadata, discoveryHost", { instanceMetadata, discoveryHost: host }],
      ["instanceMetadata, region", { instanceMetadata, region: "westus2" }],
      ["validateAuthority, discoveryHost", { validateAuthority: false, discoveryHost: host }]
    ] as const
  ) {
    it.effect(`${fields}: contradict each other`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Effect.scoped(Layer.build(Private(AuthorityResolver.layerWith(options)))))
        assert.strictEqual(error._tag, "EntraInvalidAuthorityError")
        assert.strictEqual(error.code, "discovery_contradictory")
        assertToldInFull(error)
        assert.strictEqual(error.field, fields)
        assert.isNotEmpty(error.remedy)
      }))
  }
})

describe("a region", () => {
  const Regional = Private(AuthorityResolver.layerWith({ region: "WestUS2" }).pipe(Layer.orDie))

  it.effect("is where known clouds are asked, with the global endpoint in its place", () =>
    Effect.gen(function*() {
      const { audience, fallback, token } = yield* resolve("https://login.windows.net/c.com")
      assert.strictEqual(token, "https://westus2.login.microsoft.com/c.com/oauth2/v2.0/token")
      assert.strictEqual(audience, token)
      assert.strictEqual(fallback?.token, "https://login.microsoftonline.com/c.com/oauth2/v2.0/token")
      assert.strictEqual(fallback?.audience, fallback?.token)
      assert.isUndefined(fallback?.fallback)
    }).pipe(Effect.provide(Regional)))

  for (const authority of [`https://${host}/c.com`, "https://contoso.ciamlogin.com", "https://fs.contoso.com/adfs"]) {
    it.effect(`is refused for ${authority}, and nobody is asked`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(resolve(authority))
        assert.strictEqual(error._tag, "EntraInvalidAuthorityError")
        assert.strictEqual(error.code, "authority_unsupported")
        assertToldInFull(error)
        assert.strictEqual(yield* discoveries, 0)
      }).pipe(Effect.provide(Regional)))
  }

  for (
    const [region, code] of [
      ["west us 2", "region_malformed"],
      ["", "region_malformed"],
      ["TryAutoDetect", "region_detection"]
    ] as const
  ) {
    it.effect(`${JSON.stringify(region)} is refused when the layer is built`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Effect.scoped(Layer.build(Private(AuthorityResolver.layerWith({ region })))))
        assert.strictEqual(error.code, code)
        assertToldInFull(error)
        assert.strictEqual(error.field, "region")
      }))
  }
})
