/**
 * Complete clients from the environment: {@link layerFromEnv} for an app registration, also with a credential in a
 * file, and {@link layerDefault} for programs that may have a managed identity instead.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { ClientCredential } from "../ClientCredential.ts"
import * as ConfidentialClient from "../ConfidentialClient.ts"
import type { ConfigurationError, CredentialError } from "../EntraError.ts"
import * as DefaultChain from "../internal/environment/defaultChain.ts"
import * as Environment from "../internal/environment/environment.ts"
import { chooseCredential } from "../internal/environment/environmentCredential.ts"
import type { Transport } from "../internal/http/identityHttp.ts"
import { logSafely } from "../internal/shared/safeLog.ts"
import { fromMaterial } from "./internal/files/credentialFiles.ts"
import type { Files } from "./internal/files/files.ts"
import * as Agent from "./internal/managedIdentity/agent.ts"
import * as ManagedIdentityClient from "./internal/managedIdentity/client.ts"
import type * as ManagedIdentity from "./ManagedIdentity.ts"
import type { CredentialKind } from "./NodeClientCredential.ts"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

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
 * Options of {@link layerDefault} that override the environment.
 *
 * **Details**
 *
 * - `managedIdentity`: the identity and the service that issues its tokens; default: the user-assigned identity whose
 *   client id is `clientId` or `AZURE_CLIENT_ID`, or the system-assigned identity if neither is set.
 * - The other options are those of {@link layerFromEnv} without `credential`. Of these, a managed identity uses `tenantId`,
 *   `renewal`, `onThrottled` and `cache`.
 *
 * @category models
 * @since 0.1.0
 */
export interface DefaultOptions extends Partial<ConfidentialClient.DefaultOptions> {
  readonly managedIdentity?: ManagedIdentity.Options | undefined
}

// -----------------------------------------------------------------------------
// layers
// -----------------------------------------------------------------------------

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

/**
 * Creates a complete client from the first credential that is configured: of the environment, of a workload identity,
 * or of a managed identity. The layer needs an `HttpClient` and a `FileSystem`.
 *
 * **When to use**
 *
 * For a program that runs in several places, as with `DefaultAzureCredential` in production. On a developer's machine use
 * `AzureCredential.layer`, with a credential of `@azure/identity`.
 *
 * **Details**
 *
 * The order is:
 *
 * | Name | Configured by |
 * | --- | --- |
 * | `EnvironmentCredential` | `AZURE_CLIENT_ID` with `AZURE_CLIENT_SECRET`, else with `AZURE_CLIENT_CERTIFICATE_PATH` |
 * | `WorkloadIdentityCredential` | `AZURE_CLIENT_ID` with `AZURE_FEDERATED_TOKEN_FILE` |
 * | `ManagedIdentityCredential` | the platform: App Service, Azure Arc, or the metadata service |
 *
 * The choice is made when the layer is built, without a request, and holds for the life of the layer. A credential is
 * skipped only if it is not configured, which means that one of its variables is unset or empty. Each skipped
 * credential causes one log line of the level Debug. A configured credential ends the search. If its value is a
 * placeholder, its file is missing, or the service refuses it, the client has that error, and no other credential is
 * tried.
 *
 * The first acquisition with a managed identity sends a probe to the metadata service, which takes at most 2 seconds.
 * Without a metadata service, acquisitions fail with a `CredentialError` `credentials_exhausted`, whose message has the
 * reason of each credential. The next acquisition probes again. Once the service has responded, no further probe is
 * sent.
 *
 * `AZURE_TOKEN_CREDENTIALS`, in upper or lower case: `prod` means all three, which is the default. The name of one of
 * them allows only that one, and a managed identity is then used without a probe. Other values fail the layer with an
 * `InvalidRequestError` (`field_unsupported` for `dev` and the credentials of a developer's machine, else
 * `field_malformed`).
 *
 * The variables are those of {@link layerFromEnv}.
 *
 * **Example** (A client for every place of a deployment)
 *
 * ```ts
 * import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
 * import { Layer } from "effect"
 * import { layerDefault } from "effect-entra/node"
 * import { FetchHttpClient } from "effect/http"
 *
 * export const EntraLive = layerDefault().pipe(Layer.provide([FetchHttpClient.layer, NodeFileSystem.layer]))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerDefault = (
  { managedIdentity, ...options }: DefaultOptions = {}
): Layer.Layer<ConfidentialClient.ConfidentialClient, ConfigurationError, Transport | Files> =>
  Layer.unwrap(Effect.gen(function*() {
    const environment = yield* Environment.readEnvironment
    const { text } = Environment.variables(() => Effect.fail(DefaultChain.unreadableSelection()))
    const selection = yield* text("AZURE_TOKEN_CREDENTIALS")
    const { chosen, skipped } = yield* Effect.fromResult(DefaultChain.chooseDefault(selection, options, environment))
    for (const { name, reason } of skipped) yield* logSafely(Effect.logDebug(`layerDefault skips ${name}: ${reason}`))
    yield* logSafely(Effect.logDebug(`layerDefault uses ${chosen.name}`))
    return chosen.name === "ManagedIdentityCredential"
      ? yield* managedIdentityLayer(chosen, skipped, managedIdentity ?? {}, options)
      : layerFromEnv({ ...options, credential: chosen.kind })
  }))

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/**
 * Returns the client of a managed identity. If no identity exists, its errors also have the reasons of the other
 * credentials.
 */
const managedIdentityLayer = (
  { clientId, isProbed, name, tenantId }: Extract<DefaultChain.Chosen, { readonly name: "ManagedIdentityCredential" }>,
  skipped: ReadonlyArray<DefaultChain.Skipped>,
  identity: ManagedIdentity.Options,
  options: Partial<ConfidentialClient.DefaultOptions>
) => {
  const withReasons = (error: CredentialError): CredentialError =>
    skipped.length === 0
      ? error
      : DefaultChain.exhausted([...skipped, { name, reason: `${error.code}: ${error.message}` }], error)
  return Agent.make(
    { ...identity, identity: identity.identity ?? (clientId === undefined ? undefined : { clientId }) },
    isProbed
  ).pipe(
    Effect.mapError(withReasons),
    Effect.map((agent) =>
      ManagedIdentityClient.layerOf({
        ...agent,
        requestToken: (request) =>
          Effect.mapError(
            agent.requestToken(request),
            (error) => Agent.isAbsent(error) ? withReasons(error) : error
          )
      }, { ...options, tenantId })
    )
  )
}
