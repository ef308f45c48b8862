/**
 * The throttle gate's rules: after which outcome a key is closed, for how long, and what a caller at a closed gate hears.
 * One state a key; the state is a plain value and `now` is in milliseconds.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as EntraError from "../../EntraError.ts"
import type { AcquireTokenError, ThrottledError } from "../../EntraError.ts"
import { type CacheKey, encode, type Selector, selects } from "../cache/cacheKey.ts"
import { defaultRetryAfter } from "../http/retryAfter.ts"
import { isAhead, longest } from "../shared/cooldown.ts"
import { copyOfRefusal, isRefused, type Refused } from "../shared/errors.ts"

export type Outcome = Refused | EntraError.ServiceError

export type GateState =
  | { readonly kind: "throttled"; readonly until: number; readonly error: Outcome }
  | { readonly kind: "refused"; readonly until: number; readonly error: Refused; readonly hold: number }

export interface RefusalTtl {
  /** Milliseconds for the first refusal; doubled for each further one. */
  readonly base: number
  readonly cap: number
}

/** The state after a failed acquisition; undefined: open. */
export const closeAfter = (
  previous: GateState | undefined,
  error: Outcome,
  now: number,
  ttl: RefusalTtl
): GateState | undefined => {
  if (error._tag === "EntraThrottledError" || error.retryAfter !== undefined) {
    const millis = error.retryAfter === undefined ? defaultRetryAfter : Duration.toMillis(error.retryAfter)
    const until = now + Math.min(millis, longest)
    return previous?.kind === "throttled" && previous.until > until ? previous : { kind: "throttled", until, error }
  }
  // A slower flight of the same key does not undo what the service asked for.
  if (previous?.kind === "throttled" && now < previous.until) return previous
  if (!isRefused(error)) return undefined
  const hold = previous?.kind === "refused" && now < previous.until + ttl.cap
    ? Math.min(previous.hold * 2, ttl.cap)
    : ttl.base
  return { kind: "refused", until: now + hold, hold, error }
}

export const isClosed = (state: GateState, now: number): boolean => isAhead(state.until, now, longest)

/**
 * How long a caller who is willing to wait leaves the service alone, in milliseconds; undefined: waiting is no help. A
 * refusal is told at once, whatever it asks for: somebody has to do something about it.
 */
export const retryWait = (error: EntraError.AcquireTokenError): number | undefined => {
  const asksForPatience = error._tag === "EntraThrottledError" ||
    (error._tag === "EntraServiceUnavailableError" && error.code !== "circuit_open")
  return asksForPatience && error.retryAfter !== undefined
    ? Math.min(Duration.toMillis(error.retryAfter), longest)
    : undefined
}

/** What a caller hears now; undefined: go on. Only a throttle stops a forced request. */
export const judge = (
  state: GateState | undefined,
  now: number,
  forced: boolean
): EntraError.ThrottledError | Refused | undefined => {
  if (state === undefined || !isClosed(state, now)) return undefined
  if (state.kind === "refused") return forced ? undefined : remembered(state.error)
  return locallyThrottled(state.error, state.until - now)
}

const locallyThrottled = (error: Outcome, left: number): EntraError.ThrottledError => {
  const { correlationId, errorCodes, status, traceId } = error
  return new EntraError.ThrottledError({
    code: "throttled",
    message: `nothing was sent: the service asked to be left alone for another ${Math.ceil(left / 1000)} s.`,
    remedy: "Wait for retryAfter; tokens that are cached go on being served.",
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

/** Returns the refusal again, as decided here, without the requests and the time that it took. */
const remembered = (error: Refused): Refused => copyOfRefusal(error, { origin: "local" })

// -----------------------------------------------------------------------------
// gates
// -----------------------------------------------------------------------------

/** Everything that the service may answer differently: not the spelling of a request, not its correlation id. */
export interface Gate {
  readonly key: CacheKey
  /** The fields that are sent and that the key need not have: claims and extra parameters. */
  readonly sent: string
  readonly forced: boolean
}

/** A request at its gate. The revision of the credential is part of the gate's name: new material is not held to old refusals. */
export interface Gated {
  readonly gate: Gate
  readonly authentication: { readonly revision: () => string }
}

export interface Gates {
  readonly judge: (request: Gated) => ThrottledError | Refused | undefined
  /** Returns the throttle that another flight met since the gate was asked: while this one slept, or signed. */
  readonly throttle: (request: Gated) => ThrottledError | Refused | undefined
  readonly settle: (request: Gated, exit: Exit.Exit<unknown, AcquireTokenError>) => void
  /** Forgets refusals; a throttle by Retry-After stays. */
  readonly forget: (selector: Selector) => void
  readonly counts: () => GateCounts
}

/** The number of keys that are closed now, by a throttle and by a refusal. */
export interface GateCounts {
  readonly throttled: number
  readonly refused: number
}

/** The number of closed gates that are remembered. Hostile input pushes out older refusals and grows nothing. */
export const keptGates = 1024

export const make = (clock: Clock.Clock, ttl: RefusalTtl): Gates => {
  const closed = new Map<string, { readonly key: CacheKey; readonly state: GateState }>()
  const nameOf = ({ authentication, gate }: Gated) => gate.key.text + encode([gate.sent, authentication.revision()])
  /** The oldest refusal. A throttle by Retry-After is given up only when there is no refusal. */
  const leastMissed = (): string => {
    for (const [name, { state }] of closed) if (state.kind === "refused") return name
    return closed.keys().next().value ?? ""
  }
  const open = (request: Gated): void => {
    const name = nameOf(request)
    // A success that was under way when the service asked to wait does not end the wait.
    const state = closed.get(name)?.state
    if (state?.kind === "throttled" && clock.currentTimeMillisUnsafe() < state.until) return
    closed.delete(name)
  }
  const close = (request: Gated, error: AcquireTokenError): void => {
    if (!isOutcome(error)) return
    const name = nameOf(request)
    const state = closeAfter(closed.get(name)?.state, error, clock.currentTimeMillisUnsafe(), ttl)
    closed.delete(name)
    if (state === undefined) return
    // Until its stack is text, an error holds on to everything that was called, up to fibers and closed clients.
    void error.stack
    closed.set(name, { key: request.gate.key, state })
    if (closed.size > keptGates) closed.delete(leastMissed())
  }
  const ask = (request: Gated, forced: boolean) =>
    judge(closed.get(nameOf(request))?.state, clock.currentTimeMillisUnsafe(), forced)
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
      const now = clock.currentTimeMillisUnsafe()
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

/** Builds the members of a token endpoint that its gates decide. The gate is asked once, before anything is resolved or signed. */
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
            Effect.onExit(send(request, endpoints), (exit) => {
              gates.settle(request, exit)
              return Effect.void
            })
        )
        : Effect.fail(verdict)
    })
})

/** A decision of this process says nothing about the service. */
const isOutcome = (error: AcquireTokenError): error is Outcome =>
  error.origin === "service" && error._tag !== "EntraCredentialError" && error._tag !== "EntraInvalidRequestError" &&
  error._tag !== "EntraInvalidScopeError"
