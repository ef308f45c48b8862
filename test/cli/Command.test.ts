import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TerminalCapabilities } from "effect/cli"
import { TestClock } from "effect/testing"
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { closeSync, openSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { vi } from "vitest"
import { withProgress } from "../../src/cli/internal/progress.ts"
import { makeStyle, style } from "../../src/cli/internal/style.ts"
import { runChild } from "../support/child.ts"
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
        assert.match(output, new RegExp(`\\n +# .+\\n +${["npx effect-entra", ...path].join(" ")}`))
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

  const hidden = "S3CR3Tx"
  const pem = `-----BEGIN CERTIFICATE-----\nMII${hidden}\n-----BEGIN PRIVATE KEY-----\nMII${hidden}`
  const isEmpty = (flag: string) => new RegExp(`^ *--${flag} is empty\\. Pass a value, or leave the flag out\\.`, "m")
  const usageErrors: ReadonlyArray<readonly [args: ReadonlyArray<string>, message: RegExp]> = [
    [["token", "-s", "a", "--certificate", pem], /looks like a flag/],
    [["simulate", "--certificate", pem], /looks like a flag/],
    [["doctor", "--json", "--certificate", pem], /looks like a flag/],
    [["token", "-s", "a", "--ask-secret", hidden], /Unexpected positional argument\./],
    [["token", "-s", "a", hidden], /Unexpected positional argument\./],
    [["token", "-s", "a", "--", `--secret=${hidden}`], /Unexpected positional argument\./],
    [["token", "-s", "a", `--ask-secret=${hidden}`], /value for flag --ask-secret\. Expected "true"/],
    [["token", "-s", "a", `--no-ask-secret=${hidden}`], /--no-ask-secret by itself/],
    [["token", "-s", "a", "-o", hidden], /value for flag --output\. Expected: "token" \| "header"/],
    [["token", "-s", "a", "--log-level", hidden], /value for flag --log-level\. Expected: "all"/],
    [["token", "-s", "a", "-o", "header", "--raw", hidden], /Unexpected positional argument\./],
    [["token", "-s", "a", `-q${hidden}`], /looks like a flag/],
    [["token", "-s", "a", `--${hidden}`], /looks like a flag/],
    [["token", "-s", "a", `--sceret=${hidden}`], /Unrecognized flag: --sceret in command effect-entra token/],
    [["token", "-s", "a", "--tenat", hidden], /Unrecognized flag: --tenat [^]*--tenant/],
    [["token", "-s", "a", `--${"x".repeat(39)}`], /looks like a flag/],
    [["doctor", "--json", "--bogus"], /Unrecognized flag: --bogus[^]*npx effect-entra doctor --help$/],
    [["simulate", "--port", hidden], /value for flag --port\. Expected /],
    ...["tenant", "client-id", "authority", "secret-file", "certificate", "federated-token-file", "scope"].flatMap(
      (flag): typeof usageErrors => [
        [["token", "-s", "a", `--${flag}`, ""], isEmpty(flag)],
        [["doctor", `--${flag}=`], isEmpty(flag)]
      ]
    ),
    [["doctor", "-t", ""], isEmpty("tenant")],
    [["doctor", "--project", ""], isEmpty("project")],
    ...["world", "certificate", "save-env", "client-secret"].map(
      (flag): (typeof usageErrors)[number] => [["simulate", "--port", "0", `--${flag}=`], isEmpty(flag)]
    ),
    [["cert", "new", "--name", ""], /Missing value for flag --name\. Expected 1 to 64/],
    [["cert", hidden], /Unknown subcommand\./],
    [[hidden], /Unknown subcommand\.[^]*npx effect-entra --help$/]
  ]
  it.live.each(usageErrors)(
    "prints a usage error to standard error only, without values: %j",
    ([args, message]) =>
      Effect.gen(function*() {
        const { code, errors, output } = yield* runCommand(args)
        assert.deepStrictEqual([code, output], [1, ""])
        assert.match(errors, message)
        assert.match(errors, /\n\nTo see the flags: npx effect-entra [a-z ]*--help$/)
        for (const part of [hidden, "BEGIN", "x".repeat(39), "-S", "-3"]) assert.notInclude(errors, part)
      })
  )
})

describe("the executable", () => {
  const bin = ["--conditions=@effect-entra/source", fileURLToPath(new URL("../../src/cli/bin.ts", import.meta.url))]

  /** Runs the command with a pipe whose reader is gone before the first line. */
  const runClosed = (stream: "stdout" | "stderr", args: ReadonlyArray<string>) =>
    Effect.promise(async () => {
      const child = spawn(process.execPath, [...bin, ...args], {
        env: { PATH: process.env["PATH"] },
        stdio: ["ignore", "pipe", "pipe"],
        timeout: 25_000
      })
      const other = stream === "stdout" ? child.stderr : child.stdout
      child[stream].destroy()
      const [text, [code]] = await Promise.all([other.setEncoding("utf8").toArray(), once(child, "exit")])
      return { code, text: text.join("") }
    })

  it.live.each(
    [
      ["stdout", ["doctor"]],
      ["stdout", ["--help"]],
      ["stdout", ["simulate", "--port", "0", "--http-only"]],
      ["stderr", ["token"]],
      ["stderr", ["cert", "new", "--days", "0"]]
    ] as const
  )("ends quietly when %s is closed: %j", ([stream, args]) =>
    Effect.gen(function*() {
      const { code, text } = yield* runClosed(stream, args)
      // A failed command may end with its own code before the pipe reports that it is closed.
      assert.include(stream === "stdout" ? [141] : [1, 141], code)
      assert.notMatch(text, /EPIPE|\n +at /)
    }))

  it.live.each([["stdout", ["--help"]], ["stdout", ["doctor"]], ["stderr", ["cert", "new", "--days", "0"]]] as const)(
    "ends with one line if %s cannot be written: %j",
    ([stream, args]) =>
      Effect.gen(function*() {
        const full = yield* Effect.acquireRelease(
          Effect.sync(() => openSync("/dev/full", "w")),
          (file) => Effect.sync(() => closeSync(file))
        )
        const { stderr, stdout, status } = yield* Effect.sync(() =>
          spawnSync(process.execPath, [...bin, ...args], {
            env: { PATH: process.env["PATH"] },
            stdio: ["ignore", stream === "stdout" ? full : "pipe", stream === "stderr" ? full : "pipe"],
            encoding: "utf8",
            timeout: 25_000
          })
        )
        assert.strictEqual(status, 1)
        assert.match(
          stream === "stdout" ? stderr : stdout,
          stream === "stdout"
            ? /^effect-entra: Standard output cannot be written \(ENOSPC\)\. .*\n/
            : /^$/
        )
        assert.notMatch(stderr ?? "", /\n +at /)
      })
  )

  it.live.each(["effect", "@effect/platform-node"])(
    "names the package that is not installed: %s",
    (name) =>
      Effect.gen(function*() {
        const hook = `import { registerHooks } from "node:module"
        registerHooks({ resolve: (specifier, context, next) => {
          if (specifier.startsWith("${name}/")) throw new Error("Cannot find package '${name}' imported from here")
          return next(specifier, context)
        } })`
        const { status, stderr, stdout } = yield* runChild([
          "--import",
          `data:text/javascript,${encodeURIComponent(hook)}`,
          ...bin,
          "--help"
        ])
        assert.deepStrictEqual([status, stdout], [1, ""])
        assert.include(stderr, `effect-entra: The package ${name}, which this command needs, cannot be loaded`)
        assert.include(stderr, `Install it: npm i ${name}\n`)
        assert.notMatch(stderr, /\n +at /)
      })
  )
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
