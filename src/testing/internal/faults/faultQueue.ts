/**
 * The scripted faults of a simulator, taken in the order in which they were given.
 */
import type { Fault } from "../../Fault.ts"

/**
 * The endpoints that faults can be scripted for.
 *
 * @category models
 * @since 0.1.0
 */
export type Endpoint = "token" | "discovery" | "graph"

/** Faults that wait for a request. */
export interface FaultQueue {
  readonly add: (
    fault: Fault,
    endpoint: Endpoint,
    only: { readonly tenant: string | undefined; readonly host: string | undefined },
    times: number
  ) => void
  /** The next fault of an endpoint for a tenant at a host: the oldest that is meant for them or for any. */
  readonly take: (endpoint: Endpoint, tenant: string, host: string) => Fault | undefined
  readonly clear: () => void
}

export const makeFaultQueue = (): FaultQueue => {
  interface Entry {
    readonly fault: Fault
    readonly endpoint: Endpoint
    readonly tenant: string | undefined
    readonly host: string | undefined
    remaining: number
  }
  let entries: Array<Entry> = []
  return {
    add: (fault, endpoint, { host, tenant }, times) => {
      if (times <= 0) return
      entries.push({
        fault,
        endpoint,
        tenant: tenant?.toLowerCase(),
        host: host?.toLowerCase(),
        remaining: times
      })
    },
    take: (endpoint, tenant, host) => {
      const name = tenant.toLowerCase()
      const entry = entries.find((entry) =>
        entry.endpoint === endpoint && (entry.tenant === undefined || entry.tenant === name) &&
        (entry.host === undefined || entry.host === host)
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
