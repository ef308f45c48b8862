/**
 * The services by which Azure's platforms give tokens to what runs on them: the Instance Metadata Service (IMDS), App
 * Service's, and Azure Arc's agent, for tests and demos of managed identities. Each is strict about its header, its
 * parameters and the identities it knows.
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
import { type Identity, judge, type Known, type Platform } from "./internal/routes/metadataRules.ts"
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
 * What the service answers instead of a token, or later than usual.
 *
 * **Details**
 *
 * `after` waits first, `Infinity` for ever; `dropped` closes the connection; without `status` the ordinary answer follows.
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
 * A request as it arrived, secrets included, and the status that it was answered with.
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
 * - `platform`: default `"imds"`.
 * - `origin`: default that of the real service.
 * - `tenantId`: of the identities; default `EntraSimulator.contosoTenantId`.
 * - `authority`: the origin that issues the tokens; default `https://login.microsoftonline.com`.
 * - `identities`: default {@link systemAssigned} and {@link userAssigned}; Azure Arc has only the first.
 * - `resources`: those that there are tokens for; default: any.
 * - `tokenLifetime`: default 24 hours, cut to whole seconds.
 * - `signer`: default that of `EntraSimulator`, which so accepts the tokens as its own.
 * - `keyDirectory`: where Azure Arc's keys are; default that of Linux.
 * - `writeKey`: what puts them there; default: they are only remembered, in `keys` of the service.
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
 * A service: what it saw, and what can be changed while it runs.
 *
 * **Details**
 *
 * `environment` are the variables that the platform sets. `issuer` is what the tokens name, with an identity's `objectId` as
 * the subject: what a federated credential has to trust. `requests` are those for tokens, oldest first. `fail` scripts the
 * next answers, each `times` times (once unless told). `keys` are Azure Arc's key files by path. `respond` is what the
 * routes call.
 *
 * **Gotchas**
 *
 * The real services keep a token for hours and hand out the same one; this one makes a new token for each request. The
 * texts of App Service's and Azure Arc's refusals are not recorded from the real ones.
 *
 * **Example** (Asking for a token by hand)
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
 * Makes a service.
 *
 * **Example** (The variables of App Service)
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
    const all = options.identities ?? [systemAssigned, userAssigned]
    const known: Known = {
      platform,
      identities: platform === "azureArc" ? all.filter(({ resourceId }) => resourceId === undefined) : all,
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
        const verdict = judge({ headers: request.headers, query }, known)
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
 * A service without a way in: serve its `routes`, or give it `layerHttpClient`.
 *
 * **Example** (A machine with one identity)
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
 * The routes of the services, for an `HttpRouter` of one's own.
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
 * An `HttpClient` that ends in the service for requests to its origin, and goes on to the `HttpClient` of the context for
 * all others.
 *
 * **Example** (A machine in front of an `EntraSimulator`)
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
      const own = memoryClient(service.origin, Effect.provideService(app, MetadataService, service))
      return HttpClient.make((request, url) =>
        url.origin === service.origin ? own.execute(request) : others.execute(request)
      )
    })
  )

/**
 * A service and the `HttpClient` that ends in it, in one line and without sockets; nobody else can be reached.
 *
 * **Example** (A function app)
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

/** The metadata service has an address that everybody knows; only another one has to be said. */
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
      reason: new HttpClientError.TransportError({ request, description: "nothing listens there" })
    })
  )
