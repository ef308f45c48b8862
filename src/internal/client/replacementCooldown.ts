/**
 * The cooldown of tokens after a replacement. A token is not replaced again for a while if it replaced a refused token, or if
 * its own replacement failed. Otherwise an API that refuses every token would cause one token request per API request. The
 * platforms of managed identities have caches of their own and may return the refused token itself. The state is in a
 * `WeakMap`, so it is collected with the token.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { AuthenticationResult } from "../../AccessToken.ts"
import type { CachedToken } from "../cache/cachedToken.ts"
import type { Replacement as Shared } from "../cache/lead.ts"
import { monotonicMillis } from "../shared/monotonic.ts"

type Token = Redacted.Redacted<string>

interface Replacement {
  readonly until: number
  /** True if the API sent a claims challenge. */
  readonly challenged: boolean
  /** True if the platform returned the refused token itself. */
  readonly unchanged: boolean
}

const replacements = new WeakMap<Token, Replacement>()

/** Milliseconds. */
const cooldown = 30_000

/**
 * Returns whether a token is in its cooldown. The first claims challenge still replaces it, unless it came back
 * unchanged.
 */
export const isAtRest = (token: Token, claims: string, clock: Clock.Clock): boolean => {
  const replacement = current(token, clock)
  return replacement !== undefined && (claims === "" || replacement.challenged || replacement.unchanged)
}

/** Returns whether a token is a refused token that came back as its own replacement, and is in its cooldown. */
export const isUnchanged = (token: Token, clock: Clock.Clock): boolean => current(token, clock)?.unchanged === true

const current = (token: Token, clock: Clock.Clock): Replacement | undefined => {
  const replacement = replacements.get(token)
  return replacement !== undefined && monotonicMillis(clock) < replacement.until ? replacement : undefined
}

/** Records that a token from another process replaced a refused token, if it was issued a moment ago. */
export const adopt = (
  { accessToken, issuedAt }: CachedToken,
  replacement: Shared,
  clock: Clock.Clock
): void => {
  const age = Math.max(0, clock.currentTimeMillisUnsafe() - issuedAt)
  if (age >= cooldown || current(accessToken, clock) !== undefined) return
  replacements.set(accessToken, {
    until: monotonicMillis(clock) + cooldown - age,
    challenged: false,
    unchanged: replacement === "unchanged"
  })
}

/** Records the outcome of an acquisition that replaces a token. A token from a cache is not a replacement. */
export const noted = <E>(
  flight: Effect.Effect<AuthenticationResult, E>,
  refused: Token,
  claims: string,
  clock: Clock.Clock
): Effect.Effect<AuthenticationResult, E> => {
  const record = (token: Token, unchanged: boolean) => {
    replacements.set(token, { until: monotonicMillis(clock) + cooldown, challenged: claims !== "", unchanged })
  }
  return flight.pipe(
    Effect.tap(({ accessToken, metadata }) =>
      Effect.sync(() =>
        metadata.tokenSource === "IdentityProvider" &&
        record(accessToken, Redacted.value(accessToken) === Redacted.value(refused))
      )
    ),
    Effect.tapError(() => Effect.sync(() => record(refused, false)))
  )
}
