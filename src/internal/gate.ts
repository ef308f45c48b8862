/**
 * The throttle gate's rules: after which outcome a key is closed, for how long, and what a caller at a closed gate hears.
 * One state a key; the state is a plain value and `now` is in milliseconds.
 */
import * as Duration from "effect/Duration"
import * as EntraError from "../EntraError.ts"
import { isAhead } from "./freshness.ts"
import { defaultRetryAfter, longest } from "./retryAfter.ts"

/** Refusals that asking again will not change. */
export type Refused =
  | EntraError.InvalidAuthorityError
  | EntraError.InvalidClientError
  | EntraError.TokenRequestError
  | EntraError.ClaimsChallengeError

export type Outcome = Refused | EntraError.ServiceError

export type GateState =
  | { readonly kind: "throttled"; readonly until: number; readonly error: Outcome }
  | { readonly kind: "refused"; readonly until: number; readonly error: Refused; readonly hold: number }

export interface RefusalTtl {
  /** Milliseconds for the first refusal; doubled for each further one. */
  readonly base: number
  readonly cap: number
}

/** The service looked at this client and said no. */
export const isRefused = (error: EntraError.AcquireTokenError): error is Refused =>
  error._tag === "EntraInvalidAuthorityError" || error._tag === "EntraInvalidClientError" ||
  error._tag === "EntraTokenRequestError" || error._tag === "EntraClaimsChallengeError"

/** Nobody answered, or nobody who could. */
export const isOutage = (
  error: EntraError.AcquireTokenError
): error is EntraError.ServiceUnavailableError | EntraError.NetworkError =>
  error._tag === "EntraServiceUnavailableError" || error._tag === "EntraNetworkError"

/** The state after a failed acquisition; undefined: open. */
export const closeAfter = (
  previous: GateState | undefined,
  error: Outcome,
  now: number,
  ttl: RefusalTtl
): GateState | undefined => {
  if (error._tag === "EntraThrottledError" || error.retryAfter !== undefined) {
    const millis = error.retryAfter === undefined ? defaultRetryAfter : Duration.toMillis(error.retryAfter)
    const until = now + Math.min(millis, longest)
    return previous?.kind === "throttled" && previous.until > until ? previous : { kind: "throttled", until, error }
  }
  // A slower flight of the same key does not undo what the service asked for.
  if (previous?.kind === "throttled" && now < previous.until) return previous
  if (!isRefused(error)) return undefined
  const hold = previous?.kind === "refused" && now < previous.until + ttl.cap
    ? Math.min(previous.hold * 2, ttl.cap)
    : ttl.base
  return { kind: "refused", until: now + hold, hold, error }
}

export const isClosed = (state: GateState, now: number): boolean => isAhead(state.until, now, longest)

/**
 * How long a caller who is willing to wait leaves the service alone, in milliseconds; undefined: waiting is no help. A
 * refusal is told at once, whatever it asks for: somebody has to do something about it.
 */
export const patience = (error: EntraError.AcquireTokenError): number | undefined => {
  const asksForPatience = error._tag === "EntraThrottledError" ||
    (error._tag === "EntraServiceUnavailableError" && error.code !== "circuit_open")
  return asksForPatience && error.retryAfter !== undefined
    ? Math.min(Duration.toMillis(error.retryAfter), longest)
    : undefined
}

/** What a caller hears now; undefined: go on. Only a throttle stops a forced request. */
export const judge = (
  state: GateState | undefined,
  now: number,
  forced: boolean
): EntraError.ThrottledError | Refused | undefined => {
  if (state === undefined || !isClosed(state, now)) return undefined
  if (state.kind === "refused") return forced ? undefined : remembered(state.error)
  return locallyThrottled(state.error, state.until - now)
}

const locallyThrottled = (error: Outcome, left: number): EntraError.ThrottledError => {
  const { correlationId, errorCodes, status, traceId } = error
  return new EntraError.ThrottledError({
    code: "throttled",
    message: `nothing was sent: the service asked to be left alone for another ${Math.ceil(left / 1000)} s`,
    remedy: "Wait for retryAfter; tokens that are cached go on being served.",
    origin: "local",
    source: "local",
    loopDetected: error._tag === "EntraThrottledError" && error.loopDetected,
    retryAfter: Duration.millis(left),
    correlationId,
    errorCodes,
    status,
    traceId
  })
}

/** The same refusal again, marked as decided here, without what the request took that it was the answer to. */
const remembered = (error: Refused): Refused => {
  switch (error._tag) {
    case "EntraInvalidAuthorityError":
      return new EntraError.InvalidAuthorityError(again(error, error.message))
    case "EntraInvalidClientError":
      return new EntraError.InvalidClientError(again(error, error.message))
    case "EntraTokenRequestError":
      return new EntraError.TokenRequestError(again(error, error.message))
    case "EntraClaimsChallengeError":
      return new EntraError.ClaimsChallengeError(again(error, error.message))
  }
}

const again = <E extends Refused>({ attempts: _attempts, durations: _durations, ...rest }: E, message: string) => ({
  ...rest,
  message,
  origin: "local" as const
})
