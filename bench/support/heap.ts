/** The growth of the heap in a process whose young generation is so large that nothing is collected while it counts. */
import { spawnSync } from "node:child_process"
import { PerformanceObserver } from "node:perf_hooks"
import { setImmediate } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { collect, percentile } from "./measure.ts"

/** Runs a script of this folder in a process of its own, and returns its output. */
export const run = (script: string, args: ReadonlyArray<string> = [], options: ReadonlyArray<string> = []): string => {
  const { status, stderr, stdout } = spawnSync(process.execPath, [
    "--conditions=@effect-entra/source",
    "--expose-gc",
    ...options,
    fileURLToPath(new URL(script, import.meta.url)),
    ...args
  ], { encoding: "utf8" })
  if (status !== 0) throw new Error(`${script} ended with ${status}: ${stderr}`)
  return stdout
}

/** Runs a script in a process for counting. */
export const runCounting = (script: string): string =>
  run(script, [], [
    // When the compiler works on a thread of its own, the code that is counted depends on how busy the machine is.
    "--no-concurrent-recompilation",
    "--min-semi-space-size=256",
    "--max-semi-space-size=256"
  ])

export interface Growth {
  /** Bytes per operation; the median of seven rounds. */
  readonly allocated: number
  /** Bytes per operation that are still there afterwards. */
  readonly retained: number
}

/** Returns the growth of the heap per operation. Call it in a process of `runCounting`, with a loop over `operations`. */
export const growthOf = async (
  name: string,
  operations: number,
  loop: (operations: number) => Promise<void>
): Promise<Growth> => {
  let collections = 0
  const observer = new PerformanceObserver((list) => {
    collections += list.getEntries().length
  })
  observer.observe({ entryTypes: ["gc"] })
  /** The observer is called between two turns of the event loop. */
  const collected = async (): Promise<number> => {
    await setImmediate()
    await setImmediate()
    return collections
  }
  // The warm-up is long enough for the optimizing compiler to run twice, because it discards its first result.
  for (let warm = 0; warm < 5; warm++) await loop(operations)
  const allocated: Array<number> = []
  collect({ type: "major", execution: "sync" })
  const atRest = used()
  for (let round = 0; round < 7; round++) {
    collect({ type: "major", execution: "sync" })
    const before = await collected()
    const start = used()
    await loop(operations)
    const end = used()
    if (await collected() !== before) throw new Error(`${name}: a collection came between`)
    allocated.push((end - start) / operations)
  }
  collect({ type: "major", execution: "sync" })
  observer.disconnect()
  return { allocated: percentile(allocated, 0.5), retained: (used() - atRest) / (7 * operations) }
}

const used = (): number => process.memoryUsage().heapUsed
