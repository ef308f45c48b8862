/** The columns: every kind of authority, each with its own simulator and its own keys. */
import type { Layer } from "effect"
import { AuthorityResolver, type ConfidentialClient, type EntraError } from "effect-entra"
import { EntraSimulator } from "effect-entra/testing"
import type { HttpClient } from "effect/http"
import { contoso, orders } from "../support/world.ts"
import type { Material } from "./material.ts"

export type Kind = "Entra" | "Ciam" | "Region" | "Adfs" | "Oidc"

/** Where one client signs in, and what its tokens have to say. */
export interface Place {
  readonly client: Partial<ConfidentialClient.Options>
  readonly scopes: string
  readonly token: string
  /** The discovery document, which names the keys. */
  readonly document: string
  readonly issuer: string
  readonly audience: string
  readonly secretMethod: "client_secret_post" | "client_secret_basic"
}

/** The audience of assertions. */
export const audienceAt = ({ client, issuer, token }: Place): string => client.issuer === undefined ? token : issuer

export interface Column {
  readonly name: string
  readonly kind: Kind
  /** Of the simulator: what it is, besides who is known to it. */
  readonly simulator: (material: Material) => Partial<EntraSimulator.Options>
  readonly resolver: Layer.Layer<
    AuthorityResolver.AuthorityResolver,
    EntraError.InvalidAuthorityError,
    HttpClient.HttpClient
  >
  readonly places: readonly [Place, ...ReadonlyArray<Place>]
}

const entra = (authority: string | undefined, origin: string, issuer: string, reached = origin): Place => ({
  client: { tenantId: contoso, authority },
  scopes: orders,
  token: `${reached}/${contoso}/oauth2/v2.0/token`,
  document: `${origin}/${contoso}/v2.0/.well-known/openid-configuration`,
  issuer: `${issuer}/${contoso}/v2.0`,
  audience: EntraSimulator.ordersAppId,
  secretMethod: "client_secret_post"
})

const own = (
  name: string,
  kind: Kind,
  origin: string,
  options: { readonly authority?: string; readonly region?: string; readonly host?: string } = {}
): Column => ({
  name,
  kind,
  simulator: () => ({ origin }),
  resolver: AuthorityResolver.layerWith(options.region === undefined ? {} : { region: options.region }),
  places: [
    entra(options.authority ?? origin, origin, origin, options.host === undefined ? origin : `https://${options.host}`)
  ]
})

const external = `https://${contoso}.ciamlogin.com`
const tenants = EntraSimulator.defaultOptions.tenants.map((known) =>
  known.id === contoso ? { ...known, hosts: ["contoso.ciamlogin.com", "login.contoso.com"] } : known
)
const ciam = (
  name: string,
  authority: string,
  resolver: Column["resolver"] = AuthorityResolver.layer
): Column => ({
  name,
  kind: "Ciam",
  simulator: () => ({ tenants }),
  resolver,
  places: [entra(authority, authority, external)]
})

const realm = (
  name: string,
  secretMethod: Place["secretMethod"] = "client_secret_post"
): Place => {
  const issuer = `https://id.example/realms/${name}`
  return {
    client: { issuer },
    scopes: "read",
    token: `${issuer}/protocol/openid-connect/token`,
    document: `${issuer}/.well-known/openid-configuration`,
    issuer,
    audience: issuer,
    secretMethod
  }
}
const realms = (name: string, places: Column["places"]): Column => ({
  name,
  kind: "Oidc",
  simulator: ({ keyIds }) => ({
    origin: "https://id.example",
    realms: places.map(({ issuer, secretMethod }) => ({
      name: issuer.slice(issuer.lastIndexOf("/") + 1),
      authMethods: [secretMethod, "private_key_jwt"],
      keyIds
    }))
  }),
  resolver: AuthorityResolver.layer,
  places
})

const federation = "https://fs.contoso.com"

export const columns: ReadonlyArray<Column> = [
  own("the public cloud", "Entra", "https://login.microsoftonline.com"),
  own("an alias of the public cloud", "Entra", "https://login.microsoftonline.com", {
    authority: "https://login.windows.net"
  }),
  own("US government", "Entra", "https://login.microsoftonline.us", { authority: "usGovernment" }),
  own("China", "Entra", "https://login.partner.microsoftonline.cn", { authority: "china" }),
  own("a host and port of its own", "Entra", "https://login.private.example:8443"),
  ciam("an external tenant", "https://contoso.ciamlogin.com"),
  ciam(
    "an external tenant's own domain",
    "https://login.contoso.com",
    AuthorityResolver.layerWith({ validateAuthority: false })
  ),
  own("a region", "Region", "https://login.microsoftonline.com", {
    region: "westus2",
    host: "westus2.login.microsoft.com"
  }),
  own("a region of US government", "Region", "https://login.microsoftonline.us", {
    region: "usgovvirginia",
    host: "usgovvirginia.login.microsoftonline.us"
  }),
  {
    name: "AD FS",
    kind: "Adfs",
    simulator: () => ({ origin: federation, adfs: true }),
    resolver: AuthorityResolver.layer,
    places: [{
      client: { authority: `${federation}/adfs` },
      scopes: orders,
      token: `${federation}/adfs/oauth2/token`,
      document: `${federation}/adfs/.well-known/openid-configuration`,
      issuer: "http://fs.contoso.com/adfs/services/trust",
      audience: EntraSimulator.ordersAppId,
      secretMethod: "client_secret_post"
    }]
  },
  realms("an issuer that takes secrets in the form", [realm("form")]),
  realms("an issuer that takes secrets by Basic alone", [realm("basic", "client_secret_basic")]),
  realms("two issuers on one host", [realm("Alpha"), realm("alpha", "client_secret_basic")])
]
