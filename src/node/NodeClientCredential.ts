/**
 * Credentials that are kept in files: a certificate with its key, or the token that a platform issues. They work over any
 * `FileSystem` of Effect; `@effect/platform-node/NodeFileSystem` has Node's.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import { ClientCredential } from "../ClientCredential.ts"
import type { CredentialError, InvalidRequestError } from "../EntraError.ts"
import { chooseCredential, type CredentialKind } from "../internal/credentialChoice.ts"
import * as Environment from "../internal/environment.ts"
import * as CredentialFiles from "./internal/credentialFiles.ts"
import type { Files } from "./internal/files.ts"

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
 * A certificate's file.
 *
 * **Details**
 *
 * - `path`: a PEM file that holds the certificate and its private key, and its issuers if you like, in any order.
 * - `password`: of the key, if it is encrypted.
 * - `sendCertificateChain`: sends the certificate with its issuers, for apps that trust a subject name and issuer; default
 *   false.
 *
 * @category models
 * @since 0.1.0
 */
export interface CertificateFile {
  readonly path: string
  readonly password?: Redacted.Redacted<string> | undefined
  readonly sendCertificateChain?: boolean | undefined
}

// -----------------------------------------------------------------------------
// constructors
// -----------------------------------------------------------------------------

/**
 * A certificate and its key out of one PEM file.
 *
 * **Details**
 *
 * The key may be PKCS#8, encrypted or not, PKCS#1 (`RSA PRIVATE KEY`) or SEC1 (`EC PRIVATE KEY`); RSA with 2048 bits or
 * more, or EC on P-256. The app's own certificate is the one that a key of the file fits; of several that are valid now the
 * first in the file is taken, and expired ones, damaged ones and keys of others are passed over. Its issuers are put into
 * order behind it, up to one that signs itself. All this is judged when this effect runs. PKCS#12 (`.pfx`) is recognised
 * and refused.
 *
 * **Gotchas**
 *
 * The file is read once: a renewed certificate is seen when the layer is built again. It may be a pipe, and must not be
 * larger than 1 MiB; what cannot be read within 10 seconds is `file_unreadable`.
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
  options: CertificateFile
): Effect.Effect<ClientCredential["Service"], CredentialError, Files> =>
  CredentialFiles.fromCertificateFile(options, { path: "path", password: "password" })

/**
 * A token that the platform issues and keeps in a file, such as a Kubernetes service account's.
 *
 * **Details**
 *
 * The file is read for every attempt, so a token that was replaced is used at once; after a refusal, at the next call but
 * one, a second later at the latest. It is also read when this effect runs, to find a missing file early. White space
 * around the token is ignored. What is a pipe or a device, is larger than 1 MiB, or cannot be read within 5 seconds is
 * `file_unreadable`.
 *
 * **Example** (A workload in Kubernetes)
 *
 * ```ts
 * import assert from "node:assert"
 * import { Effect, FileSystem } from "effect"
 * import { NodeClientCredential } from "effect-entra/node"
 *
 * const credential = NodeClientCredential.federatedTokenFile("/var/run/secrets/azure/tokens/azure-identity-token")
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
  path: string
): Effect.Effect<ClientCredential["Service"], CredentialError, Files> =>
  CredentialFiles.fromTokenFile({ path, name: "path" })

/**
 * The credential that the environment names: `AZURE_CLIENT_SECRET`, else `AZURE_CLIENT_CERTIFICATE_PATH` (with
 * `AZURE_CLIENT_CERTIFICATE_PASSWORD` and `AZURE_CLIENT_SEND_CERTIFICATE_CHAIN`), else `AZURE_FEDERATED_TOKEN_FILE`.
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
 *   Effect.flip(NodeClientCredential.fromConfig()).pipe(
 *     Effect.provide([FileSystem.layerNoop({}), ConfigProvider.layer(environment)])
 *   )
 * )
 * assert.strictEqual(refused.code, "credential_incomplete")
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromConfig = (
  options: { readonly credential?: CredentialKind | undefined } = {}
): Effect.Effect<ClientCredential["Service"], CredentialError | InvalidRequestError, Files> =>
  Environment.readCredential(options.credential, {
    choose: chooseCredential,
    load: CredentialFiles.fromMaterial,
    decide: `the option { credential: "secret" | "certificate" | "federation" }`
  })

// -----------------------------------------------------------------------------
// layers
// -----------------------------------------------------------------------------

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
  options: CertificateFile
): Layer.Layer<ClientCredential, CredentialError, Files> => Layer.effect(ClientCredential, certificateFile(options))

/**
 * {@link federatedTokenFile} as a layer.
 *
 * **Example** (A client without a secret)
 *
 * ```ts
 * import { NodeClientCredential } from "effect-entra/node"
 *
 * export const Credential = NodeClientCredential.layerFederatedTokenFile("/var/run/secrets/tokens/entra")
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerFederatedTokenFile = (path: string): Layer.Layer<ClientCredential, CredentialError, Files> =>
  Layer.effect(ClientCredential, federatedTokenFile(path))

/**
 * {@link fromConfig} as a layer.
 *
 * **Example** (The environment's credential for another client)
 *
 * ```ts
 * import { Layer } from "effect"
 * import { ConfidentialClient } from "effect-entra"
 * import { NodeClientCredential } from "effect-entra/node"
 *
 * export const Client = ConfidentialClient.layer({ clientId: "11111111-1111-1111-1111-111111111111" }).pipe(
 *   Layer.provide(NodeClientCredential.layerConfig({ credential: "federation" }))
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  options: { readonly credential?: CredentialKind | undefined } = {}
): Layer.Layer<ClientCredential, CredentialError | InvalidRequestError, Files> =>
  Layer.effect(ClientCredential, fromConfig(options))
