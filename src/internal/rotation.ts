/**
 * A credential whose material may change while the program runs: loaded when it is first needed, again every so often,
 * and when the service refuses all that there is. `candidates.ts` decides, this sequences.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Semaphore from "effect/Semaphore"
import { CredentialError } from "../EntraError.ts"
import * as Candidates from "./candidates.ts"
import type { Attempt, Credential } from "./credential.ts"
import { isAhead } from "./freshness.ts"
import type { Authentication } from "./identityHttp.ts"
import { randomId } from "./randomId.ts"
import { say } from "./say.ts"
import { credentialDefect, credentialTimeout } from "./tooSlow.ts"

export interface Source<A> {
  /** What there is now, the newest first. */
  readonly load: Effect.Effect<ReadonlyArray<A>, CredentialError>
  /** Whether two pieces have the same content. */
  readonly same: (one: A, other: A) => boolean
  /** Milliseconds; `Infinity`: only when there is nothing yet or all of it was refused; 0: for every attempt. */
  readonly reloadEvery: number
  readonly prove: (material: A, attempt: Attempt) => Effect.Effect<Omit<Authentication, "revision">, CredentialError>
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

/** What one acquisition has tried, from its first refusal to its last. */
interface Tried {
  readonly numbers: ReadonlySet<number>
  readonly reloaded: boolean
  /** Whether a refusal has led to other material; false while an attempt is under way. */
  readonly goesOn: boolean
}

/** Acquisitions whose attempts are remembered, which is needed only while they are under way. */
export const keptIds = 1000

/** Milliseconds that a reload may hold up an attempt for which there is material. */
export const patience = 5000

export const make = <A>(source: Source<A>): Effect.Effect<Credential> =>
  Effect.gen(function*() {
    const clock = yield* Clock.Clock
    const newId = yield* randomId
    const id = newId()
    const now = () => clock.currentTimeMillisUnsafe()
    const semaphore = Semaphore.makeUnsafe(1)
    let loads = Candidates.noLoads
    let outcome: Exit.Exit<void, CredentialError> = Exit.void
    let candidates: ReadonlyArray<Candidates.Candidate<A>> = []
    let inUse: Candidates.Candidate<A> | undefined
    let numbers = 0
    let isWarned = false
    let refused: { readonly number: number | undefined; readonly looked: number } | undefined
    const tried = new Map<string, Tried>()

    const remember = (correlationId: string, record: Tried): void => {
      tried.delete(correlationId)
      if (tried.size >= keptIds) tried.delete(tried.keys().next().value ?? "")
      tried.set(correlationId, record)
    }

    /** What is not as it was starts with the newest. */
    const take = (loaded: ReadonlyArray<A>): void => {
      const before = candidates
      candidates = Candidates.numbered(before, loaded, source.same, numbers)
      numbers = Math.max(numbers, ...candidates.map(({ number }) => number))
      if (!Candidates.isSameList(before, candidates)) inUse = candidates[0]
    }

    const ended = (exit: Exit.Exit<ReadonlyArray<A>, CredentialError>): Exit.Exit<void, CredentialError> => {
      loads = { ...loads, ended: loads.begun, at: now(), failed: Exit.isFailure(exit) }
      outcome = Exit.asVoid(exit)
      if (Exit.isSuccess(exit)) {
        take(exit.value)
        isWarned = false
      }
      return outcome
    }

    const begin: Effect.Effect<void, CredentialError> = Effect.suspend(() => {
      loads = { ...loads, begun: loads.begun + 1 }
      return source.load.pipe(
        Effect.flatMap((loaded) => loaded.length === 0 ? Effect.fail(nothingLoaded()) : Effect.succeed(loaded)),
        // Whoever is interrupted comes to no end; what dies or interrupts itself is somebody else's code.
        Effect.catchCause((cause) => Effect.fail(Option.getOrElse(Cause.findErrorOption(cause), credentialDefect))),
        Effect.exit,
        Effect.flatMap(ended)
      )
    })

    /** One at a time; who comes while one is under way waits for it, and begins another unless that has done. */
    const loadUnless = (isDone: () => boolean): Effect.Effect<void, CredentialError> =>
      semaphore.withPermit(Effect.suspend(() => isDone() ? outcome : begin))

    /** Who has waited for a load that ended meanwhile has its outcome. */
    const loadAfter = (number: number): Effect.Effect<void, CredentialError> => loadUnless(() => loads.ended > number)

    /** What there is stays in use, and one line says so until it works again. */
    const keep = (error: CredentialError): Effect.Effect<void> =>
      Effect.suspend(() => {
        if (isWarned) return Effect.void
        isWarned = true
        return say(
          Effect.logWarning(
            `the credential could not be reloaded (${error.code}); what is in hand stays in use: ${error.message} ${error.remedy}`
          )
        )
      })

    const current = Effect.suspend(() => {
      if (inUse !== undefined && !Candidates.isDue(loads, source.reloadEvery, now())) return Effect.void
      const load = loadAfter(loads.ended)
      return inUse === undefined ? load : load.pipe(
        Effect.timeoutOrElse({
          duration: patience,
          orElse: () => Effect.suspend(() => ended(Exit.fail(credentialTimeout(patience))))
        }),
        Effect.catch(keep)
      )
    })

    /** Whether there is something that this acquisition has not tried; if so, everybody turns to it. */
    const turn = (correlationId: string, record: Tried): boolean => {
      const next = Candidates.untried(candidates, record.numbers, inUse?.number)
      if (next === undefined) return false
      inUse = next
      remember(correlationId, { ...record, goesOn: true })
      return true
    }

    /** All there is was refused: the next acquisition starts with the newest. */
    const giveUp = (): boolean => {
      inUse = candidates[0]
      refused = { number: inUse?.number, looked: now() }
      return false
    }

    const reload = (correlationId: string, record: Tried): Effect.Effect<boolean> =>
      Effect.suspend(() => {
        if (!Candidates.isWorthReload(loads, record.reloaded, now())) return Effect.sync(giveUp)
        // A load that is under way may have looked before there was anything new.
        const { begun } = loads
        const isDone = () =>
          loads.ended > begun || Candidates.untried(candidates, record.numbers, inUse?.number) !== undefined
        return loadUnless(isDone).pipe(
          Effect.catch(keep),
          Effect.map(() => {
            if (turn(correlationId, { ...record, reloaded: true })) return true
            loads = { ...loads, fruitless: now() }
            return giveUp()
          })
        )
      })

    const look = (every: number): void => {
      if (
        refused === undefined || refused.number !== inUse?.number || isAhead(refused.looked + every, now(), every)
      ) return
      refused = { ...refused, looked: now() }
      Effect.runFork(
        Effect.ignore(loadAfter(loads.ended)).pipe(Effect.provideService(Clock.Clock, clock))
      )
    }

    if (source.initial !== undefined && source.initial.length > 0) {
      loads = { ...loads, begun: 1 }
      ended(Exit.succeed(source.initial))
    }

    return {
      channel: "standard",
      binding: () => undefined,
      revision: () => {
        if (source.lookEvery !== undefined) look(source.lookEvery)
        return inUse === undefined ? "" : `${id}.${inUse.number}`
      },
      authenticate: (attempt) =>
        Effect.flatMap(current, () => {
          const known = tried.get(attempt.correlationId)
          // Without a refusal before it, this is an acquisition of its own, or a repetition of the same request.
          const record = known?.goesOn === true ? known : undefined
          // The one in use unless this acquisition has tried it: it is the one that `revision` names.
          const candidate = record === undefined
            ? inUse
            : Candidates.untried(candidates, record.numbers, inUse?.number) ?? inUse
          if (candidate === undefined) return Effect.fail(nothingLoaded())
          remember(attempt.correlationId, {
            numbers: new Set(record?.numbers).add(candidate.number),
            reloaded: record?.reloaded ?? false,
            goesOn: false
          })
          return Effect.map(
            source.prove(candidate.material, attempt),
            (proof) => ({ ...proof, revision: `${id}.${candidate.number}` })
          )
        }),
      refused: (error) =>
        Effect.suspend(() => {
          const correlationId = error.correlationId ?? ""
          const record = tried.get(correlationId) ?? {
            numbers: new Set(inUse === undefined ? [] : [inUse.number]),
            reloaded: false,
            goesOn: false
          }
          tried.delete(correlationId)
          if (!Candidates.mends(error)) return Effect.succeed(false)
          return turn(correlationId, record) ? Effect.succeed(true) : reload(correlationId, record)
        }),
      expiresOn: () => {
        const at = inUse === undefined ? undefined : source.expiresOn?.(inUse.material)
        return at === undefined ? undefined : DateTime.makeUnsafe(at)
      }
    }
  })

const nothingLoaded = () =>
  new CredentialError({
    code: "credential_missing",
    field: "credential",
    origin: "local",
    message: "the source of the credential has none",
    remedy: "Look at what loads it: at least one is needed."
  })
