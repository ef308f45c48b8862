/**
 * A connection to Redis with a time limit for replies. Redis clients wait without a limit for a reply that does not
 * come, because the server hangs, the network drops packets, or a reply is incomplete. So a client with a command that
 * is older than the limit is replaced by a new client. Without a connection a command waits for an attempt to connect
 * that is under way, and otherwise fails at once.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Send, SendBoth } from "../../internal/fleet/redisStore.ts"
import { reasonOf } from "../../internal/fleet/storeGuard.ts"
import { monotonicMillis } from "../../internal/shared/monotonic.ts"

/** A client of Redis, for one topology. */
export interface RedisClient {
  readonly connect: () => Promise<unknown>
  readonly send: (command: ReadonlyArray<string>) => Promise<unknown>
  readonly destroy: () => void
  /** Registers a listener for errors and for the end of the connection. */
  readonly onFailure: (listener: () => void) => void
}

/** A connection that reconnects without a limit. */
export interface RedisConnection {
  readonly send: Send
  readonly sendBoth: SendBoth
}

/**
 * The length of a turn in milliseconds, and the number of turns after which the client of an unanswered command is
 * replaced.
 */
const turn = 25
const patience = 16

/** The milliseconds for which a replaced client may still answer commands. */
const grace = 400

/** The milliseconds between two attempts to connect: at first, and at most. */
const firstPause = 25
const longestPause = 250

/** The milliseconds that an attempt to connect may take, and those after which another one may start beside it. */
const connectTimeout = 2000
const connectPatience = 400

interface Connection {
  readonly client: RedisClient
  readonly ready: Promise<unknown>
  /** The turns in which unanswered commands were sent, the oldest first. */
  readonly unanswered: Set<{ readonly since: number }>
  isReady: boolean
  isReplaced: boolean
}

/** Opens a connection. The effect does not wait for it, and the connection closes with the scope. */
export const open = (create: () => RedisClient): Effect.Effect<RedisConnection, never, Scope.Scope> =>
  Effect.gen(function*() {
    const clock = yield* Clock.Clock
    const scope = yield* Effect.scope
    const fork = Effect.runForkWith(yield* Effect.context<never>())
    let current: Connection | undefined
    let opening: { readonly result: Promise<Connection | undefined>; readonly until: number } | undefined
    let failures = 0
    let failure = notConnected(undefined)
    let nextAttempt = -Infinity
    let turns = 0
    let isWatching = false
    let isClosed = false
    const connections = new Set<Connection>()

    const end = (connection: Connection): void => {
      connections.delete(connection)
      if (current === connection) current = undefined
      connection.client.destroy()
    }

    const later = (millis: number, action: () => void): void => {
      fork(Effect.forkIn(Effect.andThen(clock.sleep(Duration.millis(millis)), Effect.sync(action)), scope))
    }

    const attempt = async (): Promise<Connection | undefined> => {
      let connection: Connection | undefined
      try {
        const client = create()
        const ready = client.connect()
        const made: Connection = { client, ready, unanswered: new Set(), isReady: false, isReplaced: false }
        connection = made
        connections.add(made)
        client.onFailure(() => {
          if (made.isReady || isClosed) end(made)
        })
        later(connectTimeout, () => {
          if (!made.isReady) end(made)
        })
        await ready
        if (isClosed || !connections.has(made)) throw new Error("closed meanwhile")
        made.isReady = true
        failures = 0
        current = made
        for (const other of connections) if (!other.isReady) end(other)
        return made
      } catch (cause) {
        if (connection !== undefined) end(connection)
        if (current !== undefined) return current
        failure = notConnected(cause)
        nextAttempt = monotonicMillis(clock) + Math.min(longestPause, firstPause * 2 ** failures)
        failures++
        return undefined
      }
    }

    /**
     * Starts an attempt to connect, unless one has just started or the last has just failed. An attempt whose first bytes were
     * lost never ends by itself, so it does not keep others from starting.
     */
    const connect = (): Promise<Connection | undefined> | undefined => {
      const now = monotonicMillis(clock)
      if (isClosed || now < nextAttempt || (opening !== undefined && now < opening.until)) return opening?.result
      const result = attempt().finally(() => {
        if (opening?.result === result) opening = undefined
      })
      opening = { result, until: now + connectPatience }
      return result
    }

    /** Opens another connection in place of one that does not answer. Its last replies may still arrive. */
    const replace = (connection: Connection): void => {
      if (connection.isReplaced) return
      connection.isReplaced = true
      if (current === connection) current = undefined
      void connect()
      later(grace, () => end(connection))
    }

    const watch: Effect.Effect<void> = Effect.suspend(() => {
      turns++
      isWatching = false
      for (const connection of connections) {
        for (const { since } of connection.unanswered) {
          if (turns - since > patience) replace(connection)
          break
        }
        isWatching ||= connection.unanswered.size > 0
      }
      return isWatching ? Effect.andThen(clock.sleep(Duration.millis(turn)), watch) : Effect.void
    })

    const track = (connection: Connection): { readonly since: number } => {
      const sent = { since: turns }
      connection.unanswered.add(sent)
      if (!isWatching) {
        isWatching = true
        fork(Effect.forkIn(Effect.andThen(clock.sleep(Duration.millis(turn)), watch), scope))
      }
      return sent
    }

    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        isClosed = true
        for (const connection of connections) end(connection)
      })
    )

    // The first command then finds a connection, or one that is nearly open.
    void connect()

    /** Sends commands in their order, as soon as there is a connection. */
    const using = <A>(
      command: (client: RedisClient, done: (reply: A) => void, failed: (error: unknown) => void) => void
    ): Effect.Effect<A, unknown> =>
      Effect.callback((resume) => {
        const start = (connection: Connection): void => {
          const sent = track(connection)
          const end = (result: Effect.Effect<A, unknown>): void => {
            connection.unanswered.delete(sent)
            resume(result)
          }
          command(connection.client, (reply) => end(Effect.succeed(reply)), (error) => end(Effect.fail(error)))
        }
        if (current !== undefined) return start(current)
        const pending = connect()
        if (pending === undefined) return resume(Effect.fail(failure))
        let isWanted = true
        void pending.then((connection) => {
          // A command that was given up meanwhile must not be sent late.
          if (connection === undefined || !isWanted) resume(Effect.fail(failure))
          else start(connection)
        })
        return Effect.sync(() => {
          isWanted = false
        })
      })

    return {
      send: (...command) => using((client, done, failed) => void client.send(command).then(done, failed)),
      sendBoth: (one, other) =>
        using((client, done, failed) => {
          const first = client.send(one)
          // The second reply arrives last. If the first command fails, both fail.
          client.send(other).then((reply) => first.then((former) => done([former, reply] as const), failed), failed)
          first.catch(failed)
        })
    }
  })

/**
 * Returns the error of commands without a connection. It has the reason of the last attempt to connect as its code, and no
 * `cause`: a server that refuses the user of a connection has not refused a command.
 */
const notConnected = (cause: unknown): Error =>
  Object.assign(new Error("not connected to Redis"), { code: cause === undefined ? undefined : reasonOf(cause) })
