/** Helpers of the tests of the pure core. */
import { Redacted, Result } from "effect"
import type { AccessToken, EntraError } from "effect-entra"
import fc from "fast-check"
import { inspect } from "node:util"
import { CachedToken } from "../../src/internal/cache/cachedToken.ts"
import type { CachePlace } from "../../src/internal/cache/cacheKey.ts"

export const success = <A, E>(result: Result.Result<A, E>): A => {
  if (Result.isSuccess(result)) return result.success
  throw new Error(`expected a success, got ${inspect(result.failure)}`)
}

export const failure = <A, E>(result: Result.Result<A, E>): E => {
  if (Result.isFailure(result)) return result.failure
  throw new Error(`expected a failure, got ${inspect(result.success)}`)
}

/** Any string that JavaScript can hold, halves of surrogate pairs included. */
export const anyString: fc.Arbitrary<string> = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string(),
  fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 12 }).map((units) => String.fromCharCode(...units))
)

/** Lower case, or upper and lower case mixed by the bits of a number. */
export const mixedCase = (text: string, bits: number): string =>
  [...text].map((c, i) => (bits >> (i % 30)) & 1 ? c.toUpperCase() : c).join("")

export const guid = "11111111-2222-3333-4444-555555555555"

export const tokenOf = (options: Partial<AccessToken.AccessToken> & { readonly text?: string } = {}) => {
  const { text = "a-token", ...rest } = options
  return {
    secret: Redacted.make(text),
    tokenType: "Bearer",
    issuedAt: 0,
    expiresOn: 3_600_000,
    refreshOn: undefined,
    scopes: ["api://orders/.default"],
    tenantId: guid,
    authority: `https://login.microsoftonline.com/${guid}`,
    tokenEndpoint: `https://login.microsoftonline.com/${guid}/oauth2/v2.0/token`,
    correlationId: "c-1",
    ...rest
  }
}

export const entryOf = (
  key: Partial<CachePlace>,
  options: { readonly expiresOn?: number; readonly text?: string } = {}
) => {
  const { expiresOn = 3_600_000, text = "a-token" } = options
  return new CachedToken(
    { space: "space", tenant: "tenant", scopes: "scopes", ...key },
    tokenOf({ text, expiresOn }),
    { issuedAt: 0, refreshOn: expiresOn / 2, usableUntil: expiresOn * 0.9, expiresOn }
  )
}

export const problem = {
  message: "message",
  remedy: "remedy",
  origin: "service"
} satisfies Omit<EntraError.Problem, "code">

/** Everything a program could print of a value. */
export const printed = (value: unknown): string =>
  [
    JSON.stringify(value),
    String(value),
    inspect(value, { depth: 10, showHidden: true }),
    value instanceof Error ? `${value.message}\n${value.stack}` : ""
  ].join("\n")
