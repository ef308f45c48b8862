/** Reads a federated token from the content of its file: one JWT with optional white space around it. */
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { CredentialError } from "../../../EntraError.ts"
import { isCompactJwt } from "../../../internal/credential/clientAssertion.ts"
import { exactTextOf, type Place, placeError } from "./files.ts"

export const tokenOf = (bytes: Uint8Array, place: Place): Result.Result<Redacted.Redacted<string>, CredentialError> => {
  const token = exactTextOf(bytes)?.trim()
  if (token === undefined) return Result.fail(placeError("assertion_malformed", place, "is not UTF-8 text", remedy))
  if (token === "") return Result.fail(placeError("file_empty", place, "is empty", remedy))
  return isCompactJwt(token)
    ? Result.succeed(Redacted.make(token, { label: "client_assertion" }))
    : Result.fail(placeError("assertion_malformed", place, "holds no signed JWT (RFC 7515 section 3.1)", remedy))
}

const remedy = "Check the program that writes the file. The file must hold the token of the platform and nothing else. "
  + "See docs/registering.md#a-federated-credential of effect-entra."

/** Returns whether a token has expired; `now` in milliseconds. A token without `exp` counts as valid. */
export const isExpired = (token: Redacted.Redacted<string>, now: number): boolean => {
  const payload = Buffer.from(Redacted.value(token).replace(/^[^.]*\.|\.[^.]*$/g, ""), "base64url").toString()
  return Option.exists(decodeClaims(payload), ({ exp }) => exp * 1000 <= now)
}

const decodeClaims = /*#__PURE__*/ Schema.decodeUnknownOption(
  /*#__PURE__*/ Schema.fromJsonString(/*#__PURE__*/ Schema.Struct({ exp: Schema.Finite }))
)
