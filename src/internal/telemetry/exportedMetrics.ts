/**
 * The metrics that are read at export, so that the hit path only updates plain fields. An export reads the open clients. A
 * closed client leaves its final numbers, so that counters are sums over clients and never decrease.
 *
 * The state belongs to the metric registry: two numbers per client id, and the open clients and caches.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"
import type { CacheRefreshReason } from "../../AccessToken.ts"
import type { AcquireTokenError } from "../../EntraError.ts"
import * as EntraMetrics from "../../EntraMetrics.ts"

/** The functions that read an open client. */
export interface Readings {
  readonly counts: () => { readonly hits: number; readonly misses: number }
  /** Milliseconds since the epoch, or undefined while the expiry is unknown. */
  readonly expiresOn: () => number | undefined
  readonly cache: Cache
  readonly endpoint: Endpoint
}

export interface Cache {
  readonly stats: Effect.Effect<Numbers>
}

/** The numbers of a cache, and of the store behind it. */
interface Numbers {
  readonly entries: number
  readonly bytes: number
  readonly evictions: number
  readonly store?:
    | (Readonly<Record<(typeof storeCounters)[number][1], number>> & { readonly isDown: boolean })
    | undefined
}

type Count = (numbers: Numbers) => number

export interface Endpoint {
  readonly stats: Effect.Effect<{ readonly throttled: number; readonly refused: number }>
}

/** The handle of an open client. `update` is called after each shared request, because an expiry may have become known. */
export interface Watched {
  readonly update: () => void
}

/**
 * Returns the parts of a context that metrics need: the registry, and the attributes that the program adds to all
 * metrics.
 */
export const filing = (context: Context.Context<never>): Context.Context<never> =>
  Context.make(Metric.MetricRegistry, Context.get(context, Metric.MetricRegistry)).pipe(
    Context.add(Metric.CurrentMetricAttributes, Context.get(context, Metric.CurrentMetricAttributes))
  )

/** Exports a client's metrics while the scope is open. */
export const watch = (
  context: Context.Context<never>,
  clientId: string,
  readings: Readings
): Effect.Effect<Watched, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const { caches, clients, endpoints } = clientMetricsOf(context)
      const client = clients.get(clientId) ?? makeClient(context, clientId)
      clients.set(clientId, client)
      client.enter(readings)
      caches.enter(readings.cache)
      endpoints.enter(readings.endpoint)
      return { caches, client, endpoints }
    }),
    ({ caches, client, endpoints }) =>
      Effect.sync(() => {
        client.leave(readings)
        caches.leave(readings.cache)
        endpoints.leave(readings.endpoint)
      })
  ).pipe(Effect.map(({ client }) => client))

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

interface ClientMetrics {
  readonly clients: Map<string, ReturnType<typeof makeClient>>
  readonly caches: ReturnType<typeof makeCaches>
  readonly endpoints: ReturnType<typeof makeEndpoints>
}

const metricsByRegistry = new WeakMap<object, Map<string, ClientMetrics>>()

const clientMetricsOf = (context: Context.Context<never>): ClientMetrics => {
  const registry = Context.get(context, Metric.MetricRegistry)
  const attributes = Context.get(context, Metric.CurrentMetricAttributes)
  const byAttributes = metricsByRegistry.get(registry) ?? new Map<string, ClientMetrics>()
  metricsByRegistry.set(registry, byAttributes)
  const name = JSON.stringify(Object.entries(attributes).sort(([item], [other]) => item < other ? -1 : 1))
  const metrics = byAttributes.get(name) ?? {
    clients: new Map(),
    caches: makeCaches(context),
    endpoints: makeEndpoints(context)
  }
  byAttributes.set(name, metrics)
  return metrics
}

const makeClient = (context: Context.Context<never>, clientId: string) => {
  const open = new Set<Readings>()
  const closed = { hits: 0, misses: 0 }
  const total = (part: "hits" | "misses") => closed[part] + sum(open, ({ counts }) => counts()[part])
  counter(
    context,
    labelled(EntraMetrics.acquisitions, { client_id: clientId, source: "Cache", reason: "NotApplicable" }),
    () => total("hits")
  )
  counter(context, labelled(EntraMetrics.waits, { client_id: clientId }), () => total("misses"))
  startAtZero(context, clientId)

  let expiry: Metric.Registration | undefined
  const earliest = () => {
    let at = Infinity
    for (const { expiresOn } of open) at = Math.min(at, expiresOn() ?? Infinity)
    return at
  }
  /** While the expiry is unknown there is no series, because any number could set off an alarm. */
  const update = () => {
    const isExpiryKnown = earliest() < Infinity
    if (isExpiryKnown && expiry === undefined) {
      const { attributes, description, id } = EntraMetrics.credentialExpiry
      const metric = Metric.gauge(id, { description, attributes: { ...attributes, client_id: clientId } })
      expiry = gauge(context, metric, () => earliest() / 1000)
    } else if (!isExpiryKnown && expiry !== undefined) {
      expiry.remove()
      expiry = undefined
    }
  }

  return {
    update,
    enter: (readings: Readings) => {
      open.add(readings)
      update()
    },
    leave: (readings: Readings) => {
      open.delete(readings)
      const { hits, misses } = readings.counts()
      closed.hits += hits
      closed.misses += misses
      update()
    }
  }
}

/** Creates the usual series with the value 0. For Prometheus a series that starts at 1 is not an increase. */
const startAtZero = (context: Context.Context<never>, client_id: string) => {
  const zero = (metric: Metric.Counter<number>, attributes: Readonly<Record<string, string>>) =>
    labelled(metric, { client_id, ...attributes }).updateUnsafe(0, context)
  zero(EntraMetrics.httpAttempts, {})
  for (const reason of initialSeries.reasons) {
    zero(EntraMetrics.acquisitions, { source: "IdentityProvider", reason })
    for (const error of initialSeries.errors) zero(EntraMetrics.failures, { error, reason })
  }
}

const initialSeries: {
  readonly reasons: ReadonlyArray<CacheRefreshReason>
  readonly errors: ReadonlyArray<AcquireTokenError["_tag"]>
} = {
  reasons: ["NoCachedAccessToken", "Expired", "ProactivelyRefreshed"],
  errors: [
    "EntraCredentialError",
    "EntraInvalidClientError",
    "EntraTokenRequestError",
    "EntraThrottledError",
    "EntraServiceUnavailableError",
    "EntraNetworkError"
  ]
}

/** Counts the users of services that several clients may share, so that each service is read once while it has users. */
const makeCounted = <A>(onLast: (item: A) => void) => {
  const users = new Map<A, number>()
  return {
    open: () => users.keys(),
    enter: (item: A) => {
      users.set(item, (users.get(item) ?? 0) + 1)
    },
    leave: (item: A) => {
      const left = (users.get(item) ?? 0) - 1
      if (left > 0) return void users.set(item, left)
      users.delete(item)
      onLast(item)
    }
  }
}

const makeCaches = (context: Context.Context<never>) => {
  const none: Numbers = { entries: 0, bytes: 0, evictions: 0 }
  // A cache may outlive its clients and get new clients, and its counts must count only once.
  const alreadyCounted = new WeakMap<Cache, Numbers>()
  /** The last reading of each cache. If a cache cannot be read, its counters must not decrease. */
  const lastReadings = new WeakMap<Cache, Numbers>()
  const numbersOf = (cache: Cache): Numbers => {
    const numbers = read(cache, lastReadings.get(cache) ?? none)
    lastReadings.set(cache, numbers)
    return numbers
  }
  const closed = new Map<Count, number>()
  const since = (cache: Cache, count: Count) => {
    const counted = alreadyCounted.get(cache)
    return Math.max(0, count(numbersOf(cache)) - (counted === undefined ? 0 : count(counted)))
  }
  const caches = makeCounted<Cache>((cache) => {
    for (const count of counts) closed.set(count, (closed.get(count) ?? 0) + since(cache, count))
    alreadyCounted.set(cache, numbersOf(cache))
  })
  const counts: Array<Count> = []
  const exportCounter = (metric: Metric.Counter<number>, count: Count) => {
    counts.push(count)
    counter(context, metric, () => (closed.get(count) ?? 0) + sum(caches.open(), (cache) => since(cache, count)))
  }
  const exportGauge = (metric: Metric.Gauge<number>, valueOf: Count) =>
    gauge(context, metric, () => sum(caches.open(), (cache) => valueOf(numbersOf(cache))))

  exportCounter(EntraMetrics.evictions, ({ evictions }) => evictions)
  exportGauge(EntraMetrics.cacheEntries, ({ entries }) => entries)
  exportGauge(EntraMetrics.cacheBytes, ({ bytes }) => bytes)
  let hasStores = false
  /** Programs without a store have no series of one. */
  const exportStores = () => {
    if (hasStores) return
    hasStores = true
    for (const [metric, part] of storeCounters) exportCounter(metric, ({ store }) => store?.[part] ?? 0)
    exportGauge(EntraMetrics.storeDown, ({ store }) => store?.isDown === true ? 1 : 0)
  }
  return {
    enter: (cache: Cache) => {
      caches.enter(cache)
      if (numbersOf(cache).store !== undefined) exportStores()
    },
    leave: caches.leave
  }
}

const storeCounters = [
  [EntraMetrics.storeHits, "hits"],
  [EntraMetrics.storeMisses, "misses"],
  [EntraMetrics.storeUnreadable, "unreadable"],
  [EntraMetrics.storeRefusals, "refusals"],
  [EntraMetrics.storeInvalidations, "invalidations"],
  [EntraMetrics.storeOutages, "outages"],
  [EntraMetrics.leaseWaits, "waits"],
  [EntraMetrics.leaseFollowed, "followed"]
] as const

const makeEndpoints = (context: Context.Context<never>) => {
  const none = { throttled: 0, refused: 0 }
  const endpoints = makeCounted<Endpoint>(() => {})
  gauge(context, EntraMetrics.throttledKeys, () => sum(endpoints.open(), (item) => read(item, none).throttled))
  gauge(context, EntraMetrics.refusedKeys, () => sum(endpoints.open(), (item) => read(item, none).refused))
  return endpoints
}

/** Reads statistics. An export is synchronous, so asynchronous statistics are replaced by `otherwise`. */
const read = <A>(source: { readonly stats: Effect.Effect<A> }, otherwise: A): A => {
  const exit = Effect.runSyncExit(source.stats)
  return Exit.isSuccess(exit) ? exit.value : otherwise
}

/** Returns the counter with attributes. `Metric.withAttributes` would merge them again at each update. */
export const labelled = (
  { description, id }: Metric.Counter<number>,
  attributes: Readonly<Record<string, string>>
): Metric.Counter<number> => Metric.counter(id, { description, attributes, incremental: true })

const sum = <A>(all: Iterable<A>, valueOf: (item: A) => number): number => {
  let total = 0
  for (const item of all) total += valueOf(item)
  return total
}

const counter = (
  context: Context.Context<never>,
  metric: Metric.Metric<number, Metric.CounterState<number>>,
  count: () => number
) => Metric.registerUnsafe(metric, context, { get: () => ({ count: count(), incremental: true }), ...readOnly })

const gauge = (
  context: Context.Context<never>,
  metric: Metric.Metric<number, Metric.GaugeState<number>>,
  value: () => number
) => Metric.registerUnsafe(metric, context, { get: () => ({ value: value() }), ...readOnly })

const readOnly = { update: () => {}, modify: () => {} }
