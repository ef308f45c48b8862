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
import { isCutJson, longestLifetime, type Members, membersOf } from "../shared/validate.ts"
import { loopDetected, meaningOf, throttled as throttledMeaning } from "./aadsts.ts"

export interface ResponseContext {
  /** The effective authority, with the tenant of the request. */
  readonly authority: Authority.Authority
  /** The same as a URL, for the result. */
  readonly authorityUrl: string
  /** Undefined if it is unknown. The remedy of missing consent then has no link. */
  readonly clientId: string | undefined
  readonly tenantId: string
  readonly scopes: string
  readonly tokenType: string
  readonly tokenEndpoint: string
  readonly correlationId: string
  /**
   * Milliseconds for a token whose response has no `expires_in`, which RFC 6749 section 5.1 allows; 0 if the token must
   * not be cached, and undefined if the response needs `expires_in`.
   */
  readonly defaultLifetime?: number | undefined
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
  const members = membersOf(answer.body)
  if (members === undefined && status !== 429 && !isOutageStatus(status) && isCutJson(answer.body)) {
    return Result.fail(incomplete(answer, context))
  }
  const body = members ?? {}
  const { error } = body
  if (typeof error === "string" && error !== "") return Result.fail(refused(answer, context, error, body))
  if (status >= 200 && status < 300) {
    if (members === undefined) {
      return Result.fail(malformed(answer, context, "response_malformed", "is not a JSON object"))
    }
    const token = tokenOf(body, context.defaultLifetime)
    return Result.isFailure(token)
      ? Result.fail(malformed(answer, context, "response_malformed", listed(token.failure), remedyFor(body, context)))
      : issued(answer, context, token.success)
  }
  return Result.fail(byStatus(answer, context))
}

const isText = (value: unknown): value is string => typeof value === "string" && value !== ""

// -----------------------------------------------------------------------------
// tokens
// -----------------------------------------------------------------------------

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
const tokenOf = (
  body: Members,
  defaultLifetime: number | undefined
): Result.Result<Token, ReadonlyArray<string>> => {
  const secret = Result.flatMap(textOf("an", "access_token", body), printable)
  const type = textOf("a", "token_type", body)
  const lifetime: Checked<number> = isMissing(body["expires_in"]) && defaultLifetime !== undefined
    ? Result.succeed(defaultLifetime / 1000)
    : lifetimeOf(body["expires_in"])
  if (Result.isSuccess(secret) && Result.isSuccess(type) && Result.isSuccess(lifetime)) {
    return Result.succeed({
      secret: Redacted.make(secret.success, { label: "access_token" }),
      type: type.success,
      expiresIn: lifetime.success,
      // A malformed `refresh_in` is ignored, because the token is valid without it.
      refreshIn: secondsOf(body["refresh_in"]),
      scope: body["scope"]
    })
  }
  const parts: ReadonlyArray<Checked<unknown>> = [secret, type, lifetime]
  return Result.fail(parts.flatMap((part) => Result.isFailure(part) ? [part.failure] : []))
}

/** A member, or what is wrong with it. */
type Checked<A> = Result.Result<A, string>

const textOf = (article: "a" | "an", name: string, body: Members): Checked<string> => {
  const value = body[name]
  return isMissing(value)
    ? Result.fail(`no ${name}`)
    : typeof value !== "string"
    ? Result.fail(`${article} ${name} that is not a string`)
    : value === ""
    ? Result.fail(`an empty ${name}`)
    : Result.succeed(value)
}

/** RFC 6749 appendix A.12; anything else could not be sent as a header, and a transport would quote it. */
const printable = (secret: string): Checked<string> =>
  /^[\x20-\x7e]+$/.test(secret)
    ? Result.succeed(secret)
    : Result.fail("an access_token with characters other than printable ASCII")

const lifetimeOf = (value: unknown): Checked<number> => {
  const seconds = secondsOf(value)
  return isMissing(value)
    ? Result.fail("no expires_in")
    : seconds === undefined
    ? Result.fail("an expires_in that is not a number")
    : seconds < 1
    ? Result.fail("an expires_in of less than 1 second")
    : seconds * 1000 > longestLifetime
    ? Result.fail("an expires_in of more than ten years")
    : Result.succeed(seconds)
}

/** Some providers send null for a member that has no value. */
const isMissing = (value: unknown): boolean => value === undefined || value === null

/** `has no access_token, no token_type and an empty ...` */
const listed = (problems: ReadonlyArray<string>): string =>
  `has ${[problems.slice(0, -1).join(", "), ...problems.slice(-1)].filter((part) => part !== "").join(" and ")}`

/** A response with one of these members comes from a token endpoint, and not from a proxy. */
const remedyFor = (body: Members, { tokenEndpoint }: ResponseContext): string | undefined =>
  ["access_token", "token_type", "expires_in"].some((name) => !isMissing(body[name]))
    ? `Ask the operator of ${tokenEndpoint} about these members of its token responses (RFC 6749 section 5.1).`
    : undefined

/** Parses seconds. Entra sends numbers, AD FS and others send numeric strings. */
const secondsOf = (value: unknown): number | undefined => {
  const seconds = typeof value === "string" && value !== "" ? Number(value) : value
  return typeof seconds === "number" && Number.isFinite(seconds) ? seconds : undefined
}

/**
 * Returns the time from which a lifetime counts: the time at which the request was sent, because the time of issue is
 * unknown. If the clock was set back meanwhile, it is the current time.
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
  const meaning = meaningOf(error, numbers, context.authority.kind === "Oidc")
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
  if (answer.status === 429 || (meaning.kind === "throttled" && !isOutageStatus(answer.status))) {
    return throttled(details, numbers.includes(loopDetected), namedRetryAfter(answer, context))
  }
  if (isOutageStatus(answer.status) || meaning.kind === "unavailable" || meaning.kind === "throttled") {
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
  const link = meaning.consentHelps === true ? consentLink(context) : undefined
  const remedy = link === undefined ? meaning.remedy : `${meaning.remedy} Link: ${link}`
  switch (meaning.kind) {
    case "authority":
      return new EntraError.InvalidAuthorityError({ ...details, code: meaning.code, remedy, field: "tenantId" })
    case "client":
      return new EntraError.InvalidClientError({ ...details, code: meaning.code, remedy })
    case "refused":
      return new EntraError.TokenRequestError({ ...details, code: meaning.code, remedy })
  }
}

const consentLink = ({ authority, clientId }: ResponseContext): string | undefined =>
  clientId === undefined ? undefined : Authority.adminConsentUrl(authority, { clientId })

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

/** Returns the error of a response that a broken connection or a proxy has cut. It is retried like an outage. */
const incomplete = (answer: IdentityResponse, context: ResponseContext): EntraError.ServiceUnavailableError =>
  new EntraError.ServiceUnavailableError({
    ...common(answer, context),
    ...outage,
    message:
      `The response of ${context.tokenEndpoint} (status ${answer.status}, ${answer.body.length} characters) ends `
      + "in the middle of its JSON."
  })

const byStatus = (answer: IdentityResponse, context: ResponseContext): Refusal => {
  const details = {
    ...common(answer, context),
    message: `The token endpoint responded with status ${answer.status} and no OAuth error.`,
    retryAfter: retryAfterOf(answer, context)
  }
  if (answer.status === 429) return throttled(details, false, namedRetryAfter(answer, context))
  if (isOutageStatus(answer.status)) return new EntraError.ServiceUnavailableError({ ...details, ...outage })
  return malformed(answer, context, "response_unexpected", "is not an OAuth response")
}

const throttled = (
  details: Omit<EntraError.Problem, "code" | "remedy"> & EntraError.ServiceDetails,
  loop: boolean,
  retryAfter = Duration.millis(defaultRetryAfter)
): EntraError.ThrottledError => {
  const { code, remedy } = throttledMeaning
  return new EntraError.ThrottledError({ ...details, code, remedy, retryAfter, loopDetected: loop, source: "server" })
}

/**
 * Returns the error of an acquisition whose last attempt failed with `error`. A status that reports an outage together
 * with the number of a throttle is retried like an outage, and is a throttle if the retries fail too.
 */
export const finalError = <E extends EntraError.AcquireTokenError>(error: E): E | EntraError.ThrottledError =>
  error._tag === "EntraServiceUnavailableError" && error.error !== undefined &&
    meaningOf(error.error, error.errorCodes ?? []).kind === "throttled"
    ? throttled(
      { ...error, message: error.message },
      error.errorCodes?.includes(loopDetected) ?? false,
      error.retryAfter
    )
    : error

/** Returns the time that the service names, which is zero if it means now. */
const namedRetryAfter = (answer: IdentityResponse, context: ResponseContext): Duration.Duration | undefined => {
  const millis = parseRetryAfter(answer.headers["retry-after"], context.now, answer.headers["date"])
  return millis === undefined ? undefined : Duration.millis(millis)
}

/** Returns the time to wait, or undefined if the service names none or means now. */
const retryAfterOf = (answer: IdentityResponse, context: ResponseContext): Duration.Duration | undefined => {
  const named = namedRetryAfter(answer, context)
  return named === undefined || Duration.isZero(named) ? undefined : named
}

/** Returns the error of a malformed response. Its message does not show the body, which may contain anything. */
const malformed = (
  answer: IdentityResponse,
  context: ResponseContext,
  code: EntraError.InvalidResponseCode,
  problem: string,
  remedy = "Check the authority, and check for a proxy or a sign-in page that responds in the service's place."
): EntraError.InvalidResponseError =>
  new EntraError.InvalidResponseError({
    ...common(answer, context),
    code,
    message:
      `The response of ${context.tokenEndpoint} (status ${answer.status}, ${answer.body.length} characters) ${problem}.`,
    remedy,
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
