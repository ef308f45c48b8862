/** Five thousand keys without a token at once, over `fetch`: the bound of concurrent requests at full size. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { FetchHttpClient } from "effect/http"
import { manyKeys, tokenServer } from "./support/manyKeys.ts"

it.live("no call fails, over as many connections as slots", () =>
  Effect.gen(function*() {
    const server = yield* tokenServer("100 millis")
    const { failed } = yield* manyKeys(server, FetchHttpClient.layer, {
      keys: 5000,
      tenants: 10,
      // 16 seconds on a machine that has nothing else to do.
      budget: "4 minutes"
    })
    assert.strictEqual(failed, 0)
    assert.deepInclude(server.counts, { requests: 5000, mostRequests: 32 })
    assert.isAtMost(server.counts.mostConnections, 32)
  }).pipe(Effect.scoped), 300_000)
