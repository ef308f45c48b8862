/** The hash that identifies an access token without revealing it. */
import * as Effect from "effect/Effect"
import * as Hex from "effect/encoding/Hex"
import * as Redacted from "effect/Redacted"

/** Returns the SHA-256 of an access token in lower-case hexadecimal. */
export const accessTokenSha256 = (accessToken: Redacted.Redacted<string>): Effect.Effect<string> =>
  Effect.map(
    Effect.promise(() => crypto.subtle.digest("SHA-256", new TextEncoder().encode(Redacted.value(accessToken)))),
    (digest) => Hex.encode(new Uint8Array(digest))
  )
