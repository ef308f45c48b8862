/**
 * The meaning of AADSTS numbers for this flow. Entra advises programs to rely on `error`; the numbers refine it, and an
 * unknown number falls back to it.
 */
import type {
  InvalidAuthorityCode,
  InvalidClientCode,
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
  readonly [K in Kind]: { readonly kind: K; readonly code: Codes[K]; readonly remedy: string }
}[Kind]

export type Meaning = MeaningOf<keyof Codes>

/** Returns the remedy with the section of the shipped page that explains it. */
const explained = (remedy: string, anchor: string | undefined): string =>
  anchor === undefined ? remedy : `${remedy} See docs/registering.md#${anchor} of effect-entra.`

const client = (code: InvalidClientCode, remedy: string, anchor?: string): MeaningOf<"client"> => ({
  kind: "client",
  code,
  remedy: explained(remedy, anchor)
})

const authority = (code: InvalidAuthorityCode, remedy: string, anchor?: string): MeaningOf<"authority"> => ({
  kind: "authority",
  code,
  remedy: explained(remedy, anchor)
})

const refused = (code: TokenRequestCode, remedy: string, anchor?: string): MeaningOf<"refused"> => ({
  kind: "refused",
  code,
  remedy: explained(remedy, anchor)
})

const tenantUnknown = authority(
  "tenant_unknown",
  "Check the tenant id or domain name, and that the authority is the cloud in which the tenant lives.",
  "aadsts90002"
)
const instanceInvalid = authority("instance_invalid", "Check the authority's host: it is none of a Microsoft cloud.")
const transient: MeaningOf<"unavailable"> = {
  kind: "unavailable",
  code: "service_unavailable",
  remedy: "Try again later."
}

export const throttled: MeaningOf<"throttled"> = {
  kind: "throttled",
  code: "throttled",
  remedy: "Build one client and keep it, so that its cache answers. Until retryAfter has passed, nothing is sent."
}

/** The numbers of each meaning: one finding has several, after where the service made it. */
const table: ReadonlyArray<readonly [meaning: Meaning, numbers: ReadonlyArray<number>]> = [
  [
    client(
      "secret_wrong",
      "Pass the secret's value, not its id; the portal shows the value only once, when it is made.",
      "aadsts7000215"
    ),
    [7000215]
  ],
  [
    client(
      "secret_expired",
      "Make a new secret or, better, register a certificate, and configure it.",
      "aadsts7000222"
    ),
    [7000222]
  ],
  [client("client_refused", "Send a secret or an assertion: the app is registered as a confidential client."), [
    7000218
  ]],
  [
    client(
      "client_disabled",
      "The app is disabled in this tenant: ask an administrator to enable it.",
      "aadsts7000112"
    ),
    [7000112]
  ],
  [
    client(
      "client_unknown",
      "Check the client id, and that an administrator of this tenant has installed the app there (admin consent).",
      "aadsts700016"
    ),
    [700016, 700038, 700011]
  ],
  [
    client(
      "service_principal_missing",
      "The app is registered but not installed in this tenant: create its service principal there.",
      "aadsts7000229"
    ),
    [7000229]
  ],
  [
    client(
      "assertion_time",
      "Check this machine's clock, or renew the platform's token: the assertion was outside its time range.",
      "aadsts700024"
    ),
    [700024]
  ],
  [
    client(
      "assertion_refused",
      "Register this certificate (or federated credential) with the app, or send the one that is registered.",
      "aadsts700027"
    ),
    [700027, 7000214, 1000502, 700030, 700021, 700023, 50012, 50013, 50027, 50048]
  ],
  [
    client(
      "assertion_refused",
      "Compare the assertion's iss, sub and aud with the federated credentials of the app, letter by letter.",
      "a-federated-credential"
    ),
    [70021, 700211, 700212, 700213, 7002137, 7002138]
  ],
  [tenantUnknown, [90002, 900023]],
  [authority("tenant_not_tenanted", "Name the tenant: its id or domain name as tenantId."), [50059, 50194, 9001023]],
  [instanceInvalid, [50049]],
  [
    refused(
      "consent_missing",
      "An administrator of the tenant must grant the app its permissions.",
      "aadsts65001"
    ),
    [65001, 650056, 650057]
  ],
  [
    refused(
      "consent_missing",
      "The API demands that an app is assigned one of its roles: have an administrator do that.",
      "aadsts501051"
    ),
    [501051]
  ],
  [
    refused(
      "resource_unknown",
      "Check the resource in the scope, and that it is installed in this tenant and in this cloud.",
      "aadsts500011"
    ),
    [500011, 50001]
  ],
  [
    refused(
      "blocked_by_policy",
      "A conditional access policy for workload identities blocks this app: ask an administrator.",
      "aadsts53003"
    ),
    [53003, 530032]
  ],
  [
    refused(
      "region_refused",
      "Leave the region out (AZURE_REGIONAL_AUTHORITY_NAME, option region): regional endpoints serve only some callers.",
      "aadsts100007"
    ),
    [100007]
  ],
  [throttled, [50196, 90055]],
  [transient, [90006, 90012, 90024, 90033, 50033]]
]

const meanings: ReadonlyMap<number, Meaning> = new Map(
  table.flatMap(([meaning, numbers]) => numbers.map((number) => [number, meaning] as const))
)

/** The codes for which an administrator's consent is the remedy, so that its link helps. */
export const consentHelps: ReadonlySet<string> = new Set(["consent_missing", "service_principal_missing"])

/** Asking too often, in a loop, without a cache. */
export const loopDetected = 50196

const byError: ReadonlyMap<string, Meaning> = new Map<string, Meaning>([
  [
    "invalid_client",
    client("client_refused", "Check the client id and the credential, and that both belong to this tenant.")
  ],
  [
    "unauthorized_client",
    client("client_refused", "Check the client id, and that the app may use client credentials in this tenant.")
  ],
  ["invalid_tenant", tenantUnknown],
  ["invalid_instance", instanceInvalid],
  ["temporarily_unavailable", transient],
  ["server_error", transient]
])

const other = refused(
  "request_refused",
  "Read the description; an AADSTS number in it is explained at https://login.microsoftonline.com/error."
)

/** The first number that is known decides, then `error`. */
export const meaningOf = (error: string, errorCodes: ReadonlyArray<number>): Meaning => {
  for (const code of errorCodes) {
    const meaning = meanings.get(code)
    // 700023 is said of assertions and of scopes; `error` knows which.
    if (meaning !== undefined && !(code === 700023 && error === "invalid_scope")) return meaning
  }
  return byError.get(error) ?? other
}
