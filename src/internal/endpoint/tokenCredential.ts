/**
 * Converts the results of a `TokenCredential` of `@azure/core-auth`: its tokens, and its exceptions, which become typed
 * errors. Both are validated, because they come from other code.
 */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { AccessToken } from "../../AccessToken.ts"
import { type AcquireTokenError, type CredentialError, InvalidResponseError, isEntraError } from "../../EntraError.ts"
import { reasonOf } from "../http/networkReason.ts"
import { scrubber } from "../http/redaction.ts"
import { credentialError, isOutageStatus, serviceUnavailable } from "../shared/errors.ts"
import { quote, sentence } from "../shared/text.ts"
import { longestLifetime } from "../shared/validate.ts"
import { issuedAt, readTokenResponse, type ResponseContext } from "./tokenResponse.ts"

// -----------------------------------------------------------------------------
// tokens
// -----------------------------------------------------------------------------

/** The fields without which a token cannot be used. */
const required = {
  // RFC 6749 appendix A.12. A header cannot contain other characters.
  token: Schema.String.check(Schema.isPattern(/^[\x20-\x7e]+$/)),
  expiresOnTimestamp: Schema.Finite
}

/** SDKs before 2024 return neither of the other fields. A malformed `refreshAfterTimestamp` is ignored. */
const decodeToken = Schema.decodeUnknownResult(Schema.Struct({
  ...required,
  refreshAfterTimestamp: Schema.optionalKey(Schema.Unknown),
  tokenType: Schema.optionalKey(Schema.UndefinedOr(Schema.String))
}))

const hasToken = Schema.is(Schema.Struct({ token: required.token }))
const hasExpiry = Schema.is(Schema.Struct({ expiresOnTimestamp: required.expiresOnTimestamp }))

/**
 * Returns the token that `getToken` resolved to. A credential that has no token for the request resolves to null. Reading a
 * member of the value may throw.
 */
export const readCredentialToken = (
  value: unknown,
  context: ResponseContext
): Result.Result<AccessToken, CredentialError | InvalidResponseError> => {
  try {
    return readToken(value, context)
  } catch {
    return Result.fail(malformed(context, "members cannot be read"))
  }
}

const readToken = (
  value: unknown,
  context: ResponseContext
): Result.Result<AccessToken, CredentialError | InvalidResponseError> => {
  if (value === null || value === undefined) return Result.fail(unavailable("It returned no token", context))
  const decoded = decodeToken(value)
  if (Result.isFailure(decoded)) {
    return Result.fail(malformed(
      context,
      !hasToken(value)
        ? "token is not a text of printable ASCII"
        : hasExpiry(value)
        ? "tokenType is not a string"
        : "expiresOnTimestamp is not a number"
    ))
  }
  const { expiresOnTimestamp: expiresOn, refreshAfterTimestamp: refreshOn, token, tokenType = "Bearer" } =
    decoded.success
  if (tokenType.toLowerCase() !== context.tokenType.toLowerCase()) {
    return Result.fail(malformed(context, `tokenType is ${quote(context.scrub(tokenType))}`, "response_token_type"))
  }
  const from = issuedAt(context)
  if (expiresOn <= from || expiresOn > from + longestLifetime) {
    return Result.fail(malformed(
      context,
      expiresOn <= from
        ? "expiresOnTimestamp is in the past"
        : "expiresOnTimestamp is more than ten years in the future"
    ))
  }
  return Result.succeed({
    secret: Redacted.make(token, { label: "access_token" }),
    tokenType,
    issuedAt: from,
    expiresOn,
    refreshOn: typeof refreshOn === "number" ? refreshOn : undefined,
    scopes: context.scopes.split(" "),
    tenantId: context.tenantId,
    authority: context.authorityUrl,
    tokenEndpoint: context.tokenEndpoint,
    correlationId: context.correlationId
  })
}

// -----------------------------------------------------------------------------
// errors
// -----------------------------------------------------------------------------

/** The part of `AuthenticationError` that contains the service's response. */
const Refusal = Schema.Struct({
  statusCode: Schema.Finite,
  errorResponse: Schema.Struct({
    error: Schema.NonEmptyString,
    errorDescription: Schema.optional(Schema.String),
    errorCodes: Schema.optional(Schema.Array(Schema.Finite)),
    timestamp: Schema.optional(Schema.String),
    traceId: Schema.optional(Schema.String),
    correlationId: Schema.optional(Schema.String)
  })
})
const isRefusal = Schema.is(Refusal)
/** The error of MSAL that `AuthenticationRequiredError` has as its cause when the service refused the request. */
const isMsalRefusal = Schema.is(Schema.Struct({
  errorCode: Schema.NonEmptyString,
  errorNo: Schema.Union([Schema.Finite, Schema.String.check(Schema.isPattern(/^\d{1,9}$/))]),
  errorMessage: Schema.optional(Schema.String)
}))
const hasCause = Schema.is(Schema.Struct({ cause: Schema.Unknown }))
const hasStatus = Schema.is(Schema.Struct({ statusCode: Schema.Finite }))
const hasMessage = Schema.is(Schema.Struct({ message: Schema.String }))
const hasName = Schema.is(Schema.Struct({ name: Schema.String.check(Schema.isPattern(/^\w{1,60}$/)) }))

/** The names of errors of a credential that is not available on this machine, or that needs a sign-in. */
const unavailableNames: ReadonlySet<string> = new Set([
  "CredentialUnavailableError",
  "AuthenticationRequiredError",
  "AggregateAuthenticationError"
])

const networkReasons =
  /^(?:ECONN(?:REFUSED|RESET|ABORTED)|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EPIPE|E(?:HOST|NET)UNREACH|ENETDOWN|UND_ERR_\w+|REQUEST_SEND_ERROR)$/

/** Returns the error for a thrown value. Reading a member of the value may also throw. */
export const errorOfThrown = (thrown: unknown, context: ResponseContext): AcquireTokenError => {
  try {
    return meaningOfThrown(thrown, context)
  } catch {
    return failed("", context)
  }
}

const meaningOfThrown = (thrown: unknown, context: ResponseContext): AcquireTokenError => {
  if (isEntraError(thrown)) return thrown
  if (isRefusal(thrown)) {
    const { errorResponse, statusCode } = thrown
    return errorOfResponse(statusCode, context, {
      error: errorResponse.error,
      error_description: withoutNamedSecrets(errorResponse.errorDescription ?? ""),
      error_codes: errorResponse.errorCodes,
      timestamp: errorResponse.timestamp,
      trace_id: errorResponse.traceId,
      correlation_id: errorResponse.correlationId
    })
  }
  const msal = causes(thrown).find(isMsalRefusal)
  if (msal !== undefined) {
    return errorOfResponse(400, context, {
      error: msal.errorCode,
      error_description: withoutNamedSecrets(msal.errorMessage ?? ""),
      error_codes: [Number(msal.errorNo)]
    })
  }
  if (hasStatus(thrown) && (thrown.statusCode === 429 || isOutageStatus(thrown.statusCode))) {
    return errorOfResponse(thrown.statusCode, context, {})
  }
  const reason = reasonOf(thrown)
  if (reason !== undefined && networkReasons.test(reason)) {
    return serviceUnavailable(
      "service_unavailable",
      `The TokenCredential could not reach its service: ${reason}`,
      "Check the network, the proxy and the firewall, or try again later.",
      { origin: "service", correlationId: context.correlationId }
    )
  }
  const name = hasName(thrown) ? thrown.name : ""
  const message = typeof thrown === "string" ? thrown : hasMessage(thrown) ? thrown.message : ""
  const words = [name, context.scrub(withoutNamedSecrets(message)).trim()].filter((part) => part !== "").join(": ")
  return unavailableNames.has(name) ? unavailable(words, context) : failed(words, context)
}

/** Returns a thrown value and its causes. */
const causes = (thrown: unknown): ReadonlyArray<unknown> => {
  const all = [thrown]
  for (let last = thrown; all.length < 8 && hasCause(last); all.push(last)) last = last.cause
  return all
}

/** Returns the error of a response. The status of a success is replaced, because the response is an error. */
const errorOfResponse = (status: number, context: ResponseContext, body: object): AcquireTokenError => {
  const response = { status: status >= 400 && status < 600 ? status : 400, headers: {}, cut: false }
  const read = readTokenResponse({ ...response, body: JSON.stringify(body) }, context)
  return Result.isFailure(read) ? read.failure : failed("", context)
}

/** Returns the scrubber of a credential whose secrets are unknown. */
export const scrubThrown = /*#__PURE__*/ scrubber([])

/**
 * Removes the values after names of secrets, because messages of other code may contain a form, a header or JSON, also JSON
 * in JSON. A value in quotes ends at its closing quote.
 */
const withoutNamedSecrets = (text: string): string =>
  text.slice(0, 10_000).replace(
    /\b((?:[a-z]{1,20}[_-]?)?(?:secret|assertion|token|password|passwd|pwd|authorization|signature|api[_-]?key)(?:\\*["'])?\s*[:=]\s*)(?:(\\*["'])(?:(?!\2)(?:\\.|.))*|((?:bearer|basic)\s+)?[^\s"'&,;]+)/gis,
    (_, name: string, quote = "", scheme = "") => `${name}${quote}${scheme}<redacted>`
  )

const unavailable = (words: string, { correlationId }: ResponseContext): CredentialError =>
  credentialError(
    "token_credential_unavailable",
    "tokenCredential",
    `The TokenCredential is not available. ${words}`,
    "Sign in as the message asks, for example with az login, or use another credential on this machine.",
    { origin: "service", correlationId }
  )

const failed = (words: string, { correlationId }: ResponseContext): CredentialError =>
  credentialError(
    "token_credential_failed",
    "tokenCredential",
    words === "" ? "The TokenCredential failed without a message" : `The TokenCredential failed. ${words}`,
    "Check the credential's own configuration and code.",
    { origin: "service", correlationId }
  )

const malformed = (
  { correlationId }: ResponseContext,
  problem: string,
  code: "response_malformed" | "response_token_type" = "response_malformed"
): InvalidResponseError =>
  new InvalidResponseError({
    code,
    message: sentence(`The TokenCredential returned an object whose ${problem}`),
    remedy: "Return { token, expiresOnTimestamp } from getToken, with the time in milliseconds since the epoch.",
    origin: "service",
    correlationId
  })
