/** A service in a container. On SIGTERM it finishes the requests that it has, and closes its client. */
import { Effect, Layer, ManagedRuntime } from "effect"
import { ConfidentialClient } from "effect-entra"
import { FetchHttpClient } from "effect/http"
import { createServer } from "node:http"

const runtime = ManagedRuntime.make(ConfidentialClient.layerFromEnv().pipe(Layer.provide(FetchHttpClient.layer)))

const program = ConfidentialClient.acquireToken({ scopes: "https://graph.microsoft.com/.default" }).pipe(
  Effect.map(({ metadata }) => ({ status: 200, text: `a token from ${metadata.tokenSource}` })),
  Effect.catch(({ code }) => Effect.succeed({ status: 503, text: code }))
)

const server = createServer((_request, response) => {
  void runtime.runPromise(program).then(({ status, text }) =>
    response.writeHead(status, { connection: "close" }).end(text)
  )
})

server.listen(Number(process.env["PORT"] ?? 8080), () => {
  const address = server.address()
  console.log(`listening on ${typeof address === "object" ? address?.port : address}`)
})

process.once("SIGTERM", () => {
  server.close(() => {
    void runtime.dispose().then(() => {
      console.log("closed")
      process.exit()
    })
  })
})
