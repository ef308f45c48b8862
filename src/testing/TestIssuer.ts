/**
 * A platform that issues tokens to its workloads, such as Kubernetes, GitHub Actions or another cloud, for tests of apps that
 * authenticate with a federated credential.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as jose from "jose"

// -----------------------------------------------------------------------------
// Models
// -----------------------------------------------------------------------------

/**
 * A platform.
 *
 * **Details**
 *
 * - `issuer`: the `iss` of the tokens.
 * - `jwks`: the published keys.
 * - `issue`: issues a token.
 *
 * @category models
 * @since 0.1.0
 */
export interface TestIssuer {
  readonly issuer: string
  readonly jwks: jose.JSONWebKeySet
  readonly issue: (options: TokenOptions) => Effect.Effect<Redacted.Redacted>
}

/**
 * Options of a platform.
 *
 * **Details**
 *
 * - `issuer`: the URL for `iss`, used without changes.
 * - `algorithm`: the signature algorithm; default: `"RS256"`.
 * - `keyId`: the `kid` of the key; default: the thumbprint of the key (RFC 7638).
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  readonly issuer: string
  readonly algorithm?: "RS256" | "ES256" | undefined
  readonly keyId?: string | undefined
}

/**
 * Options of one token.
 *
 * **Details**
 *
 * - `subject`: the `sub` of the token.
 * - `audience`: the `aud` of the token; default: `api://AzureADTokenExchange`.
 * - `lifetime`: the lifetime from now, by Effect's `Clock`; default: 1 hour. With a negative value the token has expired.
 * - `claims`: further claims, which override the claims of the token. A claim with the value undefined is removed.
 *
 * @category options
 * @since 0.1.0
 */
export interface TokenOptions {
  readonly subject: string
  readonly audience?: string | ReadonlyArray<string> | undefined
  readonly lifetime?: Duration.Input | undefined
  readonly claims?: Readonly<Record<string, unknown>> | undefined
}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * Creates a platform with a new key.
 *
 * **Gotchas**
 *
 * Tokens are signed with WebCrypto, which does not use Effect's `Clock`. A test with `TestClock` must issue its tokens before
 * it adjusts the clock.
 *
 * **Example** (Trusting a Kubernetes service account)
 *
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { AuthorityResolver, ClientCredential, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
 * import { EntraSimulator, TestIssuer } from "effect-entra/testing"
 * import assert from "node:assert"
 *
 * const { contosoTenantId: tenantId, daemonClientId: clientId } = EntraSimulator
 * const subject = "system:serviceaccount:orders:my-daemon"
 *
 * const World = Layer.unwrap(Effect.gen(function*() {
 *   const cluster = yield* TestIssuer.make({ issuer: "https://oidc.cluster.example/1234/" })
 *   return ConfidentialClient.layer({ clientId, tenantId }).pipe(
 *     Layer.provide([
 *       ClientCredential.layerAssertion(() => cluster.issue({ subject })),
 *       AuthorityResolver.layer,
 *       TokenEndpoint.layer,
 *       TokenCache.layerMemory()
 *     ]),
 *     Layer.provide(EntraSimulator.layerMemory({
 *       issuers: [cluster],
 *       apps: [{ clientId, federatedCredentials: [{ issuer: cluster.issuer, subject }] }]
 *     }))
 *   )
 * }))
 *
 * const program = ConfidentialClient.acquireToken({ scopes: "https://graph.microsoft.com/.default" })
 * const { metadata } = await Effect.runPromise(Effect.provide(program, World))
 * assert.equal(metadata.tokenSource, "IdentityProvider")
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = ({ algorithm = "RS256", issuer, keyId }: Options): Effect.Effect<TestIssuer> =>
  Effect.promise(async () => {
    const { privateKey, publicKey } = await jose.generateKeyPair(algorithm)
    const jwk = await jose.exportJWK(publicKey)
    const kid = keyId ?? (await jose.calculateJwkThumbprint(jwk))
    return {
      issuer,
      jwks: { keys: [{ ...jwk, kid, use: "sig", alg: algorithm }] },
      issue: ({ audience = "api://AzureADTokenExchange", claims, lifetime = "1 hour", subject }) =>
        Effect.flatMap(Clock.currentTimeMillis, (millis) => {
          const now = Math.floor(millis / 1000)
          const payload = {
            iss: issuer,
            sub: subject,
            aud: typeof audience === "string" ? audience : [...audience],
            iat: now,
            nbf: now,
            exp: now + Math.floor(Duration.toSeconds(lifetime)),
            jti: globalThis.crypto.randomUUID(),
            ...claims
          }
          const signed = new jose.SignJWT(payload).setProtectedHeader({ alg: algorithm, typ: "JWT", kid })
          return Effect.promise(async () => Redacted.make(await signed.sign(privateKey), { label: "platform token" }))
        })
    }
  })
