/**
 * A credential whose material may change while the program runs. The material is loaded when it is first needed, again after
 * each reload interval, and when the service has refused all of it. `rotationState.ts` makes the decisions.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { type CredentialError } from "../../EntraError.ts"
import { credentialDefect, credentialError, credentialTimeout } from "../shared/errors.ts"
import { monotonicMillis } from "../shared/monotonic.ts"
import { randomId } from "../shared/randomId.ts"
import { eventOfOther, keepAlive, noKeepAlive, waitForOther, WaitUntil } from "../shared/requestContext.ts"
import { logSafely } from "../shared/safeLog.ts"
import type { Attempt, Authentication, Credential } from "./credential.ts"
import * as RotationState from "./rotationState.ts"

/** The source of a credential's material. */
export interface Source<A> {
  /** Loads the current material, the newest first. */
  readonly load: Effect.Effect<ReadonlyArray<A>, CredentialError>
  /** Returns whether two pieces of material have the same content. */
  readonly same: (one: A, other: A) => boolean
  /**
   * The reload interval in milliseconds. With `Infinity` the source is loaded only if there is no material or all material
   * was refused. With 0 it is loaded for every attempt.
   */
  readonly reloadEvery: number
  readonly prove: (material: A, attempt: Attempt) => Effect.Effect<Authentication, CredentialError>
  /** Returns the expiry in milliseconds since the epoch, or undefined if there is no expiry or it is unknown. */
  readonly expiresOn?: ((material: A) => number | undefined) | undefined
  /** Material that has been loaded already. Without it the first attempt loads the source. */
  readonly initial?: ReadonlyArray<A> | undefined
  /**
   * The interval of background loads in milliseconds. While a refusal is remembered no requests are sent, so no attempt
   * would load the source. With this option calls that are refused locally load it in the background.
   */
  readonly lookEvery?: number | undefined
}

/** The material that one acquisition has tried. */
interface Tried {
  readonly refused: Set<number>
  /** The material of the current attempt, or undefined before the first attempt and after a refusal. */
  sent: number | undefined
  /** True if a reload returned no new material. */
  reloaded: boolean
}

/** A running load. It belongs to no caller, so an interrupted caller does not end it. */
interface Load {
  readonly number: number
  readonly since: number
  readonly done: Deferred.Deferred<void>
}

/** The milliseconds that an attempt with material waits for a reload. The reload then continues in the background. */
export const reloadWait = 5000

/** The milliseconds after which a load is abandoned, and another load may begin. */
const longestLoad = 60_000

/** Creates a credential of a source. */
export const make = <A>(source: Source<A>): Effect.Effect<Credential> =>
  Effect.gen(function*() {
    const clock = yield* Clock.Clock
    const context = yield* Effect.context<never>()
    const newId = yield* randomId
    const id = newId()
    const now = () => monotonicMillis(clock)
    let loads = RotationState.noLoads
    let underWay: Load | undefined
    let running: Fiber.Fiber<void> | undefined
    let outcome: Exit.Exit<void, CredentialError> = Exit.void
    let candidates: ReadonlyArray<RotationState.Candidate<A>> = []
    let inUse: RotationState.Candidate<A> | undefined
    let numbers = 0
    let isWarned = false
    let refused: { readonly number: number | undefined; readonly looked: number } | undefined

    const untried = ({ refused }: Tried) => RotationState.untried(candidates, refused, inUse?.number)

    /**
     * Takes loaded material. A changed list starts with its newest material, an unchanged list keeps the material in
     * use.
     */
    const take = (loaded: ReadonlyArray<RotationState.Candidate<A>>): void => {
      const isSame = RotationState.isSameList(candidates, loaded)
      candidates = loaded
      numbers = Math.max(numbers, ...loaded.map(({ number }) => number))
      inUse = (isSame ? loaded.find(({ number }) => number === inUse?.number) : undefined) ?? loaded[0]
    }

    const numbered = (loaded: ReadonlyArray<A>) => RotationState.numbered(candidates, loaded, source.same, numbers)

    const ended = (
      number: number,
      exit: Exit.Exit<ReadonlyArray<RotationState.Candidate<A>>, CredentialError>
    ): Effect.Effect<void> => {
      loads = { ...loads, ended: number, at: now(), failed: Exit.isFailure(exit) }
      outcome = Exit.asVoid(exit)
      if (Exit.isSuccess(exit)) {
        take(exit.value)
        isWarned = false
        return Effect.void
      }
      return Option.match(Cause.findErrorOption(exit.cause), { onNone: () => Effect.void, onSome: kept })
    }

    /** Keeps the material in use, and logs one warning until a load succeeds again. */
    const kept = (error: CredentialError): Effect.Effect<void> => {
      if (isWarned || inUse === undefined) return Effect.void
      isWarned = true
      return logSafely(
        Effect.logWarning(
          `the credential could not be reloaded (${error.code}); the current one stays in use: ${error.message} ${error.remedy}`
        )
      )
    }

    const run = (load: Load): Effect.Effect<void> =>
      source.load.pipe(
        Effect.flatMap((loaded) => loaded.length === 0 ? Effect.fail(nothingLoaded()) : Effect.succeed(loaded)),
        Effect.map(numbered),
        // The source is foreign code, which may die or interrupt itself.
        Effect.catchCause((cause) => Effect.fail(Option.getOrElse(Cause.findErrorOption(cause), credentialDefect))),
        Effect.exit,
        Effect.flatMap((exit) =>
          Effect.suspend(() => {
            // The result of an abandoned load is ignored, because another load has begun, unless no material is loaded
            // yet.
            if (underWay !== load && (inUse !== undefined || Exit.isFailure(exit))) {
              Deferred.doneUnsafe(load.done, Exit.void)
              return Effect.void
            }
            if (underWay === load) underWay = undefined
            const told = ended(load.number, exit)
            Deferred.doneUnsafe(load.done, Exit.void)
            return told
          })
        )
      )

    /** Returns the running load, or starts a load. */
    const loading: Effect.Effect<Load> = Effect.suspend(() => {
      if (underWay !== undefined && now() < underWay.since + longestLoad) {
        return Effect.succeed(underWay)
      }
      // Only an abandoned load is interrupted: the fiber of a load that has ended may still have to log.
      if (underWay !== undefined) running?.interruptUnsafe()
      loads = { ...loads, begun: loads.begun + 1 }
      const load: Load = { number: loads.begun, since: now(), done: Deferred.makeUnsafe() }
      underWay = load
      return Effect.flatMap(Effect.forkDetach(run(load), { startImmediately: true }), (fiber) => {
        running = fiber
        return Effect.map(WaitUntil, (waitUntil) => {
          keepAlive(waitUntil, fiber)
          return load
        })
      })
    })

    /**
     * Waits for a load, which this caller starts if none is running. The load of another caller may have lost its I/O:
     * it is abandoned after a while, and `again` runs.
     */
    const loaded = <E>(again: Effect.Effect<void, E>): Effect.Effect<void, E> =>
      Effect.suspend(() => {
        const last = loads.begun
        return Effect.flatMap(loading, ({ done, number, since }) =>
          number > last
            ? Deferred.await(done)
            : waitForOther<void, E>(Deferred.await(done), {
              clock,
              left: since + reloadWait - now(),
              orElse: () =>
                Effect.suspend(() => {
                  if (underWay?.number === number) underWay = undefined
                  return again
                })
            }))
      })

    const current: Effect.Effect<void, CredentialError> = Effect.suspend(() => {
      if (!RotationState.isDue(loads, source.reloadEvery, now(), inUse !== undefined)) {
        return inUse === undefined ? outcome : Effect.void
      }
      if (inUse === undefined) return Effect.andThen(loaded(current), Effect.suspend(() => outcome))
      return Effect.flatMap(loading, (load) => {
        const left = load.since + reloadWait - now()
        return left <= 0
          ? Effect.void
          : Effect.timeoutOrElse(eventOfOther(Deferred.await(load.done)), {
            duration: left,
            orElse: () => Effect.suspend(() => kept(credentialTimeout(reloadWait)))
          })
      })
    })

    /** Returns whether there is material that this acquisition has not tried, and puts it into use for all acquisitions. */
    const turn = (tried: Tried): boolean => {
      const next = untried(tried)
      if (next === undefined) return false
      inUse = next
      return true
    }

    /** Ends an acquisition whose material was all refused. The next acquisition starts with the newest material. */
    const giveUp = (): boolean => {
      inUse = candidates[0]
      refused = { number: inUse?.number, looked: now() }
      return false
    }

    /** Waits for a load that began after `begun`. A load that was already running may have missed new material. */
    const loadSince = (begun: number, tried: Tried): Effect.Effect<void> =>
      Effect.suspend(() =>
        loads.ended > begun || untried(tried) !== undefined
          ? Effect.void
          : Effect.andThen(loaded(Effect.void), Effect.suspend(() => loadSince(begun, tried)))
      )

    const reload = (tried: Tried): Effect.Effect<boolean> =>
      Effect.suspend(() => {
        if (!RotationState.isWorthReload(loads, tried.reloaded, now())) return Effect.sync(giveUp)
        return Effect.map(loadSince(loads.begun, tried), () => {
          if (turn(tried)) return true
          // Only a load without new material prevents another load, because new material may be replaced again.
          tried.reloaded = true
          loads = { ...loads, fruitless: now() }
          return giveUp()
        })
      })

    const look = (every: number): void => {
      if (
        refused === undefined || refused.number !== inUse?.number || now() < refused.looked + every
      ) return
      refused = { ...refused, looked: now() }
      const waitUntil = Fiber.getCurrent()?.getRef(WaitUntil) ?? noKeepAlive
      Effect.runForkWith(context)(Effect.provideService(loading, WaitUntil, waitUntil))
    }

    if (source.initial !== undefined && source.initial.length > 0) {
      loads = { ...loads, begun: 1 }
      yield* ended(1, Exit.succeed(numbered(source.initial)))
    }

    const prove = (tried: Tried, attempt: Attempt): Effect.Effect<Authentication, CredentialError> => {
      const candidate = tried.refused.size === 0 ? inUse : untried(tried) ?? inUse
      if (candidate === undefined) return Effect.fail(nothingLoaded())
      tried.sent = candidate.number
      return source.prove(candidate.material, attempt)
    }

    return {
      channel: "standard",
      binding: () => undefined,
      begin: () => {
        const tried: Tried = { refused: new Set(), sent: undefined, reloaded: false }
        return {
          revision: () => {
            if (source.lookEvery !== undefined) look(source.lookEvery)
            const number = tried.sent ?? (tried.refused.size === 0 ? inUse : untried(tried) ?? inUse)?.number
            return number === undefined ? "" : `${id}.${number}`
          },
          authenticate: (attempt) =>
            // A fixed value is never reloaded.
            inUse !== undefined && source.reloadEvery === Infinity && !loads.failed
              ? prove(tried, attempt)
              : Effect.flatMap(current, () => prove(tried, attempt)),
          refused: (error) =>
            Effect.suspend(() => {
              const sent = tried.sent ?? inUse?.number
              if (sent !== undefined) tried.refused.add(sent)
              if (!RotationState.isCredentialFault(error)) return Effect.succeed(false)
              tried.sent = undefined
              return turn(tried) ? Effect.succeed(true) : reload(tried)
            })
        }
      },
      expiresOn: () => {
        const at = inUse === undefined ? undefined : source.expiresOn?.(inUse.material)
        return at === undefined ? undefined : DateTime.fromDateUnsafe(new Date(at))
      }
    }
  })

const nothingLoaded = () =>
  credentialError(
    "credential_missing",
    "credential",
    "The source of the credential returned no material",
    "Check the source. It must return at least one secret, key, certificate or assertion."
  )
