/** The fields that a client's tokens for one set of scopes share. They are stored once for all tenants. */
import type { AccessToken } from "../../AccessToken.ts"
import type { CachePlace } from "./cacheKey.ts"

export interface SharedFields {
  readonly space: string
  readonly scopes: string
  readonly tokenType: string
  readonly grantedScopes: ReadonlyArray<string>
  /** The authority, without the tenant if it ends with the tenant. */
  readonly authority: string
  readonly isTenanted: boolean
  /** The number of cached tokens with these fields. */
  members: number
}

/** Returns the shared fields of a new token. */
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

/** Returns a copy of a string. A substring would keep the longer string in memory. */
export const ownString = (text: string): string => String(JSON.parse(JSON.stringify(text)))

/** Returns the authority of a token. */
export const authorityOf = (fields: SharedFields, tenant: string): string =>
  fields.isTenanted ? fields.authority + tenant : fields.authority

export interface SharedFieldsTable {
  /** Adds a token, and returns its fields: the stored object if it is equal, otherwise the given object. */
  readonly join: (fields: SharedFields) => SharedFields
  /** Removes a token. The fields are removed with their last token. */
  readonly leave: (fields: SharedFields) => void
}

/** Creates an empty table. */
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
