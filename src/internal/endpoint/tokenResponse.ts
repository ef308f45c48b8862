/** Reads a response of the token endpoint: its status, headers and body become a token or a typed error. */
import * as Duration from "effect/Duration"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { AccessToken } from "../../AccessToken.ts"
import * as Authority from "../../Authority.ts"
import * as EntraError from "../../EntraError.ts"
import { type IdentityResponse } from "../http/fields.ts"
import type { Scrub } from "../http/redaction.ts"
import { defaultRetryAfter, parseRetryAfter } from "../http/retryAfter.ts"
import { isOutageStatus } from "../shared/errors.ts"
import { quote, sentence } from "../shared/text.ts"
import { type Members, membersOf } from "../shared/validate.ts"
import { consentHelps, loopDetected, meaningOf, throttled as throttledMeaning } from "./aadsts.ts"

export interface ResponseContext {
  /** The effective authority, with the tenant of the request. */
  readonly authority: Authority.Authority
  /** The same as a URL, for the result. */
  readonly authorityUrl: string
  readonly clientId: string
  readonly tenantId: string
  readonly scopes: string
  readonly tokenType: string
  readonly tokenEndpoint: string
  readonly correlationId: string
  /** The times at which the request was sent and its response was complete, in milliseconds since the epoch. */
  readonly sentAt: number
  readonly now: number
  readonly scrub: Scrub
}

/** The errors that a response can mean. */
export type Refusal =
  | EntraError.InvalidAuthorityError
  | EntraError.InvalidClientError
  | EntraError.ThrottledError
  | EntraError.ClaimsChallengeError
  | EntraError.TokenRequestError
  | EntraError.ServiceUnavailableError
  | EntraError.InvalidResponseError

/** Returns the token in a response, or the error that the response means. */
export const readTokenResponse = (
  answer: IdentityResponse,
  context: ResponseContext
): Result.Result<AccessToken, Refusal> => {
  const { status } = answer
  if (status === 0 || (status >= 300 && status < 400)) return Result.fail(redirected(answer, context))
  if (answer.cut && status !== 429 && !isOutageStatus(status)) {
    return Result.fail(
      malformed(answer, context, "response_too_large", "is too long for a token response, and was not read completely")
    )
  }
  const body = membersOf(answer.body) ?? {}
  const { error } = body
  if (typeof error === "string" && error !== "") return Result.fail(refused(answer, context, error, body))
  if (status >= 200 && status < 300) {
    const token = tokenOf(body)
    return token === undefined
      ? Result.fail(malformed(answer, context, "response_malformed", "has no valid token"))
      : issued(answer, context, token)
  }
  return Result.fail(byStatus(answer, context))
}

const isText = (value: unknown): value is string => typeof value === "string" && value !== ""

// -----------------------------------------------------------------------------
// tokens
// -----------------------------------------------------------------------------

/** The longest valid lifetime, in seconds. */
const tenYears = 10 * 365 * 86_400

interface Token {
  readonly secret: Redacted.Redacted<string>
  readonly type: string
  readonly expiresIn: number
  readonly refreshIn: number | undefined
  readonly scope: unknown
}

/**
 * Parses the token without a schema, whose decoder takes as long as the rest of an acquisition and must be compiled
 * first.
 */
const tokenOf = (body: Members): Token | undefined => {
  const { access_token: secret, token_type: type } = body
  const expiresIn = secondsOf(body["expires_in"])
  // RFC 6749 appendix A.12; anything else could not be sent as a header, and a transport would quote it.
  if (typeof secret !== "string" || !/^[\x20-\x7e]+$/.test(secret) || typeof type !== "string" || type === "") {
    return undefined
  }
  if (expiresIn === undefined || expiresIn < 1 || expiresIn > tenYears) return undefined
  return {
    secret: Redacted.make(secret, { label: "access_token" }),
    type,
    expiresIn,
    // A malformed `refresh_in` is ignored, because the token is valid without it.
    refreshIn: secondsOf(body["refresh_in"]),
    scope: body["scope"]
  }
}

/** Parses seconds. Entra sends numbers, AD FS and others send numeric strings. */
const secondsOf = (value: unknown): number | undefined => {
  const seconds = typeof value === "string" && value !== "" ? Number(value) : value
  return typeof seconds === "number" && Number.isFinite(seconds) ? seconds : undefined
}

/**
 * Returns the time from which a lifetime counts. That is before the request was sent, because nobody knows when the service
 * issued the token. If the clock was put back meanwhile, it is now.
 */
export const issuedAt = ({ now, sentAt }: Pick<ResponseContext, "now" | "sentAt">): number => Math.min(sentAt, now)

const issued = (
  answer: IdentityResponse,
  context: ResponseContext,
  token: Token
): Result.Result<AccessToken, EntraError.InvalidResponseError> => {
  if (token.type.toLowerCase() !== context.tokenType.toLowerCase()) {
    return Result.fail(
      malformed(
        answer,
        context,
        "response_token_type",
        `has a token of type ${quote(context.scrub(token.type))}`
      )
    )
  }
  const granted = typeof token.scope === "string" ? token.scope.split(" ").filter((scope) => scope !== "") : []
  const from = issuedAt(context)
  return Result.succeed({
    secret: token.secret,
    tokenType: token.type,
    issuedAt: from,
    expiresOn: from + token.expiresIn * 1000,
    refreshOn: token.refreshIn === undefined ? undefined : from + token.refreshIn * 1000,
    scopes: granted.length > 0 ? granted : context.scopes === "" ? [] : context.scopes.split(" "),
    tenantId: context.tenantId,
    authority: context.authorityUrl,
    tokenEndpoint: context.tokenEndpoint,
    correlationId: context.correlationId
  })
}

// -----------------------------------------------------------------------------
// refusals
// -----------------------------------------------------------------------------

/**
 * Returns the error of an OAuth error response (RFC 6749 section 5.2) with Entra's members. Members of a wrong type are
 * ignored.
 */
const refused = (answer: IdentityResponse, context: ResponseContext, error: string, body: Members): Refusal => {
  const text = (value: unknown): string | undefined => isText(value) ? plain(context.scrub(value)) : undefined
  const description = text(body["error_description"]) ?? "no description"
  const codes = body["error_codes"]
  const listed = Array.isArray(codes) ? codes.filter((code) => typeof code === "number") : []
  const numbers: ReadonlyArray<number> = listed.length > 0
    ? listed
    : [...description.matchAll(/AADSTS(\d+)/g)].map((match) => Number(match[1]))
  const shown = plain(context.scrub(error))
  const meaning = meaningOf(error, numbers)
  const retryAfter = retryAfterOf(answer, context)
  const details = {
    ...common(answer, context),
    message: sentence(`${shown}: ${description}`),
    error: shown,
    errorCodes: numbers,
    suberror: text(body["suberror"]),
    traceId: text(body["trace_id"]),
    timestamp: text(body["timestamp"]),
    correlationId: text(body["correlation_id"]) ?? context.correlationId,
    retryAfter
  }
  if (answer.status === 429 || meaning.kind === "throttled") {
    return throttled(answer, context, details, numbers.includes(loopDetected))
  }
  if (isOutageStatus(answer.status) || meaning.kind === "unavailable") {
    return new EntraError.ServiceUnavailableError({ ...details, ...outage })
  }
  const claims = isText(body["claims"]) ? body["claims"] : undefined
  if (claims !== undefined) {
    return new EntraError.ClaimsChallengeError({
      ...details,
      code: "claims_required",
      remedy: "Repeat the request with these claims. If that is refused too, ask an administrator about the policy.",
      claims: context.scrub(claims, "data")
    })
  }
  const remedy = consentHelps.has(meaning.code) ? `${meaning.remedy} Link: ${consentLink(context)}` : meaning.remedy
  switch (meaning.kind) {
    case "authority":
      return new EntraError.InvalidAuthorityError({ ...details, code: meaning.code, remedy, field: "tenantId" })
    case "client":
      return new EntraError.InvalidClientError({ ...details, code: meaning.code, remedy })
    case "refused":
      return new EntraError.TokenRequestError({ ...details, code: meaning.code, remedy })
  }
}

const consentLink = (context: ResponseContext): string =>
  Authority.adminConsentUrl(context.authority, { clientId: context.clientId })

// -----------------------------------------------------------------------------
// responses without an OAuth error
// -----------------------------------------------------------------------------

const common = (answer: IdentityResponse, context: ResponseContext) => ({
  origin: "service" as const,
  correlationId: context.correlationId,
  status: answer.status
})

const outage = {
  code: "service_unavailable",
  remedy: "Try again later. The request itself is valid, and a valid cached token is served meanwhile."
} as const

const byStatus = (answer: IdentityResponse, context: ResponseContext): Refusal => {
  const details = {
    ...common(answer, context),
    message: `The token endpoint responded with status ${answer.status} and no OAuth error.`,
    retryAfter: retryAfterOf(answer, context)
  }
  if (answer.status === 429) return throttled(answer, context, details, false)
  if (isOutageStatus(answer.status)) return new EntraError.ServiceUnavailableError({ ...details, ...outage })
  return malformed(answer, context, "response_unexpected", "is not an OAuth response")
}

const throttled = (
  answer: IdentityResponse,
  context: ResponseContext,
  details: Omit<EntraError.Problem, "code" | "remedy" | "retryAfter"> & EntraError.ServiceDetails,
  loop: boolean
): EntraError.ThrottledError => {
  const { code, remedy } = throttledMeaning
  const retryAfter = retryAfterOf(answer, context) ?? Duration.millis(defaultRetryAfter)
  return new EntraError.ThrottledError({ ...details, code, remedy, retryAfter, loopDetected: loop, source: "server" })
}

const retryAfterOf = (answer: IdentityResponse, context: ResponseContext): Duration.Duration | undefined => {
  const millis = parseRetryAfter(answer.headers["retry-after"], context.now)
  return millis === undefined ? undefined : Duration.millis(millis)
}

/** Returns the error of a malformed response. Its message does not show the body, which may contain anything. */
const malformed = (
  answer: IdentityResponse,
  context: ResponseContext,
  code: EntraError.InvalidResponseCode,
  problem: string
): EntraError.InvalidResponseError =>
  new EntraError.InvalidResponseError({
    ...common(answer, context),
    code,
    message:
      `The response of ${context.tokenEndpoint} (status ${answer.status}, ${answer.body.length} characters) ${problem}.`,
    remedy: "Check the authority, and check for a proxy or a sign-in page that responds in the service's place.",
    retryAfter: answer.status < 300 ? undefined : retryAfterOf(answer, context)
  })

const redirected = (answer: IdentityResponse, context: ResponseContext): EntraError.InvalidResponseError =>
  new EntraError.InvalidResponseError({
    ...common(answer, context),
    code: "redirect_refused",
    message: `${context.tokenEndpoint} responded with a redirect, which would send the credential to another URL.`,
    remedy: "Configure the final URL of the authority, and check for a proxy that redirects."
  })

/** Returns a text on one line without control characters, so that it cannot imitate other lines in messages and logs. */
// oxlint-disable-next-line no-control-regex -- the pattern matches control characters
const plain = (text: string): string => text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, " ")
