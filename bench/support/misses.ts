/** One token request after the other, each of them a miss, by whoever can make it. */
import { ClientCertificateCredential, ClientSecretCredential } from "@azure/identity"
import { ConfidentialClientApplication } from "@azure/msal-node"
import { Effect, Layer, ManagedRuntime } from "effect"
import { AuthorityResolver, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
import { HttpClient, HttpClientRequest } from "effect/http"
import { importPKCS8 } from "jose"
import { setImmediate } from "node:timers/promises"
import { clientCredentialsGrant, ClientSecretPost, Configuration, customFetch, PrivateKeyJwt } from "openid-client"
import type { Certificate } from "./certificate.ts"
import * as Clocks from "./clocks.ts"
import * as Identity from "./identity.ts"
import { scenario, tokenLength } from "./keys.ts"
import { collect, type Contender, nanoseconds } from "./measure.ts"
import * as Msal from "./msal.ts"
import { credentialOf, fill, transport } from "./ours.ts"

export const names = {
  ours: "effect-entra",
  msal: "@azure/msal-node",
  identity: "@azure/identity",
  openid: "openid-client"
} as const

export interface Proof {
  readonly name: "secret" | "RSA" | "EC"
  /** Undefined: a secret. */
  readonly certificate: Certificate | undefined
}

/** A miss, and who has to be told when there are no more. */
export interface Subject {
  readonly name: string
  readonly group: string
  readonly miss: () => Promise<void>
  readonly close: () => Promise<void>
}

const scope = "https://graph.microsoft.com/.default"
/** No tenant of the tokens that are cached already. */
const tenantId = "99999999-9999-4999-8999-999999999999"
export const publicOrigin = "https://login.microsoftonline.com"

/**
 * Msal-node and @azure/identity do not hand out a token whose end is nearer than five minutes, so that each of their calls
 * looks, finds nothing, asks and stores.
 */
export const answerOf = (expiresIn: number): string =>
  JSON.stringify({ token_type: "Bearer", expires_in: expiresIn, access_token: "t".padEnd(tokenLength, "x") })
export const short = answerOf(100)
const long = answerOf(3_599)

/** The answers of the transports in the process. */
export const answerLong = (): string => answered(long)
const answerShort = (): string => answered(short)

export const contenderOf = ({ group, miss, name }: Subject, operations: number): Contender => ({
  name,
  group,
  operations,
  run: async (laps) => {
    const begun = nanoseconds()
    for (let at = 0; at < operations; at++) {
      await miss()
      if (laps !== undefined) laps.lap()
    }
    return nanoseconds() - begun
  }
})

/** Whether the next answer of a transport in the process starts a full collection. */
let collecting = false

const answered = (answer: string): string => {
  if (collecting) {
    collecting = false
    collect({ type: "major", execution: "sync" })
  }
  return answer
}

/** A full collection while nothing runs, or one during a miss, as the engine starts them: when something is allocated. */
export const collections = ["between misses", "during a miss"] as const
export type Collection = (typeof collections)[number]

/** The same right after a full collection of a warm program: many misses, because the first ones after it cost more. */
export const afterCollection = (subject: Subject, when: Collection): Contender => {
  const operations = 125
  const { run } = contenderOf(subject, operations)
  return {
    name: subject.name,
    group: `${subject.group}, ${when}`,
    operations,
    run: async (laps) => {
      for (let warm = 0; warm < 1_000; warm++) await subject.miss()
      collecting = true
      if (when === "between misses") answered("")
      else await subject.miss()
      if (collecting) throw new Error("nothing was collected")
      return run(laps)
    }
  }
}

const nothing = async (): Promise<void> => undefined

// -----------------------------------------------------------------------------
// subjects
// -----------------------------------------------------------------------------

/** In a fiber of its own for each miss, as a promise: what the peers do as well. */
export const ours = async (
  group: string,
  proof: Proof,
  http: Layer.Layer<HttpClient.HttpClient>,
  options: { readonly cached: number; readonly origin: string; readonly name?: string }
): Promise<Subject> => {
  const resolver = options.origin === publicOrigin
    ? AuthorityResolver.layer
    : AuthorityResolver.layerStatic({ token: `${options.origin}/${tenantId}/oauth2/v2.0/token` })
  const runtime = ManagedRuntime.make(
    ConfidentialClient.layer({ clientId: Msal.clientId }).pipe(
      Layer.provideMerge(TokenCache.layerMemory()),
      Layer.provide([credentialOf(proof.certificate), resolver, TokenEndpoint.layer]),
      Layer.provide(http)
    )
  )
  const client = await runtime.runPromise(ConfidentialClient.ConfidentialClient)
  if (options.cached > 0) await runtime.runPromise(fill(client, scenario(options.cached, 1)))
  const miss = async (): Promise<void> => {
    const { metadata } = await Effect.runPromise(client.acquireToken({ scopes: [scope], tenantId, forceRefresh: true }))
    if (metadata.tokenSource !== "IdentityProvider") throw new Error("not a miss")
  }
  await miss()
  const { entries } = Effect.runSync(client.stats)
  if (entries !== options.cached + 1) throw new Error(`${entries} cached`)
  return { name: options.name ?? names.ours, group, miss, close: () => runtime.dispose() }
}

/** `origin`: over its own transport, to a server that says where its endpoints are. */
export const msal = async (
  group: string,
  { certificate }: Proof,
  options: { readonly cached: number; readonly origin: string }
): Promise<Subject> => {
  const authority = `${options.origin}/${tenantId}`
  const app = options.origin === publicOrigin
    ? Msal.application(authority, certificate, Msal.network(answerShort))
    : new ConfidentialClientApplication({
      auth: {
        clientId: Msal.clientId,
        clientSecret: "a-secret",
        authority,
        knownAuthorities: [new URL(options.origin).host]
      }
    })
  const miss = async (): Promise<void> => {
    const result = await app.acquireTokenByClientCredential({ authority, scopes: [scope] })
    if (result === null || result.fromCache) throw new Error("not a miss")
  }
  if (options.cached > 0) {
    const [first] = scenario(1, 1).keys()
    if (first === undefined) throw new Error("no key")
    const filler = Msal.application(first.authority, certificate, Msal.network(() => answerOf(86_399)))
    await filler.acquireTokenByClientCredential({ authority: first.authority, scopes: [first.scope] })
    Msal.load(filler, first, scenario(options.cached, 1).keys(), tokenLength)
    app.getTokenCache().deserialize(filler.getTokenCache().serialize())
  }
  await miss()
  return { name: names.msal, group, miss, close: nothing }
}

export const identity = async (
  group: string,
  { certificate }: Proof,
  options: { readonly cached: number; readonly origin: string }
): Promise<Subject> => {
  let answer = answerOf(86_399)
  let requests = 0
  const rest = {
    additionallyAllowedTenants: ["*"],
    ...(options.origin === publicOrigin
      ? {
        httpClient: Identity.transport(() => {
          requests++
          return answer
        })
      }
      : { authorityHost: options.origin, disableInstanceDiscovery: true })
  }
  const credential = certificate === undefined
    ? new ClientSecretCredential(tenantId, Msal.clientId, "a-secret", rest)
    : new ClientCertificateCredential(
      tenantId,
      Msal.clientId,
      { certificate: `${certificate.privateKey}\n${certificate.certificate}` },
      rest
    )
  if (options.cached > 0) {
    for (const { scope, tenantId } of scenario(options.cached, 1).keys()) await credential.getToken(scope, { tenantId })
  }
  answer = short
  const miss = async (): Promise<void> => {
    const before = requests
    await credential.getToken(scope)
    if (options.origin === publicOrigin && requests !== before + 1) throw new Error("not a miss")
  }
  await miss()
  return { name: names.identity, group, miss, close: nothing }
}

/** It has no cache, and signs for every request. */
export const openid = async (
  group: string,
  proof: Proof,
  options: { readonly origin: string }
): Promise<Subject> => {
  const issuer = `${options.origin}/${tenantId}/v2.0`
  const { certificate } = proof
  const algorithm = proof.name === "EC" ? "ES256" : "PS256"
  const config = new Configuration(
    { issuer, token_endpoint: `${options.origin}/${tenantId}/oauth2/v2.0/token` },
    Msal.clientId,
    undefined,
    certificate === undefined
      ? ClientSecretPost("a-secret")
      : PrivateKeyJwt(await importPKCS8(certificate.privateKey, algorithm))
  )
  if (options.origin === publicOrigin) {
    config[customFetch] = async () => new Response(long, { headers: { "content-type": "application/json" } })
  }
  const miss = async (): Promise<void> => {
    const { access_token } = await clientCredentialsGrant(config, { scope })
    if (access_token.length !== tokenLength) throw new Error("not a token")
  }
  await miss()
  return { name: names.openid, group, miss, close: nothing }
}

// -----------------------------------------------------------------------------
// what is in a miss beside the library
// -----------------------------------------------------------------------------

/** The in-process transport of each by itself, to the parsed answer. */
export const transportsAlone = (group: string): ReadonlyArray<Subject> => {
  const http = Effect.runSync(Effect.provide(HttpClient.HttpClient, transport(answerLong)))
  const send = (request: HttpClientRequest.HttpClientRequest) =>
    // Ours creates no span of the request, because the program has no tracer.
    Effect.provideService(http.execute(request), HttpClient.TracerDisabledWhen, () => true)
  const request = HttpClientRequest.post(`${publicOrigin}/${tenantId}/oauth2/v2.0/token`).pipe(
    HttpClientRequest.bodyUrlParams({ client_id: Msal.clientId, scope, grant_type: "client_credentials" })
  )
  const network = Msal.network(answerShort)
  const misses: ReadonlyArray<readonly [string, () => Promise<unknown>]> = [
    [
      names.ours,
      () => Effect.runPromise(Effect.map(Effect.flatMap(send(request), ({ text }) => text), JSON.parse))
    ],
    [names.msal, () => network.sendPostRequestAsync(publicOrigin)],
    [names.identity, async () => JSON.parse(short)],
    [names.openid, async () => new Response(long, { headers: { "content-type": "application/json" } }).json()]
  ]
  return misses.map(([name, send]) => ({
    name,
    group,
    miss: async () => {
      await send()
    },
    close: nothing
  }))
}

/** One signature, as WebCrypto makes it: what a miss with a certificate cannot be without. */
export const signature = async (group: string, proof: Proof): Promise<Subject> => {
  const { certificate } = proof
  if (certificate === undefined) throw new Error("nothing to sign with")
  const key = await importPKCS8(certificate.privateKey, proof.name === "EC" ? "ES256" : "PS256")
  const input = Buffer.alloc(400, "x")
  const how = proof.name === "EC" ? { name: "ECDSA", hash: "SHA-256" } : { name: "RSA-PSS", saltLength: 32 }
  return {
    name: "signing alone, WebCrypto",
    group,
    miss: async () => {
      await crypto.subtle.sign(how, key, input)
    },
    close: nothing
  }
}

// -----------------------------------------------------------------------------
// a call whose token is due
// -----------------------------------------------------------------------------

/** Nanoseconds that a fiber waits for a call. Each call whose token is due starts a refresh, which ends before the next. */
export const dueCalls = async (
  calls: number
): Promise<{ readonly due: ReadonlyArray<number>; readonly fresh: ReadonlyArray<number> }> => {
  const time = Clocks.moving()
  const answer = JSON.stringify({ token_type: "Bearer", expires_in: 3600, refresh_in: 1200, access_token: "a-token" })
  const runtime = ManagedRuntime.make(
    ConfidentialClient.layer({ clientId: Msal.clientId, tenantId }).pipe(
      Layer.provide([credentialOf(undefined), AuthorityResolver.layer, TokenEndpoint.layer, TokenCache.layerMemory()]),
      Layer.provide([transport(() => answer), time.layer])
    )
  )
  const client = await runtime.runPromise(ConfidentialClient.ConfidentialClient)
  const request = { scopes: [scope] }
  await runtime.runPromise(client.acquireToken(request))
  const timed = (reason: string) =>
    Effect.gen(function*() {
      const begun = nanoseconds()
      const { metadata } = yield* client.acquireToken(request)
      const took = nanoseconds() - begun
      if (metadata.cacheRefreshReason !== reason) throw new Error(`not ${reason}: ${metadata.cacheRefreshReason}`)
      return took
    })
  const due: Array<number> = []
  const fresh: Array<number> = []
  for (let call = 0; call < calls; call++) {
    time.move(1_500_000)
    due.push(await runtime.runPromise(timed("ProactivelyRefreshed")))
    for (let turns = 0; Effect.runSync(client.stats).flights > 0; turns++) {
      if (turns > 1_000) throw new Error("the refresh does not end")
      await setImmediate()
    }
    fresh.push(await runtime.runPromise(timed("NotApplicable")))
  }
  await runtime.dispose()
  return { due, fresh }
}
