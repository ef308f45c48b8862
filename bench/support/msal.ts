/** @azure/msal-node, with the same tokens for the same keys. */
import { ConfidentialClientApplication, type INetworkModule, type NetworkResponse } from "@azure/msal-node"
import { Schema } from "effect"
import { type Contender, cycle, nanoseconds } from "./contender.ts"
import { type Key, type Scenario, tokenOf } from "./keys.ts"

export const name = "@azure/msal-node, promise"

const clientId = "11111111-1111-4111-8111-111111111111"

/** The host is one whose endpoints msal-node knows by heart: no discovery. */
const network = (scope: string): INetworkModule => {
  const answer = async <T>(url: string): Promise<NetworkResponse<T>> => {
    const access_token = tokenOf(new URL(url).pathname.split("/")[1] ?? "", scope)
    const body: T = JSON.parse(JSON.stringify({ token_type: "Bearer", expires_in: 86_399, access_token }))
    return { headers: {}, status: 200, body }
  }
  return { sendGetRequestAsync: answer, sendPostRequestAsync: answer }
}

const Serialized = Schema.fromJsonString(Schema.Struct({
  AccessToken: Schema.Record(Schema.String, Schema.Record(Schema.String, Schema.String))
}))

/**
 * The first token is acquired; the others are that entry with another key, tenant, scope and token, loaded through the
 * cache's own `deserialize`, because msal-node searches all entries on each miss and 10,000 of them would take minutes.
 */
const filled = async (scenario: Scenario): Promise<ConfidentialClientApplication> => {
  const [first] = scenario.keys
  if (first === undefined) throw new Error("no keys")
  const app = new ConfidentialClientApplication({
    auth: { clientId, clientSecret: "a-secret", authority: first.authority },
    system: { networkClient: network(first.scope) }
  })
  const result = await app.acquireTokenByClientCredential({ authority: first.authority, scopes: [first.scope] })
  if (result === null || result.fromCache) throw new Error("the first acquisition was no miss")
  const cache = app.getTokenCache()
  const [entry] = Object.entries(Schema.decodeUnknownSync(Serialized)(cache.serialize()).AccessToken)
  if (entry === undefined || scenario.tokens === 1) return app
  const [name, template] = entry
  const tokens = scenario.keys.map(({ scope, tenantId }) => [
    name.replace(first.tenantId, tenantId).replace(first.scope, scope),
    { ...template, realm: tenantId, target: scope, secret: tokenOf(tenantId, scope) }
  ])
  cache.deserialize(JSON.stringify({
    Account: {},
    IdToken: {},
    AccessToken: Object.fromEntries(tokens),
    RefreshToken: {},
    AppMetadata: {}
  }))
  return app
}

const loop = async (app: ConfidentialClientApplication, visits: ReadonlyArray<Key>): Promise<number> => {
  const begun = nanoseconds()
  for (const { authority, scope } of visits) {
    const result = await app.acquireTokenByClientCredential({ authority, scopes: [scope] })
    if (result?.fromCache !== true) throw new Error("not a hit")
  }
  return nanoseconds() - begun
}

export const make = async (scenario: Scenario): Promise<Contender> => {
  const app = await filled(scenario)
  for (const { authority, scope, tenantId } of scenario.visits.flat().slice(0, 20)) {
    const result = await app.acquireTokenByClientCredential({ authority, scopes: [scope] })
    if (result?.fromCache !== true || result.accessToken !== tokenOf(tenantId, scope)) {
      throw new Error(`not the cached token of ${tenantId} ${scope}`)
    }
  }
  // A hit takes as long as there are tokens, so the more tokens the fewer hits; each batch goes on where the last ended.
  const hits = scenario.tokens === 1 ? 100 : scenario.tokens <= 1_000 ? 10 : 1
  const all = scenario.visits.flat()
  const slices = Array.from(
    { length: Math.floor(all.length / hits) },
    (_, index) => all.slice(index * hits, (index + 1) * hits)
  )
  const next = cycle(slices)
  return { name, scenario, hits, run: () => loop(app, next()) }
}
