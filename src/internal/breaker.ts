/** The circuit breaker, one circuit an origin: after some failed acquisitions in a row nothing is sent for a while. */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as CircuitBreaker from "effect/persistence/CircuitBreaker"
import type * as Scope from "effect/Scope"
import { type AcquireTokenError, ServiceUnavailableError } from "../EntraError.ts"

export interface Breaker {
  readonly protect: <A>(
    key: string,
    acquisition: Effect.Effect<A, AcquireTokenError>
  ) => Effect.Effect<A, AcquireTokenError>
}

export const make = (options: {
  readonly failures: number
  readonly openDuration: Duration.Duration
}): Effect.Effect<Breaker, never, Scope.Scope> =>
  CircuitBreaker.make({
    tripPolicy: CircuitBreaker.consecutive(options.failures),
    openDuration: options.openDuration
  }).pipe(
    Effect.provide(CircuitBreaker.layerStoreMemory()),
    Effect.map((breaker) => ({
      protect: (key, acquisition) =>
        breaker.execute(acquisition, {
          key,
          classify: (exit) => isOutage(exit) ? CircuitBreaker.failure() : CircuitBreaker.success
        })
          .pipe(
            Effect.mapError((error) => error._tag === "CircuitBreakerError" ? circuitOpen(key, error) : error)
          )
    }))
  )

/** A service that refuses is up; only silence and 5xx count. */
const isOutage = (exit: Exit.Exit<unknown, AcquireTokenError>): boolean => {
  if (Exit.isSuccess(exit)) return false
  const error = Cause.findErrorOption(exit.cause)
  return error._tag === "None" || error.value._tag === "EntraServiceUnavailableError" ||
    error.value._tag === "EntraNetworkError"
}

const circuitOpen = (origin: string, error: CircuitBreaker.CircuitBreakerError): ServiceUnavailableError =>
  new ServiceUnavailableError({
    code: "circuit_open",
    message: `nothing was sent: several acquisitions in a row got no answer from ${origin}`,
    remedy: "Try again after retryAfter; tokens that are cached go on being served.",
    origin: "local",
    retryAfter: error.reason._tag === "CircuitOpen" ? error.reason.retryAfter : Duration.seconds(1)
  })
