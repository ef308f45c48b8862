import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Layer, Redacted, References } from "effect"
import { AuthorityResolver, ClientCredential, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
import { EntraSimulator } from "effect-entra/testing"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { answering, documentOf, isDiscovery } from "./support/answering.ts"
import { contoso, fabrikam, graph, orders, Simulator } from "./support/world.ts"

/**
 * Two apps over one cache, tenants, scopes, claims: what the service recorded for the request that made a token must be
 * what the caller asked for, whoever else asked at the same time.
 */
const apps = ["20000000-0000-0000-0000-00000000000a", "20000000-0000-0000-0000-00000000000b"] as const

const call = fc.record({
  app: fc.constantFrom(...apps),
  tenantId: fc.constantFrom(contoso, fabrikam, fabrikam.toUpperCase()),
  scopes: fc.constantFrom<string | ReadonlyArray<string>>(graph, orders, [graph], [
    orders.replace("orders", "Orders"),
    orders
  ]),
  claims: fc.constantFrom(undefined, undefined, `{"a":1}`, `{"a":2}`),
  forceRefresh: fc.constantFrom(undefined, undefined, true),
  pause: fc.constantFrom(0, 0, 0, 1, 1_800_000, 3_400_000, 3_599_000)
})

const Shared = Layer.mergeAll(AuthorityResolver.layer, TokenEndpoint.layer, TokenCache.layerMemory()).pipe(
  Layer.provideMerge(Simulator({
    apps: apps.map((clientId) => ({ clientId, secrets: [EntraSimulator.daemonSecret], roles: {} }))
  }))
)

const canonical = (scopes: string | ReadonlyArray<string>) =>
  (typeof scopes === "string" ? scopes : scopes[0] ?? "").toLowerCase()

const check = (calls: ReadonlyArray<typeof call extends fc.Arbitrary<infer A> ? A : never>) =>
  Effect.gen(function*() {
    const credential = yield* ClientCredential.secret(EntraSimulator.daemonSecret)
    const clients = new Map<string, ConfidentialClient.ConfidentialClient["Service"]>()
    for (const clientId of apps) clients.set(clientId, yield* ConfidentialClient.make({ clientId, credential }))
    const simulator = yield* EntraSimulator.EntraSimulator
    const answers: Array<
      { readonly asked: (typeof calls)[number]; readonly token: string; readonly correlationId: string }
    > = []
    const acquire = (asked: (typeof calls)[number]) =>
      Effect.gen(function*() {
        const { app, pause: _, ...request } = asked
        const client = clients.get(app)
        if (client === undefined) return yield* Effect.die("no such client")
        const result = yield* client.acquireToken(request)
        assert.isAbove(result.expiresOn.epochMilliseconds, yield* Clock.currentTimeMillis)
        answers.push({ asked, token: Redacted.value(result.accessToken), correlationId: result.correlationId })
      })
    // Each answer takes a while, so that those between two pauses are under way together.
    yield* simulator.fail(EntraSimulator.Fault.delay("1 second"), { times: Infinity })
    const acquireAll = (group: typeof calls) =>
      Effect.gen(function*() {
        const fibers = yield* Effect.forEach(group, (asked) =>
          Effect.forkChild(acquire(asked), { startImmediately: true }))
        yield* TestClock.adjust("5 seconds")
        yield* Effect.forEach(fibers, Fiber.join)
      })
    let together: Array<(typeof calls)[number]> = []
    for (const asked of calls) {
      together.push(asked)
      if (asked.pause === 0) {
        continue
      }
      yield* acquireAll(together)
      together = []
      yield* TestClock.adjust(asked.pause)
    }
    yield* acquireAll(together)

    const recorded = new Map((yield* simulator.requests).map((sent) => [sent.headers["client-request-id"], sent]))
    const owners = new Map<string, string>()
    for (const { asked, correlationId, token } of answers) {
      const sent = recorded.get(correlationId)
      const wanted = [asked.app, asked.tenantId.toLowerCase(), canonical(asked.scopes), asked.claims ?? ""].join("|")
      assert.deepStrictEqual(
        [sent?.form["client_id"], sent?.tenant, sent?.form["scope"]?.toLowerCase(), sent?.form["claims"] ?? ""].join(
          "|"
        ),
        wanted
      )
      assert.strictEqual(owners.get(token) ?? wanted, wanted)
      owners.set(token, wanted)
    }
  })

/** Issuers that differ in little: a port, a case, a slash, a segment more, one that is a part of another. */
const issuers = fc.record({
  host: fc.constantFrom("idp.example", "IDP.example", "idp.example:443", "idp.example:8443", "login.windows.net"),
  path: fc.array(fc.constantFrom("realms", "one", "One", "ONE", "on", "e", "%6fne", "1:a", "v2.0"), { maxLength: 3 }),
  slash: fc.boolean()
}).map(({ host, path, slash }) => `https://${host}${path.map((part) => `/${part}`).join("")}${slash ? "/" : ""}`)

const issuerCall = fc.record({
  issuer: issuers,
  clientId: fc.constantFrom("app", "app2"),
  scopes: fc.constantFrom("", "read", "Read", "read write", "write read"),
  forceRefresh: fc.constantFrom(undefined, undefined, true)
})

/** A provider at whatever host and path: its tokens name the issuer at whose endpoint they were had, and the app and scopes. */
const everyIssuer = () =>
  answering((asked) => {
    if (isDiscovery(asked)) return { body: documentOf(asked) }
    const { form, url } = asked
    return {
      body: {
        access_token: [url.href.slice(0, -"/token".length), form.get("client_id"), form.get("scope") ?? ""].join("|"),
        token_type: "Bearer",
        expires_in: 3600
      }
    }
  })

const checkIssuers = (calls: ReadonlyArray<typeof issuerCall extends fc.Arbitrary<infer A> ? A : never>) =>
  Effect.gen(function*() {
    const credential = yield* ClientCredential.secret(EntraSimulator.daemonSecret)
    const clients = new Map<string, ConfidentialClient.ConfidentialClient["Service"]>()
    const words = (text: string) => text.split(" ").sort().join(" ")
    yield* Effect.forEach(calls, ({ clientId, issuer, ...request }) =>
      Effect.gen(function*() {
        const name = `${clientId} ${issuer}`
        const client = clients.get(name) ?? (yield* ConfidentialClient.make({ clientId, issuer, credential }))
        clients.set(name, client)
        const cached = client.peek({ scopes: request.scopes })
        const result = yield* client.acquireToken(request)
        for (const { accessToken } of cached === undefined ? [result] : [result, cached]) {
          const [from = "", app, scope = ""] = Redacted.value(accessToken).split("|")
          assert.strictEqual(from, new URL(issuer).href.replace(/\/$/, ""))
          assert.strictEqual(app, clientId)
          assert.strictEqual(words(scope), words(request.scopes))
        }
      }), { concurrency: "unbounded", discard: true })
    // All over again, from the cache: what is found is still each caller's own.
    yield* Effect.forEach(calls, ({ clientId, issuer, scopes }) => {
      const found = clients.get(`${clientId} ${issuer}`)?.peek({ scopes })
      assert.strictEqual(
        found === undefined ? undefined : Redacted.value(found.accessToken).split("|").slice(0, 2).join("|"),
        `${new URL(issuer).href.replace(/\/$/, "")}|${clientId}`
      )
      return Effect.void
    }, { discard: true })
  })

describe("never another's token", () => {
  it.effect("issuers on one host, over one cache, in any order and at once", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(fc.array(issuerCall, { minLength: 2, maxLength: 25 }), (calls) =>
          Effect.runPromise(
            Effect.scoped(checkIssuers(calls)).pipe(
              Effect.provide([AuthorityResolver.layer, TokenEndpoint.layer, TokenCache.layerMemory()]),
              Effect.provide(everyIssuer().layer),
              Effect.provideService(References.MinimumLogLevel, "None")
            )
          )),
        { numRuns: 100 }
      )
    ))

  it.effect("two clients over one cache, tenants, scopes, claims, in any order and at once", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(fc.array(call, { minLength: 1, maxLength: 25 }), (calls) =>
          Effect.runPromise(
            Effect.scoped(check(calls)).pipe(
              Effect.provide(Shared),
              Effect.provide(TestClock.layer()),
              Effect.provideService(References.MinimumLogLevel, "None")
            )
          )),
        { numRuns: 150 }
      )
    ))
})
