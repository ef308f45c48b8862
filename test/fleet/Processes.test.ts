/** Processes of this machine share tokens over a Redis server. The provider is a server of this process that counts by key. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { burner, type FleetProcess, startFleetProcess } from "../support/fleetProcesses.ts"
import { httpProvider, type ProviderOptions } from "../support/fleetProvider.ts"
import { standalone } from "../support/redis.ts"
import { until } from "../support/until.ts"
import type { Answer } from "./child.ts"

const root = (text: string) => Buffer.from(text.padEnd(40, "0123456789abcdefghij")).toString("base64")

const fleet = (size: number, options: ProviderOptions) =>
  Effect.gen(function*() {
    const provider = yield* httpProvider(options)
    const server = yield* standalone()
    const start = startFleetProcess(provider.origin, server.url, [root("root")])
    const processes = yield* Effect.all(Array.from({ length: size }, () => start), { concurrency: "unbounded" })
    return { provider, server, processes, start }
  })

const all = (processes: ReadonlyArray<FleetProcess>, command: Parameters<FleetProcess["run"]>[0]) =>
  Effect.all(processes.map(({ run }) => run(command)), { concurrency: "unbounded" })

const assertServed = (answers: ReadonlyArray<Answer>) => {
  for (const { errors, failed } of answers) assert.strictEqual(failed, 0, String(errors))
}

const rows: Array<string> = []
const note = (what: string, requests: number, answers: ReadonlyArray<Answer>) =>
  Effect.sync(() => {
    const slowest = Math.max(...answers.map(({ slowest = 0 }) => slowest))
    rows.push(`| ${what} | ${requests} | ${Math.round(slowest)} |`)
    console.log(rows.at(-1))
  })

const minute = 60_000

describe("eight processes", () => {
  it.live("1,000 callers each, one cold key: one request", () =>
    Effect.gen(function*() {
      const { processes, provider } = yield* fleet(8, { delay: "200 millis" })
      const answers = yield* all(processes, { do: "acquire", keys: 1, callers: 1000, prefix: "one" })
      assertServed(answers)
      yield* note("8 processes x 1,000 callers, one cold key", provider.total(), answers)
      assert.strictEqual(provider.total(), 1)
      assert.deepStrictEqual(answers.map(({ tokens }) => tokens), answers.map(() => 1))
    }), minute)

  it.live("1,000 cold keys beside a CPU burner: 1,000 requests", () =>
    Effect.gen(function*() {
      const { processes, provider } = yield* fleet(8, { delay: "200 millis" })
      yield* burner
      const answers = yield* all(processes, { do: "acquire", keys: 1000, callers: 1000, prefix: "many" })
      assertServed(answers)
      yield* note("8 processes, 1,000 cold keys, a CPU burner", provider.total(), answers)
      if (provider.total() !== 1000) {
        const stats = yield* all(processes, { do: "stats" })
        console.log(answers.map(({ levels }) => levels), stats.map(({ store }) => store))
      }
      assert.strictEqual(provider.total(), 1000)
      assert.strictEqual(provider.requests.size, 1000)
    }), 3 * minute)

  it.live("1,000 due keys beside a CPU burner: one request for each", () =>
    Effect.gen(function*() {
      const { processes, provider } = yield* fleet(8, { delay: "200 millis", refreshIn: 25 })
      const acquire = { do: "acquire", keys: 1000, callers: 1000, prefix: "due" } as const
      for (const process of processes) assertServed([yield* process.run(acquire)])
      assert.strictEqual(provider.total(), 1000)
      yield* burner
      yield* until(
        "the tokens are due, and each is renewed",
        Effect.gen(function*() {
          assertServed(yield* all(processes, acquire))
          return provider.total() >= 2000 ? true : undefined
        }),
        "100 seconds"
      )
      const answers = yield* all(processes, acquire)
      assertServed(answers)
      yield* note(
        "8 processes, 1,000 due keys, a CPU burner: the first tokens and the second",
        provider.total(),
        answers
      )
      assert.strictEqual(provider.total(), 2000)
      assert.deepStrictEqual(new Set(provider.requests.values()), new Set([2]))
    }), 3 * minute)
})

describe("the holder of a lease", () => {
  const cases = [
    { name: "killed (SIGKILL)", fail: (holder: FleetProcess) => holder.kill("SIGKILL"), resume: false },
    { name: "stopped for 8 s (SIGSTOP)", fail: (holder: FleetProcess) => holder.kill("SIGSTOP"), resume: true }
  ]
  it.live.each(cases)(
    "$name: two requests, nobody waits for longer than lease and request",
    ({ fail, name, resume }) =>
      Effect.gen(function*() {
        const delay = 1000
        const { processes, provider } = yield* fleet(4, { delay })
        const [holder, ...others] = processes
        if (holder === undefined) return assert.fail("no process")
        const acquire = { do: "acquire", keys: 1, callers: 100, prefix: "held" } as const
        const held = yield* Effect.forkScoped(Effect.exit(holder.run(acquire)))
        yield* until("the holder asks", Effect.sync(() => provider.total() === 1 ? true : undefined))
        const following = yield* Effect.forkScoped(all(others, acquire))
        yield* fail(holder)
        const resuming = yield* Effect.forkScoped(
          Effect.andThen(Effect.sleep("8 seconds"), resume ? holder.kill("SIGCONT") : Effect.void)
        )
        const answers = yield* Fiber.join(following)
        assertServed(answers)
        if (resume) {
          yield* Fiber.join(resuming)
          yield* Fiber.join(held)
          assertServed([yield* holder.run(acquire)])
        }
        yield* note(`the holder ${name}`, provider.total(), answers)
        assert.isAtMost(provider.total(), 2)
        for (const { slowest = Infinity } of answers) assert.isBelow(slowest, 5000 + delay + 1500)
      }),
    minute
  )

  it.live("ended gracefully: the others do not wait for its lease", () =>
    Effect.gen(function*() {
      const { processes, provider } = yield* fleet(4, { delay: "1 second" })
      const [holder, ...others] = processes
      if (holder === undefined) return assert.fail("no process")
      const acquire = { do: "acquire", keys: 1, callers: 100, prefix: "held" } as const
      yield* Effect.forkScoped(Effect.exit(holder.run(acquire)))
      yield* until("the holder asks", Effect.sync(() => provider.total() === 1 ? true : undefined))
      const following = yield* Effect.forkScoped(all(others, acquire))
      yield* holder.kill("SIGTERM")
      const answers = yield* Fiber.join(following)
      assertServed(answers)
      yield* note("the holder ends (SIGTERM)", provider.total(), answers)
      assert.isAtMost(provider.total(), 2)
      for (const { slowest = Infinity } of answers) assert.isBelow(slowest, 1000 + 2500)
    }), minute)
})

describe("invalidation", () => {
  const acquire = { do: "acquire", keys: 1, callers: 1, prefix: "old" } as const
  const peek = { do: "peek", key: "old0" } as const
  const forgotten = (processes: ReadonlyArray<FleetProcess>) =>
    Effect.map(all(processes, peek), (found) => found.every(({ token }) => token === undefined) ? true : undefined)

  it.live("reaches all processes within a second", () =>
    Effect.gen(function*() {
      const { processes, provider } = yield* fleet(4, {})
      assertServed(yield* all(processes, acquire))
      assert.strictEqual(provider.total(), 1)
      const [first] = processes
      if (first === undefined) return assert.fail("no process")
      yield* first.run({ do: "invalidate" })
      yield* until("all have forgotten", forgotten(processes), "1 second")
      assertServed(yield* all(processes, acquire))
      assert.strictEqual(provider.total(), 2)
    }), minute)

  it.live(
    "while Redis is stopped: here at once, elsewhere within a second of its return",
    () =>
      Effect.gen(function*() {
        const { processes, provider, server } = yield* fleet(4, {})
        assertServed(yield* all(processes, acquire))
        const [first, ...others] = processes
        if (first === undefined) return assert.fail("no process")
        yield* server.stop
        yield* first.run({ do: "invalidate" })
        assert.isUndefined((yield* first.run(peek)).token)
        assertServed([yield* first.run(acquire)])
        assert.strictEqual(provider.total(), 2)
        yield* Effect.sleep("1500 millis")
        yield* server.resume
        const old = (yield* Effect.forEach(others, ({ run }) => run(peek))).map(({ token }) => token)
        const begun = performance.now()
        yield* until(
          "the others have forgotten",
          Effect.map(
            all(others, peek),
            (found) => found.every(({ token }, at) => token === undefined || token !== old[at]) ? true : undefined
          ),
          "1 second"
        )
        rows.push(
          `| invalidation while Redis is stopped: old tokens gone after | | ${Math.round(performance.now() - begun)} |`
        )
        console.log(rows.at(-1))
        // The token from after the invalidation may be shared, but not the one from before.
        const after = yield* all(processes, acquire)
        assertServed(after)
        const tokens = (yield* all(processes, peek)).map(({ token }) => token)
        for (const token of tokens) assert.notInclude(old, token)
      }),
    minute
  )
})
