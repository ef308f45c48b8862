/** From an answer of the token endpoint to a token or a typed error: (status, headers, body) and nothing else. */
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
  /** The effective one, with the tenant of the request. */
  readonly authority: Authority.Authority
  /** The same as a URL, for the result. */
  readonly authorityUrl: string
  readonly clientId: string
  readonly tenantId: string
  readonly scopes: string
  readonly tokenType: string
  readonly tokenEndpoint: string
  readonly correlationId: string
  /** Milliseconds since the epoch, when the answer was complete. */
  readonly now: number
  readonly scrub: Scrub
}

/** What this reads an answer as: only errors that an answer can mean. */
export type Refusal =
  | EntraError.InvalidAuthorityError
  | EntraError.InvalidClientError
  | EntraError.ThrottledError
  | EntraError.ClaimsChallengeError
  | EntraError.TokenRequestError
  | EntraError.ServiceUnavailableError
  | EntraError.InvalidResponseError

export const readTokenResponse = (
  answer: IdentityResponse,
  context: ResponseContext
): Result.Result<AccessToken, Refusal> => {
  const { status } = answer
  if (status === 0 || (status >= 300 && status < 400)) return Result.fail(redirected(answer, context))
  if (answer.cut && status !== 429 && !isOutageStatus(status)) {
    return Result.fail(malformed(answer, context, "response_too_large", "is cut: it is longer than any token"))
  }
  const body = membersOf(answer.body) ?? {}
  const { error } = body
  if (typeof error === "string" && error !== "") return Result.fail(refused(answer, context, error, body))
  if (status >= 200 && status < 300) {
    const token = tokenOf(body)
    return token === undefined
      ? Result.fail(malformed(answer, context, "response_malformed", "holds no token that can be read"))
      : issued(answer, context, token)
  }
  return Result.fail(byStatus(answer, context))
}

const isText = (value: unknown): value is string => typeof value === "string" && value !== ""

// -----------------------------------------------------------------------------
// tokens
// -----------------------------------------------------------------------------

/** The longest lifetime that is believed, in seconds. */
const tenYears = 10 * 365 * 86_400

interface Token {
  readonly secret: Redacted.Redacted<string>
  readonly type: string
  readonly expiresIn: number
  readonly refreshIn: number | undefined
  readonly scope: unknown
}

/** Read by hand: a schema's decoder takes as long as all the rest of an acquisition, and compiles for milliseconds first. */
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
    // A token is not thrown away for what is only good to know.
    refreshIn: secondsOf(body["refresh_in"]),
    scope: body["scope"]
  }
}

/** Entra sends numbers; AD FS and others send numeric strings. */
const secondsOf = (value: unknown): number | undefined => {
  const seconds = typeof value === "string" && value !== "" ? Number(value) : value
  return typeof seconds === "number" && Number.isFinite(seconds) ? seconds : undefined
}

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
        `holds a token of type ${quote(context.scrub(token.type))}`
      )
    )
  }
  const granted = typeof token.scope === "string" ? token.scope.split(" ").filter((scope) => scope !== "") : []
  return Result.succeed({
    secret: token.secret,
    tokenType: token.type,
    issuedAt: context.now,
    expiresOn: context.now + token.expiresIn * 1000,
    refreshOn: token.refreshIn === undefined ? undefined : context.now + token.refreshIn * 1000,
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

/** RFC 6749 section 5.2 plus Entra's members; of those what has another type is as good as absent. */
const refused = (answer: IdentityResponse, context: ResponseContext, error: string, body: Members): Refusal => {
  const text = (value: unknown): string | undefined => isText(value) ? plain(context.scrub(value)) : undefined
  const description = text(body["error_description"]) ?? "without a description"
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
      remedy:
        "Repeat the request with these claims. If that is refused too, ask an administrator what the policy demands.",
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
// answers that say nothing in OAuth's language
// -----------------------------------------------------------------------------

const common = (answer: IdentityResponse, context: ResponseContext) => ({
  origin: "service" as const,
  correlationId: context.correlationId,
  status: answer.status
})

const outage = {
  code: "service_unavailable",
  remedy: "Try again later: the request itself is valid, and a token that is still valid is served meanwhile."
} as const

const byStatus = (answer: IdentityResponse, context: ResponseContext): Refusal => {
  const details = {
    ...common(answer, context),
    message: `the token endpoint answered with status ${answer.status} and no OAuth error.`,
    retryAfter: retryAfterOf(answer, context)
  }
  if (answer.status === 429) return throttled(answer, context, details, false)
  if (isOutageStatus(answer.status)) return new EntraError.ServiceUnavailableError({ ...details, ...outage })
  return malformed(answer, context, "response_unexpected", "is no OAuth answer")
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

/** The body stays out of the message: it is nobody's language, and may hold anything. */
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
      `the answer of ${context.tokenEndpoint} (status ${answer.status}, ${answer.body.length} characters) ${problem}.`,
    remedy: "Check the authority, and whether a proxy or a sign-in page on the way answers in the service's stead.",
    retryAfter: answer.status < 300 ? undefined : retryAfterOf(answer, context)
  })

const redirected = (answer: IdentityResponse, context: ResponseContext): EntraError.InvalidResponseError =>
  new EntraError.InvalidResponseError({
    ...common(answer, context),
    code: "redirect_refused",
    message: `${context.tokenEndpoint} answered with a redirect, which would carry the credential to another place.`,
    remedy: "Configure the authority's final address, and check for a proxy that redirects."
  })

/** On one line and without control characters: it stands in messages and logs, where it must not pose as lines of ours. */
// oxlint-disable-next-line no-control-regex -- control characters are what is looked for
const plain = (text: string): string => text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, " ")
