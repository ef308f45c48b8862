import { assert, describe, it } from "@effect/vitest"
import { Redacted } from "effect"
import fc from "fast-check"
import { randomBytes } from "node:crypto"
import { rootsOf } from "../../../src/internal/fleet/rootKeys.ts"
import { failure, printed, success } from "../support.ts"

const key = randomBytes(32)
const rootOf = (text: string) => success(rootsOf([Redacted.make(text)]))[0]

describe("a root key", () => {
  it.each<[string, string]>([
    ["base64", key.toString("base64")],
    ["base64 without its padding", key.toString("base64").replace(/=+$/, "")],
    ["base64 for URLs", key.toString("base64url")],
    ["hexadecimal", key.toString("hex")],
    ["hexadecimal in capitals", key.toString("hex").toUpperCase()],
    ["base64 with a line feed", `${key.toString("base64")}\n`]
  ])("may be %s", (_, text) => {
    assert.deepStrictEqual(rootOf(text), new Uint8Array(key))
  })

  it("may have any length from 32 bytes on", () =>
    fc.assert(
      fc.property(fc.integer({ min: 32, max: 100 }), fc.constantFrom("base64", "base64url", "hex"), (length, form) => {
        const bytes = randomBytes(length)
        assert.deepStrictEqual(
          rootOf(bytes.toString(form === "hex" ? "hex" : form === "base64" ? "base64" : "base64url")),
          new Uint8Array(bytes)
        )
      })
    ))

  it.each<[string, string]>([
    ["empty", ""],
    ["too short", randomBytes(31).toString("base64")],
    ["too short in hexadecimal", randomBytes(23).toString("hex")],
    ["one character", "0".repeat(64)],
    ["zeros", Buffer.alloc(32).toString("base64")],
    ["a sentence", "this is my secret key, please do not tell anybody"]
  ])("may not be %s", (_, text) => {
    const error = failure(rootsOf([Redacted.make(key.toString("base64")), Redacted.make(text)]))
    assert.deepInclude<object>(error, { _tag: "EntraInvalidRequestError", code: "field_malformed", field: "keys[1]" })
    if (text !== "") assert.notInclude(printed(error), text)
  })

  it("that is too short tells how short it is", () => {
    const { message } = failure(rootsOf([Redacted.make(randomBytes(23).toString("hex"))]))
    assert.strictEqual(message, "keys[0] has 23 bytes, and a root key has 32 or more.")
  })

  it("is needed", () => {
    assert.strictEqual(failure(rootsOf([])).field, "keys")
  })
})

describe("root keys", () => {
  it("keep their order", () => {
    const keys = Array.from({ length: 3 }, () => randomBytes(32))
    const roots = success(rootsOf(keys.map((key) => Redacted.make(key.toString("hex")))))
    assert.deepStrictEqual(roots, keys.map((key) => new Uint8Array(key)))
  })

  it("that are the same count once, however they are written", () => {
    const [one, other] = [randomBytes(32), randomBytes(32)]
    const texts = [one.toString("hex"), other.toString("hex"), one.toString("base64"), other.toString("base64url")]
    const roots = success(rootsOf(texts.map((text) => Redacted.make(text))))
    assert.deepStrictEqual(roots, [new Uint8Array(one), new Uint8Array(other)])
  })
})
