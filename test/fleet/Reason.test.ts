/** The reason in the log line about a store that does not answer. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TokenCache } from "effect-entra"
import { RedisStore } from "effect-entra/node"
import { rootKey, startProcess } from "../support/fleet.ts"
import { memoryProvider } from "../support/fleetProvider.ts"
import { record } from "../support/log.ts"
import { sentinel, standalone } from "../support/redis.ts"
import { until } from "../support/until.ts"

const outage = "the token store does not answer: tokens come from memory and the service"

/** Returns the reason that is logged when `kill` has ended the store, while tokens are acquired. */
const reasonAfter = Effect.fnUntraced(function*(options: RedisStore.Options, kill: Effect.Effect<unknown>) {
  const log = record()
  const layer = TokenCache.layerTiered({ store: RedisStore.make(options), keys: [rootKey("root")] })
  const { client } = yield* Effect.provide(startProcess({ layer }), log.layer)
  let cold = 0
  const acquired = Effect.suspend(() =>
    client.acquireToken({ scopes: [`api://cold${cold++}/.default`] }).pipe(Effect.provide(log.layer))
  )
  yield* acquired
  yield* kill
  return yield* until(
    "the outage is logged",
    Effect.map(acquired, () => log.entries.find(({ text }) => text === outage)?.annotations["reason"])
  )
})

describe("the reason of a store that does not answer", () => {
  it.live("is ECONNREFUSED when its server was killed", () =>
    Effect.gen(function*() {
      const server = yield* standalone()
      assert.strictEqual(yield* reasonAfter({ url: server.url }, server.kill()), "ECONNREFUSED")
    }).pipe(Effect.provide(memoryProvider().layer)))

  it.live("is WRONGPASS when the server no longer accepts the user", () =>
    Effect.gen(function*() {
      const server = yield* standalone({ aclUsers: ["app on >password ~* &* +@all"] })
      const url = server.url.replace("//", "//app:password@")
      const refuse = Effect.andThen(
        server.command("ACL", "SETUSER", "app", "off"),
        server.command("CLIENT", "KILL", "USER", "app")
      )
      assert.strictEqual(yield* reasonAfter({ url }, Effect.orDie(refuse)), "WRONGPASS")
    }).pipe(Effect.provide(memoryProvider().layer)))

  it.live("is ECONNREFUSED when the servers and their sentinels were killed", () =>
    Effect.gen(function*() {
      const { addresses, name, sentinels, servers } = yield* sentinel()
      const urls = addresses.map(({ host, port }) => `redis://${host}:${port}`)
      const kill = Effect.forEach([...sentinels, ...servers], (server) => server.kill())
      assert.strictEqual(yield* reasonAfter({ sentinel: { name, urls } }, kill), "ECONNREFUSED")
    }).pipe(Effect.provide(memoryProvider().layer)), 30_000)
})
