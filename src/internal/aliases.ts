/** Names for secrets, where keys are made of them: a key may be logged, and secrets may not. */

export type AliasOf = (secret: string) => string

/** Of so many the names are known; one that is forgotten gets another, and what was filed under it is asked for anew. */
const most = 10_000

/** No two secrets of a process have the same name, whichever client gave it. */
let made = 0

export const make = (): AliasOf => {
  const names = new Map<string, string>()
  return (secret) => {
    const known = names.get(secret)
    if (known !== undefined) {
      // What is in use is not forgotten.
      names.delete(secret)
      names.set(secret, known)
      return known
    }
    for (const oldest of names.keys()) {
      if (names.size < most) break
      names.delete(oldest)
    }
    const name = `${++made}`
    names.set(secret, name)
    return name
  }
}
