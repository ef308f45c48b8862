/**
 * The world of a simulator: who exists in it, and the options people describe it with.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import type * as Redacted from "effect/Redacted"
import type { JSONWebKeySet } from "jose"
import type { FaultQueue } from "../faults/faultQueue.ts"
import type { Target } from "../http/wire.ts"
import type { RegisteredCertificate } from "./certificates.ts"
import type { Ledger } from "./ledger.ts"
import type { Signer } from "./signer.ts"

/**
 * A user that the simulated Graph lists.
 *
 * @category models
 * @since 0.1.0
 */
export interface User {
  readonly id: string
  readonly displayName: string
  readonly userPrincipalName: string
}

/**
 * A tenant: a GUID, and perhaps a domain by which the path may name it too.
 *
 * **Details**
 *
 * `hosts` are this tenant's own, as an external tenant has them: `contoso.ciamlogin.com`, or a domain of its own. No other
 * tenant is found there, and what is issued there names `https://<tenant id>.ciamlogin.com/<tenant id>/v2.0` as its issuer.
 *
 * @category models
 * @since 0.1.0
 */
export interface Tenant {
  readonly id: string
  readonly domain?: string | undefined
  readonly hosts?: ReadonlyArray<string> | undefined
  readonly displayName?: string | undefined
  readonly users?: ReadonlyArray<User> | undefined
}

/**
 * The trust of an app in a platform: a token with just this `iss`, this `sub` and one of these `aud`, letter by letter.
 *
 * **Details**
 *
 * Without `audiences` the audience is `api://AzureADTokenExchange`.
 *
 * @category models
 * @since 0.1.0
 */
export interface FederatedCredential {
  readonly issuer: string
  readonly subject: string
  readonly audiences?: ReadonlyArray<string> | undefined
}

/**
 * A platform that issues tokens, and the keys it publishes. A `TestIssuer` is one.
 *
 * @category models
 * @since 0.1.0
 */
export interface PlatformIssuer {
  readonly issuer: string
  readonly jwks: JSONWebKeySet
}

/**
 * The trust of an app in certificates by name: whichever of them `issuerCertificate` (PEM) issued, itself or through those
 * that the assertion's `x5c` holds. `subject` is the common name, a DNS name, or the whole distinguished name.
 *
 * **Example** (A renewed certificate without a new registration)
 *
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { AuthorityResolver, ClientCredential, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
 * import { EntraSimulator, TestCertificate } from "effect-entra/testing"
 * import assert from "node:assert"
 *
 * const { contosoTenantId: tenantId, daemonClientId: clientId } = EntraSimulator
 * const subject = "daemon.contoso.com"
 *
 * const World = Layer.unwrap(Effect.gen(function*() {
 *   const authority = yield* TestCertificate.makeAuthority()
 *   const { certificate, privateKey } = yield* authority.issue({ commonName: subject })
 *   const trustedSubjects = [{ subject, issuerCertificate: authority.certificate }]
 *   return ConfidentialClient.layer({ clientId, tenantId }).pipe(
 *     Layer.provide([
 *       ClientCredential.layerCertificate({ certificate, privateKey, sendCertificateChain: true }),
 *       AuthorityResolver.layer,
 *       TokenEndpoint.layer,
 *       TokenCache.layerMemory()
 *     ]),
 *     Layer.provide(EntraSimulator.layerMemory({ apps: [{ clientId, trustedSubjects }] }))
 *   )
 * }))
 *
 * const program = ConfidentialClient.acquireToken({ scopes: "https://graph.microsoft.com/.default" })
 * const { metadata } = await Effect.runPromise(Effect.provide(program, World))
 * assert.equal(metadata.tokenSource, "IdentityProvider")
 * ```
 *
 * @category models
 * @since 0.1.0
 */
export interface TrustedSubject {
  readonly subject: string
  readonly issuerCertificate: string
}

/**
 * An application registration.
 *
 * **Details**
 *
 * `certificates` are PEM texts whose first block is the leaf. `tenants` are ids or domains of the tenants the app is
 * installed in, that is, has a service principal in; absent means all. `home` is the id or domain of the tenant it is
 * registered in: when the app is not installed there, it is refused with AADSTS7000229, elsewhere with 700016. `roles` are
 * the application permissions granted, by resource (an identifier URI or the resource's app id); those of a resource that
 * does not exist are never used. `consents` are ids or domains of the tenants whose administrators granted them; absent
 * means all. Without a role a token has no `roles`.
 *
 * A platform's token proves the app when it matches one of `federatedCredentials`, and the platform is one of the
 * simulator's `issuers`. A certificate that is not in `certificates` is accepted when the assertion carries its chain, one
 * of `trustedSubjects` names its subject, and the chain leads to that issuer. Requests with a wrong one of these are
 * refused as the service refuses them: AADSTS700211 to 700213, 700027, 700030.
 *
 * **Gotchas**
 *
 * Reading certificates takes two optional packages: `npm i -D @peculiar/x509 reflect-metadata`.
 *
 * @category models
 * @since 0.1.0
 */
export interface App {
  readonly clientId: string
  readonly secrets?: ReadonlyArray<Redacted.Redacted> | undefined
  readonly certificates?: ReadonlyArray<string> | undefined
  readonly federatedCredentials?: ReadonlyArray<FederatedCredential> | undefined
  readonly trustedSubjects?: ReadonlyArray<TrustedSubject> | undefined
  readonly tenants?: ReadonlyArray<string> | undefined
  readonly home?: string | undefined
  readonly disabled?: boolean | undefined
  readonly roles?: Readonly<Record<string, ReadonlyArray<string>>> | undefined
  readonly consents?: ReadonlyArray<string> | undefined
}

/**
 * An API that tokens are issued for.
 *
 * **Details**
 *
 * `audience` becomes the `aud` claim; absent means the app id, as for an API whose manifest asks for v2 tokens.
 * `tenants` are ids or domains of the tenants that have it; absent means all. `withoutRole` is what an app gets that has
 * no role of the resource in the tenant: `"token"`, a token without `roles`; `"unassigned"`, AADSTS501051, as from an API
 * that demands assignment; `"unconsented"`, AADSTS65001; absent means `"token"`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Resource {
  readonly appId: string
  readonly identifierUris: ReadonlyArray<string>
  readonly audience?: string | undefined
  readonly tenants?: ReadonlyArray<string> | undefined
  readonly withoutRole?: "token" | "unassigned" | "unconsented" | undefined
}

/**
 * How a client of a {@link Realm} may prove who it is, in the words of OpenID Connect.
 *
 * @category models
 * @since 0.1.0
 */
export type RealmAuthMethod = "client_secret_basic" | "client_secret_post" | "private_key_jwt"

/**
 * An OpenID provider beside Entra: the issuer is `<origin>/realms/<name>`, with the origin that was asked.
 *
 * **Details**
 *
 * `clients` are the client ids of those `apps` that it knows; absent means all. `authMethods` is what its document offers
 * and its token endpoint takes; absent means all three. `scopes` are those it grants; absent means any. `audience` is the
 * `aud` of its tokens; absent means the issuer. `keyIds` names certificates (PEM) of its clients by the `kid` of an
 * assertion; their thumbprints, and RFC 7638's of their keys, are known without it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Realm {
  readonly name: string
  readonly clients?: ReadonlyArray<string> | undefined
  readonly authMethods?: ReadonlyArray<RealmAuthMethod> | undefined
  readonly scopes?: ReadonlyArray<string> | undefined
  readonly audience?: string | undefined
  readonly keyIds?: Readonly<Record<string, string>> | undefined
}

/**
 * Options of a simulator; every absent one is taken from the default world.
 *
 * **Details**
 *
 * `origin` is the host that tokens name as their issuer. `aliases` are further hosts that instance discovery knows.
 * `issuers` are platforms whose tokens federated credentials may name. With `adfs` it is an AD FS under `/adfs` too, which
 * knows the same apps and resources and no tenants. `realms` are OpenID providers under `/realms`.
 * `tokenLifetime` is cut to whole seconds. Without `refreshIn` no `refresh_in` is sent, as in the answer recorded from
 * the real service.
 *
 * **Example** (An AD FS, and two OpenID providers on one host)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { HttpClient, HttpClientRequest } from "effect/http"
 * import { EntraSimulator } from "effect-entra/testing"
 * import assert from "node:assert"
 *
 * const World = EntraSimulator.layerMemory({
 *   adfs: true,
 *   realms: [{ name: "alpha" }, { name: "beta", authMethods: ["private_key_jwt"] }]
 * })
 *
 * const program = Effect.gen(function*() {
 *   const url = "https://fs.contoso.com/adfs/oauth2/token"
 *   const refused = yield* HttpClient.execute(
 *     HttpClientRequest.bodyUrlParams(HttpClientRequest.post(url), { grant_type: "password" })
 *   )
 *   assert.match(yield* refused.text, /MSIS9611/)
 *   for (const issuer of ["https://id.example/realms/alpha", "https://id.example/realms/beta"]) {
 *     const response = yield* HttpClient.get(`${issuer}/.well-known/openid-configuration`)
 *     assert.match(yield* response.text, new RegExp(`"issuer":"${issuer}"`))
 *   }
 * })
 *
 * await Effect.runPromise(Effect.provide(program, World))
 * ```
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  readonly origin?: string | undefined
  readonly aliases?: ReadonlyArray<string> | undefined
  readonly tenants?: ReadonlyArray<Tenant> | undefined
  readonly apps?: ReadonlyArray<App> | undefined
  readonly resources?: ReadonlyArray<Resource> | undefined
  readonly tokenLifetime?: Duration.Input | undefined
  readonly refreshIn?: Duration.Input | undefined
  readonly signer?: Signer | undefined
  readonly issuers?: ReadonlyArray<PlatformIssuer> | undefined
  readonly adfs?: boolean | undefined
  readonly realms?: ReadonlyArray<Realm> | undefined
}

/** An app as the engine keeps it: what can change is mutable. */
export interface AppState {
  readonly clientId: string
  readonly rolesOf: (resource: ResourceState, tenant: Tenant) => ReadonlyArray<string>
  /** What was granted, whoever consented: AD FS has no tenants. */
  readonly rolesEverywhere: (resource: ResourceState) => ReadonlyArray<string>
  readonly disabled: boolean
  readonly isInstalledIn: (tenant: Tenant) => boolean
  readonly isRegisteredIn: (tenant: Tenant) => boolean
  secrets: ReadonlyArray<Redacted.Redacted>
  certificates: ReadonlyArray<RegisteredCertificate>
  federatedCredentials: ReadonlyArray<FederatedCredential>
  readonly trustedSubjects: ReadonlyArray<TrustedSubject>
}

/** A resource with its names folded. */
export interface ResourceState {
  readonly appId: string
  readonly names: ReadonlySet<string>
  readonly audience: string
  readonly withoutRole: "token" | "unassigned" | "unconsented"
  readonly isInstalledIn: (tenant: Tenant) => boolean
}

/** Everything one simulator knows. */
export interface World {
  readonly origin: string
  readonly hosts: ReadonlyArray<string>
  readonly clock: Clock.Clock
  readonly signer: Signer
  readonly findTenant: (name: string) => Tenant | undefined
  /** The tenant that a request names, at the host it was sent to. */
  readonly tenantAt: (target: Pick<Target, "origin" | "tenant">) => Tenant | undefined
  /** The issuer of what a tenant gives out at an origin. */
  readonly issuerOf: (tenant: Tenant, origin: string) => string
  readonly findApp: (clientId: string) => AppState | undefined
  readonly findResource: (name: string, tenant: Tenant | undefined) => ResourceState | undefined
  readonly findRealm: (name: string) => Realm | undefined
  readonly adfs: boolean
  /** The keys of the platforms, by issuer. */
  readonly issuers: Map<string, JSONWebKeySet>
  readonly ledger: Ledger
  readonly faults: FaultQueue
  /** Assertion ids that were used, with the moment from which they may be forgotten. */
  readonly replays: Map<string, number>
  tokenLifetime: number
  refreshIn: number | undefined
}

/** Whole seconds of a duration. */
export const toSeconds = (input: Duration.Input): number => Math.floor(Duration.toMillis(input) / 1000)

const fold = (name: string) => name.toLowerCase()

/** Whether a tenant is among those named; absent names mean every tenant. */
const among = (names: ReadonlyArray<string> | undefined) => {
  if (names === undefined) return () => true
  const set = new Set(names.map(fold))
  return (tenant: Tenant) => set.has(fold(tenant.id)) || (tenant.domain !== undefined && set.has(fold(tenant.domain)))
}

/** The issuer of an external tenant, whatever the host was. */
export const externalIssuer = ({ id }: Tenant): string => `https://${id}.ciamlogin.com/${id}/v2.0`

const makeResource = (resource: Resource): ResourceState => ({
  appId: fold(resource.appId),
  names: new Set([resource.appId, ...resource.identifierUris].map(fold)),
  audience: resource.audience ?? resource.appId,
  withoutRole: resource.withoutRole ?? "token",
  isInstalledIn: among(resource.tenants)
})

const makeApp = (
  app: App,
  certificates: ReadonlyArray<RegisteredCertificate>,
  resources: ReadonlyArray<ResourceState>
): AppState => {
  const roles = new Map<string, ReadonlyArray<string>>()
  for (const [name, granted] of Object.entries(app.roles ?? {})) {
    const resource = resources.find((resource) => resource.names.has(fold(name)))
    if (resource !== undefined) roles.set(resource.appId, [...(roles.get(resource.appId) ?? []), ...granted])
  }
  const hasConsentOf = among(app.consents)
  const rolesEverywhere = (resource: ResourceState) => roles.get(resource.appId) ?? []
  return {
    clientId: fold(app.clientId),
    rolesOf: (resource, tenant) => hasConsentOf(tenant) ? rolesEverywhere(resource) : [],
    rolesEverywhere,
    disabled: app.disabled ?? false,
    isRegisteredIn: among(app.home === undefined ? [] : [app.home]),
    isInstalledIn: among(app.tenants),
    secrets: app.secrets ?? [],
    certificates,
    federatedCredentials: app.federatedCredentials ?? [],
    trustedSubjects: app.trustedSubjects ?? []
  }
}

type Optional = "aliases" | "refreshIn" | "issuers" | "adfs" | "realms"

/** Builds the world. */
export const makeWorld = (
  options:
    & {
      readonly [K in Exclude<keyof Options, Optional>]-?: Exclude<Options[K], undefined>
    }
    & Pick<Options, Optional>,
  parts: Pick<World, "clock" | "ledger" | "faults"> & {
    readonly certificatesOf: (app: App) => ReadonlyArray<RegisteredCertificate>
  }
): World => {
  const tenants = new Map<string, Tenant>()
  const owners = new Map<string, Tenant>()
  for (const tenant of options.tenants) {
    tenants.set(fold(tenant.id), tenant)
    if (tenant.domain !== undefined) tenants.set(fold(tenant.domain), tenant)
    for (const host of tenant.hosts ?? []) owners.set(fold(host), tenant)
  }
  const findTenant = (name: string) => tenants.get(fold(name))
  const ownerOf = (origin: string) => owners.get(new URL(origin).host)
  const resources = options.resources.map(makeResource)
  const apps = new Map(
    options.apps.map((app) => [fold(app.clientId), makeApp(app, parts.certificatesOf(app), resources)])
  )
  const origin = new URL(options.origin).origin
  return {
    origin,
    hosts: [new URL(origin).host, ...(options.aliases ?? []).map(fold)],
    clock: parts.clock,
    signer: options.signer,
    findTenant,
    tenantAt: (target) => {
      const tenant = findTenant(target.tenant)
      const owner = ownerOf(target.origin)
      return owner === undefined || owner === tenant ? tenant : undefined
    },
    issuerOf: (tenant, at) => ownerOf(at) === tenant ? externalIssuer(tenant) : `${origin}/${tenant.id}/v2.0`,
    findApp: (clientId) => apps.get(fold(clientId)),
    findResource: (name, tenant) =>
      resources.find((resource) =>
        resource.names.has(fold(name)) && (tenant === undefined || resource.isInstalledIn(tenant))
      ),
    findRealm: (name) => options.realms?.find((realm) => realm.name === name),
    adfs: options.adfs ?? false,
    issuers: new Map(options.issuers?.map(({ issuer, jwks }) => [issuer, jwks])),
    ledger: parts.ledger,
    faults: parts.faults,
    replays: new Map(),
    tokenLifetime: toSeconds(options.tokenLifetime),
    refreshIn: options.refreshIn === undefined ? undefined : toSeconds(options.refreshIn)
  }
}
