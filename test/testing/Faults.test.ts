import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option, Redacted, Stream } from "effect"
import { EntraSimulator } from "effect-entra/testing"
import { HttpClient } from "effect/http"
import { TestClock } from "effect/testing"
import { assertRefusal, goodForm, post, readToken, tenant, tokenUrl } from "./wire.ts"

const Fault = EntraSimulator.Fault
const { client_secret: _, ...withoutCredential } = goodForm
const memory = EntraSimulator.layerMemory({ signer: EntraSimulator.signerFake })

describe("faults", () => {
  const fail = (...args: Parameters<EntraSimulator.EntraSimulator["Service"]["fail"]>) =>
    EntraSimulator.EntraSimulator.use((simulator) => simulator.fail(...args))

  it.effect("Retry-After as seconds, as a date, or not at all", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(Date.UTC(2026, 0, 1))
      yield* fail(Fault.throttled({ retryAfter: "1500 millis" }))
      yield* fail(Fault.throttled({ retryAfter: "30 seconds", format: "date" }))
      yield* fail(Fault.throttled())
      const expected = { status: 429, error: "temporarily_unavailable", code: 90055 }
      for (const header of ["2", "Thu, 01 Jan 2026 00:00:30 GMT", undefined]) {
        const response = yield* post(goodForm)
        yield* assertRefusal(response, expected)
        assert.strictEqual(response.headers["retry-after"], header)
      }
      yield* readToken(yield* post(goodForm))
      const { counters } = yield* EntraSimulator.EntraSimulator
      assert.deepInclude(yield* counters, { faults: 3, tokensIssued: 1, refusals: {} })
    }).pipe(Effect.provide(memory)))

  it.effect("failures of the service, in JSON and HTML", () =>
    Effect.gen(function*() {
      yield* fail(Fault.unavailable({ status: 500 }))
      yield* assertRefusal(yield* post(goodForm), { status: 500, error: "temporarily_unavailable", code: 90033 })
      yield* fail(Fault.unavailable({ body: "html", retryAfter: "3 seconds" }))
      const html = yield* post(goodForm)
      assert.deepStrictEqual([html.status, html.headers["retry-after"]], [503, "3"])
      assert.include(html.headers["content-type"], "text/html")
      assert.include(yield* html.text, "<html>")
    }).pipe(Effect.provide(memory)))

  it.effect("in the order given, for one tenant or for any, some times or for ever", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* fail(Fault.unavailable({ status: 500 }), { tenant: EntraSimulator.fabrikamDomain })
      yield* fail(Fault.unavailable({ status: 502 }), { times: 2 })
      yield* fail(Fault.unavailable({ status: 503 }), { tenant, times: Infinity })
      const statusOf = (name: string) => Effect.map(post(goodForm, tokenUrl(name)), (response) => response.status)
      const { contosoDomain, fabrikamTenantId } = EntraSimulator
      assert.strictEqual(yield* statusOf(contosoDomain), 502)
      assert.strictEqual(yield* statusOf(fabrikamTenantId), 500)
      assert.strictEqual(yield* statusOf(fabrikamTenantId), 502)
      assert.strictEqual(yield* statusOf(fabrikamTenantId), 200)
      for (let index = 0; index < 5; index++) assert.strictEqual(yield* statusOf(tenant), 503)
      yield* simulator.clearFaults
      assert.strictEqual(yield* statusOf(tenant), 200)
    }).pipe(Effect.provide(memory)))

  it.effect("are listed until they are used up, removed one by one, and reported when they are used", () =>
    Effect.gen(function*() {
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* fail(Fault.dropped, { endpoint: "graph", host: "GRAPH.example", tenant: EntraSimulator.contosoDomain })
      yield* fail(Fault.unavailable(), { times: 2 })
      yield* fail(Fault.loopDetected, { times: Infinity })
      const listed = Effect.map(simulator.faults, (faults) => faults.map(({ id, remaining }) => [id, remaining]))
      assert.deepStrictEqual(yield* listed, [[1, 1], [2, 2], [3, Infinity]])
      assert.deepStrictEqual((yield* simulator.faults)[0], {
        id: 1,
        fault: Fault.dropped,
        endpoint: "graph",
        tenant,
        host: "graph.example",
        remaining: 1
      })
      const used: Array<string> = []
      const once = Effect.provideService(
        post(goodForm),
        EntraSimulator.OnFault,
        (fault) => Effect.sync(() => used.push(fault._tag === "Refused" ? String(fault.refusal.code) : fault._tag))
      )
      yield* once
      assert.deepStrictEqual(yield* listed, [[1, 1], [2, 1], [3, Infinity]])
      yield* once
      assert.deepStrictEqual(yield* listed, [[1, 1], [3, Infinity]])
      yield* once
      yield* simulator.removeFault(3)
      yield* simulator.removeFault(3)
      yield* once
      assert.deepStrictEqual([yield* listed, used], [[[1, 1]], ["90033", "90033", "50196"]])
      // A fault that is added later has an id of its own.
      yield* fail(Fault.echo)
      assert.deepStrictEqual(yield* listed, [[1, 1], [4, 1]])
    }).pipe(Effect.provide(memory)))

  it.effect("a delay waits for the clock, then answers as usual", () =>
    Effect.gen(function*() {
      yield* fail(Fault.delay("10 seconds"))
      const fiber = yield* Effect.forkChild(post(goodForm))
      yield* TestClock.adjust("9 seconds")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 second")
      yield* readToken(yield* Fiber.join(fiber))
    }).pipe(Effect.provide(memory)))

  it.effect("a delay ends with its client", () =>
    Effect.gen(function*() {
      yield* fail(Fault.delay("10 seconds"))
      const fiber = yield* Effect.forkChild(Effect.timeoutOption(post(goodForm), "1 second"))
      yield* TestClock.adjust("1 second")
      assert.isTrue(Option.isNone(yield* Fiber.join(fiber)))
      const { counters } = yield* EntraSimulator.EntraSimulator
      assert.strictEqual((yield* counters).tokensIssued, 0)
    }).pipe(Effect.provide(memory)))

  it.effect("of discovery and Graph", () =>
    Effect.gen(function*() {
      const discovery = `https://login.microsoftonline.com/${tenant}/v2.0/.well-known/openid-configuration`
      const users = "https://graph.microsoft.com/v1.0/users"
      const statusOf = (url: string) => Effect.map(HttpClient.get(url), (response) => response.status)
      yield* fail(Fault.unavailable(), { endpoint: "discovery", tenant })
      yield* fail(Fault.custom({ status: 429, headers: { "retry-after": "1" } }), { endpoint: "graph" })
      yield* readToken(yield* post(goodForm))
      assert.deepStrictEqual([yield* statusOf(discovery), yield* statusOf(discovery)], [503, 200])
      assert.deepStrictEqual([yield* statusOf(users), yield* statusOf(users)], [429, 401])
    }).pipe(Effect.provide(memory)))

  it.effect("a dropped connection is a TransportError", () =>
    Effect.gen(function*() {
      yield* fail(Fault.dropped)
      const error = yield* Effect.flip(post(goodForm))
      assert.strictEqual(error.reason._tag, "TransportError")
      assert.notInclude(JSON.stringify(error), Redacted.value(EntraSimulator.daemonSecret))
      yield* readToken(yield* post(goodForm))
      const http = yield* Effect.flip(post(goodForm, tokenUrl(tenant, "http://login.microsoftonline.com")))
      assert.strictEqual(http.reason._tag, "TransportError")
    }).pipe(Effect.provide(memory)))

  it.effect("bodies that are wrong, large or elsewhere", () =>
    Effect.gen(function*() {
      yield* fail(Fault.malformed())
      const notJson = yield* post(goodForm)
      assert.strictEqual(notJson.status, 200)
      assert.strictEqual((yield* Effect.flip(notJson.json)).reason._tag, "DecodeError")
      yield* fail(Fault.malformed("noAccessToken"))
      assert.notProperty(yield* (yield* post(goodForm)).json, "access_token")
      yield* fail(Fault.redirect("https://elsewhere.example/"))
      const redirect = yield* post(goodForm)
      assert.deepStrictEqual([redirect.status, redirect.headers["location"]], [307, "https://elsewhere.example/"])
      yield* fail(Fault.hugeBody())
      const huge = yield* post(goodForm)
      assert.isUndefined(huge.headers["content-length"])
      const sizes = yield* Stream.runCollect(Stream.map(huge.stream, (chunk) => chunk.length))
      assert.strictEqual([...sizes].reduce((total, size) => total + size, 0), 2 * 1024 * 1024)
      assert.isAbove([...sizes].length, 16)
      yield* fail(Fault.custom({ status: 418, headers: { "x-kind": "teapot" }, body: "short and stout" }))
      const custom = yield* post(goodForm)
      assert.deepStrictEqual(
        [custom.status, custom.headers["x-kind"], yield* custom.text],
        [418, "teapot", "short and stout"]
      )
    }).pipe(Effect.provide(memory)))

  it.effect("scripted refusals", () =>
    Effect.gen(function*() {
      yield* fail(Fault.loopDetected)
      yield* assertRefusal(yield* post(goodForm), { status: 400, error: "invalid_grant", code: 50196 })
      yield* fail(Fault.refused({ code: 53003, error: "invalid_grant", suberror: "basic_action", claims: "{}" }))
      const challenge = { status: 400, error: "invalid_grant", code: 53003, more: ["suberror", "claims"] }
      yield* assertRefusal(yield* post(goodForm), challenge)
      yield* fail(Fault.echo)
      const echo = { status: 401, error: "invalid_client", code: 7000215, more: ["error_uri"] }
      const { error_description: description } = yield* assertRefusal(yield* post(goodForm), echo)
      assert.include(description, Redacted.value(EntraSimulator.daemonSecret))
      yield* fail(Fault.echo)
      const assertion = yield* assertRefusal(yield* post({ ...withoutCredential, client_assertion: "a.b.c" }), echo)
      assert.include(assertion.error_description, "a.b.c")
    }).pipe(Effect.provide(memory)))
})
