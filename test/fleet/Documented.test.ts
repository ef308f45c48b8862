/** What `docs/fleet.md` says about Redis: the commands, and the rule of a user that may do nothing else. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { EntraSimulator } from "effect-entra/testing"
import { readText } from "../docs/repository.ts"
import { startProcess } from "../support/fleet.ts"
import { makeStore } from "../support/fleetStores.ts"
import { standalone } from "../support/redis.ts"
import { orders, Simulator, tokenRequests } from "../support/world.ts"

const page = readText("docs/fleet.md") ?? ""
const rule = /^ACL SETUSER orders on >a-password (.+)$/m.exec(page)?.[1]?.split(" ") ?? []

describe("docs/fleet.md", () => {
  it("names the commands of the store and of its scripts, and no others", () => {
    const code = readText("src/internal/fleet/redisStore.ts") ?? ""
    const [, sent = "", called = ""] = /The commands are ([^;]+);\s+the scripts use ([^.]+)\./.exec(page) ?? []
    const coded = (text: string) => [...text.matchAll(/`([A-Z]+)`/g)].map(([, name = ""]) => name).sort()
    const found = (pattern: RegExp) => [...new Set([...code.matchAll(pattern)].map(([, name = ""]) => name))].sort()
    assert.deepStrictEqual(coded(sent), found(/(?:command\(|\[)"([A-Z]+)"/g))
    assert.deepStrictEqual(coded(called), found(/redis\.p?call\('([A-Z]+)'/g))
    const allowed = rule.filter((part) => part.startsWith("+")).map((part) => part.slice(1).toUpperCase())
    assert.deepStrictEqual(allowed.sort(), [...new Set([...coded(sent), ...coded(called)])].sort())
  })

  it.live("has a rule that suffices: for tokens, leases, waits and invalidations", () =>
    Effect.gen(function*() {
      const server = yield* standalone()
      yield* server.command("ACL", "SETUSER", "orders", "on", ">a-password", ...rule)
      const store = yield* makeStore(server.url.replace("//", "//orders:a-password@"))
      const simulator = yield* EntraSimulator.EntraSimulator
      // Long enough for an extension of the lease.
      yield* simulator.fail(EntraSimulator.Fault.delay("1500 millis"))
      const processes = [yield* startProcess({ store }), yield* startProcess({ store })]
      yield* Effect.forEach(processes, ({ client }) => client.acquireToken({ scopes: orders }), {
        concurrency: "unbounded"
      })
      yield* Effect.forEach(processes, ({ client }) => client.invalidate("all"))
      assert.strictEqual(yield* tokenRequests, 1)
      const statistics = String(yield* server.command("INFO", "commandstats"))
      for (const name of ["mget", "pexpire", "hset"]) assert.include(statistics, `cmdstat_${name}:`)
      assert.deepStrictEqual(yield* server.command("ACL", "LOG"), [])
    }).pipe(Effect.provide(Simulator())))
})
