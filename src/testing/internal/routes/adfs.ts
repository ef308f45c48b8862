/**
 * An AD FS at `/adfs`. It has no tenants, accepts assertions with the SHA-1 thumbprint and RS256, and has its own refusals.
 */
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Redacted from "effect/Redacted"
import { json, newGuid, readTarget } from "../http/wire.ts"
import { verifyAssertion } from "../proof/clientAssertion.ts"
import type { AppState, ResourceState, World } from "../world/world.ts"
import { handleToken, type TokenRequest } from "./tokenHandler.ts"

type Handler = (request: HttpServerRequest.HttpServerRequest) => Effect.Effect<HttpServerResponse.HttpServerResponse>

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

/** A refusal of AD FS: two members, always with status 400. */
interface Refusal {
  readonly error: string
  readonly text: string
}

const refusal = (error: string, text: string): Refusal => ({ error, text })

// The codes and their `error` are recorded from AD FS. Our own are the cases that they are used for, and the text after the
// first sentence: AD FS writes its reasons to its log only, but a test needs them.
const missing = (name: string) => refusal("invalid_request", `The request must contain the parameter '${name}'.`)
const duplicated = (name: string) => refusal("invalid_request", `The parameter '${name}' is duplicated.`)
const unsupportedGrant = (grant: string) =>
  refusal("unsupported_grant_type", `MSIS9611: The authorization server does not support the grant '${grant}'.`)
const unauthenticated = (why: string) =>
  refusal("invalid_client", `MSIS9622: Client authentication failed. Please verify the credential. ${why}`)
const unknownResource = (name: string) =>
  refusal("invalid_resource", `MSIS9602: There is no registered resource with the identifier '${name}'.`)
const forbidden = (clientId: string) =>
  refusal("unauthorized_client", `MSIS9605: The client is not allowed to access the requested resource: ${clientId}.`)

/** `POST /adfs/oauth2/token`. */
export const token = (world: World): Handler => (request) =>
  world.adfs
    ? handleToken(world, request, {
      target: readTarget(request, world.origin),
      tenant: "adfs",
      issue: (tokenRequest) => issue(world, tokenRequest),
      codeOf: ({ error }) => error,
      refuse: ({ error, text }, correlationId) =>
        json(400, { error, error_description: text }, { "client-request-id": correlationId })
    })
    : absent

/** `GET /adfs/.well-known/openid-configuration`. */
export const openIdConfiguration = (world: World): Handler => (request) => {
  if (!world.adfs) return absent
  world.ledger.discoveryRequest()
  const base = `${readTarget(request, world.origin).origin}/adfs`
  return Effect.succeed(json(200, {
    issuer: base,
    authorization_endpoint: `${base}/oauth2/authorize/`,
    token_endpoint: `${base}/oauth2/token`,
    jwks_uri: `${base}/discovery/keys`,
    token_endpoint_auth_methods_supported: ["client_secret_post", "private_key_jwt"],
    token_endpoint_auth_signing_alg_values_supported: ["RS256"],
    access_token_issuer: issuerOf(base),
    grant_types_supported: ["client_credentials"]
  }))
}

/** `GET /adfs/discovery/keys`. */
export const keys = (world: World): Handler => () => {
  if (!world.adfs) return absent
  world.ledger.discoveryRequest()
  return Effect.map(world.signer.jwks, (jwks) => json(200, jwks))
}

const absent = Effect.succeed(HttpServerResponse.empty({ status: 404 }))

/** Returns the issuer of access tokens: the name of the federation service, which is an http URL. */
const issuerOf = (base: string) => `${base.replace(/^https:/, "http:")}/services/trust`

const issue = Effect.fnUntraced(function*(
  world: World,
  request: TokenRequest
): Effect.fn.Return<unknown, Refusal> {
  const { form: { duplicated: duplicate, fields }, target } = request
  if (duplicate !== undefined) return yield* Effect.fail(duplicated(duplicate))
  const grant = yield* required(request, "grant_type")
  if (grant !== "client_credentials") return yield* Effect.fail(unsupportedGrant(grant))
  const clientId = yield* required(request, "client_id")
  const app = world.findApp(clientId)
  if (app === undefined || app.disabled) {
    return yield* Effect.fail(unauthenticated(`There is no enabled client '${clientId}'.`))
  }
  yield* authenticate(world, app, request)
  const resource = yield* findResource(world, fields["resource"] ?? (yield* required(request, "scope")))
  const roles = app.rolesEverywhere(resource)
  if (roles.length === 0 && resource.withoutRole !== "token") return yield* Effect.fail(forbidden(app.clientId))
  const now = Math.floor(world.clock.currentTimeMillisUnsafe() / 1000)
  return {
    access_token: yield* world.signer.sign({
      aud: resource.audience,
      iss: issuerOf(`${target.origin}/adfs`),
      iat: now,
      nbf: now,
      exp: now + world.tokenLifetime,
      apptype: "Confidential",
      appid: app.clientId,
      jti: newGuid(),
      ver: "1.0",
      ...(roles.length === 0 ? {} : { roles: [...roles] })
    }),
    // AD FS sends the type in lower case.
    token_type: "bearer",
    expires_in: world.tokenLifetime
  }
})

const required = ({ form }: TokenRequest, name: string): Effect.Effect<string, Refusal> => {
  const value = form.fields[name]
  return value === undefined || value === "" ? Effect.fail(missing(name)) : Effect.succeed(value)
}

const authenticate = (
  world: World,
  app: AppState,
  { form: { fields }, target }: TokenRequest
): Effect.Effect<void, Refusal> => {
  const { client_assertion: assertion = "", client_secret: secret = "" } = fields
  if ((assertion === "") === (secret === "")) {
    return Effect.fail(unauthenticated("Send either 'client_secret' or 'client_assertion'."))
  }
  if (secret !== "") {
    return app.secrets.some((known) => Redacted.value(known) === secret)
      ? Effect.void
      : Effect.fail(unauthenticated("The secret is not one of the client's secrets."))
  }
  if (fields["client_assertion_type"] !== assertionType) {
    return Effect.fail(unauthenticated("The parameter 'client_assertion_type' is missing or unknown."))
  }
  return Effect.mapError(
    verifyAssertion(assertion, {
      clientId: app.clientId,
      rules: "adfs",
      certificates: app.certificates,
      trustedSubjects: [],
      audiences: [`${target.origin}${target.path}`],
      replays: world.replays,
      now: world.clock.currentTimeMillisUnsafe()
    }),
    ({ text }) => unauthenticated(text)
  )
}

/** Finds a resource by `scope` (the identifier, a slash and the name of a scope) or by `resource` (the identifier). */
const findResource = (world: World, name: string): Effect.Effect<ResourceState, Refusal> => {
  const resource = world.findResource(name, undefined) ??
    world.findResource(name.replace(/\/[^/]*$/, ""), undefined)
  return resource === undefined ? Effect.fail(unknownResource(name)) : Effect.succeed(resource)
}
