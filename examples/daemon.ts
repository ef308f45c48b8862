/**
 * A daemon: an app without users that calls an API as itself.
 *
 * With `AZURE_TENANT_ID`, `AZURE_CLIENT_ID` and a credential in the environment it talks to Microsoft Entra ID and
 * Microsoft Graph; otherwise it starts the simulator on this machine and talks to it over https.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { Clock, Config, Console, Effect, Layer, Logger, Option, Redacted, References } from "effect"
import { BearerHttpClient, ClientCredential, ConfidentialClient, EntraError, TokenScope } from "effect-entra"
import { layerFromEnv, SimulatorServer } from "effect-entra/node"
import { EntraSimulator, TestCertificate } from "effect-entra/testing"
import { FetchHttpClient } from "effect/http"
import { users } from "./support/graph.ts"
import { heading, table } from "./support/report.ts"

const graph = TokenScope.fromResource("https://graph.microsoft.com")

// -----------------------------------------------------------------------------
// the work
// -----------------------------------------------------------------------------

/** Acquires a token and returns its row of the table. */
const timed = Effect.fnUntraced(function*(request: { readonly tenantId: string; readonly scopes: string }) {
  const clock = yield* Clock.Clock
  const begun = clock.monotonicTimeNanosUnsafe()
  const result = yield* ConfidentialClient.acquireToken(request)
  const millis = Number(clock.monotonicTimeNanosUnsafe() - begun) / 1e6
  const { cacheRefreshReason, tokenSource } = result.metadata
  return {
    tenant: request.tenantId,
    scope: request.scopes,
    source: tokenSource,
    "refresh reason": cacheRefreshReason,
    ms: millis.toFixed(2)
  }
})

/** Lists users. The HTTP client adds the tenant's token to the requests of this fiber. */
const listUsers = Effect.fnUntraced(function*(tenant: string, graphUrl: string) {
  const names = yield* users({ baseUrl: graphUrl, maxPages: 3 }).pipe(
    Effect.provideService(BearerHttpClient.CurrentTenantId, tenant)
  )
  return { tenant, users: names.length, "the first of them": names.slice(0, 4).join(", ") }
})

/** Acquires a token for every tenant twice; the second round comes from the cache. */
const work = Effect.fnUntraced(function*(tenants: ReadonlyArray<string>, graphUrl: string) {
  const rounds = yield* Effect.forEach(
    [1, 2],
    () => Effect.forEach(tenants, (tenantId) => timed({ tenantId, scopes: graph }))
  )
  yield* table(rounds.flat())
  const stats = yield* ConfidentialClient.stats
  yield* Console.log(
    `\nhit rate ${(stats.hitRate * 100).toFixed(0)} % (${stats.hits} of ${stats.hits + stats.misses}), ` +
      `${stats.entries} tokens in the cache\n`
  )
  yield* table(yield* Effect.forEach(tenants, (tenant) => listUsers(tenant, graphUrl)))
})

// -----------------------------------------------------------------------------
// errors
// -----------------------------------------------------------------------------

const trouble = (what: string, error: EntraError.AcquireTokenError) =>
  Console.log(
    [
      `${what}:`,
      `  ${error._tag} (${error.code}, ${
        error.origin === "local" ? "found here, nothing was sent" : "the result of a request"
      })`,
      `  ${error.message.split(" Trace ID:")[0]}`,
      `  -> ${error.remedy}`
    ].join("\n")
  )

const attempt = (what: string, request: Parameters<typeof ConfidentialClient.acquireToken>[0]) =>
  ConfidentialClient.acquireToken(request).pipe(
    Effect.matchEffect({
      onFailure: (error) => trouble(what, error),
      onSuccess: ({ metadata }) => Console.log(`${what}:\n  a token, from ${metadata.tokenSource}`)
    })
  )

// -----------------------------------------------------------------------------
// against the simulator
// -----------------------------------------------------------------------------

const simulated = Effect.gen(function*() {
  const simulator = yield* EntraSimulator.EntraSimulator
  const { origin } = simulator
  const tenants = [EntraSimulator.contosoDomain, EntraSimulator.fabrikamDomain]
  const clientWith = <E>(credential: Layer.Layer<ClientCredential.ClientCredential, E>) =>
    BearerHttpClient.layer({ [origin]: graph }).pipe(
      Layer.provideMerge(
        ConfidentialClient.layerDefault({ clientId: EntraSimulator.daemonClientId, authority: origin })
      ),
      Layer.provide(credential)
    )
  yield* Console.log(`AZURE_TENANT_ID is not set, so this runs against a simulator at ${origin}`)

  yield* heading("With a secret")
  yield* Effect.gen(function*() {
    yield* work(tenants, origin)

    yield* heading("Errors")
    yield* attempt("tenant \"common\"", { tenantId: "common", scopes: graph })
    yield* attempt("an unknown scope", { tenantId: tenants[0], scopes: TokenScope.fromResource("api://nobody-knows") })
    yield* simulator.fail(EntraSimulator.Fault.throttled({ retryAfter: "30 seconds" }), {
      tenant: EntraSimulator.fabrikamTenantId
    })
    const throttled = { tenantId: tenants[1], scopes: TokenScope.fromResource(EntraSimulator.ordersResource) }
    yield* attempt("a throttled tenant", throttled)
    yield* attempt("the same tenant, again at once", throttled)
    yield* attempt("the same tenant, a cached token", { ...throttled, scopes: graph })
  }).pipe(Effect.provide(clientWith(ClientCredential.layerSecret(EntraSimulator.daemonSecret))))

  yield* attempt("a wrong secret", { tenantId: tenants[0], scopes: graph }).pipe(
    Effect.provide(clientWith(ClientCredential.layerSecret(Redacted.make("not the secret"))))
  )

  yield* heading("With a certificate")
  const certificate = yield* TestCertificate.make({ commonName: "daemon" })
  yield* simulator.addCertificate(EntraSimulator.daemonClientId, certificate.certificate)
  yield* work(tenants, origin).pipe(Effect.provide(clientWith(ClientCredential.layerCertificate(certificate))))

  const seen = yield* simulator.counters
  yield* heading(`The simulator saw ${seen.tokenRequests} token requests and ${seen.graphRequests} requests to Graph`)
}).pipe(
  Effect.provide(SimulatorServer.layerHttpClient.pipe(Layer.provideMerge(SimulatorServer.layerHttps())))
)

// -----------------------------------------------------------------------------
// against the real service
// -----------------------------------------------------------------------------

const real = Effect.fnUntraced(
  function*(tenant: string) {
    yield* heading("With the credential of the environment")
    yield* work([tenant], "https://graph.microsoft.com")
    yield* heading("Errors")
    yield* attempt("tenant \"common\"", { tenantId: "common", scopes: graph })
    yield* attempt("an unknown scope", { scopes: TokenScope.fromResource("api://nobody-knows") })
  },
  Effect.provide(
    BearerHttpClient.layer({ "https://graph.microsoft.com": graph }).pipe(
      Layer.provideMerge(layerFromEnv()),
      Layer.provide([FetchHttpClient.layer, NodeFileSystem.layer])
    )
  )
)

const daemon = Effect.gen(function*() {
  const tenant = yield* Config.option(Config.String("AZURE_TENANT_ID"))
  yield* Option.isSome(tenant) ? real(tenant.value) : simulated
}).pipe(
  Effect.catch((error) => {
    process.exitCode = 1
    const found = error._tag === "HttpClientError" ? BearerHttpClient.tokenErrorOf(error) : error
    if (EntraError.isEntraError(found)) return trouble("The daemon stops", found)
    return Console.log(
      `The daemon stops: ${error.message}\n` +
        "  -> With 403 the token carries no permission yet: docs/registering.md#a-token-without-roles-403-at-the-api"
    )
  }),
  // The sample prints each error itself.
  Effect.provideService(References.MinimumLogLevel, "Fatal"),
  Effect.provide(Logger.layer([Logger.consolePretty()]))
)

await Effect.runPromise(daemon)
