/**
 * The document in which an issuer says where its endpoints are (OpenID Connect Discovery 1.0 section 4): the question, and
 * what an answer means.
 */
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Authority from "../../Authority.ts"
import type { InvalidAuthorityCode, InvalidAuthorityError, ServiceUnavailableError } from "../../EntraError.ts"
import { type IdentityRequest, type IdentityResponse, standardHeaders } from "../http/fields.ts"
import { parseRetryAfter } from "../http/retryAfter.ts"
import { invalidAuthority, serviceUnavailable } from "../shared/errors.ts"
import { quote } from "../shared/text.ts"
import { type Endpoints, parseEndpoint } from "./endpointLayout.ts"

export const question = (authority: Authority.Authority, correlationId: string): IdentityRequest => ({
  method: "GET",
  url: documentOf(authority),
  headers: { ...standardHeaders, "client-request-id": correlationId },
  correlationId
})

/** Section 4.1: a slash at the end of the issuer goes first. */
const documentOf = (authority: Authority.Authority): string =>
  `${bare(authority.environment)}/.well-known/openid-configuration`

const bare = (issuer: string): string => issuer.replace(/\/$/, "")

/** `now` in milliseconds. */
export const readDocument = (
  authority: Authority.Authority,
  answer: IdentityResponse,
  asked: { readonly correlationId: string; readonly now: number }
): Result.Result<Endpoints, InvalidAuthorityError | ServiceUnavailableError> => {
  const { status } = answer
  if (status === 408 || status === 429 || status >= 500) return Result.fail(unavailable(authority, answer, asked))
  if (status === 400 || status === 404) return Result.fail(unknown(authority, status, asked.correlationId))
  const malformed = (what: string) => Result.fail(malformedDocument(authority, status, asked.correlationId, what))
  if (status < 200 || status >= 300) return malformed(`is no document (status ${status})`)
  if (answer.cut) return malformed("is longer than any such document")
  const decoded = decode(answer.body)
  if (Result.isFailure(decoded)) return malformed("is not JSON with an issuer and a token_endpoint")
  const document = decoded.success
  if (!isOf(authority, document.issuer)) {
    return Result.fail(mismatch(authority, document.issuer, status, asked.correlationId))
  }
  const { token_endpoint: token } = document
  if (parseEndpoint(token)?.protocol !== "https:") {
    return malformed(`names the token_endpoint ${quote(token)}, which is not an https URL in plain form`)
  }
  return Result.succeed(endpointsIn(document))
}

const Document = Schema.Struct({
  issuer: Schema.String,
  token_endpoint: Schema.String,
  token_endpoint_auth_methods_supported: Schema.optionalKey(Schema.NullOr(Schema.Array(Schema.String))),
  token_endpoint_auth_signing_alg_values_supported: Schema.optionalKey(Schema.NullOr(Schema.Array(Schema.String)))
})

const decode = Schema.decodeUnknownResult(Schema.fromJsonString(Document))

/**
 * RS256 is what every provider must know (section 3), PS256 what is taken where that is missing; a secret goes by Basic
 * unless the document says otherwise, which is its default too.
 */
const endpointsIn = (document: typeof Document.Type): Endpoints => {
  const methods = document.token_endpoint_auth_methods_supported ?? ["client_secret_basic"]
  const algorithms = document.token_endpoint_auth_signing_alg_values_supported ?? []
  return {
    token: document.token_endpoint,
    audience: document.token_endpoint,
    assertion: {
      thumbprint: "x5t",
      rsa: !algorithms.includes("RS256") && algorithms.includes("PS256") ? "PS256" : "RS256"
    },
    secretMethod: methods.includes("client_secret_basic") && !methods.includes("client_secret_post")
      ? "client_secret_basic"
      : "client_secret_post"
  }
}

// -----------------------------------------------------------------------------
// issuers
// -----------------------------------------------------------------------------

/** Exactly the one that was configured, or, at hosts of Microsoft, the same place: documents there name the tenant by its id. */
const isOf = (authority: Authority.Authority, issuer: string): boolean => {
  if (bare(issuer) === bare(authority.environment)) return true
  const parsed = Authority.parseIssuer(issuer)
  if (Result.isFailure(parsed)) return false
  const { host } = parsed.success
  return (isMicrosoft(host) && placeOf(host) === placeOf(authority.host) && isSameTenant(authority, parsed.success)) ||
    isExternalTenant(authority, parsed.success)
}

/** Two ids are two tenants; a name may be that of any id. */
const isSameTenant = (authority: Authority.Authority, issuer: Authority.Authority): boolean => {
  const [one, other] = [tenantIn(authority), tenantIn(issuer)]
  return one === other || !guid.test(one) || !guid.test(other)
}

const tenantIn = ({ environment }: Authority.Authority): string =>
  new URL(environment).pathname.split("/", 2)[1]?.toLowerCase() ?? ""

/** One name for all hosts of a cloud. */
const placeOf = (host: string): string => placed(host)?.environment ?? host

const isMicrosoft = (host: string): boolean =>
  placed(host)?.cloud !== undefined || /\.(?:ciamlogin|b2clogin)\.com$/.test(host)

const placed = (host: string): Authority.Authority | undefined =>
  Result.getOrUndefined(Authority.parse(`https://${host}`))

/**
 * An external tenant calls itself `https://{tenant}.ciamlogin.com/{tenant}/v2.0`, by its id, whatever name or domain of its
 * own it is reached by. What the configured path names has to be that one, unless Microsoft's own host says so.
 */
const isExternalTenant = (authority: Authority.Authority, issuer: Authority.Authority): boolean => {
  const [, tenant, path] =
    /^https:\/\/([^./:]+)\.ciamlogin\.com(?:\/([^/]+)(?:\/v2\.0)?)?\/?$/i.exec(issuer.environment) ??
      []
  if (tenant === undefined || (path !== undefined && path.toLowerCase() !== tenant)) return false
  const configured = tenantIn(authority)
  return configured === tenant ||
    (authority.host.endsWith(".ciamlogin.com") && guid.test(tenant) && !guid.test(configured))
}

const guid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

// -----------------------------------------------------------------------------
// problems
// -----------------------------------------------------------------------------

const problem = (
  code: InvalidAuthorityCode,
  status: number,
  correlationId: string,
  message: string,
  remedy: string
): InvalidAuthorityError =>
  invalidAuthority(code, "issuer", message, remedy, { origin: "service", status, correlationId })

const unknown = (authority: Authority.Authority, status: number, correlationId: string): InvalidAuthorityError =>
  problem(
    "issuer_unknown",
    status,
    correlationId,
    `${documentOf(authority)} does not exist (status ${status})`,
    "Check the issuer, its path and the case of its letters too: open that address in a browser."
  )

const malformedDocument = (
  authority: Authority.Authority,
  status: number,
  correlationId: string,
  what: string
): InvalidAuthorityError =>
  problem(
    "discovery_malformed",
    status,
    correlationId,
    `the answer of ${documentOf(authority)} ${what}`,
    "Check the issuer, and whether a proxy or a sign-in page on the way answers in the provider's stead."
  )

const mismatch = (
  authority: Authority.Authority,
  issuer: string,
  status: number,
  correlationId: string
): InvalidAuthorityError =>
  problem(
    "issuer_mismatch",
    status,
    correlationId,
    `${documentOf(authority)} is the document of another issuer, ${quote(issuer)}`,
    "Configure the issuer exactly as its document names it, if that is the provider that you mean."
  )

const unavailable = (
  authority: Authority.Authority,
  answer: IdentityResponse,
  asked: { readonly correlationId: string; readonly now: number }
): ServiceUnavailableError => {
  const retryAfter = parseRetryAfter(answer.headers["retry-after"], asked.now)
  return serviceUnavailable(
    "service_unavailable",
    `${documentOf(authority)} is not available (status ${answer.status})`,
    "Try again later: the request itself is valid, and tokens that are still valid are served meanwhile.",
    {
      origin: "service",
      status: answer.status,
      correlationId: asked.correlationId,
      retryAfter: retryAfter === undefined ? undefined : Duration.millis(retryAfter)
    }
  )
}
