import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Result } from "effect"
import { Authority, AuthorityResolver } from "effect-entra"
import { EntraSimulator } from "effect-entra/testing"
import type { HttpClient } from "effect/http"
import { TestClock } from "effect/testing"
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

  it.effect("layerStatic asks nobody", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* resolve(`https://${host}/${contoso}`)).token, "http://gateway/token")
    }).pipe(Effect.provide(AuthorityResolver.layerStatic({ token: "http://gateway/token" }))))
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
        assert.strictEqual(error.field, "region")
      }))
  }
})
