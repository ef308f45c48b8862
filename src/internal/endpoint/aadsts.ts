/**
 * The meaning of AADSTS numbers for the client credentials flow. Entra advises programs to rely on `error`. A known number
 * refines it, and with an unknown number `error` decides.
 */
import type {
  InvalidAuthorityCode,
  InvalidClientCode,
  InvalidClientError,
  ServiceUnavailableCode,
  ThrottledCode,
  TokenRequestCode
} from "../../EntraError.ts"

interface Codes {
  readonly authority: InvalidAuthorityCode
  readonly client: InvalidClientCode
  readonly throttled: ThrottledCode
  readonly unavailable: ServiceUnavailableCode
  readonly refused: TokenRequestCode
}

type MeaningOf<Kind extends keyof Codes> = {
  readonly [K in Kind]: {
    readonly kind: K
    readonly code: Codes[K]
    readonly remedy: string
    /** True if the remedy is an administrator's consent, so that the consent link helps. */
    readonly consentHelps?: true
  }
}[Kind]

export type Meaning = MeaningOf<keyof Codes>

/** Returns the remedy with a reference to the section of the shipped page that explains it. */
const withPage = (remedy: string, anchor: string | undefined): string =>
  anchor === undefined ? remedy : `${remedy} See docs/registering.md#${anchor} of effect-entra.`

const client = (code: InvalidClientCode, remedy: string, anchor?: string): MeaningOf<"client"> => ({
  kind: "client",
  code,
  remedy: withPage(remedy, anchor)
})

const authority = (code: InvalidAuthorityCode, remedy: string, anchor?: string): MeaningOf<"authority"> => ({
  kind: "authority",
  code,
  remedy: withPage(remedy, anchor)
})

const refused = (code: TokenRequestCode, remedy: string, anchor?: string): MeaningOf<"refused"> => ({
  kind: "refused",
  code,
  remedy: withPage(remedy, anchor)
})

const withConsent = <M extends Meaning>(meaning: M): M => ({ ...meaning, consentHelps: true })

const tenantUnknown = authority(
  "tenant_unknown",
  "Check the tenant id or domain name, and that the authority is the cloud in which the tenant lives.",
  "aadsts90002"
)
const instanceInvalid = authority(
  "instance_invalid",
  "Check the authority's host, which is not a host of a Microsoft cloud."
)
const transient: MeaningOf<"unavailable"> = {
  kind: "unavailable",
  code: "service_unavailable",
  remedy: "Try again later."
}

export const throttled: MeaningOf<"throttled"> = {
  kind: "throttled",
  code: "throttled",
  remedy:
    "Build one client and keep it, so that its cache serves tokens. No requests are sent before retryAfter has passed."
}

/** The numbers of each meaning. Several numbers have the same meaning, because different parts of the service send them. */
const meaningTable: ReadonlyArray<readonly [meaning: Meaning, numbers: ReadonlyArray<number>]> = [
  [
    client(
      "secret_wrong",
      "Pass the secret's value and not its id; the portal shows the value only once, when the secret is created.",
      "aadsts7000215"
    ),
    [7000215]
  ],
  [
    client(
      "secret_expired",
      "Create a new secret, or register a certificate instead, and configure it.",
      "aadsts7000222"
    ),
    [7000222]
  ],
  [client("client_refused", "Send a secret or an assertion, because the app is registered as a confidential client."), [
    7000218
  ]],
  [
    client(
      "client_disabled",
      "Ask an administrator to enable the app, which is disabled in this tenant.",
      "aadsts7000112"
    ),
    [7000112]
  ],
  [
    client(
      "client_unknown",
      "Check the client id, which is not the id of an app.",
      "aadsts700016"
    ),
    [700038]
  ],
  [
    withConsent(client(
      "client_unknown",
      "Check the client id and the tenant, and have an administrator of the tenant install the app (admin consent).",
      "aadsts700016"
    )),
    [700016, 700011, 70001]
  ],
  [
    withConsent(client(
      "service_principal_missing",
      "Create the app's service principal in this tenant, where the app is registered but not installed.",
      "aadsts7000229"
    )),
    [7000229]
  ],
  [
    client(
      "assertion_time",
      "Check this machine's clock, or replace the platform's token, because the assertion was not valid at that time.",
      "aadsts700024"
    ),
    [700024]
  ],
  [
    client(
      "assertion_refused",
      "Register this certificate or federated credential with the app, or use a registered one; a new or changed "
        + "registration takes some minutes.",
      "aadsts700027"
    ),
    [700027, 7000214, 1000502, 700030, 700021, 700023, 50012, 50013, 50027, 50048]
  ],
  [
    client(
      "assertion_refused",
      "Compare the assertion's iss, sub and aud with the federated credentials of the app, which must be equal to them; a "
        + "new or changed registration takes some minutes.",
      "a-federated-credential"
    ),
    [70021, 700211, 700212, 700213, 7002137, 7002138]
  ],
  [tenantUnknown, [90002, 900023]],
  [authority("tenant_not_tenanted", "Pass the tenant's id or domain name as tenantId."), [50059, 50194, 9001023]],
  [instanceInvalid, [50049]],
  [
    withConsent(refused(
      "consent_missing",
      "Ask an administrator of the tenant to grant the app its permissions.",
      "aadsts65001"
    )),
    [65001, 650056, 650057, 90008, 90094, 900941]
  ],
  [
    withConsent(refused(
      "consent_missing",
      "Ask an administrator to assign the app one of the API's roles, which the API requires.",
      "aadsts501051"
    )),
    [501051]
  ],
  [
    refused(
      "resource_unknown",
      "Check the resource in the scope, and check that it is installed in this tenant and in this cloud.",
      "aadsts500011"
    ),
    [500011, 50001, 650052]
  ],
  [
    refused(
      "blocked_by_policy",
      "Ask an administrator about the conditional access policy for workload identities that blocks this app.",
      "aadsts53003"
    ),
    [53003, 530032]
  ],
  [
    refused(
      "region_refused",
      "Leave the region out (AZURE_REGIONAL_AUTHORITY_NAME, option region), because regional endpoints serve only some callers.",
      "aadsts100007"
    ),
    [100007]
  ],
  [throttled, [50196, 90055]],
  [transient, [90006, 90012, 90024, 90033, 50033]]
]

const meanings: ReadonlyMap<number, Meaning> = new Map(
  meaningTable.flatMap(([meaning, numbers]) => numbers.map((number) => [number, meaning] as const))
)

/**
 * The numbers for an assertion that the service cannot match with the app's certificates or federated credentials. A
 * server of the service that has not received a new registration yet responds with them too, and so do a few servers
 * for a registration that is months old.
 */
const unmatchedAssertion: ReadonlySet<number> = new Set([
  70021,
  700211,
  700212,
  700213,
  7002137,
  7002138,
  700027
])

/**
 * Returns whether another server may accept the same client, because the registration may not have reached this server.
 */
export const isReplicationLag = (
  { errorCodes = [], origin, retryAfter }: Pick<InvalidClientError, "errorCodes" | "origin" | "retryAfter">
): boolean =>
  origin === "service" && retryAfter === undefined && errorCodes.some((code) => unmatchedAssertion.has(code))

/** The number for the same request in a loop, without a cache. */
export const loopDetected = 50196

const byError: ReadonlyMap<string, Meaning> = new Map<string, Meaning>([
  [
    "invalid_client",
    client("client_refused", "Check the client id and the credential. Check that both belong to this tenant.")
  ],
  [
    "unauthorized_client",
    client("client_refused", "Check the client id. Check that the app may use client credentials in this tenant.")
  ],
  ["invalid_tenant", tenantUnknown],
  ["invalid_instance", instanceInvalid],
  ["temporarily_unavailable", transient],
  ["server_error", transient]
])

const otherRefusal = refused(
  "request_refused",
  "Read the description. To look up its AADSTS number, open https://login.microsoftonline.com/error."
)

/** The meanings at an issuer, whose responses have no AADSTS numbers. */
const byErrorAtIssuer: ReadonlyMap<string, Meaning> = new Map<string, Meaning>([
  [
    "invalid_client",
    client(
      "client_refused",
      "Check the client id and the credential. Check that the client is registered for this method of authentication."
    )
  ],
  [
    "unauthorized_client",
    client("client_refused", "Allow the grant type client_credentials for this client at the provider.")
  ],
  ["invalid_scope", refused("request_refused", "Check the scopes, and allow them for this client at the provider.")],
  ["temporarily_unavailable", transient],
  ["server_error", transient]
])

const otherRefusalAtIssuer = refused(
  "request_refused",
  "Read the description. The provider's log or documentation explains it."
)

/** Returns the meaning of the first known number, or otherwise of `error`. */
export const meaningOf = (error: string, errorCodes: ReadonlyArray<number>, atIssuer = false): Meaning => {
  for (const code of errorCodes) {
    const meaning = meanings.get(code)
    // 700023 concerns an assertion or a scope, and `error` tells which.
    if (meaning !== undefined && !(code === 700023 && error === "invalid_scope")) return meaning
  }
  // A response with a number comes from Entra, also at an issuer.
  return atIssuer && errorCodes.length === 0
    ? byErrorAtIssuer.get(error) ?? otherRefusalAtIssuer
    : byError.get(error) ?? otherRefusal
}
