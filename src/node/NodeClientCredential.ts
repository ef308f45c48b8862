/**
 * Credentials that need Node: certificates in every form in which they are kept (PEM, PKCS#12), as values or in files, and
 * what a platform gives to whoever runs on it. Files are read over any `FileSystem` of Effect;
 * `@effect/platform-node/NodeFileSystem` has Node's.
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
   * Which of several credentials of the environment is meant.
   *
   * @category models
   * @since 0.1.0
   */
  type CredentialKind
}

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * A certificate and its key, and how they are used.
 *
 * **Details**
 *
 * - `content`: PEM as text, PKCS#12 (PFX) as bytes, or PKCS#12 in base64, as Key Vault keeps a certificate's secret. PEM
 *   holds the certificate and its private key, and its issuers if you like, in any order.
 * - `password`: of the key or of the PKCS#12, if there is one.
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
 * A certificate's file.
 *
 * **Details**
 *
 * - `path`: a file that holds the certificate and its private key, and its issuers if you like: PEM in any order, or
 *   PKCS#12 (PFX). What it is shows in its content, whatever its name.
 * - `keyPath`: the key's own file, if it is not in the first, as in a Kubernetes secret of type `kubernetes.io/tls`.
 * - `password`: of the key or of the PKCS#12, if there is one.
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
 * A file that holds a secret or a token, and nothing else.
 *
 * @category models
 * @since 0.1.0
 */
export interface CredentialFile {
  readonly path: string
}

/**
 * How often a file is read again without need: every 10 seconds unless said otherwise. `Duration.infinity`: only when the
 * service has refused what it held.
 *
 * @category models
 * @since 0.1.0
 */
export interface ReloadOptions {
  readonly reloadEvery?: Duration.Input | undefined
}

/**
 * Options of {@link githubActions}. `audience` is what the job's token is for: default `api://AzureADTokenExchange`, which
 * other clouds than the public one write differently.
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
 * A certificate and its key as a value, as a list during a rotation (the newest first), or as an effect that gets either
 * from where they are kept.
 *
 * **Details**
 *
 * Reads what `ClientCredential.certificate` does not: keys in PKCS#1 (`RSA PRIVATE KEY`), SEC1 (`EC PRIVATE KEY`) and
 * encrypted PKCS#8, certificates in any order, and PKCS#12 (PFX) with RSA or EC, as OpenSSL 3 protects it (PBES2, AES,
 * SHA-256) and as Windows, Key Vault and older OpenSSL do (3DES, RC2, SHA-1). The key is RSA with 2048 bits or more, or EC on
 * P-256. The app's own certificate is the one that a key fits; of several that are valid now the first is taken, and expired
 * ones, damaged ones and keys of others are passed over. Its issuers are put into order behind it, up to one that signs
 * itself.
 *
 * Values are judged when this effect runs. An effect is run when the credential is first needed, when the service refused
 * what it had, and every `reloadEvery`, if that is given. What has not changed is not parsed again.
 *
 * **Gotchas**
 *
 * PKCS#12 needs the package `node-forge`, which is loaded when the first is read; without it there is a `CredentialError`
 * `pkcs12_library_missing`.
 *
 * **Example** (A certificate out of a vault)
 *
 * ```ts
 * import assert from "node:assert"
 * import { Effect, Redacted } from "effect"
 * import { NodeClientCredential } from "effect-entra/node"
 * import { TestCertificate } from "effect-entra/testing"
 *
 * const program = Effect.gen(function*() {
 *   // Stands for a vault, whose secret holds certificate and key.
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
 * A certificate and its key out of a file, or out of two.
 *
 * **Details**
 *
 * Everything that {@link certificate} reads. All is judged when this effect runs. The file is read again every `reloadEvery`
 * (default: 10 seconds), and when the service refused what it held, by its content and never by a watch, so that what mounts
 * a new one is seen however it does so. A file that is away or half written keeps what was there, with one warning.
 *
 * **Gotchas**
 *
 * It may be a pipe, which is read once, and must not be larger than 1 MiB; what cannot be read within 10 seconds is
 * `file_unreadable`.
 *
 * **Example** (A file that is not there)
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
 * A client secret that is mounted as a file, as Kubernetes, Docker and CSI drivers do it.
 *
 * **Details**
 *
 * Line breaks at the end do not belong to it; an empty file, and one of several lines, are refused. It is read when this
 * effect runs, again every `reloadEvery` (default: 10 seconds), and when the service refused what it held. A file that is
 * away or empty for a moment keeps the secret that was there, with one warning.
 *
 * **Example** (A secret that an editor ended with a line break)
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
  options?: ReloadOptions
): Effect.Effect<ClientCredential["Service"], CredentialError, Files> =>
  CredentialFiles.fromSecretFile({ path, name: "path" }, options)

/**
 * A token that the platform issues and keeps in a file, such as a Kubernetes service account's.
 *
 * **Details**
 *
 * The file is read for every attempt, so a token that was replaced is used at once; after a refusal, at the next call but
 * one, a second later at the latest. It is also read when this effect runs, to find a missing file early. A file that is away
 * or half written keeps the token that was there, until that expires. White space around the token is ignored. What is a pipe
 * or a device, is larger than 1 MiB, or cannot be read within 5 seconds is `file_unreadable`.
 *
 * A platform that hands its token out in another way is an `Effect`, and `ClientCredential.assertion` takes any.
 *
 * **Example** (A workload in Kubernetes)
 *
 * ```ts
 * import assert from "node:assert"
 * import { Effect, FileSystem } from "effect"
 * import { NodeClientCredential } from "effect-entra/node"
 *
 * const credential = NodeClientCredential.federatedTokenFile({ path: "/var/run/secrets/azure/tokens/azure-identity-token" })
 *
 * // Outside a cluster there is no such file.
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
 * The identity of a job of GitHub Actions, for an app registration that trusts the repository as a federated credential.
 *
 * **When to use**
 *
 * For deployments and checks out of a workflow: no secret is kept in the repository.
 *
 * **Details**
 *
 * The workflow gives the job `permissions: id-token: write`; GitHub then sets `ACTIONS_ID_TOKEN_REQUEST_URL` and
 * `ACTIONS_ID_TOKEN_REQUEST_TOKEN`, which are read through `Config` when this effect runs. For each attempt, and never on a
 * cache hit, a fresh token is asked for there, over the program's `HttpClient`.
 *
 * Whatever goes wrong is a `CredentialError`: `github_actions_missing` (no such job, or no permission),
 * `github_actions_refused`, `github_actions_unavailable` (asked three times) or `github_actions_malformed`.
 *
 * **Example** (A job without the permission)
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
    (ask) => assertion(({ correlationId }) => ask(correlationId))
  )

/**
 * The credential that the environment names: `AZURE_CLIENT_SECRET`, else `AZURE_CLIENT_CERTIFICATE_PATH` (PEM or PKCS#12,
 * with `AZURE_CLIENT_CERTIFICATE_PASSWORD` and `AZURE_CLIENT_SEND_CERTIFICATE_CHAIN`), else `AZURE_FEDERATED_TOKEN_FILE`.
 *
 * **Details**
 *
 * When several are set, one warning says which is used; `credential` decides without it. Several problems are reported in
 * one `InvalidRequestError` `configuration_invalid`.
 *
 * **Example** (Half a certificate)
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
 * {@link certificate} as a layer.
 *
 * **Example** (A client with a certificate out of a variable)
 *
 * ```ts
 * import { Config, Effect } from "effect"
 * import { NodeClientCredential } from "effect-entra/node"
 *
 * // PKCS#12 in base64, as Key Vault keeps it.
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
 * {@link certificateFile} as a layer.
 *
 * **Example** (A client with a certificate in a file)
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
 * {@link secretFile} as a layer.
 *
 * **Example** (A client with a mounted secret)
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
  options?: ReloadOptions
): Layer.Layer<ClientCredential, CredentialError, Files> => Layer.effect(ClientCredential, secretFile(file, options))

/**
 * {@link federatedTokenFile} as a layer.
 *
 * **Example** (A client without a secret)
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
 * {@link githubActions} as a layer.
 *
 * **Example** (A client in a workflow)
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
 * {@link fromEnv} as a layer.
 *
 * **Example** (The environment's credential for another client)
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
