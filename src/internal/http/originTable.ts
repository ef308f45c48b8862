/** Which token goes to which origin: a table that users write. */
import * as Result from "effect/Result"
import type { InvalidRequestError } from "../../EntraError.ts"
import type { TokenRequest } from "../../TokenRequest.ts"
import { invalidRequest } from "../shared/errors.ts"
import { quote } from "../shared/text.ts"

/** Origins by their serialization (RFC 6454 section 6.2), each with its scopes, or with scopes and tenant. */
export type OriginTable = Readonly<Record<string, TokenRequest["scopes"] | Asked>>

export type Asked = Pick<TokenRequest, "scopes" | "tenantId">

export const readOrigins = (
  table: OriginTable
): Result.Result<ReadonlyMap<string, Asked>, InvalidRequestError> =>
  Result.gen(function*() {
    const origins = new Map<string, Asked>()
    for (const [origin, asked] of Object.entries(table)) {
      const request = isScopes(asked) ? { scopes: asked } : asked
      if (!isScopes(request?.scopes) || request.scopes.length === 0) return yield* Result.fail(noScopes(origin))
      origins.set(yield* readOrigin(origin), request)
    }
    return origins.size > 0 ? origins : yield* Result.fail(emptyTable())
  })

const isScopes = (asked: unknown): asked is TokenRequest["scopes"] => typeof asked === "string" || Array.isArray(asked)

const readOrigin = (text: string): Result.Result<string, InvalidRequestError> => {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol)) return Result.fail(malformed(text, "is no https origin"))
  if (url.hostname.includes("*")) {
    return Result.fail(malformed(text, "has a wildcard, and each host is named by itself"))
  }
  if (url.origin !== text) return Result.fail(malformed(text, `is not written as the origin ${quote(url.origin)}`))
  return url.protocol === "https:" || isLoopback(url.hostname)
    ? Result.succeed(text)
    : Result.fail(malformed(text, "would carry the token in the clear"))
}

/** What never leaves this machine: names and addresses of RFC 6761 section 6.3, RFC 5735 and RFC 4291. */
const isLoopback = (host: string): boolean =>
  host === "localhost" || host === "[::1]" || /^127(?:\.\d{1,3}){3}$/.test(host)

const emptyTable = (): InvalidRequestError =>
  invalidRequest(
    "field_missing",
    "origins",
    "origins is empty, so no request would carry a token",
    "Name the origin of the API and its scope: { \"https://graph.microsoft.com\": \"https://graph.microsoft.com/.default\" }."
  )

const noScopes = (origin: string): InvalidRequestError =>
  invalidRequest(
    "field_missing",
    "origins",
    `origins has no scopes for ${quote(withoutUser(origin))}`,
    "Name the API's resource with /.default, or leave the origin out if its requests are to carry no token."
  )

const withoutUser = (text: string): string => text.replace(/^.*@/s, "...@")

const malformed = (text: string, what: string): InvalidRequestError =>
  invalidRequest(
    "field_malformed",
    "origins",
    `origins has ${quote(withoutUser(text))}, which ${what}`,
    "Write scheme and host, in lower case, with the port if it is not the usual one, and nothing else: "
      + "https://graph.microsoft.com. Plain http is for this machine alone."
  )
