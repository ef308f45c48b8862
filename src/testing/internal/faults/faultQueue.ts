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

/**
 * A scripted fault that is not used up.
 *
 * **Details**
 *
 * - `id`: the number of the fault in its simulator.
 * - `endpoint`: the group of endpoints whose responses it replaces.
 * - `tenant`: the only tenant that it applies to, in lower case; undefined: all tenants.
 * - `host`: the only host that it applies to, in lower case; undefined: all hosts.
 * - `remaining`: the number of uses that are left; `Infinity`: until it is removed.
 *
 * @category models
 * @since 0.1.0
 */
export interface ScriptedFault {
  readonly id: number
  readonly fault: Fault
  readonly endpoint: Endpoint
  readonly tenant: string | undefined
  readonly host: string | undefined
  readonly remaining: number
}

/** Faults that are not used up. */
export interface FaultQueue {
  readonly add: (
    fault: Fault,
    endpoint: Endpoint,
    filter: { readonly tenant: string | undefined; readonly host: string | undefined },
    times: number
  ) => void
  /** Takes the oldest fault that applies to the endpoint, the tenant and the host. */
  readonly take: (endpoint: Endpoint, tenant: string, host: string) => Fault | undefined
  readonly list: () => ReadonlyArray<ScriptedFault>
  readonly remove: (id: number) => void
  readonly clear: () => void
}

export const makeFaultQueue = (): FaultQueue => {
  let entries: ReadonlyArray<ScriptedFault> = []
  let added = 0
  const without = (id: number) => entries.filter((entry) => entry.id !== id)
  return {
    add: (fault, endpoint, { host, tenant }, times) => {
      if (times <= 0) return
      entries = [...entries, {
        id: ++added,
        fault,
        endpoint,
        tenant: tenant?.toLowerCase(),
        host: host?.toLowerCase(),
        remaining: times
      }]
    },
    take: (endpoint, tenant, host) => {
      const name = tenant.toLowerCase()
      const entry = entries.find((entry) =>
        entry.endpoint === endpoint && (entry.tenant === undefined || entry.tenant === name) &&
        (entry.host === undefined || entry.host === host)
      )
      if (entry === undefined) return undefined
      const remaining = entry.remaining - 1
      entries = remaining <= 0
        ? without(entry.id)
        : entries.map((other) => other === entry ? { ...entry, remaining } : other)
      return entry.fault
    },
    list: () => entries,
    remove: (id) => {
      entries = without(id)
    },
    clear: () => {
      entries = []
    }
  }
}
