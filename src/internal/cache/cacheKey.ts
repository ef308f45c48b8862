/**
 * The place of a token in the cache. A `space` is the same for all ordinary requests of a client. Within it the tenant and
 * the canonical scopes are two map look-ups, so a cache hit builds no string.
 */
export interface CachePlace {
  readonly space: string
  readonly tenant: string
  readonly scopes: string
}

/** A place with its text, the key in the maps of flights, leases and gates. */
export interface CacheKey extends CachePlace {
  readonly text: string
}

/** A selection of tokens: all tokens of an owner, of one of its tenants, or of one tenant and set of scopes. */
export interface Selector {
  readonly owner: string
  readonly tenant?: string | undefined
  readonly scopes?: string | undefined
}

/** Encodes parts with their lengths, so that different parts never have the same text: `a`,`bc` differs from `ab`,`c`. */
export const encode = (parts: ReadonlyArray<string>): string => {
  let text = ""
  for (const part of parts) text += `${part.length}:${part}`
  return text
}

/** Returns the owner of tokens: a client id in a cloud. */
export const ownerOf = (clientId: string, environment: string): string => encode([clientId, environment])

/** Returns the owner in a space: its first two parts. */
export const ownerIn = (space: string): string => {
  let end = 0
  for (let parts = 0; parts < 2; parts++) {
    const colon = space.indexOf(":", end)
    end = colon + 1 + Number(space.slice(end, colon))
  }
  return space.slice(0, end)
}

/** The token type and the key that tokens are bound to. */
export interface Binding {
  readonly tokenType: string
  readonly keyId: string
}

/**
 * Returns the space of an owner's tokens of one type and binding. Only spaces of this owner start with the owner's text.
 * `partition` encodes all other differences between tokens.
 */
export const spaceOf = (
  owner: string,
  binding: Binding | undefined,
  partition = ""
): string => owner + encode([binding?.tokenType ?? "Bearer", binding?.keyId ?? ""]) + partition

/** Returns whether a selector selects a place. */
export const selects = (selector: Selector, key: CachePlace): boolean =>
  key.space.startsWith(selector.owner) && (selector.tenant === undefined || selector.tenant === key.tenant) &&
  (selector.scopes === undefined || selector.scopes === key.scopes)

/** Returns the place as one string. */
export const textOf = ({ scopes, space, tenant }: CachePlace): string => encode([space, tenant, scopes])

/** Returns the key of a place. */
export const keyOf = (space: string, tenant: string, scopes: string): CacheKey => ({
  space,
  tenant,
  scopes,
  text: encode([space, tenant, scopes])
})
