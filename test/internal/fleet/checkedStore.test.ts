/** Replies of a store of a program, which may have any form. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit } from "effect"
import { TokenStore } from "effect-entra"
import { runInNewContext } from "node:vm"
import { checked } from "../../../src/internal/fleet/checkedStore.ts"

const storeWith = (reply: unknown) => {
  const answer = () => Effect.succeed(reply)
  const fleet = { take: answer, held: answer, extend: answer, settle: answer, epochs: answer, invalidate: answer }
  // @ts-expect-error: programs in JavaScript return anything
  return checked({ get: answer, set: answer, remove: answer, fleet })
}

const refusal = Exit.fail(new TokenStore.RefusedByStoreError({ message: "a reply of another form" }))

describe("a record of invalidations", () => {
  const record = <A>(stamps: A) => ({ base: "b", version: "v", stamps })
  const epochsOf = (reply: unknown) =>
    Effect.exit(storeWith(reply).fleet?.epochs("p.1", undefined) ?? Effect.die("no leases"))

  it.effect.each<[string, unknown]>([
    ["of this realm", new Map([["all", 5]])],
    ["of another realm", runInNewContext(`new Map([["all", 5]])`)]
  ])("is read with stamps in a map %s", ([, stamps]) =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* epochsOf(record(stamps)), Exit.succeed(record(new Map([["all", 5]]))))
    }))

  it.effect.each<[string, unknown]>([
    ["no record", undefined],
    ["null", null]
  ])("need not exist: %s", ([, reply]) =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* epochsOf(reply), Exit.succeed(undefined))
    }))

  it.effect.each<[string, unknown]>([
    ["a text", "text"],
    ["without stamps", record(undefined)],
    ["stamps in a list", record([["all", 5]])],
    ["stamps in an object", record({ all: 5 })],
    ["a stamp of text", record(new Map([["all", "5"]]))],
    ["a stamp without end", record(new Map([["all", Infinity]]))],
    ["a field that is a number", record(new Map([[1, 5]]))],
    ["a base that is a number", { ...record(new Map()), base: 1 }],
    ["a version that is a number", { ...record(new Map()), version: 1 }]
  ])("of another form is a refusal: %s", ([, reply]) =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* epochsOf(reply), refusal)
    }))
})

describe("a stored value", () => {
  const bytes = new Uint8Array([1, 2])
  const valueOf = (reply: unknown) => Effect.exit(storeWith(reply).get("p.1"))

  it.effect.each<[string, unknown, boolean]>([
    ["with time left is returned", { bytes, ttl: Duration.millis(1) }, true],
    [
      "of another realm is returned",
      { bytes: runInNewContext("new Uint8Array([1, 2])"), ttl: Duration.seconds(5) },
      true
    ],
    ["without time left does not exist", { bytes, ttl: Duration.zero }, false],
    ["that is undefined does not exist", undefined, false],
    ["that is null does not exist", null, false]
  ])("%s", ([, reply, exists]) =>
    Effect.gen(function*() {
      const exit = yield* valueOf(reply)
      assert.deepStrictEqual(
        Exit.map(exit, (value) => value === undefined ? undefined : [...value.bytes]),
        Exit.succeed(exists ? [1, 2] : undefined)
      )
    }))

  it.effect.each<[string, unknown]>([
    ["a number", 5],
    ["an empty object", {}],
    ["bytes alone", { bytes }],
    ["bytes in a list", { bytes: [1, 2], ttl: Duration.seconds(5) }],
    ["a time that is a number", { bytes, ttl: 5 }]
  ])("of another form is a refusal: %s", ([, reply]) =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* valueOf(reply), refusal)
    }))
})
