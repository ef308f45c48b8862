/**
 * The JSON file of `simulate --world`: its tenants, apps and APIs. Every problem names the path of its value, and no
 * problem repeats a value, because the file has secrets.
 */
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { createPublicKey, type JsonWebKey } from "node:crypto"
import { longestLifetime } from "../../../internal/shared/validate.ts"
import * as EntraSimulator from "../../../testing/EntraSimulator.ts"
import { Domain, Guid, Host, matching } from "../names.ts"
import { pathOf, type Problem, problemsOf } from "../schemaProblems.ts"

/** A world as the file describes it: certificates are PEM texts or paths of files. */
export type World = typeof World.Type

// -----------------------------------------------------------------------------
// schema
// -----------------------------------------------------------------------------

const RealmName = matching(
  /^(?!\.{1,2}$)[\w.~-]+$/,
  "Expected a name of letters, digits and the characters . _ ~ -, but not . or .."
)
const Text = Schema.NonEmptyString
const Secret = Schema.RedactedFromValue(Text)
const Strings = Schema.Array(Text)

const Lifetime = Schema.DurationFromString.check(
  Schema.makeFilter((duration) =>
    (Duration.toSeconds(duration) >= 1 && Duration.toMillis(duration) <= longestLifetime)
    || "Expected a duration from a second to ten years, such as \"1 hour\""
  )
)

const notEmpty = Schema.isMinLength(1, { message: "Expected an array that is not empty, or no such part" })

const optional = Schema.optionalKey

const Tenant = Schema.Struct({
  id: Guid,
  domain: optional(Domain),
  hosts: optional(Schema.Array(Host)),
  displayName: optional(Text),
  users: optional(Schema.Array(Schema.Struct({ id: Text, displayName: Text, userPrincipalName: Text })))
})

const App = Schema.Struct({
  clientId: Guid,
  secrets: optional(Schema.Array(Secret)),
  certificates: optional(Strings),
  federatedCredentials: optional(Schema.Array(Schema.Struct({
    issuer: Text,
    subject: Text,
    audiences: optional(Strings)
  }))),
  trustedSubjects: optional(Schema.Array(Schema.Struct({ subject: Text, issuerCertificate: Text }))),
  tenants: optional(Strings),
  home: optional(Text),
  disabled: optional(Schema.Boolean),
  roles: optional(Schema.Record(Schema.String, Strings)),
  consents: optional(Strings),
  redirectUris: optional(Strings)
})

const Resource = Schema.Struct({
  appId: Guid,
  identifierUris: Strings,
  audience: optional(Text),
  tenants: optional(Strings),
  withoutRole: optional(Schema.Literals(["token", "unassigned", "unconsented"]))
})

type Resource = typeof Resource.Type

const Realm = Schema.Struct({
  name: RealmName,
  clients: optional(Strings),
  authMethods: optional(
    Schema.Array(Schema.Literals(["client_secret_basic", "client_secret_post", "private_key_jwt"]))
  ),
  scopes: optional(Strings),
  audience: optional(Text)
})

const isPublicKey = (key: JsonWebKey): boolean =>
  Result.isSuccess(Result.try(() => createPublicKey({ key, format: "jwk" })))

const Jwk = Schema.Struct({
  kty: Text,
  kid: optional(Text),
  alg: optional(Text),
  use: optional(Text),
  n: optional(Text),
  e: optional(Text),
  crv: optional(Text),
  x: optional(Text),
  y: optional(Text)
}).check(
  Schema.makeFilter((jwk) =>
    isPublicKey(jwk) || "Expected a public key: kty RSA with n and e, EC with crv, x and y, or OKP with crv and x"
  )
)

export const World = Schema.Struct({
  tenants: optional(Schema.Array(Tenant).check(notEmpty)),
  apps: optional(Schema.Array(App).check(notEmpty)),
  resources: optional(Schema.Array(Resource)),
  aliases: optional(Schema.Array(Host)),
  tokenLifetime: optional(Lifetime),
  refreshIn: optional(Lifetime),
  adfs: optional(Schema.Boolean),
  realms: optional(Schema.Array(Realm)),
  issuers: optional(
    Schema.Array(Schema.Struct({ issuer: Text, jwks: Schema.Struct({ keys: Schema.mutable(Schema.Array(Jwk)) }) }))
  )
})

const decode = Schema.decodeUnknownResult(World, { errors: "all", onExcessProperty: "error" })

// -----------------------------------------------------------------------------
// parsing
// -----------------------------------------------------------------------------

/** Parses the text of the file, and checks that the tenants, apps and APIs that it names exist. */
export const parseWorld = (text: string): Result.Result<World, ReadonlyArray<Problem>> =>
  parseJson(text).pipe(
    Result.flatMap((json) => Result.mapError(decode(json), problemsOf)),
    Result.flatMap((world) => {
      const problems = references(world)
      return problems.length === 0 ? Result.succeed(world) : Result.fail(problems)
    })
  )

const parseJson = (text: string): Result.Result<unknown, ReadonlyArray<Problem>> =>
  Result.try({
    try: (): unknown => JSON.parse(text.replace(/^\uFEFF/, "")),
    catch: (cause) => {
      const place = /\(line \d+ column \d+\)/.exec(cause instanceof Error ? cause.message : "")?.[0]
      return [{ path: "", message: `Expected JSON${place === undefined ? "" : ` ${place}`}` }]
    }
  })

const fold = (name: string) => name.toLowerCase()

/**
 * Returns the problems of names: names that refer to nothing, and names that two entries have. Only the parts of the file
 * have problems. A default part fits them: the simulator ignores the permissions of its app for APIs that do not exist.
 */
const references = (world: World): ReadonlyArray<Problem> => {
  const tenants = world.tenants ?? EntraSimulator.defaultOptions.tenants
  const apps = world.apps ?? EntraSimulator.defaultOptions.apps
  const resources = [
    ...world.resources ?? EntraSimulator.defaultOptions.resources,
    ...Object.values(EntraSimulator.azureResources)
  ]
  const tenantNames = new Set(tenants.flatMap(({ domain, id }) => domain === undefined ? [id] : [id, domain]).map(fold))
  const resourceNames = new Set(
    resources.flatMap(({ appId, identifierUris }) => [appId].concat(identifierUris)).map(fold)
  )
  const clientIds = new Set(apps.map(({ clientId }) => fold(clientId)))

  const unknown = (
    known: ReadonlySet<string>,
    what: string,
    names: ReadonlyArray<string> | undefined,
    pathTo: (index: number) => string
  ): ReadonlyArray<Problem> =>
    (names ?? []).flatMap((name, index) =>
      known.has(fold(name)) ? [] : [{ path: pathTo(index), message: `There is no ${what} with this name` }]
    )
  const unknownTenants = (names: ReadonlyArray<string> | undefined, ...path: ReadonlyArray<unknown>) =>
    unknown(tenantNames, "tenant", names, (index) => pathOf(...path, index))
  const taken = (...path: ReadonlyArray<unknown>): Problem => ({
    path: pathOf(...path),
    message: "Another entry has this name"
  })
  const repeated = (
    names: ReadonlyArray<string | undefined>,
    pathTo: (index: number) => ReadonlyArray<unknown>,
    form: (name: string) => string = fold
  ) =>
    names.flatMap((name, index): ReadonlyArray<Problem> =>
      name !== undefined && names.findIndex((other) => other !== undefined && form(other) === form(name)) < index
        ? [taken(...pathTo(index))]
        : []
    )
  const hosts = tenants.flatMap(({ hosts = [] }, index) =>
    hosts.map((host, number) => ({ host, path: ["tenants", index, "hosts", number] }))
  )
  const isIn = (resource: Resource, { domain, id }: (typeof tenants)[number]) =>
    resource.tenants === undefined
    || resource.tenants.some((name) => fold(name) === fold(id) || fold(name) === fold(domain ?? id))
  /** Returns whether an API before this one has the name in one of its tenants. */
  const isTaken = (resource: Resource, index: number, name: string) =>
    (world.resources ?? []).slice(0, index).some((other) =>
      [other.appId, ...other.identifierUris].map(fold).includes(fold(name))
      && tenants.some((tenant) => isIn(resource, tenant) && isIn(other, tenant))
    )

  return [
    ...repeated(tenants.map(({ id }) => id), (index) => ["tenants", index, "id"]),
    ...repeated(tenants.map(({ domain }) => domain), (index) => ["tenants", index, "domain"]),
    ...repeated(hosts.map(({ host }) => host), (index) => hosts[index]?.path ?? []),
    ...repeated(apps.map(({ clientId }) => clientId), (index) => ["apps", index, "clientId"]),
    ...(world.apps ?? []).flatMap((app, index) =>
      [
        unknownTenants(app.tenants, "apps", index, "tenants"),
        unknownTenants(app.consents, "apps", index, "consents"),
        unknown(tenantNames, "tenant", app.home === undefined ? [] : [app.home], () => pathOf("apps", index, "home")),
        Object.keys(app.roles ?? {}).flatMap((name) =>
          unknown(resourceNames, "API", [name], () => pathOf("apps", index, "roles", name))
        )
      ].flat()
    ),
    ...(world.resources ?? []).flatMap((resource, index) =>
      [
        isTaken(resource, index, resource.appId) ? [taken("resources", index, "appId")] : [],
        resource.identifierUris.flatMap((uri, number) =>
          isTaken(resource, index, uri) ? [taken("resources", index, "identifierUris", number)] : []
        ),
        unknownTenants(resource.tenants, "resources", index, "tenants")
      ].flat()
    ),
    // The names of realms and issuers are case-sensitive.
    ...repeated((world.realms ?? []).map(({ name }) => name), (index) => ["realms", index, "name"], String),
    ...repeated((world.issuers ?? []).map(({ issuer }) => issuer), (index) => ["issuers", index, "issuer"], String),
    ...(world.realms ?? []).flatMap((realm, index) =>
      unknown(clientIds, "app", realm.clients, (client) => pathOf("realms", index, "clients", client))
    )
  ]
}
