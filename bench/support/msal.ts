/** @azure/msal-node, with the same tokens for the same keys. */
import {
  ConfidentialClientApplication,
  type ICachePlugin,
  type INetworkModule,
  type NetworkResponse
} from "@azure/msal-node"
import { Schema } from "effect"
import type { Certificate } from "./certificate.ts"
import { type Key, type Scenario, tokenOf } from "./keys.ts"
import { type Contender, cycle, type Laps, nanoseconds } from "./measure.ts"

export const name = "@azure/msal-node, promise"

export const clientId = "11111111-1111-4111-8111-111111111111"

export const network = (answer: (url: string) => string): INetworkModule => {
  const send = async <T>(url: string): Promise<NetworkResponse<T>> => {
    const body: T = JSON.parse(answer(url))
    return { headers: {}, status: 200, body }
  }
  return { sendGetRequestAsync: send, sendPostRequestAsync: send }
}

/** The host is one whose endpoints msal-node knows by heart: no discovery. */
export const application = (
  authority: string,
  certificate: Certificate | undefined,
  networkClient: INetworkModule,
  cachePlugin?: ICachePlugin
): ConfidentialClientApplication =>
  new ConfidentialClientApplication({
    auth: {
      clientId,
      authority,
      ...(certificate === undefined
        ? { clientSecret: "a-secret" }
        : { clientCertificate: { thumbprintSha256: certificate.thumbprint, privateKey: certificate.privateKey } })
    },
    ...(cachePlugin === undefined ? {} : { cache: { cachePlugin } }),
    system: { networkClient }
  })

const Serialized = Schema.fromJsonString(Schema.Struct({
  AccessToken: Schema.Record(Schema.String, Schema.Record(Schema.String, Schema.String))
}))

/**
 * The application's first token with other keys, tenants, scopes and tokens, loaded through the cache's own `deserialize`,
 * because msal-node searches all entries on each miss and 10,000 of them would take minutes.
 */
export const load = (
  app: ConfidentialClientApplication,
  first: Key,
  keys: Iterable<Key>,
  tokenLength: number
): void => {
  const cache = app.getTokenCache()
  const [entry] = Object.entries(Schema.decodeUnknownSync(Serialized)(cache.serialize()).AccessToken)
  if (entry === undefined) throw new Error("no token to go by")
  const [name, template] = entry
  const tokens = Array.from(keys, ({ scope, tenantId }) => [
    name.replace(first.tenantId, tenantId).replace(first.scope, scope),
    { ...template, realm: tenantId, target: scope, secret: tokenOf(tenantId, scope, tokenLength) }
  ])
  const AccessToken = Object.fromEntries(tokens)
  cache.deserialize(JSON.stringify({ Account: {}, IdToken: {}, AccessToken, RefreshToken: {}, AppMetadata: {} }))
}

const filled = async (
  scenario: Scenario,
  certificate: Certificate | undefined
): Promise<ConfidentialClientApplication> => {
  const [first] = scenario.keys()
  if (first === undefined) throw new Error("no keys")
  const app = application(
    first.authority,
    certificate,
    network(() => {
      const access_token = tokenOf(first.tenantId, first.scope, scenario.tokenLength)
      return JSON.stringify({ token_type: "Bearer", expires_in: 86_399, access_token })
    })
  )
  const result = await app.acquireTokenByClientCredential({ authority: first.authority, scopes: [first.scope] })
  if (result === null || result.fromCache) throw new Error("the first acquisition was no miss")
  if (scenario.tokens > 1) load(app, first, scenario.keys(), scenario.tokenLength)
  return app
}

const loop = async (app: ConfidentialClientApplication, visits: ReadonlyArray<Key>, laps?: Laps): Promise<number> => {
  const begun = nanoseconds()
  for (const { authority, scope } of visits) {
    const result = await app.acquireTokenByClientCredential({ authority, scopes: [scope] })
    if (result?.fromCache !== true) throw new Error("not a hit")
    if (laps !== undefined) laps.lap()
  }
  return nanoseconds() - begun
}

/** A hit takes as long as there are tokens, so the more tokens the fewer hits; each batch goes on where the last ended. */
export const slicesOf = (scenario: Scenario): ReadonlyArray<ReadonlyArray<Key>> => {
  const length = scenario.credential === "certificate" && scenario.tokens > 1
    ? 4
    : scenario.tokens <= 100
    ? 50
    : scenario.tokens <= 1_000
    ? 10
    : 1
  const all = scenario.visits.flat()
  return Array.from({ length: Math.floor(all.length / length) }, (_, at) => all.slice(at * length, (at + 1) * length))
}

export const make = async (scenario: Scenario, certificate?: Certificate): Promise<Contender> => {
  const app = await filled(scenario, certificate)
  for (const { authority, scope, tenantId } of scenario.visits.flat().slice(0, scenario.tokens > 10_000 ? 2 : 20)) {
    const result = await app.acquireTokenByClientCredential({ authority, scopes: [scope] })
    if (result?.fromCache !== true || result.accessToken !== tokenOf(tenantId, scope, scenario.tokenLength)) {
      throw new Error(`not the cached token of ${tenantId} ${scope}`)
    }
  }
  const slices = slicesOf(scenario)
  const next = cycle(slices)
  const operations = slices[0]?.length ?? 0
  return { name, group: scenario.label, operations, run: (laps) => loop(app, next(), laps) }
}
