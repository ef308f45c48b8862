/**
 * The authority of a token request: its cloud, its tenant and its addresses. All functions are pure and use no network.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import {
  type InvalidAuthorityCode,
  InvalidAuthorityError,
  InvalidRequestError,
  TokenRequestError
} from "./EntraError.ts"
import { nonValueOf } from "./internal/shared/nonValue.ts"
import { guidIn, isGuid, quote, sentence, withRemedy } from "./internal/shared/text.ts"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * The name of a known cloud.
 *
 * **Details**
 *
 * - `public`: the worldwide cloud.
 * - `china`: operated by 21Vianet.
 * - `usGovernment`: the US Government clouds.
 * - `germany`: closed in 2021.
 * - `usLegacy`: an older host for the US.
 * - `ppe`: Microsoft's pre-production environment.
 * - `bleu`, `delos`, `govSg`: the sovereign clouds for France, Germany and Singapore.
 *
 * @category models
 * @since 0.1.0
 */
export type CloudName =
  | "public"
  | "china"
  | "usGovernment"
  | "germany"
  | "usLegacy"
  | "ppe"
  | "bleu"
  | "delos"
  | "govSg"

/**
 * A cloud of Microsoft Entra ID.
 *
 * **Details**
 *
 * - `name`: the name of the cloud.
 * - `network`: the host that requests go to.
 * - `cache`: the host name that is part of the cache key.
 * - `aliases`: all host names of the cloud, `network` among them. They mean the same cloud and share tokens.
 *
 * @category models
 * @since 0.1.0
 */
export interface Cloud {
  readonly name: CloudName
  readonly network: string
  readonly cache: string
  readonly aliases: ReadonlyArray<string>
}

/**
 * The kind of an authority, which decides its addresses.
 *
 * **Details**
 *
 * - `"Entra"`: Microsoft Entra ID.
 * - `"Ciam"`: an external tenant (`*.ciamlogin.com`).
 * - `"Adfs"`: Active Directory Federation Services.
 * - `"Oidc"`: another OpenID provider. Its addresses are in its discovery document.
 *
 * @category models
 * @since 0.1.0
 */
export type Kind = "Entra" | "Ciam" | "Adfs" | "Oidc"

/**
 * A parsed authority in canonical form.
 *
 * **Details**
 *
 * - `kind`: the kind of the authority.
 * - `host`: the host in lower case, with the port unless that is 443.
 * - `tenant`: the tenant in lower case; undefined when the authority has no tenant.
 * - `environment`: the part of the cache key that stands for the authority's cloud. It is one name for all aliases of a
 *   cloud, the whole issuer for `"Oidc"` (a host may have several issuers), and otherwise the host.
 * - `cloud`: the name of the known cloud; undefined for other hosts.
 *
 * @category models
 * @since 0.1.0
 */
export interface Authority {
  readonly kind: Kind
  readonly host: string
  readonly tenant: string | undefined
  readonly environment: string
  readonly cloud: CloudName | undefined
}

const cloud = (name: CloudName, network: string, aliases: ReadonlyArray<string> = [], cache = network): Cloud => ({
  name,
  network,
  cache,
  aliases: [network, ...aliases]
})

/**
 * The known clouds by name.
 *
 * **Details**
 *
 * The hosts of the worldwide cloud and of the national clouds are those of "National clouds" on Microsoft Learn
 * (https://learn.microsoft.com/entra/identity-platform/authentication-national-cloud). The aliases are those that
 * instance discovery returns (https://login.microsoftonline.com/common/discovery/instance); the other hosts are
 * those of MSAL's table.
 *
 * @category models
 * @since 0.1.0
 */
export const clouds: { readonly [Name in CloudName]: Cloud } = {
  public: cloud(
    "public",
    "login.microsoftonline.com",
    ["login.windows.net", "login.microsoft.com", "sts.windows.net"],
    "login.windows.net"
  ),
  china: cloud("china", "login.partner.microsoftonline.cn", ["login.chinacloudapi.cn"]),
  usGovernment: cloud("usGovernment", "login.microsoftonline.us", ["login.usgovcloudapi.net"]),
  germany: cloud("germany", "login.microsoftonline.de"),
  usLegacy: cloud("usLegacy", "login-us.microsoftonline.com"),
  ppe: cloud("ppe", "login.windows-ppe.net", ["sts.windows-ppe.net", "login.microsoft-ppe.com"]),
  bleu: cloud("bleu", "login.sovcloud-identity.fr"),
  delos: cloud("delos", "login.sovcloud-identity.de"),
  govSg: cloud("govSg", "login.sovcloud-identity.sg")
}

const byHost: ReadonlyMap<string, Cloud> = new Map(
  Object.values(clouds).flatMap((cloud) => cloud.aliases.map((host) => [host, cloud] as const))
)

// -----------------------------------------------------------------------------
// constructors
// -----------------------------------------------------------------------------

/**
 * Parses an authority: the name of a cloud, or an absolute `https` URL with a host and at most one path segment, the
 * tenant.
 *
 * **Details**
 *
 * - A trailing slash and a trailing `/v2.0` are accepted. The path `/adfs` means AD FS.
 * - Fails with `authority_insecure` for other schemes.
 * - Fails with `authority_malformed` for relative URLs, user information, a query, a fragment, further path segments,
 *   white space, control characters, and spellings that a URL parser would change.
 * - Fails with `tenant_malformed` when the tenant is neither an id nor a domain name.
 * - `field` names the input in the error; default: `"authority"`.
 *
 * **Example** (Parsing an alias of the public cloud)
 *
 * ```ts
 * import assert from "node:assert"
 * import { Result } from "effect"
 * import { Authority } from "effect-entra"
 *
 * const authority = Result.getOrThrow(Authority.parse("https://login.windows.net/Contoso.onmicrosoft.com/"))
 * assert.strictEqual(authority.tenant, "contoso.onmicrosoft.com")
 * assert.strictEqual(authority.cloud, "public")
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const parse = (
  input: string | URL,
  field = "authority"
): Result.Result<Authority, InvalidAuthorityError> => {
  const text = typeof input === "string" ? input : input.href
  const cloud = cloudNamed(text)
  if (cloud !== undefined) return Result.succeed(make(cloud.network, undefined))
  const malformed = (problem: string) => Result.fail(malformedAuthority(field, text, problem))
  if (text === "") return malformed("is empty")
  const meant = cloudOfAnotherLibrary(text)
  if (meant !== undefined) return Result.fail(foreignCloudName(field, text, meant))
  const defect = nonValueOf(text)
  if (defect !== undefined) return Result.fail(malformedAuthority(field, text, defect.what, defect.remedy))
  if (hasControlOrSpace(text) || text.includes("\\")) {
    return malformed("contains white space, control characters or backslashes")
  }
  if (text.includes("@")) return malformed("contains user information before the host")
  if (/[?#]/.test(text)) return malformed("contains a query or a fragment")
  if (!isAbsolute(text)) return Result.fail(malformedAuthority(field, text, notAbsolute, schemeRemedy(field, text)))
  const url = new URL(text)
  if (url.protocol !== "https:") return Result.fail(insecure(field, text, url.protocol))
  // The URL parser changes dots, escapes, other scripts and missing slashes, so such a text may hide another host.
  const [, host, path = ""] = /^https:\/\/([^/]+)((?:\/[^/]+)*)\/?$/i.exec(text) ?? []
  if (!isSimplestHost(host, url)) return malformed("is not in its simplest form: a URL parser changes it")
  const segments = path.split("/").slice(1)
  if (segments.includes(".") || segments.includes("..")) {
    return malformed("is not in its simplest form: a URL parser changes it")
  }
  if (segments.at(-1)?.toLowerCase() === "v2.0") segments.pop()
  if (segments.length > 1) return malformed("has more than one path segment")
  const base = make(url.host, undefined)
  const segment = segments[0]
  if (segment === undefined) return Result.succeed(base)
  if (segment.toLowerCase() === "adfs" && base.kind === "Entra") return Result.succeed({ ...base, kind: "Adfs" })
  return Result.map(parseTenant(segment, field), (tenant) => make(url.host, tenant))
}

/**
 * Parses an issuer: the absolute `https` URL that identifies an OpenID provider, with its whole path (OpenID Connect
 * Discovery 1.0 section 3).
 *
 * **When to use**
 *
 * For providers other than Entra, and for an external tenant behind its own domain. A client parses its option `issuer`
 * with this function. `AuthorityResolver.layer` reads the addresses of an issuer from its discovery document.
 *
 * **Details**
 *
 * - The path is kept as it is, with its case and its escapes: `/realms/one` and `/realms/One` are two issuers. The port
 *   is kept unless it is 443.
 * - Fails with `authority_insecure` for other schemes.
 * - Fails with `authority_malformed` for relative URLs, user information, a query, a fragment, empty or dot segments,
 *   white space, control characters, and spellings that a URL parser would change.
 * - `field` names the input in the error; default: `"issuer"`.
 *
 * **Example** (Two issuers on one host)
 *
 * ```ts
 * import assert from "node:assert"
 * import { Result } from "effect"
 * import { Authority } from "effect-entra"
 *
 * const one = Result.getOrThrow(Authority.parseIssuer("https://IdP.example/realms/one"))
 * const two = Result.getOrThrow(Authority.parseIssuer("https://idp.example/realms/two"))
 * assert.strictEqual(Authority.format(one), "https://idp.example/realms/one")
 * assert.ok(!Authority.sameCloud(one, two))
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const parseIssuer = (
  input: string | URL,
  field = "issuer"
): Result.Result<Authority, InvalidAuthorityError> => {
  const text = typeof input === "string" ? input : input.href
  const malformed = (problem: string) => Result.fail(malformedIssuer(field, text, problem))
  if (text === "") return malformed("is empty")
  const defect = nonValueOf(text)
  if (defect !== undefined) return Result.fail(malformedIssuer(field, text, defect.what, defect.remedy))
  if (hasControlOrSpace(text) || text.includes("\\")) {
    return malformed("contains white space, control characters or backslashes")
  }
  if (/[?#]/.test(text)) return malformed("contains a query or a fragment")
  if (!isAbsolute(text)) return Result.fail(malformedIssuer(field, text, notAbsolute, schemeRemedy(field, text)))
  const url = new URL(text)
  if (url.protocol !== "https:") return Result.fail(insecure(field, text, url.protocol))
  if (url.username !== "" || url.password !== "") return malformed("contains user information before the host")
  const [, host, path = ""] = /^https:\/\/([^/]+)((?:\/[^/]+)*\/?)$/i.exec(text) ?? []
  // A path that the URL parser changes would identify another issuer.
  if (!isSimplestHost(host, url) || (path === "" ? "/" : path) !== url.pathname) {
    return malformed("is not in its simplest form: a URL parser changes it")
  }
  return Result.succeed({
    kind: "Oidc",
    host: url.host,
    tenant: undefined,
    environment: `https://${url.host}${path}`,
    cloud: undefined
  })
}

/**
 * Parses a tenant, which is its id (a GUID) or one of its domain names. Returns it in lower case.
 *
 * **Details**
 *
 * - Fails with `tenant_malformed` for other texts.
 * - The names for several tenants (`common`, `organizations`, `consumers`) are accepted here; {@link requireTenant}
 *   refuses them.
 * - `field` names the input in the error; default: `"tenantId"`.
 *
 * **Example** (Refusing a tenant that would change the path)
 *
 * ```ts
 * import assert from "node:assert"
 * import { Result } from "effect"
 * import { Authority } from "effect-entra"
 *
 * assert.ok(Result.isFailure(Authority.parseTenant("contoso/../../evil", "tenantId")))
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const parseTenant = (input: string, field = "tenantId"): Result.Result<string, InvalidAuthorityError> => {
  const defect = nonValueOf(input)
  if (defect === undefined && (isGuid(input) || input.length <= 253 && tenantPattern.test(input))) {
    return Result.succeed(input.toLowerCase())
  }
  const id = defect === undefined ? guidIn(input) : undefined
  const remedy = defect?.remedy ?? (id === undefined ? "" : `Pass ${quote(id)} alone.`)
  return Result.fail(
    problem(
      "tenant_malformed",
      field,
      `${field} ${quote(input)} ${defect?.what ?? (input === "" ? "is empty" : "is not a tenant id or a domain name")}`,
      withRemedy(
        remedy,
        "Pass the directory (tenant) id from the Azure portal, or a domain name of the tenant such as contoso.onmicrosoft.com."
      )
    )
  )
}

/**
 * Returns the authority with another tenant. The tenant is not checked; see {@link parseTenant}.
 *
 * **Example** (Choosing another tenant)
 *
 * ```ts
 * import assert from "node:assert"
 * import { Result } from "effect"
 * import { Authority } from "effect-entra"
 *
 * const publicCloud = Result.getOrThrow(Authority.parse("public"))
 * assert.strictEqual(Authority.withTenant(publicCloud, "contoso.com").tenant, "contoso.com")
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const withTenant = (self: Authority, tenant: string): Authority => ({ ...self, tenant })

/**
 * Returns whether the kind of authority has tenants: `"Entra"` and `"Ciam"` do, `"Adfs"` and `"Oidc"` do not.
 *
 * **Example** (Distinguishing authorities with tenants)
 *
 * ```ts
 * import assert from "node:assert"
 * import { Result } from "effect"
 * import { Authority } from "effect-entra"
 *
 * assert.ok(Authority.isTenanted(Result.getOrThrow(Authority.parse("public"))))
 * assert.ok(!Authority.isTenanted(Result.getOrThrow(Authority.parseIssuer("https://idp.example"))))
 * ```
 *
 * @category guards
 * @since 0.1.0
 */
export const isTenanted = (self: Authority): boolean => self.kind === "Entra" || self.kind === "Ciam"

/**
 * Returns the tenant of an authority, which the client credentials flow needs.
 *
 * **Details**
 *
 * - Returns the empty string for AD FS and other issuers, which have no tenants.
 * - Fails with `tenant_missing` when the authority has no tenant.
 * - Fails with `tenant_not_tenanted` for `common`, `organizations` and `consumers`, which stand for several tenants.
 *
 * **Example** (Refusing a name for several tenants)
 *
 * ```ts
 * import assert from "node:assert"
 * import { Result } from "effect"
 * import { Authority } from "effect-entra"
 *
 * const common = Result.getOrThrow(Authority.parse("https://login.microsoftonline.com/common"))
 * const refused = Result.getOrThrow(Result.flip(Authority.requireTenant(common)))
 * assert.strictEqual(refused.code, "tenant_not_tenanted")
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const requireTenant = (self: Authority): Result.Result<string, InvalidAuthorityError> => {
  if (self.kind !== "Entra" && self.kind !== "Ciam") return Result.succeed("")
  if (self.tenant === undefined) {
    return Result.fail(
      problem(
        "tenant_missing",
        "tenantId",
        "Neither the request nor the client has a tenant",
        "Pass tenantId in the request. Or give the client a tenant, by tenantId, by an authority that ends in the tenant, or by AZURE_TENANT_ID."
      )
    )
  }
  if (untenanted.has(self.tenant)) {
    return Result.fail(
      problem(
        "tenant_not_tenanted",
        "tenantId",
        `The tenant ${quote(self.tenant)} stands for several tenants, but an app token is valid for one tenant only`,
        "Pass the tenant whose data the app uses as tenantId of the request or of the client, by its id or a domain name."
      )
    )
  }
  return Result.succeed(self.tenant)
}

// -----------------------------------------------------------------------------
// addresses
// -----------------------------------------------------------------------------

/**
 * Returns the authority as a URL without a trailing slash. An issuer is returned unchanged.
 *
 * **Example** (Writing an authority)
 *
 * ```ts
 * import assert from "node:assert"
 * import { Result } from "effect"
 * import { Authority } from "effect-entra"
 *
 * const authority = Result.getOrThrow(Authority.parse("https://Login.microsoftonline.com/Contoso.com/v2.0"))
 * assert.strictEqual(Authority.format(authority), "https://login.microsoftonline.com/contoso.com")
 * ```
 *
 * @category formatting
 * @since 0.1.0
 */
export const format = (self: Authority): string => {
  if (self.kind === "Oidc") return self.environment
  const segment = self.kind === "Adfs" ? "adfs" : self.tenant
  return `https://${self.host}${segment === undefined ? "" : `/${segment}`}`
}

/**
 * Returns whether two authorities belong to the same cloud. Other hosts must be equal, and so must issuers.
 *
 * **Example** (Recognizing an alias)
 *
 * ```ts
 * import assert from "node:assert"
 * import { Result } from "effect"
 * import { Authority } from "effect-entra"
 *
 * const one = Result.getOrThrow(Authority.parse("https://login.microsoftonline.com/contoso.com"))
 * const alias = Result.getOrThrow(Authority.parse("https://sts.windows.net/fabrikam.com"))
 * assert.ok(Authority.sameCloud(one, alias))
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const sameCloud = (self: Authority, that: Authority): boolean => self.environment === that.environment

/**
 * Returns the address of the page on which an administrator grants the app its permissions in a tenant (admin consent).
 *
 * **Details**
 *
 * - `clientId`: the application (client) id.
 * - `redirectUri`: the address to which the page sends the browser afterwards. It must be registered with the app.
 *   Without it the app needs no registered address.
 * - `state`: a value that the redirect carries unchanged.
 *
 * For an authority without a tenant the page is that of `organizations`.
 *
 * **Example** (Asking an administrator for consent)
 *
 * ```ts
 * import assert from "node:assert"
 * import { Result } from "effect"
 * import { Authority } from "effect-entra"
 *
 * const authority = Result.getOrThrow(Authority.parse("https://login.microsoftonline.com/contoso.onmicrosoft.com"))
 * assert.strictEqual(
 *   Authority.adminConsentUrl(authority, { clientId: "11111111-1111-1111-1111-111111111111" }),
 *   "https://login.microsoftonline.com/contoso.onmicrosoft.com/adminconsent?client_id=11111111-1111-1111-1111-111111111111"
 * )
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const adminConsentUrl = (self: Authority, options: {
  readonly clientId: string
  readonly redirectUri?: string | undefined
  readonly state?: string | undefined
}): string => {
  const query = new URLSearchParams({ client_id: options.clientId })
  if (options.redirectUri !== undefined) query.set("redirect_uri", options.redirectUri)
  if (options.state !== undefined) query.set("state", options.state)
  return `https://${networkHost(self)}/${self.tenant || "organizations"}/adminconsent?${query}`
}

/**
 * The consent of an administrator, as the browser reports it.
 *
 * **Gotchas**
 *
 * `claimedTenantId` comes from the browser and is not verified. Anybody can open the redirect address with another
 * tenant, so do not authenticate or authorize anyone by it. See {@link parseConsentResponse}.
 *
 * @category models
 * @since 0.1.0
 */
export interface ConsentResponse {
  readonly claimedTenantId: string
}

/**
 * Parses the query with which the page of {@link adminConsentUrl} sends the browser back to `redirectUri`.
 *
 * **Details**
 *
 * - `query`: the query of the redirect, as a text with or without the rest of the URL, as `URLSearchParams` or as a
 *   `URL`.
 * - `state`: the state of the link, from the session of this browser.
 *
 * An error in the query is reported first, because the service sends `admin_consent=True` with an error too. It is a
 * `TokenRequestError` `consent_missing`. Its message has the service's description only if the state is the expected
 * one. Any other problem is an `InvalidRequestError` (`field_missing`, `field_malformed`) whose `field` is `state`,
 * `admin_consent`, `tenant` or `query`. Each parameter must occur exactly once.
 *
 * **Gotchas**
 *
 * A correct state proves that this browser opened the link, and not that the tenant is the user's. Compare the tenant
 * with the tenant of the signed-in customer (`tid` in the ID token). Then acquire a token in the tenant and check that
 * it has roles, which proves that the app is installed there. Only then store the tenant for that customer.
 *
 * **Example** (Reading the redirect)
 *
 * ```ts
 * import assert from "node:assert"
 * import { Result } from "effect"
 * import { Authority } from "effect-entra"
 *
 * const url = new URL(
 *   "https://orders.contoso.com/installed?admin_consent=True&tenant=b81b9a0c-1d2e-4f3a-8b4c-5d6e7f8a9b0c&state=9f2c"
 * )
 * const response = Result.getOrThrow(Authority.parseConsentResponse(url, { state: "9f2c" }))
 * assert.strictEqual(response.claimedTenantId, "b81b9a0c-1d2e-4f3a-8b4c-5d6e7f8a9b0c")
 *
 * const declined = Authority.parseConsentResponse("?error=access_denied&admin_consent=True", { state: "9f2c" })
 * assert.ok(Result.isFailure(declined))
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const parseConsentResponse = (
  query: string | URLSearchParams | URL,
  options: { readonly state: string }
): Result.Result<ConsentResponse, TokenRequestError | InvalidRequestError> => {
  const parameters = parametersOf(query)
  if (parameters === undefined) {
    return Result.fail(invalidConsent("query", "query is not a text, URLSearchParams or a URL", false))
  }
  const expected: unknown = options?.state
  const isExpected = (state: string) => state === expected
  if (errorParameters.some((name) => parameters.has(name))) {
    const states = parameters.getAll("state")
    return Result.fail(consentRefused(parameters, states.length > 0 && states.every(isExpected)))
  }
  if (typeof expected !== "string" || expected === "") {
    return Result.fail(invalidConsent("state", "state is empty or not set in the options", true))
  }
  return Result.gen(function*() {
    yield* single(parameters, "state", isExpected, "is not the state of this browser's session")
    yield* single(parameters, "admin_consent", (value) => value.toLowerCase() === "true", "is not True")
    const tenant = yield* single(parameters, "tenant", isGuid, "is not the id of a tenant")
    return { claimedTenantId: tenant.toLowerCase() }
  })
}

/**
 * Returns the host that requests go to: the `network` host of a known cloud, otherwise the host of the authority.
 *
 * **Example** (Finding the host of an alias)
 *
 * ```ts
 * import assert from "node:assert"
 * import { Result } from "effect"
 * import { Authority } from "effect-entra"
 *
 * const alias = Result.getOrThrow(Authority.parse("https://login.windows.net/contoso.com"))
 * assert.strictEqual(Authority.networkHost(alias), "login.microsoftonline.com")
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const networkHost = (self: Authority): string =>
  self.cloud === undefined ? self.host : clouds[self.cloud].network

// -----------------------------------------------------------------------------
// internal
// -----------------------------------------------------------------------------

const notAbsolute = "is not an absolute URL"

/** Returns whether a text is an absolute URL. The URL parser takes the host before a port for a scheme. */
const isAbsolute = (text: string): boolean => URL.canParse(text) && !/^[^/:]+:\d+(?:\/|$)/.test(text)

/** Returns the remedy of a text that begins with a host instead of a scheme: a name with a dot, or before a port. */
const schemeRemedy = (field: string, text: string): string =>
  /^[a-z\d-]+(?:(?:\.[a-z\d-]+)+(?::\d+)?|:\d+)(?:\/|$)/i.test(text) ? `Prepend https:// to ${field}.` : ""

const hasControlOrSpace = (value: string): boolean => /[\s\p{Cc}]/u.test(value)

const tenantPattern = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/i

const untenanted: ReadonlySet<string> = new Set(["common", "organizations", "consumers"])

const make = (host: string, tenant: string | undefined): Authority => {
  const cloud = byHost.get(host)
  const ciam = ciamHost.exec(host)
  return {
    kind: ciam === null ? "Entra" : "Ciam",
    host,
    // The host of an external tenant contains the tenant, so the path is optional.
    tenant: tenant ?? (ciam === null ? undefined : `${ciam[1]}.onmicrosoft.com`),
    environment: cloud === undefined ? host : cloud.cache,
    cloud: cloud?.name
  }
}

/** Returns whether the URL parser left the host unchanged, apart from its case and the default port. */
const isSimplestHost = (host: string | undefined, url: URL): boolean =>
  host?.toLowerCase().replace(/:443$/, "") === url.host && plainHost.test(url.host)

/** Matches a host name or an IP address with an optional port. The host does not end in a dot. */
const plainHost = /^(?:[a-z0-9.-]*[a-z0-9]|\[[0-9a-f:.]+\])(?::\d+)?$/

const ciamHost = /^([a-z0-9](?:[a-z0-9-]*[a-z0-9])?)\.ciamlogin\.com(?::\d+)?$/

const cloudNamed = (text: string): Cloud | undefined =>
  Object.hasOwn(clouds, text) ? Object.values(clouds).find((cloud) => cloud.name === text) : undefined

/** The names of clouds in other libraries and tools, in lower case and without punctuation. */
const foreignNames: ReadonlyArray<readonly [pattern: RegExp, cloud: CloudName]> = [
  [/^(?:azure)?(?:us)?(?:gov|government|gcchigh|dod|fairfax|arlington)(?:cloud)?$/, "usGovernment"],
  [/^(?:azure)?(?:china|cn|mooncake)(?:cloud)?$/, "china"],
  [/^(?:azure)?(?:germany|german|blackforest)(?:cloud)?$/, "germany"],
  [/^(?:azure)?(?:public|global|commercial|worldwide)(?:cloud)?$|^azure(?:cloud)?$/, "public"]
]

const cloudOfAnotherLibrary = (text: string): Cloud | undefined => {
  // A reference such as $CHINA is not the name of a cloud.
  if (text.length > 60 || !/^(["']?)[a-z](?:[\w .-]*[a-z])?\1$/i.test(text)) return undefined
  const name = text.toLowerCase().replace(/[^a-z]/g, "").replace(/^azure(?:authorityhosts?|cloudinstance)/, "")
  const found = foreignNames.find(([pattern]) => pattern.test(name))
  return found === undefined ? undefined : clouds[found[1]]
}

const foreignCloudName = (field: string, text: string, { name, network }: Cloud): InvalidAuthorityError =>
  problem(
    "authority_malformed",
    field,
    `${field} ${quote(text)} is the name of a cloud in other programs, not the URL of an authority`,
    `Pass https://${network} instead.${name === "germany" ? " Microsoft closed that cloud in 2021." : ""}`
  )

const problem = (
  code: InvalidAuthorityCode,
  field: string,
  message: string,
  remedy: string
): InvalidAuthorityError =>
  new InvalidAuthorityError({ code, field, origin: "local", message: sentence(message), remedy })

const malformedAuthority = (field: string, text: string, what: string, remedy = ""): InvalidAuthorityError =>
  problem(
    "authority_malformed",
    field,
    `${field} ${quote(withoutUserInfo(text))} ${what}`,
    withRemedy(
      remedy,
      "Pass an absolute https URL such as https://login.microsoftonline.com/contoso.onmicrosoft.com, or the name of a cloud."
    )
  )

const malformedIssuer = (field: string, text: string, what: string, remedy = ""): InvalidAuthorityError =>
  problem(
    "authority_malformed",
    field,
    `${field} ${quote(withoutUserInfo(text))} ${what}`,
    withRemedy(
      remedy,
      "Pass the issuer of the provider's discovery document: an absolute https URL such as https://idp.example/realms/one."
    )
  )

const insecure = (field: string, text: string, protocol: string): InvalidAuthorityError =>
  problem(
    "authority_insecure",
    field,
    `${field} ${quote(withoutUserInfo(text))} uses ${quote(protocol)}, which sends the credential without encryption`,
    "Use https. For tests on one machine, SimulatorServer of effect-entra/node starts a simulator with its own certificate."
  )

const withoutUserInfo = (text: string): string => text.replace(/^.*@/s, "...@")

// The consent response.

const errorParameters = ["error", "error_subcode", "error_description"] as const

/**
 * Returns the parameters of a query. A text may be a whole URL, or its path and query. JavaScript callers pass
 * anything.
 */
const parametersOf = (query: unknown): URLSearchParams | undefined => {
  if (query instanceof URLSearchParams) return query
  if (query instanceof URL) return query.searchParams
  if (typeof query !== "string") return undefined
  const [text = ""] = query.split("#", 1)
  // A question mark after the first parameter is part of a value.
  return new URLSearchParams(text.replace(/^(?:(?:https?:)?\/[^?]*|[^?=&]*)\?/i, ""))
}

/** Returns the value of a parameter that must occur exactly once. */
const single = (
  parameters: URLSearchParams,
  name: string,
  isValid: (value: string) => boolean,
  problem: string
): Result.Result<string, InvalidRequestError> => {
  const [value, ...others] = parameters.getAll(name)
  if (value === undefined) return Result.fail(invalidConsent(name, `${name} is missing in the consent response`, true))
  return others.length === 0 && isValid(value) ? Result.succeed(value) : Result.fail(
    invalidConsent(
      name,
      `${name} in the consent response ${others.length === 0 ? problem : "is there several times"}`,
      false
    )
  )
}

const invalidConsent = (field: string, message: string, isMissing: boolean): InvalidRequestError =>
  new InvalidRequestError({
    code: isMissing ? "field_missing" : "field_malformed",
    field,
    origin: "local",
    message: sentence(message),
    remedy: "Do not use this response. Let the administrator open the consent link again, with a new state that this "
      + "browser's session keeps."
  })

/**
 * The description is shown only to a browser that knows the state, because anybody can make up the rest of the address.
 */
const consentRefused = (parameters: URLSearchParams, isOwn: boolean): TokenRequestError => {
  const error = parameters.get("error") || "consent_refused"
  const description = parameters.get("error_description") ?? ""
  const codes = isOwn ? [...description.matchAll(/AADSTS(\d{1,9})/g)].map(([, number]) => Number(number)) : []
  return new TokenRequestError({
    code: "consent_missing",
    origin: "service",
    message: isOwn
      ? sentence(`The consent page responded with ${quote(error)}: ${quote(description)}`)
      : "The consent page responded with an error.",
    remedy: "Ask an administrator of the tenant to open the consent link again and to accept.",
    ...(isOwn ? { error: quote(error).slice(1, -1), errorCodes: codes } : {})
  })
}
