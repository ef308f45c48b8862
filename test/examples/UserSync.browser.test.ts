/** The pages of examples/user-sync in a real browser, from the sign-in to the disconnection. */
import { assert, describe, layer } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { EntraSimulator } from "effect-entra/testing"
import { mkdirSync } from "node:fs"
import type { Browser, BrowserContextOptions, Page } from "playwright-core"
import * as Demo from "../../examples/user-sync/demo.ts"
import { assertAccessible, openPage, startBrowser } from "../support/browser.ts"
import { until } from "../support/until.ts"
import { startApp } from "./userSync.ts"

const { adventure, contoso, fabrikam, northwind, tailspin } = Demo.customers
const { Fault } = EntraSimulator

class Chromium extends Context.Service<Chromium, Browser>()("test/Chromium") {}

const run = <A>(step: () => Promise<A>) => Effect.promise(step)

/** A browser of its own for each person, which fails the test if a page is not as it must be. */
const visit = Effect.fnUntraced(function*(origin: string, options: BrowserContextOptions = {}) {
  const { complaints, foreign, page } = yield* openPage(yield* Chromium, { ...options, baseURL: origin })
  const dialogs: Array<string> = []
  page.on("dialog", (dialog) => {
    dialogs.push(dialog.message())
    return dialog.dismiss()
  })
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      // The browser reports the status of a page that refuses something.
      const others = complaints.filter((text) => !/ status of 4\d\d .*\/(?:connected\b.*|nowhere)$/.test(text))
      assert.deepStrictEqual({ foreign, complaints: others, dialogs }, { foreign: [], complaints: [], dialogs: [] })
    })
  )
  yield* run(() => page.goto("/"))
  return page
})

const signIn = (page: Page, name: string) =>
  run(async () => {
    await page.getByRole("radio", { name }).check()
    await page.getByRole("button", { name: "Sign in" }).click()
  })

const click = (page: Page, name: string) => run(() => page.getByRole("button", { name, exact: true }).click())
const heading = (page: Page) => run(() => page.getByRole("heading", { level: 1 }).innerText())
const text = (page: Page) => run(() => page.locator("main").innerText())

/** Loads the start page until it shows the text. */
const shows = (page: Page, expected: string | RegExp) =>
  until(
    `the page shows ${expected}`,
    run(async () => {
      await page.goto("/")
      const shown = await page.locator("main").innerText()
      return (typeof expected === "string" ? shown.includes(expected) : expected.test(shown)) ? shown : undefined
    })
  )

const images = new URL("../../docs/images/", import.meta.url)

/** Makes the picture of the documentation if `UPDATE_SCREENSHOTS` asks for it. */
const picture = (page: Page, name: string, options: { readonly fullPage: boolean } = { fullPage: true }) =>
  run(async () => {
    if (process.env["UPDATE_SCREENSHOTS"] !== "1") return
    mkdirSync(images, { recursive: true })
    await page.screenshot({ path: new URL(`user-sync-${name}.png`, images).pathname, ...options })
  })

describe("the app of examples/user-sync", () => {
  layer(Layer.effect(Chromium, startBrowser), { excludeTestServices: true })((it) => {
    it.effect("connects a tenant, and shows its users, but not to other customers", () =>
      Effect.gen(function*() {
        const { client, origin } = yield* startApp()
        const page = yield* visit(origin)
        yield* assertAccessible(page)
        yield* signIn(page, fabrikam.name)
        assert.strictEqual(yield* heading(page), "Connect Fabrikam")
        yield* assertAccessible(page)
        yield* click(page, "Connect Fabrikam")
        assert.strictEqual(yield* heading(page), "Permission requested")
        yield* assertAccessible(page)
        yield* picture(page, "consent")
        yield* click(page, "Accept")
        assert.strictEqual(new URL(page.url()).search, "?done=connected")
        assert.include(yield* text(page), "Your organization is connected.")
        assert.match(yield* shows(page, "Up to date"), /3 users\n[^]*Ada Abe\s+user001@fabrikam\.onmicrosoft\.com/)
        yield* assertAccessible(page)

        const other = yield* visit(origin)
        yield* signIn(other, contoso.name)
        assert.strictEqual(yield* heading(other), "Connect Contoso")
        yield* run(() => other.goto("/disconnect"))
        assert.strictEqual(yield* heading(other), "Connect Contoso")

        const operator = yield* visit(origin)
        yield* signIn(operator, "Operator")
        const overview = yield* text(operator)
        assert.match(overview, /Fabrikam\n[^]*Up to date[^]*Token cache\n[^]*Tokens\n1\n/)
        assert.notInclude(overview, "Ada Abe")
        yield* assertAccessible(operator)
        assert.strictEqual((yield* client.stats).entries, 1)
        yield* click(operator, "Sign out")
        assert.strictEqual(yield* heading(operator), "Demo sign-in")
      }))

    it.effect("says why, when an administrator declines", () =>
      Effect.gen(function*() {
        const { origin, store } = yield* startApp()
        const page = yield* visit(origin)
        yield* signIn(page, fabrikam.name)
        yield* click(page, "Connect Fabrikam")
        yield* run(() => page.getByRole("button", { name: "Decline" }).click())
        assert.strictEqual(yield* heading(page), "Not connected")
        const shown = yield* text(page)
        assert.include(shown, "The administrator declined to consent to the app.")
        assert.match(shown, /What to do: .{20,}/)
        yield* assertAccessible(page)
        assert.isUndefined(yield* store.find(fabrikam.tenantId))
      }))

    it.effect("refuses an answer for another customer, another tenant, or the second time", () =>
      Effect.gen(function*() {
        const { origin, store } = yield* startApp()
        const mine = yield* visit(origin)
        yield* signIn(mine, fabrikam.name)
        const theirs = yield* visit(origin)
        yield* signIn(theirs, northwind.name)
        const answerOf = (page: Page, name: string) =>
          run(async () => {
            await page.goto("/")
            await page.getByRole("button", { name: `Connect ${name}` }).click()
            const link = new URL(new URL(page.url()).searchParams.get("link") ?? "")
            return (tenant: string) =>
              `/connected?${new URLSearchParams({
                admin_consent: "True",
                tenant,
                state: link.searchParams.get("state") ?? ""
              })}`
          })
        const answer = yield* answerOf(theirs, northwind.name)
        const own = yield* answerOf(mine, fabrikam.name)
        const refused = Effect.fnUntraced(function*(page: Page, address: string, reason: string) {
          yield* run(() => page.goto(address))
          assert.strictEqual(yield* heading(page), "The connection was refused")
          assert.include(yield* text(page), reason)
        })
        yield* refused(mine, answer(northwind.tenantId), "another customer or another browser began it")
        yield* refused(mine, answer(fabrikam.tenantId), "another customer or another browser began it")
        yield* refused(mine, "/connected", "another customer")
        yield* refused(yield* visit(origin), answer(northwind.tenantId), "No customer is signed in here")
        yield* assertAccessible(mine)
        yield* refused(mine, own(northwind.tenantId), "another organization than the one you signed in with")
        yield* refused(mine, own(fabrikam.tenantId), "it was used before")
        assert.deepStrictEqual(yield* store.all, [])
        // The owner of the state is not harmed.
        yield* run(() => theirs.goto(answer(northwind.tenantId)))
        assert.strictEqual(yield* heading(theirs), "Users of Northwind Traders")
      }))

    it.effect("shows the progress, and the page follows it", () =>
      Effect.gen(function*() {
        const { furtherPages, origin } = yield* startApp()
        furtherPages.closeUnsafe()
        const page = yield* visit(origin)
        yield* signIn(page, contoso.name)
        yield* click(page, "Connect Contoso")
        yield* click(page, "Accept")
        yield* shows(page, "Reading users")
        yield* run(() => page.getByRole("link", { name: "Follow the progress" }).click())
        assert.include(yield* text(page), "This page updates itself every 2 seconds.")
        yield* run(() => page.getByText("all users, 1 page, 100 users").waitFor())
        yield* picture(page, "progress", { fullPage: false })
        furtherPages.openUnsafe()
        yield* run(() => page.getByText("Up to date").waitFor())
        assert.include(yield* text(page), "all users, 2 pages, 120 users")
        yield* run(() => page.getByRole("link", { name: "Stop" }).click())
        assert.notInclude(yield* text(page), "updates itself every")
      }))

    it.effect("shows the last error with its remedy, and recovers after a new consent", () =>
      Effect.gen(function*() {
        const { origin, sync } = yield* startApp()
        yield* sync.connect({ tenantId: adventure.tenantId, customer: adventure.name })
        const page = yield* visit(origin)
        yield* signIn(page, adventure.name)
        const shown = yield* shows(page, "Stopped by an error")
        assert.include(shown, "Last error: Microsoft Graph responded with 403 Authorization_RequestDenied")
        assert.include(shown, "What to do: An administrator of the tenant has to grant User.Read.All")
        assert.notInclude(yield* run(() => page.content()), "eyJ")
        yield* assertAccessible(page)
        yield* picture(page, "error")
        yield* click(page, "Connect Adventure Works again")
        yield* click(page, "Accept")
        assert.include(yield* shows(page, "Up to date"), "Kim Abercrombie")
      }))

    it.effect("searches, and believes no name", () =>
      Effect.gen(function*() {
        const { origin, sync } = yield* startApp()
        yield* sync.connect({ tenantId: northwind.tenantId, customer: northwind.name })
        yield* sync.connect({ tenantId: tailspin.tenantId, customer: tailspin.name })
        const page = yield* visit(origin)
        yield* signIn(page, northwind.name)
        yield* click(page, "Sync now")
        // The app is not installed there before the consent.
        yield* shows(page, /AADSTS700016|has no service principal|not installed/)
        yield* click(page, "Connect Northwind Traders again")
        yield* click(page, "Accept")
        const all = yield* shows(page, "Up to date")
        for (
          const name of [
            "<script>document.title = 'taken over'</script>",
            "\"><img src=x onerror=alert(1)>",
            "Юлия Ёлкина"
          ]
        ) {
          assert.include(all, name)
        }
        assert.strictEqual(yield* run(() => page.title()), "Users of Northwind Traders – User sync")
        const search = (query: string) =>
          run(async () => {
            await page.getByRole("searchbox").fill(query)
            await page.getByRole("searchbox").press("Enter")
            await page.waitForURL((url) => url.searchParams.get("q") === query)
            return page.locator("tbody th").allInnerTexts()
          })
        assert.deepStrictEqual(yield* search("ZOE ANG"), ["Zoë Ångström"])
        yield* assertAccessible(page)
        yield* picture(page, "search")
        assert.deepStrictEqual(yield* search("%"), ["100% _real_ Smith"])
        assert.deepStrictEqual(yield* search("елкина"), ["Юлия Ёлкина"])
        assert.deepStrictEqual(yield* search("user3@"), ["Юлия Ёлкина"])
        assert.deepStrictEqual(yield* search("' OR 1=1"), ["' OR 1=1 --"])
        assert.deepStrictEqual(yield* search("\"><b>"), [])
        assert.include(yield* text(page), "0 users for “\"><b>”")
        assert.strictEqual(yield* run(() => page.getByRole("searchbox").inputValue()), "\"><b>")
        yield* assertAccessible(page)

        const second = yield* visit(origin)
        yield* signIn(second, tailspin.name)
        yield* shows(second, "250 users, page 1 of 5")
        yield* run(() => second.getByRole("link", { name: "Next page" }).click())
        assert.include(yield* text(second), "250 users, page 2 of 5")
        yield* run(() => second.goto("/?page=99&q=toy"))
        assert.include(yield* text(second), "250 users for “toy”, page 5 of 5")
      }))

    it.effect("disconnects a tenant during a sync: its users and tokens are gone", () =>
      Effect.gen(function*() {
        const { client, origin, simulator, store, sync } = yield* startApp()
        yield* sync.connect({ tenantId: tailspin.tenantId, customer: tailspin.name })
        const page = yield* visit(origin)
        yield* signIn(page, contoso.name)
        yield* click(page, "Connect Contoso")
        yield* click(page, "Accept")
        yield* shows(page, "Up to date")
        yield* until(
          "both tenants have tokens",
          Effect.map(client.stats, ({ entries }) => entries === 2 ? true : undefined)
        )
        yield* simulator.fail(Fault.delay("1 hour"), { endpoint: "graph", tenant: contoso.tenantId })
        yield* click(page, "Sync now")
        yield* shows(page, "Reading users")
        yield* run(() => page.getByRole("link", { name: "Disconnect" }).click())
        assert.strictEqual(yield* heading(page), "Disconnect Contoso?")
        assert.include(yield* text(page), "120 users and the tokens of Contoso are deleted here.")
        yield* assertAccessible(page)
        yield* click(page, "Disconnect Contoso")
        assert.include(yield* text(page), "Its users and tokens are deleted here.")
        assert.isUndefined(yield* store.find(contoso.tenantId))
        assert.deepStrictEqual(yield* store.search({ tenantId: contoso.tenantId, text: "", page: 1 }), {
          page: 1,
          users: [],
          total: 0
        })
        const peek = client.peek({ scopes: "https://graph.microsoft.com/.default", tenantId: contoso.tenantId })
        assert.isUndefined(peek)
        assert.strictEqual((yield* client.stats).entries, 1)
        assert.isDefined(yield* store.find(tailspin.tenantId))
      }))

    it.effect("needs no mouse", () =>
      Effect.gen(function*() {
        const { origin } = yield* startApp()
        const page = yield* visit(origin)
        /** Presses Tab until the element with that name has the focus, which must be visible. */
        const tabTo = (name: string) =>
          run(async () => {
            for (let presses = 0; presses < 20; presses++) {
              await page.keyboard.press("Tab")
              const focused = await page.evaluate(() => {
                const element = document.activeElement
                if (!(element instanceof HTMLElement)) return { name: "", isVisible: false }
                const { height, left, width } = element.getBoundingClientRect()
                const label = element instanceof HTMLInputElement ? element.labels?.[0]?.innerText : element.innerText
                return {
                  name: (label ?? "").trim(),
                  isVisible: left >= 0 && width > 0 && height > 0 && getComputedStyle(element).outlineStyle !== "none"
                }
              })
              if (focused.name === name) return assert.isTrue(focused.isVisible, `${name} shows its focus`)
            }
            assert.fail(`Tab does not reach ${name}`)
          })
        /** Presses Enter, and waits for the page that follows. */
        const enter = (title: string) =>
          run(async () => {
            await page.keyboard.press("Enter")
            await page.getByRole("heading", { level: 1, name: title, exact: true }).waitFor()
          })
        yield* tabTo("Skip to the content")
        yield* run(() => page.keyboard.press("Enter"))
        yield* tabTo("Contoso")
        yield* run(() => page.keyboard.press("ArrowDown"))
        yield* tabTo("Sign in")
        yield* enter("Connect Fabrikam")
        yield* tabTo("Connect Fabrikam")
        yield* enter("Permission requested")
        yield* tabTo("Accept")
        yield* enter("Users of Fabrikam")
        yield* shows(page, "Up to date")
        yield* tabTo("Search by name or sign-in name")
        yield* run(() => page.keyboard.type("ada"))
        yield* run(() => page.keyboard.press("Enter"))
        yield* run(() => page.getByText("1 user for “ada”").waitFor())
        yield* tabTo("Disconnect …")
        yield* enter("Disconnect Fabrikam?")
        yield* tabTo("Disconnect Fabrikam")
        yield* enter("Connect Fabrikam")
        assert.include(yield* text(page), "Your organization is disconnected.")
        yield* tabTo("Sign out")
        yield* enter("Demo sign-in")
      }))

    it.effect.each(["light", "dark"] as const)("fits into 320 pixels, %s", (colorScheme) =>
      Effect.gen(function*() {
        const { origin, simulator, sync } = yield* startApp()
        yield* simulator.consent(Demo.clientId, northwind.tenantId)
        for (const { name, tenantId } of [adventure, northwind]) yield* sync.connect({ tenantId, customer: name })
        const page = yield* visit(origin, { viewport: { width: 320, height: 640 }, colorScheme })
        yield* assertAccessible(page)
        yield* signIn(page, northwind.name)
        yield* shows(page, "Up to date")
        yield* assertAccessible(page)
        if (colorScheme === "light") yield* picture(page, "narrow")
        yield* run(() => page.goto("/disconnect"))
        yield* assertAccessible(page)
        yield* click(page, "Sign out")
        yield* signIn(page, "Operator")
        yield* shows(page, "Stopped by an error")
        yield* assertAccessible(page)
        if (colorScheme === "dark") {
          yield* run(() => page.setViewportSize({ width: 1024, height: 768 }))
          yield* picture(page, "operator")
        }
        yield* run(() => page.goto("/nowhere"))
        yield* assertAccessible(page)
      }))
  })
})
