/** Calls by what memory had for them: each counts once, however often it has to wait. */
import * as Effect from "effect/Effect"
import type { Hit } from "./entry.ts"
import type { Plan } from "./plan.ts"

/** A plan that is being run, and whether that has been counted. */
export interface Run extends Plan {
  readonly isCounted?: boolean
}

export interface Tally {
  readonly misses: () => number
  readonly hit: (run: Run, exit: Hit) => Hit
  readonly miss: (run: Run) => void
  readonly missed: <A, E>(run: Run, effect: Effect.Effect<A, E>) => Effect.Effect<A, E>
}

export const make = (hit: (exit: Hit) => Hit): Tally => {
  let misses = 0
  const miss = (run: Run): void => {
    if (run.isCounted !== true) misses++
  }
  return {
    misses: () => misses,
    hit: (run, exit) => run.isCounted === true ? exit : hit(exit),
    miss,
    missed: (run, effect) =>
      Effect.suspend(() => {
        miss(run)
        return effect
      })
  }
}
