/** The rules of the platforms' token services: accepted requests, and the refusals of all others. */

/**
 * The simulated service.
 *
 * @category models
 * @since 0.1.0
 */
export type Platform = "imds" | "appService" | "azureArc"

/**
 * A managed identity. An identity without `resourceId` is the system-assigned identity.
 *
 * @category models
 * @since 0.1.0
 */
export interface Identity {
  readonly clientId: string
  readonly objectId: string
  readonly resourceId?: string | undefined
}

/** The parts of a request that the rules need. */
export interface RequestParts {
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly query: URLSearchParams
}

/** The state of a service that the rules need. */
export interface ServiceState {
  readonly platform: Platform
  readonly identities: ReadonlyArray<Identity>
  /** The known resources; undefined: any resource. */
  readonly resources: ReadonlyArray<string> | undefined
  /** The expected value of `X-IDENTITY-HEADER`. */
  readonly header: string
  /** Returns whether the value is the content of an unused key file. */
  readonly isKey: (key: string) => boolean
}

export type Verdict =
  | { readonly _tag: "Granted"; readonly identity: Identity; readonly resource: string }
  | { readonly _tag: "Refused"; readonly status: number; readonly body: unknown }
  /** Azure Arc: the client must send the content of a key file. */
  | { readonly _tag: "Challenged" }

/** Decides about a request. */
export const judge = (request: RequestParts, state: ServiceState): Verdict => {
  const refuse = refusals[state.platform]
  const rejection = checkHeaders(request, state)
  if (rejection !== undefined) return rejection
  const duplicate = [...new Set(request.query.keys())].find((name) => request.query.getAll(name).length > 1)
  if (duplicate !== undefined) return refuse(400, `The parameter ${duplicate} is there more than once`)
  const version = request.query.get("api-version") ?? ""
  if (!/^\d{4}-\d{2}-\d{2}$/.test(version) || version < oldest[state.platform]) {
    return refuse(400, `The api-version '${version}' is invalid`)
  }
  const resource = request.query.get("resource") ?? ""
  if (resource === "") return refuse(400, "The parameter resource is missing")
  const unknownParameter = [...request.query.keys()].find((name) =>
    name !== "api-version" && name !== "resource" && !(name in ids[state.platform])
  )
  if (unknownParameter !== undefined) return refuse(400, `The parameter ${unknownParameter} is not known`)
  const named = [...request.query].filter(([name]) => name in ids[state.platform])
  if (named.length > 1) return refuse(400, "The identity is named more than once")
  const identity = findIdentity(named[0], state)
  if (typeof identity === "string") return refuse(400, identity)
  if (state.platform === "azureArc" && !state.isKey(request.headers["authorization"]?.replace(/^Basic /, "") ?? "")) {
    return { _tag: "Challenged" }
  }
  return state.resources?.includes(resource) === false
    ? unknownResource(resource, state.platform)
    : { _tag: "Granted", identity, resource }
}

// -----------------------------------------------------------------------------
// parameters
// -----------------------------------------------------------------------------

const oldest: Readonly<Record<Platform, string>> = {
  imds: "2018-02-01",
  appService: "2019-08-01",
  azureArc: "2019-11-01"
}

type Ids = Readonly<Record<string, "clientId" | "objectId" | "resourceId">>

/** The query parameters that name an identity. Azure Arc has a single identity and no such parameter. */
const ids: Readonly<Record<Platform, Ids>> = {
  imds: { client_id: "clientId", object_id: "objectId", msi_res_id: "resourceId" },
  appService: {
    client_id: "clientId",
    principal_id: "objectId",
    object_id: "objectId",
    mi_res_id: "resourceId"
  },
  azureArc: {}
}

const findIdentity = (
  named: readonly [string, string] | undefined,
  { identities, platform }: ServiceState
): Identity | string => {
  const systemAssigned = identities.find(({ resourceId }) => resourceId === undefined)
  if (named === undefined) {
    if (systemAssigned !== undefined) return systemAssigned
    const [only, ...others] = identities
    return platform === "appService" || only === undefined
      ? notFound[platform]
      : others.length === 0
      ? only
      : severalIdentities
  }
  const [name, value] = named
  const member = ids[platform][name]
  const found = identities.find((identity) =>
    member !== undefined && identity.resourceId !== undefined && identity[member]?.toLowerCase() === value.toLowerCase()
  )
  return found ?? notFound[platform]
}

const notFound: Readonly<Record<Platform, string>> = {
  imds: "Identity not found",
  appService: "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId.",
  azureArc: "Identity not found"
}

const severalIdentities =
  "Multiple user assigned identities exist, please specify the clientId / resourceId of the identity in the token request"

// -----------------------------------------------------------------------------
// refusals
// -----------------------------------------------------------------------------

/** Checks the headers that protect the service against forwarded requests. */
const checkHeaders = ({ headers }: RequestParts, { header, platform }: ServiceState): Verdict | undefined => {
  switch (platform) {
    case "imds":
      if (headers["x-forwarded-for"] !== undefined) {
        return refusals.imds(400, "A request with X-Forwarded-For is refused")
      }
      return headers["metadata"] === "true" ? undefined : refused(400, {
        error: "bad_request_102",
        error_description: "Required metadata header not specified"
      })
    case "azureArc":
      return headers["metadata"]?.toLowerCase() === "true"
        ? undefined
        : refusals.azureArc(400, "Required metadata header not specified")
    case "appService":
      return headers["x-identity-header"] === header
        ? undefined
        : refusals.appService(401, `The header X-IDENTITY-HEADER is missing or wrong: ${headers["x-identity-header"]}`)
  }
}

const refused = (status: number, body: unknown): Verdict => ({ _tag: "Refused", status, body })

const oauth = (status: number, text: string) => refused(status, { error: "invalid_request", error_description: text })

const refusals: Readonly<Record<Platform, (status: number, text: string) => Verdict>> = {
  imds: oauth,
  azureArc: oauth,
  appService: (status, text) => refused(status, { statusCode: status, message: text })
}

const unknownResource = (resource: string, platform: Platform): Verdict => {
  const text = `AADSTS500011: The resource principal named ${resource} was not found in the tenant`
  return platform === "appService"
    ? refusals.appService(400, text)
    : refused(400, { error: "invalid_resource", error_description: text })
}
