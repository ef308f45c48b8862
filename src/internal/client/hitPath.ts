/**
 * The hit path: from the spelling of a request to the stored result, with two look-ups and one read of the clock. It parses
 * and builds nothing. A request without a fresh result here is planned and run. An effect that runs again remembers its
 * entry, so it needs look-ups only after that entry was evicted, replaced or invalidated.
 */
import type * as Clock from "effect/Clock"
import type * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import type { AuthenticationResult } from "../../AccessToken.ts"
import type { AcquireTokenError } from "../../EntraError.ts"
import type { TokenRequest } from "../../TokenRequest.ts"
import type { CachedToken, Hit } from "../cache/cachedToken.ts"
import type { Binding } from "../cache/cacheKey.ts"
import { callProblem } from "../request/requestPlan.ts"
import { monotonicMillis } from "../shared/monotonic.ts"

/**
 * A request that may run again, and the entry that its last run with this client found. Only a token that is not bound to
 * a key is remembered, so an entry needs no comparison of its key: all such entries of a client have the same space.
 */
export interface TokenCall {
  readonly request: TokenRequest
  entry: CachedToken | undefined
}

export interface HitPath {
  /** Returns the stored result, or undefined if the request must be planned. */
  readonly serve: (call: TokenCall) => Hit | undefined
  /** Counts a cache hit, on this path or elsewhere, and returns it. */
  readonly hit: (exit: Hit) => Hit
  readonly isResting: (entry: CachedToken) => boolean
  readonly isRefreshing: (entry: CachedToken, now: number) => boolean
  readonly hits: () => number
}

/** Creates the hit path of one client. */
export const make = (options: {
  readonly clock: Clock.Clock
  readonly peek: (space: string, tenant: string, scopes: string) => CachedToken | undefined
  /** Returns the binding of tokens now; undefined for tokens that are not bound to a key. */
  readonly binding: () => Binding | undefined
  readonly space: (bound: Binding | undefined) => string
  readonly homeTenant: string | undefined
  readonly allows: ((tenantId: string) => boolean) | undefined
  /** The time limit of a refresh in milliseconds. */
  readonly limit: number
}): HitPath => {
  const { allows, binding, clock, homeTenant, limit, peek, space } = options
  let hits = 0

  const hit = (exit: Hit): Hit => {
    hits++
    return exit
  }

  // The monotonic clock is read only after a failed refresh.
  const isResting = ({ retryOn }: CachedToken): boolean => retryOn > -Infinity && monotonicMillis(clock) < retryOn

  // A refresh beyond its limit may have lost its I/O. The wall clock is enough here, because the flight itself checks
  // its limit with the monotonic clock.
  const isRefreshing = ({ refreshingSince }: CachedToken, now: number): boolean =>
    refreshingSince <= now && now < refreshingSince + limit

  /** Looks up the caller's own strings, and checks only the allowed tenants. Another spelling is found by the plan. */
  const lookUp = (request: TokenRequest, bound: Binding | undefined): CachedToken | undefined => {
    if (
      typeof request !== "object" || request === null ||
      (request.forceRefresh !== undefined && request.forceRefresh !== false) || request.claims !== undefined ||
      request.authority !== undefined || request.minimumValidity !== undefined ||
      request.accessTokenSha256ToRefresh !== undefined || request.cachePartition !== undefined ||
      request.extraQueryParameters !== undefined || request.extraBodyParameters !== undefined ||
      request.clientCapabilities !== undefined
    ) return undefined
    // These fields do not choose the token, but a malformed one fails a hit as it fails a miss.
    if (
      (request.correlationId !== undefined || request.onThrottled !== undefined ||
        request.sendCertificateChain !== undefined) && callProblem(request) !== undefined
    ) return undefined
    const tenant = request.tenantId === undefined ? homeTenant : request.tenantId
    const scope = typeof request.scopes === "string"
      ? request.scopes
      : Array.isArray(request.scopes) && request.scopes.length === 1
      ? request.scopes[0]
      : undefined
    if (tenant === undefined || scope === undefined) return undefined
    const entry = peek(space(bound), tenant, scope)
    // The predicate gets the tenant's name in the cache, which is canonical.
    return entry === undefined || allows?.(entry.tenant) === false ? undefined : entry
  }

  return {
    hit,
    isResting,
    isRefreshing,
    hits: () => hits,
    serve: (call) => {
      const bound = binding()
      const known = bound === undefined ? call.entry : undefined
      const entry = known !== undefined && known.isCached ? known : lookUp(call.request, bound)
      if (entry === undefined) return undefined
      // The result of the predicate may change, so with a predicate every run looks up its entry.
      if (bound === undefined && entry !== known && entry.isCached && allows === undefined) call.entry = entry
      const now = clock.currentTimeMillisUnsafe()
      entry.touch()
      // The wall clock was set back after the token was issued.
      if (now < entry.issuedAt) return undefined
      if (now < entry.refreshOn) return hit(entry.freshHit)
      // During a refresh, and during the backoff after a failed refresh, a due token is served like a fresh token.
      return now < entry.usableUntil && (isRefreshing(entry, now) || isResting(entry)) ? hit(entry.staleHit) : undefined
    }
  }
}

type Run = (call: TokenCall) => Effect.Effect<AuthenticationResult, AcquireTokenError>

// oxlint-disable-next-line typescript/no-unsafe-declaration-merging -- the members come with the prototype below
export interface AcquireToken extends Effect.Effect<AuthenticationResult, AcquireTokenError> {}
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging -- see above
export class AcquireToken implements TokenCall {
  readonly request: TokenRequest
  readonly client: { readonly run: Run }
  entry: CachedToken | undefined = undefined
  constructor(request: TokenRequest, client: { readonly run: Run }) {
    this.request = request
    this.client = client
  }
}
Object.setPrototypeOf(
  AcquireToken.prototype,
  Effectable.Prototype<AcquireToken>({
    label: "effect-entra/acquireToken",
    evaluate() {
      return this.client.run(this)
    }
  })
)
