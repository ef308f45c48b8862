/**
 * The values that processes share through a store, as JSON before encryption: tokens, outages and throttles. A value
 * contains no wall clock time. Its remaining time comes from the store.
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { AccessToken } from "../../AccessToken.ts"
import * as EntraError from "../../EntraError.ts"
import type { Replacement } from "../cache/lead.ts"
import type { Outage } from "../shared/errors.ts"
import { longestLifetime } from "../shared/validate.ts"

export interface StoredToken {
  readonly token: AccessToken
  readonly replacement: Replacement | undefined
}

const Millis = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: longestLifetime }))

const Token = Schema.fromJsonString(Schema.Struct({
  token: Schema.NonEmptyString,
  tokenType: Schema.NonEmptyString,
  scopes: Schema.Array(Schema.String),
  tenantId: Schema.String,
  authority: Schema.String,
  tokenEndpoint: Schema.String,
  correlationId: Schema.String,
  lifetime: Millis,
  refreshIn: Schema.optionalKey(Millis),
  replacement: Schema.optionalKey(Schema.Literals(["replaced", "unchanged"]))
}))

const Details = {
  message: Schema.String,
  remedy: Schema.String,
  correlationId: Schema.optionalKey(Schema.String),
  status: Schema.optionalKey(Schema.Finite),
  errorCodes: Schema.optionalKey(Schema.Array(Schema.Finite)),
  traceId: Schema.optionalKey(Schema.String),
  retryAfter: Schema.optionalKey(Millis)
}

const Failure = Schema.fromJsonString(Schema.Union([
  Schema.Struct({
    error: Schema.Literal("unavailable"),
    code: Schema.Literals(["service_unavailable", "timeout", "budget_exceeded"]),
    ...Details
  }),
  Schema.Struct({
    error: Schema.Literal("network"),
    method: Schema.String,
    endpoint: Schema.String,
    reason: Schema.String,
    ...Details
  })
]))

const Throttle = Schema.fromJsonString(Schema.Struct({
  loopDetected: Schema.Boolean,
  correlationId: Schema.optionalKey(Schema.String),
  errorCodes: Schema.optionalKey(Schema.Array(Schema.Finite)),
  status: Schema.optionalKey(Schema.Finite),
  traceId: Schema.optionalKey(Schema.String)
}))

// -----------------------------------------------------------------------------
// tokens
// -----------------------------------------------------------------------------

const encodeToken = Schema.encodeSync(Token)
const decodeToken = Schema.decodeUnknownOption(Token)

/** The service says when to refresh a token, in any number of seconds. */
const refreshInOf = (millis: number): number => Math.min(Math.max(0, millis), longestLifetime)

/** Returns the text of a token. */
export const tokenText = ({ replacement, token }: StoredToken): string =>
  encodeToken({
    token: Redacted.value(token.secret),
    tokenType: token.tokenType,
    scopes: token.scopes,
    tenantId: token.tenantId,
    authority: token.authority,
    tokenEndpoint: token.tokenEndpoint,
    correlationId: token.correlationId,
    lifetime: token.expiresOn - token.issuedAt,
    ...(token.refreshOn === undefined ? {} : { refreshIn: refreshInOf(token.refreshOn - token.issuedAt) }),
    ...(replacement === undefined ? {} : { replacement })
  })

/**
 * Returns the token of a text, or undefined when the text is not a token. `left` is its remaining time in milliseconds
 * at `now`. The remaining time never exceeds the lifetime with which the token was issued.
 */
export const readToken = (text: string, left: number, now: number): StoredToken | undefined => {
  const stored = Option.getOrUndefined(decodeToken(text))
  if (stored === undefined) return undefined
  const { lifetime, refreshIn, replacement, token, ...rest } = stored
  const expiresOn = now + Math.min(left, lifetime)
  const issuedAt = expiresOn - lifetime
  return {
    token: {
      ...rest,
      secret: Redacted.make(token, { label: "access_token" }),
      issuedAt,
      expiresOn,
      refreshOn: refreshIn === undefined ? undefined : issuedAt + refreshIn
    },
    replacement
  }
}

/**
 * The milliseconds by which a token expires earlier in the store. A command may wait that long before the store starts
 * the time to live.
 */
export const storeMargin = 1000

// -----------------------------------------------------------------------------
// outages and throttles
// -----------------------------------------------------------------------------

const detailsOf = (error: Outage | EntraError.ThrottledError) => ({
  ...(error.correlationId === undefined ? {} : { correlationId: error.correlationId }),
  ...(error.status === undefined ? {} : { status: error.status }),
  ...(error.errorCodes === undefined ? {} : { errorCodes: error.errorCodes }),
  ...(error.traceId === undefined ? {} : { traceId: error.traceId })
})

const encodeFailure = Schema.encodeSync(Failure)
const decodeFailure = Schema.decodeUnknownOption(Failure)

/**
 * Returns the text of an outage, which other processes get instead of sending a request; undefined when it concerns
 * only this process.
 */
export const outageText = (error: Outage): string | undefined => {
  const common = {
    message: error.message,
    remedy: error.remedy,
    ...detailsOf(error),
    ...(error.retryAfter === undefined ? {} : { retryAfter: Duration.toMillis(error.retryAfter) })
  }
  if (error.origin !== "service") return undefined
  if (error._tag === "EntraNetworkError") {
    const { endpoint, method, reason } = error
    return encodeFailure({ error: "network", method, endpoint, reason, ...common })
  }
  const { code } = error
  return code === "service_unavailable" || code === "timeout" || code === "budget_exceeded"
    ? encodeFailure({ error: "unavailable", code, ...common })
    : undefined
}

/**
 * Returns the outage of a text, or undefined when the text is not an outage. `left` is its remaining time in
 * milliseconds.
 */
export const readOutage = (text: string, left: number): Outage | undefined => {
  const failure = Option.getOrUndefined(decodeFailure(text))
  if (failure === undefined) return undefined
  const { error: _error, retryAfter, ...rest } = failure
  const details = {
    origin: "service" as const,
    ...rest,
    ...(retryAfter === undefined ? {} : { retryAfter: Duration.millis(Math.min(retryAfter, left)) })
  }
  return "code" in details
    ? new EntraError.ServiceUnavailableError(details)
    : new EntraError.NetworkError({ code: "network", ...details })
}

const encodeThrottle = Schema.encodeSync(Throttle)
const decodeThrottle = Schema.decodeUnknownOption(Throttle)

/** Returns the text of a throttle. */
export const throttleText = (error: EntraError.ThrottledError): string =>
  encodeThrottle({ loopDetected: error.loopDetected, ...detailsOf(error) })

/** Returns the error that callers get during a throttle, or undefined when the text is not a throttle. */
export const readThrottle = (text: string, left: number): EntraError.ThrottledError | undefined => {
  const throttle = Option.getOrUndefined(decodeThrottle(text))
  return throttle === undefined ? undefined : new EntraError.ThrottledError({
    code: "throttled",
    message: `No request was sent, because the service throttles this app for another ${Math.ceil(left / 1000)} s.`,
    remedy: "Wait for retryAfter. Valid cached tokens are still served.",
    origin: "local",
    source: "fleet",
    retryAfter: Duration.millis(left),
    ...throttle
  })
}
