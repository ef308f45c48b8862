/** Clients whose credentials are files, against the strict simulator: a token proves that the file was read right. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Layer, Redacted } from "effect"
import { AuthorityResolver, ConfidentialClient, EntraError, TokenCache, TokenEndpoint } from "effect-entra"
import { layerConfig, NodeClientCredential } from "effect-entra/node"
import { EntraSimulator } from "effect-entra/testing"
import { HttpClient } from "effect/http"
import { decodeProtectedHeader, importPKCS8, SignJWT } from "jose"
import { X509Certificate } from "node:crypto"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll } from "vitest"
import { runChild } from "../support/child.ts"
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

const client = (variables: Readonly<Record<string, string>>) =>
  layerConfig().pipe(
    Layer.provide(NodeFileSystem.layer),
    Layer.provide(
      ConfigProvider.layer(
        ConfigProvider.fromEnvRecord({ AZURE_CLIENT_ID: clientId, AZURE_TENANT_ID: contoso, ...variables })
      )
    )
  )

/** What the last request presented. */
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
      }).pipe(Effect.provide(EntraSimulator.layerMemory())))
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
      }).pipe(Effect.provide(EntraSimulator.layerMemory())))
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
      Effect.provide([EntraSimulator.layerMemory(), NodeFileSystem.layer])
    ))
})

describe("federated tokens", () => {
  /** What a platform would write: a JWT for this app, signed with a key that the app's registration trusts. */
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

  it.live("the file is read for each attempt: what was replaced is used, what is gone is an error", () =>
    Effect.gen(function*() {
      const [first, second] = [yield* issue("first"), yield* issue("second")]
      const path = write("token", `\n${first}\r\n`)
      yield* register(made.RSA.leaf)
      yield* Effect.gen(function*() {
        yield* forced
        assert.strictEqual(yield* presented, first)
        write("token", second)
        yield* forced
        assert.strictEqual(yield* presented, second)

        for (
          const [content, code] of [["", "file_empty"], ["{}", "assertion_malformed"], [undefined, "file_missing"]]
        ) {
          if (content === undefined) rmSync(path)
          else write("token", content)
          const error = yield* Effect.flip(forced)
          assert.strictEqual(error._tag, "EntraCredentialError")
          assert.strictEqual(error.code, code)
          assert.include(error.message, path)
          assert.include(error.message, "AZURE_FEDERATED_TOKEN_FILE")
        }
        write("token", yield* issue("third"))
        yield* forced
        const { counters } = yield* EntraSimulator.EntraSimulator
        assert.strictEqual((yield* counters).tokenRequests, 3)
      }).pipe(Effect.provide(client({ AZURE_FEDERATED_TOKEN_FILE: path })))
    }).pipe(Effect.provide(EntraSimulator.layerMemory())))

  const acquire = ConfidentialClient.acquireToken({ scopes: graph })

  it.live("a token that is replaced after a refusal is used at the next call but one, and nothing is sent until then", () =>
    Effect.gen(function*() {
      const path = write("refused", yield* issue("used"))
      const { counters } = yield* EntraSimulator.EntraSimulator
      const sent = Effect.map(counters, ({ tokenRequests }) => tokenRequests)
      yield* Effect.gen(function*() {
        // Nobody has registered the certificate yet.
        const error = yield* Effect.flip(acquire)
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
    }).pipe(Effect.provide(EntraSimulator.layerMemory())))

  it.live("a token that was replaced while it was being refused is tried at once, for each tenant that was under way", () =>
    Effect.gen(function*() {
      const path = write("overtaken", yield* issue("stale"))
      const simulator = yield* EntraSimulator.EntraSimulator
      const credential = yield* NodeClientCredential.federatedTokenFile(path)
      const before = credential.revision()
      const attempt = (correlationId: string) =>
        credential.authenticate({
          clientId,
          tenantId: contoso,
          authority: "",
          tokenEndpoint: "",
          audience: "",
          assertion: { thumbprint: "x5t", rsa: "RS256" },
          claims: "",
          correlationId
        })
      const refused = (correlationId: string) =>
        credential.refused(
          new EntraError.InvalidClientError({
            code: "assertion_refused",
            message: "no",
            remedy: "none",
            origin: "service",
            correlationId
          })
        )
      yield* attempt("one")
      yield* attempt("two")
      assert.isFalse(yield* refused("one"))
      assert.strictEqual(credential.revision(), before)
      yield* attempt("one")
      write("overtaken", yield* issue("new"))
      assert.isTrue(yield* refused("one"))
      assert.notStrictEqual(credential.revision(), before)
      assert.isTrue(yield* refused("two"))
      yield* attempt("one")
      assert.isFalse(yield* refused("one"))
      rmSync(path)
      assert.isFalse(yield* refused("one"))
      assert.deepStrictEqual(yield* simulator.requests, [])
    }).pipe(Effect.provide([EntraSimulator.layerMemory(), NodeFileSystem.layer])))

  it.live("each attempt of one acquisition reads the file", () =>
    Effect.gen(function*() {
      const path = write("retried", yield* issue("before"))
      yield* register(made.RSA.leaf)
      const simulator = yield* EntraSimulator.EntraSimulator
      const credential = yield* NodeClientCredential.federatedTokenFile(path)
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
      Effect.provide([EntraSimulator.layerMemory(), NodeFileSystem.layer])
    ))
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
import { layerConfig } from "effect-entra/node"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { Effect, Layer } from "effect"
import { FetchHttpClient } from "effect/http"
const layer = layerConfig().pipe(Layer.provide([FetchHttpClient.layer, NodeFileSystem.layer]))
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
