/** Reads a client secret from the content of its file: one line, with or without line breaks at the end. */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { CredentialError } from "../../../EntraError.ts"
import { secretValueOf } from "../../../internal/credential/secret.ts"
import { nonSecretOf } from "../../../internal/shared/nonValue.ts"
import { exactTextOf, type Place, placeError } from "./files.ts"

/** Returns the secret without line breaks at its end. Spaces are kept, because they may belong to the secret. */
export const secretOf = (
  bytes: Uint8Array,
  place: Place
): Result.Result<Redacted.Redacted<string>, CredentialError> => {
  const secret = exactTextOf(bytes)?.replace(/[\r\n]+$/, "")
  if (secret === undefined) return Result.fail(placeError("secret_malformed", place, "is not UTF-8 text", remedy))
  if (secret.trim() === "") return Result.fail(placeError("file_empty", place, "is empty", remedy))
  if (secret.includes("\0")) {
    return Result.fail(
      placeError("secret_malformed", place, "holds zero bytes, as UTF-16 without a byte order mark does", remedy)
    )
  }
  if (/[\r\n]/.test(secret) && nonSecretOf(secret)?.kind !== "certificate") {
    return Result.fail(placeError("secret_malformed", place, "holds more than one line", remedy))
  }
  return secretValueOf(
    Redacted.make(secret, { label: "client_secret" }),
    (what, own) => placeError("secret_malformed", place, what, `${own} ${remedy}`)
  )
}

const remedy =
  "Write the secret's value into the file, and nothing else. See docs/registering.md#a-secret of effect-entra."
