/**
 * Tokens that an API is not to have replaced for a while: those that were acquired in place of a refused one, and those
 * whose replacement could not be had. An API that refuses everything would else cause a token request for each of its own.
 * What is known of a token goes with it.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import type { AuthenticationResult } from "../../AccessToken.ts"
import { isAhead } from "../shared/cooldown.ts"

type Token = Redacted.Redacted<string>

interface Refusal {
  readonly until: number
  /** Whether the API had said which claims it wants. */
  readonly challenged: boolean
}

const refusals = new WeakMap<Token, Refusal>()

/** Milliseconds. */
const rest = 30_000

/** A challenge says more than a refusal, so it is heard once even then. */
export const isAtRest = (token: Token, claims: string, clock: Clock.Clock): boolean => {
  const refusal = refusals.get(token)
  return refusal !== undefined && isAhead(refusal.until, clock.currentTimeMillisUnsafe(), rest) &&
    (claims === "" || refusal.challenged)
}

/** Keeps the account of a flight that replaces a token; what comes from a cache is nobody's replacement. */
export const noted = <E>(
  flight: Effect.Effect<AuthenticationResult, E>,
  refused: Token,
  claims: string,
  clock: Clock.Clock
): Effect.Effect<AuthenticationResult, E> => {
  const note = (token: Token) => {
    refusals.set(token, { until: clock.currentTimeMillisUnsafe() + rest, challenged: claims !== "" })
  }
  return flight.pipe(
    Effect.tap(({ accessToken, metadata }) =>
      Effect.sync(() => metadata.tokenSource === "IdentityProvider" && note(accessToken))
    ),
    Effect.tapError(() => Effect.sync(() => note(refused)))
  )
}
