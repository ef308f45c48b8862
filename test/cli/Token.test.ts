/** `token` prints a token where it was asked to, and nowhere else. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { SimulatorServer } from "effect-entra/node"
import { EntraSimulator } from "effect-entra/testing"
import { runChild, temporaryFile } from "../support/child.ts"
import { runCommand } from "./command.ts"
import { place, secret, trusting } from "./doctorWorld.ts"

const graph = "https://graph.microsoft.com/.default"
const jwt = /^eyJ[\w-]+\.[\w-]+\.[\w-]+$/

const command = Effect.fnUntraced(function*(
  args: ReadonlyArray<string>,
  { env = {}, terminal = true }: {
    readonly env?: Readonly<Record<string, string>>
    readonly terminal?: boolean
  } = {}
) {
  const { origin } = yield* SimulatorServer.SimulatorServer
  const { code, errors, output } = yield* runCommand(["token", ...args], {
    AZURE_AUTHORITY_HOST: origin,
    AZURE_TENANT_ID: EntraSimulator.contosoTenantId,
    AZURE_CLIENT_ID: EntraSimulator.daemonClientId,
    AZURE_CLIENT_SECRET: secret,
    ...env
  }, terminal)
  return { exitCode: code, stdout: output, stderr: errors }
})

const inWorld = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    yield* trusting((yield* SimulatorServer.SimulatorServer).certificate ?? "")
    return yield* effect
  }).pipe(Effect.scoped, Effect.provide(SimulatorServer.layerHttps()))

const Claims = Schema.fromJsonString(Schema.Struct({ aud: Schema.String, roles: Schema.Array(Schema.String) }))

const Output = Schema.fromJsonString(Schema.Struct({
  accessToken: Schema.String,
  tokenType: Schema.Literal("Bearer"),
  expiresOn: Schema.DateTimeUtcFromString,
  refreshOn: Schema.DateTimeUtcFromString,
  scopes: Schema.Array(Schema.String),
  tenantId: Schema.String,
  authority: Schema.String,
  correlationId: Schema.String
}))

describe("the output", () => {
  it.live("is the token alone on a terminal", () =>
    inWorld(Effect.gen(function*() {
      const { exitCode, stderr, stdout } = yield* command(["--scope", graph])
      assert.strictEqual(exitCode, 0, stderr)
      assert.match(stdout, jwt)
      assert.strictEqual(stderr, "")
    })))

  it.live("is a header for curl", () =>
    inWorld(Effect.gen(function*() {
      const { stdout } = yield* command(["-s", graph, "-o", "header"])
      assert.match(stdout, /^Authorization: Bearer eyJ[\w-]+\.[\w-]+\.[\w-]+$/)
    })))

  it.live("is the claims without the token, also in a pipe", () =>
    inWorld(Effect.gen(function*() {
      const { exitCode, stdout } = yield* command(["-s", graph, "-o", "claims"], { terminal: false })
      assert.strictEqual(exitCode, 0)
      const { aud, roles } = yield* Schema.decodeEffect(Claims)(stdout)
      assert.strictEqual(aud, "https://graph.microsoft.com")
      assert.deepStrictEqual(roles, ["Organization.Read.All", "User.Read.All"])
      assert.notMatch(stdout, /eyJ/)
    })))

  it.live("is JSON", () =>
    inWorld(Effect.gen(function*() {
      const { stdout } = yield* command(["-s", graph, "-o", "json", "--raw"], { terminal: false })
      const { accessToken, scopes, tenantId } = yield* Schema.decodeEffect(Output)(stdout)
      assert.match(accessToken, jwt)
      assert.deepStrictEqual(scopes, [graph])
      assert.strictEqual(tenantId, EntraSimulator.contosoTenantId)
    })))

  it.live.each(["token", "header", "json"])(
    "%s is refused where it may be a log, before a request is sent",
    (output) =>
      inWorld(Effect.gen(function*() {
        const { exitCode, stderr, stdout } = yield* command(["-s", graph, "-o", output], { terminal: false })
        assert.strictEqual(exitCode, 1)
        assert.strictEqual(stdout, "")
        assert.match(stderr, /Standard output is not a terminal[^]*--raw/)
        const { tokenRequests } = yield* (yield* EntraSimulator.EntraSimulator).counters
        assert.strictEqual(tokenRequests, 0)
      }))
  )
})

describe("the flags", () => {
  it.live("override the environment", () =>
    inWorld(Effect.gen(function*() {
      const { origin } = yield* SimulatorServer.SimulatorServer
      const file = yield* temporaryFile(`${secret}\n`)
      const { exitCode, stderr } = yield* command(
        [
          "--scope",
          "api://orders/.default",
          "--tenant",
          EntraSimulator.fabrikamTenantId,
          "--client-id",
          EntraSimulator.daemonClientId,
          "--authority",
          origin,
          "--secret-file",
          file
        ],
        {
          env: {
            AZURE_AUTHORITY_HOST: "https://login.contoso.invalid",
            AZURE_TENANT_ID: "common",
            AZURE_CLIENT_ID: "<your-client-id>",
            AZURE_CLIENT_SECRET: "changeme",
            AZURE_CLIENT_CERTIFICATE_PASSWORD: "unused"
          }
        }
      )
      assert.strictEqual(exitCode, 0, stderr)
      const [request] = yield* (yield* EntraSimulator.EntraSimulator).requests
      assert.strictEqual(request?.tenant, EntraSimulator.fabrikamTenantId)
    })))

  it.live("are named by errors in place of variables", () =>
    inWorld(Effect.gen(function*() {
      const { exitCode, stderr } = yield* command(
        ["--scope", graph, "--client-id", "undefined", "--tenant", "<tenant>", "--certificate", "/no/such.pem"]
      )
      assert.strictEqual(exitCode, 1)
      assert.match(stderr, /--client-id "undefined" is a placeholder/)
      assert.match(stderr, /--tenant "<tenant>" is a placeholder/)
      assert.match(stderr, /--certificate names "\/no\/such\.pem", which does not exist/)
      assert.notMatch(stderr, /AZURE_/)
    })))

  it.live.each([
    { args: ["--secret", "hush~hush"] },
    { args: ["--secret=hush~hush"] },
    { args: ["--client-secret", "hush~hush"] },
    { args: ["--certificate-password", "hush~hush"] }
  ])("refuse $args without showing the value", ({ args }) =>
    inWorld(Effect.gen(function*() {
      const { exitCode, stderr, stdout } = yield* command(["--scope", graph, ...args])
      assert.strictEqual(exitCode, 1)
      assert.match(stderr, /is refused, because the shell keeps command lines/)
      assert.notInclude(stderr + stdout, "hush~hush")
    })))

  it.live("refuse two credentials", () =>
    inWorld(Effect.gen(function*() {
      const { exitCode, stderr } = yield* command(["-s", graph, "--secret-file", "a", "--certificate", "b"])
      assert.strictEqual(exitCode, 1)
      assert.match(stderr, /--secret-file and --certificate are several credentials/)
    })))

  it.live("cannot ask without a terminal", () =>
    inWorld(Effect.gen(function*() {
      const { exitCode, stderr } = yield* command(["-s", graph, "--ask-secret"])
      assert.strictEqual(exitCode, 1)
      assert.match(stderr, /Standard input is not a terminal[^]*--secret-file/)
    })))

  it.live("need a scope", () =>
    inWorld(Effect.gen(function*() {
      const { exitCode, stderr } = yield* command([])
      assert.strictEqual(exitCode, 1)
      assert.match(stderr, /--scope/)
    })))
})

describe("an error", () => {
  it.live("has its message, remedy, code and correlation id", () =>
    inWorld(Effect.gen(function*() {
      const wrong = "wrong~secret.of-the_daemon"
      const { exitCode, stderr, stdout } = yield* command(["-s", graph], { env: { AZURE_CLIENT_SECRET: wrong } })
      assert.strictEqual(exitCode, 1)
      assert.strictEqual(stdout, "")
      assert.match(stderr, /AADSTS7000215/)
      assert.match(stderr, /Pass the secret's value and not its id/)
      assert.match(stderr, /Code: secret_wrong, correlation id: [0-9a-f-]{36}/)
      assert.include(stderr, "\nTo examine the setup: npx effect-entra doctor")
      assert.notInclude(stderr, wrong)
      const logLine = /^\[\d\d:\d\d:\d\d\.\d{3}\] /m
      assert.notMatch(stderr, logLine)
      const { stderr: withLog } = yield* command(["-s", graph, "--log-level", "debug"], {
        env: { AZURE_CLIENT_SECRET: wrong }
      })
      assert.match(withLog, logLine)
      assert.notInclude(withLog, wrong)
    })))
})

describe("a terminal", () => {
  /** Characters that move the cursor, erase lines, or reorder a text. */
  const hostile = "a\u001b[2J\u009b2Jb\u202ec\u2028d\r"
  const isPlain = (text: string) => !/(?!\n)[\p{Cc}\u2028-\u202e]/u.test(text)

  it.live("is not controlled by the service's description of an error", () =>
    inWorld(Effect.gen(function*() {
      const { fail } = yield* EntraSimulator.EntraSimulator
      const body = JSON.stringify({ error: "invalid_client", error_description: hostile, error_codes: [7000215] })
      yield* fail(EntraSimulator.Fault.custom({ status: 401, body }))
      const { exitCode, stderr } = yield* command(["-s", graph], { env: { NO_COLOR: "1" } })
      assert.strictEqual(exitCode, 1)
      assert.include(stderr, "[2J")
      assert.isTrue(isPlain(stderr), JSON.stringify(stderr))
    })))

  it.live.each(["claims", "json"])(
    "is not controlled by the names in --output %s",
    (output) =>
      inWorld(Effect.gen(function*() {
        const { fail } = yield* EntraSimulator.EntraSimulator
        const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url")
        const body = JSON.stringify({
          access_token: `${part({ alg: "none" })}.${part({ aud: "x", name: hostile })}.c2ln`,
          token_type: "Bearer",
          expires_in: 3600,
          scope: hostile
        })
        yield* fail(EntraSimulator.Fault.custom({ status: 200, headers: { "content-type": "application/json" }, body }))
        const { exitCode, stderr, stdout } = yield* command(["-s", graph, "-o", output])
        assert.strictEqual(exitCode, 0, stderr)
        assert.isTrue(isPlain(stdout), JSON.stringify(stdout))
        if (output === "claims") assert.strictEqual(JSON.parse(stdout).name, hostile)
      }))
  )
})

describe("the executable", () => {
  it.live("prints a token into a pipe with --raw, and a warning beside it", () =>
    Effect.gen(function*() {
      const { certificate, env } = yield* place({ untrusted: true })
      const environment = { ...env, NODE_EXTRA_CA_CERTS: yield* temporaryFile(certificate) }
      const bin = ["--conditions=@effect-entra/source", "src/cli/bin.ts"]
      const token = yield* runChild([...bin, "token", "-s", graph, "--raw"], {
        ...environment,
        AZURE_CLIENT_CERTIFICATE_PATH: "/ignored.pem"
      })
      assert.strictEqual(token.status, 0, token.stderr)
      assert.match(token.stdout.trim(), jwt)
      assert.match(token.stderr, /several credentials are set/)
      const refused = yield* runChild([...bin, "token", "-s", graph], environment)
      assert.strictEqual(refused.status, 1)
      assert.strictEqual(refused.stdout, "")
    }).pipe(Effect.scoped, Effect.provide(SimulatorServer.layerHttps())))
})
