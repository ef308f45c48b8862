/** Tokens in memory: nested native maps, bounded by entries and bytes. Plain and synchronous. */
import { type Selector, selects } from "./cacheKey.ts"
import { Entry } from "./entry.ts"
import * as Sieve from "./sieve.ts"

export interface Memory {
  readonly peek: (space: string, tenant: string, scopes: string) => Entry | undefined
  readonly store: (entry: Entry, now: number) => void
  readonly invalidate: (selector: Selector) => void
  readonly usage: { entries: number; bytes: number; evictions: number }
}

/** Most tenants use one scope, and a map for one entry costs more than the entry. */
type Partition = Entry | Map<string, Entry>

/** Entries a store looks at for being expired. */
const swept = 16

export const make = (bounds: { readonly maxEntries: number; readonly maxBytes: number }): Memory => {
  const spaces = new Map<string, Map<string, Partition>>()
  const queue = Sieve.make()
  const usage = { entries: 0, bytes: 0, evictions: 0 }

  // Most caches serve one client, so the space is nearly always the one asked for last.
  let lastSpace: string | undefined
  let lastTenants: ReadonlyMap<string, Partition> | undefined

  const peek = (space: string, tenant: string, scopes: string): Entry | undefined => {
    if (space !== lastSpace) {
      lastTenants = spaces.get(space)
      lastSpace = lastTenants === undefined ? undefined : space
    }
    const partition = lastTenants?.get(tenant)
    if (partition === undefined) return undefined
    if (partition instanceof Entry) return partition.scopes === scopes ? partition : undefined
    return partition.get(scopes)
  }

  const insert = (entry: Entry): void => {
    const tenants = spaces.get(entry.space) ?? new Map<string, Partition>()
    if (tenants.size === 0) spaces.set(entry.space, tenants)
    const partition = tenants.get(entry.tenant)
    if (partition === undefined) tenants.set(entry.tenant, entry)
    else if (partition instanceof Entry) {
      tenants.set(entry.tenant, new Map([[partition.scopes, partition], [entry.scopes, entry]]))
    } else partition.set(entry.scopes, entry)
    queue.add(entry)
    entry.isCached = true
    usage.entries++
    usage.bytes += entry.size
  }

  const remove = (entry: Entry): void => {
    const tenants = spaces.get(entry.space)
    const partition = tenants?.get(entry.tenant)
    if (partition === entry) tenants?.delete(entry.tenant)
    else if (partition instanceof Map && partition.get(entry.scopes) === entry) {
      partition.delete(entry.scopes)
      const last = partition.size === 1 ? partition.values().next().value : undefined
      if (last !== undefined) tenants?.set(entry.tenant, last)
    } else return
    if (tenants?.size === 0) {
      spaces.delete(entry.space)
      lastSpace = undefined
    }
    queue.remove(entry)
    entry.isCached = false
    usage.entries--
    usage.bytes -= entry.size
  }

  const hasRoomFor = (entry: Entry): boolean =>
    usage.entries < bounds.maxEntries && usage.bytes + entry.size <= bounds.maxBytes

  return {
    peek,
    store: (entry, now) => {
      const previous = peek(entry.space, entry.tenant, entry.scopes)
      if (previous !== undefined) remove(previous)
      if (entry.size > bounds.maxBytes || bounds.maxEntries < 1) return
      for (const old of queue.next(swept)) if (old.expiresOn <= now) remove(old)
      // Room is made before the newcomer stands in the queue, so that it cannot be its own victim.
      while (!hasRoomFor(entry)) {
        const victim = queue.victim()
        if (victim === undefined) return
        remove(victim)
        usage.evictions++
      }
      insert(entry)
    },
    invalidate: (selector) => {
      const doomed: Array<Entry> = []
      for (const [space, tenants] of spaces) {
        if (!space.startsWith(selector.owner)) continue
        const partitions = selector.tenant === undefined ? tenants.values() : [tenants.get(selector.tenant)]
        for (const partition of partitions) {
          if (partition === undefined) continue
          for (const entry of partition instanceof Entry ? [partition] : partition.values()) {
            if (selects(selector, entry)) doomed.push(entry)
          }
        }
      }
      for (const entry of doomed) remove(entry)
    },
    usage
  }
}
