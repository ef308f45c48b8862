/**
 * The scripted faults of a simulator, taken in the order in which they were given.
 */
import type { Fault } from "../Fault.ts"

/**
 * The endpoints that faults can be scripted for.
 *
 * @category models
 * @since 0.1.0
 */
export type Endpoint = "token" | "discovery" | "graph"

/** Faults that wait for a request. */
export interface FaultQueue {
  readonly add: (fault: Fault, endpoint: Endpoint, tenant: string | undefined, times: number) => void
  /** The next fault of an endpoint for a tenant: the oldest that is meant for it or for any. */
  readonly take: (endpoint: Endpoint, tenant: string) => Fault | undefined
  readonly clear: () => void
}

export const makeFaultQueue = (): FaultQueue => {
  interface Entry {
    readonly fault: Fault
    readonly endpoint: Endpoint
    readonly tenant: string | undefined
    remaining: number
  }
  let entries: Array<Entry> = []
  return {
    add: (fault, endpoint, tenant, times) => {
      if (times > 0) entries.push({ fault, endpoint, tenant: tenant?.toLowerCase(), remaining: times })
    },
    take: (endpoint, tenant) => {
      const name = tenant.toLowerCase()
      const entry = entries.find((entry) =>
        entry.endpoint === endpoint && (entry.tenant === undefined || entry.tenant === name)
      )
      if (entry === undefined) return undefined
      entry.remaining--
      if (entry.remaining <= 0) entries = entries.filter((other) => other !== entry)
      return entry.fault
    },
    clear: () => {
      entries = []
    }
  }
}
