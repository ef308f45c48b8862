/**
 * The discovery documents: instance discovery, OpenID configuration, keys.
 */
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Refusal from "../http/refusal.ts"
import { json, readCorrelationId, readTarget, type Target } from "../http/wire.ts"
import type { World } from "../world/world.ts"

type Handler = (request: HttpServerRequest.HttpServerRequest) => Effect.Effect<HttpServerResponse.HttpServerResponse>

const refuse = (
  world: World,
  request: HttpServerRequest.HttpServerRequest,
  target: Target,
  refusal: Refusal.Refusal
): HttpServerResponse.HttpServerResponse => {
  world.ledger.refused(refusal.code)
  return Refusal.toResponse(refusal, {
    origin: world.origin,
    now: world.clock.currentTimeMillisUnsafe(),
    correlationId: readCorrelationId(request, target)
  })
}

/** Returns the name of a tenant in URLs: its id, or the reserved word itself. */
const endpointTenant = (world: World, target: Target): string | undefined =>
  /^(common|organizations|consumers)$/i.test(target.tenant) ? target.tenant.toLowerCase() : world.tenantAt(target)?.id

/** Returns the issuer of a tenant; for reserved words the service returns a template with `{tenantid}`. */
const issuerOf = (world: World, target: Target): string => {
  const tenant = world.tenantAt(target)
  return tenant === undefined ? `${world.origin}/{tenantid}/v2.0` : world.issuerOf(tenant, target.origin)
}

/** `GET /common/discovery/instance`: the hosts of one cloud. */
export const instance = (world: World): Handler => (request) =>
  Effect.sync(() => {
    world.ledger.discoveryRequest()
    const target = readTarget(request, world.origin)
    const authorization = parseUrl(target.query.get("authorization_endpoint") ?? "")
    const hosts = [...new Set([...world.hosts, new URL(target.origin).host])]
    if (
      target.query.get("api-version") !== "1.1" || authorization === undefined || !hosts.includes(authorization.host)
    ) {
      return refuse(world, request, target, Refusal.unknownInstance)
    }
    const aliases = world.hosts.includes(authorization.host) ? world.hosts : [authorization.host]
    const tenant = authorization.pathname.split("/").find((segment) => segment !== "") ?? "common"
    return json(200, {
      tenant_discovery_endpoint: `${authorization.origin}/${tenant}/v2.0/.well-known/openid-configuration`,
      "api-version": "1.1",
      metadata: [{ preferred_network: aliases[0], preferred_cache: aliases[0], aliases }]
    })
  })

/** `GET /:tenant/v2.0/.well-known/openid-configuration`. */
export const openIdConfiguration = (world: World): Handler => (request) =>
  Effect.sync(() => {
    world.ledger.discoveryRequest()
    const target = readTarget(request, world.origin)
    const tenant = endpointTenant(world, target)
    if (tenant === undefined) return refuse(world, request, target, Refusal.invalidTenant(target.tenant))
    const base = `${target.origin}/${tenant}`
    return json(200, {
      token_endpoint: `${base}/oauth2/v2.0/token`,
      token_endpoint_auth_methods_supported: ["client_secret_post", "private_key_jwt"],
      jwks_uri: `${base}/discovery/v2.0/keys`,
      response_modes_supported: ["query", "fragment", "form_post"],
      subject_types_supported: ["pairwise"],
      id_token_signing_alg_values_supported: ["RS256"],
      response_types_supported: ["code", "id_token", "code id_token", "id_token token"],
      scopes_supported: ["openid", "profile", "email", "offline_access"],
      issuer: issuerOf(world, target),
      request_uri_parameter_supported: false,
      userinfo_endpoint: `${target.origin}/oidc/userinfo`,
      authorization_endpoint: `${base}/oauth2/v2.0/authorize`,
      end_session_endpoint: `${base}/oauth2/v2.0/logout`,
      claims_supported: ["sub", "iss", "aud", "exp", "iat", "tid", "ver"],
      tenant_region_scope: null,
      cloud_instance_name: "microsoftonline.com",
      cloud_graph_host_name: "graph.windows.net",
      msgraph_host: "graph.microsoft.com",
      rbac_url: "https://pas.windows.net"
    })
  })

/** `GET /:tenant/discovery/v2.0/keys`. */
export const keys = (world: World): Handler => (request) => {
  world.ledger.discoveryRequest()
  const target = readTarget(request, world.origin)
  return endpointTenant(world, target) === undefined
    ? Effect.sync(() => refuse(world, request, target, Refusal.invalidTenant(target.tenant)))
    : Effect.map(world.signer.jwks, (jwks) => json(200, jwks))
}

const parseUrl = (text: string): URL | undefined => URL.canParse(text) ? new URL(text) : undefined
