/**
 * Tokens that an API is not to have replaced for a while: those that were acquired in place of a refused one, and those
 * whose replacement could not be had. An API that refuses everything would else cause a token request for each of its own.
 * What is known of a token goes with it.
 */
import type * as Redacted from "effect/Redacted"
import { isAhead } from "./freshness.ts"

type Token = Redacted.Redacted<string>

interface Refusal {
  readonly until: number
  /** Whether the API had said which claims it wants. */
  readonly challenged: boolean
}

const refusals = new WeakMap<Token, Refusal>()

/** Milliseconds. */
const rest = 30_000

export const note = (token: Token, claims: string | undefined, now: number): void => {
  refusals.set(token, { until: now + rest, challenged: claims !== undefined })
}

/** A challenge says more than a refusal, so it is heard once even then. */
export const isAtRest = (token: Token, claims: string | undefined, now: number): boolean => {
  const refusal = refusals.get(token)
  return refusal !== undefined && isAhead(refusal.until, now, rest) && (claims === undefined || refusal.challenged)
}
