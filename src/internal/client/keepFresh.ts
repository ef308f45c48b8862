/**
 * Fibers that keep tokens fresh without callers. Each fiber sleeps on one timer until its token is due. It wakes early when
 * its token is invalidated or the client closes.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import type { AuthenticationResult } from "../../AccessToken.ts"
import type { AcquireTokenError } from "../../EntraError.ts"
import type { CachedToken } from "../cache/cachedToken.ts"
import type { CacheKey } from "../cache/cacheKey.ts"
import { refreshFrom } from "../cache/freshness.ts"
import { coolDown } from "../shared/cooldown.ts"
import { monotonicMillis } from "../shared/monotonic.ts"

/** A token to keep fresh. */
export interface Task {
  readonly key: () => CacheKey
  readonly minimumValidity: number
  readonly find: () => CachedToken | undefined
  /** Refreshes this entry, or acquires a token without an entry. */
  readonly refresh: (entry: CachedToken | undefined) => Effect.Effect<AuthenticationResult, AcquireTokenError>
}

export interface Keepers {
  /** Keeps a token fresh until the scope or the client closes. */
  readonly keep: (task: Task) => Effect.Effect<void, never, Scope.Scope>
  /** Wakes the fibers of the tokens that `isConcerned` selects. */
  readonly wake: (isConcerned: (key: CacheKey) => boolean) => void
}

/** The minimum time in milliseconds between a success and the next request, even for tokens with a short lifetime. */
const minPause = 1000

/** Returns whether the lifetime of a token is known. A token without a known lifetime is not cached. */
export const hasLifetime = ({ expiresOn, refreshOn }: AuthenticationResult): boolean =>
  refreshOn.epochMilliseconds < expiresOn.epochMilliseconds

/** Creates the registry of the tokens that one client keeps fresh. */
export const make = (options: {
  readonly clock: Clock.Clock
  readonly backoff: { readonly base: number; readonly cap: number }
  readonly isResting: (entry: CachedToken) => boolean
}): Effect.Effect<Keepers, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { clock } = options
    const keepers = new Map<Latch.Latch, Task>()
    let closed = false
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        closed = true
        const latches = [...keepers.keys()]
        keepers.clear()
        for (const latch of latches) latch.openUnsafe()
      })
    )

    /** Returns the time until a refresh is due. It is 0 or less if a refresh is due now. */
    const pauseUntilDue = (entry: CachedToken, minimumValidity: number, now: number): number =>
      Math.max(
        now < entry.issuedAt ? 0 : refreshFrom(entry, minimumValidity) - now,
        options.isResting(entry) ? entry.retryOn - monotonicMillis(clock) : 0
      )

    const pauseAfterFailure = (failures: number, cause: Cause.Cause<AcquireTokenError>): number => {
      const error = Option.getOrUndefined(Cause.findErrorOption(cause))
      const retryAfter = error?.retryAfter === undefined ? 0 : Duration.toMillis(error.retryAfter)
      // A closed gate sent no request, so there is no backoff, only the time until the gate opens.
      return error?._tag === "EntraThrottledError" && error.source !== "server"
        ? Math.max(retryAfter, minPause)
        : Math.max(retryAfter, coolDown(failures, options.backoff))
    }

    const run = Effect.fnUntraced(function*(task: Task, latch: Latch.Latch) {
      let failures = 0
      while (keepers.has(latch)) {
        const entry = task.find()
        let pause = entry === undefined
          ? 0
          : pauseUntilDue(entry, task.minimumValidity, clock.currentTimeMillisUnsafe())
        if (pause <= 0) {
          const exit = yield* Effect.exit(task.refresh(entry))
          failures = Exit.isSuccess(exit) ? 0 : failures + 1
          const now = clock.currentTimeMillisUnsafe()
          const current = task.find()
          pause = Exit.isFailure(exit)
            ? pauseAfterFailure(failures, exit.cause)
            // A token that is not in the cache is refreshed at its `refreshOn` too, if its lifetime is known.
            : Math.max(
              hasLifetime(exit.value) ? minPause : options.backoff.cap,
              current === undefined
                ? exit.value.refreshOn.epochMilliseconds - now
                : pauseUntilDue(current, task.minimumValidity, now)
            )
        }
        // If the latch was opened during the refresh, there is no pause.
        yield* Effect.timeoutOrElse(latch.await, { duration: pause, orElse: () => Effect.void })
        latch.closeUnsafe()
      }
    })

    return {
      keep: (task) =>
        Effect.suspend(() => {
          if (closed) return Effect.void
          const latch = Latch.makeUnsafe()
          keepers.set(latch, task)
          return run(task, latch).pipe(
            Effect.ensuring(Effect.sync(() => keepers.delete(latch))),
            Effect.provideService(Clock.Clock, clock),
            // The fiber outlives its caller, so its spans must not belong to the caller's trace.
            Effect.updateContext((context: Context.Context<never>) => Context.omit(Tracer.ParentSpan)(context)),
            Effect.forkScoped({ startImmediately: true }),
            Effect.asVoid
          )
        }),
      wake: (isConcerned) => {
        for (const [latch, task] of keepers) if (isConcerned(task.key())) latch.openUnsafe()
      }
    }
  })
