import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { once } from "node:events"
import { createServer } from "node:http"
import { openPage, startBrowser } from "./browser.ts"

describe("the browser of the tests", () => {
  it.live("shows pages of this machine, and reaches no other", () =>
    Effect.gen(function*() {
      const origin = yield* startPage(
        `<!doctype html><title>here</title><p>A page.</p><img src="http://192.0.2.1/a.png" alt=""><script>missing()</script>`
      )
      const browser = yield* startBrowser
      const { complaints, foreign, page } = yield* openPage(browser)
      yield* Effect.promise(() => page.goto(origin))
      assert.strictEqual(yield* Effect.promise(() => page.title()), "here")
      assert.deepStrictEqual(foreign, ["http://192.0.2.1/a.png"])
      assert.isTrue(complaints.some((text) => text.includes("missing is not defined")), complaints.join("\n"))
      const error = yield* Effect.promise(() => page.goto("http://example.com/").then(() => "reached", String))
      assert.include(error, "ERR_PROXY_CONNECTION_FAILED")
    }).pipe(Effect.scoped))
})

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const startPage = (html: string) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const server = createServer((request, response) => {
        if (request.url !== "/") response.statusCode = 404
        response.setHeader("content-type", "text/html").end(html)
      }).listen(0, "127.0.0.1")
      await once(server, "listening")
      return server
    }),
    (server) =>
      Effect.promise(async () => {
        server.closeAllConnections()
        server.close()
        await once(server, "close")
      })
  ).pipe(Effect.map((server) => {
    const address = server.address()
    if (address === null || typeof address === "string") throw new Error("no port")
    return `http://127.0.0.1:${address.port}/`
  }))
