/**
 * Measures the memory of tokens: fills one cache in a process of its own and prints bytes per token, as JSON.
 *
 * node --expose-gc bench/support/memory-child.ts <contender> <tenants> <scopes per tenant>
 */
import { ConfidentialClientApplication } from "@azure/msal-node"
import { Effect, Layer, ManagedRuntime, Redacted } from "effect"
import { AuthorityResolver, ClientCredential, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
import { HttpClient, HttpClientResponse } from "effect/http"
import { CachedToken } from "../../src/internal/cache/cachedToken.ts"
import { keyOf, ownerOf, spaceOf } from "../../src/internal/cache/cacheKey.ts"

const tokenLength = 1_500
const warmUps = 20_000
const [contender = "", tenantsText = "1", scopesText = "1"] = process.argv.slice(2)
const tenants = Number(tenantsText)
const scopesPerTenant = Number(scopesText)
const count = tenants * scopesPerTenant

/** A string of its own, as one that was read from a request or an answer. */
const flat = (text: string): string => Buffer.from(text, "latin1").toString("latin1")
const tenantOf = (index: number): string => flat(`7d1f0c2a-5b3e-4f6a-8c9d-${index.toString(16).padStart(12, "0")}`)
const scopeOf = (index: number): string => flat(`api://resource-${index}/.default`)
const tokenAt = (index: number): string => flat(`token-${index}-`.padEnd(tokenLength, "x"))

const heap = (): number => {
  for (let i = 0; i < 3; i++) globalThis.gc?.()
  return process.memoryUsage().heapUsed
}

/** Returns the memory of the tokens alone, as an array of strings, which is the part that every cache has. */
const tokensAlone = (): number => {
  const sample = Math.min(count, 100_000)
  const before = heap()
  const tokens = Array.from({ length: sample }, (_, index) => tokenAt(index))
  const bytes = (heap() - before) / sample - 8
  if (tokens.length !== sample) throw new Error("no tokens")
  return bytes
}

const forEachKey = async (use: (tenant: string, scope: string, index: number) => void | Promise<void>) => {
  for (let tenant = 0, index = 0; tenant < tenants; tenant++) {
    for (let scope = 0; scope < scopesPerTenant; scope++, index++) {
      const pending = use(tenantOf(tenant), scopeOf(scope), index)
      if (pending !== undefined) await pending
    }
  }
}

const answerOf = (body: string): Response =>
  new Response(body, { headers: { "content-type": "application/json", "content-length": String(body.length) } })

interface Filled {
  readonly fill: () => Promise<void>
  /** Uses every token once; undefined where that changes nothing. */
  readonly hit?: () => Promise<void>
  readonly entries: () => number
}

const ours = async (): Promise<Filled> => {
  let issued = 0
  const Transport = Layer.succeed(
    HttpClient.HttpClient,
    HttpClient.make((request) =>
      Effect.sync(() =>
        HttpClientResponse.fromWeb(
          request,
          answerOf(JSON.stringify({ token_type: "Bearer", expires_in: 86_399, access_token: tokenAt(issued++) }))
        )
      )
    )
  )
  const runtime = ManagedRuntime.make(
    ConfidentialClient.layer({ clientId: "11111111-1111-4111-8111-111111111111" }).pipe(
      Layer.provide([
        ClientCredential.layerSecret(Redacted.make("a-secret")),
        AuthorityResolver.layer,
        TokenEndpoint.layer,
        TokenCache.layerMemory({ maxEntries: 2 * count, maxBytes: 1e12 })
      ]),
      Layer.provide(Transport)
    )
  )
  const client = await runtime.runPromise(ConfidentialClient.ConfidentialClient)
  const acquire = (tenantId: string, scope: string) =>
    runtime.runPromise(client.acquireToken({ scopes: scope, tenantId }))
  // Whatever is made once, for the first token of all, is no cost of a token.
  await acquire("warm-up.example.com", scopeOf(0))
  return {
    fill: () => forEachKey(async (tenantId, scope) => void await acquire(tenantId, scope)),
    hit: () =>
      forEachKey((tenantId, scope) => {
        const { metadata } = Effect.runSync(client.acquireToken({ scopes: scope, tenantId }))
        if (metadata.tokenSource !== "Cache") throw new Error("not a hit")
      }),
    entries: () => Effect.runSync(client.stats).entries - 1
  }
}

/**
 * The same cache, filled past the client: its entries are stored as a client's flight stores them, without the request that
 * takes a hundred times as long. They are hit by a real client.
 */
const direct = async (): Promise<Filled> => {
  const clientId = "11111111-1111-4111-8111-111111111111"
  const Cache = TokenCache.layerMemory({ maxEntries: 2 * count, maxBytes: 1e12 })
  const Client = ConfidentialClient.layer({ clientId }).pipe(
    Layer.provide([
      ClientCredential.layerSecret(Redacted.make("a-secret")),
      AuthorityResolver.layer,
      TokenEndpoint.layer
    ]),
    Layer.provideMerge(Cache),
    Layer.provide(Layer.succeed(HttpClient.HttpClient, HttpClient.make(() => Effect.die("no request is made"))))
  )
  const runtime = ManagedRuntime.make(Client)
  const client = await runtime.runPromise(ConfidentialClient.ConfidentialClient)
  const cache = await runtime.runPromise(TokenCache.TokenCache)
  const space = spaceOf(ownerOf(clientId, "login.windows.net"), undefined)
  const now = Date.now()
  const times = {
    issuedAt: now,
    refreshOn: now + 43_200_000,
    usableUntil: now + 86_000_000,
    expiresOn: now + 86_399_000
  }
  const store = (tenant: string, scopes: string, token: string) => {
    const key = keyOf(space, tenant, scopes)
    const issued = {
      ...times,
      secret: Redacted.make(token),
      tokenType: "Bearer",
      scopes: [scopes],
      tenantId: tenant,
      authority: `https://login.microsoftonline.com/${tenant}`,
      tokenEndpoint: `https://login.microsoftonline.com/${tenant}/oauth2/v2.0/token`,
      correlationId: flat(crypto.randomUUID())
    }
    const read = () => new CachedToken(key, issued, times)
    Effect.runSync(cache.lead(key, Effect.succeed(issued), { fresh: false, seen: undefined, read }))
  }
  const hit = (tenantId: string, scope: string) => {
    const { metadata } = Effect.runSync(client.acquireToken({ scopes: scope, tenantId }))
    if (metadata.tokenSource !== "Cache") throw new Error("not a hit")
  }
  // The code that stores and hits tokens is compiled and optimised before it is measured.
  for (let index = 0; index < warmUps; index++) {
    store("warm-up.example.com", scopeOf(index), tokenAt(index))
    hit("warm-up.example.com", scopeOf(index))
  }
  await runtime.runPromise(client.invalidate("all"))
  return {
    fill: () => forEachKey((tenant, scope, index) => store(tenant, scope, tokenAt(index))),
    hit: () => forEachKey(hit),
    entries: () => Effect.runSync(client.stats).entries
  }
}

const map = (): Filled => {
  const tokens = new Map<string, string>()
  return {
    fill: () =>
      forEachKey((tenant, scope, index) => {
        tokens.set(flat(`${tenant} ${scope}`), tokenAt(index))
      }),
    entries: () => tokens.size
  }
}

/** Loaded through the cache's own `deserialize`: a miss of msal-node takes as long as there are tokens. */
const msal = async (): Promise<Filled> => {
  const app = new ConfidentialClientApplication({
    auth: { clientId: "11111111-1111-4111-8111-111111111111", clientSecret: "a-secret" }
  })
  const cache = app.getTokenCache()
  const environment = "login.windows.net"
  const now = Math.floor(Date.now() / 1000)
  return {
    fill: async () => {
      const entries: Array<readonly [string, unknown]> = []
      await forEachKey((tenant, scope, index) => {
        const key = `-${environment}-accesstoken-11111111-1111-4111-8111-111111111111-${tenant}-${scope}--`
        entries.push([key, {
          home_account_id: "",
          environment,
          credential_type: "AccessToken",
          client_id: "11111111-1111-4111-8111-111111111111",
          secret: tokenAt(index),
          realm: tenant,
          target: scope,
          cached_at: String(now),
          expires_on: String(now + 86_399),
          extended_expires_on: String(now + 86_399),
          token_type: "Bearer"
        }])
      })
      cache.deserialize(JSON.stringify({
        Account: {},
        IdToken: {},
        AccessToken: Object.fromEntries(entries),
        RefreshToken: {},
        AppMetadata: {}
      }))
    },
    entries: () => Object.keys(JSON.parse(cache.serialize()).AccessToken).length
  }
}

const contenders: Readonly<Record<string, () => Filled | Promise<Filled>>> = { ours, direct, map, "msal-node": msal }

const make = contenders[contender]
if (make === undefined) throw new Error(`no contender ${contender}`)
const token = tokensAlone()
const filled = await make()
const empty = heap()
await filled.fill()
const neverHit = (heap() - empty) / count - token
let onceHit: number | undefined
if (filled.hit !== undefined) {
  await filled.hit()
  onceHit = (heap() - empty) / count - token
}
if (filled.entries() !== count) throw new Error(`${filled.entries()} entries instead of ${count}`)
console.log(JSON.stringify({ token, neverHit, onceHit }))
