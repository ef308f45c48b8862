/** A client's settings out of options and variables; pure. What is wrong is reported together. */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Authority from "../../Authority.ts"
import type { ConfigurationError, InvalidAuthorityError, InvalidRequestError } from "../../EntraError.ts"
import { hasRegions, noRegions, parseRegion } from "../authority/endpointLayout.ts"
import { parseClientId, placeOf, settingsOf, typeProblems } from "../request/clientOptions.ts"
import { invalidAuthority, invalidRequest } from "../shared/errors.ts"
import { type Known, reported } from "./combinedProblems.ts"
import { type CredentialKind, type CredentialVariables, isGuid } from "./environmentCredential.ts"

/** Undefined: not set, set to nothing, or unreadable. */
export interface Variables extends CredentialVariables {
  readonly AZURE_CLIENT_ID: string | undefined
  readonly AZURE_TENANT_ID: string | undefined
  readonly AZURE_AUTHORITY_HOST: string | undefined
  readonly AZURE_REGIONAL_AUTHORITY_NAME: string | undefined
}

export interface Found {
  readonly variables: Variables
  /** Names of those that the `ConfigProvider` failed to give. */
  readonly unreadable: ReadonlyArray<string>
}

/** An option that is given overrides the variable. */
export interface Overrides {
  readonly clientId?: string | undefined
  readonly tenantId?: string | undefined
  readonly authority?: string | URL | undefined
  /** Stands for the variables of tenant and authority too, of which it needs none. */
  readonly issuer?: string | URL | undefined
  readonly allowedTenants?: ReadonlyArray<string> | ((tenantId: string) => boolean) | undefined
  /** The empty string stands for none. */
  readonly region?: string | undefined
  readonly credential?: CredentialKind | undefined
}

export interface Settings {
  readonly clientId: string
  readonly tenantId: string | undefined
  readonly authority: string | URL | undefined
  readonly region: string | undefined
}

/** `credential` is what came of that part, so that its problem is reported with the others. */
export const settle = <A>(
  options: Overrides,
  found: Found,
  credential: Result.Result<A, ConfigurationError>,
  others: ReadonlyArray<ConfigurationError>
): Result.Result<Settings & { readonly credential: A }, ConfigurationError> => {
  const inputs = inputsOf(options, found.variables)
  const mistyped = typeProblems(options)
  const needed = <I, B>(
    { field, value }: { readonly field: string; readonly value: I },
    parse: (value: I, field: string) => Result.Result<B, ConfigurationError>
  ): Result.Result<B, ConfigurationError> => {
    const wrong = mistyped.find((problem) => problem.field === field)
    return wrong === undefined ? parse(value, field) : Result.fail(wrong)
  }
  const parsed = <I, B>(
    { field, value }: Input<I>,
    parse: (value: I, field: string) => Result.Result<B, ConfigurationError>
  ): Result.Result<B | undefined, ConfigurationError> =>
    value === undefined ? Result.succeed(undefined) : needed({ field, value }, parse)
  const authority = parsed(inputs.authority, parseAuthority)
  const issuer = parsed(
    { field: "issuer", value: options.issuer },
    (issuer) => settingsOf({ ...options, clientId: "anything", issuer })
  )
  const base = Result.map(
    Result.all([authority, issuer]),
    ([authority, issuer]) => issuer?.authority ?? authority ?? publicCloud
  )
  // Who names a tenant by the option `authority` overrides the variable, even a malformed one.
  const overridden = options.tenantId === undefined && options.authority !== undefined && Result.isSuccess(base) &&
    base.success.kind !== "Adfs" && Result.isSuccess(Authority.requireTenant(base.success))
  const tenant = overridden ? Result.succeed(undefined) : parsed(inputs.tenant, Authority.parseTenant)
  const clientId = swapped(options, inputs.clientId, found.variables.AZURE_CLIENT_SECRET) ??
    needed(inputs.clientId, parseClientId)
  const region = parsed(inputs.region, parseRegion)
  const place = Result.flatMap(
    Result.all([base, tenant]),
    ([base, tenant]) => placeOf(base, tenant, inputs.tenant.field)
  )
  const problems = [
    ...failureOf(clientId),
    ...failureOf(tenant),
    ...failureOf(authority),
    ...failureOf(issuer),
    ...(Result.isSuccess(base) && Result.isSuccess(tenant) ? failureOf(place) : []),
    ...failureOf(region),
    ...(Result.isSuccess(place) && Result.isSuccess(region) && region.success !== undefined &&
        !hasRegions(place.success)
      ? [noRegions(place.success, inputs.region.field)]
      : []),
    ...(Result.isSuccess(base) && Result.isSuccess(tenant) && !overridden
      ? contradictions(inputs, tenant.success, base.success)
      : []),
    ...failureOf(
      parsed(
        { field: "allowedTenants", value: options.allowedTenants },
        (allowedTenants) => settingsOf({ clientId: "anything", allowedTenants })
      )
    ),
    ...failureOf(credential),
    ...others
  ]
  return reported(
    problems,
    Result.map(Result.all({ clientId, tenantId: tenant, region, credential }), (parts) => ({
      ...parts,
      authority: inputs.authority.value
    })),
    knownOf(found, options)
  )
}

/** What error messages may show, and what they must not. */
export const knownOf = ({ unreadable, variables }: Found, options: Overrides): Known => {
  const { AZURE_CLIENT_CERTIFICATE_PASSWORD, AZURE_CLIENT_SECRET, ...shown } = variables
  return {
    unreadable,
    secrets: [AZURE_CLIENT_SECRET, AZURE_CLIENT_CERTIFICATE_PASSWORD],
    shown: { ...shown, ...options }
  }
}

// -----------------------------------------------------------------------------
// inputs
// -----------------------------------------------------------------------------

/** A value and what the caller calls it. */
interface Input<A> {
  readonly field: string
  readonly value: A | undefined
}

const inputsOf = (options: Overrides, variables: Variables) => {
  const either = <A, V extends string | undefined>(
    field: keyof Overrides,
    option: A | undefined,
    name: keyof Variables,
    variable: V
  ) => option === undefined ? { field: name, value: variable } : { field, value: option }
  // What is said beside an issuer is judged with it.
  const { authority, tenantId, AZURE_AUTHORITY_HOST, AZURE_TENANT_ID } = options.issuer === undefined
    ? { ...variables, ...options }
    : { authority: undefined, tenantId: undefined, AZURE_AUTHORITY_HOST: undefined, AZURE_TENANT_ID: undefined }
  return {
    clientId: either("clientId", options.clientId, "AZURE_CLIENT_ID", variables.AZURE_CLIENT_ID ?? ""),
    tenant: either("tenantId", tenantId, "AZURE_TENANT_ID", AZURE_TENANT_ID),
    authority: either("authority", authority, "AZURE_AUTHORITY_HOST", AZURE_AUTHORITY_HOST),
    region: options.region === "" ? { field: "region", value: undefined } : either(
      "region",
      options.region,
      "AZURE_REGIONAL_AUTHORITY_NAME",
      variables.AZURE_REGIONAL_AUTHORITY_NAME
    )
  }
}

const failureOf = <E>(result: Result.Result<unknown, E>): ReadonlyArray<E> =>
  Result.isFailure(result) ? [result.failure] : []

const publicCloud = Result.getOrThrow(Authority.parse("public"))

/** The variable is called a host, and most who get it wrong wrote one. */
const parseAuthority = (
  input: string | URL,
  field: string
): Result.Result<Authority.Authority, InvalidAuthorityError> =>
  Result.mapError(
    Authority.parse(input, field),
    (error) =>
      field === "AZURE_AUTHORITY_HOST" && error.code === "authority_malformed"
        ? invalidAuthority(
          error.code,
          field,
          error.message,
          typeof input === "string" && Result.isSuccess(Authority.parse(`https://${input}`))
            ? "Put https:// before it."
            : `Set ${field} to the https URL of the host alone, such as https://login.microsoftonline.com.`
        )
        : error
  )

// -----------------------------------------------------------------------------
// contradictions
// -----------------------------------------------------------------------------

/** Two variables that name a tenant each: an id and a domain may be the same one, but nobody here can tell. */
const contradictions = (
  inputs: ReturnType<typeof inputsOf>,
  tenant: string | undefined,
  authority: Authority.Authority
): ReadonlyArray<InvalidAuthorityError> => {
  const { field, value } = inputs.authority
  const inPath = /^https:\/\/[^/]+\/(?!v2\.0\/?$)[^/]/i.test(`${value}`)
  const named = Authority.requireTenant(authority)
  return tenant !== undefined && inputs.tenant.field === "AZURE_TENANT_ID" && field === "AZURE_AUTHORITY_HOST" &&
      authority.kind !== "Adfs" && inPath && Result.isSuccess(named) && named.success !== tenant
    ? [invalidAuthority(
      "authority_mismatch",
      "AZURE_TENANT_ID, AZURE_AUTHORITY_HOST",
      "AZURE_TENANT_ID and the path of AZURE_AUTHORITY_HOST do not name the same tenant, or not in the same spelling",
      "Name the tenant once, in AZURE_TENANT_ID."
    )]
    : []
}

/** Such a client id would be in every log; so would the secret. */
const swapped = (
  options: Overrides,
  { field, value = "" }: Input<string>,
  secret: Redacted.Redacted<string> | undefined
): Result.Result<never, InvalidRequestError> | undefined =>
  secret !== undefined && (options.credential ?? "secret") === "secret" && isGuid(Redacted.value(secret).trim()) &&
    typeof value === "string" && value.length >= 16 && !isGuid(value.trim()) && !value.includes("://")
    ? Result.fail(
      invalidRequest(
        "field_malformed",
        `${field}, AZURE_CLIENT_SECRET`,
        `${field} and AZURE_CLIENT_SECRET look swapped: the secret is a GUID, and the client id is none`,
        `Set ${field} to the application (client) id, and AZURE_CLIENT_SECRET to the secret's value.`
      )
    )
    : undefined
