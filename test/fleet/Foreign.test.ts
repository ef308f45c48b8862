/** Stores of programs that break the contract: no acquisition fails because of them. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit } from "effect"
import type { TokenStore } from "effect-entra"
import { EntraSimulator } from "effect-entra/testing"
import { HttpClient, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { type Sealer, Sealers } from "../../src/internal/fleet/sealing.ts"
import * as FakeFleetStore from "../support/fakeFleetStore.ts"
import { fakeSealer, withFakeSealers } from "../support/fakeSealer.ts"
import { startClosable } from "../support/fleet.ts"
import { callAll, delayEndpoint, request, simulated, startMany, together, tokensOf } from "../support/simulatedFleet.ts"

type Store = TokenStore.TokenStore["Service"]

const foreign = (value: unknown): never => {
  // eslint-disable-next-line @typescript-eslint/consistent-type-assertions
  return value as never
}
const throws = () => {
  throw new Error("a store that throws")
}

/** What a member does in place of its answer. */
const members: Record<string, () => never> = {
  "throws": throws,
  "is no effect": () => foreign(undefined),
  "returns a promise": () => foreign(Promise.resolve(undefined)),
  "dies": () => foreign(Effect.die("dead")),
  "answers null": () => foreign(Effect.succeed(null)),
  "answers a number": () => foreign(Effect.succeed(5)),
  "answers a text": () => foreign(Effect.succeed("text")),
  "answers an empty object": () => foreign(Effect.succeed({})),
  "answers a list": () => foreign(Effect.succeed([null])),
  "answers a value without a time": () => foreign(Effect.succeed({ bytes: new Uint8Array(40) })),
  "answers a value of text": () => foreign(Effect.succeed({ bytes: "text", ttl: Duration.seconds(5) })),
  "answers a value with null": () => foreign(Effect.succeed({ bytes: null, ttl: Duration.seconds(5) })),
  "answers a tag alone": () => foreign(Effect.succeed({ _tag: "Stored" })),
  "answers an unknown tag": () => foreign(Effect.succeed({ _tag: "Other" })),
  "answers a record without stamps": () => foreign(Effect.succeed({ base: "b", version: "v" })),
  "answers a record with wrong stamps": () =>
    foreign(Effect.succeed({ base: "b", version: "v", stamps: new Map([["all", "x"]]) }))
}

const names = ["get", "set", "remove", "nodeOf", "take", "held", "extend", "settle", "epochs", "invalidate"] as const

const broken = (store: Store, name: (typeof names)[number], member: () => never): Store => {
  const { fleet } = store
  return name === "get" || name === "set" || name === "remove" || name === "nodeOf"
    ? { ...store, [name]: member }
    : fleet === undefined
    ? store
    : { ...store, fleet: { ...fleet, [name]: member } }
}

describe("a store of a program", () => {
  for (const name of names) {
    for (const hasLeases of name === "get" || name === "set" || name === "remove" ? [true, false] : [true]) {
      for (const [title, member] of Object.entries(members)) {
        it.effect(`${name} ${title}${hasLeases ? "" : ", without leases"}: tokens come from the service`, () =>
          simulated(Effect.gen(function*() {
            const fake = yield* FakeFleetStore.make
            const connection = fake.connect()
            const wrong = broken(hasLeases ? connection.store : connection.withoutFleet, name, member)
            const [one, other] = yield* Effect.all([startClosable({ store: wrong }), startClosable({ store: wrong })])
            yield* delayEndpoint("3 seconds")
            for (const forceRefresh of [false, true]) {
              const { exits } = yield* together(
                [one, other].map(({ client }) => client.acquireToken({ ...request, forceRefresh })),
                { limit: 20_000 }
              )
              for (const exit of exits) assert.isTrue(Exit.isSuccess(exit), String(exit))
            }
            const { exits } = yield* together([one.client.invalidate("all"), one.client.invalidate("all")])
            for (const exit of exits) assert.isTrue(Exit.isSuccess(exit), String(exit))
            yield* TestClock.adjust("3 seconds")
            const later = yield* together([one, other].map(({ client }) => client.acquireToken(request)), {
              limit: 20_000
            })
            for (const exit of later.exits) assert.isTrue(Exit.isSuccess(exit), String(exit))
            const { took } = yield* together([one.close, other.close])
            assert.isAtMost(took, 600)
          })))
      }
    }
  }
})

const hour = { access_token: "a token", token_type: "Bearer", expires_in: 3600 }

describe("a token endpoint", () => {
  it.effect("that names a refresh beyond all lifetimes: one request for all processes", () =>
    withFakeSealers(Effect.gen(function*() {
      let requests = 0
      const endpoint = HttpClient.make((request) =>
        Effect.sync(() => {
          requests++
          return HttpClientResponse.fromWeb(
            request,
            new Response(JSON.stringify({ ...hour, refresh_in: 99_999_999_999 }))
          )
        })
      )
      const fake = yield* FakeFleetStore.make
      const all = yield* Effect.provideService(startMany(3, fake), HttpClient.HttpClient, endpoint)
      const { exits, took } = yield* callAll(all)
      assert.deepStrictEqual(tokensOf(exits), ["a token"])
      assert.isAtMost(took, 100)
      assert.strictEqual(requests, 1)
    })))
})

describe("an outcome that cannot be sealed", () => {
  it.effect("ends the lease of its process", () =>
    simulated(Effect.gen(function*() {
      const fake = yield* FakeFleetStore.make
      const broken = (sealer: Sealer): Sealer => ({
        ...sealer,
        of: (text) =>
          Effect.map(sealer.of(text), (all) => all.map((one) => ({ ...one, seal: () => Effect.die("no memory") })))
      })
      const all = yield* Effect.provideService(startMany(2, fake), Sealers, {
        sealed: () => Effect.sync(() => broken(fakeSealer(["root"]))),
        plaintext: Effect.die("unused")
      })
      const { exits, took } = yield* callAll(all)
      assert.isTrue(exits.every(Exit.isSuccess))
      assert.isAtMost(took, 500)
    })))
})

describe("a throttle", () => {
  it.effect("of a store that names no end: callers are told to wait for an hour at most", () =>
    simulated(Effect.gen(function*() {
      const fake = yield* FakeFleetStore.make
      const { fleet } = fake.store
      if (fleet === undefined) return yield* Effect.die("no leases")
      const store: Store = {
        ...fake.store,
        fleet: {
          ...fleet,
          take: (...parameters) =>
            Effect.map(
              fleet.take(...parameters),
              (answer) => "value" in answer ? { ...answer, value: { ...answer.value, ttl: Duration.infinity } } : answer
            )
        }
      }
      const all = yield* startMany(2, fake, { store })
      yield* EntraSimulator.EntraSimulator.use((simulator) =>
        simulator.fail(EntraSimulator.Fault.throttled({ retryAfter: "30 seconds" }))
      )
      const { exits } = yield* callAll(all)
      const waits = exits.map((exit) => {
        const [reason] = Exit.isFailure(exit) ? exit.cause.reasons : []
        return reason?._tag === "Fail" ? Duration.toSeconds(reason.error.retryAfter ?? Duration.zero) : 0
      })
      assert.deepStrictEqual(waits.sort((one, other) => one - other), [30, 3600])
    })))
})
