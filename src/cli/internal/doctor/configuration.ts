/** Checks the variables and flags of the client, without files and without the network. */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Authority from "../../../Authority.ts"
import type { ConfigurationError } from "../../../EntraError.ts"
import { reportedProblems } from "../../../internal/environment/combinedProblems.ts"
import { readEnvironment } from "../../../internal/environment/environment.ts"
import {
  checkEnvironment,
  type Environment,
  type EnvironmentSettings,
  reportContextOf
} from "../../../internal/environment/environmentOptions.ts"
import { isGuid, withRemedy } from "../../../internal/shared/text.ts"
import type { ClientMaterial, ClientSetup } from "../clientFlags.ts"
import { failure, type Finding, ok, warn } from "./finding.ts"
import { readSimilar, type Similar, similarRemedy } from "./similarVariables.ts"

/** The parts of the configuration that are valid, and the findings. */
export interface Configuration {
  readonly findings: ReadonlyArray<Finding>
  /** The settings of the client, if all of them are valid. */
  readonly settings: EnvironmentSettings | undefined
  readonly authority: Authority.Authority | undefined
  readonly material: ClientMaterial | undefined
}

/** Checks the variables and flags, and returns the valid parts. */
export const checkConfiguration = (setup: ClientSetup): Effect.Effect<Configuration> =>
  Effect.map(
    Effect.all([readEnvironment, readSimilar]),
    ([environment, similar]) => configurationOf(setup, environment, similar)
  )

const configurationOf = (setup: ClientSetup, environment: Environment, similar: Similar): Configuration => {
  const { material, problems: credentialProblems, warnings } = setup.loader.choose(environment.variables, undefined)
  const checked = checkEnvironment({}, environment, material, credentialProblems)
  const tenant = Result.flatMap(checked.authority, tenantOf)
  const failures = reportedProblems([
    ...checked.problems,
    ...(Result.isSuccess(checked.authority) && Result.isFailure(tenant) ? [tenant.failure] : [])
  ], reportContextOf(environment, {})).map((problem) =>
    failure(
      "configuration",
      problem,
      withRemedy(similarRemedy(problem, similar), remedies[problem.code] ?? problem.remedy)
    )
  )
  const settings = failures.length === 0 ? Result.getOrUndefined(checked.settings) : undefined
  const authority = Result.getOrUndefined(tenant)
  const chosen = Result.getOrUndefined(material)
  return {
    findings: [
      ...failures,
      ...warnings.map(warningOf),
      ...(settings === undefined || authority === undefined ? [] : guidWarning(settings.clientId, authority)),
      ...(settings === undefined || authority === undefined || chosen === undefined
        ? []
        : [ok("configuration", descriptionOf(settings, authority, chosen))])
    ],
    settings,
    authority,
    material: credentialProblems.length === 0 ? chosen : undefined
  }
}

/** Returns the authority if it has one tenant, or does not need a tenant. */
const tenantOf = (authority: Authority.Authority) =>
  Authority.isTenanted(authority)
    ? Result.map(Authority.requireTenant(authority), () => authority)
    : Result.succeed(authority)

const tenantRemedy =
  "Set AZURE_TENANT_ID, or pass --tenant: the id or a domain name of the tenant whose data the app uses."

/** Remedies for users of the command. They replace remedies of the library that are about code. */
const remedies: Partial<Record<ConfigurationError["code"], string>> = {
  tenant_missing: tenantRemedy,
  tenant_not_tenanted: tenantRemedy,
  credential_missing: "Set one of these variables, or pass --secret-file, --certificate or --federated-token-file. "
    + "See docs/registering.md#give-it-a-credential of effect-entra."
}

/** Splits a warning into its first sentence and the remedy after it. */
const warningOf = (warning: string): Finding => {
  const end = warning.indexOf(". ")
  return end < 0
    ? warn("configuration", warning, "Check this variable.")
    : warn("configuration", warning.slice(0, end), warning.slice(end + 2))
}

/** Warns of a client id that is not a GUID. The library accepts any text, because other providers have other ids. */
const guidWarning = (clientId: string, { kind }: Authority.Authority): ReadonlyArray<Finding> =>
  isGuid(clientId) || (kind !== "Entra" && kind !== "Ciam") ? [] : [warn(
    "configuration",
    "AZURE_CLIENT_ID is not a GUID, but the client ids of Entra ID are GUIDs. Its value is not shown",
    "Set AZURE_CLIENT_ID to the application (client) id from the overview of the app registration."
  )]

const credentialWords: Readonly<Record<ClientMaterial["kind"], string>> = {
  secret: "a client secret",
  secretFile: "a file with a client secret",
  certificate: "a certificate",
  federation: "a federated token"
}

const descriptionOf = (
  { clientId, region }: EnvironmentSettings,
  authority: Authority.Authority,
  { kind }: ClientMaterial
): string =>
  `${isGuid(clientId) ? `App ${clientId}` : "The app"} at ${Authority.format(authority)} with ${credentialWords[kind]}${
    region === undefined ? "" : `, region ${region}`
  }`
