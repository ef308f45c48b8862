/** Redirects of requests with a secret: no transport follows them, whatever wraps the client. */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Option, Queue, Schedule } from "effect"
import {
  AuthorityResolver,
  BearerHttpClient,
  ClientCredential,
  ConfidentialClient,
  TokenCache,
  TokenEndpoint
} from "effect-entra"
import { NodeTransport } from "effect-entra/node"
import { EntraSimulator } from "effect-entra/testing"
import { FetchHttpClient, HttpClient, HttpClientRequest } from "effect/http"
import fc from "fast-check"
import { silent } from "./support/log.ts"
import { serve } from "./support/server.ts"
import { contoso, graph } from "./support/world.ts"

type Wrap = (client: HttpClient.HttpClient) => HttpClient.HttpClient
type Wraps = ReadonlyArray<readonly [string, Wrap]>

/** Sends to a path that redirects, through wrappers below and above the library, and checks the result. */
type Run = (inside: Wraps, outside: Wraps, where: string, status: number) => Promise<void>
type Sent = ReturnType<HttpClient.HttpClient["execute"]>

/** The places where a wrapper can act: around the transport, around a request that is known, or instead of the client. */
const places: Record<string, (act: (sent: Sent) => Sent) => Wrap> = {
  transformResponse: (act) => HttpClient.transformResponse(act),
  transform: (act) => HttpClient.transform(act),
  make: (act) => (client) => HttpClient.make((request) => act(client.execute(request))),
  makeWith: (act) => (client) =>
    HttpClient.makeWith(
      (request) => Effect.flatMap(request, (known) => act(client.postprocess(Effect.succeed(known)))),
      client.preprocess
    )
}

const follow = { redirect: "follow" } as const

/** Changes of the fiber or of the context in which a request is sent. */
const acts: Record<string, (sent: Sent) => Sent> = {
  timeout: (sent) => Effect.orDie(Effect.timeout(sent, "20 seconds")),
  race: (sent) => Effect.race(sent, sent),
  raceFirst: (sent) => Effect.raceFirst(Effect.never, sent),
  retry: (sent) => Effect.retry(sent, Schedule.recurs(2)),
  fork: (sent) => Effect.flatMap(Effect.forkChild(sent), Fiber.join),
  forkDetach: (sent) => Effect.flatMap(Effect.forkDetach(sent), Fiber.join),
  all: (sent) => Effect.map(Effect.all([sent, Effect.void], { concurrency: "unbounded" }), ([response]) => response),
  "another runtime": (sent) => Effect.promise(() => Effect.runPromise(sent)),
  runFork: (sent) => Effect.suspend(() => Fiber.join(Effect.runFork(sent))),
  "an empty context": (sent) => Effect.updateContext(sent, () => Context.empty()),
  "options of fetch": Effect.provideService(FetchHttpClient.RequestInit, follow),
  "a layer": Effect.provide(Layer.succeed(FetchHttpClient.RequestInit, follow)),
  "no tracing": Effect.provideService(HttpClient.TracerDisabledWhen, () => true),
  worker: (sent) =>
    Effect.scoped(Effect.gen(function*() {
      const queue = yield* Queue.unbounded<Sent>()
      const worker = yield* Effect.forkScoped(Effect.flatten(Queue.take(queue)))
      yield* Queue.offer(queue, sent)
      return yield* Fiber.join(worker)
    }))
}

/** Wrappers that change the request itself. */
const changes: Record<string, Wrap> = {
  "a header": HttpClient.mapRequest(HttpClientRequest.setHeader("x-app", "orders")),
  "a header in a fiber": HttpClient.mapRequestEffect((request) =>
    Effect.orDie(Effect.timeout(Effect.succeed(HttpClientRequest.setHeader(request, "x-fiber", "1")), "20 seconds"))
  ),
  "a parameter": HttpClient.mapRequest(HttpClientRequest.setUrlParam("api-version", "1")),
  retryTransient: HttpClient.retryTransient({ times: 1 })
}

/** Changes of a request after the token was added to it. They replace the URL, the hash or both. */
const late: Record<string, (request: HttpClientRequest.HttpClientRequest) => HttpClientRequest.HttpClientRequest> = {
  "another URL": (request) => HttpClientRequest.setUrl(request, Option.getOrThrow(HttpClientRequest.toUrl(request))),
  "a hash": HttpClientRequest.setHash("part"),
  "no hash": HttpClientRequest.removeHash,
  "other headers": HttpClientRequest.setHeader("x-late", "1")
}

/** Wrappers that change the request and the fiber that sends it, at the same place. */
const lateWrappers = Object.entries(late).flatMap(([name, change]) =>
  Object.entries({ alone: (sent: Sent) => sent, ...acts }).flatMap(([act, by]): Array<readonly [string, Wrap]> => [
    [`${name}, ${act}, makeWith`, (client) =>
      HttpClient.makeWith(
        (request) => by(client.postprocess(Effect.map(request, change))),
        client.preprocess
      )],
    [`${name}, ${act}, makeWith with a request that is known`, (client) =>
      HttpClient.makeWith(
        (request) => Effect.flatMap(request, (known) => by(client.postprocess(Effect.succeed(change(known))))),
        client.preprocess
      )],
    [
      `${name}, ${act}, transform`,
      (client) => HttpClient.transform(client, (_, request) => by(client.postprocess(Effect.succeed(change(request)))))
    ]
  ])
)

const wrappers = [
  ...Object.entries(changes),
  ...Object.entries(acts).flatMap(([act, by]) =>
    Object.entries(places).map(([place, at]) => [`${act}, ${place}`, at(by)] as const)
  )
]
const wrapper = fc.constantFrom(...wrappers)

const transports = [
  ["fetch", FetchHttpClient.layer],
  [
    "fetch told to follow",
    Layer.provide(
      FetchHttpClient.layer,
      Layer.succeed(FetchHttpClient.RequestInit, { ...follow, headers: { "x-user": "1" } })
    )
  ],
  ["undici", NodeHttpClient.layerUndici],
  ["NodeTransport", Layer.orDie(NodeTransport.layer)],
  ["node:http", NodeHttpClient.layerNodeHttp]
] as const

const wrapAll = (client: HttpClient.HttpClient, wraps: Wraps) =>
  wraps.reduce((wrapped, [, wrap]) => wrap(wrapped), client)

/** A server that redirects to itself and to another origin, and counts the requests to the targets. */
const redirecting = Effect.gen(function*() {
  const caught: Array<string> = []
  const trap = yield* serve((request, response) => {
    caught.push(`away ${request.headers.authorization}`)
    request.resume()
    response.end("{}")
  })
  const port = yield* serve((request, response) => {
    request.resume()
    if (request.url?.startsWith("/end")) {
      caught.push(`end ${request.headers.authorization}`)
      response.end("{}")
      return
    }
    const [, where, status] = /^\/(away|same)(\d+)/.exec(request.url ?? "") ?? []
    const location = where === "away" ? `http://localhost:${trap}/` : "/end"
    response.writeHead(Number(status), { location }).end()
  })
  return { caught, origin: `http://127.0.0.1:${port}` }
})

describe.each(transports)("over %s", (_, layer) => {
  it.live("a request with a token gets the redirect, whatever wraps the client", () =>
    Effect.gen(function*() {
      const { caught, origin } = yield* redirecting
      const transport = Context.get(yield* Layer.build(layer), HttpClient.HttpClient)
      const run: Run = (inside, outside, where, status) =>
        BearerHttpClient.layer({ [origin]: graph }).pipe(
          Layer.provide([
            Layer.succeed(HttpClient.HttpClient, wrapAll(transport, inside)),
            ConfidentialClient.layerTest("a-token")
          ]),
          Layer.build,
          Effect.map((context) => wrapAll(Context.get(context, HttpClient.HttpClient), outside)),
          Effect.flatMap((client) => client.get(`${origin}/${where}${status}`)),
          Effect.map((response) => {
            assert.strictEqual(response.status, status)
            assert.deepStrictEqual(caught, [])
          }),
          Effect.scoped,
          Effect.runPromise
        )
      // Each wrapper alone, on both sides.
      for (const one of [...wrappers, ...lateWrappers]) {
        yield* Effect.promise(() => run([one], [], "same", 302))
        yield* Effect.promise(() => run([], [one], "away", 307))
      }
      const several = fc.array(wrapper, { maxLength: 3 })
      const statuses = fc.constantFrom(301, 302, 303, 307, 308)
      yield* Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(several, several, fc.constantFrom("same", "away"), statuses, run),
          { numRuns: 100 }
        )
      )
    }).pipe(Effect.scoped), 60_000)

  it.live(
    "a token request is refused, whatever wraps the transport and the client of `transformClient`",
    () =>
      Effect.gen(function*() {
        const { caught, origin } = yield* redirecting
        const transport = Context.get(yield* Layer.build(layer), HttpClient.HttpClient)
        const run: Run = (inside, outside, where, status) =>
          ConfidentialClient.acquireToken({ scopes: graph }).pipe(
            Effect.flip,
            Effect.provide(
              ConfidentialClient.layer({ clientId: EntraSimulator.daemonClientId, tenantId: contoso }).pipe(
                Layer.provide([
                  ClientCredential.layerSecret(EntraSimulator.daemonSecret),
                  AuthorityResolver.layerStatic({ token: `${origin}/${where}${status}` }),
                  TokenEndpoint.layerWith({
                    budget: "5 seconds",
                    transformClient: (client) => wrapAll(client, outside)
                  }),
                  TokenCache.layerMemory()
                ]),
                Layer.provide(Layer.succeed(HttpClient.HttpClient, wrapAll(transport, inside)))
              )
            ),
            Effect.map((error) => {
              assert.strictEqual(error.code, "redirect_refused")
              assert.deepStrictEqual(caught, [])
            }),
            Effect.provide(silent),
            Effect.runPromise
          )
        const following = ["followRedirects", HttpClient.followRedirects(3)] as const
        yield* Effect.promise(() => run([following], [], "away", 307))
        for (const one of lateWrappers) {
          yield* Effect.promise(() => run([one], [], "away", 307))
          yield* Effect.promise(() => run([], [one], "same", 308))
        }
        for (const one of wrappers) {
          yield* Effect.promise(() => run([one], [], "away", 307))
          yield* Effect.promise(() => run([], [one], "same", 308))
          yield* Effect.promise(() => run([], [following, one], "away", 307))
          yield* Effect.promise(() => run([], [one, following], "away", 307))
        }
      }).pipe(Effect.scoped),
    60_000
  )
})
