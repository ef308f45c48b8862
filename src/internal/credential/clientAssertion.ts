/** The form, the header and the claims of a client assertion (RFC 7523), as Entra requires them. */
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { ThumbprintName } from "../authority/endpointLayout.ts"
import type { Fields } from "../http/fields.ts"

/** Returns the parameters of a client assertion (RFC 7523 section 2.2). */
export const assertionForm = (assertion: Redacted.Redacted<string>): Fields => ({
  client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
  client_assertion: assertion
})

/** The digests of the certificate in base64url, by the name of their header. */
export type Thumbprints = Readonly<Record<ThumbprintName, string>>

export const algorithms = ["PS256", "RS256", "ES256"] as const

export type Algorithm = typeof algorithms[number]

export interface AssertionHeader {
  readonly alg: Algorithm
  readonly typ: "JWT"
  readonly x5c?: Array<string>
  readonly [thumbprint: string]: unknown
}

/** A JSON value. */
export type Json =
  | null
  | boolean
  | number
  | string
  | ReadonlyArray<Json>
  | { readonly [name: string]: Json }

export type Claims = Readonly<Record<string, Json>>

export type DefaultClaims = {
  readonly aud: string
  readonly iss: string
  readonly sub: string
  readonly jti: string
  readonly nbf: number
  readonly iat: number
  readonly exp: number
}

/** Returns whether a key of this kind can sign with an algorithm. */
export const isAlgorithmOfKey = (algorithm: Algorithm, rsa: boolean): boolean => (algorithm === "ES256") !== rsa

/** Returns the configured algorithm, or otherwise the authority's algorithm for this kind of key. */
export const algorithmFor = (
  rsa: boolean,
  wanted: Algorithm | undefined,
  authority: { readonly rsa: "PS256" | "RS256" }
): Algorithm => wanted ?? (rsa ? authority.rsa : "ES256")

/** The lifetime of an assertion in seconds. */
export const assertionLifetime = 600

/** Returns the header of an assertion. A key without a certificate has no thumbprint, and optionally a key id. */
export const assertionHeader = (options: {
  readonly algorithm: Algorithm
  readonly thumbprint?: ThumbprintName | undefined
  readonly also?: ThumbprintName | undefined
  readonly thumbprints?: Thumbprints | undefined
  readonly keyId?: string | undefined
  readonly chain?: ReadonlyArray<string> | undefined
}): AssertionHeader => ({
  alg: options.algorithm,
  typ: "JWT",
  ...(options.keyId === undefined ? {} : { kid: options.keyId }),
  ...(options.thumbprint === undefined || options.thumbprints === undefined
    ? {}
    : {
      [options.thumbprint]: options.thumbprints[options.thumbprint],
      ...(options.also === undefined ? {} : { [options.also]: options.thumbprints[options.also] })
    }),
  ...(options.chain === undefined ? {} : { x5c: [...options.chain] })
})

/** Returns the claims of an assertion. `now` is in milliseconds, and times in claims are whole seconds. */
export const assertionClaims = (options: {
  readonly audience: string
  readonly clientId: string
  readonly now: number
  readonly id: string
}): DefaultClaims => {
  const seconds = Math.floor(options.now / 1000)
  return {
    aud: options.audience,
    iss: options.clientId,
    sub: options.clientId,
    jti: options.id,
    nbf: seconds,
    iat: seconds,
    exp: seconds + assertionLifetime
  }
}

/**
 * The configured claims. With `merge` they override the default claims of the same name, otherwise they replace all of
 * them.
 */
export interface AdditionalClaims {
  readonly claims: Claims
  readonly merge: boolean
}

/** Returns the claims to sign, each of them once. */
export const withAdditionalClaims = (defaults: Claims, additional: AdditionalClaims | undefined): Claims =>
  additional === undefined ? defaults : additional.merge ? { ...defaults, ...additional.claims } : additional.claims

/** Copies and validates configured claims, so that later changes of the original have no effect. */
export const parseAdditionalClaims = (
  claims: unknown
): Result.Result<Claims, { readonly field: string; readonly what: string }> => {
  const copy = jsonOf(claims, "assertionClaims", [])
  if (Result.isFailure(copy)) return Result.fail({ field: copy.failure, what: "is not a JSON value" })
  if (!isObject(copy.success)) return Result.fail({ field: "assertionClaims", what: "is not an object" })
  for (const name of ["exp", "nbf", "iat"]) {
    const time = copy.success[name]
    if (time !== undefined && typeof time !== "number") {
      return Result.fail({ field: `assertionClaims.${name}`, what: "is not a number of seconds (RFC 7519 section 2)" })
    }
  }
  return Result.succeed(copy.success)
}

const isObject = (json: Json): json is Claims => typeof json === "object" && json !== null && !Array.isArray(json)

/** Copies a JSON value, or fails with the path of the first value that JSON cannot represent. */
const jsonOf = (value: unknown, path: string, within: ReadonlyArray<unknown>): Result.Result<Json, string> => {
  if (value === null || typeof value === "string" || typeof value === "boolean") return Result.succeed(value)
  if (typeof value === "number") return Number.isFinite(value) ? Result.succeed(value) : Result.fail(path)
  if (typeof value !== "object" || within.includes(value)) return Result.fail(path)
  const inside = [...within, value]
  if (Array.isArray(value)) {
    const copy: Array<Json> = []
    for (const [index, item] of value.entries()) {
      const json = jsonOf(item, `${path}[${index}]`, inside)
      if (Result.isFailure(json)) return json
      copy.push(json.success)
    }
    return Result.succeed(copy)
  }
  // A date, a map or a `Redacted` loses its value in JSON.
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return Result.fail(path)
  const copy: Array<readonly [string, Json]> = []
  for (const [name, member] of Object.entries(value)) {
    const json = jsonOf(member, `${path}.${name}`, inside)
    if (Result.isFailure(json)) return json
    copy.push([name, json.success])
  }
  return Result.succeed(Object.fromEntries(copy))
}

/** Returns whether a text has the form of a compact JWT: three non-empty base64url parts (RFC 7515 section 3.1). */
export const isCompactJwt = (text: string): boolean => /^[\w-]+\.[\w-]+\.[\w-]+$/.test(text)
