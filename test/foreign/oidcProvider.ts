/**
 * Two tenants of `oidc-provider` at the addresses of Entra, over https. Whether an assertion, a secret or a resource is
 * good is that package's own verdict; what is here gives it addresses, writes down what came, and spoils answers.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { Context, Effect, Layer, Redacted, Schema } from "effect"
import { TestCertificate } from "effect-entra/testing"
import type { HttpClient } from "effect/http"
import { exportJWK, generateKeyPair } from "jose"
import { X509Certificate } from "node:crypto"
import type { IncomingMessage, ServerResponse } from "node:http"
import { createServer } from "node:https"
import { text } from "node:stream/consumers"
import { type Client, type Context as Koa, errors, Provider } from "oidc-provider"
import { createMemoryAdapter } from "oidc-provider/lib/adapters/memory_adapter.js"

export const tenants = ["7a1c1f0e-3c55-4b0e-9d2f-5f6a1d8f3b01", "c2b7a9d4-80e6-4a7b-b1c3-0e9d7f254c02"] as const
export type Tenant = typeof tenants[number]

export type Algorithm = "PS256" | "ES256"

/** A token request as the provider got it, and what became of it. */
export interface Exchange {
  readonly tenant: Tenant
  readonly correlationId: string
  readonly form: Readonly<Record<string, string>>
  readonly status: number
  /** The provider's reason for a refusal, which it does not tell the client. */
  readonly reason: string | undefined
}

/** Before the provider sees the request, or after it has answered and the client has not yet heard. */
export type Fault = "unavailable" | "dropped"

/** The app of one kind of client authentication; all of them exist in both tenants. */
export interface Apps {
  readonly secret: { readonly clientId: string; readonly secret: Redacted.Redacted<string> }
  readonly PS256: TestCertificate.TestCertificate & { readonly clientId: string }
  readonly ES256: TestCertificate.TestCertificate & { readonly clientId: string }
}

export class OidcProvider extends Context.Service<OidcProvider, {
  readonly origin: string
  /** PEM: what a client has to trust. */
  readonly certificate: string
  readonly apps: Apps
  readonly exchanges: Effect.Effect<ReadonlyArray<Exchange>>
  /** Sets the faults of the next requests with this `client-request-id`, one per request. */
  readonly fail: (correlationId: string, faults: ReadonlyArray<Fault>) => Effect.Effect<void>
}>()("effect-entra/test/foreign/OidcProvider") {}

/** For live tests only: the provider has the machine's clock, so its clients must have that too. */
export const layer: Layer.Layer<OidcProvider> = Layer.effect(
  OidcProvider,
  Effect.gen(function*() {
    const tls = yield* TestCertificate.makeChain({ algorithm: "EC", subjectAltNames: ["localhost", "127.0.0.1"] })
    const apps: Apps = {
      secret: { clientId: crypto.randomUUID(), secret: Redacted.make("a secret with + and % and &") },
      PS256: { clientId: crypto.randomUUID(), ...(yield* TestCertificate.make({ algorithm: "RSA" })) },
      ES256: { clientId: crypto.randomUUID(), ...(yield* TestCertificate.make({ algorithm: "EC" })) }
    }
    const exchanges: Array<Exchange> = []
    const faults = new Map<string, Array<Fault>>()

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
    const origin = `https://localhost:${address.port}`

    const clients = yield* Effect.promise(() => clientsOf(apps))
    const handlers = new Map<string, ReturnType<Provider["callback"]>>()
    for (const tenant of tenants) {
      const provider = yield* Effect.promise(() => providerOf(`${origin}/${tenant}/v2.0`, clients))
      const reasons = new WeakMap<Koa, string>()
      provider.on("grant.error", (context, error) => reasons.set(context, error.error_detail ?? error.message))
      provider.on("server_error", (context, error) => reasons.set(context, error.message))
      provider.use(async (context, next) => {
        if (context.path !== routes.token) return next()
        const correlationId = String(context.req.headers["client-request-id"] ?? "")
        const fault = faults.get(correlationId)?.shift()
        if (fault === "unavailable") {
          const form = Object.fromEntries(new URLSearchParams(await text(context.req)))
          exchanges.push({ tenant, correlationId, form, status: 503, reason: undefined })
          context.status = 503
          return
        }
        await next()
        const form = decodeForm(context.oidc.body)
        exchanges.push({ tenant, correlationId, form, status: context.status, reason: reasons.get(context) })
        if (fault === "dropped") context.req.socket.destroy()
      })
      handlers.set(tenant, provider.callback())
    }
    server.on("request", (request, response) => route(handlers, request, response))

    return {
      origin,
      certificate: tls.authority,
      apps,
      exchanges: Effect.sync(() => [...exchanges]),
      fail: (correlationId, planned) => Effect.sync(() => void faults.set(correlationId, [...planned]))
    }
  })
)

/** Transports that trust the provider's certificate, and no other. */
export const transports = {
  undici: Layer.unwrap(
    OidcProvider.useSync(({ certificate }) => NodeHttpClient.layerUndiciOptions({ connect: { ca: certificate } }))
  ),
  "node:http": Layer.unwrap(
    OidcProvider.useSync(({ certificate }) => NodeHttpClient.layerNodeHttpOptions({ keepAlive: true, ca: certificate }))
  )
} satisfies Record<string, Layer.Layer<HttpClient.HttpClient, never, OidcProvider>>

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const routes = { token: "/oauth2/v2.0/token", jwks: "/discovery/v2.0/keys" }

const decodeForm = Schema.decodeUnknownSync(Schema.Record(Schema.String, Schema.String))

const clientsOf = async (apps: Apps): Promise<ReadonlyArray<Client>> => {
  const registered = { grant_types: ["client_credentials"], redirect_uris: [], response_types: [] }
  const withKey = async (algorithm: Algorithm): Promise<Client> => ({
    ...registered,
    client_id: apps[algorithm].clientId,
    token_endpoint_auth_method: "private_key_jwt",
    token_endpoint_auth_signing_alg: algorithm,
    jwks: { keys: [await exportJWK(new X509Certificate(apps[algorithm].certificate).publicKey)] }
  })
  return [
    {
      ...registered,
      client_id: apps.secret.clientId,
      client_secret: Redacted.value(apps.secret.secret),
      token_endpoint_auth_method: "client_secret_post"
    },
    await withKey("PS256"),
    await withKey("ES256")
  ]
}

const providerOf = async (issuer: string, clients: ReadonlyArray<Client>): Promise<Provider> => {
  const { privateKey } = await generateKeyPair("RS256", { extractable: true })
  return new Provider(issuer, {
    // The provider's own store in memory; as its default it would warn that it is not for production.
    adapter: createMemoryAdapter(0),
    clients,
    clientAuthMethods: ["client_secret_post", "private_key_jwt"],
    clockTolerance: 0,
    cookies: { keys: ["unused: nobody signs in here"] },
    enabledJWA: { clientAuthSigningAlgValues: ["PS256", "ES256"] },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        // Entra's scopes name the resource.
        defaultResource: ({ oidc }) => /^(.+)\/\.default$/.exec(oidc.params.scope ?? "")?.[1],
        getResourceServerInfo: (_context, resource) => {
          if (!resource.startsWith("api://")) throw new errors.InvalidTarget()
          return { audience: resource, scope: "", accessTokenFormat: "jwt", jwt: { sign: { alg: "RS256" } } }
        }
      }
    },
    // Both tenants call their key the same, so that only its signature tells a token of the other apart.
    jwks: { keys: [{ ...(await exportJWK(privateKey)), kid: "signing", use: "sig", alg: "RS256" }] },
    routes,
    ttl: { ClientCredentials: 3600 }
  })
}

/** The tenant is the mount point; the issuer, `{tenant}/v2.0`, has the discovery document and nothing else. */
const route = (
  handlers: ReadonlyMap<string, ReturnType<Provider["callback"]>>,
  request: IncomingMessage,
  response: ServerResponse
): void => {
  const [, tenant = "", path = ""] = /^\/([^/]+)(\/.*)$/.exec(request.url ?? "") ?? []
  const handler = handlers.get(tenant)
  if (handler === undefined) {
    response.writeHead(404).end()
    return
  }
  const url = path.replace(/^\/v2\.0(?=\/\.well-known\/)/, "")
  void handler(Object.assign(request, { url, originalUrl: `/${tenant}${url}` }), response)
}
