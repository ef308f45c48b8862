/** The throttle gates of one endpoint: the rules of `gate.ts` over a bounded map and a clock. */
import type * as Clock from "effect/Clock"
import type { AcquireTokenError, ThrottledError } from "../EntraError.ts"
import { encode } from "./cacheKey.ts"
import { closeAfter, type GateState, judge, type RefusalTtl, type Refused } from "./gate.ts"

export interface Gate {
  readonly key: string
  /** The credential's revision: new material is not held to the refusals of the old. */
  readonly revision: string
  readonly forced: boolean
}

export interface Gates {
  readonly judge: (gate: Gate) => ThrottledError | Refused | undefined
  readonly open: (gate: Gate) => void
  readonly close: (gate: Gate, error: AcquireTokenError) => void
}

/** So many closed gates are remembered; hostile input pushes out the oldest and grows nothing. */
export const keptGates = 1024

export const make = (clock: Clock.Clock, ttl: RefusalTtl): Gates => {
  const states = new Map<string, GateState>()
  const nameOf = (gate: Gate) => encode([gate.key, gate.revision])
  return {
    judge: (gate) =>
      states.size === 0 ? undefined : judge(states.get(nameOf(gate)), clock.currentTimeMillisUnsafe(), gate.forced),
    open: (gate) => {
      if (states.size > 0) states.delete(nameOf(gate))
    },
    close: (gate, error) => {
      if (isLocal(error)) return
      const name = nameOf(gate)
      const state = closeAfter(states.get(name), error, clock.currentTimeMillisUnsafe(), ttl)
      states.delete(name)
      if (state === undefined) return
      states.set(name, state)
      if (states.size > keptGates) states.delete(states.keys().next().value ?? "")
    }
  }
}

/** What this process decided by itself says nothing about the service. */
const isLocal = (error: AcquireTokenError): error is Exclude<AcquireTokenError, Parameters<typeof closeAfter>[1]> =>
  error.origin === "local" || error._tag === "EntraCredentialError" || error._tag === "EntraInvalidRequestError" ||
  error._tag === "EntraInvalidScopeError"
