/**
 * A daemon whose certificate is kept in Azure Key Vault, which renews it. The environment says who reads the vault: a
 * workload identity in a cluster (`AZURE_FEDERATED_TOKEN_FILE`); on a virtual machine `ManagedIdentity.layer()` stands here.
 */
import { SecretClient } from "@azure/keyvault-secrets"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { Config, Console, Effect, Layer, Redacted } from "effect"
import { AuthorityResolver, AzureCredential, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
import { NodeClientCredential, NodeConfidentialClient } from "effect-entra/node"
import { FetchHttpClient } from "effect/http"

const Reader = NodeConfidentialClient.layerFromEnv()

/** Read when it is first needed, every 6 hours, and when Entra no longer takes the one in hand. */
const Certificate = Layer.unwrap(Effect.gen(function*() {
  const secrets = new SecretClient(yield* Config.String("KEY_VAULT_URL"), yield* AzureCredential.make)
  // The secret of the same name holds certificate and key: PKCS#12 in base64.
  const read = Effect.tryPromise((abortSignal) => secrets.getSecret("daemon", { abortSignal }))
  return NodeClientCredential.layerCertificate(
    Effect.map(read, ({ value = "" }) => ({ content: Redacted.make(value) })),
    { reloadEvery: "6 hours" }
  )
})).pipe(Layer.provide(Reader))

const Daemon = Layer.unwrap(Effect.gen(function*() {
  const clientId = yield* Config.String("DAEMON_CLIENT_ID")
  const tenantId = yield* Config.String("AZURE_TENANT_ID")
  return ConfidentialClient.layer({ clientId, tenantId })
})).pipe(Layer.provide([Certificate, AuthorityResolver.layer, TokenEndpoint.layer, TokenCache.layerMemory()]))

const program = Effect.gen(function*() {
  const token = yield* ConfidentialClient.acquireToken({ scopes: "https://graph.microsoft.com/.default" })
  yield* Console.log(`a ${token.tokenType} token for a certificate out of the vault`)
})

await Effect.runPromise(
  program.pipe(Effect.provide(Daemon), Effect.provide([FetchHttpClient.layer, NodeFileSystem.layer]))
)
