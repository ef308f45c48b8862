/** Requests a token, and reads its audience and roles. */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { AuthenticationResult } from "../../../AccessToken.ts"
import * as Authority from "../../../Authority.ts"
import { ClientCredential } from "../../../ClientCredential.ts"
import * as ConfidentialClient from "../../../ConfidentialClient.ts"
import { endpointsOf } from "../../../internal/authority/endpointLayout.ts"
import type { EnvironmentSettings } from "../../../internal/environment/environmentOptions.ts"
import type { Transport } from "../../../internal/http/identityHttp.ts"
import * as RetryPolicy from "../../../RetryPolicy.ts"
import { claimsOf } from "../jwt.ts"
import { fail, failure, type Finding, ok, warn } from "./finding.ts"

/** The milliseconds for the token request. */
const limit = 8000

/** Requests one token without retries, and returns the findings of the steps `acquisition` and `token`. */
export const acquisitionFindings = (
  authority: Authority.Authority,
  settings: EnvironmentSettings,
  credential: ClientCredential["Service"],
  scopes: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<Finding>, never, Transport> =>
  ConfidentialClient.acquireToken({ scopes }).pipe(
    Effect.flatMap((result) => Effect.map(Clock.currentTimeMillis, (now) => issued(authority, settings, result, now))),
    Effect.provide(
      ConfidentialClient.layerDefault({ ...settings, retry: RetryPolicy.none }).pipe(
        Layer.provide(Layer.succeed(ClientCredential, credential))
      )
    ),
    Effect.catch((error) => Effect.succeed([failure("acquisition", error)])),
    Effect.timeoutOrElse({
      duration: limit,
      orElse: () =>
        Effect.succeed([fail(
          "acquisition",
          `No token was issued within ${limit / 1000} s`,
          "Try again later. Check the connection to the token endpoint."
        )])
    })
  )

const issued = (
  authority: Authority.Authority,
  { clientId, region }: EnvironmentSettings,
  { accessToken, correlationId, expiresOn, metadata, scopes }: AuthenticationResult,
  now: number
): ReadonlyArray<Finding> => {
  const minutes = Math.round((DateTime.toEpochMillis(expiresOn) - now) / 60_000)
  const detail = `A token for ${scopes.join(" ")}, valid for ${minutes} minutes (correlation id ${correlationId})`
  return [
    regionFinding(authority, region, metadata.tokenEndpoint, detail) ?? ok("acquisition", detail),
    tokenFinding(
      claimsOf(Redacted.value(accessToken), Claims),
      Authority.isTenanted(authority) ? Authority.adminConsentUrl(authority, { clientId }) : undefined
    )
  ]
}

/** Returns a warning if the global endpoint issued a token that the endpoint of the region should have issued. */
export const regionFinding = (
  authority: Authority.Authority,
  region: string | undefined,
  tokenEndpoint: string | undefined,
  detail: string
): Finding | undefined => {
  if (region === undefined || tokenEndpoint === undefined) return undefined
  const regional = endpointsOf(authority, Authority.networkHost(authority), "standard", region)
  if (Result.isFailure(regional)) return undefined
  const [{ host: wanted }, { host: used }] = [new URL(regional.success.token), new URL(tokenEndpoint)]
  return wanted === used ? undefined : warn(
    "acquisition",
    `The endpoint of the region ${region} issued no token: ${used} issued it. ${detail}`,
    `Check AZURE_REGIONAL_AUTHORITY_NAME for typing errors, and let this machine reach ${wanted}:443. See `
      + "docs/networks.md#the-firewall of effect-entra."
  )
}

const Claims = Schema.Struct({
  aud: Schema.optionalKey(Schema.Union([Schema.String, Schema.Array(Schema.String)])),
  roles: Schema.optionalKey(Schema.Array(Schema.String))
})

/** Resources whose permissions are assignments in Azure (RBAC) or users of a database, and not roles in the token. */
const withoutRoles: ReadonlySet<string> = new Set([
  "https://management.azure.com",
  "https://management.core.windows.net",
  "797f4846-ba00-4fd7-ba43-dac1f8f63013",
  "https://vault.azure.net",
  "cfa8b339-82a2-471a-a3c9-0fc0be7a4093",
  "https://storage.azure.com",
  "e406a681-f3d4-42a8-90b6-c2b029497af1",
  "https://redis.azure.com",
  "acca5fbb-b7e4-4009-81f1-37e38fd66d78",
  "https://database.windows.net",
  "022907d3-0f1b-48f7-badc-1ba6abab6d66"
])

/** Returns the finding of a token's claims, which are undefined for an opaque token. */
export const tokenFinding = (claims: typeof Claims.Type | undefined, consentUrl: string | undefined): Finding => {
  if (claims === undefined) return ok("token", "The token is opaque, so only the API can read its permissions")
  const { aud = [], roles = [] } = claims
  const audience = [aud].flat().join(" ")
  if (roles.length > 0) return ok("token", `For ${audience} with the roles ${roles.join(", ")}`)
  if (consentUrl === undefined || withoutRoles.has(audience.replace(/\/$/, ""))) {
    return ok("token", `For ${audience} without roles. The permissions for this resource are not in the token`)
  }
  return warn(
    "token",
    `The token for ${audience} has no roles, so an API that checks roles refuses it`,
    "Add application permissions for this API to the app, and have an administrator of the tenant consent. See "
      + `docs/registering.md#give-it-permissions of effect-entra. Link: ${consentUrl}`
  )
}
