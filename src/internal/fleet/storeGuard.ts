/**
 * Bounds the time that an acquisition waits for a store that is slow, hangs or is down: each command has a budget, few
 * commands run at a time, and after two commands without an answer nothing is sent for a while.
 *
 * The budget is counted in turns of a timer. When this process is busy, its timers are late too, so the delay does not
 * count against the store.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import { RefusedByStoreError } from "../../TokenStore.ts"
import { admit, type Circuit, settle } from "../endpoint/circuitBreaker.ts"
import * as FairQueue from "../endpoint/fairQueue.ts"
import { monotonicMillis } from "../shared/monotonic.ts"

/** The result of a command. `Refused`: the store answered with an error. `Silent`: it did not answer, or was not asked. */
export type Answer<A> = { readonly _tag: "Answered"; readonly value: A } | typeof refused | typeof silent

const refused = { _tag: "Refused" } as const
const silent = { _tag: "Silent" } as const

/**
 * Acquisitions wait for each `read`, so reads decide whether the store is down. No acquisition waits for a `write`, so
 * it has a longer budget. Writes may fail while reads succeed, so they also have their own circuit. An `urgent` command
 * does not wait for other commands, and no acquisition waits for it. With a `probe` the guard itself tries a store that
 * is down, so that no caller has to.
 */
export type CommandKind = "read" | "write" | "urgent" | "probe"

/** The turns that are left for the commands of one acquisition, or of one command. */
export interface Budget {
  left: number
}

export interface StoreGuard {
  /** Runs a command about a name. Without `budget` it has a budget of its own. */
  readonly run: <A>(
    kind: CommandKind,
    name: string,
    command: Effect.Effect<A, unknown>,
    budget?: Budget
  ) => Effect.Effect<Answer<A>>
  /**
   * Groups the items of one command by node, because a node that does not answer must affect only its own names. `most`
   * is the size of a group.
   */
  readonly byNode: <A extends { readonly name: string }>(
    some: Iterable<A>,
    most?: number
  ) => ReadonlyArray<readonly [A, ...Array<A>]>
  /** Returns whether commands to some node are not sent at present. */
  readonly isDown: () => boolean
}

/** The length of a turn in milliseconds. */
export const turn = 25

/** The budget of a command, or of the commands of one acquisition, in turns. */
export const wholeBudget = 8

export const newBudget = (): Budget => ({ left: wholeBudget })

/** The budget of a command that no acquisition waits for. */
const backgroundBudget = 24

/**
 * The number of commands under way at a time. More commands would wait for each other in the store, and use up their
 * budgets there.
 */
export const maxInFlight = { read: 24, write: 8, urgent: Infinity, probe: Infinity }

const circuitOptions = { failures: 2, openDuration: 500, probeTimeout: 1000 }

/** The state of a node. */
interface NodeState {
  all: Circuit
  writes: Circuit
  /** The name of the last command that it did not answer; undefined while it answers. */
  lost: string | undefined
  isProbed: boolean
}

/**
 * Creates a guard. `onChange` runs when a node of the store goes down, and when all are back, and `onRefused` for each
 * command that the store refuses; `reason` is what is known of the last failure. `probe` is a cheap command
 * about a name, and `nodeOf` returns the node of a name when there are several.
 */
export const make = (options: {
  readonly onChange: (isDown: boolean, reason: string) => Effect.Effect<void>
  readonly onRefused: (reason: string) => void
  readonly probe: (name: string) => Effect.Effect<unknown, unknown>
  readonly nodeOf?: ((name: string) => string) | undefined
}): Effect.Effect<StoreGuard, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { nodeOf = () => "", onChange, onRefused, probe } = options
    const clock = yield* Clock.Clock
    const context = yield* Effect.context<never>()
    const scope = yield* Effect.scope
    const fork = Effect.runForkWith(context)
    const commands = new Set<{ readonly until: number; readonly giveUp: () => void }>()
    const waiting = { read: newQueue(), write: newQueue(), urgent: newQueue(), probe: newQueue() }
    const inFlight = { read: 0, write: 0, urgent: 0, probe: 0 }
    const isStarting = { read: false, write: false, urgent: false, probe: false }
    let turns = 0
    let isTicking = false
    let isClosed = false
    let isDown = false
    let reason = noReply
    const nodes = new Map<string, NodeState>()

    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        isClosed = true
        for (const { giveUp } of commands) giveUp()
        for (const queue of Object.values(waiting)) for (let start = queue.next(); start; start = queue.next()) start()
      })
    )

    const tick: Effect.Effect<void> = Effect.suspend(() => {
      turns++
      for (const { giveUp, until } of commands) if (until <= turns) giveUp()
      isTicking = commands.size > 0
      return isTicking ? Effect.andThen(clock.sleep(Duration.millis(turn)), tick) : Effect.void
    })

    const startTicking = (): void => {
      if (isTicking) return
      isTicking = true
      fork(Effect.forkIn(Effect.andThen(clock.sleep(Duration.millis(turn)), tick), scope))
    }

    const stateOf = (node: string): NodeState => {
      const known = nodes.get(node)
      if (known !== undefined) return known
      const made: NodeState = { all: undefined, writes: undefined, lost: undefined, isProbed: false }
      nodes.set(node, made)
      return made
    }

    const note = (): void => {
      let now = false
      for (const [node, { lost }] of nodes) {
        if (lost === undefined) continue
        // Another node may have taken over its names.
        if (nodeOf(lost) === node) now = true
        else nodes.delete(node)
      }
      if (now === isDown || isClosed) return
      isDown = now
      fork(Effect.forkIn(onChange(now, reason), scope))
    }

    const admitted = (circuit: Circuit): Circuit | "refused" => {
      const verdict = admit(circuit, monotonicMillis(clock), circuitOptions)
      return verdict.isAdmitted ? verdict.circuit : "refused"
    }

    /**
     * Starts the commands that wait, as many as may be under way. It is a loop, because a command that is refused makes
     * room for the next one at once, and thousands may wait.
     */
    const startWaiting = (kind: CommandKind): void => {
      if (isStarting[kind]) return
      isStarting[kind] = true
      try {
        while (inFlight[kind] < maxInFlight[kind] && !waiting[kind].isEmpty()) waiting[kind].next()?.()
      } finally {
        isStarting[kind] = false
      }
    }

    const run = <A>(
      kind: CommandKind,
      name: string,
      command: Effect.Effect<A, unknown>,
      shared?: Budget
    ): Effect.Effect<Answer<A>> =>
      Effect.callback((resume) => {
        const budget = shared ?? { left: kind === "read" || kind === "probe" ? wholeBudget : backgroundBudget }
        let end = (): void => {}
        const start = (): void => {
          const state = stateOf(nodeOf(name))
          const general = isOpen(state.all) && kind !== "probe" ? "refused" : admitted(state.all)
          const own = kind === "write" ? admitted(state.writes) : undefined
          if (isClosed || general === "refused" || own === "refused" || budget.left <= 0) {
            startWaiting(kind)
            return resume(Effect.succeed(silent))
          }
          state.all = general
          if (own !== undefined) state.writes = own
          inFlight[kind]++
          const fiber = fork(command)
          const since = turns
          // A command with less than a whole budget does not show that the store is down.
          const decides = kind === "read" || kind === "probe"
          const isWhole = kind !== "read" || budget.left === wholeBudget
          let isUnderWay = true
          const finish = (answer: Answer<A>, isGivenUp: boolean): void => {
            if (!isUnderWay) return
            isUnderWay = false
            inFlight[kind]--
            commands.delete(entry)
            budget.left -= turns - since
            const now = monotonicMillis(clock)
            state.all = settle(
              state.all,
              general,
              answer._tag !== "Silent" ? "up" : isGivenUp || !decides ? "unknown" : "down",
              now,
              circuitOptions
            )
            if (kind === "write") {
              state.writes = settle(state.writes, own, answer._tag === "Answered" ? "up" : "down", now, circuitOptions)
            }
            if (state.all?.kind === "open") {
              state.lost = name
              if (!state.isProbed) startProbing(state)
            } else if (answer._tag !== "Silent") {
              // Writes failed because the node was down.
              if (state.lost !== undefined) state.writes = undefined
              state.lost = undefined
            }
            if (isDown || state.lost !== undefined) note()
            startWaiting(kind)
            resume(Effect.succeed(answer))
          }
          // One turn more, because the first turn may end at once.
          const entry = {
            until: turns + budget.left + 1,
            giveUp: () => {
              reason = noReply
              finish(silent, isClosed || !isWhole)
              fiber.interruptUnsafe()
            }
          }
          commands.add(entry)
          startTicking()
          fiber.addObserver((exit) => {
            const answer = answerOf(exit)
            if (Exit.isFailure(exit) && isUnderWay) reason = reasonOf(Cause.squash(exit.cause))
            if (answer._tag === "Refused" && isUnderWay) onRefused(reason)
            finish(answer, false)
          })
          end = () => {
            // Before the fiber ends, because the interruption says nothing about the store.
            finish(silent, true)
            fiber.interruptUnsafe()
          }
        }
        if (inFlight[kind] < maxInFlight[kind]) start()
        else {
          waiting[kind].add("", start)
          end = () => waiting[kind].remove("", start)
        }
        return Effect.sync(() => end())
      })

    /** Tries a node until it answers, or until another node has its names. */
    const startProbing = (state: NodeState): void => {
      state.isProbed = true
      const probing: Effect.Effect<void> = Effect.suspend(() => {
        const { lost } = state
        state.isProbed = lost !== undefined && stateOf(nodeOf(lost)) === state
        return lost === undefined || !state.isProbed ? Effect.void : Effect.andThen(
          clock.sleep(Duration.millis(circuitOptions.openDuration)),
          Effect.andThen(Effect.suspend(() => run("probe", lost, probe(lost))), probing)
        )
      })
      fork(Effect.forkIn(probing, scope))
    }

    const byNode = <A extends { readonly name: string }>(some: Iterable<A>, most = Infinity) => {
      const groups: Array<[A, ...Array<A>]> = []
      const open = new Map<string, [A, ...Array<A>]>()
      for (const one of some) {
        const node = nodeOf(one.name)
        const group = open.get(node)
        if (group !== undefined && group.length < most) group.push(one)
        else {
          const made: [A, ...Array<A>] = [one]
          groups.push(made)
          open.set(node, made)
        }
      }
      return groups
    }

    return { run, byNode, isDown: () => [...nodes.values()].some(({ all }) => isOpen(all)) }
  })

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

/** Returns whether a node is down. */
const isOpen = (circuit: Circuit): boolean => circuit !== undefined && circuit.kind !== "closed"

/** A queue with one line, from which a command can also be removed without a search. */
const newQueue = (): FairQueue.FairQueue<() => void> => FairQueue.make()

const noReply = "no reply in time"

/**
 * Returns a word for a failure: its code (`ECONNREFUSED`), the first word of a refusal (`NOPERM`), or the name of the error or
 * its class. A message is not used, because it may contain the value of a command.
 */
export const reasonOf = (error: unknown): string => {
  if (!Predicate.isObject(error)) return "unknown"
  const [word] = "message" in error && Predicate.isString(error.message)
    ? /^[A-Z]{3,}(?= |$)/.exec(error.message) ?? []
    : []
  const inner = "cause" in error && Predicate.isObject(error.cause) ? error.cause : error
  const code = "code" in inner && Predicate.isString(inner.code) ? inner.code : "code" in error ? error.code : undefined
  return [code, word, nameOf(inner), nameOf(error)].find((text): text is string =>
    Predicate.isString(text) && /^[\w.-]{1,60}$/.test(text)
  ) ?? "unknown"
}

/** Returns the name of an error, if the name is more specific than `Error`. Clients of Redis do not set `name`. */
const nameOf = (error: object): unknown =>
  "_tag" in error
    ? error._tag
    : "name" in error && error.name !== "Error"
    ? error.name
    : error instanceof Error && error.constructor !== Error
    ? error.constructor.name
    : undefined

const answerOf = <A>(exit: Exit.Exit<A, unknown>): Answer<A> =>
  Exit.isSuccess(exit)
    ? { _tag: "Answered", value: exit.value }
    : Option.getOrUndefined(Exit.findErrorOption(exit)) instanceof RefusedByStoreError
    ? refused
    : silent
