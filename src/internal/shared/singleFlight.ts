/**
 * Flights: effects that several callers share, at most one per key. A flight belongs to the scope of the `SingleFlight` and
 * not to the caller that started it, so an interrupted caller does not end it. When the scope closes, waiting callers fail
 * with `closed`.
 *
 * A flight has a time limit. A flight beyond its limit may have lost its I/O with the request that started it, as on
 * Cloudflare Workers. The next caller, or one of the waiting callers, then starts another flight. The old flight is not
 * interrupted: if it is only slow, the caller that started it still gets its result.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { monotonicMillis } from "./monotonic.ts"
import { isShared, keepAlive, noKeepAlive, waitForOther, WaitUntil } from "./requestContext.ts"

export interface SingleFlight<A, E> {
  /**
   * Waits for the flight of this key. Without a flight it starts one in the context of this caller, apart from the
   * clock.
   */
  readonly join: (key: string, flight: Effect.Effect<A, E>, limit?: number) => Effect.Effect<A, E>
  /**
   * Starts the flight of this key if there is no flight yet, and does not wait for it. The flight runs after its
   * caller, which does not need its result.
   */
  readonly launch: (key: string, flight: Effect.Effect<A, E>) => Effect.Effect<void>
  readonly isInFlight: (key: string) => boolean
  /** The number of running flights, including detached flights. Flights beyond their limit are not counted. */
  readonly size: () => number
  /** Detaches the flight of this key: later callers start another flight, and waiting callers still get its result. */
  readonly detach: (key: string) => void
}

interface Flight<A, E> {
  readonly key: string
  readonly result: Deferred.Deferred<A, E>
  /** The monotonic time of its limit. */
  readonly until: number
  /** Elsewhere every flight ends, however late. */
  readonly mayBeLost: boolean
}

/**
 * Creates a registry of flights. `closed` is the error of callers that wait when the scope closes. `limit` is the time
 * limit in milliseconds of flights that have none of their own; default: none.
 */
export const make = <A, E>(options: {
  readonly closed: () => E
  readonly limit?: number
}): Effect.Effect<SingleFlight<A, E>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const flights = new Map<string, Flight<A, E>>()
    // In the order of their start.
    const running = new Map<Fiber.Fiber<A, E>, Flight<A, E>>()
    let someMayBeLost = false
    let closed = false
    const scope = yield* Effect.scope
    const clock = yield* Clock.Clock
    yield* Scope.addFinalizer(
      scope,
      Effect.suspend(() => {
        closed = true
        return Fiber.interruptAll([...running.keys()])
      })
    )

    const isRunning = (flight: Flight<A, E> | undefined): boolean =>
      flight !== undefined && monotonicMillis(clock) < flight.until

    const land = (fiber: Fiber.Fiber<A, E>, flight: Flight<A, E>): void => {
      running.delete(fiber)
      if (flights.get(flight.key) === flight) flights.delete(flight.key)
    }

    /** Removes the flights beyond their limit that may be lost, up to the first flight that is not beyond it. */
    const forgetLost = (now: number): void => {
      for (const [fiber, flight] of running) {
        if (now < flight.until) return
        if (flight.mayBeLost) land(fiber, flight)
      }
    }

    const start = (
      caller: Fiber.Fiber<unknown, unknown>,
      key: string,
      effect: Effect.Effect<A, E>,
      limit = options.limit ?? Infinity
    ): Deferred.Deferred<A, E> => {
      const result = Deferred.makeUnsafe<A, E>()
      if (closed) {
        Deferred.doneUnsafe(result, Exit.fail(options.closed()))
        return result
      }
      const now = monotonicMillis(clock)
      const mayBeLost = isShared(caller)
      if (mayBeLost) someMayBeLost = true
      // Elsewhere the search would step over the places of all flights that have landed, and find nothing.
      if (someMayBeLost) forgetLost(now)
      const flight = { key, result, until: now + limit, mayBeLost }
      flights.set(key, flight)
      // Adding the clock copies the context, so it is added only when it differs.
      const context = caller.getRef(Clock.Clock) === clock
        ? caller.context
        : Context.add(caller.context, Clock.Clock, clock)
      const fiber = Effect.runForkWith(context)(effect)
      running.set(fiber, flight)
      const waitUntil = caller.getRef(WaitUntil)
      // Most callers have no `waitUntil`, and need no further call.
      if (waitUntil !== noKeepAlive) keepAlive(waitUntil, fiber)
      fiber.addObserver((exit) => {
        land(fiber, flight)
        Deferred.doneUnsafe(result, Exit.isSuccess(exit) ? exit : hideInterrupt(exit, options.closed))
      })
      return result
    }

    const join = (key: string, effect: Effect.Effect<A, E>, limit?: number): Effect.Effect<A, E> =>
      Effect.withFiber((caller) => {
        const flight = flights.get(key)
        const left = flight === undefined ? 0 : flight.until - monotonicMillis(clock)
        return flight === undefined || left <= 0
          ? Deferred.await(start(caller, key, effect, limit))
          : waitForOther(Deferred.await(flight.result), { clock, left, orElse: () => join(key, effect, limit) })
      })

    return {
      join,
      launch: (key, effect) =>
        Effect.withFiber((caller) => {
          if (!isRunning(flights.get(key))) start(caller, key, Effect.andThen(Effect.yieldNow, effect))
          return Effect.void
        }),
      isInFlight: (key) => isRunning(flights.get(key)),
      size: () => [...running.values()].filter(isRunning).length,
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
