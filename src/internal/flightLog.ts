/** What is logged of a flight. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { AuthenticationResult, CacheRefreshReason } from "../AccessToken.ts"
import type { AcquireTokenError } from "../EntraError.ts"
import { defaultRetryAfter, longest } from "./retryAfter.ts"

/** For how long the service asked to be left alone, in milliseconds; undefined when it did not. */
export const throttledFor = (error: AcquireTokenError): number | undefined => {
  // What was decided here is the echo of something that has been said already.
  if (error.origin === "local") return undefined
  if (error.retryAfter !== undefined) return Math.min(Duration.toMillis(error.retryAfter), longest)
  return error._tag === "EntraThrottledError" ? defaultRetryAfter : undefined
}

/** A line that every flight of its kind writes, whoever asked for it. */
export const succeeded = (result: AuthenticationResult, reason: CacheRefreshReason, attempts: number) =>
  Effect.logDebug(
    `token ${reason === "ProactivelyRefreshed" ? "refreshed" : "acquired"} (${result.metadata.tokenSource}, ${reason})`
  ).pipe(Effect.annotateLogs({ cacheLevel: result.metadata.cacheLevel, attempts }))

/** A refused credential and a closed gate concern all who use the client, so they are told of callers' flights and of renewals. */
export const failed = (error: AcquireTokenError): Effect.Effect<void> => {
  const retryAfterInMillis = throttledFor(error)
  if (error._tag === "EntraInvalidClientError" && error.origin === "service") {
    return Effect.annotateLogs(
      Effect.logError(`credential refused ${said(error)}`),
      retryAfterInMillis === undefined ? codesOf(error) : { ...codesOf(error), retryAfterInMillis }
    )
  }
  return retryAfterInMillis === undefined
    ? Effect.void
    : Effect.annotateLogs(Effect.logWarning(`throttled ${said(error)}`), { ...codesOf(error), retryAfterInMillis })
}

/** What else can befall the flight of a caller; a failed renewal has a line of its own. */
export const logged = (flight: Effect.Effect<AuthenticationResult, AcquireTokenError>) =>
  Effect.tapError(
    flight,
    (error) =>
      error.origin === "local" || error._tag === "EntraInvalidClientError" || throttledFor(error) !== undefined
        ? Effect.void
        : Effect.annotateLogs(Effect.logWarning(`token request failed ${said(error)}`), {
          ...codesOf(error),
          correlationId: error.correlationId
        })
  )

const said = (error: AcquireTokenError): string => `(${error._tag} ${error.code}): ${error.message} ${error.remedy}`

/** The service's own numbers (AADSTS), where it gave any. */
export const codesOf = (error: AcquireTokenError): { readonly errorCodes?: string } =>
  "errorCodes" in error && error.errorCodes !== undefined && error.errorCodes.length > 0
    ? { errorCodes: error.errorCodes.join(" ") }
    : {}
