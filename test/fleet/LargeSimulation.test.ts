/** Fleets of 1,000 processes, and 10,000 tenants, over one fake store under `TestClock`. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import * as FakeFleetStore from "../support/fakeFleetStore.ts"
import { withFakeSealers } from "../support/fakeSealer.ts"
import {
  callAll,
  delayEndpoint,
  type Process,
  request,
  simulated,
  start,
  startMany,
  together,
  tokensOf
} from "../support/simulatedFleet.ts"
import { tokenRequests } from "../support/world.ts"

const minute = 60_000

/** Simulated hours would be spent on looks for invalidations. */
const rarely = { invalidationInterval: "10 minutes" } as const

describe("1,000 processes", () => {
  it.effect("that start with an empty store: 1 request", () =>
    simulated(Effect.gen(function*() {
      const fake = yield* FakeFleetStore.make
      const processes = yield* startMany(1000, fake)
      yield* delayEndpoint("200 millis")
      const { exits, took } = yield* callAll(processes)
      assert.strictEqual(tokensOf(exits).length, 1)
      assert.strictEqual(yield* tokenRequests, 1)
      assert.isAtMost(took, 400)
      assert.isAtMost(fake.counts.held, 10_000)
    })), 60_000)

  it.effect("that hold a due token: 1 request a refresh, and nobody waits", () =>
    simulated(Effect.gen(function*() {
      const fake = yield* FakeFleetStore.make
      const processes = yield* startMany(1000, fake, { cache: rarely })
      yield* callAll(processes)
      yield* delayEndpoint("200 millis")
      for (let refresh = 1; refresh <= 3; refresh++) {
        yield* TestClock.adjust(26 * minute)
        for (let at = 26 * 60; at <= 30 * 60; at += 10) {
          const { took } = yield* callAll(processes)
          assert.strictEqual(took, 0)
          yield* TestClock.adjust("10 seconds")
        }
        assert.strictEqual(yield* tokenRequests, 1 + refresh)
      }
    })), 120_000)

  it.effect(
    "and the holder of the lease dies: 2 requests, and the others wait for its lease and one request",
    () =>
      simulated(Effect.gen(function*() {
        const fake = yield* FakeFleetStore.make
        const [first, ...others] = yield* startMany(1000, fake)
        if (first === undefined) return yield* Effect.die("there is no first")
        yield* delayEndpoint("200 millis")
        yield* Effect.forkChild(first.client.acquireToken(request), { startImmediately: true })
        yield* TestClock.adjust("50 millis")
        assert.strictEqual(yield* tokenRequests, 1)
        // From now on nothing of it reaches the store.
        first.connection.isSilent = true
        const { exits, took } = yield* callAll(others)
        assert.strictEqual(tokensOf(exits).length, 1)
        assert.strictEqual(yield* tokenRequests, 2)
        assert.isAtMost(took, 5000 + 400 + 200 + 400)
      })),
    60_000
  )
})

describe("a store without leases", () => {
  it.effect(
    "1,000 processes: a refresh costs 3 requests on average, and nobody waits",
    () =>
      simulated(Effect.gen(function*() {
        const fake = yield* FakeFleetStore.make
        const processes = yield* startMany(1000, fake, { hasLeases: false, cache: rarely })
        const refreshes = 4
        yield* callAll(processes.slice(0, 1))
        yield* callAll(processes)
        assert.strictEqual(yield* tokenRequests, 1)
        yield* delayEndpoint("200 millis")
        // All are in use all the time, so each notices that its token is due.
        for (let seconds = 0; seconds < 2.25 * 3600; seconds++) {
          assert.strictEqual((yield* callAll(processes)).took, 0)
          yield* TestClock.adjust("1 second")
        }
        const requests = yield* tokenRequests
        assert.isAtMost(requests - 1, 3 * refreshes)
        assert.isAtLeast(requests - 1, refreshes)
      })),
    240_000
  )
})

describe("12 hours without a token endpoint", () => {
  it.effect(
    "10,000 tenants, tokens of 24 hours: no call fails, also in processes that start meanwhile",
    () =>
      withFakeSealers(Effect.gen(function*() {
        const tenants = Array.from({ length: 10_000 }, (_, at) => `t${at}.example`)
        let isAway = false
        let requests = 0
        const endpoint = HttpClient.make((request) =>
          Effect.sync(() => {
            requests++
            const token = { access_token: `token-${requests}`, token_type: "Bearer", expires_in: 86_400 }
            return HttpClientResponse.fromWeb(
              request,
              isAway ? new Response("", { status: 503 }) : new Response(JSON.stringify(token))
            )
          })
        )
        const program = Effect.gen(function*() {
          const fake = yield* FakeFleetStore.make
          const options = { cache: rarely, client: { tenantId: undefined } }
          const call = (processes: ReadonlyArray<Process>) =>
            Effect.gen(function*() {
              const calls = tenants.map((tenantId, at) =>
                processes[at % processes.length]?.client.acquireToken({ ...request, tenantId }) ??
                  Effect.die("no process")
              )
              const { exits, took } = yield* together(calls)
              assert.isAtMost(took, 2500)
              assert.strictEqual(tokensOf(exits).length, tenants.length)
            })
          const processes = [...yield* startMany(2, fake, options)]
          yield* call(processes)
          assert.strictEqual(requests, tenants.length)
          // They become due from now on, within an hour.
          yield* TestClock.adjust("11 hours")
          isAway = true
          for (let hour = 0; hour < 12; hour++) {
            yield* call(processes)
            if (hour % 3 === 1) processes.push(yield* start(fake, options))
            yield* TestClock.adjust("1 hour")
          }
          yield* call(processes)
          yield* call(yield* startMany(1, fake, options))
        })
        yield* Effect.provideService(program, HttpClient.HttpClient, endpoint)
      })),
    300_000
  )
})
