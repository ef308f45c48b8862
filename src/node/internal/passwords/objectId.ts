/** Reads the object id of the app's service principal or managed identity from a token. */
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { InvalidResponseError } from "../../../EntraError.ts"

const Claims = /*#__PURE__*/ Schema.StringFromBase64Url.pipe(
  /*#__PURE__*/ Schema.decodeTo(
    /*#__PURE__*/ Schema.fromJsonString(/*#__PURE__*/ Schema.Struct({ oid: Schema.NonEmptyString }))
  )
)

const decode = /*#__PURE__*/ Schema.decodeUnknownOption(Claims)

/** Returns the claim `oid` of a JWT. The signature is not verified, because the token comes from the service itself. */
export const objectIdOf = (token: Redacted.Redacted<string>): Result.Result<string, InvalidResponseError> => {
  const [, payload, ...rest] = Redacted.value(token).split(".")
  return Option.match(rest.length === 1 ? decode(payload) : Option.none(), {
    onSome: ({ oid }) => Result.succeed(oid),
    onNone: () =>
      Result.fail(
        new InvalidResponseError({
          code: "response_without_oid",
          origin: "local",
          message: "The access token is not a JWT with the claim oid, which is the user name of Redis.",
          remedy:
            "Request a token of Microsoft Entra ID for Azure Managed Redis, with the scope TokenPassword.redisScope."
        })
      )
  })
}
