/** The vault that other tests lean on is as strict as they need: Microsoft's own client says so. */
import { isRestError } from "@azure/core-rest-pipeline"
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import {
  AuthorityResolver,
  AzureCredential,
  ClientCredential,
  ConfidentialClient,
  TokenCache,
  TokenEndpoint
} from "effect-entra"
import { SimulatorServer } from "effect-entra/node"
import { EntraSimulator, TestCertificate } from "effect-entra/testing"
import { execFileSync } from "node:child_process"
import { createPrivateKey } from "node:crypto"
import { silent } from "../../support/log.ts"
import { ensureOpenssl } from "../../support/openssl.ts"
import { secretClient } from "./client.ts"
import * as Vault from "./server.ts"

beforeAll(ensureOpenssl, 120_000)

const { contosoTenantId, daemonClientId, daemonSecret } = EntraSimulator

const World = Layer.mergeAll(AuthorityResolver.layer, TokenEndpoint.layer, TokenCache.layerMemory()).pipe(
  Layer.provideMerge(SimulatorServer.layerHttpClient),
  Layer.provideMerge(SimulatorServer.layerHttps({
    resources: [...EntraSimulator.defaultOptions.resources, Vault.resource]
  })),
  Layer.provideMerge(silent)
)

const opened = Effect.fnUntraced(function*(options: Partial<Vault.Options> = {}) {
  const { origin } = yield* SimulatorServer.SimulatorServer
  const vault = yield* Vault.make({ tenant: contosoTenantId, readers: [daemonClientId], ...options })
  const client = yield* ConfidentialClient.make({
    clientId: daemonClientId,
    tenantId: contosoTenantId,
    authority: origin,
    credential: yield* ClientCredential.secret(daemonSecret)
  })
  const credential = yield* Effect.provideService(AzureCredential.make, ConfidentialClient.ConfidentialClient, client)
  return {
    client,
    vault,
    secrets: secretClient(vault, credential),
    withToken: (token: string) =>
      secretClient(vault, { getToken: () => Promise.resolve({ token, expiresOnTimestamp: Date.now() + 3_600_000 }) })
  }
})

const refusalOf = (promise: () => Promise<unknown>) =>
  Effect.flip(Effect.tryPromise({ try: promise, catch: (error) => error })).pipe(
    Effect.map((error) => isRestError(error) ? [error.statusCode, error.code] : [error])
  )

describe("a Key Vault for tests", () => {
  it.live("hands out the newest version, and older ones by their ids", () =>
    Effect.gen(function*() {
      const { secrets, vault } = yield* opened()
      const first = yield* vault.put("daemon", "one", "text/plain")
      const second = yield* vault.put("daemon", "two", "text/plain")
      const newest = yield* Effect.promise(() => secrets.getSecret("daemon"))
      assert.deepStrictEqual([newest.value, newest.properties.version], ["two", second])
      assert.strictEqual(newest.properties.contentType, "text/plain")
      const older = yield* Effect.promise(() => secrets.getSecret("daemon", { version: first }))
      assert.strictEqual(older.value, "one")
      // It was told once where tokens come from.
      assert.deepStrictEqual(vault.reads.map(({ status }) => status), [401, 200, 200])
    }).pipe(Effect.scoped, Effect.provide(World)))

  it.live("refuses what is not there, who may not, and tokens that are for others or forged", () =>
    Effect.gen(function*() {
      const { client, secrets, vault, withToken } = yield* opened()
      assert.deepStrictEqual(yield* refusalOf(() => secrets.getSecret("other")), [404, "SecretNotFound"])
      yield* vault.put("daemon", "one")
      const graph = yield* client.acquireToken({ scopes: "https://graph.microsoft.com/.default" })
      const own = yield* client.acquireToken({ scopes: "https://vault.azure.net/.default" })
      const forged = Redacted.value(own.accessToken).replace(/.{8}$/, "AAAAAAAA")
      for (const token of [Redacted.value(graph.accessToken), forged]) {
        assert.deepStrictEqual(yield* refusalOf(() => withToken(token).getSecret("daemon")), [401, "Unauthorized"])
      }
      const accepted = yield* Effect.promise(() => withToken(Redacted.value(own.accessToken)).getSecret("daemon"))
      assert.strictEqual(accepted.value, "one")
      const closed = yield* opened({ readers: [] })
      assert.deepStrictEqual(yield* refusalOf(() => closed.secrets.getSecret("daemon")), [403, "Forbidden"])
    }).pipe(Effect.scoped, Effect.provide(World)))

  it.live("keeps certificates as PKCS#12 without a password, in base64", () =>
    Effect.gen(function*() {
      const made = yield* TestCertificate.make()
      const pem = execFileSync("openssl", ["pkcs12", "-nodes", "-nocerts", "-passin", "pass:"], {
        input: Buffer.from(yield* Vault.pkcs12(made), "base64"),
        encoding: "utf8",
        stdio: ["pipe", "pipe", "ignore"]
      })
      assert.isTrue(createPrivateKey(pem).equals(createPrivateKey(Redacted.value(made.privateKey))))
    }))
})
