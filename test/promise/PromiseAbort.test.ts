/** Aborted requests of the client without Effect, over the `fetch` of Node. */
import * as Entra from "effect-entra/promise"
import { once } from "node:events"
import { createServer } from "node:http"
import { assert, describe, it } from "vitest"
import { collector } from "../support/garbage.ts"
import { contoso, graph } from "../support/world.ts"

describe("fetch", () => {
  const waits = ["the token", "the API"].flatMap((wait) =>
    ["an address", "a Request"].map((input) => ({ input, wait }))
  )
  it.each(waits)("is aborted after a garbage collection, while $input waits for $wait", async ({ input, wait }) => {
    const asked = Promise.withResolvers<void>()
    const silent = createServer(() => asked.resolve()).listen(0, "127.0.0.1")
    try {
      await once(silent, "listening")
      const address = silent.address()
      const api = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`
      await using client = Entra.createClient({
        clientId: "11111111-1111-4111-8111-111111111111",
        tenantId: contoso,
        secret: "a~secret",
        log: () => {},
        origins: { [api]: graph },
        fetch: (input, init) => {
          if (!/login\.microsoftonline/.test(new Request(input).url)) return fetch(input, init)
          if (wait === "the API") {
            return Promise.resolve(Response.json({ token_type: "Bearer", expires_in: 3599, access_token: "a-token" }))
          }
          asked.resolve()
          return new Promise(() => {})
        }
      })
      const controller = new AbortController()
      const waiting = client.fetch(
        input === "a Request" ? new Request(api, { signal: controller.signal }) : api,
        input === "a Request" ? undefined : { signal: controller.signal }
      ).catch((error: unknown) => error)
      await asked.promise
      const collect = collector()
      for (let turn = 0; turn < 5; turn++) {
        await new Promise((resolve) => setImmediate(resolve))
        collect()
      }
      const reason = new Error("enough")
      controller.abort(reason)
      assert.strictEqual(await waiting, reason)
    } finally {
      silent.closeAllConnections()
      silent.close()
    }
  })
})
