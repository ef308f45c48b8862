/** Decides from the times of a token whether it is served, refreshed or too short. */
import type { Times } from "./cachedToken.ts"

/**
 * The freshness of a token:
 *
 * - `fresh`: the token is served;
 * - `staleWhileRevalidate`: the token is served and refreshed in the background;
 * - `staleIfError`: the token is refreshed first, and served if that is slow or impossible;
 * - `expired`: the token is not served. A token from the future is expired too: the wall clock was set back after its
 *   issue, so its real age is unknown.
 */
export type Freshness = "fresh" | "staleWhileRevalidate" | "staleIfError" | "expired"

/** Returns the freshness of a token now. */
export const freshness = (times: Times, now: number): Freshness =>
  now < times.issuedAt
    ? "expired"
    : now < times.refreshOn
    ? "fresh"
    : now < times.usableUntil
    ? "staleWhileRevalidate"
    : now < times.expiresOn
    ? "staleIfError"
    : "expired"

/** Returns whether a token is served without a refresh first. */
export const isUsable = (times: Times, now: number): boolean => now >= times.issuedAt && now < times.usableUntil

/** Returns the time until which a new token would not be valid for noticeably longer: a tenth of the lifetime. */
const settledAt = ({ expiresOn, issuedAt }: Times): number => issuedAt + Math.max(0, expiresOn - issuedAt) / 10

/**
 * Returns whether a token is valid for less than a caller needs, and a new token may help. A token is never too short in
 * the first tenth of its lifetime. Otherwise every call would send a request when the service issues shorter tokens.
 */
export const isTooShort = (times: Times, now: number, minimumValidity: number): boolean =>
  minimumValidity > 0 && times.expiresOn - now < minimumValidity && now >= settledAt(times)

/**
 * Returns the time of a refresh after which callers that need `minimumValidity` do not wait. The margin is that before
 * expiry.
 */
export const refreshFrom = (times: Times, minimumValidity: number): number =>
  minimumValidity > 0
    ? Math.min(times.refreshOn, Math.max(times.usableUntil - minimumValidity, settledAt(times)))
    : times.refreshOn
