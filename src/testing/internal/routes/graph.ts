/**
 * A small Microsoft Graph that verifies the token of every request.
 */
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Schema from "effect/Schema"
import { decodeJwt } from "jose"
import type { Refuse } from "../faults/faultResponse.ts"
import { json, newGuid, readTarget, type Target } from "../http/wire.ts"
import { graphAppId } from "../world/defaultWorld.ts"
import { externalIssuer, type Tenant, type World } from "../world/world.ts"

type Answer = HttpServerResponse.HttpServerResponse
type Handler = (request: HttpServerRequest.HttpServerRequest) => Effect.Effect<Answer>

const defaultPageSize = 100
const maxPageSize = 999
const invalidToken = "Access token validation failure."

const Claims = Schema.Struct({
  roles: Schema.optionalKey(Schema.Array(Schema.String))
})
const decodeClaims = Schema.decodeUnknownEffect(Claims)

/** `GET /v1.0/users`. */
export const users = (world: World): Handler =>
  authorized(world, ["User.Read.All", "Directory.Read.All"], (tenant, target) => {
    const page = readPage(target)
    if (page === undefined) return error(400, "BadRequest", "$top must be 1 to 999, and $skiptoken one of ours.")
    const all = world.directoryOf(tenant).users()
    const end = page.start + page.size
    const size = target.query.has("$top") ? `$top=${page.size}&` : ""
    return json(200, {
      "@odata.context": `${target.origin}/v1.0/$metadata#users`,
      ...(end < all.length ? { "@odata.nextLink": `${target.origin}${target.path}?${size}$skiptoken=${end}` } : {}),
      value: all.slice(page.start, end)
    })
  })

/**
 * Handles `GET /v1.0/users/delta`: the users and their changes, page by page. The last page has the link for the
 * changes that follow. The header `Prefer: odata.maxpagesize` sets the size of a page.
 */
export const usersDelta = (world: World): Handler =>
  authorized(world, ["User.Read.All", "Directory.Read.All"], (tenant, target, request) => {
    const directory = world.directoryOf(tenant)
    const link = (name: "$skiptoken" | "$deltatoken", ...numbers: ReadonlyArray<number>) =>
      `${target.origin}${target.path}?${name}=${[directory.epoch(), ...numbers].join(".")}`
    const answer = (value: ReadonlyArray<unknown>, next: Readonly<Record<string, string>>) =>
      json(200, { "@odata.context": `${target.origin}/v1.0/$metadata#users`, ...next, value })
    const asked = readDelta(target)
    if (asked === undefined) return error(400, "BadRequest", "$skiptoken or $deltatoken is not one of ours.")
    if (asked === "latest") return answer([], { "@odata.deltaLink": link("$deltatoken", directory.version()) })
    const { after, begun = directory.version(), epoch = directory.epoch() } = asked
    if (epoch !== directory.epoch()) {
      return error(410, "syncStateNotFound", "The sync state is not found. Run a full synchronization.", {
        location: `${target.origin}${target.path}?$deltatoken=`
      })
    }
    // A first query does not report users that were removed before it.
    const changes = directory.changesAfter(after).filter(({ user, version }) => user !== undefined || version > begun)
    const page = changes.slice(0, readMaxPageSize(request.headers["prefer"]))
    const last = page.at(-1)?.version ?? after
    return answer(
      page.map(({ id, user }) => user ?? { id, "@removed": { reason: "deleted" } }),
      page.length < changes.length
        ? { "@odata.nextLink": link("$skiptoken", last, begun) }
        : { "@odata.deltaLink": link("$deltatoken", Math.max(last, directory.version())) }
    )
  })

/** `GET /v1.0/organization`. */
export const organization = (world: World): Handler =>
  authorized(world, ["Organization.Read.All", "Directory.Read.All"], (tenant, target) =>
    json(200, {
      "@odata.context": `${target.origin}/v1.0/$metadata#organization`,
      value: [{
        id: tenant.id,
        displayName: tenant.displayName ?? tenant.id,
        verifiedDomains: tenant.domain === undefined ? [] : [{ name: tenant.domain, isDefault: true, isInitial: true }]
      }]
    }))

const authorized = (
  world: World,
  roles: ReadonlyArray<string>,
  answer: (tenant: Tenant, target: Target, request: HttpServerRequest.HttpServerRequest) => Answer
): Handler =>
(request) => {
  world.ledger.graphRequest()
  const token = bearerToken(request)
  if (token === undefined) return Effect.succeed(unauthorized("Access token is empty."))
  const tenant = world.findTenant(claimedTenantId(token))
  const graph = tenant === undefined ? undefined : world.findResource(graphAppId, tenant)
  if (tenant === undefined || graph === undefined) return Effect.succeed(unauthorized(invalidToken))
  return world.signer.verify(token, {
    issuers: [`${world.origin}/${tenant.id}/v2.0`, externalIssuer(tenant)],
    audiences: [graph.audience, ...graph.names],
    now: new Date(world.clock.currentTimeMillisUnsafe())
  }).pipe(
    Effect.flatMap(decodeClaims),
    Effect.match({
      onFailure: () => unauthorized(invalidToken),
      onSuccess: (claims) => {
        if (!roles.some((role) => claims.roles?.includes(role))) {
          return error(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
        }
        return answer(tenant, readTarget(request, world.origin), request)
      }
    })
  )
}

/** Reads the target of a request for the scripted faults. Its tenant is the unverified tenant of the token. */
export const graphTarget = (request: HttpServerRequest.HttpServerRequest, ownOrigin: string): Target => ({
  ...readTarget(request, ownOrigin),
  tenant: claimedTenantId(bearerToken(request) ?? "")
})

/** Creates the response of a scripted refusal in the format of Microsoft Graph. */
export const refuse: Refuse = ({ error: code, status, text }, { headers }) =>
  error(status, graphCodes[status] ?? code, text, headers)

const graphCodes: Readonly<Record<number, string>> = {
  401: "InvalidAuthenticationToken",
  403: "Authorization_RequestDenied",
  429: "TooManyRequests",
  503: "serviceNotAvailable"
}

const bearerToken = (request: HttpServerRequest.HttpServerRequest): string | undefined =>
  /^Bearer +([^ ]+)$/i.exec(request.headers["authorization"] ?? "")?.[1]

/** Returns the unverified `tid` claim, which selects the expected issuers and audiences; an empty string without one. */
const claimedTenantId = (token: string): string => {
  try {
    const { tid } = decodeJwt(token)
    return typeof tid === "string" ? tid : ""
  } catch {
    return ""
  }
}

/** A delta query: the changes after a version, of a round that began at the version `begun`. */
interface DeltaQuery {
  readonly after: number
  /** Default: the current version. */
  readonly begun?: number | undefined
  /** Default: the current epoch. */
  readonly epoch?: number | undefined
}

const readDelta = ({ query }: Target): DeltaQuery | "latest" | undefined => {
  const token = query.get("$skiptoken") ?? query.get("$deltatoken") ?? ""
  if (token === "") return { after: 0 }
  if (token === "latest") return "latest"
  const [epoch, after, begun, ...others] = [...token.split("."), ...(query.has("$skiptoken") ? [] : ["0"])].map(
    readCount
  )
  const isComplete = epoch !== undefined && after !== undefined && begun !== undefined && others.length === 0
  return isComplete ? { epoch, after, begun } : undefined
}

/** Returns the size of a page. Other preferences, and sizes that are not 1 to 999, are ignored. */
const readMaxPageSize = (prefer = ""): number => {
  const size = readCount(/(?:^|[,;\s])odata\.maxpagesize=(\d+)/i.exec(prefer)?.[1] ?? "") ?? 0
  return size >= 1 && size <= maxPageSize ? size : defaultPageSize
}

const readPage = ({ query }: Target): { readonly start: number; readonly size: number } | undefined => {
  const start = readCount(query.get("$skiptoken") ?? "0")
  const size = readCount(query.get("$top") ?? String(defaultPageSize))
  return start === undefined || size === undefined || size < 1 || size > maxPageSize ? undefined : { start, size }
}

const readCount = (text: string): number | undefined => /^\d{1,9}$/.test(text) ? Number(text) : undefined

const error = (
  status: number,
  code: string,
  message: string,
  headers: Readonly<Record<string, string>> = {}
): Answer => {
  const id = newGuid()
  return json(status, { error: { code, message, innerError: { "request-id": id, "client-request-id": id } } }, headers)
}

const unauthorized = (message: string): Answer =>
  error(401, "InvalidAuthenticationToken", message, { "www-authenticate": "Bearer realm=\"\"" })
