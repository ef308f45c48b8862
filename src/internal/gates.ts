/** The throttle gates of one endpoint: the rules of `gate.ts` over a bounded map and a clock. */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { AcquireTokenError, ThrottledError } from "../EntraError.ts"
import { type CacheKey, keyText, type Selector, selects } from "./cacheKey.ts"
import { closeAfter, type GateState, isClosed, judge, type Outcome, type RefusalTtl, type Refused } from "./gate.ts"

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
