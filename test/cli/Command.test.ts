import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TerminalCapabilities } from "effect/cli"
import { readFileSync } from "node:fs"
import { makeStyle, style } from "../../src/cli/internal/style.ts"
import { runCommand } from "./command.ts"

const manifest = readFileSync(new URL("../../package.json", import.meta.url), "utf8")

describe("effect-entra", () => {
  it.live("prints the version of the package", () =>
    Effect.gen(function*() {
      const { code, output } = yield* runCommand(["--version"])
      assert.strictEqual(code, 0)
      assert.include(manifest, `"version": "${output.replace("effect-entra v", "")}"`)
    }))

  it.live.each(
    [[], ["simulate"], ["cert"], ["cert", "new"], ["token"], ["doctor"]].map((path) => ({ path, name: path.join(" ") }))
  )(
    "has help with an example: $name",
    ({ path }) =>
      Effect.gen(function*() {
        const { code, errors, output } = yield* runCommand([...path, "--help"])
        assert.deepStrictEqual([code, errors], [0, ""])
        assert.include(output, "EXAMPLES")
        assert.match(output, new RegExp(`\\n +# .+\\n +${["effect-entra", ...path].join(" ")}`))
        // A pipe has no colours.
        assert.notInclude(output, "\u001b")
      })
  )

  it.live.each(["bash", "zsh", "fish", "powershell"])("has completions for %s", (shell) =>
    Effect.gen(function*() {
      const { code, output } = yield* runCommand(["--completions", shell])
      assert.strictEqual(code, 0)
      for (const word of ["simulate", "cert", "save-env", "token", "doctor", "ask-secret"]) assert.include(output, word)
    }))

  it.live("prints a wrong use in words, and ends with 1", () =>
    Effect.gen(function*() {
      const { code, errors } = yield* runCommand(["simulat"])
      assert.strictEqual(code, 1)
      assert.include(errors, "simulate")
      assert.notMatch(errors, /\n +at /)
    }))
})

describe("colours", () => {
  const cases = [
    { canColor: true, text: "\u001b[31mx\u001b[39m" },
    { canColor: false, text: "x" }
  ]
  it.effect.each(cases)("with colours: $canColor", ({ canColor, text }) =>
    Effect.gen(function*() {
      assert.strictEqual(makeStyle(canColor).red("x"), text)
      const { red } = yield* Effect.provideService(style, TerminalCapabilities.TerminalCapabilities, {
        canColor,
        canAnimate: false,
        canPrompt: false
      })
      assert.strictEqual(red("x"), text)
    }))
})
