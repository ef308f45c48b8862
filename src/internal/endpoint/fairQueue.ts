/** A queue that several tenants share. Tenants take turns, and the waiters of one tenant keep their order. */

export interface FairQueue<W> {
  readonly add: (tenant: string, waiter: W) => void
  /** Removes a waiter. A waiter that is not in the queue changes nothing. */
  readonly remove: (tenant: string, waiter: W) => void
  /** Removes and returns the first waiter of the tenant whose turn it is, or undefined when the queue is empty. */
  readonly next: () => W | undefined
  readonly isEmpty: () => boolean
}

interface Line<W> {
  readonly waiters: Set<W>
  readonly order: Iterator<W, undefined>
}

/** Creates an empty queue. */
export const make = <W>(): FairQueue<W> => {
  const lines = new Map<string, Line<W>>()
  // The iterators are kept, because a new iterator steps over the places of all removed members. An iterator ends only
  // if it is advanced while nothing is left.
  let order = lines.entries()
  return {
    add: (tenant, waiter) => {
      const line = lines.get(tenant)
      if (line !== undefined) {
        line.waiters.add(waiter)
        return
      }
      const waiters = new Set([waiter])
      lines.set(tenant, { waiters, order: waiters.values() })
    },
    remove: (tenant, waiter) => {
      const waiters = lines.get(tenant)?.waiters
      if (waiters?.delete(waiter) !== true || waiters.size > 0) return
      lines.delete(tenant)
      // Until it is advanced, an iterator keeps all the places that it has not passed.
      if (lines.size === 0) order = lines.entries()
    },
    next: () => {
      const first = lines.size === 0 ? undefined : order.next().value
      if (first === undefined) return undefined
      const [tenant, line] = first
      const waiter = line.order.next().value
      // A tenant goes to the end after each turn, so that its next request does not pass another tenant's.
      lines.delete(tenant)
      if (waiter !== undefined) line.waiters.delete(waiter)
      if (line.waiters.size > 0) lines.set(tenant, line)
      return waiter
    },
    isEmpty: () => lines.size === 0
  }
}
