/** The fake store answers as the scripts of `redisStore` do on a real server: the same commands, the same answers. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit } from "effect"
import type { TokenStore } from "effect-entra"
import fc from "fast-check"
import * as FakeFleetStore from "../support/fakeFleetStore.ts"
import { makeStore } from "../support/fleetStores.ts"
import { standalone } from "../support/redis.ts"

type Store = TokenStore.TokenStore["Service"]

interface System {
  readonly store: Store
  /** Lets time pass. */
  readonly advance: (millis: number) => Effect.Effect<void, unknown>
  readonly flush: Effect.Effect<void, unknown>
  /** The version of each record that was read last. */
  readonly versions: Map<string, string>
  /** The bases in the order in which they were seen. */
  readonly bases: Map<string, number>
}

interface Command {
  readonly title: string
  readonly run: (system: System) => Effect.Effect<unknown, unknown>
}

const names = ["one.a", "one.b", "two.a"]
const owners = ["p.1", "p.2"]
const name = fc.constantFrom(...names)
const owner = fc.constantFrom(...owners)
const bytes = fc.tuple(fc.constantFrom(1, 2, 3), fc.integer({ min: 0, max: 40 })).map(([tag, length]) =>
  new Uint8Array([...Array.from({ length: 18 }, () => tag), ...Array.from({ length }, (_, at) => at)])
)
const seen = fc.constantFrom(undefined, 1, 2, 3).map((tag) =>
  tag === undefined ? undefined : new Uint8Array(18).fill(tag)
)
// Multiples of 20 seconds, like all waits: the real server's time goes on meanwhile.
const ttl = fc.constantFrom(100, 200, 300, 400).map((seconds) => Duration.seconds(seconds))
const value = fc.record({ bytes, ttl })

/** Times to 20 seconds, upwards, because all times are multiples of ten seconds and those of the server are a little less. */
const coarse = ({ bytes, ttl }: TokenStore.StoredValue) => ({
  bytes: [...bytes],
  seconds: Math.ceil(Duration.toSeconds(ttl) / 20) * 20
})
/** Stamps of far ahead are exact, those of now are not. */
const far = 1e14
const coarseStamp = (stamp: number) => stamp >= far || stamp < 1e9 ? stamp : "now"

const show = (value: unknown) => JSON.stringify(value)
const command = (title: string, run: Command["run"]): Command => ({ title, run })
const fleetOf = ({ store: { fleet } }: System) =>
  fleet === undefined ? Effect.die("it has no leases") : Effect.succeed(fleet)

const commands: fc.Arbitrary<Command> = fc.oneof(
  name.map((name) =>
    command(`get ${name}`, ({ store }) => Effect.map(store.get(name), (value) => value && coarse(value)))
  ),
  fc.tuple(name, value).map(([name, { bytes, ttl }]) =>
    command(`set ${name} ${show([...bytes])} ${Duration.format(ttl)}`, ({ store }) => store.set(name, bytes, ttl))
  ),
  name.map((name) => command(`remove ${name}`, ({ store }) => store.remove(name))),
  fc.record({ name, owner, ttl: fc.oneof(ttl, fc.constant(Duration.zero)), seen, hasToken: fc.boolean() }).map(
    ({ name, ...request }) =>
      command(`take ${name} ${show(request)}`, (system) =>
        Effect.map(
          Effect.flatMap(fleetOf(system), (fleet) => fleet.take(name, request)),
          (answer) => "value" in answer ? { ...answer, value: coarse(answer.value) } : answer
        ))
  ),
  fc.array(name, { minLength: 1 }).map((names) =>
    command(`held ${names}`, (system) => Effect.flatMap(fleetOf(system), (fleet) => fleet.held(names)))
  ),
  fc.tuple(fc.array(fc.record({ name, owner }), { minLength: 1 }), ttl).map(([leases, ttl]) =>
    command(
      `extend ${show(leases)} ${Duration.format(ttl)}`,
      (system) => Effect.flatMap(fleetOf(system), (fleet) => fleet.extend(leases, ttl))
    )
  ),
  fc.tuple(
    fc.record({ name, owner }),
    fc.oneof(
      fc.record({ _tag: fc.constant("Stored" as const), value, seen }),
      fc.record({ _tag: fc.constant("Failed" as const), value, rest: fc.oneof(ttl, fc.constant(Duration.zero)) }),
      fc.record({ _tag: fc.constant("Throttled" as const), value }),
      fc.constant({ _tag: "Released" as const })
    )
  ).map(([lease, outcome]) =>
    command(
      `settle ${show(lease)} ${show(outcome)}`,
      (system) =>
        // Of equal times to live the later one ends later, by a millisecond at least.
        Effect.delay(Effect.flatMap(fleetOf(system), (fleet) => fleet.settle(lease, outcome)), 2)
    )
  ),
  fc.tuple(name, fc.boolean()).map(([name, isKnown]) =>
    command(`epochs ${name} ${isKnown}`, (system) =>
      Effect.map(
        Effect.flatMap(
          fleetOf(system),
          (fleet) => fleet.epochs(name, isKnown ? system.versions.get(name) : undefined)
        ),
        (epochs) => {
          if (epochs === undefined) return undefined
          system.versions.set(name, epochs.version)
          const base = system.bases.get(epochs.base) ?? system.bases.size
          system.bases.set(epochs.base, base)
          return { base, stamps: [...epochs.stamps].map(([field, at]) => [field, coarseStamp(at)]).sort() }
        }
      ))
  ),
  fc.tuple(name, fc.constantFrom("f", "g"), fc.constantFrom(0, 5, far, far + 5)).map(([name, field, least]) =>
    command(`invalidate ${name} ${field} ${least}`, (system) =>
      Effect.map(
        Effect.flatMap(fleetOf(system), (fleet) => fleet.invalidate(name, field, least)),
        coarseStamp
      ))
  ),
  fc.constantFrom(60, 160, 340).map((seconds) =>
    command(`${seconds} seconds later`, ({ advance }) => advance(seconds * 1000))
  ),
  fc.constant(command("flush", ({ flush }) => flush))
)

describe("the fake store", () => {
  it.live("answers as a real server does", () =>
    Effect.gen(function*() {
      const server = yield* standalone()
      const store = yield* makeStore(server.url)
      /** Takes time from all keys, instead of waiting for it. */
      const advance = (millis: number) =>
        Effect.asVoid(server.command(
          "EVAL",
          `for _, key in ipairs(redis.call('KEYS', '*')) do
             local left = redis.call('PTTL', key)
             if left >= 0 then redis.call('PEXPIRE', key, math.max(left - tonumber(ARGV[1]), 0)) end
           end`,
          "0",
          String(millis)
        ))
      const flush = Effect.asVoid(server.command("FLUSHALL"))
      const answersOf = (system: System, all: ReadonlyArray<Command>) =>
        Effect.forEach(all, ({ run }) =>
          Effect.map(Effect.exit(run(system)), (exit) =>
            Exit.isSuccess(exit) ? exit.value ?? null : "refused"))
      yield* Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(fc.array(commands, { minLength: 1, maxLength: 60 }), (all) =>
            Effect.runPromise(Effect.gen(function*() {
              yield* flush
              const real = yield* answersOf(
                { store, advance, flush, versions: new Map(), bases: new Map() },
                all
              )
              const made = FakeFleetStore.makeUnsafe(Date.now)
              const fake = yield* answersOf(
                {
                  store: made.store,
                  advance: (millis) =>
                    Effect.sync(() =>
                      made.advance(millis)
                    ),
                  flush: Effect.sync(made.flush),
                  versions: new Map(),
                  bases: new Map()
                },
                all
              )
              const told = (answers: ReadonlyArray<unknown>) =>
                all.map(({ title }, at) => `${title}: ${show(answers[at])}`)
              assert.deepStrictEqual(told(fake), told(real))
            }))),
          { numRuns: 200 }
        )
      )
    }), 60_000)

  it.live("refuses what adds data as a real server without memory does, and a lease ends nevertheless", () =>
    Effect.gen(function*() {
      const server = yield* standalone()
      const real = yield* makeStore(server.url)
      const fake = FakeFleetStore.makeUnsafe(Date.now)
      const answersOf = (store: Store, fill: Effect.Effect<unknown, unknown>) =>
        Effect.gen(function*() {
          const { fleet } = store
          if (fleet === undefined) return yield* Effect.die("it has no leases")
          const value = { bytes: new Uint8Array(40).fill(1), ttl: Duration.seconds(100) }
          const request = { owner: "p.1", ttl: Duration.seconds(100), seen: undefined, hasToken: false }
          for (const name of ["one.a", "two.a", "three.a", "four.a"]) yield* fleet.take(name, request)
          yield* store.set("old.a", value.bytes, value.ttl)
          yield* fill
          const lease = (name: string) => ({ name, owner: "p.1" })
          const all: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
            fleet.settle(lease("one.a"), { _tag: "Stored", value, seen: undefined }),
            fleet.settle(lease("two.a"), { _tag: "Failed", value, rest: Duration.seconds(5) }),
            fleet.settle(lease("three.a"), { _tag: "Throttled", value }),
            fleet.settle(lease("four.a"), { _tag: "Released" }),
            fleet.held(["one.a", "two.a", "three.a", "four.a"]),
            fleet.take("one.a", request),
            store.set("one.a", value.bytes, value.ttl),
            Effect.map(store.get("old.a"), (value) => value && coarse(value)),
            fleet.invalidate("id", "f", 0),
            Effect.map(fleet.epochs("id", undefined), (epochs) => epochs && [...epochs.stamps]),
            store.remove("old.a"),
            store.get("old.a")
          ]
          return yield* Effect.forEach(all, (command) =>
            Effect.map(Effect.exit(command), (exit) => Exit.isSuccess(exit) ? exit.value ?? null : "refused"))
        })
      const expected = [
        "refused",
        "refused",
        "refused",
        null,
        [false, false, false, false],
        { _tag: "Unwritable" },
        "refused",
        { bytes: Array.from({ length: 40 }, () => 1), seconds: 100 },
        "refused",
        [],
        null,
        null
      ]
      const full = server.command("CONFIG", "SET", "maxmemory", "1")
      assert.deepStrictEqual(yield* answersOf(real, full), expected)
      const refuse = Effect.sync(() => {
        fake.refusesWrites = true
      })
      assert.deepStrictEqual(yield* answersOf(fake.store, refuse), expected)
    }))
})
