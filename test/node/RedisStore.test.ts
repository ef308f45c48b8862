import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Redacted } from "effect"
import { EntraError, type TokenStore } from "effect-entra"
import { RedisStore } from "effect-entra/node"
import { cluster, secured, sentinel, standalone } from "../support/redis.ts"
import { until } from "../support/until.ts"

const bytes = new Uint8Array([1, 2, 3])

/** Stores, reads, leases and removes. */
const use = (store: TokenStore.TokenStore["Service"]) =>
  Effect.gen(function*() {
    const { fleet } = store
    if (fleet === undefined) return assert.fail("no fleet")
    const values = Array.from({ length: 20 }, (_, n) => `name${n}.epoch`)
    yield* until("a connection", Effect.as(store.set("first.epoch", bytes, Duration.minutes(1)), true))
    for (const name of values) {
      yield* store.set(name, bytes, Duration.minutes(1))
      const found = yield* store.get(name)
      assert.deepStrictEqual(found?.bytes, bytes)
      assert.isAtMost(Duration.toMillis(found?.ttl ?? Duration.zero), 60_000)
      yield* store.remove(name)
      assert.isUndefined(yield* store.get(name))
      const request = { owner: "me", ttl: Duration.seconds(5), seen: undefined, hasToken: false }
      assert.deepStrictEqual(yield* fleet.take(name, request), { _tag: "Taken" })
      assert.deepStrictEqual(yield* fleet.take(name, { ...request, owner: "other" }), { _tag: "Held" })
    }
    assert.deepStrictEqual(yield* fleet.held([...values, "none.epoch"]), [...values.map(() => true), false])
    yield* fleet.extend(values.map((name) => ({ name, owner: "me" })), Duration.seconds(5))
    for (const name of values) yield* fleet.settle({ name, owner: "me" }, { _tag: "Released" })
    assert.deepStrictEqual(yield* fleet.held(values), values.map(() => false))
    const before = yield* fleet.epochs("owner", undefined)
    assert.isUndefined(yield* fleet.epochs("owner", before?.version))
    const stamp = yield* fleet.invalidate("owner", "all", 0)
    assert.deepStrictEqual((yield* fleet.epochs("owner", before?.version))?.stamps, new Map([["all", stamp]]))
  })

describe("a store in Redis", () => {
  it.live("on one server", () =>
    Effect.gen(function*() {
      const server = yield* standalone()
      yield* use(yield* RedisStore.make({ url: server.url }))
    }))

  it.live("with TLS, and a user who may use the prefix alone", () =>
    Effect.gen(function*() {
      const server = yield* secured()
      const { authority: certificateAuthorities, password, urlWithoutCredentials, user } = server
      yield* use(yield* RedisStore.make({ url: Redacted.make(server.url), certificateAuthorities }))
      yield* use(
        yield* RedisStore.make({
          url: urlWithoutCredentials,
          username: user,
          password: Redacted.make(password),
          certificateAuthorities
        })
      )
    }))

  it.live("in a cluster", () =>
    Effect.gen(function*() {
      const { urls } = yield* cluster()
      yield* use(yield* RedisStore.make({ cluster: urls }))
    }))

  it.live("behind sentinels", () =>
    Effect.gen(function*() {
      const { addresses, name } = yield* sentinel()
      const urls = addresses.map(({ host, port }) => `redis://${host}:${port}`)
      yield* use(yield* RedisStore.make({ sentinel: { name, urls } }))
    }))

  it.live("is created while the server is away, and connects when it is there", () =>
    Effect.gen(function*() {
      const server = yield* standalone()
      yield* server.kill()
      const store = yield* RedisStore.make({ url: server.url })
      assert.isTrue((yield* Effect.exit(store.get("name.epoch")))._tag === "Failure")
      yield* server.restart
      yield* use(store)
    }))

  it.live("is created while the server hangs, and closes at once", () =>
    Effect.gen(function*() {
      const server = yield* standalone()
      yield* server.stop
      const begun = performance.now()
      yield* Effect.scoped(Effect.gen(function*() {
        const store = yield* RedisStore.make({ url: server.url })
        yield* Effect.forkScoped(store.get("name.epoch"))
      }))
      assert.isBelow(performance.now() - begun, 1000)
      yield* server.resume
    }))

  const refused: ReadonlyArray<readonly [string, RedisStore.Options, string]> = [
    ["no place", {}, "url"],
    ["two places", { url: "redis://a", cluster: ["redis://b"] }, "url"],
    ["another protocol", { url: "http://a" }, "url"],
    ["a password that is not percent-encoded", { url: "redis://user:50%@a" }, "url"],
    ["no URL", { url: "localhost:6379" }, "url"],
    ["a node that is no URL", { cluster: ["redis://a", "b"] }, "cluster[1]"],
    ["no nodes", { cluster: [] }, "cluster"],
    ["sentinels that are no URLs", { sentinel: { name: "n", urls: [""] } }, "sentinel.urls[0]"],
    ["a path that is no number of a database", { url: "redis://a/orders" }, "url"],
    ["a database of a cluster", { cluster: ["redis://a/3"] }, "cluster[0]"],
    ["a server without TLS at a URL of TLS", { url: "rediss://a", tls: false }, "tls"],
    ["a prefix that tears the keys of a token apart", { url: "redis://a", prefix: "a{b" }, "prefix"],
    ["a prefix with an empty hash tag", { url: "redis://a", prefix: "{}:" }, "prefix"],
    ["authorities that are no PEM", { url: "rediss://a", certificateAuthorities: "/a/path" }, "certificateAuthorities"]
  ]
  // A program in JavaScript, or a parsed file.
  const untyped: ReadonlyArray<readonly [string, unknown, string]> = [
    ["null in place of a URL", { url: null }, "url"],
    ["a text in place of nodes", { cluster: "redis://a" }, "cluster"],
    ["an object in place of nodes", { cluster: { 0: "redis://a" } }, "cluster"],
    ["null in place of sentinels", { sentinel: null }, "sentinel.urls"],
    ["a text in place of sentinels", { sentinel: { name: "n", urls: "redis://a" } }, "sentinel.urls"],
    ["sentinels without a name", { sentinel: { urls: ["redis://a"] } }, "sentinel.name"],
    ["a user name that is no text", { url: "redis://a", username: 5 }, "username"],
    ["a password in clear text", { url: "redis://a", password: "a password" }, "password"],
    ["a prefix that is no text", { url: "redis://a", prefix: null }, "prefix"]
  ]
  it.live.each(untyped)("refuses %s, as an error of the request", ([, options, field]) =>
    Effect.gen(function*() {
      // eslint-disable-next-line @typescript-eslint/consistent-type-assertions
      const error = yield* Effect.flip(RedisStore.make(options as RedisStore.Options))
      assert.instanceOf(error, EntraError.InvalidRequestError)
      assert.deepInclude({ code: error.code, field: error.field }, { code: "field_malformed", field })
    }))

  it.live.each(refused)("refuses %s", ([, options, field]) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(RedisStore.make(options))
      assert.instanceOf(error, EntraError.InvalidRequestError)
      assert.deepInclude({ code: error.code, field: error.field }, { code: "field_malformed", field })
    }))
})
