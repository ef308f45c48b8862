/** Responses and errors without the token: the rest of them stays as it was. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Stream } from "effect"
import { HttpClientError, HttpClientRequest, HttpClientResponse } from "effect/http"
import { redactedError, redactedResponse } from "../../../src/internal/http/redactedResponse.ts"
import { printed } from "../support.ts"

const token = "the-secret-token"
const plain = HttpClientRequest.get("https://graph.microsoft.com/v1.0/users")
const authorized = HttpClientRequest.setHeader(plain, "authorization", `Bearer ${token}`)

const responseOf = (body: BodyInit | null, headers: Record<string, string> = {}) =>
  HttpClientResponse.fromWeb(authorized, new Response(body, { status: 201, headers }))

const response = responseOf("body")
const description = "it failed"
const cause = new Error("socket closed")

const reasons = [
  new HttpClientError.TransportError({ request: authorized, cause, description }),
  new HttpClientError.EncodeError({ request: authorized, cause, description }),
  new HttpClientError.InvalidUrlError({ request: authorized, cause, description }),
  new HttpClientError.StatusCodeError({ request: authorized, response, cause, description }),
  new HttpClientError.DecodeError({ request: authorized, response, cause, description }),
  new HttpClientError.EmptyBodyError({ request: authorized, response, cause, description })
]

describe("redactedError", () => {
  it.each(reasons)("keeps the kind, the description and the cause of $_tag, without the token", (reason) => {
    const error = redactedError(new HttpClientError.HttpClientError({ reason }), plain)
    assert.strictEqual(error.reason._tag, reason._tag)
    assert.strictEqual(error.reason.request, plain)
    assert.strictEqual(error.reason.description, description)
    assert.strictEqual(error.reason.cause, cause)
    if ("response" in error.reason) {
      assert.strictEqual(error.reason.response.status, 201)
      assert.strictEqual(error.reason.response.request, plain)
    }
    assert.notInclude(printed(error), token)
  })

  it.each(reasons)("removes the token from the cause of $_tag, when the cause is such an error too", (reason) => {
    const inner = new HttpClientError.HttpClientError({ reason })
    const outer = new HttpClientError.TransportError({ request: authorized, cause: inner })
    const error = redactedError(new HttpClientError.HttpClientError({ reason: outer }), plain)
    const innerError = error.reason.cause
    if (!HttpClientError.isHttpClientError(innerError)) return assert.fail("no HttpClientError")
    assert.strictEqual(innerError.reason._tag, reason._tag)
    assert.notInclude(printed(error), token)
  })

  it("adds no cause to an error without one", () => {
    const reason = new HttpClientError.TransportError({ request: authorized })
    assert.isUndefined(redactedError(new HttpClientError.HttpClientError({ reason }), plain).reason.cause)
  })
})

describe("redactedResponse", () => {
  it("has the fields of the response, and the request without the token", () => {
    const original = responseOf("body", { "x-id": "1", "set-cookie": "a=b" })
    Object.defineProperty(original, "remoteAddress", { value: Option.some("203.0.113.7") })
    const redacted = redactedResponse(original, plain)
    assert.strictEqual(redacted.request, plain)
    assert.strictEqual(redacted.status, 201)
    assert.strictEqual(redacted.url, "https://graph.microsoft.com/v1.0/users")
    assert.strictEqual(redacted.headers["x-id"], "1")
    assert.strictEqual(redacted.cookies, original.cookies)
    assert.deepStrictEqual(redacted.remoteAddress, Option.some("203.0.113.7"))
    assert.strictEqual(redacted.pipe(({ status }) => status), 201)
    assert.include(JSON.stringify(redacted), "201")
    assert.notInclude(printed(redacted), token)
  })

  it.effect("reads the body in every form", () =>
    Effect.gen(function*() {
      const read = (body: BodyInit) => redactedResponse(responseOf(body), plain)
      assert.strictEqual(yield* read("a=1").text, "a=1")
      assert.deepStrictEqual(yield* read("{\"a\":1}").json, { a: 1 })
      assert.deepStrictEqual([...yield* read("a=1").urlParamsBody], [["a", "1"]])
      assert.strictEqual((yield* read(new URLSearchParams({ a: "1" })).formData).get("a"), "1")
      assert.strictEqual(new TextDecoder().decode(yield* read("a=1").arrayBuffer), "a=1")
      assert.strictEqual(yield* Stream.mkString(Stream.decodeText(read("a=1").stream)), "a=1")
    }))

  const broken = () =>
    redactedResponse(
      responseOf(
        new ReadableStream({
          start: (controller) => controller.error(new Error("the body broke off"))
        })
      ),
      plain
    )
  it.effect.each<
    readonly [form: string, (of: HttpClientResponse.HttpClientResponse) => Effect.Effect<unknown, unknown>]
  >([
    ["text", ({ text }) => text],
    ["json", ({ json }) => json],
    ["urlParamsBody", ({ urlParamsBody }) => urlParamsBody],
    ["formData", ({ formData }) => formData],
    ["arrayBuffer", ({ arrayBuffer }) => arrayBuffer],
    ["stream", ({ stream }) => Stream.runDrain(stream)],
    ["upgrade", ({ upgrade }) => Effect.scoped(upgrade)]
  ])(
    "a body that cannot be read as %s fails with an error that has this response and no token",
    ([, read]) =>
      Effect.gen(function*() {
        const redacted = broken()
        const error = yield* Effect.flip(read(redacted))
        if (!HttpClientError.isHttpClientError(error)) return assert.fail("no HttpClientError")
        assert.strictEqual(error.request, plain)
        assert.strictEqual(error.response, redacted)
        assert.notInclude(printed(error), token)
      })
  )
})
