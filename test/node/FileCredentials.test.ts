/** Clients whose credentials are files, against the strict simulator: a token proves that the file was read right. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, FileSystem, Layer, Redacted } from "effect"
import {
  AuthorityResolver,
  ClientCredential,
  ConfidentialClient,
  EntraError,
  RetryPolicy,
  TokenCache,
  TokenEndpoint
} from "effect-entra"
import { layerFromEnv, NodeClientCredential } from "effect-entra/node"
import { EntraSimulator, TestIssuer } from "effect-entra/testing"
import { HttpClient } from "effect/http"
import { decodeJwt, decodeProtectedHeader, importPKCS8, SignJWT } from "jose"
import { X509Certificate } from "node:crypto"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll } from "vitest"
import { runChild } from "../support/child.ts"
import { authenticate, sessions } from "../support/credentials.ts"
import { record, silent } from "../support/log.ts"
import { assertToldInFull } from "../support/shown.ts"
import { contoso, graph } from "../support/world.ts"
import { type Made, make, makeLongChain, password } from "./material.ts"

const folder = mkdtempSync(join(tmpdir(), "effect-entra-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const write = (name: string, content: string): string => {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

let made: { readonly RSA: Made; readonly EC: Made }
let long: Awaited<ReturnType<typeof makeLongChain>>

beforeAll(async () => {
  made = { RSA: await make("RSA"), EC: await make("EC") }
  long = await makeLongChain()
})

const clientId = EntraSimulator.daemonClientId

const Simulator = Layer.merge(EntraSimulator.layerMemory(), silent)

const client = (variables: Readonly<Record<string, string>>) =>
  layerFromEnv().pipe(
    Layer.provide(NodeFileSystem.layer),
    Layer.provide(
      ConfigProvider.layer(
        ConfigProvider.fromEnvRecord({ AZURE_CLIENT_ID: clientId, AZURE_TENANT_ID: contoso, ...variables })
      )
    )
  )

/** The assertion of the last request. */
const presented = Effect.gen(function*() {
  const { requests } = yield* EntraSimulator.EntraSimulator
  return (yield* requests).at(-1)?.form["client_assertion"] ?? ""
})

const register = (certificate: string) =>
  EntraSimulator.EntraSimulator.use((simulator) => simulator.addCertificate(clientId, certificate))

const forced = ConfidentialClient.acquireToken({ scopes: graph, forceRefresh: true })

describe("certificates", () => {
  for (
    const [algorithm, form] of [
      ["RSA", "pkcs8"],
      ["RSA", "traditional"],
      ["RSA", "encrypted"],
      ["RSA", "encryptedTraditional"],
      ["EC", "pkcs8"],
      ["EC", "traditional"],
      ["EC", "encrypted"]
    ] as const
  ) {
    it.live(`${algorithm}, ${form}: a token`, () =>
      Effect.gen(function*() {
        const { key, leaf } = made[algorithm]
        const path = write(`${algorithm}-${form}.pem`, key[form] + leaf)
        yield* register(leaf)
        const variables = {
          AZURE_CLIENT_CERTIFICATE_PATH: path,
          ...(form.startsWith("encrypted") ? { AZURE_CLIENT_CERTIFICATE_PASSWORD: password } : {})
        }
        const { metadata } = yield* Effect.provide(
          ConfidentialClient.acquireToken({ scopes: graph }),
          client(variables)
        )
        assert.strictEqual(metadata.tokenSource, "IdentityProvider")
        const header = decodeProtectedHeader(yield* presented)
        assert.strictEqual(header.alg, algorithm === "RSA" ? "PS256" : "ES256")
        assert.isUndefined(header.x5c)
      }).pipe(Effect.provide(Simulator)))
  }

  for (const flag of ["true", "TRUE", "1", "false", "0"]) {
    it.live(`a chain out of order, AZURE_CLIENT_SEND_CERTIFICATE_CHAIN=${flag}`, () =>
      Effect.gen(function*() {
        const path = write("chain.pem", long.root + long.key + long.namesake + long.leaf + long.middle)
        yield* register(long.leaf)
        yield* Effect.provide(
          ConfidentialClient.acquireToken({ scopes: graph }),
          client({ AZURE_CLIENT_CERTIFICATE_PATH: path, AZURE_CLIENT_SEND_CERTIFICATE_CHAIN: flag })
        )
        const { x5c } = decodeProtectedHeader(yield* presented)
        const ders = [long.leaf, long.middle, long.root].map((pem) => new X509Certificate(pem).raw.toString("base64"))
        assert.deepStrictEqual(x5c, ["true", "1"].includes(flag.toLowerCase()) ? ders : undefined)
      }).pipe(Effect.provide(Simulator)))
  }

  it.live("a file of one's own choice, for one app among many", () =>
    Effect.gen(function*() {
      const { key, leaf } = made.EC
      yield* register(leaf)
      const credential = yield* NodeClientCredential.certificateFile({
        path: write("own.pem", leaf + key.encrypted),
        password: Redacted.make(password)
      })
      const one = yield* ConfidentialClient.make({ clientId, tenantId: contoso, credential })
      yield* one.acquireToken({ scopes: graph })
      const wrong = yield* Effect.flip(
        NodeClientCredential.certificateFile({ path: join(folder, "own.pem"), password: Redacted.make("guess") })
      )
      assert.strictEqual(wrong.code, "key_password_wrong")
      assert.strictEqual(wrong.field, "password")
    }).pipe(
      Effect.provide(Layer.mergeAll(AuthorityResolver.layer, TokenEndpoint.layer, TokenCache.layerMemory())),
      Effect.provide([Simulator, NodeFileSystem.layer])
    ))
})

describe("federated tokens", () => {
  /** Returns a token as a platform would write it: a JWT for this app, signed with a key that the registered app trusts. */
  const issue = (id: string) =>
    Effect.promise(async () => {
      const { key, leaf } = made.RSA
      const { fingerprint256 } = new X509Certificate(leaf)
      const audience = `https://login.microsoftonline.com/${contoso}/oauth2/v2.0/token`
      return new SignJWT()
        .setProtectedHeader({
          alg: "PS256",
          typ: "JWT",
          "x5t#S256": Buffer.from(fingerprint256.replaceAll(":", ""), "hex").toString("base64url")
        })
        .setIssuer(clientId).setSubject(clientId).setAudience(audience).setJti(id)
        .setNotBefore("0 s").setExpirationTime("5 minutes")
        .sign(await importPKCS8(key.pkcs8, "PS256"))
    })

  const issuer = "https://oidc.cluster.example/1/"
  const subject = "system:serviceaccount:orders:daemon"

  it.live("the file is read for each attempt: what was replaced is used, what is away or half written changes nothing", () =>
    Effect.gen(function*() {
      const cluster = yield* TestIssuer.make({ issuer })
      const issued = Effect.map(cluster.issue({ subject }), Redacted.value)
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* simulator.trustIssuer(cluster)
      yield* simulator.addFederatedCredential(clientId, { issuer, subject })
      const [first, second, third] = [yield* issued, yield* issued, yield* issued]
      const path = write("token", `\n${first}\r\n`)
      yield* Effect.gen(function*() {
        yield* forced
        assert.strictEqual(yield* presented, first)
        write("token", second)
        for (const content of [second, "", "{}", second.slice(0, 100), undefined]) {
          if (content === undefined) rmSync(path)
          else write("token", content)
          yield* forced
          assert.strictEqual(yield* presented, second)
        }
        write("token", third)
        yield* forced
        assert.strictEqual(yield* presented, third)
        assert.strictEqual((yield* simulator.counters).tokenRequests, 7)
      }).pipe(Effect.provide(client({ AZURE_FEDERATED_TOKEN_FILE: path })))
    }).pipe(Effect.provide(Simulator)))

  it.live("a token that has expired is sent while it is in the file, and is an error of the file when that is gone", () =>
    Effect.gen(function*() {
      const cluster = yield* TestIssuer.make({ issuer })
      const expired = Redacted.value(yield* cluster.issue({ subject, lifetime: "-1 hour" }))
      const simulator = yield* EntraSimulator.EntraSimulator
      yield* simulator.trustIssuer(cluster)
      yield* simulator.addFederatedCredential(clientId, { issuer, subject })
      for (
        const [content, code] of [["", "file_empty"], ["{}", "assertion_malformed"], [
          undefined,
          "file_missing"
        ]] as const
      ) {
        const path = write("token", expired)
        yield* Effect.gen(function*() {
          if (content === undefined) rmSync(path)
          else write("token", content)
          const error = yield* Effect.flip(forced)
          assert.strictEqual(error._tag, "EntraCredentialError")
          assert.strictEqual(error.code, code)
          assertToldInFull(error)
          assert.include(error.message, path)
          assert.include(error.message, "AZURE_FEDERATED_TOKEN_FILE")
        }).pipe(Effect.provide(client({ AZURE_FEDERATED_TOKEN_FILE: path })))
      }
      assert.strictEqual((yield* simulator.counters).tokenRequests, 0)
      // The clock of this machine may be wrong: what the platform has just written is for the service to judge.
      const refused = yield* Effect.provide(
        Effect.flip(forced),
        client({ AZURE_FEDERATED_TOKEN_FILE: write("token", expired) })
      )
      assert.strictEqual(refused._tag, "EntraInvalidClientError")
    }).pipe(Effect.provide(Simulator)))

  const acquire = ConfidentialClient.acquireToken({ scopes: graph })

  it.live("a token that is replaced after a refusal is used at the next call but one, and nothing is sent until then", () =>
    Effect.gen(function*() {
      const path = write("refused", yield* issue("used"))
      const { counters } = yield* EntraSimulator.EntraSimulator
      const sent = Effect.map(counters, ({ tokenRequests }) => tokenRequests)
      yield* Effect.gen(function*() {
        // Nobody has registered the certificate yet.
        const error = yield* Effect.flip(acquire).pipe(
          Effect.provideService(RetryPolicy.Current, RetryPolicy.none)
        )
        assert.strictEqual(error._tag, "EntraInvalidClientError")
        yield* register(made.RSA.leaf)
        yield* Effect.sleep("1100 millis")
        // The same token: the refusal stands.
        for (let call = 0; call < 3; call++) assert.strictEqual((yield* Effect.flip(acquire)).origin, "local")
        assert.strictEqual(yield* sent, 1)
        write("refused", yield* issue("fresh"))
        yield* Effect.sleep("1100 millis")
        yield* Effect.ignore(acquire)
        yield* Effect.sleep("200 millis")
        yield* acquire
        assert.strictEqual(yield* sent, 2)
      }).pipe(Effect.provide(client({ AZURE_FEDERATED_TOKEN_FILE: path })))
    }).pipe(Effect.provide(Simulator)))

  it.live("a token that was replaced while it was being refused is tried at once, for each tenant that was under way", () =>
    Effect.gen(function*() {
      const path = write("overtaken", yield* issue("stale"))
      const simulator = yield* EntraSimulator.EntraSimulator
      const credential = sessions(yield* NodeClientCredential.federatedTokenFile({ path }))
      const before = credential.revision()
      const attempt = (correlationId: string) =>
        credential.authenticate({
          clientId,
          tenantId: contoso,
          scope: "",
          authority: "",
          tokenEndpoint: "",
          audience: "",
          assertion: { thumbprint: "x5t", rsa: "RS256" },
          claims: "",
          clientCapabilities: [],
          sendCertificateChain: undefined,
          correlationId
        })
      const refused = (correlationId: string) =>
        credential.refused(
          new EntraError.InvalidClientError({
            code: "assertion_refused",
            message: "no",
            remedy: "none",
            origin: "service",
            error: "invalid_client",
            errorCodes: [700024],
            correlationId
          })
        )
      yield* attempt("one")
      yield* attempt("two")
      write("overtaken", yield* issue("new"))
      // The attempt of "two" read the file before the new token was there.
      assert.isTrue(yield* refused("one"))
      assert.notStrictEqual(credential.revision(), before)
      assert.isTrue(yield* refused("two"))
      yield* attempt("one")
      const after = credential.revision()
      assert.isFalse(yield* refused("one"))
      assert.strictEqual(credential.revision(), after)
      rmSync(path)
      yield* attempt("three")
      assert.isFalse(yield* refused("three"))
      assert.deepStrictEqual(yield* simulator.requests, [])
    }).pipe(Effect.provide([Simulator, NodeFileSystem.layer])))

  it.live("each attempt of one acquisition reads the file", () =>
    Effect.gen(function*() {
      const path = write("retried", yield* issue("before"))
      yield* register(made.RSA.leaf)
      const simulator = yield* EntraSimulator.EntraSimulator
      const credential = yield* NodeClientCredential.federatedTokenFile({ path })
      yield* simulator.fail(EntraSimulator.Fault.unavailable())
      const after = yield* issue("after")
      const rotating = TokenEndpoint.layerWith({
        transformClient: HttpClient.tapRequest(() => Effect.sync(() => write("retried", after)))
      })
      const one = yield* ConfidentialClient.make({ clientId, tenantId: contoso, credential }).pipe(
        Effect.provide(rotating)
      )
      yield* one.acquireToken({ scopes: graph })
      const sent = (yield* simulator.requests).map(({ form }) => form["client_assertion"])
      assert.strictEqual(sent.length, 2)
      assert.notStrictEqual(sent[0], after)
      assert.strictEqual(sent[1], after)
    }).pipe(
      Effect.provide(Layer.mergeAll(AuthorityResolver.layer, TokenCache.layerMemory())),
      Effect.provide([Simulator, NodeFileSystem.layer])
    ))
})

describe("secrets in files", () => {
  const secretClient = (path: string) =>
    Effect.flatMap(
      NodeClientCredential.secretFile({ path }),
      (credential) => ConfidentialClient.make({ clientId, tenantId: contoso, credential })
    )

  it.live("line breaks at the end do not belong to it, other white space does", () =>
    Effect.gen(function*() {
      const { addSecret } = yield* EntraSimulator.EntraSimulator
      yield* addSecret(clientId, Redacted.make(" padded~secret "))
      for (
        const content of [" padded~secret ", " padded~secret \n", " padded~secret \r\n", "\ufeff padded~secret \n\n"]
      ) {
        const { acquireToken } = yield* secretClient(write("client-secret", content))
        yield* acquireToken({ scopes: graph, forceRefresh: true })
      }
      const other = yield* secretClient(write("client-secret", "padded~secret"))
      assert.strictEqual(
        (yield* Effect.flip(other.acquireToken({ scopes: graph, forceRefresh: true })))._tag,
        "EntraInvalidClientError"
      )
    }).pipe(
      Effect.scoped,
      Effect.provide(Layer.mergeAll(AuthorityResolver.layer, TokenEndpoint.layer, TokenCache.layerMemory())),
      Effect.provide([Simulator, NodeFileSystem.layer])
    ))

  it.live.each<readonly [name: string, content: string | undefined, code: string]>([
    ["empty", "", "file_empty"],
    ["line breaks alone", "\r\n\n", "file_empty"],
    ["white space alone", "  \n", "file_empty"],
    ["two lines", "the-secret\nanother\n", "secret_malformed"],
    ["a zero byte", "the-secret\0", "secret_malformed"],
    ["none", undefined, "file_missing"]
  ])("%s: found when it is loaded", ([, content, code]) =>
    Effect.gen(function*() {
      const path = content === undefined ? join(folder, "no-secret") : write("client-secret", content)
      const error = yield* Effect.flip(NodeClientCredential.secretFile({ path }))
      assert.strictEqual(error._tag, "EntraCredentialError")
      assert.strictEqual(error.code, code)
      assertToldInFull(error)
      assert.strictEqual(error.field, "path")
      assert.isNotEmpty(error.remedy)
      assert.notInclude(JSON.stringify(error) + error.message, "the-secret")
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.live("as a layer", () =>
    Effect.gen(function*() {
      const { channel } = yield* ClientCredential.ClientCredential
      assert.strictEqual(channel, "standard")
    }).pipe(
      Effect.provide(NodeClientCredential.layerSecretFile({ path: write("layer-secret", "a") })),
      Effect.provide(NodeFileSystem.layer)
    ))
})

describe("paths", () => {
  it.live.each([
    "aBc8Q~x1Y2z3A4b5C6d7E8f9G0h1I2j3K4l5M6n7",
    "aBc8q~x1Y2z3A4b5C6d7E8f9G0h1I2j3K4l5M.n7",
    "/Bc8Q~x1Y2z3A4b5C6d7E8f9G0h1I2j3K4l5M6n7\n",
    "abc/DEF+0123456789ABCDEFGHIJKLMNOPQRSTUVWXY=",
    "aBcD1234efgh5678-IJKL",
    // A secret in one of the service's formats with white space around it.
    "  aBc8Q~x1Y2z3A4b5C6d7E8f9G0h1I2j3K4l5M.n7",
    " abc/DEF+0123456789ABCDEFGHIJKLMNOPQRSTUVWXY= ",
    // Long runs: of base64 with slashes, of one kind of characters, and of mixed characters in a path.
    `Zm9v/${"aB3+/".repeat(12)}`,
    `tokens/${"aB3_-".repeat(13)}`,
    "{\"secret\": \"lower/case\"}",
    " '{\"secret\": \"lower/case\"}'",
    `c0ffee${"0123456789abcdef".repeat(4)}`,
    `${"A".repeat(60)} and more`,
    `/run/secrets/${"aB3".repeat(20)}`,
    `C:\\Secrets\\${"aB3".repeat(20)}`,
    `${"aB3".repeat(20)}.pfx`
  ])("a secret in place of its file's path is not shown: %s", (secret) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(NodeClientCredential.secretFile({ path: secret }))
      assert.strictEqual(error.code, "path_malformed")
      assertToldInFull(error)
      assert.notInclude(JSON.stringify(error) + error.message, secret.slice(0, 12))
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.live.each([
    "aBc8Q~x1",
    "Secrets/Client1/Daemon2024Production",
    "MyDaemonCertificate2024.pfx",
    "C:\\Certs\\MyDaemonCertificate2024",
    `C:\\Certs\\${"certificates-of-the-daemon-".repeat(3)}`,
    `/run/${"Secrets/Client1/".repeat(5)}`,
    `C:/${"Secrets/Client1/".repeat(5)}`,
    `${"Secrets/Client1/".repeat(5)}daemon.pfx`,
    `secrets/${"a-long-name-".repeat(6)}`,
    `${"a-long-name-".repeat(6)}.pfx`,
    "/run/secrets/azure-Client2-secret-of-the-daemon",
    "client-secret-of-the-daemon-2024"
  ])("a path is shown: %s", (path) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(NodeClientCredential.secretFile({ path }))
      assert.strictEqual(error.code, "file_missing")
      assertToldInFull(error)
      assert.include(error.message, path.split("\\").at(-1) ?? path)
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.live.each<readonly [name: string, bytes: Uint8Array, says: string]>([
    ["Latin-1", Buffer.from("s\u00e4cret", "latin1"), "is not UTF-8 text"],
    ["UTF-16 without a mark", Buffer.from("secret", "utf16le"), "holds zero bytes"]
  ])("a secret or token in %s is told as that", ([, bytes, says]) =>
    Effect.gen(function*() {
      const path = join(folder, "encoded")
      writeFileSync(path, bytes)
      const secret = yield* Effect.flip(NodeClientCredential.secretFile({ path }))
      assert.strictEqual(secret.code, "secret_malformed")
      assert.include(secret.message, says)
      const token = yield* Effect.flip(NodeClientCredential.federatedTokenFile({ path }))
      assert.strictEqual(token.code, "assertion_malformed")
      if (says !== "holds zero bytes") assert.include(token.message, says)
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.live("a pipe is opened once, and its content stays in use without a warning", () => {
    const recorded = record()
    let opened = 0
    const Files = Layer.effect(
      FileSystem.FileSystem,
      Effect.map(FileSystem.FileSystem, (files) =>
        FileSystem.FileSystem.of({
          ...files,
          stat: (path) => Effect.map(files.stat(path), (info) => ({ ...info, type: "FIFO" as const })),
          readFile: (path) => {
            opened++
            return files.readFile(path)
          }
        }))
    ).pipe(Layer.provide(NodeFileSystem.layer))
    return Effect.gen(function*() {
      const path = write("a-pipe", "s3cret")
      const credential = yield* NodeClientCredential.secretFile({ path }, { reloadEvery: 0 })
      for (const id of ["1", "2"]) {
        yield* authenticate(credential, attempt(id))
        // A warning of the reload comes after its attempt.
        yield* Effect.yieldNow
      }
      assert.strictEqual(opened, 1)
      assert.deepStrictEqual(recorded.entries, [])
    }).pipe(Effect.provide([Files, recorded.layer]))
  })

  it.live.each(["secret", "certificate"] as const)("a file that becomes a pipe is not opened again: %s", (kind) => {
    let isPipe = false
    let opened = 0
    const Files = Layer.effect(
      FileSystem.FileSystem,
      Effect.map(FileSystem.FileSystem, (files) =>
        FileSystem.FileSystem.of({
          ...files,
          stat: (path) => Effect.map(files.stat(path), (info) => isPipe ? { ...info, type: "FIFO" as const } : info),
          readFile: (path) =>
            Effect.andThen(
              Effect.sync(() => {
                opened++
              }),
              files.readFile(path)
            )
        }))
    ).pipe(Layer.provide(NodeFileSystem.layer))
    return Effect.gen(function*() {
      const reload = { reloadEvery: 0 }
      const credential = yield* kind === "secret"
        ? NodeClientCredential.secretFile({ path: write("becomes-a-pipe", "s3cret") }, reload)
        : NodeClientCredential.certificateFile(
          { path: write("becomes-a-pipe", made.EC.leaf + made.EC.key.pkcs8) },
          reload
        )
      isPipe = true
      yield* authenticate(credential, attempt("1"))
      yield* authenticate(credential, attempt("2"))
      assert.strictEqual(opened, 0)
    }).pipe(Effect.provide([Files, silent]))
  })
})

const attempt = (correlationId: string): ClientCredential.Attempt => ({
  clientId,
  tenantId: contoso,
  scope: "api://orders/.default",
  authority: "https://login.microsoftonline.com",
  tokenEndpoint: "https://login.microsoftonline.com/token",
  audience: "https://login.microsoftonline.com",
  assertion: { thumbprint: "x5t#S256", rsa: "PS256" },
  secretMethod: undefined,
  claims: "",
  clientCapabilities: [],
  sendCertificateChain: undefined,
  correlationId
})

describe("the key in a file of its own", () => {
  const load = (certificate: string, key: string) =>
    NodeClientCredential.certificateFile({ path: write("tls.crt", certificate), keyPath: write("tls.key", key) })

  it.live("as cert-manager writes it", () =>
    Effect.gen(function*() {
      yield* register(made.RSA.leaf)
      const credential = yield* load(made.RSA.leaf + made.RSA.authority, made.RSA.key.traditional)
      const one = yield* ConfidentialClient.make({ clientId, tenantId: contoso, credential })
      yield* one.acquireToken({ scopes: graph })
    }).pipe(
      Effect.scoped,
      Effect.provide(Layer.mergeAll(AuthorityResolver.layer, TokenEndpoint.layer, TokenCache.layerMemory())),
      Effect.provide([Simulator, NodeFileSystem.layer])
    ))

  it.live.each<readonly [name: string, certificate: () => string, key: () => string, code: string, field: string]>([
    ["another's key", () => made.RSA.leaf, () => made.EC.key.pkcs8, "key_mismatch", "keyPath"],
    ["no key in it", () => made.RSA.leaf + made.RSA.key.pkcs8, () => made.RSA.leaf, "key_missing", "keyPath"],
    ["nothing in it", () => made.RSA.leaf, () => "", "file_empty", "keyPath"],
    ["something else in it", () => made.RSA.leaf, () => "key", "key_missing", "keyPath"],
    ["no certificate", () => made.RSA.key.pkcs8, () => made.RSA.key.pkcs8, "certificate_missing", "path"],
    ["an encrypted key", () => made.RSA.leaf, () => made.RSA.key.encrypted, "key_password_missing", "password"]
  ])("%s", ([, certificate, key, code, field]) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(load(certificate(), key()))
      assert.strictEqual(error.code, code)
      assertToldInFull(error)
      assert.strictEqual(error.field, field)
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.live("is not there", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(
        NodeClientCredential.certificateFile({
          path: write("tls.crt", made.RSA.leaf),
          keyPath: join(folder, "nowhere.key")
        })
      )
      assert.strictEqual(error.code, "file_missing")
      assertToldInFull(error)
      assert.strictEqual(error.field, "keyPath")
    }).pipe(Effect.provide(NodeFileSystem.layer)))
})

describe("certificates as values", () => {
  const services = Layer.mergeAll(AuthorityResolver.layer, TokenEndpoint.layer, TokenCache.layerMemory())

  const acquire = (credential: ClientCredential.ClientCredential["Service"]) =>
    Effect.flatMap(
      ConfidentialClient.make({ clientId, tenantId: contoso, credential }),
      ({ acquireToken }) => acquireToken({ scopes: graph, forceRefresh: true })
    )

  const pem = ({ key, leaf }: Made) => ({ content: Redacted.make(leaf + key.traditional) })

  it.live("one, a list, and an effect of either", () =>
    Effect.gen(function*() {
      yield* register(made.RSA.leaf)
      const one = pem(made.RSA)
      for (
        const credential of [
          yield* NodeClientCredential.certificate(one),
          yield* NodeClientCredential.certificate([one]),
          yield* NodeClientCredential.certificate(Effect.succeed(one)),
          yield* NodeClientCredential.certificate(Effect.succeed([one])),
          yield* Effect.provide(
            ClientCredential.ClientCredential,
            NodeClientCredential.layerCertificate({
              content: Redacted.make(Buffer.from(made.RSA.key.encrypted + made.RSA.leaf)),
              password: Redacted.make(password)
            })
          )
        ]
      ) yield* acquire(credential)
    }).pipe(Effect.scoped, Effect.provide(services), Effect.provide(Simulator)))

  it.live("of a list the older one, while the newest is not registered yet", () =>
    Effect.gen(function*() {
      yield* register(made.RSA.leaf)
      yield* acquire(yield* NodeClientCredential.certificate([pem(made.EC), pem(made.RSA)]))
      const sent = (yield* (yield* EntraSimulator.EntraSimulator).requests).map(({ form }) =>
        decodeProtectedHeader(form["client_assertion"] ?? "").alg
      )
      assert.deepStrictEqual(sent, ["ES256", "PS256"])
    }).pipe(Effect.scoped, Effect.provide(services), Effect.provide(Simulator)))

  it.live("with the options of the core: chain, claims, algorithm, key id", () =>
    Effect.gen(function*() {
      yield* register(made.RSA.leaf)
      yield* acquire(
        yield* NodeClientCredential.certificate({
          ...pem(made.RSA),
          sendCertificateChain: true,
          assertionClaims: { xms_client: { nested: true } },
          algorithm: "RS256",
          keyId: "the-key"
        })
      )
      const assertion = yield* presented
      const header = decodeProtectedHeader(assertion)
      assert.strictEqual(header.alg, "RS256")
      assert.strictEqual(header.kid, "the-key")
      assert.strictEqual(header.x5c?.length, 1)
      assert.deepStrictEqual(decodeJwt(assertion)["xms_client"], { nested: true })
    }).pipe(Effect.scoped, Effect.provide(services), Effect.provide(Simulator)))

  it.live("what is wrong is found when it is loaded, and names no file", () =>
    Effect.gen(function*() {
      for (
        const [content, code, field] of [
          ["", "certificate_missing", "content"],
          ["nothing", "certificate_unreadable", "content"],
          [made.RSA.leaf, "key_missing", "content"],
          [made.RSA.leaf + made.EC.key.pkcs8, "key_mismatch", "content"],
          [made.RSA.leaf + made.RSA.key.encrypted, "key_password_missing", "password"]
        ] as const
      ) {
        const error = yield* Effect.flip(NodeClientCredential.certificate({ content: Redacted.make(content) }))
        assert.strictEqual(error.code, code)
        assertToldInFull(error)
        assert.strictEqual(error.field, field)
        assert.isTrue(error.message.startsWith(field))
      }
    }))

  it.live("an effect's failure says which, and not what was in it", () =>
    Effect.gen(function*() {
      const failing = Effect.fail({ _tag: "VaultError", secret: "the-secret" })
      const credential = yield* NodeClientCredential.certificate(failing)
      const error = yield* Effect.flip(acquire(credential))
      assert.strictEqual(error._tag, "EntraCredentialError")
      assert.strictEqual(error.code, "source_failed")
      assertToldInFull(error)
      assert.include(error.message, "VaultError")
      assert.notInclude(JSON.stringify(error) + error.message, "the-secret")
    }).pipe(Effect.scoped, Effect.provide(services), Effect.provide(Simulator)))
})

describe("the entry point", () => {
  it.live("works without the X.509 library, which only test certificates need", () =>
    Effect.gen(function*() {
      const hook = `import { registerHooks } from "node:module"
registerHooks({ resolve: (specifier, context, next) => {
  if (/^(?:@peculiar|reflect-metadata)/.test(specifier)) throw new Error("not installed: " + specifier)
  return next(specifier, context)
} })`
      const program = `
import { layerFromEnv } from "effect-entra/node"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { Effect, Layer } from "effect"
import { FetchHttpClient } from "effect/http"
const layer = layerFromEnv().pipe(Layer.provide([FetchHttpClient.layer, NodeFileSystem.layer]))
await Effect.runPromise(Effect.scoped(Layer.build(layer)))
console.log("built")`
      const { status, stderr, stdout } = yield* runChild(
        [
          "--conditions=@effect-entra/source",
          `--import=data:text/javascript,${encodeURIComponent(hook)}`,
          "--input-type=module",
          `--eval=${program}`
        ],
        {
          AZURE_CLIENT_ID: clientId,
          AZURE_CLIENT_CERTIFICATE_PATH: write("child.pem", made.EC.leaf + made.EC.key.traditional)
        }
      )
      assert.strictEqual(stderr, "")
      assert.strictEqual(stdout, "built\n")
      assert.strictEqual(status, 0)
    }))
})
