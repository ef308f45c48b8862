/**
 * Managed identities of Azure: tokens that the platform issues to a program that runs on it, without a secret. A program uses
 * them as the client assertion of an app registration that trusts the identity, or directly as the tokens of the identity.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Authority from "../Authority.ts"
import * as ClientCredential from "../ClientCredential.ts"
import type * as ConfidentialClient from "../ConfidentialClient.ts"
import type { ConfigurationError, CredentialError } from "../EntraError.ts"
import { keyOf } from "../internal/cache/cacheKey.ts"
import * as TokenSource from "../internal/client/tokenSource.ts"
import * as ThrottleGate from "../internal/endpoint/throttleGate.ts"
import type { Transport } from "../internal/http/identityHttp.ts"
import type { Files } from "./internal/files/files.ts"
import * as Agent from "./internal/managedIdentity/agent.ts"
import { asCredentialError, readPlatformResponse } from "./internal/managedIdentity/answer.ts"
import * as Client from "./internal/managedIdentity/client.ts"

export {
  /**
   * A user-assigned identity, named by its client id, its object (principal) id or its Azure resource id.
   *
   * @category models
   * @since 0.1.0
   */
  type Identity,
  /**
   * The service that issues the tokens: `"imds"` is the Instance Metadata Service of virtual machines and scale sets,
   * `"appService"` the service of App Service, Functions and Container Apps, `"azureArc"` the agent of a server that is
   * connected to Azure by Azure Arc.
   *
   * @category models
   * @since 0.1.0
   */
  type Source
} from "./internal/managedIdentity/platform.ts"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * Options that select the identity and the service that issues its tokens.
 *
 * **Details**
 *
 * - `identity`: a user-assigned identity; default: the system-assigned identity. If a machine has a single user-assigned
 *   identity and no system-assigned one, the metadata service uses that one. Azure Arc supports the system-assigned identity
 *   only.
 * - `source`: the service; default: detected from the environment. `IDENTITY_ENDPOINT` with `IDENTITY_HEADER` means App
 *   Service, `IDENTITY_ENDPOINT` with `IMDS_ENDPOINT` means Azure Arc. Otherwise it is the metadata service at
 *   `169.254.169.254`, or at the host in `AZURE_POD_IDENTITY_AUTHORITY_HOST`. Service Fabric (`IDENTITY_SERVER_THUMBPRINT`) and
 *   the platforms that set `MSI_ENDPOINT` (Cloud Shell, Azure Machine Learning) are not supported.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends Agent.Options {}

/**
 * Options of {@link assertion}.
 *
 * **Details**
 *
 * `audience` is the `aud` of the identity's token; default: `api://AzureADTokenExchange`, the value of the public cloud. The
 * other clouds have values of their own.
 *
 * @category models
 * @since 0.1.0
 */
export interface AssertionOptions extends Options {
  readonly audience?: string | undefined
}

/**
 * Options of {@link layer}: the options of a client that apply without an app registration.
 *
 * **Details**
 *
 * `tenantId` is the tenant of the identity. It is not sent to the platform. If it is set, requests may name this tenant, as
 * the Azure SDKs do after a challenge of Key Vault, and results contain it. Default: `managed-identity`, and requests must
 * not name a tenant.
 *
 * @category models
 * @since 0.1.0
 */
export interface ClientOptions extends
  Options,
  Pick<
    ConfidentialClient.Options,
    "tenantId" | "renewal" | "onThrottled"
  >
{}

// -----------------------------------------------------------------------------
// constructors
// -----------------------------------------------------------------------------

/**
 * Creates a credential for an app registration that trusts a managed identity as a federated credential. Each attempt
 * requests a token of the identity from the platform and sends it as the client assertion.
 *
 * **When to use**
 *
 * Use for an app that runs in Azure and needs its own registration, for permissions of its own or for tokens of several
 * tenants. It has no secret that can expire.
 *
 * **Details**
 *
 * The federated credential of the registration needs the issuer `https://login.microsoftonline.com/<tenant>/v2.0`, the object
 * (principal) id of the identity as the subject, and the audience `api://AzureADTokenExchange`. Microsoft's guide
 * asks for a user-assigned identity.
 *
 * Every failure is a `CredentialError`. Options and environment are checked when this effect runs. An attempt fails with
 * `managed_identity_unavailable` (the service does not respond, or responds with an outage), `managed_identity_refused` (the
 * identity is unknown to the service), `managed_identity_malformed` (the response is not a token response) or
 * `managed_identity_challenge` (the key file of Azure Arc was rejected).
 *
 * A response without a token is remembered for 5 seconds, doubling up to a minute, and a `Retry-After` for its time.
 * Meanwhile attempts fail with the same error, and no request is sent to the platform.
 *
 * **Gotchas**
 *
 * The retries at the platform's service run within `attemptTimeout` of the `TokenEndpoint` layer, which is 10 seconds
 * by default. An update of the metadata service takes up to 70 seconds: raise `attemptTimeout` and `budget` if attempts
 * must continue for that long.
 *
 * Outside Azure no service responds at `169.254.169.254`. A probe detects this within 2 seconds; with `source: "imds"` there
 * is no probe. Requests to that address must not go through a proxy: `NodeTransport` sends them directly, other transports
 * need `NO_PROXY=169.254.169.254`.
 *
 * **Example** (Using a user-assigned identity)
 *
 * ```ts
 * import assert from "node:assert"
 * import { Effect, FileSystem } from "effect"
 * import { ManagedIdentity } from "effect-entra/node"
 * import { MetadataService } from "effect-entra/testing"
 *
 * const program = Effect.gen(function*() {
 *   const credential = yield* ManagedIdentity.assertion({ identity: { clientId: MetadataService.userAssigned.clientId } })
 *   assert.strictEqual(credential.channel, "standard")
 * })
 *
 * await Effect.runPromise(
 *   program.pipe(Effect.provide([MetadataService.layerMemory(), FileSystem.layerNoop({})]))
 * )
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const assertion = (
  options: AssertionOptions = {}
): Effect.Effect<ClientCredential.ClientCredential["Service"], CredentialError, Transport | Files> =>
  Effect.gen(function*() {
    const clock = yield* Clock.Clock
    const agent = yield* Agent.make(options)
    // The interpretation of the response does not depend on the cloud.
    const publicCloud = Result.getOrThrow(Authority.parse("public"))
    const resource = options.audience ?? "api://AzureADTokenExchange"
    // All requests are the same, whatever the tenant of the app.
    const key = keyOf(agent.platform.name, "", resource)
    const gated = {
      gate: { key, sent: "", forced: false },
      authentication: { revision: () => "" },
      endpoints: Effect.void
    }
    type Request = typeof gated & Pick<ClientCredential.Attempt, "clientId" | "correlationId" | "tenantId">
    const { request } = ThrottleGate.guarding(
      TokenSource.makeGates(clock),
      ({ clientId, correlationId, tenantId }: Request) =>
        Effect.flatMap(
          agent.requestToken({ resource, correlationId }),
          ({ response, scrub, sentAt }) =>
            Effect.fromResult(readPlatformResponse(response, {
              authority: publicCloud,
              authorityUrl: Authority.format(publicCloud),
              clientId,
              tenantId,
              scopes: resource,
              tokenType: "Bearer",
              tokenEndpoint: agent.platform.endpoint,
              correlationId,
              sentAt,
              now: clock.currentTimeMillisUnsafe(),
              scrub
            }))
        )
    )
    return yield* ClientCredential.assertion(({ clientId, correlationId, tenantId }) =>
      Effect.mapBoth(request({ ...gated, clientId, correlationId, tenantId }), {
        onFailure: asCredentialError,
        onSuccess: ({ secret }) => secret
      })
    )
  })

// -----------------------------------------------------------------------------
// layers
// -----------------------------------------------------------------------------

/**
 * Provides {@link assertion} as a layer.
 *
 * **Example** (Authenticating an app without a secret)
 *
 * ```ts
 * import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
 * import { Layer } from "effect"
 * import { AuthorityResolver, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
 * import { ManagedIdentity } from "effect-entra/node"
 * import { FetchHttpClient } from "effect/http"
 *
 * export const EntraLive = ConfidentialClient.layer({
 *   clientId: "11111111-1111-1111-1111-111111111111",
 *   tenantId: "contoso.onmicrosoft.com"
 * }).pipe(
 *   Layer.provide([
 *     ManagedIdentity.layerAssertion({ identity: { clientId: "22222222-2222-2222-2222-222222222222" } }),
 *     AuthorityResolver.layer,
 *     TokenEndpoint.layer,
 *     TokenCache.layerMemory()
 *   ]),
 *   Layer.provide([FetchHttpClient.layer, NodeFileSystem.layer])
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerAssertion = (
  options: AssertionOptions = {}
): Layer.Layer<ClientCredential.ClientCredential, CredentialError, Transport | Files> =>
  Layer.effect(ClientCredential.ClientCredential, assertion(options))

/**
 * Creates a complete client for the tokens of the managed identity itself. The layer needs an `HttpClient` and a
 * `FileSystem`; only Azure Arc reads a file.
 *
 * **When to use**
 *
 * Use for a program in Azure that acts as its machine or app. No app registration is needed.
 *
 * **Details**
 *
 * The client works like any other: one cache, one shared request per key, refresh before expiry, typed errors. The scope of a
 * request is `<resource>/.default`. The identity belongs to one tenant, and the platform accepts no extra parameters: a
 * request with another tenant or with extra parameters fails before a request is sent.
 *
 * The platform accepts no claims either. A request with claims skips the cache, and the token is requested from the
 * platform again without the claims. If the platform returns the same token, the response of the API that sent the
 * challenge reaches the caller, and the token is not requested again for 30 seconds.
 *
 * Retries follow the documentation of Microsoft's services. The metadata service is requested again three times, after
 * 1, 2 and 4 seconds, on 404, 408, 429, 5xx, a network error, truncated JSON, or no response within 10 seconds. On 410,
 * its status during an update, it is requested again seven times, every 10 seconds. The other services are requested
 * again three times, every second, on 404, 408, 429, 500, 503, 504, a network error, truncated JSON, or no response
 * within 10 seconds. `RetryPolicy` does not apply.
 *
 * The codes of a `CredentialError` are those of {@link assertion}. An identity that the platform does not know is an
 * `InvalidClientError` `managed_identity_refused`. A service that has responded before and does not respond now is a
 * `ServiceUnavailableError` or a `NetworkError`, so that the client keeps returning cached tokens that are still valid.
 *
 * **Gotchas**
 *
 * The tokens stay in the memory of the process: the layer builds its own cache, because a machine that shared the cache
 * could act as this machine. The platform has its own cache too, so a refresh that is forced, or that follows a 401 of an
 * API, may return the same token.
 *
 * **Example** (Calling an API as the machine)
 *
 * ```ts
 * import assert from "node:assert"
 * import { Effect, FileSystem } from "effect"
 * import { ConfidentialClient } from "effect-entra"
 * import { ManagedIdentity } from "effect-entra/node"
 * import { MetadataService } from "effect-entra/testing"
 *
 * const program = Effect.gen(function*() {
 *   const { tokenType } = yield* ConfidentialClient.acquireToken({ scopes: "https://vault.azure.net/.default" })
 *   assert.strictEqual(tokenType, "Bearer")
 * })
 *
 * await Effect.runPromise(
 *   program.pipe(
 *     Effect.provide(ManagedIdentity.layer()),
 *     Effect.provide([MetadataService.layerMemory(), FileSystem.layerNoop({})])
 *   )
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: ClientOptions = {}
): Layer.Layer<ConfidentialClient.ConfidentialClient, ConfigurationError, Transport | Files> =>
  Layer.unwrap(Effect.map(Agent.make(options), (agent) => Client.layerOf(agent, options)))
