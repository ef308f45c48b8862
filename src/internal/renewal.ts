/** A renewal: a flight for a token that is still in hand, which also keeps that token's account of failures. */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { AuthenticationResult } from "../AccessToken.ts"
import type { AcquireTokenError } from "../EntraError.ts"
import type { Entry } from "./entry.ts"
import { renewalFailed, requestFailed } from "./flightLog.ts"
import { coolDown, type Times } from "./freshness.ts"
import { isRefused } from "./gate.ts"

/** Whether callers are served the token in hand after its renewal has failed; a refusal in its last minutes they hear. */
export const staysInUse = (times: Times, error: AcquireTokenError, now: number, outageTolerance: boolean): boolean =>
  now < times.usableUntil || (outageTolerance && now < times.expiresOn && !isRefused(error))

/** Of a flight that its callers depend on. */
export const notSpared = (): boolean => false

export const renewal = (
  entry: Entry,
  flight: Effect.Effect<AuthenticationResult, AcquireTokenError>,
  options: {
    readonly clock: Clock.Clock
    readonly coolDown: { readonly base: number; readonly cap: number }
    readonly isSpared: (error: AcquireTokenError) => boolean
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
        return options.isSpared(error)
          ? renewalFailed(error, rest, options.annotations)
          : requestFailed(error, options.annotations)
      })
    ),
    Effect.onExit(() =>
      Effect.sync(() => {
        entry.renewing = false
      })
    )
  )
