/** The bound of concurrent token requests per origin. A request that ends hands its slot to the next one that waits. */
import * as Effect from "effect/Effect"
import * as FairQueue from "./fairQueue.ts"

/** The slot of one request. */
export interface Slot {
  /** Takes a slot if one is free, and returns whether it did. */
  readonly take: () => boolean
  /** Waits for a slot. Tenants take turns. An interrupted request leaves the queue. */
  readonly wait: Effect.Effect<void>
  /** Returns the slot, if the request has one. */
  readonly release: () => void
}

export interface Slots {
  readonly slotOf: (origin: string, tenant: string) => Slot
}

/** The requests to one origin. A member of the queue hands a slot to its request. */
interface Lane {
  running: number
  /** Undefined until a request waits. */
  waiting: FairQueue.FairQueue<() => void> | undefined
}

/** Creates the slots, of which each origin has `most`. */
export const make = (most: number): Slots => {
  const lanes = new Map<string, Lane>()
  return {
    slotOf: (origin, tenant) => {
      const lane: Lane = lanes.get(origin) ?? { running: 0, waiting: undefined }
      lanes.set(origin, lane)
      let isHeld = false
      const take = (): boolean => {
        if (lane.running >= most) return false
        lane.running++
        return isHeld = true
      }
      return {
        take,
        wait: Effect.callback((resume) => {
          // A slot may have been returned since the request found none.
          if (take()) return resume(Effect.void)
          const grant = () => {
            isHeld = true
            // The next request must not run on the stack of the request that returns the slot.
            resume(Effect.yieldNow)
          }
          const queue = lane.waiting ??= FairQueue.make()
          queue.add(tenant, grant)
          return Effect.sync(() => queue.remove(tenant, grant))
        }),
        release: () => {
          if (!isHeld) return
          isHeld = false
          const grant = lane.waiting?.next()
          if (grant === undefined) lane.running--
          else grant()
        }
      }
    }
  }
}
