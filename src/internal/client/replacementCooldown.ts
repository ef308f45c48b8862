/**
 * The cooldown of tokens after a replacement. A token is not replaced again for a while if it replaced a refused token, or if
 * its own replacement failed. Otherwise an API that refuses every token would cause one token request per API request. The
 * state is in a `WeakMap`, so it is collected with the token.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import type { AuthenticationResult } from "../../AccessToken.ts"
import { monotonicMillis } from "../shared/monotonic.ts"

type Token = Redacted.Redacted<string>

interface Replacement {
  readonly until: number
  /** True if the API sent a claims challenge. */
  readonly challenged: boolean
}

const replacements = new WeakMap<Token, Replacement>()

/** Milliseconds. */
const cooldown = 30_000

/** Returns whether a token is in its cooldown. During the cooldown one claims challenge is still allowed. */
export const isAtRest = (token: Token, claims: string, clock: Clock.Clock): boolean => {
  const replacement = replacements.get(token)
  return replacement !== undefined && monotonicMillis(clock) < replacement.until &&
    (claims === "" || replacement.challenged)
}

/** Records the outcome of an acquisition that replaces a token. A token from a cache is not a replacement. */
export const noted = <E>(
  flight: Effect.Effect<AuthenticationResult, E>,
  refused: Token,
  claims: string,
  clock: Clock.Clock
): Effect.Effect<AuthenticationResult, E> => {
  const record = (token: Token) => {
    replacements.set(token, { until: monotonicMillis(clock) + cooldown, challenged: claims !== "" })
  }
  return flight.pipe(
    Effect.tap(({ accessToken, metadata }) =>
      Effect.sync(() => metadata.tokenSource === "IdentityProvider" && record(accessToken))
    ),
    Effect.tapError(() => Effect.sync(() => record(refused)))
  )
}
