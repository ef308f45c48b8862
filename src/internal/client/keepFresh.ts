/**
 * Those who have a token kept fresh without anybody asking. Each sleeps until there is something to do, on one timer, and
 * is woken when its token is invalidated or the client closes.
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
import { type CacheKey, type Selector, selects } from "../cache/cacheKey.ts"
import { refreshFrom } from "../cache/freshness.ts"
import { coolDown } from "../shared/cooldown.ts"

export interface Task {
  readonly key: () => CacheKey
  readonly minimumValidity: number
  readonly find: () => CachedToken | undefined
  /** Renew this entry, or acquire a token where there is none. */
  readonly refresh: (entry: CachedToken | undefined) => Effect.Effect<AuthenticationResult, AcquireTokenError>
}

export interface Keepers {
  /** Until its scope or the client closes. */
  readonly keep: (task: Task) => Effect.Effect<void, never, Scope.Scope>
  readonly wake: (selector: Selector) => void
}

/** Milliseconds between a success and the next request, however short the tokens are. */
const leastPause = 1000

export const make = (options: {
  readonly clock: Clock.Clock
  readonly backoff: { readonly base: number; readonly cap: number }
  readonly isResting: (entry: CachedToken, now: number) => boolean
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

    /** How long there is nothing to do; nothing to do with the token in hand: 0 or less. */
    const rest = (entry: CachedToken, minimumValidity: number, now: number): number =>
      Math.max(refreshFrom(entry, minimumValidity), options.isResting(entry, now) ? entry.retryOn : 0) - now

    const afterFailure = (failures: number, cause: Cause.Cause<AcquireTokenError>): number => {
      const error = Option.getOrUndefined(Cause.findErrorOption(cause))
      const asked = error?.retryAfter === undefined ? 0 : Duration.toMillis(error.retryAfter)
      // Nothing was sent, so nothing has failed: it only has to wait until the gate opens.
      return error?._tag === "EntraThrottledError" && error.source !== "server"
        ? Math.max(asked, leastPause)
        : Math.max(asked, coolDown(failures, options.backoff))
    }

    const run = Effect.fnUntraced(function*(task: Task, latch: Latch.Latch) {
      let failures = 0
      while (keepers.has(latch)) {
        const entry = task.find()
        let pause = entry === undefined ? 0 : rest(entry, task.minimumValidity, clock.currentTimeMillisUnsafe())
        if (pause <= 0) {
          const exit = yield* Effect.exit(task.refresh(entry))
          failures = Exit.isSuccess(exit) ? 0 : failures + 1
          const now = clock.currentTimeMillisUnsafe()
          const kept = task.find()
          pause = Exit.isFailure(exit)
            ? afterFailure(failures, exit.cause)
            // What the cache does not hold has its time all the same.
            : Math.max(
              leastPause,
              kept === undefined
                ? exit.value.refreshOn.epochMilliseconds - now
                : rest(kept, task.minimumValidity, now)
            )
        }
        // Woken while it was busy, it looks again at once.
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
            // It goes on long after whoever started it, whose trace it would fill.
            Effect.updateContext((context: Context.Context<never>) => Context.omit(Tracer.ParentSpan)(context)),
            Effect.forkScoped({ startImmediately: true }),
            Effect.asVoid
          )
        }),
      wake: (selector) => {
        for (const [latch, task] of keepers) if (selects(selector, task.key())) latch.openUnsafe()
      }
    }
  })
