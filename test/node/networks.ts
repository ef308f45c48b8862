/** Runs recipes of `examples/networks` in a process of its own, and prints what came of each, a line of JSON apiece. */
import { Effect, type Layer } from "effect"
import { ConfidentialClient, RetryPolicy } from "effect-entra"

const recipes: Record<
  string,
  () => Promise<{ readonly Entra: Layer.Layer<ConfidentialClient.ConfidentialClient, unknown> }>
> = {
  environment: () => import("../../examples/networks/environment.ts"),
  "private-authority": () => import("../../examples/networks/private-authority.ts"),
  fetch: () => import("../../examples/networks/fetch.ts"),
  undici: () => import("../../examples/networks/undici.ts"),
  "node-http": () => import("../../examples/networks/node-http.ts"),
  gateway: () => import("../../examples/networks/gateway.ts"),
  "two-transports": () => import("../../examples/networks/two-transports.ts")
}

for (const [recipe, load] of Object.entries(recipes)) {
  const { Entra } = await load()
  const result = await ConfidentialClient.acquireToken({ scopes: "https://graph.microsoft.com/.default" }).pipe(
    Effect.provideService(RetryPolicy.Current, RetryPolicy.none),
    Effect.map(({ metadata }) => ({ recipe, source: metadata.tokenSource })),
    Effect.provide(Entra),
    Effect.catch((error) => Effect.succeed({ recipe, error })),
    Effect.runPromise
  )
  console.log(JSON.stringify(result))
}
