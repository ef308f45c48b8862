/**
 * The refusals of the service: AADSTS codes, statuses, and the response body.
 */
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import { json, newGuid } from "./wire.ts"

/**
 * A refusal of Entra without the ids and the time of its response.
 *
 * @category models
 * @since 0.1.0
 */
export interface Refusal {
  readonly status: number
  readonly error: string
  readonly code: number
  readonly text: string
  readonly suberror?: string | undefined
  readonly claims?: string | undefined
}

const refusal = (status: number, error: string, code: number, text: string): Refusal => ({ status, error, code, text })

export const unknownTenant = (tenant: string) =>
  refusal(400, "invalid_request", 90002, `Tenant '${tenant}' not found. No directory has that identifier or domain.`)
export const noTenant = refusal(
  400,
  "invalid_request",
  50059,
  "No tenant-identifying information found in the request; an app acting as itself must name one tenant."
)
export const missingParameter = (name: string) =>
  refusal(400, "invalid_request", 900144, `The request body must contain the following parameter: '${name}'.`)
export const duplicatedParameter = (name: string) =>
  refusal(400, "invalid_request", 9000411, `The request is not properly formatted. '${name}' is duplicated.`)
export const unsupportedGrant = (grant: string) =>
  refusal(400, "unsupported_grant_type", 70003, `The app requested an unsupported grant type '${grant}'.`)
export const unknownClient = (clientId: string) =>
  refusal(400, "unauthorized_client", 700038, `${clientId} is not a valid application identifier.`)
export const notInstalled = (clientId: string, tenant: string) =>
  refusal(
    400,
    "unauthorized_client",
    700016,
    `Application with identifier '${clientId}' was not found in the directory '${tenant}'.`
  )
export const noServicePrincipal = (clientId: string, tenantId: string) =>
  refusal(
    401,
    "invalid_client",
    7000229,
    `Application '${clientId}' is registered, but it has no service principal in tenant '${tenantId}'.`
  )
export const disabledClient = (clientId: string) =>
  refusal(400, "unauthorized_client", 7000112, `Application '${clientId}' is disabled.`)
export const noCredential = refusal(
  401,
  "invalid_client",
  7000218,
  "The request body must contain one of 'client_assertion' and 'client_secret'."
)
export const severalCredentials = refusal(
  400,
  "invalid_request",
  90023,
  "Send either 'client_assertion' or 'client_secret', not both."
)
export const wrongAssertionType = refusal(
  400,
  "invalid_request",
  90100,
  "The parameter 'client_assertion_type' is not one this endpoint knows."
)
export const wrongSecret = (clientId: string) =>
  refusal(
    401,
    "invalid_client",
    7000215,
    `Invalid client secret provided. It is not one of the secret values of app '${clientId}'; ` +
      "a secret's id is not its value."
  )
export const malformedAssertion = (what: string) =>
  refusal(401, "invalid_client", 50027, `The client assertion is not a valid JWT: ${what}.`)
export const unverifiedAssertion = (why: string) =>
  refusal(401, "invalid_client", 700027, `The client assertion failed signature validation: ${why}.`)
export const untrustedSubject = (names: ReadonlyArray<string>) =>
  refusal(
    401,
    "invalid_client",
    700030,
    `Invalid certificate: its subject name is not authorized. The names in it are: ${names.join(", ")}.`
  )
export const wrongIssuer = (clientId: string) =>
  refusal(401, "invalid_client", 700021, `The client assertion's 'iss' and 'sub' must both be app '${clientId}'.`)
export const wrongAudience = refusal(
  401,
  "invalid_client",
  700023,
  "The client assertion's audience is neither this endpoint's URL nor this tenant's issuer."
)
export const outOfTime = (why: string) =>
  refusal(401, "invalid_client", 700024, `The client assertion is not within its valid time range: ${why}.`)

// The codes of federated credentials are recorded from the service, whose texts quote the presented value. The responses to a
// wrong signature and to an issuer without keys were not recorded: 700027 is our mapping.
const unmatched = (code: number, what: string, value: string, more = "") =>
  refusal(
    401,
    "invalid_client",
    code,
    `No matching federated identity record found for presented assertion ${what} '${value}'.${more} Check your ` +
      "federated identity credential Subject, Audience and Issuer against the presented assertion."
  )
export const unmatchedIssuer = (issuer: string) => unmatched(700211, "issuer", issuer)
export const unmatchedAudience = (audience: string) => unmatched(700212, "audience", audience)
export const unmatchedSubject = (subject: string) => unmatched(700213, "subject", subject)
export const unmatchedCase = (subject: string) =>
  unmatched(
    7002138,
    "subject",
    subject,
    " The subject matches with case-insensitive comparison, but not with case-sensitive comparison."
  )

export const replayed = refusal(401, "invalid_client", 50013, "The client assertion was used before.")
/** The response of the service to a malformed `claims` was not recorded: 9002313 is our mapping. */
export const malformedClaims = (why: string) =>
  refusal(400, "invalid_request", 9002313, `Invalid request. Request is malformed or invalid: 'claims' ${why}.`)
export const invalidScope = (scope: string) =>
  refusal(
    400,
    "invalid_scope",
    1002012,
    `The value '${scope}' of 'scope' is not valid. Client credentials need a resource identifier with '/.default'.`
  )
export const severalResources = (scope: string) =>
  refusal(400, "invalid_scope", 28002, `The value '${scope}' of 'scope' names more than one resource.`)
export const unknownResource = (resource: string, tenantId: string) =>
  refusal(
    400,
    "invalid_resource",
    500011,
    `The resource principal named ${resource} was not found in the tenant named ${tenantId}. It may not be ` +
      "installed or consented to there, or the request was meant for another tenant."
  )
export const noConsent = (clientId: string, resource: string): Refusal => ({
  ...refusal(
    400,
    "invalid_grant",
    65001,
    `No administrator has consented that application '${clientId}' uses the resource '${resource}'.`
  ),
  suberror: "consent_required"
})
export const notAssigned = (clientId: string, resource: string) =>
  refusal(
    400,
    "invalid_grant",
    501051,
    `The resource '${resource}' demands an assignment, and application '${clientId}' has none of its roles.`
  )
/** A redirect URI that the app does not have. Nothing is sent to it. */
export const wrongRedirectUri = (uri: string) =>
  refusal(
    400,
    "invalid_client",
    50011,
    `The redirect URI '${uri}' specified in the request is not registered for the app.`
  )
export const noRedirectUri = refusal(
  400,
  "invalid_client",
  500113,
  "No reply address is registered for the application."
)
export const unknownInstance = refusal(400, "invalid_instance", 50049, "Unknown or invalid instance.")
export const invalidTenant = (tenant: string): Refusal => ({ ...unknownTenant(tenant), error: "invalid_tenant" })

/** The codes whose recorded responses have an `error_uri`. */
const withErrorUri: ReadonlySet<number> = new Set([7000215, 7000229, 500011])

const timestampOf = (millis: number) => `${new Date(millis).toISOString().slice(0, 19).replace("T", " ")}Z`

/** Returns the text of a refusal, with the ids and the time of its response. */
export const describe = (
  refusal: Refusal,
  at: { readonly traceId: string; readonly correlationId: string; readonly now: number },
  separator: string
): string =>
  [
    `AADSTS${refusal.code}: ${refusal.text}`,
    `Trace ID: ${at.traceId}`,
    `Correlation ID: ${at.correlationId}`,
    `Timestamp: ${timestampOf(at.now)}`
  ].join(separator)

/** Creates the response of a refusal. */
export const toResponse = (
  refusal: Refusal,
  options: {
    readonly origin: string
    readonly now: number
    readonly correlationId: string
    readonly headers?: Readonly<Record<string, string>> | undefined
  }
): HttpServerResponse.HttpServerResponse => {
  const traceId = newGuid()
  const timestamp = timestampOf(options.now)
  return json(refusal.status, {
    error: refusal.error,
    error_description: describe(refusal, { ...options, traceId }, " "),
    error_codes: [refusal.code],
    timestamp,
    trace_id: traceId,
    correlation_id: options.correlationId,
    ...(withErrorUri.has(refusal.code) ? { error_uri: `${options.origin}/error?code=${refusal.code}` } : {}),
    ...(refusal.suberror === undefined ? {} : { suberror: refusal.suberror }),
    ...(refusal.claims === undefined ? {} : { claims: refusal.claims })
  }, { "x-ms-request-id": traceId, "client-request-id": options.correlationId, ...options.headers })
}
