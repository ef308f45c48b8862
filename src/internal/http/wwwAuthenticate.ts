/** The claims that an API wants to see in the next token, from its refusal. */
import * as Base64Url from "effect/encoding/Base64Url"
import * as Result from "effect/Result"
import { isJsonObject } from "../shared/validate.ts"

/**
 * The JSON of the `claims` in a `WWW-Authenticate` header whose `Bearer` challenge has the error `insufficient_claims`
 * (RFC 9110 section 11.6.1, RFC 6750 section 3, Entra's claims challenge); undefined when there is none that can be read.
 */
export const claimsOf = (header: string | undefined): string | undefined => {
  if (header === undefined || header.length > longest) return undefined
  const challenge = challengesOf(header).find(({ parameters, scheme }) =>
    scheme === "bearer" && parameters.get("error") === "insufficient_claims" && parameters.has("claims")
  )
  // Some send base64, some base64url.
  const encoded = /^[\w+/-]*/.exec((challenge?.parameters.get("claims") ?? "").replace(/\s/g, ""))?.[0] ?? ""
  const text = Base64Url.decodeString(encoded.replaceAll("+", "-").replaceAll("/", "_"))
  return Result.isSuccess(text) && isJsonObject(text.success) ? text.success : undefined
}

const longest = 16_384

interface Challenge {
  readonly scheme: string
  readonly parameters: Map<string, string>
}

/** One step: a name, and after `=` its value, quoted or not, whatever it has; what is neither is passed over. */
const step = /([\s,]*)(?:([\w!#$%&'*+.^`|~-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*)))?|.)/gsy

/** In lower case what is told apart in any case. A scheme begins the header, or stands after a comma. */
const challengesOf = (header: string): ReadonlyArray<Challenge> => {
  const challenges: Array<Challenge> = []
  for (const { 1: before = "", 2: name, 3: quoted, 4: plain, index } of header.matchAll(step)) {
    if (name === undefined) continue
    const value = quoted?.replace(/\\(.)/gs, "$1") ?? plain
    if (value !== undefined) challenges.at(-1)?.parameters.set(name.toLowerCase(), value)
    else if (index === 0 || before.includes(",")) {
      challenges.push({ scheme: name.toLowerCase(), parameters: new Map() })
    }
  }
  return challenges
}
