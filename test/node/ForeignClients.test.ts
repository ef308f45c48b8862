import { assert, describe, layer } from "@effect/vitest"
import { Effect, Redacted, Schema } from "effect"
import { SimulatorServer } from "effect-entra/node"
import { EntraSimulator, TestCertificate } from "effect-entra/testing"
import { HttpClient } from "effect/http"
import * as jose from "jose"
import { createHash, X509Certificate } from "node:crypto"
import { runForeign } from "./child.ts"

const Token = Schema.Struct({ token: Schema.String, expiresOn: Schema.Finite, tokenType: Schema.Literal("Bearer") })
const Refusal = Schema.Struct({ error: Schema.String, errorNo: Schema.Finite, message: Schema.String })

const tenant = EntraSimulator.contosoTenantId
const secret = Redacted.value(EntraSimulator.daemonSecret)

const run = <A>(script: "msal" | "identity", output: Schema.Codec<A, unknown>, parameters: object) =>
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

/** Verifies a token with the keys the simulator publishes. */
const assertVerifies = (token: string, azpacr: "1" | "2", audience = EntraSimulator.graphResource) =>
  Effect.gen(function*() {
    const { origin } = yield* SimulatorServer.SimulatorServer
    const response = yield* HttpClient.get(`${origin}/${tenant}/discovery/v2.0/keys`)
    const { keys } = yield* Schema.decodeUnknownEffect(Schema.Struct({
      keys: Schema.Array(
        Schema.Struct({ kty: Schema.Literal("RSA"), kid: Schema.String, n: Schema.String, e: Schema.String })
      )
    }))(yield* response.json)
    const jwks = jose.createLocalJWKSet({ keys: [...keys] })
    const { payload } = yield* Effect.promise(() =>
      jose.jwtVerify(token, jwks, { issuer: `${origin}/${tenant}/v2.0`, audience, algorithms: ["RS256"] })
    )
    assert.strictEqual(payload["tid"], tenant)
    assert.strictEqual(payload["azpacr"], azpacr)
  }).pipe(Effect.provide(SimulatorServer.layerHttpClient))

layer(SimulatorServer.layerHttps(), { excludeTestServices: true, timeout: "60 seconds" })("foreign clients", (it) => {
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
        const { token } = yield* run("identity", Token, { secret })
        yield* assertVerifies(token, "1")
      }), 60_000)

    it.effect("is told that its secret is wrong", () =>
      Effect.gen(function*() {
        const refusal = yield* run("identity", Refusal, { secret: "wrong" })
        assert.deepStrictEqual([refusal.error, refusal.errorNo], ["invalid_client", 7000215])
        assert.include(refusal.message, "AADSTS7000215")
      }), 60_000)
  })
})
