/**
 * A map that forgets what was not used for long. It has two generations in place of an order, because a `Map` from
 * which many keys were deleted is slow to move a key to its end and to find its oldest key.
 */
export interface RecentMap<A> {
  readonly get: (key: string) => A | undefined
  readonly set: (key: string, value: A) => void
}

/** Creates an empty map that keeps at least the `kept` keys that were used last, and at most twice as many. */
export const make = <A>(kept: number): RecentMap<A> => {
  let young = new Map<string, A>()
  let old = new Map<string, A>()
  const set = (key: string, value: A): void => {
    if (young.size >= kept && !young.has(key)) {
      old = young
      young = new Map()
    }
    young.set(key, value)
  }
  return {
    get: (key) => {
      const known = young.get(key)
      if (known !== undefined) return known
      const older = old.get(key)
      if (older !== undefined) set(key, older)
      return older
    },
    set
  }
}
