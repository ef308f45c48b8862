import { assert, describe, it } from "@effect/vitest"
import { isSignal } from "../../../src/internal/shared/validate.ts"

describe("isSignal", () => {
  const add = { addEventListener: () => {} }
  const remove = { removeEventListener: () => {} }

  it.each([
    { name: "a signal", value: new AbortController().signal, expected: true },
    { name: "a signal of a polyfill", value: { ...add, ...remove }, expected: true },
    { name: "an object that cannot remove", value: add, expected: false },
    { name: "an object that cannot add", value: remove, expected: false },
    { name: "functions in name only", value: { ...add, removeEventListener: true }, expected: false },
    { name: "other functions in name only", value: { ...remove, addEventListener: true }, expected: false },
    { name: "null", value: null, expected: false },
    { name: "a text", value: "signal", expected: false }
  ])("$name: $expected", ({ expected, value }) => {
    assert.strictEqual(isSignal(value), expected)
  })
})
