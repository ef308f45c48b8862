/**
 * OpenID providers at `/realms/<name>` without any part of Entra: RFC 6749, RFC 7523, OpenID Connect Discovery.
 */
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { json, newGuid, readTarget, type Target } from "../http/wire.ts"
import { authenticateClient, type RealmRefusal } from "../proof/realmClient.ts"
import type { Realm, World } from "../world/world.ts"
import { handleToken, type TokenRequest } from "./tokenHandler.ts"

type Handler = (request: HttpServerRequest.HttpServerRequest) => Effect.Effect<HttpServerResponse.HttpServerResponse>

/** Reads the target of a request to a realm; its `tenant` is the name of the realm. */
export const realmTarget = (request: HttpServerRequest.HttpServerRequest, ownOrigin: string): Target => {
  const target = readTarget(request, ownOrigin)
  return { ...target, tenant: decodeName(target.path.split("/")[2] ?? "") }
}

const decodeName = (segment: string): string => {
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}

/** Creates a handler that responds with 404 when the realm does not exist. */
const within = (
  world: World,
  answer: (
    realm: Realm,
    target: Target,
    request: HttpServerRequest.HttpServerRequest
  ) => Effect.Effect<HttpServerResponse.HttpServerResponse>
): Handler =>
(request) => {
  const target = realmTarget(request, world.origin)
  const realm = world.findRealm(target.tenant)
  return realm === undefined
    ? Effect.succeed(HttpServerResponse.empty({ status: 404 }))
    : answer(realm, target, request)
}

/** `GET /realms/:realm/.well-known/openid-configuration`. */
export const openIdConfiguration = (world: World): Handler =>
  within(world, (realm, target) => {
    world.ledger.discoveryRequest()
    const { issuer, keys, token } = addressesOf(realm, target)
    const methods = methodsOf(realm)
    return Effect.succeed(json(200, {
      issuer,
      token_endpoint: token,
      jwks_uri: keys,
      token_endpoint_auth_methods_supported: methods,
      ...(methods.includes("private_key_jwt")
        ? { token_endpoint_auth_signing_alg_values_supported: ["RS256", "PS256", "ES256", "ES384"] }
        : {}),
      grant_types_supported: ["client_credentials"],
      response_types_supported: [],
      subject_types_supported: ["public"],
      ...(realm.scopes === undefined ? {} : { scopes_supported: realm.scopes })
    }))
  })

/** `GET /realms/:realm/protocol/openid-connect/certs`. */
export const keys = (world: World): Handler =>
  within(world, () => {
    world.ledger.discoveryRequest()
    return Effect.map(world.signer.jwks, (jwks) => json(200, jwks))
  })

/** `POST /realms/:realm/protocol/openid-connect/token`. */
export const token = (world: World): Handler =>
  within(world, (realm, target, request) =>
    handleToken(world, request, {
      target,
      tenant: `realms/${realm.name}`,
      issue: (tokenRequest) => issue(world, realm, tokenRequest),
      codeOf: ({ error }) => error,
      refuse: ({ error, status, text }) =>
        json(
          status,
          { error, error_description: text },
          // RFC 6749 section 5.2 requires the header when the client used HTTP Basic.
          status === 401 && request.headers["authorization"] !== undefined
            ? { "www-authenticate": `Basic realm="${realm.name}"` }
            : {}
        )
    }))

const addressesOf = (realm: Realm, { origin }: Target) => {
  const issuer = `${origin}/realms/${encodeURIComponent(realm.name)}`
  const protocol = `${issuer}/protocol/openid-connect`
  return { issuer, token: `${protocol}/token`, keys: `${protocol}/certs` }
}

const methodsOf = (realm: Realm) =>
  realm.authMethods ?? (["client_secret_basic", "client_secret_post", "private_key_jwt"] as const)

const issue = Effect.fnUntraced(function*(
  world: World,
  realm: Realm,
  { form, headers, target }: TokenRequest
): Effect.fn.Return<unknown, RealmRefusal> {
  const { issuer, token } = addressesOf(realm, target)
  if (form.duplicated !== undefined) {
    return yield* Effect.fail(refusal("invalid_request", `the parameter '${form.duplicated}' is there twice`))
  }
  const { grant_type: grant, scope = "" } = form.fields
  if (grant === undefined) return yield* Effect.fail(refusal("invalid_request", "there is no 'grant_type'"))
  const app = yield* authenticateClient(world, realm, {
    authorization: headers["authorization"],
    fields: form.fields,
    audiences: [issuer, token],
    methods: methodsOf(realm)
  })
  if (grant !== "client_credentials") {
    return yield* Effect.fail(refusal("unsupported_grant_type", `there is no grant '${grant}' here`))
  }
  const unknown = scope.split(" ").find((part) => part !== "" && realm.scopes?.includes(part) === false)
  if (unknown !== undefined) return yield* Effect.fail(refusal("invalid_scope", `there is no scope '${unknown}' here`))
  const now = Math.floor(world.clock.currentTimeMillisUnsafe() / 1000)
  return {
    access_token: yield* world.signer.sign({
      iss: issuer,
      sub: app.clientId,
      aud: realm.audience ?? issuer,
      client_id: app.clientId,
      iat: now,
      nbf: now,
      exp: now + world.tokenLifetime,
      jti: newGuid(),
      ...(scope === "" ? {} : { scope })
    }),
    token_type: "Bearer",
    expires_in: world.tokenLifetime,
    ...(scope === "" ? {} : { scope })
  }
})

const refusal = (error: string, text: string): RealmRefusal => ({ status: 400, error, text })
