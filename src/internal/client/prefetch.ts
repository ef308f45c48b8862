/** Acquires many tokens at once, so that later requests are cache hits. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Concurrency } from "effect/Types"
import type { AuthenticationResult } from "../../AccessToken.ts"
import type { AcquireTokenError } from "../../EntraError.ts"
import type { TokenRequest } from "../../TokenRequest.ts"

export interface PrefetchProgress {
  readonly done: number
  readonly failed: number
  readonly total: number
}

export interface PrefetchOptions<R = never> {
  readonly concurrency?: Concurrency | undefined
  readonly onProgress?: ((progress: PrefetchProgress) => Effect.Effect<void, never, R>) | undefined
}

export type Prefetched = Exit.Exit<AuthenticationResult, AcquireTokenError>

export const defaultConcurrency = 16

/** Acquires a token for each request, and returns the result of each. */
export const prefetch = <R = never>(
  acquire: (request: TokenRequest) => Effect.Effect<AuthenticationResult, AcquireTokenError>,
  requests: Iterable<TokenRequest>,
  { concurrency = defaultConcurrency, onProgress }: PrefetchOptions<R> = {}
): Effect.Effect<Array<Prefetched>, never, R> =>
  Effect.suspend(() => {
    const all = [...requests]
    let done = 0
    let failed = 0
    return Effect.forEach(
      all,
      (request) =>
        Effect.tap(Effect.exit(acquire(request)), (exit) => {
          done++
          if (Exit.isFailure(exit)) failed++
          if (onProgress === undefined) return Effect.void
          const progress = { done, failed, total: all.length }
          // `onProgress` is foreign code, so its defects must not fail the acquisition. In JavaScript it may return no effect.
          return Effect.catchDefect(
            Effect.suspend(() => {
              const told = onProgress(progress)
              return Effect.isEffect(told) ? told : Effect.void
            }),
            () => Effect.void
          )
        }),
      // A concurrency below 1 would never start.
      { concurrency: concurrency === "unbounded" || concurrency >= 1 ? concurrency : 1 }
    )
  })
