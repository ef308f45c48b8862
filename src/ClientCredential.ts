/**
 * How an app proves who it is, for one request to one token endpoint: with a secret, a certificate, or an assertion that
 * somebody else signs.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { type CredentialError, type InvalidRequestError } from "./EntraError.ts"
import { type Algorithm, isCompactJwt } from "./internal/credential/clientAssertion.ts"
import type { Acquisition, Attempt, Authentication, ClientAuthentication } from "./internal/credential/credential.ts"
import * as CredentialSource from "./internal/credential/credentialSource.ts"
import * as FirstOf from "./internal/credential/firstOf.ts"
import { secrets } from "./internal/credential/secret.ts"
import { certificates, keys } from "./internal/credential/signedAssertion.ts"
import { assertionForm } from "./internal/endpoint/tokenForm.ts"
import * as Environment from "./internal/environment/environment.ts"
import { chooseSecret } from "./internal/environment/environmentCredential.ts"
import type { Fields } from "./internal/http/fields.ts"
import { credentialError } from "./internal/shared/errors.ts"
import { randomId } from "./internal/shared/randomId.ts"

export {
  /**
   * One acquisition: the client, the tenant, the scope, the claims, and the correlation id of its requests.
   *
   * **Details**
   *
   * `authority` is the effective one, with the tenant of the request. `claims` is the empty string when there are none.
   * `sendCertificateChain` is undefined when the request leaves it to the credential.
   *
   * @category models
   * @since 0.1.0
   */
  type Acquisition,
  /**
   * One request of an acquisition, to one token endpoint.
   *
   * **Details**
   *
   * `tokenEndpoint` is the URL of the request, `audience` the `aud` of an assertion. `secretMethod` says where a secret
   * goes (OpenID Connect Core section 9); default: into the form.
   *
   * @category models
   * @since 0.1.0
   */
  type Attempt,
  /**
   * The additions of a credential to a request: form fields (RFC 6749 section 2.3.1, RFC 7523 section 2.2), headers, or an
   * HTTP client that authenticates in the TLS handshake (RFC 8705).
   *
   * @category models
   * @since 0.1.0
   */
  type Authentication,
  /**
   * The client authentication of one acquisition (RFC 6749 section 2.3).
   *
   * **Details**
   *
   * - `revision`: names the material of the last attempt, or before the first attempt the material in use. It changes with
   *   the material, so that a new secret is not held to the refusals of the old one, and is never derived from a secret. It
   *   has a meaning within one process only, and is empty before any material was loaded.
   * - `authenticate`: runs once per attempt, never on a cache hit.
   * - `refused`: runs when the service refused the client; returns true when there is other material and one more try is
   *   worth it.
   *
   * @category models
   * @since 0.1.0
   */
  type ClientAuthentication
}

export {
  /**
   * How an assertion is signed: RSA-PSS, RSA with PKCS#1 v1.5, or ECDSA on P-256, each with SHA-256.
   *
   * @category models
   * @since 0.1.0
   */
  type Algorithm
}

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * The source of a credential's material: a value, several values with the newest first, or an effect that loads either.
 *
 * @category models
 * @since 0.1.0
 */
export type Source<A, E = never, R = never> =
  | A
  | ReadonlyArray<A>
  | Effect.Effect<A | ReadonlyArray<A>, E, R>

/**
 * Options of a source. `reloadEvery` is how often an effect runs again without need; default: never.
 *
 * @category models
 * @since 0.1.0
 */
export interface SourceOptions {
  readonly reloadEvery?: Duration.Input | undefined
}

/**
 * A certificate, and its key or what signs with it.
 *
 * **Details**
 *
 * - `certificate`: PEM, the leaf first when there is a chain.
 * - `privateKey`: unencrypted PKCS#8 PEM, RSA with 2048 bits or more, or EC on P-256.
 * - `sign`: instead of a key, a function that signs bytes with one that is kept elsewhere (a vault, an HSM); ES256
 *   signatures are 64 bytes, as JOSE has them.
 * - `sendCertificateChain`: puts the chain into `x5c`, so that an app that trusts a subject name and issuer needs no new
 *   registration when the certificate is renewed; default false, and a request may say otherwise.
 * - `assertionClaims`: claims for the assertion, any JSON. `mergeWithDefaultClaims` (default true) adds them to the usual
 *   ones, before which they go (all but `jti`, which is each assertion's own); without it they replace them all, and you
 *   answer for `aud`, `iss`, `sub`, `exp` and `jti`.
 * - `algorithm`: default: what the authority wants of RSA keys (PS256, or RS256 for AD FS), ES256 of EC keys.
 * - `keyId`: the header's `kid`; default: none, the thumbprint names the certificate.
 *
 * @category models
 * @since 0.1.0
 */
export type CertificateOptions =
  & {
    readonly certificate: string
    readonly sendCertificateChain?: boolean | undefined
    readonly assertionClaims?: Readonly<Record<string, unknown>> | undefined
    readonly mergeWithDefaultClaims?: boolean | undefined
    readonly algorithm?: Algorithm | undefined
    readonly keyId?: string | undefined
  }
  & (
    | { readonly privateKey: Redacted.Redacted<string>; readonly sign?: undefined }
    | {
      readonly sign: (
        input: Uint8Array,
        options: { readonly algorithm: Algorithm }
      ) => Effect.Effect<Uint8Array, unknown>
      readonly privateKey?: undefined
    }
  )

/**
 * A private key, the name by which the provider knows it (`kid`), and how it signs.
 *
 * @category models
 * @since 0.1.0
 */
export interface PrivateKeyOptions {
  readonly privateKey: Redacted.Redacted<string>
  readonly keyId?: string | undefined
  readonly algorithm?: Algorithm | undefined
}

/**
 * A signed JWT in compact form.
 *
 * @category models
 * @since 0.1.0
 */
export type Assertion = string | Redacted.Redacted<string>

// -----------------------------------------------------------------------------
// services
// -----------------------------------------------------------------------------

/**
 * A client credential.
 *
 * **Details**
 *
 * - `channel`: `"standard"` when it authenticates in the request, `"mtls"` when it authenticates in the TLS handshake.
 * - `binding`: the token type and the key that tokens are bound to, part of the cache key; undefined for bearer tokens.
 * - `begin`: starts the client authentication of one acquisition.
 * - `expiresOn`: when the material expires, where that is known; a client warns 30 days before.
 *
 * @category services
 * @since 0.1.0
 */
export class ClientCredential extends Context.Service<ClientCredential, {
  readonly channel: "standard" | "mtls"
  readonly binding: () => { readonly tokenType: string; readonly keyId: string } | undefined
  readonly begin: (acquisition: Acquisition) => ClientAuthentication
  readonly expiresOn?: (() => DateTime.Utc | undefined) | undefined
}>()("effect-entra/ClientCredential") {}

// -----------------------------------------------------------------------------
// constructors
// -----------------------------------------------------------------------------

/**
 * A client secret: a value, several during a rotation, or an effect that fetches them.
 *
 * **When to use**
 *
 * For a first try. In production prefer a certificate: a secret is sent with every request, a key never is.
 *
 * **Details**
 *
 * Of a list the newest comes first; the next is tried when the service answers that one is wrong (AADSTS7000215) or expired
 * (7000222). An effect is run when the credential is first needed, when the service has refused all it knows, once an
 * acquisition, and every `reloadEvery` (default: never). What it fails with becomes a `CredentialError` `source_failed` that
 * says which tag or class it was. While it fails the secrets in hand stay in use. A secret goes into the form, or into a
 * header where the authority wants HTTP Basic authentication.
 *
 * **Example** (Fetching the secret from a store)
 *
 * ```ts
 * import assert from "node:assert"
 * import { Effect, Redacted } from "effect"
 * import { ClientCredential } from "effect-entra"
 *
 * const fromVault = Effect.succeed([Redacted.make("the new secret's value"), Redacted.make("the old one's")])
 * export const Credential = ClientCredential.layerSecret(fromVault, { reloadEvery: "1 hour" })
 *
 * const refused = await Effect.runPromise(Effect.flip(ClientCredential.secret(Redacted.make(""))))
 * assert.strictEqual(refused.code, "secret_empty")
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const secret = <E = never, R = never>(
  source: Source<Redacted.Redacted<string>, E, R>,
  options?: SourceOptions
): Effect.Effect<ClientCredential["Service"], CredentialError, R> =>
  fromSource(source, "secret", () => Effect.succeed(secrets), options)

/**
 * A certificate and its private key: a fresh assertion (RFC 7523) is signed for each attempt.
 *
 * **Details**
 *
 * The certificate may be one, several during a rotation (the newest first), or an effect that fetches them; see
 * {@link secret} for when it is run and what its failures become. Each is checked when it is loaded: it can be read, it is
 * valid now, its key is the key of it, of a kind that is supported and long enough. Of several, those that are not valid now
 * are passed over. The next is tried when the service does not know a key (AADSTS700027) or its times (700024). The
 * assertion lives for 600 seconds and is never used twice.
 *
 * **Gotchas**
 *
 * An external signer is not called when the certificate is loaded. Its first signature is verified against the certificate,
 * and is `signer_mismatch` when it does not fit.
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
 *
 *   // The key stays in a vault, which signs.
 *   class VaultError extends Error {}
 *   const vault = (_digest: Uint8Array) => Effect.fail(new VaultError("no network"))
 *   yield* ClientCredential.certificate({ certificate, sign: (input, { algorithm }) => {
 *     assert.strictEqual(algorithm, "PS256")
 *     return vault(input)
 *   } })
 * })
 *
 * await Effect.runPromise(program)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const certificate = <E = never, R = never>(
  source: Source<CertificateOptions, E, R>,
  options?: SourceOptions
): Effect.Effect<ClientCredential["Service"], CredentialError, R> =>
  fromSource(source, "certificate", () => certificates, options)

/**
 * A private key without a certificate (`private_key_jwt`, OpenID Connect Core section 9): the provider knows the public key
 * by its `kid`, or has only one.
 *
 * **When to use**
 *
 * With providers other than Entra, which wants a certificate.
 *
 * **Details**
 *
 * `privateKey` is unencrypted PKCS#8 PEM, RSA with 2048 bits or more, or EC on P-256. Sources are those of {@link secret}.
 *
 * **Example** (A key that the provider knows by its name)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { ClientCredential } from "effect-entra"
 * import { TestCertificate } from "effect-entra/testing"
 *
 * const program = Effect.gen(function*() {
 *   const { privateKey } = yield* TestCertificate.make({ algorithm: "EC" })
 *   return yield* ClientCredential.privateKeyJwt({ privateKey, keyId: "2026-11", algorithm: "ES256" })
 * })
 *
 * await Effect.runPromise(program)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const privateKeyJwt = <E = never, R = never>(
  source: Source<PrivateKeyOptions, E, R>,
  options?: SourceOptions
): Effect.Effect<ClientCredential["Service"], CredentialError, R> =>
  fromSource(source, "privateKey", () => keys, options)

/**
 * An assertion made by someone else: a platform that federates, a vault that keeps the key.
 *
 * **Details**
 *
 * A function is called once an attempt and never on a cache hit. What it fails with becomes a `CredentialError`
 * `assertion_failed` that says which tag or class it was, not what was in it; a `CredentialError` stays as it is. An empty
 * or malformed JWT is refused before anything is sent. A string is one assertion for all attempts, as long as it lives.
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
 * export const Once = ClientCredential.layerAssertion("header.payload.signature")
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const assertion = <E = never, R = never>(
  make: Assertion | ((attempt: Attempt) => Effect.Effect<Assertion, E, R>)
): Effect.Effect<ClientCredential["Service"], never, R> =>
  Effect.flatMap(
    Effect.context<R>(),
    (context) =>
      inTheForm((attempt) =>
        Effect.suspend(() => typeof make === "function" ? make(attempt) : Effect.succeed(make)).pipe(
          Effect.provideContext(context),
          Effect.mapError(assertionFailed),
          Effect.map((made) => Redacted.isRedacted(made) ? made : Redacted.make(made, { label: "client_assertion" })),
          Effect.flatMap((made) =>
            isCompactJwt(Redacted.value(made)) ? Effect.succeed(assertionForm(made)) : Effect.fail(assertionMalformed())
          )
        )
      )
  )

/**
 * The first of several credentials that works.
 *
 * **When to use**
 *
 * For a program that proves itself in other ways on a developer's machine than in the cloud.
 *
 * **Details**
 *
 * They are tried in order: one that cannot be made, loaded or used is passed over, and so is one that the service refuses
 * for a reason that another can mend, or that takes longer than 4 seconds while there are others. The one that worked is used until it fails; then the list is tried from the top. When
 * all fail there is one `CredentialError` `credentials_exhausted` with every reason in order. One that proves itself over
 * another channel than the one in use is passed over.
 *
 * **Example** (A certificate, else a secret)
 *
 * ```ts
 * import assert from "node:assert"
 * import { Effect, Redacted } from "effect"
 * import { ClientCredential } from "effect-entra"
 *
 * const absent = ClientCredential.certificate({ certificate: "", privateKey: Redacted.make("") })
 * const secret = ClientCredential.secret(Redacted.make("the secret's value"))
 * const credential = await Effect.runPromise(ClientCredential.firstOf([absent, secret]))
 * assert.strictEqual(credential.channel, "standard")
 *
 * const refused = await Effect.runPromise(Effect.flip(ClientCredential.firstOf([absent])))
 * assert.strictEqual(refused.code, "credentials_exhausted")
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const firstOf = <R = never>(
  credentials: ReadonlyArray<
    Effect.Effect<ClientCredential["Service"], CredentialError | InvalidRequestError, R>
  >
): Effect.Effect<ClientCredential["Service"], CredentialError, R> =>
  Effect.flatMap(Effect.context<R>(), (context) => FirstOf.make(credentials.map(Effect.provideContext(context))))

/**
 * The credential that the environment names: `AZURE_CLIENT_SECRET`.
 *
 * **Details**
 *
 * Credentials in files (`AZURE_CLIENT_CERTIFICATE_PATH`, `AZURE_FEDERATED_TOKEN_FILE`) need a file system, which the core
 * does not have; with those alone this fails and names `effect-entra/node`, whose `NodeClientCredential.fromEnv` reads
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
 *   Effect.flip(ClientCredential.fromEnv).pipe(Effect.provide(ConfigProvider.layer(environment)))
 * )
 * assert.strictEqual(refused.code, "credential_file")
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromEnv: Effect.Effect<ClientCredential["Service"], CredentialError | InvalidRequestError> =
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
export const layerSecret = <E = never, R = never>(
  source: Source<Redacted.Redacted<string>, E, R>,
  options?: SourceOptions
): Layer.Layer<ClientCredential, CredentialError, R> => Layer.effect(ClientCredential, secret(source, options))

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
export const layerCertificate = <E = never, R = never>(
  source: Source<CertificateOptions, E, R>,
  options?: SourceOptions
): Layer.Layer<ClientCredential, CredentialError, R> => Layer.effect(ClientCredential, certificate(source, options))

/**
 * {@link privateKeyJwt} as a layer.
 *
 * **Example** (A client of another provider)
 *
 * ```ts
 * import { Redacted } from "effect"
 * import { ClientCredential } from "effect-entra"
 *
 * export const Credential = ClientCredential.layerPrivateKeyJwt({
 *   privateKey: Redacted.make("-----BEGIN PRIVATE KEY----- ..."),
 *   keyId: "2026-11"
 * })
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerPrivateKeyJwt = <E = never, R = never>(
  source: Source<PrivateKeyOptions, E, R>,
  options?: SourceOptions
): Layer.Layer<ClientCredential, CredentialError, R> => Layer.effect(ClientCredential, privateKeyJwt(source, options))

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
export const layerAssertion = <E = never, R = never>(
  make: Assertion | ((attempt: Attempt) => Effect.Effect<Assertion, E, R>)
): Layer.Layer<ClientCredential, never, R> => Layer.effect(ClientCredential, assertion(make))

/**
 * {@link firstOf} as a layer.
 *
 * **Example** (The platform's token, else a secret)
 *
 * ```ts
 * import { Effect, Redacted } from "effect"
 * import { ClientCredential } from "effect-entra"
 *
 * declare const tokenOfThePlatform: Effect.Effect<string, Error>
 *
 * export const credential = () =>
 *   ClientCredential.layerFirstOf([
 *     ClientCredential.assertion(() => tokenOfThePlatform),
 *     ClientCredential.secret(Redacted.make("the secret's value"))
 *   ])
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerFirstOf = <R = never>(
  credentials: Parameters<typeof firstOf<R>>[0]
): Layer.Layer<ClientCredential, CredentialError, R> => Layer.effect(ClientCredential, firstOf(credentials))

/**
 * {@link fromEnv} as a layer.
 *
 * **Example** (The environment's credential for another client)
 *
 * ```ts
 * import { Layer } from "effect"
 * import { ClientCredential, ConfidentialClient } from "effect-entra"
 *
 * export const Client = ConfidentialClient.layer({ clientId: "11111111-1111-1111-1111-111111111111" }).pipe(
 *   Layer.provide(ClientCredential.layerFromEnv)
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerFromEnv: Layer.Layer<ClientCredential, CredentialError | InvalidRequestError> = /*#__PURE__*/ Layer
  .suspend(() => Layer.effect(ClientCredential, fromEnv))

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const fromSource = <A, M, E, R>(
  source: Source<A, E, R>,
  field: string,
  kind: () => Effect.Effect<CredentialSource.MaterialKind<A, M>>,
  options: SourceOptions | undefined
): Effect.Effect<ClientCredential["Service"], CredentialError, R> =>
  Effect.flatMap(Effect.suspend(kind), (kind) =>
    isLoaded(source)
      ? CredentialSource.fromEffect(source, field, kind, options)
      : CredentialSource.fromValue(source, kind, options))

const isLoaded = <A, E, R>(source: Source<A, E, R>): source is Effect.Effect<A | ReadonlyArray<A>, E, R> =>
  Effect.isEffect(source)

/** A credential that goes into the form, whose material never changes: each instance has a revision of its own. */
const inTheForm = (
  prove: (attempt: Attempt) => Effect.Effect<Fields, CredentialError>
): Effect.Effect<ClientCredential["Service"]> =>
  Effect.map(randomId, (newId) => {
    const revision = newId()
    return ClientCredential.of({
      channel: "standard",
      binding: () => undefined,
      begin: () => ({
        revision: () => revision,
        authenticate: (attempt) => Effect.map(prove(attempt), (form) => ({ form })),
        refused: () => Effect.succeed(false)
      })
    })
  })

const assertionFailed = (error: unknown): CredentialError =>
  CredentialSource.foreignError(error, {
    code: "assertion_failed",
    field: "assertion",
    what: "the function that makes the assertion",
    remedy: "Look at that function: nothing was sent to the service."
  })

const assertionMalformed = () =>
  credentialError(
    "assertion_malformed",
    "assertion",
    "the assertion is empty or is no signed JWT in compact form (RFC 7515 section 3.1)",
    "Return the JWT itself: three parts in base64url, separated by dots, without a prefix or white space."
  )
