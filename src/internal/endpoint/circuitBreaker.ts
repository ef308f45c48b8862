/** The circuit breaker, one circuit an origin: after some failed acquisitions in a row nothing is sent for a while. */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as CircuitBreaker from "effect/persistence/CircuitBreaker"
import type * as Scope from "effect/Scope"
import { type AcquireTokenError, type ServiceUnavailableError } from "../../EntraError.ts"
import { isOutage, serviceUnavailable } from "../shared/errors.ts"

export interface Breaker {
  /** The key is asked for only where there has been an outage. */
  readonly protect: <A>(
    key: () => string,
    acquisition: Effect.Effect<A, AcquireTokenError>
  ) => Effect.Effect<A, AcquireTokenError>
}

export const make = (options: {
  readonly failures: number
  /** Milliseconds. */
  readonly openDuration: number
}): Effect.Effect<Breaker, never, Scope.Scope> =>
  CircuitBreaker.make({
    tripPolicy: CircuitBreaker.consecutive(options.failures),
    openDuration: options.openDuration
  }).pipe(
    Effect.provide(CircuitBreaker.layerStoreMemory()),
    Effect.map((breaker) => {
      // The origins whose last word was an outage. Of all others the circuit is closed and has nothing to count, so what
      // comes of an acquisition there is told to the breaker only when it is an outage.
      const suspects = new Set<string>()
      const execute = <A>(key: string, acquisition: Effect.Effect<A, AcquireTokenError>) =>
        breaker.execute(acquisition, {
          key,
          classify: (exit) => {
            if (isOutageExit(exit)) {
              suspects.add(key)
              return CircuitBreaker.failure()
            }
            suspects.delete(key)
            return CircuitBreaker.success
          }
        })
      const record = (key: string, exit: Exit.Exit<unknown, AcquireTokenError>): Effect.Effect<void> =>
        isOutageExit(exit) || suspects.has(key) ? Effect.ignore(execute(key, exit)) : Effect.void
      return {
        protect: (key, acquisition) =>
          Effect.suspend(() => {
            if (suspects.size > 0 && suspects.has(key())) {
              return Effect.mapError(
                execute(key(), acquisition),
                (error) => error._tag === "CircuitBreakerError" ? circuitOpen(key(), error) : error
              )
            }
            return Effect.onExit(
              acquisition,
              (exit) => Exit.isSuccess(exit) && suspects.size === 0 ? Effect.void : record(key(), exit)
            )
          })
      }
    })
  )

/** A service that refuses is up; only silence and 5xx count. Who is interrupted has not waited for the end. */
const isOutageExit = (exit: Exit.Exit<unknown, AcquireTokenError>): boolean => {
  if (Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause)) return false
  const error = Cause.findErrorOption(exit.cause)
  return error._tag === "None" || isOutage(error.value)
}

const circuitOpen = (origin: string, error: CircuitBreaker.CircuitBreakerError): ServiceUnavailableError =>
  serviceUnavailable(
    "circuit_open",
    `nothing was sent: several acquisitions in a row got no answer from ${origin}`,
    "Try again after retryAfter; tokens that are cached go on being served.",
    { origin: "local", retryAfter: error.reason._tag === "CircuitOpen" ? error.reason.retryAfter : Duration.seconds(1) }
  )
