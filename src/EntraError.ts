/**
 * What can go wrong when a token is acquired: eleven tagged errors, one meaning each, every one with a stable `code`,
 * a `message`, and a `remedy` that says what to do. None of them ever holds a secret, a token or an assertion.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Predicate from "effect/Predicate"

const TypeId = "~effect-entra/EntraError"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * Where the time of an acquisition went.
 *
 * **Details**
 *
 * `total` is the flight from start to end, `cache` the time in outer caches, `credential` the time spent proving who the
 * app is (signing, reading, calling a vault), `http` the time between sending a request and having its whole answer,
 * summed over the attempts.
 *
 * @category models
 * @since 0.1.0
 */
export interface Durations {
  readonly total: Duration.Duration
  readonly cache: Duration.Duration
  readonly credential: Duration.Duration
  readonly http: Duration.Duration
}

/**
 * What every error of this library says.
 *
 * **Details**
 *
 * `code` is stable and meant for programs; `message` and `remedy` are for people. `origin` is `"local"` when this process
 * decided (bad input, a closed throttle gate, a remembered refusal) and `"service"` when a request was made for it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Problem<Code extends string = string> {
  readonly code: Code
  readonly message: string
  readonly remedy: string
  readonly origin: "local" | "service"
  readonly correlationId?: string | undefined
  readonly retryAfter?: Duration.Duration | undefined
}

/**
 * What the service said, as far as it said it (RFC 6749 section 5.2 and Entra's own members).
 *
 * **Details**
 *
 * `errorCodes` are the AADSTS numbers, `status` the HTTP status, `attempts` how many requests were sent.
 *
 * @category models
 * @since 0.1.0
 */
export interface ServiceDetails {
  readonly error?: string | undefined
  readonly suberror?: string | undefined
  readonly errorCodes?: ReadonlyArray<number> | undefined
  readonly traceId?: string | undefined
  readonly timestamp?: string | undefined
  readonly status?: number | undefined
  readonly attempts?: number | undefined
  readonly durations?: Durations | undefined
}

/**
 * A problem with something the caller passed; `field` names it.
 *
 * @category models
 * @since 0.1.0
 */
export interface InputProblem<Code extends string = string> extends Problem<Code> {
  readonly field: string
}

// -----------------------------------------------------------------------------
// errors
// -----------------------------------------------------------------------------

/**
 * The codes of an {@link InvalidAuthorityError}.
 *
 * @category errors
 * @since 0.1.0
 */
export type InvalidAuthorityCode =
  | "authority_malformed"
  | "authority_insecure"
  | "authority_mismatch"
  | "authority_unsupported"
  | "tenant_missing"
  | "tenant_malformed"
  | "tenant_not_tenanted"
  | "tenant_not_allowed"
  | "tenant_unknown"
  | "region_malformed"
  | "region_detection"
  | "endpoint_malformed"
  | "host_malformed"
  | "metadata_malformed"
  | "discovery_contradictory"
  | "instance_invalid"
  | "issuer_unknown"
  | "issuer_mismatch"
  | "discovery_malformed"

/**
 * A tenant or an authority is wrong: malformed, not allowed for this flow, or unknown to the service.
 *
 * **Details**
 *
 * Codes: `authority_malformed`, `authority_insecure`, `authority_mismatch`, `authority_unsupported`, `tenant_missing`,
 * `tenant_malformed`, `tenant_not_tenanted` (common, organizations, consumers), `tenant_not_allowed`, `region_malformed`,
 * `region_detection` (a word that asks for the region to be detected, which is not supported), `metadata_malformed` and
 * `discovery_contradictory` (options of the `AuthorityResolver`), `tenant_unknown` (AADSTS90002), `instance_invalid`
 * (AADSTS50049). Of an issuer: `issuer_unknown` (it has no discovery document), `issuer_mismatch` (the document is
 * another's), `discovery_malformed` (it is none, or names no usable token endpoint).
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidAuthorityError
  extends Data.TaggedError("EntraInvalidAuthorityError")<InputProblem<InvalidAuthorityCode> & ServiceDetails>
{
  get [TypeId](): typeof TypeId {
    return TypeId
  }
  readonly isRetryable = false
}

/**
 * The codes of an {@link InvalidScopeError}.
 *
 * @category errors
 * @since 0.1.0
 */
export type InvalidScopeCode =
  | "scope_missing"
  | "scope_malformed"
  | "scope_not_default"
  | "scope_several_resources"

/**
 * The scopes of a request cannot be asked for in this flow.
 *
 * **Details**
 *
 * Codes: `scope_missing`, `scope_malformed`, `scope_not_default`, `scope_several_resources`.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidScopeError extends Data.TaggedError("EntraInvalidScopeError")<InputProblem<InvalidScopeCode>> {
  get [TypeId](): typeof TypeId {
    return TypeId
  }
  readonly isRetryable = false
}

/**
 * The codes of an {@link InvalidRequestError}.
 *
 * @category errors
 * @since 0.1.0
 */
export type InvalidRequestCode =
  | "field_missing"
  | "field_malformed"
  | "field_unsupported"
  | "configuration_invalid"

/**
 * Another field of a request or an option of a client is wrong.
 *
 * **Details**
 *
 * Codes: `field_missing`, `field_malformed`, `field_unsupported` (by a managed identity), `configuration_invalid` (the environment; all its problems together).
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidRequestError
  extends Data.TaggedError("EntraInvalidRequestError")<InputProblem<InvalidRequestCode>>
{
  get [TypeId](): typeof TypeId {
    return TypeId
  }
  readonly isRetryable = false
}

/**
 * The codes of a {@link CredentialError}.
 *
 * @category errors
 * @since 0.1.0
 */
export type CredentialCode =
  | "credential_missing"
  | "credential_incomplete"
  | "credential_file"
  | "credential_timeout"
  | "credential_defect"
  | "credentials_exhausted"
  | "field_malformed"
  | "path_malformed"
  | "file_missing"
  | "file_unreadable"
  | "file_empty"
  | "secret_empty"
  | "secret_malformed"
  | "certificate_missing"
  | "certificate_unreadable"
  | "certificate_expired"
  | "certificate_not_yet_valid"
  | "key_missing"
  | "key_unreadable"
  | "key_format"
  | "key_unsupported"
  | "key_mismatch"
  | "key_id_malformed"
  | "key_password_missing"
  | "key_password_wrong"
  | "pkcs12_unreadable"
  | "pkcs12_unsupported"
  | "pkcs12_password_missing"
  | "pkcs12_password_wrong"
  | "pkcs12_library_missing"
  | "algorithm_unsupported"
  | "claims_malformed"
  | "signing_failed"
  | "signer_failed"
  | "signer_mismatch"
  | "assertion_failed"
  | "assertion_malformed"
  | "source_failed"
  | "source_too_long"
  | "github_actions_missing"
  | "github_actions_refused"
  | "github_actions_unavailable"
  | "github_actions_malformed"
  | "identity_malformed"
  | "managed_identity_unsupported"
  | "managed_identity_incomplete"
  | "managed_identity_unavailable"
  | "managed_identity_challenge"
  | "managed_identity_refused"
  | "managed_identity_malformed"

/**
 * This app cannot prove who it is: its credential cannot be read, parsed, matched or used. Nothing was sent.
 *
 * **Details**
 *
 * Codes. Which one: `credential_missing`, `credential_incomplete` (a certificate's password or chain without its path),
 * `credential_file` (it is in a file, and the core reads none). Files: `path_malformed` (no path, but a file's content, or
 * with a line break), `file_missing`, `file_unreadable` (also: a directory, a device, too large, too slow), `file_empty`.
 * Secrets: `secret_empty`, `secret_malformed`. Certificates: `certificate_missing`, `certificate_unreadable`,
 * `certificate_expired`, `certificate_not_yet_valid`. Their keys: `key_missing`, `key_unreadable`, `key_format`,
 * `key_unsupported`, `key_mismatch`, `key_password_missing`, `key_password_wrong`. PKCS#12: `pkcs12_unreadable`,
 * `pkcs12_unsupported` (how it is protected), `pkcs12_password_missing`, `pkcs12_password_wrong`, `pkcs12_library_missing`
 * (node-forge). GitHub Actions: `github_actions_missing` (no such job, or no permission), `github_actions_refused`,
 * `github_actions_unavailable`, `github_actions_malformed`. Use: `signing_failed`,
 * `algorithm_unsupported`, `claims_malformed`, `signer_failed`, `signer_mismatch`, `assertion_failed`,
 * `assertion_malformed`, `source_failed` (what loads it), `source_too_long` (more than 8), `credential_timeout`, `credential_defect`,
 * `credentials_exhausted` (each of several; the message lists why). Managed identities:
 * `identity_malformed`, `managed_identity_unsupported`, `managed_identity_incomplete` (a variable that the platform sets),
 * `managed_identity_unavailable` (nobody is there, or it is out of order), `managed_identity_challenge` (Azure Arc's proof),
 * and of an assertion `managed_identity_refused` and `managed_identity_malformed`.
 *
 * @category errors
 * @since 0.1.0
 */
export class CredentialError extends Data.TaggedError("EntraCredentialError")<InputProblem<CredentialCode>> {
  get [TypeId](): typeof TypeId {
    return TypeId
  }
  readonly isRetryable = false
}

/**
 * The codes of an {@link InvalidClientError}.
 *
 * @category errors
 * @since 0.1.0
 */
export type InvalidClientCode =
  | "client_refused"
  | "client_unknown"
  | "client_disabled"
  | "service_principal_missing"
  | "secret_wrong"
  | "secret_expired"
  | "assertion_refused"
  | "assertion_time"
  | "managed_identity_refused"

/**
 * The service refused the app or its credential (`invalid_client`, `unauthorized_client`).
 *
 * **Details**
 *
 * Codes: `client_refused`, `client_unknown` (AADSTS700016, 700038), `service_principal_missing` (7000229),
 * `client_disabled` (7000112), `secret_wrong` (7000215), `secret_expired` (7000222), `assertion_refused` (700027 and its
 * kin), `assertion_time` (700024), `managed_identity_refused` (by the platform that gives out its tokens).
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidClientError
  extends Data.TaggedError("EntraInvalidClientError")<Problem<InvalidClientCode> & ServiceDetails>
{
  get [TypeId](): typeof TypeId {
    return TypeId
  }
  readonly isRetryable = false
}

/**
 * The codes of a {@link ThrottledError}.
 *
 * @category errors
 * @since 0.1.0
 */
export type ThrottledCode = "throttled"

/**
 * Too many requests: the service said so (429, AADSTS50196), or a gate that an earlier answer closed is still closed.
 *
 * **Details**
 *
 * `retryAfter` is always there. `source` tells who said it: `"server"` in this very call, `"local"` a gate of this
 * process, `"fleet"` a gate that another process closed. Code: `throttled`.
 *
 * @category errors
 * @since 0.1.0
 */
export class ThrottledError extends Data.TaggedError("EntraThrottledError")<
  Problem<ThrottledCode> & ServiceDetails & {
    readonly retryAfter: Duration.Duration
    readonly loopDetected: boolean
    readonly source: "server" | "local" | "fleet"
  }
> {
  get [TypeId](): typeof TypeId {
    return TypeId
  }
  readonly isRetryable = true
}

/**
 * The codes of a {@link ClaimsChallengeError}.
 *
 * @category errors
 * @since 0.1.0
 */
export type ClaimsChallengeCode = "claims_required"

/**
 * The service wants the request repeated with these `claims` (conditional access, continuous access evaluation).
 *
 * **Details**
 *
 * `claims` is the JSON text to pass as the request's `claims`. Code: `claims_required`.
 *
 * @category errors
 * @since 0.1.0
 */
export class ClaimsChallengeError extends Data.TaggedError("EntraClaimsChallengeError")<
  Problem<ClaimsChallengeCode> & ServiceDetails & { readonly claims: string }
> {
  get [TypeId](): typeof TypeId {
    return TypeId
  }
  readonly isRetryable = false
}

/**
 * The codes of a {@link TokenRequestError}.
 *
 * @category errors
 * @since 0.1.0
 */
export type TokenRequestCode =
  | "consent_missing"
  | "resource_unknown"
  | "blocked_by_policy"
  | "region_refused"
  | "request_refused"

/**
 * Any other refusal of the token request by the service: missing consent, unknown resource, blocked by policy.
 *
 * **Details**
 *
 * Codes: `consent_missing` (AADSTS65001, 501051, 650056, 650057), `resource_unknown` (500011, 50001),
 * `blocked_by_policy` (53003, 530032), `region_refused` (100007: regional endpoints serve only some callers),
 * `request_refused`.
 *
 * @category errors
 * @since 0.1.0
 */
export class TokenRequestError
  extends Data.TaggedError("EntraTokenRequestError")<Problem<TokenRequestCode> & ServiceDetails>
{
  get [TypeId](): typeof TypeId {
    return TypeId
  }
  readonly isRetryable = false
}

/**
 * The codes of a {@link ServiceUnavailableError}.
 *
 * @category errors
 * @since 0.1.0
 */
export type ServiceUnavailableCode =
  | "service_unavailable"
  | "timeout"
  | "budget_exceeded"
  | "circuit_open"
  | "client_closed"

/**
 * The service, or the way to it, is out of order at the moment.
 *
 * **Details**
 *
 * Codes: `service_unavailable` (408, 5xx), `timeout`, `budget_exceeded`, `circuit_open`, `client_closed`.
 *
 * @category errors
 * @since 0.1.0
 */
export class ServiceUnavailableError
  extends Data.TaggedError("EntraServiceUnavailableError")<Problem<ServiceUnavailableCode> & ServiceDetails>
{
  get [TypeId](): typeof TypeId {
    return TypeId
  }
  readonly isRetryable = true
}

/**
 * The codes of a {@link NetworkError}.
 *
 * @category errors
 * @since 0.1.0
 */
export type NetworkCode = "network"

/**
 * No answer came back: DNS, TCP, TLS, or a connection that broke.
 *
 * **Details**
 *
 * `endpoint` is the origin of the URL, `reason` the transport's own code where it gave one (`ECONNREFUSED`), never its
 * error object: that one holds the request, and the request holds the secret. Code: `network`. A proxy that wants another
 * password, and a certificate that is not trusted, are the same the next time: those are not retried.
 *
 * @category errors
 * @since 0.1.0
 */
export class NetworkError extends Data.TaggedError("EntraNetworkError")<
  Problem<NetworkCode> & ServiceDetails & {
    readonly method: string
    readonly endpoint: string
    readonly reason: string
  }
> {
  get [TypeId](): typeof TypeId {
    return TypeId
  }
  readonly isRetryable: boolean = !lastingReason.test(this.reason)
}

const lastingReason = /^PROXY_RESPONSE_407$|CERT|UNABLE_TO_VERIFY/

/**
 * The codes of an {@link InvalidResponseError}.
 *
 * @category errors
 * @since 0.1.0
 */
export type InvalidResponseCode =
  | "response_malformed"
  | "response_too_large"
  | "response_token_type"
  | "response_unexpected"
  | "redirect_refused"

/**
 * An answer came that is none: not JSON, no token in it, too large, or a redirect.
 *
 * **Details**
 *
 * Codes: `response_malformed`, `response_too_large`, `response_token_type`, `redirect_refused`, `response_unexpected`.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidResponseError
  extends Data.TaggedError("EntraInvalidResponseError")<Problem<InvalidResponseCode> & ServiceDetails>
{
  get [TypeId](): typeof TypeId {
    return TypeId
  }
  readonly isRetryable = false
}

/**
 * What the caller's own program or environment must change. No request was sent (an unknown tenant apart).
 *
 * @category errors
 * @since 0.1.0
 */
export type ConfigurationError = InvalidAuthorityError | InvalidScopeError | InvalidRequestError | CredentialError

/**
 * What the service, or the way to it, answered.
 *
 * @category errors
 * @since 0.1.0
 */
export type ServiceError =
  | InvalidClientError
  | ThrottledError
  | ClaimsChallengeError
  | TokenRequestError
  | ServiceUnavailableError
  | NetworkError
  | InvalidResponseError

/**
 * Everything `ConfidentialClient.acquireToken` can fail with.
 *
 * @category errors
 * @since 0.1.0
 */
export type AcquireTokenError = ConfigurationError | ServiceError

// -----------------------------------------------------------------------------
// guards
// -----------------------------------------------------------------------------

/**
 * Whether a value is one of this library's errors.
 *
 * **Example** (Telling our errors from others)
 *
 * ```ts
 * import assert from "node:assert"
 * import { EntraError } from "effect-entra"
 *
 * assert.strictEqual(EntraError.isEntraError(new Error("something else")), false)
 * ```
 *
 * @category guards
 * @since 0.1.0
 */
export const isEntraError = (u: unknown): u is AcquireTokenError =>
  Predicate.hasProperty(u, TypeId) && u[TypeId] === TypeId

/**
 * Whether asking again, later and unchanged, may succeed.
 *
 * **Example** (Deciding whether to try again)
 *
 * ```ts
 * import assert from "node:assert"
 * import { EntraError } from "effect-entra"
 *
 * const error = new EntraError.InvalidScopeError({
 *   code: "scope_missing",
 *   message: "scopes is empty",
 *   remedy: "Name one resource.",
 *   origin: "local",
 *   field: "scopes"
 * })
 * assert.strictEqual(EntraError.isRetryable(error), false)
 * ```
 *
 * @category guards
 * @since 0.1.0
 */
export const isRetryable = (u: unknown): boolean => isEntraError(u) && u.isRetryable
