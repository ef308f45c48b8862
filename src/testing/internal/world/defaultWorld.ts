/**
 * The default world of a simulator: two tenants, one daemon, Microsoft Graph and one other API.
 */
import type * as Duration from "effect/Duration"
import * as Redacted from "effect/Redacted"
import { type Signer, signerRs256 } from "./signer.ts"
import type { App, Resource, Tenant, User } from "./world.ts"

/**
 * The tenant id of Contoso in the default world.
 *
 * @category default world
 * @since 0.1.0
 */
export const contosoTenantId = "3f6a2c1e-8b4d-4e57-9a10-c5d2e7f48b36"

/**
 * The domain of Contoso in the default world.
 *
 * @category default world
 * @since 0.1.0
 */
export const contosoDomain = "contoso.onmicrosoft.com"

/**
 * The tenant id of Fabrikam in the default world.
 *
 * @category default world
 * @since 0.1.0
 */
export const fabrikamTenantId = "b81d5f09-27ce-4a63-8e4b-60a9f3d17c52"

/**
 * The domain of Fabrikam in the default world.
 *
 * @category default world
 * @since 0.1.0
 */
export const fabrikamDomain = "fabrikam.onmicrosoft.com"

/**
 * The client id of the daemon of the default world.
 *
 * @category default world
 * @since 0.1.0
 */
export const daemonClientId = "7c9e4d20-51b8-4f3a-b6d7-2a8f0e93c415"

/**
 * The client secret of the daemon of the default world.
 *
 * @category default world
 * @since 0.1.0
 */
export const daemonSecret: Redacted.Redacted = Redacted.make("simulated~secret.of-the_daemon")

/**
 * The identifier URI of Microsoft Graph.
 *
 * @category default world
 * @since 0.1.0
 */
export const graphResource = "https://graph.microsoft.com"

/**
 * The app id of Microsoft Graph. The simulated Graph accepts the audience of the resource with this app id.
 *
 * @category default world
 * @since 0.1.0
 */
export const graphAppId = "00000003-0000-0000-c000-000000000000"

/**
 * The identifier URI of the other API of the default world.
 *
 * @category default world
 * @since 0.1.0
 */
export const ordersResource = "api://orders"

/**
 * The app id of the other API of the default world, and the `aud` of its tokens.
 *
 * @category default world
 * @since 0.1.0
 */
export const ordersAppId = "e2b7a6d4-0c95-4b1f-a3e8-94d0617f5b2a"

const firstNames = ["Ada", "Bo", "Chidi", "Dana", "Emre", "Farah", "Goran", "Hana", "Ivo", "Jun", "Kofi", "Lena"]
const lastNames = ["Abe", "Berg", "Costa", "Diaz", "Eriksen", "Fischer", "Gupta", "Haddad", "Ivanova", "Jansen"]

/** Combines twelve first names with ten last names, shifted so that the combinations differ. */
const nameOf = (index: number): string =>
  `${firstNames[index % firstNames.length]} ${
    lastNames[(index + Math.floor(index / firstNames.length)) % lastNames.length]
  }`

const usersOf = (prefix: string, domain: string, count: number): ReadonlyArray<User> =>
  Array.from({ length: count }, (_, index) => {
    const number = String(index + 1).padStart(3, "0")
    return {
      id: `${prefix}-0000-4000-8000-000000000${number}`,
      displayName: nameOf(index),
      userPrincipalName: `user${number}@${domain}`
    }
  })

const tenants: ReadonlyArray<Tenant> = [
  {
    id: contosoTenantId,
    domain: contosoDomain,
    displayName: "Contoso",
    users: usersOf("c0150000", contosoDomain, 120)
  },
  {
    id: fabrikamTenantId,
    domain: fabrikamDomain,
    displayName: "Fabrikam",
    users: usersOf("fab00000", fabrikamDomain, 3)
  }
]

const apps: ReadonlyArray<App> = [{
  clientId: daemonClientId,
  secrets: [daemonSecret],
  roles: { [graphResource]: ["Organization.Read.All", "User.Read.All"], [ordersResource]: ["Orders.Read.All"] }
}]

const azureResource = (appId: string, ...uris: readonly [string, ...ReadonlyArray<string>]): Resource => ({
  appId,
  identifierUris: uris.flatMap((uri) => [uri, `${uri}/`]),
  audience: uris[0]
})

/**
 * The well-known resources of Azure: Microsoft Graph, Key Vault, Storage, Resource Manager, Redis and SQL.
 *
 * **Details**
 *
 * Every simulator knows them, whatever its option `resources`. A resource of that option with the same app id or the
 * same identifier URI replaces one of them. Scopes and `roles` name them by URI, such as `https://vault.azure.net`,
 * with or without a slash at the end. The `aud` of their tokens is the first identifier URI.
 *
 * @category default world
 * @since 0.1.0
 */
export const azureResources: Readonly<
  Record<"graph" | "keyVault" | "storage" | "resourceManager" | "redis" | "sql", Resource>
> = {
  graph: azureResource(graphAppId, graphResource),
  keyVault: azureResource("cfa8b339-82a2-471a-a3c9-0fc0be7a4093", "https://vault.azure.net"),
  storage: azureResource("e406a681-f3d4-42a8-90b6-c2b029497af1", "https://storage.azure.com"),
  resourceManager: azureResource(
    "797f4846-ba00-4fd7-ba43-dac1f8f63013",
    "https://management.azure.com",
    "https://management.core.windows.net"
  ),
  redis: azureResource("acca5fbb-b7e4-4009-81f1-37e38fd66d78", "https://redis.azure.com"),
  sql: azureResource("022907d3-0f1b-48f7-badc-1ba6abab6d66", "https://database.windows.net")
}

const resources: ReadonlyArray<Resource> = [
  azureResources.graph,
  { appId: ordersAppId, identifierUris: [ordersResource] }
]

/**
 * The options of the default world.
 *
 * @category default world
 * @since 0.1.0
 */
export interface DefaultOptions {
  readonly origin: string
  readonly tenants: ReadonlyArray<Tenant>
  readonly apps: ReadonlyArray<App>
  readonly resources: ReadonlyArray<Resource>
  readonly tokenLifetime: Duration.Input
  readonly signer: Signer
}

/**
 * The options of the default world.
 *
 * **Details**
 *
 * The tenants are Contoso (120 users) and Fabrikam (3 users). One daemon is installed in both tenants. It may read users and
 * organizations in Microsoft Graph, and orders in `api://orders`. Tokens live for 3599 seconds.
 *
 * @category default world
 * @since 0.1.0
 */
export const defaultOptions: DefaultOptions = {
  origin: "https://login.microsoftonline.com",
  tenants,
  apps,
  resources,
  tokenLifetime: "3599 seconds",
  signer: signerRs256
}
