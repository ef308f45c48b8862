/** When a token is used, renewed, stretched and dropped. All times are milliseconds since the epoch. */

/** `issuedAt <= refreshOn <= usableUntil <= expiresOn`. */
export interface Times {
  readonly issuedAt: number
  readonly refreshOn: number
  readonly usableUntil: number
  readonly expiresOn: number
}

/**
 * - `fresh`: the token is served;
 * - `staleWhileRevalidate`: the token is served and refreshed in the background;
 * - `staleIfError`: the token is refreshed first, and served if that is slow or impossible;
 * - `expired`: the token is not served.
 */
export type Freshness = "fresh" | "staleWhileRevalidate" | "staleIfError" | "expired"

export const freshness = (times: Times, now: number): Freshness =>
  now < times.refreshOn
    ? "fresh"
    : now < times.usableUntil
    ? "staleWhileRevalidate"
    : now < times.expiresOn
    ? "staleIfError"
    : "expired"

/**
 * The margin is at most a tenth of the lifetime, so that five-minute tokens are cached too. Without a usable word from
 * the service a token is renewed at half its lifetime. Jitter (0 to 1) only makes that earlier, by up to a tenth.
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

/** A tenth of a lifetime: for so long a new token is the best there is. */
const settledAt = ({ expiresOn, issuedAt }: Times): number => issuedAt + Math.max(0, expiresOn - issuedAt) / 10

/**
 * Whether a token is valid for less than a caller needs, and asking again may help. Where the service issues shorter ones
 * than that, every call would else be a request.
 */
export const isTooShort = (times: Times, now: number, minimumValidity: number): boolean =>
  minimumValidity > 0 && times.expiresOn - now < minimumValidity && now >= settledAt(times)

/** When to renew it so that nobody who needs `minimumValidity` ever waits: the margin is as before its expiry. */
export const refreshFrom = (times: Times, minimumValidity: number): number =>
  minimumValidity > 0
    ? Math.min(times.refreshOn, Math.max(times.usableUntil - minimumValidity, settledAt(times)))
    : times.refreshOn
