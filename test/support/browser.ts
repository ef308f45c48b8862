/** A headless Chromium for tests of pages, which reaches only this machine. For live tests only. */
import { assert } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core"

export interface PageInBrowser {
  readonly page: Page
  /** The addresses of requests to other machines, all of which failed. */
  readonly foreign: ReadonlyArray<string>
  /** The errors of scripts and of the browser's console, such as a violation of the CSP, with the address. */
  readonly complaints: ReadonlyArray<string>
}

/** Installs Debian's Chromium if the machine has none, and returns the name of its program. */
export const ensureChromium = (): string => {
  const found = () => programs.find((program) => spawnSync(program, ["--version"]).status === 0)
  const program = found()
  if (program !== undefined) return program
  // One process of the machine installs, the others wait.
  const root = process.getuid?.() === 0 ? [] : ["sudo", "-n"]
  const [command = "", ...parameters] = [
    ...root,
    "flock",
    join(tmpdir(), "effect-entra-chromium.lock"),
    "sh",
    "-c",
    "chromium --version || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; }"
  ]
  const { stderr } = spawnSync(command, parameters, { encoding: "utf8" })
  const installed = found()
  if (installed === undefined) throw new Error(`chromium could be neither found nor installed: ${stderr}`)
  return installed
}

/** Starts a browser that ends with the scope. */
export const startBrowser: Effect.Effect<Browser, never, Scope.Scope> = Effect.acquireRelease(
  Effect.promise(() =>
    chromium.launch({
      executablePath: pathOf(ensureChromium()),
      // Chromium refuses to run with its sandbox as root.
      chromiumSandbox: process.getuid?.() !== 0,
      args: [
        // Requests to other machines go to a proxy that does not exist. Chromium never sends loopback to a proxy.
        "--proxy-server=http://127.0.0.1:1",
        // Same glyphs on every machine with the same fonts.
        "--font-render-hinting=none",
        "--force-color-profile=srgb"
      ]
    })
  ),
  (browser) => Effect.promise(() => browser.close())
)

/** Opens a page with cookies of its own, which closes with the scope. */
export const openPage = (
  browser: Browser,
  options: BrowserContextOptions = {}
): Effect.Effect<PageInBrowser, never, Scope.Scope> =>
  Effect.gen(function*() {
    const context = yield* Effect.acquireRelease(
      Effect.promise(() => browser.newContext({ viewport: { width: 1024, height: 768 }, ...options })),
      (context) => Effect.promise(() => context.close())
    )
    context.setDefaultTimeout(15_000)
    const foreign: Array<string> = []
    const complaints: Array<string> = []
    context.on("request", (request) => {
      if (!isLoopback(request.url())) foreign.push(request.url())
    })
    context.on("console", (message) => {
      if (message.type() === "error") complaints.push(`${message.text()} ${message.location().url}`)
    })
    context.on("weberror", (error) => complaints.push(String(error.error())))
    return { page: yield* Effect.promise(() => context.newPage()), foreign, complaints }
  })

/** Asserts that axe finds nothing on the page, and that nothing is wider than the window. */
export const assertAccessible = (page: Page): Effect.Effect<void> =>
  Effect.promise(async () => {
    // A text that is evaluated needs no permission of the page's CSP.
    await page.evaluate(axe)
    const problems: unknown = await page.evaluate(
      "axe.run().then(({ violations }) => violations.map(({ id, nodes }) => [id, ...nodes.map(({ html }) => html)]))"
    )
    assert.deepStrictEqual(problems, [], page.url())
    const [inner = 0, wide = 0] = await page.evaluate(() => [innerWidth, document.documentElement.scrollWidth])
    assert.isAtMost(wide, inner, `${page.url()} is wider than the window`)
  })

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8")

const programs = ["chromium", "chromium-browser", "google-chrome"]

const pathOf = (program: string): string => spawnSync("which", [program], { encoding: "utf8" }).stdout.trim()

/** Returns whether the address is on this machine, or not a network address, such as `data:` and `about:blank`. */
const isLoopback = (address: string): boolean => {
  const { hostname, protocol } = new URL(address)
  return !["http:", "https:", "ws:", "wss:"].includes(protocol) ||
    ["localhost", "[::1]"].includes(hostname) || /^127(\.\d+){3}$/.test(hostname) || hostname.endsWith(".localhost")
}
