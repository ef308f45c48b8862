/**
 * Work that several requests share, on a platform that gives each request its own I/O (Cloudflare Workers). When such a
 * request ends, its timers and connections end with it, without an error, so no request may rely on the work of another
 * request: it waits with a timer of its own, and goes on by a promise of its own.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"

/** The default, on platforms that do not end the work of a request with it. */
export const noKeepAlive: (promise: Promise<unknown>) => void = () => {}

export const WaitUntil: Context.Reference<(promise: Promise<unknown>) => void> = Context.Reference<
  (promise: Promise<unknown>) => void
>("effect-entra/WaitUntil", { defaultValue: () => noKeepAlive })

/** Keeps a request alive until the fiber ends. */
export const keepAlive = (
  waitUntil: (promise: Promise<unknown>) => void,
  fiber: Fiber.Fiber<unknown, unknown>
): void => {
  if (waitUntil === noKeepAlive) return
  const ended = new Promise<void>((resolve) => void fiber.addObserver(() => resolve()))
  // If the function throws or its promise rejects, the work continues as without the function. The rejection is handled in
  // the same turn, because otherwise Cloudflare Workers report it.
  try {
    Promise.resolve(waitUntil(ended)).catch(() => {})
  } catch {
    // As above.
  }
}

/** Returns whether the platform may end the I/O of the caller's request, and of the requests that share work with it. */
export const isShared = (caller: Fiber.Fiber<unknown, unknown>): boolean =>
  isWorkers || caller.getRef(WaitUntil) !== noKeepAlive

/**
 * Waits for an event that another request may cause. Where that request may have lost its I/O, the wait ends after
 * `left` milliseconds, and `orElse` runs. Elsewhere the event comes in any case.
 */
export const waitForOther = <A, E>(
  event: Effect.Effect<A, E>,
  options: {
    readonly clock: Clock.Clock
    readonly left: number
    readonly orElse: () => Effect.Effect<A, E>
  }
): Effect.Effect<A, E> =>
  Effect.withFiber((caller) =>
    isShared(caller)
      ? inOwnRequest(event).pipe(
        Effect.timeoutOrElse({ duration: Math.max(0, options.left), orElse: options.orElse }),
        Effect.provideService(Clock.Clock, options.clock)
      )
      : event
  )

/** Waits for an event that another request may cause, if the caller has a timer already. */
export const eventOfOther = <A, E>(event: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.withFiber((caller) => isShared(caller) ? inOwnRequest(event) : event)

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const isWorkers = globalThis.navigator?.userAgent === "Cloudflare-Workers"

/**
 * Waits for an event and continues in the caller's own request. A callback runs in the request that causes the event,
 * but the reaction of a promise runs in the request that created the promise.
 */
const inOwnRequest = <A, E>(event: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.callback((resume) => {
    let leave = () => {}
    void new Promise<Effect.Effect<A, E>>((resolve) => {
      leave = Effect.runCallback(event, { onExit: resolve })
    }).then(resume)
    return Effect.sync(() => leave())
  })
