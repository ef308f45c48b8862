/** After a run with everything that a cache may share, Redis holds nothing that tells a token, a secret or a name. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { RetryPolicy } from "effect-entra"
import { EntraSimulator } from "effect-entra/testing"
import { rootKey, startProcess } from "../support/fleet.ts"
import { makeStore } from "../support/fleetStores.ts"
import { standalone } from "../support/redis.ts"
import type { Reply } from "../support/redisCommand.ts"
import type { RedisServer } from "../support/redisServer.ts"
import { until } from "../support/until.ts"
import { contoso, fabrikam, graph, orders, Simulator } from "../support/world.ts"

const list = (reply: Reply): ReadonlyArray<string> => Array.isArray(reply) ? reply.flat().map(String) : [String(reply)]

/** Returns the keys with all that they hold. */
const contents = (server: RedisServer) =>
  Effect.gen(function*() {
    const found: Array<string> = []
    for (const key of list(yield* server.command("KEYS", "*"))) {
      const type = yield* server.command("TYPE", key)
      // It has just ended.
      if (type === "none") continue
      const value = type === "hash"
        ? yield* server.command("HGETALL", key)
        : type === "string"
        ? yield* server.command("GET", key)
        : assert.fail(`a value of another type: ${String(type)}`)
      found.push(key, ...list(value))
    }
    return found
  })

/** Texts as they are, and as base64, base64url and hexadecimal decode them, from each offset of four. */
const readings = (text: string): ReadonlyArray<string> => {
  const offsets = [0, 1, 2, 3].map((offset) => text.slice(offset))
  const decoded = (["base64", "base64url", "hex"] as const).flatMap((encoding) =>
    offsets.flatMap((part) => {
      const bytes = Buffer.from(part, encoding)
      return [bytes.toString("latin1"), bytes.toString("utf16le")]
    })
  )
  return [text, ...decoded]
}

const claims = `{"access_token":{"nbf":{"essential":true,"value":"1604106651"}}}`

describe("what Redis holds", () => {
  it.live.each([{ keys: [rootKey("root")], isSealed: true }, { keys: "plaintext" as const, isSealed: false }])(
    "sealed: $isSealed",
    ({ isSealed, keys }) =>
      Effect.gen(function*() {
        const simulator = yield* EntraSimulator.EntraSimulator
        const server = yield* standalone()
        const store = yield* makeStore(server.url)
        const { client } = yield* startProcess({ store, keys, endpoint: { retry: RetryPolicy.none } })
        const acquired: Array<string> = []
        const acquire = (request: Parameters<typeof client.acquireToken>[0]) =>
          Effect.map(client.acquireToken(request), ({ accessToken }) => void acquired.push(Redacted.value(accessToken)))
        for (const tenantId of [contoso, fabrikam]) {
          for (const scopes of [graph, orders]) {
            yield* acquire({ scopes, tenantId })
            yield* acquire({ scopes, tenantId, forceRefresh: true })
            yield* acquire({ scopes, tenantId, claims })
          }
        }
        yield* client.invalidate({ tenantId: fabrikam })
        yield* client.invalidate({ scopes: orders, tenantId: contoso })
        const failed = (fault: EntraSimulator.Fault.Fault, scopes: string) =>
          Effect.andThen(
            simulator.fail(fault),
            Effect.flip(client.acquireToken({ scopes, tenantId: fabrikam }))
          )
        const outage = yield* failed(EntraSimulator.Fault.unavailable({ retryAfter: "30 seconds" }), orders)
        const throttle = yield* failed(EntraSimulator.Fault.throttled({ retryAfter: "60 seconds" }), graph)
        yield* acquire({ scopes: orders, tenantId: contoso })
        const found = yield* until(
          "all is stored",
          Effect.map(contents(server), (found) =>
            ["v", "l", "t", "e"].every((kind) =>
                found.some((text) => text.startsWith(`effect-entra:${kind}:`))
              )
              ? found
              : undefined),
          "500 millis"
        )
        const held = found.flatMap(readings)
        const names = [
          EntraSimulator.daemonClientId,
          EntraSimulator.daemonSecret,
          contoso,
          fabrikam,
          "contoso",
          "fabrikam",
          "graph.microsoft.com",
          "api://orders",
          ".default",
          "login.microsoftonline.com",
          "access_token",
          "expires",
          outage.message,
          throttle.message,
          "AADSTS"
        ].map((name) => Redacted.isRedacted(name) ? String(Redacted.value(name)) : String(name))
        const parts = acquired.flatMap((token) => [token, ...token.split(".").filter((part) => part.length > 8)])
        const seen = [...names, ...parts].filter((text) =>
          held.some((value) => value.toLowerCase().includes(text.toLowerCase()))
        )
        if (isSealed) assert.deepStrictEqual(seen, [])
        // This test finds what it looks for.
        else {
          assert.includeMembers(seen, [contoso, "api://orders", "AADSTS"])
          assert.isTrue(acquired.some((token) => seen.includes(token)))
        }
      }).pipe(Effect.provide(Simulator()))
  )
})

describe("the record of invalidations", () => {
  it.live("forgets stamps of more than 48 hours ago, at most once an hour", () =>
    Effect.gen(function*() {
      const server = yield* standalone()
      const store = yield* makeStore(server.url)
      const { fleet } = store
      if (fleet === undefined) return assert.fail("a store without epochs")
      yield* fleet.invalidate("owner", "first", 0)
      const [record = ""] = list(yield* server.command("KEYS", "*"))
      const addOld = (name: string) =>
        server.command("HSET", record, ...Array.from({ length: 600 }, (_, n) => [`at:${name}${n}`, "1"]).flat())
      const count = Effect.map(server.command("HLEN", record), Number)
      yield* addOld("old")
      assert.isAbove(yield* count, 600)
      yield* fleet.invalidate("owner", "second", 0)
      assert.isBelow(yield* count, 10)
      yield* addOld("older")
      yield* fleet.invalidate("owner", "third", 0)
      assert.isAbove(yield* count, 600)
      // As if an hour had passed.
      yield* server.command("HSET", record, "pruned", "1")
      yield* fleet.invalidate("owner", "fourth", 0)
      assert.isBelow(yield* count, 10)
      const stamps = (yield* fleet.epochs("owner", undefined))?.stamps
      assert.deepStrictEqual([...stamps?.keys() ?? []].sort(), ["first", "fourth", "second", "third"])
    }).pipe(Effect.scoped))
})
