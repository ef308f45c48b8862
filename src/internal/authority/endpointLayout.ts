/** The layout of addresses: which URL a kind of authority serves tokens at, and which assertion it wants there. */
import * as Result from "effect/Result"
import * as Authority from "../../Authority.ts"
import type { InvalidAuthorityCode, InvalidAuthorityError } from "../../EntraError.ts"
import { invalidAuthority } from "../shared/errors.ts"
import { quote } from "../shared/text.ts"

/** The header of an assertion that names its certificate: the digest by SHA-256 or by SHA-1. */
export type ThumbprintName = "x5t#S256" | "x5t"

export interface Endpoints {
  /** The token endpoint's URL. */
  readonly token: string
  /** The `aud` of assertions. */
  readonly audience: string
  readonly assertion: { readonly thumbprint: ThumbprintName; readonly rsa: "PS256" | "RS256" }
  /** How a secret is sent (OpenID Connect Core section 9); default: `client_secret_post`. */
  readonly secretMethod?: "client_secret_post" | "client_secret_basic" | undefined
  /** Where to go when this one gives no answer, or is out of order. */
  readonly fallback?: Endpoints | undefined
}

/** `region` is one that {@link parseRegion} accepted; the endpoints of the whole cloud stand in for it. */
export const endpointsOf = (
  authority: Authority.Authority,
  host: string,
  channel: "standard" | "mtls",
  region?: string
): Result.Result<Endpoints, InvalidAuthorityError> => {
  if (authority.kind === "Oidc") return Result.fail(undiscovered(authority))
  const reached = channel === "mtls" ? mtlsHost(authority, host) : host
  if (reached === undefined) return Result.fail(noMtls(authority))
  const everywhere = at(authority, reached)
  if (region === undefined) return Result.succeed(everywhere)
  if (!hasRegions(authority)) return Result.fail(noRegions(authority, "region"))
  const regional = channel === "standard" && authority.cloud === "public" ? "login.microsoft.com" : reached
  return Result.succeed({ ...at(authority, `${region}.${regional}`), fallback: everywhere })
}

/** Regions are a matter of Microsoft's clouds (MSAL-DOTNET section 3.6). */
export const hasRegions = (authority: Authority.Authority): boolean =>
  authority.kind === "Entra" && authority.cloud !== undefined

/** The short name of an Azure region, as it becomes part of a host name. */
export const parseRegion = (input: string, field = "region"): Result.Result<string, InvalidAuthorityError> => {
  // JavaScript passes what it likes.
  if (typeof input !== "string") return Result.fail(regionProblem("region_malformed", field, "is no string"))
  const region = input.toLowerCase()
  if (detection.has(region)) {
    return Result.fail(regionProblem(
      "region_detection",
      field,
      `${quote(input)} asks for the region to be detected, which is not supported`
    ))
  }
  if (region === "disablemsalforceregion") {
    return Result.fail(regionProblem("region_malformed", field, `${quote(input)} is what MSAL calls no region at all`))
  }
  return /^[a-z0-9]{1,63}$/.test(region) ? Result.succeed(region) : Result.fail(regionProblem(
    "region_malformed",
    field,
    input === ""
      ? "is empty"
      : /^[a-z0-9]+$/.test(region)
      ? `${quote(input)} is longer than a host name's part can be (63 characters)`
      : `${quote(input)} has other characters than letters and digits`
  ))
}

/** RFC 6749 section 3.2: no fragment. Credentials go there, so none of a user in the URL. */
export const parseEndpoint = (text: unknown): URL | undefined => {
  if (typeof text !== "string" || /[\s\\#\p{Cc}]/u.test(text) || !URL.canParse(text)) return undefined
  const url = new URL(text)
  return /^https?:$/.test(url.protocol) && url.username === "" && url.password === "" ? url : undefined
}

/** One token endpoint for everything. */
export const staticEndpoints = (
  { audience, token }: { readonly token: string; readonly audience?: string | undefined }
): Result.Result<Endpoints, InvalidAuthorityError> =>
  parseEndpoint(token) === undefined
    ? Result.fail(invalidAuthority(
      "endpoint_malformed",
      "token",
      "token is no URL of an endpoint",
      "Pass an absolute http or https URL without a user, a fragment or blanks."
    ))
    : Result.succeed({ token, audience: audience ?? token, assertion: entraAssertion })

const entraAssertion = { thumbprint: "x5t#S256", rsa: "PS256" } as const

const at = (authority: Authority.Authority, host: string): Endpoints => {
  if (authority.kind === "Adfs") {
    const token = `https://${host}/adfs/oauth2/token`
    return { token, audience: token, assertion: { thumbprint: "x5t", rsa: "RS256" } }
  }
  const token = `${Authority.format({ ...authority, host })}/oauth2/v2.0/token`
  return { token, audience: token, assertion: entraAssertion }
}

/** MSAL-DOTNET section 3.6. */
const mtlsHost = (authority: Authority.Authority, host: string): string | undefined => {
  if (authority.kind !== "Entra") return undefined
  if (authority.cloud === "public") return "mtlsauth.microsoft.com"
  return host.startsWith("login.") ? `mtlsauth.${host.slice("login.".length)}` : undefined
}

/** Where nobody asks, nobody knows. */
const undiscovered = (authority: Authority.Authority): InvalidAuthorityError =>
  invalidAuthority(
    "authority_unsupported",
    "issuer",
    `issuer ${
      quote(authority.environment)
    } says in its discovery document where its endpoints are, and this resolver asks nobody`,
    "Use AuthorityResolver.layer, or name the token endpoint with AuthorityResolver.layerStatic."
  )

export const noMtls = (authority: Authority.Authority): InvalidAuthorityError =>
  invalidAuthority(
    "authority_unsupported",
    "authority",
    `authority ${authority.host} has no endpoint for client certificates in the TLS handshake`,
    "Use an authority of a Microsoft cloud, or a credential that goes into the request's body."
  )

/** What other libraries take for "find out by yourself". */
const detection: ReadonlySet<string> = new Set(["autodiscoverregion", "tryautodetect"])

export const noRegions = (authority: Authority.Authority, field: string): InvalidAuthorityError =>
  invalidAuthority(
    "authority_unsupported",
    field,
    `${field} is set, and the authority ${authority.host} has no regional endpoints`,
    `Leave ${field} out, or use an authority of a Microsoft cloud.`
  )

const regionProblem = (code: InvalidAuthorityCode, field: string, what: string): InvalidAuthorityError =>
  invalidAuthority(
    code,
    field,
    `${field} ${what}`,
    `Name the region in its short form, such as westus2, or leave ${field} out to use the cloud's global endpoint.`
  )
