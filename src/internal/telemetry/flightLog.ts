/** The log lines of a flight, an acquisition that several callers may share. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { AuthenticationResult, CacheRefreshReason } from "../../AccessToken.ts"
import type { AcquireTokenError } from "../../EntraError.ts"
import { longestRetryAfter } from "../shared/cooldown.ts"
import { isRefused } from "../shared/errors.ts"
import { logSafely } from "../shared/safeLog.ts"

/** Returns the milliseconds for which the service throttles, or undefined if it does not. */
export const throttledFor = (error: AcquireTokenError): number | undefined => {
  // An error of local origin repeats an error that has been logged already.
  if (error.origin === "local") return undefined
  return error.retryAfter === undefined ? undefined : Math.min(Duration.toMillis(error.retryAfter), longestRetryAfter)
}

/** Logs, at Debug, a flight that brought a token. */
export const succeeded = (
  { metadata }: AuthenticationResult,
  reason: CacheRefreshReason,
  attempts: number
): Effect.Effect<void> =>
  logSafely(
    Effect.logDebug(
      `token ${reason === "ProactivelyRefreshed" ? "refreshed" : "acquired"} (${metadata.tokenSource}, ${reason})`
    ),
    { cacheLevel: metadata.cacheLevel, attempts }
  )

/**
 * Logs a refused credential or a throttle. Both concern every user of the client, so they are logged for callers' requests
 * and for refreshes.
 */
export const failed = (error: AcquireTokenError): Effect.Effect<void> => {
  const retryAfterInMillis = throttledFor(error)
  if (error._tag === "EntraInvalidClientError" && error.origin === "service") {
    return logSafely(
      Effect.logError(`credential refused ${descriptionOf(error)}`),
      retryAfterInMillis === undefined ? codesOf(error) : { ...codesOf(error), retryAfterInMillis }
    )
  }
  return retryAfterInMillis === undefined
    ? Effect.void
    : logSafely(Effect.logWarning(`throttled ${descriptionOf(error)}`), { ...codesOf(error), retryAfterInMillis })
}

/** Logs any other failure that callers receive. */
export const requestFailed = (
  error: AcquireTokenError,
  annotations: Readonly<Record<string, string>>
): Effect.Effect<void> =>
  error.origin === "local" || error._tag === "EntraInvalidClientError" || throttledFor(error) !== undefined
    ? Effect.void
    : logSafely(Effect.logWarning(`token request failed ${descriptionOf(error)}`), {
      ...annotations,
      ...codesOf(error),
      ...correlationIdOf(error)
    })

/**
 * Logs a failed refresh that callers do not receive, because the current token is still served. A remembered refusal
 * has been logged when the service sent it.
 */
export const refreshFailed = (
  error: AcquireTokenError,
  nextTryInMillis: number,
  annotations: Readonly<Record<string, string>>
): Effect.Effect<void> =>
  error.origin === "local" && isRefused(error) ? Effect.void : logSafely(
    Effect.logWarning(`token refresh failed (${error._tag} ${error.code}); the current token stays in use`),
    { nextTryInMillis, ...annotations, ...codesOf(error), ...correlationIdOf(error) }
  )

const descriptionOf = (error: AcquireTokenError): string =>
  `(${error._tag} ${error.code}): ${error.message} ${error.remedy}`

const correlationIdOf = ({ correlationId }: AcquireTokenError): { readonly correlationId?: string } =>
  correlationId === undefined ? {} : { correlationId }

/** Returns the service's error numbers (AADSTS), if it sent any. */
export const codesOf = (error: AcquireTokenError): { readonly errorCodes?: string } =>
  "errorCodes" in error && error.errorCodes !== undefined && error.errorCodes.length > 0
    ? { errorCodes: error.errorCodes.join(" ") }
    : {}
