/**
 * Managed identities of Azure: tokens that the platform gives to whoever runs on it, without a secret. Either as the proof
 * of an app registration that trusts the identity, or directly, as the identity itself.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import { createHash } from "node:crypto"
import * as Authority from "../Authority.ts"
import { AuthorityResolver } from "../AuthorityResolver.ts"
import * as ClientCredential from "../ClientCredential.ts"
import * as ConfidentialClient from "../ConfidentialClient.ts"
import type { ConfigurationError, CredentialError } from "../EntraError.ts"
import type { Transport } from "../internal/http/identityHttp.ts"
import * as TokenCache from "../TokenCache.ts"
import { TokenEndpoint } from "../TokenEndpoint.ts"
import type { Files } from "./internal/files/files.ts"
import * as Agent from "./internal/managedIdentity/agent.ts"
import { asCredentialError, readPlatformResponse } from "./internal/managedIdentity/answer.ts"
import * as Endpoint from "./internal/managedIdentity/endpoint.ts"

export {
  /**
   * A user-assigned identity, by its client id, its object (principal) id or its Azure resource id.
   *
   * @category models
   * @since 0.1.0
   */
  type Identity,
  /**
   * The service that gives out the tokens: the Instance Metadata Service of virtual machines and scale sets, the one of App
   * Service, Functions and Container Apps, or the agent of a server that is connected by Azure Arc.
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
 * Which identity is meant, and who gives out its tokens.
 *
 * **Details**
 *
 * - `identity`: a user-assigned identity; default: the system-assigned one, or, at the metadata service, the only one there
 *   is. Azure Arc has no other than the system-assigned one.
 * - `source`: default: as the environment says. `IDENTITY_ENDPOINT` with `IDENTITY_HEADER` is App Service,
 *   `IDENTITY_ENDPOINT` with `IMDS_ENDPOINT` is Azure Arc, everything else is the metadata service at `169.254.169.254`, or
 *   at `AZURE_POD_IDENTITY_AUTHORITY_HOST`. Service Fabric (`IDENTITY_SERVER_THUMBPRINT`) and what sets `MSI_ENDPOINT`
 *   (Cloud Shell, Azure Machine Learning) are not supported.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends Agent.Options {}

/**
 * Options of {@link assertion}. `audience` is what the identity's token is for: default `api://AzureADTokenExchange`, which
 * other clouds than the public one write differently.
 *
 * @category models
 * @since 0.1.0
 */
export interface AssertionOptions extends Options {
  readonly audience?: string | undefined
}

/**
 * Options of {@link layer}: those of a client, where they make sense without an app registration.
 *
 * **Details**
 *
 * `tenantId` is the tenant that the identity belongs to. Nothing of it is sent: requests may then name it, as the Azure SDKs
 * do after a challenge of Key Vault's, and results do. Default: `managed-identity`, and requests name none.
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
 * A credential for an app registration that trusts a managed identity as a federated credential: the platform's token is
 * the client assertion, asked for once an attempt.
 *
 * **When to use**
 *
 * For an app that runs in Azure and needs its own registration: for permissions of its own, or for tokens of several
 * tenants. It has no secret that could expire.
 *
 * **Details**
 *
 * The registration names the issuer `https://login.microsoftonline.com/<tenant>/v2.0`, the identity's object (principal) id
 * as the subject, and the audience `api://AzureADTokenExchange`. Microsoft recommends a user-assigned identity for this.
 *
 * Whatever goes wrong is a `CredentialError`. What the options and the environment say is judged when this effect runs;
 * `managed_identity_unavailable` (nobody is there, or it is out of order), `managed_identity_refused` (it does not know the
 * identity), `managed_identity_malformed` and `managed_identity_challenge` (Azure Arc's proof) come from attempts.
 *
 * **Gotchas**
 *
 * The platform's own retries go on within `attemptTimeout` of the `TokenEndpoint` layer, which is 10 seconds by default: to
 * sit out an update of the metadata service, which takes up to 70, raise it and `budget`.
 *
 * Outside Azure nobody answers at `169.254.169.254`, which is seen after 2 seconds at most; with `source: "imds"` it is not
 * tried out first. Keep requests to that address off proxies, where the service is not to be had: `NodeTransport` does so
 * by itself, for others there is `NO_PROXY=169.254.169.254`.
 *
 * **Example** (A user-assigned identity)
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
    // What an answer means does not depend on it.
    const publicCloud = Result.getOrThrow(Authority.parse("public"))
    const resource = options.audience ?? "api://AzureADTokenExchange"
    return yield* ClientCredential.assertion(({ clientId, correlationId, tenantId }) =>
      agent.ask({ resource, correlationId }).pipe(
        Effect.flatMap(({ answer, scrub }) =>
          Effect.fromResult(readPlatformResponse(answer, {
            authority: publicCloud,
            authorityUrl: Authority.format(publicCloud),
            clientId,
            tenantId,
            scopes: resource,
            tokenType: "Bearer",
            tokenEndpoint: agent.platform.endpoint,
            correlationId,
            now: clock.currentTimeMillisUnsafe(),
            scrub
          }))
        ),
        Effect.mapBoth({ onFailure: asCredentialError, onSuccess: ({ secret }) => secret })
      )
    )
  })

// -----------------------------------------------------------------------------
// layers
// -----------------------------------------------------------------------------

/**
 * {@link assertion} as a layer.
 *
 * **Example** (An app without a secret)
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
 * A complete client whose tokens are the managed identity's own. It needs an `HttpClient`, and, for Azure Arc, a
 * `FileSystem`.
 *
 * **When to use**
 *
 * For a program in Azure that acts as its machine or app. It needs no app registration.
 *
 * **Details**
 *
 * Everything else is as with any client: one cache, one request a key, renewal before anyone waits, typed errors. The
 * identity belongs to one tenant, so a request that names another one, or claims or extra parameters, which the platform
 * does not take, is refused before anything is sent. A request's scope is `<resource>/.default`.
 *
 * The rules for asking again are the documented ones: the metadata service three times after 1, 2 and 4 seconds when it
 * answers 404, 408, 429, 5xx or nothing within 10 seconds, and seven times after 10 seconds when it answers 410 because it is
 * updated; the others three times after a second on 404, 408, 429, 500, 503, 504 or silence. `RetryPolicy` has no say in them.
 *
 * The codes of a `CredentialError` are those of {@link assertion}; an identity that the platform does not know is an
 * `InvalidClientError` `managed_identity_refused`, and a service that was there before and is silent now a
 * `ServiceUnavailableError` or a `NetworkError`, so that tokens that are still valid go on being served.
 *
 * **Gotchas**
 *
 * The tokens never leave the process: the cache is built inside this layer and lives in memory, because another machine that
 * shared it would act as this one. The platform has a cache of its own, and a refused or forced token may come back the same.
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
  Layer.unwrap(
    Effect.map(Agent.make(options), (agent) => {
      const { onThrottled, renewal, tenantId = Endpoint.unknownTenant } = options
      return ConfidentialClient.layer({
        clientId: clientIdOf(agent.platform.name),
        tenantId,
        renewal,
        onThrottled
      }).pipe(
        Layer.provide([
          Layer.succeed(ClientCredential.ClientCredential, Endpoint.credential),
          Layer.succeed(AuthorityResolver, Endpoint.resolver(agent, tenantId)),
          Layer.effect(TokenEndpoint, Endpoint.endpoint(agent)),
          TokenCache.layerMemory()
        ])
      )
    })
  )

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** The path of a resource is longer than a client id can be, and has whatever its owners call their groups. */
const clientIdOf = (name: string): string =>
  name.startsWith("resourceId:") ? `resourceId:${createHash("sha256").update(name.toLowerCase()).digest("hex")}` : name
