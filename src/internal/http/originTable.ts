/** The table that maps origins to the scopes and the tenant of their tokens. */
import * as Result from "effect/Result"
import type { InvalidRequestError } from "../../EntraError.ts"
import type { TokenRequest } from "../../TokenRequest.ts"
import { invalidRequest, notA } from "../shared/errors.ts"
import { isLoopback, quote } from "../shared/text.ts"
import { unknownMember } from "../shared/validate.ts"

/**
 * The scopes of each origin, or its scopes and tenant. A key is a serialized origin (RFC 6454 section 6.2), or a pattern:
 * an https origin whose first label is `*`, which stands for exactly one label.
 */
export type OriginTable = Readonly<Record<string, TokenRequest["scopes"] | OriginRequest>>

/** The fields of a token request that an origin decides. */
export type OriginRequest = Pick<TokenRequest, "scopes" | "tenantId">

/** Returns the request for an origin: that of the origin itself, otherwise that of its pattern. */
export type OriginLookup = (origin: string) => OriginRequest | undefined

/** Returns the origin of a request's URL for the lookup. A `blob:` URL has one too, but leads to no server. */
export const originOf = ({ origin, protocol }: URL): string => /^https?:$/.test(protocol) ? origin : ""

/** Returns the lookup of a table, or the first problem of the table. */
export const readOriginTable = (table: OriginTable): Result.Result<OriginLookup, InvalidRequestError> =>
  Result.gen(function*() {
    const origins = new Map<string, OriginRequest>()
    const patterns = new Map<string, OriginRequest>()
    if (typeof table !== "object" || table === null) return yield* Result.fail(notA("an object", "origins"))
    for (const [origin, entry] of Object.entries(table)) {
      const parsed = yield* parseOrigin(origin)
      const request = isScopes(entry) ? { scopes: entry } : entry
      const unknown = unknownMember(`origins[${quote(parsed)}]`, request, requestNames, "origins")
      if (unknown !== undefined) return yield* Result.fail(unknown)
      if (!isScopes(request?.scopes) || request.scopes.length === 0) return yield* Result.fail(noScopes(parsed))
      const entries = parsed.startsWith(wildcard) ? patterns : origins
      entries.set(parsed, request)
    }
    if (origins.size + patterns.size === 0) return yield* Result.fail(emptyTable())
    return patterns.size === 0
      ? (origin) => origins.get(origin)
      : (origin) => origins.get(origin) ?? patterns.get(patternOf(origin))
  })

const requestNames = { scopes: true, tenantId: true } satisfies Record<keyof OriginRequest, true>

const wildcard = "https://*."

/** Returns the only pattern that an origin can match, so the lookup does not depend on the size of the table. */
const patternOf = (origin: string): string => origin.replace(/^https:\/\/[^.]+\./, wildcard)

const isScopes = (entry: unknown): entry is TokenRequest["scopes"] => typeof entry === "string" || Array.isArray(entry)

const parseOrigin = (text: string): Result.Result<string, InvalidRequestError> => {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    return Result.fail(malformed(text, "is not an https origin", originRemedy))
  }
  if (url.origin !== text) {
    return Result.fail(malformed(text, `is not written as the origin ${quote(url.origin)}`, originRemedy))
  }
  const problem = url.hostname.includes("*") ? patternProblem(url) : undefined
  if (problem !== undefined) return Result.fail(malformed(text, problem, patternRemedy))
  return url.protocol === "https:" || isLoopback(url.hostname)
    ? Result.succeed(text)
    : Result.fail(malformed(text, "would send the token unencrypted", originRemedy))
}

/** Returns the problem of an origin with a wildcard. */
const patternProblem = ({ hostname, protocol }: URL): string | undefined => {
  if (protocol !== "https:") return "has a wildcard, which is allowed for https only"
  const [first, ...labels] = hostname.split(".")
  if (first !== "*" || labels.some((label) => label.includes("*"))) {
    return "has a wildcard that is not the whole first label"
  }
  if (labels.includes("")) return "has an empty label"
  return labels.length < 2 || countrySuffix.test(labels.join("."))
    ? "is a pattern for the hosts of many owners"
    : undefined
}

/** The second labels under which countries register names. */
const countrySuffix = /^(?:ac|co|com|ed|edu|go|gob|gouv|gov|govt|mil|ne|net|nom|or|org|sch)\.[a-z]{2}$/

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
    `origins has no scopes for ${quote(origin)}`,
    "Pass the API's resource with /.default, or remove the origin if its requests need no token."
  )

const withoutUser = (text: string): string => text.replace(/^.*@/s, "...@")

const malformed = (text: string, what: string, remedy: string): InvalidRequestError =>
  invalidRequest("field_malformed", "origins", `origins has ${quote(withoutUser(text))}, which ${what}`, remedy)

const originRemedy =
  "Write only scheme and host in lower case, with the port if it is not the default: https://graph.microsoft.com. "
  + "Plain http is allowed only for this machine."

const patternRemedy =
  "Write * in the place of the whole first label, which stands for exactly one label, before a domain of one owner: "
  + "https://*.vault.azure.net. Otherwise list each origin."
