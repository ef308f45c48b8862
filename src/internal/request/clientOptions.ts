/** A client's options, checked once when it is built. */
import * as Result from "effect/Result"
import * as Authority from "../../Authority.ts"
import type { InvalidAuthorityError, InvalidRequestError } from "../../EntraError.ts"
import type { ExtraParameters } from "../../TokenRequest.ts"
import { invalidAuthority, invalidRequest, notA } from "../shared/errors.ts"
import { quote } from "../shared/text.ts"
import { isText } from "../shared/validate.ts"
import { clientExtrasOf } from "./extraParameters.ts"
import { type ClientSettings, isOnThrottled, onThrottledWords } from "./requestPlan.ts"

export const settingsOf = (options: {
  readonly clientId: string
  readonly authority?: string | URL | undefined
  readonly tenantId?: string | undefined
  readonly issuer?: string | URL | undefined
  readonly allowedTenants?: ReadonlyArray<string> | ((tenantId: string) => boolean) | undefined
  readonly extraQueryParameters?: ExtraParameters | undefined
  readonly clientCapabilities?: ReadonlyArray<string> | undefined
}): Result.Result<ClientSettings, InvalidAuthorityError | InvalidRequestError> =>
  Result.gen(function*() {
    const [mistyped] = typeProblems(options)
    if (mistyped !== undefined) return yield* Result.fail(mistyped)
    const clientId = yield* parseClientId(options.clientId)
    const authority = yield* baseOf(options)
    const tenant = options.tenantId === undefined ? undefined : yield* Authority.parseTenant(options.tenantId)
    return {
      clientId,
      extras: yield* clientExtrasOf(options),
      authority: yield* placeOf(authority, tenant, "tenantId"),
      allows: yield* guardOf(options.allowedTenants)
    }
  })

/** The issuer, or else the authority; an issuer stands alone, because it says all that the others say. */
const baseOf = (options: {
  readonly authority?: string | URL | undefined
  readonly tenantId?: string | undefined
  readonly issuer?: string | URL | undefined
  readonly allowedTenants?: unknown
}): Result.Result<Authority.Authority, InvalidAuthorityError> => {
  const { issuer } = options
  if (issuer === undefined) return Authority.parse(options.authority ?? "public")
  const beside = besideIssuer.find((field) => options[field] !== undefined)
  return beside === undefined ? Authority.parseIssuer(issuer) : Result.fail(exclusive(beside))
}

const besideIssuer = ["authority", "tenantId", "allowedTenants"] as const

export const parseClientId = (
  clientId: string,
  field = "clientId"
): Result.Result<string, InvalidRequestError> =>
  isText(clientId) && /^[\x21-\x7e]{1,256}$/.test(clientId)
    ? Result.succeed(clientId)
    : Result.fail(
      invalidRequest(
        clientId ? "field_malformed" : "field_missing",
        field,
        clientId ? `${field} ${quote(clientId)} is no application id` : `${field} is empty or not set`,
        "Pass the application (client) id from the app registration's overview."
      )
    )

/** Where an authority and the tenant beside it lead. AD FS has no tenants; the Azure SDKs write it as the tenant `adfs`. */
export const placeOf = (
  authority: Authority.Authority,
  tenant: string | undefined,
  field: string
): Result.Result<Authority.Authority, InvalidAuthorityError> => {
  if (tenant === undefined) return Result.succeed(authority)
  if (authority.kind === "Adfs") {
    return tenant === "adfs" ? Result.succeed(authority) : Result.fail(unsupported(
      field,
      `${field} is set, and the authority ${authority.host} is AD FS, which has no tenants`,
      `Leave ${field} out.`
    ))
  }
  if (tenant !== "adfs") return Result.succeed(Authority.withTenant(authority, tenant))
  return authority.kind === "Entra" && authority.cloud === undefined && authority.tenant === undefined
    ? Result.succeed({ ...authority, kind: "Adfs" })
    : Result.fail(unsupported(
      field,
      `${field} is adfs, and ${Authority.format(authority)} is no AD FS`,
      "Name the AD FS server as the authority, such as https://sts.example.com/adfs."
    ))
}

const guardOf = (
  allowed: ReadonlyArray<string> | ((tenantId: string) => boolean) | undefined
): Result.Result<ClientSettings["allows"], InvalidAuthorityError> => {
  if (allowed === undefined) return Result.succeed(undefined)
  // Only a plain yes lets anyone in: not a promise, not a forgotten return.
  if (typeof allowed === "function") return Result.succeed((tenantId: string) => allowed(tenantId) === true)
  const tenants = new Set<string>()
  const malformed: Array<string> = []
  for (const tenant of allowed) {
    const parsed = Authority.parseTenant(tenant)
    if (Result.isSuccess(parsed)) tenants.add(parsed.success)
    else malformed.push(tenant)
  }
  return malformed.length === 0
    ? Result.succeed((tenantId: string) => tenants.has(tenantId))
    : Result.fail(notTenants(malformed))
}

// -----------------------------------------------------------------------------
// types, which JavaScript does not check
// -----------------------------------------------------------------------------

const types: ReadonlyMap<string, readonly [wanted: string, fits: (value: unknown) => boolean]> = new Map([
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

export const typeProblems = (options: object): ReadonlyArray<InvalidRequestError> =>
  Object.entries(options).flatMap(([field, value]) => {
    const type = types.get(field)
    return type === undefined || value === undefined || type[1](value) ? [] : [notA(type[0], field)]
  })

// -----------------------------------------------------------------------------
// problems
// -----------------------------------------------------------------------------

const unsupported = (field: string, message: string, remedy: string): InvalidAuthorityError =>
  invalidAuthority("authority_unsupported", field, message, remedy)

const exclusive = (field: string): InvalidAuthorityError =>
  unsupported(
    field,
    field === "allowedTenants"
      ? "allowedTenants is set beside issuer, and an issuer has no tenants to choose from"
      : `${field} is set beside issuer, and both say where tokens come from`,
    field === "allowedTenants"
      ? "Leave allowedTenants out."
      : `Leave ${field} out, or, for an authority of Microsoft, leave issuer out.`
  )

const notTenants = (names: ReadonlyArray<string>): InvalidAuthorityError =>
  invalidAuthority(
    "tenant_malformed",
    "allowedTenants",
    `allowedTenants has what is neither a tenant id nor a domain name: ${names.slice(0, 10).map(quote).join(", ")}${
      names.length > 10 ? ` and ${names.length - 10} more` : ""
    }`,
    "Name each tenant by its directory (tenant) id or by one of its domain names, as callers do."
  )
