/**
 * The throttle gate's rules: after which outcome a key is closed, for how long, and what a caller at a closed gate hears.
 * One state a key; the state is a plain value and `now` is in milliseconds.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as EntraError from "../../EntraError.ts"
import type { AcquireTokenError, ThrottledError } from "../../EntraError.ts"
import { type CacheKey, keyText, type Selector, selects } from "../cache/cacheKey.ts"
import { defaultRetryAfter } from "../http/retryAfter.ts"
import { isAhead, longest } from "../shared/cooldown.ts"
import { isRefused, type Refused } from "../shared/errors.ts"

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
export const patience = (error: EntraError.AcquireTokenError): number | undefined => {
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
    message: `nothing was sent: the service asked to be left alone for another ${Math.ceil(left / 1000)} s`,
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

/** The same refusal again, marked as decided here, without what the request took that it was the answer to. */
const remembered = (error: Refused): Refused => {
  switch (error._tag) {
    case "EntraInvalidAuthorityError":
      return new EntraError.InvalidAuthorityError(again(error, error.message))
    case "EntraInvalidClientError":
      return new EntraError.InvalidClientError(again(error, error.message))
    case "EntraTokenRequestError":
      return new EntraError.TokenRequestError(again(error, error.message))
    case "EntraClaimsChallengeError":
      return new EntraError.ClaimsChallengeError(again(error, error.message))
  }
}

const again = <E extends Refused>({ attempts: _attempts, durations: _durations, ...rest }: E, message: string) => ({
  ...rest,
  message,
  origin: "local" as const
})

/** What the service may answer differently: not the spelling of a request, not its correlation id. */
export interface Gate {
  readonly key: CacheKey
  /** What is sent besides: claims, and parameters that the key need not have. */
  readonly sent: string
  /** The credential's revision: new material is not held to the refusals of the old. */
  readonly revision: string
  readonly forced: boolean
}

export interface Gates {
  readonly judge: (gate: Gate) => ThrottledError | Refused | undefined
  readonly open: (gate: Gate) => void
  readonly close: (gate: Gate, error: AcquireTokenError) => void
  /** Forget refusals; what the service asked for by Retry-After stays. */
  readonly forget: (selector: Selector) => void
  readonly counts: () => GateCounts
}

/** How many keys are closed now, by the service's wish and by its refusals. */
export interface GateCounts {
  readonly throttled: number
  readonly refused: number
}

/** So many closed gates are remembered; hostile input pushes out older refusals and grows nothing. */
export const keptGates = 1024

export const make = (clock: Clock.Clock, ttl: RefusalTtl): Gates => {
  const closed = new Map<string, { readonly key: CacheKey; readonly state: GateState }>()
  const nameOf = (gate: Gate) => keyText(gate.key, gate.sent, gate.revision)
  /** The oldest refusal; what the service asked for by Retry-After is given up only when there is nothing else. */
  const leastMissed = (): string => {
    for (const [name, { state }] of closed) if (state.kind === "refused") return name
    return closed.keys().next().value ?? ""
  }
  return {
    judge: (gate) =>
      closed.size === 0
        ? undefined
        : judge(closed.get(nameOf(gate))?.state, clock.currentTimeMillisUnsafe(), gate.forced),
    open: (gate) => {
      if (closed.size === 0) return
      const name = nameOf(gate)
      // A success that was under way when the service said to wait is no leave to go on.
      const state = closed.get(name)?.state
      if (state?.kind === "throttled" && clock.currentTimeMillisUnsafe() < state.until) return
      closed.delete(name)
    },
    close: (gate, error) => {
      if (!isOutcome(error)) return
      const name = nameOf(gate)
      const state = closeAfter(closed.get(name)?.state, error, clock.currentTimeMillisUnsafe(), ttl)
      closed.delete(name)
      if (state === undefined) return
      // Until its stack is text an error holds on to whatever was called, up to fibers and clients that are long closed.
      void error.stack
      closed.set(name, { key: gate.key, state })
      if (closed.size > keptGates) closed.delete(leastMissed())
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

/** What a token endpoint does by its gates; `send` goes through the one that its request names. */
export const guarding = <R extends { readonly gate: Gate }, A>(
  gates: Gates,
  send: (request: R) => Effect.Effect<A, AcquireTokenError>
) => ({
  admit: (gate: Gate): Effect.Effect<void, ThrottledError | Refused> =>
    Effect.suspend(() => {
      const verdict = gates.judge(gate)
      return verdict === undefined ? Effect.void : Effect.fail(verdict)
    }),
  forget: (selector: Selector) => Effect.sync(() => gates.forget(selector)),
  stats: Effect.sync(gates.counts),
  request: (request: R): Effect.Effect<A, AcquireTokenError> =>
    send(request).pipe(
      Effect.tap(() => Effect.sync(() => gates.open(request.gate))),
      Effect.tapError((error) => Effect.sync(() => gates.close(request.gate, error)))
    )
})

/** What this process decided by itself says nothing about the service. */
const isOutcome = (error: AcquireTokenError): error is Outcome =>
  error.origin === "service" && error._tag !== "EntraCredentialError" && error._tag !== "EntraInvalidRequestError" &&
  error._tag !== "EntraInvalidScopeError"
