/**
 * The discovery document of an issuer (OpenID Connect Discovery 1.0 section 4, RFC 8414 section 3): its addresses, its
 * request, and the endpoints in the response.
 */
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import * as Authority from "../../Authority.ts"
import type { InvalidAuthorityCode, InvalidAuthorityError, ServiceUnavailableError } from "../../EntraError.ts"
import { type IdentityRequest, type IdentityResponse, standardHeaders } from "../http/fields.ts"
import { parseRetryAfter } from "../http/retryAfter.ts"
import { invalidAuthority, isOutageStatus, serviceUnavailable } from "../shared/errors.ts"
import { isGuid, quote } from "../shared/text.ts"
import { isCutJson, isText, membersOf, textsOf } from "../shared/validate.ts"
import { type Endpoints, parseEndpoint } from "./endpointLayout.ts"

/** Returns the request for a discovery document. */
export const configurationRequest = (url: string, correlationId: string): IdentityRequest => ({
  method: "GET",
  url,
  headers: { ...standardHeaders, "client-request-id": correlationId },
  correlationId
})

/** Returns the address of the document of an OpenID provider. A trailing slash of the issuer is removed first. */
export const openIdDocumentUrl = ({ environment }: Authority.Authority): string =>
  `${withoutTrailingSlash(environment)}/.well-known/openid-configuration`

/**
 * Returns the address of the document of an authorization server: before the path of the issuer (RFC 8414 section 3.1).
 */
export const oauthDocumentUrl = ({ environment }: Authority.Authority): string => {
  const { origin, pathname } = new URL(environment)
  return `${origin}/.well-known/oauth-authorization-server${withoutTrailingSlash(pathname)}`
}

const withoutTrailingSlash = (issuer: string): string => issuer.replace(/\/$/, "")

/** The request of a document; `now` is in milliseconds. */
interface DocumentRequest {
  readonly url: string
  readonly correlationId: string
  readonly now: number
}

/** Returns the endpoints in a response. */
export const readConfiguration = (
  authority: Authority.Authority,
  response: IdentityResponse,
  request: DocumentRequest
): Result.Result<Endpoints, InvalidAuthorityError | ServiceUnavailableError> => {
  const { status } = response
  if (status === 429 || isOutageStatus(status)) return Result.fail(unavailable(response, request))
  if (status === 400 || status === 404) return Result.fail(notFound(authority, status, request.correlationId))
  const malformed = (what: string) => Result.fail(malformedDocument(request, status, what))
  if (status < 200 || status >= 300) return malformed(`is not a discovery document (status ${status})`)
  if (response.cut) return malformed("is too long for a discovery document")
  if (isCutJson(response.body)) return Result.fail(unavailable(response, request, "ends in the middle of its JSON"))
  const document = documentOf(response.body)
  if (document === undefined) return malformed("is not JSON with an issuer and a token_endpoint")
  if (!isIssuerOf(authority, document.issuer)) {
    return Result.fail(mismatch(request, document.issuer, status))
  }
  const { token_endpoint: token } = document
  if (parseEndpoint(token)?.protocol !== "https:") {
    return malformed(`has the token_endpoint ${quote(token)}, which is not a plain https URL`)
  }
  return Result.succeed(endpointsOf(document, authority))
}

/**
 * Returns whether a response has no document, not even a malformed one. The document may then be at the other address.
 */
export const isAbsent = ({ body, cut, status }: IdentityResponse): boolean => {
  if (status === 429 || isOutageStatus(status)) return false
  if (status === 0 || status >= 300) return true
  if (isCutJson(body)) return false
  const members = membersOf(body)
  return status >= 200 && status < 300 && !cut && members?.["issuer"] === undefined &&
    members?.["token_endpoint"] === undefined
}

/** The members of a discovery document that are used. */
interface Document {
  readonly issuer: string
  readonly token_endpoint: string
  readonly methods: ReadonlyArray<string> | undefined
  readonly algorithms: ReadonlyArray<string> | undefined
}

/** Returns the document in a body, or undefined when its members have other types. A list may be null. */
const documentOf = (body: string): Document | undefined => {
  const members = membersOf(body)
  const issuer = members?.["issuer"]
  const token_endpoint = members?.["token_endpoint"]
  if (!isText(issuer) || !isText(token_endpoint)) return undefined
  const methods = members?.["token_endpoint_auth_methods_supported"] ?? undefined
  const algorithms = members?.["token_endpoint_auth_signing_alg_values_supported"] ?? undefined
  const document = { issuer, token_endpoint, methods: textsOf(methods), algorithms: textsOf(algorithms) }
  const isOfTexts = (list: unknown, texts: unknown) => list === undefined || texts !== undefined
  return isOfTexts(methods, document.methods) && isOfTexts(algorithms, document.algorithms) ? document : undefined
}

/**
 * Every provider must support RS256 (section 3), so PS256 is used only where RS256 is missing. Providers look for the
 * certificate by either thumbprint, so assertions have both. A document without methods
 * means `client_secret_basic`, and the post method is preferred if the document lists it.
 */
const endpointsOf = (document: Document, authority: Authority.Authority): Endpoints => {
  const { algorithms = [], methods = ["client_secret_basic"] } = document
  return {
    token: document.token_endpoint,
    audience: isOfMicrosoft(document, authority) ? document.token_endpoint : document.issuer,
    assertion: {
      thumbprint: "x5t",
      also: "x5t#S256",
      rsa: !algorithms.includes("RS256") && algorithms.includes("PS256") ? "PS256" : "RS256"
    },
    secretMethod: methods.includes("client_secret_basic") && !methods.includes("client_secret_post")
      ? "client_secret_basic"
      : "client_secret_post"
  }
}

/**
 * Returns whether the provider is Entra, an external tenant or AD FS. These require the token endpoint as the audience
 * of an assertion. Others accept the issuer, which is the only audience in draft-ietf-oauth-rfc7523bis and FAPI 2.0.
 */
const isOfMicrosoft = (
  { issuer, token_endpoint: token }: Document,
  { environment }: Authority.Authority
): boolean =>
  [environment, issuer, token].some((url) =>
    URL.canParse(url) && (isMicrosoft(new URL(url).host) || /^\/adfs(?:\/|$)/i.test(new URL(url).pathname))
    // Azure AD B2C appends its policy as a query.
  ) || new URL(token).pathname.endsWith("/oauth2/v2.0/token")

// -----------------------------------------------------------------------------
// issuers
// -----------------------------------------------------------------------------

/**
 * Returns whether a document's issuer is the configured issuer. At Microsoft's hosts another host of the same cloud counts
 * too, and so does the tenant's id in place of its name, because documents there contain the id.
 */
const isIssuerOf = (authority: Authority.Authority, issuer: string): boolean => {
  if (withoutTrailingSlash(issuer) === withoutTrailingSlash(authority.environment)) return true
  const parsed = Authority.parseIssuer(issuer)
  if (Result.isFailure(parsed)) return false
  const { host } = parsed.success
  return (isMicrosoft(host) && environmentOf(host) === environmentOf(authority.host) &&
    isSameTenant(authority, parsed.success)) ||
    isExternalTenant(authority, parsed.success)
}

/** Returns whether both may be the same tenant. Two different ids are two tenants, but a name may belong to any id. */
const isSameTenant = (authority: Authority.Authority, issuer: Authority.Authority): boolean => {
  const [one, other] = [tenantIn(authority), tenantIn(issuer)]
  return one === other || !isGuid(one) || !isGuid(other)
}

const tenantIn = ({ environment }: Authority.Authority): string =>
  new URL(environment).pathname.slice(1).split("/", 1).join("").toLowerCase()

/** Returns the same name for all hosts of a cloud. */
const environmentOf = (host: string): string => authorityAt(host)?.environment ?? host

const isMicrosoft = (host: string): boolean =>
  authorityAt(host)?.cloud !== undefined || /\.(?:ciamlogin|b2clogin)\.com$/.test(host)

const authorityAt = (host: string): Authority.Authority | undefined =>
  Result.getOrUndefined(Authority.parse(`https://${host}`))

/**
 * Returns whether an issuer is the configured external tenant. Its issuer is `https://{tenant}.ciamlogin.com/{tenant}/v2.0`
 * with the tenant's id, even at a custom domain. The configured path must contain that id, unless the host is Microsoft's.
 */
const isExternalTenant = (authority: Authority.Authority, issuer: Authority.Authority): boolean => {
  const [, tenant, path] =
    /^https:\/\/([^./:]+)\.ciamlogin\.com(?:\/([^/]+)(?:\/v2\.0)?)?\/?$/i.exec(issuer.environment) ??
      []
  if (tenant === undefined || (path !== undefined && path.toLowerCase() !== tenant)) return false
  const configured = tenantIn(authority)
  return configured === tenant ||
    (authority.host.endsWith(".ciamlogin.com") && isGuid(tenant) && !isGuid(configured))
}

// -----------------------------------------------------------------------------
// problems
// -----------------------------------------------------------------------------

const issuerError = (
  code: InvalidAuthorityCode,
  status: number,
  correlationId: string,
  message: string,
  remedy: string
): InvalidAuthorityError =>
  invalidAuthority(code, "issuer", message, remedy, { origin: "service", status, correlationId })

/** Returns the error of an issuer without a document at either address. */
const notFound = (authority: Authority.Authority, status: number, correlationId: string): InvalidAuthorityError =>
  issuerError(
    "issuer_unknown",
    status,
    correlationId,
    `${openIdDocumentUrl(authority)} does not exist (status ${status}), and neither does ${
      oauthDocumentUrl(authority)
    }`,
    "Check the issuer, including its path and the case of its letters: open these addresses in a browser."
  )

const malformedDocument = (
  { correlationId, url }: DocumentRequest,
  status: number,
  what: string
): InvalidAuthorityError =>
  issuerError(
    "discovery_malformed",
    status,
    correlationId,
    `The response of ${url} ${what}`,
    "Check the issuer, and check for a proxy or a sign-in page that responds in the provider's place."
  )

const mismatch = ({ correlationId, url }: DocumentRequest, issuer: string, status: number): InvalidAuthorityError =>
  issuerError(
    "issuer_mismatch",
    status,
    correlationId,
    `${url} is the document of another issuer, ${quote(issuer)}`,
    "If that is the intended provider, configure the issuer exactly as its document spells it."
  )

const unavailable = (
  response: IdentityResponse,
  { correlationId, now, url }: DocumentRequest,
  problem = "is not available"
): ServiceUnavailableError => {
  const retryAfter = parseRetryAfter(response.headers["retry-after"], now, response.headers["date"])
  return serviceUnavailable(
    "service_unavailable",
    `${url} ${problem} (status ${response.status})`,
    "Try again later. The request itself is valid, and valid cached tokens are served meanwhile.",
    {
      origin: "service",
      status: response.status,
      correlationId,
      retryAfter: retryAfter === undefined || retryAfter === 0 ? undefined : Duration.millis(retryAfter)
    }
  )
}
