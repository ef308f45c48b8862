/**
 * The metrics that are read at export. The hit path keeps plain fields and knows nothing of this: an open client is read
 * when somebody asks, a closed one leaves its final numbers, so that counters sum over clients and never fall.
 *
 * What is kept belongs to the registry: per client id two numbers, and of clients and caches those that are open.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"
import type { CacheRefreshReason } from "../../AccessToken.ts"
import type { AcquireTokenError } from "../../EntraError.ts"
import * as EntraMetrics from "../../EntraMetrics.ts"

/** What is read of an open client. */
export interface Readings {
  readonly counts: () => { readonly hits: number; readonly misses: number }
  /** Milliseconds since the epoch; undefined while nothing is known. */
  readonly expiresOn: () => number | undefined
  readonly cache: Cache
  readonly endpoint: Endpoint
}

export interface Cache {
  readonly stats: Effect.Effect<{ readonly entries: number; readonly bytes: number; readonly evictions: number }>
}

export interface Endpoint {
  readonly stats: Effect.Effect<{ readonly throttled: number; readonly refused: number }>
}

/** The handle of an open client: told after each flight, because an expiry may have become known. */
export interface Watched {
  readonly update: () => void
}

/** What metrics are filed by: the registry, and the attributes that the program gives to all its metrics. Nothing else is kept. */
export const filing = (context: Context.Context<never>): Context.Context<never> =>
  Context.make(Metric.MetricRegistry, Context.get(context, Metric.MetricRegistry)).pipe(
    Context.add(Metric.CurrentMetricAttributes, Context.get(context, Metric.CurrentMetricAttributes))
  )

/** Read a client for as long as the scope is open. */
export const watch = (
  context: Context.Context<never>,
  clientId: string,
  readings: Readings
): Effect.Effect<Watched, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const { caches, clients, endpoints } = booksOf(context)
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

interface Books {
  readonly clients: Map<string, ReturnType<typeof makeClient>>
  readonly caches: ReturnType<typeof makeCaches>
  readonly endpoints: ReturnType<typeof makeEndpoints>
}

const shelves = new WeakMap<object, Map<string, Books>>()

const booksOf = (context: Context.Context<never>): Books => {
  const registry = Context.get(context, Metric.MetricRegistry)
  const attributes = Context.get(context, Metric.CurrentMetricAttributes)
  const shelf = shelves.get(registry) ?? new Map<string, Books>()
  shelves.set(registry, shelf)
  const name = JSON.stringify(Object.entries(attributes).sort(([one], [other]) => one < other ? -1 : 1))
  const books = shelf.get(name) ?? {
    clients: new Map(),
    caches: makeCaches(context),
    endpoints: makeEndpoints(context)
  }
  shelf.set(name, books)
  return books
}

const makeClient = (context: Context.Context<never>, clientId: string) => {
  const open = new Set<Readings>()
  const closed = { hits: 0, misses: 0 }
  const named = Metric.withAttributes({ client_id: clientId })
  const total = (part: "hits" | "misses") => closed[part] + sum(open, ({ counts }) => counts()[part])
  counter(
    context,
    Metric.withAttributes(EntraMetrics.acquisitions, { client_id: clientId, source: "Cache", reason: "NotApplicable" }),
    () => total("hits")
  )
  counter(context, named(EntraMetrics.waits), () => total("misses"))
  begin(context, clientId)

  let expiry: Metric.Registration | undefined
  const earliest = () => Math.min(...[...open].map(({ expiresOn }) => expiresOn() ?? Infinity))
  /** An expiry that nobody knows has no number that would not set off an alarm, so then there is no series. */
  const update = () => {
    const isKnown = earliest() < Infinity
    if (isKnown && expiry === undefined) {
      expiry = gauge(context, named(EntraMetrics.credentialExpiry), () => earliest() / 1000)
    } else if (!isKnown && expiry !== undefined) {
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

/** The usual series of flights are there before the first of them: from nothing to one is no increase to Prometheus. */
const begin = (context: Context.Context<never>, client_id: string) => {
  const zero = (metric: Metric.Counter<number>, attributes: Readonly<Record<string, string>>) =>
    Metric.withAttributes(metric, { client_id, ...attributes }).updateUnsafe(0, context)
  zero(EntraMetrics.httpAttempts, {})
  for (const reason of usual.reasons) {
    zero(EntraMetrics.acquisitions, { source: "IdentityProvider", reason })
    for (const error of usual.errors) zero(EntraMetrics.failures, { error, reason })
  }
}

const usual: {
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

/** What several clients may share is read once, for as long as one of them is open. */
const makeShared = <A>(onLast: (one: A) => void) => {
  const users = new Map<A, number>()
  return {
    open: () => users.keys(),
    enter: (one: A) => {
      users.set(one, (users.get(one) ?? 0) + 1)
    },
    leave: (one: A) => {
      const left = (users.get(one) ?? 0) - 1
      if (left > 0) return void users.set(one, left)
      users.delete(one)
      onLast(one)
    }
  }
}

const makeCaches = (context: Context.Context<never>) => {
  const none = { entries: 0, bytes: 0, evictions: 0 }
  // A cache may outlive its clients and get new ones: what it has evicted is counted once.
  const counted = new WeakMap<Cache, number>()
  let evicted = 0
  /** The last good reading: who cannot tell how many have left has not got them back. */
  const known = new WeakMap<Cache, number>()
  const evictions = (cache: Cache) => {
    const last = known.get(cache) ?? 0
    const now = Math.max(last, read(cache, { ...none, evictions: last }).evictions)
    known.set(cache, now)
    return now
  }
  const since = (cache: Cache) => evictions(cache) - (counted.get(cache) ?? 0)
  const caches = makeShared<Cache>((cache) => {
    evicted += since(cache)
    counted.set(cache, evictions(cache))
  })
  counter(context, EntraMetrics.evictions, () => evicted + sum(caches.open(), since))
  gauge(context, EntraMetrics.cacheEntries, () => sum(caches.open(), (cache) => read(cache, none).entries))
  gauge(context, EntraMetrics.cacheBytes, () => sum(caches.open(), (cache) => read(cache, none).bytes))
  return caches
}

const makeEndpoints = (context: Context.Context<never>) => {
  const none = { throttled: 0, refused: 0 }
  const endpoints = makeShared<Endpoint>(() => {})
  gauge(context, EntraMetrics.throttledKeys, () => sum(endpoints.open(), (one) => read(one, none).throttled))
  gauge(context, EntraMetrics.refusedKeys, () => sum(endpoints.open(), (one) => read(one, none).refused))
  return endpoints
}

/** Exports are synchronous; who has to ask somebody else for the numbers has none. */
const read = <A>(from: { readonly stats: Effect.Effect<A> }, otherwise: A): A => {
  const exit = Effect.runSyncExit(from.stats)
  return Exit.isSuccess(exit) ? exit.value : otherwise
}

const sum = <A>(all: Iterable<A>, of: (one: A) => number): number => {
  let total = 0
  for (const one of all) total += of(one)
  return total
}

const counter = (
  context: Context.Context<never>,
  metric: Metric.Metric<number, Metric.CounterState<number>>,
  count: () => number
) => Metric.registerUnsafe(metric, context, { get: () => ({ count: count(), incremental: true }), ...deaf })

const gauge = (
  context: Context.Context<never>,
  metric: Metric.Metric<number, Metric.GaugeState<number>>,
  value: () => number
) => Metric.registerUnsafe(metric, context, { get: () => ({ value: value() }), ...deaf })

const deaf = { update: () => {}, modify: () => {} }
