/** From an answer of the token endpoint to a token or a typed error: (status, headers, body) and nothing else. */
import * as Duration from "effect/Duration"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { AccessToken } from "../../AccessToken.ts"
import * as Authority from "../../Authority.ts"
import * as EntraError from "../../EntraError.ts"
import type { Answer } from "../http/identityHttp.ts"
import type { Scrub } from "../http/redaction.ts"
import { defaultRetryAfter, parseRetryAfter } from "../http/retryAfter.ts"
import { quote } from "../shared/text.ts"
import { consentHelps, loopDetected, meaningOf } from "./aadsts.ts"

export interface Asked {
  /** The effective one, with the tenant of the request. */
  readonly authority: Authority.Authority
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

export const readAnswer = (answer: Answer, asked: Asked): Result.Result<AccessToken, Refusal> => {
  const { status } = answer
  if (status === 0 || (status >= 300 && status < 400)) return Result.fail(redirected(answer, asked))
  if (answer.cut && status !== 429 && !isOutage(status)) {
    return Result.fail(malformed(answer, asked, "response_too_large", "is cut: it is longer than any token"))
  }
  const body = membersOf(answer.body)
  if (isText(body["error"])) return Result.fail(refused(answer, asked, body["error"], body))
  if (status >= 200 && status < 300) {
    const token = tokenOf(body)
    return token === undefined
      ? Result.fail(malformed(answer, asked, "response_malformed", "holds no token that can be read"))
      : issued(answer, asked, token)
  }
  return Result.fail(byStatus(answer, asked))
}

/** The members of a JSON object, none of them looked at; what is no such object has none. */
type Members = Readonly<Record<string, unknown>>

const membersOf = (json: string): Members => {
  try {
    const value: unknown = JSON.parse(json)
    return Predicate.isReadonlyObject(value) ? value : {}
  } catch {
    return {}
  }
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
  if (!isText(secret) || !/^[\x20-\x7e]+$/.test(secret) || !isText(type)) return undefined
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
  const seconds = isText(value) ? Number(value) : value
  return typeof seconds === "number" && Number.isFinite(seconds) ? seconds : undefined
}

const wordsOf = (text: string): ReadonlyArray<string> => text.split(" ").filter((word) => word !== "")

const issued = (
  answer: Answer,
  asked: Asked,
  token: Token
): Result.Result<AccessToken, EntraError.InvalidResponseError> => {
  if (token.type.toLowerCase() !== asked.tokenType.toLowerCase()) {
    return Result.fail(
      malformed(
        answer,
        asked,
        "response_token_type",
        `holds a token of type ${quote(asked.scrub(token.type))}`
      )
    )
  }
  const granted = typeof token.scope === "string" ? wordsOf(token.scope) : []
  return Result.succeed({
    secret: token.secret,
    tokenType: token.type,
    issuedAt: asked.now,
    expiresOn: asked.now + token.expiresIn * 1000,
    refreshOn: token.refreshIn === undefined ? undefined : asked.now + token.refreshIn * 1000,
    scopes: granted.length === 0 ? wordsOf(asked.scopes) : granted,
    tenantId: asked.tenantId,
    authority: Authority.format(asked.authority),
    tokenEndpoint: asked.tokenEndpoint,
    correlationId: asked.correlationId
  })
}

// -----------------------------------------------------------------------------
// refusals
// -----------------------------------------------------------------------------

/** RFC 6749 section 5.2 plus Entra's members; of those what has another type is as good as absent. */
const refused = (answer: Answer, asked: Asked, code: string, body: Members): Refusal => {
  const text = (value: unknown): string | undefined => isText(value) ? plain(asked.scrub(value)) : undefined
  const description = text(body["error_description"]) ?? "without a description"
  const codes = body["error_codes"]
  const listed = Array.isArray(codes) ? codes.filter((code) => typeof code === "number") : []
  const numbers: ReadonlyArray<number> = listed.length > 0
    ? listed
    : [...description.matchAll(/AADSTS(\d+)/g)].map((match) => Number(match[1]))
  const error = plain(asked.scrub(code))
  const meaning = meaningOf(code, numbers)
  const retryAfter = retryAfterOf(answer, asked)
  const details = {
    ...common(answer, asked),
    code: meaning.code,
    message: `${error}: ${description}`,
    remedy: consentHelps.has(meaning.code) ? `${meaning.remedy} Link: ${consentLink(asked)}` : meaning.remedy,
    error,
    errorCodes: numbers,
    suberror: text(body["suberror"]),
    traceId: text(body["trace_id"]),
    timestamp: text(body["timestamp"]),
    correlationId: text(body["correlation_id"]) ?? asked.correlationId
  }
  if (answer.status === 429 || meaning.kind === "throttled") {
    return throttled(answer, asked, details, numbers.includes(loopDetected))
  }
  if (isOutage(answer.status) || meaning.kind === "unavailable") {
    return new EntraError.ServiceUnavailableError({ ...details, ...outage, retryAfter })
  }
  const claims = isText(body["claims"]) ? body["claims"] : undefined
  if (claims !== undefined) {
    return new EntraError.ClaimsChallengeError({
      ...details,
      code: "claims_required",
      remedy:
        "Repeat the request with these claims; if that is refused too, ask an administrator what the policy demands.",
      claims: asked.scrub(claims, "data"),
      retryAfter
    })
  }
  switch (meaning.kind) {
    case "authority":
      return new EntraError.InvalidAuthorityError({ ...details, field: "tenantId", retryAfter })
    case "client":
      return new EntraError.InvalidClientError({ ...details, retryAfter })
    case "refused":
      return new EntraError.TokenRequestError({ ...details, retryAfter })
  }
}

const consentLink = (asked: Asked): string => Authority.adminConsentUrl(asked.authority, { clientId: asked.clientId })

// -----------------------------------------------------------------------------
// answers that say nothing in OAuth's language
// -----------------------------------------------------------------------------

const common = (answer: Answer, asked: Asked) => ({
  origin: "service" as const,
  correlationId: asked.correlationId,
  status: answer.status
})

const isOutage = (status: number): boolean => status === 408 || status >= 500

const outage = {
  code: "service_unavailable",
  remedy: "Nothing is wrong with the request: try again later; a token that is still valid goes on being served."
}

const byStatus = (answer: Answer, asked: Asked): Refusal => {
  const details = {
    ...common(answer, asked),
    message: `the token endpoint answered with status ${answer.status} and no OAuth error`,
    retryAfter: retryAfterOf(answer, asked)
  }
  if (answer.status === 429) return throttled(answer, asked, details, false)
  if (isOutage(answer.status)) return new EntraError.ServiceUnavailableError({ ...details, ...outage })
  return malformed(answer, asked, "response_unexpected", "is no OAuth answer")
}

const throttled = (
  answer: Answer,
  asked: Asked,
  details: Omit<EntraError.Problem, "code" | "remedy" | "retryAfter"> & EntraError.ServiceDetails,
  loop: boolean
): EntraError.ThrottledError => {
  const { code, remedy } = meaningOf("", [loopDetected])
  const retryAfter = retryAfterOf(answer, asked) ?? Duration.millis(defaultRetryAfter)
  return new EntraError.ThrottledError({ ...details, code, remedy, retryAfter, loopDetected: loop, source: "server" })
}

const retryAfterOf = (answer: Answer, asked: Asked): Duration.Duration | undefined => {
  const millis = parseRetryAfter(answer.headers["retry-after"], asked.now)
  return millis === undefined ? undefined : Duration.millis(millis)
}

/** The body stays out of the message: it is nobody's language, and may hold anything. */
const malformed = (answer: Answer, asked: Asked, code: string, problem: string): EntraError.InvalidResponseError =>
  new EntraError.InvalidResponseError({
    ...common(answer, asked),
    code,
    message:
      `the answer of ${asked.tokenEndpoint} (status ${answer.status}, ${answer.body.length} characters) ${problem}`,
    remedy: "Check the authority, and whether a proxy or a sign-in page on the way answers in the service's stead.",
    retryAfter: answer.status < 300 ? undefined : retryAfterOf(answer, asked)
  })

const redirected = (answer: Answer, asked: Asked): EntraError.InvalidResponseError =>
  new EntraError.InvalidResponseError({
    ...common(answer, asked),
    code: "redirect_refused",
    message: `${asked.tokenEndpoint} answered with a redirect, which would carry the credential to another place`,
    remedy: "Configure the authority's final address, and check for a proxy that redirects."
  })

/** On one line and without control characters: it stands in messages and logs, where it must not pose as lines of ours. */
// oxlint-disable-next-line no-control-regex -- control characters are what is looked for
const plain = (text: string): string => text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, " ")
