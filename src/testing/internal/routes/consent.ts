/**
 * `GET /:tenant/adminconsent` and `/:tenant/v2.0/adminconsent`: the page on which an administrator grants the
 * permissions of an app. The administrator accepts at once, unless a fault is scripted for the endpoint `consent`. The
 * page of version 2.0 takes scopes and names them in its redirect.
 */
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { nextFault } from "../faults/faultResponse.ts"
import * as Refusal from "../http/refusal.ts"
import { newGuid, readCorrelationId, readTarget, type Target } from "../http/wire.ts"
import { consent } from "../world/registrations.ts"
import type { AppState, Tenant, World } from "../world/world.ts"

type Answer = HttpServerResponse.HttpServerResponse

/** Creates the handler of the consent page. */
export const adminConsent = (world: World) => (request: HttpServerRequest.HttpServerRequest): Effect.Effect<Answer> => {
  const target = readTarget(request, world.origin)
  const describe = (refusal: Refusal.Refusal) =>
    Refusal.describe(refusal, {
      traceId: newGuid(),
      correlationId: readCorrelationId(request, target),
      now: world.clock.currentTimeMillisUnsafe()
    }, "\r\n")
  /** Shows an error on a page of the service: the address in the request is not trusted. */
  const show = (refusal: Refusal.Refusal): Answer => {
    world.ledger.refused(refusal.code)
    return errorPage(describe(refusal))
  }
  return Effect.gen(function*() {
    const { app, redirectUri, tenant } = yield* readPage(world, target)
    const redirect = (members: Readonly<Record<string, string>>): Answer | undefined => {
      if (redirectUri === undefined) return undefined
      const url = new URL(redirectUri)
      const state = target.query.get("state")
      const scope = isV2(request) ? target.query.get("scope") : null
      const query = {
        ...members,
        admin_consent: "True",
        tenant: tenant.id,
        ...(state === null ? {} : { state }),
        ...(scope === null ? {} : { scope })
      }
      for (const [name, value] of Object.entries(query)) url.searchParams.append(name, value)
      return HttpServerResponse.redirect(url)
    }
    const scripted = yield* nextFault(world, "consent", request, { ...target, tenant: tenant.id }, {}, (refusal) => {
      const description = describe(refusal)
      return redirect({ error: refusal.error, error_description: description }) ?? errorPage(description)
    })
    if (scripted !== undefined) return scripted
    consent(app, tenant)
    return redirect({}) ?? show(Refusal.noRedirectUri)
  }).pipe(Effect.catch((refusal) => Effect.sync(() => show(refusal))))
}

const isV2 = ({ url }: HttpServerRequest.HttpServerRequest): boolean => /\/v2\.0\/adminconsent(?:\?|$)/i.test(url)

const readPage = Effect.fnUntraced(function*(world: World, target: Target): Effect.fn.Return<{
  readonly tenant: Tenant
  readonly app: AppState
  readonly redirectUri: string | undefined
}, Refusal.Refusal> {
  const { query } = target
  const tenant = tenantOf(world, target)
  if (tenant === undefined) return yield* Effect.fail(Refusal.unknownTenant(target.tenant))
  const clientId = query.get("client_id") ?? ""
  if (clientId === "") return yield* Effect.fail(Refusal.missingParameter("client_id"))
  const app = world.findApp(clientId)
  if (app === undefined) return yield* Effect.fail(Refusal.notInstalled(clientId, tenant.displayName ?? tenant.id))
  if (app.disabled) return yield* Effect.fail(Refusal.disabledClient(clientId))
  const redirectUri = query.get("redirect_uri") ?? app.redirectUris?.[0]
  const isRegistered = redirectUri === undefined ||
    (/^https?:/i.test(redirectUri) && URL.canParse(redirectUri) && (app.redirectUris?.includes(redirectUri) ?? true))
  return isRegistered ? { tenant, app, redirectUri } : yield* Effect.fail(Refusal.wrongRedirectUri(redirectUri))
})

/**
 * Returns the tenant in the path; for the names of several tenants, the tenant of the administrator in `login_hint`.
 */
const tenantOf = (world: World, target: Target): Tenant | undefined => {
  if (!/^(common|organizations)$/i.test(target.tenant)) return world.tenantAt(target)
  const [, name] = target.query.get("login_hint")?.split("@") ?? []
  return name === undefined ? world.firstTenant() : world.findTenant(name)
}

const entities: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;" }

const errorPage = (text: string): Answer => {
  const escaped = text.replace(/[&<>]/g, (character) => entities[character] ?? "")
  return HttpServerResponse.text(`<!DOCTYPE html><html><body><pre>${escaped}</pre></body></html>`, {
    status: 400,
    contentType: "text/html; charset=utf-8",
    headers: { "cache-control": "no-store, no-cache" }
  })
}
