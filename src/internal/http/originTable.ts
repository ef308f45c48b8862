/** The table that maps origins to the scopes and the tenant of their tokens. */
import * as Result from "effect/Result"
import type { InvalidRequestError } from "../../EntraError.ts"
import type { TokenRequest } from "../../TokenRequest.ts"
import { invalidRequest } from "../shared/errors.ts"
import { isLoopback, quote } from "../shared/text.ts"

/** The scopes of each origin, or its scopes and tenant. A key is a serialized origin (RFC 6454 section 6.2). */
export type OriginTable = Readonly<Record<string, TokenRequest["scopes"] | OriginRequest>>

/** The fields of a token request that an origin decides. */
export type OriginRequest = Pick<TokenRequest, "scopes" | "tenantId">

/** Returns the requests by origin, or the first problem of the table. */
export const readOriginTable = (
  table: OriginTable
): Result.Result<ReadonlyMap<string, OriginRequest>, InvalidRequestError> =>
  Result.gen(function*() {
    const origins = new Map<string, OriginRequest>()
    for (const [origin, entry] of Object.entries(table)) {
      const request = isScopes(entry) ? { scopes: entry } : entry
      if (!isScopes(request?.scopes) || request.scopes.length === 0) return yield* Result.fail(noScopes(origin))
      origins.set(yield* parseOrigin(origin), request)
    }
    return origins.size > 0 ? origins : yield* Result.fail(emptyTable())
  })

const isScopes = (entry: unknown): entry is TokenRequest["scopes"] => typeof entry === "string" || Array.isArray(entry)

const parseOrigin = (text: string): Result.Result<string, InvalidRequestError> => {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    return Result.fail(malformed(text, "is not an https origin"))
  }
  if (url.hostname.includes("*")) {
    return Result.fail(malformed(text, "has a wildcard; wildcards are not supported"))
  }
  if (url.origin !== text) return Result.fail(malformed(text, `is not written as the origin ${quote(url.origin)}`))
  return url.protocol === "https:" || isLoopback(url.hostname)
    ? Result.succeed(text)
    : Result.fail(malformed(text, "would send the token unencrypted"))
}

const emptyTable = (): InvalidRequestError =>
  invalidRequest(
    "field_missing",
    "origins",
    "origins is empty, so no request would carry a token",
    "Add the origin of the API and its scope: { \"https://graph.microsoft.com\": \"https://graph.microsoft.com/.default\" }."
  )

const noScopes = (origin: string): InvalidRequestError =>
  invalidRequest(
    "field_missing",
    "origins",
    `origins has no scopes for ${quote(withoutUser(origin))}`,
    "Pass the API's resource with /.default, or remove the origin if its requests need no token."
  )

const withoutUser = (text: string): string => text.replace(/^.*@/s, "...@")

const malformed = (text: string, what: string): InvalidRequestError =>
  invalidRequest(
    "field_malformed",
    "origins",
    `origins has ${quote(withoutUser(text))}, which ${what}`,
    "Write only scheme and host in lower case, with the port if it is not the default: https://graph.microsoft.com. "
      + "Plain http is allowed only for this machine."
  )
