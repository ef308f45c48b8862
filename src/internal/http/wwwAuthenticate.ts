/** The claims challenge of an API: the claims that it requires in the next token. */
import * as Base64Url from "effect/encoding/Base64Url"
import * as Result from "effect/Result"
import { isJsonObject } from "../shared/validate.ts"

/**
 * Returns the JSON of the `claims` parameter of a `Bearer` challenge with the error `insufficient_claims` (RFC 9110
 * section 11.6.1, RFC 6750 section 3, Entra's claims challenge). Returns undefined if the header has no readable challenge.
 */
export const claimsChallengeOf = (header: string | undefined): string | undefined => {
  if (header === undefined || header.length > longestHeader) return undefined
  const challenge = challengesOf(header).find(({ parameters, scheme }) =>
    scheme === "bearer" && parameters.get("error") === "insufficient_claims" && parameters.has("claims")
  )
  // Some APIs send base64, others base64url.
  const encoded = /^[\w+/-]*/.exec((challenge?.parameters.get("claims") ?? "").replace(/\s/g, ""))?.[0] ?? ""
  const text = Base64Url.decodeString(encoded.replaceAll("+", "-").replaceAll("/", "_"))
  return Result.isSuccess(text) && isJsonObject(text.success) ? text.success : undefined
}

const longestHeader = 16_384

interface Challenge {
  readonly scheme: string
  readonly parameters: Map<string, string>
}

/** Matches a name and, after `=`, its value, quoted or not. Any other character is matched alone, so that it is skipped. */
const schemeOrParameter = /([\s,]*)(?:([\w!#$%&'*+.^`|~-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*)))?|.)/gsy

/**
 * Returns the challenges of a header, with case-insensitive names in lower case. A scheme is a name without a value at the
 * start of the header or after a comma.
 */
const challengesOf = (header: string): ReadonlyArray<Challenge> => {
  const challenges: Array<Challenge> = []
  for (const { 1: before = "", 2: name, 3: quoted, 4: plain, index } of header.matchAll(schemeOrParameter)) {
    if (name === undefined) continue
    const value = quoted?.replace(/\\(.)/gs, "$1") ?? plain
    if (value !== undefined) challenges.at(-1)?.parameters.set(name.toLowerCase(), value)
    else if (index === 0 || before.includes(",")) {
      challenges.push({ scheme: name.toLowerCase(), parameters: new Map() })
    }
  }
  return challenges
}
