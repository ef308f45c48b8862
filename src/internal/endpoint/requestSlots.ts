/**
 * The bound of concurrent token requests per origin. A request that finds a free slot only counts itself, which
 * `TokenEndpoint` does in place. Other requests wait here, and a request that ends hands its slot to the next one.
 */
import * as Effect from "effect/Effect"
import * as FairQueue from "./fairQueue.ts"

/** The token requests to one origin. */
export interface Lane {
  running: number
  /** Undefined while no request waits. A member hands a slot to its request. */
  waiting: FairQueue.FairQueue<() => void> | undefined
}

/** The slot of one request, which returns it when it ends, however it ends. */
export interface Slot {
  isHeld: boolean
}

/** Waits for a slot of a lane that has `most` slots. Tenants take turns. An interrupted request leaves the queue. */
export const wait = (lane: Lane, most: number, tenant: string, slot: Slot): Effect.Effect<void> =>
  Effect.callback((resume) => {
    // A slot may have been returned since the request found none.
    if (lane.running < most) {
      lane.running++
      slot.isHeld = true
      resume(Effect.void)
      return
    }
    const grant = () => {
      slot.isHeld = true
      // The next request must not run on the stack of the request that returns the slot.
      resume(Effect.yieldNow)
    }
    const queue = lane.waiting ??= FairQueue.make()
    queue.add(tenant, grant)
    return Effect.sync(() => {
      queue.remove(tenant, grant)
      if (queue.isEmpty() && lane.waiting === queue) lane.waiting = undefined
    })
  })

/** Returns a slot: hands it to the next request that waits, or frees it. */
export const release = (lane: Lane): void => {
  const grant = lane.waiting?.next()
  if (lane.waiting?.isEmpty() === true) lane.waiting = undefined
  if (grant === undefined) lane.running--
  else grant()
}
