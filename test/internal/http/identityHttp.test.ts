/** The limit of a body, on both paths that read it in pieces, and the settings of `fetch` that a caller has. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect } from "effect"
import { FetchHttpClient, HttpClient, HttpClientResponse } from "effect/http"
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

describe("the settings of fetch of a caller", () => {
  const request = { method: "GET", url: "https://login.example/", headers: {}, correlationId: "c-1" } as const
  const ofFetch = Context.make(FetchHttpClient.Fetch, () => Promise.reject(new Error("not for this request")))
  const ofInit = Context.make(FetchHttpClient.RequestInit, { headers: { "x-caller": "1" } })

  it.effect.each<[string, Context.Context<never>]>([
    ["its own fetch", ofFetch],
    ["its options of fetch", ofInit],
    ["both", Context.merge(ofFetch, ofInit)]
  ])("are not those of a shared request: %s", ([, settings]) =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      const client = HttpClient.make((request, _url, _signal, { context }) => {
        seen.push(
          Context.getOrUndefined(context, FetchHttpClient.Fetch),
          Context.getOrUndefined(context, FetchHttpClient.RequestInit)?.headers
        )
        return Effect.succeed(HttpClientResponse.fromWeb(request, new Response("{}")))
      })
      const http = yield* Effect.provideService(IdentityHttp.make(), HttpClient.HttpClient, client)
      yield* Effect.provideContext(http.send(request), settings)
      assert.deepStrictEqual(seen, [undefined, undefined])
    }))
})
