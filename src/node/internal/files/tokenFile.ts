/** The file of a federated token: one JWT, and nothing but white space around it. */
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { CredentialError } from "../../../EntraError.ts"
import { isCompactJwt } from "../../../internal/credential/clientAssertion.ts"
import { exactTextOf, type Place, placeProblem } from "./files.ts"

export const tokenOf = (bytes: Uint8Array, place: Place): Result.Result<Redacted.Redacted<string>, CredentialError> => {
  const token = exactTextOf(bytes)?.trim()
  if (token === undefined) return Result.fail(placeProblem("assertion_malformed", place, "is no text in UTF-8", remedy))
  if (token === "") return Result.fail(placeProblem("file_empty", place, "is empty", remedy))
  return isCompactJwt(token)
    ? Result.succeed(Redacted.make(token, { label: "client_assertion" }))
    : Result.fail(placeProblem("assertion_malformed", place, "holds no signed JWT (RFC 7515 section 3.1)", remedy))
}

const remedy = "Look at what writes the file; it must hold the token that the platform issues, and nothing else. "
  + "See docs/registering.md#a-federated-credential of effect-entra."

/** Whether the service would refuse it for its age; `now` in milliseconds. What does not say when it ends may go on. */
export const isExpired = (token: Redacted.Redacted<string>, now: number): boolean => {
  const payload = Buffer.from(Redacted.value(token).replace(/^[^.]*\.|\.[^.]*$/g, ""), "base64url").toString()
  return Option.exists(decodeClaims(payload), ({ exp }) => exp * 1000 <= now)
}

const decodeClaims = /*#__PURE__*/ Schema.decodeUnknownOption(
  /*#__PURE__*/ Schema.fromJsonString(/*#__PURE__*/ Schema.Struct({ exp: Schema.Finite }))
)
