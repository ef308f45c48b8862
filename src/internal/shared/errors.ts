/** Constructors of the errors that this process makes itself, copies of errors, and the classes into which errors fall. */
import type * as Duration from "effect/Duration"
import * as EntraError from "../../EntraError.ts"
import { sentence } from "./text.ts"

// -----------------------------------------------------------------------------
// classes
// -----------------------------------------------------------------------------

/** A refusal that the same request meets again. */
export type Refused =
  | EntraError.InvalidAuthorityError
  | EntraError.InvalidClientError
  | EntraError.TokenRequestError
  | EntraError.ClaimsChallengeError

/** Returns whether the service refused this client. */
export const isRefused = (error: EntraError.AcquireTokenError): error is Refused =>
  error._tag === "EntraInvalidAuthorityError" || error._tag === "EntraInvalidClientError" ||
  error._tag === "EntraTokenRequestError" || error._tag === "EntraClaimsChallengeError"

/** An error that the same request would get again: a refusal, or a response that is not a token response. */
export type Remembered = Refused | EntraError.InvalidResponseError

/** Returns whether an error is remembered, because the same request would get it again. */
export const isRemembered = (error: EntraError.AcquireTokenError): error is Remembered =>
  isRefused(error) || error._tag === "EntraInvalidResponseError"

export type Outage = EntraError.ServiceUnavailableError | EntraError.NetworkError

/** Returns whether there was no response, or only a response that reports an outage. */
export const isOutage = (error: EntraError.AcquireTokenError): error is Outage =>
  error._tag === "EntraServiceUnavailableError" || error._tag === "EntraNetworkError"

/** Returns whether an HTTP status means that the service is out of order: 408 and 5xx. */
export const isOutageStatus = (status: number): boolean => status === 408 || status >= 500

// -----------------------------------------------------------------------------
// constructors
// -----------------------------------------------------------------------------

export const invalidRequest = (
  code: EntraError.InvalidRequestCode,
  field: string,
  message: string,
  remedy: string
): EntraError.InvalidRequestError =>
  new EntraError.InvalidRequestError({ code, field, origin: "local", message: sentence(message), remedy })

export const invalidAuthority = (
  code: EntraError.InvalidAuthorityCode,
  field: string,
  message: string,
  remedy: string,
  details?: Partial<EntraError.InputProblem & EntraError.ServiceDetails>
): EntraError.InvalidAuthorityError =>
  new EntraError.InvalidAuthorityError({
    origin: "local",
    ...details,
    code,
    field,
    message: sentence(message),
    remedy
  })

export const credentialError = (
  code: EntraError.CredentialCode,
  field: string,
  message: string,
  remedy: string,
  details?: Partial<EntraError.InputProblem>
): EntraError.CredentialError =>
  new EntraError.CredentialError({ origin: "local", ...details, code, field, message: sentence(message), remedy })

export const serviceUnavailable = (
  code: EntraError.ServiceUnavailableCode,
  message: string,
  remedy: string,
  details: Partial<EntraError.Problem & EntraError.ServiceDetails> & Pick<EntraError.Problem, "origin">
): EntraError.ServiceUnavailableError =>
  new EntraError.ServiceUnavailableError({ ...details, code, message: sentence(message), remedy })

/** Returns the error of a `field` whose value is not `wanted`, which starts with its article. */
export const notA = (wanted: string, field: string): EntraError.InvalidRequestError =>
  invalidRequest(
    "field_malformed",
    field,
    `${field} is not ${wanted}`,
    `Pass ${wanted} as ${field}, or leave it out if it is optional.`
  )

/** Returns the error of callers that waited for a response when the layer `what` was closed. */
export const closedError = (what: string): EntraError.ServiceUnavailableError =>
  serviceUnavailable(
    "client_closed",
    `${what} was closed before a response came`,
    "Keep the layer open for as long as the program runs. Build it at the edge, or in a ManagedRuntime.",
    { origin: "local" }
  )

const ownCode = "Check the credential's own code. Nothing was sent to the service."

/** Returns the error of a credential that took longer than `limit` milliseconds. */
export const credentialTimeout = (limit: number): EntraError.CredentialError =>
  credentialError(
    "credential_timeout",
    "credential",
    `The credential did not authenticate within ${limit} ms`,
    ownCode
  )

export const credentialDefect = (): EntraError.CredentialError =>
  credentialError("credential_defect", "credential", "The credential died, or interrupted itself", ownCode)

/** Returns the error of an endpoint that took longer than `limit` milliseconds. */
export const tooSlow = (
  code: "timeout" | "budget_exceeded",
  endpoint: string,
  correlationId: string,
  limit: number
): EntraError.ServiceUnavailableError =>
  serviceUnavailable(
    code,
    `${endpoint} did not respond within ${limit} ms`,
    "Try again later. Raise attemptTimeout or budget of the TokenEndpoint layer if the network is that slow.",
    { origin: "service", correlationId }
  )

/** Returns the error of a request that waited for others until the budget of `limit` milliseconds was used up. */
export const crowded = (
  endpoint: string,
  correlationId: string,
  most: number,
  limit: number
): EntraError.ServiceUnavailableError =>
  serviceUnavailable(
    "concurrency_limit",
    `The budget of ${limit} ms was used up by the wait for other requests to ${endpoint}, of which ${most} run at a time`,
    "Acquire many tokens with prefetch, or raise budget or maxConcurrentRequests of the TokenEndpoint layer.",
    { origin: "local", correlationId }
  )

// -----------------------------------------------------------------------------
// copies
// -----------------------------------------------------------------------------

/** The members of a copy that differ. The requests and the time that the original took are included only if they are given. */
export interface Changes {
  readonly origin?: "local" | "service" | undefined
  readonly sent?: { readonly attempts: number; readonly durations: EntraError.Durations } | undefined
  readonly retryAfter?: Duration.Duration | undefined
}

const changed = <E extends Refused | Outage | EntraError.ThrottledError | EntraError.InvalidResponseError>(
  error: E,
  { origin, retryAfter, sent }: Changes
) => {
  const { attempts: _attempts, durations: _durations, ...rest } = error
  return {
    ...rest,
    // A spread does not copy the message of an error.
    message: error.message,
    ...sent,
    ...(retryAfter === undefined ? {} : { retryAfter }),
    ...(origin === undefined ? {} : { origin })
  }
}

/** Returns a copy of an error with other members, because errors are immutable. */
export const copyOfRefusal = (error: Remembered, changes: Changes): Remembered => {
  switch (error._tag) {
    case "EntraInvalidAuthorityError":
      return new EntraError.InvalidAuthorityError(changed(error, changes))
    case "EntraInvalidClientError":
      return new EntraError.InvalidClientError(changed(error, changes))
    case "EntraTokenRequestError":
      return new EntraError.TokenRequestError(changed(error, changes))
    case "EntraClaimsChallengeError":
      return new EntraError.ClaimsChallengeError(changed(error, changes))
    case "EntraInvalidResponseError":
      return new EntraError.InvalidResponseError(changed(error, changes))
  }
}

/** Returns a copy of an outage with other members. */
export const copyOfOutage = (error: Outage, changes: Changes): Outage => {
  switch (error._tag) {
    case "EntraServiceUnavailableError":
      return new EntraError.ServiceUnavailableError(changed(error, changes))
    case "EntraNetworkError":
      return new EntraError.NetworkError(changed(error, changes))
  }
}

/** Returns a copy with the requests and the time that the acquisition took; errors about input have no such members. */
export const withAttempts = (
  error: EntraError.AcquireTokenError,
  sent: Exclude<Changes["sent"], undefined>
): EntraError.AcquireTokenError => {
  if (isRemembered(error)) return copyOfRefusal(error, { sent })
  if (isOutage(error)) return copyOfOutage(error, { sent })
  switch (error._tag) {
    case "EntraThrottledError":
      return new EntraError.ThrottledError({ ...changed(error, { sent }), retryAfter: error.retryAfter })
    default:
      return error
  }
}
