/**
 * The epochs of a client's tokens. Each invalidation stamps a field of the client's record. The stamps of a key are
 * part of its name in the store, so an invalidation renames tokens instead of removing them: a token from before it is
 * stored under a name that is no longer read. All decisions about the record are here.
 */
import { type CachePlace, encode, type Selector } from "../cache/cacheKey.ts"

/** A record; see `TokenStore.Epochs`. */
export interface Epochs {
  readonly version: string
  readonly base: string
  readonly stamps: ReadonlyMap<string, number>
}

/** The field of all tokens of an owner. */
const all = "all"

/** Returns the field that an invalidation stamps. `seed` hides the tenant; see `fieldOf`. */
export const fieldOfSelector = ({ scopes, tenant }: Selector, seed: number): string =>
  tenant === undefined ? all : fieldOf(scopes === undefined ? [tenant] : [tenant, scopes], seed)

/** Returns the fields whose stamps concern a place. */
export const fieldsOf = ({ scopes, tenant }: Pick<CachePlace, "scopes" | "tenant">, seed: number) =>
  [all, fieldOf([tenant], seed), fieldOf([tenant, scopes], seed)] as const

/** The records of one owner, one for each root key of the sealer, with the newest key first. */
export interface OwnerRecords {
  readonly records: ReadonlyArray<Epochs>
  readonly seeds: ReadonlyArray<number>
}

/**
 * Returns the epoch of a place under the root key `index`. Each stamp is the latest of all records, because a process that
 * lacks one of the root keys stamps only the records of the others.
 */
export const epochOf = (place: CachePlace, { records, seeds }: OwnerRecords, index: number): string => {
  const stamps = [0, 0, 0]
  records.forEach((record, at) => {
    if (record.stamps.size === 0) return
    fieldsOf(place, seeds[at] ?? 0).forEach((field, kind) => {
      stamps[kind] = Math.max(stamps[kind] ?? 0, record.stamps.get(field) ?? 0)
    })
  })
  return [records[index]?.base ?? "", ...stamps.map((stamp) => stamp === 0 ? "" : stamp.toString(36))].join("-")
}

/** Returns the fields that were stamped between two readings of a record. */
export const changedFields = (before: Epochs, after: Epochs): ReadonlySet<string> => {
  const changed = new Set<string>()
  for (const [field, stamp] of after.stamps) if (stamp > (before.stamps.get(field) ?? 0)) changed.add(field)
  return changed
}

/** Returns whether one of the fields concerns a place. */
export const concerns = (fields: ReadonlySet<string>, place: CachePlace, seed: number): boolean =>
  fieldsOf(place, seed).some((field) => fields.has(field))

/** Returns a record with a stamp, unless the record has a later stamp of the field. */
export const stamped = (record: Epochs, field: string, stamp: number): Epochs =>
  (record.stamps.get(field) ?? 0) >= stamp
    ? record
    : { ...record, stamps: new Map([...record.stamps, [field, stamp]]) }

/**
 * Returns a record with the later stamps of another one. Stamps of a lost record, which had another base, are ignored.
 */
export const merged = (record: Epochs, other: Epochs): Epochs =>
  record.base === other.base && changedFields(record, other).size > 0
    ? { ...record, stamps: laterOf(record.stamps, other.stamps) }
    : record

const laterOf = (one: Epochs["stamps"], other: Epochs["stamps"]): Epochs["stamps"] => {
  const stamps = new Map(one)
  for (const [field, stamp] of other) stamps.set(field, Math.max(stamp, stamps.get(field) ?? 0))
  return stamps
}

/** The time in milliseconds after which a stamp is forgotten. Every token from before it has expired by then. */
export const stampLifetime = 48 * 3_600_000

/**
 * Returns the stamp of an invalidation: `wanted`, or `now` if `wanted` is 0, but always later than the stamp `before`.
 */
export const nextStamp = (before: number | undefined, now: number, wanted: number): number =>
  Math.max(wanted === 0 ? now : wanted, (before ?? 0) + 1)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/**
 * Returns a short name for a tenant, or for a tenant and scopes. It is computed for every token in memory after an
 * invalidation by another process, so it is a plain hash (FNV-1a, two lanes) and not a digest. The secret seed prevents
 * a comparison with the hashes of known tenants. Two tenants with the same hash are invalidated together.
 */
const fieldOf = (parts: ReadonlyArray<string>, seed: number): string => {
  let one = 0x811c9dc5 ^ seed
  let other = 0x1000193 ^ Math.imul(seed, 0x9e3779b1)
  for (const char of encode(parts)) {
    const code = char.charCodeAt(0)
    one = Math.imul(one ^ code, 0x01000193)
    other = Math.imul(other ^ code, 0x85ebca6b) ^ (other >>> 13)
  }
  return (one >>> 0).toString(36) + (other >>> 0).toString(36)
}
