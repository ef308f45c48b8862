/** Failovers of the cluster and of the sentinels of the test support, with both clients. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { cluster, sentinel } from "./redis.ts"
import { type Client, clientNames, clients } from "./redisClients.ts"
import { until } from "./until.ts"

/** Writes until it succeeds. A command can be lost with its connection, so each has a bound of its own. */
const writes = (name: string, client: Client, key: string) =>
  until(
    `${name} writes again`,
    Effect.tryPromise(() => client.set(key, "after")).pipe(Effect.as(true), Effect.timeout("1 second"))
  )

describe.concurrent("failover", () => {
  it.live("of a cluster whose master is killed", () =>
    Effect.gen(function*() {
      const group = yield* cluster()
      const connected = yield* Effect.forEach(
        clientNames,
        (name) => Effect.map(clients[name].cluster(group), (client) => ({ name, client }))
      )
      for (const { client } of connected) yield* Effect.promise(() => client.set("key", "before"))
      const former = yield* group.killOwner("key")
      const owner = yield* group.failedOver("key", former)
      assert.include(group.nodes.slice(3), owner)
      for (const { client, name } of connected) yield* writes(name, client, "key")
      assert.strictEqual(yield* owner.command("GET", "key"), "after")

      yield* former.restart
      yield* group.waitReady
      assert.strictEqual(yield* group.owner("key"), owner)
    }))

  it.live("of a cluster whose master is stopped", () =>
    Effect.gen(function*() {
      const group = yield* cluster()
      const former = yield* group.owner("key")
      yield* former.stop
      const owner = yield* group.failedOver("key", former)
      assert.notStrictEqual(owner, former)
    }))

  it.live("of sentinels whose master is killed", () =>
    Effect.gen(function*() {
      const group = yield* sentinel()
      const connected = yield* Effect.forEach(
        clientNames,
        (name) => Effect.map(clients[name].sentinel(group), (client) => ({ name, client }))
      )
      for (const { client } of connected) yield* Effect.promise(() => client.set("key", "before"))
      const former = yield* group.killMaster
      const master = yield* group.failedOver(former)
      assert.notStrictEqual(master, former)
      for (const { client, name } of connected) yield* writes(name, client, "key")
      assert.strictEqual(yield* master.command("GET", "key"), "after")
    }))

  it.live("of sentinels whose master is demoted", () =>
    Effect.gen(function*() {
      const group = yield* sentinel()
      const former = yield* group.demoteMaster
      assert.notStrictEqual(yield* group.master, former)
      const error = yield* Effect.flip(former.command("SET", "key", "value"))
      assert.include(error.message, "READONLY")
      for (const name of clientNames) yield* writes(name, yield* clients[name].sentinel(group), "key")
      assert.strictEqual(yield* (yield* group.master).command("GET", "key"), "after")
    }))
})
