/**
 * A simulator of Microsoft Entra ID with a small Microsoft Graph, for tests and demos. It checks the form, the credential, the
 * scope, the tenant and the app of a token request, and refuses with the bodies and codes of the real service. It also runs
 * scripted faults and counts the requests. This module needs neither sockets nor `node:` modules; `effect-entra/node` has a
 * server for the simulator.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type { Fault } from "./Fault.ts"
import { type Endpoint, makeFaultQueue, type ScriptedFault } from "./internal/faults/faultQueue.ts"
import { nextFault, type Refuse } from "./internal/faults/faultResponse.ts"
import { memoryClient } from "./internal/http/memoryClient.ts"
import { readTarget } from "./internal/http/wire.ts"
import * as Adfs from "./internal/routes/adfs.ts"
import { adminConsent } from "./internal/routes/consent.ts"
import * as Discovery from "./internal/routes/discovery.ts"
import * as Graph from "./internal/routes/graph.ts"
import * as Realm from "./internal/routes/realm.ts"
import { token } from "./internal/routes/tokenRoute.ts"
import { readCertificate, type RegisteredCertificate } from "./internal/world/certificates.ts"
import { azureResources, defaultOptions } from "./internal/world/defaultWorld.ts"
import { type Counters, makeLedger, type RecordedRequest } from "./internal/world/ledger.ts"
import { registrations } from "./internal/world/registrations.ts"
import {
  type FederatedCredential,
  makeWorld,
  type Options,
  type PlatformIssuer,
  type Tenant,
  toSeconds,
  type User
} from "./internal/world/world.ts"

// -----------------------------------------------------------------------------
// Models
// -----------------------------------------------------------------------------

/**
 * The scripted faults of a simulator.
 *
 * @category models
 * @since 0.1.0
 */
export * as Fault from "./Fault.ts"
export type { Endpoint, ScriptedFault } from "./internal/faults/faultQueue.ts"
export { DropConnection, OnFault } from "./internal/faults/faultResponse.ts"
export { assertionMaxLifetimeSeconds, assertionSkewSeconds } from "./internal/proof/clientAssertion.ts"
export {
  azureResources,
  contosoDomain,
  contosoTenantId,
  daemonClientId,
  daemonSecret,
  type DefaultOptions,
  defaultOptions,
  fabrikamDomain,
  fabrikamTenantId,
  graphAppId,
  graphResource,
  ordersAppId,
  ordersResource
} from "./internal/world/defaultWorld.ts"
export type { Counters, RecordedRequest } from "./internal/world/ledger.ts"
export {
  type Expectation,
  InvalidToken,
  makeSignerRs256,
  type Signer,
  signerFake,
  signerRs256
} from "./internal/world/signer.ts"
export type {
  App,
  FederatedCredential,
  Options,
  PlatformIssuer,
  Realm,
  RealmAuthMethod,
  Resource,
  Tenant,
  TrustedSubject,
  User
} from "./internal/world/world.ts"

/**
 * An endpoint of the simulator.
 *
 * @category models
 * @since 0.1.0
 */
export type Part =
  | "token"
  | "adminConsent"
  | "instance"
  | "openIdConfiguration"
  | "keys"
  | "adfsToken"
  | "adfsOpenIdConfiguration"
  | "adfsKeys"
  | "realmToken"
  | "realmOpenIdConfiguration"
  | "realmKeys"
  | "users"
  | "usersDelta"
  | "organization"

// -----------------------------------------------------------------------------
// Service
// -----------------------------------------------------------------------------

/**
 * A simulator.
 *
 * **Details**
 *
 * - `origin`: the origin that tokens name as their issuer.
 * - `counters`: the numbers of requests, tokens, refusals and faults.
 * - `requests`: the last 1,000 token requests, oldest first.
 * - `reset`: clears counters, requests and faults. Tenants, apps and their credentials stay.
 * - `fail`: scripts the next responses. Faults are used in the order of the calls. `endpoint` is a group of endpoints:
 *   `"token"` (the default), `"consent"`, `"discovery"` or `"graph"`. A refusal at `"consent"` is an administrator who
 *   does not accept. `times` is the number of uses; default: 1, `Infinity` for all requests. `tenant` limits the fault
 *   to one tenant (its id or domain, the name of a realm, or `adfs`), `host` to one host; default: all tenants and
 *   hosts. At `"graph"` the tenant is that of the token, and a refusal has the body of Microsoft Graph.
 * - `faults`: the scripted faults with uses left, oldest first.
 * - `removeFault`: removes the scripted fault with an id; `clearFaults`: removes all scripted faults.
 * - `addTenant`: adds a tenant; it replaces one with the same id and its users.
 * - `putUser`: adds a user to a tenant (its id or domain), or replaces the user with the same id.
 * - `removeUser`: removes a user. The next delta query reports it as `@removed`.
 * - `expireDeltaLinks`: expires all links of delta queries of a tenant. Graph then responds to them with status 410.
 * - `install`: creates the service principal of an app in a tenant (its id or domain), without permissions.
 * - `consent`: installs an app and grants its permissions, as an administrator's consent does.
 * - `revoke`: removes the permissions; the app stays installed. Tokens that were issued before keep their `roles`.
 * - `setTokenLifetime`: sets the lifetime of new tokens.
 * - `setRefreshIn`: sets `refresh_in` of new tokens; undefined: no `refresh_in`.
 * - `addSecret`, `removeSecret`, `addCertificate`, `removeCertificate`: change the credentials of an app.
 * - `addFederatedCredential`: adds a federated credential; it replaces one with the same issuer and subject.
 * - `removeFederatedCredential`: removes the federated credential with the same issuer and subject.
 * - `trustIssuer`: adds a platform, or replaces its keys.
 * - `respond`: handles a request; the routes call it.
 *
 * **Gotchas**
 *
 * An app, a tenant or a user that does not exist and a certificate that cannot be read are defects, because they are errors of
 * the test. `install` grants the permissions too if the `consents` of the app include the tenant, as they do by
 * default. Certificates need two packages, without which they are defects too:
 * `npm i -D @peculiar/x509 reflect-metadata`.
 *
 * **Example** (Requesting a token without a client)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { HttpClient, HttpClientRequest } from "effect/http"
 * import { EntraSimulator } from "effect-entra/testing"
 * import assert from "node:assert"
 *
 * const program = Effect.gen(function*() {
 *   const url = `https://login.microsoftonline.com/${EntraSimulator.contosoDomain}/oauth2/v2.0/token`
 *   const response = yield* HttpClient.execute(HttpClientRequest.post(url).pipe(
 *     HttpClientRequest.bodyUrlParams({
 *       grant_type: "client_credentials",
 *       client_id: EntraSimulator.daemonClientId,
 *       client_secret: EntraSimulator.daemonSecret,
 *       scope: "https://graph.microsoft.com/.default"
 *     })
 *   ))
 *   assert.equal(response.status, 200)
 *   const simulator = yield* EntraSimulator.EntraSimulator
 *   assert.equal((yield* simulator.counters).tokensIssued, 1)
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.provide(EntraSimulator.layerMemory())))
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export class EntraSimulator extends Context.Service<EntraSimulator, {
  readonly origin: string
  readonly counters: Effect.Effect<Counters>
  readonly requests: Effect.Effect<ReadonlyArray<RecordedRequest>>
  readonly reset: Effect.Effect<void>
  readonly fail: (
    fault: Fault,
    options?: {
      readonly tenant?: string | undefined
      readonly host?: string | undefined
      readonly times?: number | undefined
      readonly endpoint?: Endpoint | undefined
    }
  ) => Effect.Effect<void>
  readonly faults: Effect.Effect<ReadonlyArray<ScriptedFault>>
  readonly removeFault: (id: number) => Effect.Effect<void>
  readonly clearFaults: Effect.Effect<void>
  readonly addTenant: (tenant: Tenant) => Effect.Effect<void>
  readonly putUser: (tenantId: string, user: User) => Effect.Effect<void>
  readonly removeUser: (tenantId: string, userId: string) => Effect.Effect<void>
  readonly expireDeltaLinks: (tenantId: string) => Effect.Effect<void>
  readonly install: (clientId: string, tenantId: string) => Effect.Effect<void>
  readonly consent: (clientId: string, tenantId: string) => Effect.Effect<void>
  readonly revoke: (clientId: string, tenantId: string) => Effect.Effect<void>
  readonly setTokenLifetime: (lifetime: Duration.Input) => Effect.Effect<void>
  readonly setRefreshIn: (refreshIn: Duration.Input | undefined) => Effect.Effect<void>
  readonly addSecret: (clientId: string, secret: Redacted.Redacted) => Effect.Effect<void>
  readonly removeSecret: (clientId: string, secret: Redacted.Redacted) => Effect.Effect<void>
  readonly addCertificate: (clientId: string, certificate: string) => Effect.Effect<void>
  readonly removeCertificate: (clientId: string, certificate: string) => Effect.Effect<void>
  readonly addFederatedCredential: (clientId: string, credential: FederatedCredential) => Effect.Effect<void>
  readonly removeFederatedCredential: (clientId: string, credential: FederatedCredential) => Effect.Effect<void>
  readonly trustIssuer: (issuer: PlatformIssuer) => Effect.Effect<void>
  readonly respond: (
    part: Part,
    request: HttpServerRequest.HttpServerRequest
  ) => Effect.Effect<HttpServerResponse.HttpServerResponse>
}>()("effect-entra/testing/EntraSimulator") {}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * Creates a simulator. Absent options have the values of {@link defaultOptions}.
 *
 * **Example** (Creating a simulator)
 *
 * ```ts
 * import assert from "node:assert"
 * import { Effect } from "effect"
 * import { EntraSimulator } from "effect-entra/testing"
 *
 * const simulator = await Effect.runPromise(EntraSimulator.make({ tokenLifetime: "5 minutes" }))
 * assert.strictEqual(simulator.origin, "https://login.microsoftonline.com")
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  options: Options = {}
): Effect.fn.Return<EntraSimulator["Service"]> {
  const clock = yield* Clock.Clock
  const ledger = makeLedger()
  const faults = makeFaultQueue()
  const complete = withDefaults(options)
  const certificates = new Map<string, RegisteredCertificate>()
  for (const pem of complete.apps.flatMap((app) => app.certificates ?? [])) {
    certificates.set(pem, yield* readCertificate(pem))
  }
  // Issuer certificates are read on demand; reading them here too reports an unreadable one at the start.
  for (const trusted of complete.apps.flatMap((app) => app.trustedSubjects ?? [])) {
    yield* readCertificate(trusted.issuerCertificate)
  }
  const certificatesOf = (pems: ReadonlyArray<string>) => pems.flatMap((pem) => certificates.get(pem) ?? [])
  const world = makeWorld(complete, {
    clock,
    ledger,
    faults,
    wellKnown: Object.values(azureResources),
    certificatesOf: (app) => certificatesOf(app.certificates ?? [])
  })
  const scripted =
    (endpoint: Endpoint, handler: Handler, targetOf = readTarget, refuse?: Refuse): Handler => (request) =>
      Effect.flatMap(
        nextFault(world, endpoint, request, targetOf(request, world.origin), {}, refuse),
        (response) => response === undefined ? handler(request) : Effect.succeed(response)
      )
  const scriptedGraph = (handler: Handler) => scripted("graph", handler, Graph.graphTarget, Graph.refuse)
  const parts: Record<Part, Handler> = {
    token: token(world),
    adminConsent: adminConsent(world),
    instance: scripted("discovery", Discovery.instance(world)),
    openIdConfiguration: scripted("discovery", Discovery.openIdConfiguration(world)),
    keys: scripted("discovery", Discovery.keys(world)),
    adfsToken: Adfs.token(world),
    adfsOpenIdConfiguration: scripted("discovery", Adfs.openIdConfiguration(world)),
    adfsKeys: scripted("discovery", Adfs.keys(world)),
    realmToken: Realm.token(world),
    realmOpenIdConfiguration: scripted("discovery", Realm.openIdConfiguration(world), Realm.realmTarget),
    realmKeys: scripted("discovery", Realm.keys(world), Realm.realmTarget),
    users: scriptedGraph(Graph.users(world)),
    usersDelta: scriptedGraph(Graph.usersDelta(world)),
    organization: scriptedGraph(Graph.organization(world))
  }
  return EntraSimulator.of({
    origin: world.origin,
    counters: Effect.sync(ledger.counters),
    requests: Effect.sync(ledger.requests),
    reset: Effect.sync(() => {
      ledger.reset()
      faults.clear()
    }),
    fail: (fault, options) =>
      Effect.sync(() => {
        const tenant = options?.tenant
        const id = tenant === undefined ? undefined : world.findTenant(tenant)?.id ?? tenant
        const only = { tenant: id, host: options?.host }
        faults.add(fault, options?.endpoint ?? "token", only, options?.times ?? 1)
      }),
    faults: Effect.sync(faults.list),
    removeFault: (id) => Effect.sync(() => faults.remove(id)),
    clearFaults: Effect.sync(faults.clear),
    setTokenLifetime: (lifetime) =>
      Effect.sync(() => {
        world.tokenLifetime = toSeconds(lifetime)
      }),
    setRefreshIn: (refreshIn) =>
      Effect.sync(() => {
        world.refreshIn = refreshIn === undefined ? undefined : toSeconds(refreshIn)
      }),
    ...registrations(world),
    respond: (part, request) => Effect.suspend(() => parts[part](request))
  })
})

// -----------------------------------------------------------------------------
// Layers
// -----------------------------------------------------------------------------

/**
 * Provides a simulator without transport. Requests reach it through {@link routes} or {@link layerHttpClient}.
 *
 * **Example** (Setting the origin of a simulator)
 *
 * ```ts
 * import { EntraSimulator } from "effect-entra/testing"
 *
 * export const Private = EntraSimulator.layer({ origin: "https://login.private.example" })
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<EntraSimulator> => Layer.effect(EntraSimulator, make(options))

const route = (method: "GET" | "POST", path: HttpRouter.PathInput, part: Part) =>
  HttpRouter.route(
    method,
    path,
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator
      return yield* simulator.respond(part, yield* HttpServerRequest.HttpServerRequest)
    })
  )

/**
 * Provides the routes of the simulator for an `HttpRouter`.
 *
 * **Example** (Serving Web requests)
 *
 * ```ts
 * import { Layer } from "effect"
 * import { HttpRouter, HttpServer } from "effect/http"
 * import { EntraSimulator } from "effect-entra/testing"
 * import assert from "node:assert"
 *
 * const { dispose, handler } = HttpRouter.toWebHandler(
 *   EntraSimulator.routes.pipe(
 *     HttpRouter.provideRequest(EntraSimulator.layer()),
 *     Layer.provide(HttpServer.layerServices)
 *   ),
 *   { disableLogger: true }
 * )
 * const response = await handler(new Request("https://login.microsoftonline.com/common/discovery/v2.0/keys"))
 * assert.equal(response.status, 200)
 * await dispose()
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const routes = HttpRouter.addAll([
  route("GET", "/common/discovery/instance", "instance"),
  route("POST", "/:tenant/oauth2/v2.0/token", "token"),
  route("GET", "/:tenant/adminconsent", "adminConsent"),
  route("GET", "/:tenant/v2.0/adminconsent", "adminConsent"),
  route("GET", "/:tenant/v2.0/.well-known/openid-configuration", "openIdConfiguration"),
  route("GET", "/:tenant/discovery/v2.0/keys", "keys"),
  route("POST", "/adfs/oauth2/token", "adfsToken"),
  route("GET", "/adfs/.well-known/openid-configuration", "adfsOpenIdConfiguration"),
  route("GET", "/adfs/discovery/keys", "adfsKeys"),
  route("POST", "/realms/:realm/protocol/openid-connect/token", "realmToken"),
  route("GET", "/realms/:realm/.well-known/openid-configuration", "realmOpenIdConfiguration"),
  route("GET", "/realms/:realm/protocol/openid-connect/certs", "realmKeys"),
  route("GET", "/v1.0/users", "users"),
  route("GET", "/v1.0/users/delta", "usersDelta"),
  route("GET", "/v1.0/organization", "organization")
])

/**
 * Provides an `HttpClient` that passes the requests for every https host to the simulator instead of the network.
 *
 * **Details**
 *
 * The simulator treats the host of the URL as its own host. A request over http to another origin and a dropped connection
 * fail with a `TransportError`.
 *
 * **Gotchas**
 *
 * Routes depend on the path, not on the host. A request to your own API gets an empty 404 response, unless the simulator
 * serves its path, such as `/v1.0/users`. To simulate that API too, wrap this `HttpClient` in one that handles the API's host.
 *
 * **Example** (Reaching only the simulator)
 *
 * ```ts
 * import { Layer } from "effect"
 * import { EntraSimulator } from "effect-entra/testing"
 *
 * export const Http = EntraSimulator.layerHttpClient.pipe(Layer.provideMerge(EntraSimulator.layer()))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerHttpClient: Layer.Layer<HttpClient.HttpClient, never, EntraSimulator> = Layer.effect(
  HttpClient.HttpClient,
  Effect.gen(function*() {
    const simulator = yield* EntraSimulator
    const app = yield* HttpRouter.toHttpEffect(routes)
    return memoryClient(simulator.origin, Effect.provideService(app, EntraSimulator, simulator))
  })
)

/**
 * Provides a simulator and an `HttpClient` that reaches only this simulator, without sockets.
 *
 * **When to use**
 *
 * Use for tests in one process. In a test with `TestClock`, pass `signer: signerFake` and authenticate with a secret: requests
 * then depend on no other clock.
 *
 * **Example** (Adjusting the test clock)
 *
 * ```ts
 * import { Effect, Fiber } from "effect"
 * import { HttpClient } from "effect/http"
 * import { TestClock } from "effect/testing"
 * import { EntraSimulator } from "effect-entra/testing"
 * import assert from "node:assert"
 *
 * const program = Effect.gen(function*() {
 *   const simulator = yield* EntraSimulator.EntraSimulator
 *   yield* simulator.fail(EntraSimulator.Fault.delay("1 hour"))
 *   const url = `https://login.microsoftonline.com/${EntraSimulator.contosoTenantId}/oauth2/v2.0/token`
 *   const fiber = yield* Effect.forkChild(HttpClient.post(url))
 *   yield* TestClock.adjust("1 hour")
 *   const response = yield* Fiber.join(fiber)
 *   assert.equal(response.status, 400)
 * })
 *
 * await Effect.runPromise(program.pipe(
 *   Effect.provide(EntraSimulator.layerMemory({ signer: EntraSimulator.signerFake })),
 *   Effect.provide(TestClock.layer())
 * ))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMemory = (options?: Options): Layer.Layer<EntraSimulator | HttpClient.HttpClient> =>
  Layer.provideMerge(layerHttpClient, layer(options))

// -----------------------------------------------------------------------------
// Internal
// -----------------------------------------------------------------------------

type Handler = (request: HttpServerRequest.HttpServerRequest) => Effect.Effect<HttpServerResponse.HttpServerResponse>

const withDefaults = (options: Options) => ({
  ...options,
  origin: options.origin ?? defaultOptions.origin,
  tenants: options.tenants ?? defaultOptions.tenants,
  apps: options.apps ?? defaultOptions.apps,
  resources: options.resources ?? defaultOptions.resources,
  tokenLifetime: options.tokenLifetime ?? defaultOptions.tokenLifetime,
  signer: options.signer ?? defaultOptions.signer
})
