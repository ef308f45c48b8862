/**
 * The exceptions of `effect-entra/promise`: plain subclasses of `Error`, with the tags, the codes and the members of the
 * errors of the module `EntraError`. Times are numbers of milliseconds. No exception contains a secret, a token or an
 * assertion.
 *
 * @since 0.1.0
 */
import type { ErrorCodes } from "../internal/shared/errorCodes.ts"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * The times of an acquisition in milliseconds: its total, and the parts in the cache, in the credential and in HTTP.
 *
 * @category models
 * @since 0.1.0
 */
export interface Durations {
  readonly total: number
  readonly cache: number
  readonly credential: number
  readonly http: number
}

/**
 * The members of an {@link EntraError}.
 *
 * @category models
 * @since 0.1.0
 */
export type ErrorMembers<Tag extends string = string, Code extends string = string> =
  & Pick<EntraError<Tag, Code>, "_tag" | "code" | "message" | "remedy" | "origin" | "isRetryable">
  & Readonly<Record<string, unknown>>

// -----------------------------------------------------------------------------
// errors
// -----------------------------------------------------------------------------

/**
 * The superclass of all exceptions.
 *
 * **Details**
 *
 * - `_tag`, `name`: the name of the error, for example `EntraThrottledError`. Unlike `instanceof`, it also identifies
 *   errors of another copy of this package.
 * - `code`: a stable name for programs.
 * - `message`: what happened. `remedy`: what to do.
 * - `origin`: `"service"` for the result of a request; `"local"` if this process decided without a request.
 * - `isRetryable`: whether the same request may succeed later.
 * - `retryAfter`: milliseconds to wait before the next request; undefined when that is unknown.
 * - `correlationId`: the id of the request for Microsoft's support; undefined when there was no request.
 * - `field`: the name of the invalid field or option.
 * - `error`, `suberror`, `errorCodes`, `traceId`, `timestamp`, `status`: members of the service's response, if it has
 *   them.
 * - `attempts`, `durations`: the number of token requests and their times.
 *
 * @category errors
 * @since 0.1.0
 */
export class EntraError<Tag extends string = string, Code extends string = string> extends Error {
  declare readonly _tag: Tag
  declare readonly code: Code
  declare readonly remedy: string
  declare readonly origin: "local" | "service"
  declare readonly isRetryable: boolean
  declare readonly correlationId?: string
  declare readonly retryAfter?: number
  declare readonly field?: string
  declare readonly error?: string
  declare readonly suberror?: string
  declare readonly errorCodes?: ReadonlyArray<number>
  declare readonly traceId?: string
  declare readonly timestamp?: string
  declare readonly status?: number
  declare readonly attempts?: number
  declare readonly durations?: Durations
  constructor({ message, ...members }: ErrorMembers<Tag, Code>) {
    super(message)
    Object.assign(this, members)
    Object.defineProperty(this, "name", { value: members._tag, configurable: true, writable: true })
  }
}

/**
 * The exception of an invalid tenant or authority in the options or in a request, or of one that the service does not
 * know. Its codes are those of `EntraError.InvalidAuthorityError`.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidAuthorityError extends EntraError<"EntraInvalidAuthorityError", ErrorCodes["InvalidAuthority"]> {
  declare readonly field: string
}

/**
 * The exception of invalid scopes of a request. Its codes are those of `EntraError.InvalidScopeError`.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidScopeError extends EntraError<"EntraInvalidScopeError", ErrorCodes["InvalidScope"]> {
  declare readonly field: string
}

/**
 * The exception of any other invalid field of a request or of the options. Its codes are those of
 * `EntraError.InvalidRequestError`.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidRequestError extends EntraError<"EntraInvalidRequestError", ErrorCodes["InvalidRequest"]> {
  declare readonly field: string
}

/**
 * The exception of a credential that cannot be read, parsed or used in this process. Its codes are those of
 * `EntraError.CredentialError`.
 *
 * @category errors
 * @since 0.1.0
 */
export class CredentialError extends EntraError<"EntraCredentialError", ErrorCodes["Credential"]> {
  declare readonly field: string
}

/**
 * The exception of an app or a credential that the service refused. Its codes are those of
 * `EntraError.InvalidClientError`.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidClientError extends EntraError<"EntraInvalidClientError", ErrorCodes["InvalidClient"]> {}

/**
 * The exception of a request that the service throttles. Its codes are those of `EntraError.ThrottledError`.
 *
 * **Details**
 *
 * `retryAfter` is always set. `loopDetected` is true if the service detected a loop of identical requests. `source` is
 * `"server"` for a response to this call, and `"local"` for the throttle gate of this process. A client of this module is
 * never throttled by another process, so `"fleet"` does not occur.
 *
 * @category errors
 * @since 0.1.0
 */
export class ThrottledError extends EntraError<"EntraThrottledError", ErrorCodes["Throttled"]> {
  declare readonly retryAfter: number
  declare readonly loopDetected: boolean
  declare readonly source: "server" | "local" | "fleet"
}

/**
 * The exception of a claims challenge of the service. Its codes are those of `EntraError.ClaimsChallengeError`.
 *
 * **Details**
 *
 * `claims` is the JSON text for the field `claims` of the next request.
 *
 * @category errors
 * @since 0.1.0
 */
export class ClaimsChallengeError extends EntraError<"EntraClaimsChallengeError", ErrorCodes["ClaimsChallenge"]> {
  declare readonly claims: string
}

/**
 * The exception of any other refusal of the token request by the service. Its codes are those of
 * `EntraError.TokenRequestError`.
 *
 * @category errors
 * @since 0.1.0
 */
export class TokenRequestError extends EntraError<"EntraTokenRequestError", ErrorCodes["TokenRequest"]> {}

/**
 * The exception of a service that cannot respond at the moment, or of a closed client (`client_closed`). Its codes are
 * those of `EntraError.ServiceUnavailableError`.
 *
 * @category errors
 * @since 0.1.0
 */
export class ServiceUnavailableError
  extends EntraError<"EntraServiceUnavailableError", ErrorCodes["ServiceUnavailable"]>
{}

/**
 * The exception of a request without a response. Its codes are those of `EntraError.NetworkError`.
 *
 * **Details**
 *
 * `method` and `endpoint` are the HTTP method and the origin of the URL. `reason` is the code of the transport.
 *
 * @category errors
 * @since 0.1.0
 */
export class NetworkError extends EntraError<"EntraNetworkError", ErrorCodes["Network"]> {
  declare readonly method: string
  declare readonly endpoint: string
  declare readonly reason: string
}

/**
 * The exception of a response that is not a token response. Its codes are those of `EntraError.InvalidResponseError`.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidResponseError extends EntraError<"EntraInvalidResponseError", ErrorCodes["InvalidResponse"]> {}

/**
 * All exceptions of a client, distinguished by `_tag`.
 *
 * @category errors
 * @since 0.1.0
 */
export type ClientError =
  | InvalidAuthorityError
  | InvalidScopeError
  | InvalidRequestError
  | CredentialError
  | InvalidClientError
  | ThrottledError
  | ClaimsChallengeError
  | TokenRequestError
  | ServiceUnavailableError
  | NetworkError
  | InvalidResponseError
