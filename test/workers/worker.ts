/**
 * A Worker with one client for all its requests. Its clock is twelve times as fast. `?hook` provides `ctx.waitUntil`. The path
 * is the scope, `/stats` returns the counts of the client, and `?leave` responds when that host has
 * a request, with or without a token. The client
 * loads its secret, and finds its endpoint by discovery, when it is first used.
 */
import { Clock, Duration, Effect, Layer, ManagedRuntime, Redacted } from "effect"
import { AuthorityResolver, ClientCredential, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
import { FetchHttpClient, HttpClient } from "effect/http"

const speed = 12

const millis = (): number => Date.now() * speed
const nanos = (): bigint => BigInt(millis()) * BigInt(1_000_000)

const fastClock: Clock.Clock = {
  currentTimeMillisUnsafe: millis,
  currentTimeMillis: Effect.sync(millis),
  currentTimeNanosUnsafe: nanos,
  currentTimeNanos: Effect.sync(nanos),
  monotonicTimeNanosUnsafe: nanos,
  monotonicTimeNanos: Effect.sync(nanos),
  sleep: (duration) =>
    Effect.callback((resume) => {
      const timer = setTimeout(() => resume(Effect.void), Duration.toMillis(duration) / speed)
      return Effect.sync(() => clearTimeout(timer))
    })
}

const Credential = Layer.effect(
  ClientCredential.ClientCredential,
  Effect.flatMap(HttpClient.HttpClient, (http) =>
    ClientCredential.secret(
      http.get("https://vault.example/secret").pipe(
        Effect.flatMap((response) => response.text),
        Effect.map(Redacted.make),
        Effect.orDie
      )
    ))
)

const runtime = ManagedRuntime.make(
  ConfidentialClient.layer({
    clientId: "11111111-1111-1111-1111-111111111111",
    issuer: "https://idp.example"
  }).pipe(
    Layer.provide([
      Layer.provide(Credential, FetchHttpClient.layer),
      AuthorityResolver.layer,
      TokenEndpoint.layer,
      TokenCache.layerMemory()
    ]),
    Layer.provide(FetchHttpClient.layer),
    Layer.provideMerge(Layer.succeed(Clock.Clock, fastClock))
  )
)

export default {
  fetch: async (request: Request, _env: unknown, ctx: { readonly waitUntil: (promise: Promise<unknown>) => void }) => {
    const { pathname, searchParams } = new URL(request.url)
    if (pathname === "/stats") return Response.json(await runtime.runPromise(ConfidentialClient.stats))
    const acquire = ConfidentialClient.acquireToken({ scopes: `api:/${pathname}/.default` })
    const program = searchParams.has("hook")
      ? Effect.provideService(acquire, ConfidentialClient.WaitUntil, (promise) => ctx.waitUntil(promise))
      : acquire
    const leave = searchParams.get("leave")
    if (leave !== null) {
      runtime.runFork(program)
      await fetch(`https://gate.example/${leave}`)
      return new Response("left")
    }
    const { accessToken, metadata } = await runtime.runPromise(program)
    return Response.json({ token: Redacted.value(accessToken), source: metadata.tokenSource })
  }
}
