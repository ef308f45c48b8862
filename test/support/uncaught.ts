/** A program whose request goes wrong, and that does not catch it: node prints the error as it pleases. */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { Effect } from "effect"
import { BearerHttpClient, ConfidentialClient } from "effect-entra"
import { FetchHttpClient, HttpClient } from "effect/http"
import { serve } from "./server.ts"

const [, , name, what] = process.argv
const transport = name === "fetch"
  ? FetchHttpClient.layer
  : name === "undici"
  ? NodeHttpClient.layerUndici
  : NodeHttpClient.layerNodeHttp

const program = Effect.gen(function*() {
  const port = yield* serve((request, response) => {
    if (what === "reset") request.socket.destroy()
    else if (what === "status") response.writeHead(500).end("no")
    else if (what === "redirect") response.writeHead(302, { location: "/x" }).end()
    else response.end("no JSON")
  })
  const origin = `http://localhost:${port}`
  // Put together here, so that no quoted line of this program shows it.
  const token = ["THE", "SECRET", "TOKEN"].join("-")
  yield* Effect.gen(function*() {
    const client = yield* HttpClient.HttpClient
    const response = yield* (what === "json" ? client : HttpClient.filterStatusOk(client)).get(origin)
    yield* response.json
  }).pipe(
    Effect.provide(BearerHttpClient.layer({ [origin]: "api://orders/.default" })),
    Effect.provide([transport, ConfidentialClient.layerTest(token)])
  )
})

await Effect.runPromise(Effect.scoped(program))
