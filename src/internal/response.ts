/** From an answer of the token endpoint to a token or a typed error: (status, headers, body) and nothing else. */
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { AccessToken } from "../AccessToken.ts"
import * as Authority from "../Authority.ts"
import * as EntraError from "../EntraError.ts"
import { consentHelps, loopDetected, meaningOf } from "./aadsts.ts"
import type { Answer } from "./exchange.ts"
import { defaultRetryAfter, parseRetryAfter } from "./retryAfter.ts"
import type { Scrub } from "./scrub.ts"

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
  const json = decodeJson(answer.body)
  const refusal = Result.isSuccess(json) ? decodeRefusal(json.success) : json
  if (Result.isSuccess(refusal)) return Result.fail(refused(answer, asked, refusal.success))
  if (status >= 200 && status < 300) {
    const token = Result.flatMap(json, decodeToken)
    return Result.isSuccess(token)
      ? issued(answer, asked, token.success)
      : Result.fail(malformed(answer, asked, "response_malformed", "holds no token that can be read"))
  }
  return Result.fail(byStatus(answer, asked))
}

// -----------------------------------------------------------------------------
// tokens
// -----------------------------------------------------------------------------

const Seconds = Schema.Union([Schema.Finite, Schema.FiniteFromString])

const TokenResponse = Schema.Struct({
  // RFC 6749 appendix A.12; anything else could not be sent as a header, and a transport would quote it.
  access_token: Schema.RedactedFromValue(Schema.String.check(Schema.isPattern(/^[\x20-\x7e]+$/)), {
    label: "access_token"
  }),
  token_type: Schema.NonEmptyString,
  // Entra sends numbers; AD FS and others send numeric strings.
  expires_in: Seconds.check(Schema.isBetween({ minimum: 1, maximum: 10 * 365 * 86_400 })),
  // A token is not thrown away for what is only good to know.
  refresh_in: Schema.optionalKey(Schema.Unknown),
  scope: Schema.optionalKey(Schema.Unknown)
})

const decodeToken = Schema.decodeUnknownResult(TokenResponse)
const decodeSeconds = Schema.decodeUnknownResult(
  Schema.Union([Schema.Finite, Schema.NonEmptyString.pipe(Schema.decodeTo(Schema.FiniteFromString))])
)
const decodeJson = Schema.decodeUnknownResult(Schema.fromJsonString(Schema.Unknown))

const wordsOf = (text: string): ReadonlyArray<string> => text.split(" ").filter((word) => word !== "")

const issued = (
  answer: Answer,
  asked: Asked,
  token: typeof TokenResponse.Type
): Result.Result<AccessToken, EntraError.InvalidResponseError> => {
  if (token.token_type.toLowerCase() !== asked.tokenType.toLowerCase()) {
    return Result.fail(
      malformed(
        answer,
        asked,
        "response_token_type",
        `holds a token of type ${EntraError.quote(asked.scrub(token.token_type))}`
      )
    )
  }
  const granted = typeof token.scope === "string" ? wordsOf(token.scope) : []
  const refreshIn = decodeSeconds(token.refresh_in)
  return Result.succeed({
    secret: token.access_token,
    tokenType: token.token_type,
    issuedAt: asked.now,
    expiresOn: asked.now + token.expires_in * 1000,
    refreshOn: Result.isSuccess(refreshIn) ? asked.now + refreshIn.success * 1000 : undefined,
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

/** RFC 6749 section 5.2 plus Entra's members; what has another type is as good as absent. */
const RefusalResponse = Schema.Struct({
  error: Schema.NonEmptyString,
  error_description: Schema.optionalKey(Schema.Unknown),
  error_codes: Schema.optionalKey(Schema.Unknown),
  suberror: Schema.optionalKey(Schema.Unknown),
  claims: Schema.optionalKey(Schema.Unknown),
  trace_id: Schema.optionalKey(Schema.Unknown),
  correlation_id: Schema.optionalKey(Schema.Unknown),
  timestamp: Schema.optionalKey(Schema.Unknown)
})

const decodeRefusal = Schema.decodeUnknownResult(RefusalResponse)

const refused = (answer: Answer, asked: Asked, body: typeof RefusalResponse.Type): Refusal => {
  const text = (value: unknown): string | undefined =>
    typeof value === "string" && value !== "" ? asked.scrub(value) : undefined
  const description = text(body.error_description) ?? "without a description"
  const listed = Array.isArray(body.error_codes) ? body.error_codes.filter((code) => typeof code === "number") : []
  const numbers: ReadonlyArray<number> = listed.length > 0
    ? listed
    : [...description.matchAll(/AADSTS(\d+)/g)].map((match) => Number(match[1]))
  const error = asked.scrub(body.error)
  const meaning = meaningOf(body.error, numbers)
  const retryAfter = retryAfterOf(answer, asked)
  const details = {
    ...common(answer, asked),
    code: meaning.code,
    message: `${error}: ${description}`,
    remedy: consentHelps.has(meaning.code) ? `${meaning.remedy} Link: ${consentLink(asked)}` : meaning.remedy,
    error,
    errorCodes: numbers,
    suberror: text(body.suberror),
    traceId: text(body.trace_id),
    timestamp: text(body.timestamp),
    correlationId: text(body.correlation_id) ?? asked.correlationId
  }
  if (answer.status === 429 || meaning.kind === "throttled") {
    return throttled(answer, asked, details, numbers.includes(loopDetected))
  }
  if (isOutage(answer.status) || meaning.kind === "unavailable") {
    return new EntraError.ServiceUnavailableError({ ...details, ...outage, retryAfter })
  }
  const claims = typeof body.claims === "string" && body.claims !== "" ? body.claims : undefined
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
