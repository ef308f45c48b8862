/** The page of the simulator in a real browser. `UPDATE_SCREENSHOTS=1` makes the picture of the documentation. */
import { assert, describe, layer } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { EntraSimulator } from "effect-entra/testing"
import { mkdirSync } from "node:fs"
import type { Browser, BrowserContextOptions, Page } from "playwright-core"
import { assertAccessible, openPage, startBrowser } from "../support/browser.ts"
import { until } from "../support/until.ts"
import { simulate } from "./command.ts"

class Chromium extends Context.Service<Chromium, Browser>()("test/Chromium") {}

const run = <A>(step: () => Promise<A>) => Effect.promise(step)
const secret = "simulated~secret.of-the_daemon"

/** Opens the page, which must not complain, ask other machines, or run a script of a request. */
const visit = Effect.fnUntraced(function*(origin: string, options: BrowserContextOptions = {}) {
  const { complaints, foreign, page } = yield* openPage(yield* Chromium, { ...options, baseURL: origin })
  const dialogs: Array<string> = []
  page.on("dialog", (dialog) => {
    dialogs.push(dialog.message())
    return dialog.dismiss()
  })
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => assert.deepStrictEqual([...foreign, ...complaints, ...dialogs], []))
  )
  yield* run(() => page.goto("/"))
  yield* run(() => page.getByText("Connected to").waitFor())
  return page
})

const token = (origin: string, fields: Readonly<Record<string, string>> = {}, tenant = "contoso.onmicrosoft.com") =>
  Effect.asVoid(Effect.exit(Effect.tryPromise(() =>
    fetch(`${origin}/${encodeURIComponent(tenant)}/oauth2/v2.0/token`, {
      method: "POST",
      body: new URLSearchParams({
        grant_type: "client_credentials",
        client_id: EntraSimulator.daemonClientId,
        client_secret: secret,
        scope: "https://graph.microsoft.com/.default",
        ...fields
      })
    }).then((response) => response.text())
  )))

const shows = (page: Page, selector: string, expected: RegExp) =>
  until(
    `${selector} shows ${expected}`,
    run(() => page.locator(selector).innerText()).pipe(
      Effect.map((text) => expected.test(text) ? text : undefined),
      Effect.tap((text) => text === undefined ? Effect.sleep("50 millis") : Effect.void)
    )
  )

/** Requests, refusals, throttles and faults, as on the picture of the documentation. */
const busy = Effect.fnUntraced(function*(origin: string, page: Page) {
  yield* token(origin)
  yield* token(origin, { client_secret: "a wrong one" })
  yield* token(origin, { scope: "api://orders/.default" }, "fabrikam.onmicrosoft.com")
  yield* run(async () => {
    await page.getByLabel("Fault", { exact: true }).selectOption("throttled")
    await page.getByRole("spinbutton", { name: "Retry-After, in seconds" }).fill("300")
    await page.getByRole("spinbutton", { name: "Times" }).fill("1")
    await page.getByRole("button", { name: "Switch on" }).click()
    await page.locator("#faults li").waitFor()
  })
  yield* token(origin, { scope: "api://orders/.default" }, "fabrikam.onmicrosoft.com")
  yield* run(async () => {
    await page.getByLabel("Fault", { exact: true }).selectOption("unavailable")
    await page.getByLabel("Only for tenant").fill("contoso.onmicrosoft.com")
    await page.getByRole("spinbutton", { name: "Times" }).fill("")
    await page.getByRole("button", { name: "Switch on" }).click()
  })
  yield* shows(page, "#faults", /503 AADSTS90033/)
  yield* shows(page, "#throttled", /fabrikam.onmicrosoft.com · api:\/\/orders\/.default, until/)
  yield* shows(page, "#count", /^4$/)
})

describe("the page of the simulator", () => {
  layer(Layer.effect(Chromium, startBrowser), { excludeTestServices: true })((it) => {
    it.effect("shows requests as they come, tokens by tenant and throttled keys, also in a page that is opened later", () =>
      Effect.gen(function*() {
        const { origin } = yield* simulate("--http-only")
        const page = yield* visit(origin)
        assert.isTrue(yield* run(() => page.getByText("No request yet.").isVisible()))
        yield* assertAccessible(page)
        yield* busy(origin, page)
        yield* assertAccessible(page)
        const check = Effect.fnUntraced(function*(page: Page) {
          const rows = yield* run(() => page.locator("#requests tbody tr").allInnerTexts())
          const answers = [
            /429 AADSTS90055.*Retry-After: 300.*fault/s,
            /token for 3599 s/,
            /401 AADSTS7000215/,
            /token for 3599 s/
          ]
          assert.strictEqual(rows.length, answers.length)
          for (const [index, answer] of answers.entries()) assert.match(rows[index] ?? "", answer)
          const tokens = yield* run(() => page.locator("#tokens").innerText())
          assert.match(tokens, /Contoso \([\w-]+\): 1\nFabrikam \([\w-]+\): 1/)
        })
        yield* check(page)
        if (process.env["UPDATE_SCREENSHOTS"] === "1") {
          const folder = new URL("../../docs/images/", import.meta.url)
          mkdirSync(folder, { recursive: true })
          yield* run(() => page.screenshot({ path: new URL("simulate.png", folder).pathname, fullPage: true }))
        }
        const later = yield* visit(origin)
        yield* shows(later, "#count", /^4$/)
        yield* check(later)
      }).pipe(Effect.scoped))

    it.effect.each(
      [
        { name: "dark", options: { colorScheme: "dark" } },
        { name: "320 px wide", options: { viewport: { width: 320, height: 640 } } },
        { name: "with forced colors", options: { forcedColors: "active" } }
      ] as const
    )("is accessible: $name", ({ name, options }) =>
      Effect.gen(function*() {
        const { origin } = yield* simulate("--http-only")
        const page = yield* visit(origin, options)
        yield* busy(origin, page)
        for (const kind of ["custom", "refused", "echo"]) {
          yield* run(() => page.getByLabel("Fault", { exact: true }).selectOption(kind))
          yield* assertAccessible(page)
        }
        const folder = process.env["SCREENSHOTS"]
        if (folder !== undefined) yield* run(() => page.screenshot({ path: `${folder}/${name}.png`, fullPage: true }))
      }).pipe(Effect.scoped))

    it.effect("shows hostile requests as text, and no secret and no token", () =>
      Effect.gen(function*() {
        const { origin } = yield* simulate("--http-only")
        const page = yield* visit(origin)
        const hostile = [
          "<img src=x onerror=alert(1)>",
          "\"><script>alert(1)</script>",
          "</td></tr></table><svg onload=alert(1)>",
          "javascript:alert(1)",
          "\u202e\u0000 reversed",
          "x".repeat(5000),
          "__proto__"
        ]
        for (const text of hostile) {
          // A longer tenant has no route.
          yield* token(origin, { client_id: text, scope: `${text}/.default` }, text.slice(0, 90))
        }
        yield* token(origin)
        yield* shows(page, "#count", new RegExp(`^${hostile.length + 1}$`))
        const html = yield* run(() => page.content())
        assert.strictEqual(yield* run(() => page.locator("main img, main svg, main script, main a").count()), 0)
        const rows = (yield* run(() => page.locator("#requests tbody").innerText())).replaceAll(/\s+/g, " ")
        assert.include(rows, "<img src=x onerror=alert(1)>")
        assert.include(rows, "\\u{202e}\\u{0} reversed")
        assert.notInclude(html, secret)
        assert.notMatch(html, /eyJ[\w-]+\.eyJ/)
        yield* assertAccessible(page)
      }).pipe(Effect.scoped))

    it.effect("switches every fault on and off, by the keyboard alone", () =>
      Effect.gen(function*() {
        const { origin } = yield* simulate("--http-only")
        const page = yield* visit(origin)
        const kinds = yield* run(() =>
          page.locator("#kind option").evaluateAll((options) =>
            options.map((option) => option.getAttribute("value") ?? "")
          )
        )
        assert.strictEqual(kinds.length, 11)
        const press = (...keys: ReadonlyArray<string>) =>
          Effect.forEach(keys, (key) => run(() => page.keyboard.press(key)), { discard: true })
        const focused = run(() =>
          page.evaluate(() => document.activeElement?.id || document.activeElement?.textContent)
        )
        const tabTo = (name: string) =>
          until(
            `the focus is at ${name}`,
            Effect.flatMap(focused, (at) => at === name ? Effect.succeed(true) : Effect.as(press("Tab"), undefined))
          )
        yield* tabTo("kind")
        for (const [index, kind] of kinds.entries()) {
          if (index > 0) {
            yield* press("ArrowDown")
            assert.strictEqual(yield* run(() => page.locator("#kind").inputValue()), kind)
          }
          yield* tabTo("Switch on")
          yield* press("Enter")
          yield* until(
            `${kind} is switched on`,
            Effect.map(run(() => page.locator("#faults li").count()), (count) => count === index + 1 ? true : undefined)
          )
          assert.strictEqual(yield* run(() => page.locator("#announcement").innerText()), "The fault is switched on.")
          yield* run(() => page.locator("#kind").focus())
        }
        // The focus stays in the list while its items go.
        yield* tabTo("Switch off")
        for (const left of [10, 9]) {
          yield* press("Enter")
          yield* until(
            `${left} faults are left`,
            Effect.map(run(() => page.locator("#faults li").count()), (count) => count === left ? true : undefined)
          )
          assert.strictEqual(yield* focused, "Switch off")
        }
        yield* tabTo("clear-faults")
        yield* press("Space")
        yield* until(
          "no fault is left",
          Effect.map(run(() => page.locator("#faults li").count()), (count) => count === 0 ? true : undefined)
        )
        assert.isTrue(yield* run(() => page.getByText("No fault.").isVisible()))
        assert.strictEqual(yield* focused, "kind")
        assert.strictEqual(yield* run(() => page.locator("#announcement").innerText()), "All faults are switched off.")
        assert.isFalse(yield* run(() => page.locator("#clear-faults").isVisible()))
      }).pipe(Effect.scoped))

    it.effect("names the problem of a fault", () =>
      Effect.gen(function*() {
        const { origin } = yield* simulate("--http-only")
        const { page } = yield* openPage(yield* Chromium, { baseURL: origin })
        yield* run(async () => {
          await page.goto("/")
          await page.getByLabel("Fault", { exact: true }).selectOption("custom")
          await page.getByLabel("Headers, one a line").fill("a header: x")
          await page.getByRole("button", { name: "Switch on" }).click()
        })
        yield* shows(page, "#notice", /^headers: Expected names of headers\.$/)
        yield* run(async () => {
          await page.getByLabel("Headers, one a line").fill("Retry-After: 7\nX-Two: a: b\n")
          await page.getByRole("button", { name: "Switch on" }).click()
          await page.locator("#faults li").waitFor()
        })
        assert.strictEqual(yield* run(() => page.locator("#notice").innerText()), "")
        const response = yield* run(() => fetch(`${origin}/a/oauth2/v2.0/token`, { method: "POST" }))
        assert.deepStrictEqual(
          [response.status, response.headers.get("retry-after"), response.headers.get("x-two")],
          [418, "7", "a: b"]
        )
      }).pipe(Effect.scoped))

    it.effect("copies the environment without showing it", () =>
      Effect.gen(function*() {
        const { environment, origin } = yield* simulate()
        const page = yield* visit(origin, { permissions: ["clipboard-read", "clipboard-write"] })
        const copied = (shell: string) =>
          run(async () => {
            await page.getByLabel("Environment for").selectOption(shell)
            await page.getByRole("button", { name: /Cop/ }).click()
            await page.getByRole("button", { name: "Copied" }).waitFor()
          }).pipe(Effect.andThen(run(() => page.evaluate(() => navigator.clipboard.readText()))))
        const posix = yield* copied("posix")
        for (const [name, value] of Object.entries(environment)) assert.include(posix, `export ${name}='${value}'`)
        yield* until(
          "the button is as before",
          run(() => page.getByRole("button", { name: "Copy the environment" }).count()).pipe(
            Effect.map((count) => count === 1 ? true : undefined)
          )
        )
        assert.include(yield* copied("powershell"), "$env:AZURE_CLIENT_SECRET = ")
        assert.notInclude(yield* run(() => page.content()), secret)
      }).pipe(Effect.scoped))

    it.effect("can be paused and cleared", () =>
      Effect.gen(function*() {
        const { origin } = yield* simulate("--http-only")
        const page = yield* visit(origin)
        const rows = run(() => page.locator("#requests tbody tr").count())
        yield* token(origin, { client_secret: "a wrong one" })
        yield* until("a row", Effect.map(rows, (count) => count === 1 ? true : undefined))
        // The live region sums the requests up, because one announcement for each would drown the reader.
        yield* shows(page, "#announcement", /^New requests: 1. Without success: 1.$/)
        yield* run(() => page.getByRole("button", { name: "Pause" }).click())
        yield* token(origin)
        yield* shows(page, "#count", /^2$/)
        assert.strictEqual(yield* rows, 1)
        yield* run(() => page.getByRole("button", { name: "Pause" }).click())
        assert.strictEqual(yield* rows, 2)
        yield* run(() => page.getByRole("button", { name: "Clear" }).click())
        assert.strictEqual(yield* rows, 0)
        yield* token(origin)
        yield* until("a row", Effect.map(rows, (count) => count === 1 ? true : undefined))
      }).pipe(Effect.scoped))

    it.effect("says that the simulator has stopped", () =>
      Effect.gen(function*() {
        const { page } = yield* openPage(yield* Chromium)
        yield* Effect.scoped(Effect.gen(function*() {
          const { origin } = yield* simulate("--http-only")
          yield* run(() => page.goto(origin))
          yield* run(() => page.getByText("Connected to").waitFor())
        }))
        yield* shows(page, "#connection", /^Not connected/)
        yield* run(() => page.getByRole("button", { name: "Switch on" }).click())
        yield* shows(page, "#notice", /does not answer/)
      }).pipe(Effect.scoped))

    it.effect("is closed to pages of other origins", () =>
      Effect.gen(function*() {
        const { origin } = yield* simulate("--http-only")
        const other = yield* simulate("--http-only")
        const { page } = yield* openPage(yield* Chromium)
        yield* run(() => page.goto(`${other.origin.replace("localhost", "127.0.0.1")}/common/discovery/v2.0/keys`))
        const outcomes = yield* run(() =>
          page.evaluate(async (origin) => {
            const body = JSON.stringify({ kind: "dropped" })
            const attempt = (path: string, init: RequestInit) =>
              fetch(`${origin}${path}`, init).then(
                (response) => response.type === "opaque" ? "opaque" : `read ${response.status}`,
                () => "refused"
              )
            return {
              json: await attempt("/_simulator/faults", {
                method: "POST",
                body,
                headers: { "content-type": "application/json" }
              }),
              simple: await attempt("/_simulator/faults", { method: "POST", body, mode: "no-cors" }),
              remove: await attempt("/_simulator/faults", { method: "DELETE" }),
              read: await attempt("/_simulator/environment", {}),
              events: await new Promise((resolve) => {
                const events = new EventSource(`${origin}/_simulator/events`)
                events.addEventListener("message", () => resolve("read"))
                events.addEventListener("error", () => resolve("refused"))
              })
            }
          }, origin)
        )
        assert.deepStrictEqual(
          { ...outcomes, simple: "" },
          { json: "refused", simple: "", remove: "refused", read: "refused", events: "refused" }
        )
        const listed = yield* run(() => fetch(`${origin}/_simulator/faults`).then((response) => response.json()))
        assert.deepStrictEqual(listed, [])
      }).pipe(Effect.scoped))
  })
})
