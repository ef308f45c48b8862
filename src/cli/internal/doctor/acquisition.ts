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
  // A provider of another kind may write one role as a string.
  roles: Schema.optionalKey(Schema.Union([Schema.String, Schema.Array(Schema.String)]))
})

/**
 * The hosts of Azure whose permissions are assignments in Azure (RBAC) or users of a database, and not roles in the token.
 * Many services have a host per account, and most have one per cloud.
 */
const azureHosts: ReadonlyArray<RegExp> = [
  new RegExp(
    "(?:^|\\.)(?:management|vault|managedhsm|storage|redis|servicebus|eventhubs|eventgrid|cognitiveservices|openai|ai|ml"
      + "|search|monitor|monitoring|containerregistry|iothubs|digitaltwins|documents|cosmos|appconfig|azconfig|signalr"
      + "|webpubsub|communication|datalake|batch)\\.azure\\.(?:com|net|us|cn)$"
  ),
  new RegExp(
    "(?:^|\\.)(?:(?:management|batch|blob|queue|table|dfs|file|web)\\.core|management|vault|managedhsm|database|servicebus"
      + "|search|kusto|batch)\\.(?:windows\\.net|usgovcloudapi\\.net|chinacloudapi\\.cn|cloudapi\\.de|microsoftazure\\.de)$"
  ),
  /(?:^|\.)(?:azconfig\.io|azurecr\.(?:io|us|cn)|azuredatabricks\.net|databricks\.azure\.(?:us|cn)|azuresynapse\.net)$/,
  /(?:^|\.)blob\.storage\.azure\.net$/
]

/** The app ids of these services, which are audiences too. */
const azureApps: ReadonlySet<string> = new Set([
  // Azure Resource Manager
  "797f4846-ba00-4fd7-ba43-dac1f8f63013",
  // Key Vault
  "cfa8b339-82a2-471a-a3c9-0fc0be7a4093",
  // Storage
  "e406a681-f3d4-42a8-90b6-c2b029497af1",
  // Cache for Redis
  "acca5fbb-b7e4-4009-81f1-37e38fd66d78",
  // SQL Database
  "022907d3-0f1b-48f7-badc-1ba6abab6d66",
  // Database for PostgreSQL and MySQL
  "123cd850-d9df-40bd-94d5-c9f07b7fa203",
  // Service Bus
  "80a10ef9-8168-493d-abf9-3297c4ef6e3c",
  // Event Hubs
  "80369ed6-5f11-4dd9-bef3-692475845e77",
  // Cognitive Services
  "7d312290-28c8-473c-a0ed-8e53749b6d6d",
  // App Configuration
  "35ffadb3-7fc1-497e-b61b-381d28e744cc",
  // Cosmos DB
  "a232010e-820c-4083-83bb-3ace5fc29d0b",
  // AI Search
  "880da380-985e-4198-81b9-e05b1cc53158",
  // Container Registry
  "6a0ec4d3-30cb-4a83-91c0-ae56bc0e3d26",
  // Kubernetes Service
  "6dae42f8-4368-4678-94ff-3960e28e3630",
  // IoT Hub
  "89d10474-74af-4874-99a7-c23c2f643083",
  // Digital Twins
  "0b07f429-9f4b-4714-9392-cc5e8e80c8b0",
  // Batch
  "ddbf3205-c6bd-46ae-8127-60eb93363864",
  // Databricks
  "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d",
  // Data Explorer
  "2746ea77-4702-4b45-80ca-3c97e680e8b7"
])

/** Returns whether the rights for an audience are assigned in Azure. */
const isAssignedInAzure = (audience: string): boolean => {
  const [, host = ""] = /^(?:https:\/\/)?([\w.-]+)(?::443)?\/*$/.exec(audience.toLowerCase()) ?? []
  return azureApps.has(host) || azureHosts.some((pattern) => pattern.test(host))
}

/** Returns the finding of a token's claims, which are undefined for an opaque token. */
export const tokenFinding = (claims: typeof Claims.Type | undefined, consentUrl: string | undefined): Finding => {
  if (claims === undefined) return ok("token", "The token is opaque, so only the API can read its permissions")
  const { aud = [] } = claims
  const roles = [claims.roles ?? []].flat()
  const audience = [aud].flat().join(" ")
  if (roles.length > 0) return ok("token", `For ${audience} with the roles ${roles.join(", ")}`)
  if (isAssignedInAzure(audience)) {
    return ok(
      "token",
      `For ${audience} without roles. Rights for this resource are assigned in Azure, not in the token`
    )
  }
  if (consentUrl === undefined) {
    return ok("token", `For ${audience} without roles. The permissions for this resource are not in the token`)
  }
  return warn(
    "token",
    `The token for ${audience} has no roles, so an API that checks roles refuses it`,
    "Add application permissions for this API to the app, and have an administrator of the tenant consent. See "
      + `docs/registering.md#give-it-permissions of effect-entra. Link: ${consentUrl}`
  )
}
