/**
 * `@azure/msal-node` under sustained load, in a process of its own because it reads the machine's clock, which is sped up
 * here. Prints one line of JSON.
 *
 * node bench/support/sustained-msal.ts <tenants> <seconds> <times faster> <latency>
 */
import { ConfidentialClientApplication } from "@azure/msal-node"
import { Schema } from "effect"
import { ageing, openLoop, tenantAt, tenantsOf } from "./load.ts"
import * as Provider from "./provider.ts"

const [tenants = 0, seconds = 0, times = 0, latency = 0] = process.argv.slice(2).map(Number)

const RealDate = Date
const wall = RealDate.now()
const begun = performance.now()
const now = (): number => Math.floor(wall + (performance.now() - begun) * times)
globalThis.Date = new Proxy(RealDate, {
  construct: (target, args) => args.length === 0 ? new target(now()) : Reflect.construct(target, args),
  get: (target, property) => property === "now" ? now : Reflect.get(target, property)
})

const scope = "https://graph.microsoft.com/.default"
const authorityOf = (index: number): string => `https://login.microsoftonline.com/${tenantAt(index)}`

const provider = Provider.make({ latency, expiresIn: 3600 })
const app = new ConfidentialClientApplication({
  auth: { clientId: "11111111-1111-4111-8111-111111111111", clientSecret: "a-secret", authority: authorityOf(0) },
  system: { networkClient: Provider.msalNetwork(provider) }
})

const acquire = async (index: number): Promise<boolean> => {
  const result = await app.acquireTokenByClientCredential({ authority: authorityOf(index), scopes: [scope] })
  if (result === null) throw new Error("no token")
  return result.fromCache
}

const Serialized = Schema.fromJsonString(Schema.Struct({
  AccessToken: Schema.Record(Schema.String, Schema.Record(Schema.String, Schema.String))
}))

/** As many misses would take minutes; what it would hold after an hour is loaded, tokens of every age. */
await acquire(0)
const cache = app.getTokenCache()
const [entry] = Object.entries(Schema.decodeUnknownSync(Serialized)(cache.serialize()).AccessToken)
if (entry === undefined) throw new Error("nothing was cached")
const [name, template] = entry
cache.deserialize(JSON.stringify({
  Account: {},
  IdToken: {},
  AccessToken: Object.fromEntries(Array.from({ length: tenants }, (_, index) => {
    const expiresOn = String(Math.round(now() / 1000 + ageing(index)))
    return [
      name.replace(tenantAt(0), tenantAt(index)),
      { ...template, realm: tenantAt(index), expires_on: expiresOn, extended_expires_on: expiresOn }
    ]
  })),
  RefreshToken: {},
  AppMetadata: {}
}))

const order = tenantsOf(tenants, 1 << 16)
const at = (index: number): number => order[index % order.length] ?? 0

const from = performance.now()
for (let index = 0; index < 20; index++) await acquire(at(index))
const each = (performance.now() - from) / 20

// Half of what it can do, because at all of it a queue grows without end.
const perSecond = 500 / each
const before = provider.requests()
const load = await openLoop({ perSecond, seconds, call: (index) => acquire(at(20 + index)) })
console.log(JSON.stringify({ ...load, each, perSecond, requests: provider.requests() - before }))
