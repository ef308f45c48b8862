import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { EntraSimulator, TestCertificate } from "effect-entra/testing"
import type { HttpClient } from "effect/http"
import * as jose from "jose"
import { createHash, createPublicKey, X509Certificate } from "node:crypto"
import { assertRefusal, readToken, submit, tenant, tokenUrl } from "./wire.ts"

const client = EntraSimulator.daemonClientId

const make = async () => {
  const [rsa, ec, other, expired] = await Effect.runPromise(Effect.all([
    TestCertificate.make({ commonName: "rsa" }),
    TestCertificate.make({ commonName: "ec", algorithm: "EC" }),
    TestCertificate.make({ commonName: "not registered" }),
    TestCertificate.make({ commonName: "expired", notBefore: new Date(0), notAfter: new Date(1_000_000_000_000) })
  ]))
  return { rsa, ec, other, expired }
}
let made: ReturnType<typeof make> | undefined
const material = Effect.promise(() => made ??= make())

type Material = Awaited<ReturnType<typeof make>>

const thumbprint = (pem: string, hash: "sha1" | "sha256") =>
  createHash(hash).update(new X509Certificate(pem).raw).digest("base64url")

/** The assertion of a case before it is signed; every case changes one thing. */
interface Draft {
  readonly key?: keyof Material | undefined
  readonly alg?: string | undefined
  readonly header?: Record<string, unknown> | undefined
  readonly claims?: Record<string, unknown> | undefined
  /** Takes over the signing altogether. */
  readonly raw?: ((header: object, claims: object, material: Material) => string | Promise<string>) | undefined
}

const encode = (value: unknown) => jose.base64url.encode(JSON.stringify(value))

const assertionOf = (draft: Draft) =>
  Effect.flatMap(material, (material) =>
    Effect.promise(async () => {
      const alg = draft.alg ?? "PS256"
      const now = Math.floor(Date.now() / 1000)
      const header = {
        alg,
        typ: "JWT",
        "x5t#S256": thumbprint(material.rsa.certificate, "sha256"),
        ...draft.header
      }
      const claims = {
        iss: client,
        sub: client,
        aud: tokenUrl(),
        jti: globalThis.crypto.randomUUID(),
        nbf: now,
        iat: now,
        exp: now + 600,
        ...draft.claims
      }
      if (draft.raw !== undefined) return await draft.raw(header, claims, material)
      const key = await jose.importPKCS8(Redacted.value(material[draft.key ?? "rsa"].privateKey), alg)
      return await signInput(`${encode(header)}.${encode(claims)}`, key, alg)
    }))

// By hand: jose would not write some of these headers.
const signInput = async (input: string, key: CryptoKey, alg: string) => {
  const parameters = alg === "ES256"
    ? { name: "ECDSA", hash: "SHA-256" }
    : alg.startsWith("PS")
    ? { name: "RSA-PSS", saltLength: 32 }
    : { name: "RSASSA-PKCS1-v1_5" }
  const signature = await globalThis.crypto.subtle.sign(parameters, key, new TextEncoder().encode(input))
  return `${input}.${jose.base64url.encode(new Uint8Array(signature))}`
}

const withCertificates = <A, E>(effect: Effect.Effect<A, E, EntraSimulator.EntraSimulator | HttpClient.HttpClient>) =>
  Effect.flatMap(material, ({ ec, expired, rsa }) =>
    Effect.provide(
      effect,
      EntraSimulator.layerMemory({
        signer: EntraSimulator.signerFake,
        apps: EntraSimulator.defaultOptions.apps.map((app) => ({
          ...app,
          certificates: [rsa.certificate, ec.certificate, expired.certificate]
        }))
      })
    ))

const seconds = () => Math.floor(Date.now() / 1000)
const hs256 = (secret: (material: Material) => string): NonNullable<Draft["raw"]> => (header, claims, material) =>
  new jose.SignJWT({ ...claims }).setProtectedHeader({ ...header, alg: "HS256" })
    .sign(new TextEncoder().encode(secret(material)))

describe("refused", () => {
  const cases: ReadonlyArray<{ readonly name: string; readonly draft: () => Draft; readonly code: number }> = [
    { name: "wrong key", draft: () => ({ key: "other" }), code: 700027 },
    { name: "a chain of something else", draft: () => ({ header: { x5c: ["AAAA"] } }), code: 700027 },
    { name: "an empty chain", draft: () => ({ header: { x5c: [] } }), code: 700027 },
    {
      name: "another certificate's chain",
      draft: () => ({
        raw: async (header, claims, { other, rsa }) => {
          const x5c = [new X509Certificate(other.certificate).raw.toString("base64")]
          const key = await jose.importPKCS8(Redacted.value(rsa.privateKey), "PS256")
          return await signInput(`${encode({ ...header, x5c })}.${encode(claims)}`, key, "PS256")
        }
      }),
      code: 700027
    },
    {
      name: "the token of a platform",
      draft: () => ({
        raw: (_header, claims, { other }) =>
          jose.importPKCS8(Redacted.value(other.privateKey), "RS256").then((key) =>
            new jose.SignJWT({
              ...claims,
              iss: "https://token.actions.githubusercontent.com",
              sub: "repo:contoso/orders:ref:refs/heads/main",
              aud: "api://AzureADTokenExchange"
            }).setProtectedHeader({ alg: "RS256", typ: "JWT", kid: "of GitHub" }).sign(key)
          )
      }),
      code: 700211
    },
    { name: "wrong audience", draft: () => ({ claims: { aud: "https://example.com/token" } }), code: 700023 },
    {
      name: "other tenant's audience",
      draft: () => ({ claims: { aud: tokenUrl(EntraSimulator.fabrikamTenantId) } }),
      code: 700023
    },
    { name: "audience with a slash too many", draft: () => ({ claims: { aud: `${tokenUrl()}/` } }), code: 700023 },
    {
      name: "audience of another host",
      draft: () => ({ claims: { aud: tokenUrl(tenant, "https://login.windows.net") } }),
      code: 700023
    },
    { name: "a list of audiences", draft: () => ({ claims: { aud: [tokenUrl()] } }), code: 50027 },
    { name: "expired", draft: () => ({ claims: { nbf: seconds() - 700, exp: seconds() - 100 } }), code: 700024 },
    { name: "not yet valid", draft: () => ({ claims: { nbf: seconds() + 100 } }), code: 700024 },
    { name: "valid for too long", draft: () => ({ claims: { exp: seconds() + 86_401 } }), code: 700024 },
    {
      name: "ends before it begins",
      draft: () => ({ claims: { nbf: seconds() + 20, exp: seconds() + 10 } }),
      code: 700024
    },
    ...["iss", "sub", "aud", "jti", "exp"].map((name) => ({
      name: `missing ${name}`,
      draft: () => ({ claims: { [name]: undefined } }),
      code: 50027
    })),
    { name: "iat as text", draft: () => ({ claims: { iat: String(seconds()) } }), code: 50027 },
    {
      name: "without nbf, and valid for more than a day since iat",
      draft: () => ({ claims: { nbf: undefined, iat: seconds() - 100, exp: seconds() + 86_350 } }),
      code: 700024
    },
    {
      name: "without nbf and iat, and valid for more than a day from now",
      draft: () => ({ claims: { nbf: undefined, iat: undefined, exp: seconds() + 86_500 } }),
      code: 700024
    },
    {
      name: "a thumbprint with too much padding",
      draft: () => ({
        raw: async (header, claims, { rsa }) => {
          const key = await jose.importPKCS8(Redacted.value(rsa.privateKey), "PS256")
          const padded = { ...header, "x5t#S256": `${thumbprint(rsa.certificate, "sha256")}==` }
          return await signInput(`${encode(padded)}.${encode(claims)}`, key, "PS256")
        }
      }),
      code: 700027
    },
    { name: "exp as text", draft: () => ({ claims: { exp: String(seconds() + 600) } }), code: 50027 },
    { name: "nbf as text", draft: () => ({ claims: { nbf: String(seconds()) } }), code: 50027 },
    { name: "iss mismatch", draft: () => ({ claims: { iss: tenant } }), code: 700021 },
    { name: "sub mismatch", draft: () => ({ claims: { sub: tenant } }), code: 700021 },
    {
      name: "alg none",
      draft: () => ({ raw: (header, claims) => `${encode({ ...header, alg: "none" })}.${encode(claims)}.` }),
      code: 700027
    },
    {
      name: "alg none with a signature",
      draft: () => ({ raw: (header, claims) => `${encode({ ...header, alg: "none" })}.${encode(claims)}.c2ln` }),
      code: 700027
    },
    {
      name: "HS256 keyed with the public key",
      draft: () => ({
        raw: hs256(({ rsa }) => createPublicKey(rsa.certificate).export({ type: "spki", format: "pem" }).toString())
      }),
      code: 700027
    },
    {
      name: "HS256 keyed with the certificate",
      draft: () => ({ raw: hs256(({ rsa }) => rsa.certificate) }),
      code: 700027
    },
    {
      name: "wrong thumbprint",
      draft: () => ({ header: { "x5t#S256": thumbprintOf("nobody's") } }),
      code: 700027
    },
    { name: "no thumbprint", draft: () => ({ header: { "x5t#S256": undefined } }), code: 700027 },
    { name: "RS512", draft: () => ({ alg: "RS512" }), code: 700027 },
    {
      name: "a signature cut short",
      draft: () => ({ raw: (header, claims) => `${encode(header)}.${encode(claims)}.AAAA` }),
      code: 700027
    },
    {
      name: "two segments",
      draft: () => ({ raw: (header, claims) => `${encode(header)}.${encode(claims)}` }),
      code: 50027
    },
    { name: "not a JWT", draft: () => ({ raw: () => "nonsense" }), code: 50027 },
    {
      name: "a header that is no JSON",
      draft: () => ({ raw: (_, claims) => `bm8.${encode(claims)}.c2ln` }),
      code: 50027
    },
    {
      name: "a header without alg",
      draft: () => ({ raw: (_, claims) => `${encode({ typ: "JWT" })}.${encode(claims)}.c2ln` }),
      code: 50027
    }
  ]

  it.live.each(cases)("$name", ({ code, draft }) =>
    withCertificates(Effect.gen(function*() {
      const response = yield* submit(yield* assertionOf(draft()))
      yield* assertRefusal(response, { status: 401, error: "invalid_client", code })
    })))

  it.live("a key that is not of the thumbprint's algorithm", () =>
    withCertificates(Effect.gen(function*() {
      const { ec, expired, rsa } = yield* material
      const refused = { status: 401, error: "invalid_client", code: 700027 }
      // PS256 and ES256 go with x5t#S256 only; an EC certificate takes no RSA signature; expired ones take none.
      for (
        const draft of [
          { header: { "x5t#S256": undefined, x5t: thumbprint(rsa.certificate, "sha1") } },
          { alg: "ES256", key: "ec", header: { "x5t#S256": undefined, x5t: thumbprint(ec.certificate, "sha1") } },
          { header: { "x5t#S256": thumbprint(ec.certificate, "sha256") } },
          { header: { x5t: thumbprint(ec.certificate, "sha1") } },
          { key: "expired", header: { "x5t#S256": thumbprint(expired.certificate, "sha256") } }
        ] as const
      ) {
        yield* assertRefusal(yield* submit(yield* assertionOf(draft)), refused)
      }
    })))

  it.live("replayed; one that was refused has not been used", () =>
    withCertificates(Effect.gen(function*() {
      const assertion = yield* assertionOf({})
      yield* readToken(yield* submit(assertion))
      yield* assertRefusal(yield* submit(assertion), { status: 401, error: "invalid_client", code: 50013 })
      const jti = globalThis.crypto.randomUUID()
      const wrong = yield* submit(yield* assertionOf({ claims: { jti, aud: "https://example.com" } }))
      assert.strictEqual(wrong.status, 401)
      yield* readToken(yield* submit(yield* assertionOf({ claims: { jti } })))
    })))

  it.live("a certificate that was taken away", () =>
    withCertificates(Effect.gen(function*() {
      const { other, rsa } = yield* material
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* simulator.removeCertificate(client, rsa.certificate)
      const refused = { status: 401, error: "invalid_client", code: 700027 }
      yield* assertRefusal(yield* submit(yield* assertionOf({})), refused)
      const draft: Draft = { key: "other", header: { "x5t#S256": thumbprint(other.certificate, "sha256") } }
      yield* assertRefusal(yield* submit(yield* assertionOf(draft)), refused)
      yield* simulator.addCertificate(client, other.certificate)
      yield* readToken(yield* submit(yield* assertionOf(draft)))
    })))
})

const thumbprintOf = (text: string) => createHash("sha256").update(text).digest("base64url")

describe("accepted", () => {
  const issuer = `https://login.microsoftonline.com/${tenant}/v2.0`

  it.live("PS256 and RS256 with x5t#S256, RS256 with x5t, ES256", () =>
    withCertificates(Effect.gen(function*() {
      const { ec, rsa } = yield* material
      for (
        const draft of [
          {},
          { alg: "RS256" },
          { alg: "RS256", header: { "x5t#S256": undefined, x5t: thumbprint(rsa.certificate, "sha1") } },
          { alg: "RS256", header: { x5t: thumbprint(rsa.certificate, "sha1") } },
          { alg: "ES256", key: "ec", header: { "x5t#S256": thumbprint(ec.certificate, "sha256") } }
        ] as const
      ) {
        const token = yield* readToken(yield* submit(yield* assertionOf(draft)))
        assert.strictEqual(jose.decodeJwt(token.access_token)["azpacr"], "2")
      }
    })))

  it.live("the issuer as audience, the URL as it was posted, a clock that is a little off", () =>
    withCertificates(Effect.gen(function*() {
      yield* readToken(yield* submit(yield* assertionOf({ claims: { aud: issuer } })))
      const regional = `${tokenUrl(tenant, "https://westus2.login.microsoft.com")}/`
      yield* readToken(yield* submit(yield* assertionOf({ claims: { aud: regional } }), regional))
      const domain = tokenUrl(EntraSimulator.contosoDomain)
      yield* readToken(yield* submit(yield* assertionOf({ claims: { aud: domain } }), `${domain}?client-request-id=1`))
      const skewed = { nbf: seconds() + 30, exp: seconds() + 600 }
      yield* readToken(yield* submit(yield* assertionOf({ claims: skewed })))
      const late = { nbf: seconds() - 600, exp: seconds() - 30 }
      yield* readToken(yield* submit(yield* assertionOf({ claims: late })))
      assert.strictEqual(EntraSimulator.assertionSkewSeconds, 60)
    })))

  // MSAL for Python pads the thumbprint and sends no nbf.
  it.live.each(
    [
      { name: "a padded SHA-1 thumbprint", alg: "RS256", hash: "sha1", claims: {} },
      { name: "a padded SHA-256 thumbprint", alg: "PS256", hash: "sha256", claims: {} },
      { name: "no nbf", alg: "PS256", hash: "sha256", claims: { nbf: undefined } },
      { name: "neither nbf nor iat", alg: "RS256", hash: "sha1", claims: { nbf: undefined, iat: undefined } },
      { name: "iat as old as a day", alg: "PS256", hash: "sha256", claims: { nbf: undefined, iat: seconds() - 85_000 } }
    ] as const
  )("as MSAL for Python writes it: $name", ({ alg, claims, hash }) =>
    withCertificates(Effect.gen(function*() {
      const { rsa } = yield* material
      const header = {
        "x5t#S256": undefined,
        [hash === "sha1" ? "x5t" : "x5t#S256"]: `${thumbprint(rsa.certificate, hash)}=`
      }
      yield* readToken(yield* submit(yield* assertionOf({ alg, header, claims })))
    })))
})
