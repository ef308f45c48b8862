/** Fleets of up to 1,000 processes over one fake store, under `TestClock`: how many requests the token endpoint gets. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Redacted, type Scope } from "effect"
import type { AccessToken, EntraError } from "effect-entra"
import { EntraSimulator } from "effect-entra/testing"
import type { HttpClient } from "effect/http/HttpClient"
import { TestClock } from "effect/testing"
import * as FakeFleetStore from "../support/fakeFleetStore.ts"
import { withFakeSealers } from "../support/fakeSealer.ts"
import { type ProcessOptions, startClosable } from "../support/fleet.ts"
import { orders, Simulator, tokenRequests } from "../support/world.ts"

const { Fault } = EntraSimulator
const request = { scopes: orders }

type Results = ReadonlyArray<Exit.Exit<AccessToken.AuthenticationResult, EntraError.AcquireTokenError>>

/** A process with a connection of its own. */
const start = (fake: FakeFleetStore.FakeFleetStore, options: Partial<ProcessOptions> = {}) =>
  Effect.gen(function*() {
    const connection = fake.connect()
    const process = yield* startClosable({ store: connection.store, ...options })
    return { ...process, connection }
  })

type Process = Effect.Success<ReturnType<typeof start>>

const startMany = (count: number, fake: FakeFleetStore.FakeFleetStore, options: Partial<ProcessOptions> = {}) =>
  Effect.forEach(Array.from({ length: count }), () => start(fake, options))

/** Every request to the token endpoint takes that long. */
const slowEndpoint = (duration = "200 millis" as const) =>
  EntraSimulator.EntraSimulator.use((simulator) => simulator.fail(Fault.delay(duration), { times: Infinity }))

/** Runs effects at once and lets time pass until all have ended, at most `limit` milliseconds. Returns the time it took. */
const together = <A, E, R>(effects: ReadonlyArray<Effect.Effect<A, E, R>>, limit = 60_000, step = 50) =>
  Effect.gen(function*() {
    const since = yield* Clock.currentTimeMillis
    const fibers = yield* Effect.forEach(
      effects,
      (effect) => Effect.forkChild(Effect.exit(effect), { startImmediately: true })
    )
    yield* TestClock.adjust(0)
    let took = 0
    while (fibers.some((fiber) => fiber.pollUnsafe() === undefined)) {
      assert.isBelow(took, limit, "they do not end")
      yield* TestClock.adjust(step)
      took = (yield* Clock.currentTimeMillis) - since
    }
    return { took, exits: yield* Effect.forEach(fibers, Fiber.join) }
  })

const callAll = (processes: ReadonlyArray<Process>, perProcess = 1) =>
  together(
    processes.flatMap(({ client }) => Array.from({ length: perProcess }, () => client.acquireToken(request)))
  )

const tokensOf = (exits: Results) =>
  new Set(exits.map((exit) => Exit.isSuccess(exit) ? Redacted.value(exit.value.accessToken) : "none"))

const simulated = <A, E>(
  program: Effect.Effect<
    A,
    E,
    EntraSimulator.EntraSimulator | HttpClient | Scope.Scope
  >,
  options: Parameters<typeof Simulator>[0] = {}
) => withFakeSealers(program).pipe(Effect.provide(Simulator({ tokenLifetime: "1 hour", ...options })))

describe("a fleet", () => {
  it.effect("deploy: 1,000 processes and an empty store", () =>
    simulated(Effect.gen(function*() {
      const fake = yield* FakeFleetStore.make
      const processes = yield* startMany(1000, fake)
      yield* slowEndpoint()
      const { exits, took } = yield* callAll(processes)
      assert.strictEqual(tokensOf(exits).size, 1)
      assert.isTrue(exits.every(Exit.isSuccess))
      assert.strictEqual(yield* tokenRequests, 1)
      console.log(took, fake.counts)
    })), 60_000)
})
