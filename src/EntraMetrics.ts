/**
 * The metrics of this library: their names, meanings and boundaries. `docs/operating.md` lists useful alarms.
 *
 * **Details**
 *
 * A flight is one acquisition that several callers may share.
 *
 * - The metrics are registered in the `Metric.MetricRegistry` of the context in which a client is built, with the
 *   attributes of `Metric.CurrentMetricAttributes` in that context.
 * - Their own attributes are listed for each metric. A tenant is never an attribute.
 * - Clients with the same client id share one series. The counts of a closed client stay in its series.
 * - The usual series of a client exist from the start, with the value 0.
 * - `Metric.value` reads a series by all of its attributes, so pass them:
 *   `Metric.value(Metric.withAttributes(EntraMetrics.waits, { client_id: clientId }))`.
 *
 * @since 0.1.0
 */
import * as Metric from "effect/Metric"

// -----------------------------------------------------------------------------
// counters
// -----------------------------------------------------------------------------

/**
 * The number of acquired tokens (`entra_acquisitions_total`).
 *
 * **Details**
 *
 * Attributes: `client_id`, `source` (`Cache`, `IdentityProvider`) and `reason` (an `AccessToken.CacheRefreshReason`). A
 * cache hit counts as `Cache`, `NotApplicable`. A flight counts once, whatever the number of callers that share it. A
 * background refresh counts as `ProactivelyRefreshed`.
 *
 * **Example** (Reading the cache hits of a client)
 *
 * ```ts
 * import assert from "node:assert"
 * import { Effect, Layer, Metric } from "effect"
 * import { ClientCredential, ConfidentialClient, EntraMetrics } from "effect-entra"
 * import { EntraSimulator } from "effect-entra/testing"
 *
 * const clientId = EntraSimulator.daemonClientId
 * const Client = ConfidentialClient.layerDefault({ clientId, tenantId: EntraSimulator.contosoTenantId }).pipe(
 *   Layer.provide([ClientCredential.layerSecret(EntraSimulator.daemonSecret), EntraSimulator.layerMemory()])
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
  description: "Acquired tokens: cache hits and flights",
  incremental: true
})

/**
 * The number of calls that waited for a flight (`entra_waits_total`), because the cache had no token to serve at once.
 *
 * **Details**
 *
 * Attribute: `client_id`. Calls that joined the flight of another caller are included.
 *
 * @category metrics
 * @since 0.1.0
 */
export const waits: Metric.Counter<number> = Metric.counter("entra_waits_total", {
  description: "Calls that waited for a flight",
  incremental: true
})

/**
 * The number of flights that failed (`entra_failures_total`).
 *
 * **Details**
 *
 * Attributes: `client_id`, `error` (the tag of the error) and `reason` (an `AccessToken.CacheRefreshReason`). The
 * reason is `ProactivelyRefreshed` when callers are still served the cached token, also near expiry. Flights that a
 * closed throttle gate or a remembered refusal ended are included. A request with an invalid field starts no flight and
 * is not counted.
 *
 * @category metrics
 * @since 0.1.0
 */
export const failures: Metric.Counter<number> = Metric.counter("entra_failures_total", {
  description: "Flights that failed",
  incremental: true
})

/**
 * The number of token requests that were sent (`entra_http_attempts_total`), including retries.
 *
 * **Details**
 *
 * Attribute: `client_id`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const httpAttempts: Metric.Counter<number> = Metric.counter("entra_http_attempts_total", {
  description: "Token requests that were sent",
  incremental: true
})

/**
 * The number of valid tokens that were evicted from the cache (`entra_cache_evictions_total`), because it was full.
 *
 * **Details**
 *
 * It has no attributes, because clients may share a cache.
 *
 * @category metrics
 * @since 0.1.0
 */
export const evictions: Metric.Counter<number> = Metric.counter("entra_cache_evictions_total", {
  description: "Valid tokens that were evicted from a full cache",
  incremental: true
})

/**
 * The number of tokens that came from the store behind the cache (`entra_store_hits_total`).
 *
 * **Details**
 *
 * It has no attributes. It exists only for a cache with a store.
 *
 * @category metrics
 * @since 0.1.0
 */
export const storeHits: Metric.Counter<number> = Metric.counter("entra_store_hits_total", {
  description: "Tokens that came from the store behind the cache",
  incremental: true
})

/**
 * The number of look-ups in the store behind the cache that found no token (`entra_store_misses_total`).
 *
 * **Details**
 *
 * It has no attributes. It exists only for a cache with a store.
 *
 * @category metrics
 * @since 0.1.0
 */
export const storeMisses: Metric.Counter<number> = Metric.counter("entra_store_misses_total", {
  description: "Look-ups in the store behind the cache without a token",
  incremental: true
})

/**
 * The number of values in the store that could not be decrypted (`entra_store_unreadable_total`), because they are
 * damaged or were written by another program.
 *
 * **Details**
 *
 * It has no attributes. It exists only for a cache with a store.
 *
 * @category metrics
 * @since 0.1.0
 */
export const storeUnreadable: Metric.Counter<number> = Metric.counter("entra_store_unreadable_total", {
  description: "Values in the store that could not be decrypted",
  incremental: true
})

/**
 * The number of commands that the store behind the cache refused (`entra_store_refusals_total`), for example because the
 * user may not use them or its memory is full.
 *
 * **Details**
 *
 * It has no attributes. It exists only for a cache with a store.
 *
 * @category metrics
 * @since 0.1.0
 */
export const storeRefusals: Metric.Counter<number> = Metric.counter("entra_store_refusals_total", {
  description: "Commands that the store behind the cache refused",
  incremental: true
})

/**
 * How often other processes invalidated tokens (`entra_store_invalidations_total`).
 *
 * **Details**
 *
 * It has no attributes. It exists only for a cache with a store.
 *
 * @category metrics
 * @since 0.1.0
 */
export const storeInvalidations: Metric.Counter<number> = Metric.counter("entra_store_invalidations_total", {
  description: "Invalidations by other processes",
  incremental: true
})

/**
 * How often the store behind the cache stopped answering (`entra_store_outages_total`).
 *
 * **Details**
 *
 * It has no attributes. It exists only for a cache with a store.
 *
 * @category metrics
 * @since 0.1.0
 */
export const storeOutages: Metric.Counter<number> = Metric.counter("entra_store_outages_total", {
  description: "How often the store stopped answering",
  incremental: true
})

/**
 * How often a fetch waited for another process (`entra_lease_waits_total`).
 *
 * **Details**
 *
 * It has no attributes. It exists only for a cache with a store.
 *
 * @category metrics
 * @since 0.1.0
 */
export const leaseWaits: Metric.Counter<number> = Metric.counter("entra_lease_waits_total", {
  description: "How often a fetch waited for another process",
  incremental: true
})

/**
 * The number of fetches that got the token or the error of another process (`entra_lease_followed_total`).
 *
 * **Details**
 *
 * It has no attributes. It exists only for a cache with a store.
 *
 * @category metrics
 * @since 0.1.0
 */
export const leaseFollowed: Metric.Counter<number> = Metric.counter("entra_lease_followed_total", {
  description: "Fetches that got the token or the error of another process",
  incremental: true
})

// -----------------------------------------------------------------------------
// histograms
// -----------------------------------------------------------------------------

/**
 * The boundaries of the histograms, in seconds. The last one is the default budget of a flight.
 *
 * @category metrics
 * @since 0.1.0
 */
export const boundaries: ReadonlyArray<number> = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

/**
 * The duration of flights from start to end, in seconds (`entra_acquisition_duration_seconds`).
 *
 * **Details**
 *
 * Attribute: `client_id`. Flights that failed without a token request are left out.
 *
 * @category metrics
 * @since 0.1.0
 */
export const duration: Metric.Histogram<number> = Metric.histogram("entra_acquisition_duration_seconds", {
  description: "Duration of flights from start to end",
  attributes: { unit: "seconds" },
  boundaries
})

/**
 * The time that flights waited for the token endpoint, in seconds (`entra_http_duration_seconds`).
 *
 * **Details**
 *
 * Attribute: `client_id`. The value of a flight is the sum of its attempts. Flights without a token request are left
 * out.
 *
 * @category metrics
 * @since 0.1.0
 */
export const httpDuration: Metric.Histogram<number> = Metric.histogram("entra_http_duration_seconds", {
  description: "Time that a flight waited for the token endpoint",
  attributes: { unit: "seconds" },
  boundaries
})

/**
 * The time that flights spent on client authentication, in seconds (`entra_credential_duration_seconds`).
 *
 * **Details**
 *
 * Attribute: `client_id`. The value of a flight is the sum of its attempts. Flights without a token request are left
 * out.
 *
 * @category metrics
 * @since 0.1.0
 */
export const credentialDuration: Metric.Histogram<number> = Metric.histogram("entra_credential_duration_seconds", {
  description: "Time that a flight spent on client authentication",
  attributes: { unit: "seconds" },
  boundaries
})

// -----------------------------------------------------------------------------
// gauges
// -----------------------------------------------------------------------------

/**
 * The number of tokens in the caches of the open clients (`entra_cache_entries`). It has no attributes.
 *
 * @category metrics
 * @since 0.1.0
 */
export const cacheEntries: Metric.Gauge<number> = Metric.gauge("entra_cache_entries", {
  description: "Tokens in the cache"
})

/**
 * The estimated size of the tokens in the caches of the open clients, in bytes (`entra_cache_bytes`). It has no
 * attributes.
 *
 * @category metrics
 * @since 0.1.0
 */
export const cacheBytes: Metric.Gauge<number> = Metric.gauge("entra_cache_bytes", {
  description: "Estimated size of the tokens in the cache",
  attributes: { unit: "bytes" }
})

/**
 * The time at which the credential expires, in seconds since the epoch (`entra_credential_expiry_timestamp_seconds`).
 *
 * **Details**
 *
 * Attribute: `client_id`. If several open clients share a client id, the earliest time counts. The series does not
 * exist when the time is unknown, for example for a secret.
 *
 * @category metrics
 * @since 0.1.0
 */
export const credentialExpiry: Metric.Gauge<number> = Metric.gauge("entra_credential_expiry_timestamp_seconds", {
  description: "Time at which the credential expires, in seconds since the epoch",
  attributes: { unit: "seconds" }
})

/**
 * The number of keys that are throttled now, because the service responded with 429 or `Retry-After`
 * (`entra_throttled_keys`).
 *
 * **Details**
 *
 * A key is a client, a tenant, the scopes, the further fields of the request, and the secret or key of the credential.
 * The metric has no attributes.
 *
 * @category metrics
 * @since 0.1.0
 */
export const throttledKeys: Metric.Gauge<number> = Metric.gauge("entra_throttled_keys", {
  description: "Keys that the service throttles now"
})

/**
 * The number of keys that the service refused a moment ago (`entra_refused_keys`). Requests for them are refused
 * locally.
 *
 * **Details**
 *
 * The keys are those of {@link throttledKeys}. The metric has no attributes.
 *
 * @category metrics
 * @since 0.1.0
 */
export const refusedKeys: Metric.Gauge<number> = Metric.gauge("entra_refused_keys", {
  description: "Keys whose recent refusal is repeated locally"
})

/**
 * The number of stores behind caches that do not answer at present (`entra_store_down`). It has no attributes. It exists
 * only for a cache with a store.
 *
 * @category metrics
 * @since 0.1.0
 */
export const storeDown: Metric.Gauge<number> = Metric.gauge("entra_store_down", {
  description: "Stores behind caches that do not answer"
})
