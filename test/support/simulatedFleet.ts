/** Processes of a simulated fleet: fake stores and sealers, and calls under `TestClock`. */
import { assert } from "@effect/vitest"
import { Clock, type Duration, Effect, Exit, Fiber, Random, Redacted, type Scope } from "effect"
import type { AccessToken, EntraError, TokenRequest } from "effect-entra"
import { EntraSimulator } from "effect-entra/testing"
import type { HttpClient } from "effect/http"
import { TestClock } from "effect/testing"
import type * as FakeFleetStore from "./fakeFleetStore.ts"
import { withFakeSealers } from "./fakeSealer.ts"
import { type ProcessOptions, startClosable } from "./fleet.ts"
import { orders, Simulator } from "./world.ts"

const { Fault } = EntraSimulator
export const request = { scopes: orders }

/** Starts a process with a connection of its own to the store. Its memory is `cache`, its store has leases by default. */
export const start = (
  fake: FakeFleetStore.FakeFleetStore,
  { hasLeases = true, ...options }: Partial<ProcessOptions> & { readonly hasLeases?: boolean } = {}
) =>
  Effect.gen(function*() {
    const connection = fake.connect()
    const store = hasLeases ? connection.store : connection.withoutFleet
    return { ...yield* startClosable({ store, ...options }), connection }
  })

export type Process = Effect.Success<ReturnType<typeof start>>

export const startMany = (count: number, ...[fake, options]: Parameters<typeof start>) =>
  Effect.forEach(Array.from({ length: count }), () => start(fake, options))

/** Every request to the token endpoint takes that long from now on. */
export const delayEndpoint = (duration: Duration.Input) =>
  EntraSimulator.EntraSimulator.use((simulator) => simulator.fail(Fault.delay(duration), { times: Infinity }))

/** Lets promises of WebCrypto end, for which `TestClock` does not wait. */
export const drain = Effect.promise(async () => {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
})

/** Runs effects at once and lets time pass until all have ended. Returns the milliseconds that the last one took. */
export const together = <A, E, R>(
  effects: ReadonlyArray<Effect.Effect<A, E, R>>,
  { limit = 60_000, step = 50, usesCrypto = false } = {}
) =>
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
      if (usesCrypto) yield* drain
      yield* TestClock.adjust(step)
      took = (yield* Clock.currentTimeMillis) - since
    }
    return { took, exits: yield* Effect.forEach(fibers, (fiber) => Fiber.join(fiber)) }
  })

/** Acquires a token in each process at once. */
export const callAll = (
  processes: ReadonlyArray<Process>,
  { perProcess = 1, ...more }: Partial<TokenRequest.TokenRequest> & { readonly perProcess?: number } = {}
) =>
  together(
    processes.flatMap(({ client }) =>
      Array.from({ length: perProcess }, () => client.acquireToken({ ...request, ...more }))
    ),
    { usesCrypto: more.accessTokenSha256ToRefresh !== undefined }
  )

type Results = ReadonlyArray<Exit.Exit<AccessToken.AuthenticationResult, EntraError.AcquireTokenError>>

/** Returns the different tokens, or fails the test with the first error. */
export const tokensOf = (exits: Results): ReadonlyArray<string> => [
  ...new Set(exits.map((exit) => {
    if (Exit.isFailure(exit)) throw new Error(`a call failed: ${String(exit.cause)}`)
    return Redacted.value(exit.value.accessToken)
  }))
]

/** Runs a simulation with tokens of an hour. */
export const simulated = <A, E>(
  program: Effect.Effect<A, E, EntraSimulator.EntraSimulator | HttpClient.HttpClient | Scope.Scope>,
  options: Parameters<typeof Simulator>[0] = {}
) =>
  withFakeSealers(program).pipe(
    Random.withSeed("a fleet"),
    Effect.provide(Simulator({ tokenLifetime: "1 hour", ...options }))
  )
