/** The root keys of a cache that processes share, as a person writes them. */
import * as Base64Url from "effect/encoding/Base64Url"
import * as Hex from "effect/encoding/Hex"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { InvalidRequestError } from "../../EntraError.ts"
import { notA } from "../shared/errors.ts"
import { isRedactedText } from "../shared/validate.ts"

/** Returns the bytes of root keys. */
export const rootsOf = (
  keys: ReadonlyArray<Redacted.Redacted<string>>
): Result.Result<ReadonlyArray<Uint8Array<ArrayBuffer>>, InvalidRequestError> => {
  if (!Array.isArray(keys) || keys.length === 0) {
    return Result.fail(notA(`a list of redacted keys, or "plaintext"`, "keys"))
  }
  const roots: Array<Uint8Array<ArrayBuffer>> = []
  for (const [at, key] of keys.entries()) {
    const bytes = isRedactedText(key) ? keyBytes(Redacted.value(key)) : undefined
    if (bytes === undefined) return Result.fail(notA("32 or more random bytes in base64 or hexadecimal", `keys[${at}]`))
    // The records of invalidations of a key that is there twice would count as two, and each stamp as another process's.
    if (!roots.some((root) => isEqual(root, bytes))) roots.push(bytes)
  }
  return Result.succeed(roots)
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const isEqual = (one: Uint8Array, other: Uint8Array): boolean =>
  one.length === other.length && one.every((byte, at) => byte === other[at])

const keyBytes = (text: string): Uint8Array<ArrayBuffer> | undefined => {
  const trimmed = text.trim()
  const decoded = /^(?:[0-9a-f]{2})+$/i.test(trimmed) ? Hex.decode(trimmed) : Base64Url.decode(
    trimmed.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "")
  )
  const bytes = Result.getOrUndefined(decoded)
  // A placeholder of equal characters is no key.
  return bytes === undefined || bytes.length < 32 || new Set(bytes).size < 8 ? undefined : new Uint8Array(bytes)
}
