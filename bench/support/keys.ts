/** The requested keys and their order, which are the same for every contender. */

/** One token's address. */
export interface Key {
  readonly tenantId: string
  readonly scope: string
  /** The tenant as msal-node takes it. */
  readonly authority: string
}

export interface Scenario {
  readonly label: string
  readonly tenants: number
  readonly scopes: number
  readonly tokens: number
  readonly credential: "secret" | "certificate"
  readonly tokenLength: number
  /** One per token: those that the caches are filled with. */
  readonly keys: () => Iterable<Key>
  /** The order in which the keys are visited, {@link batch} of them each: a batch goes on where the last ended. */
  readonly visits: ReadonlyArray<ReadonlyArray<Key>>
}

/**
 * Hits in one timed batch: short enough (a millisecond or so) that most batches are not interrupted by another process, long
 * enough that a fiber yields to its scheduler in it.
 */
export const batch = 2_500

/** A token is as long as Entra's usually are, and its first characters tell which one it is. */
export const tokenLength = 1_500

export const tokenOf = (tenantId: string, scope: string, length = tokenLength): string =>
  flat(`${tenantId} ${scope} `.padEnd(length, "x"))

/**
 * The keys that are visited are equal to those the caches were filled with, but other strings: callers take them from
 * their own requests, so that a lookup compares characters and not only addresses. Each token is visited once before one is
 * visited again, in a shuffled order or `inTurn`.
 */
export const scenario = (
  tenants: number,
  scopes: number,
  options: { readonly credential?: Scenario["credential"]; readonly inTurn?: boolean } = {}
): Scenario => {
  const tokens = tenants * scopes
  const [stored, asked] = [namesOf(tenants, scopes), namesOf(tenants, scopes)]
  // One object per token and not per visit, as a kept effect is one per token.
  const all = Array.from({ length: tokens }, (_, index) => keyAt(asked, index))
  const order = Array.from({ length: Math.ceil(Math.max(tokens, 10_000) / batch) * batch }, (_, at) => at % tokens)
  const visited = (options.inTurn === true ? order : shuffled(order)).flatMap((index) => all[index] ?? [])
  return {
    label: `${tenants.toLocaleString("en")} x ${scopes.toLocaleString("en")}`,
    tenants,
    scopes,
    tokens,
    credential: options.credential ?? "secret",
    // A hit does not read the token, and a million long ones would be 1.5 GB of which nothing is learned.
    tokenLength: tokens > 100_000 ? 100 : tokenLength,
    keys: function*() {
      for (let index = 0; index < tokens; index++) yield keyAt(stored, index)
    },
    visits: Array.from({ length: visited.length / batch }, (_, at) => visited.slice(at * batch, (at + 1) * batch))
  }
}

interface Names {
  readonly tenants: ReadonlyArray<Omit<Key, "scope">>
  readonly scopes: ReadonlyArray<string>
}

/** Keys share the strings of their equal parts, as they share constants in a program. */
const namesOf = (tenants: number, scopes: number): Names => ({
  tenants: Array.from({ length: tenants }, (_, index) => {
    const tenantId = flat(tenantOf(index))
    return { tenantId, authority: flat(`https://login.microsoftonline.com/${tenantId}`) }
  }),
  scopes: Array.from({ length: scopes }, (_, index) => flat(scopeOf(index)))
})

const keyAt = ({ scopes, tenants }: Names, index: number): Key => {
  const tenant = tenants[Math.floor(index / scopes.length)]
  const scope = scopes[index % scopes.length]
  if (tenant === undefined || scope === undefined) throw new Error(`no key ${index}`)
  return { tenantId: tenant.tenantId, scope, authority: tenant.authority }
}

export const tenantOf = (index: number): string =>
  `7d1f0c2a-5b3e-4f6a-8c9d-${(index + 1).toString(16).padStart(12, "0")}`

export const scopeOf = (index: number): string =>
  index === 0 ? "https://graph.microsoft.com/.default" : `api://resource-${index}/.default`

/** A string of its own, as one that was read from a request: neither shared nor a concatenation. */
export const flat = (text: string): string => Buffer.from(text, "latin1").toString("latin1")

/** Fisher and Yates, over mulberry32 with a fixed seed: the same order in every run. */
export const shuffled = (items: Array<number>): ReadonlyArray<number> => {
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
