/** The file of a federated token: one JWT, and nothing but white space around it. */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { CredentialError } from "../../EntraError.ts"
import { isCompactJwt } from "../../internal/assertion.ts"
import { fileProblem, type Named } from "./files.ts"

export const tokenOf = (bytes: Uint8Array, file: Named): Result.Result<Redacted.Redacted<string>, CredentialError> => {
  const token = new TextDecoder().decode(bytes).trim()
  if (token === "") return Result.fail(fileProblem("file_empty", file, "is empty", remedy))
  return isCompactJwt(token)
    ? Result.succeed(Redacted.make(token, { label: "client_assertion" }))
    : Result.fail(fileProblem("assertion_malformed", file, "holds no signed JWT (RFC 7515 section 3.1)", remedy))
}

const remedy = "Look at what writes the file; it must hold the token that the platform issues, and nothing else. "
  + "See docs/registering.md#a-federated-credential of effect-entra."

/** A token as it was last read. Its number changes with it and says nothing about it. */
export interface Issue {
  readonly token: Redacted.Redacted<string>
  readonly number: number
}

export const nextIssue = (last: Issue | undefined, token: Redacted.Redacted<string>): Issue =>
  last !== undefined && Redacted.value(last.token) === Redacted.value(token)
    ? last
    : { token, number: (last?.number ?? 0) + 1 }
