/** `npm run docs`: the site is built, none of its links is broken, and it works in a browser that reaches only this machine. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFile } from "node:child_process"
import { existsSync } from "node:fs"
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { extname, join } from "node:path"
import { promisify } from "node:util"
import { deflateSync } from "node:zlib"
import { afterAll, beforeAll } from "vitest"
import { contentsOf, titleOf } from "../.site/text.ts"
import { readText, root } from "./docs/repository.ts"
import { openPage, startBrowser } from "./support/browser.ts"
import { runChild } from "./support/child.ts"
import { serve } from "./support/server.ts"

const folder = join(root, "site")
const contents = contentsOf(readText("docs/README.md") ?? "")

let built = ""
beforeAll(async () => {
  built =
    (await promisify(execFile)("npm", ["run", "docs"], { cwd: root, env: { ...process.env, NO_COLOR: "1" } })).stdout
}, 300_000)

const types: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml"
}

/** Serves the site as a static host does, and returns its address. */
const host = serve((request, response) => {
  const path = decodeURIComponent(new URL(request.url ?? "/", "http://localhost").pathname).replace(
    /\/$/,
    "/index.html"
  )
  readFile(join(folder, path)).then(
    (body) => response.writeHead(200, { "content-type": types[extname(path)] ?? "text/plain" }).end(body),
    () => response.writeHead(404).end()
  )
}).pipe(Effect.map((port) => `http://127.0.0.1:${port}`))

describe("the site", () => {
  it("is built without a warning and without a broken link", () => {
    const [, checked, broken] = /(\d+) links of the site checked, (\d+) broken/.exec(built) ?? []
    assert.isAtLeast(Number(checked), 10_000)
    assert.strictEqual(broken, "0")
    assert.notMatch(built, /warning/i)
  })

  it("has a page for each entry of the table of contents, for each linked file, and for each module", () => {
    assert.isAtLeast(contents.length, 14)
    const pages = [
      ...contents.map(({ file }) => `docs/${file.replace(/\.md$/, ".html")}`),
      "index.html",
      "docs/README.html",
      "CHANGELOG.html",
      "bench/REPORT.html",
      "examples/fleet.ts.html",
      "modules/ConfidentialClient.html",
      "modules/node_RedisStore.html",
      "modules/testing_Fault.html",
      "functions/ConfidentialClient.acquireToken.html"
    ]
    assert.deepStrictEqual(pages.filter((page) => !existsSync(join(folder, page))), [])
  })

  it("describes what a module exports by the docstring of the export", async () => {
    assert.include(await readFile(join(folder, "modules/TokenScope.html"), "utf8"), "The scopes of a token request.")
    // A re-export of an internal type, whose own docstring is for maintainers.
    assert.include(await readFile(join(folder, "interfaces/TokenCache.CacheKey.html"), "utf8"), "The key of a token: ")
  })

  it.live("has the sections and the pages of the table of contents in its navigation", () =>
    Effect.gen(function*() {
      const { complaints, foreign, page } = yield* openPage(yield* startBrowser)
      const address = yield* host
      const [first] = contents
      assert(first !== undefined)
      yield* Effect.promise(() => page.goto(`${address}/docs/${first.file.replace(/\.md$/, ".html")}`))
      yield* Effect.promise(() => page.locator("#tsd-nav-container a.current").waitFor())
      const shown = yield* Effect.promise(() => page.locator("#tsd-nav-container > li").allInnerTexts())
      const sections = [...new Set(contents.map(({ section }) => section))]
      assert.deepStrictEqual(shown.slice(0, sections.length).map((text) => text.trim().split("\n")[0]), sections)
      // The section of the page is open, and in the order of the table.
      const titles = contents.filter(({ section }) => section === first.section)
        .map(({ file }) => titleOf(readText(`docs/${file}`) ?? ""))
      assert.deepStrictEqual(
        shown[0]?.split("\n").map((line) => line.trim()).filter((line) => line !== "").slice(1),
        titles
      )
      assert.deepStrictEqual({ complaints, foreign }, { complaints: [], foreign: [] })
    }), 60_000)

  it.live.each([
    { term: "key rotation", page: "docs/fleet.html" },
    { term: "acquireToken", page: "functions/ConfidentialClient.acquireToken.html" },
    { term: "AADSTS7000215", page: "docs/registering.html" }
  ])("finds $term in $page without the internet", ({ page: wanted, term }) =>
    Effect.gen(function*() {
      const { complaints, foreign, page } = yield* openPage(yield* startBrowser)
      const address = yield* host
      yield* Effect.promise(() => page.goto(`${address}/index.html`))
      yield* Effect.promise(() => page.locator("#tsd-search-trigger").click())
      yield* Effect.promise(() => page.locator("#tsd-search-input").fill(term))
      yield* Effect.promise(() => page.locator(`#tsd-search-results a[href$="${wanted}"]`).click())
      yield* Effect.promise(() => page.waitForURL(`${address}/${wanted}`))
      assert.deepStrictEqual({ complaints, foreign }, { complaints: [], foreign: [] })
    }), 60_000)

  it.live("fits a phone, and shows the plots", () =>
    Effect.gen(function*() {
      const { complaints, page } = yield* openPage(yield* startBrowser, { viewport: { width: 320, height: 640 } })
      const address = yield* host
      const paths = [
        "index.html",
        "modules/node_NodeConfidentialClient.html",
        "classes/EntraError.ThrottledError.html",
        "examples/fleet.ts.html",
        ...contents.map(({ file }) => `docs/${file.replace(/\.md$/, ".html")}`),
        "bench/REPORT.html"
      ]
      for (const path of paths) {
        yield* Effect.promise(() => page.goto(`${address}/${path}`))
        yield* Effect.promise(() => page.locator("h1").first().waitFor())
        const width = yield* Effect.promise(() => page.evaluate(() => document.documentElement.scrollWidth))
        assert.strictEqual(width, 320, path)
      }
      const plots = yield* Effect.promise(() =>
        page.evaluate(() => [...document.images].map(({ naturalWidth }) => naturalWidth))
      )
      assert.isAtLeast(plots.length, 10)
      assert.isTrue(plots.every((width) => width > 0))
      assert.deepStrictEqual(complaints, [])
    }), 60_000)
})

describe("the check of links", () => {
  let site = ""
  beforeAll(async () => {
    site = await mkdtemp(join(tmpdir(), "effect-entra-site-"))
    await mkdir(join(site, "assets"))
  })
  afterAll(() => rm(site, { recursive: true, force: true }))

  const script = (links: ReadonlyArray<string>) =>
    `window.data = "${deflateSync(JSON.stringify(links.map((url) => ({ url })))).toString("base64")}"`

  const check = (pages: Readonly<Record<string, string>>, search: ReadonlyArray<string> = []) =>
    Effect.gen(function*() {
      const files = { ...pages, "assets/navigation.js": script([]), "assets/search.js": script(search) }
      yield* Effect.promise(() =>
        Promise.all(Object.entries(files).map(([path, text]) => writeFile(join(site, path), text)))
      )
      const { status, stderr } = yield* runChild([join(root, ".site/links.ts"), site])
      return { status, problems: stderr.trim().split("\n").filter((line) => line !== "") }
    })

  it.live("accepts links to pages, folders, anchors and the web, and ignores code", () =>
    Effect.gen(function*() {
      const html =
        `<a id="top" href="a%20b.html#é"></a><a href="./"></a><a href="#top"></a><a href="https://x.invalid/"></a>`
        + `<code>&lt;a href="none.html"></code><!-- <a href="none.html"> -->`
      assert.deepStrictEqual(
        yield* check({ "index.html": html, "a b.html": `<h2 id="é"></h2>` }, ["index.html", "index.html#top"]),
        { status: 0, problems: [] }
      )
    }))

  it.live("names each broken link once, with its page", () =>
    Effect.gen(function*() {
      const html = `<a href="gone.html"></a><a href="gone.html"></a><a href="#gone"></a><img src="gone.svg">`
        + `<a href="assets/"></a><a href='INDEX.html'></a>`
      assert.deepStrictEqual(yield* check({ "index.html": html }, ["lost.html"]), {
        status: 1,
        problems: [
          "index.html: gone.html: no such file",
          "index.html: #gone: no such anchor",
          "index.html: gone.svg: no such file",
          "index.html: assets/: no such file",
          "index.html: INDEX.html: no such file",
          "index.html: lost.html: no such file"
        ]
      })
    }))
})
