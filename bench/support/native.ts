/** The floor: what a hit costs when nothing is left but two maps, the clock and the `yield*` itself. */
import { Effect, Exit } from "effect"
import { batch, type Key, type Scenario, tokenOf } from "./keys.ts"
import { type Contender, cycle, type Laps, nanoseconds } from "./measure.ts"

type Maps = ReadonlyMap<string, ReadonlyMap<string, Exit.Exit<string>>>

const loop = Effect.fnUntraced(function*(maps: Maps, until: number, visits: ReadonlyArray<Key>, laps?: Laps) {
  const begun = nanoseconds()
  for (const { scope, tenantId } of visits) {
    const exit = maps.get(tenantId)?.get(scope)
    if (exit === undefined || Date.now() >= until) throw new Error("not a hit")
    yield* exit
    if (laps !== undefined) laps.lap()
  }
  return nanoseconds() - begun
})

export const name = "floor: nested Maps, Date.now, stored Exit"

export const make = (scenario: Scenario): Contender => {
  const maps = new Map<string, Map<string, Exit.Exit<string>>>()
  for (const { scope, tenantId } of scenario.keys()) {
    const scopes = maps.get(tenantId) ?? new Map<string, Exit.Exit<string>>()
    maps.set(tenantId, scopes.set(scope, Exit.succeed(tokenOf(tenantId, scope, scenario.tokenLength))))
  }
  const until = Date.now() + 86_400_000
  const next = cycle(scenario.visits)
  return {
    name,
    group: scenario.label,
    operations: batch,
    run: (laps) => Effect.runPromise(loop(maps, until, next(), laps))
  }
}
