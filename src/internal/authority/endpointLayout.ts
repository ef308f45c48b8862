/** The layout of token endpoints: the URL of each kind of authority, and the assertion that it requires. */
import * as Result from "effect/Result"
import * as Authority from "../../Authority.ts"
import type { InvalidAuthorityCode, InvalidAuthorityError } from "../../EntraError.ts"
import { invalidAuthority } from "../shared/errors.ts"
import { nonValueOf } from "../shared/nonValue.ts"
import { quote, withRemedy } from "../shared/text.ts"

/** The assertion header that identifies the certificate, by SHA-256 or by SHA-1. */
export type ThumbprintName = "x5t#S256" | "x5t"

export interface Endpoints {
  /** The token endpoint's URL. */
  readonly token: string
  /** The `aud` of assertions. */
  readonly audience: string
  /** `also` is a second thumbprint, for an issuer that may look for either. */
  readonly assertion: {
    readonly thumbprint: ThumbprintName
    readonly also?: ThumbprintName | undefined
    readonly rsa: "PS256" | "RS256"
  }
  /** The client authentication method of a secret (OpenID Connect Core section 9). Default: `client_secret_post`. */
  readonly secretMethod?: "client_secret_post" | "client_secret_basic" | undefined
  /** The endpoints to use when these fail to respond or respond with a server error. */
  readonly fallback?: Endpoints | undefined
}

/**
 * Returns the endpoints of an authority at `host`. `region` is a result of {@link parseRegion}, and regional endpoints have
 * the global endpoints of the cloud as their fallback.
 */
export const endpointsOf = (
  authority: Authority.Authority,
  host: string,
  channel: "standard" | "mtls",
  region?: string
): Result.Result<Endpoints, InvalidAuthorityError> => {
  if (authority.kind === "Oidc") return Result.fail(discoveryRequired(authority))
  const channelHost = channel === "mtls" ? mtlsHost(authority, host) : host
  if (channelHost === undefined) return Result.fail(noMtls(authority))
  const globalEndpoints = endpointsAt(authority, channelHost)
  if (region === undefined) return Result.succeed(globalEndpoints)
  if (!hasRegions(authority)) return Result.fail(noRegions(authority, "region"))
  const regional = channel === "standard" && authority.cloud === "public" ? "login.microsoft.com" : channelHost
  return Result.succeed({ ...endpointsAt(authority, `${region}.${regional}`), fallback: globalEndpoints })
}

/** Returns whether an authority has regional endpoints. Only Microsoft's clouds have them. */
export const hasRegions = (authority: Authority.Authority): boolean =>
  authority.kind === "Entra" && authority.cloud !== undefined

/** Returns the short name of an Azure region, which becomes part of a host name. */
export const parseRegion = (input: string, field = "region"): Result.Result<string, InvalidAuthorityError> => {
  // A JavaScript caller may pass any value.
  if (typeof input !== "string") return Result.fail(regionProblem("region_malformed", field, "is not a string"))
  const region = input.toLowerCase()
  if (detectionNames.has(region)) {
    return Result.fail(regionProblem(
      "region_detection",
      field,
      `${quote(input)} requests region detection, which is not supported`
    ))
  }
  if (region === "disablemsalforceregion") {
    return Result.fail(regionProblem("region_malformed", field, `${quote(input)} is MSAL's value for no region`))
  }
  const defect = nonValueOf(input)
  return defect === undefined && /^[a-z0-9]{1,63}$/.test(region) ? Result.succeed(region) : Result.fail(regionProblem(
    "region_malformed",
    field,
    defect !== undefined
      ? `${quote(input)} ${defect.what}`
      : input === ""
      ? "is empty"
      : /^[a-z0-9]+$/.test(region)
      ? `${quote(input)} is longer than a label of a host name can be (63 characters)`
      : `${quote(input)} has characters other than letters and digits`,
    defect?.remedy
  ))
}

/**
 * Returns the URL of an endpoint, or undefined if it is invalid. It has no fragment (RFC 6749 section 3.2). It has no user
 * either, because the request has its own credentials.
 */
export const parseEndpoint = (text: unknown): URL | undefined => {
  if (typeof text !== "string" || /[\s\\#\p{Cc}]/u.test(text) || !URL.canParse(text)) return undefined
  const url = new URL(text)
  return /^https?:$/.test(url.protocol) && url.username === "" && url.password === "" ? url : undefined
}

/** Returns endpoints with the same token endpoint for all authorities. */
export const staticEndpoints = (
  { audience, token }: { readonly token: string; readonly audience?: string | undefined }
): Result.Result<Endpoints, InvalidAuthorityError> => {
  const defect = typeof token === "string" ? nonValueOf(token) : undefined
  return defect !== undefined || parseEndpoint(token) === undefined
    ? Result.fail(invalidAuthority(
      "endpoint_malformed",
      "token",
      `token ${defect?.what ?? "is not the URL of an endpoint"}`,
      withRemedy(defect?.remedy, "Pass an absolute http or https URL without a user, a fragment or white space.")
    ))
    : Result.succeed({ token, audience: audience ?? token, assertion: entraAssertion })
}

const entraAssertion = { thumbprint: "x5t#S256", rsa: "PS256" } as const

const endpointsAt = (authority: Authority.Authority, host: string): Endpoints => {
  if (authority.kind === "Adfs") {
    const token = `https://${host}/adfs/oauth2/token`
    return { token, audience: token, assertion: { thumbprint: "x5t", rsa: "RS256" } }
  }
  const token = `${Authority.format({ ...authority, host })}/oauth2/v2.0/token`
  return { token, audience: token, assertion: entraAssertion }
}

/** Returns the host for mutual TLS, or undefined if the authority has no such host. */
const mtlsHost = (authority: Authority.Authority, host: string): string | undefined => {
  if (authority.kind !== "Entra") return undefined
  if (authority.cloud === "public") return "mtlsauth.microsoft.com"
  return host.startsWith("login.") ? `mtlsauth.${host.slice("login.".length)}` : undefined
}

const discoveryRequired = (authority: Authority.Authority): InvalidAuthorityError =>
  invalidAuthority(
    "authority_unsupported",
    "issuer",
    `The endpoints of issuer ${
      quote(authority.environment)
    } are in its discovery document, and this resolver sends no requests`,
    "Use AuthorityResolver.layer, or pass the token endpoint to AuthorityResolver.layerStatic."
  )

export const noMtls = (authority: Authority.Authority): InvalidAuthorityError =>
  invalidAuthority(
    "authority_unsupported",
    "authority",
    `authority ${authority.host} has no endpoint for mutual TLS`,
    "Use an authority of a Microsoft cloud, or a credential that is sent in the body of the request."
  )

/** The values with which other libraries detect the region. */
const detectionNames: ReadonlySet<string> = new Set(["autodiscoverregion", "tryautodetect"])

export const noRegions = (authority: Authority.Authority, field: string): InvalidAuthorityError =>
  invalidAuthority(
    "authority_unsupported",
    field,
    `${field} is set, but the authority ${authority.host} has no regional endpoints`,
    `Leave ${field} out, or use an authority of a Microsoft cloud.`
  )

const regionProblem = (
  code: InvalidAuthorityCode,
  field: string,
  what: string,
  remedy = ""
): InvalidAuthorityError =>
  invalidAuthority(
    code,
    field,
    `${field} ${what}`,
    withRemedy(
      remedy,
      `Pass the short name of the region, such as westus2, or leave ${field} out to use the cloud's global endpoint.`
    )
  )
