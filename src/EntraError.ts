/**
 * The errors of this library: eleven tagged classes with one meaning each. Every error has a stable `code`, a
 * `message`, and a `remedy` that says what to do. No error contains a secret, a token or an assertion.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Predicate from "effect/Predicate"
import type { ErrorCodes } from "./internal/shared/errorCodes.ts"

const TypeId = "~effect-entra/EntraError"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * The times of an acquisition.
 *
 * **Details**
 *
 * - `total`: from the start to the end of the acquisition.
 * - `cache`: the time in the cache, which includes the wait for another client's request for the same token.
 * - `credential`: the time of client authentication (signing, reading, calling a vault), summed over the attempts.
 * - `http`: the time from sending a token request to the end of its response, summed over the attempts.
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
 * The members of every error of this library.
 *
 * **Details**
 *
 * - `code`: a stable name for programs. Each error class lists its codes.
 * - `message`: what happened, in English.
 * - `remedy`: what to do, in English.
 * - `origin`: `"service"` when the error is the result of a request, also of a request that could not reach the service
 *   (`ENOTFOUND`, `ECONNREFUSED`); `"local"` when this process decided without a request (invalid input, a closed
 *   throttle gate, a remembered refusal).
 * - `correlationId`: the correlation id of the request; undefined when there was no request.
 * - `retryAfter`: how long to wait before the next request; undefined when that is unknown.
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
 * The members of an error of the service: its response (RFC 6749 section 5.2 and Entra's additional members) and the
 * acquisition. A member that the response does not have is undefined.
 *
 * **Details**
 *
 * - `error`: the OAuth error, for example `invalid_client`.
 * - `suberror`: Entra's refinement of `error`.
 * - `errorCodes`: the AADSTS numbers.
 * - `traceId`, `timestamp`: the id and the time of the response in Microsoft's logs.
 * - `status`: the HTTP status.
 * - `attempts`: the number of token requests that were sent.
 * - `durations`: the times of the acquisition.
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
 * The members of an error about an input: `field` is the name of the invalid field, option or variable.
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
export type InvalidAuthorityCode = ErrorCodes["InvalidAuthority"]

/**
 * The error of a tenant or an authority that is malformed, is not allowed in this flow, or is unknown to the service.
 *
 * **Details**
 *
 * Codes of the authority:
 * - `authority_malformed`: it is neither a cloud name nor a URL with at most a tenant; or the issuer is not a plain
 *   https URL.
 * - `authority_insecure`: its scheme is not https.
 * - `authority_mismatch`: two settings contradict each other, or the request has an authority of another cloud.
 * - `authority_unsupported`: it does not support an option (a tenant, a region, TLS client authentication), or the
 *   resolver does not support it.
 * - `instance_invalid`: its host is not known as a host of a cloud (AADSTS50049).
 *
 * Codes of the tenant:
 * - `tenant_missing`: neither the request nor the client has a tenant.
 * - `tenant_malformed`: it is neither an id nor a domain name.
 * - `tenant_not_tenanted`: it stands for several tenants: `common`, `organizations`, `consumers` (AADSTS50059, 50194,
 *   9001023).
 * - `tenant_not_allowed`: it is not among the client's `allowedTenants`.
 * - `tenant_unknown`: the service does not know it (AADSTS90002, 900023).
 *
 * Codes of the `AuthorityResolver` options:
 * - `region_malformed`: the region is not a short name.
 * - `region_detection`: the value requests detection of the region, which is not supported.
 * - `endpoint_malformed`: the token endpoint of `layerStatic` is not a plain http or https URL.
 * - `host_malformed`: `discoveryHost` is not a host name.
 * - `metadata_malformed`: `instanceMetadata` is not a response of instance discovery.
 * - `discovery_contradictory`: two options contradict each other.
 *
 * Codes of an issuer:
 * - `issuer_unknown`: it has no discovery document.
 * - `issuer_mismatch`: its discovery document contains another issuer.
 * - `discovery_malformed`: its discovery document is invalid or has no usable token endpoint.
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
export type InvalidScopeCode = ErrorCodes["InvalidScope"]

/**
 * The error of scopes that cannot be requested in this flow.
 *
 * **Details**
 *
 * Codes:
 * - `scope_missing`: there is no scope.
 * - `scope_malformed`: a scope is too long or contains characters that RFC 6749 section 3.3 does not allow.
 * - `scope_not_default`: a scope is not a resource followed by `/.default`.
 * - `scope_several_resources`: the scopes have several resources.
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
export type InvalidRequestCode = ErrorCodes["InvalidRequest"]

/**
 * The error of any other invalid field of a request or option of a client.
 *
 * **Details**
 *
 * Codes:
 * - `field_missing`: a required value is not set.
 * - `field_malformed`: a value has the wrong type or form.
 * - `field_unsupported`: the member does not exist, or the field or its value is not supported, for example by a
 *   managed identity.
 * - `configuration_invalid`: several problems of the environment together, or a variable that cannot be read.
 * - `transport_unsupported`: the runtime or the bundle has no undici that `NodeTransport` can use.
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
export type CredentialCode = ErrorCodes["Credential"]

/**
 * The error of a credential that cannot be read, parsed or used in this process. The attempt that failed sent no token
 * request.
 *
 * **Details**
 *
 * Codes of the credential:
 * - `credential_missing`: there is no credential.
 * - `credential_incomplete`: the password or the chain option of a certificate is set without its path.
 * - `credential_file`: the environment names a file, which the core does not read; use `effect-entra/node`.
 * - `credential_timeout`: the client authentication took too long.
 * - `credential_defect`: the client authentication died or interrupted itself.
 * - `credentials_exhausted`: all credentials of `firstOf` failed; the message lists the reasons.
 * - `field_malformed`: an option of the credential has the wrong type or form.
 * - `source_failed`: the effect that loads the material failed.
 * - `source_too_long`: there are more than 8 pieces of material.
 *
 * Codes of files:
 * - `path_malformed`: the path is not a path, for example the content of a file.
 * - `file_missing`: the file does not exist.
 * - `file_unreadable`: the file cannot be read, is a directory or a device, is too large, or reading took too long.
 * - `file_empty`: the file is empty.
 *
 * Codes of secrets:
 * - `secret_empty`: the secret is empty or not set.
 * - `secret_malformed`: the secret is not redacted, contains characters that a secret cannot have, or is a placeholder
 *   or a reference to a secret.
 *
 * Codes of certificates:
 * - `certificate_missing`: there is no certificate.
 * - `certificate_unreadable`: the certificate is not PEM or PKCS#12, or is damaged.
 * - `certificate_expired`: the certificate has expired.
 * - `certificate_not_yet_valid`: the certificate is not valid yet.
 *
 * Codes of private keys:
 * - `key_missing`: there is no key, or both a key and a signer.
 * - `key_unreadable`: the key is not redacted, is not PEM, or is damaged.
 * - `key_format`: the key is not unencrypted PKCS#8.
 * - `key_unsupported`: the key is neither RSA of 2,048 bits or more nor EC on P-256, or its encryption is not
 *   supported.
 * - `key_mismatch`: the key does not belong to the certificate.
 * - `key_id_malformed`: the `keyId` is not a string.
 * - `key_password_missing`: the key is encrypted, and there is no password.
 * - `key_password_wrong`: the password does not decrypt the key.
 *
 * Codes of PKCS#12:
 * - `pkcs12_unreadable`: the file is damaged.
 * - `pkcs12_unsupported`: its protection is not supported.
 * - `pkcs12_password_missing`: it is protected, and there is no password.
 * - `pkcs12_password_wrong`: the password does not open it.
 * - `pkcs12_library_missing`: the package `node-forge` is not installed, or does not load in the bundle.
 *
 * Codes of assertions:
 * - `algorithm_unsupported`: the algorithm is unknown or does not fit the key.
 * - `claims_malformed`: the additional claims are not a JSON object, or a time is not a number.
 * - `signing_failed`: the key could not sign.
 * - `signer_failed`: the external signer failed.
 * - `signer_mismatch`: the signature of the external signer does not fit the certificate.
 * - `assertion_failed`: the function that returns the assertion failed.
 * - `assertion_malformed`: the assertion is not a signed JWT in compact form.
 *
 * Codes of GitHub Actions:
 * - `github_actions_missing`: this is not a job of GitHub Actions, or it has no permission to request a token.
 * - `github_actions_refused`: GitHub refused the request.
 * - `github_actions_unavailable`: GitHub did not respond, or responded with 429 or 5xx.
 * - `github_actions_malformed`: the response contains no token.
 *
 * Codes of managed identities:
 * - `identity_malformed`: the option `identity` is not one valid id.
 * - `managed_identity_unsupported`: the platform, or the kind of identity on it, is not supported.
 * - `managed_identity_incomplete`: a variable that the platform sets is missing or malformed.
 * - `managed_identity_unavailable`: the platform does not respond, or has an outage.
 * - `managed_identity_challenge`: the challenge of Azure Arc is invalid.
 * - `managed_identity_refused`: the platform refused the request for an assertion.
 * - `managed_identity_malformed`: the response of the platform contains no token.
 *
 * Codes of a `TokenCredential` (`AzureCredential.layer`):
 * - `token_credential_unavailable`: the credential is not available here, or no user has signed in.
 * - `token_credential_failed`: the credential failed for another reason.
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
export type InvalidClientCode = ErrorCodes["InvalidClient"]

/**
 * The error of an app or a credential that the service refused (`invalid_client`, `unauthorized_client`).
 *
 * **Details**
 *
 * Codes:
 * - `client_refused`: any other refusal of the app or its credential.
 * - `client_unknown`: the tenant does not know the app (AADSTS700016, 700038, 700011, 70001).
 * - `client_disabled`: the app is disabled in the tenant (AADSTS7000112).
 * - `service_principal_missing`: the app is not installed in the tenant (AADSTS7000229).
 * - `secret_wrong`: the secret is wrong (AADSTS7000215).
 * - `secret_expired`: the secret has expired (AADSTS7000222).
 * - `assertion_refused`: the certificate or the federated credential is not registered, or the assertion is invalid
 *   (AADSTS700027, 70021 and others). A new or changed registration takes some minutes.
 * - `assertion_time`: the assertion is outside its time range (AADSTS700024).
 * - `managed_identity_refused`: the platform refused the managed identity.
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
export type ThrottledCode = ErrorCodes["Throttled"]

/**
 * The error of a throttled request: the service refused it, or the throttle gate is still closed after an earlier
 * response.
 *
 * **Details**
 *
 * - `retryAfter`: always set; 60 seconds when the service did not name a time.
 * - `loopDetected`: true when the service detected a loop of identical requests (AADSTS50196).
 * - `source`: `"server"` for a response to this call, `"local"` for the gate of this process, `"fleet"` for a response to
 *   another process that shares the cache (`TokenCache.layerTiered`).
 *
 * Codes:
 * - `throttled`: the service responded with 429, AADSTS50196 or AADSTS90055, or an earlier response closed the gate.
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
export type ClaimsChallengeCode = ErrorCodes["ClaimsChallenge"]

/**
 * The error of a claims challenge: the service requires `claims` in the request (conditional access, continuous access
 * evaluation).
 *
 * **Details**
 *
 * `claims` is the JSON text for the field `claims` of the next request.
 *
 * Codes:
 * - `claims_required`: the response contains claims.
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
export type TokenRequestCode = ErrorCodes["TokenRequest"]

/**
 * The error of any other refusal of the token request by the service.
 *
 * **Details**
 *
 * Codes:
 * - `consent_missing`: the app lacks consent or an app role (AADSTS65001, 501051, 650056, 650057, 90008, 90094,
 *   900941), or an administrator did not consent (`Authority.parseConsentResponse`).
 * - `resource_unknown`: the tenant does not know the resource of the scope (AADSTS500011, 50001, 650052).
 * - `blocked_by_policy`: a conditional access policy blocks the app (AADSTS53003, 530032).
 * - `region_refused`: the regional endpoint does not serve this app (AADSTS100007).
 * - `request_refused`: any other refusal.
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
export type ServiceUnavailableCode = ErrorCodes["ServiceUnavailable"]

/**
 * The error of a service that cannot answer at the moment.
 *
 * **Details**
 *
 * Codes:
 * - `service_unavailable`: the service responded with 408, 5xx or a transient error.
 * - `timeout`: an attempt took longer than `attemptTimeout`, or a discovery document took longer than 10 seconds.
 * - `budget_exceeded`: all attempts together took longer than `budget`.
 * - `concurrency_limit`: the wait for other requests to the same origin used up `budget`. `maxConcurrentRequests` of
 *   them run at a time.
 * - `circuit_open`: nothing was sent, because several acquisitions in a row got no response.
 * - `client_closed`: the layer was closed before the response came.
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
export type NetworkCode = ErrorCodes["Network"]

/**
 * The error of a request without a response: DNS, TCP, TLS, or a broken connection.
 *
 * **Details**
 *
 * - `method`: the HTTP method.
 * - `endpoint`: the origin of the URL.
 * - `reason`: the code of the transport, for example `ECONNREFUSED`, or its message if there is no code. The error of
 *   the transport is not kept, because it contains the request and so the secret.
 * - `status`: the status with which a proxy refused the request, if it did.
 * - `isRetryable`: false when the proxy asks for another password (407) or the certificate is not accepted; otherwise
 *   true.
 *
 * Codes:
 * - `network`: there was no response.
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
export type InvalidResponseCode = ErrorCodes["InvalidResponse"]

/**
 * The error of a response that is not a token response: invalid JSON, no token, too large, or a redirect.
 *
 * **Details**
 *
 * Codes:
 * - `response_malformed`: the response contains no readable token.
 * - `response_too_large`: the response is larger than 1 MiB.
 * - `response_token_type`: the token has another type than the requested one.
 * - `response_unexpected`: the status is an error, and the response contains no OAuth error.
 * - `response_without_oid`: the token is not a JWT with the claim `oid`, which `TokenPassword` of `effect-entra/node`
 *   needs.
 * - `redirect_refused`: the response is a redirect, which would send the credential to another address.
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
 * The errors that a change of the program or of its environment fixes. Most of them occur before any token request.
 *
 * **Details**
 *
 * An `InvalidAuthorityError` with the origin `"service"` is the result of a request, for example `tenant_unknown`.
 *
 * @category errors
 * @since 0.1.0
 */
export type ConfigurationError = InvalidAuthorityError | InvalidScopeError | InvalidRequestError | CredentialError

/**
 * The errors of the service and of the network.
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
 * All errors of `ConfidentialClient.acquireToken`.
 *
 * @category errors
 * @since 0.1.0
 */
export type AcquireTokenError = ConfigurationError | ServiceError

// -----------------------------------------------------------------------------
// guards
// -----------------------------------------------------------------------------

/**
 * Returns whether a value is an error of this library.
 *
 * **Example** (Distinguishing errors of this library)
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
 * Returns whether the same request may succeed later. Returns false for values that are not errors of this library.
 *
 * **Example** (Deciding about a retry)
 *
 * ```ts
 * import assert from "node:assert"
 * import { EntraError } from "effect-entra"
 *
 * const error = new EntraError.InvalidScopeError({
 *   code: "scope_missing",
 *   message: "scopes is empty.",
 *   remedy: "Pass the scope of one resource.",
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
