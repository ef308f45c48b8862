/** The plan of a request, from the request and the client's settings. All rules without network calls are checked here. */
import * as Result from "effect/Result"
import * as Authority from "../../Authority.ts"
import type { InvalidAuthorityError, InvalidRequestError, InvalidScopeError } from "../../EntraError.ts"
import type { OnThrottled, TokenRequest } from "../../TokenRequest.ts"
import * as TokenScope from "../../TokenScope.ts"
import type { Selector } from "../cache/cacheKey.ts"
import type { Fields } from "../http/fields.ts"
import { invalidAuthority, invalidRequest, notA } from "../shared/errors.ts"
import { quote } from "../shared/text.ts"
import { isJsonObject, isText, millisOf } from "../shared/validate.ts"
import { type ClientExtras, type Extras, extrasOf, sentWith } from "./extraParameters.ts"

export interface ClientSettings {
  readonly clientId: string
  readonly authority: Authority.Authority
  readonly allows: ((tenantId: string) => boolean) | undefined
  readonly extras: ClientExtras
  /** Milliseconds; undefined for authorities that always name the lifetime of a token. */
  readonly defaultLifetime?: number | undefined
}

export interface RequestPlan {
  readonly authority: Authority.Authority
  readonly tenant: string
  readonly scopes: TokenScope.ScopeSet
  /** The empty string if there are no claims. */
  readonly claims: string
  readonly extras: Extras
  /** The sent data that is not in the cache key. Requests with the same data share flights and gates. */
  readonly sent: string
  /** Undefined means the credential's setting. */
  readonly sendCertificateChain: boolean | undefined
  readonly forced: boolean
  /** The hash of the refused token in lower case, or the empty string. */
  readonly refused: string
  /** Milliseconds. With 0 every token that has not expired is valid enough. */
  readonly minimumValidity: number
  /** Undefined means the client's setting. */
  readonly onThrottled: OnThrottled | undefined
  readonly correlationId: string | undefined
}

export type PlanError = InvalidAuthorityError | InvalidScopeError | InvalidRequestError

/** Returns the plan of a request, or its first problem. */
export const planOf = (request: TokenRequest, settings: ClientSettings): Result.Result<RequestPlan, PlanError> => {
  const mistyped = typeProblem(request)
  if (mistyped !== undefined) return Result.fail(mistyped)
  const scopes = TokenScope.parse(request.scopes, settings.authority.kind)
  if (Result.isFailure(scopes)) return Result.fail(scopes.failure)
  const authority = effectiveAuthority(request, settings.authority)
  if (Result.isFailure(authority)) return Result.fail(authority.failure)
  const tenant = Authority.requireTenant(authority.success)
  if (Result.isFailure(tenant)) return Result.fail(tenant.failure)
  if (tenant.success !== "" && settings.allows?.(tenant.success) === false) {
    return Result.fail(notAllowed(tenant.success))
  }
  const minimumValidity = request.minimumValidity === undefined ? 0 : millisOf(request.minimumValidity)
  if (minimumValidity === undefined || minimumValidity === Infinity) {
    return Result.fail(notA("a finite duration of 0 or more", "minimumValidity"))
  }
  const { accessTokenSha256ToRefresh: hash, claims } = request
  const problem = (claims === undefined || claims === "" ? undefined : claimsProblem(claims)) ??
    (hash === undefined ? undefined : hashProblem(hash)) ?? callProblem(request)
  if (problem !== undefined) return Result.fail(problem)
  let extras = settings.extras.own
  if (
    request.cachePartition !== undefined || request.extraBodyParameters !== undefined ||
    request.extraQueryParameters !== undefined || request.clientCapabilities !== undefined
  ) {
    const own = extrasOf(request, settings.extras)
    if (Result.isFailure(own)) return Result.fail(own.failure)
    extras = own.success
  }
  return Result.succeed({
    authority: authority.success,
    tenant: tenant.success,
    scopes: scopes.success,
    claims: request.claims ?? "",
    extras,
    sent: extras === settings.extras.own && !claims && request.sendCertificateChain === undefined
      ? settings.extras.ownSent
      : sentWith(extras, claims, request.sendCertificateChain),
    sendCertificateChain: request.sendCertificateChain,
    forced: request.forceRefresh === true,
    refused: (request.accessTokenSha256ToRefresh ?? "").toLowerCase(),
    minimumValidity,
    onThrottled: request.onThrottled,
    correlationId: request.correlationId
  })
}

/** Returns the parameters of the client credentials grant (RFC 6749 section 4.4.2). */
export const clientCredentialsForm = (
  clientId: string,
  { extras, scopes }: Pick<RequestPlan, "extras" | "scopes">,
  claims: string
): Fields => ({
  ...extras.form,
  client_id: clientId,
  ...(scopes.wire === "" ? {} : { scope: scopes.wire }),
  grant_type: "client_credentials",
  ...(claims === "" ? {} : { claims })
})

/** Returns the plan of an ordinary request: it replaces no token and asks for no claims. */
export const withoutReplacement = (plan: RequestPlan): RequestPlan => ({
  ...plan,
  refused: "",
  claims: "",
  sent: sentWith(plan.extras, undefined, plan.sendCertificateChain)
})

/**
 * Returns the plan of a request to keep fresh. The cache must store its token, so it has no claims and replaces no
 * token.
 */
export const keepablePlanOf = (
  request: TokenRequest,
  settings: ClientSettings
): Result.Result<RequestPlan, PlanError> =>
  Result.flatMap(planOf(request, settings), (plan) => {
    const field = plan.forced
      ? "forceRefresh"
      : plan.claims !== ""
      ? "claims"
      : plan.refused === ""
      ? undefined
      : "accessTokenSha256ToRefresh"
    return field === undefined ? Result.succeed(plan) : Result.fail(notKeepable(field))
  })

/** Returns the selector of an owner's tokens. */
export const selectorOf = (
  selection: "all" | { readonly tenantId: string } | TokenRequest,
  owner: string,
  settings: ClientSettings
): Result.Result<Selector, PlanError> =>
  selection === "all"
    ? Result.succeed({ owner })
    : typeof selection !== "object" || selection === null
    ? Result.fail(notA(`"all" or an object`, "selection"))
    : "scopes" in selection
    ? Result.map(planOf(selection, settings), ({ scopes, tenant }) => ({ owner, tenant, scopes: scopes.canonical }))
    : Result.map(Authority.parseTenant(selection.tenantId), (tenant) => ({ owner, tenant }))

/** Returns the client's authority with the tenant of the request. Only the tenant of a request's authority is used. */
const effectiveAuthority = (
  request: TokenRequest,
  base: Authority.Authority
): Result.Result<Authority.Authority, InvalidAuthorityError> => {
  if (base.kind === "Oidc") {
    const field = request.authority !== undefined
      ? "authority"
      : request.tenantId === undefined
      ? undefined
      : "tenantId"
    return field === undefined ? Result.succeed(base) : Result.fail(nothingToChoose(field, base))
  }
  const tenants: Array<string> = []
  if (request.authority !== undefined) {
    const other = Authority.parse(request.authority)
    if (Result.isFailure(other)) return Result.fail(other.failure)
    if (!Authority.sameCloud(base, other.success) || base.kind !== other.success.kind) {
      return Result.fail(otherCloud(request.authority, base))
    }
    const { host, tenant } = other.success
    if (tenant !== undefined && tenant !== impliedBy(host)) tenants.push(tenant)
  }
  if (request.tenantId !== undefined) {
    const tenant = Authority.parseTenant(request.tenantId)
    if (Result.isFailure(tenant)) return Result.fail(tenant.failure)
    tenants.push(tenant.success)
  }
  const [tenant, another] = tenants
  if (tenant !== undefined && another !== undefined && tenant !== another) {
    return Result.fail(contradiction(tenant, another))
  }
  if (tenant === undefined) return Result.succeed(base)
  return base.kind === "Adfs" ? Result.fail(tenantAtAdfs(tenant)) : Result.succeed(Authority.withTenant(base, tenant))
}

/**
 * Returns the tenant in the host name of an external tenant, which is the client's tenant even if that is written
 * differently.
 */
const impliedBy = (host: string): string | undefined =>
  Result.getOrUndefined(Authority.parse(`https://${host}`))?.tenant

// -----------------------------------------------------------------------------
// problems
// -----------------------------------------------------------------------------

const otherCloud = (authority: string, base: Authority.Authority): InvalidAuthorityError =>
  invalidAuthority(
    "authority_mismatch",
    "authority",
    `authority ${quote(authority)} has another host than the client's ${base.host}, and is not an alias of it`,
    "Build a client for that cloud. A request may change only the tenant."
  )

const tenantAtAdfs = (tenant: string): InvalidAuthorityError =>
  invalidAuthority(
    "authority_unsupported",
    "tenantId",
    `tenantId ${quote(tenant)} is set, but AD FS has no tenants`,
    "Leave tenantId out."
  )

const nothingToChoose = (field: string, base: Authority.Authority): InvalidAuthorityError =>
  invalidAuthority(
    "authority_unsupported",
    field,
    `${field} is set, but the client sends requests only to its issuer ${quote(Authority.format(base))}`,
    `Leave ${field} out. Build another client for another issuer.`
  )

const contradiction = (fromAuthority: string, tenantId: string): InvalidAuthorityError =>
  invalidAuthority(
    "authority_mismatch",
    "tenantId",
    `tenantId ${quote(tenantId)} contradicts the request's authority, which has the tenant ${quote(fromAuthority)}`,
    "Pass the tenant only once."
  )

const notAllowed = (tenant: string): InvalidAuthorityError =>
  invalidAuthority(
    "tenant_not_allowed",
    "tenantId",
    `tenantId ${quote(tenant)} is not among the client's allowedTenants`,
    "Refuse this caller, or add the tenant to allowedTenants if the app serves it."
  )

/** Returns the problem of the fields that concern one call and choose no token; undefined when they are well formed. */
export const callProblem = (
  { correlationId, onThrottled, sendCertificateChain }: TokenRequest
): InvalidRequestError | undefined => {
  if (sendCertificateChain !== undefined && typeof sendCertificateChain !== "boolean") {
    return notA("true or false", "sendCertificateChain")
  }
  if (onThrottled !== undefined && !isOnThrottled(onThrottled)) return notA(onThrottledWords, "onThrottled")
  return correlationId === undefined ? undefined : correlationIdProblem(correlationId)
}

/** Returns the problem of the first field with a wrong type, from a JavaScript caller or from JSON. */
const typeProblem = (request: unknown): InvalidRequestError | undefined => {
  if (typeof request !== "object" || request === null) return notA("an object", "request")
  const scopes = "scopes" in request ? request.scopes : undefined
  if (typeof scopes !== "string" && !(Array.isArray(scopes) && scopes.every(isText))) {
    return notA("a string or an array of strings", "scopes")
  }
  for (const [field, value] of Object.entries(request)) {
    if (texts.has(field) && value !== undefined && typeof value !== "string") return notA("a string", field)
  }
  return "forceRefresh" in request && request.forceRefresh !== undefined && typeof request.forceRefresh !== "boolean"
    ? notA("true or false", "forceRefresh")
    : undefined
}

const texts: ReadonlySet<string> = new Set([
  "tenantId",
  "authority",
  "claims",
  "accessTokenSha256ToRefresh",
  "correlationId"
])

const notKeepable = (field: string): InvalidRequestError =>
  invalidRequest(
    "field_malformed",
    field,
    `${field} applies to one call, but keepFresh and tokens keep a token that all calls share`,
    `Leave ${field} out here, and pass it to acquireToken.`
  )

export const isOnThrottled = (value: unknown): value is OnThrottled => value === "fail" || value === "wait"

export const onThrottledWords = `"fail" or "wait"`

const claimsProblem = (claims: string): InvalidRequestError | undefined =>
  claims.length <= longestClaims && isJsonObject(claims)
    ? undefined
    : invalidRequest(
      "field_malformed",
      "claims",
      "claims is not a JSON object of at most 65,536 characters and 64 levels",
      "Pass the claims of the challenge unchanged, as JSON text. Decode claims of a header from base64url first."
    )

const longestClaims = 65_536

/** The value is not echoed, because it may be the token itself. */
const hashProblem = (hash: string): InvalidRequestError | undefined =>
  /^[0-9a-f]{64}$/i.test(hash)
    ? undefined
    : invalidRequest(
      "field_malformed",
      "accessTokenSha256ToRefresh",
      "accessTokenSha256ToRefresh is not a SHA-256 in hexadecimal (64 digits)",
      "Pass the result of ConfidentialClient.accessTokenSha256 for the refused token, and not the token itself."
    )

const correlationIdProblem = (id: string): InvalidRequestError | undefined => {
  if (typeof id !== "string") return notA("a string", "correlationId")
  return /^[\w.-]{1,64}$/.test(id) ? undefined : invalidRequest(
    "field_malformed",
    "correlationId",
    `correlationId ${quote(id)} cannot be sent as a header`,
    "Pass a GUID, or leave correlationId out to have a GUID generated."
  )
}
