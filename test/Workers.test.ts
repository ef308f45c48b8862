/** Cloudflare's runtime: the timers and connections of a request end with it, and the client belongs to no request. */
import { assert, describe, it } from "@effect/vitest"
import { build } from "esbuild"
import { Miniflare, Response } from "miniflare"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { afterAll, beforeAll } from "vitest"

// Fifteen times as fast as the clock: a budget of 30 seconds, and 40 seconds until a lost flight is given up.
const speed = 15
const lost = 40_000 / speed

const bundled = async () => {
  const { outputFiles } = await build({
    entryPoints: [join(import.meta.dirname, "workers/worker.ts")],
    bundle: true,
    write: false,
    format: "esm",
    platform: "neutral",
    mainFields: ["module", "main"],
    conditions: ["@effect-entra/source", "workerd", "module"],
    logLevel: "error"
  })
  return outputFiles.map(({ text }) => text).join("")
}

/** A Worker over a service that takes 200 ms, with tokens of a minute: four seconds here. */
const started = (contents: string) => {
  const requests: Array<string> = []
  const worker = new Miniflare({
    modules: [{ type: "ESModule", path: "worker.js", contents }],
    compatibilityDate: "2026-01-01",
    outboundService: async (request) => {
      const form = new URLSearchParams(await request.text())
      requests.push(form.get("scope") ?? "")
      await setTimeout(200)
      return Response.json({ access_token: `token-${requests.length}`, token_type: "Bearer", expires_in: 60 })
    }
  })
  const get = async (path: string) => {
    const begun = performance.now()
    const response = await worker.dispatchFetch(`http://worker${path}`)
    return { path, status: response.status, body: await response.text(), took: performance.now() - begun }
  }
  return { worker, requests, get }
}

const failed = (answers: ReadonlyArray<{ readonly status: number }>) => answers.filter(({ status }) => status !== 200)

let code = ""
const open: Array<Miniflare> = []
const start = () => {
  const one = started(code)
  open.push(one.worker)
  return one
}
beforeAll(async () => {
  code = await bundled()
})
afterAll(() => Promise.all(open.map((worker) => worker.dispose())))

describe.concurrent.each([{ hook: "?hook" }, { hook: "?plain" }])("a client of the module, $hook", ({ hook }) => {
  it("serves three callers of a cold key with one request", async () => {
    const { get, requests } = start()
    const answers = await Promise.all(["/cold", "/cold", "/cold"].map((path) => get(path + hook)))
    assert.deepStrictEqual(failed(answers), [])
    assert.strictEqual(requests.length, 1)
    assert.strictEqual(JSON.parse((await get("/stats")).body).flights, 0)
  })

  it("serves each call of five minutes, and has no flight in the end", { timeout: 60_000 }, async () => {
    const { get, requests } = start()
    const answers = [await get(`/long${hook}`)]
    const end = performance.now() + 300_000 / speed
    while (performance.now() < end) {
      await setTimeout(250)
      answers.push(...await Promise.all([get(`/long${hook}`), get(`/long${hook}`)]))
    }
    assert.deepStrictEqual(failed(answers), [])
    assert.isAbove(answers.length, 20)
    // With the hook a token is renewed in the background, at half of its lifetime, and only the first caller waits.
    if (hook === "?hook") {
      assert.isAtLeast(requests.length, 5)
      const waited = answers.slice(1).filter(({ took }) => took > 150)
      assert.isAtMost(waited.length, 2)
    }
    await setTimeout(lost + 100)
    assert.strictEqual(JSON.parse((await get("/stats")).body).flights, 0)
  })

  it("serves those who come after a caller that left", async () => {
    const { get, requests } = start()
    await get(`/left${hook}&leave`)
    const answers = await Promise.all([get(`/left${hook}`), get(`/left${hook}`), get(`/left${hook}`)])
    assert.deepStrictEqual(failed(answers), [])
    // Without the hook the first request is lost, and its flight is given up.
    assert.strictEqual(requests.length, hook === "?hook" ? 1 : 2)
    assert.isBelow(Math.max(...answers.map(({ took }) => took)), hook === "?hook" ? 1000 : lost + 1000)
    assert.strictEqual(JSON.parse((await get("/stats")).body).flights, 0)
  })
})
