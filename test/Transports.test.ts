/** On every transport: a secret goes to the host it was meant for and nowhere else, and no answer is read without end. */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Redacted } from "effect"
import { AuthorityResolver, ClientCredential, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
import { NodeTransport, SimulatorServer } from "effect-entra/node"
import { EntraSimulator } from "effect-entra/testing"
import { FetchHttpClient, HttpClient } from "effect/http"
import type { IncomingHttpHeaders } from "node:http"
import { silent } from "./support/log.ts"
import { serve } from "./support/server.ts"
import { contoso, graph } from "./support/world.ts"

/** A server that takes whatever comes and remembers it: the target of the redirects. */
const trap = Effect.fnUntraced(function*(answer = "{}") {
  const caught: Array<{ readonly headers: IncomingHttpHeaders; readonly body: string }> = []
  const port = yield* serve((request, response) => {
    let body = ""
    request.on("data", (chunk) => body += String(chunk))
    request.on("end", () => {
      caught.push({ headers: request.headers, body })
      // Two writes, so that no length is declared.
      response.write(answer.slice(0, 1))
      response.end(answer.slice(1))
    })
  })
  return { caught, url: `http://127.0.0.1:${port}/catch` }
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
  { name: "NodeTransport", transport: Layer.orDie(NodeTransport.layer) },
  { name: "node:http", transport: NodeHttpClient.layerNodeHttp }
]

const clients = [
  { client: "as it is", transformClient: undefined },
  { client: "that follows redirects", transformClient: HttpClient.followRedirects(5) }
]

const clientOver = (
  origin: string,
  transport: Layer.Layer<HttpClient.HttpClient>,
  options: TokenEndpoint.Options = {}
) =>
  ConfidentialClient.layer({ clientId: EntraSimulator.daemonClientId, tenantId: contoso }).pipe(
    Layer.provide([
      ClientCredential.layerSecret(EntraSimulator.daemonSecret),
      AuthorityResolver.layerStatic({ token: `${origin}/${contoso}/oauth2/v2.0/token` }),
      TokenEndpoint.layerWith(options),
      TokenCache.layerMemory()
    ]),
    Layer.provide(transport)
  )

it.live("fetch that a transformClient puts in the place of the transport does not follow a redirect with the secret", () =>
  Effect.gen(function*() {
    const { caught, url } = yield* trap()
    const simulator = yield* EntraSimulator.EntraSimulator
    yield* simulator.fail(EntraSimulator.Fault.redirect(url, 307))
    const another = Context.get(yield* Layer.build(FetchHttpClient.layer), HttpClient.HttpClient)
    const live = clientOver(simulator.origin, NodeHttpClient.layerUndici, { transformClient: () => another })
    const error = yield* Effect.flip(ConfidentialClient.acquireToken({ scopes: graph })).pipe(Effect.provide(live))
    assert.deepStrictEqual(caught, [])
    assert.strictEqual(error.code, "redirect_refused")
  }).pipe(Effect.scoped, Effect.provide([SimulatorServer.layerHttp(), silent])))

for (const { name, transport } of transports) {
  describe(name, () => {
    it.live("an answer of two megabytes is refused, with and without a declared length", () =>
      Effect.gen(function*() {
        const simulator = yield* EntraSimulator.EntraSimulator
        yield* simulator.fail(EntraSimulator.Fault.hugeBody())
        const error = yield* Effect.flip(ConfidentialClient.acquireToken({ scopes: graph })).pipe(
          Effect.provide(clientOver(simulator.origin, transport))
        )
        assert.strictEqual(error.code, "response_too_large")
        const { url } = yield* trap("x".repeat(2 * 1024 * 1024))
        const streamed = yield* Effect.flip(ConfidentialClient.acquireToken({ scopes: graph })).pipe(
          Effect.provide(clientOver(url, transport))
        )
        assert.strictEqual(streamed.code, "response_too_large")
      }).pipe(Effect.provide([SimulatorServer.layerHttp(), silent])))

    for (const { client, transformClient } of clients) {
      it.live.each([301, 302, 303, 307, 308] as const)(`a client ${client}: %i`, (status) =>
        Effect.gen(function*() {
          const { caught, url } = yield* trap()
          const simulator = yield* EntraSimulator.EntraSimulator
          yield* simulator.fail(EntraSimulator.Fault.redirect(url, status))
          const live = clientOver(simulator.origin, transport, { transformClient, budget: "5 seconds" })
          const context = yield* Layer.build(live)
          // A redirect is remembered like a refusal, which a forced request passes.
          const acquire = Effect.provideContext(
            ConfidentialClient.acquireToken({ scopes: graph, forceRefresh: true }),
            context
          )
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
        }).pipe(Effect.provide([SimulatorServer.layerHttp(), silent])))
    }
  })
}
