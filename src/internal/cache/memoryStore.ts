/** Tokens in memory: nested native maps, bounded by entries and bytes. Plain and synchronous. */
import { type CachedToken, makeSharedFields } from "./cachedToken.ts"
import { type Selector, selects } from "./cacheKey.ts"
import * as ExpiryWheel from "./expiryWheel.ts"
import * as S3Fifo from "./s3fifo.ts"

export interface MemoryStore {
  readonly peek: (space: string, tenant: string, scopes: string) => CachedToken | undefined
  readonly store: (entry: CachedToken, now: number) => void
  readonly invalidate: (selector: Selector) => void
  /** Removes the tokens of an owner that `isConcerned` names. */
  readonly removeWhere: (owner: string, isConcerned: (entry: CachedToken) => boolean) => void
  /** Returns the tokens of all owners, or of one. */
  readonly entries: (owner?: string) => Iterable<CachedToken>
  readonly usage: { entries: number; bytes: number; evictions: number }
}

/** The tokens of a tenant by scopes, all with the same string as tenant. */
class TokensByScopes extends Map<string, CachedToken> {
  readonly tenant: string
  constructor(tenant: string) {
    super()
    this.tenant = tenant
  }
}

/** The tokens of a tenant. Most tenants use one set of scopes, and a map of one entry is larger than the entry. */
type Partition = CachedToken | TokensByScopes

/** The number of steps in which a store searches for expired entries, so that its pause is limited. */
const sweep = 256

/** Creates an empty store. */
export const make = (bounds: { readonly maxEntries: number; readonly maxBytes: number }): MemoryStore => {
  const spaces = new Map<string, Map<string, Partition>>()
  const shared = makeSharedFields()
  const queue = S3Fifo.make()
  const wheel = ExpiryWheel.make()
  const usage = { entries: 0, bytes: 0, evictions: 0 }

  // Most caches serve one client, so the space is nearly always that of the last look-up.
  let lastSpace: string | undefined
  let lastTenants: ReadonlyMap<string, Partition> | undefined

  const peek = (space: string, tenant: string, scopes: string): CachedToken | undefined => {
    if (space !== lastSpace) {
      lastTenants = spaces.get(space)
      lastSpace = lastTenants === undefined ? undefined : space
    }
    const partition = lastTenants?.get(tenant)
    if (partition === undefined) return undefined
    // Not a check for the class of a token, because another copy of this package may have created it.
    if (partition instanceof TokensByScopes) return partition.get(scopes)
    return partition.scopes === scopes ? partition : undefined
  }

  /** Adds an entry to the index, in the place of the entry with the same key if there is one. */
  const index = (entry: CachedToken): void => {
    const { scopes, space } = entry.shared
    const tenants = spaces.get(space) ?? new Map<string, Partition>()
    if (tenants.size === 0) spaces.set(space, tenants)
    const partition = tenants.get(entry.tenant)
    entry.tenant = partition?.tenant ?? entry.tenant
    if (partition instanceof TokensByScopes) partition.set(scopes, entry)
    else if (partition === undefined || partition.scopes === scopes) tenants.set(entry.tenant, entry)
    else tenants.set(entry.tenant, new TokensByScopes(entry.tenant).set(partition.scopes, partition).set(scopes, entry))
  }

  const unindex = (entry: CachedToken): void => {
    const { scopes, space } = entry
    const tenants = spaces.get(space)
    const partition = tenants?.get(entry.tenant)
    if (partition === entry) tenants?.delete(entry.tenant)
    else if (partition instanceof TokensByScopes) {
      partition.delete(scopes)
      const last = partition.size === 1 ? partition.values().next().value : undefined
      if (last !== undefined) tenants?.set(entry.tenant, last)
    }
    if (tenants?.size === 0) {
      spaces.delete(space)
      lastSpace = undefined
    }
  }

  const enqueue = (entry: CachedToken, size: number, heirTo: Parameters<S3Fifo.S3Fifo["add"]>[1]): void => {
    queue.add(entry, heirTo)
    wheel.add(entry)
    usage.entries++
    usage.bytes += size
  }

  const dequeue = (entry: CachedToken): void => {
    queue.remove(entry)
    wheel.remove(entry)
    usage.entries--
    usage.bytes -= entry.size
  }

  const remove = (entry: CachedToken): void => {
    if (!entry.isCached) return
    unindex(entry)
    dequeue(entry)
    shared.leave(entry.shared)
  }

  /** Removes expired entries, and evicts others, until there is room. */
  const makeRoom = (size: number, now: number): boolean => {
    if (size > bounds.maxBytes || bounds.maxEntries < 1) return false
    for (const old of wheel.expired(now, sweep)) remove(old)
    while (usage.entries >= bounds.maxEntries || usage.bytes + size > bounds.maxBytes) {
      const victim = queue.victim()
      if (victim === undefined) return false
      queue.bury(victim)
      remove(victim)
      usage.evictions++
    }
    return true
  }

  /** Returns the entries that a selector can select, without a look at those of other tenants or other scopes. */
  function* candidates({ owner, scopes, tenant }: Selector): Iterable<CachedToken> {
    for (const [space, tenants] of spaces) {
      if (!space.startsWith(owner)) continue
      for (const partition of tenant === undefined ? tenants.values() : [tenants.get(tenant)]) {
        if (!(partition instanceof TokensByScopes)) yield* present(partition)
        else yield* scopes === undefined ? partition.values() : present(partition.get(scopes))
      }
    }
  }

  const entries = (owner = "") => candidates({ owner })

  return {
    peek,
    store: (entry, now) => {
      const { shared: { scopes, space }, size } = entry
      const previous = peek(space, entry.tenant, scopes)
      const heirTo = previous === undefined ? undefined : { place: previous.place, uses: previous.uses }
      if (previous !== undefined) dequeue(previous)
      // There is room before the new entry is queued, so that it cannot be evicted itself.
      if (makeRoom(size, now)) {
        entry.shared = shared.join(entry.shared)
        // The previous entry is still in the index. To delete a key and set it again leaves a hole in the `Map` each time.
        index(entry)
        enqueue(entry, size, heirTo)
      } else if (previous !== undefined) unindex(previous)
      if (previous !== undefined) shared.leave(previous.shared)
    },
    invalidate: (selector) => {
      for (const entry of Array.from(candidates(selector))) if (selects(selector, entry)) remove(entry)
    },
    removeWhere: (owner, isConcerned) => {
      for (const entry of Array.from(entries(owner))) if (isConcerned(entry)) remove(entry)
    },
    entries,
    usage
  }
}

const present = (entry: CachedToken | undefined): ReadonlyArray<CachedToken> => entry === undefined ? [] : [entry]
