/**
 * The credential of an app, which authenticates the client in token requests (RFC 6749 section 2.3): a secret, a
 * certificate, a private key, or an assertion that another system signs.
 *
 * `Authentication` is unstable, because its type names the `HttpClient` of `effect/http`, which Effect tags as
 * unstable.
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
import { type Algorithm, assertionForm, isCompactJwt } from "./internal/credential/clientAssertion.ts"
import type { Acquisition, Attempt, Authentication, ClientAuthentication } from "./internal/credential/credential.ts"
import * as CredentialSource from "./internal/credential/credentialSource.ts"
import * as FirstOf from "./internal/credential/firstOf.ts"
import { type SecretMethod, secrets } from "./internal/credential/secret.ts"
import { certificates, keys } from "./internal/credential/signedAssertion.ts"
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
   * - `clientId`, `tenantId`, `scope`: the client, the tenant and the scopes of the token request.
   * - `authority`: the URL of the authority, with the tenant of the request.
   * - `claims`: the claims of the request; the empty string when there are no claims.
   * - `clientCapabilities`: those of the client and of the request.
   * - `sendCertificateChain`: the field of the request; undefined when the credential decides.
   * - `correlationId`: the correlation id of the token requests.
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
   * - `tokenEndpoint`: the URL of the request.
   * - `audience`: the claim `aud` of an assertion.
   * - `assertion`: the requirements of the authority for an assertion.
   * - `secretMethod`: how a secret is sent (OpenID Connect Core 1.0 section 9); default: in the form.
   *
   * @category models
   * @since 0.1.0
   */
  type Attempt,
  /**
   * The additions of a credential to a request: form fields (RFC 6749 section 2.3.1, RFC 7523 section 2.2), headers, or
   * an HTTP client that authenticates in the TLS handshake (RFC 8705).
   *
   * @stability unstable
   * @category models
   * @since 0.1.0
   */
  type Authentication,
  /**
   * The client authentication of one acquisition (RFC 6749 section 2.3).
   *
   * **Details**
   *
   * - `revision`: returns a name for the material (secret, key or token) of the last attempt; before the first attempt,
   *   for the material in use. It changes with the material, so that the remembered refusals of an old secret do not
   *   concern a new secret. It is never derived from a secret, is valid in this process only, and is empty before any
   *   material was loaded.
   * - `authenticate`: returns the additions to one token request. It runs once per attempt, and not for cache hits.
   * - `refused`: runs when the service refused the client. Returns true when there is other material for one more try.
   *
   * @category models
   * @since 0.1.0
   */
  type ClientAuthentication
}

export {
  /**
   * How a secret is sent (OpenID Connect Core 1.0 section 9): in a header with HTTP Basic authentication, or in the
   * form.
   *
   * @category models
   * @since 0.1.0
   */
  type SecretMethod
}

export {
  /**
   * The algorithm that signs an assertion (RFC 7518 section 3.1), always with SHA-256: RSA-PSS (`PS256`), RSA with
   * PKCS#1 v1.5 (`RS256`), or ECDSA on P-256 (`ES256`).
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
 * The source of a credential's material: a value, an array of values with the newest first, or an effect that loads one
 * of these.
 *
 * @category models
 * @since 0.1.0
 */
export type Source<A, E = never, R = never> =
  | A
  | ReadonlyArray<A>
  | Effect.Effect<A | ReadonlyArray<A>, E, R>

/**
 * Options of a source.
 *
 * **Details**
 *
 * `reloadEvery` is the time after which a source that is an effect runs again; default: never. It also runs again when
 * the service has refused all of its material.
 *
 * @category models
 * @since 0.1.0
 */
export interface SourceOptions {
  readonly reloadEvery?: Duration.Input | undefined
}

/**
 * Options of a secret.
 *
 * **Details**
 *
 * - `reloadEvery`: see {@link SourceOptions}.
 * - `method`: how the secret is sent: in a header (`"client_secret_basic"`) or in the form (`"client_secret_post"`);
 *   default: in the form, unless the discovery document of an issuer lists only `client_secret_basic`.
 *
 * @category models
 * @since 0.1.0
 */
export interface SecretOptions extends SourceOptions {
  readonly method?: SecretMethod | undefined
}

/**
 * A certificate with its private key, or with a function that signs.
 *
 * **Details**
 *
 * - `certificate`: PEM. In a chain the certificate of the app comes first. Here and in `privateKey` line breaks may be
 *   lost, changed or written as `\n`, and the whole text may be in quotes or in base64.
 * - `privateKey`: unencrypted PKCS#8 in PEM (RFC 5958): RSA with 2,048 bits or more, or EC on P-256.
 * - `sign`: instead of `privateKey`, a function that signs bytes with a key in a vault or an HSM. An ES256 signature
 *   has 64 bytes (RFC 7518 section 3.4).
 * - `sendCertificateChain`: true sends the chain in the header `x5c` (RFC 7515 section 4.1.6). An app that trusts a
 *   subject name and issuer then accepts a new certificate without registration; default: false. A request can override
 *   it.
 * - `audience`: the claim `aud` of the assertion, or `"tokenEndpoint"` for the URL of the token endpoint; default: the
 *   issuer for an issuer that is not Microsoft's, otherwise the URL of the token endpoint.
 * - `assertionClaims`: additional claims of the assertion, as JSON.
 * - `mergeWithDefaultClaims`: true adds `assertionClaims` to the default claims and overrides claims of the same name;
 *   `jti` is not allowed then. False replaces all default claims, so `assertionClaims` must contain `aud`, `iss`,
 *   `sub`, `exp` and `jti`; default: true.
 * - `algorithm`: signs the assertion; default: for RSA keys the algorithm of the authority (PS256; RS256 for AD FS and
 *   most issuers), for EC keys ES256.
 * - `keyId`: the header `kid`; default: no `kid`, because the thumbprint identifies the certificate.
 *
 * @category models
 * @since 0.1.0
 */
export type CertificateOptions =
  & {
    readonly certificate: string
    readonly sendCertificateChain?: boolean | undefined
    readonly audience?: string | undefined
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
 * A private key without a certificate.
 *
 * **Details**
 *
 * - `privateKey`: unencrypted PKCS#8 in PEM: RSA with 2,048 bits or more, or EC on P-256.
 * - `keyId`: the header `kid`, by which the provider identifies the public key; default: no `kid`.
 * - `algorithm`: signs the assertion; default: for RSA keys the algorithm of the authority, for EC keys ES256.
 * - `audience`: the claim `aud` of the assertion, or `"tokenEndpoint"` for the URL of the token endpoint; default: the
 *   issuer for an issuer that is not Microsoft's, otherwise the URL of the token endpoint.
 *
 * @category models
 * @since 0.1.0
 */
export interface PrivateKeyOptions {
  readonly privateKey: Redacted.Redacted<string>
  readonly keyId?: string | undefined
  readonly algorithm?: Algorithm | undefined
  readonly audience?: string | undefined
}

/**
 * A signed JWT in compact form (RFC 7515 section 3.1).
 *
 * @category models
 * @since 0.1.0
 */
export type Assertion = string | Redacted.Redacted<string>

// -----------------------------------------------------------------------------
// services
// -----------------------------------------------------------------------------

/**
 * The credential of an app.
 *
 * **Details**
 *
 * - `channel`: `"standard"` when it authenticates in the request, `"mtls"` when it authenticates in the TLS handshake.
 * - `binding`: returns the token type and the key that tokens are bound to, which are part of the cache key; undefined
 *   for bearer tokens.
 * - `begin`: starts the client authentication of one acquisition.
 * - `expiresOn`: returns the time at which the material expires; undefined when that is unknown. A client logs a
 *   warning from 30 days before, at most once a day.
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
 * Creates a credential from a client secret (RFC 6749 section 2.3.1): a value, several values during a rotation, or an
 * effect that loads them.
 *
 * **When to use**
 *
 * For a first try. In production prefer a certificate: a secret is sent with every token request, a private key is
 * never sent.
 *
 * **Details**
 *
 * - The newest secret of an array comes first. The next secret is tried when the service refuses a secret as wrong
 *   (AADSTS7000215) or expired (AADSTS7000222). An array has at most 8 entries (`source_too_long`).
 * - An effect runs when the credential is first used, after each `reloadEvery`, and when the service has refused all
 *   secrets. If it fails, the loaded secrets stay in use. Without loaded secrets the acquisition fails with
 *   `source_failed`, which contains only the tag or class of the error.
 * - A value is checked at once; it fails with `secret_empty` or `secret_malformed`. A text that is certainly no secret
 *   is malformed: with a line break at its end, in quotes, a placeholder, or a reference that no platform replaced,
 *   such as `@Microsoft.KeyVault(...)` or `$(NAME)`.
 * - The secret is sent in the form, or in a header when an issuer requires HTTP Basic authentication. The option
 *   `method` decides otherwise.
 *
 * **Example** (Fetching the secret from a store)
 *
 * ```ts
 * import assert from "node:assert"
 * import { Effect, Redacted } from "effect"
 * import { ClientCredential } from "effect-entra"
 *
 * const fromVault = Effect.succeed([Redacted.make("the new secret's value"), Redacted.make("the old secret's value")])
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
  options?: SecretOptions
): Effect.Effect<ClientCredential["Service"], CredentialError, R> =>
  fromSource(source, "secret", () => secrets(options?.method), options)

/**
 * Creates a credential from a certificate and its private key. It signs a new assertion for each attempt (RFC 7523
 * section 2.2).
 *
 * **Details**
 *
 * - The source is a certificate, several certificates during a rotation with the newest first, or an effect that loads
 *   them; the rules for effects are those of {@link secret}.
 * - A certificate is checked when it is loaded: it must be readable and valid now, and its key must belong to it, be
 *   supported and be long enough. Several certificates are loaded without those that are not valid now. If no
 *   certificate is valid, one whose validity begins within 5 minutes is used with a warning, because the clock of this
 *   machine may be slow.
 * - The next certificate is tried when the service does not know the key (AADSTS700027) or refuses the time of the
 *   assertion (AADSTS700024).
 * - An assertion is valid for 600 seconds and is used once.
 *
 * **Gotchas**
 *
 * An external signer is not called when the certificate is loaded. Its first signature is verified against the
 * certificate, and fails with `signer_mismatch` when it does not fit.
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
 *   // The key stays in a vault, and the vault signs.
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
 * Creates a credential from a private key without a certificate (`private_key_jwt`, OpenID Connect Core 1.0 section 9).
 * The provider identifies the public key by its `kid`, or knows only one key.
 *
 * **When to use**
 *
 * With providers other than Entra. Entra requires a certificate.
 *
 * **Details**
 *
 * The source is a key, several keys with the newest first, or an effect that loads them; the rules for effects are
 * those of {@link secret}.
 *
 * **Example** (A key with an id)
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
 * Creates a credential from an assertion that another system signs, such as a platform with workload identity
 * federation.
 *
 * **Details**
 *
 * - A function is called once per attempt, and not for cache hits. If it fails, the attempt fails with a
 *   `CredentialError` `assertion_failed`, which contains only the tag or class of the error. A `CredentialError` is
 *   passed on unchanged.
 * - An empty or malformed JWT fails with `assertion_malformed`; no token request is sent.
 * - A string is used for all attempts. After its expiry the service refuses it.
 *
 * **Example** (Sending the token of a platform)
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
 * Creates a credential that uses the first of several credentials that works.
 *
 * **When to use**
 *
 * For a program that uses another credential on a developer's machine than in the cloud.
 *
 * **Details**
 *
 * - The credentials are tried in order. The first one that works is used until it fails; then the others are tried from
 *   the top.
 * - A credential is skipped when it cannot be created, loaded or used. It is also skipped when it takes longer than 4
 *   seconds, unless it is the last one.
 * - The next credential is tried when the service refuses a credential for a reason that another one can fix.
 * - A credential with another `channel` than the one in use is skipped.
 * - If all credentials fail, the constructor or the acquisition fails with a `CredentialError` `credentials_exhausted`.
 *   Its message contains all reasons in order.
 *
 * **Example** (A certificate, or a secret)
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
 * Creates the credential of the environment: the secret in `AZURE_CLIENT_SECRET`.
 *
 * **Details**
 *
 * - The core reads no files. If only `AZURE_CLIENT_CERTIFICATE_PATH` or `AZURE_FEDERATED_TOKEN_FILE` is set, it fails
 *   with `credential_file`; use `NodeClientCredential.fromEnv` of `effect-entra/node`.
 * - If these variables are set beside the secret, the secret is used, and one warning is logged.
 * - If no variable is set, it fails with `credential_missing`.
 * - Several problems are reported in one `InvalidRequestError` `configuration_invalid`.
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
 * Provides {@link secret} as a layer.
 *
 * **Gotchas**
 *
 * If two credential layers are merged, the last one is used. Use {@link layerFirstOf} for several credentials.
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
  options?: SecretOptions
): Layer.Layer<ClientCredential, CredentialError, R> => Layer.effect(ClientCredential, secret(source, options))

/**
 * Provides {@link certificate} as a layer.
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
 * Provides {@link privateKeyJwt} as a layer.
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
 * Provides {@link assertion} as a layer.
 *
 * **Example** (Sending the token of the platform)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { ClientCredential } from "effect-entra"
 *
 * declare const platformToken: Effect.Effect<string, Error>
 *
 * export const federated = () => ClientCredential.layerAssertion(() => platformToken)
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerAssertion = <E = never, R = never>(
  make: Assertion | ((attempt: Attempt) => Effect.Effect<Assertion, E, R>)
): Layer.Layer<ClientCredential, never, R> => Layer.effect(ClientCredential, assertion(make))

/**
 * Provides {@link firstOf} as a layer.
 *
 * **Example** (The token of the platform, or a secret)
 *
 * ```ts
 * import { Effect, Redacted } from "effect"
 * import { ClientCredential } from "effect-entra"
 *
 * declare const platformToken: Effect.Effect<string, Error>
 *
 * export const credential = () =>
 *   ClientCredential.layerFirstOf([
 *     ClientCredential.assertion(() => platformToken),
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
 * Provides {@link fromEnv} as a layer.
 *
 * **Example** (A client whose secret is in the environment)
 *
 * ```ts
 * import { Layer } from "effect"
 * import { ClientCredential, ConfidentialClient } from "effect-entra"
 * import { FetchHttpClient } from "effect/http"
 *
 * export const Client = ConfidentialClient.layerDefault({ clientId: "11111111-1111-1111-1111-111111111111" }).pipe(
 *   Layer.provide([ClientCredential.layerFromEnv, FetchHttpClient.layer])
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
  kind: () => Effect.Effect<CredentialSource.MaterialKind<A, M>, CredentialError>,
  options: SourceOptions | undefined
): Effect.Effect<ClientCredential["Service"], CredentialError, R> =>
  Effect.flatMap(Effect.suspend(kind), (kind) =>
    isLoaded(source)
      ? CredentialSource.fromEffect(source, field, kind, options)
      : CredentialSource.fromValue(source, kind, options))

const isLoaded = <A, E, R>(source: Source<A, E, R>): source is Effect.Effect<A | ReadonlyArray<A>, E, R> =>
  Effect.isEffect(source)

/** Creates a credential that is sent in the form and has no other material. Each instance has its own revision. */
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
    what: "The function that returns the assertion",
    remedy: "Check that function. The token request was not sent."
  })

const assertionMalformed = () =>
  credentialError(
    "assertion_malformed",
    "assertion",
    "The assertion is empty or is not a signed JWT in compact form (RFC 7515 section 3.1)",
    "Return the JWT itself: three parts in base64url, separated by dots, without a prefix or white space."
  )
