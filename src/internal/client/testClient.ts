/** A fake client for tests, without crypto, HTTP, validation or a cache. */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import type { AuthenticationResult } from "../../AccessToken.ts"
import type { AcquireTokenError } from "../../EntraError.ts"
import type { TokenRequest } from "../../TokenRequest.ts"
import { prefetch, type PrefetchOptions } from "./prefetch.ts"

/** Creates a fake client that adds each request to `calls`. */
export const fakeClient = (
  token: string | ((request: TokenRequest) => Effect.Effect<string, AcquireTokenError>),
  calls: Array<TokenRequest>
) => {
  const acquireToken = (request: TokenRequest) =>
    Effect.suspend(() => {
      calls.push(request)
      return Effect.map(
        typeof token === "string" ? Effect.succeed(token) : token(request),
        (text) => fakeResult(request, text)
      )
    })
  return {
    acquireToken,
    peek: () => undefined,
    invalidate: () => Effect.void,
    keepFresh: () => Effect.void,
    // The token does not expire, so there is no second one.
    tokens: (request: TokenRequest) => Stream.concat(Stream.fromEffect(acquireToken(request)), Stream.never),
    prefetch: <R = never>(requests: Iterable<TokenRequest>, options?: PrefetchOptions<R>) =>
      prefetch(acquireToken, requests, options),
    stats: Effect.sync(() => ({
      hits: 0,
      misses: calls.length,
      hitRate: 0,
      refreshes: 0,
      flights: 0,
      throttled: 0,
      refused: 0,
      entries: 0,
      bytes: 0,
      evictions: 0
    })),
    events: Stream.empty
  }
}

const expiresOn = DateTime.makeUnsafe(Date.UTC(2100, 0, 1))

/** Returns a result with `token` that does not expire before the year 2100. */
export const fakeResult = (request: TokenRequest, token: string): AuthenticationResult => ({
  accessToken: Redacted.make(token, { label: "access_token" }),
  tokenType: "Bearer",
  expiresOn,
  refreshOn: expiresOn,
  scopes: typeof request.scopes === "string" ? request.scopes.split(" ") : request.scopes,
  tenantId: request.tenantId ?? "test-tenant",
  authority: request.authority ?? "https://login.microsoftonline.com",
  correlationId: request.correlationId ?? "00000000-0000-0000-0000-000000000000",
  metadata: {
    tokenSource: "IdentityProvider",
    cacheLevel: "None",
    cacheRefreshReason: "NoCachedAccessToken",
    outage: false
  }
})
