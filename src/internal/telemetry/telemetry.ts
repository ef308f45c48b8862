/**
 * The telemetry of one client: its events, its metrics, and the log lines of its flights. Cache hits are not recorded
 * here.
 */
import type * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as LogLevel from "effect/LogLevel"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Queue from "effect/Queue"
import * as References from "effect/References"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Tracer from "effect/Tracer"
import type { AuthenticationResult, CacheRefreshReason } from "../../AccessToken.ts"
import type { ClientEvent, Flight } from "../../ClientEvent.ts"
import type { AcquireTokenError } from "../../EntraError.ts"
import * as EntraMetrics from "../../EntraMetrics.ts"
import type { Acquisition } from "../credential/credential.ts"
import { monotonicMillis } from "../shared/monotonic.ts"
import { logSafely } from "../shared/safeLog.ts"
import * as ExportedMetrics from "./exportedMetrics.ts"
import * as FlightLog from "./flightLog.ts"
import { day, evictionWarning, expiryWarning, type LastWarning, noWarning } from "./warnings.ts"

export interface Telemetry {
  readonly events: Stream.Stream<ClientEvent>
  /**
   * Reports the end of a flight. Returns the log lines that are left to write with the flight's annotations; undefined
   * when there are none.
   */
  readonly ended: (
    flight: Ending,
    exit: Exit.Exit<AuthenticationResult, AcquireTokenError>
  ) => Effect.Effect<void> | undefined
  /** Logs that the credential was reloaded, if `revision` is not the one that was used before. */
  readonly used: (revision: string) => Effect.Effect<void>
  /** Starts the export of the client's own counters. */
  readonly watch: (counts: ExportedMetrics.Readings["counts"]) => Effect.Effect<void, never, Scope.Scope>
}

/** A flight that has ended. `isSpared` returns whether callers are served a token although the flight failed. */
export interface Ending {
  readonly acquisition: Pick<Acquisition, "clientId" | "tenantId" | "scope" | "correlationId">
  readonly reason: CacheRefreshReason
  /** The revision of the credential that was used; undefined when nothing was sent. */
  readonly revision: string | undefined
  readonly isSpared: (error: AcquireTokenError) => boolean
  readonly attempts: number
  readonly durations: Flight["durations"]
  /** Undefined in a program that does not trace. */
  readonly span: Tracer.Span | undefined
  readonly minimumLogLevel: LogLevel.LogLevel
}

/** A log line, if there is one. */
type Line = Effect.Effect<unknown> | undefined

/** The number of events that wait for a slow subscriber. Further events replace the oldest. */
export const keptEvents = 256

export const make = (options: {
  readonly clientId: string
  readonly cache: ExportedMetrics.Cache & { readonly evictions: () => number }
  readonly endpoint: ExportedMetrics.Endpoint
  readonly expiresOn: (() => DateTime.Utc | undefined) | undefined
}): Effect.Effect<Telemetry, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { cache, clientId, endpoint } = options
    const clock = yield* Clock.Clock
    const now = () => clock.currentTimeMillisUnsafe()
    const context = ExportedMetrics.filing(yield* Effect.context<never>())
    /** The queues of the subscribers. A slow one loses its oldest events. */
    const subscribers = new Set<Queue.Queue<ClientEvent, Cause.Done>>()
    let isClosed = false
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        isClosed = true
        for (const queue of subscribers) Queue.endUnsafe(queue)
      })
    )
    const events = Stream.callback<ClientEvent>((queue) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          if (isClosed) Queue.endUnsafe(queue)
          else subscribers.add(queue)
        }),
        () => Effect.sync(() => subscribers.delete(queue))
      ), { bufferSize: keptEvents, strategy: "sliding" })
    const metrics = metricsOf(context, clientId)
    // A credential may be code of the program, which may throw or return an invalid time.
    const expiresOn = () => {
      try {
        const at = options.expiresOn?.()?.epochMilliseconds
        return at !== undefined && Math.abs(at) <= endOfTime ? at : undefined
      } catch {
        return undefined
      }
    }
    let watched: ExportedMetrics.Watched = { update: () => {} }

    /** Logs a line that does not concern the flight or its caller, with the annotations from the build of the client. */
    const built = yield* References.CurrentLogAnnotations
    const aside = (line: Effect.Effect<void>, annotations: Readonly<Record<string, unknown>>) =>
      logSafely(Effect.provideService(line, References.CurrentLogAnnotations, { ...built, ...annotations }))

    let quietUntil = -Infinity
    const warnOfExpiry = (at: number): Line => {
      if (monotonicMillis(clock) < quietUntil) return undefined
      const warning = expiryWarning(at, now())
      if (warning === undefined) return undefined
      quietUntil = monotonicMillis(clock) + day
      return aside(Effect.logWarning(warning), {
        clientId,
        expiresOn: new Date(at).toISOString()
      })
    }
    const expiry = expiresOn()
    if (expiry !== undefined) yield* warnOfExpiry(expiry) ?? Effect.void

    const warnOfEvictions = Effect.flatMap(cache.stats, ({ bytes, entries, evictions }) => {
      const warning = evictionWarning(lastEvictionWarnings.get(cache) ?? noWarning, evictions, monotonicMillis(clock))
      if (warning === undefined) return Effect.void
      lastEvictionWarnings.set(cache, warning.last)
      return aside(
        Effect.logWarning("live tokens were evicted to make room for others: the cache is too small"),
        { evicted: warning.evicted, entries, bytes }
      )
    })

    let known: string | undefined
    const reloaded = (revision: string | undefined): Line => {
      if (revision === undefined || revision === known) return undefined
      const isNew = known !== undefined
      known = revision
      return isNew ? logSafely(Effect.logInfo("credential reloaded")) : undefined
    }

    /** Few programs subscribe, so the event is made only for those. */
    const publish = (eventOf: () => ClientEvent): void => {
      if (subscribers.size === 0) return
      const event = eventOf()
      for (const queue of subscribers) Queue.offerUnsafe(queue, event)
    }

    let knownExpiry: number | undefined

    /** Counts a flight, publishes its event, and returns its log lines. */
    const linesOf = (
      { acquisition, attempts, durations, isSpared, minimumLogLevel, reason: asked, revision, span }: Ending,
      exit: Exit.Exit<AuthenticationResult, AcquireTokenError>
    ): ReadonlyArray<Line> => {
      span?.attribute("entra.attempts", attempts)
      metrics.sent(attempts)
      const expiry = expiresOn()
      if (expiry !== knownExpiry) {
        knownExpiry = expiry
        watched.update()
      }
      const error = Exit.isSuccess(exit) ? undefined : Option.getOrUndefined(Exit.findErrorOption(exit))
      // A failure that callers do not notice counts as a failed refresh, whatever the reason of the flight.
      const reason = error !== undefined && isSpared(error) ? "ProactivelyRefreshed" : asked
      const flight = (): Flight => ({
        time: DateTime.fromDateUnsafe(new Date(now())),
        clientId,
        tenantId: acquisition.tenantId,
        scopes: acquisition.scope.split(" "),
        correlationId: acquisition.correlationId,
        cacheRefreshReason: reason,
        attempts,
        durations
      })
      const warning = expiry === undefined ? undefined : warnOfExpiry(expiry)
      if (Exit.isSuccess(exit)) {
        const { cacheLevel, tokenSource } = exit.value.metadata
        metrics.acquired(tokenSource, reason, { attempts, durations })
        span?.attribute("entra.token_source", tokenSource)
        span?.attribute("entra.cache_level", cacheLevel)
        publish(() => ({
          _tag: reason === "ProactivelyRefreshed" ? "TokenRefreshed" : "TokenAcquired",
          ...flight(),
          tokenSource,
          cacheLevel,
          expiresOn: exit.value.expiresOn
        }))
        return [
          reloaded(revision),
          // Few programs log at Debug, so the line is composed only for those.
          LogLevel.isGreaterThan(minimumLogLevel, "Debug")
            ? undefined
            : FlightLog.succeeded(exit.value, reason, attempts),
          warning,
          cache.evictions() > 0 ? warnOfEvictions : undefined
        ]
      }
      // Flights that end because the client closes are not reported.
      if (error === undefined) return []
      metrics.failed(error, reason, { attempts, durations })
      const { errorCodes } = FlightLog.codesOf(error)
      span?.attribute("entra.error", error._tag)
      span?.attribute("entra.error_code", error.code)
      if (errorCodes !== undefined) span?.attribute("entra.error_codes", errorCodes)
      publish(() => ({ _tag: "AcquisitionFailed", ...flight(), error }))
      return [
        reloaded(revision),
        FlightLog.failed(error),
        warning
      ]
    }

    const ended: Telemetry["ended"] = (flight, exit) => {
      try {
        const lines = linesOf(flight, exit).filter(Predicate.isNotUndefined)
        if (lines.length === 0) return undefined
        return Effect.catchDefect(Effect.asVoid(Effect.all(lines, { discard: true })), () => Effect.void)
      } catch {
        // An acquisition must not fail because the numbers of a cache or a logger throw.
        return undefined
      }
    }

    const used = (revision: string): Effect.Effect<void> => {
      const line = reloaded(revision)
      return line === undefined ? Effect.void : Effect.asVoid(line)
    }

    return {
      events,
      ended,
      used,
      watch: (counts) =>
        Effect.map(
          ExportedMetrics.watch(context, clientId, { counts, cache, endpoint, expiresOn }),
          (handle) => {
            watched = handle
          }
        )
    }
  })

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** The latest date in milliseconds since the epoch. */
const endOfTime = 8.64e15

/** The last warning about each cache. Clients that share a cache share its warnings. */
const lastEvictionWarnings = new WeakMap<ExportedMetrics.Cache, LastWarning>()

type Costs = Pick<Flight, "attempts" | "durations">

/** The metrics of flights. A series computes its key when it is created, so each series is created once. */
const metricsOf = (context: Context.Context<never>, clientId: string) => {
  const series = new Map<string, { readonly updateUnsafe: (value: number, context: Context.Context<never>) => void }>()

  const count = (
    metric: Metric.Counter<number>,
    value: number,
    name: string,
    attributes: () => Readonly<Record<string, string>>
  ) => {
    const known = series.get(name)
    if (known !== undefined) return known.updateUnsafe(value, context)
    const made = ExportedMetrics.labelled(metric, { client_id: clientId, ...attributes() })
    series.set(name, made)
    made.updateUnsafe(value, context)
  }

  const observe = ({ attributes, description, id }: Metric.Histogram<number>, duration: Duration.Duration) => {
    const made = series.get(id) ??
      Metric.histogram(id, {
        description,
        attributes: { ...attributes, client_id: clientId },
        boundaries: EntraMetrics.boundaries
      })
    series.set(id, made)
    made.updateUnsafe(Duration.toSeconds(duration), context)
  }

  const time = ({ attempts, durations }: Costs, isTotalKnown: boolean) => {
    if (isTotalKnown) observe(EntraMetrics.duration, durations.total)
    if (attempts === 0) return
    observe(EntraMetrics.httpDuration, durations.http)
    observe(EntraMetrics.credentialDuration, durations.credential)
  }

  return {
    sent: (attempts: number) => count(EntraMetrics.httpAttempts, attempts, "", () => ({})),
    acquired: (source: string, reason: CacheRefreshReason, costs: Costs) => {
      count(EntraMetrics.acquisitions, 1, `${source} ${reason}`, () => ({ source, reason }))
      time(costs, true)
    },
    failed: (error: AcquireTokenError, reason: CacheRefreshReason, costs: Costs) => {
      count(EntraMetrics.failures, 1, `${error._tag} ${reason}`, () => ({ error: error._tag, reason }))
      time(costs, costs.attempts > 0)
    }
  }
}
