import fc from "fast-check"
import { assert, describe, it } from "vitest"
import { quote } from "../../../src/internal/shared/text.ts"
import { anyString } from "../support.ts"

describe("quote", () => {
  it.each([
    { name: "plain text", input: "abc", output: "\"abc\"" },
    { name: "the empty string", input: "", output: "\"\"" },
    { name: "quotes and backslashes", input: "a\"b\\c", output: "\"a\\\"b\\\\c\"" },
    { name: "a new line", input: "a\nb", output: "\"a\\nb\"" },
    { name: "a terminal's escape", input: "\u001b[31m", output: "\"\\u001b[31m\"" },
    { name: "a delete", input: "\u007f", output: "\"\\u007f\"" },
    { name: "a C1 control", input: "\u0085", output: "\"\\u0085\"" },
    { name: "a line separator", input: "\u2028", output: "\"\\u2028\"" },
    { name: "half a surrogate pair", input: "\ud800", output: "\"\\ud800\"" },
    { name: "100 characters", input: "x".repeat(100), output: `"${"x".repeat(100)}"` },
    { name: "101 characters", input: "x".repeat(101), output: `"${"x".repeat(100)}..."` },
    { name: "a pair at the cut", input: `${"x".repeat(99)}\u{1f600}yy`, output: `"${"x".repeat(99)}\\ud83d..."` }
  ])("$name", ({ input, output }) => {
    assert.strictEqual(quote(input), output)
  })

  it("is one short printable line that reads back", () => {
    fc.assert(fc.property(anyString, fc.nat(200), (text, more) => {
      const value = text + "x".repeat(more)
      const quoted = quote(value)
      assert.notMatch(quoted, /[\p{Cc}\u2028\u2029]/u)
      assert.isAtMost(quoted.length, 6 * 100 + 5)
      const read: unknown = JSON.parse(quoted)
      assert.strictEqual(read, value.length > 100 ? `${value.slice(0, 100)}...` : value)
    }))
  })
})
