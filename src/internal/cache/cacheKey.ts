/**
 * Where a token is filed. A `space` holds all that is the same for a client's ordinary requests; within it a tenant and a
 * canonical set of scopes are two plain look-ups, so a hit builds no string.
 */
export interface CachePlace {
  readonly space: string
  readonly tenant: string
  readonly scopes: string
}

/** A place with its text, which the maps of flights, leases and gates go by. */
export interface CacheKey extends CachePlace {
  readonly text: string
}

/** Which tokens to drop: all of an owner, of one of its tenants, or those for one set of scopes. */
export interface Selector {
  readonly owner: string
  readonly tenant?: string | undefined
  readonly scopes?: string | undefined
}

/** Length-prefixed, so that `a`,`bc` is not `ab`,`c`, whatever the parts hold. */
export const encode = (parts: ReadonlyArray<string>): string => {
  let text = ""
  for (const part of parts) text += `${part.length}:${part}`
  return text
}

/** The client that tokens belong to: who asks, in which cloud. */
export const ownerOf = (clientId: string, environment: string): string => encode([clientId, environment])

/**
 * An owner's tokens of one kind; it starts with the owner, and no other owner's space does. `partition` is an encoding of
 * what else they are kept apart by.
 */
export const spaceOf = (
  owner: string,
  binding: { readonly tokenType: string; readonly keyId: string } | undefined,
  partition = ""
): string => owner + encode([binding?.tokenType ?? "Bearer", binding?.keyId ?? ""]) + partition

export const selects = (selector: Selector, key: CachePlace): boolean =>
  key.space.startsWith(selector.owner) && (selector.tenant === undefined || selector.tenant === key.tenant) &&
  (selector.scopes === undefined || selector.scopes === key.scopes)

/** Returns the place as one string. */
export const textOf = ({ scopes, space, tenant }: CachePlace): string => encode([space, tenant, scopes])

export const keyOf = (space: string, tenant: string, scopes: string): CacheKey => ({
  space,
  tenant,
  scopes,
  text: encode([space, tenant, scopes])
})
