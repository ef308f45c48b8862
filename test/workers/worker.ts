/**
 * A Worker with one client for all its requests. Its clock is fifteen times as fast. `?hook` provides `ctx.waitUntil`. The path
 * is the scope, `/stats` returns the counts of the client, and `?leave` responds without waiting for the token.
 */
import { Clock, Duration, Effect, Layer, ManagedRuntime, Redacted } from "effect"
import { AuthorityResolver, ClientCredential, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
import { FetchHttpClient } from "effect/http"

const speed = 15

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

const runtime = ManagedRuntime.make(
  ConfidentialClient.layer({
    clientId: "11111111-1111-1111-1111-111111111111",
    tenantId: "22222222-2222-2222-2222-222222222222"
  }).pipe(
    Layer.provide([
      ClientCredential.layerSecret(Redacted.make("the secret's value")),
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
    if (searchParams.has("leave")) {
      runtime.runFork(program)
      await new Promise((resolve) => setTimeout(resolve, 20))
      return new Response("left")
    }
    const { accessToken, metadata } = await runtime.runPromise(program)
    return Response.json({ token: Redacted.value(accessToken), source: metadata.tokenSource })
  }
}
