/**
 * The choice of `layerDefault`: the first configured credential of the environment, a workload identity and a managed
 * identity. The names and `AZURE_TOKEN_CREDENTIALS` are those of `DefaultAzureCredential`.
 */
import * as Result from "effect/Result"
import { type CredentialError, type InvalidRequestError } from "../../EntraError.ts"
import { credentialError, invalidRequest } from "../shared/errors.ts"
import { sentence } from "../shared/text.ts"
import type { CredentialKind } from "./environmentCredential.ts"
import type { Environment } from "./environmentOptions.ts"

/** The credentials in their order. */
const chain = ["EnvironmentCredential", "WorkloadIdentityCredential", "ManagedIdentityCredential"] as const

/** The name of a credential in `AZURE_TOKEN_CREDENTIALS` and in log lines. */
export type CredentialName = typeof chain[number]

/** A credential that is not used, and the reason. */
export interface Skipped {
  readonly name: CredentialName
  readonly reason: string
}

/** The chosen credential. */
export type Chosen =
  | {
    readonly name: "EnvironmentCredential" | "WorkloadIdentityCredential"
    /** Undefined if a variable is unreadable, so that the problem is reported. */
    readonly kind: CredentialKind | undefined
  }
  | {
    readonly name: "ManagedIdentityCredential"
    /** The client id of a user-assigned identity. */
    readonly clientId: string | undefined
    readonly tenantId: string | undefined
    /** Whether a probe decides if there is a managed identity; false if no other credential is allowed. */
    readonly isProbed: boolean
  }

/** The chosen credential, and the credentials that were skipped before it. */
export interface Choice {
  readonly chosen: Chosen
  readonly skipped: ReadonlyArray<Skipped>
}

/** Returns the first configured credential. An empty variable counts as unset. */
export const chooseDefault = (
  selection: string | undefined,
  options: { readonly clientId?: string | undefined; readonly tenantId?: string | undefined },
  { unreadable, variables }: Environment
): Result.Result<Choice, CredentialError | InvalidRequestError> =>
  Result.gen(function*() {
    const names = yield* selected(selection)
    if (unreadable.length > 0) return { chosen: { name: "EnvironmentCredential", kind: undefined }, skipped: [] }
    const clientId = options.clientId ?? variables.AZURE_CLIENT_ID
    const kind = variables.AZURE_CLIENT_SECRET === undefined ? "certificate" : "secret"
    const skipped: Array<Skipped> = []
    for (const name of names) {
      if (name === "ManagedIdentityCredential") {
        const tenantId = options.tenantId ?? variables.AZURE_TENANT_ID
        return { chosen: { name, clientId, tenantId, isProbed: names.length > 1 }, skipped }
      }
      const isEnvironment = name === "EnvironmentCredential"
      const hasMaterial = isEnvironment
        ? variables.AZURE_CLIENT_SECRET !== undefined || variables.AZURE_CLIENT_CERTIFICATE_PATH !== undefined
        : variables.AZURE_FEDERATED_TOKEN_FILE !== undefined
      if (clientId !== undefined && hasMaterial) {
        return { chosen: { name, kind: isEnvironment ? kind : "federation" }, skipped }
      }
      const missing = [
        ...(clientId === undefined ? ["AZURE_CLIENT_ID is not set"] : []),
        ...(hasMaterial ? [] : [
          isEnvironment
            ? "neither AZURE_CLIENT_SECRET nor AZURE_CLIENT_CERTIFICATE_PATH is set"
            : "AZURE_FEDERATED_TOKEN_FILE is not set"
        ])
      ]
      skipped.push({ name, reason: missing.join(", and ") })
    }
    return yield* Result.fail(exhausted(skipped))
  })

// -----------------------------------------------------------------------------
// AZURE_TOKEN_CREDENTIALS
// -----------------------------------------------------------------------------

const variable = "AZURE_TOKEN_CREDENTIALS"

/** The values of `@azure/identity` that select credentials of a developer's machine. */
const developerValues: ReadonlySet<string> = new Set([
  "dev",
  "visualstudiocodecredential",
  "azureclicredential",
  "azurepowershellcredential",
  "azuredeveloperclicredential"
])

const selected = (selection: string | undefined): Result.Result<ReadonlyArray<CredentialName>, InvalidRequestError> => {
  const value = selection?.trim().toLowerCase() ?? ""
  if (value === "" || value === "prod") return Result.succeed(chain)
  const name = chain.find((name) => name.toLowerCase() === value)
  return name === undefined ? Result.fail(unknownSelection(value)) : Result.succeed([name])
}

/** Returns the error of a value. An unknown value is not shown, because it may be a secret in the wrong variable. */
const unknownSelection = (value: string): InvalidRequestError => {
  const isDeveloper = developerValues.has(value)
  return invalidRequest(
    isDeveloper ? "field_unsupported" : "field_malformed",
    variable,
    isDeveloper
      ? `${variable} is ${value}, but layerDefault has no credentials of a developer's machine`
      : `${variable} has a value that layerDefault does not know`,
    `Set ${variable} to prod, ${chain.slice(0, -1).join(", ")} or ${chain.at(-1)}, or unset it.${
      isDeveloper
        ? " On a developer's machine use AzureCredential.layer with a credential of @azure/identity, such as AzureCliCredential."
        : ""
    }`
  )
}

/** Returns the error of a variable that the `ConfigProvider` cannot read. */
export const unreadableSelection = (): InvalidRequestError =>
  invalidRequest(
    "field_malformed",
    variable,
    `${variable} cannot be read by the ConfigProvider`,
    "Check the ConfigProvider that the program installs. The default one reads the environment of the process."
  )

// -----------------------------------------------------------------------------
// errors
// -----------------------------------------------------------------------------

/** Returns the error with the reason of each credential. */
export const exhausted = (
  skipped: ReadonlyArray<Skipped>,
  details?: Pick<CredentialError, "correlationId" | "origin">
): CredentialError =>
  credentialError(
    "credentials_exhausted",
    "credential",
    `No credential is available. ${skipped.map(({ name, reason }) => sentence(`${name}: ${reason}`)).join(" ")}`,
    "Set the variables of one of these credentials, or run the program where it has a managed identity. On a developer's "
      + "machine use AzureCredential.layer with a credential of @azure/identity.",
    details
  )
