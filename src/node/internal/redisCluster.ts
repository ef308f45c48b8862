/**
 * A Redis Cluster: the owner of each slot, and a watched connection to each node. A node that fails affects only the
 * keys of its own slots, until the cluster names another owner.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Scope from "effect/Scope"
import { monotonicMillis } from "../../internal/shared/monotonic.ts"
import type { RedisConnection } from "./redisConnection.ts"

export interface Address {
  readonly host: string
  readonly port: number
}

export interface Cluster extends RedisConnection {
  /** Returns the node that owns a key, as far as it is known. */
  readonly nodeOf: (key: string) => string
}

/** The milliseconds between two requests for the owners, and those after which the next node is asked too. */
const refreshPause = 100
const nextNode = 100

interface Node {
  readonly connection: RedisConnection
  readonly address: Address
  readonly scope: Scope.Closeable
}

/**
 * Opens the connections to a cluster. `roots` are the addresses of some of its nodes. The effect does not wait for the
 * connections.
 */
export const open = (
  connect: (address: Address) => Effect.Effect<RedisConnection, never, Scope.Scope>,
  roots: ReadonlyArray<Address>
): Effect.Effect<Cluster, never, Scope.Scope> =>
  Effect.gen(function*() {
    const clock = yield* Clock.Clock
    const scope = yield* Effect.scope
    const fork = Effect.runForkWith(yield* Effect.context<never>())
    const nodes = new Map<string, Node>()
    let owners: ReadonlyArray<Range> = []
    let refreshing: Fiber.Fiber<unknown> | undefined
    let refreshedAt = -Infinity

    const nodeAt = (address: Address): Effect.Effect<Node> =>
      Effect.suspend(() => {
        const name = nameOf(address)
        const known = nodes.get(name)
        if (known !== undefined) return Effect.succeed(known)
        const own = Scope.forkUnsafe(scope)
        return Effect.flatMap(Scope.provide(connect(address), own), (connection) => {
          const meanwhile = nodes.get(name)
          if (meanwhile !== undefined) return Effect.as(Scope.close(own, Exit.void), meanwhile)
          const node = { connection, address, scope: own }
          nodes.set(name, node)
          return Effect.succeed(node)
        })
      })

    const ask = (address: Address) =>
      Effect.flatMap(nodeAt(address), ({ connection }) =>
        Effect.flatMap(connection.send("CLUSTER", "SLOTS"), (reply) => {
          const found = rangesOf(reply, address)
          return found.length === 0 ? Effect.fail(new Error("no slots")) : Effect.succeed(found)
        }))

    /** Asks the nodes at short intervals, because some of them may not answer, and uses the first answer. */
    const refresh = Effect.gen(function*() {
      const known = new Map(
        [...owners.map(({ owner }) => owner), ...roots].map((address) => [nameOf(address), address])
      )
      const questions = [...known.values()].map((address, at) => Effect.delay(ask(address), at * nextNode))
      owners = yield* Effect.timeout(Effect.raceAll(questions), (questions.length + 5) * nextNode)
      const used = new Set(owners.map(({ owner }) => nameOf(owner)))
      for (const [name, node] of nodes) {
        if (used.has(name)) continue
        nodes.delete(name)
        yield* Scope.close(node.scope, Exit.void)
      }
    })

    const startRefresh = (): Fiber.Fiber<unknown> | undefined => {
      const now = monotonicMillis(clock)
      if (refreshing !== undefined || now < refreshedAt + refreshPause) return refreshing
      refreshedAt = now
      const fiber = fork(Effect.ignore(refresh))
      refreshing = fiber
      fiber.addObserver(() => {
        refreshing = undefined
      })
      return fiber
    }
    yield* Effect.addFinalizer(() => Effect.sync(() => refreshing?.interruptUnsafe()))
    startRefresh()

    const ownerOf = (slot: number): Address | undefined =>
      owners.find(({ from, to }) => from <= slot && slot <= to)?.owner

    const known = (slot: number): Effect.Effect<Address, Error> =>
      Effect.suspend(() => {
        const owner = ownerOf(slot)
        if (owner !== undefined) return Effect.succeed(owner)
        const fiber = startRefresh()
        return Effect.flatMap(
          fiber === undefined ?
            Effect.void :
            Effect.callback<void>((resume) => Effect.sync(fiber.addObserver(() => resume(Effect.void)))),
          () => {
            const owner = ownerOf(slot)
            return owner === undefined ? Effect.fail(new Error("no owner of the slot")) : Effect.succeed(owner)
          }
        )
      })

    /** Sends commands to a node, and follows its redirects. */
    const sendTo = <A>(address: Address, commands: Commands<A>, redirects: number): Effect.Effect<A, unknown> =>
      Effect.flatMap(nodeAt(address), ({ connection }) =>
        Effect.onExit(
          Effect.catch(commands.send(connection), (error) => {
            const target = redirects === 0 ? undefined : redirectOf(error, address)
            if (target === undefined) return Effect.fail(error)
            return target.isAsking
              ? Effect.flatMap(nodeAt(target.address), (node) => commands.sendAsking(node.connection))
              : Effect.andThen(
                Effect.sync(() => {
                  const { address: owner, slot } = target
                  startRefresh()
                  // The node that is asked for all owners may learn of the new one later.
                  owners = [
                    { from: slot, to: slot, owner },
                    ...owners.filter(({ from, to }) => from !== slot || to !== slot)
                  ]
                }),
                sendTo(target.address, commands, redirects - 1)
              )
          }),
          (exit) =>
            Exit.isSuccess(exit) || isAnswer(Option.getOrUndefined(Exit.findErrorOption(exit)))
              ? Effect.void
              : Effect.sync(() => {
                // The owner may have changed.
                startRefresh()
              })
        ))

    const toOwner = <A>(command: Command, commands: Commands<A>): Effect.Effect<A, unknown> =>
      Effect.flatMap(known(slotOf(keyIn(command))), (owner) => sendTo(owner, commands, 3))

    return {
      send: (...command) => toOwner(command, { send: (node) => node.send(...command), sendAsking: asking(command) }),
      sendBoth: (one, other) =>
        toOwner(one, {
          send: (node) => node.sendBoth(one, other),
          sendAsking: (node) => Effect.all([asking(one)(node), asking(other)(node)], { concurrency: "unbounded" })
        }),
      nodeOf: (key) => {
        const owner = ownerOf(slotOf(key))
        return owner === undefined ? "" : nameOf(owner)
      }
    }
  })

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

type Command = ReadonlyArray<string>

/** The ways to send commands: to the owner of their slot, and to the node to which the slot is moving. */
interface Commands<A> {
  readonly send: (node: RedisConnection) => Effect.Effect<A, unknown>
  readonly sendAsking: (node: RedisConnection) => Effect.Effect<A, unknown>
}

const asking = (command: Command) => (node: RedisConnection) =>
  Effect.map(node.sendBoth(["ASKING"], command), ([, reply]) => reply)

interface Range {
  readonly from: number
  readonly to: number
  readonly owner: Address
}

const nameOf = ({ host, port }: Address): string => `${host}:${port}`

/** Returns the slots of a reply. The host of a node that does not know its own host is the host that was asked. */
const rangesOf = (reply: unknown, asked: Address): ReadonlyArray<Range> =>
  listOf(reply).flatMap((range) => {
    const [from, to, master] = listOf(range)
    const [host, port] = listOf(master)
    return Predicate.isNumber(from) && Predicate.isNumber(to) && Predicate.isNumber(port)
      ? [{ from, to, owner: { host: Predicate.isString(host) && host !== "" ? host : asked.host, port } }]
      : []
  })

const listOf = (reply: unknown): ReadonlyArray<unknown> => Array.isArray(reply) ? reply : []

/** Returns whether an error is the answer of a node that still owns the slot. */
const isAnswer = (error: unknown): boolean => {
  const [word = ""] = /^[A-Z]{2,}(?= |$)/.exec(Predicate.isError(error) ? error.message : "") ?? []
  return word !== "" && !["MOVED", "ASK", "CLUSTERDOWN", "READONLY", "MASTERDOWN"].includes(word)
}

/** Returns the target of a redirect, or undefined for any other error. */
const redirectOf = (error: unknown, asked: Address) => {
  const [, kind, slot, host, port] =
    /^(MOVED|ASK) (\d+) (.*):(\d+)$/.exec(Predicate.isError(error) ? error.message : "") ??
      []
  return kind === undefined
    ? undefined
    : {
      isAsking: kind === "ASK",
      slot: Number(slot),
      address: { host: host === undefined || host === "" ? asked.host : host, port: Number(port) }
    }
}

/** Returns the key that determines the node of a command. */
const keyIn = (command: Command): string =>
  (command[0] === "EVALSHA" || command[0] === "EVAL" ? command[3] : command[1]) ?? ""

/** Returns the slot of a key: CRC16 (XMODEM) of its hash tag, or of the whole key. */
export const slotOf = (key: string): number => {
  const open = key.indexOf("{")
  const close = key.indexOf("}", open + 1)
  const hashed = open >= 0 && close > open + 1 ? key.slice(open + 1, close) : key
  let crc = 0
  for (const byte of new TextEncoder().encode(hashed)) {
    crc ^= byte << 8
    for (let bit = 0; bit < 8; bit++) crc = ((crc << 1) ^ ((crc & 0x8000) === 0 ? 0 : 0x1021)) & 0xffff
  }
  return crc % 16_384
}
