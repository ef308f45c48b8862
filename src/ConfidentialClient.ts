/**
 * The service people use: tokens for an app that acts as itself (OAuth 2.0 client credentials, RFC 6749 section 4.4).
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { AuthenticationResult } from "./AccessToken.ts"
import * as AuthorityResolver from "./AuthorityResolver.ts"
import * as ClientCredential from "./ClientCredential.ts"
import type { ClientEvent } from "./ClientEvent.ts"
import type { AcquireTokenError, ConfigurationError, InvalidRequestError } from "./EntraError.ts"
import type { CachedToken } from "./internal/cache/cachedToken.ts"
import * as Acquisition from "./internal/client/acquisition.ts"
import { AcquireToken, type TokenCall } from "./internal/client/hitPath.ts"
import * as Lifecycle from "./internal/client/lifecycle.ts"
import * as Prefetch from "./internal/client/prefetch.ts"
import { fakeClient } from "./internal/client/testClient.ts"
import * as Environment from "./internal/environment/environment.ts"
import { chooseSecret } from "./internal/environment/environmentCredential.ts"
import type { Transport } from "./internal/http/identityHttp.ts"
import { clientSettingsOf } from "./internal/request/clientOptions.ts"
import { notA } from "./internal/shared/errors.ts"
import { accessTokenSha256 } from "./internal/shared/sha256.ts"
import { durationOf } from "./internal/shared/validate.ts"
import * as Telemetry from "./internal/telemetry/telemetry.ts"
import type * as RetryPolicy from "./RetryPolicy.ts"
import * as TokenCache from "./TokenCache.ts"
import * as TokenEndpoint from "./TokenEndpoint.ts"
import type { ExtraParameters, OnThrottled, TokenRequest } from "./TokenRequest.ts"

export {
  /**
   * The SHA-256 of a token in lower-case hexadecimal: what names a refused token in a request's
   * `accessTokenSha256ToRefresh`.
   *
   * **Example** (Replacing a token that an API refused)
   *
   * ```ts
   * import { Effect } from "effect"
   * import { ConfidentialClient } from "effect-entra"
   *
   * const program = Effect.gen(function*() {
   *   const request = { scopes: "api://orders/.default" }
   *   const { accessToken } = yield* ConfidentialClient.acquireToken(request)
   *   // The API answered 401. However many say so, one request is made.
   *   const accessTokenSha256ToRefresh = yield* ConfidentialClient.accessTokenSha256(accessToken)
   *   yield* ConfidentialClient.acquireToken({ ...request, accessTokenSha256ToRefresh })
   * })
   *
   * await Effect.runPromise(Effect.provide(program, ConfidentialClient.layerTest("a-token")))
   * ```
   *
   * @category combinators
   * @since 0.1.0
   */
  accessTokenSha256
}

export {
  /**
   * What became of one request of a {@link prefetch}.
   *
   * @category models
   * @since 0.1.0
   */
  type Prefetched,
  /**
   * Options of a {@link prefetch}.
   *
   * **Details**
   *
   * - `concurrency`: how many requests are under way at a time, or `"unbounded"`; default 16.
   * - `onProgress`: run after each request; when it dies, that is ignored.
   *
   * @category models
   * @since 0.1.0
   */
  type PrefetchOptions,
  /**
   * How far a {@link prefetch} is: `done` of `total` requests have come to their end, `failed` of them without a token.
   *
   * @category models
   * @since 0.1.0
   */
  type PrefetchProgress
} from "./internal/client/prefetch.ts"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * How a client renews its tokens.
 *
 * **Details**
 *
 * - `margin`: the time before its expiry in which a token is refreshed before it is served, at most a tenth of its lifetime;
 *   default 5 minutes.
 * - `maxWait`: how long a caller waits for that refresh; default 2 seconds.
 * - `serveStaleOnOutage`: whether a token in the margin is served when the service is out of order; default true.
 * - `backoff`: how long no refresh is tried after one has failed; default 30 seconds, doubling to 5 minutes.
 *
 * @category models
 * @since 0.1.0
 */
export interface RenewalOptions {
  readonly margin?: Duration.Input | undefined
  readonly maxWait?: Duration.Input | undefined
  readonly serveStaleOnOutage?: boolean | undefined
  readonly backoff?:
    | { readonly base?: Duration.Input | undefined; readonly cap?: Duration.Input | undefined }
    | undefined
}

/**
 * Options of a client.
 *
 * **Details**
 *
 * - `clientId`: the application (client) id.
 * - `authority`: a URL or a cloud's name; default: the public cloud, no tenant.
 * - `tenantId`: the tenant of requests that name none; default: that of `authority`.
 * - `issuer`: instead of the two, any OpenID provider, by the URL that it calls itself; its discovery document says where
 *   tokens are had, so it needs `AuthorityResolver.layer`. See `Authority.parseIssuer`.
 * - `allowedTenants`: the tenants that requests are held to, each by the name that callers use (id or domain, in any
 *   case), or a predicate that gets that name in lower case and lets in by `true` alone; default: every tenant.
 * - `clientCapabilities`: what the app can handle, sent as the claim `xms_cc`; `["cp1"]` says that it deals with claims
 *   challenges, as `BearerHttpClient` does, and gets it tokens that live longer. Default: none. Tokens are kept apart by them.
 * - `extraQueryParameters`: sent with every request, percent-encoded; a request's own ones of the same names are taken
 *   first.
 * - `renewal`: how tokens are renewed; see {@link RenewalOptions}.
 * - `onThrottled`: what a caller does while the service has asked to be left alone (by `Retry-After`): `"fail"` at once with
 *   a `ThrottledError`, or `"wait"` for as long as it takes, to be bounded with `Effect.timeout`; default `"fail"`. Fresh and
 *   due tokens are served without waiting. A refusal is no throttle, nor is an open circuit.
 *
 * **Example** (A client of any OpenID provider)
 *
 * ```ts
 * import { Layer, Redacted } from "effect"
 * import { AuthorityResolver, ClientCredential, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
 * import { FetchHttpClient } from "effect/http"
 *
 * export const KeycloakLive = ConfidentialClient.layer({
 *   clientId: "orders-daemon",
 *   issuer: "https://idp.example/realms/one"
 * }).pipe(
 *   Layer.provide([
 *     ClientCredential.layerSecret(Redacted.make("the secret's value")),
 *     AuthorityResolver.layer,
 *     TokenEndpoint.layer,
 *     TokenCache.layerMemory()
 *   ]),
 *   Layer.provide(FetchHttpClient.layer)
 * )
 * ```
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly clientId: string
  readonly authority?: string | URL | undefined
  readonly tenantId?: string | undefined
  readonly issuer?: string | URL | undefined
  readonly allowedTenants?: ReadonlyArray<string> | ((tenantId: string) => boolean) | undefined
  readonly clientCapabilities?: ReadonlyArray<string> | undefined
  readonly extraQueryParameters?: ExtraParameters | undefined
  readonly renewal?: RenewalOptions | undefined
  readonly onThrottled?: OnThrottled | undefined
}

/**
 * What holds unless an option says otherwise.
 *
 * @category models
 * @since 0.1.0
 */
export const defaults = {
  authority: "public",
  renewal: {
    margin: "5 minutes",
    maxWait: "2 seconds",
    serveStaleOnOutage: true,
    backoff: { base: "30 seconds", cap: "5 minutes" }
  },
  onThrottled: "fail",
  prefetch: { concurrency: Prefetch.defaultConcurrency }
} as const

/**
 * What a client did so far, and what its cache holds.
 *
 * **Details**
 *
 * `hits` are acquisitions that were answered from memory at once, `misses` those that had to wait; `hitRate` is hits over
 * both, 0 before the first; `refreshes` counts flights that renew a token, those in its last minutes that a caller may wait
 * for among them, and what `keepFresh` acquires; `flights` are under way now.
 * `throttled` keys are not asked for now because the service asked to be left alone, `refused` ones because it has just
 * refused them. The numbers of the cache and of the endpoint are those of all their clients.
 *
 * @category models
 * @since 0.1.0
 */
export interface ClientStats extends TokenCache.CacheStats, TokenEndpoint.EndpointStats {
  readonly hits: number
  readonly misses: number
  readonly hitRate: number
  readonly refreshes: number
  readonly flights: number
}

/**
 * Which tokens of a client to drop: all, a tenant's, or those of one request.
 *
 * @category models
 * @since 0.1.0
 */
export type Invalidation = "all" | { readonly tenantId: string } | TokenRequest

// -----------------------------------------------------------------------------
// services
// -----------------------------------------------------------------------------

/**
 * A client: one app, its credential, one cloud.
 *
 * **Details**
 *
 * `acquireToken` is lazy: each run of the effect looks the token up. `peek` is synchronous, never starts a request, and
 * gives a fresh or due token or undefined. `keepFresh` renews without being asked; `prefetch` warms many.
 *
 * @category services
 * @since 0.1.0
 */
export class ConfidentialClient extends Context.Service<ConfidentialClient, {
  readonly acquireToken: (request: TokenRequest) => Effect.Effect<AuthenticationResult, AcquireTokenError>
  readonly peek: (request: TokenRequest) => AuthenticationResult | undefined
  readonly invalidate: (selection: Invalidation) => Effect.Effect<void, ConfigurationError>
  readonly keepFresh: (request: TokenRequest) => Effect.Effect<void, ConfigurationError, Scope.Scope>
  readonly prefetch: <R = never>(
    requests: Iterable<TokenRequest>,
    options?: Prefetch.PrefetchOptions<R>
  ) => Effect.Effect<Array<Prefetch.Prefetched>, never, R>
  readonly stats: Effect.Effect<ClientStats>
  readonly events: Stream.Stream<ClientEvent>
}>()("effect-entra/ConfidentialClient") {}

// -----------------------------------------------------------------------------
// combinators
// -----------------------------------------------------------------------------

/**
 * A token for a request: from the cache, from the request that is already under way for it, or from the service.
 *
 * **Details**
 *
 * Each run looks the token up again, so an effect that is kept, repeated or retried never yields an expired one. A token
 * that is due for renewal is returned at once and renewed in the background.
 *
 * **Gotchas**
 *
 * An effect that is kept goes by the request as it was when it first ran, so leave the request alone; and it holds on to the
 * token that it found until it runs again, even if the cache has dropped that.
 *
 * **Example** (Acquiring a token)
 *
 * ```ts
 * import assert from "node:assert"
 * import { Effect, Redacted } from "effect"
 * import { ConfidentialClient } from "effect-entra"
 *
 * const program = Effect.gen(function*() {
 *   const result = yield* ConfidentialClient.acquireToken({
 *     scopes: ["https://graph.microsoft.com/.default"],
 *     tenantId: "contoso.onmicrosoft.com"
 *   })
 *   assert.strictEqual(Redacted.value(result.accessToken), "a-token")
 * })
 *
 * await Effect.runPromise(Effect.provide(program, ConfidentialClient.layerTest("a-token")))
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const acquireToken = (
  request: TokenRequest
): Effect.Effect<AuthenticationResult, AcquireTokenError, ConfidentialClient> => new AcquireTokenOfContext(request)

/**
 * The token for a request if the cache has a usable one; never starts a request.
 *
 * **Example** (Looking without asking)
 *
 * ```ts
 * import assert from "node:assert"
 * import { Effect } from "effect"
 * import { ConfidentialClient } from "effect-entra"
 *
 * const cached = ConfidentialClient.peek({ scopes: "api://orders/.default" })
 *
 * const found = await Effect.runPromise(Effect.provide(cached, ConfidentialClient.layerTest("a-token")))
 * assert.strictEqual(found, undefined)
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const peek = (
  request: TokenRequest
): Effect.Effect<AuthenticationResult | undefined, never, ConfidentialClient> =>
  ConfidentialClient.useSync((client) => client.peek(request))

/**
 * Drop tokens of the client, and the refusals that are remembered for them. A request that is under way when this runs
 * does not store its token.
 *
 * **Example** (Dropping a tenant's tokens)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { ConfidentialClient } from "effect-entra"
 *
 * const program = ConfidentialClient.invalidate({ tenantId: "contoso.onmicrosoft.com" })
 *
 * await Effect.runPromise(Effect.provide(program, ConfidentialClient.layerTest("a-token")))
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const invalidate = (selection: Invalidation): Effect.Effect<void, ConfigurationError, ConfidentialClient> =>
  ConfidentialClient.use((client) => client.invalidate(selection))

/**
 * Keep a token fresh without anybody asking: it is acquired now if there is none, and renewed whenever it is due, until the
 * scope closes.
 *
 * **When to use**
 *
 * For the few tokens that a program cannot do without, so that even the first caller of the day does not wait.
 *
 * **Details**
 *
 * Returns as soon as the request is seen to be right; all else goes on in the background, on one timer. After a failure it
 * tries again by the client's `coolDown`, or when the service may be asked again. What this client invalidates is acquired
 * anew at once, what the cache has pushed out when it is next due. It joins the flights of callers and never adds to them.
 * The spans of its own flights have no parent.
 *
 * **Gotchas**
 *
 * `forceRefresh`, `claims` and `accessTokenSha256ToRefresh` are about one call, so they are refused here. Over a cache that
 * keeps nothing this does nothing.
 *
 * **Example** (A token that is always there)
 *
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { ConfidentialClient } from "effect-entra"
 *
 * // Beside the rest of the program: it lives as long as the layer.
 * const Warm = Layer.effectDiscard(ConfidentialClient.keepFresh({ scopes: "api://orders/.default" }))
 *
 * await Effect.runPromise(
 *   Effect.void.pipe(Effect.provide(Layer.provide(Warm, ConfidentialClient.layerTest("a-token"))))
 * )
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const keepFresh = (
  request: TokenRequest
): Effect.Effect<void, ConfigurationError, ConfidentialClient | Scope.Scope> =>
  ConfidentialClient.use((client) => client.keepFresh(request))

/**
 * Acquire the tokens for many requests, so that they are there when they are asked for.
 *
 * **Details**
 *
 * Yields one `Exit` per request, in their order, and never fails as a whole: one broken tenant leaves the others warm.
 * Requests for the same token share a flight.
 *
 * **Gotchas**
 *
 * The results are those of that moment; ask the client again when a token is needed. The cache should hold them all: see
 * `TokenCache.layerMemory`.
 *
 * **Example** (Warming all tenants at the start)
 *
 * ```ts
 * import assert from "node:assert"
 * import { Effect, Exit } from "effect"
 * import { ConfidentialClient } from "effect-entra"
 *
 * const requests = ["contoso.onmicrosoft.com", "fabrikam.onmicrosoft.com"].map((tenantId) => ({
 *   scopes: "api://orders/.default",
 *   tenantId
 * }))
 *
 * const program = Effect.gen(function*() {
 *   const exits = yield* ConfidentialClient.prefetch(requests, {
 *     onProgress: ({ done, failed, total }) => Effect.logDebug(`${done} of ${total}, ${failed} failed`)
 *   })
 *   assert.deepStrictEqual(exits.map(Exit.isSuccess), [true, true])
 * })
 *
 * await Effect.runPromise(Effect.provide(program, ConfidentialClient.layerTest("a-token")))
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const prefetch = <R = never>(
  requests: Iterable<TokenRequest>,
  options?: Prefetch.PrefetchOptions<R>
): Effect.Effect<Array<Prefetch.Prefetched>, never, ConfidentialClient | R> =>
  ConfidentialClient.use((client) => client.prefetch(requests, options))

/**
 * What the client did so far.
 *
 * **Example** (Watching the hit rate)
 *
 * ```ts
 * import assert from "node:assert"
 * import { Effect } from "effect"
 * import { ConfidentialClient } from "effect-entra"
 *
 * const { hitRate } = await Effect.runPromise(
 *   Effect.provide(ConfidentialClient.stats, ConfidentialClient.layerTest("a-token"))
 * )
 * assert.strictEqual(hitRate, 0)
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const stats: Effect.Effect<ClientStats, never, ConfidentialClient> = ConfidentialClient.use((client) =>
  client.stats
)

/**
 * What happens from now on: misses, failures and renewals, one event a flight; never a hit. It ends when the client is
 * closed.
 *
 * **Details**
 *
 * A subscriber who is slow holds nobody up: of more than 256 events that wait for it the oldest go.
 *
 * **Gotchas**
 *
 * Nothing is kept for who comes later, and a fork starts later: fork with `startImmediately` before the first token is asked
 * for, or the first events are missed.
 *
 * **Example** (Watching for failures)
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { ConfidentialClient } from "effect-entra"
 *
 * const watch = ConfidentialClient.events.pipe(
 *   Stream.filter((event) => event._tag === "AcquisitionFailed"),
 *   Stream.runForEach(({ error, tenantId }) => Effect.logError(tenantId, error.code)),
 *   Effect.forkChild({ startImmediately: true })
 * )
 *
 * await Effect.runPromise(Effect.provide(watch, ConfidentialClient.layerTest("a-token")))
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const events: Stream.Stream<ClientEvent, never, ConfidentialClient> = Stream.unwrap(
  ConfidentialClient.useSync((client) => client.events)
)

// -----------------------------------------------------------------------------
// constructors
// -----------------------------------------------------------------------------

/**
 * A client as a value, so that one process can hold many apps over one cache.
 *
 * **Details**
 *
 * The client lives in the scope: when that closes, callers who wait get a `ServiceUnavailableError` `client_closed`.
 *
 * **Example** (Two apps over one cache)
 *
 * ```ts
 * import assert from "node:assert"
 * import { Effect, Layer } from "effect"
 * import { AuthorityResolver, ClientCredential, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
 * import { EntraSimulator } from "effect-entra/testing"
 *
 * const services = Layer.mergeAll(AuthorityResolver.layer, TokenEndpoint.layer, TokenCache.layerMemory())
 *
 * const program = Effect.gen(function*() {
 *   const credential = yield* ClientCredential.secret(EntraSimulator.daemonSecret)
 *   const app = { clientId: EntraSimulator.daemonClientId, tenantId: EntraSimulator.contosoTenantId, credential }
 *   const one = yield* ConfidentialClient.make(app)
 *   const another = yield* ConfidentialClient.make(app)
 *   yield* one.acquireToken({ scopes: "api://orders/.default" })
 *   const { metadata } = yield* another.acquireToken({ scopes: "api://orders/.default" })
 *   assert.strictEqual(metadata.tokenSource, "Cache")
 * })
 *
 * await Effect.runPromise(
 *   Effect.scoped(program).pipe(Effect.provide(services), Effect.provide(EntraSimulator.layerMemory()))
 * )
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options: Options & { readonly credential: ClientCredential.ClientCredential["Service"] }
): Effect.Effect<
  ConfidentialClient["Service"],
  ConfigurationError,
  Scope.Scope | AuthorityResolver.AuthorityResolver | TokenEndpoint.TokenEndpoint | TokenCache.TokenCache
> =>
  Effect.gen(function*() {
    const settings = yield* Effect.fromResult(clientSettingsOf(options))
    const { margin, ...renewal } = yield* Effect.fromResult(renewalOf(options.renewal ?? {}))
    const cache = yield* TokenCache.TokenCache
    const endpoint = yield* TokenEndpoint.TokenEndpoint
    const telemetry = yield* Telemetry.make({
      clientId: settings.clientId,
      cache,
      endpoint,
      expiresOn: options.credential.expiresOn
    })
    const acquire = yield* Acquisition.make({
      clientId: settings.clientId,
      capabilities: settings.extras.capabilities,
      margin,
      credential: options.credential,
      resolver: yield* AuthorityResolver.AuthorityResolver,
      endpoint,
      cache,
      telemetry
    })
    const lifecycle = yield* Lifecycle.make({
      settings,
      cache,
      binding: options.credential.binding,
      forget: endpoint.forget,
      acquire,
      renewal,
      onThrottled: options.onThrottled ?? defaults.onThrottled
    })
    yield* telemetry.watch(lifecycle.counts)
    return new Client(lifecycle, cache, endpoint, telemetry.events)
  })

// -----------------------------------------------------------------------------
// layers
// -----------------------------------------------------------------------------

/**
 * A client over the four services of the context.
 *
 * **Gotchas**
 *
 * Build it once, at the edge of the program or in a `ManagedRuntime`. `Effect.provide` inside a handler builds a new
 * client with an empty cache on every call.
 *
 * **Example** (A client with a secret)
 *
 * ```ts
 * import { Layer, Redacted } from "effect"
 * import { AuthorityResolver, ClientCredential, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
 * import { FetchHttpClient } from "effect/http"
 *
 * export const EntraLive = ConfidentialClient.layer({
 *   clientId: "11111111-1111-1111-1111-111111111111",
 *   tenantId: "contoso.onmicrosoft.com"
 * }).pipe(
 *   Layer.provide([
 *     ClientCredential.layerSecret(Redacted.make("the secret's value")),
 *     AuthorityResolver.layer,
 *     TokenEndpoint.layer,
 *     TokenCache.layerMemory()
 *   ]),
 *   Layer.provide(FetchHttpClient.layer)
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<
  ConfidentialClient,
  ConfigurationError,
  | ClientCredential.ClientCredential
  | AuthorityResolver.AuthorityResolver
  | TokenEndpoint.TokenEndpoint
  | TokenCache.TokenCache
> =>
  Layer.effect(
    ConfidentialClient,
    Effect.flatMap(ClientCredential.ClientCredential, (credential) => make({ ...options, credential }))
  )

/**
 * Options of {@link layerDefault}: those of a client, and those of the services that it brings.
 *
 * **Details**
 *
 * - `region`: the short name of an Azure region; see `AuthorityResolver.layerWith`.
 * - `transformClient`: wraps the HTTP client of all requests to the service (a proxy, a log, a header).
 * - `retry`: default `RetryPolicy.standard`.
 * - `cache`: the bounds of the cache; see `TokenCache.layerMemory`.
 *
 * @category models
 * @since 0.1.0
 */
export interface DefaultOptions extends Options {
  readonly region?: string | undefined
  readonly transformClient?: ((client: Transport) => Transport) | undefined
  readonly retry?: RetryPolicy.RetryPolicy | undefined
  readonly cache?: TokenCache.MemoryOptions | undefined
}

/**
 * Creates a client that brings the authority resolver, the token endpoint and an in-memory cache; it needs a credential and
 * an `HttpClient`.
 *
 * **When to use**
 *
 * For most programs. {@link layer} lets you choose each service.
 *
 * **Gotchas**
 *
 * Build it once, at the edge of the program or in a `ManagedRuntime`. `Effect.provide` inside a handler builds a new
 * client with an empty cache on every call.
 *
 * **Example** (A client with a secret)
 *
 * ```ts
 * import { Layer, Redacted } from "effect"
 * import { ClientCredential, ConfidentialClient } from "effect-entra"
 * import { FetchHttpClient } from "effect/http"
 *
 * export const EntraLive = ConfidentialClient.layerDefault({
 *   clientId: "11111111-1111-1111-1111-111111111111",
 *   tenantId: "contoso.onmicrosoft.com"
 * }).pipe(
 *   Layer.provide([ClientCredential.layerSecret(Redacted.make("the secret's value")), FetchHttpClient.layer])
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerDefault = (
  { cache = {}, region, retry, transformClient, ...options }: DefaultOptions
): Layer.Layer<ConfidentialClient, ConfigurationError, ClientCredential.ClientCredential | Transport> =>
  layer(options).pipe(
    Layer.provide([
      AuthorityResolver.layerWith({ region, transformClient }),
      TokenEndpoint.layerWith({ retry, transformClient }),
      TokenCache.layerMemory(cache)
    ])
  )

/**
 * Options of {@link layerFromEnv}. An option overrides its variable; `credential` decides for the secret without a warning
 * when other credentials are set too.
 *
 * @category models
 * @since 0.1.0
 */
export interface EnvOptions extends Partial<DefaultOptions> {
  readonly credential?: "secret" | undefined
}

/**
 * Creates a complete client from the environment; it needs only an `HttpClient`.
 *
 * **Details**
 *
 * It reads `AZURE_CLIENT_ID`, `AZURE_TENANT_ID` (optional), `AZURE_AUTHORITY_HOST` (default: the public cloud),
 * `AZURE_REGIONAL_AUTHORITY_NAME` (default: the cloud's global endpoint) and `AZURE_CLIENT_SECRET`. Options override
 * variables: a tenant that `authority` names goes before `AZURE_TENANT_ID`, and `region: ""` means no region. A variable
 * that is set to nothing counts as not set. `AZURE_TENANT_ID=adfs` means that the host is AD FS. All problems are found
 * before any request is made; several problems are reported in one `InvalidRequestError` `configuration_invalid`.
 *
 * `layerFromEnv` of `effect-entra/node` reads credentials in files. When `AZURE_CLIENT_CERTIFICATE_PATH` or
 * `AZURE_FEDERATED_TOKEN_FILE` is set beside the secret, the secret is used and one warning says so;
 * `credential: "secret"` decides without the warning.
 *
 * **Example** (A client from the environment)
 *
 * ```ts
 * import { Layer } from "effect"
 * import { ConfidentialClient } from "effect-entra"
 * import { FetchHttpClient } from "effect/http"
 *
 * export const EntraLive = ConfidentialClient.layerFromEnv().pipe(Layer.provide(FetchHttpClient.layer))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerFromEnv = (
  options: EnvOptions = {}
): Layer.Layer<ConfidentialClient, ConfigurationError, Transport> =>
  Layer.unwrap(
    Effect.map(
      Environment.readClient(options, {
        choose: chooseSecret,
        load: ({ secret }) => ClientCredential.secret(secret),
        selectionHint: `layerFromEnv({ credential: "secret" })`
      }),
      ({ credential, ...settings }) =>
        layerDefault({ ...options, ...settings }).pipe(
          Layer.provide(Layer.succeed(ClientCredential.ClientCredential, credential))
        )
    )
  )

/**
 * The requests that a {@link layerTest} client was asked for, in order.
 *
 * @category services
 * @since 0.1.0
 */
export class TestCalls extends Context.Service<TestCalls, ReadonlyArray<TokenRequest>>()(
  "effect-entra/ConfidentialClient/TestCalls"
) {}

/**
 * A fake for the tests of code that needs a client: no crypto, no HTTP, no rules. It answers with the token, or with what
 * the function makes of the request, and records its calls in {@link TestCalls}.
 *
 * **Example** (Testing code that calls an API)
 *
 * ```ts
 * import assert from "node:assert"
 * import { Effect } from "effect"
 * import { ConfidentialClient } from "effect-entra"
 *
 * const codeUnderTest = ConfidentialClient.acquireToken({ scopes: "api://orders/.default" })
 *
 * const test = Effect.gen(function*() {
 *   yield* codeUnderTest
 *   const calls = yield* ConfidentialClient.TestCalls
 *   assert.deepStrictEqual(calls, [{ scopes: "api://orders/.default" }])
 * })
 *
 * await Effect.runPromise(Effect.provide(test, ConfidentialClient.layerTest("a-token")))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerTest = (
  token: string | ((request: TokenRequest) => Effect.Effect<string, AcquireTokenError>)
): Layer.Layer<ConfidentialClient | TestCalls> =>
  Layer.effectContext(Effect.sync(() => {
    const calls: Array<TokenRequest> = []
    const client = ConfidentialClient.of(fakeClient(token, calls))
    return Context.make(ConfidentialClient, client).pipe(Context.add(TestCalls, calls))
  }))

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const renewalOf = (
  renewal: RenewalOptions
): Result.Result<Lifecycle.Renewal & { readonly margin: number }, InvalidRequestError> =>
  Result.gen(function*() {
    const { backoff, margin, maxWait, serveStaleOnOutage } = renewal
    if (serveStaleOnOutage !== undefined && typeof serveStaleOnOutage !== "boolean") {
      return yield* Result.fail(notA("true or false", "renewal.serveStaleOnOutage"))
    }
    return {
      margin: yield* durationOf("renewal.margin", margin ?? defaults.renewal.margin),
      maxWait: yield* durationOf("renewal.maxWait", maxWait ?? defaults.renewal.maxWait),
      serveStaleOnOutage: serveStaleOnOutage ?? defaults.renewal.serveStaleOnOutage,
      backoff: {
        base: yield* durationOf("renewal.backoff.base", backoff?.base ?? defaults.renewal.backoff.base),
        cap: yield* durationOf("renewal.backoff.cap", backoff?.cap ?? defaults.renewal.backoff.cap)
      }
    }
  })

class Client implements Context.Service.Shape<typeof ConfidentialClient> {
  readonly lifecycle: Lifecycle.Lifecycle
  readonly stats: Effect.Effect<ClientStats>
  readonly events: Stream.Stream<ClientEvent>
  constructor(
    lifecycle: Lifecycle.Lifecycle,
    cache: TokenCache.TokenCache["Service"],
    endpoint: TokenEndpoint.TokenEndpoint["Service"],
    events: Stream.Stream<ClientEvent>
  ) {
    this.lifecycle = lifecycle
    this.events = events
    this.stats = Effect.zipWith(cache.stats, endpoint.stats, (cached, gates) => {
      const counts = lifecycle.counts()
      const { hits, misses } = counts
      return { ...cached, ...gates, ...counts, hitRate: hits === 0 ? 0 : hits / (hits + misses) }
    })
  }
  readonly acquireToken = (request: TokenRequest): AcquireToken => new AcquireToken(request, this.lifecycle)
  readonly peek = (request: TokenRequest) => this.lifecycle.peek(request)
  readonly invalidate = (selection: Invalidation) => this.lifecycle.invalidate(selection)
  readonly keepFresh = (request: TokenRequest) => this.lifecycle.keepFresh(request)
  readonly prefetch = <R>(requests: Iterable<TokenRequest>, options?: Prefetch.PrefetchOptions<R>) =>
    Prefetch.prefetch(this.acquireToken, requests, options)
}

/** An {@link AcquireToken} with the client of the context, which the fiber has; one effect may be run with several. */
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging -- the members come with the prototype below
interface AcquireTokenOfContext extends Effect.Effect<AuthenticationResult, AcquireTokenError, ConfidentialClient> {}
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging -- see above
class AcquireTokenOfContext implements TokenCall {
  readonly request: TokenRequest
  lifecycle: Lifecycle.Lifecycle | undefined = undefined
  entry: CachedToken | undefined = undefined
  constructor(request: TokenRequest) {
    this.request = request
  }
}
Object.setPrototypeOf(
  AcquireTokenOfContext.prototype,
  Effectable.Prototype<AcquireTokenOfContext>({
    label: "effect-entra/acquireToken",
    evaluate(fiber) {
      const client = Context.getUnsafe(fiber.context, ConfidentialClient)
      if (!(client instanceof Client)) return client.acquireToken(this.request)
      const { lifecycle } = client
      if (this.lifecycle !== lifecycle) {
        this.lifecycle = lifecycle
        this.entry = undefined
      }
      return lifecycle.run(this)
    }
  })
)
