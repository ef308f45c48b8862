/**
 * The circuit breaker, with one circuit per origin. After several failed acquisitions in a row it sends no requests for
 * a while.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as CircuitBreaker from "effect/persistence/CircuitBreaker"
import type * as Scope from "effect/Scope"
import { type AcquireTokenError, type ServiceUnavailableError } from "../../EntraError.ts"
import { isOutage, serviceUnavailable } from "../shared/errors.ts"

export interface Breaker {
  /** Runs an acquisition behind the circuit of `key`, which is computed only after an outage. */
  readonly protect: <A>(
    key: () => string,
    acquisition: Effect.Effect<A, AcquireTokenError>
  ) => Effect.Effect<A, AcquireTokenError>
}

/** Creates a circuit breaker that opens a circuit after `failures` outages in a row. */
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
      // The origins whose last acquisition was an outage. Every other circuit is closed and has counted no failures, so it
      // needs to record only outages.
      const suspects = new Set<string>()
      const execute = <A>(key: string, acquisition: Effect.Effect<A, AcquireTokenError>) =>
        breaker.execute(acquisition, {
          key,
          classify: (exit) => {
            if (isOutageExit(exit)) {
              suspects.add(key)
              return CircuitBreaker.failure()
            }
            if (isLocal(exit)) return CircuitBreaker.ignored
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

/**
 * Returns whether an acquisition ended in an outage. A refusal proves that the service is up. An acquisition that was
 * interrupted, or failed in this process, proves nothing.
 */
const isOutageExit = (exit: Exit.Exit<unknown, AcquireTokenError>): boolean => {
  if (Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause)) return false
  const error = Cause.findErrorOption(exit.cause)
  return error._tag === "None" || (isOutage(error.value) && error.value.origin === "service")
}

const isLocal = (exit: Exit.Exit<unknown, AcquireTokenError>): boolean => {
  const error = Exit.findErrorOption(exit)
  return error._tag === "Some" && error.value.origin === "local"
}

const circuitOpen = (origin: string, error: CircuitBreaker.CircuitBreakerError): ServiceUnavailableError =>
  serviceUnavailable(
    "circuit_open",
    `No request was sent, because several acquisitions in a row failed at ${origin}`,
    "Try again after retryAfter. Valid cached tokens are still served.",
    { origin: "local", retryAfter: error.reason._tag === "CircuitOpen" ? error.reason.retryAfter : Duration.seconds(1) }
  )
