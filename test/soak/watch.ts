/** Measurements of a long run: memory after a full collection, its growth, and the delays of the event loop. */

/** Bytes in use after everything that can go has gone. */
export const settledHeap = (): number => {
  if (globalThis.gc === undefined) throw new Error("run it with --expose-gc")
  globalThis.gc()
  return process.memoryUsage().heapUsed
}

export interface Growth {
  /** Medians of the second and of the last quarter, in bytes. */
  readonly before: number
  readonly after: number
  /** Bytes an hour by the line of best fit through all but the first quarter. */
  readonly slope: number
  readonly isGrowing: boolean
}

/** The first quarter is warm-up. A twentieth and two mebibytes are noise. */
export const growthOf = (samples: ReadonlyArray<{ readonly at: number; readonly bytes: number }>): Growth => {
  const quarter = Math.floor(samples.length / 4)
  const bytes = (part: typeof samples) => median(part.map(({ bytes }) => bytes))
  const before = bytes(samples.slice(quarter, 2 * quarter))
  const after = bytes(samples.slice(-quarter))
  return { before, after, slope: slopeOf(samples.slice(quarter)), isGrowing: after > before * 1.05 + 2 * 1024 * 1024 }
}

const median = (numbers: ReadonlyArray<number>): number =>
  [...numbers].sort((one, other) => one - other)[Math.floor(numbers.length / 2)] ?? 0

const slopeOf = (samples: ReadonlyArray<{ readonly at: number; readonly bytes: number }>): number => {
  const mean = (numbers: ReadonlyArray<number>) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length
  const at = mean(samples.map(({ at }) => at))
  const bytes = mean(samples.map(({ bytes }) => bytes))
  const rise = samples.reduce((sum, sample) => sum + (sample.at - at) * (sample.bytes - bytes), 0)
  const run = samples.reduce((sum, sample) => sum + (sample.at - at) ** 2, 0)
  return run === 0 ? 0 : rise / run * 3_600_000
}

/** How many milliseconds the event loop was late, in sum: on a fast clock that is a long time. */
export const lateness = (): { readonly sum: () => number; readonly stop: () => void } => {
  const step = 5
  let late = 0
  let last = performance.now()
  const timer = setInterval(() => {
    const now = performance.now()
    late += Math.max(0, now - last - step)
    last = now
  }, step)
  return { sum: () => late + Math.max(0, performance.now() - last - step), stop: () => clearInterval(timer) }
}
