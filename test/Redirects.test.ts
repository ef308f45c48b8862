/** A secret goes to the host it was meant for and nowhere else, whichever transport carries it. */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { AuthorityResolver, ClientCredential, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
import { SimulatorServer } from "effect-entra/node"
import { EntraSimulator } from "effect-entra/testing"
import { FetchHttpClient, HttpClient } from "effect/http"
import { createServer, type IncomingHttpHeaders } from "node:http"
import type { AddressInfo } from "node:net"
import { contoso, graph } from "./support/world.ts"

/** A server that takes whatever comes and remembers it: the target of the redirects. */
const trap = Effect.gen(function*() {
  const caught: Array<{ readonly headers: IncomingHttpHeaders; readonly body: string }> = []
  const server = createServer((request, response) => {
    let body = ""
    request.on("data", (chunk) => body += String(chunk))
    request.on("end", () => {
      caught.push({ headers: request.headers, body })
      response.end("{}")
    })
  })
  yield* Effect.acquireRelease(
    Effect.promise(() => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))),
    () =>
      Effect.promise(() => {
        server.closeAllConnections()
        return new Promise((resolve) => server.close(resolve))
      })
  )
  const address: AddressInfo | string | null = server.address()
  if (address === null || typeof address === "string") return yield* Effect.die("no address")
  return { caught, url: `http://127.0.0.1:${address.port}/catch` }
})

const transports = [
  { name: "fetch", transport: FetchHttpClient.layer },
  {
    name: "fetch with options of the user's",
    transport: FetchHttpClient.layer.pipe(
      Layer.provide(Layer.succeed(FetchHttpClient.RequestInit, { redirect: "follow", headers: { "x-user": "kept" } }))
    )
  },
  { name: "undici", transport: NodeHttpClient.layerUndici },
  { name: "node:http", transport: NodeHttpClient.layerNodeHttp }
]

const clients = [
  { client: "as it is", transformClient: undefined },
  { client: "that follows redirects", transformClient: HttpClient.followRedirects(5) }
]

for (const { name, transport } of transports) {
  describe(name, () => {
    for (const { client, transformClient } of clients) {
      it.live.each([301, 302, 303, 307, 308] as const)(`a client ${client}: %i`, (status) =>
        Effect.gen(function*() {
          const { caught, url } = yield* trap
          const simulator = yield* EntraSimulator.EntraSimulator
          yield* simulator.fail(EntraSimulator.Fault.redirect(url, status))
          const live = ConfidentialClient.layer({ clientId: EntraSimulator.daemonClientId, tenantId: contoso }).pipe(
            Layer.provide([
              ClientCredential.layerSecret(EntraSimulator.daemonSecret),
              AuthorityResolver.layerStatic({ token: `${simulator.origin}/${contoso}/oauth2/v2.0/token` }),
              TokenEndpoint.layerWith({ transformClient, retry: undefined, budget: "5 seconds" }),
              TokenCache.layerMemory()
            ]),
            Layer.provide(transport)
          )
          const context = yield* Layer.build(live)
          const acquire = Effect.provideContext(ConfidentialClient.acquireToken({ scopes: graph }), context)
          const error = yield* Effect.flip(acquire)
          assert.deepStrictEqual(caught, [])
          assert.strictEqual(error._tag, "EntraInvalidResponseError")
          assert.strictEqual(error.code, "redirect_refused")
          // The same client works where it is not sent away, and what the user set for fetch is still set.
          yield* simulator.clearFaults
          const result = yield* acquire
          assert.isAbove(Redacted.value(result.accessToken).length, 100)
          if (name.includes("user")) {
            assert.strictEqual((yield* simulator.requests).at(-1)?.headers["x-user"], "kept")
          }
        }).pipe(Effect.provide(SimulatorServer.layerHttp())))
    }
  })
}
