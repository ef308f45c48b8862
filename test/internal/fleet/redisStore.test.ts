/** The store over a scripted client: its commands, and all forms of replies. The scripts run in `test/fleet`. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { TokenStore } from "effect-entra"
import fc from "fast-check"
import { createHash } from "node:crypto"
import * as RedisStore from "../../../src/internal/fleet/redisStore.ts"
import { noTag } from "../../../src/internal/fleet/sealing.ts"
import { printed } from "../support.ts"

type Reply = unknown
type Sent = readonly [command: string, ...args: ReadonlyArray<string>]

/** A store whose client answers with `reply`, and what it sent. */
const over = (reply: (sent: Sent) => Effect.Effect<Reply, unknown>, prefix?: string) => {
  const sent: Array<Sent> = []
  let ids = 0
  const store = RedisStore.make((command, ...args) =>
    Effect.suspend(() => {
      const one: Sent = [command, ...args]
      sent.push(one)
      return reply(one)
    }), { newId: () => `id${++ids}`, prefix })
  const { fleet } = store
  if (fleet === undefined) throw new Error("it has leases")
  return { sent, store, fleet }
}
const always = (reply: Reply) => over(() => Effect.succeed(reply))
const failing = (error: unknown) => over(() => Effect.fail(error))

const bytes = new Uint8Array([1, 2, 3, 250])
const base64 = Buffer.from(bytes).toString("base64")
const ttl = Duration.seconds(60)
const request = { owner: "me.1", ttl, seen: undefined, hasToken: false }

/** Replies that no server gives to our commands. */
const strange: ReadonlyArray<Reply> = [
  undefined,
  null,
  "",
  "QUEUED",
  -1,
  Number.NaN,
  true,
  {},
  [],
  [null],
  ["Elsewhere"],
  ["Stored"],
  ["Stored", base64],
  ["Stored", base64, "soon"],
  ["Stored", base64, 0],
  ["Stored", 5, 1000],
  ["Throttled", null, 1000],
  ["Failed", undefined, 1000],
  [["Taken"]]
]

describe("the keys", () => {
  it("of a name have one hash tag, behind the prefix", () =>
    Effect.runPromise(Effect.gen(function*() {
      const { fleet, sent, store } = over(() => Effect.succeed(["Taken"]), "app:")
      yield* store.set("id.epoch-1", bytes, ttl)
      yield* fleet.take("id.epoch-1", request)
      assert.deepStrictEqual(sent[0], ["SET", "app:v:{id}.epoch-1", base64, "PX", "60000"])
      assert.deepStrictEqual(sent[1]?.slice(2, 7), [
        "4",
        "app:v:{id}.epoch-1",
        "app:l:{id}.epoch-1",
        "app:t:{id}",
        "app:r:{id}.epoch-1"
      ])
      yield* store.remove("id")
      assert.deepStrictEqual(sent[2], ["DEL", "app:v:{id}"])
    })))

  it("start with effect-entra: by default", () =>
    Effect.runPromise(Effect.gen(function*() {
      const { sent, store } = always(1)
      yield* store.remove("id.e")
      assert.deepStrictEqual(sent, [["DEL", "effect-entra:v:{id}.e"]])
    })))
})

describe("a value", () => {
  const get = (value: Reply, left: Reply) =>
    Effect.runPromise(Effect.result(
      over(([command]) => Effect.succeed(command === "PTTL" ? left : value)).store.get("id.e")
    ))

  it.each<[string, Reply, Reply, TokenStore.StoredValue | undefined]>([
    ["a value and its time", base64, 60_000, { bytes, ttl }],
    ["a time as text", base64, "60000", { bytes, ttl }],
    ["no value", null, -2, undefined],
    ["a value whose time is over", base64, 0, undefined],
    ["a value that came after its time was read", base64, -2, undefined],
    ["a value without an end", base64, -1, undefined],
    ["a value that went after its time was read", null, 60_000, undefined],
    ["a value that is not base64", "§", 60_000, { bytes: noTag, ttl }],
    ["an empty value", "", 60_000, { bytes: new Uint8Array(), ttl }],
    ["a value that is not text", 5, 60_000, undefined]
  ])("%s", async (_, value, left, expected) => {
    assert.deepInclude<object>(await get(value, left), { _tag: "Success", success: expected })
  })

  it.each(["soon", null, undefined, {}, Number.NaN, Infinity])("with %j as its time is refused", async (left) => {
    const result = await get(base64, left)
    assert.isTrue(result._tag === "Failure" && result.failure instanceof TokenStore.RefusedByStoreError)
  })

  it("of any bytes comes back", () =>
    fc.assert(fc.asyncProperty(fc.uint8Array(), async (bytes) => {
      const { sent, store } = always("OK")
      await Effect.runPromise(store.set("id.e", bytes, ttl))
      assert.deepInclude<object>(await get(sent[0]?.[2], 60_000), { success: { bytes, ttl } })
    })))

  it("has a time in whole milliseconds", () =>
    Effect.runPromise(Effect.gen(function*() {
      const { sent, store } = always("OK")
      for (const millis of [1.4, 1.6, -5]) yield* store.set("id.e", bytes, Duration.millis(millis))
      assert.deepStrictEqual(sent.map((command) => command.at(-1)), ["1", "2", "0"])
    })))
})

describe("an answer about a lease", () => {
  it.each<[Reply, TokenStore.LeaseAnswer]>([
    [["Held"], { _tag: "Held" }],
    [["Taken"], { _tag: "Taken" }],
    [["Unwritable"], { _tag: "Unwritable" }],
    [["Stored", base64, 60_000], { _tag: "Stored", value: { bytes, ttl } }],
    [["Throttled", base64, "60000"], { _tag: "Throttled", value: { bytes, ttl } }],
    [["Failed", base64, 60_000], { _tag: "Failed", value: { bytes, ttl } }],
    [["Stored", "§", 60_000], { _tag: "Stored", value: { bytes: noTag, ttl } }]
  ])("%j", async (reply, answer) => {
    assert.deepStrictEqual(await Effect.runPromise(always(reply).fleet.take("id.e", request)), answer)
  })

  it.each(strange.map((reply) => [reply]))("is not %j", async (reply) => {
    const error = await Effect.runPromise(Effect.flip(always(reply).fleet.take("id.e", request)))
    assert.instanceOf(error, TokenStore.RefusedByStoreError)
  })

  it("names what was seen by a prefix of its base64, and everything for a mere look", () =>
    Effect.runPromise(Effect.gen(function*() {
      const { fleet, sent } = always(["Taken"])
      const seen = new Uint8Array(18).fill(7)
      yield* fleet.take("id.e", { ...request, seen })
      yield* fleet.take("id.e", request)
      yield* fleet.take("id.e", { ...request, ttl: Duration.zero, hasToken: true })
      assert.deepStrictEqual(sent.map((command) => command.slice(7)), [
        ["me.1", "60000", Buffer.from(seen).toString("base64"), "0"],
        ["me.1", "60000", "", "0"],
        ["me.1", "0", "*", "1"]
      ])
      const value = Buffer.from([...seen, 1, 2]).toString("base64")
      assert.isTrue(value.startsWith(sent[0]?.[9] ?? "-"))
    })))
})

describe("leases that are held", () => {
  it.each<[Reply, ReadonlyArray<boolean>]>([
    [["me.1", null, "!failed"], [true, false, false]],
    [["me.1"], [true]],
    [null, []],
    ["OK", []],
    [[5, {}, undefined], [false, false, false]]
  ])("%j", async (reply, held) => {
    assert.deepStrictEqual(await Effect.runPromise(always(reply).fleet.held(["a.1", "b.1", "c.1"])), held)
  })

  it("are asked for key by key once a server has refused several slots", () =>
    Effect.runPromise(Effect.gen(function*() {
      const { fleet, sent } = over(([command, key]) =>
        command === "MGET"
          ? Effect.fail({ cause: new Error("CROSSSLOT Keys in request don't hash to the same slot") })
          : Effect.succeed(key?.includes("{a}") === true ? "me.1" : null)
      )
      assert.deepStrictEqual(yield* fleet.held(["a.1", "b.1"]), [true, false])
      assert.deepStrictEqual(yield* fleet.held(["a.1", "b.1"]), [true, false])
      assert.deepStrictEqual(sent.map(([command]) => command), ["MGET", "GET", "GET", "GET", "GET"])
    })))

  it("are extended lease by lease then", () =>
    Effect.runPromise(Effect.gen(function*() {
      const { fleet, sent } = over(([, , keys]) =>
        keys === "2" ? Effect.fail(new Error("CROSSSLOT no")) : Effect.succeed(null)
      )
      const leases = [{ name: "a.1", owner: "me.1" }, { name: "b.1", owner: "me.2" }]
      yield* fleet.extend(leases, ttl)
      yield* fleet.extend(leases, ttl)
      assert.deepStrictEqual(sent.map(([, , ...rest]) => rest), [
        ["2", "effect-entra:l:{a}.1", "effect-entra:l:{b}.1", "60000", "me.1", "me.2"],
        ["1", "effect-entra:l:{a}.1", "60000", "me.1"],
        ["1", "effect-entra:l:{b}.1", "60000", "me.2"],
        ["1", "effect-entra:l:{a}.1", "60000", "me.1"],
        ["1", "effect-entra:l:{b}.1", "60000", "me.2"]
      ])
    })))
})

describe("epochs", () => {
  it.each<[Reply, TokenStore.Epochs | undefined]>([
    [[], undefined],
    [["base", "b", "version", "v"], { base: "b", version: "v", stamps: new Map() }],
    [["version", "v", "at:all", "1700000000000", "base", "b", "at:x", 5], {
      base: "b",
      version: "v",
      stamps: new Map([["all", 1_700_000_000_000], ["x", 5]])
    }],
    [["base", "b", "version", "v", "at:all", "soon", "other", "5", "at:half"], {
      base: "b",
      version: "v",
      stamps: new Map()
    }],
    [["base", "", "version", ""], { base: "", version: "", stamps: new Map() }]
  ])("%j", async (reply, epochs) => {
    assert.deepStrictEqual(await Effect.runPromise(always(reply).fleet.epochs("id", undefined)), epochs)
  })

  it.each(strange.filter((reply) => !Array.isArray(reply) || reply.length > 0).map((reply) => [reply]))(
    "are not %j",
    async (reply) => {
      const error = await Effect.runPromise(Effect.flip(always(reply).fleet.epochs("id", "v")))
      assert.instanceOf(error, TokenStore.RefusedByStoreError)
    }
  )

  it("have a stamp that is a number, also as text", () =>
    Effect.runPromise(Effect.gen(function*() {
      for (const reply of [1_700_000_000_000, "1700000000000"]) {
        assert.strictEqual(yield* always(reply).fleet.invalidate("id", "all", 0), 1_700_000_000_000)
      }
      for (const reply of ["soon", null, [], {}, undefined]) {
        assert.instanceOf(
          yield* Effect.flip(always(reply).fleet.invalidate("id", "all", 0)),
          TokenStore.RefusedByStoreError
        )
      }
    })))
})

const wraps: ReadonlyArray<[string, (error: unknown) => unknown]> = [
  ["as it is", (error) => error],
  ["as a cause", (error) => ({ _tag: "RedisError", cause: error })],
  [
    "as a cause of causes",
    (error) => new Error("the command failed", { cause: { cause: new Error("x", { cause: error }) } })
  ]
]

describe("an error", () => {
  const refusals = [
    "NOSCRIPT No matching script.",
    "OOM command not allowed when used memory > 'maxmemory'.",
    "NOPERM User alice has no permissions to access one of the keys",
    "READONLY You can't write against a read only replica.",
    "LOADING Redis is loading the dataset in memory",
    "WRONGTYPE Operation against a key holding the wrong kind of value",
    "MOVED 3999 127.0.0.1:6381",
    "CLUSTERDOWN The cluster is down",
    "ERR invalid expire time in 'set' command"
  ]
  for (const [how, wrap] of wraps) {
    it.each(refusals)(`of the server, ${how}, is a refusal: %s`, async (message) => {
      const { store } = failing(wrap(new Error(message)))
      const error = await Effect.runPromise(Effect.flip(store.set("id.e", bytes, ttl)))
      assert.instanceOf(error, TokenStore.RefusedByStoreError)
      assert.deepInclude<object>(Object(error), { message })
    })
  }

  const silences: ReadonlyArray<unknown> = [
    new Error("Socket closed unexpectedly"),
    new Error("connect ECONNREFUSED 127.0.0.1:6379"),
    Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" }),
    Object.assign(new Error("ETIMEDOUT"), { code: "ETIMEDOUT" }),
    Object.assign(new Error("EPIPE"), { code: "EPIPE", errno: -32, syscall: "write" }),
    new AggregateError([new Error("connect ECONNREFUSED ::1:6379")], ""),
    new Error("Connection is closed."),
    new Error("Stream isn't writeable and enableOfflineQueue options is false"),
    new Error("The client is closed"),
    "a text",
    undefined,
    null,
    5
  ]
  for (const [how, wrap] of wraps) {
    it.each(silences.map((error, at) => [at, error]))(`of the connection, ${how}, is none: %i`, async (_, error) => {
      const thrown = await Effect.runPromise(Effect.flip(failing(wrap(error)).store.remove("id.e")))
      assert.notInstanceOf(thrown, TokenStore.RefusedByStoreError)
    })
  }

  it("whose causes go round in a circle comes to an end", async () => {
    const error: { cause?: unknown } = {}
    error.cause = error
    assert.strictEqual(await Effect.runPromise(Effect.flip(failing(error).store.remove("id.e"))), error)
  })

  it("contains nothing of the value", async () => {
    const { store } = failing(new Error("OOM command not allowed"))
    const error = await Effect.runPromise(Effect.flip(store.set("id.e", bytes, ttl)))
    assert.notInclude(printed(error), base64)
  })
})

describe("a script", () => {
  it("is sent by its digest, and by its text only to a server that does not know it", () =>
    Effect.runPromise(Effect.gen(function*() {
      let isKnown = false
      const { fleet, sent } = over(([command]) => {
        if (command === "EVAL") isKnown = true
        return isKnown ? Effect.succeed(["Taken"]) : Effect.fail({ cause: new Error("NOSCRIPT No matching script.") })
      })
      for (let at = 0; at < 3; at++) yield* fleet.take("id.e", request)
      assert.deepStrictEqual(sent.map(([command]) => command), ["EVALSHA", "EVAL", "EVALSHA", "EVALSHA"])
      const [digest, script] = [sent[0]?.[1], sent[1]?.[1] ?? ""]
      assert.strictEqual(digest, createHash("sha1").update(script).digest("hex"))
      assert.deepStrictEqual(sent[0]?.slice(2), sent[1]?.slice(2))
    })))

  it("that a server refuses for another reason is not sent again", () =>
    Effect.runPromise(Effect.gen(function*() {
      for (const error of [new Error("OOM no memory"), new Error("ERR NOSCRIPT"), new Error("Socket closed")]) {
        const { fleet, sent } = failing(error)
        yield* Effect.flip(fleet.take("id.e", request))
        assert.strictEqual(sent.length, 1)
      }
    })))
})
