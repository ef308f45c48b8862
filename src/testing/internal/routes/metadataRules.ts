/** What the three services of the platforms accept, and how each refuses the rest. */

/**
 * Which service is played.
 *
 * @category models
 * @since 0.1.0
 */
export type Platform = "imds" | "appService" | "azureArc"

/**
 * A managed identity; one without `resourceId` is the system-assigned one.
 *
 * @category models
 * @since 0.1.0
 */
export interface Identity {
  readonly clientId: string
  readonly objectId: string
  readonly resourceId?: string | undefined
}

export interface Asked {
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly query: URLSearchParams
}

export interface Known {
  readonly platform: Platform
  readonly identities: ReadonlyArray<Identity>
  /** Absent: any. */
  readonly resources: ReadonlyArray<string> | undefined
  /** What `X-IDENTITY-HEADER` has to be. */
  readonly header: string
  /** Whether this is the content of a key file that was named, and not used yet. */
  readonly isKey: (key: string) => boolean
}

export type Verdict =
  | { readonly _tag: "Granted"; readonly identity: Identity; readonly resource: string }
  | { readonly _tag: "Refused"; readonly status: number; readonly body: unknown }
  /** Azure Arc: show that you can read a file. */
  | { readonly _tag: "Challenged" }

export const judge = (asked: Asked, known: Known): Verdict => {
  const refuse = refusals[known.platform]
  const intruder = admission(asked, known)
  if (intruder !== undefined) return intruder
  const doubled = [...new Set(asked.query.keys())].find((name) => asked.query.getAll(name).length > 1)
  if (doubled !== undefined) return refuse(400, `The parameter ${doubled} is there more than once`)
  const version = asked.query.get("api-version") ?? ""
  if (!/^\d{4}-\d{2}-\d{2}$/.test(version) || version < oldest[known.platform]) {
    return refuse(400, `The api-version '${version}' is invalid`)
  }
  const resource = asked.query.get("resource") ?? ""
  if (resource === "") return refuse(400, "The parameter resource is missing")
  const strange = [...asked.query.keys()].find((name) =>
    name !== "api-version" && name !== "resource" && !(name in ids[known.platform])
  )
  if (strange !== undefined) return refuse(400, `The parameter ${strange} is not known`)
  const named = [...asked.query].filter(([name]) => name in ids[known.platform])
  if (named.length > 1) return refuse(400, "The identity is named more than once")
  const identity = find(named[0], known)
  if (typeof identity === "string") return refuse(400, identity)
  if (known.platform === "azureArc" && !known.isKey(asked.headers["authorization"]?.replace(/^Basic /, "") ?? "")) {
    return { _tag: "Challenged" }
  }
  return known.resources?.includes(resource) === false
    ? unknownResource(resource, known.platform)
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

/** Azure Arc has one identity, and so no name for it. */
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

const find = (named: readonly [string, string] | undefined, { identities, platform }: Known): Identity | string => {
  const systemAssigned = identities.find(({ resourceId }) => resourceId === undefined)
  if (named === undefined) {
    if (systemAssigned !== undefined) return systemAssigned
    const [only, ...others] = identities
    return platform === "appService" || only === undefined ? notFound[platform] : others.length === 0 ? only : several
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

const several =
  "Multiple user assigned identities exist, please specify the clientId / resourceId of the identity in the token request"

// -----------------------------------------------------------------------------
// refusals
// -----------------------------------------------------------------------------

/** The headers that show that a request was meant for this service, and was not led to it by somebody else. */
const admission = ({ headers }: Asked, { header, platform }: Known): Verdict | undefined => {
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
