/** The simulator's OpenID providers: issuers by path on one host, three ways to prove who asks. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted, Schema } from "effect"
import { EntraSimulator, TestCertificate } from "effect-entra/testing"
import { HttpClient, HttpClientRequest, type HttpClientResponse } from "effect/http"
import * as jose from "jose"
import { createHash, createPublicKey, X509Certificate } from "node:crypto"
import { assertShown } from "../support/shown.ts"
import { assertionType, type Fields } from "./wire.ts"

const host = "https://id.example"
const issuerOf = (name: string) => `${host}/realms/${name}`
const urlOf = (name: string) => `${issuerOf(name)}/protocol/openid-connect/token`
const clientId = "orders-daemon"
const secret = "a secret: with + and % and &"

const make = () =>
  Effect.runPromise(Effect.all({
    rsa: TestCertificate.make({ commonName: "rsa" }),
    p256: TestCertificate.make({ commonName: "p256", algorithm: "EC" }),
    p384: TestCertificate.make({ commonName: "p384", algorithm: "EC", curve: "P-384" }),
    other: TestCertificate.make({ commonName: "other" })
  }))
let made: ReturnType<typeof make> | undefined
const material = Effect.promise(() => made ??= make())
type Key = keyof Awaited<ReturnType<typeof make>>

const provided = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(material, ({ p256, p384, rsa }) =>
    Effect.provide(
      effect,
      EntraSimulator.layerMemory({
        signer: EntraSimulator.signerFake,
        apps: [
          {
            clientId,
            secrets: [Redacted.make(secret)],
            certificates: [rsa.certificate, p256.certificate, p384.certificate]
          },
          { clientId: "guest", secrets: [Redacted.make(secret)] },
          { clientId: "disabled", secrets: [Redacted.make(secret)], disabled: true }
        ],
        realms: [
          { name: "alpha", scopes: ["orders", "stock"], keyIds: { mine: rsa.certificate } },
          { name: "beta", clients: [clientId], audience: "api://orders", authMethods: ["client_secret_basic"] },
          { name: "a realm", authMethods: ["client_secret_post"] }
        ]
      })
    ))

const post = (name: string, form: Fields, headers: Readonly<Record<string, string>> = {}) =>
  HttpClient.execute(
    HttpClientRequest.post(urlOf(name)).pipe(
      HttpClientRequest.bodyUrlParams({ grant_type: "client_credentials", ...form }),
      HttpClientRequest.setHeaders(headers)
    )
  )

const encodeForm = (text: string) => new URLSearchParams([["", text]]).toString().slice(1)
const basic = (id = clientId, value = secret) => ({
  authorization: `Basic ${btoa(`${encodeForm(id)}:${encodeForm(value)}`)}`
})
const byPost: Fields = { client_id: clientId, client_secret: secret }

const Answer = Schema.Struct({
  access_token: Schema.String,
  token_type: Schema.Literal("Bearer"),
  expires_in: Schema.Finite,
  scope: Schema.optionalKey(Schema.String)
})
const readAnswer = (response: HttpClientResponse.HttpClientResponse) =>
  Effect.gen(function*() {
    const text = yield* response.text
    assert.strictEqual(response.status, 200, text)
    return yield* Schema.decodeUnknownEffect(Schema.fromJsonString(Answer))(text)
  })

const Refusal = Schema.Struct({ error: Schema.String, error_description: Schema.String })
const assertRefused = (response: HttpClientResponse.HttpClientResponse, status: number, error: string) =>
  Effect.gen(function*() {
    const refusal = yield* Schema.decodeUnknownEffect(Refusal)(yield* response.json)
    assert.deepStrictEqual([response.status, refusal.error], [status, error], refusal.error_description)
    const { counters } = yield* EntraSimulator.EntraSimulator
    assert.deepStrictEqual((yield* counters).refusals, { [error]: 1 })
    assertShown(`${response.status} ${refusal.error}\n${refusal.error_description}`)
    return refusal.error_description
  })

interface Draft {
  readonly key?: Key
  readonly alg?: string
  readonly header?: Record<string, unknown>
  readonly claims?: Record<string, unknown>
  readonly form?: Fields
}

const thumbprint = (pem: string, hash: "sha1" | "sha256", as: "base64url" | "hex" = "base64url") =>
  createHash(hash).update(new X509Certificate(pem).raw).digest(as)

const present = ({ alg = "RS256", claims, form, header, key = "rsa" }: Draft) =>
  Effect.gen(function*() {
    const all = yield* material
    const now = Math.floor(Date.now() / 1000)
    const assertion = yield* Effect.promise(async () =>
      new jose.SignJWT({
        iss: clientId,
        sub: clientId,
        aud: urlOf("alpha"),
        jti: crypto.randomUUID(),
        exp: now + 60,
        ...claims
      }).setProtectedHeader({ alg, ...header }).sign(
        await jose.importPKCS8(Redacted.value(all[key].privateKey), alg)
      )
    )
    return yield* post("alpha", {
      client_id: clientId,
      client_assertion_type: assertionType,
      client_assertion: assertion,
      ...form
    })
  })

describe("discovery", () => {
  const document = (name: string, at = host) =>
    Effect.flatMap(HttpClient.get(`${at}/realms/${name}/.well-known/openid-configuration`), ({ json }) => json)

  it.effect("each realm is an issuer of its own, at the host that was asked", () =>
    provided(Effect.gen(function*() {
      assert.deepStrictEqual(yield* document("beta"), {
        issuer: issuerOf("beta"),
        token_endpoint: urlOf("beta"),
        jwks_uri: `${issuerOf("beta")}/protocol/openid-connect/certs`,
        token_endpoint_auth_methods_supported: ["client_secret_basic"],
        grant_types_supported: ["client_credentials"],
        response_types_supported: [],
        subject_types_supported: ["public"]
      })
      assert.deepInclude(Object(yield* document("alpha", "https://elsewhere.example:8443")), {
        issuer: "https://elsewhere.example:8443/realms/alpha",
        token_endpoint_auth_methods_supported: ["client_secret_basic", "client_secret_post", "private_key_jwt"],
        token_endpoint_auth_signing_alg_values_supported: ["RS256", "PS256", "ES256", "ES384"],
        scopes_supported: ["orders", "stock"]
      })
      assert.deepInclude(Object(yield* document("a%20realm")), { issuer: `${host}/realms/a%20realm` })
      yield* readAnswer(yield* post("a%20realm", byPost))
      const { counters } = yield* EntraSimulator.EntraSimulator
      assert.strictEqual((yield* counters).discoveryRequests, 3)
      yield* HttpClient.get(`${host}/realms/alpha/protocol/openid-connect/certs`)
      assert.strictEqual((yield* counters).discoveryRequests, 4)
    })))

  it.effect("a realm that does not exist is a 404, of whatever case", () =>
    provided(Effect.gen(function*() {
      for (const name of ["gamma", "Alpha", "%25", "%zz"]) {
        for (const path of [".well-known/openid-configuration", "protocol/openid-connect/certs"]) {
          assert.strictEqual((yield* HttpClient.get(`${issuerOf(name)}/${path}`)).status, 404)
        }
        assert.strictEqual((yield* post(name, byPost)).status, 404)
      }
    })))

  it.effect("faults are scripted for a realm by its name", () =>
    provided(Effect.gen(function*() {
      const { fail } = yield* EntraSimulator.EntraSimulator
      yield* fail(EntraSimulator.Fault.unavailable(), { tenant: "alpha" })
      yield* fail(EntraSimulator.Fault.unavailable(), { tenant: "beta", endpoint: "discovery" })
      yield* readAnswer(yield* post("beta", {}, basic()))
      assert.strictEqual((yield* post("alpha", byPost)).status, 503)
      yield* document("alpha")
      const answer = yield* HttpClient.get(`${issuerOf("beta")}/.well-known/openid-configuration`)
      assert.strictEqual(answer.status, 503)
    })))

  it.live("tokens name their issuer and audience, and are verified with its keys", () =>
    Effect.gen(function*() {
      const { access_token, scope } = yield* readAnswer(yield* post("one", { ...byPost, scope: "orders stock" }))
      assert.strictEqual(scope, "orders stock")
      const { jwks_uri } = yield* Schema.decodeUnknownEffect(Schema.Struct({ jwks_uri: Schema.String }))(
        yield* document("one")
      )
      const jwks = yield* Effect.flatMap(HttpClient.get(jwks_uri), ({ json }) => json)
      const { keys } = yield* Schema.decodeUnknownEffect(
        Schema.Struct({
          keys: Schema.mutable(Schema.Array(Schema.Struct({
            kty: Schema.String,
            kid: Schema.String,
            n: Schema.String,
            e: Schema.String
          })))
        })
      )(jwks)
      const { payload } = yield* Effect.promise(() =>
        jose.jwtVerify(
          access_token,
          jose.createLocalJWKSet({ keys }),
          { issuer: issuerOf("one"), audience: issuerOf("one"), subject: clientId }
        )
      )
      assert.deepInclude(payload, { client_id: clientId, scope: "orders stock" })
      const other = yield* readAnswer(yield* post("two", byPost))
      const claims: jose.JWTPayload = jose.decodeJwt(other.access_token)
      assert.deepInclude(claims, { iss: issuerOf("two"), aud: "api://orders" })
      assert.notProperty(claims, "scope")
    }).pipe(Effect.provide(EntraSimulator.layerMemory({
      apps: [{ clientId, secrets: [Redacted.make(secret)] }],
      realms: [{ name: "one" }, { name: "two", audience: "api://orders" }]
    }))))
})

describe("accepted", () => {
  it.effect("client_secret_basic, form-encoded, with or without client_id; client_secret_post", () =>
    provided(Effect.gen(function*() {
      yield* readAnswer(yield* post("alpha", { scope: "orders" }, basic()))
      yield* readAnswer(yield* post("alpha", { client_id: clientId }, basic()))
      yield* readAnswer(yield* post("alpha", byPost))
      const percent = btoa(`${encodeURIComponent(clientId)}:${encodeURIComponent(secret)}`)
      yield* readAnswer(yield* post("beta", {}, { authorization: `basic ${percent}` }))
      const { counters, requests } = yield* EntraSimulator.EntraSimulator
      assert.deepStrictEqual((yield* counters).tokenRequestsByTenant, { "realms/alpha": 3, "realms/beta": 1 })
      assert.deepStrictEqual((yield* requests).map(({ tenant }) => tenant), ["alpha", "alpha", "alpha", "beta"])
    })))

  it.effect("secrets come and go", () =>
    provided(Effect.gen(function*() {
      const { addSecret, removeSecret } = yield* EntraSimulator.EntraSimulator
      yield* addSecret(clientId, Redacted.make("next"))
      yield* readAnswer(yield* post("beta", {}, basic(clientId, "next")))
      yield* removeSecret(clientId, Redacted.make(secret))
      yield* assertRefused(yield* post("beta", {}, basic()), 401, "invalid_client")
    })))

  const rows: ReadonlyArray<readonly [name: string, draft: (all: Awaited<ReturnType<typeof make>>) => Draft]> = [
    ["RS256 without a name", () => ({})],
    ["PS256", () => ({ alg: "PS256" })],
    ["ES256", () => ({ alg: "ES256", key: "p256" })],
    ["ES384", () => ({ alg: "ES384", key: "p384" })],
    ["the issuer as audience", () => ({ claims: { aud: issuerOf("alpha") } })],
    ["the issuer among the audiences", () => ({ claims: { aud: [issuerOf("alpha"), "https://id.example"] } })],
    ["no client_id in the form", () => ({ form: { client_id: undefined } })],
    ["x5t", ({ rsa }) => ({ header: { x5t: thumbprint(rsa.certificate, "sha1") } })],
    ["x5t#S256", ({ rsa }) => ({ header: { "x5t#S256": thumbprint(rsa.certificate, "sha256") } })],
    ["a kid that the realm knows", () => ({ header: { kid: "mine" } })],
    ["the thumbprint as kid", ({ rsa }) => ({ header: { kid: thumbprint(rsa.certificate, "sha256") } })],
    ["the thumbprint in hex as kid", ({ rsa }) => ({
      header: { kid: thumbprint(rsa.certificate, "sha1", "hex").toUpperCase() }
    })]
  ]
  it.live.each(rows)("private_key_jwt: %s", ([, draft]) =>
    provided(Effect.gen(function*() {
      yield* readAnswer(yield* present(draft(yield* material)))
    })))

  it.live.each(["rsa", "p256", "p384"] as const)(
    "the key's own thumbprint (RFC 7638) as kid: %s",
    (key) =>
      provided(Effect.gen(function*() {
        const { [key]: { certificate } } = yield* material
        const jwk = createPublicKey(certificate).export({ format: "jwk" })
        const kid = yield* Effect.promise(() => jose.calculateJwkThumbprint({ ...jwk, kty: jwk.kty ?? "" }))
        const alg = { rsa: "RS256", p256: "ES256", p384: "ES384" }[key]
        yield* readAnswer(yield* present({ key, alg, header: { kid } }))
      }))
  )
})

describe("refused", () => {
  const requests: ReadonlyArray<
    readonly [
      name: string,
      realm: string,
      form: Fields,
      headers: Record<string, string>,
      status: number,
      error: string
    ]
  > = [
    ["a wrong secret", "alpha", { ...byPost, client_secret: "wrong" }, {}, 401, "invalid_client"],
    ["an unknown client", "alpha", { ...byPost, client_id: "nobody" }, {}, 401, "invalid_client"],
    ["a disabled client", "alpha", { ...byPost, client_id: "disabled" }, {}, 401, "invalid_client"],
    ["no client", "alpha", { client_secret: secret }, {}, 401, "invalid_client"],
    ["no credential", "alpha", { client_id: clientId }, {}, 401, "invalid_client"],
    ["a method that is not offered", "beta", byPost, {}, 401, "invalid_client"],
    ["a client of another realm", "beta", {}, basic("guest"), 401, "invalid_client"],
    ["a wrong secret by Basic", "beta", {}, basic(clientId, "wrong"), 401, "invalid_client"],
    [
      "Basic without form-encoding: the plus is a space",
      "beta",
      {},
      { authorization: `Basic ${btoa(`${clientId}:a+secret`)}` },
      401,
      "invalid_client"
    ],
    [
      "Basic with characters that must be encoded",
      "beta",
      {},
      { authorization: `Basic ${btoa(`${clientId}:${secret}`)}` },
      401,
      "invalid_client"
    ],
    ["Basic without a colon", "beta", {}, { authorization: `Basic ${btoa("orders")}` }, 401, "invalid_client"],
    ["Basic that is no base64", "beta", {}, { authorization: "Basic ?" }, 401, "invalid_client"],
    ["another scheme", "beta", {}, { authorization: "Bearer abc" }, 401, "invalid_client"],
    ["two ways at once", "alpha", byPost, basic(), 400, "invalid_request"],
    ["another client in the form", "beta", { client_id: "guest" }, basic(), 400, "invalid_request"],
    ["a parameter twice", "alpha", { ...byPost, extra: ["1", "2"] }, {}, 400, "invalid_request"],
    ["no grant", "alpha", { ...byPost, grant_type: undefined }, {}, 400, "invalid_request"],
    ["another grant", "alpha", { ...byPost, grant_type: "password" }, {}, 400, "unsupported_grant_type"],
    ["an unknown scope", "alpha", { ...byPost, scope: "orders everything" }, {}, 400, "invalid_scope"]
  ]
  it.effect.each(requests)("%s", ([, realm, form, headers, status, error]) =>
    provided(Effect.gen(function*() {
      const response = yield* post(realm, form, headers)
      yield* assertRefused(response, status, error)
      const challenged = status === 401 && "authorization" in headers
      assert.strictEqual(response.headers["www-authenticate"], challenged ? `Basic realm="${realm}"` : undefined)
      assert.strictEqual(response.headers["cache-control"], "no-store, no-cache")
    })))

  const now = () => Math.floor(Date.now() / 1000)
  const drafts: ReadonlyArray<
    readonly [name: string, draft: () => Draft, why: RegExp, status?: number, error?: string]
  > = [
    ["a key that is not registered", () => ({ key: "other" }), /no key that the client is known by/],
    ["an unknown kid", () => ({ header: { kid: "yours" } }), /no key/],
    ["a kid of another key", () => ({ alg: "ES256", key: "p256", header: { kid: "mine" } }), /no key/],
    ["an unknown thumbprint", () => ({ header: { x5t: "nobody" } }), /no key/],
    ["another algorithm", () => ({ alg: "RS512" }), /'RS512' is not taken here/],
    ["another issuer", () => ({ claims: { iss: "guest" } }), /'iss' and 'sub'/],
    ["another subject", () => ({ claims: { sub: "guest" } }), /'iss' and 'sub'/],
    ["another client in the form", () => ({ form: { client_id: "guest" } }), /no key/],
    ["another realm's endpoint", () => ({ claims: { aud: urlOf("beta") } }), /audience/],
    ["the host as audience", () => ({ claims: { aud: host } }), /audience/],
    ["expired", () => ({ claims: { exp: now() - 100 } }), /expired/],
    ["not yet valid", () => ({ claims: { nbf: now() + 100 } }), /not valid yet/],
    ["no jti", () => ({ claims: { jti: undefined } }), /must be text/],
    [
      "no type",
      () => ({ form: { client_assertion_type: undefined } }),
      /client_assertion_type/,
      400,
      "invalid_request"
    ],
    ["no JWT", () => ({ form: { client_assertion: "nonsense" } }), /three base64url segments/],
    [
      "claims that are none",
      () => ({ form: { client_assertion: `${btoa("{\"alg\":\"RS256\"}")}.bm8.c2ln` } }),
      /no claims/
    ]
  ]
  it.live.each(drafts)(
    "private_key_jwt: %s",
    ([, draft, why, status = 401, error = "invalid_client"]) =>
      provided(Effect.gen(function*() {
        assert.match(yield* assertRefused(yield* present(draft()), status, error), why)
      }))
  )

  it.live("private_key_jwt: one that was used before", () =>
    provided(Effect.gen(function*() {
      const claims = { jti: "once" }
      yield* readAnswer(yield* present({ claims }))
      assert.match(yield* assertRefused(yield* present({ claims }), 401, "invalid_client"), /used before/)
    })))

  it.live("private_key_jwt: a certificate that was taken away", () =>
    provided(Effect.gen(function*() {
      const { removeCertificate } = yield* EntraSimulator.EntraSimulator
      yield* removeCertificate(clientId, (yield* material).rsa.certificate)
      yield* assertRefused(yield* present({}), 401, "invalid_client")
    })))
})
