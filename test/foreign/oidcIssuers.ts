/**
 * Two issuers of `oidc-provider` on one host, whose paths differ in a letter's case, at that package's own addresses: one
 * takes secrets in the form and RS256, the other takes them by Basic and knows no RS256. What a client has to do for which
 * it can only learn from their discovery documents.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { Context, Effect, Layer, Redacted, Schema } from "effect"
import { TestCertificate } from "effect-entra/testing"
import type { HttpClient } from "effect/http"
import { exportJWK, generateKeyPair } from "jose"
import { X509Certificate } from "node:crypto"
import { createServer } from "node:https"
import { type Client, errors, Provider } from "oidc-provider"
import { createMemoryAdapter } from "oidc-provider/lib/adapters/memory_adapter.js"

export const realms = ["One", "one"] as const
export type Realm = typeof realms[number]

export const algorithms = ["RS256", "PS256", "ES256"] as const
export type Algorithm = typeof algorithms[number]

const rules = {
  One: { secret: "client_secret_post", algorithms },
  one: { secret: "client_secret_basic", algorithms: ["PS256", "ES256"] }
} as const

/** A token request as the issuer got it. */
export interface Exchange {
  readonly realm: Realm
  readonly form: Readonly<Record<string, string>>
  readonly authorization: string | undefined
  readonly status: number
  /** Why it was refused, which the client is not told. */
  readonly reason: string | undefined
}

export class OidcIssuers extends Context.Service<OidcIssuers, {
  /** Slash at the end or not: as the issuer calls itself. */
  readonly issuerOf: (realm: Realm) => string
  /** PEM: what a client has to trust. */
  readonly certificate: string
  /** The client's id is the same with all of them. */
  readonly secret: Redacted.Redacted<string>
  readonly keys: { readonly RSA: TestCertificate.TestCertificate; readonly EC: TestCertificate.TestCertificate }
  /** The app that proves itself so; it is known to both issuers under one id. */
  readonly clientIdOf: (method: "secret" | Algorithm) => string
  readonly exchanges: Effect.Effect<ReadonlyArray<Exchange>>
}>()("effect-entra/test/foreign/OidcIssuers") {}

/** For live tests only, like `oidcProvider.ts`. */
export const layer: Layer.Layer<OidcIssuers> = Layer.effect(
  OidcIssuers,
  Effect.gen(function*() {
    const tls = yield* TestCertificate.makeChain({ algorithm: "EC", subjectAltNames: ["localhost"] })
    const keys = {
      RSA: yield* TestCertificate.make({ algorithm: "RSA" }),
      EC: yield* TestCertificate.make({ algorithm: "EC" })
    }
    // A client that writes this secret into a header without encoding it is refused (RFC 6749 section 2.3.1).
    const secret = Redacted.make("a secret: with + and % and ~")
    const clientIdOf = (method: string) => `app:${method}`
    const exchanges: Array<Exchange> = []
    const server = createServer({ key: Redacted.value(tls.privateKey), cert: tls.certificate })
    yield* Effect.acquireRelease(
      Effect.promise(() => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))),
      () =>
        Effect.promise(() => {
          server.closeAllConnections()
          return new Promise((resolve) => server.close(resolve))
        })
    )
    const address = server.address()
    if (address === null || typeof address === "string") return yield* Effect.die(new Error("It listens on TCP"))
    const issuerOf = (realm: Realm) => `https://localhost:${address.port}/realms/${realm}`

    const handlers = new Map<string, ReturnType<Provider["callback"]>>()
    for (const realm of realms) {
      const clients = yield* Effect.promise(() => clientsOf(realm, { keys, secret, clientIdOf }))
      const provider = yield* Effect.promise(() => providerOf(realm, issuerOf(realm), clients))
      const reasons = new WeakMap<object, string>()
      provider.on("grant.error", (context, error) => reasons.set(context, error.error_detail ?? error.message))
      provider.on("server_error", (context, error) => reasons.set(context, error.message))
      provider.use(async (context, next) => {
        await next()
        if (context.path !== routes.token) return
        exchanges.push({
          realm,
          form: decodeForm(context.oidc.body),
          authorization: context.req.headers.authorization,
          status: context.status,
          reason: reasons.get(context)
        })
      })
      handlers.set(realm, provider.callback())
    }
    server.on("request", (request, response) => {
      const [, mount = "", realm = "", url = "/"] = /^(\/realms\/([^/]+))(\/.*)?$/.exec(request.url ?? "") ?? []
      const handler = handlers.get(realm)
      if (handler === undefined) return void response.writeHead(404).end()
      void handler(Object.assign(request, { url, originalUrl: `${mount}${url}` }), response)
    })
    return {
      issuerOf,
      certificate: tls.authority,
      secret,
      keys,
      clientIdOf,
      exchanges: Effect.sync(() => [...exchanges])
    }
  })
)

/** A transport that trusts the issuers' certificate, and no other. */
export const transport: Layer.Layer<HttpClient.HttpClient, never, OidcIssuers> = Layer.unwrap(
  OidcIssuers.useSync(({ certificate }) => NodeHttpClient.layerUndiciOptions({ connect: { ca: certificate } }))
)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const routes = { token: "/token", jwks: "/jwks" }

const decodeForm = Schema.decodeUnknownSync(Schema.Record(Schema.String, Schema.String))

const clientsOf = async (
  realm: Realm,
  { clientIdOf, keys, secret }: Pick<OidcIssuers["Service"], "clientIdOf" | "keys" | "secret">
): Promise<ReadonlyArray<Client>> => {
  const registered = { grant_types: ["client_credentials"], redirect_uris: [], response_types: [] }
  return [
    {
      ...registered,
      client_id: clientIdOf("secret"),
      client_secret: Redacted.value(secret),
      token_endpoint_auth_method: rules[realm].secret
    },
    ...await Promise.all(rules[realm].algorithms.map(async (algorithm) => ({
      ...registered,
      client_id: clientIdOf(algorithm),
      token_endpoint_auth_method: "private_key_jwt",
      token_endpoint_auth_signing_alg: algorithm,
      jwks: {
        keys: [{
          ...await exportJWK(new X509Certificate(keys[algorithm === "ES256" ? "EC" : "RSA"].certificate).publicKey),
          kid: `${algorithm}-key`
        }]
      }
    })))
  ]
}

const providerOf = async (realm: Realm, issuer: string, clients: ReadonlyArray<Client>): Promise<Provider> => {
  const { privateKey } = await generateKeyPair("RS256", { extractable: true })
  return new Provider(issuer, {
    adapter: createMemoryAdapter(0),
    clients,
    clientAuthMethods: [rules[realm].secret, "private_key_jwt"],
    clockTolerance: 0,
    cookies: { keys: ["unused: nobody signs in here"] },
    enabledJWA: { clientAuthSigningAlgValues: rules[realm].algorithms },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => "https://api.example/",
        getResourceServerInfo: (_context, resource) => {
          if (resource !== "https://api.example/") throw new errors.InvalidTarget()
          return { audience: resource, scope: "read Write", accessTokenFormat: "jwt", jwt: { sign: { alg: "RS256" } } }
        }
      }
    },
    jwks: { keys: [{ ...(await exportJWK(privateKey)), kid: "signing", use: "sig", alg: "RS256" }] },
    routes,
    ttl: { ClientCredentials: 600 }
  })
}
