/** AD FS: RS256 with the SHA-1 thumbprint, no tenants, refusals of its own. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted, Schema } from "effect"
import { EntraSimulator, TestCertificate } from "effect-entra/testing"
import { HttpClient, type HttpClientResponse } from "effect/http"
import * as jose from "jose"
import { createHash, X509Certificate } from "node:crypto"
import { assertShown } from "../support/shown.ts"
import { type Fields, goodForm, post, submit } from "./wire.ts"

const origin = "https://fs.contoso.com"
const url = `${origin}/adfs/oauth2/token`
const clientId = EntraSimulator.daemonClientId
const strictId = "9d1f6c55-0b7e-4a0e-8f5d-3c2b1a098765"
const disabledId = "5e1c9a77-3b60-4d28-9f14-c2d3e4f5a6b7"
const form = { ...goodForm, scope: "api://orders/.default" }

const make = () =>
  Effect.runPromise(Effect.all({
    rsa: TestCertificate.make({ commonName: "rsa" }),
    ec: TestCertificate.make({ commonName: "ec", algorithm: "EC" }),
    other: TestCertificate.make({ commonName: "not registered" })
  }))
let made: ReturnType<typeof make> | undefined
const material = Effect.promise(() => made ??= make())

const provided = <A, E, R>(effect: Effect.Effect<A, E, R>, options: EntraSimulator.Options = { adfs: true }) =>
  Effect.flatMap(material, ({ ec, rsa }) =>
    Effect.provide(
      effect,
      EntraSimulator.layerMemory({
        signer: EntraSimulator.signerFake,
        apps: [
          ...EntraSimulator.defaultOptions.apps.map((app) => ({
            ...app,
            certificates: [rsa.certificate, ec.certificate]
          })),
          { clientId: strictId, secrets: [EntraSimulator.daemonSecret] },
          { clientId: disabledId, secrets: [EntraSimulator.daemonSecret], disabled: true }
        ],
        resources: EntraSimulator.defaultOptions.resources.map((resource) => ({
          ...resource,
          withoutRole: "unassigned" as const
        })),
        ...options
      })
    ))

const thumbprint = (pem: string, hash: "sha1" | "sha256") =>
  createHash(hash).update(new X509Certificate(pem).raw).digest("base64url")

interface Draft {
  readonly key?: "rsa" | "ec" | "other"
  readonly alg?: string
  readonly named?: "x5t" | "x5t#S256"
  readonly both?: boolean
  readonly claims?: Record<string, unknown>
}

const assertionOf = ({ alg = "RS256", both = false, claims, key = "rsa", named = "x5t" }: Draft) =>
  Effect.flatMap(material, (material) =>
    Effect.promise(async () => {
      const { certificate, privateKey } = material[key]
      const now = Math.floor(Date.now() / 1000)
      const header = {
        alg,
        ...(named === "x5t" || both ? { x5t: thumbprint(certificate, "sha1") } : {}),
        ...(named === "x5t#S256" || both ? { "x5t#S256": thumbprint(certificate, "sha256") } : {})
      }
      return new jose.SignJWT({
        iss: clientId,
        sub: clientId,
        aud: url,
        jti: crypto.randomUUID(),
        nbf: now,
        exp: now + 600,
        ...claims
      }).setProtectedHeader(header).sign(await jose.importPKCS8(Redacted.value(privateKey), alg))
    }))

const present = (draft: Draft) =>
  Effect.flatMap(assertionOf(draft), (assertion) => submit(assertion, url, { scope: form.scope }))

const Refusal = Schema.Struct({ error: Schema.String, error_description: Schema.String })

/** Two members, and always 400. */
const assertRefused = (response: HttpClientResponse.HttpClientResponse, error: string, number: string | undefined) =>
  Effect.gen(function*() {
    const body = yield* response.json
    assert.deepStrictEqual(Object.keys(Object(body)), ["error", "error_description"])
    const refusal = yield* Schema.decodeUnknownEffect(Refusal)(body)
    assert.deepStrictEqual([response.status, refusal.error], [400, error], refusal.error_description)
    assertShown(`${response.status} ${refusal.error}\n${refusal.error_description}`)
    assert.strictEqual(/^(MSIS\d+): /.exec(refusal.error_description)?.[1], number)
    const { counters } = yield* EntraSimulator.EntraSimulator
    assert.deepStrictEqual((yield* counters).refusals, { [error]: 1 })
  })

const Answer = Schema.Struct({
  access_token: Schema.String,
  token_type: Schema.Literal("bearer"),
  expires_in: Schema.Finite
})
const readAnswer = (response: HttpClientResponse.HttpClientResponse) =>
  Effect.gen(function*() {
    const text = yield* response.text
    assert.strictEqual(response.status, 200, text)
    return yield* Schema.decodeUnknownEffect(Schema.fromJsonString(Answer))(text)
  })

describe("refused", () => {
  const forms: ReadonlyArray<readonly [name: string, form: Fields, error: string, number: string | undefined]> = [
    ["a wrong secret", { client_secret: "wrong" }, "invalid_client", "MSIS9622"],
    ["no credential", { client_secret: undefined }, "invalid_client", "MSIS9622"],
    ["two credentials", { client_assertion: "a.b.c" }, "invalid_client", "MSIS9622"],
    ["an empty client", { client_id: "" }, "invalid_request", undefined],
    ["a disabled client", { client_id: disabledId }, "invalid_client", "MSIS9622"],
    ["an unknown client", { client_id: "nobody" }, "invalid_client", "MSIS9622"],
    [
      "an assertion without its type",
      { client_secret: undefined, client_assertion: "a.b.c" },
      "invalid_client",
      "MSIS9622"
    ],
    ["another grant", { grant_type: "password" }, "unsupported_grant_type", "MSIS9611"],
    ["an unknown resource", { scope: "api://nothing/.default" }, "invalid_resource", "MSIS9602"],
    ["an unknown resource by the older parameter", { resource: "api://nothing" }, "invalid_resource", "MSIS9602"],
    ["a client without a role", { client_id: strictId }, "unauthorized_client", "MSIS9605"],
    ["no grant", { grant_type: undefined }, "invalid_request", undefined],
    ["no client", { client_id: undefined }, "invalid_request", undefined],
    ["no scope", { scope: undefined }, "invalid_request", undefined],
    ["a parameter twice", { scope: [form.scope, form.scope] }, "invalid_request", undefined]
  ]
  it.live.each(forms)("%s", ([, fields, error, number]) =>
    provided(Effect.gen(function*() {
      yield* assertRefused(yield* post({ ...form, ...fields }, url), error, number)
    })))

  const drafts: ReadonlyArray<readonly [name: string, draft: Draft]> = [
    ["PS256 with x5t#S256", { alg: "PS256", named: "x5t#S256" }],
    ["PS256 with x5t", { alg: "PS256" }],
    ["RS256 with x5t#S256", { named: "x5t#S256" }],
    ["RS256 with both thumbprints", { both: true }],
    ["ES256", { alg: "ES256", key: "ec" }],
    ["a certificate that is not registered", { key: "other" }],
    ["the issuer as audience", { claims: { aud: `${origin}/adfs` } }],
    ["Entra's endpoint as audience", { claims: { aud: "https://login.microsoftonline.com/adfs/oauth2/token" } }],
    ["another client's assertion", { claims: { iss: strictId, sub: strictId } }],
    ["an expired one", { claims: { nbf: 1, exp: 600 } }]
  ]
  it.live.each(drafts)("%s", ([, draft]) =>
    provided(Effect.gen(function*() {
      yield* assertRefused(yield* present(draft), "invalid_client", "MSIS9622")
    })))

  it.live("an assertion that was used before", () =>
    provided(Effect.gen(function*() {
      const claims = { jti: "once" }
      yield* readAnswer(yield* present({ claims }))
      yield* assertRefused(yield* present({ claims }), "invalid_client", "MSIS9622")
    })))

  it.live("everything, where there is no AD FS", () =>
    provided(
      Effect.gen(function*() {
        assert.strictEqual((yield* post(form, url)).status, 404)
        assert.strictEqual((yield* HttpClient.get(`${origin}/adfs/.well-known/openid-configuration`)).status, 404)
        assert.strictEqual((yield* HttpClient.get(`${origin}/adfs/discovery/keys`)).status, 404)
      }),
      {}
    ))
})

describe("accepted", () => {
  it.live("a secret, the resource by scope or by the older parameter, any host and port", () =>
    provided(Effect.gen(function*() {
      const at = "https://fs.contoso.com:49443"
      const { resource: _, ...byResource } = { ...form, resource: "" }
      for (
        const fields of [form, { ...byResource, scope: undefined, resource: "api://orders" }, {
          ...form,
          scope: "api://orders/openid"
        }]
      ) {
        const { access_token, expires_in } = yield* readAnswer(yield* post(fields, `${at}/adfs/oauth2/token`))
        assert.strictEqual(expires_in, 3599)
        const claims = jose.decodeJwt(access_token)
        assert.deepInclude(claims, {
          iss: "http://fs.contoso.com:49443/adfs/services/trust",
          aud: EntraSimulator.ordersAppId,
          appid: clientId,
          apptype: "Confidential",
          roles: ["Orders.Read.All"]
        })
      }
      const { counters, requests } = yield* EntraSimulator.EntraSimulator
      assert.deepStrictEqual((yield* counters).tokenRequestsByTenant, { adfs: 3 })
      assert.strictEqual((yield* requests)[0]?.tenant, "adfs")
    })))

  it.live("RS256 with x5t; the assertion names the endpoint", () =>
    provided(Effect.gen(function*() {
      yield* readAnswer(yield* present({}))
    })))

  it.live("its document and its keys; what was scripted for it", () =>
    provided(
      Effect.gen(function*() {
        const document = yield* (yield* HttpClient.get(`${origin}/adfs/.well-known/openid-configuration`)).json
        const { jwks_uri, token_endpoint } = yield* Schema.decodeUnknownEffect(
          Schema.Struct({ token_endpoint: Schema.String, jwks_uri: Schema.String })
        )(document)
        assert.strictEqual(token_endpoint, url)
        const keys: unknown = yield* (yield* HttpClient.get(jwks_uri)).json
        assert.deepStrictEqual(keys, yield* EntraSimulator.signerRs256.jwks)
        const { fail } = yield* EntraSimulator.EntraSimulator
        yield* fail(EntraSimulator.Fault.throttled(), { tenant: "adfs" })
        assert.strictEqual((yield* post(form, url)).status, 429)
        yield* readAnswer(yield* post(form, url))
      }),
      { adfs: true, signer: EntraSimulator.signerRs256 }
    ))
})
