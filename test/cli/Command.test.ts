import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TerminalCapabilities } from "effect/cli"
import { TestClock } from "effect/testing"
import { readFileSync } from "node:fs"
import { vi } from "vitest"
import { withProgress } from "../../src/cli/internal/progress.ts"
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
        // A pipe has no colors.
        assert.notInclude(output, "\u001b")
      })
  )

  it.live.each(["bash", "zsh", "fish", "powershell"])("has completions for %s", (shell) =>
    Effect.gen(function*() {
      const { code, output } = yield* runCommand(["--completions", shell])
      assert.strictEqual(code, 0)
      for (const word of ["simulate", "cert", "save-env", "token", "doctor", "ask-secret"]) assert.include(output, word)
    }))

  it.live("prints an error for an unknown subcommand, and ends with 1", () =>
    Effect.gen(function*() {
      const { code, errors } = yield* runCommand(["simulat"])
      assert.strictEqual(code, 1)
      assert.include(errors, "simulate")
      assert.notMatch(errors, /\n +at /)
    }))
})

describe("progress", () => {
  const capabilities = { canColor: false, canAnimate: true, canPrompt: false }
  const written = (isTerminal: boolean, canAnimate: boolean) =>
    Effect.gen(function*() {
      const write = vi.spyOn(process.stderr, "write").mockReturnValue(true)
      const terminal = Object.getOwnPropertyDescriptor(process.stderr, "isTTY")
      Object.defineProperty(process.stderr, "isTTY", { value: isTerminal, configurable: true })
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          write.mockRestore()
          Object.defineProperty(process.stderr, "isTTY", terminal ?? { value: undefined, configurable: true })
        })
      )
      const fiber = yield* Effect.sleep("450 millis").pipe(
        Effect.as("done"),
        withProgress("Working"),
        Effect.provideService(TerminalCapabilities.TerminalCapabilities, { ...capabilities, canAnimate }),
        Effect.forkChild
      )
      for (let step = 0; step < 5; step++) yield* TestClock.adjust("100 millis")
      assert.strictEqual(yield* Fiber.join(fiber), "done")
      return write.mock.calls.map(([text]) => String(text))
    }).pipe(Effect.scoped)

  it.effect("is drawn in a terminal after a moment, and removed", () =>
    Effect.gen(function*() {
      const lines = yield* written(true, true)
      assert.deepStrictEqual(lines, ["\r⠋ Working", "\r⠙ Working", "\r⠹ Working", "\r\u001b[K"])
    }))

  it.effect("is not drawn in a pipe or in a terminal that cannot animate", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual([yield* written(false, true), yield* written(true, false)], [[], []])
    }))
})

describe("colors", () => {
  const cases = [
    { canColor: true, text: "\u001b[31mx\u001b[39m" },
    { canColor: false, text: "x" }
  ]
  it.effect.each(cases)("with colors: $canColor", ({ canColor, text }) =>
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
