/** Converts the errors of the library into the exceptions of the promise API. */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import { type AcquireTokenError, isEntraError } from "../../EntraError.ts"
import { serviceUnavailable } from "../../internal/shared/errors.ts"
import * as PromiseError from "../PromiseError.ts"

/** Returns the exception of an error. */
export const exceptionOf = (error: AcquireTokenError): PromiseError.ClientError => {
  switch (error._tag) {
    case "EntraInvalidAuthorityError":
      return new PromiseError.InvalidAuthorityError(membersOf(error))
    case "EntraInvalidScopeError":
      return new PromiseError.InvalidScopeError(membersOf(error))
    case "EntraInvalidRequestError":
      return new PromiseError.InvalidRequestError(membersOf(error))
    case "EntraCredentialError":
      return new PromiseError.CredentialError(membersOf(error))
    case "EntraInvalidClientError":
      return new PromiseError.InvalidClientError(membersOf(error))
    case "EntraThrottledError":
      return new PromiseError.ThrottledError(membersOf(error))
    case "EntraClaimsChallengeError":
      return new PromiseError.ClaimsChallengeError(membersOf(error))
    case "EntraTokenRequestError":
      return new PromiseError.TokenRequestError(membersOf(error))
    case "EntraServiceUnavailableError":
      return new PromiseError.ServiceUnavailableError({
        ...membersOf(error),
        // The remedy of the core is about layers.
        ...(error.code === "client_closed" ? { remedy: openUntilTheEnd } : {})
      })
    case "EntraNetworkError":
      return new PromiseError.NetworkError(membersOf(error))
    case "EntraInvalidResponseError":
      return new PromiseError.InvalidResponseError(membersOf(error))
  }
}

/** Returns the exception of a failure. A client that closes interrupts the effects of its calls. */
export const exceptionOfCause = (cause: Cause.Cause<unknown>): unknown => {
  const error = Option.getOrUndefined(Cause.findErrorOption(cause))
  if (isEntraError(error)) return exceptionOf(error)
  return Cause.hasInterruptsOnly(cause) ? closed() : Cause.squash(cause)
}

/** Returns the exception of an error of the library, and any other value as it is. */
export const exceptionOfThrown = (thrown: unknown): unknown => isEntraError(thrown) ? exceptionOf(thrown) : thrown

/** Returns the exception of a call of a closed client. */
export const closed = (): PromiseError.ClientError =>
  exceptionOf(
    serviceUnavailable("client_closed", "The client is closed", openUntilTheEnd, { origin: "local" })
  )

const openUntilTheEnd = "Close the client only when the program ends."

/** Returns the members of an error with times in milliseconds, and without members that have no value. */
const membersOf = <E extends AcquireTokenError>(error: E): PromiseError.ErrorMembers<E["_tag"], E["code"]> => ({
  ...Object.fromEntries(
    Object.entries(error).flatMap(([name, value]) => value === undefined ? [] : [[name, plain(value)]])
  ),
  _tag: error._tag,
  code: error.code,
  message: error.message,
  remedy: error.remedy,
  origin: error.origin,
  isRetryable: error.isRetryable
})

/** Returns a duration, or an object of durations, in milliseconds. */
const plain = (value: unknown): unknown => {
  if (Duration.isDuration(value)) return Duration.toMillis(value)
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).map(([name, part]) => [name, plain(part)]))
    : value
}
