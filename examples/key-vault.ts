/**
 * A daemon whose certificate is in Azure Key Vault, which renews it. The environment names the app that reads the vault: a
 * workload identity in a cluster (`AZURE_FEDERATED_TOKEN_FILE`). On a virtual machine use `ManagedIdentity.layer()` instead.
 */
import { SecretClient } from "@azure/keyvault-secrets"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { Config, Console, Effect, Layer, Redacted } from "effect"
import { AzureCredential, ConfidentialClient } from "effect-entra"
import { NodeClientCredential, NodeConfidentialClient } from "effect-entra/node"
import { FetchHttpClient } from "effect/http"

const Reader = NodeConfidentialClient.layerFromEnv()

/** Reads the certificate when it is first needed, every 6 hours, and when Entra refuses the current one. */
const Certificate = Layer.unwrap(Effect.gen(function*() {
  const secrets = new SecretClient(yield* Config.String("KEY_VAULT_URL"), yield* AzureCredential.make)
  // The vault's secret of the same name holds the certificate and the key: PKCS#12 in base64.
  const read = Effect.tryPromise((abortSignal) => secrets.getSecret("daemon", { abortSignal }))
  return NodeClientCredential.layerCertificate(
    Effect.map(read, ({ value = "" }) => ({ content: Redacted.make(value) })),
    { reloadEvery: "6 hours" }
  )
})).pipe(Layer.provide(Reader))

const Daemon = Layer.unwrap(Effect.gen(function*() {
  const clientId = yield* Config.String("DAEMON_CLIENT_ID")
  const tenantId = yield* Config.String("AZURE_TENANT_ID")
  return ConfidentialClient.layerDefault({ clientId, tenantId })
})).pipe(Layer.provide(Certificate))

const program = Effect.gen(function*() {
  const token = yield* ConfidentialClient.acquireToken({ scopes: "https://graph.microsoft.com/.default" })
  yield* Console.log(`a ${token.tokenType} token with the certificate of the vault`)
})

await Effect.runPromise(
  program.pipe(Effect.provide(Daemon), Effect.provide([FetchHttpClient.layer, NodeFileSystem.layer]))
)
