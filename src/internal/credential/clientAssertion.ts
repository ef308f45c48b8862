/** A client assertion (RFC 7523 section 3) as Entra wants it: what is signed, not how. */
import * as Result from "effect/Result"
import type { ThumbprintName } from "../authority/endpointLayout.ts"

/** The digests of the certificate in base64url, by the header that carries them. */
export type Thumbprints = Readonly<Record<ThumbprintName, string>>

export const algorithms = ["PS256", "RS256", "ES256"] as const

export type Algorithm = typeof algorithms[number]

export interface AssertionHeader {
  readonly alg: Algorithm
  readonly typ: "JWT"
  readonly x5c?: Array<string>
  readonly [thumbprint: string]: unknown
}

/** What goes into JSON. */
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

/** A key of the one kind signs with none of the other's algorithms. */
export const fits = (algorithm: Algorithm, rsa: boolean): boolean => (algorithm === "ES256") !== rsa

/** What the user wants, else what the authority wants; undefined where it wants nothing in particular. */
export const algorithmFor = (
  rsa: boolean,
  wanted: Algorithm | undefined,
  authority: { readonly rsa: "PS256" | "RS256" }
): Algorithm => wanted ?? (rsa ? authority.rsa : "ES256")

/** Seconds an assertion is valid. */
export const assertionLifetime = 600

/** Without a certificate the key has no thumbprint, and at most a name. */
export const assertionHeader = (options: {
  readonly algorithm: Algorithm
  readonly thumbprint?: ThumbprintName | undefined
  readonly thumbprints?: Thumbprints | undefined
  readonly keyId?: string | undefined
  readonly chain?: ReadonlyArray<string> | undefined
}): AssertionHeader => ({
  alg: options.algorithm,
  typ: "JWT",
  ...(options.keyId === undefined ? {} : { kid: options.keyId }),
  ...(options.thumbprint === undefined || options.thumbprints === undefined
    ? {}
    : { [options.thumbprint]: options.thumbprints[options.thumbprint] }),
  ...(options.chain === undefined ? {} : { x5c: [...options.chain] })
})

/** `now` in milliseconds; the claims are NumericDates: whole seconds, as numbers. */
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

/** Claims of the user's; merged, they go before the defaults of the same name. */
export interface Additional {
  readonly claims: Claims
  readonly merge: boolean
}

/** Each claim once. */
export const withAdditional = (defaults: Claims, additional: Additional | undefined): Claims =>
  additional === undefined ? defaults : additional.merge ? { ...defaults, ...additional.claims } : additional.claims

/** A copy, so that what becomes of the original later does not matter. The failure names what is wrong. */
export const additionalClaims = (
  claims: unknown
): Result.Result<Claims, { readonly field: string; readonly what: string }> => {
  const copy = jsonOf(claims, "assertionClaims", [])
  if (Result.isFailure(copy)) return Result.fail({ field: copy.failure, what: "is nothing that JSON can hold" })
  if (!isObject(copy.success)) return Result.fail({ field: "assertionClaims", what: "is no object" })
  for (const name of ["exp", "nbf", "iat"]) {
    const time = copy.success[name]
    if (time !== undefined && typeof time !== "number") {
      return Result.fail({ field: `assertionClaims.${name}`, what: "is no number of seconds (RFC 7519 section 2)" })
    }
  }
  return Result.succeed(copy.success)
}

const isObject = (json: Json): json is Claims => typeof json === "object" && json !== null && !Array.isArray(json)

/** What fails is named by its path. */
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
  // A date, a map or a `Redacted` says something else in JSON than it is.
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

/** Three non-empty base64url parts, as RFC 7515 section 3.1 has it; whether it is true is for the service to say. */
export const isCompactJwt = (text: string): boolean => /^[\w-]+\.[\w-]+\.[\w-]+$/.test(text)
