/**
 * A complete client from the environment, with credentials that are kept in files.
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
 * What overrides the environment: the options of a client, `region`, and `credential`, which decides what is used when
 * several are set.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends Partial<ConfidentialClient.DefaultOptions> {
  readonly credential?: CredentialKind | undefined
}

/**
 * A complete client from the environment; it needs an `HttpClient` and a `FileSystem`.
 *
 * **Details**
 *
 * | Variable | Meaning |
 * | --- | --- |
 * | `AZURE_CLIENT_ID` | the application (client) id |
 * | `AZURE_TENANT_ID` | the tenant of requests that name none; optional; `adfs`: the host is AD FS |
 * | `AZURE_CLIENT_SECRET` | the secret's value |
 * | `AZURE_CLIENT_CERTIFICATE_PATH` | a file with certificate and key, PEM or PKCS#12: `NodeClientCredential.certificateFile` |
 * | `AZURE_CLIENT_CERTIFICATE_PASSWORD` | of the key or the PKCS#12, if there is one |
 * | `AZURE_CLIENT_SEND_CERTIFICATE_CHAIN` | true, 1, false or 0: whether the chain is sent |
 * | `AZURE_FEDERATED_TOKEN_FILE` | a file with a token: `NodeClientCredential.federatedTokenFile` |
 * | `AZURE_AUTHORITY_HOST` | an `https` URL; default: the public cloud |
 * | `AZURE_REGIONAL_AUTHORITY_NAME` | a region, by its short name; default: the cloud's global endpoint |
 *
 * Options override: a tenant that `authority` names is taken before `AZURE_TENANT_ID`, and `region: ""` means no region. A
 * variable that is set to nothing counts as not set. Of several credentials the secret is used, else the certificate,
 * else the token file, with one warning that says so; `credential` decides without it, and then the other credentials'
 * variables do not matter. Everything that is wrong is found before any request is made, and several problems are reported
 * in one `InvalidRequestError` `configuration_invalid`.
 *
 * **Example** (A client from the environment and its files)
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
