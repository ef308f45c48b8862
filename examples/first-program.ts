import { Console, Effect, Layer } from "effect"
import { BearerHttpClient, ConfidentialClient } from "effect-entra"
import { FetchHttpClient, HttpClient } from "effect/http"

const Graph = BearerHttpClient.layer({ "https://graph.microsoft.com": "https://graph.microsoft.com/.default" }).pipe(
  Layer.provide(ConfidentialClient.layerConfig()),
  Layer.provide(FetchHttpClient.layer)
)
const users = Effect.flatMap(HttpClient.get("https://graph.microsoft.com/v1.0/users"), (response) => response.json)

await Effect.runPromise(users.pipe(Effect.flatMap(Console.log), Effect.provide(Graph)))
