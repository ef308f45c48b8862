/**
 * `POST /:tenant/oauth2/v2.0/token`: checks a token request in the order of the service, and issues a token.
 */
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Redacted from "effect/Redacted"
import * as Refusal from "../http/refusal.ts"
import { type Form, newOpaque, readTarget, stableGuid, type Target } from "../http/wire.ts"
import { verifyAssertion } from "../proof/clientAssertion.ts"
import { isOfPlatform, verifyPlatformToken } from "../proof/federation.ts"
import type { AppState, ResourceState, Tenant, World } from "../world/world.ts"
import { readCapabilities } from "./claimsRequest.ts"
import { handleToken } from "./tokenHandler.ts"

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

/** Creates the handler of token requests. */
export const token = (world: World) =>
(
  request: HttpServerRequest.HttpServerRequest
): Effect.Effect<HttpServerResponse.HttpServerResponse> => {
  const target = readTarget(request, world.origin)
  return handleToken(world, request, {
    target,
    tenant: world.tenantAt(target)?.id,
    issue: ({ form }) => issue(world, target, form),
    codeOf: ({ code }) => code,
    refuse: (refusal, correlationId) =>
      Refusal.toResponse(refusal, {
        origin: world.origin,
        now: world.clock.currentTimeMillisUnsafe(),
        correlationId
      })
  })
}

const issue = Effect.fnUntraced(function*(
  world: World,
  target: Target,
  form: Form
): Effect.fn.Return<unknown, Refusal.Refusal> {
  const tenant = yield* checkTenant(world, target)
  if (form.duplicated !== undefined) return yield* Effect.fail(Refusal.duplicatedParameter(form.duplicated))
  const grant = yield* required(form, "grant_type")
  if (grant !== "client_credentials") return yield* Effect.fail(Refusal.unsupportedGrant(grant))
  const app = yield* checkApp(world, tenant, yield* required(form, "client_id"))
  const scope = yield* required(form, "scope")
  const capabilities = yield* readCapabilities(form.fields["claims"])
  const method = yield* checkCredential(world, target, tenant, app, form)
  const resource = yield* checkScope(world, tenant, scope)
  const roles = yield* checkRoles(tenant, app, resource)
  const expiresIn = world.tokenLifetime
  return {
    token_type: "Bearer",
    expires_in: expiresIn,
    ext_expires_in: expiresIn,
    ...(world.refreshIn === undefined ? {} : { refresh_in: world.refreshIn }),
    access_token: yield* world.signer.sign(claimsOf(world, tenant, app, resource, {
      issuer: world.issuerOf(tenant, target.origin),
      method,
      roles,
      capabilities
    }))
  }
})

const checkTenant = (world: World, target: Target): Effect.Effect<Tenant, Refusal.Refusal> => {
  if (/^(common|organizations|consumers)$/i.test(target.tenant)) return Effect.fail(Refusal.noTenant)
  const tenant = world.tenantAt(target)
  return tenant === undefined ? Effect.fail(Refusal.unknownTenant(target.tenant)) : Effect.succeed(tenant)
}

const required = (form: Form, name: string): Effect.Effect<string, Refusal.Refusal> => {
  const value = form.fields[name]
  return value === undefined || value === "" ? Effect.fail(Refusal.missingParameter(name)) : Effect.succeed(value)
}

const checkApp = (world: World, tenant: Tenant, clientId: string): Effect.Effect<AppState, Refusal.Refusal> => {
  const app = world.findApp(clientId)
  if (app === undefined) return Effect.fail(Refusal.unknownClient(clientId))
  if (!app.installations.has(tenant)) {
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
  if (isOfPlatform(assertion)) return Effect.as(verifyPlatformToken(world, app, assertion), "2")
  return Effect.as(
    verifyAssertion(assertion, {
      clientId: app.clientId,
      rules: "entra",
      certificates: app.certificates,
      trustedSubjects: app.trustedSubjects,
      audiences: [`${target.origin}${target.path}`, world.issuerOf(tenant, target.origin)],
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

/** Returns the roles of an app. An app without roles gets a token too, unless the resource requires a role. */
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
  { capabilities, issuer, method, roles }: {
    readonly issuer: string
    readonly method: "1" | "2"
    readonly roles: ReadonlyArray<string>
    readonly capabilities: ReadonlyArray<string>
  }
) => {
  const now = Math.floor(world.clock.currentTimeMillisUnsafe() / 1000)
  const principal = stableGuid(`${tenant.id} ${app.clientId}`)
  return {
    aud: resource.audience,
    iss: issuer,
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
    ...(capabilities.length === 0 ? {} : { xms_cc: [...capabilities] }),
    xms_ftd: newOpaque(32)
  }
}
