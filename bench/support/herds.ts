/** Many callers of one key at once, of each library. */
import { ClientSecretCredential } from "@azure/identity"
import { ConfidentialClientApplication } from "@azure/msal-node"
import { Effect, Layer, ManagedRuntime, Redacted } from "effect"
import { AuthorityResolver, ClientCredential, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
import { randomUUID } from "node:crypto"
import { setTimeout } from "node:timers/promises"
import { clientCredentialsGrant, ClientSecretPost, Configuration, customFetch } from "openid-client"
import * as Clocks from "./clocks.ts"
import * as Provider from "./provider.ts"

const clientId = "11111111-1111-4111-8111-111111111111"
const tenantId = "22222222-2222-4222-8222-222222222222"
const authority = `https://login.microsoftonline.com/${tenantId}`
const scope = "https://graph.microsoft.com/.default"

export interface Herd {
  /** All callers at once; gives what each of them got and how long it waited. */
  readonly call: (callers: number) => Promise<ReadonlyArray<Answer>>
  readonly provider: Provider.Provider
  readonly close: () => Promise<void>
}

export interface Answer {
  readonly token: string
  /** Milliseconds. */
  readonly waited: number
}

export interface Library {
  readonly name: string
  readonly cold: (latency: number) => Promise<Herd>
  /** With a token that is due for renewal and valid for nearly an hour more; absent of a library without a cache. */
  readonly due?: (latency: number) => Promise<Herd>
}

/** How a program without fibers calls; the waiting includes what the other callers do on the one thread. */
const promises = (acquire: () => Promise<string>) => (callers: number): Promise<ReadonlyArray<Answer>> =>
  Promise.all(Array.from({ length: callers }, async () => {
    const begun = performance.now()
    const token = await acquire()
    return { token, waited: performance.now() - begun }
  }))

const present = (token: string | undefined): string => {
  if (token === undefined) throw new Error("no token")
  return token
}

// -----------------------------------------------------------------------------
// effect-entra
// -----------------------------------------------------------------------------

/** Half an hour of a token that is to be renewed after twenty minutes. */
const oursAt = async (latency: number, how: "fibers" | "promises") => {
  const provider = Provider.make({ latency, expiresIn: 3600, refreshIn: 1200 })
  const time = Clocks.moving()
  const runtime = ManagedRuntime.make(
    // One client id that is built so often would be warned about, rightly.
    ConfidentialClient.layer({ clientId: randomUUID(), tenantId }).pipe(
      Layer.provide([
        ClientCredential.layerSecret(Redacted.make("a-secret")),
        AuthorityResolver.layer,
        TokenEndpoint.layer,
        TokenCache.layerMemory()
      ]),
      Layer.provide([Provider.layer(provider), time.layer])
    )
  )
  const client = await runtime.runPromise(ConfidentialClient.ConfidentialClient)
  const token = Effect.map(
    Effect.suspend(() => client.acquireToken({ scopes: scope })),
    ({ accessToken }) => Redacted.value(accessToken)
  )
  const caller = Effect.suspend(() => {
    const begun = performance.now()
    return Effect.map(token, (token) => ({ token, waited: performance.now() - begun }))
  })
  const herd: Herd = {
    provider,
    call: how === "promises"
      ? promises(() => Effect.runPromise(token))
      : (callers) =>
        Effect.runPromise(Effect.forEach(Array.from({ length: callers }), () => caller, { concurrency: "unbounded" })),
    close: () => runtime.dispose()
  }
  return { herd, time }
}

const ours = (name: string, how: "fibers" | "promises"): Library => ({
  name,
  cold: async (latency) => (await oursAt(latency, how)).herd,
  due: async (latency) => {
    const { herd, time } = await oursAt(latency, how)
    await herd.call(1)
    time.move(1_800_000)
    return herd
  }
})

// -----------------------------------------------------------------------------
// peers
// -----------------------------------------------------------------------------

/** The peers read the machine's clock, so their `refresh_in` is the shortest there is, and it is waited for. */
const afterOneSecond = (make: (provider: Provider.Provider) => Omit<Herd, "provider">) => ({
  cold: async (latency: number): Promise<Herd> => {
    const provider = Provider.make({ latency, expiresIn: 3600, refreshIn: 1 })
    return { provider, ...make(provider) }
  },
  due: async (latency: number): Promise<Herd> => {
    const provider = Provider.make({ latency, expiresIn: 3600, refreshIn: 1 })
    const herd = { provider, ...make(provider) }
    await herd.call(1)
    await setTimeout(2_100)
    return herd
  }
})

const msal: Library = {
  name: "@azure/msal-node",
  ...afterOneSecond((provider) => {
    const app = new ConfidentialClientApplication({
      auth: { clientId, clientSecret: "a-secret", authority },
      system: { networkClient: Provider.msalNetwork(provider) }
    })
    return {
      call: promises(async () => present((await app.acquireTokenByClientCredential({ scopes: [scope] }))?.accessToken)),
      close: async () => {}
    }
  })
}

const identity: Library = {
  name: "@azure/identity",
  ...afterOneSecond((provider) => {
    const credential = new ClientSecretCredential(tenantId, clientId, "a-secret", {
      httpClient: Provider.azureClient(provider)
    })
    return { call: promises(async () => (await credential.getToken(scope)).token), close: async () => {} }
  })
}

const openid: Library = {
  name: "openid-client",
  cold: async (latency) => {
    const provider = Provider.make({ latency, expiresIn: 3600 })
    const server = { issuer: `${authority}/v2.0`, token_endpoint: `${authority}/oauth2/v2.0/token` }
    const config = new Configuration(server, clientId, undefined, ClientSecretPost("a-secret"))
    config[customFetch] = () => Provider.response(provider)
    return {
      provider,
      call: promises(async () => (await clientCredentialsGrant(config, { scope })).access_token),
      close: async () => {}
    }
  }
}

export const names = { fibers: "effect-entra, fibers", promises: "effect-entra, promises" } as const

export const libraries: ReadonlyArray<Library> = [
  ours(names.fibers, "fibers"),
  ours(names.promises, "promises"),
  msal,
  identity,
  openid
]
