/**
 * Credentials that need Node: certificates in PEM or PKCS#12 as values or files, secrets and tokens in files, and the tokens
 * of GitHub Actions. Files are read through Effect's `FileSystem` service; `@effect/platform-node/NodeFileSystem` provides
 * the implementation of Node.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import {
  assertion,
  type CertificateOptions,
  ClientCredential,
  type SecretMethod,
  type Source,
  type SourceOptions
} from "../ClientCredential.ts"
import type { CredentialError, InvalidRequestError } from "../EntraError.ts"
import * as Environment from "../internal/environment/environment.ts"
import { chooseCredential, type CredentialKind } from "../internal/environment/environmentCredential.ts"
import type { Transport } from "../internal/http/identityHttp.ts"
import * as CredentialFiles from "./internal/files/credentialFiles.ts"
import type { Files } from "./internal/files/files.ts"
import * as GitHub from "./internal/githubActions.ts"

export {
  /**
   * The kind of credential to use when the environment names several: `"secret"`, `"certificate"` or `"federation"`.
   *
   * @category models
   * @since 0.1.0
   */
  type CredentialKind
}

export {
  /**
   * The service that reads files: `FileSystem` of `effect`.
   *
   * @category models
   * @since 0.1.0
   */
  type Files
} from "./internal/files/files.ts"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * A certificate with its private key as a value, and the options for its use.
 *
 * **Details**
 *
 * - `content`: PEM as text, PKCS#12 (PFX) as bytes, or PKCS#12 in base64, the format of a certificate's secret in Key
 *   Vault. PEM holds the certificate, its private key and optionally its issuers, in any order. Its line breaks may be
 *   lost, and it may be in quotes or in base64.
 * - `password`: the password of the private key or of the PKCS#12; default: no password.
 * - The other options are those of `ClientCredential.certificate`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Certificate extends Omit<CertificateOptions, "certificate" | "privateKey" | "sign"> {
  readonly content: Redacted.Redacted<string | Uint8Array>
  readonly password?: Redacted.Redacted<string> | undefined
}

/**
 * The file of a certificate, and the options for its use.
 *
 * **Details**
 *
 * - `path`: the path of a file that holds the certificate, its private key and optionally its issuers: PEM in any order, or
 *   PKCS#12 (PFX). The format is recognized by the content, not by the file name.
 * - `keyPath`: the path of a separate file for the private key, as in a Kubernetes secret of type `kubernetes.io/tls`;
 *   default: the key is in the file at `path`.
 * - `password`: the password of the private key or of the PKCS#12; default: no password.
 * - The other options are those of `ClientCredential.certificate`.
 *
 * @category models
 * @since 0.1.0
 */
export interface CertificateFile extends Omit<CertificateOptions, "certificate" | "privateKey" | "sign"> {
  readonly path: string
  readonly keyPath?: string | undefined
  readonly password?: Redacted.Redacted<string> | undefined
}

/**
 * The path of a file that holds a secret or a token and nothing else.
 *
 * @category models
 * @since 0.1.0
 */
export interface CredentialFile {
  readonly path: string
}

/**
 * Options of a credential that is reloaded from a file.
 *
 * **Details**
 *
 * `reloadEvery` is the time between two reloads; default: 10 seconds. With `Duration.infinity` the file is read again only
 * after the service has refused its content.
 *
 * @category models
 * @since 0.1.0
 */
export interface ReloadOptions {
  readonly reloadEvery?: Duration.Input | undefined
}

/**
 * Options of a secret that is reloaded from a file.
 *
 * **Details**
 *
 * - `reloadEvery`: see {@link ReloadOptions}.
 * - `method`: how the secret is sent; see `ClientCredential.SecretOptions`.
 *
 * @category models
 * @since 0.1.0
 */
export interface SecretFileOptions extends ReloadOptions {
  readonly method?: SecretMethod | undefined
}

/**
 * Options of {@link githubActions}.
 *
 * **Details**
 *
 * `audience` is the `aud` of the job's token; default: `api://AzureADTokenExchange`, the value of the public cloud. The other
 * clouds have values of their own.
 *
 * @category models
 * @since 0.1.0
 */
export interface GitHubActions {
  readonly audience?: string | undefined
}

// -----------------------------------------------------------------------------
// constructors
// -----------------------------------------------------------------------------

/**
 * Creates a credential from a certificate and its private key: a value, a list of values during a rotation (the newest
 * first), or an effect that loads either.
 *
 * **Details**
 *
 * Reads more formats than `ClientCredential.certificate`: private keys in PKCS#1 (`RSA PRIVATE KEY`), SEC1
 * (`EC PRIVATE KEY`) and encrypted PKCS#8, certificates in any order, and PKCS#12 (PFX) with RSA or EC. PKCS#12 may be
 * protected as by OpenSSL 3 (PBES2, AES, SHA-256), or as by Windows, Key Vault and older OpenSSL (3DES, RC2, SHA-1). The key
 * must be RSA with 2048 bits or more, or EC on P-256.
 *
 * The certificate of the app is the one that matches a private key. If several are valid now, the first is used; expired
 * certificates, damaged certificates and keys without a certificate are skipped. Its issuers follow it in the order of the
 * chain, up to a self-signed certificate.
 *
 * Values are checked when this effect runs. A source that is an effect runs when the credential is first needed, when the
 * service has refused the loaded certificates, and every `reloadEvery` (default: never). Content that has not changed is not
 * parsed again.
 *
 * **Gotchas**
 *
 * PKCS#12 needs the package `node-forge`, which is loaded for the first PKCS#12 content. If the package is not installed, the
 * effect fails with a `CredentialError` `pkcs12_library_missing`.
 *
 * **Example** (Loading a certificate from a vault)
 *
 * ```ts
 * import assert from "node:assert"
 * import { Effect, Redacted } from "effect"
 * import { NodeClientCredential } from "effect-entra/node"
 * import { TestCertificate } from "effect-entra/testing"
 *
 * const program = Effect.gen(function*() {
 *   // Stands for a vault whose secret holds the certificate and its key.
 *   const { certificate, privateKey } = yield* TestCertificate.make()
 *   const vault = Effect.succeed({ value: certificate + Redacted.value(privateKey) })
 *
 *   const credential = yield* NodeClientCredential.certificate(
 *     Effect.map(vault, ({ value }) => ({ content: Redacted.make(value) })),
 *     { reloadEvery: "1 hour" }
 *   )
 *   assert.strictEqual(credential.channel, "standard")
 * })
 *
 * await Effect.runPromise(program)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const certificate = <E = never, R = never>(
  source: Source<Certificate, E, R>,
  options?: SourceOptions
): Effect.Effect<ClientCredential["Service"], CredentialError, R> => CredentialFiles.fromCertificate(source, options)

/**
 * Creates a credential from a certificate and its private key in one file or in two files.
 *
 * **Details**
 *
 * Reads the same formats as {@link certificate}. The files are read and checked when this effect runs. They are read again
 * every `reloadEvery` (default: 10 seconds), and when the service has refused the certificate. Changes are found by comparing
 * the content, not by watching the file, so every way to replace a file works. While a file is missing or incomplete, the
 * previous certificate stays in use and one warning is logged.
 *
 * **Gotchas**
 *
 * A file may be a pipe, which is read only once. A file that is larger than 1 MiB, or that cannot be read within 10 seconds,
 * is a `CredentialError` `file_unreadable`.
 *
 * **Example** (Handling a missing file)
 *
 * ```ts
 * import assert from "node:assert"
 * import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
 * import { Effect } from "effect"
 * import { NodeClientCredential } from "effect-entra/node"
 *
 * const refused = await Effect.runPromise(
 *   Effect.flip(NodeClientCredential.certificateFile({ path: "/nowhere/daemon.pem" })).pipe(
 *     Effect.provide(NodeFileSystem.layer)
 *   )
 * )
 * assert.strictEqual(refused.code, "file_missing")
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const certificateFile = (
  file: CertificateFile,
  options?: ReloadOptions
): Effect.Effect<ClientCredential["Service"], CredentialError, Files> =>
  CredentialFiles.fromCertificateFile(file, { path: "path", keyPath: "keyPath", password: "password" }, options)

/**
 * Creates a credential from a client secret in a file, as mounted by Kubernetes, Docker or a CSI driver.
 *
 * **Details**
 *
 * Line breaks at the end of the file are removed. The effect fails with a `CredentialError` `file_empty` if the file is
 * empty, and `secret_malformed` if it has several lines, or quotes around the secret. The file is read when this effect
 * runs, every `reloadEvery` (default: 10 seconds), and when the service has refused the secret. While the file is
 * missing or empty, the previous secret stays in use and one warning is logged.
 *
 * **Example** (Reading a secret that ends with a line break)
 *
 * ```ts
 * import assert from "node:assert"
 * import { mkdtemp, rm, writeFile } from "node:fs/promises"
 * import { tmpdir } from "node:os"
 * import { join } from "node:path"
 * import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
 * import { Effect } from "effect"
 * import { NodeClientCredential } from "effect-entra/node"
 *
 * const folder = await mkdtemp(join(tmpdir(), "secret-"))
 * await writeFile(join(folder, "client-secret"), "the secret's value\n")
 *
 * const credential = await Effect.runPromise(
 *   NodeClientCredential.secretFile({ path: join(folder, "client-secret") }).pipe(Effect.provide(NodeFileSystem.layer))
 * )
 * assert.strictEqual(credential.channel, "standard")
 * await rm(folder, { recursive: true })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const secretFile = (
  { path }: CredentialFile,
  options?: SecretFileOptions
): Effect.Effect<ClientCredential["Service"], CredentialError, Files> =>
  CredentialFiles.fromSecretFile({ path, name: "path" }, options)

/**
 * Creates a credential from a token that the platform writes to a file, such as the token of a Kubernetes service account.
 *
 * **Details**
 *
 * The file is read for every attempt, so a replaced token is used at once. While a refusal is remembered, no token request is
 * sent. Calls that are refused locally check the file, at most once a second. The call after a check uses the new token.
 * The file is also read when this effect runs, so that a missing file is reported early. While the file is missing or
 * incomplete, the previous token stays in use until it expires. White space around the token is ignored. A pipe, a device, a
 * file that is larger than 1 MiB, and a file that cannot be read within 5 seconds are a `CredentialError` `file_unreadable`.
 *
 * If the platform provides its token in another way, use `ClientCredential.assertion` with a function that fetches the token.
 *
 * **Example** (Authenticating a workload in Kubernetes)
 *
 * ```ts
 * import assert from "node:assert"
 * import { Effect, FileSystem } from "effect"
 * import { NodeClientCredential } from "effect-entra/node"
 *
 * const credential = NodeClientCredential.federatedTokenFile({ path: "/var/run/secrets/azure/tokens/azure-identity-token" })
 *
 * // The file does not exist outside a cluster.
 * const refused = await Effect.runPromise(Effect.flip(credential).pipe(Effect.provide(FileSystem.layerNoop({}))))
 * assert.strictEqual(refused.code, "file_missing")
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const federatedTokenFile = (
  { path }: CredentialFile
): Effect.Effect<ClientCredential["Service"], CredentialError, Files> =>
  CredentialFiles.fromTokenFile({ path, name: "path" })

/**
 * Creates a credential from the OpenID Connect token of a GitHub Actions job, for an app registration that trusts the
 * repository as a federated credential.
 *
 * **When to use**
 *
 * Use in a workflow that deploys or checks something: the repository then holds no secret.
 *
 * **Details**
 *
 * The workflow must give the job the permission `id-token: write`. GitHub then sets `ACTIONS_ID_TOKEN_REQUEST_URL` and
 * `ACTIONS_ID_TOKEN_REQUEST_TOKEN`, which are read through `Config` when this effect runs. Each attempt fetches a new token
 * from that URL with the program's `HttpClient`; a cache hit fetches none.
 *
 * Every failure is a `CredentialError`: `github_actions_missing` (a variable is not set: not a GitHub Actions job, or a job
 * without the permission), `github_actions_refused`, `github_actions_unavailable` (after three requests) or
 * `github_actions_malformed`.
 *
 * **Example** (Handling a job without the permission)
 *
 * ```ts
 * import assert from "node:assert"
 * import { ConfigProvider, Effect } from "effect"
 * import { NodeClientCredential } from "effect-entra/node"
 * import { FetchHttpClient } from "effect/http"
 *
 * const refused = await Effect.runPromise(
 *   Effect.flip(NodeClientCredential.githubActions()).pipe(
 *     Effect.provide([FetchHttpClient.layer, ConfigProvider.layer(ConfigProvider.fromEnvRecord({ CI: "true" }))])
 *   )
 * )
 * assert.strictEqual(refused.code, "github_actions_missing")
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const githubActions = (
  options: GitHubActions = {}
): Effect.Effect<ClientCredential["Service"], CredentialError, Transport> =>
  Effect.flatMap(
    GitHub.make(options.audience ?? "api://AzureADTokenExchange"),
    (fetchToken) => assertion(({ correlationId }) => fetchToken(correlationId))
  )

/**
 * Creates the credential that the environment names.
 *
 * **Details**
 *
 * Uses the first of `AZURE_CLIENT_SECRET`, `AZURE_CLIENT_CERTIFICATE_PATH` (PEM or PKCS#12, with
 * `AZURE_CLIENT_CERTIFICATE_PASSWORD` and `AZURE_CLIENT_SEND_CERTIFICATE_CHAIN`) and `AZURE_FEDERATED_TOKEN_FILE` that is set.
 * If several are set, one warning names the one in use; the option `credential` selects one without a warning. Several invalid
 * variables are reported in one `InvalidRequestError` `configuration_invalid`.
 *
 * **Example** (Handling a password without its certificate)
 *
 * ```ts
 * import assert from "node:assert"
 * import { ConfigProvider, Effect, FileSystem } from "effect"
 * import { NodeClientCredential } from "effect-entra/node"
 *
 * const environment = ConfigProvider.fromEnvRecord({ AZURE_CLIENT_CERTIFICATE_PASSWORD: "..." })
 * const refused = await Effect.runPromise(
 *   Effect.flip(NodeClientCredential.fromEnv()).pipe(
 *     Effect.provide([FileSystem.layerNoop({}), ConfigProvider.layer(environment)])
 *   )
 * )
 * assert.strictEqual(refused.code, "credential_incomplete")
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromEnv = (
  options: { readonly credential?: CredentialKind | undefined } = {}
): Effect.Effect<ClientCredential["Service"], CredentialError | InvalidRequestError, Files> =>
  Environment.readCredential(options.credential, {
    choose: chooseCredential,
    load: CredentialFiles.fromMaterial,
    selectionHint: `the option { credential: "secret" | "certificate" | "federation" }`
  })

// -----------------------------------------------------------------------------
// layers
// -----------------------------------------------------------------------------

/**
 * Provides {@link certificate} as a layer.
 *
 * **Example** (Reading the certificate from a variable)
 *
 * ```ts
 * import { Config, Effect } from "effect"
 * import { NodeClientCredential } from "effect-entra/node"
 *
 * // PKCS#12 in base64, the format of Key Vault.
 * export const Credential = NodeClientCredential.layerCertificate(
 *   Effect.map(Config.Redacted("DAEMON_CERTIFICATE"), (content) => ({ content }))
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerCertificate = <E = never, R = never>(
  source: Source<Certificate, E, R>,
  options?: SourceOptions
): Layer.Layer<ClientCredential, CredentialError, R> => Layer.effect(ClientCredential, certificate(source, options))

/**
 * Provides {@link certificateFile} as a layer.
 *
 * **Example** (Reading the certificate from a file)
 *
 * ```ts
 * import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
 * import { Layer, Redacted } from "effect"
 * import { NodeClientCredential } from "effect-entra/node"
 *
 * export const Credential = NodeClientCredential.layerCertificateFile({
 *   path: "/run/secrets/daemon.pem",
 *   password: Redacted.make("the key's password")
 * }).pipe(Layer.provide(NodeFileSystem.layer))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerCertificateFile = (
  file: CertificateFile,
  options?: ReloadOptions
): Layer.Layer<ClientCredential, CredentialError, Files> =>
  Layer.effect(ClientCredential, certificateFile(file, options))

/**
 * Provides {@link secretFile} as a layer.
 *
 * **Example** (Reading a mounted secret)
 *
 * ```ts
 * import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
 * import { Layer } from "effect"
 * import { NodeClientCredential } from "effect-entra/node"
 *
 * export const Credential = NodeClientCredential.layerSecretFile({ path: "/run/secrets/client-secret" }).pipe(
 *   Layer.provide(NodeFileSystem.layer)
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerSecretFile = (
  file: CredentialFile,
  options?: SecretFileOptions
): Layer.Layer<ClientCredential, CredentialError, Files> => Layer.effect(ClientCredential, secretFile(file, options))

/**
 * Provides {@link federatedTokenFile} as a layer.
 *
 * **Example** (Authenticating without a secret)
 *
 * ```ts
 * import { NodeClientCredential } from "effect-entra/node"
 *
 * export const Credential = NodeClientCredential.layerFederatedTokenFile({ path: "/var/run/secrets/tokens/entra" })
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerFederatedTokenFile = (file: CredentialFile): Layer.Layer<ClientCredential, CredentialError, Files> =>
  Layer.effect(ClientCredential, federatedTokenFile(file))

/**
 * Provides {@link githubActions} as a layer.
 *
 * **Example** (Authenticating in a workflow)
 *
 * ```ts
 * import { Layer } from "effect"
 * import { NodeClientCredential } from "effect-entra/node"
 * import { FetchHttpClient } from "effect/http"
 *
 * export const Credential = NodeClientCredential.layerGitHubActions().pipe(Layer.provide(FetchHttpClient.layer))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerGitHubActions = (
  options?: GitHubActions
): Layer.Layer<ClientCredential, CredentialError, Transport> => Layer.effect(ClientCredential, githubActions(options))

/**
 * Provides {@link fromEnv} as a layer.
 *
 * **Example** (Combining the environment's credential with another client)
 *
 * ```ts
 * import { Layer } from "effect"
 * import { ConfidentialClient } from "effect-entra"
 * import { NodeClientCredential } from "effect-entra/node"
 *
 * export const Client = ConfidentialClient.layer({ clientId: "11111111-1111-1111-1111-111111111111" }).pipe(
 *   Layer.provide(NodeClientCredential.layerFromEnv({ credential: "federation" }))
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerFromEnv = (
  options: { readonly credential?: CredentialKind | undefined } = {}
): Layer.Layer<ClientCredential, CredentialError | InvalidRequestError, Files> =>
  Layer.effect(ClientCredential, fromEnv(options))
