/**
 * A store in memory that answers as `redisStore` over a Redis server does. `test/fleet/FakeStore.test.ts` compares the two.
 * All processes of a simulation share one. Time is that of the clock of the test.
 */
import { Clock, Deferred, Duration, Effect } from "effect"
import { TokenStore } from "effect-entra"
import { stampLifetime } from "../../src/internal/fleet/epochs.ts"

/** The commands of a store, by the names of its members. */
export type Command = "get" | "set" | "remove" | "take" | "held" | "extend" | "settle" | "epochs" | "invalidate"

/** The connection of one process. */
export interface Connection {
  readonly store: TokenStore.TokenStore["Service"]
  /** The same values, for processes whose store has no leases. */
  readonly withoutFleet: TokenStore.TokenStore["Service"]
  /** No command of this process is answered, and none has an effect. */
  isSilent: boolean
}

export interface FakeFleetStore extends Connection {
  readonly connect: () => Connection
  /** Redis has no memory left: what adds data is refused. */
  refusesWrites: boolean
  /** Milliseconds that each command takes before it has its effect. */
  delay: number
  /** The commands that reached the store. */
  readonly counts: Record<Command, number>
  readonly resetCounts: () => void
  /** Holds back the reply of the next such command, which has its effect at once. Runs the returned effect to deliver it. */
  readonly holdBack: (command: Command) => Effect.Effect<HeldBack>
  /** Removes everything. */
  readonly flush: () => void
  /** Lets time pass for the store alone. */
  readonly advance: (millis: number) => void
  /** The keys that exist. */
  readonly keys: () => ReadonlyArray<string>
  /** Everything that is stored, as one text. */
  readonly dump: () => string
}

export interface HeldBack {
  /** Ends when the command has reached the store. */
  readonly reached: Effect.Effect<void>
  readonly release: Effect.Effect<void>
}

type Entry =
  | { readonly kind: "bytes"; readonly bytes: Uint8Array; readonly until: number }
  | { readonly kind: "owner"; readonly owner: string; readonly until: number }

interface Record_ {
  base: string
  version: string
  readonly stamps: Map<string, number>
}

export const makeUnsafe = (now: () => number): FakeFleetStore => {
  const entries = new Map<string, Entry>()
  const records = new Map<string, Record_>()
  const holds: Array<
    { readonly command: Command; readonly reached: Deferred.Deferred<void>; readonly released: Deferred.Deferred<void> }
  > = []
  const none = (): Record<Command, number> => ({
    get: 0,
    set: 0,
    remove: 0,
    take: 0,
    held: 0,
    extend: 0,
    settle: 0,
    epochs: 0,
    invalidate: 0
  })
  let ahead = 0
  let ids = 0

  const time = () => now() + ahead
  const newId = () => `id${++ids}`
  const keysOf = (name: string) => {
    const dot = name.indexOf(".")
    const [id, epoch] = dot < 0 ? [name, ""] : [name.slice(0, dot), name.slice(dot)]
    return { value: `v:${id}${epoch}`, lease: `l:${id}${epoch}`, throttle: `t:${id}`, rest: `r:${id}${epoch}` }
  }
  const entryOf = (key: string): Entry | undefined => {
    const entry = entries.get(key)
    if (entry === undefined || entry.until > time()) return entry
    entries.delete(key)
    return undefined
  }
  const valueOf = (key: string): TokenStore.StoredValue | undefined => {
    const entry = entryOf(key)
    return entry?.kind === "bytes"
      ? { bytes: entry.bytes.slice(), ttl: Duration.millis(entry.until - time()) }
      : undefined
  }
  const millisOf = (duration: Duration.Duration) => Math.max(0, Math.round(Duration.toMillis(duration)))
  const refused = (message: string) => new TokenStore.RefusedByStoreError({ message })
  const write = (key: string, bytes: Uint8Array, ttl: number): void => {
    if (fake.refusesWrites) throw refused("OOM command not allowed when used memory > 'maxmemory'.")
    if (ttl <= 0) throw refused("ERR invalid expire time in 'set' command")
    entries.set(key, { kind: "bytes", bytes: bytes.slice(), until: time() + ttl })
  }
  const left = (key: string) => (entryOf(key)?.until ?? time() - 2) - time()
  const startsWith = (bytes: Uint8Array, start: Uint8Array) => start.every((byte, at) => bytes[at] === byte)

  const get = (name: string) => valueOf(keysOf(name).value)

  const take = (name: string, { hasToken, owner, seen, ttl }: TokenStore.LeaseRequest): TokenStore.LeaseAnswer => {
    const keys = keysOf(name)
    const isLook = Duration.isZero(ttl)
    const value = isLook ? undefined : valueOf(keys.value)
    if (value !== undefined && (seen === undefined || !startsWith(value.bytes, seen))) return { _tag: "Stored", value }
    const throttle = valueOf(keys.throttle)
    if (throttle !== undefined) return { _tag: "Throttled", value: throttle }
    if (isLook) return { _tag: "Taken" }
    const rest = hasToken ? valueOf(keys.rest) : undefined
    if (rest !== undefined) return { _tag: "Failed", value: rest }
    const lease = entryOf(keys.lease)
    const failed = valueOf(keys.lease)
    if (failed !== undefined) return { _tag: "Failed", value: failed }
    if (lease?.kind === "owner" && lease.owner !== owner) return { _tag: "Held" }
    if (fake.refusesWrites) return { _tag: "Unwritable" }
    entries.set(keys.lease, { kind: "owner", owner, until: time() + millisOf(ttl) })
    return { _tag: "Taken" }
  }

  const isMine = (key: string, owner: string) => {
    const entry = entryOf(key)
    return entry?.kind === "owner" && entry.owner === owner
  }

  const settle = ({ name, owner }: TokenStore.Lease, outcome: TokenStore.LeaseOutcome): void => {
    const keys = keysOf(name)
    const mine = isMine(keys.lease, owner)
    let refusal: unknown
    const tryWrite = (key: string, bytes: Uint8Array, ttl: number): boolean => {
      try {
        write(key, bytes, ttl)
      } catch (error) {
        refusal = error
      }
      return refusal === undefined
    }
    const ttl = outcome._tag === "Released" ? 0 : millisOf(outcome.value.ttl)
    switch (outcome._tag) {
      case "Stored": {
        const old = valueOf(keys.value)
        const isSeen = old !== undefined && outcome.seen !== undefined && startsWith(old.bytes, outcome.seen)
        if (mine || old === undefined || isSeen || ttl > left(keys.value)) {
          if (tryWrite(keys.value, outcome.value.bytes, ttl)) entries.delete(keys.rest)
        }
        break
      }
      case "Failed": {
        const rest = millisOf(outcome.rest)
        if (rest > 0) tryWrite(keys.rest, outcome.value.bytes, rest)
        if (mine && tryWrite(keys.lease, outcome.value.bytes, ttl)) return
        break
      }
      case "Throttled": {
        if (ttl > left(keys.throttle)) tryWrite(keys.throttle, outcome.value.bytes, ttl)
        break
      }
      case "Released":
    }
    if (mine) entries.delete(keys.lease)
    if (refusal !== undefined) throw refusal
  }

  const epochs = (name: string, known: string | undefined): TokenStore.Epochs | undefined => {
    const record = records.get(name)
    if (record !== undefined && record.version === known) return undefined
    if (record !== undefined) return { ...record, stamps: new Map(record.stamps) }
    if (fake.refusesWrites) return { base: "", version: "", stamps: new Map() }
    const base = newId()
    records.set(name, { base, version: `${base}.0`, stamps: new Map() })
    return { base, version: `${base}.0`, stamps: new Map() }
  }

  const invalidate = (name: string, field: string, wanted: number): number => {
    if (fake.refusesWrites) throw refused("OOM command not allowed when used memory > 'maxmemory'.")
    const record = records.get(name) ?? { base: newId(), version: "", stamps: new Map<string, number>() }
    const stamp = Math.max(wanted === 0 ? time() : wanted, (record.stamps.get(field) ?? 0) + 1)
    record.stamps.set(field, stamp)
    record.version = `${newId()}.${stamp}`
    records.set(name, record)
    if (record.stamps.size + 2 > 500) {
      for (const [other, at] of record.stamps) if (at < time() - stampLifetime) record.stamps.delete(other)
    }
    return stamp
  }

  const connect = (): Connection => {
    /** Runs a command when its time has come. */
    const run = <A>(command: Command, effect: () => A): Effect.Effect<A, unknown> =>
      Effect.suspend(() => {
        if (fake.isSilent || connection.isSilent) return Effect.never
        const answer = Effect.suspend(() => {
          if (fake.isSilent || connection.isSilent) return Effect.never
          fake.counts[command]++
          const result = Effect.try({ try: effect, catch: (error) => error })
          const at = holds.findIndex((hold) => hold.command === command)
          const [hold] = at < 0 ? [] : holds.splice(at, 1)
          return hold === undefined
            ? result
            : Effect.tap(
              result,
              () => Effect.andThen(Deferred.succeed(hold.reached, undefined), Deferred.await(hold.released))
            )
        })
        return fake.delay > 0 ? Effect.delay(answer, fake.delay) : answer
      })
    const withoutFleet: TokenStore.TokenStore["Service"] = {
      get: (name) => run("get", () => get(name)),
      set: (name, bytes, ttl) => run("set", () => write(keysOf(name).value, bytes, millisOf(ttl))),
      remove: (name) => run("remove", () => void entries.delete(keysOf(name).value))
    }
    const fleet: TokenStore.Fleet = {
      take: (name, request) => run("take", () => take(name, request)),
      held: (names) => run("held", () => names.map((name) => entryOf(keysOf(name).lease)?.kind === "owner")),
      extend: (leases, ttl) =>
        run("extend", () => {
          for (const { name, owner } of leases) {
            const { lease } = keysOf(name)
            if (isMine(lease, owner)) entries.set(lease, { kind: "owner", owner, until: time() + millisOf(ttl) })
          }
        }),
      settle: (lease, outcome) => run("settle", () => settle(lease, outcome)),
      epochs: (name, known) => run("epochs", () => epochs(name, known)),
      invalidate: (name, field, stamp) => run("invalidate", () => invalidate(name, field, stamp))
    }
    const connection: Connection = { store: { ...withoutFleet, fleet }, withoutFleet, isSilent: false }
    return connection
  }

  const fake: FakeFleetStore = {
    ...connect(),
    connect,
    isSilent: false,
    refusesWrites: false,
    delay: 0,
    counts: none(),
    resetCounts: () => void Object.assign(fake.counts, none()),
    holdBack: (command) =>
      Effect.sync(() => {
        const hold = { command, reached: Deferred.makeUnsafe<void>(), released: Deferred.makeUnsafe<void>() }
        holds.push(hold)
        return {
          reached: Deferred.await(hold.reached),
          release: Effect.asVoid(Deferred.succeed(hold.released, undefined))
        }
      }),
    flush: () => {
      entries.clear()
      records.clear()
    },
    advance: (millis) => {
      ahead += millis
    },
    keys: () => [...entries.keys()].filter((key) => entryOf(key) !== undefined),
    dump: () =>
      [...entries].map(([key, entry]) =>
        `${key} ${entry.kind === "owner" ? entry.owner : new TextDecoder().decode(entry.bytes)}`
      ).join("\n")
  }
  return fake
}

export const make: Effect.Effect<FakeFleetStore> = Effect.map(
  Clock.Clock,
  (clock) => makeUnsafe(() => clock.currentTimeMillisUnsafe())
)
