/** Our client against `oidc-provider`: a server that is not ours says what it thinks of our secrets and assertions. */
import { assert, describe, layer } from "@effect/vitest"
import { Effect, Layer, Redacted, Schedule, Schema } from "effect"
import {
  AuthorityResolver,
  ClientCredential,
  ConfidentialClient,
  type EntraError,
  RetryPolicy,
  TokenCache,
  TokenEndpoint
} from "effect-entra"
import { TestCertificate } from "effect-entra/testing"
import { HttpClient, HttpClientRequest, HttpClientResponse } from "effect/http"
import * as jose from "jose"
import * as Issuers from "../foreign/oidcIssuers.ts"
import * as Oidc from "../foreign/oidcProvider.ts"
import { wrapped } from "../support/credentials.ts"
import { silent } from "../support/log.ts"

const orders = "api://orders"
const methods = ["secret", "PS256", "ES256"] as const
const algorithms = ["PS256", "ES256"] as const
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
const usedTwice = "client assertion tokens must only be used once"

type CredentialLayer = Layer.Layer<ClientCredential.ClientCredential, EntraError.CredentialError>

const ownCredential = (method: typeof methods[number]) =>
  Effect.map(Oidc.OidcProvider, ({ apps }): CredentialLayer =>
    method === "secret"
      ? ClientCredential.layerSecret(apps.secret.secret)
      : ClientCredential.layerCertificate(apps[method]))

/** A client of the app, with the app's own credential unless another is given. */
const Client = (method: typeof methods[number], options: {
  readonly credential?: CredentialLayer
  readonly transport?: keyof typeof Oidc.transports
} = {}) =>
  Layer.unwrap(Effect.gen(function*() {
    const { apps, origin } = yield* Oidc.OidcProvider
    return ConfidentialClient.layer({ clientId: apps[method].clientId, authority: origin }).pipe(
      Layer.provide([
        options.credential ?? (yield* ownCredential(method)),
        AuthorityResolver.layer,
        TokenEndpoint.layerWith({ retry: Schedule.recurs(3) }),
        TokenCache.layerMemory()
      ]),
      Layer.provide(Oidc.transports[options.transport ?? "undici"]),
      Layer.provideMerge(silent)
    )
  }))

const acquire = (tenantId: Oidc.Tenant, options: { readonly forceRefresh?: boolean } = {}) =>
  ConfidentialClient.acquireToken({ scopes: `${orders}/.default`, tenantId, ...options })

/** Runs an effect, and returns its result and the requests that the provider received meanwhile. */
const watched = Effect.fnUntraced(function*<A, E, R>(effect: Effect.Effect<A, E, R>) {
  const { exchanges } = yield* Oidc.OidcProvider
  const before = (yield* exchanges).length
  const result = yield* effect
  return { result, seen: (yield* exchanges).slice(before) }
})

const verdicts = (seen: ReadonlyArray<Oidc.Exchange>) => seen.map(({ reason, status }) => ({ status, reason }))
const issued = { status: 200, reason: undefined }
const unavailable = { status: 503, reason: undefined }

/** Sends a form as it is, without our library. */
const post = Effect.fnUntraced(function*(tenant: Oidc.Tenant, form: Oidc.Exchange["form"]) {
  const { origin } = yield* Oidc.OidcProvider
  const { result, seen } = yield* watched(
    HttpClientRequest.post(`${origin}/${tenant}/oauth2/v2.0/token`).pipe(
      HttpClientRequest.bodyUrlParams(form),
      HttpClient.execute,
      Effect.flatMap((response) => Effect.map(response.json, (body) => ({ status: response.status, body })))
    )
  )
  return { ...result, reasons: seen.map(({ reason }) => reason) }
}, Effect.provide(Oidc.transports["node:http"]))

const refusal = { error: "invalid_client", error_description: "client authentication failed" }

const Discovery = Schema.Struct({ issuer: Schema.String, jwks_uri: Schema.String, token_endpoint: Schema.String })
const Jwks = Schema.Struct({
  keys: Schema.Array(
    Schema.Struct({ kty: Schema.Literal("RSA"), kid: Schema.String, n: Schema.String, e: Schema.String })
  )
})

/** Returns the issuer and the keys of a tenant, as a resource server discovers them. */
const discover = Effect.fnUntraced(function*(tenant: Oidc.Tenant) {
  const { origin } = yield* Oidc.OidcProvider
  const issuer = `${origin}/${tenant}/v2.0`
  const document = yield* HttpClient.get(`${issuer}/.well-known/openid-configuration`).pipe(
    Effect.flatMap(HttpClientResponse.schemaBodyJson(Discovery))
  )
  assert.deepStrictEqual(document, {
    issuer,
    jwks_uri: `${origin}/${tenant}/discovery/v2.0/keys`,
    token_endpoint: `${origin}/${tenant}/oauth2/v2.0/token`
  })
  const { keys } = yield* HttpClient.get(document.jwks_uri).pipe(
    Effect.flatMap(HttpClientResponse.schemaBodyJson(Jwks))
  )
  return { issuer, jwks: jose.createLocalJWKSet({ keys: [...keys] }) }
}, Effect.provide(Oidc.transports["node:http"]))

const verify = (token: string, options: {
  readonly jwks: jose.JWTVerifyGetKey
  readonly issuer: string
  readonly audience?: string
}) =>
  Effect.tryPromise({
    try: () =>
      jose.jwtVerify(token, options.jwks, {
        issuer: options.issuer,
        audience: options.audience ?? orders,
        algorithms: ["RS256"],
        typ: "at+jwt"
      }),
    catch: (error) => error instanceof jose.errors.JOSEError ? `${error.code}: ${error.message}` : String(error)
  })

const assertionOf = ({ form }: Oidc.Exchange): string => form["client_assertion"] ?? "none"

/** Every request had an assertion of its own. */
const assertUsedOnce = (seen: ReadonlyArray<Oidc.Exchange>) => {
  const assertions = seen.map(assertionOf)
  assert.strictEqual(new Set(assertions).size, seen.length)
  assert.strictEqual(new Set(assertions.map((assertion) => jose.decodeJwt(assertion).jti)).size, seen.length)
}

layer(Oidc.layer, { excludeTestServices: true, timeout: "60 seconds" })("oidc-provider, two tenants", (it) => {
  describe("a token", () => {
    for (const method of methods) {
      it.effect(`for ${method}: good in its tenant, for its resource, and nowhere else; then from the cache`, () =>
        Effect.gen(function*() {
          const { apps, origin } = yield* Oidc.OidcProvider
          const [one, other] = Oidc.tenants
          for (const [tenant, foreign] of [[one, other], [other, one]] as const) {
            const { result, seen } = yield* watched(acquire(tenant))
            const token = Redacted.value(result.accessToken)
            assert.strictEqual(result.metadata.tokenSource, "IdentityProvider")
            assert.deepStrictEqual(seen.map(({ reason, status, tenant }) => ({ status, reason, tenant })), [
              { ...issued, tenant }
            ])

            const form = seen[0]?.form ?? {}
            assert.deepStrictEqual(
              Object.keys(form).sort(),
              method === "secret"
                ? ["client_id", "client_secret", "grant_type", "scope"]
                : ["client_assertion", "client_assertion_type", "client_id", "grant_type", "scope"]
            )
            if (method !== "secret") {
              assert.strictEqual(form["client_assertion_type"], assertionType)
              const assertion = form["client_assertion"] ?? ""
              assert.strictEqual(jose.decodeProtectedHeader(assertion).alg, method)
              assert.strictEqual(jose.decodeJwt(assertion).aud, `${origin}/${tenant}/oauth2/v2.0/token`)
            }

            const own = yield* discover(tenant)
            const theirs = yield* discover(foreign)
            const { payload } = yield* verify(token, own)
            assert.strictEqual(payload["client_id"], apps[method].clientId)
            assert.strictEqual(payload.sub, apps[method].clientId)
            assert.strictEqual(payload.exp, Math.floor(payload.iat ?? 0) + 3600)
            assert.strictEqual(
              yield* Effect.flip(verify(token, { ...own, jwks: theirs.jwks })),
              "ERR_JWS_SIGNATURE_VERIFICATION_FAILED: signature verification failed"
            )
            assert.strictEqual(
              yield* Effect.flip(verify(token, { ...own, issuer: theirs.issuer })),
              "ERR_JWT_CLAIM_VALIDATION_FAILED: unexpected \"iss\" claim value"
            )
            assert.strictEqual(
              yield* Effect.flip(verify(token, { ...own, audience: "api://billing" })),
              "ERR_JWT_CLAIM_VALIDATION_FAILED: unexpected \"aud\" claim value"
            )

            const again = yield* watched(acquire(tenant))
            assert.strictEqual(again.result.metadata.tokenSource, "Cache")
            assert.strictEqual(Redacted.value(again.result.accessToken), token)
            assert.deepStrictEqual(again.seen, [])
          }
        }).pipe(Effect.provide(Client(method))))
    }
  })

  describe("a refusal", () => {
    const unregistered = (algorithm: "RSA" | "EC"): CredentialLayer =>
      Layer.unwrap(Effect.map(TestCertificate.make({ algorithm }), ClientCredential.layerCertificate))

    for (
      const { credential, method, reason } of [
        {
          method: "secret",
          credential: ClientCredential.layerSecret(Redacted.make("wrong")),
          reason: "invalid secret provided"
        },
        { method: "PS256", credential: unregistered("RSA"), reason: "signature verification failed" },
        { method: "ES256", credential: unregistered("EC"), reason: "signature verification failed" }
      ] as const
    ) {
      it.effect(`of another's credential (${method}) is an InvalidClientError, after one request`, () =>
        Effect.gen(function*() {
          for (const tenant of Oidc.tenants) {
            const { result, seen } = yield* watched(Effect.flip(acquire(tenant)))
            assert.strictEqual(result._tag, "EntraInvalidClientError")
            assert.strictEqual(result.code, "client_refused")
            assert.strictEqual(result.origin, "service")
            assert.deepStrictEqual(verdicts(seen), [{ status: 401, reason }])
          }
        }).pipe(Effect.provide(Client(method, { credential }))))
    }
  })

  describe("an assertion", () => {
    for (const algorithm of algorithms) {
      it.effect(`${algorithm}: is refused when it is sent again`, () =>
        Effect.gen(function*() {
          for (const tenant of Oidc.tenants) {
            const { seen } = yield* watched(acquire(tenant))
            assert.deepStrictEqual(verdicts(seen), [issued])
            const form = seen[0]?.form ?? {}
            for (let times = 0; times < 2; times++) {
              assert.deepStrictEqual(yield* post(tenant, form), { status: 401, body: refusal, reasons: [usedTwice] })
            }
            // Nothing but that assertion was wrong.
            const forced = yield* watched(acquire(tenant, { forceRefresh: true }))
            assert.deepStrictEqual(verdicts(forced.seen), [issued])
            assert.deepStrictEqual({ ...forced.seen[0]?.form, client_assertion: "" }, { ...form, client_assertion: "" })
          }
        }).pipe(Effect.provide(Client(algorithm))))

      it.effect(`${algorithm}: a credential that hands one out twice is found out`, () =>
        Effect.gen(function*() {
          const { apps } = yield* Oidc.OidcProvider
          const [tenant] = Oidc.tenants
          const honest = yield* ClientCredential.certificate(apps[algorithm])
          let kept: ClientCredential.Authentication | undefined
          const careless = wrapped(honest, ({ authenticate }) => ({
            authenticate: (attempt) =>
              kept === undefined
                ? Effect.tap(authenticate(attempt), (proof) => Effect.sync(() => kept = proof))
                : Effect.succeed(kept)
          }))
          const { result, seen } = yield* watched(
            Effect.andThen(acquire(tenant), Effect.flip(acquire(tenant, { forceRefresh: true }))).pipe(
              Effect.provide(
                Client(algorithm, { credential: Layer.succeed(ClientCredential.ClientCredential, careless) })
              )
            )
          )
          assert.strictEqual(result._tag, "EntraInvalidClientError")
          assert.deepStrictEqual(verdicts(seen), [issued, { status: 401, reason: usedTwice }])
        }))

      it.effect(`${algorithm}: made for one tenant, it is refused by the other and good where it belongs`, () =>
        Effect.gen(function*() {
          const { fail } = yield* Oidc.OidcProvider
          const [one, other] = Oidc.tenants
          for (const [tenant, foreign] of [[one, other], [other, one]] as const) {
            // The provider turns the request away unread, so that its assertion is still unused.
            const correlationId = crypto.randomUUID()
            yield* fail(correlationId, ["unavailable"])
            const { result, seen } = yield* watched(
              ConfidentialClient.acquireToken({ scopes: `${orders}/.default`, tenantId: tenant, correlationId }).pipe(
                Effect.flip,
                Effect.provideService(RetryPolicy.Current, RetryPolicy.none)
              )
            )
            assert.strictEqual(result._tag, "EntraServiceUnavailableError")
            assert.strictEqual(seen.length, 1)
            const form = seen[0]?.form ?? {}
            assert.deepStrictEqual(yield* post(foreign, form), {
              status: 401,
              body: refusal,
              reasons: ["audience (aud) must equal the endpoint url, issuer identifier or token endpoint url"]
            })
            assert.strictEqual((yield* post(tenant, form)).status, 200)
          }
        }).pipe(Effect.provide(Client(algorithm))))
    }
  })

  describe("we never send an assertion twice", () => {
    /** The faults of acquisitions that run at the same time: a list per acquisition, a fault per attempt. */
    const troubles: ReadonlyArray<ReadonlyArray<Oidc.Fault>> = [
      [],
      ["unavailable"],
      ["dropped"],
      ["unavailable", "unavailable"],
      ["dropped", "dropped"],
      ["unavailable", "dropped"],
      ["dropped", "unavailable", "dropped"],
      []
    ]

    for (const algorithm of algorithms) {
      for (const transport of ["undici", "node:http"] as const) {
        it.effect(`${algorithm} over ${transport}: forced one by one and all at once, through 503 and lost answers`, () =>
          Effect.gen(function*() {
            const { fail } = yield* Oidc.OidcProvider
            const job = (tenantId: Oidc.Tenant, resource: string, faults: ReadonlyArray<Oidc.Fault>) => ({
              request: {
                scopes: `${resource}/.default`,
                tenantId,
                forceRefresh: true,
                correlationId: crypto.randomUUID()
              },
              faults
            })
            const oneByOne = Array.from({ length: 12 }, (_, n) => job(Oidc.tenants[n % 2 === 0 ? 0 : 1], orders, []))
            const allAtOnce = Oidc.tenants.flatMap((tenant) =>
              troubles.map((faults, n) => job(tenant, `${orders}-${n}`, faults))
            )
            const jobs = [...oneByOne, ...allAtOnce]
            for (const { faults, request } of jobs) yield* fail(request.correlationId, faults)

            const run = (concurrency: number) => (of: typeof jobs) =>
              Effect.forEach(of, ({ request }) => ConfidentialClient.acquireToken(request), { concurrency })
            const { result, seen } = yield* watched(
              Effect.zipWith(run(1)(oneByOne), run(jobs.length)(allAtOnce), (some, others) => [...some, ...others])
            )

            // 28 acquisitions, 22 attempts lost.
            assert.strictEqual(result.length, jobs.length)
            assert.strictEqual(seen.length, 50)
            for (const { faults, request } of jobs) {
              assert.deepStrictEqual(
                verdicts(seen.filter(({ correlationId }) => correlationId === request.correlationId)),
                [...faults, "none"].map((fault) => fault === "unavailable" ? unavailable : issued)
              )
            }
            assertUsedOnce(seen)
            const tokens = new Set(result.map(({ accessToken }) => Redacted.value(accessToken)))
            assert.strictEqual(tokens.size, jobs.length)
          }).pipe(Effect.provide(Client(algorithm, { transport }))))
      }

      it.effect(`${algorithm}: callers who force the same at once get tokens of requests with an assertion each`, () =>
        Effect.gen(function*() {
          const { result, seen } = yield* watched(Effect.forEach(
            Array.from({ length: 20 }, (_, n) => Oidc.tenants[n % 2 === 0 ? 0 : 1]),
            (tenant) => acquire(tenant, { forceRefresh: true }),
            { concurrency: "unbounded" }
          ))
          const tokens = new Set(result.map(({ accessToken }) => Redacted.value(accessToken)))
          assert.strictEqual(result.length, 20)
          assert.strictEqual(seen.length, tokens.size)
          assert.deepStrictEqual(verdicts(seen), seen.map(() => issued))
          assertUsedOnce(seen)
        }).pipe(Effect.provide(Client(algorithm))))
    }
  })
})

layer(Issuers.layer, { excludeTestServices: true, timeout: "60 seconds" })(
  "oidc-provider, two issuers on one host",
  (it) => {
    /** The client authentication that each issuer accepts, according to its discovery document. */
    const proofs = [
      { realm: "One", method: "secret", sent: ["client_secret"] },
      { realm: "One", method: "RS256", sent: ["client_assertion", "client_assertion_type"] },
      { realm: "One", method: "ES256", sent: ["client_assertion", "client_assertion_type"] },
      { realm: "one", method: "secret", sent: [] },
      { realm: "one", method: "PS256", sent: ["client_assertion", "client_assertion_type"] },
      { realm: "one", method: "ES256", sent: ["client_assertion", "client_assertion_type"] }
    ] as const

    const services = Layer.mergeAll(
      AuthorityResolver.layer,
      TokenEndpoint.layerWith({ retry: RetryPolicy.none }),
      TokenCache.layerMemory()
    ).pipe(Layer.provideMerge(Issuers.transport), Layer.provideMerge(silent))

    const clientOf = Effect.fnUntraced(function*(
      realm: Issuers.Realm,
      method: "secret" | Issuers.Algorithm,
      credential?: ClientCredential.ClientCredential["Service"]
    ) {
      const { clientIdOf, issuerOf, keys, secret } = yield* Issuers.OidcIssuers
      return yield* ConfidentialClient.make({
        clientId: clientIdOf(method),
        issuer: issuerOf(realm),
        credential: credential ??
          (method === "secret"
            ? yield* ClientCredential.secret(secret)
            : yield* ClientCredential.certificate(keys[method === "ES256" ? "EC" : "RSA"]))
      })
    })

    const watchedAt = Effect.fnUntraced(function*<A, E, R>(effect: Effect.Effect<A, E, R>) {
      const { exchanges } = yield* Issuers.OidcIssuers
      const before = (yield* exchanges).length
      const result = yield* effect
      return { result, seen: (yield* exchanges).slice(before) }
    })

    /** Returns the issuer and the keys that a resource server discovers. */
    const verifierOf = Effect.fnUntraced(function*(realm: Issuers.Realm) {
      const { issuerOf } = yield* Issuers.OidcIssuers
      const issuer = issuerOf(realm)
      const { jwks_uri } = yield* HttpClient.get(`${issuer}/.well-known/openid-configuration`).pipe(
        Effect.flatMap(HttpClientResponse.schemaBodyJson(Discovery))
      )
      const { keys } = yield* HttpClient.get(jwks_uri).pipe(Effect.flatMap(HttpClientResponse.schemaBodyJson(Jwks)))
      return { issuer, audience: "https://api.example/", jwks: jose.createLocalJWKSet({ keys: [...keys] }) }
    })

    for (const { method, realm, sent } of proofs) {
      it.effect(`${realm}, ${method}: the token is good for this issuer alone, and then comes from the cache`, () =>
        Effect.gen(function*() {
          const { clientIdOf, issuerOf } = yield* Issuers.OidcIssuers
          const client = yield* clientOf(realm, method)
          const { result, seen } = yield* watchedAt(client.acquireToken({ scopes: "read Write" }))
          assert.deepStrictEqual(seen.map(({ realm, reason, status }) => ({ realm, reason, status })), [
            { realm, reason: undefined, status: 200 }
          ])
          const { authorization, form = {} } = seen[0] ?? {}
          assert.includeMembers(Object.keys(form), ["grant_type", "scope", ...sent])
          assert.strictEqual("client_secret" in form, realm === "One" && method === "secret")
          assert.strictEqual(authorization?.startsWith("Basic ") ?? false, realm === "one" && method === "secret")
          assert.strictEqual(form["scope"], "read Write")
          if (method !== "secret") {
            const assertion = form["client_assertion"] ?? ""
            assert.strictEqual(jose.decodeProtectedHeader(assertion).alg, method)
            assert.strictEqual(jose.decodeJwt(assertion).aud, issuerOf(realm))
          }

          const token = Redacted.value(result.accessToken)
          const [own, theirs] = [yield* verifierOf(realm), yield* verifierOf(realm === "One" ? "one" : "One")]
          const { payload } = yield* verify(token, own)
          assert.strictEqual(payload["client_id"], clientIdOf(method))
          assert.strictEqual(payload["scope"], "read Write")
          assert.match(yield* Effect.flip(verify(token, { ...own, issuer: theirs.issuer })), /unexpected "iss"/)
          assert.match(
            yield* Effect.flip(verify(token, { ...own, jwks: theirs.jwks })),
            /^ERR_JWS_SIGNATURE_VERIFICATION_FAILED/
          )

          const again = yield* watchedAt(client.acquireToken({ scopes: ["Write", "read"] }))
          assert.strictEqual(Redacted.value(again.result.accessToken), token)
          assert.deepStrictEqual(again.seen, [])
        }).pipe(Effect.scoped, Effect.provide(services)))
    }

    for (
      const [realm, algorithm] of [
        ["One", "RS256"],
        ["One", "PS256"],
        ["One", "ES256"],
        ["one", "PS256"],
        ["one", "ES256"]
      ] as const
    ) {
      it.effect(`${realm}, ${algorithm}: by a key that the issuer knows by its name`, () =>
        Effect.gen(function*() {
          const { keys } = yield* Issuers.OidcIssuers
          const { privateKey } = keys[algorithm === "ES256" ? "EC" : "RSA"]
          const named = (keyId: string) =>
            Effect.flatMap(
              ClientCredential.privateKeyJwt({ privateKey, keyId, algorithm }),
              (credential) => clientOf(realm, algorithm, credential)
            )
          const client = yield* named(`${algorithm}-key`)
          const { result, seen } = yield* watchedAt(client.acquireToken({ scopes: "read" }))
          const header = jose.decodeProtectedHeader(seen[0]?.form["client_assertion"] ?? "")
          assert.deepStrictEqual([header.alg, header.kid], [algorithm, `${algorithm}-key`])
          yield* verify(Redacted.value(result.accessToken), yield* verifierOf(realm))

          // The name is part of the proof.
          const stranger = yield* named("no such key")
          const refused = yield* watchedAt(Effect.flip(stranger.acquireToken({ scopes: "read", forceRefresh: true })))
          assert.strictEqual(refused.result._tag, "EntraInvalidClientError")
          assert.deepStrictEqual(refused.seen.map(({ reason, status }) => ({ reason, status })), [
            { reason: "no applicable key found in the JSON Web Key Set", status: 401 }
          ])
        }).pipe(Effect.scoped, Effect.provide(services)))
    }

    it.effect("One, PS256 by a certificate that asks for it, though RS256 is what the document leads to", () =>
      Effect.gen(function*() {
        const { keys } = yield* Issuers.OidcIssuers
        const credential = yield* ClientCredential.certificate({ ...keys.RSA, algorithm: "PS256", keyId: "PS256-key" })
        const client = yield* clientOf("One", "PS256", credential)
        const { seen } = yield* watchedAt(client.acquireToken({ scopes: "read" }))
        assert.strictEqual(jose.decodeProtectedHeader(seen[0]?.form["client_assertion"] ?? "").alg, "PS256")
      }).pipe(Effect.scoped, Effect.provide(services)))

    it.effect("one app at both, over one cache: each has its own token", () =>
      Effect.gen(function*() {
        const clients = yield* Effect.forEach(Issuers.realms, (realm) => clientOf(realm, "ES256"))
        const { result, seen } = yield* watchedAt(
          Effect.forEach([...clients, ...clients], (client) => client.acquireToken({ scopes: "read" }), {
            concurrency: "unbounded"
          })
        )
        const { issuerOf } = yield* Issuers.OidcIssuers
        assert.deepStrictEqual(
          result.map(({ accessToken }) => jose.decodeJwt(Redacted.value(accessToken)).iss),
          [...Issuers.realms, ...Issuers.realms].map(issuerOf)
        )
        assert.deepStrictEqual(seen.map(({ realm }) => realm).sort(), ["One", "one"])
      }).pipe(Effect.scoped, Effect.provide(services)))

    it.effect("without scopes: the issuer decides", () =>
      Effect.gen(function*() {
        const client = yield* clientOf("One", "secret")
        const { result, seen } = yield* watchedAt(client.acquireToken({ scopes: [] }))
        assert.isFalse("scope" in (seen[0]?.form ?? { scope: "" }))
        assert.deepStrictEqual([...result.scopes], [])
        yield* verify(Redacted.value(result.accessToken), yield* verifierOf("One"))
      }).pipe(Effect.scoped, Effect.provide(services)))

    for (const realm of Issuers.realms) {
      it.effect(`${realm}: a wrong secret is an InvalidClientError, after one request`, () =>
        Effect.gen(function*() {
          const client = yield* clientOf(realm, "secret", yield* ClientCredential.secret(Redacted.make("wrong")))
          const { result, seen } = yield* watchedAt(Effect.flip(client.acquireToken({ scopes: "read" })))
          assert.strictEqual(result._tag, "EntraInvalidClientError")
          assert.strictEqual(result.code, "client_refused")
          assert.deepStrictEqual(seen.map(({ reason, status }) => ({ reason, status })), [
            { reason: "invalid secret provided", status: 401 }
          ])
        }).pipe(Effect.scoped, Effect.provide(services)))
    }

    it.effect("an issuer that is not there", () =>
      Effect.gen(function*() {
        const { issuerOf, secret } = yield* Issuers.OidcIssuers
        const client = yield* ConfidentialClient.make({
          clientId: "anybody",
          issuer: `${issuerOf("One")}s`,
          credential: yield* ClientCredential.secret(secret)
        })
        const { result, seen } = yield* watchedAt(Effect.flip(client.acquireToken({ scopes: "read" })))
        assert.strictEqual(result.code, "issuer_unknown")
        assert.deepStrictEqual(seen, [])
      }).pipe(Effect.scoped, Effect.provide(services)))
  }
)
