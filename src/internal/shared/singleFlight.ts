/**
 * One running effect a key, for all who ask: it belongs to the scope it was made in, not to the caller who started it.
 * A caller who leaves harms neither the flight nor the others; when the scope closes, those who wait get `closed`.
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
  /** The flight of this key, started when there is none; its context is that of the first who asked, but for the clock. */
  readonly join: (key: string, flight: Effect.Effect<A, E>) => Effect.Effect<A, E>
  /** Start the flight of this key if there is none, and do not wait for it. */
  readonly launch: (key: string, flight: Effect.Effect<A, E>) => Effect.Effect<void>
  readonly isFlying: (key: string) => boolean
  /** How many are under way, those that were detached among them. */
  readonly size: () => number
  /** Let the next who ask start anew; those who wait already get this flight's result. */
  readonly detach: (key: string) => void
}

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
        const flying = flights.get(key)
        if (flying !== undefined) return Effect.succeed(flying)
        const deferred = Deferred.makeUnsafe<A, E>()
        if (closed) {
          Deferred.doneUnsafe(deferred, Exit.fail(options.closed()))
          return Effect.succeed(deferred)
        }
        flights.set(key, deferred)
        // A change of context costs a copy of it.
        const context = caller.getRef(Clock.Clock) === clock
          ? caller.context
          : Context.add(caller.context, Clock.Clock, clock)
        const fiber = Effect.runForkWith(context)(flight)
        running.add(fiber)
        fiber.addObserver((exit) => {
          running.delete(fiber)
          if (flights.get(key) === deferred) flights.delete(key)
          Deferred.doneUnsafe(deferred, hideInterrupt(exit, options.closed))
        })
        return Effect.succeed(deferred)
      })

    return {
      join: (key, flight) => Effect.flatMap(start(key, flight), Deferred.await),
      launch: (key, flight) => Effect.asVoid(start(key, flight)),
      isFlying: (key) => flights.has(key),
      size: () => running.size,
      detach: (key) => {
        flights.delete(key)
      }
    }
  })

/** Whoever waits was not interrupted itself, so it must not be told so. */
const hideInterrupt = <A, E>(exit: Exit.Exit<A, E>, closed: () => E): Exit.Exit<A, E> =>
  Exit.isFailure(exit) && Cause.hasInterrupts(exit.cause)
    ? Exit.failCause(Cause.combine(
      Cause.fail(closed()),
      Cause.fromReasons(exit.cause.reasons.filter((reason) => !Cause.isInterruptReason(reason)))
    ))
    : exit
