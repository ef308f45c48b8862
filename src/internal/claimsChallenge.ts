/** The claims that an API wants to see in the next token, from its refusal. */
import * as Base64Url from "effect/encoding/Base64Url"
import * as Result from "effect/Result"
import { isJsonObject } from "./json.ts"

/**
 * The JSON of `claims` in a `WWW-Authenticate` header with `error="insufficient_claims"` (RFC 6750 section 3, Entra's
 * claims challenge); undefined when there is none that can be read.
 */
export const claimsOf = (header: string | undefined): string | undefined => {
  if (header === undefined || header.length > longest || !/\berror="insufficient_claims"/.test(header)) return undefined
  const encoded = /\bclaims="([^"]*)"/.exec(header)?.[1]
  if (encoded === undefined) return undefined
  // Some send base64, some base64url.
  const text = Base64Url.decodeString(encoded.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, ""))
  return Result.isSuccess(text) && isJsonObject(text.success) ? text.success : undefined
}

const longest = 16_384
