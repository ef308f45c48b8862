/** The contenders, and the measurement of their times. */

export interface Contender {
  readonly name: string
  /** Contenders with the same group are compared with each other. */
  readonly group: string
  /** Operations in a batch. */
  readonly operations: number
  /** Nanoseconds that a batch took; throws when an operation was not what it should be. */
  readonly run: (laps?: Laps) => Promise<number>
}

export interface Measured {
  readonly name: string
  readonly group: string
  /** Nanoseconds per operation: the median of each round's batches. */
  readonly rounds: ReadonlyArray<number>
  /** The least of the rounds' medians: noise only ever adds time, so it is nearest to the truth. */
  readonly best: number
  /** Of single operations, those of all rounds; the timer's own time is not in it. Without samples, not a number. */
  readonly p99: number
  readonly samples: number
}

/** A watch that is read after each operation. */
export interface Laps {
  readonly lap: () => void
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
 * Interleaved: every contender once per round, each after a young collection and a warm-up of its own. A round has as many
 * batches of a contender as fit into `budget` milliseconds, but at least `atLeast`, and one more whose operations are timed
 * one by one.
 */
export const measure = async (
  contenders: ReadonlyArray<Contender>,
  options: { readonly rounds: number; readonly budget: number; readonly atLeast?: number; readonly laps?: boolean }
): Promise<ReadonlyArray<Measured>> => {
  const { atLeast = 5, budget, rounds } = options
  const all = contenders.map((contender) => ({ contender, medians: new Array<number>(), laps: new Array<number>() }))
  const timer = options.laps === true ? timerCost() : 0
  // The optimizing compiler is done before anything counts.
  for (const { contender } of all) await batchesOf(contender, Math.max(budget, 25), 1)
  for (let round = 0; round < rounds; round++) {
    if (process.stderr.isTTY) process.stderr.write(`round ${round + 1} of ${rounds}\r`)
    collect({ type: "major", execution: "sync" })
    // Each round begins with another one, because the first has caches to warm that the full collection went through.
    const first = Math.floor(round * all.length / rounds)
    for (const { contender, laps, medians } of [...all.slice(first), ...all.slice(0, first)]) {
      collect({ type: "minor" })
      await batchesOf(contender, budget * 0.2, 1)
      medians.push(percentile(await batchesOf(contender, budget, atLeast), 0.5))
      if (options.laps === true) laps.push(...await lapsOf(contender))
    }
  }
  return all.map(({ contender: { group, name }, laps, medians }) => ({
    name,
    group,
    rounds: medians,
    best: Math.min(...medians),
    p99: Math.max(0, percentile(laps, 0.99) - timer),
    samples: laps.length
  }))
}

export const percentile = (values: ReadonlyArray<number>, share: number): number => {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

export const nanoseconds = (): number => Number(process.hrtime.bigint())

export const collect = (how: NodeJS.GCOptions & { readonly execution?: "sync" }): void => {
  if (globalThis.gc === undefined) throw new Error("run with --expose-gc")
  void globalThis.gc(how)
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const batchesOf = async (contender: Contender, budget: number, atLeast: number): Promise<ReadonlyArray<number>> => {
  const perOperation: Array<number> = []
  const until = performance.now() + budget
  while (perOperation.length < atLeast || performance.now() < until) {
    perOperation.push(await contender.run() / contender.operations)
  }
  return perOperation
}

const stopwatch = (operations: number) => {
  const times = new Float64Array(operations + 1)
  let at = 0
  const lap = (): void => {
    times[at++] = performance.now()
  }
  return {
    lap,
    /** Nanoseconds between one reading and the next. */
    read: (): ReadonlyArray<number> =>
      Array.from(times.subarray(1, at), (time, index) => (time - (times[index] ?? time)) * 1e6)
  }
}

const lapsOf = async (contender: Contender): Promise<ReadonlyArray<number>> => {
  const watch = stopwatch(contender.operations)
  watch.lap()
  await contender.run(watch)
  return watch.read()
}

const timerCost = (): number => {
  const medians = Array.from({ length: 50 }, () => {
    const watch = stopwatch(1_000)
    for (let lap = 0; lap <= 1_000; lap++) watch.lap()
    return percentile(watch.read(), 0.5)
  })
  return Math.min(...medians)
}
