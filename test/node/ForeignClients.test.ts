import { assert, describe, layer } from "@effect/vitest"
import { Effect, Redacted, Schema } from "effect"
import { SimulatorServer } from "effect-entra/node"
import { EntraSimulator, TestCertificate } from "effect-entra/testing"
import { HttpClient } from "effect/http"
import * as jose from "jose"
import { createHash, X509Certificate } from "node:crypto"
import { runForeign } from "./child.ts"

const Token = Schema.Struct({ token: Schema.String, expiresOn: Schema.Finite, tokenType: Schema.Literal("Bearer") })
const Challenge = Schema.Struct({ status: Schema.Finite, challenges: Schema.Array(Schema.String) })
const Refusal = Schema.Struct({ error: Schema.String, errorNo: Schema.Finite, message: Schema.String })

const tenant = EntraSimulator.contosoTenantId
const secret = Redacted.value(EntraSimulator.daemonSecret)

const run = <A>(script: "msal" | "identity" | "openid", output: Schema.Codec<A, unknown>, parameters: object) =>
  Effect.gen(function*() {
    const { certificate = "", origin } = yield* SimulatorServer.SimulatorServer
    return yield* runForeign({
      script,
      certificate,
      output,
      parameters: {
        origin,
        tenant,
        clientId: EntraSimulator.daemonClientId,
        scopes: ["https://graph.microsoft.com/.default"],
        ...parameters
      }
    })
  })

const keysAt = (url: string) =>
  Effect.gen(function*() {
    const { keys } = yield* Schema.decodeUnknownEffect(Schema.Struct({
      keys: Schema.Array(
        Schema.Struct({ kty: Schema.Literal("RSA"), kid: Schema.String, n: Schema.String, e: Schema.String })
      )
    }))(yield* (yield* HttpClient.get(url)).json)
    return jose.createLocalJWKSet({ keys: [...keys] })
  }).pipe(Effect.provide(SimulatorServer.layerHttpClient))

/** Verifies a token with the keys the simulator publishes. */
const assertVerifies = (token: string, azpacr: "1" | "2", audience = EntraSimulator.graphResource) =>
  Effect.gen(function*() {
    const { origin } = yield* SimulatorServer.SimulatorServer
    const jwks = yield* keysAt(`${origin}/${tenant}/discovery/v2.0/keys`)
    const { payload } = yield* Effect.promise(() =>
      jose.jwtVerify(token, jwks, { issuer: `${origin}/${tenant}/v2.0`, audience, algorithms: ["RS256"] })
    )
    assert.strictEqual(payload["tid"], tenant)
    assert.strictEqual(payload["azpacr"], azpacr)
  })

const realms: ReadonlyArray<EntraSimulator.Realm> = [
  { name: "open" },
  { name: "strict", authMethods: ["client_secret_post"] }
]

layer(SimulatorServer.layerHttps({ realms }), { excludeTestServices: true, timeout: "60 seconds" })(
  "foreign clients",
  (it) => {
    describe("@azure/msal-node", () => {
      it.effect("gets a token with a secret", () =>
        Effect.gen(function*() {
          const before = Date.now()
          const { expiresOn, token } = yield* run("msal", Token, { secret })
          yield* assertVerifies(token, "1")
          assert.isAtLeast(expiresOn, before + 3598_000)
          const { requests } = yield* EntraSimulator.EntraSimulator
          const request = (yield* requests).at(-1)
          assert.strictEqual(request?.form["x-client-SKU"], "msal.js.node")
        }), 60_000)

      it.effect("gets a token with a certificate and its chain", () =>
        Effect.gen(function*() {
          const simulator = yield* EntraSimulator.EntraSimulator
          const chain = yield* TestCertificate.makeChain({ commonName: "daemon" })
          yield* simulator.addCertificate(EntraSimulator.daemonClientId, chain.certificate)
          const { token } = yield* run("msal", Token, {
            scopes: ["api://orders/.default"],
            certificate: {
              thumbprintSha256: createHash("sha256").update(new X509Certificate(chain.certificate).raw).digest("hex"),
              privateKey: Redacted.value(chain.privateKey),
              x5c: chain.certificate
            }
          })
          yield* assertVerifies(token, "2", EntraSimulator.ordersAppId)
          const request = (yield* simulator.requests).at(-1)
          const header = jose.decodeProtectedHeader(request?.form["client_assertion"] ?? "")
          assert.strictEqual(header.alg, "PS256")
          assert.strictEqual(header.x5c?.length, 2)
        }), 60_000)

      it.effect("is told that its secret is wrong", () =>
        Effect.gen(function*() {
          const refusal = yield* run("msal", Refusal, { secret: "wrong" })
          assert.deepStrictEqual([refusal.error, refusal.errorNo], ["invalid_client", 7000215])
          assert.include(refusal.message, "AADSTS7000215")
        }), 60_000)
    })

    describe("@azure/identity", () => {
      it.effect("gets a token with a secret", () =>
        Effect.gen(function*() {
          const { ours, token } = yield* run("identity", Schema.Struct({ ...Token.fields, ours: Schema.String }), {
            secret
          })
          yield* assertVerifies(token, "1")
          yield* assertVerifies(ours, "1")
        }), 60_000)

      it.effect("is told that its secret is wrong", () =>
        Effect.gen(function*() {
          const refusal = yield* run("identity", Schema.Struct({ ...Refusal.fields, ours: Schema.String }), {
            secret: "wrong"
          })
          assert.deepStrictEqual([refusal.error, refusal.errorNo], ["invalid_client", 7000215])
          assert.strictEqual(refusal.ours, "secret_wrong")
          assert.include(refusal.message, "AADSTS7000215")
        }), 60_000)
    })

    describe("openid-client", () => {
      const runOpenid = <A>(output: Schema.Codec<A, unknown>, authentication: object, parameters: object = {}) =>
        Effect.gen(function*() {
          const { origin } = yield* SimulatorServer.SimulatorServer
          return yield* run("openid", output, { issuer: `${origin}/${tenant}/v2.0`, authentication, ...parameters })
        })
      const algorithms = ["PS256", "RS256", "ES256"] as const

      /** With a key that the simulator knows the daemon by. */
      const privateKeyJwt = Effect.fnUntraced(function*(algorithm: typeof algorithms[number]) {
        const { addCertificate } = yield* EntraSimulator.EntraSimulator
        const made = yield* TestCertificate.make({ algorithm: algorithm === "ES256" ? "EC" : "RSA" })
        yield* addCertificate(EntraSimulator.daemonClientId, made.certificate)
        const { raw } = new X509Certificate(made.certificate)
        return {
          authentication: {
            method: "private_key_jwt",
            algorithm,
            privateKey: Redacted.value(made.privateKey),
            header: {}
          },
          thumbprint: createHash("sha256").update(raw).digest("base64url")
        }
      })
      const lastAssertion = EntraSimulator.EntraSimulator.use(({ requests }) =>
        Effect.map(requests, (requests) => requests.at(-1)?.form["client_assertion"] ?? "")
      )

      it.effect("gets a token with client_secret_post", () =>
        Effect.gen(function*() {
          const before = Date.now()
          const { expiresOn, token } = yield* runOpenid(Token, { method: "client_secret_post", secret })
          yield* assertVerifies(token, "1")
          assert.isAtLeast(expiresOn, before + 3598_000)
          const request = (yield* (yield* EntraSimulator.EntraSimulator).requests).at(-1)
          assert.deepStrictEqual(
            Object.keys(request?.form ?? {}).sort(),
            ["client_id", "client_secret", "grant_type", "scope"]
          )
        }), 60_000)

      for (const algorithm of algorithms) {
        it.effect(
          `gets a token with private_key_jwt, ${algorithm}, once it names the certificate as Entra wants`,
          () =>
            Effect.gen(function*() {
              const { origin } = yield* SimulatorServer.SimulatorServer
              const { authentication, thumbprint } = yield* privateKeyJwt(algorithm)
              const audience = `${origin}/${tenant}/oauth2/v2.0/token`
              const scopes = ["api://orders/.default"]
              const { token } = yield* runOpenid(
                Token,
                { ...authentication, audience, header: { "x5t#S256": thumbprint } },
                { scopes }
              )
              yield* assertVerifies(token, "2", EntraSimulator.ordersAppId)
              assert.strictEqual(jose.decodeProtectedHeader(yield* lastAssertion).alg, algorithm)

              const refusal = yield* runOpenid(Refusal, { ...authentication, audience }, { scopes })
              assert.deepStrictEqual([refusal.error, refusal.errorNo], ["invalid_client", 700027])
            }),
          60_000
        )
      }

      it.effect("is told that its secret is wrong", () =>
        Effect.gen(function*() {
          const refusal = yield* runOpenid(Refusal, { method: "client_secret_post", secret: "wrong" })
          assert.deepStrictEqual([refusal.error, refusal.errorNo], ["invalid_client", 7000215])
          assert.include(refusal.message, "AADSTS7000215")
        }), 60_000)

      describe("and a realm, by the standards alone", () => {
        const atRealm = <A>(realm: string, output: Schema.Codec<A, unknown>, authentication: object) =>
          Effect.gen(function*() {
            const { origin } = yield* SimulatorServer.SimulatorServer
            return yield* runOpenid(output, authentication, { issuer: `${origin}/realms/${realm}`, scopes: ["orders"] })
          })
        const assertOfRealm = (token: string, realm: string) =>
          Effect.gen(function*() {
            const { origin } = yield* SimulatorServer.SimulatorServer
            const issuer = `${origin}/realms/${realm}`
            const jwks = yield* keysAt(`${issuer}/protocol/openid-connect/certs`)
            const { payload } = yield* Effect.promise(() => jose.jwtVerify(token, jwks, { issuer, audience: issuer }))
            assert.strictEqual(payload.sub, EntraSimulator.daemonClientId)
            assert.strictEqual(payload["scope"], "orders")
          })
        const intricate = "a secret: with+ and %41 & = ~*'()! \u00fc \u20ac"

        for (const method of ["client_secret_basic", "client_secret_post"] as const) {
          it.effect(`gets a token with ${method}`, () =>
            Effect.gen(function*() {
              const { addSecret } = yield* EntraSimulator.EntraSimulator
              yield* addSecret(EntraSimulator.daemonClientId, Redacted.make(intricate))
              const { token } = yield* atRealm("open", Token, { method, secret: intricate })
              yield* assertOfRealm(token, "open")
            }), 60_000)
        }

        for (const algorithm of algorithms) {
          it.effect(`gets a token with private_key_jwt, ${algorithm}`, () =>
            Effect.gen(function*() {
              const { origin } = yield* SimulatorServer.SimulatorServer
              const { authentication } = yield* privateKeyJwt(algorithm)
              const { token } = yield* atRealm("open", Token, authentication)
              yield* assertOfRealm(token, "open")
              const assertion = yield* lastAssertion
              assert.deepStrictEqual(jose.decodeProtectedHeader(assertion), { alg: algorithm })
              assert.strictEqual(jose.decodeJwt(assertion).aud, `${origin}/realms/open`)
            }), 60_000)
        }

        it.effect("is refused with a key that the realm does not know", () =>
          Effect.gen(function*() {
            const { privateKey } = yield* TestCertificate.make({ algorithm: "EC" })
            const refusal = yield* atRealm("open", Refusal, {
              method: "private_key_jwt",
              algorithm: "ES256",
              privateKey: Redacted.value(privateKey),
              header: {}
            })
            assert.strictEqual(refusal.error, "invalid_client")
          }), 60_000)

        it.effect("is challenged where Basic is not taken", () =>
          Effect.gen(function*() {
            const challenge = yield* atRealm("strict", Challenge, { method: "client_secret_basic", secret })
            assert.deepStrictEqual(challenge, { status: 401, challenges: ["basic"] })
            const { token } = yield* atRealm("strict", Token, { method: "client_secret_post", secret })
            yield* assertOfRealm(token, "strict")
          }), 60_000)
      })
    })
  }
)
