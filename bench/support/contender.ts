/** What is timed, and how. */
import type { Scenario } from "./keys.ts"

export interface Contender {
  readonly name: string
  readonly scenario: Scenario
  /** Hits in a batch. */
  readonly hits: number
  /** Nanoseconds that `hits` hits took; throws when one of them was none. */
  readonly run: () => Promise<number>
}

export interface Measurement {
  readonly name: string
  readonly scenario: Scenario
  /** Nanoseconds per hit, one figure a round. */
  readonly rounds: Array<number>
}

/** Goes round and round. */
export const cycle = <A>(items: ReadonlyArray<A>): () => A => {
  const cursor = { at: -1 }
  return () => {
    cursor.at = (cursor.at + 1) % items.length
    const item = items[cursor.at]
    if (item === undefined) throw new Error("nothing to go round")
    return item
  }
}

/**
 * Interleaved: every contender in every scenario once per round, each after a collection and a warm-up of its own. A round
 * has as many batches of a contender as fit into `budget` milliseconds, but at least five.
 */
export const measure = async (
  contenders: ReadonlyArray<Contender>,
  options: { readonly rounds: number; readonly budget: number },
  progress: (round: number) => void
): Promise<ReadonlyArray<Measurement>> => {
  const collect = globalThis.gc
  if (collect === undefined) throw new Error("run with --expose-gc")
  const measurements = contenders.map(({ name, scenario }): Measurement => ({ name, scenario, rounds: [] }))
  for (let round = 0; round < options.rounds; round++) {
    progress(round)
    collect()
    for (const [index, contender] of contenders.entries()) {
      collect({ type: "minor" })
      // The first round also has the optimizing compiler to wait for.
      await batchesOf(contender, options.budget * (round === 0 ? 1 : 0.2))
      measurements[index]?.rounds.push(median(await batchesOf(contender, options.budget)))
    }
  }
  return measurements
}

const batchesOf = async (contender: Contender, budget: number): Promise<ReadonlyArray<number>> => {
  const perHit: Array<number> = []
  const until = performance.now() + budget
  while (perHit.length < 5 || performance.now() < until) perHit.push(await contender.run() / contender.hits)
  return perHit
}

/** Noise only ever adds time, so the least of the rounds' medians is nearest to the truth. */
export const best = (measurement: Measurement): number => Math.min(...measurement.rounds)

const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

export const nanoseconds = (): number => Number(process.hrtime.bigint())
