/**
 * Checks the results of a program's store. A program in JavaScript, or a program that passes on the replies of another
 * client, may return anything. A member that throws counts as a store that does not answer, and a reply of another form
 * counts as a refusal, so neither fails an acquisition.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import {
  type Epochs,
  type Fleet,
  type LeaseAnswer,
  RefusedByStoreError,
  type StoredValue,
  type TokenStore
} from "../../TokenStore.ts"

/** Returns a store whose answers have the types that they should have. */
export const checked = (store: TokenStore["Service"]): TokenStore["Service"] => {
  const { fleet } = store
  return {
    get: (name) => parsed(() => store.get(name), valueOf),
    set: (name, bytes, ttl) => Effect.suspend(() => store.set(name, bytes, ttl)),
    remove: (name) => Effect.suspend(() => store.remove(name)),
    nodeOf: store.nodeOf === undefined ? undefined : (name) => {
      try {
        const node: unknown = store.nodeOf?.(name)
        return Predicate.isString(node) ? node : ""
      } catch {
        return ""
      }
    },
    fleet: fleet === undefined ? undefined : checkedFleet(fleet)
  }
}

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const checkedFleet = (fleet: Fleet): Fleet => ({
  take: (name, request) => parsed(() => fleet.take(name, request), leaseAnswerOf),
  held: (names) => parsed(() => fleet.held(names), heldOf),
  extend: (leases, ttl) => Effect.suspend(() => fleet.extend(leases, ttl)),
  settle: (lease, outcome) => Effect.suspend(() => fleet.settle(lease, outcome)),
  epochs: (name, known) => parsed(() => fleet.epochs(name, known), epochsOf),
  invalidate: (name, field, stamp) => parsed(() => fleet.invalidate(name, field, stamp), stampOf)
})

type Parsed<A> = A | typeof foreign

const foreign = Symbol("foreign")

const refusal = /*#__PURE__*/ Effect.fail(
  /*#__PURE__*/ new RefusedByStoreError({ message: "a reply of another form" })
)

const parsed = <A>(
  command: () => Effect.Effect<unknown, unknown>,
  parse: (reply: unknown) => Parsed<A>
): Effect.Effect<A, unknown> =>
  Effect.suspend(() =>
    Effect.flatMap(command(), (reply) => {
      const value = parse(reply)
      return value === foreign ? refusal : Effect.succeed(value)
    })
  )

/** Not `instanceof`, because test runners have several realms. */
const isBytes = (value: unknown): value is Uint8Array => tagOf(value) === "[object Uint8Array]"
const isMap = (value: unknown): value is ReadonlyMap<unknown, unknown> => tagOf(value) === "[object Map]"
const tagOf = (value: unknown): string => Object.prototype.toString.call(value)

/** Returns a value, or undefined when there is no value or when its time is over. */
const valueOf = (reply: unknown): Parsed<StoredValue | undefined> => {
  if (reply === undefined || reply === null) return undefined
  if (!Predicate.isReadonlyObject(reply)) return foreign
  const { bytes, ttl } = reply
  if (!isBytes(bytes) || !Duration.isDuration(ttl)) return foreign
  return Duration.toMillis(ttl) > 0 ? { bytes, ttl } : undefined
}

const leaseAnswerOf = (reply: unknown): Parsed<LeaseAnswer> => {
  if (!Predicate.isReadonlyObject(reply)) return foreign
  const { _tag: tag } = reply
  switch (tag) {
    case "Held":
    case "Taken":
    case "Unwritable":
      return { _tag: tag }
    case "Stored":
    case "Throttled":
    case "Failed": {
      const value = valueOf(reply["value"])
      return value === foreign || value === undefined ? foreign : { _tag: tag, value }
    }
    default:
      return foreign
  }
}

const heldOf = (reply: unknown): Parsed<ReadonlyArray<boolean>> =>
  Array.isArray(reply) ? reply.map((isHeld) => isHeld === true) : foreign

const epochsOf = (reply: unknown): Parsed<Epochs | undefined> => {
  if (reply === undefined || reply === null) return undefined
  if (!Predicate.isReadonlyObject(reply)) return foreign
  const { base, stamps, version } = reply
  if (!Predicate.isString(base) || !Predicate.isString(version) || !isMap(stamps)) return foreign
  const read = new Map<string, number>()
  for (const [field, stamp] of stamps) {
    const at = stampOf(stamp)
    if (!Predicate.isString(field) || at === foreign) return foreign
    read.set(field, at)
  }
  return { base, version, stamps: read }
}

const stampOf = (reply: unknown): Parsed<number> =>
  Predicate.isNumber(reply) && Number.isFinite(reply) ? reply : foreign
