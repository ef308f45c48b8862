/**
 * Telemetry of a client: events, metrics as a Prometheus page, and traces, metrics and logs over OTLP.
 *
 * It runs against the simulator in memory. With `OTEL_EXPORTER_OTLP_ENDPOINT` (for example `http://localhost:4318`) it also
 * sends everything to that collector.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { Config, Console, Effect, Fiber, Layer, Logger, Metric, Option, Redacted, Stream } from "effect"
import {
  AuthorityResolver,
  ClientCredential,
  ConfidentialClient,
  TokenCache,
  TokenEndpoint,
  TokenStore
} from "effect-entra"
import { EntraSimulator, TestCertificate } from "effect-entra/testing"
import { FetchHttpClient } from "effect/http"
import { Otlp, PrometheusMetrics } from "effect/observability"
import { randomBytes } from "node:crypto"
import { load } from "./support/dashboard.ts"
import { heading } from "./support/report.ts"

/** Causes hits, misses and two errors. */
const traffic = Effect.gen(function*() {
  const simulator = yield* EntraSimulator.EntraSimulator
  const graph = "https://graph.microsoft.com/.default"
  const tenants = [EntraSimulator.contosoDomain, EntraSimulator.fabrikamDomain]
  const round = Effect.forEach(tenants, (tenantId) => ConfidentialClient.acquireToken({ scopes: graph, tenantId }))
  yield* Effect.repeat(round, { times: 9 })
  yield* ConfidentialClient.acquireToken({ scopes: graph, tenantId: tenants[0], forceRefresh: true })
  yield* simulator.fail(EntraSimulator.Fault.throttled({ retryAfter: "1 minute" }), { tenant: tenants[0] })
  const trouble = [
    ConfidentialClient.acquireToken({ scopes: "api://orders/.default", tenantId: tenants[0] }),
    ConfidentialClient.acquireToken({ scopes: "api://nobody-knows/.default", tenantId: tenants[1] })
  ]
  yield* Effect.forEach(trouble, Effect.flip)
})

const program = Effect.gen(function*() {
  const watching = yield* Effect.forkChild(
    ConfidentialClient.events.pipe(
      Stream.tap((event) =>
        Console.log(`${event._tag} ${event.tenantId} ${event._tag === "AcquisitionFailed" ? event.error.code : ""}`)
      ),
      Stream.take(5),
      Stream.runCount
    ),
    { startImmediately: true }
  )

  yield* heading("Events")
  yield* traffic
  const events = yield* Fiber.join(watching)
  yield* Console.log(`${events} events; hits cause no events`)

  yield* heading("The page for Prometheus, which a program serves with PrometheusMetrics.layerHttp()")
  const page = yield* PrometheusMetrics.format()
  yield* Console.log(page)

  yield* heading("The dashboard and the rules")
  for (const path of ["docs/grafana.json", "docs/prometheus-rules.yaml"]) {
    const { asked, missing } = yield* load(path, page)
    yield* Console.log(`${path} uses ${asked} metrics; missing: ${missing.join(", ") || "none"}`)
  }
})

// A store in memory, in place of Redis, so that its metrics exist too.
const Cache = TokenCache.layerTiered({
  store: TokenStore.TokenStore,
  keys: [Redacted.make(randomBytes(32).toString("base64"))]
}).pipe(Layer.provide(TokenStore.layerTest))

const Client = Layer.unwrap(Effect.gen(function*() {
  const { certificate, privateKey } = yield* TestCertificate.make()
  const simulator = yield* EntraSimulator.EntraSimulator
  yield* simulator.addCertificate(EntraSimulator.daemonClientId, certificate)
  return ConfidentialClient.layer({ clientId: EntraSimulator.daemonClientId }).pipe(
    Layer.provide([
      ClientCredential.layerCertificate({ certificate, privateKey }),
      AuthorityResolver.layer,
      TokenEndpoint.layer,
      Cache
    ])
  )
})).pipe(Layer.provideMerge(EntraSimulator.layerMemory()))

const Collector = Layer.unwrap(
  Effect.map(
    Config.option(Config.String("OTEL_EXPORTER_OTLP_ENDPOINT")),
    (endpoint) =>
      Option.isNone(endpoint) ? Layer.empty : Otlp.layerJson({
        baseUrl: endpoint.value,
        resource: { serviceName: "observability-sample" }
      })
  )
).pipe(Layer.provide(FetchHttpClient.layer))

await Effect.runPromise(
  program.pipe(
    Effect.provide(Client),
    Effect.provide([Collector, NodeFileSystem.layer]),
    Effect.provide(Logger.layer([Logger.consolePretty()])),
    // A new registry shows the metrics of this client alone.
    Effect.provideService(Metric.MetricRegistry, new Map())
  )
)
