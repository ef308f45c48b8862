/**
 * The client of Microsoft Entra ID and other OpenID providers, for an app that acts on its own behalf (OAuth 2.0 client
 * credentials, RFC 6749 section 4.4).
 *
 * `layerDefault`, `layerFromEnv` and their options are unstable, because their types name the `HttpClient` of
 * `effect/http`, which Effect tags as unstable.
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
import { limitOf } from "./internal/endpoint/acquisitionLimit.ts"
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
   * Returns the SHA-256 hash of a token in lower-case hexadecimal, for the field `accessTokenSha256ToRefresh` of a
   * request.
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
   *   // The API responded with 401. Concurrent callers with the same hash share one token request.
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
   * The `Exit` of one request of a {@link prefetch}.
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
   * - `concurrency`: the number of requests that run at a time, or `"unbounded"`; default: 16.
   * - `onProgress`: an effect that runs after each request. A defect of it is ignored.
   *
   * @category models
   * @since 0.1.0
   */
  type PrefetchOptions,
  /**
   * The progress of a {@link prefetch}: `done` of `total` requests have ended, and `failed` of these failed.
   *
   * @category models
   * @since 0.1.0
   */
  type PrefetchProgress
} from "./internal/client/prefetch.ts"

export {
  /**
   * The function of the platform that keeps a request alive until a promise settles; default: a function that does
   * nothing.
   *
   * **When to use**
   *
   * On Cloudflare Workers, where the timers and connections of a request end with the request. Provide `ctx.waitUntil`
   * to each program of a request. A refresh in the background then completes after the response. Without the function
   * the refresh is lost, and a later request repeats it.
   *
   * **Example** (A Worker)
   *
   * ```ts
   * import { Effect } from "effect"
   * import { ConfidentialClient } from "effect-entra"
   *
   * const program = ConfidentialClient.acquireToken({ scopes: "api://orders/.default" })
   *
   * export const handle = (ctx: { readonly waitUntil: (promise: Promise<unknown>) => void }) =>
   *   program.pipe(Effect.provideService(ConfidentialClient.WaitUntil, (promise) => ctx.waitUntil(promise)))
   * ```
   *
   * @category references
   * @since 0.1.0
   */
  WaitUntil
} from "./internal/shared/requestContext.ts"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * Options for the refresh of tokens.
 *
 * **Details**
 *
 * - `margin`: how long before its expiry a token becomes near expiry, at most a tenth of its lifetime; default: 5
 *   minutes. A token near expiry is refreshed before it is served.
 * - `maxWait`: how long a caller waits for that refresh; default: 2 seconds. Then the token near expiry is served.
 * - `serveStaleOnOutage`: whether a token near expiry is served when its refresh is slow or fails; default: true. False
 *   treats a token near expiry as expired.
 * - `serveStaleOnRefusal`: whether the token is also served when the service refused the refresh, for example because
 *   the app was disabled; default: true. The refusal is logged, counted and an event. False gives the refusal to the
 *   callers.
 * - `backoff`: the pause after a failed refresh of a due token; default: 30 seconds (`base`), doubling with each further
 *   failure up to 5 minutes (`cap`). The pause ends when the token becomes near expiry. From then on the first call that
 *   comes `maxWait` after a failure refreshes the token again.
 *
 * @category models
 * @since 0.1.0
 */
export interface RenewalOptions {
  readonly margin?: Duration.Input | undefined
  readonly maxWait?: Duration.Input | undefined
  readonly serveStaleOnOutage?: boolean | undefined
  readonly serveStaleOnRefusal?: boolean | undefined
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
 * - `authority`: a URL or the name of a cloud; default: the public cloud without a tenant. See `Authority.parse`.
 * - `tenantId`: the tenant of requests without a tenant; default: the tenant of `authority`.
 * - `issuer`: instead of `authority`, `tenantId` and `allowedTenants`, the issuer URL of an OpenID provider. Its
 *   endpoints come from its discovery document, which needs `AuthorityResolver.layer`. See `Authority.parseIssuer`.
 * - `defaultLifetime`: with `issuer`, the lifetime of a token whose response has no `expires_in` (optional in RFC 6749
 *   section 5.1); default: 0, which means that such a token is used once and not cached. Its `expiresOn` is then the
 *   time of issue.
 * - `allowedTenants`: the tenants that requests may name; default: every tenant. An array contains ids or domain names,
 *   as callers use them, in any case. A predicate gets the id or name of a request in lower case, and allows it only by
 *   returning `true`.
 * - `clientCapabilities`: the capabilities of the app, sent as the claim `xms_cc`; default: none. `["cp1"]` declares
 *   that the app handles claims challenges, as `BearerHttpClient` does; Entra then issues tokens with a longer
 *   lifetime. The capabilities are part of the cache key.
 * - `extraQueryParameters`: query parameters of every token request, which the library percent-encodes; default: none. A
 *   parameter of the request overrides the parameter of the same name.
 * - `renewal`: the refresh of tokens; see {@link RenewalOptions}.
 * - `onThrottled`: the behavior of calls while the service is throttled; default: `"fail"`. See
 *   `TokenRequest.OnThrottled`. Cached tokens are served without a wait. A refusal and an open circuit breaker always
 *   fail.
 *
 * **Example** (A client of another OpenID provider)
 *
 * ```ts
 * import { Layer, Redacted } from "effect"
 * import { ClientCredential, ConfidentialClient } from "effect-entra"
 * import { FetchHttpClient } from "effect/http"
 *
 * export const KeycloakLive = ConfidentialClient.layerDefault({
 *   clientId: "orders-daemon",
 *   issuer: "https://idp.example/realms/one"
 * }).pipe(
 *   Layer.provide([ClientCredential.layerSecret(Redacted.make("the secret's value")), FetchHttpClient.layer])
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
  readonly defaultLifetime?: Duration.Input | undefined
  readonly allowedTenants?: ReadonlyArray<string> | ((tenantId: string) => boolean) | undefined
  readonly clientCapabilities?: ReadonlyArray<string> | undefined
  readonly extraQueryParameters?: ExtraParameters | undefined
  readonly renewal?: RenewalOptions | undefined
  readonly onThrottled?: OnThrottled | undefined
}

/**
 * The default values of {@link Options} and of {@link prefetch}.
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
    serveStaleOnRefusal: true,
    backoff: { base: "30 seconds", cap: "5 minutes" }
  },
  onThrottled: "fail",
  prefetch: { concurrency: Prefetch.defaultConcurrency }
} as const

/**
 * The counts of a client, its cache and its endpoint.
 *
 * **Details**
 *
 * A flight is one acquisition that several calls may share.
 *
 * - `hits`: calls of `acquireToken` that were served from the cache, also near expiry.
 * - `misses`: calls of `acquireToken` that waited for a flight and got its result.
 * - `hitRate`: `hits` divided by the sum of `hits` and `misses`; 0 before the first hit.
 * - `refreshes`: flights that refresh a token, in the background or near expiry, and all flights of `keepFresh` and
 *   `tokens`.
 * - `flights`: flights that run now.
 * - `throttled`, `refused`: keys that the service throttles now, and keys whose recent refusal is repeated locally.
 * - `entries`, `bytes`, `evictions`: the numbers of the cache.
 *
 * The numbers of the cache and of the endpoint include all clients that share them.
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
 * The tokens to invalidate: all tokens of the client, those of a tenant, or those for the tenant and the scopes of a
 * request.
 *
 * **Details**
 *
 * A tenant is compared by the name that requests use, its id or a domain name.
 *
 * @category models
 * @since 0.1.0
 */
export type Invalidation = "all" | { readonly tenantId: string } | TokenRequest

// -----------------------------------------------------------------------------
// services
// -----------------------------------------------------------------------------

/**
 * A client: one app with its credential in one cloud.
 *
 * **Details**
 *
 * - `acquireToken`: returns a token; see {@link acquireToken}.
 * - `peek`: returns the cached token without a request; see {@link peek}.
 * - `invalidate`: removes tokens from the cache; see {@link invalidate}.
 * - `keepFresh`: refreshes a token in the background; see {@link keepFresh}.
 * - `tokens`: returns a stream of the token and each newer token; see {@link tokens}.
 * - `prefetch`: acquires many tokens; see {@link prefetch}.
 * - `stats`: the counts of the client; see {@link ClientStats}.
 * - `events`: the events of the client; see {@link events}.
 *
 * @category services
 * @since 0.1.0
 */
export class ConfidentialClient extends Context.Service<ConfidentialClient, {
  readonly acquireToken: (request: TokenRequest) => Effect.Effect<AuthenticationResult, AcquireTokenError>
  readonly peek: (request: TokenRequest) => AuthenticationResult | undefined
  readonly invalidate: (selection: Invalidation) => Effect.Effect<void, ConfigurationError>
  readonly keepFresh: (request: TokenRequest) => Effect.Effect<void, ConfigurationError, Scope.Scope>
  readonly tokens: (request: TokenRequest) => Stream.Stream<AuthenticationResult, AcquireTokenError>
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
 * Returns a token for a request: from the cache, from a shared request that is under way, or from the service.
 *
 * **Details**
 *
 * - Each run of the effect reads the cache, so an effect that is repeated or retried never returns an expired token.
 * - A token is due for a refresh at the time that the service names (`refresh_in`), or after half of its lifetime. A
 *   token that is due is returned at once and refreshed in the background.
 * - A token near expiry is refreshed before it is returned; see {@link RenewalOptions}.
 * - Concurrent callers for the same token share one request.
 *
 * **Gotchas**
 *
 * Do not change the request object: an effect may keep using the token of its first run. An effect also keeps a
 * reference to that token until its next run, even if the token was removed from the cache.
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
 * Returns the cached token for a request, fresh or due for a refresh; undefined when there is no such token. It never
 * sends a request.
 *
 * **Details**
 *
 * Returns undefined for an invalid request, for a request with `forceRefresh`, `claims` or
 * `accessTokenSha256ToRefresh`, and when the token is valid for less than `minimumValidity`.
 *
 * **Example** (Reading the cache)
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
 * Removes tokens of the client from the cache, and forgets the remembered refusals for them.
 *
 * **Details**
 *
 * A request that is under way does not store its token. The effect fails with a `ConfigurationError` when the selection
 * is invalid.
 *
 * **Example** (Removing the tokens of a tenant)
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
 * Keeps a token fresh in the background: acquires it now if the cache has no token, and refreshes it whenever it is
 * due, until the scope or the client closes.
 *
 * **When to use**
 *
 * For the few tokens that a program always needs, so that callers do not wait, even after a long pause.
 *
 * **Details**
 *
 * - The effect returns as soon as the request is checked, and fails with a `ConfigurationError` when it is invalid.
 * - After a failure it tries again after the client's `renewal.backoff`, or after a longer `retryAfter` of the error.
 * - Invalidated tokens are acquired again at once. Evicted tokens are acquired when they are next due.
 * - It shares the requests of callers for the same token. The spans of its own requests have no parent.
 *
 * **Gotchas**
 *
 * `forceRefresh`, `claims` and `accessTokenSha256ToRefresh` concern one call, so they fail with `field_malformed`. With
 * a cache that stores nothing this does nothing.
 *
 * **Example** (A token that is always fresh)
 *
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { ConfidentialClient } from "effect-entra"
 *
 * // The token stays fresh as long as this layer is open.
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
 * Returns a stream of the token for a request, and of each newer token as soon as it is acquired. The stream keeps the
 * token fresh, as {@link keepFresh} does, so its last token is always valid. It ends when the client closes.
 *
 * **When to use**
 *
 * For connections that need the token itself, such as the password of a Redis connection; see `TokenPassword` of
 * `effect-entra/node`. For HTTP requests use {@link acquireToken} or `BearerHttpClient`.
 *
 * **Details**
 *
 * - The first token is emitted at once: from the cache, or acquired.
 * - A refresh that fails while the last token is valid is tried again after the client's `renewal.backoff`, or after a
 *   longer `retryAfter` of the error.
 * - The stream fails if the first token cannot be acquired, or if the last token expires without a replacement. With
 *   `onThrottled: "wait"` it waits while the service is throttled.
 * - The replacement of an invalidated token is emitted at once. A token is never emitted twice in a row.
 * - A slow subscriber gets only the newest token. Streams for the same token share its token requests.
 *
 * **Gotchas**
 *
 * `forceRefresh`, `claims` and `accessTokenSha256ToRefresh` concern one call, so the stream fails with
 * `field_malformed`.
 *
 * **Example** (Following the token of a connection)
 *
 * ```ts
 * import assert from "node:assert"
 * import { Effect, Redacted, Stream } from "effect"
 * import { ConfidentialClient } from "effect-entra"
 *
 * const passwords = ConfidentialClient.tokens({ scopes: "https://redis.azure.com/.default" }).pipe(
 *   Stream.map(({ accessToken }) => Redacted.value(accessToken))
 * )
 *
 * // The stream goes on until the client closes; this program takes only the first token.
 * const program = Stream.runCollect(Stream.take(passwords, 1))
 * const first = await Effect.runPromise(Effect.provide(program, ConfidentialClient.layerTest("a-token")))
 * assert.deepStrictEqual(first, ["a-token"])
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const tokens = (
  request: TokenRequest
): Stream.Stream<AuthenticationResult, AcquireTokenError, ConfidentialClient> =>
  Stream.unwrap(ConfidentialClient.useSync((client) => client.tokens(request)))

/**
 * Acquires the tokens for many requests, so that later acquisitions are cache hits.
 *
 * **Details**
 *
 * Returns one `Exit` per request, in the order of the requests. A failed request does not affect the others. Requests
 * for the same token share one request.
 *
 * **Gotchas**
 *
 * The results may expire; call `acquireToken` again when a token is needed. The cache must be large enough for all
 * tokens; see `TokenCache.layerMemory`.
 *
 * **Example** (Acquiring the tokens of all tenants at the start)
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
 * Returns the counts of the client.
 *
 * **Example** (Reading the hit rate)
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
 * The events of the client from now on: acquisitions, refreshes and failures, one event per shared request. Cache hits
 * have no events. The stream ends when the client closes.
 *
 * **Details**
 *
 * A slow subscriber does not delay callers. A subscriber that falls more than 256 events behind loses the oldest.
 *
 * **Gotchas**
 *
 * Earlier events are not kept for a new subscriber. Fork the subscriber with `startImmediately` before the first
 * acquisition, or the first events are lost.
 *
 * **Example** (Logging failures)
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
 * Creates a client as a value, so that one process can have several apps with one cache.
 *
 * **Details**
 *
 * The client closes with the scope. Callers that wait at that moment get a `ServiceUnavailableError` `client_closed`.
 * The effect fails with a `ConfigurationError` when an option is invalid.
 *
 * **Example** (Two clients with one cache)
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
    const limit = limitOf(endpoint)
    const acquisitions = yield* Acquisition.make({
      clientId: settings.clientId,
      margin,
      defaultLifetime: settings.defaultLifetime,
      credential: options.credential,
      resolver: yield* AuthorityResolver.AuthorityResolver,
      endpoint,
      cache,
      telemetry,
      limit
    })
    const lifecycle = yield* Lifecycle.make({
      settings,
      cache,
      binding: options.credential.binding,
      forget: endpoint.forget,
      acquisitions,
      renewal,
      limit,
      onThrottled: options.onThrottled ?? defaults.onThrottled
    })
    yield* telemetry.watch(lifecycle.counts)
    return new Client(lifecycle, cache, endpoint, telemetry.events)
  })

// -----------------------------------------------------------------------------
// layers
// -----------------------------------------------------------------------------

/**
 * Creates a client from the four services of the context.
 *
 * **When to use**
 *
 * To choose each service. {@link layerDefault} is enough for most programs.
 *
 * **Gotchas**
 *
 * Build the layer once, at the edge of the program or in a `ManagedRuntime`. `Effect.provide` inside a handler builds a
 * new client with an empty cache on every call.
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
 * Options of {@link layerDefault}: the options of a client, and options of its services.
 *
 * **Details**
 *
 * - `region`: the short name of an Azure region; default: the global endpoint. See `AuthorityResolver.layerWith`.
 * - `transformClient`: wraps the HTTP client of all requests to the service (a proxy, a log, a header).
 * - `retry`: the schedule of further attempts; default: `RetryPolicy.standard`.
 * - `maxConcurrentRequests`: the number of token requests that run at a time, per origin; default: 32. See
 *   `TokenEndpoint.layerWith`.
 * - `cache`: the bounds of the cache; see `TokenCache.layerMemory`.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface DefaultOptions extends Options {
  readonly region?: string | undefined
  readonly transformClient?: ((client: Transport) => Transport) | undefined
  readonly retry?: RetryPolicy.RetryPolicy | undefined
  readonly maxConcurrentRequests?: number | undefined
  readonly cache?: TokenCache.MemoryOptions | undefined
}

/**
 * Creates a client with its own authority resolver, token endpoint and in-memory cache. It needs a credential and an
 * `HttpClient`.
 *
 * **When to use**
 *
 * For most programs. Use {@link layer} to choose each service.
 *
 * **Gotchas**
 *
 * Build the layer once, at the edge of the program or in a `ManagedRuntime`. `Effect.provide` inside a handler builds a
 * new client with an empty cache on every call.
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
 * @stability unstable
 * @category layers
 * @since 0.1.0
 */
export const layerDefault = (
  { cache = {}, maxConcurrentRequests, region, retry, transformClient, ...options }: DefaultOptions
): Layer.Layer<ConfidentialClient, ConfigurationError, ClientCredential.ClientCredential | Transport> =>
  layer(options).pipe(
    Layer.provide([
      AuthorityResolver.layerWith({ region, transformClient }),
      TokenEndpoint.layerWith({ maxConcurrentRequests, retry, transformClient }),
      TokenCache.layerMemory(cache)
    ])
  )

/**
 * Options of {@link layerFromEnv}. An option overrides its variable.
 *
 * **Details**
 *
 * `credential: "secret"` uses the secret without a warning when the environment has other credentials too.
 *
 * @stability unstable
 * @category models
 * @since 0.1.0
 */
export interface EnvOptions extends Partial<DefaultOptions> {
  readonly credential?: "secret" | undefined
}

/**
 * Creates a complete client from the environment. It needs only an `HttpClient`.
 *
 * **Details**
 *
 * The layer reads these variables:
 * - `AZURE_CLIENT_ID`: the application (client) id.
 * - `AZURE_TENANT_ID`: the tenant; default: no tenant. `adfs` means that the host is AD FS.
 * - `AZURE_AUTHORITY_HOST`: the authority; default: the public cloud.
 * - `AZURE_REGIONAL_AUTHORITY_NAME`: the region; default: the global endpoint of the cloud.
 * - `AZURE_CLIENT_SECRET`: the secret.
 *
 * A variable that is empty counts as not set. Options override variables. A tenant in the option `authority` overrides
 * `AZURE_TENANT_ID`, and `region: ""` means no region. All problems are found before any request. Several problems are
 * reported in one `InvalidRequestError` `configuration_invalid`.
 *
 * The core reads no files. If `AZURE_CLIENT_CERTIFICATE_PATH` or `AZURE_FEDERATED_TOKEN_FILE` is set beside the secret,
 * the secret is used, and one warning is logged. `credential: "secret"` avoids the warning. `layerFromEnv` of
 * `effect-entra/node` reads files.
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
 * @stability unstable
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
 * The requests of a {@link layerTest} client, in their order.
 *
 * @category services
 * @since 0.1.0
 */
export class TestCalls extends Context.Service<TestCalls, ReadonlyArray<TokenRequest>>()(
  "effect-entra/ConfidentialClient/TestCalls"
) {}

/**
 * Creates a fake client for tests of code that needs a client.
 *
 * **Details**
 *
 * - `acquireToken` returns the given token, or the result of the given function for the request.
 * - It sends no requests, has no cache and checks no requests. {@link TestCalls} contains the requests.
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
    const { backoff, margin, maxWait } = renewal
    return {
      margin: yield* durationOf("renewal.margin", margin ?? defaults.renewal.margin),
      maxWait: yield* durationOf("renewal.maxWait", maxWait ?? defaults.renewal.maxWait),
      serveStaleOnOutage: yield* flagOf("serveStaleOnOutage", renewal),
      serveStaleOnRefusal: yield* flagOf("serveStaleOnRefusal", renewal),
      backoff: {
        base: yield* durationOf("renewal.backoff.base", backoff?.base ?? defaults.renewal.backoff.base),
        cap: yield* durationOf("renewal.backoff.cap", backoff?.cap ?? defaults.renewal.backoff.cap)
      }
    }
  })

const flagOf = (
  name: "serveStaleOnOutage" | "serveStaleOnRefusal",
  renewal: RenewalOptions
): Result.Result<boolean, InvalidRequestError> => {
  const flag = renewal[name] === undefined ? defaults.renewal[name] : renewal[name]
  return typeof flag === "boolean" ? Result.succeed(flag) : Result.fail(notA("true or false", `renewal.${name}`))
}

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
  readonly tokens = (request: TokenRequest) => this.lifecycle.tokens(request)
  readonly prefetch = <R>(requests: Iterable<TokenRequest>, options?: Prefetch.PrefetchOptions<R>) =>
    Prefetch.prefetch(this.acquireToken, requests, options)
}

/** An {@link AcquireToken} with the client of the fiber's context. One effect may run with several clients. */
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging -- the members come with the prototype below
interface AcquireTokenOfContext extends Effect.Effect<AuthenticationResult, AcquireTokenError, ConfidentialClient> {}
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging -- see above
class AcquireTokenOfContext implements TokenCall {
  readonly request: TokenRequest
  lifecycle: Lifecycle.Lifecycle | undefined
  entry: CachedToken | undefined
  constructor(request: TokenRequest) {
    this.request = request
    this.lifecycle = undefined
    this.entry = undefined
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
