/** effect-entra: a real client over a transport that answers at once; only hits are timed. */
import { Effect, Layer, ManagedRuntime, Redacted, Result } from "effect"
import {
  Authority,
  AuthorityResolver,
  ClientCredential,
  ConfidentialClient,
  TokenCache,
  TokenEndpoint
} from "effect-entra"
import { HttpClient, HttpClientResponse } from "effect/http"
import { randomUUID } from "node:crypto"
import { CachedToken } from "../../src/internal/cache/cachedToken.ts"
import { keyOf, ownerOf, spaceOf } from "../../src/internal/cache/cacheKey.ts"
import type { Certificate } from "./certificate.ts"
import { batch, flat, type Key, type Scenario, tokenOf } from "./keys.ts"
import { type Contender, cycle, type Laps, nanoseconds } from "./measure.ts"
import { clientId } from "./msal.ts"

export type Service = ConfidentialClient.ConfidentialClient["Service"]

/** Answers at once. */
export const transport = (answer: (url: URL, form: () => URLSearchParams) => string) =>
  Layer.succeed(
    HttpClient.HttpClient,
    HttpClient.make((request, url) =>
      Effect.sync(() => {
        const form = () =>
          new URLSearchParams(request.body._tag === "Uint8Array" ? Buffer.from(request.body.body).toString() : "")
        const headers = { "content-type": "application/json" }
        return HttpClientResponse.fromWeb(request, new Response(answer(url, form), { headers }))
      })
    )
  )

export const credentialOf = (certificate: Certificate | undefined) =>
  certificate === undefined
    ? ClientCredential.layerSecret(Redacted.make("a-secret"))
    : ClientCredential.layerCertificate({
      certificate: certificate.certificate,
      privateKey: Redacted.make(certificate.privateKey)
    })

/** Room for a million. */
const bounds = { maxEntries: 2_000_000, maxBytes: 8 * 2 ** 30 }

/** The cache beside its client, for the fast way to fill it. */
const clientWith = (certificate: Certificate | undefined, http: Layer.Layer<HttpClient.HttpClient>) =>
  ConfidentialClient.layer({ clientId }).pipe(
    Layer.provideMerge(TokenCache.layerMemory(bounds)),
    Layer.provide([credentialOf(certificate), AuthorityResolver.layer, TokenEndpoint.layer]),
    Layer.provide(http)
  )

// -----------------------------------------------------------------------------
// loops
// -----------------------------------------------------------------------------

const builtPerCall = Effect.fnUntraced(function*(visits: ReadonlyArray<Key>, laps?: Laps) {
  const begun = nanoseconds()
  for (const { scope, tenantId } of visits) {
    yield* ConfidentialClient.acquireToken({ scopes: [scope], tenantId })
    if (laps !== undefined) laps.lap()
  }
  return nanoseconds() - begun
})

const builtPerCallOfService = Effect.fnUntraced(
  function*(client: Service, visits: ReadonlyArray<Key>, laps?: Laps) {
    const begun = nanoseconds()
    for (const { scope, tenantId } of visits) {
      yield* client.acquireToken({ scopes: [scope], tenantId })
      if (laps !== undefined) laps.lap()
    }
    return nanoseconds() - begun
  }
)

const kept = Effect.fnUntraced(function*(effects: ReadonlyArray<ReturnType<Service["acquireToken"]>>, laps?: Laps) {
  const begun = nanoseconds()
  for (const effect of effects) {
    yield* effect
    if (laps !== undefined) laps.lap()
  }
  return nanoseconds() - begun
})

const sync = (client: Service, visits: ReadonlyArray<Key>, laps?: Laps): number => {
  const begun = nanoseconds()
  for (const { scope, tenantId } of visits) {
    Effect.runSync(client.acquireToken({ scopes: [scope], tenantId }))
    if (laps !== undefined) laps.lap()
  }
  return nanoseconds() - begun
}

const promise = async (client: Service, visits: ReadonlyArray<Key>, laps?: Laps): Promise<number> => {
  const begun = nanoseconds()
  for (const { scope, tenantId } of visits) {
    await Effect.runPromise(client.acquireToken({ scopes: [scope], tenantId }))
    if (laps !== undefined) laps.lap()
  }
  return nanoseconds() - begun
}

// -----------------------------------------------------------------------------
// contenders
// -----------------------------------------------------------------------------

export const names = {
  kept: "effect-entra, in a fiber, a kept effect",
  service: "effect-entra, in a fiber, client.acquireToken",
  fiber: "effect-entra, in a fiber, ConfidentialClient.acquireToken",
  sync: "effect-entra, Effect.runSync",
  promise: "effect-entra, Effect.runPromise"
} as const

export interface Ours {
  readonly contenders: ReadonlyArray<Contender>
  readonly close: () => Promise<void>
}

/** A client of its own for the scenario, filled and looked through once. */
export const make = async (scenario: Scenario, certificate?: Certificate): Promise<Ours> => {
  let requests = 0
  const http = transport((url, form) => {
    requests++
    const access_token = tokenOf(url.pathname.split("/")[1] ?? "", form().get("scope") ?? "", scenario.tokenLength)
    return JSON.stringify({ token_type: "Bearer", expires_in: 86_399, access_token })
  })
  const runtime = ManagedRuntime.make(clientWith(certificate, http))
  const client = await runtime.runPromise(ConfidentialClient.ConfidentialClient)
  const filledByRequests = await runtime.runPromise(fill(client, scenario))
  if (requests !== filledByRequests) throw new Error("filling took another number of requests")

  const hitsOnly = (run: (laps?: Laps) => Promise<number>) => async (laps?: Laps): Promise<number> => {
    const before = Effect.runSync(client.stats)
    const time = await run(laps)
    const after = Effect.runSync(client.stats)
    if (
      after.hits - before.hits !== batch || after.misses !== before.misses || after.refreshes !== before.refreshes
      || after.entries !== scenario.tokens
    ) {
      throw new Error(`not only hits: ${JSON.stringify({ before, after })}`)
    }
    return time
  }

  const effectOf = new Map<Key, ReturnType<Service["acquireToken"]>>()
  for (const key of scenario.visits.flat()) {
    if (effectOf.has(key)) continue
    const { scope, tenantId } = key
    const effect = client.acquireToken({ scopes: [scope], tenantId })
    effectOf.set(key, effect)
    const { accessToken, metadata } = Effect.runSync(effect)
    if (
      metadata.tokenSource !== "Cache" || Redacted.value(accessToken) !== tokenOf(tenantId, scope, scenario.tokenLength)
    ) {
      throw new Error(`not the cached token of ${tenantId} ${scope}`)
    }
  }
  const effects = scenario.visits.map((visits) => visits.flatMap((key) => effectOf.get(key) ?? []))

  const contender = <A>(
    name: string,
    inputs: ReadonlyArray<A>,
    run: (input: A, laps?: Laps) => Promise<number>
  ): Contender => {
    const next = cycle(inputs)
    return { name, group: scenario.label, operations: batch, run: hitsOnly((laps) => run(next(), laps)) }
  }
  const { visits } = scenario
  return {
    contenders: [
      contender(names.kept, effects, (effects, laps) => runtime.runPromise(kept(effects, laps))),
      contender(
        names.service,
        visits,
        (visits, laps) => runtime.runPromise(builtPerCallOfService(client, visits, laps))
      ),
      contender(names.fiber, visits, (visits, laps) => runtime.runPromise(builtPerCall(visits, laps))),
      contender(names.sync, visits, async (visits, laps) => sync(client, visits, laps)),
      contender(names.promise, visits, (visits, laps) => promise(client, visits, laps))
    ],
    close: () => runtime.dispose()
  }
}

/** Above this many tokens the rest are stored by the cache itself, as entries like the one that was acquired. */
const acquired = 1_000

const space = spaceOf(ownerOf(clientId, Result.getOrThrow(Authority.parse("public")).environment), undefined)

/** Gives the number of requests that it took. */
export const fill = Effect.fnUntraced(function*(client: Service, { keys, tokenLength, tokens }: Scenario) {
  const cache = yield* TokenCache.TokenCache
  let done = 0
  let like: CachedToken | undefined
  for (const { authority, scope, tenantId } of keys()) {
    if (done === 0 || tokens <= acquired) {
      yield* client.acquireToken({ scopes: [scope], tenantId })
      done++
      like = cache.peek(space, tenantId, scope)
      continue
    }
    if (like === undefined) throw new Error("acquired and not kept")
    const key = keyOf(space, tenantId, scope)
    const token = {
      secret: Redacted.make(tokenOf(tenantId, scope, tokenLength)),
      tokenType: "Bearer",
      issuedAt: like.issuedAt,
      expiresOn: like.expiresOn,
      refreshOn: undefined,
      scopes: [scope],
      tenantId,
      authority,
      tokenEndpoint: `${authority}/oauth2/v2.0/token`,
      correlationId: flat(randomUUID())
    }
    const times = like
    yield* cache.lead(key, Effect.succeed(token), {
      fresh: true,
      seen: undefined,
      read: (issued) => new CachedToken(key, issued, times)
    })
  }
  return done
})
