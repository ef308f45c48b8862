/** The `claims` parameter: the claims of an API's challenge, merged with the client's capabilities (`xms_cc`). */

import { isReadonlyObject } from "effect/Predicate"

type JsonObject = Readonly<Record<string, unknown>>

/**
 * Returns the `claims` parameter, or the empty string when there is nothing to send. Without capabilities it is the
 * challenge, byte for byte. Otherwise both are merged by MSAL's rules: objects are merged, arrays are concatenated, and
 * another value of the challenge replaces the client's value unless it is `null`.
 */
export const claimsWith = (capabilities: ReadonlyArray<string>, claims: string): string => {
  if (capabilities.length === 0) return claims
  const clientClaims: JsonObject = { access_token: { xms_cc: { values: capabilities } } }
  const challengeClaims: unknown = claims === "" ? undefined : JSON.parse(claims)
  return JSON.stringify(isReadonlyObject(challengeClaims) ? merged(clientClaims, challengeClaims) : clientClaims)
}

/** Builds the object from entries, because an assignment to the name `__proto__` would set the prototype. */
const merged = (base: JsonObject, other: JsonObject): JsonObject =>
  Object.fromEntries([
    ...Object.entries(base).filter(([name]) => !Object.hasOwn(other, name)),
    ...Object.entries(other).map(([name, value]) => [
      name,
      Object.hasOwn(base, name) ? mergedValue(base[name], value) : value
    ])
  ])

const mergedValue = (one: unknown, another: unknown): unknown =>
  isReadonlyObject(one) && isReadonlyObject(another)
    ? merged(one, another)
    : Array.isArray(one) && Array.isArray(another)
    ? [...one, ...another]
    : another ?? one
