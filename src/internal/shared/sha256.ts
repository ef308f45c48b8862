/** What names a token without showing it. */
import * as Effect from "effect/Effect"
import * as Hex from "effect/encoding/Hex"
import * as Redacted from "effect/Redacted"

/** SHA-256 in lower-case hexadecimal. */
export const accessTokenSha256 = (accessToken: Redacted.Redacted<string>): Effect.Effect<string> =>
  Effect.map(
    Effect.promise(() => crypto.subtle.digest("SHA-256", new TextEncoder().encode(Redacted.value(accessToken)))),
    (digest) => Hex.encode(new Uint8Array(digest))
  )
