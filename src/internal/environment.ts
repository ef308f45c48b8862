/** The settings and the credential that the environment names, with all its problems reported together. */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Authority from "../Authority.ts"
import {
  type ConfigurationError,
  type CredentialError,
  InvalidAuthorityError,
  InvalidRequestError
} from "../EntraError.ts"
import type { Choice, CredentialKind, CredentialProblem, CredentialVariables } from "./credentialChoice.ts"
import { hasRegions, noRegions, parseRegion } from "./endpoints.ts"
import { parseClientId, settingsOf } from "./settings.ts"

export interface Variables extends CredentialVariables {
  readonly AZURE_CLIENT_ID: string | undefined
  readonly AZURE_TENANT_ID: string | undefined
  readonly AZURE_AUTHORITY_HOST: string | undefined
  readonly AZURE_REGIONAL_AUTHORITY_NAME: string | undefined
}

/** An option that is given overrides the variable. */
export interface Overrides {
  readonly clientId?: string | undefined
  readonly tenantId?: string | undefined
  readonly authority?: string | URL | undefined
  readonly allowedTenants?: ReadonlyArray<string> | ((tenantId: string) => boolean) | undefined
  readonly region?: string | undefined
}

export interface Settings {
  readonly clientId: string
  readonly tenantId: string | undefined
  readonly authority: string | URL | undefined
  readonly region: string | undefined
}

/** How a credential comes out of the environment: which one is a plain decision, loading it is not. */
export interface Source<M, A, R> {
  readonly choose: (found: CredentialVariables, wanted: CredentialKind | undefined) => Choice<M>
  readonly load: (material: M) => Effect.Effect<A, CredentialError, R>
}

/** A whole client's worth. */
export const read = <M, A, R>(
  options: Overrides & { readonly credential?: CredentialKind | undefined },
  source: Source<M, A, R>
): Effect.Effect<Settings & { readonly credential: A }, ConfigurationError, R> =>
  Effect.gen(function*() {
    const found = yield* variables
    const { loaded, problems, warnings } = yield* load(found, options.credential, source)
    const settled = yield* Effect.fromResult(settle(options, found, loaded, problems))
    yield* Effect.forEach(warnings, (warning) => Effect.logWarning(warning), { discard: true })
    return settled
  })

/** The credential alone. */
export const readCredential = <M, A, R>(
  wanted: CredentialKind | undefined,
  source: Source<M, A, R>
): Effect.Effect<A, CredentialProblem, R> =>
  Effect.gen(function*() {
    const { loaded, problems, warnings } = yield* load(yield* variables, wanted, source)
    const all = [...(Result.isFailure(loaded) ? [loaded.failure] : []), ...problems]
    const credential = yield* Effect.fromResult(unless(all, loaded))
    yield* Effect.forEach(warnings, (warning) => Effect.logWarning(warning), { discard: true })
    return credential
  })

const load = <M, A, R>(found: Variables, wanted: CredentialKind | undefined, source: Source<M, A, R>) =>
  Effect.gen(function*() {
    const { material, problems, warnings } = source.choose(found, wanted)
    const loaded: Result.Result<A, CredentialProblem> = Result.isFailure(material)
      ? Result.fail(material.failure)
      : yield* Effect.result(source.load(material.success))
    return { loaded, problems, warnings }
  })

// -----------------------------------------------------------------------------
// variables
// -----------------------------------------------------------------------------

const text = (name: string): Config.Config<string | undefined> =>
  Config.map(Config.option(Config.String(name)), (found) => Option.isSome(found) ? found.value || undefined : undefined)

const redacted = (name: string): Config.Config<Redacted.Redacted<string> | undefined> =>
  Config.map(
    Config.option(Config.Redacted(name)),
    (found) => Option.isSome(found) && Redacted.value(found.value) !== "" ? found.value : undefined
  )

const unreadable = (): InvalidRequestError =>
  new InvalidRequestError({
    code: "configuration_invalid",
    field: Object.keys(configs).join(", "),
    origin: "local",
    message: "the ConfigProvider could not be read",
    remedy: "Look at the ConfigProvider that the program installs."
  })

const configs = {
  AZURE_CLIENT_ID: text("AZURE_CLIENT_ID"),
  AZURE_TENANT_ID: text("AZURE_TENANT_ID"),
  AZURE_AUTHORITY_HOST: text("AZURE_AUTHORITY_HOST"),
  AZURE_REGIONAL_AUTHORITY_NAME: text("AZURE_REGIONAL_AUTHORITY_NAME"),
  AZURE_CLIENT_SECRET: redacted("AZURE_CLIENT_SECRET"),
  AZURE_CLIENT_CERTIFICATE_PATH: text("AZURE_CLIENT_CERTIFICATE_PATH"),
  AZURE_CLIENT_CERTIFICATE_PASSWORD: redacted("AZURE_CLIENT_CERTIFICATE_PASSWORD"),
  AZURE_CLIENT_SEND_CERTIFICATE_CHAIN: text("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN"),
  AZURE_FEDERATED_TOKEN_FILE: text("AZURE_FEDERATED_TOKEN_FILE")
}

const variables: Effect.Effect<Variables, InvalidRequestError> = Effect.mapError(Config.all(configs), unreadable)

// -----------------------------------------------------------------------------
// settings
// -----------------------------------------------------------------------------

/** `credential` is what came of that part, so that its problem is reported with the others. */
export const settle = <A>(
  options: Overrides,
  found: Variables,
  credential: Result.Result<A, ConfigurationError>,
  others: ReadonlyArray<ConfigurationError>
): Result.Result<Settings & { readonly credential: A }, ConfigurationError> => {
  const problems: Array<ConfigurationError> = []
  const noted = <B>(part: Result.Result<B, ConfigurationError>): Result.Result<B, ConfigurationError> => {
    if (Result.isFailure(part)) problems.push(part.failure)
    return part
  }
  const clientId = noted(
    options.clientId === undefined
      ? parseClientId(found.AZURE_CLIENT_ID ?? "", "AZURE_CLIENT_ID")
      : parseClientId(options.clientId)
  )
  const tenant = noted(either(options.tenantId, "tenantId", found, "AZURE_TENANT_ID", Authority.parseTenant))
  const authority = noted(
    either<Authority.Authority, string | URL>(
      options.authority,
      "authority",
      found,
      "AZURE_AUTHORITY_HOST",
      Authority.parse
    )
  )
  const region = noted(either(options.region, "region", found, "AZURE_REGIONAL_AUTHORITY_NAME", parseRegion))
  if (Result.isSuccess(authority)) {
    const base = authority.success ?? publicCloud
    if (Result.isSuccess(region) && region.success !== undefined && !hasRegions(base)) {
      problems.push(noRegions(base, options.region === undefined ? "AZURE_REGIONAL_AUTHORITY_NAME" : "region"))
    }
    if (Result.isSuccess(tenant)) problems.push(...contradictions(options, tenant.success, base))
  }
  noted(settingsOf({ clientId: "anything", allowedTenants: options.allowedTenants }))
  noted(credential)
  problems.push(...others)
  return unless(
    problems,
    Result.map(
      Result.all({ clientId, tenantId: tenant, region, credential }),
      (parts) => ({ ...parts, authority: options.authority ?? found.AZURE_AUTHORITY_HOST })
    )
  )
}

const either = <A, I extends string | URL>(
  option: I | undefined,
  field: string,
  found: Variables,
  name: "AZURE_TENANT_ID" | "AZURE_AUTHORITY_HOST" | "AZURE_REGIONAL_AUTHORITY_NAME",
  parse: (input: I | string, field: string) => Result.Result<A, ConfigurationError>
): Result.Result<A | undefined, ConfigurationError> => {
  if (option !== undefined) return parse(option, field)
  const variable = found[name]
  return variable === undefined ? Result.succeed(undefined) : parse(variable, name)
}

const publicCloud = Result.getOrThrow(Authority.parse("public"))

/** A tenant where there is none, and two variables that name two. */
const contradictions = (
  options: Overrides,
  tenant: string | undefined,
  authority: Authority.Authority
): ReadonlyArray<InvalidAuthorityError> => {
  if (tenant === undefined) return []
  const field = options.tenantId === undefined ? "AZURE_TENANT_ID" : "tenantId"
  if (authority.kind === "Adfs") {
    return [contradiction(
      "authority_unsupported",
      field,
      `${field} is set, and the authority ${authority.host} is AD FS, which has no tenants`,
      `Leave ${field} out.`
    )]
  }
  const named = Authority.requireTenant(authority)
  return options.tenantId === undefined && options.authority === undefined && authority.kind === "Entra" &&
      Result.isSuccess(named) && named.success !== tenant
    ? [contradiction(
      "authority_mismatch",
      "AZURE_TENANT_ID, AZURE_AUTHORITY_HOST",
      "AZURE_TENANT_ID and the path of AZURE_AUTHORITY_HOST name two tenants",
      "Name the tenant in AZURE_TENANT_ID alone."
    )]
    : []
}

// -----------------------------------------------------------------------------
// problems
// -----------------------------------------------------------------------------

/** One problem keeps its own tag; several become one error that names them all. */
const unless = <A, E extends ConfigurationError>(
  problems: ReadonlyArray<E>,
  parts: Result.Result<A, E>
): Result.Result<A, E | InvalidRequestError> => {
  const [problem, another] = problems
  return problem === undefined ? parts : Result.fail(another === undefined ? problem : together(problems))
}

const together = (problems: ReadonlyArray<ConfigurationError>): InvalidRequestError =>
  new InvalidRequestError({
    code: "configuration_invalid",
    field: [...new Set(problems.flatMap(({ field }) => field.split(", ")))].join(", "),
    origin: "local",
    message: problems.map(({ message }) => message).join("; "),
    remedy: problems.map(({ field, remedy }) => `${field}: ${remedy}`).join(" ")
  })

const contradiction = (code: string, field: string, message: string, remedy: string): InvalidAuthorityError =>
  new InvalidAuthorityError({ code, field, origin: "local", message, remedy })
