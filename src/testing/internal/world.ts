/**
 * The world of a simulator: who exists in it, and the options people describe it with.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import type * as Redacted from "effect/Redacted"
import type { RegisteredCertificate } from "./certificates.ts"
import type { FaultQueue } from "./faultQueue.ts"
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
 * @category models
 * @since 0.1.0
 */
export interface Tenant {
  readonly id: string
  readonly domain?: string | undefined
  readonly displayName?: string | undefined
  readonly users?: ReadonlyArray<User> | undefined
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
 * **Gotchas**
 *
 * The simulator knows no federated credentials yet: it trusts no issuer but the app itself, and answers the token of a
 * platform with AADSTS700027. In a test let the token file (or `layerAssertion`) hold an assertion that is signed with the
 * key of a certificate in `certificates`, its `iss` and `sub` the client id. To see what a federated credential that does
 * not match looks like, script it: `Fault.refused({ code: 700213, error: "invalid_client", status: 401 })`.
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
 * Options of a simulator; every absent one is taken from the default world.
 *
 * **Details**
 *
 * `origin` is the host that tokens name as their issuer. `aliases` are further hosts that instance discovery knows.
 * `tokenLifetime` is cut to whole seconds. Without `refreshIn` no `refresh_in` is sent, as in the answer recorded from
 * the real service.
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
}

/** An app as the engine keeps it: what can change is mutable. */
export interface AppState {
  readonly clientId: string
  readonly rolesOf: (resource: ResourceState, tenant: Tenant) => ReadonlyArray<string>
  readonly disabled: boolean
  readonly isInstalledIn: (tenant: Tenant) => boolean
  readonly isRegisteredIn: (tenant: Tenant) => boolean
  secrets: ReadonlyArray<Redacted.Redacted>
  certificates: ReadonlyArray<RegisteredCertificate>
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
  readonly findApp: (clientId: string) => AppState | undefined
  readonly findResource: (name: string, tenant: Tenant) => ResourceState | undefined
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
  return {
    clientId: fold(app.clientId),
    rolesOf: (resource, tenant) => hasConsentOf(tenant) ? roles.get(resource.appId) ?? [] : [],
    disabled: app.disabled ?? false,
    isRegisteredIn: among(app.home === undefined ? [] : [app.home]),
    isInstalledIn: among(app.tenants),
    secrets: app.secrets ?? [],
    certificates
  }
}

/** Builds the world. */
export const makeWorld = (
  options:
    & {
      readonly [K in Exclude<keyof Options, "aliases" | "refreshIn">]-?: Exclude<Options[K], undefined>
    }
    & Pick<Options, "aliases" | "refreshIn">,
  parts: Pick<World, "clock" | "ledger" | "faults"> & {
    readonly certificatesOf: (app: App) => ReadonlyArray<RegisteredCertificate>
  }
): World => {
  const tenants = new Map<string, Tenant>()
  for (const tenant of options.tenants) {
    tenants.set(fold(tenant.id), tenant)
    if (tenant.domain !== undefined) tenants.set(fold(tenant.domain), tenant)
  }
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
    findTenant: (name) => tenants.get(fold(name)),
    findApp: (clientId) => apps.get(fold(clientId)),
    findResource: (name, tenant) =>
      resources.find((resource) => resource.names.has(fold(name)) && resource.isInstalledIn(tenant)),
    ledger: parts.ledger,
    faults: parts.faults,
    replays: new Map(),
    tokenLifetime: toSeconds(options.tokenLifetime),
    refreshIn: options.refreshIn === undefined ? undefined : toSeconds(options.refreshIn)
  }
}
