/** The functions that change the tenants, users, apps and platforms of a running simulator. */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { readCertificate } from "./certificates.ts"
import type { AppState, FederatedCredential, PlatformIssuer, Tenant, User, World } from "./world.ts"

/** Installs an app in a tenant and grants its permissions, as an administrator's consent does. */
export const consent = (app: AppState, tenant: Tenant): void => {
  app.installations.change(tenant, true)
  app.consents.change(tenant, true)
}

export const registrations = (world: World) => {
  const app = (clientId: string): AppState => {
    const found = world.findApp(clientId)
    if (found === undefined) throw new Error(`EntraSimulator: there is no app ${clientId}.`)
    return found
  }
  const tenant = (name: string): Tenant => {
    const found = world.findTenant(name)
    if (found === undefined) throw new Error(`EntraSimulator: there is no tenant ${name}.`)
    return found
  }
  const withoutSecret = (clientId: string, secret: Redacted.Redacted) =>
    app(clientId).secrets.filter((known) => Redacted.value(known) !== Redacted.value(secret))
  const withoutFederated = (clientId: string, { issuer, subject }: FederatedCredential) =>
    app(clientId).federatedCredentials.filter((known) => known.issuer !== issuer || known.subject !== subject)
  return {
    addTenant: (tenant: Tenant) => Effect.sync(() => world.addTenant(tenant)),
    putUser: (tenantId: string, user: User) => Effect.sync(() => world.directoryOf(tenant(tenantId)).put(user)),
    removeUser: (tenantId: string, userId: string) =>
      Effect.sync(() => {
        if (!world.directoryOf(tenant(tenantId)).remove(userId)) {
          throw new Error(`EntraSimulator: there is no user ${userId} in tenant ${tenantId}.`)
        }
      }),
    expireDeltaLinks: (tenantId: string) => Effect.sync(() => world.directoryOf(tenant(tenantId)).expireLinks()),
    install: (clientId: string, tenantId: string) =>
      Effect.sync(() => app(clientId).installations.change(tenant(tenantId), true)),
    consent: (clientId: string, tenantId: string) => Effect.sync(() => consent(app(clientId), tenant(tenantId))),
    revoke: (clientId: string, tenantId: string) =>
      Effect.sync(() => app(clientId).consents.change(tenant(tenantId), false)),
    addSecret: (clientId: string, secret: Redacted.Redacted) =>
      Effect.sync(() => {
        app(clientId).secrets = [...withoutSecret(clientId, secret), secret]
      }),
    removeSecret: (clientId: string, secret: Redacted.Redacted) =>
      Effect.sync(() => {
        app(clientId).secrets = withoutSecret(clientId, secret)
      }),
    addCertificate: (clientId: string, pem: string) =>
      Effect.map(readCertificate(pem), (certificate) => {
        app(clientId).certificates = [...app(clientId).certificates, certificate]
      }),
    removeCertificate: (clientId: string, pem: string) =>
      Effect.map(readCertificate(pem), ({ sha256 }) => {
        app(clientId).certificates = app(clientId).certificates.filter((known) => known.sha256 !== sha256)
      }),
    addFederatedCredential: (clientId: string, credential: FederatedCredential) =>
      Effect.sync(() => {
        app(clientId).federatedCredentials = [...withoutFederated(clientId, credential), credential]
      }),
    removeFederatedCredential: (clientId: string, credential: FederatedCredential) =>
      Effect.sync(() => {
        app(clientId).federatedCredentials = withoutFederated(clientId, credential)
      }),
    trustIssuer: ({ issuer, jwks }: PlatformIssuer) =>
      Effect.sync(() => {
        world.issuers.set(issuer, jwks)
      })
  }
}
