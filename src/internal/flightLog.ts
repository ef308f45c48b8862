/** What is logged of a flight. */
import * as Effect from "effect/Effect"
import type { AuthenticationResult } from "../AccessToken.ts"
import type { AcquireTokenError } from "../EntraError.ts"

/** One line for what was asked; what to do about a failure belongs to it. */
export const logged = (flight: Effect.Effect<AuthenticationResult, AcquireTokenError>) =>
  flight.pipe(
    Effect.tap(({ metadata }) =>
      Effect.logDebug(`token acquired (${metadata.tokenSource}, ${metadata.cacheRefreshReason})`)
    ),
    Effect.tapError((error) => {
      if (error.origin === "local") return Effect.void
      const said = `(${error._tag} ${error.code}): ${error.message} ${error.remedy}`
      const line = error._tag === "EntraInvalidClientError"
        ? Effect.logError(`credential refused ${said}`)
        : Effect.logWarning(`token request failed ${said}`)
      return Effect.annotateLogs(line, { correlationId: error.correlationId })
    })
  )
