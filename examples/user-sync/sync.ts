/**
 * The background job: one fiber per connected tenant, so that a tenant that is throttled or fails does not delay the
 * others. At most `concurrency` tenants read from Graph at a time.
 */
import { Cause, Clock, Context, Effect, FiberMap, Layer, Queue, Semaphore } from "effect"
import { ConfidentialClient } from "effect-entra"
import { Graph, scopes } from "./graph.ts"
import { Store } from "./store.ts"
import { endsFullRound, initial, type Pace, type SyncEvent, type SyncState, transition, untilDue } from "./syncState.ts"

export interface Settings {
  readonly pace: Pace
  /** The number of tenants that read from Graph at a time. */
  readonly concurrency: number
}

export const defaults: Settings = {
  pace: { interval: 300_000, firstDelay: 15_000, longestDelay: 1_800_000 },
  concurrency: 4
}

export class Sync extends Context.Service<Sync, {
  /** Adds a tenant and begins to sync it. A tenant that is connected already is synced now. */
  readonly connect: (tenant: { readonly tenantId: string; readonly customer: string }) => Effect.Effect<void>
  /** Ends the sync of a tenant, and deletes its users, its state and its tokens. */
  readonly disconnect: (tenantId: string) => Effect.Effect<void>
  /** Syncs a tenant now, unless the service said when to come back. */
  readonly syncNow: (tenantId: string) => Effect.Effect<void>
}>()("user-sync/Sync") {}

/**
 * Continues the sync of the tenants in the database. It ends with its scope. A page is stored completely or not at all.
 */
export const layer = (settings: Settings): Layer.Layer<
  Sync,
  never,
  Store | Graph | ConfidentialClient.ConfidentialClient
> =>
  Layer.effect(
    Sync,
    Effect.gen(function*() {
      const store = yield* Store
      const graph = yield* Graph
      const client = yield* ConfidentialClient.ConfidentialClient
      const slots = yield* Semaphore.make(settings.concurrency)
      // Connecting and disconnecting a tenant at the same time must not leave half of it.
      const changes = yield* Semaphore.make(1)
      const fibers = yield* FiberMap.make<string>()
      const bells = new Map<string, Queue.Queue<void>>()

      const advance = (tenantId: string, event: SyncEvent) =>
        Effect.flatMap(
          Clock.currentTimeMillis,
          (now) => store.change(tenantId, (state) => transition(state, event, now, settings.pace))
        )

      /** Removes the tokens of a tenant. A tenant that the client does not allow has no tokens. */
      const forgetTokens = (tenantId: string) => Effect.ignore(client.invalidate({ tenantId }))

      /** Reads pages until the round ends or fails. */
      const round = Effect.fn("Sync.round")(function*(tenantId: string) {
        let state = yield* advance(tenantId, { _tag: "Started" })
        // A token keeps the permissions that it was issued with, so another attempt needs another token.
        if (state !== undefined && state.failures > 0) yield* forgetTokens(tenantId)
        while (state?.phase === "syncing") {
          const outcome = yield* graph.readPage(tenantId, state.cursor)
          if (outcome._tag !== "Page") return yield* advance(tenantId, outcome)
          const now = yield* Clock.currentTimeMillis
          const event: SyncEvent = { _tag: "PageRead", changed: outcome.users.length, next: outcome.next }
          state = yield* store.applyPage(tenantId, outcome.users, (before) => ({
            state: transition(before, event, now, settings.pace),
            dropOthers: endsFullRound(before, event)
          }))
        }
        return state
      })

      const left = (state: SyncState) =>
        Effect.map(Clock.currentTimeMillis, (now) => untilDue(state, now, settings.pace))

      /** Returns when the tenant is not in the database any more. */
      const follow = Effect.fn("Sync.follow")(function*(tenantId: string, bell: Queue.Queue<void>) {
        // The token is refreshed before it expires, so that no round waits for it. A tenant that the client does not
        // allow any more fails in its round, where its page shows why.
        yield* Effect.ignore(client.keepFresh({ scopes, tenantId }))
        let state = (yield* store.find(tenantId))?.state
        while (state !== undefined) {
          const pause = yield* left(state)
          if (pause > 0) yield* Effect.race(Effect.sleep(pause), Queue.take(bell))
          const current = (yield* store.find(tenantId))?.state
          // A request for a sync may arrive while the tenant has to wait.
          const isDue = current !== undefined && (yield* left(current)) === 0
          state = isDue ? yield* slots.withPermits(1)(round(tenantId)) : current
        }
      }, Effect.scoped)

      const start = Effect.fnUntraced(function*(tenantId: string) {
        const bell = yield* Queue.sliding<void>(1)
        bells.set(tenantId, bell)
        const followed = follow(tenantId, bell).pipe(
          Effect.as(false),
          // After a defect, such as a full disk, the sync of this tenant starts again, and the others continue.
          Effect.tapCause((cause) =>
            Cause.hasInterruptsOnly(cause) ? Effect.void : Effect.logError(`The sync of ${tenantId} failed`, cause)
          ),
          Effect.catchDefect(() => Effect.as(Effect.sleep(settings.pace.firstDelay), true)),
          Effect.repeat({ while: (hasFailed) => hasFailed })
        )
        yield* FiberMap.run(fibers, tenantId, followed)
      })

      const syncNow = Effect.fn("Sync.syncNow")(function*(tenantId: string) {
        yield* advance(tenantId, { _tag: "Wanted" })
        const bell = bells.get(tenantId)
        if (bell !== undefined) yield* Queue.offer(bell, undefined)
      })

      for (const { tenantId } of yield* store.all) yield* start(tenantId)

      return Sync.of({
        connect: Effect.fn("Sync.connect")(
          function*(tenant) {
            if ((yield* store.find(tenant.tenantId)) !== undefined) return yield* syncNow(tenant.tenantId)
            yield* store.add({ ...tenant, state: initial(yield* Clock.currentTimeMillis) })
            yield* start(tenant.tenantId)
          },
          changes.withPermits(1),
          Effect.uninterruptible
        ),
        disconnect: Effect.fn("Sync.disconnect")(
          function*(tenantId) {
            // Waits until the fiber has ended, which also ends the refresh of the token.
            yield* FiberMap.remove(fibers, tenantId)
            bells.delete(tenantId)
            yield* store.remove(tenantId)
            yield* forgetTokens(tenantId)
          },
          changes.withPermits(1),
          Effect.uninterruptible
        ),
        syncNow
      })
    })
  )
