/** What a client's tokens for one set of scopes have in common: kept once for all tenants, and gone with the last token. */
import type { AccessToken } from "../../AccessToken.ts"
import type { CachePlace } from "./cacheKey.ts"

export interface SharedFields {
  readonly space: string
  readonly scopes: string
  readonly tokenType: string
  readonly grantedScopes: ReadonlyArray<string>
  /** The authority, without the tenant when that is its end. */
  readonly authority: string
  readonly isTenanted: boolean
  /** The cached tokens of this fields. */
  members: number
}

export const sharedFieldsOf = (key: CachePlace, token: AccessToken): SharedFields => {
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

export const authorityOf = (fields: SharedFields, tenant: string): string =>
  fields.isTenanted ? fields.authority + tenant : fields.authority

export interface SharedFieldsTable {
  /** The fields that a new member is of: the one that is known, if it is the same in everything. */
  readonly join: (fields: SharedFields) => SharedFields
  readonly leave: (fields: SharedFields) => void
}

export const make = (): SharedFieldsTable => {
  const spaces = new Map<string, Map<string, SharedFields>>()
  return {
    join: (fields) => {
      const known = spaces.get(fields.space)?.get(fields.scopes)
      const joined = known !== undefined && isSame(known, fields) ? known : fields
      if (known === undefined) {
        const byScopes = spaces.get(fields.space) ?? new Map<string, SharedFields>()
        spaces.set(fields.space, byScopes.set(fields.scopes, fields))
      }
      joined.members++
      return joined
    },
    leave: (fields) => {
      fields.members--
      const byScopes = spaces.get(fields.space)
      if (fields.members > 0 || byScopes?.get(fields.scopes) !== fields) return
      byScopes.delete(fields.scopes)
      if (byScopes.size === 0) spaces.delete(fields.space)
    }
  }
}

const isSame = (one: SharedFields, other: SharedFields): boolean =>
  one.tokenType === other.tokenType && one.authority === other.authority && one.isTenanted === other.isTenanted &&
  one.grantedScopes.length === other.grantedScopes.length &&
  one.grantedScopes.every((scope, index) => scope === other.grantedScopes[index])
