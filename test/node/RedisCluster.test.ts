import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { RedisStore } from "effect-entra/node"
import { slotOf } from "../../src/node/internal/redisCluster.ts"
import { cluster } from "../support/redis.ts"
import { until } from "../support/until.ts"

const ttl = Duration.minutes(1)
const bytes = (text: string) => new TextEncoder().encode(text)

describe("a cluster", () => {
  it("has the slots of the specification", () => {
    assert.strictEqual(slotOf("123456789"), 0x31c3)
    assert.strictEqual(slotOf("prefix:{123456789}.end"), 0x31c3)
    assert.strictEqual(slotOf("a{b}{c}"), slotOf("b"))
    assert.strictEqual(slotOf(""), 0)
  })

  it.live("whose slots move: commands follow, while they move and after", () =>
    Effect.gen(function*() {
      const group = yield* cluster()
      const store = yield* RedisStore.make({ cluster: group.urls.slice(0, 1), prefix: "p:" })
      yield* until("a connection", Effect.as(store.set("moving.epoch", bytes("before"), ttl), true))
      const key = "p:v:{moving}.epoch"
      const slot = String(slotOf(key))
      const source = yield* group.owner(key)
      for (const text of [key, "", "{}a", "a{b", "a}b{c", "a{b}{c}", "{{a}}", "\u00e9{\u20ac}"]) {
        assert.strictEqual(Number(yield* source.command("CLUSTER", "KEYSLOT", text)), slotOf(text), text)
      }
      const target = group.nodes.slice(0, 3).find((node) => node !== source)
      if (target === undefined) return assert.fail("one master")
      const [sourceId, targetId] = [yield* source.command("CLUSTER", "MYID"), yield* target.command("CLUSTER", "MYID")]
      yield* target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", String(sourceId))
      yield* source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", String(targetId))

      // What is still there is read there; what is not is asked for at the other node.
      assert.deepStrictEqual((yield* store.get("moving.epoch"))?.bytes, bytes("before"))
      yield* source.command("MIGRATE", "127.0.0.1", String(target.port), key, "0", "1000")
      assert.deepStrictEqual((yield* store.get("moving.epoch"))?.bytes, bytes("before"))
      yield* store.set("moving.new", bytes("new"), ttl)
      assert.deepStrictEqual((yield* store.get("moving.new"))?.bytes, bytes("new"))

      for (const node of [target, source]) yield* node.command("CLUSTER", "SETSLOT", slot, "NODE", String(targetId))
      assert.deepStrictEqual((yield* store.get("moving.epoch"))?.bytes, bytes("before"))
      assert.deepStrictEqual((yield* store.get("moving.new"))?.bytes, bytes("new"))
      const request = { owner: "me", ttl, seen: undefined, hasToken: false }
      assert.deepStrictEqual(yield* store.fleet?.take("moving.third", request) ?? Effect.void, { _tag: "Taken" })
      yield* until(
        "the new owner is known",
        // Other masters hear of it later, and each command that is redirected asks one of them.
        Effect.map(
          store.get("moving.epoch"),
          () => store.nodeOf?.("moving.epoch") === `127.0.0.1:${target.port}` ? true : undefined
        )
      )
    }))
})
