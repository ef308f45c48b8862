/**
 * A platform that issues tokens to its workloads, as Kubernetes, GitHub Actions and other clouds do: for tests of apps that
 * prove themselves with such a token.
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
 * A platform: the issuer that its tokens name, the keys it publishes, and its tokens.
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
 * `issuer` is a URL, and is neither changed nor completed. `algorithm` is RS256 unless told. `keyId` is the `kid` of the
 * one key; the thumbprint of the key (RFC 7638) unless told.
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
 * `audience` is `api://AzureADTokenExchange` unless told. A token is valid from now, by Effect's `Clock`, for `lifetime`, an
 * hour unless told; a negative one makes a token that has expired. `claims` are added to the token and replace what is there;
 * one that is undefined takes it away.
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
 * Makes a platform with a key of its own.
 *
 * **Gotchas**
 *
 * Tokens are signed with WebCrypto, which works outside Effect's clock: a test that moves `TestClock` issues its token
 * first.
 *
 * **Example** (An app that trusts a Kubernetes service account)
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
