import { Effect } from "effect"
import { openPage, startBrowser } from "./test/support/browser.ts"
const program = Effect.gen(function*() {
  const browser = yield* startBrowser
  for (
    const [name, opts] of [["light", {}], ["dark", { colorScheme: "dark" }], ["narrow", {
      viewport: { width: 320, height: 700 }
    }]] as const
  ) {
    const { page, complaints } = yield* openPage(browser, opts)
    yield* Effect.promise(async () => {
      await page.goto("http://localhost:8443/")
      await page.waitForSelector("#requests tbody tr")
      await page.selectOption("#kind", name === "light" ? "throttled" : "custom")
      await page.screenshot({ path: `/tmp/envtest/${name}.png`, fullPage: true })
      console.log(name, complaints)
    })
  }
}).pipe(Effect.scoped)
await Effect.runPromise(program)
