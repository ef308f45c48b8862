/**
 * How an app proves who it is, for one request to one token endpoint: with a secret, a certificate, or an assertion that
 * somebody else signs.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { CredentialError, type InvalidClientError, type InvalidRequestError, quote } from "./EntraError.ts"
import { assertionClaims, assertionHeader, isCompactJwt } from "./internal/assertion.ts"
import { loadCertificate } from "./internal/certificate.ts"
import { chooseSecret } from "./internal/credentialChoice.ts"
import type { Endpoints } from "./internal/endpoints.ts"
import * as Environment from "./internal/environment.ts"
import { assertionForm, type Form, secretForm } from "./internal/form.ts"
import type { Authentication } from "./internal/identityHttp.ts"
import { randomId } from "./internal/randomId.ts"

export {
  /**
   * What a credential adds to the request: form fields (RFC 6749 section 2.3.1, RFC 7523 section 2.2), headers, or an HTTP
   * client that proves itself in the TLS handshake (RFC 8705).
   *
   * @category models
   * @since 0.1.0
   */
  type Authentication
}

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * What a credential is told about the request that it is to authenticate.
 *
 * **Details**
 *
 * `tokenEndpoint` is the URL the request goes to, `audience` what the `aud` of an assertion must be; `tenantId` and
 * `authority` are those of the effective request; `claims` is the empty string when there are none.
 *
 * @category models
 * @since 0.1.0
 */
export interface Attempt {
  readonly clientId: string
  readonly tenantId: string
  readonly authority: string
  readonly tokenEndpoint: string
  readonly audience: string
  readonly assertion: Endpoints["assertion"]
  readonly claims: string
  readonly correlationId: string
}

// -----------------------------------------------------------------------------
// services
// -----------------------------------------------------------------------------

/**
 * A client credential.
 *
 * **Details**
 *
 * - `channel`: whether it proves itself in the form (`"standard"`) or in the TLS handshake (`"mtls"`).
 * - `binding`: the token type and key that tokens are bound to, part of the cache key; undefined for bearer tokens.
 * - `revision`: changes with the material, so that a new secret is not held to the old one's refusals; never derived from
 *   a secret. It means something within one process only.
 * - `authenticate`: called once an attempt, never on a cache hit.
 * - `refused`: told when the service refused the client; true when there is new material and one more try is worth it.
 * - `expiresOn`: when the material expires, where that is known; a client warns 30 days before.
 *
 * @category services
 * @since 0.1.0
 */
export class ClientCredential extends Context.Service<ClientCredential, {
  readonly channel: "standard" | "mtls"
  readonly binding: () => { readonly tokenType: string; readonly keyId: string } | undefined
  readonly revision: () => string
  readonly authenticate: (attempt: Attempt) => Effect.Effect<Authentication, CredentialError>
  readonly refused: (error: InvalidClientError) => Effect.Effect<boolean>
  readonly expiresOn?: (() => DateTime.Utc | undefined) | undefined
}>()("effect-entra/ClientCredential") {}

// -----------------------------------------------------------------------------
// constructors
// -----------------------------------------------------------------------------

/**
 * A client secret, sent in the form.
 *
 * **When to use**
 *
 * For a first try. In production prefer a certificate: a secret is sent with every request, a key never is.
 *
 * **Example** (A credential as a value)
 *
 * ```ts
 * import assert from "node:assert"
 * import { Effect, Redacted } from "effect"
 * import { ClientCredential } from "effect-entra"
 *
 * const refused = await Effect.runPromise(Effect.flip(ClientCredential.secret(Redacted.make(""))))
 * assert.strictEqual(refused.code, "secret_empty")
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const secret = (
  secret: Redacted.Redacted<string>
): Effect.Effect<ClientCredential["Service"], CredentialError> =>
  Effect.gen(function*() {
    if (Redacted.value(secret).trim() === "") {
      return yield* new CredentialError({
        code: "secret_empty",
        field: "secret",
        origin: "local",
        message: "the client secret is empty",
        remedy: "Pass the secret's value as the portal showed it when the secret was made."
      })
    }
    return yield* inTheForm(() => Effect.succeed(secretForm(secret)))
  })

/**
 * A certificate and its private key: a fresh assertion (RFC 7523) is signed for each attempt.
 *
 * **Details**
 *
 * `certificate` is PEM, the leaf first when there is a chain; `privateKey` is unencrypted PKCS#8 PEM, RSA (PS256, or RS256
 * where AD FS wants it) or EC on P-256 (ES256). `sendCertificateChain` puts the chain into `x5c`, so that an app that
 * trusts a subject name and issuer needs no new registration when the certificate is renewed; default false. The
 * assertion lives for 600 seconds and is never used twice. Key and certificate are read, and tried against each other,
 * when this effect runs.
 *
 * **Example** (Signing with a certificate)
 *
 * ```ts
 * import assert from "node:assert"
 * import { Effect } from "effect"
 * import { ClientCredential } from "effect-entra"
 * import { TestCertificate } from "effect-entra/testing"
 *
 * const program = Effect.gen(function*() {
 *   const { certificate, privateKey } = yield* TestCertificate.make()
 *   const credential = yield* ClientCredential.certificate({ certificate, privateKey, sendCertificateChain: true })
 *   assert.strictEqual(credential.channel, "standard")
 * })
 *
 * await Effect.runPromise(program)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const certificate = (options: {
  readonly certificate: string
  readonly privateKey: Redacted.Redacted<string>
  readonly sendCertificateChain?: boolean | undefined
}): Effect.Effect<ClientCredential["Service"], CredentialError> =>
  Effect.gen(function*() {
    const clock = yield* Clock.Clock
    const newId = yield* randomId
    const loaded = yield* loadCertificate(options)
    const expiresOn = loaded.expiresOn === undefined ? undefined : DateTime.makeUnsafe(loaded.expiresOn)
    const credential = yield* inTheForm((attempt) => {
      const algorithm = loaded.rsa ? attempt.assertion.rsa : "ES256"
      const header = assertionHeader({
        algorithm,
        thumbprint: attempt.assertion.thumbprint,
        thumbprints: loaded.thumbprints,
        chain: options.sendCertificateChain === true ? loaded.chain : undefined
      })
      const claims = assertionClaims({
        audience: attempt.audience,
        clientId: attempt.clientId,
        now: clock.currentTimeMillisUnsafe(),
        id: newId()
      })
      return Effect.map(loaded.sign(header, claims), assertionForm)
    })
    return { ...credential, expiresOn: () => expiresOn }
  })

/**
 * An assertion made by someone else: a platform that federates, a vault that keeps the key.
 *
 * **Details**
 *
 * The function is called once an attempt and never on a cache hit. What it fails with becomes a `CredentialError`
 * `assertion_failed` that says which tag or class it was, not what was in it; a `CredentialError` stays as it is. An empty
 * or malformed JWT is refused before anything is sent.
 *
 * **Example** (Presenting a platform's token)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { ClientCredential } from "effect-entra"
 *
 * export const Federated = ClientCredential.layerAssertion(({ audience }) =>
 *   Effect.succeed(`header.${audience.length}.signature`)
 * )
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const assertion = <E, R>(
  make: (attempt: Attempt) => Effect.Effect<string | Redacted.Redacted<string>, E, R>
): Effect.Effect<ClientCredential["Service"], never, R> =>
  Effect.flatMap(Effect.context<R>(), (context) =>
    inTheForm((attempt) =>
      make(attempt).pipe(
        Effect.provideContext(context),
        Effect.mapError(assertionFailed),
        Effect.map((made) => Redacted.isRedacted(made) ? made : Redacted.make(made, { label: "client_assertion" })),
        Effect.flatMap((made) =>
          isCompactJwt(Redacted.value(made)) ? Effect.succeed(assertionForm(made)) : Effect.fail(assertionMalformed())
        )
      )
    ))

/**
 * The credential that the environment names: `AZURE_CLIENT_SECRET`.
 *
 * **Details**
 *
 * Credentials in files (`AZURE_CLIENT_CERTIFICATE_PATH`, `AZURE_FEDERATED_TOKEN_FILE`) need a file system, which the core
 * does not have; with those alone this fails and names `effect-entra/node`, whose `NodeClientCredential.fromConfig` reads
 * them. With those beside a secret the secret is taken, and a warning says so. Several problems are reported in one
 * `InvalidRequestError` `configuration_invalid`.
 *
 * **Example** (Reading the environment)
 *
 * ```ts
 * import assert from "node:assert"
 * import { ConfigProvider, Effect } from "effect"
 * import { ClientCredential } from "effect-entra"
 *
 * const environment = ConfigProvider.fromEnvRecord({ AZURE_CLIENT_CERTIFICATE_PATH: "/run/secrets/daemon.pem" })
 * const refused = await Effect.runPromise(
 *   Effect.flip(ClientCredential.fromConfig).pipe(Effect.provide(ConfigProvider.layer(environment)))
 * )
 * assert.strictEqual(refused.code, "credential_file")
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromConfig: Effect.Effect<ClientCredential["Service"], CredentialError | InvalidRequestError> =
  /*#__PURE__*/ Effect.suspend(() =>
    Environment.readCredential(undefined, { choose: chooseSecret, load: (material) => secret(material.secret) })
  )

// -----------------------------------------------------------------------------
// layers
// -----------------------------------------------------------------------------

/**
 * {@link secret} as a layer.
 *
 * **Gotchas**
 *
 * Two credential layers are merged like any others: the last one wins.
 *
 * **Example** (A client with a secret)
 *
 * ```ts
 * import { Redacted } from "effect"
 * import { ClientCredential } from "effect-entra"
 *
 * export const Credential = ClientCredential.layerSecret(Redacted.make("the secret's value"))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerSecret = (value: Redacted.Redacted<string>): Layer.Layer<ClientCredential, CredentialError> =>
  Layer.effect(ClientCredential, secret(value))

/**
 * {@link certificate} as a layer.
 *
 * **Example** (A client with a certificate)
 *
 * ```ts
 * import { Redacted } from "effect"
 * import { ClientCredential } from "effect-entra"
 *
 * export const Credential = ClientCredential.layerCertificate({
 *   certificate: "-----BEGIN CERTIFICATE----- ...",
 *   privateKey: Redacted.make("-----BEGIN PRIVATE KEY----- ...")
 * })
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerCertificate = (
  options: Parameters<typeof certificate>[0]
): Layer.Layer<ClientCredential, CredentialError> => Layer.effect(ClientCredential, certificate(options))

/**
 * {@link assertion} as a layer.
 *
 * **Example** (Presenting a token that the platform issues)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { ClientCredential } from "effect-entra"
 *
 * declare const tokenOfThePlatform: Effect.Effect<string, Error>
 *
 * export const federated = () => ClientCredential.layerAssertion(() => tokenOfThePlatform)
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerAssertion = <E, R>(
  make: (attempt: Attempt) => Effect.Effect<string | Redacted.Redacted<string>, E, R>
): Layer.Layer<ClientCredential, never, R> => Layer.effect(ClientCredential, assertion(make))

/**
 * {@link fromConfig} as a layer.
 *
 * **Example** (The environment's credential for another client)
 *
 * ```ts
 * import { Layer } from "effect"
 * import { ClientCredential, ConfidentialClient } from "effect-entra"
 *
 * export const Client = ConfidentialClient.layer({ clientId: "11111111-1111-1111-1111-111111111111" }).pipe(
 *   Layer.provide(ClientCredential.layerConfig)
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig: Layer.Layer<ClientCredential, CredentialError | InvalidRequestError> = /*#__PURE__*/ Layer
  .suspend(() => Layer.effect(ClientCredential, fromConfig))

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** A credential that goes into the form, whose material never changes: each instance has a revision of its own. */
const inTheForm = (
  prove: (attempt: Attempt) => Effect.Effect<Form, CredentialError>
): Effect.Effect<ClientCredential["Service"]> =>
  Effect.map(randomId, (newId) => {
    const revision = newId()
    return ClientCredential.of({
      channel: "standard",
      binding: () => undefined,
      revision: () => revision,
      authenticate: (attempt) => Effect.map(prove(attempt), (form) => ({ form })),
      refused: () => Effect.succeed(false)
    })
  })

const assertionFailed = (error: unknown): CredentialError =>
  error instanceof CredentialError ? error : new CredentialError({
    code: "assertion_failed",
    field: "assertion",
    origin: "local",
    message: `the function that makes the assertion failed with ${quote(nameOf(error))}`,
    remedy: "Look at that function: nothing was sent to the service."
  })

/** What kind of error it was; its text may hold what must not be seen. */
const nameOf = (error: unknown): string =>
  typeof error === "object" && error !== null
    ? "_tag" in error && typeof error._tag === "string" ? error._tag : error instanceof Error ? error.name : "an object"
    : `a ${typeof error}`

const assertionMalformed = () =>
  new CredentialError({
    code: "assertion_malformed",
    field: "assertion",
    origin: "local",
    message: "the assertion is empty or is no signed JWT in compact form (RFC 7515 section 3.1)",
    remedy: "Return the JWT itself: three parts in base64url, separated by dots, without a prefix or white space."
  })
