/**
 * A small Microsoft Graph that verifies the token of every request.
 */
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Schema from "effect/Schema"
import { decodeJwt } from "jose"
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
    const all = tenant.users ?? []
    const end = page.start + page.size
    const size = target.query.has("$top") ? `$top=${page.size}&` : ""
    return json(200, {
      "@odata.context": `${target.origin}/v1.0/$metadata#users`,
      ...(end < all.length ? { "@odata.nextLink": `${target.origin}${target.path}?${size}$skiptoken=${end}` } : {}),
      value: all.slice(page.start, end)
    })
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
  answer: (tenant: Tenant, target: Target) => Answer
): Handler =>
(request) => {
  world.ledger.graphRequest()
  const [, token] = /^Bearer +([^ ]+)$/i.exec(request.headers["authorization"] ?? "") ?? []
  if (token === undefined) return Effect.succeed(unauthorized("Access token is empty."))
  const tenant = claimedTenant(world, token)
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
        return answer(tenant, readTarget(request, world.origin))
      }
    })
  )
}

/** Returns the tenant of the unverified `tid` claim, which selects the expected issuers and audiences. */
const claimedTenant = (world: World, token: string): Tenant | undefined => {
  try {
    const { tid } = decodeJwt(token)
    return typeof tid === "string" ? world.findTenant(tid) : undefined
  } catch {
    return undefined
  }
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
