/** The options of a client, validated once when it is built. */
import type * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import * as Authority from "../../Authority.ts"
import type { InvalidAuthorityError, InvalidRequestError } from "../../EntraError.ts"
import type { ExtraParameters } from "../../TokenRequest.ts"
import { invalidAuthority, invalidRequest, notA } from "../shared/errors.ts"
import { nonValueOf } from "../shared/nonValue.ts"
import { guidIn, quote, withRemedy } from "../shared/text.ts"
import { isText, longestLifetime, millisOf } from "../shared/validate.ts"
import { clientExtrasOf } from "./extraParameters.ts"
import { type ClientSettings, isOnThrottled, onThrottledWords } from "./requestPlan.ts"

/** Returns the settings of a client, or the first problem of its options. */
export const clientSettingsOf = (options: {
  readonly clientId: string
  readonly authority?: string | URL | undefined
  readonly tenantId?: string | undefined
  readonly issuer?: string | URL | undefined
  readonly defaultLifetime?: Duration.Input | undefined
  readonly allowedTenants?: ReadonlyArray<string> | ((tenantId: string) => boolean) | undefined
  readonly extraQueryParameters?: ExtraParameters | undefined
  readonly clientCapabilities?: ReadonlyArray<string> | undefined
}): Result.Result<ClientSettings, InvalidAuthorityError | InvalidRequestError> =>
  Result.gen(function*() {
    const [mistyped] = typeProblems(options)
    if (mistyped !== undefined) return yield* Result.fail(mistyped)
    const clientId = yield* parseClientId(options.clientId)
    const authority = yield* baseAuthorityOf(options)
    const tenant = options.tenantId === undefined ? undefined : yield* Authority.parseTenant(options.tenantId)
    return {
      clientId,
      extras: yield* clientExtrasOf(options),
      authority: yield* authorityWithTenant(authority, tenant, "tenantId"),
      defaultLifetime: yield* defaultLifetimeOf(options),
      allows: yield* tenantPredicateOf(options.allowedTenants)
    }
  })

/**
 * Returns the authority of the `issuer` option, or otherwise of `authority`. An issuer includes what the other options
 * decide.
 */
const baseAuthorityOf = (options: {
  readonly authority?: string | URL | undefined
  readonly tenantId?: string | undefined
  readonly issuer?: string | URL | undefined
  readonly allowedTenants?: unknown
}): Result.Result<Authority.Authority, InvalidAuthorityError> => {
  const { issuer } = options
  if (issuer === undefined) return Authority.parse(options.authority ?? "public")
  const conflicting = conflictsWithIssuer.find((field) => options[field] !== undefined)
  return conflicting === undefined ? Authority.parseIssuer(issuer) : Result.fail(issuerConflict(conflicting))
}

/** Returns the option, which is 0 by default at an issuer: tokens without a lifetime are not cached. */
const defaultLifetimeOf = ({ defaultLifetime, issuer }: {
  readonly issuer?: string | URL | undefined
  readonly defaultLifetime?: Duration.Input | undefined
}): Result.Result<number | undefined, InvalidRequestError> => {
  if (issuer !== undefined) {
    const millis = millisOf(defaultLifetime ?? 0)
    return millis === undefined || millis > longestLifetime
      ? Result.fail(notA("a duration from 0 to ten years", "defaultLifetime"))
      : Result.succeed(millis)
  }
  return defaultLifetime === undefined ? Result.succeed(undefined) : Result.fail(
    invalidRequest(
      "field_malformed",
      "defaultLifetime",
      "defaultLifetime is set without issuer, but Entra and AD FS name the lifetime of each token",
      "Leave defaultLifetime out."
    )
  )
}

const conflictsWithIssuer = ["authority", "tenantId", "allowedTenants"] as const

/** Returns a valid client id. */
export const parseClientId = (
  clientId: string,
  field = "clientId"
): Result.Result<string, InvalidRequestError> => {
  if (!isText(clientId) || clientId === "") {
    return Result.fail(invalidRequest("field_missing", field, `${field} is empty or not set`, clientIdRemedy))
  }
  const defect = nonValueOf(clientId)
  if (defect !== undefined) return Result.fail(clientIdProblem(field, clientId, defect.what, defect.remedy))
  const id = guidIn(clientId)
  if (id !== undefined && id !== clientId && decoratedGuid.test(clientId)) {
    return Result.fail(clientIdProblem(field, clientId, "is not the id alone", `Pass ${quote(id)} alone.`))
  }
  return /^[\x21-\x7e]{1,256}$/.test(clientId)
    ? Result.succeed(clientId)
    : Result.fail(clientIdProblem(field, clientId, "is not an application id"))
}

/**
 * A GUID as part of an application ID URI or of a service principal name, or with punctuation around it. Ids of other
 * providers may contain a GUID, so other texts are valid.
 */
const decoratedGuid = /^(?:api:\/\/|spn:|urn:uuid:)?\W*[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?:\W*|[@/]\S+)$/i

const clientIdRemedy = "Pass the application (client) id from the overview of the app registration."

const clientIdProblem = (field: string, clientId: string, what: string, remedy = ""): InvalidRequestError =>
  invalidRequest(
    "field_malformed",
    field,
    `${field} ${quote(clientId)} ${what}`,
    withRemedy(remedy, clientIdRemedy)
  )

/** Returns the authority for a tenant option. AD FS has no tenants, but the Azure SDKs write AD FS as the tenant `adfs`. */
export const authorityWithTenant = (
  authority: Authority.Authority,
  tenant: string | undefined,
  field: string
): Result.Result<Authority.Authority, InvalidAuthorityError> => {
  if (tenant === undefined) return Result.succeed(authority)
  if (authority.kind === "Adfs") {
    return tenant === "adfs" ? Result.succeed(authority) : Result.fail(unsupported(
      field,
      `${field} is set, but the authority ${authority.host} is AD FS, which has no tenants`,
      `Leave ${field} out.`
    ))
  }
  if (tenant !== "adfs") return Result.succeed(Authority.withTenant(authority, tenant))
  return authority.kind === "Entra" && authority.cloud === undefined && authority.tenant === undefined
    ? Result.succeed({ ...authority, kind: "Adfs" })
    : Result.fail(unsupported(
      field,
      `${field} is adfs, but the authority ${Authority.format(authority)} is not AD FS`,
      "Pass the AD FS server as the authority, such as https://sts.example.com/adfs."
    ))
}

const tenantPredicateOf = (
  allowedTenants: ReadonlyArray<string> | ((tenantId: string) => boolean) | undefined
): Result.Result<ClientSettings["allows"], InvalidAuthorityError> => {
  if (allowedTenants === undefined) return Result.succeed(undefined)
  // Only `true` allows a tenant, so that a promise or a missing return value does not.
  if (typeof allowedTenants === "function") {
    return Result.succeed((tenantId: string) => allowedTenants(tenantId) === true)
  }
  const tenants = new Set<string>()
  const malformed: Array<string> = []
  for (const tenant of allowedTenants) {
    const parsed = Authority.parseTenant(tenant)
    if (Result.isSuccess(parsed)) tenants.add(parsed.success)
    else malformed.push(tenant)
  }
  return malformed.length === 0
    ? Result.succeed((tenantId: string) => tenants.has(tenantId))
    : Result.fail(invalidTenants(malformed))
}

// -----------------------------------------------------------------------------
// types, for JavaScript callers
// -----------------------------------------------------------------------------

const optionTypes: ReadonlyMap<string, readonly [expected: string, isValid: (value: unknown) => boolean]> = new Map([
  ["clientId", ["a string", isText]],
  ["tenantId", ["a string", isText]],
  ["authority", ["a string or a URL", (value: unknown) => isText(value) || value instanceof URL]],
  ["issuer", ["a string or a URL", (value: unknown) => isText(value) || value instanceof URL]],
  ["region", ["a string", isText]],
  ["onThrottled", [onThrottledWords, isOnThrottled]],
  ["renewal", ["an object", (value: unknown) => typeof value === "object" && value !== null]],
  ["allowedTenants", [
    "an array of strings, or a function",
    (value: unknown) => typeof value === "function" || (Array.isArray(value) && value.every(isText))
  ]]
])

/** Returns the problems of options whose values have the wrong type. */
export const typeProblems = (options: object): ReadonlyArray<InvalidRequestError> =>
  Object.entries(options).flatMap(([field, value]) => {
    const type = optionTypes.get(field)
    return type === undefined || value === undefined || type[1](value) ? [] : [notA(type[0], field)]
  })

// -----------------------------------------------------------------------------
// problems
// -----------------------------------------------------------------------------

const unsupported = (field: string, message: string, remedy: string): InvalidAuthorityError =>
  invalidAuthority("authority_unsupported", field, message, remedy)

const issuerConflict = (field: string): InvalidAuthorityError =>
  unsupported(
    field,
    field === "allowedTenants"
      ? "allowedTenants is set together with issuer, but an issuer has only one tenant"
      : `${field} is set together with issuer, but both decide the token endpoint`,
    field === "allowedTenants"
      ? "Leave allowedTenants out."
      : `Leave ${field} out. For an authority of Microsoft, leave issuer out instead.`
  )

const invalidTenants = (names: ReadonlyArray<string>): InvalidAuthorityError =>
  invalidAuthority(
    "tenant_malformed",
    "allowedTenants",
    `allowedTenants has values that are neither tenant ids nor domain names: ${
      names.slice(0, 10).map(quote).join(", ")
    }${names.length > 10 ? ` and ${names.length - 10} more` : ""}`,
    "Pass the directory (tenant) id or a domain name of each tenant, in the form that callers use."
  )
