/** The limit of a body, on both paths that read it in pieces. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import * as IdentityHttp from "../../../src/internal/http/identityHttp.ts"
import { redactedResponse } from "../../../src/internal/http/redactedResponse.ts"

const chunk = 65_536

const bodyOf = (length: number): ReadableStream<Uint8Array> => {
  let left = length
  return new ReadableStream({
    pull: (controller) => {
      const size = Math.min(chunk, left)
      left -= size
      if (size > 0) controller.enqueue(new Uint8Array(size).fill(32))
      else controller.close()
    }
  })
}

describe.each([
  ["of fetch", (response: HttpClientResponse.HttpClientResponse) => response],
  // This response has no web response behind it, like those of Node's own client.
  [
    "of another client",
    (response: HttpClientResponse.HttpClientResponse) => redactedResponse(response, response.request)
  ]
])("a body %s", (_, as) => {
  const read = (length: number) =>
    Effect.gen(function*() {
      const client = HttpClient.make((request) =>
        Effect.succeed(as(HttpClientResponse.fromWeb(request, new Response(bodyOf(length)))))
      )
      const http = yield* Effect.provideService(IdentityHttp.make(), HttpClient.HttpClient, client)
      return yield* http.send({ method: "GET", url: "https://login.example/", headers: {}, correlationId: "c-1" })
    })

  it.effect("is read completely up to the limit", () =>
    Effect.gen(function*() {
      const { body, cut } = yield* read(IdentityHttp.bodyLimit)
      assert.isFalse(cut)
      assert.strictEqual(body.length, IdentityHttp.bodyLimit)
    }))

  it.effect("is cut one byte above the limit", () =>
    Effect.gen(function*() {
      const { body, cut } = yield* read(IdentityHttp.bodyLimit + 1)
      assert.isTrue(cut)
      assert.isAtMost(body.length, IdentityHttp.bodyLimit)
    }))
})
