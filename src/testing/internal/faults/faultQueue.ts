/**
 * The scripted faults of a simulator, used in the order in which they were added.
 */
import type { Fault } from "../../Fault.ts"

/**
 * A group of endpoints with scripted faults of its own.
 *
 * @category models
 * @since 0.1.0
 */
export type Endpoint = "token" | "discovery" | "graph" | "consent"

/** Faults that are not used yet. */
export interface FaultQueue {
  readonly add: (
    fault: Fault,
    endpoint: Endpoint,
    filter: { readonly tenant: string | undefined; readonly host: string | undefined },
    times: number
  ) => void
  /** Takes the oldest fault that applies to the endpoint, the tenant and the host. */
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
