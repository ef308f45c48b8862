/** effect-entra: a real client over a transport that answers at once; only hits are timed. */
import { Effect, Layer, ManagedRuntime, Redacted } from "effect"
import { AuthorityResolver, ClientCredential, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
import { HttpClient, HttpClientResponse } from "effect/http"
import { type Contender, cycle, nanoseconds } from "./contender.ts"
import { batch, type Key, type Scenario, tokenLength, tokenOf } from "./keys.ts"

const tokenRequests = { count: 0 }

/** Answers with a token that names the tenant and the scope it was asked for. */
const Transport = Layer.succeed(
  HttpClient.HttpClient,
  HttpClient.make((request, url) =>
    Effect.sync(() => {
      tokenRequests.count++
      const form = new URLSearchParams(
        request.body._tag === "Uint8Array" ? Buffer.from(request.body.body).toString() : ""
      )
      const access_token = tokenOf(url.pathname.split("/")[1] ?? "", form.get("scope") ?? "")
      const answer = JSON.stringify({ token_type: "Bearer", expires_in: 86_399, access_token })
      return HttpClientResponse.fromWeb(
        request,
        new Response(answer, { headers: { "content-type": "application/json" } })
      )
    })
  )
)

const Client = ConfidentialClient.layer({ clientId: "11111111-1111-4111-8111-111111111111" }).pipe(
  Layer.provide([
    ClientCredential.layerSecret(Redacted.make("a-secret")),
    AuthorityResolver.layer,
    TokenEndpoint.layer,
    TokenCache.layerMemory()
  ]),
  Layer.provide(Transport)
)

// -----------------------------------------------------------------------------
// loops
// -----------------------------------------------------------------------------

const builtPerCall = Effect.fnUntraced(function*(visits: ReadonlyArray<Key>) {
  const begun = nanoseconds()
  for (const { scope, tenantId } of visits) yield* ConfidentialClient.acquireToken({ scopes: [scope], tenantId })
  return nanoseconds() - begun
})

const builtPerCallOfService = Effect.fnUntraced(
  function*(client: ConfidentialClient.ConfidentialClient["Service"], visits: ReadonlyArray<Key>) {
    const begun = nanoseconds()
    for (const { scope, tenantId } of visits) yield* client.acquireToken({ scopes: [scope], tenantId })
    return nanoseconds() - begun
  }
)

const kept = Effect.fnUntraced(function*(effects: ReadonlyArray<ReturnType<typeof ConfidentialClient.acquireToken>>) {
  const begun = nanoseconds()
  for (const effect of effects) yield* effect
  return nanoseconds() - begun
})

const sync = (client: ConfidentialClient.ConfidentialClient["Service"], visits: ReadonlyArray<Key>): number => {
  const begun = nanoseconds()
  for (const { scope, tenantId } of visits) Effect.runSync(client.acquireToken({ scopes: [scope], tenantId }))
  return nanoseconds() - begun
}

const promise = async (
  client: ConfidentialClient.ConfidentialClient["Service"],
  visits: ReadonlyArray<Key>
): Promise<number> => {
  const begun = nanoseconds()
  for (const { scope, tenantId } of visits) {
    await Effect.runPromise(client.acquireToken({ scopes: [scope], tenantId }))
  }
  return nanoseconds() - begun
}

type Runtime = ManagedRuntime.ManagedRuntime<
  ConfidentialClient.ConfidentialClient,
  Layer.Error<typeof Client>
>

const runtimePromise = async (runtime: Runtime, visits: ReadonlyArray<Key>): Promise<number> => {
  const begun = nanoseconds()
  for (const { scope, tenantId } of visits) {
    await runtime.runPromise(ConfidentialClient.acquireToken({ scopes: [scope], tenantId }))
  }
  return nanoseconds() - begun
}

// -----------------------------------------------------------------------------
// contenders
// -----------------------------------------------------------------------------

export const names = {
  fiber: "effect-entra, in a fiber",
  service: "effect-entra, in a fiber, the service's method",
  kept: "effect-entra, in a fiber, a kept effect",
  sync: "effect-entra, Effect.runSync",
  promise: "effect-entra, Effect.runPromise",
  runtime: "effect-entra, ManagedRuntime.runPromise"
} as const

export interface Ours {
  readonly contenders: ReadonlyArray<Contender>
  readonly close: () => Promise<void>
}

/** A client of its own for the scenario, filled through real acquisitions and looked through once. */
export const make = async (scenario: Scenario): Promise<Ours> => {
  const runtime = ManagedRuntime.make(Client)
  const client = await runtime.runPromise(ConfidentialClient.ConfidentialClient)
  const sentBefore = tokenRequests.count
  for (const { scope, tenantId } of scenario.keys) {
    await runtime.runPromise(client.acquireToken({ scopes: [scope], tenantId }))
  }
  if (tokenRequests.count - sentBefore !== scenario.tokens) throw new Error("filling took another number of requests")

  const hitsOnly = (run: () => Promise<number>) => async (): Promise<number> => {
    const before = Effect.runSync(client.stats)
    const time = await run()
    const after = Effect.runSync(client.stats)
    if (
      after.hits - before.hits !== batch || after.misses !== before.misses || after.refreshes !== before.refreshes
      || after.entries !== scenario.tokens
    ) {
      throw new Error(`not only hits: ${JSON.stringify({ before, after })}`)
    }
    return time
  }

  for (const { scope, tenantId } of scenario.visits.flat()) {
    const { accessToken, metadata } = await runtime.runPromise(client.acquireToken({ scopes: [scope], tenantId }))
    const token = Redacted.value(accessToken)
    if (metadata.tokenSource !== "Cache" || token.length !== tokenLength || token !== tokenOf(tenantId, scope)) {
      throw new Error(`not the cached token of ${tenantId} ${scope}`)
    }
  }

  const effectOf = new Map(
    scenario.visits.flat().map((key) => [
      key,
      ConfidentialClient.acquireToken({ scopes: [key.scope], tenantId: key.tenantId })
    ])
  )
  const effects = scenario.visits.map((visits) => visits.flatMap((key) => effectOf.get(key) ?? []))

  const contender = <A>(name: string, inputs: ReadonlyArray<A>, run: (input: A) => Promise<number>): Contender => {
    const next = cycle(inputs)
    return { name, scenario, hits: batch, run: hitsOnly(() => run(next())) }
  }
  const { visits } = scenario
  return {
    contenders: [
      contender(names.fiber, visits, (visits) => runtime.runPromise(builtPerCall(visits))),
      contender(names.service, visits, (visits) => runtime.runPromise(builtPerCallOfService(client, visits))),
      contender(names.kept, effects, (effects) => runtime.runPromise(kept(effects))),
      contender(names.sync, visits, async (visits) => sync(client, visits)),
      contender(names.promise, visits, (visits) => promise(client, visits)),
      contender(names.runtime, visits, (visits) => runtimePromise(runtime, visits))
    ],
    close: () => runtime.dispose()
  }
}
