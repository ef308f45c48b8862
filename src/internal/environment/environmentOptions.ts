/** The settings of a client from options and environment variables, with all problems reported together. */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Authority from "../../Authority.ts"
import type { ConfigurationError, InvalidAuthorityError, InvalidRequestError } from "../../EntraError.ts"
import { hasRegions, noRegions, parseRegion } from "../authority/endpointLayout.ts"
import { authorityWithTenant, clientSettingsOf, parseClientId, typeProblems } from "../request/clientOptions.ts"
import { invalidAuthority, invalidRequest } from "../shared/errors.ts"
import { isGuid } from "../shared/text.ts"
import { combinedProblems, type ReportContext } from "./combinedProblems.ts"
import { type CredentialKind, type CredentialVariables } from "./environmentCredential.ts"

/** The variables of a client. A variable is undefined if it is unset, empty or unreadable. */
export interface EnvironmentVariables extends CredentialVariables {
  readonly AZURE_CLIENT_ID: string | undefined
  readonly AZURE_TENANT_ID: string | undefined
  readonly AZURE_AUTHORITY_HOST: string | undefined
  readonly AZURE_REGIONAL_AUTHORITY_NAME: string | undefined
}

/** The result of reading the variables. */
export interface Environment {
  readonly variables: EnvironmentVariables
  /** The names of variables that the `ConfigProvider` could not read. */
  readonly unreadable: ReadonlyArray<string>
}

/** The options that override the variables. */
export interface EnvironmentOptions {
  readonly clientId?: string | undefined
  readonly tenantId?: string | undefined
  readonly authority?: string | URL | undefined
  /** Overrides the variables of the tenant and of the authority too. */
  readonly issuer?: string | URL | undefined
  readonly allowedTenants?: ReadonlyArray<string> | ((tenantId: string) => boolean) | undefined
  /** The empty string means no region. */
  readonly region?: string | undefined
  readonly credential?: CredentialKind | undefined
}

export interface EnvironmentSettings {
  readonly clientId: string
  readonly tenantId: string | undefined
  readonly authority: string | URL | undefined
  readonly region: string | undefined
}

/**
 * Returns the settings with the loaded credential, or all problems in one error. `credential` is a result, so that its
 * problem is reported together with the others.
 */
export const environmentSettingsOf = <A>(
  options: EnvironmentOptions,
  environment: Environment,
  credential: Result.Result<A, ConfigurationError>,
  otherProblems: ReadonlyArray<ConfigurationError>
): Result.Result<EnvironmentSettings & { readonly credential: A }, ConfigurationError> => {
  const { problems, settings } = checkEnvironment(options, environment, credential, otherProblems)
  return combinedProblems(problems, settings, reportContextOf(environment, options))
}

/**
 * The settings, their problems, and the authority with its tenant, which may be valid although other settings are not.
 */
export interface CheckedEnvironment<A> {
  readonly settings: Result.Result<EnvironmentSettings & { readonly credential: A }, ConfigurationError>
  readonly problems: ReadonlyArray<ConfigurationError>
  readonly authority: Result.Result<Authority.Authority, ConfigurationError>
}

/**
 * Returns the settings with the loaded credential, and each problem separately. Messages of problems may contain a
 * secret.
 */
export const checkEnvironment = <A>(
  options: EnvironmentOptions,
  environment: Environment,
  credential: Result.Result<A, ConfigurationError>,
  otherProblems: ReadonlyArray<ConfigurationError>
): CheckedEnvironment<A> => {
  const inputs = inputsOf(options, environment.variables)
  const mistyped = typeProblems(options)
  const required = <I, B>(
    { field, value }: { readonly field: string; readonly value: I },
    parse: (value: I, field: string) => Result.Result<B, ConfigurationError>
  ): Result.Result<B, ConfigurationError> => {
    const mistypedOption = mistyped.find((problem) => problem.field === field)
    return mistypedOption === undefined ? parse(value, field) : Result.fail(mistypedOption)
  }
  const optional = <I, B>(
    { field, value }: Input<I>,
    parse: (value: I, field: string) => Result.Result<B, ConfigurationError>
  ): Result.Result<B | undefined, ConfigurationError> =>
    value === undefined ? Result.succeed(undefined) : required({ field, value }, parse)
  const authority = optional(inputs.authority, parseAuthority)
  const issuer = optional(
    { field: "issuer", value: options.issuer },
    (issuer) => clientSettingsOf({ ...options, clientId: "anything", issuer })
  )
  const base = Result.map(
    Result.all([authority, issuer]),
    ([authority, issuer]) => issuer?.authority ?? authority ?? publicCloud
  )
  // A tenant in the option `authority` overrides the variable, even a malformed variable.
  const isTenantOverridden = options.tenantId === undefined && options.authority !== undefined &&
    Result.isSuccess(base) &&
    base.success.kind !== "Adfs" && Result.isSuccess(Authority.requireTenant(base.success))
  const tenant = isTenantOverridden ? Result.succeed(undefined) : optional(inputs.tenant, Authority.parseTenant)
  const clientId = swappedProblem(options, inputs.clientId, environment.variables.AZURE_CLIENT_SECRET) ??
    required(inputs.clientId, parseClientId)
  const region = optional(inputs.region, parseRegion)
  const effectiveAuthority = Result.flatMap(
    Result.all([base, tenant]),
    ([base, tenant]) => authorityWithTenant(base, tenant, inputs.tenant.field)
  )
  const problems = [
    ...failureOf(clientId),
    ...failureOf(tenant),
    ...failureOf(authority),
    ...failureOf(issuer),
    ...(Result.isSuccess(base) && Result.isSuccess(tenant) ? failureOf(effectiveAuthority) : []),
    ...failureOf(region),
    ...(Result.isSuccess(effectiveAuthority) && Result.isSuccess(region) && region.success !== undefined &&
        !hasRegions(effectiveAuthority.success)
      ? [noRegions(effectiveAuthority.success, inputs.region.field)]
      : []),
    ...(Result.isSuccess(base) && Result.isSuccess(tenant) && !isTenantOverridden
      ? tenantConflicts(inputs, tenant.success, base.success)
      : []),
    ...failureOf(
      optional(
        { field: "allowedTenants", value: options.allowedTenants },
        (allowedTenants) => clientSettingsOf({ clientId: "anything", allowedTenants })
      )
    ),
    ...failureOf(credential),
    ...otherProblems
  ]
  return {
    problems,
    settings: Result.map(Result.all({ clientId, tenantId: tenant, region, credential }), (parts) => ({
      ...parts,
      authority: inputs.authority.value
    })),
    authority: effectiveAuthority
  }
}

/** Returns the secrets that error messages must not show, and the values that they may show. */
export const reportContextOf = ({ unreadable, variables }: Environment, options: EnvironmentOptions): ReportContext => {
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

/** A value, and the name of its option or variable. */
interface Input<A> {
  readonly field: string
  readonly value: A | undefined
}

const inputsOf = (options: EnvironmentOptions, variables: EnvironmentVariables) => {
  const optionOrVariable = <A, V extends string | undefined>(
    field: keyof EnvironmentOptions,
    option: A | undefined,
    name: keyof EnvironmentVariables,
    variable: V
  ) => option === undefined ? { field: name, value: variable } : { field, value: option }
  // An issuer overrides these variables, and `clientSettingsOf` rejects these options together with an issuer.
  const { authority, tenantId, AZURE_AUTHORITY_HOST, AZURE_TENANT_ID } = options.issuer === undefined
    ? { ...variables, ...options }
    : { authority: undefined, tenantId: undefined, AZURE_AUTHORITY_HOST: undefined, AZURE_TENANT_ID: undefined }
  return {
    clientId: optionOrVariable("clientId", options.clientId, "AZURE_CLIENT_ID", variables.AZURE_CLIENT_ID ?? ""),
    tenant: optionOrVariable("tenantId", tenantId, "AZURE_TENANT_ID", AZURE_TENANT_ID),
    authority: optionOrVariable("authority", authority, "AZURE_AUTHORITY_HOST", AZURE_AUTHORITY_HOST),
    region: options.region === "" ? { field: "region", value: undefined } : optionOrVariable(
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

/**
 * Parses an authority. A malformed variable gets its own remedy: its name suggests a host without https://, and its tenant
 * comes from another variable.
 */
const parseAuthority = (
  input: string | URL,
  field: string
): Result.Result<Authority.Authority, InvalidAuthorityError> =>
  Result.mapError(
    Authority.parse(input, field),
    (error) =>
      field === "AZURE_AUTHORITY_HOST"
        ? invalidAuthority(
          error.code,
          field,
          error.message,
          error.message.endsWith(" is not an absolute URL.") && Result.isSuccess(Authority.parse(`https://${input}`))
            ? `Prepend https:// to ${field}.`
            : error.remedy.replace("/contoso.onmicrosoft.com", "")
        )
        : error
  )

// -----------------------------------------------------------------------------
// contradictions
// -----------------------------------------------------------------------------

/**
 * Returns a problem if both variables name different tenants. An id and a domain name count as different, although they may be
 * the same tenant.
 */
const tenantConflicts = (
  inputs: ReturnType<typeof inputsOf>,
  tenant: string | undefined,
  authority: Authority.Authority
): ReadonlyArray<InvalidAuthorityError> => {
  const { field, value } = inputs.authority
  const inPath = /^https:\/\/[^/]+\/(?!v2\.0\/?$)[^/]/i.test(`${value}`)
  const tenantOfAuthority = Authority.requireTenant(authority)
  return tenant !== undefined && inputs.tenant.field === "AZURE_TENANT_ID" && field === "AZURE_AUTHORITY_HOST" &&
      authority.kind !== "Adfs" && inPath && Result.isSuccess(tenantOfAuthority) && tenantOfAuthority.success !== tenant
    ? [invalidAuthority(
      "authority_mismatch",
      "AZURE_TENANT_ID, AZURE_AUTHORITY_HOST",
      "AZURE_TENANT_ID and the path of AZURE_AUTHORITY_HOST name different tenants, or spell the tenant differently",
      "Set the tenant only in AZURE_TENANT_ID."
    )]
    : []
}

/**
 * Returns a problem if the client id and the secret look swapped. Such a secret would be sent and logged as the client
 * id.
 */
const swappedProblem = (
  options: EnvironmentOptions,
  { field, value = "" }: Input<string>,
  secret: Redacted.Redacted<string> | undefined
): Result.Result<never, InvalidRequestError> | undefined =>
  secret !== undefined && (options.credential ?? "secret") === "secret" && isGuid(Redacted.value(secret).trim()) &&
    typeof value === "string" && value.length >= 16 && !isGuid(value.trim()) && !value.includes("://")
    ? Result.fail(
      invalidRequest(
        "field_malformed",
        `${field}, AZURE_CLIENT_SECRET`,
        `${field} and AZURE_CLIENT_SECRET look swapped: the secret is a GUID, but the client id is not a GUID`,
        `Set ${field} to the application (client) id, and AZURE_CLIENT_SECRET to the secret's value.`
      )
    )
    : undefined
