/** Microsoft's client for Graph with tokens of this library. Any SDK that takes a `TokenCredential` works like this. */
import { Client } from "@microsoft/microsoft-graph-client"
import { TokenCredentialAuthenticationProvider } from "@microsoft/microsoft-graph-client/authProviders/azureTokenCredentials/index.js"
import { Layer, ManagedRuntime } from "effect"
import { AzureCredential, ConfidentialClient } from "effect-entra"
import { FetchHttpClient } from "effect/http"

const runtime = ManagedRuntime.make(ConfidentialClient.layerFromEnv().pipe(Layer.provide(FetchHttpClient.layer)))
const credential = await runtime.runPromise(AzureCredential.make)

// The SDK requests a token before every call; all but the first come from memory.
const graph = Client.initWithMiddleware({
  authProvider: new TokenCredentialAuthenticationProvider(credential, {
    scopes: ["https://graph.microsoft.com/.default"]
  })
})
for (let url: unknown = "/users?$top=50"; typeof url === "string";) {
  const page = await graph.api(url).get()
  console.log(`${page.value.length} users, the first of them ${page.value[0].displayName}`)
  url = page["@odata.nextLink"]
}
const { hits, misses } = await runtime.runPromise(ConfidentialClient.stats)
console.log(`calls: ${hits + misses}, cache hits: ${hits}`)
await runtime.dispose()
