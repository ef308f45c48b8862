/**
 * The metrics of this library: names, meanings, boundaries. `docs/operating.md` says when to alarm.
 *
 * **Details**
 *
 * They live in the `Metric.MetricRegistry` that is in the context when a client is built, with the attributes that
 * `Metric.CurrentMetricAttributes` holds there. Their own attributes are the client id and what is said of each below,
 * never a tenant. Clients that share a client id share its series, and what a closed client counted stays in them. The usual
 * series of a client's flights are there from the start, at 0.
 *
 * `Metric.value` reads a series by all of its attributes, so for one that has some name them:
 * `Metric.value(Metric.withAttributes(EntraMetrics.waits, { client_id: clientId }))`.
 *
 * @since 0.1.0
 */
import * as Metric from "effect/Metric"

// -----------------------------------------------------------------------------
// counters
// -----------------------------------------------------------------------------

/**
 * Tokens acquired; attributes `client_id`, `source` (`Cache`, `IdentityProvider`), `reason` (a `CacheRefreshReason`).
 *
 * **Details**
 *
 * A call that was answered from memory at once counts as `Cache`, `NotApplicable`. The others are counted once a flight,
 * however many callers shared it; background renewals are `ProactivelyRefreshed`.
 *
 * **Example** (Reading the hits of a client)
 *
 * ```ts
 * import assert from "node:assert"
 * import { Effect, Layer, Metric } from "effect"
 * import { AuthorityResolver, ClientCredential, ConfidentialClient, EntraMetrics, TokenCache, TokenEndpoint } from "effect-entra"
 * import { EntraSimulator } from "effect-entra/testing"
 *
 * const clientId = EntraSimulator.daemonClientId
 * const Client = ConfidentialClient.layer({ clientId, tenantId: EntraSimulator.contosoTenantId }).pipe(
 *   Layer.provide([
 *     ClientCredential.layerSecret(EntraSimulator.daemonSecret),
 *     AuthorityResolver.layer,
 *     TokenEndpoint.layer,
 *     TokenCache.layerMemory()
 *   ]),
 *   Layer.provide(EntraSimulator.layerMemory())
 * )
 *
 * const program = Effect.gen(function*() {
 *   yield* Effect.repeat(ConfidentialClient.acquireToken({ scopes: "api://orders/.default" }), { times: 9 })
 *   const hits = Metric.withAttributes(EntraMetrics.acquisitions, {
 *     client_id: clientId,
 *     source: "Cache",
 *     reason: "NotApplicable"
 *   })
 *   assert.strictEqual((yield* Metric.value(hits)).count, 9)
 * })
 *
 * await Effect.runPromise(
 *   program.pipe(Effect.provide(Client), Effect.provideService(Metric.MetricRegistry, new Map()))
 * )
 * ```
 *
 * @category metrics
 * @since 0.1.0
 */
export const acquisitions: Metric.Counter<number> = Metric.counter("entra_acquisitions_total", {
  description: "Tokens acquired: calls answered from memory, and flights",
  incremental: true
})

/**
 * Calls that memory could not answer at once, those that joined another's flight included; attribute `client_id`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const waits: Metric.Counter<number> = Metric.counter("entra_waits_total", {
  description: "Calls that memory could not answer at once",
  incremental: true
})

/**
 * Flights that ended without a token; attributes `client_id`, `error` (the error's tag) and `reason`.
 *
 * **Details**
 *
 * The reason is `ProactivelyRefreshed` wherever callers are still served the token in hand, in its last minutes too. Flights
 * that a closed throttle gate or a remembered refusal ended are among them. A request that is wrong by itself (its scopes,
 * its tenant) starts no flight and is not.
 *
 * @category metrics
 * @since 0.1.0
 */
export const failures: Metric.Counter<number> = Metric.counter("entra_failures_total", {
  description: "Flights that ended without a token",
  incremental: true
})

/**
 * Requests sent to a token endpoint, repeated ones included; attribute `client_id`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const httpAttempts: Metric.Counter<number> = Metric.counter("entra_http_attempts_total", {
  description: "Requests sent to a token endpoint",
  incremental: true
})

/**
 * Live tokens that had to leave memory for others; no attributes, because clients share a cache.
 *
 * @category metrics
 * @since 0.1.0
 */
export const evictions: Metric.Counter<number> = Metric.counter("entra_cache_evictions_total", {
  description: "Live tokens that left memory for others",
  incremental: true
})

// -----------------------------------------------------------------------------
// histograms
// -----------------------------------------------------------------------------

/**
 * The boundaries of the histograms, in seconds: from a token endpoint nearby to the budget of an acquisition.
 *
 * @category metrics
 * @since 0.1.0
 */
export const boundaries: ReadonlyArray<number> = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

/**
 * How long flights took from start to end, in seconds; attribute `client_id`. Flights that were refused before anything
 * was sent are left out.
 *
 * @category metrics
 * @since 0.1.0
 */
export const duration: Metric.Histogram<number> = Metric.histogram("entra_acquisition_duration_seconds", {
  description: "Flights, from start to end",
  attributes: { unit: "seconds" },
  boundaries
})

/**
 * How long flights that sent something waited for the token endpoint, all attempts together, in seconds; attribute
 * `client_id`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const httpDuration: Metric.Histogram<number> = Metric.histogram("entra_http_duration_seconds", {
  description: "Time spent on the token endpoint, per flight",
  attributes: { unit: "seconds" },
  boundaries
})

/**
 * How long flights that sent something spent proving who the app is, in seconds; attribute `client_id`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const credentialDuration: Metric.Histogram<number> = Metric.histogram("entra_credential_duration_seconds", {
  description: "Time spent on the credential, per flight",
  attributes: { unit: "seconds" },
  boundaries
})

// -----------------------------------------------------------------------------
// gauges
// -----------------------------------------------------------------------------

/**
 * Tokens in the caches of this process's open clients; no attributes.
 *
 * @category metrics
 * @since 0.1.0
 */
export const cacheEntries: Metric.Gauge<number> = Metric.gauge("entra_cache_entries", {
  description: "Tokens in memory"
})

/**
 * Their estimated bytes; no attributes.
 *
 * @category metrics
 * @since 0.1.0
 */
export const cacheBytes: Metric.Gauge<number> = Metric.gauge("entra_cache_bytes", {
  description: "Bytes of the tokens in memory, estimated",
  attributes: { unit: "bytes" }
})

/**
 * When the credential expires, in seconds since the epoch; attribute `client_id`. Of several open clients the earliest.
 * There is no such series where nothing is known of it, as with a secret.
 *
 * @category metrics
 * @since 0.1.0
 */
export const credentialExpiry: Metric.Gauge<number> = Metric.gauge("entra_credential_expiry_timestamp_seconds", {
  description: "When the credential expires, in seconds since the epoch",
  attributes: { unit: "seconds" }
})

/**
 * Keys (client, tenant, scopes) that the service asked to be left alone for now; no attributes.
 *
 * @category metrics
 * @since 0.1.0
 */
export const throttledKeys: Metric.Gauge<number> = Metric.gauge("entra_throttled_keys", {
  description: "Keys that the service asked to be left alone for now"
})

/**
 * Keys that the service has just refused, so that it is not asked again for now; no attributes.
 *
 * @category metrics
 * @since 0.1.0
 */
export const refusedKeys: Metric.Gauge<number> = Metric.gauge("entra_refused_keys", {
  description: "Keys that the service has just refused"
})
