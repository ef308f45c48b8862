/**
 * Fibers that keep tokens fresh without callers. Each fiber sleeps on one timer until its token is due. It wakes early when
 * its token is invalidated or the client closes. A fiber may have a consumer, which gets each newer token.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import type { AuthenticationResult } from "../../AccessToken.ts"
import type { AcquireTokenError } from "../../EntraError.ts"
import type { CachedToken } from "../cache/cachedToken.ts"
import { type CacheKey, encode } from "../cache/cacheKey.ts"
import { freshness, isTooShort, refreshFrom } from "../cache/freshness.ts"
import type { Reaction } from "../cache/lead.ts"
import { retryWait } from "../endpoint/throttleGate.ts"
import { coolDown } from "../shared/cooldown.ts"
import { closedError } from "../shared/errors.ts"
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
  /**
   * Keeps a token fresh while the stream runs, and emits it and each newer token. With `waits` the first token is waited
   * for while the service throttles.
   */
  readonly tokens: (task: Task, waits: boolean) => Stream.Stream<AuthenticationResult, AcquireTokenError>
  /** Wakes the fibers of the tokens that an invalidation concerns. */
  readonly wake: Reaction
  /** Shows the cached token to the consumers of a key. */
  readonly show: (key: CacheKey) => void
}

/** The consumer of a stream of tokens. */
interface Consumer {
  readonly waits: boolean
  /** Emits a token, unless it is the token that was emitted last. */
  readonly take: (token: AuthenticationResult) => void
  /** Returns the time in milliseconds at which the token that was emitted last expires. */
  readonly expiresOn: () => number
}

/** The minimum time in milliseconds between two refreshes, even for tokens with a short lifetime and without a backoff. */
const minPause = 1000

/** The time in milliseconds between two looks at the wall clock during a pause. */
const lookInterval = 60_000

/** Returns whether the lifetime of a token is known. A token without a known lifetime is not cached. */
export const hasLifetime = ({ expiresOn, refreshOn }: AuthenticationResult): boolean =>
  refreshOn.epochMilliseconds < expiresOn.epochMilliseconds

/**
 * Returns the pause after a failed refresh in milliseconds, or undefined if the error ends the stream of the consumer. `left`
 * is the validity of the consumer's token; it is `Infinity` without a consumer.
 */
export const pauseAfterFailure = (
  failure: {
    readonly error: AcquireTokenError | undefined
    readonly failures: number
    readonly left: number
    readonly waits: boolean
  },
  backoff: { readonly base: number; readonly cap: number }
): number | undefined => {
  const { error, failures, left, waits } = failure
  if (left <= 0) return waits && error !== undefined ? retryWait(error) : undefined
  const retryAfter = error?.retryAfter === undefined ? 0 : Duration.toMillis(error.retryAfter)
  // A closed gate sent no request, so there is no backoff, only the time until the gate opens.
  const rest = error?._tag === "EntraThrottledError" && error.source !== "server" ? 0 : coolDown(failures, backoff)
  return Math.min(Math.max(retryAfter, rest, minPause), left)
}

/** Creates the registry of the tokens that one client keeps fresh. */
export const make = (options: {
  readonly clock: Clock.Clock
  readonly backoff: { readonly base: number; readonly cap: number }
  readonly isResting: (entry: CachedToken) => boolean
}): Effect.Effect<Keepers, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { clock } = options
    // By tenant and scopes, because the rest of a key may change with the credential.
    const keepers = new Map<string, Map<Latch.Latch, Task>>()
    const consumers = new Map<string, Map<Consumer, Task>>()
    let closed = false
    const isOpen = (): boolean => !closed
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        closed = true
        for (const group of keepers.values()) for (const latch of group.keys()) latch.openUnsafe()
      })
    )

    /** Returns the time until a refresh is due. It is 0 or less if a refresh is due now. */
    const pauseUntilDue = (entry: CachedToken, minimumValidity: number, now: number): number =>
      Math.max(
        now < entry.issuedAt ? 0 : refreshFrom(entry, minimumValidity) - now,
        options.isResting(entry) ? entry.retryOn - monotonicMillis(clock) : 0
      )

    /** Shows a cached token to a consumer, which takes it if a caller would be served it. */
    const showTo = (consumer: Consumer, { minimumValidity }: Task, entry: CachedToken): void => {
      const now = clock.currentTimeMillisUnsafe()
      if (freshness(entry, now) === "expired" || isTooShort(entry, now, minimumValidity)) return
      const hit = entry.freshHit
      if (Exit.isSuccess(hit)) consumer.take(hit.value)
    }

    /** Returns the difference between the two clocks, which changes when the machine sleeps or its wall clock is set. */
    const lead = (): number => clock.currentTimeMillisUnsafe() - monotonicMillis(clock)

    /**
     * Waits until the latch opens, until the pause ends, or until a look at the wall clock finds that it was set or
     * that the machine slept.
     */
    const rest = Effect.fnUntraced(function*(latch: Latch.Latch, pause: number) {
      // Both times are whole milliseconds, because the clock never reaches a fraction of one.
      const until = monotonicMillis(clock) + Math.floor(pause)
      const before = lead()
      const isOff = (): boolean => Math.abs(lead() - before) >= lookInterval
      // If the latch was opened during the refresh, there is no pause.
      for (let left = pause; left > 0 && !isOff(); left = until - monotonicMillis(clock)) {
        const isAwake = yield* latch.await.pipe(
          Effect.as(true),
          Effect.timeoutOrElse({ duration: Math.min(left, lookInterval), orElse: () => Effect.succeed(false) })
        )
        if (isAwake) break
      }
      latch.closeUnsafe()
    })

    /** Runs until the client closes, or until the consumer has no valid token and the refresh fails. */
    const run = Effect.fnUntraced(function*(task: Task, latch: Latch.Latch, consumer?: Consumer) {
      const left = (now: number) => consumer === undefined ? Infinity : consumer.expiresOn() - now
      let failures = 0
      while (isOpen()) {
        const entry = task.find()
        if (consumer !== undefined && entry !== undefined) showTo(consumer, task, entry)
        const now = clock.currentTimeMillisUnsafe()
        let pause = entry === undefined ? 0 : Math.min(pauseUntilDue(entry, task.minimumValidity, now), left(now))
        if (pause <= 0) {
          const exit = yield* Effect.exit(task.refresh(entry))
          failures = Exit.isSuccess(exit) ? 0 : failures + 1
          const now = clock.currentTimeMillisUnsafe()
          if (Exit.isFailure(exit)) {
            const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
            const waits = consumer?.waits === true
            const rest = pauseAfterFailure({ error, failures, left: left(now), waits }, options.backoff)
            if (rest === undefined) return yield* Effect.failCause(exit.cause)
            pause = rest
          } else {
            const current = task.find()
            if (current === undefined) consumer?.take(exit.value)
            // A token of the store was not fetched, so nothing has shown it.
            else if (consumer !== undefined) showTo(consumer, task, current)
            // A token that is not in the cache is refreshed when it is due too, if its lifetime is known.
            pause = Math.max(
              hasLifetime(exit.value) ? minPause : options.backoff.cap,
              current === undefined
                ? dueOn(exit.value, task.minimumValidity, now) - now
                : pauseUntilDue(current, task.minimumValidity, now)
            )
          }
        }
        yield* rest(latch, pause)
      }
    })

    const started = (task: Task, consumer?: Consumer): Effect.Effect<void, AcquireTokenError> =>
      Effect.suspend(() => {
        const latch = Latch.makeUnsafe()
        const name = nameOf(task.key())
        const group = keepers.get(name) ?? new Map<Latch.Latch, Task>()
        keepers.set(name, group.set(latch, task))
        return run(task, latch, consumer).pipe(
          Effect.ensuring(Effect.sync(() => {
            group.delete(latch)
            if (group.size === 0) keepers.delete(name)
          })),
          Effect.provideService(Clock.Clock, clock),
          // The fiber outlives its caller, so its spans must not belong to the caller's trace.
          Effect.updateContext((context: Context.Context<never>) => Context.omit(Tracer.ParentSpan)(context))
        )
      })

    return {
      keep: (task) =>
        Effect.suspend(() =>
          closed
            ? Effect.void
            : Effect.asVoid(Effect.forkScoped(started(task), { startImmediately: true }))
        ),
      tokens: (task, waits) =>
        // A slow subscriber needs only the newest token.
        Stream.callback((queue) =>
          Effect.suspend(() => {
            if (closed) return Effect.fail(closedError("The client"))
            let last: AuthenticationResult | undefined
            const consumer: Consumer = {
              waits,
              take: (token) => {
                const isNew = last === undefined || !isSame(last, token)
                last = token
                if (isNew) Queue.offerUnsafe(queue, token)
              },
              expiresOn: () => last?.expiresOn.epochMilliseconds ?? -Infinity
            }
            const name = nameOf(task.key())
            const group = consumers.get(name) ?? new Map<Consumer, Task>()
            consumers.set(name, group.set(consumer, task))
            return started(task, consumer).pipe(
              Effect.ensuring(Effect.sync(() => {
                group.delete(consumer)
                if (group.size === 0) consumers.delete(name)
              })),
              Effect.andThen(Queue.end(queue))
            )
          }), { bufferSize: 1, strategy: "sliding" }),
      wake: (isConcerned, only) => {
        for (const group of only === undefined ? keepers.values() : [keepers.get(nameOf(only)) ?? noKeepers]) {
          for (const [latch, task] of group) if (isConcerned(task.key())) latch.openUnsafe()
        }
      },
      show: (key) => {
        if (consumers.size === 0) return
        for (const [consumer, task] of consumers.get(nameOf(key)) ?? []) {
          const entry = task.key().text === key.text ? task.find() : undefined
          if (entry !== undefined) showTo(consumer, task, entry)
        }
      }
    }
  })

/** Returns the time of the refresh of a token that is not in the cache, whose age is unknown. */
const dueOn = (token: AuthenticationResult, minimumValidity: number, now: number): number => {
  const expiresOn = token.expiresOn.epochMilliseconds
  const refreshOn = token.refreshOn.epochMilliseconds
  return refreshFrom({ issuedAt: now, refreshOn, usableUntil: expiresOn, expiresOn }, minimumValidity)
}

const noKeepers: ReadonlyMap<Latch.Latch, Task> = new Map()

const nameOf = ({ scopes, tenant }: Pick<CacheKey, "tenant" | "scopes">): string => encode([tenant, scopes])

const isSame = (one: AuthenticationResult, other: AuthenticationResult): boolean =>
  Redacted.value(one.accessToken) === Redacted.value(other.accessToken)
