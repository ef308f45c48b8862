/**
 * Where tokens come from: the cloud, the tenant, and the addresses that follow from them. Pure: no network, no clock.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import { type InvalidAuthorityCode, InvalidAuthorityError } from "./EntraError.ts"
import { quote, sentence } from "./internal/shared/text.ts"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * The names of the known clouds.
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
 * A cloud of Entra ID: the host to talk to, the name under which tokens are cached, and all hosts that are the same place.
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
 * How an authority lays out its addresses: Entra ID, an external tenant (`*.ciamlogin.com`), AD FS, or any other issuer,
 * whose discovery document says so (`Oidc`).
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
 * `host` is lower case with the port unless it is 443. `tenant` is undefined when none was named. `environment` is what
 * the cache files tokens under: one name for all aliases of a cloud, the whole issuer for an `Oidc` authority (one host may
 * have many), the host itself otherwise.
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
 * The known clouds by name: MSAL's table of aliases (MSAL-DOTNET section 3.2).
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
 * Parse an authority: a cloud's name, or an absolute `https` URL of a host and at most a tenant.
 *
 * **Details**
 *
 * A trailing slash and a trailing `/v2.0` are accepted. Refused: other schemes, relative URLs, user information, query,
 * fragment, further path segments, white space and control characters.
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
  if (hasControlOrSpace(text) || text.includes("\\")) {
    return malformed("has white space, control characters or backslashes")
  }
  if (text.includes("@")) return malformed("has user information before the host")
  if (/[?#]/.test(text)) return malformed("has a query or a fragment")
  if (!URL.canParse(text)) return malformed("is not an absolute URL")
  const url = new URL(text)
  if (url.protocol !== "https:") return Result.fail(insecure(field, text, url.protocol))
  // What the parser would change (dots, escapes, other scripts, missing slashes) is not what somebody meant to write.
  const [, host, path = ""] = /^https:\/\/([^/]+)((?:\/[^/]+)*)\/?$/i.exec(text) ?? []
  if (!isSimplestHost(host, url)) return malformed("is not in its simplest form")
  const segments = path.split("/").slice(1)
  if (segments.includes(".") || segments.includes("..")) return malformed("is not in its simplest form")
  if (segments.at(-1)?.toLowerCase() === "v2.0") segments.pop()
  if (segments.length > 1) return malformed("has more in its path than a tenant")
  const base = make(url.host, undefined)
  const segment = segments[0]
  if (segment === undefined) return Result.succeed(base)
  if (segment.toLowerCase() === "adfs" && base.kind === "Entra") return Result.succeed({ ...base, kind: "Adfs" })
  return Result.map(parseTenant(segment, field), (tenant) => make(url.host, tenant))
}

/**
 * Parse an issuer: the absolute `https` URL by which an OpenID provider calls itself, its whole path included.
 *
 * **When to use**
 *
 * For providers other than Entra, and for an external tenant behind a domain of its own. It is the option `issuer` of a
 * client; `AuthorityResolver.layer` reads its addresses from the discovery document.
 *
 * **Details**
 *
 * The path is kept as it is, case and escapes too: `/realms/one` and `/realms/One` are two issuers. A port is kept unless it
 * is 443. Refused: other schemes, relative URLs, user information, query, fragment, empty and dot segments, white space and
 * control characters.
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
  const malformed = (what: string) => Result.fail(malformedIssuer(field, text, what))
  if (text === "") return malformed("is empty")
  if (hasControlOrSpace(text) || text.includes("\\")) {
    return malformed("has white space, control characters or backslashes")
  }
  if (/[?#]/.test(text)) return malformed("has a query or a fragment")
  if (!URL.canParse(text)) return malformed("is not an absolute URL")
  const url = new URL(text)
  if (url.protocol !== "https:") return Result.fail(insecure(field, text, url.protocol))
  if (url.username !== "" || url.password !== "") return malformed("has user information before the host")
  const [, host, path = ""] = /^https:\/\/([^/]+)((?:\/[^/]+)*\/?)$/i.exec(text) ?? []
  // What the parser would change in the path is another issuer than the one that was written.
  if (!isSimplestHost(host, url) || (path === "" ? "/" : path) !== url.pathname) {
    return malformed("is not in its simplest form")
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
 * Parse a tenant: its id (a GUID) or one of its domain names, in lower case.
 *
 * **Details**
 *
 * The names that stand for no single tenant (`common`, `organizations`, `consumers`) parse here; whether they may be used
 * is judged on the effective authority by {@link requireTenant}.
 *
 * **Example** (Refusing what would change the address)
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
export const parseTenant = (input: string, field = "tenantId"): Result.Result<string, InvalidAuthorityError> =>
  input.length <= 253 && tenantPattern.test(input)
    ? Result.succeed(input.toLowerCase())
    : Result.fail(
      problem(
        "tenant_malformed",
        field,
        `${field} ${quote(input)} ${input === "" ? "is empty" : "is not a tenant id or a domain name"}`,
        "Pass the directory (tenant) id from the portal, or a domain name of the tenant such as contoso.onmicrosoft.com."
      )
    )

/**
 * The same authority for another tenant.
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
 * Whether an authority has tenants to choose from: those of Entra, external ones among them, do; AD FS and other issuers do
 * not.
 *
 * **Example** (Telling who has tenants)
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
 * The tenant of an effective authority, or the reason why this flow cannot use it.
 *
 * **Details**
 *
 * Client credentials need one tenant: `common`, `organizations` and `consumers` stand for none. AD FS and other issuers have
 * no tenants; their place in keys is taken by the empty string.
 *
 * **Example** (Refusing what stands for no tenant)
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
  if (!isTenanted(self)) return Result.succeed("")
  if (self.tenant === undefined) {
    return Result.fail(
      problem(
        "tenant_missing",
        "tenantId",
        "no tenant is named, neither by the request nor by the client's authority",
        "Pass tenantId with the request, or name the tenant when the client is built: tenantId, an authority that ends in it, or AZURE_TENANT_ID."
      )
    )
  }
  if (untenanted.has(self.tenant)) {
    return Result.fail(
      problem(
        "tenant_not_tenanted",
        "tenantId",
        `${quote(self.tenant)} stands for many tenants, and an app token belongs to exactly one`,
        "Name the tenant whose data the app works with: its id or domain name as tenantId of the request or of the client."
      )
    )
  }
  return Result.succeed(self.tenant)
}

// -----------------------------------------------------------------------------
// addresses
// -----------------------------------------------------------------------------

/**
 * The authority as a URL, without a trailing slash; an issuer as it is.
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
 * Whether a host belongs to the same cloud (or is the same host) as an authority.
 *
 * **Example** (Recognising an alias)
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
 * The page on which an administrator grants the app its permissions in a tenant.
 *
 * **Details**
 *
 * The address needs no registered reply URL unless `redirectUri` is passed.
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
 * The host that requests go to: a cloud's preferred one, otherwise the authority's own.
 *
 * **Example** (Finding the host that requests go to)
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

const hasControlOrSpace = (value: string): boolean => /[\s\p{Cc}]/u.test(value)

const tenantPattern = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/i

const untenanted: ReadonlySet<string> = new Set(["common", "organizations", "consumers"])

const make = (host: string, tenant: string | undefined): Authority => {
  const cloud = byHost.get(host)
  const ciam = ciamHost.exec(host)
  return {
    kind: ciam === null ? "Entra" : "Ciam",
    host,
    // An external tenant's host names the tenant; its path may.
    tenant: tenant ?? (ciam === null ? undefined : `${ciam[1]}.onmicrosoft.com`),
    environment: cloud === undefined ? host : cloud.cache,
    cloud: cloud?.name
  }
}

/** What a URL's parser made of the host is what was written, but for case and the port that goes without saying. */
const isSimplestHost = (host: string | undefined, url: URL): boolean =>
  host?.toLowerCase().replace(/:443$/, "") === url.host && plainHost.test(url.host)

/** A name or an address, with or without a port, that does not end in a dot. */
const plainHost = /^(?:[a-z0-9.-]*[a-z0-9]|\[[0-9a-f:.]+\])(?::\d+)?$/

const ciamHost = /^([a-z0-9](?:[a-z0-9-]*[a-z0-9])?)\.ciamlogin\.com(?::\d+)?$/

const cloudNamed = (text: string): Cloud | undefined =>
  Object.hasOwn(clouds, text) ? Object.values(clouds).find((cloud) => cloud.name === text) : undefined

const problem = (
  code: InvalidAuthorityCode,
  field: string,
  message: string,
  remedy: string
): InvalidAuthorityError =>
  new InvalidAuthorityError({ code, field, origin: "local", message: sentence(message), remedy })

const malformedAuthority = (field: string, text: string, what: string): InvalidAuthorityError =>
  problem(
    "authority_malformed",
    field,
    `${field} ${quote(withoutUserInfo(text))} ${what}`,
    "Pass an absolute https URL such as https://login.microsoftonline.com/contoso.onmicrosoft.com, or a cloud's name."
  )

const malformedIssuer = (field: string, text: string, what: string): InvalidAuthorityError =>
  problem(
    "authority_malformed",
    field,
    `${field} ${quote(withoutUserInfo(text))} ${what}`,
    "Pass the issuer as the provider's discovery document names it: an absolute https URL such as https://idp.example/realms/one."
  )

const insecure = (field: string, text: string, protocol: string): InvalidAuthorityError =>
  problem(
    "authority_insecure",
    field,
    `${field} ${quote(withoutUserInfo(text))} uses ${quote(protocol)}, which would show the credential to the network`,
    "Use https. For tests on one machine, effect-entra/node starts a simulator with its own certificate."
  )

const withoutUserInfo = (text: string): string => text.replace(/^.*@/s, "...@")
