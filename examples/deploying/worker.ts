/** A Worker. Its variables come with the request, so that the first request builds the client. */
import { ConfigProvider, Effect, Layer, ManagedRuntime } from "effect"
import { ConfidentialClient } from "effect-entra"
import { FetchHttpClient } from "effect/http"

type Variables = Readonly<Record<string, string>>

const runtimeOf = (variables: Variables) =>
  ManagedRuntime.make(
    ConfidentialClient.layerFromEnv().pipe(
      Layer.provide([FetchHttpClient.layer, ConfigProvider.layer(ConfigProvider.fromEnv({ env: variables }))])
    )
  )

let runtime: ReturnType<typeof runtimeOf> | undefined

const program = ConfidentialClient.acquireToken({ scopes: "https://graph.microsoft.com/.default" }).pipe(
  Effect.map(({ metadata }) => new Response(`a token from ${metadata.tokenSource}`)),
  Effect.catch(({ code }) => Effect.succeed(new Response(code, { status: 503 })))
)

export default {
  fetch: (
    _request: Request,
    variables: Variables,
    context: { readonly waitUntil: (promise: Promise<unknown>) => void }
  ): Promise<Response> => {
    runtime ??= runtimeOf(variables)
    return runtime.runPromise(
      Effect.provideService(program, ConfidentialClient.WaitUntil, (promise) => context.waitUntil(promise))
    )
  }
}
