/**
 * Which service of the platform gives out tokens, how it is asked, and when it is asked again: every rule that is judged
 * without asking it.
 */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { type CredentialCode, type CredentialError } from "../../../EntraError.ts"
import { type Fields, secretsOf } from "../../../internal/http/fields.ts"
import { credentialError } from "../../../internal/shared/errors.ts"
import { quote } from "../../../internal/shared/text.ts"
import { isHeader, type Keys } from "./challenge.ts"

export type Source = "imds" | "appService" | "azureArc"

export type Identity =
  | { readonly clientId: string }
  | { readonly objectId: string }
  | { readonly resourceId: string }

/** Undefined: not set, or set to nothing. */
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
  /** What is shown of the URL; its query may hold a key. */
  readonly endpoint: string
  readonly query: string
  /** Whether nothing but the absence of other signs speaks for it. */
  readonly guessed: boolean
  readonly header: Redacted.Redacted<string> | undefined
  readonly identity: Parameter | undefined
  /** Names the identity, and tells it from every other one. */
  readonly name: string
  /** Where Azure Arc's agent puts its keys. */
  readonly keys: Keys
}

// -----------------------------------------------------------------------------
// sources
// -----------------------------------------------------------------------------

const path = "/metadata/identity/oauth2/token"

/** In the order in which Microsoft's libraries look: the variables that one platform sets are no sign of another. */
export const platformOf = (
  options: { readonly identity?: Identity | undefined; readonly source?: Source | undefined },
  variables: Variables,
  windows: boolean
): Result.Result<Platform, CredentialError> =>
  Result.gen(function*() {
    const source = yield* sourceOf(options.source, variables)
    const chosen = yield* identityOf(options.identity)
    if (source === "azureArc" && chosen !== undefined) return yield* Result.fail(userAssignedAtArc())
    const { origin, pathname, search } = new URL(yield* endpointOf(source, variables))
    return {
      source,
      endpoint: `${origin}${pathname}`,
      query: search,
      guessed: options.source === undefined && source === "imds" &&
        variables.AZURE_POD_IDENTITY_AUTHORITY_HOST === undefined,
      header: source === "appService" ? yield* headerOf(variables) : undefined,
      identity: chosen === undefined ? undefined : { name: parameters[source][chosen.kind], value: chosen.id },
      name: chosen === undefined
        ? "system-assigned"
        : chosen.kind === "clientId"
        ? chosen.id
        : `${chosen.kind}:${chosen.id}`,
      keys: windows
        ? { directory: `${variables.ProgramData ?? "C:\\ProgramData"}\\AzureConnectedMachineAgent\\Tokens`, windows }
        : { directory: "/var/opt/azcmagent/tokens", windows }
    }
  })

const sourceOf = (wanted: Source | undefined, found: Variables): Result.Result<Source, CredentialError> => {
  if (wanted !== undefined) {
    return Object.hasOwn(versions, wanted) ? Result.succeed(wanted) : Result.fail(unknownSource(wanted))
  }
  if (found.IDENTITY_ENDPOINT !== undefined && found.IDENTITY_HEADER !== undefined) {
    return found.IDENTITY_SERVER_THUMBPRINT === undefined
      ? Result.succeed("appService")
      : Result.fail(unsupported("IDENTITY_SERVER_THUMBPRINT", "Service Fabric"))
  }
  if (found.IDENTITY_ENDPOINT !== undefined && found.IMDS_ENDPOINT !== undefined) return Result.succeed("azureArc")
  return found.MSI_ENDPOINT === undefined
    ? Result.succeed("imds")
    : Result.fail(unsupported("MSI_ENDPOINT", "Cloud Shell, Azure Machine Learning or an old App Service"))
}

const endpointOf = (source: Source, found: Variables): Result.Result<string, CredentialError> => {
  switch (source) {
    case "imds":
      return Result.map(
        urlOf("AZURE_POD_IDENTITY_AUTHORITY_HOST", found.AZURE_POD_IDENTITY_AUTHORITY_HOST ?? "http://169.254.169.254"),
        ({ origin }) => `${origin}${path}`
      )
    case "azureArc":
      return urlOf("IDENTITY_ENDPOINT", found.IDENTITY_ENDPOINT ?? `http://localhost:40342${path}`).pipe(
        Result.flatMap((url) => isKeptHere(url) ? Result.succeed(url.href) : Result.fail(elsewhereInClear()))
      )
    case "appService":
      return found.IDENTITY_ENDPOINT === undefined
        ? Result.fail(incomplete("IDENTITY_ENDPOINT"))
        : Result.map(urlOf("IDENTITY_ENDPOINT", found.IDENTITY_ENDPOINT), ({ href }) => href)
  }
}

/** The agent's key goes there; the agent itself is always on this machine. */
const isKeptHere = ({ hostname, protocol }: URL): boolean =>
  protocol === "https:" || /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(hostname)

const elsewhereInClear = () =>
  malformed(
    "IDENTITY_ENDPOINT",
    "IDENTITY_ENDPOINT leads to another machine over http, and Azure Arc's agent is on this one"
  )

const urlOf = (name: string, value: string): Result.Result<URL, CredentialError> => {
  const url = URL.parse(value)
  return url !== null && /^https?:$/.test(url.protocol) && url.username === "" && url.password === "" && url.hash === ""
    ? Result.succeed(url)
    : Result.fail(malformed(name, `${name} is no http URL without user and fragment`))
}

const headerOf = (
  { IDENTITY_HEADER: header }: Variables
): Result.Result<Redacted.Redacted<string>, CredentialError> =>
  header === undefined
    ? Result.fail(incomplete("IDENTITY_HEADER"))
    : isHeader(Redacted.value(header))
    ? Result.succeed(header)
    : Result.fail(malformed("IDENTITY_HEADER", "IDENTITY_HEADER has characters that no header may have"))

// -----------------------------------------------------------------------------
// identities
// -----------------------------------------------------------------------------

interface Parameter {
  readonly name: string
  readonly value: string
}

type Kind = "clientId" | "objectId" | "resourceId"

const userAssigned = { clientId: "client_id", objectId: "object_id", resourceId: "msi_res_id" } as const

/** What each service calls them. */
const parameters: { readonly [S in Source]: { readonly [K in Kind]: string } } = {
  imds: userAssigned,
  appService: { clientId: "client_id", objectId: "principal_id", resourceId: "mi_res_id" },
  azureArc: userAssigned
}

const patterns: { readonly [K in Kind]: RegExp } = {
  clientId: guid(),
  objectId: guid(),
  resourceId: /^\/subscriptions\/[^/\s]+\/resourceGroups\/[^/]+\/providers\/[^/\s]+\/[^/\s]+\/[^/\s]+$/i
}

function guid(): RegExp {
  return /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i
}

const kinds = ["clientId", "objectId", "resourceId"] as const

const identityOf = (
  identity: Identity | undefined
): Result.Result<{ readonly kind: Kind; readonly id: string } | undefined, CredentialError> => {
  if (identity === undefined) return Result.succeed(undefined)
  // JavaScript passes what it likes.
  const given = new Map<string, unknown>(
    typeof identity === "object" && identity !== null ? Object.entries(identity) : []
  )
  const named = kinds.flatMap((kind) => {
    const id = given.get(kind)
    return id === undefined ? [] : [{ kind, id }]
  })
  const [only, ...others] = named
  return only !== undefined && others.length === 0 && typeof only.id === "string" && only.id.length <= 1024 &&
      patterns[only.kind].test(only.id)
    ? Result.succeed({ kind: only.kind, id: only.id })
    : Result.fail(problem(
      "identity_malformed",
      "identity",
      "identity is not one of { clientId } or { objectId } with a GUID, or { resourceId } with the path of a resource",
      "Copy one of the ids from the managed identity's overview, or leave identity out for the system-assigned one."
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

export interface Question {
  readonly url: string
  readonly headers: Fields
}

export const questionOf = (platform: Platform, resource: string, key?: string): Question => {
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

/** What of a question nobody must see: its headers, and a key that the endpoint's own query may hold. */
export const secretsIn = (platform: Platform, { headers }: Question): ReadonlyArray<string> => [
  ...secretsOf(headers),
  ...new URLSearchParams(platform.query).values()
]

/**
 * The question that shows whether IMDS is there at all: without its header it is refused at once, and that is an answer.
 */
export const probeOf = (platform: Platform): Question => ({
  url: questionOf(platform, "").url,
  headers: { accept: "application/json" }
})

/**
 * Whether it is Azure's service that answered {@link probeOf}: other clouds have services of their own at that address,
 * which answer 401, 403 or 404, and Docker Desktop answers 403 when nobody is there.
 */
export const isImds = (status: number): boolean =>
  status === 200 || status === 400 || status === 408 || status === 410 || status === 429 || status >= 500

// -----------------------------------------------------------------------------
// retries
// -----------------------------------------------------------------------------

/** What an attempt came to: the status of an answer, or none in time. */
export type Outcome = number | "timeout"

/**
 * Milliseconds until the next attempt, after `attempt` failures in a row; undefined: what there is will have to do
 * (MSAL-DOTNET section 5.4). What the service itself asks for (`Retry-After`) is waited for if it is not long, and else it
 * is left to the caller's throttle gate.
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
  if (source !== "imds") return attempt <= 3 && elsewhere.has(outcome) ? 1000 : undefined
  if (outcome === 410) return attempt <= 7 ? 10_000 : undefined
  const again = outcome === "timeout" || outcome === 404 || outcome === 408 || outcome === 429 || outcome >= 500
  return again && attempt <= 3 ? 1000 * 2 ** (attempt - 1) : undefined
}

const elsewhere: ReadonlySet<Outcome> = new Set([404, 408, 429, 500, 503, 504, "timeout"])

// -----------------------------------------------------------------------------
// problems
// -----------------------------------------------------------------------------

const problem = (code: CredentialCode, field: string, message: string, remedy: string): CredentialError =>
  credentialError(code, field, message, remedy)

const unknownSource = (source: unknown) =>
  problem(
    "managed_identity_unsupported",
    "source",
    `source ${quote(String(source))} is no source of managed identities`,
    "Pass \"imds\", \"appService\" or \"azureArc\", or leave source out and the environment decides."
  )

const unsupported = (field: string, platform: string) =>
  problem(
    "managed_identity_unsupported",
    field,
    `${field} is set, as by ${platform}, whose managed identities are not supported`,
    "Use another credential there, or pass source if the variable is there by accident."
  )

const userAssignedAtArc = () =>
  problem(
    "managed_identity_unsupported",
    "identity",
    "identity names a user-assigned identity, and Azure Arc is asked for the system-assigned one only",
    "Leave identity out, and give the server's own identity the permissions."
  )

const incomplete = (name: string) =>
  problem(
    "managed_identity_incomplete",
    name,
    `${name} is not set, and source is "appService"`,
    "Give the app a managed identity and restart it: the platform sets the variable. Elsewhere pass another source."
  )

const malformed = (name: string, message: string) =>
  problem("managed_identity_incomplete", name, message, `Leave ${name} as the platform sets it.`)

export const unreadableVariable = (name: string) =>
  problem(
    "managed_identity_incomplete",
    name,
    `${name} cannot be read by the ConfigProvider`,
    "Look at the ConfigProvider; the usual one reads the environment of the process."
  )
