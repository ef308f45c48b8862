/**
 * The bound of concurrent token requests per origin. A request that ends hands its slot to the next request that waits.
 * A slot that is held for too long is free again, and a request that has waited for too long gets no slot. The request
 * may have lost its I/O, as on Cloudflare Workers.
 */
import type * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { monotonicMillis } from "../shared/monotonic.ts"
import { waitForOther } from "../shared/requestContext.ts"
import * as FairQueue from "./fairQueue.ts"

/** The slot of one request. */
export interface Slot {
  /** Takes a slot if one is free, and returns whether it did. */
  readonly take: () => boolean
  /** Waits for a slot. Tenants take turns. An interrupted request leaves the queue. */
  readonly wait: Effect.Effect<void>
  /** Frees the slot, if the request has one. */
  readonly release: () => void
}

export interface Slots {
  readonly slotOf: (origin: string, tenant: string) => Slot
}

interface Waiter {
  readonly until: number
  /** Hands a slot to the request. */
  readonly grant: (now: number) => void
}

/** The requests to one origin. */
interface Lane {
  /** The slots in use, with the times until which they may be held, the earliest first. */
  readonly holders: Map<Slot, number>
  /** Undefined until a request waits. */
  waiting: FairQueue.FairQueue<Waiter> | undefined
}

/** Creates the slots: `most` for each origin. Times are in milliseconds. */
export const make = (
  most: number,
  { clock, longestUse, longestWait }: {
    readonly clock: Clock.Clock
    readonly longestWait: number
    readonly longestUse: number
  }
): Slots => {
  const lanes = new Map<string, Lane>()

  /** Hands free slots to the requests that wait. */
  const handOut = ({ holders, waiting }: Lane): void => {
    const now = monotonicMillis(clock)
    while (holders.size < most) {
      const waiter = waiting?.next()
      if (waiter === undefined) return
      if (now < waiter.until) waiter.grant(now)
    }
  }

  /** Takes away the slots that are held for too long. */
  const reclaim = ({ holders }: Lane): void => {
    const now = monotonicMillis(clock)
    for (const [holder, until] of holders) {
      if (now < until) return
      holders.delete(holder)
    }
  }

  const waitInQueue = (slot: Slot, lane: Lane, tenant: string): Effect.Effect<void> =>
    Effect.suspend(() => {
      const { holders, waiting = FairQueue.make<Waiter>() } = lane
      lane.waiting = waiting
      const granted = Deferred.makeUnsafe<void>()
      const waiter: Waiter = {
        until: monotonicMillis(clock) + longestWait,
        grant: (now) => {
          holders.set(slot, now + longestUse)
          Deferred.doneUnsafe(granted, Exit.void)
        }
      }
      waiting.add(tenant, waiter)
      const look: Effect.Effect<void> = Effect.suspend(() => {
        reclaim(lane)
        handOut(lane)
        const [next = Infinity] = holders.values()
        return waitForOther(Deferred.await(granted), {
          clock,
          left: next - monotonicMillis(clock),
          orElse: () => look
        })
      })
      return Effect.onInterrupt(
        // The request that frees the slot keeps its connection until its fiber ends, so this request starts after that.
        Effect.andThen(look, Effect.yieldNow),
        () => Effect.sync(() => waiting.remove(tenant, waiter))
      )
    })

  return {
    slotOf: (origin, tenant) => {
      const lane: Lane = lanes.get(origin) ?? { holders: new Map(), waiting: undefined }
      lanes.set(origin, lane)
      const slot: Slot = {
        take: () => {
          if (lane.holders.size >= most) return false
          lane.holders.set(slot, monotonicMillis(clock) + longestUse)
          return true
        },
        // A slot may have been freed since `take` found none.
        wait: Effect.suspend(() => slot.take() ? Effect.void : waitInQueue(slot, lane, tenant)),
        release: () => {
          if (lane.holders.delete(slot) && lane.waiting !== undefined) handOut(lane)
        }
      }
      return slot
    }
  }
}
