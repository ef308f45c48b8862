/**
 * A client as the `TokenCredential` of `@azure/core-auth`, which the Azure SDKs and Microsoft Graph's take, and as the
 * token provider that Azure OpenAI's take.
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
 * What of `AbortSignal` is needed.
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
 * What of core-auth's `GetTokenOptions` has an effect.
 *
 * **Details**
 *
 * `abortSignal` ends the wait at once; the request itself goes on for whoever else waits for it, and for the cache. What is
 * cached is given even when the signal is aborted already, except in a token's last minutes. `tenantId` may come from an
 * API's challenge: hold it to the client's `allowedTenants`. `claims` mean that the API has refused the cached token: it is
 * replaced, for everybody, and then not again for 30 seconds, whatever the claims.
 *
 * @category models
 * @since 0.1.0
 */
export interface GetTokenOptions {
  readonly abortSignal?: AbortSignalLike | undefined
  readonly tenantId?: string | undefined
  readonly claims?: string | undefined
}

/**
 * A token as the Azure SDKs want it; times are in milliseconds since the epoch.
 *
 * **Details**
 *
 * `refreshAfterTimestamp` is when to ask again. It is never in the past: while this client renews a due token, or rests
 * after that failed, nobody needs to ask.
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
 * A `TokenCredential` (`@azure/core-auth`) that is a client of ours.
 *
 * **Details**
 *
 * `getToken` rejects with the errors of `ConfidentialClient.acquireToken`, or with an `AbortError`.
 * `bearerTokenProvider(scope)` makes the function that Azure OpenAI clients call before each request.
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
 * The client of the context as a `TokenCredential`.
 *
 * **Details**
 *
 * Each call looks the token up, so it may be made before every request, as Graph's client does. Near its expiry a token is
 * renewed by one request, however many ask; a token whose last minutes have come is renewed before it is handed out.
 * `enableCae`, `requestOptions` and `tracingOptions` have no effect.
 *
 * **Gotchas**
 *
 * Outside Effect keep a `ManagedRuntime`. Once it is disposed of, cached tokens are still handed out, and nothing new is
 * fetched.
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
  // Whoever made the credential has ended by the time that it is used.
  const run = Effect.runCallbackWith(Context.omit(Tracer.ParentSpan)(yield* Effect.context<never>()))

  /**
   * An SDK passes claims when an API has refused the token that it had, which is the cached one unless somebody has
   * replaced it. A renewal without claims that was under way is replaced in its turn.
   */
  const renewed = (
    request: TokenRequest,
    claims: string,
    left: number
  ): Effect.Effect<AuthenticationResult, AcquireTokenError> =>
    Effect.gen(function*() {
      const refused = client.peek(request) ?? (yield* client.acquireToken(request))
      if (left === 0 || ReplacementCooldown.isAtRest(refused.accessToken, claims, clock)) return refused
      const accessTokenSha256ToRefresh = yield* accessTokenSha256(refused.accessToken)
      const another = yield* client.acquireToken({ ...request, claims, accessTokenSha256ToRefresh })
      return another.metadata.tokenSource === "IdentityProvider" ? another : yield* renewed(request, claims, left - 1)
    })

  const getToken: AzureCredential["getToken"] = (scopes, options = {}) =>
    new Promise((resolve, reject) => {
      const { abortSignal } = options
      const request = { scopes, tenantId: options.tenantId || undefined }
      const settle = (result: AuthenticationResult) => resolve(accessTokenOf(result, clock.currentTimeMillisUnsafe()))
      if (abortSignal?.aborted === true) {
        // Core-auth repeats a renewal in the background with the signal of the request that began it.
        const cached = options.claims ? undefined : client.peek(request)
        return cached === undefined ? reject(aborted()) : settle(cached)
      }
      let interrupt = (): void => {}
      const abort = (): void => {
        reject(aborted())
        interrupt()
      }
      abortSignal?.addEventListener("abort", abort)
      interrupt = run(options.claims ? renewed(request, options.claims, 2) : client.acquireToken(request), {
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

/** How long an SDK need not ask again for a token that is already being renewed (milliseconds). */
const renewing = 5000

const accessTokenOf = (result: AuthenticationResult, now: number): AccessToken => ({
  token: Redacted.value(result.accessToken),
  expiresOnTimestamp: DateTime.toEpochMillis(result.expiresOn),
  refreshAfterTimestamp: Math.max(DateTime.toEpochMillis(result.refreshOn), now + renewing),
  ...(result.tokenType === "Bearer" ? { tokenType: "Bearer" } : {})
})

/** What `AbortSignal` itself would throw. */
const aborted = (): DOMException => new DOMException("The wait for a token was aborted.", "AbortError")
