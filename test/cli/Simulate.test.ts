import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Schema, Scope } from "effect"
import { EntraSimulator } from "effect-entra/testing"
import { execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { request } from "node:http"
import { type AddressInfo, connect, createServer as createRawServer } from "node:net"
import { dirname, join } from "node:path"
import { connect as connectTls } from "node:tls"
import { runChild } from "../support/child.ts"
import { ensureOpenssl } from "../support/openssl.ts"
import { serve } from "../support/server.ts"
import { until } from "../support/until.ts"
import { runCommand, simulate, simulateIn, temporaryFolder } from "./command.ts"

const root = join(import.meta.dirname, "../..")
const resolved = (name: string) => JSON.stringify(import.meta.resolve(name))
const form = (fields: Readonly<Record<string, string>> = {}) =>
  new URLSearchParams({
    grant_type: "client_credentials",
    client_id: EntraSimulator.daemonClientId,
    client_secret: "simulated~secret.of-the_daemon",
    scope: "https://graph.microsoft.com/.default",
    ...fields
  })
const token = (origin: string, fields?: Readonly<Record<string, string>>, tenant = "contoso.onmicrosoft.com") =>
  Effect.promise(() => fetch(`${origin}/${tenant}/oauth2/v2.0/token`, { method: "POST", body: form(fields) }))

const Message = Schema.fromJsonString(Schema.Struct({
  rows: Schema.Array(Schema.Struct({ client: Schema.String, answer: Schema.String, fault: Schema.Boolean })),
  requests: Schema.Int,
  tokens: Schema.Array(Schema.Struct({ tenant: Schema.String, count: Schema.Int })),
  throttled: Schema.Array(Schema.Struct({ key: Schema.String, until: Schema.Finite })),
  faults: Schema.Array(Schema.Struct({ id: Schema.Int, text: Schema.String }))
}))

/** The first message to a page that is opened now. */
const firstMessage = (origin: string) =>
  Effect.promise(async () => {
    const response = await fetch(`${origin}/_simulator/events`)
    assert.include(response.headers.get("content-type"), "text/event-stream")
    const reader = response.body?.getReader()
    let text = ""
    while (!text.includes("\n\n")) text += Buffer.from((await reader?.read())?.value ?? []).toString()
    await reader?.cancel()
    return Schema.decodeSync(Message)(text.split("\n\n")[0]?.replace("data: ", "") ?? "")
  })

const faults = (origin: string, init: RequestInit = {}, path = "") =>
  Effect.promise(() => fetch(`${origin}/_simulator/faults${path}`, init))
const switchOn = (origin: string, fault: object) =>
  faults(origin, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(fault) })

describe("simulate", () => {
  it.live("runs README's first program as it is, with the printed environment and nothing else", () =>
    Effect.gen(function*() {
      const { environment, origin } = yield* simulate()
      const { status, stderr, stdout } = yield* runChild(
        ["--conditions=@effect-entra/source", join(root, "examples/first-program.ts")],
        environment
      )
      assert.deepStrictEqual([status, stderr], [0, ""])
      assert.include(stdout, "displayName: 'Ada Abe'")
      const { rows, tokens } = yield* firstMessage(origin)
      assert.deepStrictEqual(tokens.map(({ count }) => count), [1])
      assert.include(tokens[0]?.tenant, "Contoso")
      assert.isTrue(rows.some(({ answer }) => answer === "token for 3599 s"))
    }).pipe(Effect.scoped))

  it.live("runs it with a certificate, a tenant and an app of the flags", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const clientId = "11111111-1111-4111-8111-111111111111"
      yield* runCommand(["cert", "new", "-o", join(folder, "app")])
      const { environment, output } = yield* simulate(
        "--certificate",
        join(folder, "app.pem"),
        "--tenant",
        "woodgrove.com",
        "--client-id",
        clientId
      )
      assert.strictEqual(environment["AZURE_CLIENT_ID"], clientId)
      assert.notProperty(environment, "AZURE_CLIENT_SECRET")
      assert.notInclude(output, "PRIVATE KEY")
      const program = join(folder, "program.mts")
      writeFileSync(
        program,
        `
          import { layer } from ${resolved("@effect/platform-node/NodeServices")}
          import { Console, Effect, Layer } from ${resolved("effect")}
          import { ConfidentialClient } from ${resolved("effect-entra")}
          import { layerFromEnv } from ${resolved("effect-entra/node")}
          import { FetchHttpClient } from ${resolved("effect/http")}
          const Entra = layerFromEnv().pipe(Layer.provide([FetchHttpClient.layer, layer]))
          const token = ConfidentialClient.acquireToken({ scopes: "https://graph.microsoft.com/.default" })
          await Effect.runPromise(Effect.provide(Effect.flatMap(token, ({ tenantId }) => Console.log(tenantId)), Entra))
        `
      )
      const { status, stderr, stdout } = yield* runChild(["--conditions=@effect-entra/source", program], environment)
      assert.deepStrictEqual([status, stderr], [0, ""])
      assert.strictEqual(stdout.trim(), environment["AZURE_TENANT_ID"])
    }).pipe(Effect.scoped))

  it.live("serves the tenants and apps of a file", () =>
    Effect.gen(function*() {
      const file = join(yield* temporaryFolder, "world.json")
      const clientId = "11111111-1111-4111-8111-111111111111"
      writeFileSync(
        file,
        JSON.stringify({
          tenants: [{ id: "22222222-2222-4222-8222-222222222222", domain: "woodgrove.com" }],
          apps: [{ clientId, secrets: ["a secret"], roles: { "https://graph.microsoft.com": ["User.Read.All"] } }],
          tokenLifetime: "5 minutes"
        })
      )
      const { environment, origin } = yield* simulate("--world", file)
      assert.strictEqual(environment["AZURE_CLIENT_SECRET"], "a secret")
      const response = yield* token(origin, { client_id: clientId, client_secret: "a secret" }, "woodgrove.com")
      assert.include(yield* Effect.promise(() => response.text()), "\"expires_in\":300")
      assert.strictEqual((yield* token(origin, {}, "contoso.onmicrosoft.com")).status, 400)
    }).pipe(Effect.scoped))

  it.live("serves http only, without a certificate", () =>
    Effect.gen(function*() {
      const { environment, origin } = yield* simulate("--http-only")
      assert.strictEqual(environment["AZURE_AUTHORITY_HOST"], origin)
      assert.notProperty(environment, "NODE_EXTRA_CA_CERTS")
      assert.strictEqual((yield* token(origin)).status, 200)
    }).pipe(Effect.scoped))

  it.live("prints what a shell reads, with colours too", () =>
    Effect.gen(function*() {
      const { output } = yield* simulateIn({ FORCE_COLOR: "1" }, "--http-only")
      assert.include(output, "\u001b[")
      assert.deepStrictEqual(output.split("\n").filter((line) => !/^(?:#|export )/.test(line)), [])
    }).pipe(Effect.scoped))

  it.live.each([["readable", ["company", ""]], ["absent", [""]]] as const)(
    "keeps the authorities of a NODE_EXTRA_CA_CERTS that is %s",
    ([state, expected]) =>
      Effect.gen(function*() {
        const file = join(yield* temporaryFolder, "company.pem")
        if (state === "readable") writeFileSync(file, "company")
        const { environment } = yield* simulateIn({ NODE_EXTRA_CA_CERTS: file })
        const printed = readFileSync(environment["NODE_EXTRA_CA_CERTS"] ?? "", "utf8")
        const [own] = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n/.exec(printed) ?? []
        assert.deepStrictEqual(printed.replace(own ?? "", "").split("\n"), [...expected])
      }).pipe(Effect.scoped)
  )

  it.live("refuses a fault for an unknown tenant, and an unknown id", () =>
    Effect.gen(function*() {
      const { origin } = yield* simulate("--http-only")
      const answered = (request: Effect.Effect<Response>) =>
        Effect.flatMap(request, (response) =>
          Effect.promise(async () => ({ status: response.status, body: await response.text() })))
      const refused = yield* answered(switchOn(origin, { kind: "dropped", tenant: "nobody.com" }))
      assert.strictEqual(refused.status, 400)
      assert.match(refused.body, /^tenant: The world has no such tenant\. It has contoso\.onmicrosoft\.com, /)
      for (const tenant of ["CONTOSO.onmicrosoft.com", EntraSimulator.fabrikamTenantId, "common"]) {
        assert.strictEqual((yield* switchOn(origin, { kind: "dropped", tenant })).status, 200)
      }
      for (const id of ["99", "0", "x", "1.0", "%20"]) {
        assert.strictEqual((yield* faults(origin, { method: "DELETE" }, `/${id}`)).status, 404)
      }
      assert.strictEqual((yield* faults(origin, { method: "DELETE" }, "/1")).status, 200)
      const again = yield* answered(faults(origin, { method: "DELETE" }, "/1"))
      assert.strictEqual(again.status, 404)
      assert.include(again.body, "no fault with this id")
    }).pipe(Effect.scoped))

  it.live("says what its environment lacks, and how to remove it from a shell", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const file = join(folder, "env")
      yield* runCommand(["cert", "new", "-o", join(folder, "app")])
      const { output } = yield* simulate("--certificate", join(folder, "app.cer"), "--http-only", "--save-env", file)
      for (const text of [output, readFileSync(file, "utf8")]) {
        assert.match(text, /^# It has no credential/m)
        assert.match(text, /^# effect-entra refuses http for AZURE_AUTHORITY_HOST/m)
      }
      assert.match(output, /^# unset AZURE_CLIENT_ID AZURE_TENANT_ID AZURE_AUTHORITY_HOST$/m)
      const { output: usual } = yield* simulate()
      assert.notMatch(usual, /# It has no|refuses http/)
      assert.match(usual, /^# unset .* HTTPS_PROXY/m)
    }).pipe(Effect.scoped))

  it.live("prints the environment for PowerShell too", () =>
    Effect.gen(function*() {
      const { output } = yield* simulate("--shell", "powershell")
      assert.match(output, /^# Remove-Item Env:AZURE_CLIENT_ID, /m)
      assert.include(output, `$env:AZURE_CLIENT_ID = '${EntraSimulator.daemonClientId}'`)
    }).pipe(Effect.scoped))

  it.live("writes the environment to a file, and keeps a file that it did not write", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const file = join(folder, "simulator.env")
      // A file of a simulator that was killed is replaced.
      for (let run = 0; run < 2; run++) {
        const { environment } = yield* Effect.scoped(Effect.tap(simulate("--save-env", file), () =>
          Effect.sync(() => {
            assert.strictEqual(statSync(file).mode & 0o777, 0o600)
            assert.include(readFileSync(file, "utf8"), "export AZURE_CLIENT_SECRET='simulated~secret.of-the_daemon'\n")
          })))
        assert.isFalse(existsSync(file))
        assert.isFalse(existsSync(dirname(environment["NODE_EXTRA_CA_CERTS"] ?? "")))
        writeFileSync(file, "# Written by effect-entra simulate, which removes it when it stops.\n")
      }
      // Two simulators with one file: it is that of the later one.
      const later = yield* Scope.make()
      const { port } = yield* Effect.scoped(Effect.andThen(
        simulate("--save-env", file),
        Effect.provideService(simulate("--save-env", file), Scope.Scope, later)
      ))
      assert.include(readFileSync(file, "utf8"), String(port))
      yield* Scope.close(later, Exit.void)
      assert.isFalse(existsSync(file))
      writeFileSync(file, "mine")
      const { code, errors } = yield* runCommand(["simulate", "--port", "0", "--save-env", file])
      assert.strictEqual(code, 1)
      assert.include(errors, "was not written by this command")
      assert.strictEqual(readFileSync(file, "utf8"), "mine")
    }))

  it.live("says that a port is in use", () =>
    Effect.gen(function*() {
      const { port } = yield* simulate()
      const { code, errors } = yield* runCommand(["simulate", "--port", String(port)])
      assert.strictEqual(code, 1)
      assert.include(errors, `Port ${port} of 127.0.0.1 is in use.`)
      assert.include(errors, "--port 0")
    }).pipe(Effect.scoped))

  const refused: ReadonlyArray<readonly [args: ReadonlyArray<string>, message: RegExp]> = [
    [["--port", "65536"], /--port\. Expected a value between 0 and 65535$/m],
    [["--port", "-1"], /--port/],
    [["--port", "many"], /--port/],
    [["--world", "/nowhere.json"], /The world \/nowhere\.json cannot be read: .*does not exist/],
    [["--world", join(root, "package.json")], /name: There is no such property/],
    [["--certificate", join(root, "package.json")], /package\.json has no certificate[^]*From a \.pfx file/],
    [["--tenant", "not a tenant"], /--tenant/],
    [["--client-id", "app"], /--client-id\. Expected a GUID/],
    [["--shell", "cmd"], /--shell/],
    [["--client-secret", ""], /--client-secret.*empty/],
    [["--client-secret="], /--client-secret.*empty/],
    [["--port", "0", "--save-env", "/nowhere/env"], /\/nowhere\/env cannot be written/],
    [["--port", "0", "--save-env", root], /cannot be written: it is a directory\./],
    [["--world", root], /The world .* cannot be read: it is a directory\./],
    [["--world", join(root, "package.json/w")], /The world .* cannot be read: a part of its path is not a directory\./],
    [["--certificate", root], /The certificate .* cannot be read: it is a directory\./],
    [["--certificate=-----BEGIN PRIVATE KEY-----\nMII"], /The certificate cannot be read: /],
    [["--certificate", "M".repeat(261)], /The certificate cannot be read: /]
  ]
  it.live.each(refused)("refuses %j", ([args, message]) =>
    Effect.gen(function*() {
      const { code, errors } = yield* runCommand(["simulate", ...args])
      assert.strictEqual(code, 1)
      assert.match(errors, message)
      assert.notMatch(errors, /\n +at /)
    }))

  it.live("refuses a certificate whose key no client can use, as doctor does", () =>
    Effect.gen(function*() {
      ensureOpenssl()
      const file = join(yield* temporaryFolder, "ed25519.pem")
      const request = "req -x509 -newkey ed25519 -nodes -subj /CN=a -days 1"
      execFileSync("openssl", [...request.split(" "), "-keyout", file, "-out", `${file}.cer`], { stdio: "ignore" })
      writeFileSync(file, readFileSync(`${file}.cer`), { flag: "a" })
      const { code, errors } = yield* runCommand(["simulate", "--port", "0", "--certificate", file])
      assert.strictEqual(code, 1)
      assert.include(
        errors,
        `${file} has a key that is neither RSA nor EC on the curve P-256.\nUse an RSA key of 2048 bits`
      )
    }).pipe(Effect.scoped))

  it.live.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)(
    "ends at %s, with its files removed, while a page and a delayed request are open",
    (signal) =>
      Effect.gen(function*() {
        const folder = yield* temporaryFolder
        const file = join(folder, "env")
        const child = spawn(
          process.execPath,
          ["--conditions=@effect-entra/source", "src/cli/bin.ts", "simulate", "--port", "0", "--save-env", file],
          { cwd: root, env: { PATH: process.env["PATH"], TMPDIR: folder }, stdio: ["ignore", "pipe", "pipe"] }
        )
        yield* Effect.addFinalizer(() => Effect.sync(() => child.kill("SIGKILL")))
        const origin = yield* until(
          "the simulator serves",
          // The file exists before it has its lines.
          Effect.sync(() =>
            existsSync(file) ? /^export HTTPS_PROXY='(.*)'$/m.exec(readFileSync(file, "utf8"))?.[1] : undefined
          )
        )
        yield* firstMessage(origin)
        yield* switchOn(origin, { kind: "delay", milliseconds: 3_600_000 })
        const pending = fetch(`${origin}/a/oauth2/v2.0/token`, { method: "POST" }).then(({ status }) => status, () =>
          "closed")
        const events = fetch(`${origin}/_simulator/events`).then((response) =>
          response.text()
        ).then(() => "", () =>
          "closed")
        yield* until(
          "the request is delayed",
          Effect.map(firstMessage(origin), ({ faults }) =>
            faults.length === 1 ? true : undefined)
        )
        const exit = once(child, "exit")
        child.kill(signal)
        const [code] = yield* Effect.promise(() => exit)
        assert.strictEqual(code, 130)
        assert.include(["closed", 503], yield* Effect.promise(() => pending))
        yield* Effect.promise(() => events)
        assert.deepStrictEqual(readdirSync(folder), [])
      }).pipe(Effect.scoped),
    30_000
  )
})

describe("a tunnel", () => {
  it.live("to another host ends without a byte that is not that host's", () =>
    Effect.gen(function*() {
      const { port } = yield* simulate()
      const broken = createRawServer((socket) => {
        socket.on("error", () => {})
        socket.once("data", () => socket.write("half", () => setImmediate(() => socket.resetAndDestroy())))
      })
      const target = yield* Effect.acquireRelease(
        Effect.promise(async () => {
          await once(broken.listen(0, "127.0.0.1"), "listening")
          const address: AddressInfo | string | null = broken.address()
          return typeof address === "object" ? address?.port : undefined
        }),
        () => Effect.sync(() => broken.close())
      )
      const text = yield* Effect.promise(() =>
        new Promise<string>((resolve) => {
          const socket = connect(port, "127.0.0.1", () => socket.write(`CONNECT 127.0.0.1:${target} HTTP/1.1\r\n\r\n`))
          let text = ""
          socket.on("data", (data) => {
            text += data.toString("latin1")
            if (text.endsWith("\r\n\r\n")) socket.write("x")
          })
          socket.on("error", () => {})
          socket.on("close", () => resolve(text))
        })
      )
      assert.match(text, /^HTTP\/1\.1 200 [^\r]*\r\n\r\n(?:half)?$/)
    }).pipe(Effect.scoped))
})

describe("the port", () => {
  it.live("stands in for Microsoft's hosts, and passes other hosts on", () =>
    Effect.gen(function*() {
      const { port } = yield* simulate()
      const elsewhere = yield* serve((_request, response) => void response.end("elsewhere"))
      const tunnel = (target: string) =>
        Effect.promise(() =>
          new Promise<string>((resolve, reject) => {
            const socket = connect(port, "127.0.0.1", () =>
              socket.write(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`))
            let text = ""
            socket.on("data", (data) => {
              text += data.toString("latin1")
              if (!text.endsWith("\r\n\r\n")) {
                return
              }
              if (target.startsWith("127")) {
                socket.write("GET / HTTP/1.0\r\n\r\n")
              } else resolve(text)
            })
            socket.on("end", () =>
              resolve(text))
            socket.on("error", reject)
          })
        )
      assert.match(yield* tunnel("graph.microsoft.com:443"), /^HTTP\/1\.1 200 /)
      assert.match(yield* tunnel("LOGIN.microsoftonline.com:443"), /^HTTP\/1\.1 200 /)
      assert.match(yield* tunnel(`127.0.0.1:${elsewhere}`), /^HTTP\/1\.1 200 [^]*elsewhere$/)
      assert.match(yield* tunnel("nowhere.invalid:443"), /^HTTP\/1\.1 502 /)
      for (const target of ["a", "a:", ":1", "a:99999", "a b:1", "a:1/"]) {
        assert.match(yield* tunnel(target), /^HTTP\/1\.1 400 /, target)
      }
      assert.strictEqual((yield* token(`http://localhost:${port}`)).status, 200)
    }).pipe(Effect.scoped))

  it.live("stands in for the hosts of the world too, with a certificate for them", () =>
    Effect.gen(function*() {
      const file = join(yield* temporaryFolder, "world.json")
      const id = "22222222-2222-4222-8222-222222222222"
      writeFileSync(
        file,
        JSON.stringify({ tenants: [{ id, hosts: ["Woodgrove.ciamlogin.com"] }], aliases: ["login.example:8443"] })
      )
      const { environment, port } = yield* simulate("--world", file)
      const ca = readFileSync(environment["NODE_EXTRA_CA_CERTS"] ?? "", "utf8")
      for (const host of ["woodgrove.ciamlogin.com", "login.example", "graph.microsoft.com", "localhost"]) {
        yield* Effect.promise(() =>
          new Promise<void>((resolve, reject) => {
            const socket = connectTls({ port, host: "127.0.0.1", servername: host, ca }, () => {
              socket.destroy()
              resolve()
            }).on("error", reject)
          })
        )
      }
      const status = yield* Effect.promise(() =>
        new Promise<number | undefined>((resolve, reject) => {
          request({ port, host: "127.0.0.1", method: "CONNECT", path: "woodgrove.ciamlogin.com:443" })
            .on("connect", ({ statusCode }, socket) => {
              socket.destroy()
              resolve(statusCode)
            })
            .on("error", reject)
            .end()
        })
      )
      assert.strictEqual(status, 200)
    }).pipe(Effect.scoped))

  it.live("survives bytes that are neither http nor TLS", () =>
    Effect.gen(function*() {
      const { origin, port } = yield* simulate()
      for (const bytes of ["\u0016\u0003\u0001garbage", "\u0000\u0001", "GET", "", "\r\n\r\n"]) {
        yield* Effect.promise(() =>
          new Promise<void>((resolve) => {
            const socket = connect(port, "127.0.0.1", () => socket.end(bytes, "latin1"))
            socket.on("close", () => resolve())
            socket.on("error", () => resolve())
            socket.resume()
          })
        )
      }
      assert.strictEqual((yield* token(origin)).status, 200)
    }).pipe(Effect.scoped))
})

describe("the controls", () => {
  it.live("switch faults on and off", () =>
    Effect.gen(function*() {
      const { origin } = yield* simulate()
      const listed = Effect.flatMap(faults(origin), (response) => Effect.promise(() => response.json()))
      const added = yield* switchOn(origin, { kind: "throttled", retryAfter: 30 })
      assert.deepStrictEqual(yield* Effect.promise(() => added.json()), [
        {
          id: 1,
          text: "429 AADSTS90055 temporarily_unavailable with Retry-After of 30s, at token, until it is switched off"
        }
      ])
      yield* switchOn(origin, { kind: "dropped", endpoint: "graph" })
      const response = yield* token(origin)
      assert.deepStrictEqual([response.status, response.headers.get("retry-after")], [429, "30"])
      const dropped = yield* Effect.promise(() => fetch(`${origin}/v1.0/users`).then(() => "", () => "dropped"))
      assert.strictEqual(dropped, "dropped")
      const message = yield* until(
        "both requests are rows",
        Effect.map(firstMessage(origin), (message) => message.rows.length === 2 ? message : undefined)
      )
      assert.deepStrictEqual(message.rows.map(({ answer, fault }) => [answer, fault]), [
        ["429 AADSTS90055 temporarily_unavailable, Retry-After: 30", true],
        ["connection closed", true]
      ])
      assert.include(message.throttled[0]?.key, EntraSimulator.daemonClientId)
      yield* faults(origin, { method: "DELETE" }, "/1")
      assert.deepStrictEqual(yield* listed, [{
        id: 2,
        text: "a dropped connection, at graph, until it is switched off"
      }])
      assert.strictEqual((yield* token(origin)).status, 200)
      for (const id of ["1", "99", "NaN", "-1", "%20"]) {
        assert.strictEqual((yield* faults(origin, { method: "DELETE" }, `/${id}`)).status, 404)
      }
      yield* faults(origin, { method: "DELETE" })
      assert.deepStrictEqual(yield* listed, [])
    }).pipe(Effect.scoped))

  it.live("refuse invalid faults, and media types that a form can send", () =>
    Effect.gen(function*() {
      const { origin } = yield* simulate()
      const post = (contentType: string, body: string) =>
        faults(origin, { method: "POST", headers: { "content-type": contentType }, body })
      const refused = yield* post("application/json", "{\"kind\":\"refused\"}")
      assert.strictEqual(refused.status, 400)
      assert.strictEqual(yield* Effect.promise(() => refused.text()), "code: Missing key.\nerror: Missing key.\n")
      for (const type of ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""]) {
        assert.strictEqual((yield* post(type, "{\"kind\":\"dropped\"}")).status, 415, type)
      }
      assert.strictEqual(
        (yield* post("Application/JSON; charset=utf-8", "{\"kind\":\"echo\",\"times\":1}")).status,
        200
      )
      assert.strictEqual((yield* post("application/json", "x".repeat(12 * 1024 * 1024))).status, 400)
    }).pipe(Effect.scoped))

  it.live("are closed to other origins and rebound names, and show nothing to them", () =>
    Effect.gen(function*() {
      const { port } = yield* simulate()
      // `fetch` cannot set these headers.
      const send = (method: string, path: string, headers: Record<string, string>) =>
        Effect.promise(() =>
          new Promise<{ status: number | undefined; body: string; cors: string | undefined }>((resolve, reject) => {
            request({
              port,
              host: "127.0.0.1",
              method,
              path,
              headers: { "content-type": "application/json", ...headers }
            }, (response) => {
              let body = ""
              response.on("data", (data) => body += String(data)).on("end", () =>
                resolve({ status: response.statusCode, body, cors: response.headers["access-control-allow-origin"] }))
            }).on("error", reject).end(method === "POST" ? "{\"kind\":\"dropped\"}" : undefined)
          })
        )
      const paths = [
        ["GET", "/_simulator/events"],
        ["GET", "/_simulator/environment"],
        ["GET", "/_simulator/faults"],
        ["POST", "/_simulator/faults"],
        ["DELETE", "/_simulator/faults"],
        ["DELETE", "/_simulator/faults/1"]
      ] as const
      const own = `localhost:${port}`
      for (
        const headers of [
          { host: own, origin: "https://evil.example" },
          { host: own, "sec-fetch-site": "cross-site" },
          { host: own, origin: "null" },
          { host: `evil.example:${port}`, origin: `http://evil.example:${port}` },
          { host: "graph.microsoft.com" }
        ]
      ) {
        for (const [method, path] of paths) {
          const { body, cors, status } = yield* send(method, path, headers)
          assert.deepStrictEqual([status, cors], [403, undefined], `${method} ${path}`)
          assert.notInclude(body, "simulated~secret")
        }
      }
      assert.strictEqual((yield* send("GET", "/", { host: "evil.example" })).status, 403)
      // A link of another site leads to the page, which has no data.
      const linked = yield* send("GET", "/", { host: own, "sec-fetch-site": "cross-site" })
      assert.strictEqual(linked.status, 200)
      assert.notInclude(linked.body, EntraSimulator.daemonClientId)
      assert.strictEqual((yield* send("GET", "/_simulator/faults", { host: own })).body, "[]\n")
    }).pipe(Effect.scoped))

  it.live("have the environment for both shells", () =>
    Effect.gen(function*() {
      const { environment, origin } = yield* simulate()
      const get = (query: string) =>
        Effect.promise(() => fetch(`${origin}/_simulator/environment${query}`).then((response) => response.text()))
      assert.include(yield* get(""), `export NODE_EXTRA_CA_CERTS='${environment["NODE_EXTRA_CA_CERTS"]}'\n`)
      assert.include(yield* get("?shell=powershell"), "$env:AZURE_CLIENT_SECRET = '")
    }).pipe(Effect.scoped))

  it.live("send a busy simulator's rows in few messages, and keep the last 200", () =>
    Effect.gen(function*() {
      const { origin } = yield* simulate("--http-only")
      yield* Effect.forEach(Array.from({ length: 260 }), (_, index) => token(origin, { client_id: `app ${index}` }), {
        concurrency: 16,
        discard: true
      })
      const { requests, rows } = yield* firstMessage(origin)
      assert.deepStrictEqual([requests, rows.length], [260, 200])
    }).pipe(Effect.scoped))
})
