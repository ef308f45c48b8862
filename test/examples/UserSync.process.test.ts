/** `npm run user-sync` as a process: on the simulator, at Microsoft's addresses, and how it ends. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { SimulatorServer } from "effect-entra/node"
import { EntraSimulator, TestCertificate } from "effect-entra/testing"
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer, type IncomingMessage, request } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { temporaryFile } from "../support/child.ts"
import { freePort } from "../support/ports.ts"
import { proxyTo } from "../support/proxy.ts"
import { listening } from "../support/server.ts"
import { until } from "../support/until.ts"

const { contosoTenantId, daemonClientId } = EntraSimulator

/** Starts the app. The process is killed when the scope closes. */
const startProcess = (environment: Record<string, string>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(
        process.execPath,
        ["--conditions=@effect-entra/source", "examples/user-sync/main.ts"],
        {
          env: {
            PATH: process.env["PATH"],
            NO_COLOR: "1",
            USER_SYNC_PORT: "0",
            USER_SYNC_DATABASE: ":memory:",
            ...environment
          }
        }
      )
      let output = ""
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding("utf8").on("data", (text: string) => {
          output += text
        })
      }
      const ended = new Promise<number | null>((resolve) => child.once("close", resolve))
      return { child, ended, output: () => output }
    }),
    ({ child, ended }) =>
      Effect.promise(() => {
        child.kill("SIGKILL")
        return ended
      })
  ).pipe(Effect.map(({ child, ended, output }) => ({
    output,
    origin: until(
      "the app prints its address",
      Effect.suspend(() =>
        child.exitCode === null
          ? Effect.succeed(/http:\/\/localhost:\d+/.exec(output())?.[0])
          : Effect.die(new Error(output()))
      )
    ),
    /** Sends a signal, and waits for the exit status. */
    end: (signal: "SIGTERM" | "SIGINT" | undefined) =>
      Effect.promise(() => {
        if (signal !== undefined) child.kill(signal)
        return ended
      }).pipe(Effect.timeoutOrElse({
        duration: "15 seconds",
        orElse: () => Effect.die(new Error(`still running:\n${output()}`))
      }))
  })))

/** A browser without a window: one cookie, and the forms of the pages. */
const makeVisitor = (origin: string) => {
  let cookie = ""
  let csrf = ""
  const send = (path: string, fields?: Record<string, string>) =>
    Effect.promise(async () => {
      const response = await fetch(origin + path, {
        redirect: "manual",
        headers: { cookie },
        ...(fields === undefined ? {} : { method: "POST", body: new URLSearchParams({ csrf, ...fields }) })
      })
      cookie = response.headers.get("set-cookie")?.split(";")[0] ?? cookie
      const text = await response.text()
      csrf = /name="csrf" value="([^"]+)"/.exec(text)?.[1] ?? csrf
      return { status: response.status, location: response.headers.get("location") ?? "", text }
    })
  const shows = (expected: string) =>
    until(
      `the page shows ${expected}`,
      Effect.map(send("/"), ({ text }) => text.includes(expected) ? text : undefined)
    )
  return { get: (path: string) => send(path), post: (path: string, fields = {}) => send(path, fields), shows }
}

describe("npm run user-sync", () => {
  it.live("shows the simulator's tenants, and ends at Ctrl+C", () =>
    Effect.gen(function*() {
      const app = yield* startProcess({})
      const visitor = makeVisitor(yield* app.origin)
      yield* visitor.get("/sign-in")
      yield* visitor.post("/sign-in", { account: "5" })
      const shown = yield* visitor.shows("Waiting, as the service asked")
      for (const text of ["Contoso", "Adventure Works", "Tailspin Toys", "Token cache"]) assert.include(shown, text)
      assert.strictEqual(yield* app.end("SIGINT"), 0)
      assert.include(app.output(), "User sync has stopped.")
    }), 30_000)

  const Microsoft = SimulatorServer.layerHttps({ hosts: ["login.microsoftonline.com", "graph.microsoft.com"] })

  it.live(
    "at Microsoft's addresses, with a certificate: connects, ends, and goes on from the last link",
    () =>
      Effect.gen(function*() {
        const simulator = yield* EntraSimulator.EntraSimulator
        const { certificate: authority = "", origin } = yield* SimulatorServer.SimulatorServer
        const { certificate, privateKey } = yield* TestCertificate.make()
        yield* simulator.addCertificate(daemonClientId, certificate)
        const proxy = yield* proxyTo(Number(new URL(origin).port))
        const folder = yield* Effect.acquireRelease(
          Effect.sync(() => mkdtempSync(join(tmpdir(), "effect-entra-user-sync-"))),
          (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
        )
        const environment = {
          AZURE_CLIENT_ID: daemonClientId,
          AZURE_TENANT_ID: contosoTenantId,
          AZURE_CLIENT_CERTIFICATE_PATH: yield* temporaryFile(certificate + Redacted.value(privateKey)),
          USER_SYNC_DATABASE: join(folder, "users.db"),
          HTTPS_PROXY: proxy.url,
          NODE_EXTRA_CA_CERTS: yield* temporaryFile(authority),
          NODE_USE_ENV_PROXY: "1"
        }
        const app = yield* startProcess(environment)
        const visitor = makeVisitor(yield* app.origin)
        yield* visitor.get("/sign-in")
        yield* visitor.post("/sign-in", { account: "0" })
        assert.include(yield* visitor.shows("Connect My organization"), "agree")
        const { location, status } = yield* visitor.post("/connect")
        assert.strictEqual(status, 303)
        const link = new URL(location)
        assert.strictEqual(
          link.origin + link.pathname,
          `https://login.microsoftonline.com/${contosoTenantId}/adminconsent`
        )
        assert.strictEqual(link.searchParams.get("redirect_uri"), `${yield* app.origin}/connected`)
        const state = link.searchParams.get("state") ?? ""
        const answer = new URLSearchParams({ admin_consent: "True", tenant: contosoTenantId, state })
        assert.strictEqual((yield* visitor.get(`/connected?${answer}`)).location, "/?done=connected")
        assert.include(yield* visitor.shows("Up to date"), "120 users, page 1 of 3")
        assert.strictEqual(yield* app.end("SIGTERM"), 0)
        assert.notInclude(app.output(), "eyJ")

        const before = (yield* simulator.counters).graphRequests
        const again = yield* startProcess(environment)
        const returned = makeVisitor(yield* again.origin)
        yield* returned.get("/sign-in")
        yield* returned.post("/sign-in", { account: "0" })
        yield* returned.shows("Up to date")
        assert.strictEqual((yield* returned.post("/sync")).location, "/?done=wanted")
        assert.include(yield* returned.shows("changes, 1 page, 0 changes"), "120 users, page 1 of 3")
        assert.strictEqual((yield* simulator.counters).graphRequests, before + 1)
        assert.deepStrictEqual([...new Set(proxy.asked)].sort(), [
          "graph.microsoft.com:443",
          "login.microsoftonline.com:443"
        ])
        assert.strictEqual(yield* again.end("SIGTERM"), 0)
      }).pipe(Effect.provide(Layer.fresh(Microsoft))),
    60_000
  )

  it.live.each<readonly [what: string, environment: Record<string, string>, message: string]>([
    ["a wrong setting", { USER_SYNC_PORT: "x" }, "User sync cannot start: USER_SYNC_PORT is \"x\". Set a number"],
    ["half of the credentials", { AZURE_CLIENT_ID: "x", AZURE_TENANT_ID: contosoTenantId }, "No credential is set"],
    ["a folder as its database", { USER_SYNC_DATABASE: tmpdir() }, "cannot be opened."],
    ["a port that is in use", {}, "Set USER_SYNC_PORT to a port that is free."]
  ])("does not start with %s, and says why", ([what, environment, message]) =>
    Effect.gen(function*() {
      const inUse = yield* listening(createServer())
      const app = yield* startProcess({
        ...environment,
        ...(what.startsWith("a port") ? { USER_SYNC_PORT: String(inUse) } : {})
      })
      assert.strictEqual(yield* app.end(undefined), 1)
      assert.include(app.output(), message)
      assert.notInclude(app.output(), "    at ")
    }))

  it.live("checks the forms, the host and the size of a request", () =>
    Effect.gen(function*() {
      const app = yield* startProcess({})
      const origin = yield* app.origin
      const visitor = makeVisitor(origin)
      const page = yield* visitor.get("/sign-in")
      const forged = yield* visitor.post("/sign-in", { account: "0", csrf: "forged" })
      assert.strictEqual(forged.status, 403)
      assert.include(forged.text, "The form is not valid any more")
      const statusOf = (path: string, options: RequestInit) =>
        Effect.promise(async () => (await fetch(origin + path, options)).status)
      const body = new URLSearchParams({ csrf: "a".repeat(20_000), account: "0" })
      assert.strictEqual(yield* statusOf("/sign-in", { method: "POST", body }), 413)
      assert.strictEqual(yield* statusOf("/sign-in", { method: "POST", body: "{}" }), 415)
      assert.strictEqual(yield* statusOf("/nowhere", {}), 404)
      assert.strictEqual(yield* statusOf("/?page=0", {}), 400)
      assert.strictEqual(yield* statusOf("/?page=1&page=2", {}), 400)
      for (const page of ["", "0x10", "1e1", "%201", "+1", "1.0"]) {
        assert.strictEqual(yield* statusOf(`/?page=${page}`, {}), 400, page)
      }
      assert.strictEqual((yield* visitor.post("/sign-in", { account: "" })).status, 400)
      // Without a session there is nothing to forge, and no other site can read a page.
      assert.strictEqual((yield* visitor.post("/disconnect")).location, "/sign-in")
      const headers = yield* Effect.promise(async () => (await fetch(`${origin}/sign-in`)).headers)
      assert.match(headers.get("set-cookie") ?? "", /^session=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax$/)
      assert.match(headers.get("content-security-policy") ?? "", /^default-src 'none'; style-src 'self'; /)
      assert.notMatch(page.text, /<script|\son\w+=|style="/)
    }))

  it.live("tells of a sync or of a disconnection only as long as it is true", () =>
    Effect.gen(function*() {
      const app = yield* startProcess({})
      const visitor = makeVisitor(yield* app.origin)
      yield* visitor.get("/sign-in")
      yield* visitor.post("/sign-in", { account: "0" })
      yield* visitor.get("/")
      const { text } = yield* visitor.get((yield* visitor.post("/disconnect")).location)
      assert.include(text, "Your organization is disconnected.")
      // The page of another tab still has this button.
      const { text: wanted } = yield* visitor.get((yield* visitor.post("/sync")).location)
      assert.include(wanted, "An administrator of your organization has to agree.")
      assert.notInclude(wanted, "The users are being read again.")
      assert.notInclude((yield* visitor.get("/?done=connected")).text, "Your organization is connected.")
    }))

  it.live("behind a proxy with TLS: the cookie is for https only", () =>
    Effect.gen(function*() {
      const port = yield* freePort
      yield* startProcess({ USER_SYNC_URL: "https://users.contoso.com", USER_SYNC_PORT: String(port) })
      const send = (host: string) =>
        Effect.callback<IncomingMessage, Error>((resume) => {
          const sent = request({ port, host: "127.0.0.1", path: "/sign-in", headers: { host } }, (response) => {
            response.resume()
            resume(Effect.succeed(response))
          })
          sent.once("error", (error) => resume(Effect.fail(error)))
          sent.end()
        }).pipe(Effect.timeout("2 seconds"))
      const { headers, statusCode } = yield* until("the app answers", send("users.contoso.com"))
      assert.strictEqual(statusCode, 200)
      assert.match(
        headers["set-cookie"]?.[0] ?? "",
        /^__Host-session=[\w-]{43}; Path=\/; HttpOnly; Secure; SameSite=Lax$/
      )
      assert.isString(headers["strict-transport-security"])
      assert.strictEqual((yield* send(`localhost:${port}`)).statusCode, 421)
    }))
})
