/** The layout of addresses: which URL a kind of authority serves tokens at, and which assertion it wants there. */
import * as Result from "effect/Result"
import type * as Authority from "../Authority.ts"
import { InvalidAuthorityError } from "../EntraError.ts"
import type { Thumbprints } from "./assertion.ts"

export interface Endpoints {
  /** The token endpoint's URL. */
  readonly token: string
  /** The `aud` of assertions. */
  readonly audience: string
  readonly assertion: { readonly thumbprint: keyof Thumbprints; readonly rsa: "PS256" | "RS256" }
  /** Where to go when this one cannot be reached. */
  readonly fallback?: Endpoints | undefined
}

export const endpointsOf = (
  authority: Authority.Authority,
  host: string,
  channel: "standard" | "mtls"
): Result.Result<Endpoints, InvalidAuthorityError> => {
  if (channel === "mtls") {
    const mtls = mtlsHost(authority, host)
    return mtls === undefined ? Result.fail(noMtls(authority)) : Result.succeed(at(authority, mtls))
  }
  return Result.succeed(at(authority, host))
}

const at = (authority: Authority.Authority, host: string): Endpoints => {
  if (authority.kind === "Adfs") {
    const token = `https://${host}/adfs/oauth2/token`
    return { token, audience: token, assertion: { thumbprint: "x5t", rsa: "RS256" } }
  }
  const token = `https://${host}/${authority.tenant ?? ""}/oauth2/v2.0/token`
  return { token, audience: token, assertion: { thumbprint: "x5t#S256", rsa: "PS256" } }
}

/** MSAL-DOTNET section 3.6. */
const mtlsHost = (authority: Authority.Authority, host: string): string | undefined => {
  if (authority.kind !== "Entra") return undefined
  if (authority.cloud === "public") return "mtlsauth.microsoft.com"
  return host.startsWith("login.") ? `mtlsauth.${host.slice("login.".length)}` : undefined
}

const noMtls = (authority: Authority.Authority): InvalidAuthorityError =>
  new InvalidAuthorityError({
    code: "authority_unsupported",
    field: "authority",
    origin: "local",
    message: `authority ${authority.host} has no endpoint for client certificates in the TLS handshake`,
    remedy: "Use an authority of a Microsoft cloud, or a credential that goes into the request's body."
  })
