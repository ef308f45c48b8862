/**
 * The world of one run: the world of the file, with the app and the tenants of the flags, and the identity for which the
 * environment is printed.
 */
import type * as Redacted from "effect/Redacted"
import type * as SimulatorServer from "../../../node/SimulatorServer.ts"
import * as EntraSimulator from "../../../testing/EntraSimulator.ts"
import type { CertificateText } from "./certificateText.ts"

/** The flags that add to a world or select a part of it. */
export interface Selection {
  readonly clientId: string | undefined
  readonly clientSecret: Redacted.Redacted | undefined
  readonly certificate: (CertificateText & { readonly path: string }) | undefined
  /** Ids or domains. */
  readonly tenants: ReadonlyArray<string>
}

/** The app and the tenant of a program that uses the simulator. */
export interface Identity {
  readonly clientId: string
  readonly tenantId: string
  readonly secret: Redacted.Redacted | undefined
  /** The path of a file with the certificate and its key. */
  readonly certificatePath: string | undefined
}

export interface Setup {
  readonly options: SimulatorServer.Options & {
    readonly tenants: ReadonlyArray<EntraSimulator.Tenant>
    readonly apps: ReadonlyArray<EntraSimulator.App>
  }
  readonly identity: Identity
}

const { defaultOptions } = EntraSimulator

/** Returns the setup of a run. `newTenantId` returns an id for a domain that is new. */
export const setupOf = (
  world: SimulatorServer.Options,
  selection: Selection,
  newTenantId: (domain: string) => string
): Setup => {
  const tenants = [...world.tenants ?? defaultOptions.tenants]
  for (const name of selection.tenants) {
    if (!tenants.some((tenant) => isNamed(tenant, name))) tenants.push(tenantOf(name, newTenantId))
  }
  const known = world.apps ?? defaultOptions.apps
  const isSelected = ({ clientId }: EntraSimulator.App) =>
    selection.clientId === undefined || equalNames(clientId, selection.clientId)
  const selected = known.find(isSelected)
  const app = withCredentials(selected ?? newApp(selection), selection)
  const tenant = tenants.find((tenant) =>
    selection.tenants[0] === undefined
      ? app.tenants?.some((name) => isNamed(tenant, name)) ?? true
      : isNamed(tenant, selection.tenants[0])
  )
  return {
    options: {
      ...world,
      tenants,
      apps: selected === undefined ? [...known, app] : known.map((other) => other === selected ? app : other)
    },
    identity: {
      clientId: app.clientId,
      tenantId: tenant?.id ?? "",
      secret: selection.certificate === undefined ? app.secrets?.at(-1) : selection.clientSecret,
      certificatePath: selection.certificate?.hasKey === true ? selection.certificate.path : undefined
    }
  }
}

const equalNames = (one: string, other: string) => one.toLowerCase() === other.toLowerCase()

const isNamed = ({ domain, id }: EntraSimulator.Tenant, name: string) =>
  equalNames(id, name) || (domain !== undefined && equalNames(domain, name))

const tenantOf = (name: string, newTenantId: (domain: string) => string): EntraSimulator.Tenant =>
  name.includes(".") ? { id: newTenantId(name), domain: name, displayName: name } : { id: name }

/** Returns an app with the permissions of the default app, and with its secret if the flags have no credential. */
const newApp = ({ certificate, clientId, clientSecret }: Selection): EntraSimulator.App => ({
  clientId: clientId ?? EntraSimulator.daemonClientId,
  roles: defaultOptions.apps[0]?.roles,
  secrets: certificate === undefined && clientSecret === undefined ? [EntraSimulator.daemonSecret] : []
})

const withCredentials = (
  app: EntraSimulator.App,
  { certificate, clientSecret }: Selection
): EntraSimulator.App => ({
  ...app,
  secrets: [...app.secrets ?? [], ...clientSecret === undefined ? [] : [clientSecret]],
  certificates: [...app.certificates ?? [], ...certificate === undefined ? [] : [certificate.certificate]]
})
