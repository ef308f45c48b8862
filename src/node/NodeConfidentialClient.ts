/**
 * A complete client from the environment, including credentials in files.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { ClientCredential } from "../ClientCredential.ts"
import * as ConfidentialClient from "../ConfidentialClient.ts"
import type { ConfigurationError } from "../EntraError.ts"
import * as Environment from "../internal/environment/environment.ts"
import { chooseCredential } from "../internal/environment/environmentCredential.ts"
import type { Transport } from "../internal/http/identityHttp.ts"
import { fromMaterial } from "./internal/files/credentialFiles.ts"
import type { Files } from "./internal/files/files.ts"
import type { CredentialKind } from "./NodeClientCredential.ts"

/**
 * Options that override the environment.
 *
 * **Details**
 *
 * - `credential`: the kind of credential to use when the environment names several.
 * - The other options are those of `ConfidentialClient.layerDefault`, all optional.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends Partial<ConfidentialClient.DefaultOptions> {
  readonly credential?: CredentialKind | undefined
}

/**
 * Creates a complete client from the environment. The layer needs an `HttpClient` and a `FileSystem`.
 *
 * **Details**
 *
 * | Variable | Meaning |
 * | --- | --- |
 * | `AZURE_CLIENT_ID` | the application (client) id |
 * | `AZURE_TENANT_ID` | the tenant of requests without a tenant; optional; `adfs`: the host is AD FS |
 * | `AZURE_CLIENT_SECRET` | the value of the client secret |
 * | `AZURE_CLIENT_CERTIFICATE_PATH` | a file with certificate and key, PEM or PKCS#12: `NodeClientCredential.certificateFile` |
 * | `AZURE_CLIENT_CERTIFICATE_PASSWORD` | the password of the key or of the PKCS#12; default: no password |
 * | `AZURE_CLIENT_SEND_CERTIFICATE_CHAIN` | true, 1, false or 0: whether the chain is sent; default: false |
 * | `AZURE_FEDERATED_TOKEN_FILE` | a file with a token: `NodeClientCredential.federatedTokenFile` |
 * | `AZURE_AUTHORITY_HOST` | an `https` URL; default: the public cloud |
 * | `AZURE_REGIONAL_AUTHORITY_NAME` | the short name of a region; default: the cloud's global endpoint |
 *
 * Options override variables: the tenant of `authority` overrides `AZURE_TENANT_ID`, and `region: ""` means no region. A
 * variable with an empty value counts as not set.
 *
 * If several credentials are set, the secret is used, else the certificate, else the token file, and one warning names the one
 * in use. If the option `credential` selects one, no warning is logged and the variables of the other credentials are ignored.
 * All variables are checked before the first request. Several invalid variables are reported in one `InvalidRequestError`
 * `configuration_invalid`.
 *
 * **Example** (Creating a client from the environment)
 *
 * ```ts
 * import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
 * import { Layer } from "effect"
 * import { layerFromEnv } from "effect-entra/node"
 * import { FetchHttpClient } from "effect/http"
 *
 * export const EntraLive = layerFromEnv().pipe(Layer.provide([FetchHttpClient.layer, NodeFileSystem.layer]))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerFromEnv = (
  options: Options = {}
): Layer.Layer<ConfidentialClient.ConfidentialClient, ConfigurationError, Transport | Files> =>
  Layer.unwrap(
    Effect.map(
      Environment.readClient(options, {
        choose: chooseCredential,
        load: fromMaterial,
        selectionHint: `layerFromEnv({ credential: "secret" | "certificate" | "federation" })`
      }),
      ({ credential, ...settings }) =>
        ConfidentialClient.layerDefault({ ...options, ...settings }).pipe(
          Layer.provide(Layer.succeed(ClientCredential, credential))
        )
    )
  )
