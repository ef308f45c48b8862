/** `layerDefault`: which credential is chosen, which are skipped, and which errors end the search. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Fiber, Layer, Redacted } from "effect"
import { ClientCredential, ConfidentialClient } from "effect-entra"
import { layerDefault, ManagedIdentity, type NodeConfidentialClient } from "effect-entra/node"
import { EntraSimulator, MetadataService } from "effect-entra/testing"
import { HttpClient } from "effect/http"
import { TestClock } from "effect/testing"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll } from "vitest"
import { chooseDefault } from "../../src/internal/environment/defaultChain.ts"
import { record, type Recorded } from "../support/log.ts"
import { contoso, graph } from "../support/world.ts"
import { make } from "./material.ts"

const folder = mkdtempSync(join(tmpdir(), "effect-entra-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const { key, leaf } = await make("EC")
const pem = join(folder, "daemon.pem")
writeFileSync(pem, leaf + key.pkcs8)
const tokenFile = join(folder, "token")
writeFileSync(tokenFile, "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhYmMifQ.c2lnbmF0dXJl")

type Variables = Readonly<Record<string, string>>

const app = { AZURE_CLIENT_ID: EntraSimulator.daemonClientId, AZURE_TENANT_ID: contoso }
const secret = { AZURE_CLIENT_SECRET: Redacted.value(EntraSimulator.daemonSecret) }
const certificate = { AZURE_CLIENT_CERTIFICATE_PATH: pem }
const federation = { AZURE_FEDERATED_TOKEN_FILE: tokenFile }

/** Entra and, if `metadata` is set, the metadata service; every other address refuses the connection. */
const Network = (sent: Array<string>, metadata: boolean) =>
  Layer.effect(
    HttpClient.HttpClient,
    Effect.gen(function*() {
      const entra = yield* Effect.service(HttpClient.HttpClient).pipe(
        Effect.provide(EntraSimulator.layerMemory({ signer: EntraSimulator.signerFake }))
      )
      const service = yield* Effect.service(HttpClient.HttpClient).pipe(
        Effect.provide(MetadataService.layerMemory({ signer: EntraSimulator.signerFake }))
      )
      return HttpClient.make((request, url) => {
        sent.push(url.host)
        if (url.host !== "169.254.169.254") return entra.execute(request)
        return metadata ? service.execute(request) : Effect.never
      })
    })
  )

/** Acquires a token with a `layerDefault`. */
const acquiring = (
  variables: Variables,
  { log = record(), metadata = false, options = {}, sent = [] }: {
    readonly log?: Recorded
    readonly metadata?: boolean
    readonly options?: NodeConfidentialClient.DefaultOptions
    readonly sent?: Array<string>
  } = {}
) =>
  ConfidentialClient.acquireToken({ scopes: graph }).pipe(
    Effect.provide(layerDefault(options)),
    Effect.provide([
      NodeFileSystem.layer,
      Network(sent, metadata),
      ConfigProvider.layer(ConfigProvider.fromEnvRecord({ ...variables })),
      log.layer
    ])
  )

const debugLines = ({ entries }: Recorded) =>
  entries.flatMap(({ level, text }) => level === "Debug" && text.startsWith("layerDefault ") ? [text] : [])

const skipsOf = (log: Recorded) =>
  debugLines(log).flatMap((line) => /^layerDefault skips (\w+): (.*)$/.exec(line)?.slice(1, 2) ?? [])

describe("the choice", () => {
  const selection = (value: string) => ({ AZURE_TOKEN_CREDENTIALS: value })
  const system = { name: "ManagedIdentityCredential", clientId: undefined, tenantId: undefined, isProbed: true }
  const ours = { ...system, clientId: app.AZURE_CLIENT_ID, tenantId: contoso }

  const cases: ReadonlyArray<readonly [string, Variables, object, number]> = [
    ["nothing is set", {}, system, 2],
    ["everything is set", { ...app, ...secret, ...certificate, ...federation }, {
      name: "EnvironmentCredential",
      kind: "secret"
    }, 0],
    [
      "a certificate",
      { ...app, ...certificate, ...federation },
      { name: "EnvironmentCredential", kind: "certificate" },
      0
    ],
    ["a token file", { ...app, ...federation }, { name: "WorkloadIdentityCredential", kind: "federation" }, 1],
    ["an app alone", app, ours, 2],
    ["a secret without an app", secret, system, 2],
    ["a token file without an app", federation, system, 2],
    ["a password without its certificate", { ...app, AZURE_CLIENT_CERTIFICATE_PASSWORD: "a" }, ours, 2],
    ["empty variables", { AZURE_CLIENT_ID: "", AZURE_CLIENT_SECRET: "", AZURE_FEDERATED_TOKEN_FILE: "" }, system, 2],
    [
      "an app without a tenant",
      { AZURE_CLIENT_ID: "a", ...secret },
      { name: "EnvironmentCredential", kind: "secret" },
      0
    ],
    ["prod", { ...app, ...secret, ...selection(" PROD\r\n") }, { name: "EnvironmentCredential", kind: "secret" }, 0],
    ["white space", { ...app, ...secret, ...selection("  ") }, { name: "EnvironmentCredential", kind: "secret" }, 0],
    ["workload only", { ...app, ...secret, ...federation, ...selection("workloadidentitycredential") }, {
      name: "WorkloadIdentityCredential",
      kind: "federation"
    }, 0],
    ["managed identity only", { ...app, ...secret, ...selection("MANAGEDIDENTITYCREDENTIAL") }, {
      ...ours,
      isProbed: false
    }, 0]
  ]

  const choose = ({ AZURE_TOKEN_CREDENTIALS, ...set }: Variables) => {
    const of = (name: string) => set[name] || undefined
    const hidden = (name: string) => of(name) === undefined ? undefined : Redacted.make(of(name) ?? "")
    return chooseDefault(AZURE_TOKEN_CREDENTIALS, {}, {
      unreadable: [],
      variables: {
        AZURE_CLIENT_ID: of("AZURE_CLIENT_ID"),
        AZURE_TENANT_ID: of("AZURE_TENANT_ID"),
        AZURE_AUTHORITY_HOST: undefined,
        AZURE_REGIONAL_AUTHORITY_NAME: undefined,
        AZURE_CLIENT_SECRET: hidden("AZURE_CLIENT_SECRET"),
        AZURE_CLIENT_CERTIFICATE_PATH: of("AZURE_CLIENT_CERTIFICATE_PATH"),
        AZURE_CLIENT_CERTIFICATE_PASSWORD: hidden("AZURE_CLIENT_CERTIFICATE_PASSWORD"),
        AZURE_CLIENT_SEND_CERTIFICATE_CHAIN: undefined,
        AZURE_FEDERATED_TOKEN_FILE: of("AZURE_FEDERATED_TOKEN_FILE")
      }
    })
  }

  it.effect.each(cases)("%s", ([, variables, chosen, skips]) =>
    Effect.gen(function*() {
      const choice = yield* Effect.fromResult(choose(variables))
      assert.deepStrictEqual({ ...choice.chosen }, chosen)
      assert.strictEqual(choice.skipped.length, skips)
    }))

  it.effect.each(
    [
      [
        "EnvironmentCredential",
        "EnvironmentCredential: neither AZURE_CLIENT_SECRET nor AZURE_CLIENT_CERTIFICATE_PATH is set."
      ],
      ["WorkloadIdentityCredential", "WorkloadIdentityCredential: AZURE_FEDERATED_TOKEN_FILE is not set."]
    ] as const
  )("%s alone, which is not configured", ([name, reason]) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Effect.fromResult(choose({ ...app, ...selection(name) })))
      assert.strictEqual(error.code, "credentials_exhausted")
      assert.strictEqual(error.message, `No credential is available. ${reason}`)
    }))

  it.effect.each(["dev", " Dev ", "AzureCliCredential", "visualstudiocodecredential", "AZUREPOWERSHELLCREDENTIAL"])(
    "of %s is refused, and the error names what works",
    (value) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(acquiring({ ...app, ...secret, AZURE_TOKEN_CREDENTIALS: value }))
        assert.include(error, { code: "field_unsupported", field: "AZURE_TOKEN_CREDENTIALS" })
        assert.include(error.message, value.trim().toLowerCase())
        assert.include(
          error.remedy,
          "prod, EnvironmentCredential, WorkloadIdentityCredential or ManagedIdentityCredential"
        )
        assert.include(error.remedy, "AzureCredential.layer")
      })
  )

  it.effect.each(["production", "Environment", "prod,dev", "$(TOKEN_CREDENTIALS)", "s3cr3t-in-the-wrong-place"])(
    "of %s is refused, without the value",
    (value) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(acquiring({ ...app, ...secret, AZURE_TOKEN_CREDENTIALS: value }))
        assert.include(error, { code: "field_malformed", field: "AZURE_TOKEN_CREDENTIALS" })
        assert.notInclude(error.message, value)
        assert.include(error.remedy, "ManagedIdentityCredential")
      })
  )
})

describe("a client", () => {
  it.effect("of the environment, and no request to the metadata service", () =>
    Effect.gen(function*() {
      const log = record()
      const sent: Array<string> = []
      const { tenantId } = yield* acquiring({ ...app, ...secret, ...federation }, { log, sent })
      assert.strictEqual(tenantId, contoso)
      assert.notInclude(sent, "169.254.169.254")
      assert.deepStrictEqual(debugLines(log), ["layerDefault uses EnvironmentCredential"])
      assert.deepStrictEqual(log.entries.filter(({ level }) => level === "Warn"), [])
    }))

  it.effect("of the platform, with one line for each skip", () =>
    Effect.gen(function*() {
      const log = record()
      const result = yield* acquiring({}, { log, metadata: true })
      assert.strictEqual(result.tenantId, "managed-identity")
      assert.deepStrictEqual(debugLines(log), [
        "layerDefault skips EnvironmentCredential: AZURE_CLIENT_ID is not set, and neither AZURE_CLIENT_SECRET nor "
        + "AZURE_CLIENT_CERTIFICATE_PATH is set",
        "layerDefault skips WorkloadIdentityCredential: AZURE_CLIENT_ID is not set, and AZURE_FEDERATED_TOKEN_FILE is not set",
        "layerDefault uses ManagedIdentityCredential"
      ])
    }))

  it.effect("of the user-assigned identity that AZURE_CLIENT_ID names, or the option", () =>
    Effect.gen(function*() {
      const { clientId, objectId } = MetadataService.userAssigned
      const variables = { AZURE_CLIENT_ID: clientId, AZURE_TENANT_ID: contoso }
      assert.strictEqual((yield* acquiring(variables, { metadata: true })).tenantId, contoso)
      const unknown = { AZURE_CLIENT_ID: EntraSimulator.daemonClientId }
      const refused = yield* Effect.flip(acquiring(unknown, { metadata: true }))
      assert.strictEqual(refused.code, "managed_identity_refused")
      yield* acquiring(unknown, { metadata: true, options: { managedIdentity: { identity: { objectId } } } })
    }))

  it.effect("is chosen once: later acquisitions skip and probe nothing", () =>
    Effect.gen(function*() {
      const log = record()
      const sent: Array<string> = []
      yield* Effect.gen(function*() {
        for (const forceRefresh of [false, true, true]) {
          yield* ConfidentialClient.acquireToken({ scopes: graph, forceRefresh })
        }
      }).pipe(
        Effect.provide(layerDefault()),
        Effect.provide([
          NodeFileSystem.layer,
          Network(sent, true),
          ConfigProvider.layer(ConfigProvider.fromEnvRecord({})),
          log.layer
        ])
      )
      // One probe, and three requests.
      assert.strictEqual(sent.length, 4)
      assert.deepStrictEqual(skipsOf(log), ["EnvironmentCredential", "WorkloadIdentityCredential"])
    }))
})

describe("the search ends", () => {
  const ended: ReadonlyArray<readonly [string, Variables, string]> = [
    ["a refused secret", { ...app, AZURE_CLIENT_SECRET: "wr0ng~secret" }, "secret_wrong"],
    ["a placeholder for a secret", { ...app, AZURE_CLIENT_SECRET: "<your-client-secret>" }, "secret_malformed"],
    ["white space for a secret", { ...app, AZURE_CLIENT_SECRET: "  " }, "secret_empty"],
    ["a malformed tenant", { ...app, ...secret, AZURE_TENANT_ID: "no tenant" }, "tenant_malformed"],
    [
      "a certificate that is missing",
      { ...app, AZURE_CLIENT_CERTIFICATE_PATH: join(folder, "no.pem") },
      "file_missing"
    ],
    ["a certificate that is unknown", { ...app, ...certificate }, "assertion_refused"],
    ["a token file that is missing", { ...app, AZURE_FEDERATED_TOKEN_FILE: join(folder, "no") }, "file_missing"],
    ["a token that nobody trusts", { ...app, ...federation }, "assertion_refused"]
  ]

  it.live.each(ended)("with %s", ([, variables, code]) =>
    Effect.gen(function*() {
      const sent: Array<string> = []
      const error = yield* Effect.flip(acquiring(variables, { metadata: true, sent }))
      assert.strictEqual(error.code, code)
      assert.notInclude(sent, "169.254.169.254")
    }))

  it.effect("without any credential: within 2 seconds and after one probe, with every reason", () =>
    Effect.gen(function*() {
      const sent: Array<string> = []
      const started = yield* Effect.forkChild(Effect.flip(acquiring(app, { sent })))
      yield* TestClock.adjust("1999 millis")
      assert.isUndefined(started.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      const error = yield* Fiber.join(started)
      assert.include(error, { _tag: "EntraCredentialError", code: "credentials_exhausted" })
      for (const name of ["EnvironmentCredential", "WorkloadIdentityCredential", "ManagedIdentityCredential"]) {
        assert.include(error.message, `${name}: `)
      }
      assert.include(error.message, "managed_identity_unavailable")
      assert.isDefined(error.correlationId)
      assert.strictEqual(sent.length, 1)
    }))

  it.effect("with managed identity alone: no probe, its own error and its own retries", () =>
    Effect.gen(function*() {
      const variables = { AZURE_TOKEN_CREDENTIALS: "ManagedIdentityCredential" }
      const sent: Array<string> = []
      const fiber = yield* Effect.forkChild(Effect.flip(acquiring(variables, { sent })))
      yield* TestClock.adjust("9 seconds")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("60 seconds")
      const error = yield* Fiber.join(fiber)
      assert.strictEqual(error.code, "timeout")
      assert.strictEqual(sent.length, 4)
    }))

  it.effect("on a platform that is not supported: every reason", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(acquiring({ MSI_ENDPOINT: "http://localhost" }))
      assert.strictEqual(error.code, "credentials_exhausted")
      assert.include(error.message, "managed_identity_unsupported")
      assert.include(error.message, "EnvironmentCredential: ")
    }))

  it.effect.each(["AZURE_CLIENT_SECRET", "AZURE_TOKEN_CREDENTIALS"])(
    "%s that cannot be read is not skipped",
    (unreadable) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(
          ConfidentialClient.acquireToken({ scopes: graph }).pipe(
            Effect.provide(layerDefault()),
            Effect.provide([
              NodeFileSystem.layer,
              Network([], true),
              ConfigProvider.layer(
                ConfigProvider.make(([name]) =>
                  name === unreadable
                    ? Effect.fail(new ConfigProvider.SourceError({ message: "broken" }))
                    : Effect.succeed(undefined)
                )
              ),
              record().layer
            ])
          )
        )
        assert.include("field" in error ? error.field : "", unreadable)
      })
  )
})

it.effect("firstOf goes on from a managed identity that is not there", () =>
  Effect.gen(function*() {
    const fiber = yield* ConfidentialClient.acquireToken({ scopes: graph }).pipe(
      Effect.provide(
        ConfidentialClient.layerDefault({ clientId: EntraSimulator.daemonClientId, tenantId: contoso }).pipe(
          Layer.provide(ClientCredential.layerFirstOf([
            ManagedIdentity.assertion(),
            ClientCredential.secret(EntraSimulator.daemonSecret)
          ]))
        )
      ),
      Effect.provide([
        NodeFileSystem.layer,
        Network([], false),
        ConfigProvider.layer(ConfigProvider.fromEnvRecord({})),
        record().layer
      ]),
      Effect.forkChild
    )
    yield* TestClock.adjust("2 seconds")
    assert.strictEqual(
      (yield* Fiber.join(fiber)).tenantId,
      contoso
    )
  }))
