/** Answers that a server or a gateway compresses, although the client asks for `identity`. */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Redacted, References } from "effect"
import {
  AuthorityResolver,
  ClientCredential,
  ConfidentialClient,
  RetryPolicy,
  TokenCache,
  TokenEndpoint
} from "effect-entra"
import { NodeTransport } from "effect-entra/node"
import { EntraSimulator } from "effect-entra/testing"
import { FetchHttpClient, HttpClient } from "effect/http"
import fc from "fast-check"
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from "node:zlib"
import { serve } from "./support/server.ts"
import { contoso, graph } from "./support/world.ts"

const encodings: Record<string, (body: Buffer) => Buffer> = {
  identity: (body) => body,
  gzip: gzipSync,
  "X-GZIP": gzipSync,
  deflate: deflateSync,
  " br": brotliCompressSync,
  "deflate, gzip": (body) => gzipSync(deflateSync(body)),
  "gzip,br": (body) => brotliCompressSync(gzipSync(body))
}
/** What servers have called `deflate`, and `fetch` decodes too. */
const raw = [
  ["deflate", deflateRawSync],
  ["deflate, gzip", (body: Buffer) => gzipSync(deflateRawSync(body))],
  ["deflate, br, gzip", (body: Buffer) => gzipSync(brotliCompressSync(deflateRawSync(body)))]
] as const

const transports = [
  ["fetch", FetchHttpClient.layer],
  ["undici", NodeHttpClient.layerUndici],
  ["NodeTransport", Layer.orDie(NodeTransport.layer)],
  ["node:http", NodeHttpClient.layerNodeHttp]
] as const

describe.each(transports)("over %s", (_, layer) => {
  const answering = Effect.gen(function*() {
    const asked: Array<unknown> = []
    let reply: { readonly status: number; readonly encoding: string; readonly body: Buffer }
    const port = yield* serve((request, response) => {
      request.resume()
      asked.push(request.headers["accept-encoding"])
      response.writeHead(reply.status, { "content-type": "application/json", "content-encoding": reply.encoding })
      // Two pieces, so that no length is declared.
      const half = Math.floor(reply.body.length / 2)
      response.write(reply.body.subarray(0, half))
      response.end(reply.body.subarray(half))
    })
    const client = Context.get(yield* Layer.build(layer), HttpClient.HttpClient)
    const acquire = (next: typeof reply) => {
      reply = next
      return ConfidentialClient.acquireToken({ scopes: graph }).pipe(
        Effect.provideService(RetryPolicy.Current, RetryPolicy.none),
        Effect.provide(
          ConfidentialClient.layer({ clientId: EntraSimulator.daemonClientId, tenantId: contoso }).pipe(
            Layer.provide([
              ClientCredential.layerSecret(Redacted.make("s")),
              AuthorityResolver.layerStatic({ token: `http://127.0.0.1:${port}/token` }),
              TokenEndpoint.layer,
              TokenCache.layerMemory()
            ]),
            Layer.provide(Layer.succeed(HttpClient.HttpClient, client))
          )
        ),
        Effect.provideService(References.MinimumLogLevel, "None")
      )
    }
    return { asked, acquire }
  })

  it.live("a token is read in every encoding, and none is asked for", () =>
    Effect.gen(function*() {
      const { acquire, asked } = yield* answering
      const encoding = fc.constantFrom(...Object.entries(encodings), ...raw)
      yield* Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(encoding, fc.stringMatching(/^[!-~]{1,2000}$/), async ([encoding, encode], token) => {
            const body = encode(
              Buffer.from(JSON.stringify({ access_token: token, token_type: "Bearer", expires_in: 60 }))
            )
            const { accessToken } = await Effect.runPromise(acquire({ status: 200, encoding, body }))
            assert.strictEqual(Redacted.value(accessToken), token)
          }),
          { numRuns: 40 }
        )
      )
      assert.deepStrictEqual([...new Set(asked)], ["identity"])
    }), 60_000)

  it.live("a refusal is read, and a body that grows beyond the limit is cut", () =>
    Effect.gen(function*() {
      const { acquire } = yield* answering
      for (const [encoding, encode] of Object.entries(encodings)) {
        const refusal = encode(Buffer.from(JSON.stringify({ error: "invalid_client", error_codes: [7000215] })))
        const refused = yield* Effect.flip(acquire({ status: 401, encoding, body: refusal }))
        assert.strictEqual(refused.code, "secret_wrong")
        const bomb = encode(Buffer.from(`{"access_token":"${"x".repeat(20 * 1024 * 1024)}"}`))
        const large = yield* Effect.flip(acquire({ status: 200, encoding, body: bomb }))
        assert.strictEqual(large.code, "response_too_large", encoding)
      }
    }), 60_000)

  it.live("a body with a hundred codings is refused before it is decoded", () =>
    Effect.gen(function*() {
      const { acquire } = yield* answering
      const body = Array.from({ length: 100 }).reduce<Buffer>((body) => gzipSync(body), Buffer.from("{}"))
      const encoding = Array.from({ length: 100 }, () => "gzip").join(", ")
      assert.strictEqual((yield* Effect.flip(acquire({ status: 200, encoding, body })))._tag, "EntraNetworkError")
    }))

  it.live("a body that is not what its header says is a failure of the network", () =>
    Effect.gen(function*() {
      const { acquire } = yield* answering
      const body = Buffer.from("no gzip at all")
      assert.strictEqual(
        (yield* Effect.flip(acquire({ status: 200, encoding: "gzip", body })))._tag,
        "EntraNetworkError"
      )
    }))
})
