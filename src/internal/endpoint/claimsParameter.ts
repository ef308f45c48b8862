/** The `claims` parameter: what an API's challenge asks for, together with what the client says it can handle (`xms_cc`). */

type Json = Readonly<Record<string, unknown>>

/**
 * What is sent: the challenge byte for byte when there is nothing else, else one object (MSAL's rules: objects are merged,
 * arrays joined, of other values the challenge's is taken, and its `null` leaves what there is). The empty string when
 * there is nothing to send.
 */
export const claimsWith = (capabilities: ReadonlyArray<string>, claims: string): string => {
  if (capabilities.length === 0) return claims
  const able: Json = { access_token: { xms_cc: { values: capabilities } } }
  const asked: unknown = claims === "" ? undefined : JSON.parse(claims)
  return JSON.stringify(isObject(asked) ? merged(able, asked) : able)
}

/** Entries rather than assignments, so that no name (`__proto__`) means more than a name. */
const merged = (base: Json, other: Json): Json =>
  Object.fromEntries([
    ...Object.entries(base).filter(([name]) => !Object.hasOwn(other, name)),
    ...Object.entries(other).map(([name, value]) => [
      name,
      Object.hasOwn(base, name) ? joined(base[name], value) : value
    ])
  ])

const joined = (one: unknown, another: unknown): unknown =>
  isObject(one) && isObject(another)
    ? merged(one, another)
    : Array.isArray(one) && Array.isArray(another)
    ? [...one, ...another]
    : another ?? one

const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value)
