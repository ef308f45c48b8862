/**
 * `POST /:tenant/oauth2/v2.0/token`: checks one request in the order of the service, and issues a token.
 */
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Redacted from "effect/Redacted"
import { verifyAssertion } from "./clientAssertion.ts"
import { nextFault } from "./faultResponse.ts"
import * as Refusal from "./refusal.ts"
import {
  type Form,
  json,
  newGuid,
  newOpaque,
  readCorrelationId,
  readForm,
  readTarget,
  stableGuid,
  type Target
} from "./wire.ts"
import type { AppState, ResourceState, Tenant, World } from "./world.ts"

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

/** Answers one token request. */
export const token = (world: World) =>
  Effect.fnUntraced(function*(
    request: HttpServerRequest.HttpServerRequest
  ): Effect.fn.Return<HttpServerResponse.HttpServerResponse> {
    const target = readTarget(request, world.origin)
    const body = yield* Effect.catch(request.text, () => Effect.succeed(""))
    const form = readForm(request.headers["content-type"], body)
    const correlationId = readCorrelationId(request, target, form.fields)
    const tenant = world.findTenant(target.tenant)
    world.ledger.tokenRequest(tenant?.id, {
      method: request.method,
      url: `${target.origin}${request.url.startsWith("/") ? request.url : target.path}`,
      tenant: target.tenant,
      headers: { ...request.headers },
      body,
      form: { ...form.fields }
    })
    const scripted = yield* nextFault(world, "token", request, target, form.fields)
    if (scripted !== undefined) return scripted
    return yield* issue(world, target, form).pipe(
      Effect.map((answer) => {
        world.ledger.tokenIssued()
        return json(200, answer, { "x-ms-request-id": newGuid(), "client-request-id": correlationId })
      }),
      Effect.catch((refusal) => {
        world.ledger.refused(refusal.code)
        const now = world.clock.currentTimeMillisUnsafe()
        return Effect.succeed(Refusal.toResponse(refusal, { origin: world.origin, now, correlationId }))
      })
    )
  })

const issue = Effect.fnUntraced(function*(
  world: World,
  target: Target,
  form: Form
): Effect.fn.Return<unknown, Refusal.Refusal> {
  const tenant = yield* checkTenant(world, target.tenant)
  if (form.duplicated !== undefined) return yield* Effect.fail(Refusal.duplicatedParameter(form.duplicated))
  const grant = yield* required(form, "grant_type")
  if (grant !== "client_credentials") return yield* Effect.fail(Refusal.unsupportedGrant(grant))
  const app = yield* checkApp(world, tenant, yield* required(form, "client_id"))
  const scope = yield* required(form, "scope")
  const method = yield* checkCredential(world, target, tenant, app, form)
  const resource = yield* checkScope(world, tenant, scope)
  const roles = yield* checkRoles(tenant, app, resource)
  const expiresIn = world.tokenLifetime
  return {
    token_type: "Bearer",
    expires_in: expiresIn,
    ext_expires_in: expiresIn,
    ...(world.refreshIn === undefined ? {} : { refresh_in: world.refreshIn }),
    access_token: yield* world.signer.sign(claimsOf(world, tenant, app, resource, { method, roles }))
  }
})

const checkTenant = (world: World, name: string): Effect.Effect<Tenant, Refusal.Refusal> => {
  if (/^(common|organizations|consumers)$/i.test(name)) return Effect.fail(Refusal.noTenant)
  const tenant = world.findTenant(name)
  return tenant === undefined ? Effect.fail(Refusal.unknownTenant(name)) : Effect.succeed(tenant)
}

const required = (form: Form, name: string): Effect.Effect<string, Refusal.Refusal> => {
  const value = form.fields[name]
  return value === undefined || value === "" ? Effect.fail(Refusal.missingParameter(name)) : Effect.succeed(value)
}

const checkApp = (world: World, tenant: Tenant, clientId: string): Effect.Effect<AppState, Refusal.Refusal> => {
  const app = world.findApp(clientId)
  if (app === undefined) return Effect.fail(Refusal.unknownClient(clientId))
  if (!app.isInstalledIn(tenant)) {
    return Effect.fail(
      app.isRegisteredIn(tenant)
        ? Refusal.noServicePrincipal(clientId, tenant.id)
        : Refusal.notInstalled(clientId, tenant.displayName ?? tenant.id)
    )
  }
  return app.disabled ? Effect.fail(Refusal.disabledClient(clientId)) : Effect.succeed(app)
}

const checkCredential = (
  world: World,
  target: Target,
  tenant: Tenant,
  app: AppState,
  { fields }: Form
): Effect.Effect<"1" | "2", Refusal.Refusal> => {
  const { client_assertion: assertion = "", client_secret: secret = "" } = fields
  if (assertion === "" && secret === "") return Effect.fail(Refusal.noCredential)
  if (assertion !== "" && secret !== "") return Effect.fail(Refusal.severalCredentials)
  if (secret !== "") {
    return app.secrets.some((known) => Redacted.value(known) === secret)
      ? Effect.succeed("1")
      : Effect.fail(Refusal.wrongSecret(app.clientId))
  }
  const { client_assertion_type: type } = fields
  if (type === undefined) return Effect.fail(Refusal.missingParameter("client_assertion_type"))
  if (type !== assertionType) return Effect.fail(Refusal.wrongAssertionType)
  return Effect.as(
    verifyAssertion(assertion, {
      clientId: app.clientId,
      certificates: app.certificates,
      audiences: [`${target.origin}${target.path}`, `${world.origin}/${tenant.id}/v2.0`],
      replays: world.replays,
      now: world.clock.currentTimeMillisUnsafe()
    }),
    "2"
  )
}

const checkScope = (world: World, tenant: Tenant, scope: string): Effect.Effect<ResourceState, Refusal.Refusal> => {
  const scopes = [...new Set(scope.split(/\s+/).filter((part) => part !== "").map((part) => part.toLowerCase()))]
  const suffix = "/.default"
  if (!scopes.every((part) => part.endsWith(suffix) && part.length > suffix.length)) {
    return Effect.fail(Refusal.invalidScope(scope))
  }
  const [first] = scopes
  if (first === undefined) return Effect.fail(Refusal.invalidScope(scope))
  if (scopes.length > 1) return Effect.fail(Refusal.severalResources(scope))
  const resource = world.findResource(first.slice(0, -suffix.length), tenant)
  return resource === undefined
    ? Effect.fail(Refusal.unknownResource(scope.trim().slice(0, -suffix.length), tenant.id))
    : Effect.succeed(resource)
}

/** The service gives a token to an app that may do nothing, unless the resource demands more. */
const checkRoles = (
  tenant: Tenant,
  app: AppState,
  resource: ResourceState
): Effect.Effect<ReadonlyArray<string>, Refusal.Refusal> => {
  const roles = app.rolesOf(resource, tenant)
  if (roles.length > 0 || resource.withoutRole === "token") return Effect.succeed(roles)
  const refusal = resource.withoutRole === "unassigned" ? Refusal.notAssigned : Refusal.noConsent
  return Effect.fail(refusal(app.clientId, resource.appId))
}

const claimsOf = (
  world: World,
  tenant: Tenant,
  app: AppState,
  resource: ResourceState,
  { method, roles }: { readonly method: "1" | "2"; readonly roles: ReadonlyArray<string> }
) => {
  const now = Math.floor(world.clock.currentTimeMillisUnsafe() / 1000)
  const principal = stableGuid(`${tenant.id} ${app.clientId}`)
  return {
    aud: resource.audience,
    iss: `${world.origin}/${tenant.id}/v2.0`,
    iat: now,
    nbf: now,
    exp: now + world.tokenLifetime,
    aio: newOpaque(24),
    azp: app.clientId,
    azpacr: method,
    oid: principal,
    rh: `1.${newOpaque(16)}.`,
    ...(roles.length === 0 ? {} : { roles: [...roles] }),
    sub: principal,
    tid: tenant.id,
    uti: newOpaque(16),
    ver: "2.0",
    xms_ftd: newOpaque(32)
  }
}
