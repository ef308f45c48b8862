/** The times at which a token is served, refreshed and no longer served. All times are milliseconds since the epoch. */

/** The times of a token: `issuedAt <= refreshOn <= usableUntil <= expiresOn`. */
export interface Times {
  readonly issuedAt: number
  readonly refreshOn: number
  readonly usableUntil: number
  readonly expiresOn: number
}

/**
 * The freshness of a token:
 *
 * - `fresh`: the token is served;
 * - `staleWhileRevalidate`: the token is served and refreshed in the background;
 * - `staleIfError`: the token is refreshed first, and served if that is slow or impossible;
 * - `expired`: the token is not served. A token from the future is expired too: the wall clock was set back after its issue, so
 *   its real age is unknown.
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

/**
 * Returns the times of a token. The margin is at most a tenth of the lifetime, so that tokens of five minutes are cached
 * too. Without a valid `refresh_in` from the service, a token is refreshed at half its lifetime. Jitter (0 to 1) makes the
 * refresh earlier by up to a tenth.
 */
export const timesOf = (
  token: { readonly issuedAt: number; readonly expiresOn: number; readonly refreshOn: number | undefined },
  options: { readonly margin: number; readonly jitter: number }
): Times => {
  const lifetime = Math.max(0, token.expiresOn - token.issuedAt)
  const usableUntil = token.expiresOn - Math.min(Math.max(0, options.margin), lifetime / 10)
  const named = token.refreshOn
  const span = named !== undefined && named > token.issuedAt && named < token.expiresOn
    ? named - token.issuedAt
    : lifetime / 2
  const refreshOn = token.issuedAt + span * (1 - 0.1 * options.jitter)
  return {
    issuedAt: token.issuedAt,
    refreshOn: Math.min(refreshOn, usableUntil),
    usableUntil,
    expiresOn: token.expiresOn
  }
}

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
