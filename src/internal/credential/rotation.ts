/**
 * A credential whose material may change while the program runs: loaded when it is first needed, again every so often,
 * and when the service refuses all that there is. `rotationState.ts` decides, this module sequences.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { type CredentialError } from "../../EntraError.ts"
import { isAhead } from "../shared/cooldown.ts"
import { credentialDefect, credentialError, credentialTimeout } from "../shared/errors.ts"
import { randomId } from "../shared/randomId.ts"
import { logSafely } from "../shared/safeLog.ts"
import type { Attempt, Authentication, Credential } from "./credential.ts"
import * as RotationState from "./rotationState.ts"

export interface Source<A> {
  /** What there is now, the newest first. */
  readonly load: Effect.Effect<ReadonlyArray<A>, CredentialError>
  /** Whether two pieces have the same content. */
  readonly same: (one: A, other: A) => boolean
  /** Milliseconds; `Infinity`: only when there is nothing yet or all of it was refused; 0: for every attempt. */
  readonly reloadEvery: number
  readonly prove: (material: A, attempt: Attempt) => Effect.Effect<Authentication, CredentialError>
  /** Milliseconds since the epoch; undefined when it does not expire, or nobody knows. */
  readonly expiresOn?: ((material: A) => number | undefined) | undefined
  /** What has been loaded already; without it the first attempt loads. */
  readonly initial?: ReadonlyArray<A> | undefined
  /**
   * Milliseconds; while a refusal stands nothing is sent, so nothing is loaded. With this the source is looked at behind
   * the calls that are refused locally, at most so often.
   */
  readonly lookEvery?: number | undefined
}

/** The material that one acquisition has tried. */
interface Tried {
  readonly refused: Set<number>
  /** The material of the attempt under way; undefined before the first attempt and after a refusal. */
  sent: number | undefined
  /** Whether a reload brought nothing new. */
  reloaded: boolean
}

/** A load that is under way; it is nobody's in particular, so that nobody who gives up ends it. */
interface Load {
  readonly number: number
  readonly since: number
  readonly done: Deferred.Deferred<void>
}

/** Milliseconds that a reload may hold up an attempt for which there is material; it goes on behind it. */
export const reloadWait = 5000

/** Milliseconds after which a load is given up, and another one may begin. */
const longestLoad = 60_000

export const make = <A>(source: Source<A>): Effect.Effect<Credential> =>
  Effect.gen(function*() {
    const clock = yield* Clock.Clock
    const context = yield* Effect.context<never>()
    const newId = yield* randomId
    const id = newId()
    const now = () => clock.currentTimeMillisUnsafe()
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

    /** What is not as it was starts with the newest; what is the same is used as it was loaded last. */
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

    /** What there is stays in use, and one line says so until it works again. */
    const kept = (error: CredentialError): Effect.Effect<void> => {
      if (isWarned || inUse === undefined) return Effect.void
      isWarned = true
      return logSafely(
        Effect.logWarning(
          `the credential could not be reloaded (${error.code}); what is in hand stays in use: ${error.message} ${error.remedy}`
        )
      )
    }

    const run = (load: Load): Effect.Effect<void> =>
      source.load.pipe(
        Effect.flatMap((loaded) => loaded.length === 0 ? Effect.fail(nothingLoaded()) : Effect.succeed(loaded)),
        Effect.map(numbered),
        // What dies or interrupts itself is somebody else's code.
        Effect.catchCause((cause) => Effect.fail(Option.getOrElse(Cause.findErrorOption(cause), credentialDefect))),
        Effect.exit,
        Effect.flatMap((exit) =>
          Effect.suspend(() => {
            // One that was given up comes too late: another has begun.
            if (underWay !== load) return Effect.void
            underWay = undefined
            const told = ended(load.number, exit)
            Deferred.doneUnsafe(load.done, Exit.void)
            return told
          })
        )
      )

    /** The load that is under way, or one that begins now. */
    const loading: Effect.Effect<Load> = Effect.suspend(() => {
      if (underWay !== undefined && isAhead(underWay.since + longestLoad, now(), longestLoad)) {
        return Effect.succeed(underWay)
      }
      loads = { ...loads, begun: loads.begun + 1 }
      const load: Load = { number: loads.begun, since: now(), done: Deferred.makeUnsafe() }
      underWay = load
      running?.interruptUnsafe()
      return Effect.map(Effect.forkDetach(run(load), { startImmediately: true }), (fiber) => {
        running = fiber
        return load
      })
    })

    const current = Effect.suspend((): Effect.Effect<void, CredentialError> => {
      if (!RotationState.isDue(loads, source.reloadEvery, now(), inUse !== undefined)) {
        return inUse === undefined ? outcome : Effect.void
      }
      return Effect.flatMap(loading, ({ done, since }) => {
        if (inUse === undefined) return Effect.andThen(Deferred.await(done), Effect.suspend(() => outcome))
        const left = since + reloadWait - now()
        return left <= 0
          ? Effect.void
          : Effect.timeoutOrElse(Deferred.await(done), {
            duration: left,
            orElse: () => Effect.suspend(() => kept(credentialTimeout(reloadWait)))
          })
      })
    })

    /** Whether there is something that this acquisition has not tried; if so, everybody turns to it. */
    const turn = (tried: Tried): boolean => {
      const next = untried(tried)
      if (next === undefined) return false
      inUse = next
      return true
    }

    /** All there is was refused: the next acquisition starts with the newest. */
    const giveUp = (): boolean => {
      inUse = candidates[0]
      refused = { number: inUse?.number, looked: now() }
      return false
    }

    /** A load that is under way may have looked before there was anything new, and then another is worth it. */
    const loadSince = (begun: number, tried: Tried): Effect.Effect<void> =>
      Effect.suspend(() =>
        loads.ended > begun || untried(tried) !== undefined
          ? Effect.void
          : Effect.flatMap(
            loading,
            ({ done }) => Effect.andThen(Deferred.await(done), Effect.suspend(() => loadSince(begun, tried)))
          )
      )

    const reload = (tried: Tried): Effect.Effect<boolean> =>
      Effect.suspend(() => {
        if (!RotationState.isWorthReload(loads, tried.reloaded, now())) return Effect.sync(giveUp)
        return Effect.map(loadSince(loads.begun, tried), () => {
          if (turn(tried)) return true
          // What brought something new may do so again: the acquisition may last longer than that was good for.
          tried.reloaded = true
          loads = { ...loads, fruitless: now() }
          return giveUp()
        })
      })

    const look = (every: number): void => {
      if (
        refused === undefined || refused.number !== inUse?.number || isAhead(refused.looked + every, now(), every)
      ) return
      refused = { ...refused, looked: now() }
      Effect.runForkWith(context)(loading)
    }

    if (source.initial !== undefined && source.initial.length > 0) {
      loads = { ...loads, begun: 1 }
      yield* ended(1, Exit.succeed(numbered(source.initial)))
    }

    /** Whether the material in hand needs no look at its source; a fixed value never does. */
    const isSettled = (): boolean => inUse !== undefined && source.reloadEvery === Infinity && !loads.failed

    const prove = (tried: Tried, attempt: Attempt): Effect.Effect<Authentication, CredentialError> => {
      const candidate = tried.refused.size === 0 ? inUse : untried(tried) ?? inUse
      if (candidate === undefined) return Effect.fail(nothingLoaded())
      tried.sent = candidate.number
      return source.prove(candidate.material, attempt)
    }

    const revisionOf = (tried: Tried): string => {
      if (source.lookEvery !== undefined) look(source.lookEvery)
      const number = tried.sent ?? (tried.refused.size === 0 ? inUse : untried(tried) ?? inUse)?.number
      return number === undefined ? "" : `${id}.${number}`
    }

    return {
      channel: "standard",
      binding: () => undefined,
      begin: () => {
        const tried: Tried = { refused: new Set(), sent: undefined, reloaded: false }
        return {
          revision: () => revisionOf(tried),
          authenticate: (attempt) =>
            isSettled() ? prove(tried, attempt) : Effect.flatMap(current, () => prove(tried, attempt)),
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
        return at === undefined ? undefined : DateTime.makeUnsafe(at)
      }
    }
  })

const nothingLoaded = () =>
  credentialError(
    "credential_missing",
    "credential",
    "the source of the credential has none",
    "Look at what loads it: at least one is needed."
  )
