/** The users of a tenant, with the record of their changes that delta queries read. */

/** A user as it was last changed; undefined: removed. */
export interface Change<User> {
  readonly id: string
  readonly version: number
  readonly user: User | undefined
}

export interface Directory<User> {
  /** The number in the links of delta queries. Links with another number have expired. */
  readonly epoch: () => number
  /** The version of the last change. */
  readonly version: () => number
  readonly users: () => ReadonlyArray<User>
  /** Returns the last change of each user that changed after a version, in the order of the versions. */
  readonly changesAfter: (version: number) => ReadonlyArray<Change<User>>
  readonly put: (user: User) => void
  /** Returns false if there is no such user. */
  readonly remove: (id: string) => boolean
  readonly expireLinks: () => void
}

export const makeDirectory = <User extends { readonly id: string }>(
  users: ReadonlyArray<User>,
  firstEpoch: number
): Directory<User> => {
  const changes = new Map<string, Change<User>>()
  let epoch = firstEpoch
  let version = 0
  const change = (id: string, user: User | undefined) => {
    version++
    changes.set(id, { id, version, user })
  }
  for (const user of users) change(user.id, user)
  return {
    epoch: () => epoch,
    version: () => version,
    users: () => [...changes.values()].flatMap(({ user }) => user ?? []),
    changesAfter: (after) =>
      [...changes.values()].filter((change) => change.version > after).sort((one, other) =>
        one.version - other.version
      ),
    put: (user) => change(user.id, user),
    remove: (id) => {
      if (changes.get(id)?.user === undefined) return false
      change(id, undefined)
      return true
    },
    expireLinks: () => {
      epoch++
    }
  }
}
