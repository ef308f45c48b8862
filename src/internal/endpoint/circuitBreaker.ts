/**
 * The circuit breaker, with one circuit per origin. After several failed acquisitions in a row it sends no requests for
 * a while. Times are in milliseconds.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { type AcquireTokenError, type ServiceUnavailableError } from "../../EntraError.ts"
import { isOutage, serviceUnavailable } from "../shared/errors.ts"
import { monotonicMillis } from "../shared/monotonic.ts"

export interface Options {
  /** The number of outages in a row that opens a circuit. */
  readonly failures: number
  readonly openDuration: number
  /** The time after which a probe without a result is given up, and another acquisition is the probe. */
  readonly probeTimeout: number
}

/**
 * The state of a circuit. A closed circuit without failures is `undefined`. `at` is the time of the last failure, of
 * the end of the wait, or of the end of the probe.
 */
export type Circuit =
  | { readonly kind: "closed"; readonly at: number; readonly failures: number }
  | { readonly kind: "open" | "halfOpen"; readonly at: number }
  | undefined

/** The result of an acquisition: the service responded, it was not available, or the acquisition proves nothing. */
export type Outcome = "up" | "down" | "unknown"

/** The time after which an unused circuit counts as closed and without failures. */
export const memory = 3_600_000

const remembered = (circuit: Circuit, now: number): Circuit =>
  circuit !== undefined && now < circuit.at + memory ? circuit : undefined

/**
 * Returns whether an acquisition may start, and the circuit after that. After `openDuration` one acquisition is
 * admitted as the probe.
 */
export const admit = (
  before: Circuit,
  now: number,
  { probeTimeout }: Options
): { readonly isAdmitted: boolean; readonly circuit: Circuit } => {
  const circuit = remembered(before, now)
  if (circuit === undefined || circuit.kind === "closed") return { isAdmitted: true, circuit }
  return now < circuit.at
    ? { isAdmitted: false, circuit }
    : { isAdmitted: true, circuit: { kind: "halfOpen", at: now + probeTimeout } }
}

/**
 * Returns the circuit after an acquisition. `admitted` is the circuit that admitted it. Only the probe decides about a
 * half-open circuit, and an open circuit ignores acquisitions that started earlier.
 */
export const settle = (
  before: Circuit,
  admitted: Circuit,
  outcome: Outcome,
  now: number,
  { failures, openDuration }: Options
): Circuit => {
  const circuit = remembered(before, now)
  if (circuit?.kind === "open" || (circuit?.kind === "halfOpen" && circuit !== admitted)) return circuit
  if (outcome === "up") return undefined
  if (outcome === "unknown") return circuit?.kind === "halfOpen" ? { kind: "open", at: now } : circuit
  const count = circuit === undefined ? 1 : circuit.kind === "closed" ? circuit.failures + 1 : failures
  return count < failures
    ? { kind: "closed", at: now, failures: count }
    : { kind: "open", at: now + openDuration }
}

export interface Breaker {
  /** Runs an acquisition behind the circuit of `key`, which is computed only after an outage. */
  readonly protect: <A>(
    key: () => string,
    acquisition: Effect.Effect<A, AcquireTokenError>
  ) => Effect.Effect<A, AcquireTokenError>
}

/** The number of circuits that are kept. The oldest circuit is removed first. */
const maxCircuits = 1024

/** Creates a circuit breaker. */
export const make = (clock: Clock.Clock, options: Options): Breaker => {
  const circuits = new Map<string, Exclude<Circuit, undefined>>()
  const store = (key: string, circuit: Circuit): void => {
    if (circuit === circuits.get(key)) return
    circuits.delete(key)
    if (circuit === undefined) return
    circuits.set(key, circuit)
    if (circuits.size > maxCircuits) circuits.delete(circuits.keys().next().value ?? "")
  }
  return {
    protect: (key, acquisition) =>
      Effect.suspend(() => {
        let admitted: Circuit
        if (circuits.size > 0) {
          const name = key()
          const now = monotonicMillis(clock)
          const { circuit, isAdmitted } = admit(circuits.get(name), now, options)
          if (!isAdmitted) return Effect.fail(circuitOpen(name, circuit, now))
          store(name, admitted = circuit)
        }
        return Effect.onExitPrimitive(acquisition, (exit) => {
          if (Exit.isSuccess(exit) && circuits.size === 0) return undefined
          const outcome = outcomeOf(exit)
          if (outcome === "down" || circuits.size > 0) {
            const name = key()
            store(name, settle(circuits.get(name), admitted, outcome, monotonicMillis(clock), options))
          }
          return undefined
        })
      })
  }
}

/**
 * Returns the outcome of an acquisition. A refusal proves that the service is up. A response that is not from a token
 * endpoint counts as an outage, and an error of this process proves nothing.
 */
const outcomeOf = (exit: Exit.Exit<unknown, AcquireTokenError>): Outcome => {
  if (Exit.isSuccess(exit)) return "up"
  if (Cause.hasInterruptsOnly(exit.cause)) return "unknown"
  const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
  if (error?.origin === "local") return "unknown"
  return error === undefined || isOutage(error) ||
      (error._tag === "EntraInvalidResponseError" && error.code !== "response_token_type")
    ? "down"
    : "up"
}

const circuitOpen = (origin: string, circuit: Circuit, now: number): ServiceUnavailableError =>
  serviceUnavailable(
    "circuit_open",
    `No request was sent, because several acquisitions in a row failed at ${origin}`,
    "Try again after retryAfter. Valid cached tokens are still served.",
    {
      origin: "local",
      retryAfter: circuit?.kind === "open" ? Duration.millis(circuit.at - now) : Duration.seconds(1)
    }
  )
