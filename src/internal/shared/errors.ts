/** Constructors of the errors that this process makes itself, and the classes into which errors fall. */
import type * as EntraError from "../../EntraError.ts"
import {
  CredentialError,
  InvalidAuthorityError,
  InvalidRequestError,
  ServiceUnavailableError
} from "../../EntraError.ts"

/** Refusals that asking again will not change. */
export type Refused =
  | EntraError.InvalidAuthorityError
  | EntraError.InvalidClientError
  | EntraError.TokenRequestError
  | EntraError.ClaimsChallengeError

/** The service looked at this client and said no. */
export const isRefused = (error: EntraError.AcquireTokenError): error is Refused =>
  error._tag === "EntraInvalidAuthorityError" || error._tag === "EntraInvalidClientError" ||
  error._tag === "EntraTokenRequestError" || error._tag === "EntraClaimsChallengeError"

/** Nobody answered, or nobody who could. */
export const isOutage = (
  error: EntraError.AcquireTokenError
): error is EntraError.ServiceUnavailableError | EntraError.NetworkError =>
  error._tag === "EntraServiceUnavailableError" || error._tag === "EntraNetworkError"

export const invalidRequest = (code: string, field: string, message: string, remedy: string): InvalidRequestError =>
  new InvalidRequestError({ code, field, origin: "local", message, remedy })

export const invalidAuthority = (code: string, field: string, message: string, remedy: string): InvalidAuthorityError =>
  new InvalidAuthorityError({ code, field, origin: "local", message, remedy })

export const notA = (wanted: string, field: string): InvalidRequestError =>
  invalidRequest(
    "field_malformed",
    field,
    `${field} is not ${wanted}`,
    `Pass ${wanted} as ${field}, or leave it out if it is optional.`
  )

export const closedError = (what: string): ServiceUnavailableError =>
  new ServiceUnavailableError({
    code: "client_closed",
    message: `${what} was closed before an answer came`,
    remedy: "Keep the layer open for as long as the program runs: build it at the edge, or in a ManagedRuntime.",
    origin: "local"
  })

const credentialProblem = (code: string, what: string): CredentialError =>
  new CredentialError({
    code,
    field: "credential",
    origin: "local",
    message: `the credential ${what}`,
    remedy: "Look at the credential's own code: nothing was sent to the service."
  })

export const credentialTimeout = (limit: number) =>
  credentialProblem("credential_timeout", `gave no proof within ${limit} ms`)

export const credentialDefect = () => credentialProblem("credential_defect", "died, or interrupted itself")

export const tooSlow = (
  code: "timeout" | "budget_exceeded",
  endpoint: string,
  correlationId: string,
  limit: number
): ServiceUnavailableError =>
  new ServiceUnavailableError({
    code,
    message: `${endpoint} gave no answer within ${limit} ms`,
    remedy: "Try again later; raise attemptTimeout or budget of the TokenEndpoint layer if the network is that slow.",
    origin: "service",
    correlationId
  })
