/** Calls at times that do not wait for answers, over tenants of which few are popular, and what came of them. */
import { createHistogram, monitorEventLoopDelay, type RecordableHistogram } from "node:perf_hooks"
import { setImmediate } from "node:timers/promises"
import { uniform, zipf } from "./random.ts"

export const tenantAt = (index: number): string =>
  `7d1f0c2a-5b3e-4f6a-8c9d-${(index + 1).toString(16).padStart(12, "0")}`

/** So many calls' tenants, popular by Zipf's law with exponent 1; the same in every run. */
export const tenantsOf = (tenants: number, calls: number): ReadonlyArray<number> => {
  const next = zipf(tenants, 1, uniform(0x9e3779b9))
  return Array.from({ length: calls }, next)
}

/** Seconds that the n-th token of a cache that is in use has left of its hour: any, in no order. */
export const ageing = (index: number): number => 60 + Math.floor(3540 * ((index * 0.618_033_988_749_895) % 1))

/** Percentiles in milliseconds. */
export interface Distribution {
  readonly calls: number
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly p999: number
  readonly max: number
}

export interface Load {
  readonly all: Distribution
  readonly hits: Distribution
  /** Milliseconds that the event loop was late; a timer of one millisecond asks. */
  readonly loop: Distribution
  readonly seconds: number
}

/**
 * An open loop: calls are due at times that were fixed before, and each is measured from then, so that a pause counts for
 * every call that it holds up and not only for one. `call` says whether it was answered from the cache.
 */
export const openLoop = async (options: {
  readonly perSecond: number
  readonly seconds: number
  readonly call: (index: number) => Promise<boolean>
}): Promise<Load> => {
  const [all, hits] = [createHistogram({ figures: 3 }), createHistogram({ figures: 3 })]
  const loop = monitorEventLoopDelay({ resolution: 1 })
  const total = Math.floor(options.perSecond * options.seconds)
  const apart = 1000 / options.perSecond
  const state: { failed: unknown; answered: number } = { failed: undefined, answered: 0 }
  const begin = async (index: number, intended: number): Promise<void> => {
    const hit = await options.call(index)
    const nanoseconds = Math.max(1, Math.round((performance.now() - intended) * 1e6))
    all.record(nanoseconds)
    if (hit) hits.record(nanoseconds)
    state.answered++
  }
  loop.enable()
  const from = performance.now()
  let sent = 0
  while (state.failed === undefined && state.answered < total) {
    // However much is overdue, answers are let in between: a real server's calls arrive through the same event loop.
    const now = performance.now()
    for (; sent < total && from + sent * apart <= now && performance.now() - now < slice; sent++) {
      begin(sent, from + sent * apart).catch((error: unknown) => {
        state.failed = error
      })
    }
    await setImmediate()
  }
  loop.disable()
  if (state.failed !== undefined) throw state.failed
  return {
    all: distributionOf(all),
    hits: distributionOf(hits),
    loop: distributionOf(loop),
    seconds: (performance.now() - from) / 1000
  }
}

/** Milliseconds. */
const slice = 1

const distributionOf = (
  histogram: Pick<RecordableHistogram, "count" | "max" | "percentile">
): Distribution => {
  const millis = (percentile: number) => histogram.percentile(percentile) / 1e6
  return {
    calls: histogram.count,
    p50: millis(50),
    p90: millis(90),
    p99: millis(99),
    p999: millis(99.9),
    max: histogram.max / 1e6
  }
}
