/** A renewal: a flight for a token that is still in hand, which also keeps that token's account of failures. */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { AuthenticationResult } from "../AccessToken.ts"
import type { AcquireTokenError } from "../EntraError.ts"
import type { Entry } from "./entry.ts"
import { codesOf } from "./flightLog.ts"
import { coolDown } from "./freshness.ts"

export const renewal = (
  entry: Entry,
  flight: Effect.Effect<AuthenticationResult, AcquireTokenError>,
  options: {
    readonly clock: Clock.Clock
    readonly coolDown: { readonly base: number; readonly cap: number }
    readonly annotations: Readonly<Record<string, string>>
  }
): Effect.Effect<AuthenticationResult, AcquireTokenError> =>
  Effect.suspend(() => {
    entry.renewing = true
    return flight
  }).pipe(
    Effect.tapError((error) =>
      Effect.suspend(() => {
        entry.failures++
        const rest = coolDown(entry.failures, options.coolDown)
        entry.retryOn = options.clock.currentTimeMillisUnsafe() + rest
        return Effect.logWarning(
          `token renewal failed (${error._tag} ${error.code}); the token in hand stays in use`
        ).pipe(Effect.annotateLogs({ nextTryInMillis: rest, ...codesOf(error), ...options.annotations }))
      })
    ),
    Effect.onExit(() =>
      Effect.sync(() => {
        entry.renewing = false
      })
    )
  )
