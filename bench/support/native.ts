/** The floor: what a hit costs when nothing is left but two maps, the clock and the `yield*` itself. */
import { Effect, Exit } from "effect"
import { type Contender, cycle, nanoseconds } from "./contender.ts"
import { batch, type Key, type Scenario, tokenOf } from "./keys.ts"

type Maps = ReadonlyMap<string, ReadonlyMap<string, Exit.Exit<string>>>

const loop = Effect.fnUntraced(function*(maps: Maps, until: number, visits: ReadonlyArray<Key>) {
  const begun = nanoseconds()
  for (const { scope, tenantId } of visits) {
    const exit = maps.get(tenantId)?.get(scope)
    if (exit === undefined || Date.now() >= until) throw new Error("not a hit")
    yield* exit
  }
  return nanoseconds() - begun
})

export const name = "floor: nested Maps, Date.now, stored Exit"

export const make = (scenario: Scenario): Contender => {
  const maps = new Map<string, Map<string, Exit.Exit<string>>>()
  for (const { scope, tenantId } of scenario.keys) {
    const scopes = maps.get(tenantId) ?? new Map<string, Exit.Exit<string>>()
    maps.set(tenantId, scopes.set(scope, Exit.succeed(tokenOf(tenantId, scope))))
  }
  const until = Date.now() + 86_400_000
  const next = cycle(scenario.visits)
  return { name, scenario, hits: batch, run: () => Effect.runPromise(loop(maps, until, next())) }
}
