/**
 * The fault table of authorities, requests and settings: what a program may pass wrongly, through the doors that programs
 * use; what it is told; and that nothing is sent.
 */
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Duration, Effect, Layer, Redacted } from "effect"
import { AuthorityResolver, ClientCredential, ConfidentialClient, TokenCache, TokenEndpoint } from "effect-entra"
import { assertFault, type Fault, hidden, Transport } from "./support/faults.ts"
import { contoso, graph, tokenRequests, World as Simulated } from "./support/world.ts"

const clientId = "7c9e4d20-51b8-4f3a-b6d7-2a8f0e93c415"

/** JavaScript passes what TypeScript would not let through. */
const untyped = (json: string) => JSON.parse(json)

const World = (sent: Array<string>, resolver: AuthorityResolver.Options = {}) =>
  Layer.mergeAll(AuthorityResolver.layerWith(resolver), TokenEndpoint.layer, TokenCache.layerMemory()).pipe(
    Layer.provide(Transport(sent))
  )

const client = (options: Partial<ConfidentialClient.Options>) =>
  Effect.flatMap(
    ClientCredential.secret(Redacted.make(hidden)),
    (credential) => ConfidentialClient.make({ clientId, credential, ...options })
  )

const found = (
  { fault, resolver, use }: {
    readonly fault: Fault
    readonly resolver?: AuthorityResolver.Options | undefined
    readonly use: Effect.Effect<
      unknown,
      Parameters<typeof assertFault>[0],
      Effect.Services<ReturnType<typeof client>>
    >
  }
) => {
  const sent: Array<string> = []
  return Effect.gen(function*() {
    assertFault(yield* Effect.flip(Effect.provide(use, World(sent, resolver))), fault)
    assert.deepStrictEqual(sent, [])
  }).pipe(Effect.scoped)
}

// -----------------------------------------------------------------------------
// options
// -----------------------------------------------------------------------------

interface OptionFault extends Fault {
  readonly options: Partial<ConfidentialClient.Options>
}

const authority = (name: string, value: string, remedy = "Pass an absolute https URL such as", code = "malformed") =>
  ({
    name: `authority: ${name}`,
    options: { authority: value },
    tag: "Authority",
    code: `authority_${code}`,
    field: "authority",
    remedy
  }) as const

const issuer = (
  name: string,
  value: string,
  remedy = "Pass the issuer of the provider's discovery document",
  code = "malformed"
) =>
  ({
    name: `issuer: ${name}`,
    options: { issuer: value },
    tag: "Authority",
    code: `authority_${code}`,
    field: "issuer",
    remedy
  }) as const

const malformed = (name: string, options: OptionFault["options"], field: string, remedy: string): OptionFault => ({
  name,
  options,
  tag: "Request",
  code: "field_malformed",
  field,
  remedy
})

const place = (
  name: string,
  options: OptionFault["options"],
  code: string,
  field: string,
  remedy: string
): OptionFault => ({ name, options, tag: "Authority", code, field, remedy })

const appId = "application (client) id from the overview of the app registration"
const tenantRemedy = "directory (tenant) id"
const anyDuration = "a duration of 0 or more"
const parameters = "an object whose values are strings"

const options: ReadonlyArray<OptionFault> = [
  // The application.
  {
    name: "clientId: empty",
    options: { clientId: "" },
    tag: "Request",
    code: "field_missing",
    field: "clientId",
    remedy: appId
  },
  malformed("clientId: with a blank", { clientId: "my app" }, "clientId", appId),
  malformed("clientId: too long", { clientId: "a".repeat(257) }, "clientId", appId),
  {
    name: "clientId: not set",
    options: { clientId: untyped("{}").nothing },
    tag: "Request",
    code: "field_missing",
    field: "clientId",
    remedy: appId
  },
  malformed("clientId: a number", untyped(`{"clientId":7}`), "clientId", "Pass a string as clientId"),
  // Types.
  malformed("tenantId: a number", untyped(`{"tenantId":7}`), "tenantId", "Pass a string as tenantId"),
  malformed("authority: a number", untyped(`{"authority":7}`), "authority", "Pass a string or a URL"),
  malformed("issuer: an object", untyped(`{"issuer":{}}`), "issuer", "Pass a string or a URL"),
  malformed("allowedTenants: a string", untyped(`{"allowedTenants":"a.com"}`), "allowedTenants", "an array of strings"),
  malformed("allowedTenants: numbers", untyped(`{"allowedTenants":[7]}`), "allowedTenants", "an array of strings"),
  malformed("onThrottled: another word", untyped(`{"onThrottled":"maybe"}`), "onThrottled", `"fail" or "wait"`),
  malformed(
    "renewal.serveStaleOnOutage: a word",
    untyped(`{"renewal":{"serveStaleOnOutage":"no"}}`),
    "renewal.serveStaleOnOutage",
    "true or false"
  ),
  malformed("renewal: null", untyped(`{"renewal":null}`), "renewal", "an object"),
  malformed(
    "renewal.serveStaleOnRefusal: null",
    untyped(`{"renewal":{"serveStaleOnRefusal":null}}`),
    "renewal.serveStaleOnRefusal",
    "true or false"
  ),
  malformed("renewal: a word", untyped(`{"renewal":"often"}`), "renewal", "an object"),
  malformed("renewal.margin: below zero", { renewal: { margin: Duration.minutes(-5) } }, "renewal.margin", anyDuration),
  malformed("renewal.margin: no number", { renewal: { margin: Number.NaN } }, "renewal.margin", anyDuration),
  malformed("renewal.maxWait: a word", untyped(`{"renewal":{"maxWait":"soon"}}`), "renewal.maxWait", anyDuration),
  malformed(
    "renewal.backoff: a base that is a word",
    untyped(`{"renewal":{"backoff":{"base":"soon"}}}`),
    "renewal.backoff.base",
    anyDuration
  ),
  malformed(
    "renewal.backoff: a cap below zero",
    { renewal: { backoff: { cap: -1 } } },
    "renewal.backoff.cap",
    anyDuration
  ),
  // The authority.
  authority("empty", ""),
  authority("a blank", "https://login.microsoftonline.com/a b"),
  authority("a backslash", "https:\\\\login.microsoftonline.com"),
  authority("a user", `https://user:${hidden}@login.microsoftonline.com/a.com`),
  authority("a query", "https://login.microsoftonline.com/a.com?x=1"),
  authority("a fragment", "https://login.microsoftonline.com/a.com#x"),
  authority("no URL", "login.microsoftonline.com"),
  authority("a cloud that is none", "moon"),
  authority("in the clear", "http://login.microsoftonline.com/a.com", "Use https", "insecure"),
  authority("another scheme", "ftp://login.microsoftonline.com/a.com", "Use https", "insecure"),
  authority("an escaped host", "https://login%2emicrosoftonline.com/a.com"),
  authority("a host with a dot at its end", "https://login.microsoftonline.com./a.com"),
  authority("a missing slash", "https:/login.microsoftonline.com/a.com"),
  authority("dots in its path", "https://login.microsoftonline.com/a.com/.."),
  authority("more than a tenant", "https://login.microsoftonline.com/a.com/b"),
  place(
    "authority: no tenant in its path",
    { authority: "https://login.microsoftonline.com/a_b" },
    "tenant_malformed",
    "authority",
    tenantRemedy
  ),
  // The issuer.
  issuer("empty", ""),
  issuer("a blank", "https://idp.example/realm one"),
  issuer("a backslash", "https://idp.example\\one"),
  issuer("a user", `https://user:${hidden}@idp.example/one`),
  issuer("a query", "https://idp.example/one?x=1"),
  issuer("a fragment", "https://idp.example/one#x"),
  issuer("no URL", "idp.example"),
  issuer("in the clear", "http://idp.example/one", "Use https", "insecure"),
  issuer("an escaped host", "https://idp%2eexample/one"),
  issuer("a path that a parser would change", "https://idp.example/one/../two"),
  place(
    "issuer beside authority",
    { issuer: "https://idp.example", authority: "public" },
    "authority_unsupported",
    "authority",
    "Leave authority out"
  ),
  place(
    "issuer beside tenantId",
    { issuer: "https://idp.example", tenantId: "a.com" },
    "authority_unsupported",
    "tenantId",
    "Leave tenantId out"
  ),
  place(
    "issuer beside allowedTenants",
    { issuer: "https://idp.example", allowedTenants: [] },
    "authority_unsupported",
    "allowedTenants",
    "Leave allowedTenants out"
  ),
  // The tenant.
  place("tenantId: empty", { tenantId: "" }, "tenant_malformed", "tenantId", tenantRemedy),
  place("tenantId: no name", { tenantId: "a_b" }, "tenant_malformed", "tenantId", tenantRemedy),
  place("tenantId: a path", { tenantId: "a.com/b" }, "tenant_malformed", "tenantId", tenantRemedy),
  place("tenantId: too long", { tenantId: "a".repeat(254) }, "tenant_malformed", "tenantId", tenantRemedy),
  place(
    "tenantId: at AD FS",
    { authority: "https://sts.contoso.com/adfs", tenantId: "a.com" },
    "authority_unsupported",
    "tenantId",
    "Leave tenantId out"
  ),
  place(
    "tenantId: adfs in a cloud",
    { authority: "public", tenantId: "adfs" },
    "authority_unsupported",
    "tenantId",
    "Pass the AD FS server as the authority"
  ),
  place(
    "allowedTenants: no tenant among them",
    { allowedTenants: ["a.com", "a_b"] },
    "tenant_malformed",
    "allowedTenants",
    "Pass the directory (tenant) id or a domain name of each tenant"
  ),
  place(
    "allowedTenants: many that are none",
    { allowedTenants: Array.from({ length: 11 }, (_, index) => `a_${index}`) },
    "tenant_malformed",
    "allowedTenants",
    "Pass the directory (tenant) id or a domain name of each tenant"
  ),
  // Options that apply to every request.
  malformed(
    "extraQueryParameters: a list",
    untyped(`{"extraQueryParameters":["a"]}`),
    "extraQueryParameters",
    parameters
  ),
  malformed("extraQueryParameters: null", untyped(`{"extraQueryParameters":null}`), "extraQueryParameters", parameters),
  malformed(
    "extraQueryParameters: text",
    untyped(`{"extraQueryParameters":"a=1"}`),
    "extraQueryParameters",
    parameters
  ),
  malformed("a parameter without a name", { extraQueryParameters: { "": hidden } }, "extraQueryParameters", parameters),
  malformed(
    "a parameter that is a number",
    untyped(`{"extraQueryParameters":{"a":7}}`),
    "extraQueryParameters",
    parameters
  ),
  malformed(
    "a parameter that is null",
    untyped(`{"extraQueryParameters":{"a":null}}`),
    "extraQueryParameters",
    parameters
  ),
  malformed(
    "a parameter that is half an object",
    untyped(`{"extraQueryParameters":{"a":{"value":"${hidden}"}}}`),
    "extraQueryParameters",
    parameters
  ),
  malformed(
    "a parameter without a value",
    untyped(`{"extraQueryParameters":{"a":{"inCacheKey":true}}}`),
    "extraQueryParameters",
    parameters
  ),
  malformed(
    "a parameter whose inCacheKey is a word",
    untyped(`{"extraQueryParameters":{"a":{"value":"${hidden}","inCacheKey":"no"}}}`),
    "extraQueryParameters",
    parameters
  ),
  malformed(
    "a redacted number",
    { extraQueryParameters: { a: Redacted.make(untyped("7")) } },
    "extraQueryParameters",
    parameters
  ),
  malformed("clientCapabilities: a string", untyped(`{"clientCapabilities":"cp1"}`), "clientCapabilities", `["cp1"]`),
  malformed("clientCapabilities: a number", untyped(`{"clientCapabilities":[1]}`), "clientCapabilities", `["cp1"]`),
  malformed("clientCapabilities: with a blank", { clientCapabilities: ["c p"] }, "clientCapabilities", `["cp1"]`)
]

describe("options of a client", () => {
  it.effect.each(options)("$name: $code", ({ options, ...fault }) => found({ fault, use: client(options) }))
})

// -----------------------------------------------------------------------------
// requests
// -----------------------------------------------------------------------------

interface RequestFault extends Fault {
  readonly request: Parameters<ConfidentialClient.ConfidentialClient["Service"]["acquireToken"]>[0]
  /** Of the client. */
  readonly of?: Partial<ConfidentialClient.Options> | undefined
}

const scope = (name: string, scopes: string | ReadonlyArray<string>, code: string, remedy: string): RequestFault => ({
  name: `scopes: ${name}`,
  request: { scopes },
  tag: "Scope",
  code: `scope_${code}`,
  field: "scopes",
  remedy
})

const field = (
  name: string,
  more: Partial<RequestFault["request"]>,
  remedy: string
): RequestFault => {
  const [field = ""] = Object.keys(more)
  return {
    name: `${field}: ${name}`,
    request: { scopes: graph, ...more },
    tag: "Request",
    code: "field_malformed",
    field,
    remedy
  }
}

const mistyped = (name: string, request: RequestFault["request"], field: string, remedy: string): RequestFault => ({
  name: `${field}: ${name}`,
  request,
  tag: "Request",
  code: "field_malformed",
  field,
  remedy
})

const where = (
  name: string,
  more: Partial<RequestFault["request"]>,
  code: string,
  field: string,
  remedy: string,
  of?: RequestFault["of"]
): RequestFault => ({ name, request: { scopes: graph, ...more }, of, tag: "Authority", code, field, remedy })

const duration = "a finite duration of 0 or more"
const challenge = "Pass the claims of the challenge unchanged"
const adfs = { authority: "https://sts.contoso.com/adfs", tenantId: undefined }
const oidc = { issuer: "https://idp.example/one", tenantId: undefined }

const requests: ReadonlyArray<RequestFault> = [
  // Types.
  mistyped("none", untyped("null"), "request", "Pass an object as request"),
  mistyped("a string", untyped(`"${graph}"`), "request", "Pass an object as request"),
  mistyped("left out", untyped("{}"), "scopes", "an array of strings"),
  mistyped("a number", untyped(`{"scopes":7}`), "scopes", "an array of strings"),
  mistyped("numbers", untyped(`{"scopes":[7]}`), "scopes", "an array of strings"),
  ...["tenantId", "authority", "claims", "accessTokenSha256ToRefresh", "correlationId"].map((name) =>
    mistyped("a number", untyped(`{"scopes":"${graph}","${name}":7}`), name, `Pass a string as ${name}`)
  ),
  ...["forceRefresh", "sendCertificateChain"].map((name) =>
    mistyped("a word", untyped(`{"scopes":"${graph}","${name}":"yes"}`), name, `Pass true or false as ${name}`)
  ),
  // Scopes.
  scope("empty", "", "missing", "Pass the scope of the API"),
  scope("none", [], "missing", "Pass the scope of the API"),
  scope("blanks", ["  "], "missing", "Pass the scope of the API"),
  scope("a quote", `api://a"b/.default`, "malformed", "Write each scope in printable ASCII"),
  scope("too long", `api://${"a".repeat(2048)}/.default`, "malformed", "Write each scope in printable ASCII"),
  scope("a user's", "User.Read", "not_default", "followed by /.default"),
  scope("no resource", "/.default", "not_default", "followed by /.default"),
  scope("two resources", [graph, "api://orders/.default"], "several_resources", "Make one request for each"),
  { ...scope("none, at AD FS", [], "missing", "Pass the scope of the API"), of: adfs },
  // Where from.
  where("tenantId: no name", { tenantId: "a_b" }, "tenant_malformed", "tenantId", tenantRemedy),
  where("authority: no URL", { authority: "moon" }, "authority_malformed", "authority", "or the name of a cloud"),
  where("authority: another cloud", { authority: "china" }, "authority_mismatch", "authority", "Build a client for"),
  where(
    "authority: AD FS instead of Entra, on one host",
    { authority: "https://sts.contoso.com/adfs" },
    "authority_mismatch",
    "authority",
    "Build a client for",
    { authority: "https://sts.contoso.com/a.com", tenantId: undefined }
  ),
  where(
    "tenantId: against the authority's",
    { authority: "https://login.microsoftonline.com/a.com", tenantId: "b.com" },
    "authority_mismatch",
    "tenantId",
    "Pass the tenant only once"
  ),
  where("no tenant at all", {}, "tenant_missing", "tenantId", "Pass tenantId in the request", {
    tenantId: undefined
  }),
  ...["common", "organizations", "consumers"].map((tenantId) =>
    where(`tenantId: ${tenantId}`, { tenantId }, "tenant_not_tenanted", "tenantId", "Pass the tenant whose data")
  ),
  where("tenantId: not on the list", { tenantId: "b.com" }, "tenant_not_allowed", "tenantId", "Refuse this caller", {
    allowedTenants: ["a.com"]
  }),
  where(
    "tenantId: the function gives no plain yes",
    { tenantId: "b.com" },
    "tenant_not_allowed",
    "tenantId",
    "Refuse this caller",
    { allowedTenants: () => untyped("1") }
  ),
  where("tenantId: at AD FS", { tenantId: "a.com" }, "authority_unsupported", "tenantId", "Leave tenantId out", adfs),
  where("tenantId: of an issuer", { tenantId: "a.com" }, "authority_unsupported", "tenantId", "another client", oidc),
  where(
    "authority: of an issuer",
    { authority: "public" },
    "authority_unsupported",
    "authority",
    "another client",
    oidc
  ),
  // The rest.
  field("below zero", { minimumValidity: -1 }, duration),
  field("no number", { minimumValidity: Number.NaN }, duration),
  field("for ever", { minimumValidity: Infinity }, duration),
  field("a word", { minimumValidity: untyped(`"soon"`) }, duration),
  field("a part that is no number", { minimumValidity: { minutes: Number.NaN } }, duration),
  field("an object of something else", { minimumValidity: untyped(`{"minutes":"soon"}`) }, duration),
  field("cut off", { claims: "{" }, challenge),
  field("a list", { claims: "[]" }, challenge),
  field("too deep", { claims: `${`{"a":`.repeat(65)}1${"}".repeat(65)}` }, challenge),
  field("far too deep", { claims: `${`{"a":`.repeat(10_000)}1${"}".repeat(10_000)}` }, challenge),
  field("too long", { claims: `{"a":"${"a".repeat(65_536)}"}` }, challenge),
  field("the token itself", { accessTokenSha256ToRefresh: `eyJ.${hidden}.c2ln` }, "not the token"),
  field("another word", { onThrottled: untyped(`"maybe"`) }, `"fail" or "wait"`),
  field("a line break", { correlationId: "a\r\nb" }, "Pass a GUID"),
  field("too long", { correlationId: "a".repeat(65) }, "Pass a GUID"),
  field("empty", { cachePartition: "" }, "Pass the name of a partition"),
  field("a number", { cachePartition: untyped("7") }, "Pass the name of a partition"),
  field("a list", { extraQueryParameters: untyped("[]") }, parameters),
  field("a number in it", { extraBodyParameters: untyped(`{"a":7}`) }, parameters),
  field("no name", { extraBodyParameters: { "": hidden } }, parameters),
  ...["client_id", "client_secret", "client_assertion", "client_assertion_type", "grant_type", "scope", "Claims"].map(
    (name) => field(`names ${name}`, { extraBodyParameters: { [name]: hidden } }, "Remove the parameter")
  )
]

const durations: ReadonlyArray<RequestFault["request"]["minimumValidity"]> = [
  0,
  1000,
  "5 minutes",
  "0 seconds",
  Duration.minutes(5),
  { minutes: 5 },
  { minutes: 0 },
  undefined
]

const tenanted = (of: RequestFault["of"]) => client({ tenantId: contoso, ...of })

describe("requests", () => {
  it.effect.each(requests)(
    "$name: $code",
    ({ of, request, ...fault }) =>
      found({ fault, use: Effect.flatMap(tenanted(of), ({ acquireToken }) => acquireToken(request)) })
  )

  it.effect.each<RequestFault>([
    field("for one call", { forceRefresh: true }, "Leave forceRefresh out here"),
    field("for one call", { claims: `{"access_token":{}}` }, "Leave claims out here"),
    field("for one call", { accessTokenSha256ToRefresh: "a".repeat(64) }, "Leave accessTokenSha256ToRefresh out here"),
    scope("none", [], "missing", "Pass the scope of the API")
  ])(
    "keepFresh, $name: $code",
    ({ request, ...fault }) =>
      found({ fault, use: Effect.flatMap(tenanted({}), ({ keepFresh }) => keepFresh(request)) })
  )

  it.effect.each<Fault & { readonly selection: ConfidentialClient.Invalidation }>([
    {
      name: "a tenant that is none",
      selection: { tenantId: "a_b" },
      tag: "Authority",
      code: "tenant_malformed",
      field: "tenantId",
      remedy: tenantRemedy
    },
    {
      name: "no scopes",
      selection: { scopes: [] },
      tag: "Scope",
      code: "scope_missing",
      field: "scopes",
      remedy: "Pass the scope of the API"
    },
    {
      name: "a word",
      selection: untyped(`"everything"`),
      tag: "Request",
      code: "field_malformed",
      field: "selection",
      remedy: `"all" or an object`
    }
  ])(
    "invalidate, $name: $code",
    ({ selection, ...fault }) =>
      found({ fault, use: Effect.flatMap(tenanted({}), ({ invalidate }) => invalidate(selection)) })
  )
})

describe("requests that are right", () => {
  it.effect.each(durations.map((minimumValidity) => ({ minimumValidity })))(
    "minimumValidity: %o",
    (more) =>
      Effect.gen(function*() {
        const { tokenType } = yield* ConfidentialClient.acquireToken({ scopes: graph, ...more })
        assert.strictEqual(tokenType, "Bearer")
      }).pipe(Effect.provide(Simulated()))
  )

  it.effect("keepFresh of a token that all calls share", () =>
    Effect.gen(function*() {
      yield* ConfidentialClient.keepFresh({ scopes: graph })
      yield* ConfidentialClient.acquireToken({ scopes: graph })
      assert.strictEqual(yield* tokenRequests, 1)
    }).pipe(Effect.scoped, Effect.provide(Simulated())))
})

// -----------------------------------------------------------------------------
// the way to the token endpoint
// -----------------------------------------------------------------------------

interface ResolverFault extends Fault {
  readonly resolver: AuthorityResolver.Options
  readonly of?: Partial<ConfidentialClient.Options> | undefined
}

const metadata = (name: string, instanceMetadata: NonNullable<AuthorityResolver.Options["instanceMetadata"]>) =>
  ({
    name: `instanceMetadata: ${name}`,
    resolver: { instanceMetadata },
    tag: "Authority",
    code: "metadata_malformed",
    field: "instanceMetadata",
    remedy: "Pass the response of that cloud's instance discovery"
  }) as const

const region = (name: string, value: string, code = "region_malformed") =>
  ({
    name: `region: ${name}`,
    resolver: { region: value },
    tag: "Authority",
    code,
    field: "region",
    remedy: "Pass the short name of the region"
  }) as const

const known = { metadata: [{ preferred_network: "login.sky.example", aliases: ["login.sky.example"] }] }

const contradiction = (fields: string, remedy: string, resolver: AuthorityResolver.Options): ResolverFault => ({
  name: fields,
  resolver,
  tag: "Authority",
  code: "discovery_contradictory",
  field: fields,
  remedy
})

const resolvers: ReadonlyArray<ResolverFault> = [
  contradiction("validateAuthority, discoveryHost", "Leave discoveryHost out", {
    validateAuthority: false,
    discoveryHost: "login.sky.example"
  }),
  contradiction("instanceMetadata, validateAuthority", "Leave validateAuthority out", {
    instanceMetadata: known,
    validateAuthority: false
  }),
  contradiction("instanceMetadata, discoveryHost", "Leave discoveryHost out", {
    instanceMetadata: known,
    discoveryHost: "login.sky.example"
  }),
  contradiction("instanceMetadata, region", "Leave region out", { instanceMetadata: known, region: "westus2" }),
  ...[
    "",
    "not a host",
    "https://login.sky.example",
    "login.sky.example/a",
    `app:${hidden}@login.sky.example`,
    untyped("7")
  ]
    .map((discoveryHost) => ({
      name: "discoveryHost",
      resolver: { discoveryHost },
      tag: "Authority" as const,
      code: "host_malformed",
      field: "discoveryHost",
      remedy: "Pass only a host name"
    })),
  metadata("no JSON", "{"),
  metadata("another shape", "{}"),
  metadata("another shape, parsed", untyped(`{"metadata":[{"aliases":["a.example"]}]}`)),
  metadata("no host", { metadata: [] }),
  metadata("what is no host", { metadata: [{ preferred_network: "a.example/b", aliases: [] }] }),
  metadata("a host of two networks", {
    metadata: [
      { preferred_network: "a.example", aliases: ["c.example"] },
      { preferred_network: "b.example", aliases: ["c.example"] }
    ]
  }),
  region("empty", ""),
  region("a number", untyped("7")),
  region("with a hyphen", "west-us"),
  region("too long", "a".repeat(64)),
  region("MSAL's word for none", "DisableMsalForceRegion"),
  region("to be detected", "AutoDiscoverRegion", "region_detection"),
  region("to be detected, as MSAL has it", "TryAutoDetect", "region_detection")
]

const routes: ReadonlyArray<ResolverFault> = [
  {
    name: "a host that the metadata does not have",
    resolver: { instanceMetadata: known },
    of: { authority: "https://login.sea.example" },
    tag: "Authority",
    code: "instance_invalid",
    field: "authority",
    remedy: "Check the host name of the authority"
  },
  ...[
    { authority: "https://login.sea.example" },
    adfs,
    { authority: "https://sky.ciamlogin.com" },
    oidc
  ].map((of) => ({
    name: `a region of ${"issuer" in of ? of.issuer : of.authority}`,
    resolver: { region: "westus2" },
    of,
    tag: "Authority" as const,
    code: "authority_unsupported",
    field: "region",
    remedy: "Leave region out"
  }))
]

const endpoints: ReadonlyArray<Omit<Fault, "tag" | "code"> & { readonly options: TokenEndpoint.Options }> = [
  { name: "no time for an attempt", options: { attemptTimeout: 0 }, field: "attemptTimeout", remedy: "more than 0" },
  { name: "a word", options: untyped(`{"attemptTimeout":"soon"}`), field: "attemptTimeout", remedy: "more than 0" },
  { name: "below zero", options: { budget: "-1 seconds" }, field: "budget", remedy: "more than 0" },
  ...[0, -1, 2.5, NaN, Infinity].map((maxConcurrentRequests) => ({
    name: String(maxConcurrentRequests),
    options: { maxConcurrentRequests },
    field: "maxConcurrentRequests",
    remedy: "a whole number above 0"
  })),
  {
    name: "a word",
    options: untyped(`{"maxConcurrentRequests":"32"}`),
    field: "maxConcurrentRequests",
    remedy: "a whole number above 0"
  },
  { name: "no number", options: { refusalTtl: { base: NaN } }, field: "refusalTtl.base", remedy: anyDuration },
  { name: "below zero", options: { refusalTtl: { cap: -1 } }, field: "refusalTtl.cap", remedy: anyDuration },
  { name: "none", options: { breaker: { failures: 0 } }, field: "breaker.failures", remedy: "a whole number above 0" },
  {
    name: "a half",
    options: { breaker: { failures: 1.5 } },
    field: "breaker.failures",
    remedy: "a whole number above 0"
  },
  {
    name: "an object of something else",
    options: untyped(`{"breaker":{"openDuration":{"seconds":"ten"}}}`),
    field: "breaker.openDuration",
    remedy: anyDuration
  }
]

describe("the token endpoint", () => {
  it.effect.each(endpoints)("$field: $name", ({ options, ...fault }) => {
    const sent: Array<string> = []
    return Effect.gen(function*() {
      const Endpoint = Layer.provide(TokenEndpoint.layerWith(options), Transport(sent))
      assertFault(yield* Effect.flip(Layer.build(Endpoint)), { ...fault, tag: "Request", code: "field_malformed" })
      assert.deepStrictEqual(sent, [])
    }).pipe(Effect.scoped)
  })

  it.effect("what lasts for ever, or no time at all where that makes sense, is right", () =>
    Effect.gen(function*() {
      yield* Layer.build(TokenEndpoint.layerWith({
        attemptTimeout: Infinity,
        budget: Duration.infinity,
        refusalTtl: { base: 0, cap: "0 seconds" },
        breaker: { openDuration: { seconds: 0 } }
      }))
    }).pipe(Effect.provide(Transport([])), Effect.scoped))
})

describe("the cache", () => {
  it.effect.each([
    { field: "maxEntries", options: { maxEntries: -1 } },
    { field: "maxBytes", options: { maxBytes: NaN } },
    { field: "maxBytes", options: untyped(`{"maxBytes":"1 GB"}`) }
  ])("$field: $options", ({ field, options }) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Layer.build(TokenCache.layerMemory(options)))
      assertFault(error, { name: field, tag: "Request", code: "field_malformed", field, remedy: "a number from 0 on" })
    }).pipe(Effect.scoped))
})

describe("the authority resolver", () => {
  it.effect.each(resolvers)("$name: $code", ({ resolver, ...fault }) => {
    const sent: Array<string> = []
    return Effect.gen(function*() {
      const Resolver = Layer.provide(AuthorityResolver.layerWith(resolver), Transport(sent))
      assertFault(yield* Effect.flip(Layer.build(Resolver)), fault)
      assert.deepStrictEqual(sent, [])
    }).pipe(Effect.scoped)
  })

  it.effect.each([
    "",
    "gateway",
    "/token",
    "ftp://gateway/token",
    "https://gateway/to ken",
    "https://gateway/token#part",
    `https://app:${hidden}@gateway/token`,
    untyped("7")
  ])("one of a single endpoint: %j", (token) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Layer.build(AuthorityResolver.layerStatic({ token })))
      assertFault(error, {
        name: "no endpoint",
        tag: "Authority",
        code: "endpoint_malformed",
        field: "token",
        remedy: "an absolute http or https URL"
      })
    }).pipe(Effect.scoped))

  it.effect.each(routes)(
    "$name: $code",
    ({ of, resolver, ...fault }) =>
      found({
        fault,
        resolver,
        use: Effect.flatMap(tenanted(of), ({ acquireToken }) => acquireToken({ scopes: graph }))
      })
  )

  it.effect("one that asks nobody knows no issuers", () =>
    Effect.gen(function*() {
      const { acquireToken } = yield* client(oidc)
      assertFault(yield* Effect.flip(acquireToken({ scopes: "orders" })), {
        name: "",
        tag: "Authority",
        code: "authority_unsupported",
        field: "issuer",
        remedy: "Use AuthorityResolver.layer"
      })
    }).pipe(
      Effect.scoped,
      Effect.provide([AuthorityResolver.layerKnownClouds, TokenEndpoint.layer, TokenCache.layerMemory()]),
      Effect.provide(Transport([]))
    ))

  it.effect.each([{ authority: "https://sky.ciamlogin.com" }, { authority: "https://sea.example" }, adfs, oidc])(
    "no client certificates in the handshake: %j",
    (of) =>
      Effect.gen(function*() {
        const credential = { ...(yield* ClientCredential.secret(Redacted.make(hidden))), channel: "mtls" as const }
        const { acquireToken } = yield* ConfidentialClient.make({ clientId, tenantId: contoso, credential, ...of })
        assertFault(yield* Effect.flip(acquireToken({ scopes: graph })), {
          name: "",
          tag: "Authority",
          code: "authority_unsupported",
          field: "authority",
          remedy: "Use an authority of a Microsoft cloud"
        })
      }).pipe(Effect.scoped, Effect.provide(World([], { validateAuthority: false })))
  )
})

// -----------------------------------------------------------------------------
// the environment; test/Environment.test.ts has the rest of it
// -----------------------------------------------------------------------------

const environments: ReadonlyArray<Fault & { readonly environment: Readonly<Record<string, string>> }> = [
  {
    name: "the secret where the tenant belongs",
    environment: { AZURE_CLIENT_ID: clientId, AZURE_TENANT_ID: `_${hidden}`, AZURE_CLIENT_SECRET: `_${hidden}` },
    tag: "Request",
    code: "field_malformed",
    field: "AZURE_TENANT_ID",
    remedy: "Check that each variable has its own value",
    says: "is not shown because it contains the secret"
  },
  {
    name: "a short secret where the tenant belongs",
    environment: { AZURE_CLIENT_ID: clientId, AZURE_TENANT_ID: `"a_b"`, AZURE_CLIENT_SECRET: "a_b" },
    tag: "Request",
    code: "field_malformed",
    field: "AZURE_TENANT_ID",
    remedy: "Check that each variable has its own value",
    says: "is not shown because it contains the secret"
  },
  {
    name: "the secret where the tenant belongs, and no client",
    environment: { AZURE_TENANT_ID: `_${hidden}`, AZURE_CLIENT_SECRET: `_${hidden}` },
    tag: "Request",
    code: "configuration_invalid",
    field: "AZURE_CLIENT_ID, AZURE_TENANT_ID",
    remedy: appId,
    says: "AZURE_CLIENT_ID is empty or not set"
  }
]

describe("the environment", () => {
  it.effect.each(environments)("$name: $code", ({ environment, ...fault }) => {
    const sent: Array<string> = []
    return Effect.gen(function*() {
      assertFault(yield* Effect.flip(Layer.build(ConfidentialClient.layerFromEnv())), fault)
      assert.deepStrictEqual(sent, [])
    }).pipe(
      Effect.scoped,
      Effect.provide([ConfigProvider.layer(ConfigProvider.fromEnvRecord(environment)), Transport(sent)])
    )
  })
})
