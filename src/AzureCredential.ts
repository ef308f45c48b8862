/**
 * An adapter that makes a client usable as the `TokenCredential` of `@azure/core-auth`, for the Azure SDKs and the
 * Microsoft Graph SDK, and as the token provider of Azure OpenAI clients.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Tracer from "effect/Tracer"
import type { AuthenticationResult } from "./AccessToken.ts"
import { ConfidentialClient } from "./ConfidentialClient.ts"
import type { AcquireTokenError } from "./EntraError.ts"
import * as ReplacementCooldown from "./internal/client/replacementCooldown.ts"
import { accessTokenSha256 } from "./internal/shared/sha256.ts"
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
export const make: Effect.Effect<AzureCredential, never, ConfidentialClient> = Effect.gen(function*() {
  const client = yield* ConfidentialClient
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
      return another.metadata.tokenSource === "IdentityProvider" ? another : yield* replaced(request, claims, left - 1)
    })

  const getToken: AzureCredential["getToken"] = (scopes, options = {}) =>
    new Promise((resolve, reject) => {
      const { abortSignal } = options
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
})

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

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
