/** Many keys without a token at once, against a token endpoint on this machine that counts its connections. */
import { Duration, Effect, Exit, Layer, Redacted } from "effect"
import { AuthorityResolver, ClientCredential, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
import { EntraSimulator } from "effect-entra/testing"
import type { HttpClient } from "effect/http"
import { createServer } from "node:http"
import { listening } from "./server.ts"

/** A server that answers each token request after `delay`. */
export const tokenServer = Effect.fnUntraced(function*(delay: Duration.Input) {
  const counts = { connections: 0, mostConnections: 0, mostRequests: 0, requests: 0 }
  const now = { connections: 0, requests: 0 }
  const server = createServer((request, response) => {
    counts.requests++
    counts.mostRequests = Math.max(counts.mostRequests, ++now.requests)
    response.once("close", () => now.requests--)
    request.resume()
    setTimeout(() => {
      response.end(JSON.stringify({ access_token: "a-token", token_type: "Bearer", expires_in: 3600 }))
    }, Duration.toMillis(delay))
  })
  server.on("connection", (socket) => {
    counts.connections++
    counts.mostConnections = Math.max(counts.mostConnections, ++now.connections)
    socket.once("close", () => now.connections--)
  })
  const port = yield* listening(server)
  return { counts, url: `http://127.0.0.1:${port}/token` }
})

/** Acquires a token for each of `keys` at once, and returns the number of calls that failed. */
export const manyKeys = (
  { url }: { readonly url: string },
  transport: Layer.Layer<HttpClient.HttpClient>,
  { keys, tenants, ...options }: TokenEndpoint.Options & { readonly keys: number; readonly tenants: number }
) =>
  Effect.gen(function*() {
    const exits = yield* Effect.forEach(
      Array.from({ length: keys }, (_, i) => i),
      (i) =>
        Effect.exit(
          ConfidentialClient.acquireToken({ scopes: `api://${i}/.default`, tenantId: `t${i % tenants}.example` })
        ),
      { concurrency: "unbounded" }
    )
    return { failed: exits.filter(Exit.isFailure).length }
  }).pipe(Effect.provide(
    ConfidentialClient.layer({ clientId: EntraSimulator.daemonClientId }).pipe(
      Layer.provide([
        ClientCredential.layerSecret(Redacted.make("the secret's value")),
        AuthorityResolver.layerStatic({ token: url }),
        TokenEndpoint.layerWith(options),
        TokenCache.layerMemory()
      ]),
      Layer.provide(transport)
    )
  ))
