/** Our client with real keys, over https, against the strict simulator. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted, Schedule, Schema } from "effect"
import { AuthorityResolver, ClientCredential, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
import { SimulatorServer } from "effect-entra/node"
import { EntraSimulator, TestCertificate } from "effect-entra/testing"
import { decodeProtectedHeader, jwtVerify, SignJWT } from "jose"
import { createPrivateKey, createPublicKey, X509Certificate } from "node:crypto"
import { silent } from "./support/log.ts"
import { assertToldInFull } from "./support/shown.ts"
import { contoso, graph, orders } from "./support/world.ts"

const clientWith = (credential: ClientCredential.ClientCredential["Service"]) =>
  Effect.gen(function*() {
    const { origin } = yield* SimulatorServer.SimulatorServer
    return yield* ConfidentialClient.make({
      clientId: EntraSimulator.daemonClientId,
      authority: `${origin}/${contoso}`,
      credential
    })
  })

const Services = Layer.mergeAll(
  AuthorityResolver.layer,
  TokenEndpoint.layerWith({ retry: Schedule.recurs(3) }),
  TokenCache.layerMemory()
).pipe(
  Layer.provideMerge(SimulatorServer.layerHttpClient),
  Layer.provideMerge(SimulatorServer.layerHttps()),
  Layer.provideMerge(silent)
)

const assertions = Effect.gen(function*() {
  const { requests } = yield* EntraSimulator.EntraSimulator
  return (yield* requests).map(({ form }) => form["client_assertion"] ?? "")
})

const Claims = Schema.Struct({
  aud: Schema.String,
  iss: Schema.String,
  sub: Schema.String,
  jti: Schema.String,
  nbf: Schema.Finite,
  iat: Schema.Finite,
  exp: Schema.Finite
})

describe("certificates over https", () => {
  for (
    const { algorithm, alg, chain } of [
      { algorithm: "RSA", alg: "PS256", chain: false },
      { algorithm: "RSA", alg: "PS256", chain: true },
      { algorithm: "EC", alg: "ES256", chain: false }
    ] as const
  ) {
    it.live(`${algorithm} signs ${alg}${chain ? " and sends its chain" : ""}; each attempt its own assertion`, () =>
      Effect.gen(function*() {
        const simulator = yield* EntraSimulator.EntraSimulator
        const { origin } = yield* SimulatorServer.SimulatorServer
        const made = yield* TestCertificate.makeChain({ algorithm })
        yield* simulator.addCertificate(EntraSimulator.daemonClientId, made.certificate)
        const client = yield* clientWith(yield* ClientCredential.certificate({ ...made, sendCertificateChain: chain }))
        yield* simulator.fail(EntraSimulator.Fault.unavailable(), { times: 2 })
        yield* client.acquireToken({ scopes: graph })
        yield* client.acquireToken({ scopes: orders })
        const sent = yield* assertions
        assert.strictEqual(sent.length, 4)
        assert.strictEqual(new Set(sent).size, 4)
        const ids = new Set<string>()
        for (const assertion of sent) {
          const header = decodeProtectedHeader(assertion)
          const x509 = new X509Certificate(made.certificate)
          assert.strictEqual(header.alg, alg)
          assert.strictEqual(header.typ, "JWT")
          const thumbprint = Buffer.from(x509.fingerprint256.replaceAll(":", ""), "hex").toString("base64url")
          assert.strictEqual(header["x5t#S256"], thumbprint)
          assert.strictEqual(header.x5c?.length, chain ? 2 : undefined)
          if (chain) assert.strictEqual(header.x5c?.[0], x509.raw.toString("base64"))
          const { payload } = yield* Effect.promise(() => jwtVerify(assertion, x509.publicKey))
          const claims = Schema.decodeUnknownSync(Claims)(payload)
          assert.strictEqual(claims.aud, `${origin}/${contoso}/oauth2/v2.0/token`)
          assert.strictEqual(claims.iss, EntraSimulator.daemonClientId)
          assert.strictEqual(claims.sub, EntraSimulator.daemonClientId)
          assert.strictEqual(claims.exp - claims.nbf, 600)
          assert.strictEqual(claims.iat, claims.nbf)
          ids.add(claims.jti)
        }
        assert.strictEqual(ids.size, 4)
      }).pipe(Effect.provide(Services)))
  }

  it.live("a certificate that is not registered is refused by the service and told apart", () =>
    Effect.gen(function*() {
      const made = yield* TestCertificate.make()
      const client = yield* clientWith(yield* ClientCredential.certificate(made))
      const error = yield* Effect.flip(client.acquireToken({ scopes: graph }))
      assert.strictEqual(error._tag, "EntraInvalidClientError")
      assert.strictEqual(error.code, "assertion_refused")
      assertToldInFull(error)
    }).pipe(Effect.provide(Services)))

  it.live("an assertion that someone else signs is called for once an attempt and never on a hit", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      const made = yield* TestCertificate.make()
      yield* simulator.addCertificate(EntraSimulator.daemonClientId, made.certificate)
      const key = createPrivateKey(Redacted.value(made.privateKey))
      assert.strictEqual(createPublicKey(key).asymmetricKeyType, "rsa")
      let calls = 0
      const credential = yield* ClientCredential.assertion((attempt) =>
        Effect.promise(() => {
          calls++
          const thumbprint = new X509Certificate(made.certificate).fingerprint256.replaceAll(":", "")
          return new SignJWT({ jti: crypto.randomUUID() })
            .setProtectedHeader({ alg: "PS256", "x5t#S256": Buffer.from(thumbprint, "hex").toString("base64url") })
            .setAudience(attempt.audience).setIssuer(attempt.clientId).setSubject(attempt.clientId)
            .setNotBefore("0s").setExpirationTime("5m").sign(key)
        })
      )
      const client = yield* clientWith(credential)
      yield* client.acquireToken({ scopes: graph })
      yield* client.acquireToken({ scopes: graph })
      assert.strictEqual(calls, 1)
      yield* simulator.fail(EntraSimulator.Fault.unavailable())
      yield* client.acquireToken({ scopes: orders })
      assert.strictEqual(calls, 3)
    }).pipe(Effect.provide(Services)))
})
