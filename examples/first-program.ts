import { Console, Effect, Layer } from "effect"
import { BearerHttpClient, ConfidentialClient } from "effect-entra"
import { FetchHttpClient, HttpClient, HttpClientResponse } from "effect/http"

const Entra = Layer.provideMerge(ConfidentialClient.layerFromEnv(), FetchHttpClient.layer)
const Graph = BearerHttpClient.layer({ "https://graph.microsoft.com": "https://graph.microsoft.com/.default" })
const users = HttpClient.get("https://graph.microsoft.com/v1.0/users").pipe(
  Effect.flatMap(HttpClientResponse.filterStatusOk),
  Effect.flatMap((response) => response.json)
)

await Effect.runPromise(users.pipe(Effect.flatMap(Console.log), Effect.provide(Layer.provide(Graph, Entra))))
