/** A `fetch` that adds access tokens to requests to the origins of a table, and to no other requests. */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { type AuthenticationResult, authorizationHeader } from "../../AccessToken.ts"
import * as OriginTable from "../../internal/http/originTable.ts"
import { claimsChallengeOf } from "../../internal/http/wwwAuthenticate.ts"
import { accessTokenSha256 } from "../../internal/shared/sha256.ts"
import type { OriginRequest } from "../ClientOptions.ts"

type Fetch = typeof globalThis.fetch

/**
 * Creates the function. A token that the API refuses is replaced, by the rules of `BearerHttpClient`. `acquire` rejects
 * with the exceptions of the client, and with the reason of the signal.
 */
export const make = ({ acquire, isAtRest, lookUp, send }: {
  readonly lookUp: OriginTable.OriginLookup
  readonly acquire: (request: TokenRequest, signal: AbortSignal | undefined) => Promise<AuthenticationResult>
  /** Returns whether a refused token must not be replaced now. */
  readonly isAtRest: (result: AuthenticationResult, claims: string) => boolean
  readonly send: Fetch
}): Fetch =>
async (input, init) => {
  if (lookUp(originOf(input)) === undefined) return send(input, init)
  // From here on this request counts, because another reading of the input may yield another URL or other headers.
  const given = new Request(input, init)
  // The signal of a copy follows that of the caller only until a request between them is collected.
  const signal = (init?.signal === undefined && input instanceof Request ? input.signal : init?.signal) ?? undefined
  const follow = signal === undefined ? undefined : { signal }
  const entry = lookUp(originOf(given))
  if (entry === undefined || given.headers.has("authorization")) return send(given, follow)
  // A redirect would carry the token to another path, or in old runtimes to another origin.
  const request = given.redirect === "follow" ? new Request(given, { redirect: "manual" }) : given
  const repeatable = isRepeatable(input, init)
  let token = await acquire(entry, signal)
  for (let left = mostReplacements;; left--) {
    const attempt = repeatable && left > 0 ? request.clone() : request
    attempt.headers.set("authorization", Redacted.value(authorizationHeader(token, request)))
    const response = await send(attempt, follow)
    const claims = claimsChallengeOf(response.headers.get("www-authenticate") ?? undefined) ?? ""
    // The response after a redirect, which some functions follow in any case, may not come from the API.
    if (response.status !== 401 || response.redirected || left === 0 || isAtRest(token, claims)) {
      return response
    }
    const replacement = {
      ...entry,
      claims,
      accessTokenSha256ToRefresh: await Effect.runPromise(accessTokenSha256(token.accessToken))
    }
    if (!repeatable) {
      await acquire(replacement, signal).catch(() => undefined)
      return response
    }
    // The body of a response whose connection broke, or that a custom `fetch` has locked, cannot be canceled.
    response.body?.cancel().catch(() => {})
    token = await acquire(replacement, signal)
  }
}

/** A request for the token of an origin, or for the replacement of a refused token. */
interface TokenRequest extends OriginRequest {
  readonly claims?: string
  readonly accessTokenSha256ToRefresh?: string
}

/** More than 1: another caller's replacement may be refused too, and a challenge may follow a plain refusal. */
const mostReplacements = 3

/** Returns the origin of a request as `fetch` computes it, or an empty text for an input that `fetch` rejects. */
const originOf = (input: Parameters<Fetch>[0]): string => {
  try {
    return OriginTable.originOf(new URL(input instanceof Request ? input.url : new Request(input).url))
  } catch {
    return ""
  }
}

/**
 * Returns whether the body can be sent again. A stream can be read only once, and the body of a `Request` may be a
 * stream.
 */
const isRepeatable = (input: Parameters<Fetch>[0], init: RequestInit | undefined): boolean => {
  const body = init?.body ?? (input instanceof Request ? input.body : undefined)
  return body === undefined || body === null || typeof body === "string" || ArrayBuffer.isView(body) ||
    [ArrayBuffer, Blob, FormData, URLSearchParams].some((kind) => body instanceof kind)
}
