/**
 * The world of a simulator (tenants, apps, resources, realms), and the options that describe it.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import type * as Redacted from "effect/Redacted"
import type { JSONWebKeySet } from "jose"
import type { FaultQueue } from "../faults/faultQueue.ts"
import type { Target } from "../http/wire.ts"
import type { RegisteredCertificate } from "./certificates.ts"
import { type Directory, makeDirectory } from "./directory.ts"
import type { Ledger } from "./ledger.ts"
import type { Signer } from "./signer.ts"

/**
 * A user in the simulated Microsoft Graph.
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
 * A tenant.
 *
 * **Details**
 *
 * - `id`: the tenant id, a GUID.
 * - `domain`: a domain that paths may use instead of the id; default: no domain.
 * - `hosts`: the hosts of an external tenant, such as `contoso.ciamlogin.com` or a custom domain. They serve only this tenant,
 *   and the issuer of their tokens is `https://<tenant id>.ciamlogin.com/<tenant id>/v2.0`. Default: no hosts of its own.
 * - `displayName`: the name of the tenant; default: the id.
 * - `users`: the users of the tenant; default: no users.
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
 * A federated credential of an app: the platform tokens that the app trusts.
 *
 * **Details**
 *
 * A token must have the `iss` of `issuer`, the `sub` of `subject` and an `aud` of `audiences`; the comparison is exact. The
 * default of `audiences` is `api://AzureADTokenExchange`.
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
 * A platform that issues tokens: its issuer and its published keys. A `TestIssuer` has this shape.
 *
 * @category models
 * @since 0.1.0
 */
export interface PlatformIssuer {
  readonly issuer: string
  readonly jwks: JSONWebKeySet
}

/**
 * A subject name and an issuer of certificates that an app trusts.
 *
 * **Details**
 *
 * - `subject`: the common name, a DNS name, or the whole distinguished name of the certificate.
 * - `issuerCertificate`: the certificate (PEM) of the issuer. It issued the app's certificate directly, or through the
 *   intermediates in the `x5c` of the assertion.
 *
 * **Example** (Trusting a renewed certificate without a new registration)
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
 * - `clientId`: the application (client) id.
 * - `secrets`: the client secrets; default: no secrets.
 * - `certificates`: the registered certificates, PEM texts whose first block is the leaf; default: no certificates.
 * - `federatedCredentials`: the trusted platform tokens. The platform must be one of the simulator's `issuers`. Other tokens
 *   are refused with AADSTS700211 to 700213. Default: no federated credentials.
 * - `trustedSubjects`: the certificates that are trusted by subject name and issuer. The assertion must contain a chain to the
 *   issuer in `x5c`. Other certificates are refused with AADSTS700027 or 700030. Default: no trusted subjects.
 * - `tenants`: the ids or domains of the tenants with a service principal of the app; default: all tenants.
 * - `home`: the id or domain of the tenant that registered the app. If the app has no service principal in a tenant, the
 *   request is refused with AADSTS7000229 in this tenant and with AADSTS700016 in any other tenant. Default: no home tenant.
 * - `disabled`: whether the app is disabled; default: false.
 * - `roles`: the application permissions by resource (an identifier URI or an app id). Permissions of unknown resources are
 *   ignored. Default: no permissions, and tokens have no `roles`.
 * - `consents`: the ids or domains of the tenants whose administrators granted the permissions; default: all tenants.
 * - `redirectUris`: the addresses to which the consent page may redirect, the default one first. Other addresses are
 *   refused with AADSTS50011. Default: any http or https address.
 *
 * **Gotchas**
 *
 * Certificates need two optional packages: `npm i -D @peculiar/x509 reflect-metadata`.
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
  readonly redirectUris?: ReadonlyArray<string> | undefined
}

/**
 * An API with tokens.
 *
 * **Details**
 *
 * - `appId`: the app id of the API.
 * - `identifierUris`: the identifier URIs of the API.
 * - `audience`: the `aud` of its tokens; default: the app id, as for an API with v2 tokens.
 * - `tenants`: the ids or domains of the tenants with the API; default: all tenants.
 * - `withoutRole`: the response to an app without a role of this API in the tenant. `"token"` issues a token without `roles`,
 *   `"unassigned"` refuses with AADSTS501051 as an API that requires assignment, `"unconsented"` refuses with AADSTS65001.
 *   Default: `"token"`.
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
 * A method of client authentication at a {@link Realm}, as OpenID Connect names it.
 *
 * @category models
 * @since 0.1.0
 */
export type RealmAuthMethod = "client_secret_basic" | "client_secret_post" | "private_key_jwt"

/**
 * An OpenID provider other than Entra.
 *
 * **Details**
 *
 * The issuer is `<origin>/realms/<name>` with the origin of the request.
 *
 * - `clients`: the client ids of the `apps` in this realm; default: all apps.
 * - `authMethods`: the supported methods of client authentication; default: all three methods.
 * - `scopes`: the scopes that are granted; default: any scope.
 * - `audience`: the `aud` of the tokens; default: the issuer.
 * - `keyIds`: the certificates (PEM) of the clients by the `kid` of an assertion. The thumbprints of a certificate and the
 *   thumbprint of its key (RFC 7638) are always accepted as `kid`.
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
 * Options of a simulator. Absent options have the values of `defaultOptions`, unless a default is given here.
 *
 * **Details**
 *
 * - `origin`: the origin in the issuer of the tokens.
 * - `aliases`: further hosts of instance discovery; default: no further hosts.
 * - `tenants`, `apps`, `resources`: the tenants, the app registrations and the APIs. The `azureResources` are known
 *   too.
 * - `tokenLifetime`: the lifetime of tokens, rounded down to whole seconds.
 * - `refreshIn`: the `refresh_in` of token responses; default: no `refresh_in`, as recorded from the real service.
 * - `signer`: the signer of the tokens.
 * - `issuers`: the platforms whose tokens are accepted for federated credentials; default: no platforms.
 * - `adfs`: serves an AD FS under `/adfs` too, with the same apps and resources and without tenants; default: false.
 * - `realms`: OpenID providers under `/realms`; default: no realms.
 *
 * **Example** (Simulating AD FS and two OpenID providers on one host)
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

/** A set of tenants that can change. */
interface TenantSet {
  readonly has: (tenant: Tenant) => boolean
  readonly change: (tenant: Tenant, isMember: boolean) => void
}

/** The state of an app; the members that can change are mutable. */
export interface AppState {
  readonly clientId: string
  readonly rolesOf: (resource: ResourceState, tenant: Tenant) => ReadonlyArray<string>
  /** Returns the roles regardless of consent, because AD FS has no tenants. */
  readonly rolesEverywhere: (resource: ResourceState) => ReadonlyArray<string>
  readonly disabled: boolean
  readonly redirectUris: ReadonlyArray<string> | undefined
  readonly installations: TenantSet
  readonly consents: TenantSet
  readonly isRegisteredIn: (tenant: Tenant) => boolean
  secrets: ReadonlyArray<Redacted.Redacted>
  certificates: ReadonlyArray<RegisteredCertificate>
  federatedCredentials: ReadonlyArray<FederatedCredential>
  readonly trustedSubjects: ReadonlyArray<TrustedSubject>
}

/** A resource with its names in lower case. */
export interface ResourceState {
  readonly appId: string
  readonly names: ReadonlySet<string>
  readonly audience: string
  readonly withoutRole: "token" | "unassigned" | "unconsented"
  readonly isInstalledIn: (tenant: Tenant) => boolean
}

/** The state of one simulator. Lifetimes are in seconds. */
export interface World {
  readonly origin: string
  readonly hosts: ReadonlyArray<string>
  readonly clock: Clock.Clock
  readonly signer: Signer
  readonly findTenant: (name: string) => Tenant | undefined
  /** Returns the tenant that was added first. */
  readonly firstTenant: () => Tenant | undefined
  /** Adds a tenant, or replaces the tenant with this id and its users. */
  readonly addTenant: (tenant: Tenant) => void
  readonly directoryOf: (tenant: Tenant) => Directory<User>
  /** Returns the tenant of a request, from its path and its host. */
  readonly tenantAt: (target: Pick<Target, "origin" | "tenant">) => Tenant | undefined
  /** Returns the issuer of the tokens of a tenant at an origin. */
  readonly issuerOf: (tenant: Tenant, origin: string) => string
  readonly findApp: (clientId: string) => AppState | undefined
  readonly findResource: (name: string, tenant: Tenant | undefined) => ResourceState | undefined
  readonly findRealm: (name: string) => Realm | undefined
  readonly adfs: boolean
  /** The keys of the platforms, by issuer. */
  readonly issuers: Map<string, JSONWebKeySet>
  readonly ledger: Ledger
  readonly faults: FaultQueue
  /** The used assertion ids, with the time in milliseconds at which each may be removed. */
  readonly replays: Map<string, number>
  tokenLifetime: number
  refreshIn: number | undefined
}

/** Returns a duration in seconds, rounded down. */
export const toSeconds = (input: Duration.Input): number => Math.floor(Duration.toMillis(input) / 1000)

const fold = (name: string) => name.toLowerCase()

/** Returns a predicate for the named tenants; undefined names match every tenant. */
const among = (names: ReadonlyArray<string> | undefined) => {
  if (names === undefined) return () => true
  const set = new Set(names.map(fold))
  return (tenant: Tenant) => set.has(fold(tenant.id)) || (tenant.domain !== undefined && set.has(fold(tenant.domain)))
}

/** Creates a set of the named tenants; undefined names stand for every tenant. */
const makeTenantSet = (names: ReadonlyArray<string> | undefined): TenantSet => {
  const isNamed = among(names)
  const changes = new Map<string, boolean>()
  return {
    has: (tenant) => changes.get(fold(tenant.id)) ?? isNamed(tenant),
    change: (tenant, isMember) => {
      changes.set(fold(tenant.id), isMember)
    }
  }
}

/** Returns the issuer of an external tenant, which is the same for all its hosts. */
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
  const consents = makeTenantSet(app.consents)
  const rolesEverywhere = (resource: ResourceState) => roles.get(resource.appId) ?? []
  return {
    clientId: fold(app.clientId),
    rolesOf: (resource, tenant) => consents.has(tenant) ? rolesEverywhere(resource) : [],
    rolesEverywhere,
    disabled: app.disabled ?? false,
    isRegisteredIn: among(app.home === undefined ? [] : [app.home]),
    installations: makeTenantSet(app.tenants),
    consents,
    redirectUris: app.redirectUris,
    secrets: app.secrets ?? [],
    certificates,
    federatedCredentials: app.federatedCredentials ?? [],
    trustedSubjects: app.trustedSubjects ?? []
  }
}

type Optional = "aliases" | "refreshIn" | "issuers" | "adfs" | "realms"

/** Creates the state of a simulator from complete options. */
export const makeWorld = (
  options:
    & {
      readonly [K in Exclude<keyof Options, Optional>]-?: Exclude<Options[K], undefined>
    }
    & Pick<Options, Optional>,
  parts: Pick<World, "clock" | "ledger" | "faults"> & {
    readonly certificatesOf: (app: App) => ReadonlyArray<RegisteredCertificate>
    /** The resources that are known unless a resource of the options replaces them. */
    readonly wellKnown: ReadonlyArray<Resource>
  }
): World => {
  const tenants = new Map<string, Tenant>()
  const owners = new Map<string, Tenant>()
  const directories = new Map<string, Directory<User>>()
  const addDirectory = ({ id, users = [] }: Tenant): Directory<User> => {
    const directory = makeDirectory(users, (directories.get(fold(id))?.epoch() ?? 0) + 1)
    directories.set(fold(id), directory)
    return directory
  }
  const addTenant = (tenant: Tenant) => {
    for (const names of [tenants, owners]) {
      for (const [name, { id }] of names) if (fold(id) === fold(tenant.id)) names.delete(name)
    }
    tenants.set(fold(tenant.id), tenant)
    addDirectory(tenant)
    if (tenant.domain !== undefined) tenants.set(fold(tenant.domain), tenant)
    for (const host of tenant.hosts ?? []) owners.set(fold(host), tenant)
  }
  options.tenants.forEach(addTenant)
  const findTenant = (name: string) => tenants.get(fold(name))
  const ownerOf = (origin: string) => owners.get(new URL(origin).host)
  const own = options.resources.map(makeResource)
  const isReplaced = ({ names }: ResourceState) => own.some((known) => [...known.names].some((name) => names.has(name)))
  const resources = [...own, ...parts.wellKnown.map(makeResource).filter((known) => !isReplaced(known))]
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
    firstTenant: () => tenants.values().next().value,
    addTenant,
    directoryOf: (tenant) => directories.get(fold(tenant.id)) ?? addDirectory(tenant),
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
