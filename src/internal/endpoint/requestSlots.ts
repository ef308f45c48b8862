/**
 * The bound of concurrent token requests per origin. A request that ends hands its slot to the next one that waits. A slot
 * that is held or waited for longer than a request may take is free again, because its request may have lost its I/O, as on
 * Cloudflare Workers.
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
  /** Returns the slot, if the request has one. */
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

/** The requests to one origin, with the end of the time that each may hold its slot, in the order of that time. */
interface Lane {
  readonly holders: Map<Slot, number>
  readonly waiting: FairQueue.FairQueue<Waiter>
}

/** Creates the slots, of which each origin has `most`. Times are in milliseconds. */
export const make = (
  most: number,
  { clock, longestUse, longestWait }: {
    readonly clock: Clock.Clock
    readonly longestWait: number
    readonly longestUse: number
  }
): Slots => {
  const lanes = new Map<string, Lane>()
  return {
    slotOf: (origin, tenant) => {
      const lane: Lane = lanes.get(origin) ?? { holders: new Map(), waiting: FairQueue.make() }
      lanes.set(origin, lane)
      const { holders, waiting } = lane

      /** Hands free slots to the requests that wait. */
      const handOut = (now: number): void => {
        while (holders.size < most) {
          const waiter = waiting.next()
          if (waiter === undefined) return
          if (now < waiter.until) waiter.grant(now)
        }
      }

      /** Takes the slots away that are held for too long. */
      const reclaim = (now: number): void => {
        for (const [holder, until] of holders) {
          if (now < until) break
          holders.delete(holder)
        }
        handOut(now)
      }

      const waitInQueue: Effect.Effect<void> = Effect.suspend(() => {
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
          const now = monotonicMillis(clock)
          reclaim(now)
          const [next = Infinity] = holders.values()
          return waitForOther(Deferred.await(granted), { clock, left: next - now, orElse: () => look })
        })
        // The request that returns the slot has its connection until it has ended.
        return Effect.onInterrupt(
          Effect.andThen(look, Effect.yieldNow),
          () => Effect.sync(() => waiting.remove(tenant, waiter))
        )
      })

      const slot: Slot = {
        take: () => {
          if (holders.size >= most) return false
          holders.set(slot, monotonicMillis(clock) + longestUse)
          return true
        },
        // A slot may have been returned since the request found none.
        wait: Effect.suspend(() => slot.take() ? Effect.void : waitInQueue),
        release: () => {
          if (holders.delete(slot) && !waiting.isEmpty()) handOut(monotonicMillis(clock))
        }
      }
      return slot
    }
  }
}
