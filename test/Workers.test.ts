/** Cloudflare's runtime: the timers and connections of a request end with it, and the client belongs to no request. */
import { assert, describe, it } from "@effect/vitest"
import { build } from "esbuild"
import { Miniflare, Response } from "miniflare"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { afterAll, beforeAll } from "vitest"

// Twelve times as fast as the clock: a budget of 30 seconds, and 40 seconds until a lost flight is given up.
const speed = 12
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

const document = { issuer: "https://idp.example", token_endpoint: "https://login.example/token" }

/** A Worker over services that take 50 ms, with tokens of a minute: five seconds here. */
const started = async (contents: string) => {
  const requests: Array<string> = []
  const gates = new Map(
    ["idp.example", "vault.example", "login.example"].map((host) => [host, Promise.withResolvers<void>()])
  )
  const worker = new Miniflare({
    modules: [{ type: "ESModule", path: "worker.js", contents }],
    compatibilityDate: "2026-01-01",
    outboundService: async (request) => {
      const { host, pathname } = new URL(request.url)
      if (host === "gate.example") {
        await gates.get(pathname.slice(1))?.promise
        return new Response("open")
      }
      gates.get(host)?.resolve()
      if (host === "login.example") requests.push(await request.text())
      await setTimeout(50)
      if (host === "vault.example") return new Response("the secret's value")
      if (host === "idp.example") return Response.json(document)
      return Response.json({ access_token: `token-${requests.length}`, token_type: "Bearer", expires_in: 60 })
    }
  })
  const get = async (path: string) => {
    const begun = performance.now()
    const response = await worker.dispatchFetch(`http://worker${path}`)
    return { path, status: response.status, body: await response.text(), took: performance.now() - begun }
  }
  await get("/stats")
  return { worker, requests, get }
}

const failed = (answers: ReadonlyArray<{ readonly status: number }>) => answers.filter(({ status }) => status !== 200)

// Started one after another, because a start takes the time of the others.
const waiting: Array<Awaited<ReturnType<typeof started>>> = []
const open: Array<Miniflare> = []
beforeAll(async () => {
  const code = await bundled()
  for (let n = 0; n < 8; n++) {
    const one = await started(code)
    waiting.push(one)
    open.push(one.worker)
  }
}, 60_000)
afterAll(() => Promise.all(open.map((worker) => worker.dispose())))

const start = () => {
  const one = waiting.pop()
  if (one === undefined) throw new Error("start more Workers")
  return one
}

describe.concurrent.each([{ hook: "?hook" }, { hook: "?plain" }])("a client of the module, $hook", ({ hook }) => {
  it("serves three callers of a cold key with one request, each call of five minutes, and has no flight in the end", {
    timeout: 60_000
  }, async () => {
    const { get, requests } = start()
    const answers = await Promise.all(["/long", "/long", "/long"].map((path) => get(path + hook)))
    assert.deepStrictEqual(failed(answers), [])
    assert.strictEqual(requests.length, 1)
    const end = performance.now() + 300_000 / speed
    while (performance.now() < end) {
      await setTimeout(250)
      answers.push(...await Promise.all([get(`/long${hook}`), get(`/long${hook}`)]))
    }
    assert.deepStrictEqual(failed(answers), [])
    assert.isAbove(answers.length, 20)
    // With the hook a token is renewed in the background, at half of its lifetime, and only the first callers wait.
    if (hook === "?hook") {
      assert.isAtLeast(requests.length, 5)
      const sources = answers.slice(3).map(({ body }) => JSON.parse(body).source)
      assert.deepStrictEqual([...new Set(sources)], ["Cache"])
    }
    await setTimeout(lost + 100)
    assert.strictEqual(JSON.parse((await get("/stats")).body).flights, 0)
  })

  it.each([
    { during: "discovery", host: "idp.example" },
    { during: "the load of the credential", host: "vault.example" },
    { during: "the token request", host: "login.example" }
  ])("serves those who come after a caller that left during $during", async ({ host }) => {
    const { get, requests } = start()
    await get(`/left${hook}&leave=${host}`)
    const answers = await Promise.all([get(`/left${hook}`), get(`/left${hook}`), get(`/left${hook}`)])
    assert.deepStrictEqual(failed(answers), [])
    // Without the hook the work of the first request is lost, and given up.
    assert.strictEqual(requests.length, hook === "?plain" && host === "login.example" ? 2 : 1)
    assert.isBelow(Math.max(...answers.map(({ took }) => took)), hook === "?hook" ? 2000 : lost + 2000)
    assert.strictEqual(JSON.parse((await get("/stats")).body).flights, 0)
  })
})
