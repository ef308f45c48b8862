/**
 * Simulated token services of Azure's platforms, for tests and demos of managed identities: the Instance Metadata Service
 * (IMDS), the service of App Service, and the agent of Azure Arc. Each checks its header, its parameters and the identity.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import { DropConnection } from "./internal/faults/faultResponse.ts"
import { memoryClient } from "./internal/http/memoryClient.ts"
import { json, newOpaque, readTarget } from "./internal/http/wire.ts"
import { type Identity, judge, type Platform, type ServiceState } from "./internal/routes/metadataRules.ts"
import { contosoTenantId } from "./internal/world/defaultWorld.ts"
import { type Signer, signerRs256 } from "./internal/world/signer.ts"

// -----------------------------------------------------------------------------
// Models
// -----------------------------------------------------------------------------

export type { Identity, Platform } from "./internal/routes/metadataRules.ts"

/**
 * The system-assigned identity of the default options.
 *
 * @category models
 * @since 0.1.0
 */
export const systemAssigned: Identity = {
  clientId: "5e29463d-71da-4fe0-8e69-999b57db23b0",
  objectId: "0d7f1d3c-93a0-4c2f-8a51-5c0e2f6a7b10"
}

/**
 * The user-assigned identity of the default options.
 *
 * @category models
 * @since 0.1.0
 */
export const userAssigned: Identity & { readonly resourceId: string } = {
  clientId: "853b9a84-5bfa-4b22-a3f3-0b9a43d9ad8a",
  objectId: "a7d388c3-5e3f-4959-ac7d-786b3383006a",
  resourceId: "/subscriptions/3d1e2be9-a10a-4a0c-8380-7ce190f98ed9/resourceGroups/orders"
    + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/daemon"
}

/**
 * A scripted response of the service.
 *
 * **Details**
 *
 * - `status`: the HTTP status; default: the ordinary response, so that only `after` has an effect.
 * - `body`: the JSON text of the body; default: empty.
 * - `headers`: further headers of the response.
 * - `after`: the delay before the response; default: 0. With `Infinity` no response follows.
 * - `dropped`: closes the connection without a response; default: false.
 *
 * @category models
 * @since 0.1.0
 */
export interface Answer {
  readonly status?: number | undefined
  readonly body?: string | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly after?: Duration.Input | undefined
  readonly dropped?: boolean | undefined
}

/**
 * A request as it arrived, including its secrets.
 *
 * @category models
 * @since 0.1.0
 */
export interface MetadataRequest {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
}

/**
 * Options of a service.
 *
 * **Details**
 *
 * - `platform`: the service to simulate; default: `"imds"`.
 * - `origin`: the origin of the service; default: the origin of the real service.
 * - `tenantId`: the tenant of the identities; default: `EntraSimulator.contosoTenantId`.
 * - `authority`: the origin that issues the tokens; default: `https://login.microsoftonline.com`.
 * - `identities`: the identities of the machine; default: {@link systemAssigned} and {@link userAssigned}. Azure Arc has the
 *   system-assigned identity only.
 * - `resources`: the resources with tokens; default: any resource.
 * - `tokenLifetime`: the lifetime of a token, rounded down to whole seconds; default: 24 hours.
 * - `signer`: the signer of the tokens; default: the signer of `EntraSimulator`, which then accepts the tokens.
 * - `keyDirectory`: the directory of Azure Arc's key files; default: the directory on Linux.
 * - `writeKey`: writes a key file; default: key files are not written, and are available in `keys` of the service.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  readonly platform?: Platform | undefined
  readonly origin?: string | undefined
  readonly tenantId?: string | undefined
  readonly authority?: string | undefined
  readonly identities?: ReadonlyArray<Identity> | undefined
  readonly resources?: ReadonlyArray<string> | undefined
  readonly tokenLifetime?: Duration.Input | undefined
  readonly signer?: Signer | undefined
  readonly keyDirectory?: string | undefined
  readonly writeKey?: ((path: string, key: string) => Effect.Effect<void>) | undefined
}

// -----------------------------------------------------------------------------
// Service
// -----------------------------------------------------------------------------

/**
 * A simulated token service.
 *
 * **Details**
 *
 * - `origin`: the origin of the service.
 * - `environment`: the variables that the platform sets.
 * - `issuer`: the `iss` of the tokens. Together with the `objectId` of an identity as the subject, it is the federated
 *   credential that an app has to trust.
 * - `requests`: the last 1,000 token requests, oldest first.
 * - `keys`: the contents of Azure Arc's key files by path.
 * - `fail`: scripts the next responses. Scripted responses are used in the order of the calls, each `times` times (default: 1).
 * - `clearFaults`: removes the scripted responses.
 * - `respond`: handles a request; the routes call it.
 *
 * **Gotchas**
 *
 * The real services cache a token for hours and return the same token again; this service issues a new token for each request.
 * The texts of the refusals of App Service and Azure Arc are not recorded from the real services.
 *
 * **Example** (Requesting a token without a client)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { HttpClient } from "effect/http"
 * import { MetadataService } from "effect-entra/testing"
 * import assert from "node:assert"
 *
 * const url = "http://169.254.169.254/metadata/identity/oauth2/token"
 *   + "?api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net"
 *
 * const program = Effect.gen(function*() {
 *   const refused = yield* HttpClient.get(url)
 *   assert.equal(refused.status, 400)
 *   const granted = yield* HttpClient.get(url, { headers: { metadata: "true" } })
 *   assert.equal(granted.status, 200)
 * })
 *
 * await Effect.runPromise(Effect.provide(program, MetadataService.layerMemory()))
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export class MetadataService extends Context.Service<MetadataService, {
  readonly origin: string
  readonly environment: Readonly<Record<string, string>>
  readonly issuer: string
  readonly requests: Effect.Effect<ReadonlyArray<MetadataRequest>>
  readonly keys: Effect.Effect<ReadonlyMap<string, string>>
  readonly fail: (answer: Answer, options?: { readonly times?: number | undefined }) => Effect.Effect<void>
  readonly clearFaults: Effect.Effect<void>
  readonly respond: (
    request: HttpServerRequest.HttpServerRequest
  ) => Effect.Effect<HttpServerResponse.HttpServerResponse>
}>()("effect-entra/testing/MetadataService") {}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * Creates a service.
 *
 * **Example** (Reading the variables of App Service)
 *
 * ```ts
 * import assert from "node:assert"
 * import { Effect } from "effect"
 * import { MetadataService } from "effect-entra/testing"
 *
 * const { environment } = await Effect.runPromise(MetadataService.make({ platform: "appService" }))
 * assert.deepStrictEqual(Object.keys(environment), ["IDENTITY_ENDPOINT", "IDENTITY_HEADER"])
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options = {}): Effect.Effect<MetadataService["Service"]> =>
  Effect.map(Clock.Clock, (clock) => {
    const platform = options.platform ?? "imds"
    const origin = options.origin ?? origins[platform]
    const signer = options.signer ?? signerRs256
    const issuer = `${options.authority ?? "https://login.microsoftonline.com"}/${
      options.tenantId ?? contosoTenantId
    }/v2.0`
    const lifetime = Math.floor(Duration.toSeconds(options.tokenLifetime ?? "24 hours"))
    const header = newOpaque(24)
    const requests: Array<MetadataRequest> = []
    const faults: Array<{ readonly answer: Answer; left: number }> = []
    const keys = new Map<string, string>()
    const unused = new Map<string, string>()
    const identities = options.identities ?? [systemAssigned, userAssigned]
    const state: ServiceState = {
      platform,
      identities: platform === "azureArc"
        ? identities.filter(({ resourceId }) => resourceId === undefined)
        : identities,
      resources: options.resources,
      header,
      isKey: (key) => unused.delete(key)
    }

    const nextFault = (): Answer | undefined => {
      const [first] = faults
      if (first === undefined) return undefined
      if (--first.left <= 0) faults.shift()
      return first.answer
    }

    const challenge = Effect.suspend(() => {
      const path = `${options.keyDirectory ?? "/var/opt/azcmagent/tokens"}/${newOpaque(9)}.key`
      const key = newOpaque(48)
      keys.set(path, key)
      unused.set(key, path)
      const answer = HttpServerResponse.empty({ status: 401, headers: { "www-authenticate": `Basic realm=${path}` } })
      return Effect.as(options.writeKey?.(path, key) ?? Effect.void, answer)
    })

    const issue = (identity: Identity, resource: string) => {
      const now = Math.floor(clock.currentTimeMillisUnsafe() / 1000)
      const expiresOn = now + lifetime
      const claims = {
        aud: resource,
        iss: issuer,
        iat: now,
        nbf: now,
        exp: expiresOn,
        appid: identity.clientId,
        idtyp: "app",
        oid: identity.objectId,
        sub: identity.objectId,
        tid: options.tenantId ?? contosoTenantId,
        uti: newOpaque(16),
        ...(identity.resourceId === undefined ? {} : { xms_mirid: identity.resourceId })
      }
      return Effect.map(signer.sign(claims), (token) =>
        json(200, {
          access_token: token,
          client_id: identity.clientId,
          ...(platform === "appService" ? {} : { expires_in: String(lifetime), ext_expires_in: String(lifetime) }),
          expires_on: String(expiresOn),
          not_before: String(now),
          resource,
          token_type: "Bearer"
        }))
    }

    const ordinary = (request: HttpServerRequest.HttpServerRequest) =>
      Effect.suspend(() => {
        const { query } = readTarget(request, origin)
        const verdict = judge({ headers: request.headers, query }, state)
        switch (verdict._tag) {
          case "Refused":
            return Effect.succeed(json(verdict.status, verdict.body))
          case "Challenged":
            return challenge
          case "Granted":
            return issue(verdict.identity, verdict.resource)
        }
      })

    return MetadataService.of({
      origin,
      issuer,
      environment: environmentOf(platform, origin, header),
      requests: Effect.sync(() => [...requests]),
      keys: Effect.sync(() => new Map(keys)),
      fail: (answer, options) =>
        Effect.sync(() => {
          faults.push({ answer, left: options?.times ?? 1 })
        }),
      clearFaults: Effect.sync(() => {
        faults.length = 0
      }),
      respond: (request) =>
        Effect.suspend(() => {
          requests.push({ method: request.method, url: request.url, headers: { ...request.headers } })
          if (requests.length > requestLimit) requests.shift()
          const fault = nextFault()
          if (fault === undefined) return ordinary(request)
          const { after = 0, body = "", dropped, headers, status } = fault
          const answer = dropped === true
            ? Effect.flatMap(DropConnection, (drop) => drop(request))
            : status === undefined
            ? ordinary(request)
            : Effect.succeed(HttpServerResponse.text(body, { status, headers, contentType: "application/json" }))
          return Effect.andThen(Effect.provideService(Effect.sleep(after), Clock.Clock, clock), answer)
        })
    })
  })

// -----------------------------------------------------------------------------
// Layers
// -----------------------------------------------------------------------------

/**
 * Provides a service without transport. Requests reach it through {@link routes} or {@link layerHttpClient}.
 *
 * **Example** (Simulating a machine with one identity)
 *
 * ```ts
 * import { MetadataService } from "effect-entra/testing"
 *
 * export const Machine = MetadataService.layer({ identities: [MetadataService.userAssigned] })
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<MetadataService> => Layer.effect(MetadataService, make(options))

const respond = Effect.gen(function*() {
  const service = yield* MetadataService
  return yield* service.respond(yield* HttpServerRequest.HttpServerRequest)
})

/**
 * Provides the routes of the services for an `HttpRouter`.
 *
 * **Example** (Serving Web requests)
 *
 * ```ts
 * import { Layer } from "effect"
 * import { HttpRouter, HttpServer } from "effect/http"
 * import { MetadataService } from "effect-entra/testing"
 * import assert from "node:assert"
 *
 * const { dispose, handler } = HttpRouter.toWebHandler(
 *   MetadataService.routes.pipe(
 *     HttpRouter.provideRequest(MetadataService.layer()),
 *     Layer.provide(HttpServer.layerServices)
 *   ),
 *   { disableLogger: true }
 * )
 * const response = await handler(new Request("http://169.254.169.254/metadata/identity/oauth2/token"))
 * assert.equal(response.status, 400)
 * await dispose()
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const routes = HttpRouter.addAll([
  HttpRouter.route("GET", "/metadata/identity/oauth2/token", respond),
  HttpRouter.route("GET", "/msi/token", respond)
])

/**
 * Provides an `HttpClient` that passes requests for the origin of the service to the service, and all other requests to the
 * `HttpClient` of the context.
 *
 * **Example** (Combining a machine with an `EntraSimulator`)
 *
 * ```ts
 * import { Layer } from "effect"
 * import { EntraSimulator, MetadataService } from "effect-entra/testing"
 *
 * export const Azure = MetadataService.layerHttpClient.pipe(
 *   Layer.provide(EntraSimulator.layerMemory()),
 *   Layer.provideMerge(MetadataService.layer())
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerHttpClient: Layer.Layer<HttpClient.HttpClient, never, MetadataService | HttpClient.HttpClient> = Layer
  .effect(
    HttpClient.HttpClient,
    Effect.gen(function*() {
      const service = yield* MetadataService
      const others = yield* HttpClient.HttpClient
      const app = yield* HttpRouter.toHttpEffect(routes)
      const client = memoryClient(service.origin, Effect.provideService(app, MetadataService, service))
      return HttpClient.make((request, url) =>
        url.origin === service.origin ? client.execute(request) : others.execute(request)
      )
    })
  )

/**
 * Provides a service and an `HttpClient` that reaches only this service, without sockets.
 *
 * **Details**
 *
 * A request to another origin fails with a `TransportError`.
 *
 * **Example** (Simulating a function app)
 *
 * ```ts
 * import { MetadataService } from "effect-entra/testing"
 *
 * export const App = MetadataService.layerMemory({ platform: "appService" })
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMemory = (options?: Options): Layer.Layer<MetadataService | HttpClient.HttpClient> =>
  layerHttpClient.pipe(
    Layer.provide(Layer.succeed(HttpClient.HttpClient, HttpClient.make(unreachable))),
    Layer.provideMerge(layer(options))
  )

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

const requestLimit = 1000

const origins: Readonly<Record<Platform, string>> = {
  imds: "http://169.254.169.254",
  appService: "http://localhost:4141",
  azureArc: "http://localhost:40342"
}

/** Returns the variables of a platform. The address of the metadata service is set only if it is not the well-known one. */
const environmentOf = (platform: Platform, origin: string, header: string): Readonly<Record<string, string>> => {
  switch (platform) {
    case "imds":
      return origin === origins.imds ? {} : { AZURE_POD_IDENTITY_AUTHORITY_HOST: origin }
    case "appService":
      return { IDENTITY_ENDPOINT: `${origin}/msi/token`, IDENTITY_HEADER: header }
    case "azureArc":
      return { IDENTITY_ENDPOINT: `${origin}/metadata/identity/oauth2/token`, IMDS_ENDPOINT: origin }
  }
}

const unreachable = (request: HttpClientRequest.HttpClientRequest) =>
  Effect.fail(
    new HttpClientError.HttpClientError({
      reason: new HttpClientError.TransportError({ request, description: "nothing listens at this origin" })
    })
  )
