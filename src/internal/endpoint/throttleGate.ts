/**
 * The throttle gate: after which outcome the gate of a key closes, for how long, and with which error a closed gate fails.
 * Each key has one state, which is a plain value. Times are monotonic milliseconds.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as EntraError from "../../EntraError.ts"
import type { AcquireTokenError, ThrottledError } from "../../EntraError.ts"
import { type CacheKey, encode, type Selector, selects } from "../cache/cacheKey.ts"
import { longestRetryAfter } from "../shared/cooldown.ts"
import { copyOfRefusal, isRemembered, type Remembered } from "../shared/errors.ts"
import { monotonicMillis } from "../shared/monotonic.ts"

export type Outcome = Remembered | EntraError.ServiceError

export type GateState =
  | { readonly kind: "throttled"; readonly until: number; readonly error: Outcome }
  | { readonly kind: "refused"; readonly until: number; readonly error: Remembered; readonly hold: number }

export interface RefusalTtl {
  /** Milliseconds for the first refusal. Each further refusal doubles the time. */
  readonly base: number
  readonly cap: number
}

/** Returns the state after a failed acquisition, or undefined for an open gate. */
export const closeAfter = (
  previous: GateState | undefined,
  error: Outcome,
  now: number,
  ttl: RefusalTtl
): GateState | undefined => {
  const millis = error.retryAfter === undefined ? 0 : Duration.toMillis(error.retryAfter)
  if (millis > 0) {
    const until = now + Math.min(millis, longestRetryAfter)
    return previous?.kind === "throttled" && previous.until > until ? previous : { kind: "throttled", until, error }
  }
  // A slower request of the same key must not shorten the service's Retry-After.
  if (previous?.kind === "throttled" && now < previous.until) return previous
  if (!isRemembered(error)) return undefined
  const hold = previous?.kind === "refused" && now < previous.until + ttl.cap
    ? Math.min(previous.hold * 2, ttl.cap)
    : ttl.base
  return { kind: "refused", until: now + hold, hold, error }
}

/** Returns whether a gate is closed now. */
export const isClosed = (state: GateState, now: number): boolean => now < state.until

/**
 * Returns the milliseconds that a waiting caller waits before the next request, or undefined if waiting does not help. A
 * refusal fails at once, even with a `Retry-After`, because it needs a change of the configuration.
 */
export const retryWait = (error: EntraError.AcquireTokenError): number | undefined => {
  const asksToWait = error._tag === "EntraThrottledError" ||
    (error._tag === "EntraServiceUnavailableError" && error.code !== "circuit_open")
  if (!asksToWait || error.retryAfter === undefined) return undefined
  return Duration.isZero(error.retryAfter)
    ? pauseOfNoWait
    : Math.min(Duration.toMillis(error.retryAfter), longestRetryAfter)
}

/** Milliseconds: the wait if a throttling service names a wait of zero, so that there is a pause between requests. */
const pauseOfNoWait = 1000

/** Returns the error of a closed gate, or undefined if the gate is open. A forced request is stopped only by a throttle. */
export const judge = (
  state: GateState | undefined,
  now: number,
  forced: boolean
): EntraError.ThrottledError | Remembered | undefined => {
  if (state === undefined || !isClosed(state, now)) return undefined
  if (state.kind === "refused") return forced ? undefined : localRefusal(state.error)
  return locallyThrottled(state.error, state.until - now)
}

const locallyThrottled = (error: Outcome, left: number): EntraError.ThrottledError => {
  const { correlationId, errorCodes, status, traceId } = error
  return new EntraError.ThrottledError({
    code: "throttled",
    message: `No request was sent, because the service throttles this client for another ${Math.ceil(left / 1000)} s.`,
    remedy: "Wait for retryAfter. Valid cached tokens are still served.",
    origin: "local",
    source: "local",
    loopDetected: error._tag === "EntraThrottledError" && error.loopDetected,
    retryAfter: Duration.millis(left),
    correlationId,
    errorCodes,
    status,
    traceId
  })
}

/** Returns a copy of a refusal with local origin, without the attempts and durations of the original. */
const localRefusal = (error: Remembered): Remembered => copyOfRefusal(error, { origin: "local" })

// -----------------------------------------------------------------------------
// gates
// -----------------------------------------------------------------------------

/** The parts of a request that may change the service's response. Its spelling and its correlation id do not. */
export interface Gate {
  readonly key: CacheKey
  /** The sent fields that the key may not contain: claims and extra parameters. */
  readonly sent: string
  readonly forced: boolean
}

/**
 * A request with its gate. The credential's revision is part of the gate's name, so that old refusals do not stop new
 * material.
 */
export interface Gated {
  readonly gate: Gate
  readonly authentication: { readonly revision: () => string }
}

export interface Gates {
  readonly judge: (request: Gated) => ThrottledError | Remembered | undefined
  /** Returns the throttle that another request met after this request passed its gate. */
  readonly throttle: (request: Gated) => ThrottledError | Remembered | undefined
  /** Opens or closes the gate of a request after its outcome. */
  readonly settle: (request: Gated, exit: Exit.Exit<unknown, AcquireTokenError>) => void
  /** Forgets refusals. A throttle by `Retry-After` stays. */
  readonly forget: (selector: Selector) => void
  readonly counts: () => GateCounts
}

/** The numbers of gates that are closed now, by a throttle and by a refusal. */
export interface GateCounts {
  readonly throttled: number
  readonly refused: number
}

/**
 * The number of closed gates that are kept. Requests with many different keys evict older refusals and use no more
 * memory.
 */
export const keptGates = 1024

/** Replaces the sent fields in the name of a throttle. */
const ofKey = "throttled"

/** Creates the gates of one token endpoint. */
export const make = (clock: Clock.Clock, ttl: RefusalTtl): Gates => {
  const closed = new Map<string, { readonly key: CacheKey; readonly state: GateState }>()
  const nameOf = ({ authentication, gate }: Gated, sent = gate.sent) =>
    gate.key.text + encode([sent, authentication.revision()])
  /** Returns the throttle of a key. It holds for all claims and parameters; a refusal holds only for the same ones. */
  const throttleOf = (request: Gated, now: number): GateState | undefined => {
    const state = closed.get(nameOf(request, ofKey))?.state
    return state !== undefined && now < state.until ? state : undefined
  }
  /** Returns the name of the gate to evict: the oldest refusal, or the oldest throttle when there is no refusal. */
  const gateToEvict = (): string => {
    for (const [name, { state }] of closed) if (state.kind === "refused") return name
    return closed.keys().next().value ?? ""
  }
  const open = (request: Gated): void => {
    closed.delete(nameOf(request))
    // A request that was sent before the service asked to wait may succeed later, and does not end the wait.
    if (throttleOf(request, monotonicMillis(clock)) === undefined) closed.delete(nameOf(request, ofKey))
  }
  const close = (request: Gated, error: AcquireTokenError): void => {
    if (!isOutcome(error)) return
    const name = nameOf(request)
    const now = monotonicMillis(clock)
    const throttle = throttleOf(request, now)
    const state = closeAfter(throttle ?? closed.get(name)?.state, error, now, ttl)
    closed.delete(name)
    // `closeAfter` keeps a throttle that still holds, so it is set again as the youngest gate.
    closed.delete(nameOf(request, ofKey))
    if (state === undefined) return
    // Until its stack is formatted, an error references every caller, including fibers and closed clients.
    void error.stack
    closed.set(state.kind === "throttled" ? nameOf(request, ofKey) : name, { key: request.gate.key, state })
    if (closed.size > keptGates) closed.delete(gateToEvict())
  }
  const ask = (request: Gated, forced: boolean) => {
    const now = monotonicMillis(clock)
    return judge(throttleOf(request, now), now, forced) ?? judge(closed.get(nameOf(request))?.state, now, forced)
  }
  return {
    judge: (request) => closed.size === 0 ? undefined : ask(request, request.gate.forced),
    throttle: (request) => closed.size === 0 ? undefined : ask(request, true),
    settle: (request, exit) => {
      if (Exit.isSuccess(exit)) {
        if (closed.size > 0) open(request)
        return
      }
      const error = Option.getOrUndefined(Exit.findErrorOption(exit))
      if (error !== undefined) close(request, error)
    },
    forget: (selector) => {
      for (const [name, { key, state }] of closed) {
        if (state.kind === "refused" && selects(selector, key)) closed.delete(name)
      }
    },
    counts: () => {
      const now = monotonicMillis(clock)
      const counts = { throttled: 0, refused: 0 }
      for (const { state } of closed.values()) if (isClosed(state, now)) counts[state.kind]++
      return counts
    }
  }
}

/** A request whose endpoints are resolved once its gate is open. */
export interface Guarded<Endpoints> extends Gated {
  readonly endpoints: Effect.Effect<Endpoints, AcquireTokenError>
}

/**
 * Creates the members of a token endpoint that its gates decide. A gate is checked once, before the endpoints are
 * resolved.
 */
export const guarding = <R extends Guarded<E>, E, A>(
  gates: Gates,
  send: (request: R, endpoints: E) => Effect.Effect<A, AcquireTokenError>
) => ({
  forget: (selector: Selector) => Effect.sync(() => gates.forget(selector)),
  stats: Effect.sync(gates.counts),
  request: (request: R): Effect.Effect<A, AcquireTokenError> =>
    Effect.suspend(() => {
      const verdict = gates.judge(request)
      return verdict === undefined
        ? Effect.flatMap(
          request.endpoints,
          (endpoints) =>
            Effect.onExitPrimitive(send(request, endpoints), (exit) => {
              gates.settle(request, exit)
              return undefined
            })
        )
        : Effect.fail(verdict)
    })
})

/** Returns whether an error came from the service. Only such an error changes a gate. */
const isOutcome = (error: AcquireTokenError): error is Outcome =>
  error.origin === "service" && error._tag !== "EntraCredentialError" && error._tag !== "EntraInvalidRequestError" &&
  error._tag !== "EntraInvalidScopeError"
