/** The file of a client secret: one line, as secret stores mount it and editors end it. */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { CredentialError } from "../../../EntraError.ts"
import { exactTextOf, type Place, placeProblem } from "./files.ts"

/** Spaces may belong to a secret; line breaks at its end never do. */
export const secretOf = (
  bytes: Uint8Array,
  place: Place
): Result.Result<Redacted.Redacted<string>, CredentialError> => {
  const secret = exactTextOf(bytes)?.replace(/[\r\n]+$/, "")
  if (secret === undefined) return Result.fail(placeProblem("secret_malformed", place, "is no text in UTF-8", remedy))
  if (secret.trim() === "") return Result.fail(placeProblem("file_empty", place, "is empty", remedy))
  if (secret.includes("\0")) {
    return Result.fail(
      placeProblem("secret_malformed", place, "holds zero bytes, as UTF-16 without a mark does", remedy)
    )
  }
  return /[\r\n]/.test(secret)
    ? Result.fail(placeProblem("secret_malformed", place, "holds more than one line", remedy))
    : Result.succeed(Redacted.make(secret, { label: "client_secret" }))
}

const remedy =
  "Write the secret's value into the file, and nothing else. See docs/registering.md#a-secret of effect-entra."
