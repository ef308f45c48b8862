/** What a client's tokens for one set of scopes have in common: kept once for all tenants, and gone with the last token. */
import type { AccessToken } from "../../AccessToken.ts"
import type { CacheKey } from "./cacheKey.ts"

export interface Family {
  readonly space: string
  readonly scopes: string
  readonly tokenType: string
  readonly grantedScopes: ReadonlyArray<string>
  /** The authority, without the tenant when that is its end. */
  readonly authority: string
  readonly isTenanted: boolean
  /** The cached tokens of this family. */
  members: number
}

export const familyOf = (key: CacheKey, token: AccessToken): Family => {
  const isTenanted = key.tenant !== "" && token.authority.endsWith(key.tenant)
  return {
    space: key.space,
    scopes: ownString(key.scopes),
    tokenType: token.tokenType,
    grantedScopes: Object.freeze(token.scopes.map(ownString)),
    authority: ownString(isTenanted ? token.authority.slice(0, -key.tenant.length) : token.authority),
    isTenanted,
    members: 0
  }
}

/** What was cut out of a longer string keeps all of that in memory, unless it is made anew. */
export const ownString = (text: string): string => String(JSON.parse(JSON.stringify(text)))

export const authorityOf = (family: Family, tenant: string): string =>
  family.isTenanted ? family.authority + tenant : family.authority

export interface Families {
  /** The family that a new member is of: the one that is known, if it is the same in everything. */
  readonly join: (family: Family) => Family
  readonly leave: (family: Family) => void
}

export const make = (): Families => {
  const spaces = new Map<string, Map<string, Family>>()
  return {
    join: (family) => {
      const known = spaces.get(family.space)?.get(family.scopes)
      const joined = known !== undefined && isSame(known, family) ? known : family
      if (known === undefined) {
        const families = spaces.get(family.space) ?? new Map<string, Family>()
        spaces.set(family.space, families.set(family.scopes, family))
      }
      joined.members++
      return joined
    },
    leave: (family) => {
      family.members--
      const families = spaces.get(family.space)
      if (family.members > 0 || families?.get(family.scopes) !== family) return
      families.delete(family.scopes)
      if (families.size === 0) spaces.delete(family.space)
    }
  }
}

const isSame = (one: Family, other: Family): boolean =>
  one.tokenType === other.tokenType && one.authority === other.authority && one.isTenanted === other.isTenanted &&
  one.grantedScopes.length === other.grantedScopes.length &&
  one.grantedScopes.every((scope, index) => scope === other.grantedScopes[index])
