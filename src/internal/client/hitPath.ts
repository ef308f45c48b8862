/**
 * The hit path: from a request as it was spelled to the stored result, by two look-ups and a clock read. Nothing is parsed
 * or built; what is not found here, or not fresh, is for the plan. An effect that is kept and run again remembers its entry,
 * and the look-ups are for when that has been evicted, replaced or invalidated.
 */
import type * as Clock from "effect/Clock"
import type * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import type { AuthenticationResult } from "../../AccessToken.ts"
import type { AcquireTokenError } from "../../EntraError.ts"
import type { TokenRequest } from "../../TokenRequest.ts"
import type { CachedToken, Hit } from "../cache/cachedToken.ts"
import { callProblem } from "../request/requestPlan.ts"
import { isAhead } from "../shared/cooldown.ts"

/** A request that may be run again, and where the last run, with this very client, found its token. */
export interface TokenCall {
  readonly request: TokenRequest
  entry: CachedToken | undefined
}

export interface HitPath {
  /** The stored result, if there is one that nothing has to be done for. */
  readonly serve: (call: TokenCall) => Hit | undefined
  /** A hit is counted wherever it is found. */
  readonly hit: (exit: Hit) => Hit
  readonly isResting: (entry: CachedToken, now: number) => boolean
  readonly hits: () => number
}

export const make = (options: {
  readonly clock: Clock.Clock
  readonly peek: (space: string, tenant: string, scopes: string) => CachedToken | undefined
  readonly space: () => string
  readonly homeTenant: string | undefined
  readonly allows: ((tenantId: string) => boolean) | undefined
  /** Milliseconds: no rest after a failed renewal is longer. */
  readonly longestRest: number
}): HitPath => {
  const { allows, clock, homeTenant, longestRest, peek, space } = options
  let hits = 0

  const hit = (exit: Hit): Hit => {
    hits++
    return exit
  }

  const isResting = (entry: CachedToken, now: number): boolean => isAhead(entry.retryOn, now, longestRest)

  /** The caller's own strings, no rules but the guard; what is spelled otherwise is found by its plan. */
  const lookUp = (request: TokenRequest): CachedToken | undefined => {
    if (
      typeof request !== "object" || request === null ||
      (request.forceRefresh !== undefined && request.forceRefresh !== false) || request.claims !== undefined ||
      request.authority !== undefined || request.minimumValidity !== undefined ||
      request.accessTokenSha256ToRefresh !== undefined || request.cachePartition !== undefined ||
      request.extraQueryParameters !== undefined || request.extraBodyParameters !== undefined
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
    const entry = peek(space(), tenant, scope)
    // The guard is asked about the name that it knows: the one the token is filed under.
    return entry === undefined || allows?.(entry.tenant) === false ? undefined : entry
  }

  const find = (call: TokenCall): CachedToken | undefined => {
    const entry = lookUp(call.request)
    // A guard may change its mind, so with one every run looks anew.
    if (entry !== undefined && entry.isCached && allows === undefined) call.entry = entry
    return entry
  }

  return {
    hit,
    isResting,
    hits: () => hits,
    serve: (call) => {
      const known = call.entry
      const entry = known !== undefined && known.isCached && known.space === space()
        ? known
        : find(call)
      if (entry === undefined) return undefined
      const now = clock.currentTimeMillisUnsafe()
      entry.touch()
      if (now < entry.refreshOn) return hit(entry.freshHit)
      // While a renewal is under way, or resting after a failure, a due token is as good as a fresh one.
      return now < entry.usableUntil && (entry.isRefreshing || isResting(entry, now)) ? hit(entry.staleHit) : undefined
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
