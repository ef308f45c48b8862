/** The rules for the token services of the platforms, as pure functions: which service, which requests, which retries. */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { type CredentialError } from "../../../EntraError.ts"
import { type Fields, secretsOf } from "../../../internal/http/fields.ts"
import { credentialError, isOutageStatus } from "../../../internal/shared/errors.ts"
import { nonValueOf } from "../../../internal/shared/nonValue.ts"
import { isGuid, isLoopback, quote, withRemedy } from "../../../internal/shared/text.ts"
import { isHeader, type Keys } from "./challenge.ts"

export type Source = "imds" | "appService" | "azureArc"

export type Identity =
  | { readonly clientId: string }
  | { readonly objectId: string }
  | { readonly resourceId: string }

/** The variables of the environment; undefined: not set, or empty. */
export interface Variables {
  readonly IDENTITY_ENDPOINT: string | undefined
  readonly IDENTITY_HEADER: Redacted.Redacted<string> | undefined
  readonly IDENTITY_SERVER_THUMBPRINT: string | undefined
  readonly IMDS_ENDPOINT: string | undefined
  readonly MSI_ENDPOINT: string | undefined
  readonly AZURE_POD_IDENTITY_AUTHORITY_HOST: string | undefined
  readonly ProgramData: string | undefined
}

export interface Platform {
  readonly source: Source
  /** The URL without its query, which may contain a key and is not shown. */
  readonly endpoint: string
  readonly query: string
  /** True if the service was assumed because no variable names another one. */
  readonly guessed: boolean
  readonly header: Redacted.Redacted<string> | undefined
  readonly identity: Parameter | undefined
  /** The unique name of the identity. */
  readonly name: string
  /** The location of the key files of Azure Arc's agent. */
  readonly keys: Keys
}

// -----------------------------------------------------------------------------
// sources
// -----------------------------------------------------------------------------

const path = "/metadata/identity/oauth2/token"

/** Selects the service, in the order of Microsoft's libraries. */
export const platformOf = (
  options: { readonly identity?: Identity | undefined; readonly source?: Source | undefined },
  variables: Variables,
  windows: boolean
): Result.Result<Platform, CredentialError> =>
  Result.gen(function*() {
    const source = yield* sourceOf(options.source, variables)
    const identity = yield* identityOf(options.identity)
    if (source === "azureArc" && identity !== undefined) return yield* Result.fail(userAssignedAtArc())
    const { origin, pathname, search } = new URL(yield* endpointOf(source, variables))
    return {
      source,
      endpoint: `${origin}${pathname}`,
      query: search,
      guessed: options.source === undefined && source === "imds" &&
        variables.AZURE_POD_IDENTITY_AUTHORITY_HOST === undefined,
      header: source === "appService" ? yield* headerOf(variables) : undefined,
      identity: identity === undefined ? undefined : { name: parameters[source][identity.kind], value: identity.id },
      name: identity === undefined
        ? "system-assigned"
        : identity.kind === "clientId"
        ? identity.id
        : `${identity.kind}:${identity.id}`,
      keys: windows
        ? { directory: `${variables.ProgramData ?? "C:\\ProgramData"}\\AzureConnectedMachineAgent\\Tokens`, windows }
        : { directory: "/var/opt/azcmagent/tokens", windows }
    }
  })

const sourceOf = (source: Source | undefined, variables: Variables): Result.Result<Source, CredentialError> => {
  if (source !== undefined) {
    return Object.hasOwn(versions, source) ? Result.succeed(source) : Result.fail(unknownSource(source))
  }
  if (variables.IDENTITY_ENDPOINT !== undefined && variables.IDENTITY_HEADER !== undefined) {
    return variables.IDENTITY_SERVER_THUMBPRINT === undefined
      ? Result.succeed("appService")
      : Result.fail(unsupported("IDENTITY_SERVER_THUMBPRINT", "Service Fabric"))
  }
  if (variables.IDENTITY_ENDPOINT !== undefined && variables.IMDS_ENDPOINT !== undefined) {
    return Result.succeed("azureArc")
  }
  return variables.MSI_ENDPOINT === undefined
    ? Result.succeed("imds")
    : Result.fail(unsupported("MSI_ENDPOINT", "Cloud Shell, Azure Machine Learning or an old App Service"))
}

const endpointOf = (source: Source, variables: Variables): Result.Result<string, CredentialError> => {
  switch (source) {
    case "imds":
      return Result.map(
        urlOf(
          "AZURE_POD_IDENTITY_AUTHORITY_HOST",
          variables.AZURE_POD_IDENTITY_AUTHORITY_HOST ?? "http://169.254.169.254"
        ),
        ({ origin }) => `${origin}${path}`
      )
    case "azureArc":
      return urlOf("IDENTITY_ENDPOINT", variables.IDENTITY_ENDPOINT ?? `http://localhost:40342${path}`).pipe(
        Result.flatMap((url) => isProtected(url) ? Result.succeed(url.href) : Result.fail(remoteWithoutTls()))
      )
    case "appService":
      return variables.IDENTITY_ENDPOINT === undefined
        ? Result.fail(incomplete("IDENTITY_ENDPOINT"))
        : Result.map(urlOf("IDENTITY_ENDPOINT", variables.IDENTITY_ENDPOINT), ({ href }) => href)
  }
}

/** Returns whether a key can be sent to the URL: over https, or to this machine, where the agent runs. */
const isProtected = ({ hostname, protocol }: URL): boolean => protocol === "https:" || isLoopback(hostname)

const remoteWithoutTls = () =>
  malformed(
    "IDENTITY_ENDPOINT",
    "IDENTITY_ENDPOINT is an http URL of another machine, but the agent of Azure Arc runs on this machine"
  )

const urlOf = (name: string, value: string): Result.Result<URL, CredentialError> => {
  const url = URL.parse(value)
  return url !== null && /^https?:$/.test(url.protocol) && url.username === "" && url.password === "" && url.hash === ""
    ? Result.succeed(url)
    : Result.fail(
      malformed(name, `${name} is not an http or https URL, or it contains a user name, a password or a fragment`)
    )
}

const headerOf = (
  { IDENTITY_HEADER: header }: Variables
): Result.Result<Redacted.Redacted<string>, CredentialError> =>
  header === undefined
    ? Result.fail(incomplete("IDENTITY_HEADER"))
    : isHeader(Redacted.value(header))
    ? Result.succeed(header)
    : Result.fail(malformed("IDENTITY_HEADER", "IDENTITY_HEADER contains characters that are not allowed in a header"))

// -----------------------------------------------------------------------------
// identities
// -----------------------------------------------------------------------------

interface Parameter {
  readonly name: string
  readonly value: string
}

type Kind = "clientId" | "objectId" | "resourceId"

const userAssigned = { clientId: "client_id", objectId: "object_id", resourceId: "msi_res_id" } as const

/** The names of the query parameters of each service. */
const parameters: { readonly [S in Source]: { readonly [K in Kind]: string } } = {
  imds: userAssigned,
  appService: { clientId: "client_id", objectId: "principal_id", resourceId: "mi_res_id" },
  azureArc: userAssigned
}

const isId: { readonly [K in Kind]: (id: string) => boolean } = {
  clientId: isGuid,
  objectId: isGuid,
  resourceId: (id) =>
    /^\/subscriptions\/[^/\s]+\/resourceGroups\/[^/]+\/providers\/[^/\s]+\/[^/\s]+\/[^/\s]+$/i.test(id)
}

const kinds = ["clientId", "objectId", "resourceId"] as const

const identityOf = (
  identity: Identity | undefined
): Result.Result<{ readonly kind: Kind; readonly id: string } | undefined, CredentialError> => {
  if (identity === undefined) return Result.succeed(undefined)
  // JavaScript callers may pass values of any type.
  const members = new Map<string, unknown>(
    typeof identity === "object" && identity !== null ? Object.entries(identity) : []
  )
  const named = kinds.flatMap((kind) => {
    const id = members.get(kind)
    return id === undefined ? [] : [{ kind, id }]
  })
  const [only, ...others] = named
  const defect = others.length === 0 && typeof only?.id === "string" ? nonValueOf(only.id) : undefined
  return only !== undefined && others.length === 0 && typeof only.id === "string" && only.id.length <= 1024 &&
      defect === undefined && isId[only.kind](only.id)
    ? Result.succeed({ kind: only.kind, id: only.id })
    : Result.fail(credentialError(
      "identity_malformed",
      "identity",
      defect !== undefined
        ? `${only?.kind} of identity ${defect.what}`
        : "identity is neither { clientId } nor { objectId } with a GUID, nor { resourceId } with the path of a resource",
      withRemedy(
        defect?.remedy,
        "Copy one of the ids from the managed identity's overview. Leave identity out for the system-assigned identity."
      )
    ))
}

// -----------------------------------------------------------------------------
// requests
// -----------------------------------------------------------------------------

const versions: { readonly [S in Source]: string } = {
  imds: "2018-02-01",
  appService: "2019-08-01",
  azureArc: "2019-11-01"
}

export interface PlatformRequest {
  readonly url: string
  readonly headers: Fields
}

export const requestOf = (platform: Platform, resource: string, key?: string): PlatformRequest => {
  const url = new URL(platform.endpoint + platform.query)
  url.searchParams.set("api-version", versions[platform.source])
  url.searchParams.set("resource", resource)
  if (platform.identity !== undefined) url.searchParams.set(platform.identity.name, platform.identity.value)
  const secrets: Fields = {
    ...(platform.header === undefined ? {} : { "x-identity-header": platform.header }),
    ...(key === undefined ? {} : { authorization: Redacted.make(`Basic ${key}`) })
  }
  const marker = platform.source === "appService" ? {} : { metadata: "true" }
  return { url: url.href, headers: { accept: "application/json", ...marker, ...secrets } }
}

/** Returns the secrets of a request: its headers, and the key that the query of the endpoint may contain. */
export const secretsIn = (platform: Platform, { headers }: PlatformRequest): ReadonlyArray<string> => [
  ...secretsOf(headers),
  ...new URLSearchParams(platform.query).values()
]

/** Returns a request that shows whether the metadata service exists: without its header the service refuses it at once. */
export const probeRequestOf = (platform: Platform): PlatformRequest => ({
  url: requestOf(platform, "").url,
  headers: { accept: "application/json" }
})

/**
 * Returns whether Azure's service responded to {@link probeRequestOf}. Other clouds have services at the same address, which
 * respond with 401, 403 or 404, and Docker Desktop responds with 403 when there is no service.
 */
export const isImds = (status: number): boolean =>
  status === 200 || status === 400 || status === 410 || status === 429 || isOutageStatus(status)

// -----------------------------------------------------------------------------
// retries
// -----------------------------------------------------------------------------

/** The outcome of an attempt: the status of the response, or no complete response in time. */
export type Outcome = number | "silence"

/**
 * Returns the milliseconds until the next attempt after `attempt` failures in a row; undefined when no attempt follows. The
 * rules are those of MSAL. A `Retry-After` of up to 10 seconds is respected here; the caller's throttle gate respects a longer
 * one.
 */
export const delayAfter = (
  source: Source,
  outcome: Outcome,
  attempt: number,
  retryAfter = 0
): number | undefined => {
  const delay = ruleOf(source, outcome, attempt)
  return delay === undefined || retryAfter > 10_000 ? undefined : Math.max(delay, retryAfter)
}

const ruleOf = (source: Source, outcome: Outcome, attempt: number): number | undefined => {
  if (source !== "imds") return attempt <= 3 && retriedOutcomes.has(outcome) ? 1000 : undefined
  if (outcome === 410) return attempt <= 7 ? 10_000 : undefined
  const isRetried = outcome === "silence" || outcome === 404 || outcome === 429 || isOutageStatus(outcome)
  return isRetried && attempt <= 3 ? 1000 * 2 ** (attempt - 1) : undefined
}

const retriedOutcomes: ReadonlySet<Outcome> = new Set([404, 408, 429, 500, 503, 504, "silence"])

// -----------------------------------------------------------------------------
// errors
// -----------------------------------------------------------------------------

const unknownSource = (source: unknown) =>
  credentialError(
    "managed_identity_unsupported",
    "source",
    `source ${quote(String(source))} is not a source of managed identities`,
    "Pass \"imds\", \"appService\" or \"azureArc\". Leave source out to detect it from the environment."
  )

const unsupported = (field: string, platform: string) =>
  credentialError(
    "managed_identity_unsupported",
    field,
    `${field} is set, as on ${platform}, where managed identities are not supported`,
    "Use another credential there. If the variable is set by mistake, pass source."
  )

const userAssignedAtArc = () =>
  credentialError(
    "managed_identity_unsupported",
    "identity",
    "identity names a user-assigned identity, but Azure Arc supports the system-assigned identity only",
    "Leave identity out. Grant the permissions to the system-assigned identity of the server."
  )

const incomplete = (name: string) =>
  credentialError(
    "managed_identity_incomplete",
    name,
    `${name} is not set, but source is "appService"`,
    "Assign a managed identity to the app and restart it. Outside App Service, pass another source."
  )

const malformed = (name: string, message: string) =>
  credentialError("managed_identity_incomplete", name, message, `Leave ${name} as the platform sets it.`)

export const unreadableVariable = (name: string) =>
  credentialError(
    "managed_identity_incomplete",
    name,
    `${name} cannot be read by the ConfigProvider`,
    "Check the ConfigProvider that the program installs. The default one reads the environment of the process."
  )
