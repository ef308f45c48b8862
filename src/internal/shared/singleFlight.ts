/**
 * Flights: effects that several callers share, at most one per key. A flight belongs to the scope of the `SingleFlight` and
 * not to the caller that started it, so an interrupted caller does not end it. When the scope closes, waiting callers fail
 * with `closed`.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"

export interface SingleFlight<A, E> {
  /**
   * Waits for the flight of this key. Without a flight it starts one in the context of this caller, apart from the
   * clock.
   */
  readonly join: (key: string, flight: Effect.Effect<A, E>) => Effect.Effect<A, E>
  /** Starts the flight of this key if there is no flight yet, and does not wait for it. */
  readonly launch: (key: string, flight: Effect.Effect<A, E>) => Effect.Effect<void>
  readonly isInFlight: (key: string) => boolean
  /** The number of running flights, including detached flights. */
  readonly size: () => number
  /** Detaches the flight of this key: later callers start another flight, and waiting callers still get its result. */
  readonly detach: (key: string) => void
}

/** Creates a registry of flights. `closed` is the error of callers that wait when the scope closes. */
export const make = <A, E>(options: {
  readonly closed: () => E
}): Effect.Effect<SingleFlight<A, E>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const flights = new Map<string, Deferred.Deferred<A, E>>()
    const running = new Set<Fiber.Fiber<A, E>>()
    let closed = false
    const scope = yield* Effect.scope
    const clock = yield* Clock.Clock
    yield* Scope.addFinalizer(
      scope,
      Effect.suspend(() => {
        closed = true
        return Fiber.interruptAll([...running])
      })
    )

    const start = (key: string, flight: Effect.Effect<A, E>): Effect.Effect<Deferred.Deferred<A, E>> =>
      Effect.withFiber((caller) => {
        const existing = flights.get(key)
        if (existing !== undefined) return Effect.succeed(existing)
        const deferred = Deferred.makeUnsafe<A, E>()
        if (closed) {
          Deferred.doneUnsafe(deferred, Exit.fail(options.closed()))
          return Effect.succeed(deferred)
        }
        flights.set(key, deferred)
        // Adding the clock copies the context, so it is added only when it differs.
        const context = caller.getRef(Clock.Clock) === clock
          ? caller.context
          : Context.add(caller.context, Clock.Clock, clock)
        const fiber = Effect.runForkWith(context)(flight)
        running.add(fiber)
        fiber.addObserver((exit) => {
          running.delete(fiber)
          if (flights.get(key) === deferred) flights.delete(key)
          Deferred.doneUnsafe(deferred, Exit.isSuccess(exit) ? exit : hideInterrupt(exit, options.closed))
        })
        return Effect.succeed(deferred)
      })

    return {
      join: (key, flight) => Effect.flatMap(start(key, flight), Deferred.await),
      launch: (key, flight) => Effect.asVoid(start(key, flight)),
      isInFlight: (key) => flights.has(key),
      size: () => running.size,
      detach: (key) => {
        flights.delete(key)
      }
    }
  })

/** Replaces interruption by `closed`: the flight was interrupted, and the waiting caller was not. */
const hideInterrupt = <A, E>(exit: Exit.Failure<A, E>, closed: () => E): Exit.Exit<A, E> =>
  Cause.hasInterrupts(exit.cause)
    ? Exit.failCause(Cause.combine(
      Cause.fail(closed()),
      Cause.fromReasons(exit.cause.reasons.filter((reason) => !Cause.isInterruptReason(reason)))
    ))
    : exit
