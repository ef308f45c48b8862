/** The file of a client secret: one line, as secret stores mount it and editors end it. */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { CredentialError } from "../../EntraError.ts"
import { type Place, placeProblem, textOf } from "./files.ts"

/** Spaces may belong to a secret; line breaks at its end never do. */
export const secretOf = (
  bytes: Uint8Array,
  place: Place
): Result.Result<Redacted.Redacted<string>, CredentialError> => {
  const secret = textOf(bytes).replace(/[\r\n]+$/, "")
  if (secret.trim() === "") return Result.fail(placeProblem("file_empty", place, "is empty", remedy))
  return /[\r\n\0]/.test(secret)
    ? Result.fail(placeProblem("secret_malformed", place, "holds more than one line", remedy))
    : Result.succeed(Redacted.make(secret, { label: "client_secret" }))
}

const remedy =
  "Write the secret's value into the file, and nothing else. See docs/registering.md#a-secret of effect-entra."
