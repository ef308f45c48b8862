/** What is logged of a flight. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { AuthenticationResult, CacheRefreshReason } from "../../AccessToken.ts"
import type { AcquireTokenError } from "../../EntraError.ts"
import { defaultRetryAfter } from "../http/retryAfter.ts"
import { longest } from "../shared/cooldown.ts"
import { say } from "../shared/safeLog.ts"

/** For how long the service asked to be left alone, in milliseconds; undefined when it did not. */
export const throttledFor = (error: AcquireTokenError): number | undefined => {
  // What was decided here is the echo of something that has been said already.
  if (error.origin === "local") return undefined
  if (error.retryAfter !== undefined) return Math.min(Duration.toMillis(error.retryAfter), longest)
  return error._tag === "EntraThrottledError" ? defaultRetryAfter : undefined
}

/** Logs, at Debug, a flight that brought a token. */
export const succeeded = (
  { metadata }: AuthenticationResult,
  reason: CacheRefreshReason,
  attempts: number
): Effect.Effect<void> =>
  say(
    Effect.logDebug(
      `token ${reason === "ProactivelyRefreshed" ? "refreshed" : "acquired"} (${metadata.tokenSource}, ${reason})`
    ),
    { cacheLevel: metadata.cacheLevel, attempts }
  )

/** A refused credential and a closed gate concern all who use the client, so they are told of callers' flights and of renewals. */
export const failed = (error: AcquireTokenError): Effect.Effect<void> => {
  const retryAfterInMillis = throttledFor(error)
  if (error._tag === "EntraInvalidClientError" && error.origin === "service") {
    return say(
      Effect.logError(`credential refused ${said(error)}`),
      retryAfterInMillis === undefined ? codesOf(error) : { ...codesOf(error), retryAfterInMillis }
    )
  }
  return retryAfterInMillis === undefined
    ? Effect.void
    : say(Effect.logWarning(`throttled ${said(error)}`), { ...codesOf(error), retryAfterInMillis })
}

/** What else a caller can hear of a flight. */
export const requestFailed = (error: AcquireTokenError, about: Readonly<Record<string, string>>): Effect.Effect<void> =>
  error.origin === "local" || error._tag === "EntraInvalidClientError" || throttledFor(error) !== undefined
    ? Effect.void
    : say(Effect.logWarning(`token request failed ${said(error)}`), { ...about, ...codesOf(error), ...idOf(error) })

/** What callers do not hear of, because the token that was to be renewed is served. */
export const refreshFailed = (
  error: AcquireTokenError,
  nextTryInMillis: number,
  about: Readonly<Record<string, string>>
): Effect.Effect<void> =>
  say(
    Effect.logWarning(`token renewal failed (${error._tag} ${error.code}); the token in hand stays in use`),
    { nextTryInMillis, ...about, ...codesOf(error), ...idOf(error) }
  )

const said = (error: AcquireTokenError): string => `(${error._tag} ${error.code}): ${error.message} ${error.remedy}`

const idOf = ({ correlationId }: AcquireTokenError): { readonly correlationId?: string } =>
  correlationId === undefined ? {} : { correlationId }

/** The service's own numbers (AADSTS), where it gave any. */
export const codesOf = (error: AcquireTokenError): { readonly errorCodes?: string } =>
  "errorCodes" in error && error.errorCodes !== undefined && error.errorCodes.length > 0
    ? { errorCodes: error.errorCodes.join(" ") }
    : {}
