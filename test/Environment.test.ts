/**
 * Clients from the environment: a table of environments and their problems, over real files. No problem shows a secret, a
 * password or the content of a file.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import { Cause, ConfigProvider, Effect, Exit, Fiber, FileSystem, Layer, PlatformError, Redacted, Stream } from "effect"
import { ClientCredential, ConfidentialClient, EntraError, RetryPolicy } from "effect-entra"
import { layerFromEnv, NodeClientCredential, type NodeConfidentialClient } from "effect-entra/node"
import { EntraSimulator } from "effect-entra/testing"
import { HttpClient } from "effect/http"
import { TestClock } from "effect/testing"
import { execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { inspect } from "node:util"
import { afterAll, beforeAll, expectTypeOf } from "vitest"
import { bareKey, make, otherCurve, password, pkcs12 } from "./node/material.ts"
import { record, type Recorded, warnings } from "./support/log.ts"
import { assertToldInFull } from "./support/shown.ts"
import { contoso, fabrikam, graph } from "./support/world.ts"

const folder = mkdtempSync(join(tmpdir(), "effect-entra-"))
const path = (name: string) => join(folder, name)
const secret = Redacted.value(EntraSimulator.daemonSecret)
const otherSecret = "N0t-the.Secret~of_anyone"
const token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhYmMifQ.c2lnbmF0dXJl"

const inBase64 = {
  "PKCS#8": bareKey("pkcs8"),
  SEC1: bareKey("sec1"),
  "PKCS#12": pkcs12.toString("base64")
}

/** Lines that no error, no log line and no span may hold. */
const hidden = new Set([secret, otherSecret, password, token])
for (const key of Object.values(inBase64)) hidden.add(key.slice(0, 40))

beforeAll(async () => {
  const rsa = await make("RSA")
  const ec = await make("EC")
  const write = (name: string, content: string | Uint8Array) => {
    writeFileSync(path(name), content)
    for (const line of Buffer.from(content).toString().split(/[\r\n]+/)) {
      if (line.length > 20 && !line.startsWith("-----")) hidden.add(line)
    }
  }
  const yesterday = new Date(Date.now() - 86_400_000)
  const tomorrow = new Date(Date.now() + 86_400_000)
  const past = await make("EC", { notBefore: new Date(0), notAfter: yesterday })
  const future = await make("EC", { notBefore: tomorrow, notAfter: new Date(Date.now() + 172_800_000) })
  write("good.pem", rsa.leaf + rsa.key.pkcs8)
  write("encrypted.pem", ec.leaf + ec.key.encrypted)
  write("keyless.pem", rsa.leaf)
  write("certless.pem", rsa.key.pkcs8)
  write("mismatch.pem", rsa.leaf + ec.key.pkcs8)
  write("p384.pem", ec.leaf + otherCurve())
  write("past.pem", past.leaf + past.key.pkcs8)
  write("future.pem", future.leaf + future.key.pkcs8)
  write("daemon.pfx", pkcs12)
  write("empty", "\n")
  write("large", Buffer.alloc(1_048_577, 0x41))
  write("token", `${token}\n`)
  execFileSync("mkfifo", [path("pipe")])
  write("no-token", "a password that somebody wrote into the wrong file")
})

afterAll(() => rmSync(folder, { recursive: true, force: true }))

const app = { AZURE_CLIENT_ID: EntraSimulator.daemonClientId, AZURE_TENANT_ID: contoso }
const right = { ...app, AZURE_CLIENT_SECRET: secret }

type Variables = Readonly<Record<string, string>>
type Options = NodeConfidentialClient.Options

const Http = EntraSimulator.layerMemory({ signer: EntraSimulator.signerFake })

const environment = (variables: Variables) => ConfigProvider.layer(ConfigProvider.fromEnvRecord({ ...variables }))

const fromNode = (variables: Variables, options?: Options, files = NodeFileSystem.layer) =>
  layerFromEnv(options).pipe(Layer.provide(files), Layer.provideMerge(Http), Layer.provide(environment(variables)))

/** JavaScript passes whatever it likes. */
const fromCore = (variables: Variables, options: Options = {}) =>
  ConfidentialClient.layerFromEnv(Object.assign({}, options, { credential: undefined }, options)).pipe(
    Layer.provideMerge(Http),
    Layer.provide(environment(variables))
  )

/** Build, see that nothing hidden is shown and that nothing was sent, and give what failed. */
const build = (
  layer: Layer.Layer<
    ConfidentialClient.ConfidentialClient | EntraSimulator.EntraSimulator,
    EntraError.ConfigurationError
  >,
  log: Recorded
) =>
  Effect.gen(function*() {
    const exit = yield* Effect.exit(Effect.scoped(Layer.build(layer)).pipe(Effect.provide(log.layer)))
    const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
    const shown = [inspect(exit, { depth: 20, showHidden: true }), JSON.stringify(error), ...log.lines, ...log.spans]
      .join("\n")
    for (const line of hidden) assert.notInclude(shown, line)
    if (error === undefined) return undefined
    assert.isTrue(EntraError.isEntraError(error), inspect(error))
    if (!EntraError.isEntraError(error) || !("field" in error)) return undefined
    assertToldInFull(error)
    return error
  })

interface Row {
  readonly name: string
  readonly variables: Variables
  readonly options?: Options
  readonly tag: "Authority" | "Request" | "Credential"
  readonly code: string
  readonly fields: ReadonlyArray<string>
}

const certificate = (file: string, more: Variables = {}) => ({
  ...app,
  AZURE_CLIENT_CERTIFICATE_PATH: path(file),
  ...more
})
const federation = (file: string) => ({ ...app, AZURE_FEDERATED_TOKEN_FILE: path(file) })

const PATH = ["AZURE_CLIENT_CERTIFICATE_PATH"]
const PASSWORD = ["AZURE_CLIENT_CERTIFICATE_PASSWORD"]
const CHAIN = ["AZURE_CLIENT_SEND_CERTIFICATE_CHAIN"]
const TOKEN = ["AZURE_FEDERATED_TOKEN_FILE"]
const HOST = ["AZURE_AUTHORITY_HOST"]
const REGION = ["AZURE_REGIONAL_AUTHORITY_NAME"]
const every = ["AZURE_CLIENT_SECRET", ...PATH, ...TOKEN]

const bad = (
  name: string,
  variables: Variables,
  tag: Row["tag"],
  code: string,
  fields: ReadonlyArray<string>,
  options?: Options
): Row => ({ name, variables, tag, code, fields, ...(options === undefined ? {} : { options }) })

/** Wrong for the core and for Node. */
const everywhere: ReadonlyArray<Row> = [
  bad("no client id", { ...right, AZURE_CLIENT_ID: "" }, "Request", "field_missing", ["AZURE_CLIENT_ID"]),
  bad("a client id with a space", { ...right, AZURE_CLIENT_ID: "a b" }, "Request", "field_malformed", [
    "AZURE_CLIENT_ID"
  ]),
  bad("a tenant with a path", { ...right, AZURE_TENANT_ID: "a/b" }, "Authority", "tenant_malformed", [
    "AZURE_TENANT_ID"
  ]),
  ...[secret, secret.toUpperCase()].map((value) =>
    bad(
      "a client id and a secret that are swapped",
      {
        ...app,
        AZURE_CLIENT_ID: value,
        AZURE_CLIENT_SECRET: EntraSimulator.daemonClientId
      },
      "Request",
      "field_malformed",
      ["AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"]
    )
  ),
  ...["AZURE_TENANT_ID", "AZURE_AUTHORITY_HOST", "AZURE_REGIONAL_AUTHORITY_NAME"].flatMap((name) =>
    [secret, `http://${secret}/x`, secret.padEnd(200, "!")].map((value) =>
      bad(`the secret in ${name}`, { ...right, [name]: value }, "Request", "field_malformed", [name])
    )
  ),
  bad("http", { ...right, AZURE_AUTHORITY_HOST: "http://a.example" }, "Authority", "authority_insecure", HOST),
  bad("no URL", { ...right, AZURE_AUTHORITY_HOST: "login" }, "Authority", "authority_malformed", HOST),
  bad(
    "two tenants",
    { ...right, AZURE_AUTHORITY_HOST: "https://login.microsoftonline.com/fabrikam.example" },
    "Authority",
    "authority_mismatch",
    ["AZURE_TENANT_ID", ...HOST]
  ),
  bad(
    "a tenant of AD FS",
    { ...right, AZURE_AUTHORITY_HOST: "https://sts.example/adfs" },
    "Authority",
    "authority_unsupported",
    ["AZURE_TENANT_ID"]
  ),
  bad(
    "two tenants of an external host",
    { ...right, AZURE_AUTHORITY_HOST: "https://a.ciamlogin.com/fabrikam.example" },
    "Authority",
    "authority_mismatch",
    ["AZURE_TENANT_ID", ...HOST]
  ),
  bad("AD FS at a cloud", { ...right, AZURE_TENANT_ID: "adfs" }, "Authority", "authority_unsupported", [
    "AZURE_TENANT_ID"
  ]),
  bad(
    "no region by MSAL's name",
    { ...right, AZURE_REGIONAL_AUTHORITY_NAME: "DisableMsalForceRegion" },
    "Authority",
    "region_malformed",
    REGION
  ),
  ...["clientId", "tenantId", "authority", "region", "allowedTenants"].flatMap((field) =>
    ["null", "5", "{}"].map((value) =>
      bad(
        `${field}: ${value}`,
        right,
        "Request",
        "field_malformed",
        [field],
        JSON.parse(`{"${field}":${value}}`)
      )
    )
  ),
  bad("a region with a dash", { ...right, AZURE_REGIONAL_AUTHORITY_NAME: "west-us" }, "Authority", "region_malformed", [
    ...REGION
  ]),
  ...["AutoDiscoverRegion", "TryAutoDetect"].map((word) =>
    bad(word, { ...right, AZURE_REGIONAL_AUTHORITY_NAME: word }, "Authority", "region_detection", REGION)
  ),
  ...["https://a.ciamlogin.com", "https://private.example"].map((host) =>
    bad(
      `a region of ${host}`,
      { ...right, AZURE_AUTHORITY_HOST: host, AZURE_REGIONAL_AUTHORITY_NAME: "westus2" },
      "Authority",
      "authority_unsupported",
      REGION
    )
  ),
  bad(
    "a region of an authority that is no URL",
    { ...right, AZURE_AUTHORITY_HOST: "login", AZURE_REGIONAL_AUTHORITY_NAME: "westus2" },
    "Authority",
    "authority_malformed",
    HOST
  ),
  bad(
    "a region as an option",
    { ...right, AZURE_REGIONAL_AUTHORITY_NAME: "westus2" },
    "Authority",
    "region_malformed",
    ["region"],
    { region: "west us" }
  ),
  bad("no credential", app, "Credential", "credential_missing", every),
  bad(
    "empty credentials",
    { ...certificate(""), ...right, ...empty(every) },
    "Credential",
    "credential_missing",
    every
  ),
  bad("white space for a secret", { ...app, AZURE_CLIENT_SECRET: " \n" }, "Credential", "secret_empty", [
    "AZURE_CLIENT_SECRET"
  ]),
  ...[`${otherSecret}\n`, `${otherSecret}\r\n`, ` ${otherSecret}`, `"${otherSecret}"`, `'${otherSecret}'`].map((
    value
  ) =>
    bad(
      `the secret ${JSON.stringify(value.replace(otherSecret, "..."))}`,
      { ...app, AZURE_CLIENT_SECRET: value },
      "Credential",
      "secret_malformed",
      ["AZURE_CLIENT_SECRET"]
    )
  ),
  bad(
    "a password without its certificate",
    { ...app, AZURE_CLIENT_CERTIFICATE_PASSWORD: password },
    "Credential",
    "credential_incomplete",
    PATH
  ),
  bad(
    "a password without its certificate, beside a secret",
    { ...right, AZURE_CLIENT_CERTIFICATE_PASSWORD: password },
    "Credential",
    "credential_incomplete",
    PATH
  ),
  bad(
    "a chain without its certificate",
    { ...app, AZURE_CLIENT_SEND_CERTIFICATE_CHAIN: "TRUE" },
    "Credential",
    "credential_incomplete",
    PATH
  ),
  bad("a chain of yes", { ...right, AZURE_CLIENT_SEND_CERTIFICATE_CHAIN: "yes" }, "Request", "field_malformed", CHAIN),
  bad(
    "an option that is none",
    right,
    "Request",
    "field_malformed",
    ["credential"],
    JSON.parse(`{"credential":"key"}`)
  ),
  bad("the secret alone is meant", certificate("good.pem"), "Credential", "credential_missing", [
    "AZURE_CLIENT_SECRET"
  ], { credential: "secret" }),
  bad("a tenant that is allowed, malformed", right, "Authority", "tenant_malformed", ["allowedTenants"], {
    allowedTenants: ["a/b"]
  }),
  bad("options that are wrong", { AZURE_CLIENT_SECRET: secret }, "Request", "configuration_invalid", [
    "clientId",
    "tenantId",
    "authority"
  ], {
    clientId: "a b",
    tenantId: "a/b",
    authority: "http://a"
  }),
  bad(
    "everything wrong",
    {
      AZURE_TENANT_ID: "x/y",
      AZURE_AUTHORITY_HOST: "http://x",
      AZURE_REGIONAL_AUTHORITY_NAME: "TryAutoDetect",
      AZURE_CLIENT_SECRET: `"${otherSecret}"`,
      AZURE_CLIENT_CERTIFICATE_PASSWORD: password,
      AZURE_CLIENT_SEND_CERTIFICATE_CHAIN: "perhaps"
    },
    "Request",
    "configuration_invalid",
    ["AZURE_CLIENT_ID", "AZURE_TENANT_ID", ...HOST, ...REGION, "AZURE_CLIENT_SECRET", ...PATH, ...CHAIN]
  )
]

function empty(names: ReadonlyArray<string>): Variables {
  return Object.fromEntries(names.map((name) => [name, ""]))
}

const node: ReadonlyArray<Row> = [
  bad("no certificate for the option", right, "Credential", "credential_missing", PATH, { credential: "certificate" }),
  bad("no token for the option", right, "Credential", "credential_missing", TOKEN, { credential: "federation" }),
  bad(
    "half a certificate for the option",
    { ...right, AZURE_CLIENT_CERTIFICATE_PASSWORD: password },
    "Credential",
    "credential_incomplete",
    PATH,
    { credential: "certificate" }
  ),
  bad("a file that is missing", certificate("missing.pem"), "Credential", "file_missing", PATH),
  bad("a file below a file", certificate("empty/daemon.pem"), "Credential", "file_unreadable", PATH),
  bad("a directory", certificate("."), "Credential", "file_unreadable", PATH),
  bad("a large file", certificate("large"), "Credential", "file_unreadable", PATH),
  bad("an empty file", certificate("empty"), "Credential", "file_empty", PATH),
  bad("a file of something else", certificate("no-token"), "Credential", "certificate_unreadable", PATH),
  bad("a key alone", certificate("certless.pem"), "Credential", "certificate_missing", PATH),
  bad("no key", certificate("keyless.pem"), "Credential", "key_missing", PATH),
  bad("another's key", certificate("mismatch.pem"), "Credential", "key_mismatch", PATH),
  bad("a key on P-384", certificate("p384.pem"), "Credential", "key_unsupported", PATH),
  bad("an encrypted key", certificate("encrypted.pem"), "Credential", "key_password_missing", PASSWORD),
  bad(
    "a wrong password",
    certificate("encrypted.pem", { AZURE_CLIENT_CERTIFICATE_PASSWORD: otherSecret }),
    "Credential",
    "key_password_wrong",
    PASSWORD
  ),
  bad("a certificate of the past", certificate("past.pem"), "Credential", "certificate_expired", PATH),
  bad("a certificate of the future", certificate("future.pem"), "Credential", "certificate_not_yet_valid", PATH),
  bad("damaged PKCS#12", certificate("daemon.pfx"), "Credential", "pkcs12_unreadable", PATH),
  bad("no token file", federation("missing"), "Credential", "file_missing", TOKEN),
  bad("a directory for a token", federation("."), "Credential", "file_unreadable", TOKEN),
  bad("an empty token file", federation("empty"), "Credential", "file_empty", TOKEN),
  bad("no token in the file", federation("no-token"), "Credential", "assertion_malformed", TOKEN),
  ...[token, ` ${token}`, `"${token}"`, `Bearer ${token}`, `/run/${token}`].map((value) =>
    bad(
      `a token for a path: ${value.replace(token, "...")}`,
      { ...app, AZURE_FEDERATED_TOKEN_FILE: value },
      "Credential",
      "path_malformed",
      TOKEN
    )
  ),
  ...(["PKCS#8", "SEC1", "PKCS#12"] as const).flatMap((kind) =>
    ["", " ", "'"].map((around) =>
      bad(
        `${kind} in base64 for a path, between ${JSON.stringify(around)}`,
        { ...app, AZURE_CLIENT_CERTIFICATE_PATH: around + inBase64[kind] + around },
        "Credential",
        "path_malformed",
        PATH
      )
    )
  ),
  bad("a path and a line break", certificate("good.pem\n"), "Credential", "path_malformed", PATH),
  ...["/dev/zero", "/dev/null"].map((device) =>
    bad(`${device}`, { ...app, AZURE_CLIENT_CERTIFICATE_PATH: device }, "Credential", "file_unreadable", PATH)
  ),
  bad(
    "a device for a token",
    { ...app, AZURE_FEDERATED_TOKEN_FILE: "/dev/zero" },
    "Credential",
    "file_unreadable",
    TOKEN
  ),
  bad("a pipe for a token", federation("pipe"), "Credential", "file_unreadable", TOKEN),
  bad(
    "a path that is the password",
    { ...certificate(password), AZURE_CLIENT_CERTIFICATE_PASSWORD: password },
    "Request",
    "field_malformed",
    PATH
  ),
  bad(
    "PEM for a path",
    { ...app, AZURE_CLIENT_CERTIFICATE_PATH: `-----BEGIN PRIVATE KEY-----\n${otherSecret}` },
    "Credential",
    "path_malformed",
    PATH
  ),
  bad(
    "a file, a chain and a tenant that are wrong",
    certificate("missing.pem", { AZURE_CLIENT_SEND_CERTIFICATE_CHAIN: "ja", AZURE_TENANT_ID: "a b" }),
    "Request",
    "configuration_invalid",
    ["AZURE_TENANT_ID", ...PATH, ...CHAIN]
  ),
  bad(
    "a token file and half a certificate",
    { ...federation("empty"), AZURE_CLIENT_CERTIFICATE_PASSWORD: password },
    "Request",
    "configuration_invalid",
    [...TOKEN, ...PATH]
  )
]

const core: ReadonlyArray<Row> = [
  bad("a certificate's file", certificate("good.pem"), "Credential", "credential_file", PATH),
  bad("a token's file", federation("token"), "Credential", "credential_file", TOKEN),
  bad("both", { ...certificate("good.pem"), ...federation("token") }, "Credential", "credential_file", [
    ...PATH,
    ...TOKEN
  ]),
  ...(["certificate", "federation"] as const).map((credential) =>
    bad(`${credential} is meant`, right, "Credential", "credential_file", ["credential"], { credential })
  )
]

const tested = (where: string, layerOf: typeof fromCore | typeof fromNode, rows: ReadonlyArray<Row>) =>
  describe(`${where}: what is wrong`, () => {
    for (const { code, fields, name, options, tag, variables } of rows) {
      it.live(`${name}: ${code}`, () =>
        Effect.gen(function*() {
          const log = record()
          const error = yield* build(layerOf(variables, options), log)
          assert.strictEqual(error?._tag, `EntraInvalid${tag}Error`.replace("InvalidCredential", "Credential"))
          assert.strictEqual(error?.code, code)
          assert.deepStrictEqual(error?.field.split(", "), [...fields])
          assert.strictEqual(error?.origin, "local")
          for (const field of fields) assert.include(error?.message, field)
          assert.match(error?.remedy ?? "", /\.$/)
          if (code === "credential_file") {
            assert.include(error?.remedy, "layerFromEnv of effect-entra/node")
            assert.include(error?.remedy, "NodeFileSystem.layer of @effect/platform-node")
            assert.match(error?.remedy ?? "", /with ConfidentialClient\.layerDefault\.$/)
          }
          if (code === "credential_missing" && options === undefined) {
            assert.strictEqual(error?.remedy.includes("effect-entra/node"), where === "the core")
          }
          assert.deepStrictEqual(warnings(log), [])
        }))
    }
  })

tested("the core", fromCore, [...everywhere, ...core])
tested("Node", fromNode, [...everywhere, ...node])

describe("a file that this process may not read", () => {
  const Forbidden = FileSystem.layerNoop({
    stat: (path) =>
      Effect.fail(PlatformError.systemError({
        _tag: "PermissionDenied",
        module: "FileSystem",
        method: "stat",
        pathOrDescriptor: path,
        cause: new Error(otherSecret)
      }))
  })

  for (const variables of [certificate("good.pem"), federation("token")]) {
    it.live(`says so: ${Object.keys(variables).at(-1)}`, () =>
      Effect.gen(function*() {
        const error = yield* build(fromNode(variables, {}, Forbidden), record())
        assert.strictEqual(error?.code, "file_unreadable")
        assert.include(error?.message, "may not read")
        assert.isFalse(error !== undefined && "cause" in error)
      }))
  }
})

describe("a FileSystem", () => {
  const info = Effect.map(FileSystem.FileSystem, (files) => files.stat(path("good.pem"))).pipe(
    Effect.flatten,
    Effect.provide(NodeFileSystem.layer)
  )
  const content = new Error(otherSecret)
  const thrown = (): never => {
    throw content
  }
  const broken: ReadonlyArray<readonly [name: string, files: Parameters<typeof FileSystem.layerNoop>[0]]> = [
    ["dies when it is asked", { stat: () => Effect.die(content) }],
    ["throws", { stat: thrown }],
    ["fails with an error of its own", { stat: () => Effect.fail(JSON.parse(JSON.stringify({ otherSecret }))) }],
    ["dies while it reads", { stat: () => Effect.orDie(info), stream: () => Stream.die(content) }],
    ["interrupts itself", { stat: () => Effect.interrupt }],
    ["gives an endless file", {
      stat: () => Effect.orDie(info),
      stream: () => Stream.forever(Stream.make(Buffer.alloc(4096, 0x41)))
    }]
  ]
  for (const [name, files] of broken) {
    for (const variables of [certificate("good.pem"), federation("token")]) {
      it.live(`that ${name}: ${Object.keys(variables).at(-1)}`, () =>
        Effect.gen(function*() {
          const error = yield* build(
            fromNode(variables, {}, FileSystem.layerNoop(files)),
            record()
          )
          assert.strictEqual(error?._tag, "EntraCredentialError")
          assert.strictEqual(error?.code, "file_unreadable")
        }))
    }
  }

  for (const variables of [certificate("good.pem"), federation("token")]) {
    it.effect(`that hangs is given up: ${Object.keys(variables).at(-1)}`, () =>
      Effect.gen(function*() {
        const Hanging = FileSystem.layerNoop({ stat: () => Effect.never })
        const fiber = yield* Effect.forkChild(build(fromNode(variables, {}, Hanging), record()))
        yield* TestClock.adjust("10 seconds")
        const error = yield* Fiber.join(fiber)
        assert.strictEqual(error?.code, "file_unreadable")
        assert.include(error?.message, Object.values(variables).at(-1))
      }))

    it.live(`that hangs can be interrupted: ${Object.keys(variables).at(-1)}`, () =>
      Effect.gen(function*() {
        const Hanging = FileSystem.layerNoop({ stat: () => Effect.never })
        const fiber = yield* Effect.forkChild(Effect.scoped(Layer.build(fromNode(variables, {}, Hanging))), {
          startImmediately: true
        })
        const exit = yield* Effect.andThen(Fiber.interrupt(fiber), Fiber.await(fiber))
        assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
      }))
  }
})

describe("a pipe", () => {
  it.live("is read for a certificate", () =>
    Effect.gen(function*() {
      execFileSync("mkfifo", [path("certificate.pipe")])
      const writer = spawn("sh", ["-c", "cat \"$0\" > \"$1\"", path("good.pem"), path("certificate.pipe")])
      assert.isUndefined(yield* build(fromNode(certificate("certificate.pipe")), record()))
      if (writer.exitCode === null) yield* Effect.promise(() => once(writer, "exit"))
    }))
})

describe("paths that are quoted, however long", () => {
  for (
    const value of [
      "/var/run/secrets/azure/tokens/azure-identity-token",
      "/var/lib/kubelet/pods/3f2c9a1e-1B2c-4d5e-8f90-0123456789ab/volumes/kubernetes.io~projected/azure-identity-token",
      "/private/var/folders/q7/0j8xm2ld1n9g5w3x0000gnT/T/AbCdEf0123456789/certificates/of/the/daemon/daemon",
      "C:\\Users\\Administrator\\AppData\\Local\\Microsoft\\Credentials2\\Certificates\\Production\\daemon",
      "secrets/certificates/production/westeurope/applications/orders/daemon",
      "Services/Orders/Secrets/Production/WestEurope2/Certificates/daemon-certificate.pem",
      "MyService/a.pem"
    ]
  ) {
    it.live(value, () =>
      Effect.gen(function*() {
        const error = yield* build(fromNode({ ...app, AZURE_CLIENT_CERTIFICATE_PATH: value }), record())
        assert.strictEqual(error?.code, "file_missing")
        assert.include(error?.message, JSON.stringify(value.slice(0, 100)).slice(0, -1))
      }))
  }
})

describe("a ConfigProvider that fails", () => {
  it.live("for some variables names those, and what else is wrong", () =>
    Effect.gen(function*() {
      const some = ConfigProvider.make((path) =>
        path[0] === "AZURE_CLIENT_SECRET" || path[0] === "AZURE_CLIENT_ID"
          ? Effect.fail(new ConfigProvider.SourceError({ message: otherSecret }))
          : Effect.succeed(path[0] === "AZURE_TENANT_ID" ? ConfigProvider.makeValue("a/b") : undefined)
      )
      const error = yield* build(
        ConfidentialClient.layerFromEnv().pipe(Layer.provideMerge(Http), Layer.provide(ConfigProvider.layer(some))),
        record()
      )
      assert.strictEqual(error?.code, "configuration_invalid")
      assert.deepStrictEqual(error?.field.split(", "), ["AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"])
    }))

  it.live("is named, in the core and on Node", () =>
    Effect.gen(function*() {
      const broken = ConfigProvider.make(() => Effect.fail(new ConfigProvider.SourceError({ message: otherSecret })))
      for (
        const layer of [
          ConfidentialClient.layerFromEnv().pipe(Layer.provideMerge(Http)),
          layerFromEnv().pipe(Layer.provide(NodeFileSystem.layer), Layer.provideMerge(Http))
        ]
      ) {
        const error = yield* build(Layer.provide(layer, ConfigProvider.layer(broken)), record())
        assert.strictEqual(error?.code, "configuration_invalid")
        assert.include(error?.field, "AZURE_CLIENT_SECRET")
      }
    }))
})

describe("what is used when several are set", () => {
  const all = {
    ...certificate("good.pem"),
    ...federation("token"),
    AZURE_CLIENT_SECRET: secret
  }
  const without = (...names: ReadonlyArray<string>): Variables =>
    Object.fromEntries(Object.entries(all).filter(([name]) => !names.includes(name)))

  const cases: ReadonlyArray<
    readonly [name: string, variables: Variables, options: Options, used: string, warnings: ReadonlyArray<RegExp>]
  > = [
    ["all three", all, {}, "client_secret", [
      /AZURE_CLIENT_SECRET is used, AZURE_CLIENT_CERTIFICATE_PATH and AZURE_FEDERATED_TOKEN_FILE are ignored/
    ]],
    ["certificate and token", without("AZURE_CLIENT_SECRET"), {}, "certificate", [
      /AZURE_CLIENT_CERTIFICATE_PATH is used, AZURE_FEDERATED_TOKEN_FILE is ignored/
    ]],
    ["secret and token", without(...PATH), {}, "client_secret", [
      /AZURE_CLIENT_SECRET is used, AZURE_FEDERATED_TOKEN_FILE is ignored/
    ]],
    ["the token alone", without(...PATH, "AZURE_CLIENT_SECRET"), {}, "token", []],
    ["all three, the secret meant", all, { credential: "secret" }, "client_secret", []],
    ["all three, the certificate meant", all, { credential: "certificate" }, "certificate", []],
    ["all three, the token meant", all, { credential: "federation" }, "token", []],
    [
      "a broken certificate that is not meant",
      { ...all, ...certificate("missing.pem"), AZURE_CLIENT_SEND_CERTIFICATE_CHAIN: "yes" },
      { credential: "secret" },
      "client_secret",
      []
    ],
    ["a chain of no certificate", { ...right, AZURE_CLIENT_SEND_CERTIFICATE_CHAIN: "False" }, {}, "client_secret", []],
    ["a secret that is an id", { ...right, AZURE_CLIENT_SECRET: contoso }, {}, "client_secret", [
      /AZURE_CLIENT_SECRET looks like the id of a secret/
    ]]
  ]

  for (const [name, variables, options, used, expected] of cases) {
    it.live(name, () => {
      const log = record()
      return Effect.gen(function*() {
        // The simulator refuses what it does not know; what was sent tells which credential it was.
        yield* Effect.exit(ConfidentialClient.acquireToken({ scopes: graph }))
        const simulator = yield* EntraSimulator.EntraSimulator
        const [request] = yield* simulator.requests
        const form = request?.form ?? {}
        const sent = form["client_assertion"] === undefined
          ? "client_secret"
          : form["client_assertion"] === token
          ? "token"
          : "certificate"
        assert.strictEqual(sent, used)
        const logged = warnings(log).filter((line) => /credential|AZURE_/.test(line) && !line.includes("AADSTS"))
        assert.strictEqual(logged.length, expected.length, logged.join())
        expected.forEach((pattern, index) => assert.match(logged[index] ?? "", pattern))
        for (const line of hidden) assert.notInclude(log.lines.join("\n"), line)
      }).pipe(Effect.provide(fromNode(variables, options)), Effect.provide(log.layer))
    })
  }

  it.live("the core warns too, and does not when it is told", () =>
    Effect.gen(function*() {
      for (const [options, count] of [[{}, 1], [{ credential: "secret" }, 0]] as const) {
        const log = record()
        assert.isUndefined(yield* build(fromCore(all, options), log))
        assert.strictEqual(warnings(log).filter((line) => line.includes("several credentials")).length, count)
      }
      const log = record()
      yield* Effect.provide(ClientCredential.fromEnv, [environment(all), log.layer])
      assert.strictEqual(warnings(log).length, 1)
      // It has no options.
      assert.notInclude(warnings(log)[0], "decide")
    }))
})

describe("what overrides", () => {
  it.effect("options override variables, even malformed ones", () =>
    Effect.gen(function*() {
      const { tenantId } = yield* ConfidentialClient.acquireToken({ scopes: graph })
      assert.strictEqual(tenantId, fabrikam)
    }).pipe(Effect.provide(fromNode(
      {
        AZURE_CLIENT_ID: "a b",
        AZURE_TENANT_ID: "a/b",
        AZURE_AUTHORITY_HOST: "http://a",
        AZURE_REGIONAL_AUTHORITY_NAME: "west us",
        AZURE_CLIENT_SECRET: secret
      },
      { clientId: EntraSimulator.daemonClientId, tenantId: fabrikam, authority: "public", region: "westus2" }
    ))))

  for (const [name, layer] of [["the core", fromCore], ["Node", fromNode]] as const) {
    it.effect(`${name} goes to the region's endpoint`, () =>
      Effect.gen(function*() {
        const { metadata } = yield* ConfidentialClient.acquireToken({ scopes: graph })
        assert.strictEqual(
          metadata.tokenEndpoint,
          `https://westus2.login.microsoft.com/${contoso}/oauth2/v2.0/token`
        )
      }).pipe(Effect.provide(layer({ ...right, AZURE_REGIONAL_AUTHORITY_NAME: "WestUS2" }))))

    it.effect(`${name} takes a tenant that requests name`, () =>
      Effect.gen(function*() {
        const { tenantId } = yield* ConfidentialClient.acquireToken({ scopes: graph, tenantId: contoso })
        assert.strictEqual(tenantId, contoso)
        const error = yield* Effect.flip(ConfidentialClient.acquireToken({ scopes: graph }))
        assert.strictEqual(error.code, "tenant_missing")
      }).pipe(Effect.provide(layer({ ...right, AZURE_TENANT_ID: "" }))))
  }

  for (const [name, layer] of [["the core", fromCore], ["Node", fromNode]] as const) {
    for (const tenant of [contoso, "a/b"]) {
      it.effect(`${name}: the tenant of the option authority, not ${tenant} of the environment`, () =>
        Effect.gen(function*() {
          const { tenantId } = yield* ConfidentialClient.acquireToken({ scopes: graph })
          assert.strictEqual(tenantId, fabrikam)
        }).pipe(
          Effect.provide(
            layer({ ...right, AZURE_TENANT_ID: tenant }, { authority: `https://login.microsoftonline.com/${fabrikam}` })
          )
        ))
    }

    it.effect(`${name}: the environment's tenant beside an option without a single one`, () =>
      Effect.gen(function*() {
        const { tenantId } = yield* ConfidentialClient.acquireToken({ scopes: graph })
        assert.strictEqual(tenantId, contoso)
      }).pipe(Effect.provide(layer(right, { authority: "https://login.microsoftonline.com/common" }))))

    it.effect(`${name}: an empty region as an option switches the environment's off`, () =>
      Effect.gen(function*() {
        const { metadata } = yield* ConfidentialClient.acquireToken({ scopes: graph })
        assert.strictEqual(
          metadata.tokenEndpoint,
          `https://login.microsoftonline.com/${contoso}/oauth2/v2.0/token`
        )
      }).pipe(Effect.provide(layer({ ...right, AZURE_REGIONAL_AUTHORITY_NAME: "west us" }, { region: "" }))))

    for (const host of ["https://sts.example", "https://sts.example/adfs"]) {
      it.effect(`${name}: the tenant adfs means AD FS, at ${host}`, () =>
        Effect.gen(function*() {
          const urls: Array<string> = []
          const Nobody = Layer.succeed(
            HttpClient.HttpClient,
            HttpClient.make((request, url) => {
              urls.push(url.href)
              return Effect.die(request)
            })
          )
          const variables = environment({ ...right, AZURE_TENANT_ID: "ADFS", AZURE_AUTHORITY_HOST: host })
          const client = name === "Node"
            ? layerFromEnv().pipe(Layer.provide([NodeFileSystem.layer, Nobody]))
            : ConfidentialClient.layerFromEnv().pipe(Layer.provide(Nobody))
          yield* ConfidentialClient.acquireToken({ scopes: graph }).pipe(
            Effect.provideService(RetryPolicy.Current, RetryPolicy.none),
            Effect.flip,
            Effect.provide(Layer.provide(client, variables))
          )
          assert.deepStrictEqual(urls, ["https://sts.example/adfs/oauth2/token"])
        }))
    }
  }

  it.effect("an authority without a single tenant leaves the tenant to its variable", () =>
    Effect.gen(function*() {
      const { tenantId } = yield* ConfidentialClient.acquireToken({ scopes: graph })
      assert.strictEqual(tenantId, contoso)
    }).pipe(Effect.provide(fromNode({ ...right, AZURE_AUTHORITY_HOST: "https://login.windows.net/common" }))))
})

describe("the credential alone", () => {
  const credentialOf = (variables: Variables, options?: Parameters<typeof NodeClientCredential.fromEnv>[0]) =>
    NodeClientCredential.fromEnv(options).pipe(Effect.provide([NodeFileSystem.layer, environment(variables)]))

  it.live("needs no client id", () =>
    Effect.gen(function*() {
      const credential = yield* credentialOf({ AZURE_CLIENT_CERTIFICATE_PATH: path("good.pem") })
      assert.strictEqual(credential.channel, "standard")
      yield* credentialOf({ AZURE_CLIENT_SECRET: secret, ...federation("token") }, { credential: "federation" })
    }))

  it.live("reports its problems together", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(
        credentialOf({ AZURE_CLIENT_CERTIFICATE_PATH: path("empty"), AZURE_CLIENT_SEND_CERTIFICATE_CHAIN: "2" })
      )
      assert.strictEqual(error._tag, "EntraInvalidRequestError")
      assert.strictEqual(error.field, [...PATH, ...CHAIN].join(", "))
    }))
})

describe("the types", () => {
  it("a whole client needs an HttpClient and a FileSystem, and nothing else", () => {
    expectTypeOf(layerFromEnv).toEqualTypeOf<
      (options?: Options) => Layer.Layer<
        ConfidentialClient.ConfidentialClient,
        EntraError.ConfigurationError,
        HttpClient.HttpClient | FileSystem.FileSystem
      >
    >()
  })
})
