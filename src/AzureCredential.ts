/**
 * Adapters between a client and the `TokenCredential` of `@azure/core-auth`. {@link make} adapts a client for the Azure
 * SDKs, for the Microsoft Graph SDK, and as the token provider of Azure OpenAI clients. {@link layer} creates a client
 * from any `TokenCredential`, such as `AzureCliCredential` on a developer's machine.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Tracer from "effect/Tracer"
import type { AccessToken as IssuedToken, AuthenticationResult } from "./AccessToken.ts"
import { AuthorityResolver } from "./AuthorityResolver.ts"
import { ClientCredential } from "./ClientCredential.ts"
import * as ConfidentialClient from "./ConfidentialClient.ts"
import type { AcquireTokenError, ConfigurationError } from "./EntraError.ts"
import * as ReplacementCooldown from "./internal/client/replacementCooldown.ts"
import * as TokenSource from "./internal/client/tokenSource.ts"
import { errorOfThrown, readCredentialToken, scrubThrown } from "./internal/endpoint/tokenCredential.ts"
import type { ResponseContext } from "./internal/endpoint/tokenResponse.ts"
import { invalidRequest, notA, serviceUnavailable } from "./internal/shared/errors.ts"
import { accessTokenSha256 } from "./internal/shared/sha256.ts"
import { quote } from "./internal/shared/text.ts"
import { isOptions, isSignal, timeoutOf } from "./internal/shared/validate.ts"
import * as TokenCache from "./TokenCache.ts"
import { type EndpointRequest, TokenEndpoint } from "./TokenEndpoint.ts"
import type { TokenRequest } from "./TokenRequest.ts"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * The part of `AbortSignal` that this module uses.
 *
 * @category models
 * @since 0.1.0
 */
export interface AbortSignalLike {
  readonly aborted: boolean
  addEventListener(type: "abort", listener: () => void): void
  removeEventListener(type: "abort", listener: () => void): void
}

/**
 * The options of core-auth's `GetTokenOptions` that have an effect.
 *
 * **Details**
 *
 * - `abortSignal`: aborts the wait. The request continues for other callers and for the cache. When the signal is
 *   aborted before the call, a cached token is still returned, unless it is near expiry.
 * - `tenantId`: the tenant; default: the client's. An SDK may take it from an API's challenge, so restrict it with the
 *   client's `allowedTenants`.
 * - `claims`: the claims of an API's challenge. They mean that the API refused the cached token, so the token is
 *   replaced for all callers. The replacement is not replaced again for 30 seconds, whatever the claims.
 * - `enableCae`: true declares that the SDK handles claims challenges (continuous access evaluation), by the capability
 *   `cp1` of {@link TokenRequest.clientCapabilities}. Such calls have tokens of their own, which live longer; default:
 *   the client's `clientCapabilities` decide.
 *
 * @category models
 * @since 0.1.0
 */
export interface GetTokenOptions {
  readonly abortSignal?: AbortSignalLike | undefined
  readonly tenantId?: string | undefined
  readonly claims?: string | undefined
  readonly enableCae?: boolean | undefined
}

/**
 * An access token in the form of core-auth. Times are milliseconds since the epoch.
 *
 * **Details**
 *
 * - `token`: the token itself.
 * - `expiresOnTimestamp`: the time at which the token expires.
 * - `refreshAfterTimestamp`: the time from which the SDK should call again. It is at least 5 seconds in the future,
 *   because the client refreshes the token meanwhile.
 * - `tokenType`: `"Bearer"`; undefined for other types.
 *
 * @category models
 * @since 0.1.0
 */
export interface AccessToken {
  readonly token: string
  readonly expiresOnTimestamp: number
  readonly refreshAfterTimestamp: number
  readonly tokenType?: "Bearer"
}

/**
 * A `TokenCredential` (`@azure/core-auth`) over a `ConfidentialClient`.
 *
 * **Details**
 *
 * - `getToken`: returns a token. Rejects with the errors of `ConfidentialClient.acquireToken`, or with an `AbortError`.
 * - `bearerTokenProvider`: returns the function that Azure OpenAI clients call before each request.
 *
 * @category models
 * @since 0.1.0
 */
export interface AzureCredential {
  readonly getToken: (scopes: string | ReadonlyArray<string>, options?: GetTokenOptions) => Promise<AccessToken>
  readonly bearerTokenProvider: (scope: string) => () => Promise<string>
}

/**
 * The part of core-auth's `TokenCredential` that {@link layer} uses.
 *
 * **Details**
 *
 * `getToken` resolves to `{ token, expiresOnTimestamp }`, with the time in milliseconds since the epoch, and optionally
 * `refreshAfterTimestamp` and `tokenType`. The layer checks the result when it arrives.
 *
 * @category models
 * @since 0.1.0
 */
export interface TokenCredential {
  readonly getToken: (scopes: string | Array<string>, options?: TokenCredentialOptions) => Promise<unknown>
}

/**
 * The options that {@link layer} passes to `getToken`: those of core-auth's `GetTokenOptions`.
 *
 * @category models
 * @since 0.1.0
 */
export interface TokenCredentialOptions {
  readonly abortSignal?: AbortSignal
  readonly tenantId?: string
  readonly claims?: string
  readonly enableCae?: boolean
}

/**
 * Options of {@link layer}: the options of a client that do not need an app registration.
 *
 * **Details**
 *
 * - `tenantId`: the tenant of requests without a tenant; default: the tenant that the credential chooses. The
 *   `tenantId` of results is then `token-credential`. With `allowedTenants` there is no default.
 * - `clientCapabilities`: `["cp1"]` passes `enableCae` to the credential. Other capabilities are not supported.
 * - `timeout`: the time limit of `getToken`; default: 30 seconds.
 * - `cache`: the bounds of the cache; see `TokenCache.layerMemory`.
 *
 * @category models
 * @since 0.1.0
 */
export interface LayerOptions extends
  Pick<
    ConfidentialClient.Options,
    "tenantId" | "allowedTenants" | "clientCapabilities" | "renewal" | "onThrottled"
  >
{
  readonly timeout?: Duration.Input | undefined
  readonly cache?: TokenCache.MemoryOptions | undefined
}

// -----------------------------------------------------------------------------
// constructors
// -----------------------------------------------------------------------------

/**
 * Creates a `TokenCredential` over the client of the context.
 *
 * **Details**
 *
 * Each call of `getToken` reads the cache, so an SDK may call it before every request. The rules of
 * `ConfidentialClient.acquireToken` apply: callers share requests, a token that is due is refreshed in the background,
 * and a token near expiry is refreshed before it is returned. `requestOptions` and `tracingOptions` have no effect.
 *
 * **Gotchas**
 *
 * Outside Effect keep a `ManagedRuntime`. After its disposal `getToken` still returns cached tokens, but requests no
 * new tokens.
 *
 * **Example** (A credential for the Azure SDKs)
 *
 * ```ts
 * import assert from "node:assert"
 * import { ManagedRuntime } from "effect"
 * import { AzureCredential, ConfidentialClient } from "effect-entra"
 *
 * const runtime = ManagedRuntime.make(ConfidentialClient.layerTest("a-token"))
 * const credential = await runtime.runPromise(AzureCredential.make)
 *
 * const { token } = await credential.getToken("https://vault.azure.net/.default")
 * assert.strictEqual(token, "a-token")
 * const azureADTokenProvider = credential.bearerTokenProvider("https://cognitiveservices.azure.com/.default")
 * assert.strictEqual(await azureADTokenProvider(), "a-token")
 * await runtime.dispose()
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: Effect.Effect<AzureCredential, never, ConfidentialClient.ConfidentialClient> = Effect.gen(
  function*() {
    const client = yield* ConfidentialClient.ConfidentialClient
    const clock = yield* Clock.Clock
    // The fiber that made the credential has ended when the SDK uses it, so its span must not be the parent.
    const run = Effect.runCallbackWith(Context.omit(Tracer.ParentSpan)(yield* Effect.context<never>()))

    /**
     * Replaces the cached token, because an SDK passes claims when an API has refused that token. `left` is the number of
     * further tries: another caller's refresh without claims may win the race, and its token is replaced in turn.
     */
    const replaced = (
      request: TokenRequest,
      claims: string,
      left: number
    ): Effect.Effect<AuthenticationResult, AcquireTokenError> =>
      Effect.gen(function*() {
        const refused = client.peek(request) ?? (yield* client.acquireToken(request))
        if (left === 0 || ReplacementCooldown.isAtRest(refused.accessToken, claims, clock)) return refused
        const accessTokenSha256ToRefresh = yield* accessTokenSha256(refused.accessToken)
        const another = yield* client.acquireToken({ ...request, claims, accessTokenSha256ToRefresh })
        return another.metadata.tokenSource === "IdentityProvider"
          ? another
          : yield* replaced(request, claims, left - 1)
      })

    const getToken: AzureCredential["getToken"] = (scopes, given) =>
      new Promise((resolve, reject) => {
        const options = given ?? {}
        if (!isOptions(options)) return reject(notA("an object", "options"))
        const { abortSignal } = options
        if (abortSignal !== undefined && abortSignal !== null && !isSignal(abortSignal)) {
          return reject(notA("an AbortSignal", "abortSignal"))
        }
        const request: TokenRequest = {
          scopes,
          tenantId: options.tenantId || undefined,
          ...(options.enableCae === true ? { clientCapabilities: ["cp1"] } : {})
        }
        const settle = (result: AuthenticationResult) => resolve(accessTokenOf(result, clock.currentTimeMillisUnsafe()))
        if (abortSignal?.aborted === true) {
          // Core-auth refreshes in the background with the signal of the request that started the refresh.
          const cached = options.claims ? undefined : client.peek(request)
          return cached === undefined ? reject(aborted()) : settle(cached)
        }
        let interrupt = (): void => {}
        const abort = (): void => {
          reject(aborted())
          interrupt()
        }
        abortSignal?.addEventListener("abort", abort)
        interrupt = run(options.claims ? replaced(request, options.claims, 2) : client.acquireToken(request), {
          onExit: (exit) => {
            abortSignal?.removeEventListener("abort", abort)
            if (Exit.isSuccess(exit)) settle(exit.value)
            else reject(Cause.squash(exit.cause))
          }
        })
      })

    return {
      getToken,
      bearerTokenProvider: (scope) => async () => (await getToken(scope)).token
    }
  }
)

// -----------------------------------------------------------------------------
// layers
// -----------------------------------------------------------------------------

/**
 * Creates a client whose tokens come from a `TokenCredential` of `@azure/core-auth`.
 *
 * **When to use**
 *
 * On a developer's machine, with `new AzureCliCredential()` of `@azure/identity` after `az login`, and for credentials
 * that only `@azure/identity` has. A program in production needs no `@azure/identity`: see `layerDefault` of
 * `effect-entra/node`.
 *
 * **Details**
 *
 * The client works like any other: one cache, one shared call of `getToken` per key, refresh before expiry, events, typed
 * errors. `tenantId` and `claims` of a request are passed on, and the capability `cp1` as `enableCae`. Requests with
 * extra parameters, and requests with other capabilities, fail with `field_unsupported`.
 *
 * When `timeout` is over or the client closes, `abortSignal` is aborted. An interrupted caller does not abort it, because
 * the call continues for other callers and for the cache.
 *
 * Errors of the credential:
 * - `CredentialUnavailableError`, `AuthenticationRequiredError`, `AggregateAuthenticationError` and a result of null
 *   become a `CredentialError` `token_credential_unavailable`.
 * - `AuthenticationError` becomes the error of the service's response, for example an `InvalidClientError`.
 * - An error with the status 429 becomes a `ThrottledError`. The status 408 or 5xx, a network error and a timeout
 *   become a `ServiceUnavailableError`.
 * - An error of this library is passed on. Any other error becomes a `CredentialError` `token_credential_failed`.
 *
 * The messages of these errors contain the message of the credential, without JWTs and without values that follow the
 * name of a secret. The error itself is not kept.
 *
 * A result that is not a token becomes an `InvalidResponseError`.
 *
 * **Gotchas**
 *
 * A credential may have a cache of its own, so `forceRefresh`, or a refresh after a 401 of an API, may return the same
 * token. Each layer has its own cache.
 *
 * **Example** (Using the sign-in of a developer)
 *
 * ```ts
 * import { AzureCliCredential } from "@azure/identity"
 * import { AzureCredential } from "effect-entra"
 * import { layerDefault } from "effect-entra/node"
 *
 * export const EntraLive = process.env["NODE_ENV"] === "development"
 *   ? AzureCredential.layer(new AzureCliCredential())
 *   : layerDefault()
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  tokenCredential: TokenCredential,
  options: LayerOptions = {}
): Layer.Layer<ConfidentialClient.ConfidentialClient, ConfigurationError> =>
  Layer.unwrap(Effect.gen(function*() {
    if (!isOptions(options)) return yield* notA("an object", "options")
    const { cache = {}, tenantId, timeout = "30 seconds", ...rest } = options
    if (!isOptions(cache)) return yield* notA("an object", "cache")
    if (typeof tokenCredential?.getToken !== "function") {
      return yield* notA("an object with the method getToken", "tokenCredential")
    }
    const limit = yield* Effect.fromResult(timeoutOf("timeout", timeout))
    const clock = yield* Clock.Clock
    // The tenant that the credential chooses is unknown, so `allowedTenants` cannot allow it.
    const tenant = tenantId ?? (rest.allowedTenants === undefined ? unknownOwner : undefined)
    return ConfidentialClient.layer({ ...rest, clientId: unknownOwner, tenantId: tenant }).pipe(
      Layer.provide([
        Layer.succeed(ClientCredential, TokenSource.credential),
        Layer.succeed(AuthorityResolver, resolver),
        Layer.effect(
          TokenEndpoint,
          TokenSource.endpoint({
            origin: unknownOwner,
            longestRequest: limit,
            requestToken: (request) => requestToken(tokenCredential, request, limit, clock),
            unsupported: {
              what: "a TokenCredential has no option for it",
              instead: "a client with its own credential"
            }
          })
        ),
        TokenCache.layerMemory(cache)
      ])
    )
  }))

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** The client id of {@link layer}, and its tenant without the option `tenantId`. A `TokenCredential` reveals neither. */
const unknownOwner = "token-credential"

/** The endpoint is unknown too, and nothing is signed for it. */
const resolver = /*#__PURE__*/ AuthorityResolver.of({
  resolve: () => Effect.succeed({ token: "", audience: "", assertion: { thumbprint: "x5t#S256", rsa: "PS256" } })
})

const requestToken = (
  credential: TokenCredential,
  { acquisition, authority, timing, tokenType }: EndpointRequest,
  limit: number,
  clock: Clock.Clock
): Effect.Effect<IssuedToken, AcquireTokenError> =>
  Effect.suspend(() => {
    const { claims, clientCapabilities, correlationId, scope, tenantId } = acquisition
    const other = clientCapabilities.find((capability) => capability !== "cp1")
    if (other !== undefined) return Effect.fail(unsupportedCapability(other))
    const sentAt = clock.currentTimeMillisUnsafe()
    const context = (): ResponseContext => ({
      authority,
      authorityUrl: acquisition.authority,
      clientId: undefined,
      tenantId,
      scopes: scope,
      tokenType,
      tokenEndpoint: "",
      correlationId,
      sentAt,
      now: clock.currentTimeMillisUnsafe(),
      scrub: scrubThrown
    })
    timing.attempts++
    return Effect.tryPromise({
      // A credential that is not asynchronous is awaited too.
      try: async (abortSignal) =>
        await credential.getToken([scope], {
          abortSignal,
          ...(tenantId === unknownOwner ? {} : { tenantId }),
          ...(claims === "" ? {} : { claims }),
          ...(clientCapabilities.length === 0 ? {} : { enableCae: true })
        }),
      catch: (thrown) => errorOfThrown(thrown, context())
    }).pipe(
      Effect.timeoutOrElse({ duration: limit, orElse: () => Effect.fail(tooSlow(limit, correlationId)) }),
      Effect.flatMap((token) => Effect.fromResult(readCredentialToken(token, context())))
    )
  })

const tooSlow = (limit: number, correlationId: string) =>
  serviceUnavailable(
    "timeout",
    `The TokenCredential did not respond within ${limit} ms`,
    "Try again later, or raise timeout of AzureCredential.layer.",
    { origin: "service", correlationId }
  )

const unsupportedCapability = (capability: string) =>
  invalidRequest(
    "field_unsupported",
    "clientCapabilities",
    `clientCapabilities has ${quote(capability)}, but a TokenCredential has no option for it`,
    "Leave that capability out. The only capability that a TokenCredential supports is cp1."
  )

/** Milliseconds until an SDK should call again for a token that the client is refreshing. */
const refreshPause = 5000

const accessTokenOf = (result: AuthenticationResult, now: number): AccessToken => ({
  token: Redacted.value(result.accessToken),
  expiresOnTimestamp: DateTime.toEpochMillis(result.expiresOn),
  refreshAfterTimestamp: Math.max(DateTime.toEpochMillis(result.refreshOn), now + refreshPause),
  ...(result.tokenType === "Bearer" ? { tokenType: "Bearer" } : {})
})

/** Returns the error that `AbortSignal` itself would throw. */
const aborted = (): DOMException => new DOMException("The wait for a token was aborted.", "AbortError")
