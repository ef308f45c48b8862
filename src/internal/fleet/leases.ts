/** The leases that this process holds. They are extended while their fetches run. */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Fleet, Lease } from "../../TokenStore.ts"
import type { StoreGuard } from "./storeGuard.ts"

export interface Leases {
  /** Extends a lease until the effect ends. */
  readonly hold: <A, E>(lease: Lease, effect: Effect.Effect<A, E>) => Effect.Effect<A, E>
}

/** The time to live of a lease. */
export const leaseTtl = Duration.seconds(5)

const interval = Duration.seconds(1)

/** Creates the registry of a process. */
export const make = (
  { clock, fleet, guard, scope }: {
    readonly fleet: Fleet
    readonly guard: StoreGuard
    readonly clock: Clock.Clock
    readonly scope: Scope.Scope
  }
): Leases => {
  const held = new Set<Lease>()
  let isExtending = false

  const extend: Effect.Effect<void> = Effect.suspend(() => {
    isExtending = held.size > 0
    // Urgent, because under load a lease would end while the command waits behind look-ups.
    return isExtending
      ? Effect.andThen(
        Effect.forEach(
          guard.byNode(held),
          (some) => guard.run("urgent", some[0].name, fleet.extend(some, leaseTtl)),
          { concurrency: "unbounded", discard: true }
        ),
        extendLater
      )
      : Effect.void
  })
  const extendLater = Effect.suspend(() => Effect.andThen(clock.sleep(interval), extend))

  /** Starts the loop that extends all leases, unless it runs. */
  const startExtending = Effect.suspend(() => {
    if (isExtending) return Effect.void
    isExtending = true
    return Effect.forkIn(extendLater, scope)
  })

  return {
    hold: (lease, effect) =>
      Effect.suspend(() => {
        held.add(lease)
        return Effect.onExit(Effect.andThen(startExtending, effect), () => {
          held.delete(lease)
          return Effect.void
        })
      })
  }
}
