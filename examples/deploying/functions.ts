/** A handler of Azure Functions. The runtime belongs to the module, so that all calls of an instance share one cache. */
import { Effect, Layer, ManagedRuntime } from "effect"
import { ConfidentialClient } from "effect-entra"
import { FetchHttpClient } from "effect/http"

const runtime = ManagedRuntime.make(ConfidentialClient.layerFromEnv().pipe(Layer.provide(FetchHttpClient.layer)))

const program = ConfidentialClient.acquireToken({ scopes: "https://graph.microsoft.com/.default" }).pipe(
  Effect.map(({ metadata }) => ({ status: 200, body: `a token from ${metadata.tokenSource}` })),
  Effect.catch(({ code }) => Effect.succeed({ status: 503, body: code }))
)

/** `app.http("orders", { handler })` */
export const handler = () => runtime.runPromise(program)

/** `app.hook.appTerminate(terminate)` */
export const terminate = () => runtime.dispose()
