/**
 * Converts a response of the platform's service into a token or a typed error. The services differ from OAuth: times are
 * absolute, as strings or dates, and App Service has its own format for errors.
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type { AccessToken } from "../../../AccessToken.ts"
import * as EntraError from "../../../EntraError.ts"
import {
  issuedAt,
  readTokenResponse,
  type Refusal,
  type ResponseContext
} from "../../../internal/endpoint/tokenResponse.ts"
import { type IdentityResponse } from "../../../internal/http/fields.ts"
import { credentialError, serviceUnavailable } from "../../../internal/shared/errors.ts"
import { type Members, membersOf } from "../../../internal/shared/validate.ts"
import { secondsOf } from "./expiresOn.ts"

/** Returns the token of a response, or the error that the response means. */
export const readPlatformResponse = (
  response: IdentityResponse,
  context: ResponseContext
): Result.Result<AccessToken, Refusal> => {
  const members = response.cut ? undefined : membersOf(response.body)
  if (response.status === 404 || response.status === 410) return Result.fail(unavailableDuringUpdate(response, context))
  const translated = members === undefined
    ? response
    : {
      ...response,
      body: JSON.stringify(response.status < 300 ? tokenOf(members, issuedAt(context)) : refusalOf(members))
    }
  return Result.mapError(
    readTokenResponse(translated, context),
    (error) =>
      error._tag === "EntraTokenRequestError" && error.errorCodes?.length === 0 && response.status < 500
        ? refusedIdentity(error)
        : error
  )
}

/**
 * Returns a token response as OAuth defines it. The lifetime comes from `expires_on`: the services cache tokens, and their
 * `expires_in` counts from the time of issue. An `expires_on` that cannot be read is ignored.
 */
const tokenOf = (members: Members, from: number): Members => {
  const expiresOn = secondsOf(members["expires_on"], from / 1000)
  const { access_token, expires_in, refresh_in, token_type } = members
  return {
    access_token,
    token_type,
    expires_in: expiresOn === undefined ? expires_in : Math.floor(expiresOn - from / 1000),
    refresh_in
  }
}

/** Returns an error response as OAuth defines it. App Service uses `message` or `Message` for `error_description`. */
const refusalOf = (members: Members): Members => {
  if (typeof members["error"] === "string") return members
  const nested = Predicate.isReadonlyObject(members["error"]) ? members["error"] : members
  const message = nested["message"] ?? nested["Message"]
  return typeof message === "string" ? { error: "invalid_request", error_description: message } : members
}

const unavailableDuringUpdate = (
  response: IdentityResponse,
  context: ResponseContext
): EntraError.ServiceUnavailableError =>
  serviceUnavailable(
    "service_unavailable",
    `${context.tokenEndpoint} responded with status ${response.status}, which may mean that the service is being updated`,
    "Try again later. If the error persists, check that this machine has a managed identity.",
    { origin: "service", correlationId: context.correlationId, status: response.status }
  )

/** Creates the error of a refused request, because the reason is almost always the identity. */
const refusedIdentity = (
  { error, message, ...details }: EntraError.TokenRequestError
): EntraError.InvalidClientError => {
  const { correlationId, retryAfter, status } = details
  return new EntraError.InvalidClientError({
    code: "managed_identity_refused",
    message,
    remedy:
      "Check that the identity is assigned to this machine or app. If several are assigned, name one by its client id.",
    origin: "service",
    correlationId,
    retryAfter,
    status,
    error
  })
}

/** Converts any error into a `CredentialError`, the only error of a credential, with a code for the cause. */
export const asCredentialError = (error: EntraError.AcquireTokenError): EntraError.CredentialError => {
  if (error._tag === "EntraCredentialError") return error
  const { correlationId, message, remedy, retryAfter } = error
  const code = EntraError.isRetryable(error)
    ? "managed_identity_unavailable"
    : error._tag === "EntraInvalidResponseError"
    ? "managed_identity_malformed"
    : "managed_identity_refused"
  return credentialError(code, "identity", `The managed identity provided no token: ${message}`, remedy, {
    origin: "service",
    correlationId,
    retryAfter
  })
}
