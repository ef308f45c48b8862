/** What is asked for, in which order: the same for every contender. */

/** One token's address. */
export interface Key {
  readonly tenantId: string
  readonly scope: string
  /** The tenant as msal-node takes it. */
  readonly authority: string
}

export type Shape = "tenants" | "scopes"

export interface Scenario {
  readonly tokens: number
  /** `tenants`: that many tenants with one scope each; `scopes`: one tenant with that many scopes. */
  readonly shape: Shape
  /** One per token. */
  readonly keys: ReadonlyArray<Key>
  /** The order in which the keys are visited, {@link batches} times {@link batch} of them: a batch goes on where the last ended. */
  readonly visits: ReadonlyArray<ReadonlyArray<Key>>
}

/**
 * Hits in one timed batch: short enough (a millisecond or so) that most batches are not interrupted by another process, long
 * enough that a fiber yields to its scheduler in it. Four batches touch each of 10,000 tokens once.
 */
export const batch = 2_500
const batches = 4

/** A token is as long as Entra's usually are, and its first characters tell which one it is. */
export const tokenLength = 1_500

export const tokenOf = (tenantId: string, scope: string): string => `${tenantId} ${scope} `.padEnd(tokenLength, "x")

/**
 * The keys that are visited are equal to those the caches were filled with, but other strings: callers take them from
 * their own requests, so that a lookup compares characters and not only addresses.
 */
export const scenario = (tokens: number, shape: Shape): Scenario => {
  const keys = keysOf(tokens, shape)
  const asked = keysOf(tokens, shape)
  const order = shuffled(Array.from({ length: batch * batches }, (_, index) => index % tokens))
  const visits = order.flatMap((index) => asked.slice(index, index + 1))
  return {
    tokens,
    shape,
    keys,
    visits: Array.from({ length: batches }, (_, index) => visits.slice(index * batch, (index + 1) * batch))
  }
}

/** What all keys have in common is one string, as it is one constant in a program. */
const keysOf = (tokens: number, shape: Shape): ReadonlyArray<Key> => {
  const tenant = flat(tenantOf(0))
  const graph = flat("https://graph.microsoft.com/.default")
  return Array.from({ length: tokens }, (_, index) => {
    const tenantId = shape === "tenants" ? flat(tenantOf(index)) : tenant
    const scope = shape === "tenants" ? graph : flat(`api://resource-${index}/.default`)
    return { tenantId, scope, authority: flat(`https://login.microsoftonline.com/${tenantId}`) }
  })
}

const tenantOf = (index: number): string => `7d1f0c2a-5b3e-4f6a-8c9d-${(index + 1).toString(16).padStart(12, "0")}`

/** A string of its own, as one that was read from a request: neither shared nor a concatenation. */
const flat = (text: string): string => Buffer.from(text, "latin1").toString("latin1")

/** Fisher and Yates, over mulberry32 with a fixed seed: the same order in every run. */
const shuffled = (items: Array<number>): ReadonlyArray<number> => {
  let state = 0x9e3779b9
  const random = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
  for (let last = items.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1))
    const [a, b] = [items[last] ?? 0, items[other] ?? 0]
    items[last] = b
    items[other] = a
  }
  return items
}
