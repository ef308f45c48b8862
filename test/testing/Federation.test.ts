/** Federated credentials: issuer, subject and audience letter by letter, the platform's signature, its times. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { EntraSimulator, TestIssuer } from "effect-entra/testing"
import * as jose from "jose"
import { assertRefusal, readToken, submit, tenant, tokenUrl } from "./wire.ts"

const clientId = EntraSimulator.daemonClientId
const issuer = "https://token.actions.githubusercontent.com"
const subject = "repo:contoso/orders:ref:refs/heads/main"
const audience = "api://AzureADTokenExchange"
const [daemon] = EntraSimulator.defaultOptions.apps

const make = () =>
  Effect.runPromise(Effect.all({
    github: TestIssuer.make({ issuer }),
    cluster: TestIssuer.make({ issuer: "https://oidc.cluster.example/1/", algorithm: "ES256", keyId: "cluster" }),
    impostor: TestIssuer.make({ issuer }),
    unknown: TestIssuer.make({ issuer: "https://accounts.example" })
  }))
let made: ReturnType<typeof make> | undefined
const platforms = Effect.promise(() => made ??= make())

type Platforms = Awaited<ReturnType<typeof make>>

const trusted: ReadonlyArray<EntraSimulator.FederatedCredential> = [
  { issuer, subject },
  { issuer: "https://oidc.cluster.example/1/", subject: "system:serviceaccount:orders:my-daemon" },
  { issuer: "https://oidc.cluster.example/1/", subject: "system:serviceaccount:orders:other", audiences: ["a", "b"] },
  { issuer: "https://accounts.example", subject }
]

const provided = <A, E, R>(effect: Effect.Effect<A, E, R>, federatedCredentials = trusted) =>
  Effect.flatMap(platforms, ({ cluster, github }) =>
    Effect.provide(
      effect,
      EntraSimulator.layerMemory({
        signer: EntraSimulator.signerFake,
        issuers: [github, cluster],
        apps: [{ clientId, federatedCredentials, ...(daemon === undefined ? {} : { roles: daemon.roles }) }]
      })
    ))

const present = (token: Effect.Effect<Redacted.Redacted>) =>
  Effect.flatMap(token, (token) => submit(Redacted.value(token)))

const now = () => Math.floor(Date.now() / 1000)

describe("refused", () => {
  const rows: ReadonlyArray<{
    readonly name: string
    readonly code: number
    readonly token: (platforms: Platforms) => Effect.Effect<Redacted.Redacted>
  }> = [
    {
      name: "another issuer",
      code: 700211,
      token: ({ github }) => github.issue({ subject, claims: { iss: "https://gitlab.com" } })
    },
    {
      name: "the issuer with a slash",
      code: 700211,
      token: ({ github }) => github.issue({ subject, claims: { iss: `${issuer}/` } })
    },
    {
      name: "the issuer in capitals",
      code: 700211,
      token: ({ github }) => github.issue({ subject, claims: { iss: "https://Token.actions.githubusercontent.com" } })
    },
    {
      name: "another subject",
      code: 700213,
      token: ({ github }) => github.issue({ subject: "repo:contoso/orders:ref:refs/heads/next" })
    },
    {
      name: "a subject of another platform's",
      code: 700213,
      token: ({ github }) => github.issue({ subject: "system:serviceaccount:orders:my-daemon" })
    },
    {
      name: "the subject in another case",
      code: 7002138,
      token: ({ github }) => github.issue({ subject: "repo:Contoso/orders:ref:refs/heads/main" })
    },
    {
      name: "another audience",
      code: 700212,
      token: ({ github }) => github.issue({ subject, audience: "https://github.com/contoso" })
    },
    {
      name: "the audience in another case",
      code: 700212,
      token: ({ github }) => github.issue({ subject, audience: audience.toLowerCase() })
    },
    {
      name: "the default audience where the credential has others",
      code: 700212,
      token: ({ cluster }) => cluster.issue({ subject: "system:serviceaccount:orders:other" })
    },
    { name: "no audience", code: 700212, token: ({ github }) => github.issue({ subject, audience: [] }) },
    { name: "expired", code: 700024, token: ({ github }) => github.issue({ subject, lifetime: "-100 seconds" }) },
    {
      name: "not yet valid",
      code: 700024,
      token: ({ github }) => github.issue({ subject, claims: { nbf: now() + 100 } })
    },
    { name: "signed by an impostor", code: 700027, token: ({ impostor }) => impostor.issue({ subject }) },
    {
      name: "another platform's key",
      code: 700027,
      token: ({ cluster }) => cluster.issue({ subject, claims: { iss: issuer } })
    },
    { name: "a platform without known keys", code: 700027, token: ({ unknown }) => unknown.issue({ subject }) },
    {
      name: "HS256 with the public key",
      code: 700027,
      token: ({ github }) =>
        Effect.promise(async () =>
          Redacted.make(
            await new jose.SignJWT({ iss: issuer, sub: subject, aud: audience, exp: now() + 60 })
              .setProtectedHeader({ alg: "HS256" }).sign(new TextEncoder().encode(JSON.stringify(github.jwks.keys[0])))
          )
        )
    },
    {
      name: "unsigned",
      code: 700027,
      token: () =>
        Effect.sync(() =>
          Redacted.make(
            new jose.UnsecuredJWT({ iss: issuer, sub: subject, aud: audience, exp: now() + 60 }).encode()
          )
        )
    },
    { name: "no subject", code: 50027, token: ({ github }) => github.issue({ subject, claims: { sub: undefined } }) },
    { name: "no audience claim", code: 50027, token: ({ github }) => github.issue({ subject, claims: { aud: 1 } }) },
    { name: "no exp", code: 50027, token: ({ github }) => github.issue({ subject, claims: { exp: undefined } }) },
    { name: "exp as text", code: 50027, token: ({ github }) => github.issue({ subject, claims: { exp: "soon" } }) }
  ]

  it.live.each(rows)("$name", ({ code, token }) =>
    provided(Effect.gen(function*() {
      const response = yield* present(token(yield* platforms))
      yield* assertRefusal(response, { status: 401, error: "invalid_client", code })
      const { counters } = yield* EntraSimulator.EntraSimulator
      assert.deepStrictEqual((yield* counters).refusals, { [String(code)]: 1 })
    })))

  it.live("an app without federated credentials", () =>
    provided(
      Effect.gen(function*() {
        const { github } = yield* platforms
        const response = yield* present(github.issue({ subject }))
        yield* assertRefusal(response, { status: 401, error: "invalid_client", code: 700211 })
      }),
      []
    ))

  it.live("a credential that was removed, by issuer and subject", () =>
    provided(Effect.gen(function*() {
      const { github } = yield* platforms
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* simulator.removeFederatedCredential(clientId, { issuer, subject: "another" })
      yield* readToken(yield* present(github.issue({ subject })))
      yield* simulator.removeFederatedCredential(clientId, { issuer, subject })
      const response = yield* present(github.issue({ subject }))
      yield* assertRefusal(response, { status: 401, error: "invalid_client", code: 700211 })
      yield* simulator.addFederatedCredential(clientId, { issuer, subject, audiences: ["orders"] })
      const wrong = yield* present(github.issue({ subject }))
      yield* assertRefusal(wrong, { status: 401, error: "invalid_client", code: 700212 })
      yield* readToken(yield* present(github.issue({ subject, audience: "orders" })))
    })))

  it.live("keys that the platform no longer publishes", () =>
    provided(Effect.gen(function*() {
      const { github, impostor } = yield* platforms
      const { trustIssuer } = yield* EntraSimulator.EntraSimulator
      yield* trustIssuer({ issuer, jwks: impostor.jwks })
      const response = yield* present(github.issue({ subject }))
      yield* assertRefusal(response, { status: 401, error: "invalid_client", code: 700027 })
      yield* readToken(yield* present(impostor.issue({ subject })))
    })))
})

describe("accepted", () => {
  it.live.each(["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"])(
    "a platform that signs with %s",
    (algorithm) =>
      Effect.gen(function*() {
        const { privateKey, publicKey } = yield* Effect.promise(() => jose.generateKeyPair(algorithm))
        const jwk = yield* Effect.promise(() => jose.exportJWK(publicKey))
        const token = yield* Effect.promise(() =>
          new jose.SignJWT({ iss: issuer, sub: subject, aud: audience, nbf: now(), exp: now() + 60 })
            .setProtectedHeader({ alg: algorithm })
            .sign(privateKey)
        )
        yield* Effect.provide(
          Effect.flatMap(submit(token), readToken),
          EntraSimulator.layerMemory({
            signer: EntraSimulator.signerFake,
            issuers: [{ issuer, jwks: { keys: [jwk] } }],
            apps: [{ clientId, federatedCredentials: trusted }]
          })
        )
      })
  )

  it.live("a token, and again: it is no assertion of the app's own", () =>
    provided(Effect.gen(function*() {
      const { github } = yield* platforms
      const token = yield* github.issue({ subject })
      for (const name of [tenant, EntraSimulator.fabrikamDomain]) {
        const { access_token } = yield* readToken(yield* submit(Redacted.value(token), tokenUrl(name)))
        const claims = jose.decodeJwt(access_token)
        assert.strictEqual(claims["azpacr"], "2")
        assert.strictEqual(claims["azp"], clientId)
      }
    })))

  it.live("ES256, a list of audiences, a clock that is a little off, a token without nbf and jti", () =>
    provided(Effect.gen(function*() {
      const { cluster } = yield* platforms
      const subject = "system:serviceaccount:orders:my-daemon"
      for (
        const options of [
          {},
          { audience: [audience] },
          { audience: [audience, "https://kubernetes.default.svc"] },
          { lifetime: "-30 seconds" },
          { claims: { nbf: undefined, jti: undefined } }
        ] as const
      ) {
        yield* readToken(yield* present(cluster.issue({ subject, ...options })))
      }
      yield* readToken(
        yield* present(cluster.issue({ subject: "system:serviceaccount:orders:other", audience: "b" }))
      )
    })))

  it.live.each([
    "https://login.microsoftonline.com/99999999-9999-4999-8999-999999999999/v2.0",
    `https://login.microsoftonline.com/${tenant}/v2.0/`,
    `https://sts.windows.net/${tenant}/`,
    "https://"
  ])("but not of an issuer that is nearly its own: %s", (own) =>
    Effect.gen(function*() {
      const { addFederatedCredential } = yield* EntraSimulator.EntraSimulator
      yield* addFederatedCredential(clientId, { issuer: own, subject })
      const claims = { iss: own, sub: subject, aud: audience, nbf: now(), exp: now() + 3600 }
      const response = yield* submit(yield* EntraSimulator.signerFake.sign(claims))
      yield* assertRefusal(response, { status: 401, error: "invalid_client", code: 700027 })
    }).pipe(
      Effect.provide(EntraSimulator.layerMemory({ signer: EntraSimulator.signerFake, apps: [{ clientId }] }))
    ))

  it.live.each([
    { signer: EntraSimulator.signerFake, name: "fake" },
    { signer: EntraSimulator.signerRs256, name: "RS256" }
  ])("a token of the simulator's own, as a managed identity has one ($name)", ({ signer }) =>
    Effect.gen(function*() {
      const own = `https://login.microsoftonline.com/${tenant}/v2.0`
      const sub = "6b2e0c1a-1111-4222-8333-944455566677"
      const { addFederatedCredential } = yield* EntraSimulator.EntraSimulator
      yield* addFederatedCredential(clientId, { issuer: own, subject: sub })
      const at = now()
      const claims = { iss: own, sub, aud: audience, nbf: at, exp: at + 3600 }
      yield* readToken(yield* submit(yield* signer.sign(claims)))
      const late = yield* submit(yield* signer.sign({ ...claims, nbf: at - 700, exp: at - 100 }))
      yield* assertRefusal(late, { status: 401, error: "invalid_client", code: 700024 })
      const forged = yield* submit(`${yield* signer.sign(claims)}x`)
      yield* assertRefusal(forged, { status: 401, error: "invalid_client", code: 700027 })
    }).pipe(Effect.provide(EntraSimulator.layerMemory({ signer, apps: [{ clientId }] }))))
})

describe("TestIssuer", () => {
  it.live("its tokens are verified with the keys it publishes", () =>
    Effect.gen(function*() {
      const { cluster, github } = yield* platforms
      for (const platform of [cluster, github]) {
        const token = Redacted.value(yield* platform.issue({ subject, lifetime: "10 minutes", claims: { jti: "one" } }))
        const { payload, protectedHeader } = yield* Effect.promise(() =>
          jose.jwtVerify(token, jose.createLocalJWKSet(platform.jwks), { issuer: platform.issuer, audience, subject })
        )
        assert.strictEqual(payload.jti, "one")
        assert.strictEqual((payload.exp ?? 0) - (payload.iat ?? 0), 600)
        assert.strictEqual(protectedHeader.kid, platform.jwks.keys[0]?.kid)
      }
      assert.deepStrictEqual(cluster.jwks.keys.map(({ alg, d, kid, kty }) => ({ alg, d, kid, kty })), [
        { alg: "ES256", d: undefined, kid: "cluster", kty: "EC" }
      ])
    }))
})
