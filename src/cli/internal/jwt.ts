/** Reads the parts of a JWT for display. Nothing is verified, because only the API may rely on a token. */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

/** Returns the header of a JWT, or undefined if the text is not a JWT with such a header. */
export const headerOf = <A>(token: string, schema: Schema.Codec<A, unknown>): A | undefined => partOf(token, 0, schema)

/** Returns the claims of a JWT, or undefined if the text is not a JWT with such claims. */
export const claimsOf = <A>(token: string, schema: Schema.Codec<A, unknown>): A | undefined => partOf(token, 1, schema)

const partOf = <A>(token: string, index: 0 | 1, schema: Schema.Codec<A, unknown>): A | undefined => {
  const parts = token.split(".")
  return parts.length !== 3 ? undefined : Option.getOrUndefined(
    Schema.decodeUnknownOption(Schema.fromJsonString(schema))(Buffer.from(parts[index] ?? "", "base64url").toString())
  )
}
