/** Decodes the root keys of a cache that processes share. */
import * as Base64Url from "effect/encoding/Base64Url"
import * as Hex from "effect/encoding/Hex"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { InvalidRequestError } from "../../EntraError.ts"
import { invalidRequest, notA } from "../shared/errors.ts"
import { isRedactedText } from "../shared/validate.ts"

/** Returns the bytes of root keys. */
export const rootsOf = (
  keys: ReadonlyArray<Redacted.Redacted<string>>
): Result.Result<ReadonlyArray<Uint8Array<ArrayBuffer>>, InvalidRequestError> => {
  if (!Array.isArray(keys) || keys.length === 0) {
    return Result.fail(notA(`a list of one or more redacted keys, or "plaintext"`, "keys"))
  }
  const roots: Array<Uint8Array<ArrayBuffer>> = []
  for (const [at, key] of keys.entries()) {
    if (!isRedactedText(key)) return Result.fail(invalidKey(at, "is not redacted", "Pass Redacted.make(key)."))
    const bytes = bytesOf(Redacted.value(key))
    if (bytes === undefined) return Result.fail(invalidKey(at, "is neither base64 nor hexadecimal"))
    if (bytes.length < leastBytes) {
      return Result.fail(invalidKey(at, `has ${bytes.length} bytes, and a root key has ${leastBytes} or more`))
    }
    // A placeholder, such as equal characters.
    if (new Set(bytes).size < 8) return Result.fail(invalidKey(at, "is not random"))
    // A key that is listed twice would have two records, and each stamp would look like one of another process.
    if (!roots.some((root) => isEqual(root, bytes))) roots.push(bytes)
  }
  return Result.succeed(roots)
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const leastBytes = 32

const isEqual = (one: Uint8Array, other: Uint8Array): boolean =>
  one.length === other.length && one.every((byte, at) => byte === other[at])

const invalidKey = (
  at: number,
  what: string,
  remedy = "Create a key with: openssl rand -base64 32. See docs/fleet.md#keys of effect-entra."
): InvalidRequestError => invalidRequest("field_malformed", `keys[${at}]`, `keys[${at}] ${what}`, remedy)

const bytesOf = (text: string): Uint8Array<ArrayBuffer> | undefined => {
  const trimmed = text.trim()
  const decoded = /^(?:[0-9a-f]{2})+$/i.test(trimmed) ? Hex.decode(trimmed) : Base64Url.decode(
    trimmed.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "")
  )
  const bytes = Result.getOrUndefined(decoded)
  return bytes === undefined ? undefined : new Uint8Array(bytes)
}
