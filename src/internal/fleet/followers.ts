/**
 * The callers of this process that wait for leases of other processes. One call looks up many leases. Each lease is
 * looked up after 50 ms, and then at intervals that grow to 400 ms.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Fleet } from "../../TokenStore.ts"
import { monotonicMillis } from "../shared/monotonic.ts"
import type { StoreGuard } from "./storeGuard.ts"

/** Why a wait ended: the lease is no longer held, the store does not answer, or the limit is reached. */
export type WaitEnd = "free" | "down" | "late"

export interface Followers {
  /** Waits until a lease is no longer held, at most for `limit` milliseconds. */
  readonly wait: (name: string, limit: number) => Effect.Effect<WaitEnd>
}

/** The intervals between two look-ups of a lease, in milliseconds. */
const firstInterval = 50
const longestInterval = 400

/** The number of leases in one call. */
const batch = 500

interface Followed {
  readonly name: string
  readonly ended: Deferred.Deferred<WaitEnd>
  readonly until: number
  interval: number
  nextLook: number
}

/** Creates the registry of a process. */
export const make = (guard: StoreGuard, fleet: Fleet): Effect.Effect<Followers, never, Scope.Scope> =>
  Effect.gen(function*() {
    const clock = yield* Clock.Clock
    const scope = yield* Effect.scope
    const followed = new Map<string, Followed>()
    let isWatching = false

    const end = (one: Followed, why: WaitEnd): void => {
      if (followed.get(one.name) === one) followed.delete(one.name)
      Deferred.doneUnsafe(one.ended, Effect.succeed(why))
    }

    const look = (some: readonly [Followed, ...Array<Followed>]): Effect.Effect<void> =>
      Effect.map(guard.run("read", some[0].name, fleet.held(some.map(({ name }) => name))), (answer) => {
        const now = monotonicMillis(clock)
        some.forEach((one, at) => {
          if (answer._tag !== "Answered") return end(one, "down")
          if (answer.value[at] !== true) return end(one, "free")
          if (one.until <= now) return end(one, "late")
          one.interval = Math.min(longestInterval, one.interval * 1.5)
          one.nextLook = now + one.interval
        })
      })

    const watch: Effect.Effect<void> = Effect.suspend(() => {
      if (followed.size === 0) {
        isWatching = false
        return Effect.void
      }
      const now = monotonicMillis(clock)
      const due = [...followed.values()].filter(({ nextLook, until }) => nextLook <= now || until <= now)
      const looks = Effect.forEach(guard.byNode(due, batch), look, { concurrency: "unbounded", discard: true })
      return Effect.andThen(looks, Effect.andThen(pause, watch))
    })
    const pause = Effect.suspend(() => clock.sleep(Duration.millis(firstInterval / 2)))

    return {
      wait: (name, limit) =>
        Effect.suspend(() => {
          const now = monotonicMillis(clock)
          const known = followed.get(name)
          const one = known ?? {
            name,
            ended: Deferred.makeUnsafe<WaitEnd>(),
            until: now + limit,
            interval: firstInterval,
            nextLook: now + firstInterval
          }
          if (known === undefined) followed.set(name, one)
          const wait = Deferred.await(one.ended)
          if (isWatching) return wait
          isWatching = true
          return Effect.andThen(Effect.forkIn(watch, scope), wait)
        })
    }
  })
