/** The root keys of a shared cache change three times while its processes work. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Redacted, Scope } from "effect"
import { RedisStore } from "effect-entra/node"
import { rootKey, startProcess } from "../support/fleet.ts"
import { memoryProvider } from "../support/fleetProvider.ts"
import { standalone } from "../support/redis.ts"
import { until } from "../support/until.ts"

const keys = Array.from({ length: 20 }, (_, n) => ({ scopes: `api://${n}/.default` }))

/** The lists of three rotations; each process is restarted with the next one. */
const lists = ["A", "AB", "BA", "B", "BC", "CB", "C", "CD", "DC", "D"].map((list) => list.split(""))

describe("root keys", () => {
  it.live("three rotations under load: no error, nothing unreadable, and requests only when a root is removed", () => {
    const provider = memoryProvider({ delay: "20 millis" })
    return Effect.gen(function*() {
      const server = yield* standalone()
      const errors: Array<string> = []
      const unreadable: Array<number> = []

      const start = (roots: ReadonlyArray<string>) =>
        Effect.gen(function*() {
          const scope = yield* Scope.make()
          const process = yield* Scope.provide(
            Effect.flatMap(
              RedisStore.make({ url: server.url }),
              (store) => startProcess({ store, keys: roots.map((root) => rootKey(`root ${root}`)) })
            ),
            scope
          )
          const acquire = (request: (typeof keys)[number]) =>
            Effect.tapCause(process.client.acquireToken(request), (cause) =>
              Effect.sync(() => errors.push(String(cause))))
          let at = 0
          const load = yield* Effect.forkScoped(
            Effect.forever(
              Effect.andThen(
                Effect.suspend(() =>
                  Effect.exit(acquire(keys[at++ % keys.length] ?? { scopes: "" }))
                ),
                Effect.sleep("2 millis")
              )
            )
          )
          return {
            acquireAll: Effect.forEach(keys, acquire, { concurrency: "unbounded" }),
            counts: Effect.map(process.cache.stats, ({ store }) => store),
            end: Effect.gen(function*() {
              yield* Fiber.interrupt(load)
              const { store } = yield* process.cache.stats
              unreadable.push(store?.unreadable ?? -1)
              yield* Scope.close(scope, Exit.void)
            })
          }
        })

      const stored = (least: number) =>
        until(
          "all tokens are stored",
          Effect.map(server.command("KEYS", "*v:*"), (found) =>
            Array.isArray(found) && found.length >= least ? true : undefined)
        )

      const [first = []] = lists
      const processes = yield* Effect.forEach([0, 1, 2], () => start(first))
      for (const { acquireAll } of processes) yield* acquireAll
      yield* stored(keys.length)
      assert.strictEqual(provider.total(), keys.length)
      // A process of another fleet, on the same server and with the same prefix.
      const stranger = yield* start(["Z"])
      yield* stranger.acquireAll
      yield* stored(2 * keys.length)
      assert.strictEqual(provider.total(), 2 * keys.length)

      let removed = 0
      for (const roots of lists.slice(1)) {
        if (roots.length === 1) removed++
        for (const [at, former] of processes.entries()) {
          yield* former.end
          const process = yield* start(roots)
          processes[at] = process
          yield* process.acquireAll
          const requests = (2 + removed) * keys.length
          assert.strictEqual(provider.total(), requests, `process ${at}, roots ${roots.join("")}`)
          const counts = yield* process.counts
          // The first process without the root finds nothing; the others find its tokens.
          assert.strictEqual(counts?.misses, roots.length === 1 && at === 0 ? keys.length : 0, roots.join(""))
          yield* stored((2 + removed) * keys.length)
        }
      }
      assert.strictEqual(removed, 3)
      yield* stranger.acquireAll
      yield* stranger.end
      for (const { end } of processes) yield* end
      assert.deepStrictEqual(errors, [])
      assert.deepStrictEqual(new Set(unreadable), new Set([0]))
    }).pipe(Effect.provide(provider.layer))
  })

  it.live("an invalidation in the middle of a rotation holds for processes with either list", () => {
    const provider = memoryProvider()
    return Effect.gen(function*() {
      const server = yield* standalone()
      const request = { scopes: "api://orders/.default" }
      const start = (roots: string) =>
        Effect.flatMap(
          RedisStore.make({ url: server.url }),
          (store) => startProcess({ store, keys: [...roots].map((root) => rootKey(`root ${root}`)) })
        )
      for (const [one, other] of [["A", "AB"], ["AB", "BA"], ["BA", "B"]] as const) {
        const [left, right] = [yield* start(one), yield* start(other)]
        for (const [from, to] of [[left, right], [right, left]] as const) {
          yield* from.client.acquireToken(request)
          const old = Redacted.value((yield* to.client.acquireToken(request)).accessToken)
          yield* from.client.invalidate("all")
          yield* until(
            "the other has forgotten",
            Effect.sync(() => to.client.peek(request) === undefined ? true : undefined),
            "1 second"
          )
          assert.notStrictEqual(Redacted.value((yield* to.client.acquireToken(request)).accessToken), old)
          assert.notStrictEqual(Redacted.value((yield* from.client.acquireToken(request)).accessToken), old)
        }
      }
    }).pipe(Effect.provide(provider.layer))
  })
})
