/**
 * Constructors of the library's errors for tests: one per error, each with a default for every member.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as EntraError from "../EntraError.ts"

// -----------------------------------------------------------------------------
// Models
// -----------------------------------------------------------------------------

/**
 * The members of an error, all optional. `retryAfter` may be any duration input, such as `"30 seconds"`.
 *
 * @category models
 * @since 0.1.0
 */
export type Members<Props> = Partial<Omit<Props, "retryAfter">> & {
  readonly retryAfter?: Duration.Input | undefined
}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * Creates an `InvalidAuthorityError` for a test; default: a tenant that the service does not know.
 *
 * **Example** (Creating an `InvalidAuthorityError`)
 *
 * ```ts
 * import assert from "node:assert"
 * import { TestError } from "effect-entra/testing"
 *
 * const error = TestError.invalidAuthority({ code: "tenant_not_allowed", origin: "local" })
 * assert.strictEqual(error.code, "tenant_not_allowed")
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const invalidAuthority = (
  members: Members<ConstructorParameters<typeof EntraError.InvalidAuthorityError>[0]> = {}
): EntraError.InvalidAuthorityError =>
  new EntraError.InvalidAuthorityError({
    ...made,
    code: "tenant_unknown",
    origin: "service",
    field: "tenantId",
    ...read(members)
  })

/**
 * Creates an `InvalidScopeError` for a test; default: a malformed scope.
 *
 * **Example** (Creating an `InvalidScopeError`)
 *
 * ```ts
 * import assert from "node:assert"
 * import { TestError } from "effect-entra/testing"
 *
 * const error = TestError.invalidScope({ code: "scope_missing" })
 * assert.strictEqual(error.code, "scope_missing")
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const invalidScope = (
  members: Members<ConstructorParameters<typeof EntraError.InvalidScopeError>[0]> = {}
): EntraError.InvalidScopeError =>
  new EntraError.InvalidScopeError({
    ...made,
    code: "scope_malformed",
    origin: "local",
    field: "scopes",
    ...read(members)
  })

/**
 * Creates an `InvalidRequestError` for a test; default: malformed `claims`.
 *
 * **Example** (Creating an `InvalidRequestError`)
 *
 * ```ts
 * import assert from "node:assert"
 * import { TestError } from "effect-entra/testing"
 *
 * const error = TestError.invalidRequest({ field: "correlationId" })
 * assert.strictEqual(error.field, "correlationId")
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const invalidRequest = (
  members: Members<ConstructorParameters<typeof EntraError.InvalidRequestError>[0]> = {}
): EntraError.InvalidRequestError =>
  new EntraError.InvalidRequestError({
    ...made,
    code: "field_malformed",
    origin: "local",
    field: "claims",
    ...read(members)
  })

/**
 * Creates a `CredentialError` for a test; default: a missing credential.
 *
 * **Example** (Creating a `CredentialError`)
 *
 * ```ts
 * import assert from "node:assert"
 * import { TestError } from "effect-entra/testing"
 *
 * const error = TestError.credential({ code: "file_missing", field: "path" })
 * assert.strictEqual(error.code, "file_missing")
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const credential = (
  members: Members<ConstructorParameters<typeof EntraError.CredentialError>[0]> = {}
): EntraError.CredentialError =>
  new EntraError.CredentialError({
    ...made,
    code: "credential_missing",
    origin: "local",
    field: "credential",
    ...read(members)
  })

/**
 * Creates an `InvalidClientError` for a test; default: an app that the service refuses.
 *
 * **Example** (Creating an `InvalidClientError`)
 *
 * ```ts
 * import assert from "node:assert"
 * import { TestError } from "effect-entra/testing"
 *
 * const error = TestError.invalidClient({ code: "secret_expired", errorCodes: [7000222] })
 * assert.strictEqual(error.code, "secret_expired")
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const invalidClient = (
  members: Members<ConstructorParameters<typeof EntraError.InvalidClientError>[0]> = {}
): EntraError.InvalidClientError =>
  new EntraError.InvalidClientError({ ...made, code: "client_refused", origin: "service", ...read(members) })

/**
 * Creates a `ThrottledError` for a test; default: a response with 429 and a `retryAfter` of 60 seconds.
 *
 * **Example** (Creating a `ThrottledError`)
 *
 * ```ts
 * import assert from "node:assert"
 * import { Duration } from "effect"
 * import { TestError } from "effect-entra/testing"
 *
 * const { retryAfter } = TestError.throttled({ retryAfter: "30 seconds" })
 * assert.strictEqual(Duration.toSeconds(retryAfter), 30)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const throttled = (
  members: Members<ConstructorParameters<typeof EntraError.ThrottledError>[0]> = {}
): EntraError.ThrottledError =>
  new EntraError.ThrottledError({
    ...made,
    retryAfter: Duration.minutes(1),
    code: "throttled",
    origin: "service",
    loopDetected: false,
    source: "server",
    ...read(members)
  })

/**
 * Creates a `ClaimsChallengeError` for a test; default: a request for claims.
 *
 * **Example** (Creating a `ClaimsChallengeError`)
 *
 * ```ts
 * import assert from "node:assert"
 * import { TestError } from "effect-entra/testing"
 *
 * const error = TestError.claimsChallenge({ claims: "{\"access_token\":{}}" })
 * assert.strictEqual(error._tag, "EntraClaimsChallengeError")
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const claimsChallenge = (
  members: Members<ConstructorParameters<typeof EntraError.ClaimsChallengeError>[0]> = {}
): EntraError.ClaimsChallengeError =>
  new EntraError.ClaimsChallengeError({
    ...made,
    code: "claims_required",
    origin: "service",
    claims: "{\"access_token\":{}}",
    ...read(members)
  })

/**
 * Creates a `TokenRequestError` for a test; default: a refused token request.
 *
 * **Example** (Creating a `TokenRequestError`)
 *
 * ```ts
 * import assert from "node:assert"
 * import { TestError } from "effect-entra/testing"
 *
 * const error = TestError.tokenRequest({ code: "consent_missing", errorCodes: [65001] })
 * assert.strictEqual(error.code, "consent_missing")
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const tokenRequest = (
  members: Members<ConstructorParameters<typeof EntraError.TokenRequestError>[0]> = {}
): EntraError.TokenRequestError =>
  new EntraError.TokenRequestError({ ...made, code: "request_refused", origin: "service", ...read(members) })

/**
 * Creates a `ServiceUnavailableError` for a test; default: an outage of the service.
 *
 * **Example** (Creating a `ServiceUnavailableError`)
 *
 * ```ts
 * import assert from "node:assert"
 * import { TestError } from "effect-entra/testing"
 *
 * const error = TestError.serviceUnavailable({ code: "timeout" })
 * assert.strictEqual(error.code, "timeout")
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const serviceUnavailable = (
  members: Members<ConstructorParameters<typeof EntraError.ServiceUnavailableError>[0]> = {}
): EntraError.ServiceUnavailableError =>
  new EntraError.ServiceUnavailableError({ ...made, code: "service_unavailable", origin: "service", ...read(members) })

/**
 * Creates a `NetworkError` for a test; default: a refused connection.
 *
 * **Example** (Creating a `NetworkError`)
 *
 * ```ts
 * import assert from "node:assert"
 * import { TestError } from "effect-entra/testing"
 *
 * const error = TestError.network({ reason: "CERT_HAS_EXPIRED" })
 * assert.strictEqual(error.isRetryable, false)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const network = (
  members: Members<ConstructorParameters<typeof EntraError.NetworkError>[0]> = {}
): EntraError.NetworkError =>
  new EntraError.NetworkError({
    ...made,
    code: "network",
    origin: "service",
    method: "POST",
    endpoint: "https://login.microsoftonline.com",
    reason: "ECONNREFUSED",
    ...read(members)
  })

/**
 * Creates an `InvalidResponseError` for a test; default: a response that is not a token response.
 *
 * **Example** (Creating an `InvalidResponseError`)
 *
 * ```ts
 * import assert from "node:assert"
 * import { TestError } from "effect-entra/testing"
 *
 * const error = TestError.invalidResponse({ code: "redirect_refused" })
 * assert.strictEqual(error.code, "redirect_refused")
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const invalidResponse = (
  members: Members<ConstructorParameters<typeof EntraError.InvalidResponseError>[0]> = {}
): EntraError.InvalidResponseError =>
  new EntraError.InvalidResponseError({ ...made, code: "response_malformed", origin: "service", ...read(members) })

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

const made = {
  message: "A test created this error.",
  remedy: "Look at the test: no service and no configuration is wrong."
}

/** Converts `retryAfter` to a duration; an absent one stays absent, as in the errors of the library. */
const read = <M extends { readonly retryAfter?: Duration.Input | undefined }>({ retryAfter, ...rest }: M) =>
  retryAfter === undefined ? rest : { ...rest, retryAfter: Duration.fromInputUnsafe(retryAfter) }
