/**
 * The epochs of all owners in this process: read when they are first needed, and then at intervals. Invalidations by
 * this process that are not stored yet are repeated until they are stored.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { Epochs, Fleet, TokenStore } from "../../TokenStore.ts"
import { type CachePlace, encode, type Selector } from "../cache/cacheKey.ts"
import { monotonicMillis } from "../shared/monotonic.ts"
import * as SingleFlight from "../shared/singleFlight.ts"
import {
  changedFields,
  concerns,
  epochOf,
  fieldOfSelector,
  fieldsOf,
  merged,
  nextStamp,
  stamped,
  stampLifetime
} from "./epochs.ts"
import type { Sealer } from "./sealing.ts"
import { type Budget, newBudget, type StoreGuard, turn } from "./storeGuard.ts"

export interface OwnerEpochs {
  /** Returns the epochs of a place, the newest root key first; undefined while the store must not be used for it. */
  readonly of: (owner: string, place: CachePlace, budget: Budget) => Effect.Effect<ReadonlyArray<string> | undefined>
  /** Returns the epochs as far as they are known without waiting. */
  readonly current: (owner: string, place: CachePlace) => ReadonlyArray<string> | undefined
  readonly invalidate: (selector: Selector) => Effect.Effect<void>
  /** Reads the records of all owners now. */
  readonly refresh: Effect.Effect<void>
}

/** The reactions of this process to invalidations by other processes, and to a store that has lost its records. */
export interface Reactions {
  readonly invalidated: (owner: string, concerns: (place: CachePlace, issuedAt: number) => boolean) => void
  readonly lost: () => Effect.Effect<void>
  /** Returns whether tokens of an owner are in memory. */
  readonly isUsed: (owner: string) => boolean
}

interface Owner {
  readonly name: string
  readonly ids: ReadonlyArray<string>
  records: ReadonlyArray<Epochs> | undefined
  readonly pending: Map<string, Selector>
  /** The number of stamps that the store noted for this process. */
  noted: number
  /** The monotonic time of the last use. */
  usedAt: number
}

/** The milliseconds for which the epochs of an owner without tokens in memory are kept. */
const idleTime = 60_000

/** The most invalidations of an owner that wait for a store that does not note them. */
const maxPending = 10_000

/** The number of owners whose records are read at a time. Others would wait too long behind a slow store. */
const refreshes = 8

/** The milliseconds by which the clock of this process may be ahead of the clock of the store. */
const clockSkew = 900_000

/** Creates the epochs. `interval` is in milliseconds. */
export const make = (options: {
  readonly store: TokenStore["Service"]
  readonly guard: StoreGuard
  readonly sealer: Sealer
  readonly newId: () => string
  readonly interval: number
  readonly reactions: Reactions
}): Effect.Effect<OwnerEpochs, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { guard, interval, newId, reactions, sealer, store } = options
    const clock = yield* Clock.Clock
    const source = store.fleet ?? overValues(store, clock, newId)
    const { seeds } = sealer
    const owners = new Map<string, Owner>()
    const first = yield* SingleFlight.make<void, "closed">({ closed: () => "closed" })

    const ownerOf = (name: string): Effect.Effect<Owner> => {
      const known = owners.get(name)
      return known !== undefined ? Effect.succeed(known) : Effect.map(sealer.of(encode(["owner", name])), (sealed) => {
        const made = owners.get(name) ??
          {
            name,
            ids: sealed.map(({ id }) => id),
            records: undefined,
            pending: new Map<string, Selector>(),
            noted: 0,
            usedAt: 0
          }
        owners.set(name, made)
        return made
      })
    }

    const adopt = (owner: Owner, records: ReadonlyArray<Epochs>): Effect.Effect<void> => {
      const before = owner.records
      owner.records = records
      if (before === undefined) {
        if (!reactions.isUsed(owner.name)) return Effect.void
        // Tokens that were acquired while the store was down may be from before an invalidation.
        records.forEach(({ stamps }, at) => {
          if (stamps.size === 0) return
          const seed = seeds[at] ?? 0
          reactions.invalidated(
            owner.name,
            (place, issuedAt) =>
              fieldsOf(place, seed).some((field) => (stamps.get(field) ?? -Infinity) > issuedAt - clockSkew)
          )
        })
        return Effect.void
      }
      let isLost = false
      records.forEach((record, at) => {
        const known = before[at]
        if (known === undefined || known === record) return
        isLost ||= known.base !== record.base
        const fields = changedFields(known, record)
        if (fields.size === 0) return
        reactions.invalidated(owner.name, (place) => concerns(fields, place, seeds[at] ?? 0))
      })
      return isLost ? reactions.lost() : Effect.void
    }

    /** Reads the records of an owner. They stay as they are when the store does not answer. */
    const read = (owner: Owner, budget: Budget): Effect.Effect<void> =>
      Effect.gen(function*() {
        const records: Array<Epochs> = []
        const { noted, records: before } = owner
        for (const [at, id] of owner.ids.entries()) {
          const known = before?.[at]
          const answer = yield* guard.run("read", id, source.epochs(id, known?.version), budget)
          const record = answer._tag === "Answered" ? answer.value ?? known : undefined
          if (record === undefined) return
          records.push(record)
        }
        const now = owner.records
        // An invalidation by this process may have ended before the answer arrived. Without a record its stamp was not kept.
        if (now === undefined && owner.noted > noted) return yield* read(owner, budget)
        const merge = (record: Epochs, other: Epochs | undefined) =>
          other === undefined ? record : merged(record, other)
        yield* adopt(owner, now === before ? records : records.map((record, at) => merge(record, now?.[at])))
      })

    /** Stamps the records of all root keys with the same time, because names contain the latest of them. */
    const invalidateIn = (owner: Owner, selector: Selector): Effect.Effect<boolean> =>
      Effect.gen(function*() {
        const stamps = owner.ids.map(() => 0)
        let latest = 0
        // Repeated for the records whose stamp is earlier than that of another record.
        for (let rounds = 3; rounds > 0; rounds--) {
          for (const [at, id] of owner.ids.entries()) {
            if (latest > 0 && stamps[at] === latest) continue
            const field = fieldOfSelector(selector, seeds[at] ?? 0)
            const answer = yield* guard.run("write", id, source.invalidate(id, field, latest))
            if (answer._tag !== "Answered") return false
            stamps[at] = latest = answer.value
            owner.noted++
            owner.records = owner.records?.map((record, index) =>
              index === at ? stamped(record, field, latest) : record
            )
          }
        }
        return true
      })

    // Each call of `invalidate` has a selector of its own.
    const underWay = new Map<Selector, Deferred.Deferred<void>>()
    /** Ends at the first invalidation that the store does not note, because it would not note the others either. */
    const flush = (owner: Owner): Effect.Effect<void> =>
      Effect.gen(function*() {
        for (const [name, selector] of owner.pending) {
          if (underWay.has(selector)) continue
          const settled = Deferred.makeUnsafe<void>()
          underWay.set(selector, settled)
          const isNoted = yield* Effect.onExitPrimitive(invalidateIn(owner, selector), (exit) => {
            underWay.delete(selector)
            if (Exit.isSuccess(exit) && exit.value && owner.pending.get(name) === selector) owner.pending.delete(name)
            Deferred.doneUnsafe(settled, Exit.void)
            return undefined
          })
          if (!isNoted) return
        }
      })

    const refresh = Effect.suspend(() => {
      const now = monotonicMillis(clock)
      return Effect.forEach([...owners.values()], (owner) => {
        if (owner.pending.size === 0 && now - owner.usedAt > idleTime && !reactions.isUsed(owner.name)) {
          return Effect.sync(() => owners.delete(owner.name))
        }
        return Effect.andThen(flush(owner), Effect.suspend(() => read(owner, newBudget())))
      }, { concurrency: refreshes, discard: true })
    })

    /**
     * Waits for invalidations of a place that are being stored, within the budget of the caller. Without the wait the
     * caller would fetch the token alone, and the first process that reads the invalidation would fetch it too.
     */
    const afterInvalidations = (owner: Owner, place: CachePlace, budget: Budget): Effect.Effect<void> => {
      for (const selector of pendingFor(owner, place)) {
        const settled = underWay.get(selector)
        if (settled === undefined) continue
        const limit = clock.sleep(Duration.millis(Math.max(0, budget.left) * turn))
        return Effect.raceFirst(Deferred.await(settled), limit)
      }
      return Effect.void
    }

    const current = (owner: Owner | undefined, place: CachePlace): ReadonlyArray<string> | undefined => {
      if (owner?.records === undefined) return undefined
      if (pendingFor(owner, place).length > 0) return undefined
      const { records } = owner
      return records.map((_, index) => epochOf(place, { records, seeds }, index))
    }

    yield* Effect.forkScoped(
      Effect.forever(Effect.andThen(Effect.suspend(() => clock.sleep(Duration.millis(interval))), refresh))
    )

    return {
      of: (name, place, budget) =>
        Effect.flatMap(ownerOf(name), (owner) => {
          owner.usedAt = monotonicMillis(clock)
          const ready = owner.records === undefined
            ? Effect.ignore(first.join(name, read(owner, budget)))
            : owner.pending.size > 0
            ? afterInvalidations(owner, place, budget)
            : undefined
          return ready === undefined
            ? Effect.succeed(current(owner, place))
            : Effect.map(ready, () => current(owner, place))
        }),
      current: (name, place) => current(owners.get(name), place),
      invalidate: (selector) =>
        Effect.flatMap(ownerOf(selector.owner), (owner) => {
          owner.usedAt = monotonicMillis(clock)
          // An invalidation of all tokens of the owner takes the place of too many others.
          const pending = owner.pending.size < maxPending ? selector : { owner: selector.owner }
          if (pending !== selector) owner.pending.clear()
          owner.pending.set(nameOf(pending), { ...pending })
          return flush(owner)
        }),
      refresh
    }
  })

const nameOf = ({ scopes, tenant }: Omit<Selector, "owner">): string =>
  tenant === undefined ? "all" : encode(scopes === undefined ? [tenant] : [tenant, scopes])

/** Returns the invalidations that select a place and that the store has not noted yet. */
const pendingFor = ({ pending }: Owner, { scopes, tenant }: CachePlace): ReadonlyArray<Selector> =>
  pending.size === 0
    ? []
    : [{}, { tenant }, { tenant, scopes }].flatMap((selection) => pending.get(nameOf(selection)) ?? [])

// -----------------------------------------------------------------------------
// stores without epochs
// -----------------------------------------------------------------------------

/** A base becomes a part of names, which a store may use as the names of files. Another one makes the record a lost one. */
const Base = Schema.String.check(Schema.isPattern(/^[\w-]{0,40}$/))

const Record = Schema.fromJsonString(Schema.Struct({
  version: Schema.String,
  base: Base,
  stamps: Schema.Record(Schema.String, Schema.Finite)
}))
const decode = Schema.decodeUnknownOption(Record)
const encodeRecord = Schema.encodeSync(Record)

/** The time to live of a record. */
const recordTtl = Duration.days(366)

/**
 * Keeps epochs as values, for a store without `fleet`. Of two invalidations at the same time one may be lost, so each
 * process reads its stamp back, and writes it again when it is missing.
 */
const overValues = (
  store: TokenStore["Service"],
  clock: Clock.Clock,
  newId: () => string
): Pick<Fleet, "epochs" | "invalidate"> => {
  const nameOf = (id: string) => `${id}.epochs`
  const load = (id: string) =>
    Effect.map(store.get(nameOf(id)), (value): Epochs | undefined => {
      const text = value === undefined ? undefined : new TextDecoder().decode(value.bytes)
      const record = text === undefined ? undefined : Option.getOrUndefined(decode(text))
      return record === undefined ? undefined : { ...record, stamps: new Map(Object.entries(record.stamps)) }
    })
  const save = (id: string, { base, stamps, version }: Epochs) =>
    store.set(
      nameOf(id),
      new TextEncoder().encode(encodeRecord({ base, version, stamps: Object.fromEntries(stamps) })),
      recordTtl
    )
  return {
    epochs: (id, known) =>
      Effect.flatMap(load(id), (record) => {
        if (record !== undefined) return Effect.succeed(record.version === known ? undefined : record)
        const base = newId()
        const made: Epochs = { base, version: base, stamps: new Map() }
        return Effect.as(save(id, made), made)
      }),
    invalidate: (id, field, wanted) =>
      Effect.gen(function*() {
        const now = clock.currentTimeMillisUnsafe()
        for (let left = 3; left > 0; left--) {
          const before = (yield* load(id)) ?? { base: newId(), version: "", stamps: new Map() }
          const stamp = nextStamp(before.stamps.get(field), now, wanted)
          const recent = [...before.stamps].filter(([, at]) => at > now - stampLifetime)
          const stamps = new Map([...recent, [field, stamp] as const])
          yield* save(id, { base: before.base, version: newId(), stamps })
          const after = yield* load(id)
          if ((after?.stamps.get(field) ?? 0) >= stamp) return stamp
        }
        return yield* Effect.fail("the record changed three times meanwhile")
      })
  }
}
