/**
 * From an answer of the platform's service to a token or a typed error. The services speak a dialect: times are absolute and
 * in strings, and App Service has errors of its own.
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type { AccessToken } from "../../../AccessToken.ts"
import * as EntraError from "../../../EntraError.ts"
import { readTokenResponse, type Refusal, type ResponseContext } from "../../../internal/endpoint/tokenResponse.ts"
import { type IdentityResponse } from "../../../internal/http/fields.ts"
import { credentialError, serviceUnavailable } from "../../../internal/shared/errors.ts"
import { type Members, membersOf } from "../../../internal/shared/validate.ts"

export const readPlatformResponse = (
  answer: IdentityResponse,
  context: ResponseContext
): Result.Result<AccessToken, Refusal> => {
  const members = answer.cut ? undefined : membersOf(answer.body)
  if (answer.status === 404 || answer.status === 410) return Result.fail(updating(answer, context))
  const translated = members === undefined
    ? answer
    : { ...answer, body: JSON.stringify(answer.status < 300 ? tokenOf(members, context.now) : refusalOf(members)) }
  return Result.mapError(
    readTokenResponse(translated, context),
    (error) =>
      error._tag === "EntraTokenRequestError" && error.errorCodes?.length === 0 && answer.status < 500
        ? notServed(error)
        : error
  )
}

/**
 * `expires_on` is what counts: the services have caches of their own, and what they say of `expires_in` is as of when the
 * token was issued.
 */
const tokenOf = (members: Members, now: number): Members => {
  const expiresOn = secondsOf(members["expires_on"])
  const { access_token, expires_in, refresh_in, token_type } = members
  return {
    access_token,
    token_type,
    expires_in: expiresOn === undefined ? expires_in : Math.floor(expiresOn - now / 1000),
    refresh_in
  }
}

const secondsOf = (value: unknown): number | undefined => {
  const text = typeof value === "string" ? value.trim() : value
  const seconds = typeof text === "string" && /^\d+(?:\.\d+)?$/.test(text) ? Number(text) : text
  return typeof seconds === "number" && Number.isFinite(seconds) ? seconds : undefined
}

/** App Service says `message`, in either case, where OAuth says `error_description`. */
const refusalOf = (members: Members): Members => {
  if (typeof members["error"] === "string") return members
  const nested = Predicate.isReadonlyObject(members["error"]) ? members["error"] : members
  const message = nested["message"] ?? nested["Message"]
  return typeof message === "string" ? { error: "invalid_request", error_description: message } : members
}

const updating = (answer: IdentityResponse, context: ResponseContext): EntraError.ServiceUnavailableError =>
  serviceUnavailable(
    "service_unavailable",
    `${context.tokenEndpoint} answered with status ${answer.status}, as it does while it is updated`,
    "Try again later; if it stays so, check that this machine has a managed identity.",
    { origin: "service", correlationId: context.correlationId, status: answer.status }
  )

/** What the service has against the request is nearly always the identity. */
const notServed = ({ error, message, ...details }: EntraError.TokenRequestError): EntraError.InvalidClientError => {
  const { correlationId, retryAfter, status } = details
  return new EntraError.InvalidClientError({
    code: "managed_identity_refused",
    message,
    remedy:
      "Check that the identity is assigned to this machine or app, and name it by its client id if there are several.",
    origin: "service",
    correlationId,
    retryAfter,
    status,
    error
  })
}

/** A credential's failures are all of one kind; what lies behind them tells the code. */
export const asCredentialError = (error: EntraError.AcquireTokenError): EntraError.CredentialError => {
  if (error._tag === "EntraCredentialError") return error
  const { correlationId, message, remedy, retryAfter } = error
  const code = EntraError.isRetryable(error)
    ? "managed_identity_unavailable"
    : error._tag === "EntraInvalidResponseError"
    ? "managed_identity_malformed"
    : "managed_identity_refused"
  return credentialError(code, "identity", `the managed identity gave no token: ${message}`, remedy, {
    origin: "service",
    correlationId,
    retryAfter
  })
}
